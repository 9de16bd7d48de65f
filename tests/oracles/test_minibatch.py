"""Mini-batches: which rows, whose gradient, how noisy, and where a constant learning rate ends."""

import itertools

import numpy as np
import pytest

from gradline.errors import StabilityError, UsageError
from gradline.maths.losses import SQUARED, huber
from gradline.maths.noise import measure
from gradline.maths.quadratic import quadratic_loss, solve
from gradline.oracles import minibatch
from gradline.oracles.minibatch import Batches, ExampleStore, MiniBatchOracle
from gradline.oracles.moments import MomentsOracle
from gradline.oracles.streamed import Examples
from gradline.types import Role
from reference import dense_problem, fit

ALL = {"validation": 0.0, "test": 0.0}


def examples(seed=0, m=103, p=3, *, weighted=False):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, p))
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    y = X @ rng.normal(size=p) + rng.normal(size=m) + 2.0
    return Examples(X, y, rng.integers(0, 4, m).astype(float) if weighted else None)


def store_of(rows, pieces=3):
    cuts = np.linspace(0, len(rows.y), pieces + 1).astype(int)
    parts = [
        Examples(rows.X[a:b], rows.y[a:b], None if rows.weight is None else rows.weight[a:b]) for a, b in itertools.pairwise(cuts)
    ]
    return ExampleStore.of(parts, len(rows.y), rows.X.shape[1], weighted=rows.weight is not None)


@pytest.mark.parametrize("blocked", [False, True])
def test_an_epoch_holds_every_row_once_and_its_last_batch_what_is_left(blocked, monkeypatch):
    monkeypatch.setattr(minibatch, "SHUFFLE_BLOCK", 16)
    batches = Batches(7, 103, 10, blocked=blocked)
    assert batches.per_epoch == 11
    for epoch in range(3):
        drawn = [batches.at(epoch * 11 + i) for i in range(11)]
        assert [len(batch) for batch in drawn] == [10] * 10 + [3]
        assert sorted(np.concatenate(drawn)) == list(range(103))
    assert not np.array_equal(
        np.concatenate([batches.at(i) for i in range(11)]), np.concatenate([batches.at(11 + i) for i in range(11)])
    )


def rows_of(batches, step):
    return np.arange(batches.rows)[batches.at(step)]


@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("rows", [100, 103])
def test_batches_of_mixed_rows_are_slices_and_hold_every_row_once_an_epoch(blocked, rows, monkeypatch):
    monkeypatch.setattr(minibatch, "SHUFFLE_BLOCK", 32)
    batches = Batches(7, rows, 10, blocked=blocked, mixed=True)
    epochs = []
    for epoch in range(4):
        steps = range(epoch * batches.per_epoch, (epoch + 1) * batches.per_epoch)
        drawn = [rows_of(batches, step) for step in steps]
        assert [len(batch) for batch in drawn] == [10] * 10 + [3] * (rows > 100)
        assert sorted(np.concatenate(drawn)) == list(range(rows))
        assert sum(not isinstance(batches.at(step), slice) for step in steps) <= 1
        epochs.append({tuple(sorted(batch)) for batch in drawn})
    assert len({frozenset(epoch) for epoch in epochs}) > 1  # batches are of other rows, not in another order alone


@pytest.mark.parametrize("sampling", ["shuffled", "replacement"])
@pytest.mark.parametrize("size", [1, 10, 64, 200])
def test_rows_that_are_mixed_and_rows_that_are_not_have_the_same_batches(size, sampling):
    rows = examples(weighted=True)
    mixed = ExampleStore.of([rows], 103, 3, weighted=True, seed=5)
    a, b = Batches(5, 103, size, sampling, mixed=True), Batches(5, 103, size, sampling)
    for step in range(2 * a.per_epoch + 1):
        assert np.array_equal(mixed.X[a.at(step)], rows.X[b.at(step)])
        assert np.array_equal(mixed.y[a.at(step)], rows.y[b.at(step)])
        assert np.array_equal(mixed.weight[a.at(step)], rows.weight[b.at(step)])


def test_one_batch_of_all_mixed_rows_is_a_slice():
    assert rows_of(Batches(7, 50, 64, mixed=True), 3).tolist() == list(range(50))
    assert isinstance(Batches(7, 50, 64, mixed=True).at(3), slice)


@pytest.mark.parametrize("mixed", [False, True])
def test_an_epoch_on_disk_reads_a_block_after_the_other(mixed, monkeypatch):
    monkeypatch.setattr(minibatch, "SHUFFLE_BLOCK", 100)
    batches = Batches(1, 1_000, 10, blocked=True, mixed=mixed)
    first = [rows_of(batches, step) for step in range(10)]  # a block's worth of rows
    assert len(np.unique(np.concatenate(first) // 100)) <= 2


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_store_that_mixes_keeps_every_row_in_an_order_of_the_seed(on_disk, monkeypatch):
    if on_disk:
        monkeypatch.setattr(minibatch, "MOST_IN_MEMORY", 100)
        monkeypatch.setattr(minibatch, "SHUFFLE_BLOCK", 40)
    rows = examples(weighted=True)
    stores = [ExampleStore.of([rows], 103, 3, weighted=True, seed=seed, ones=True) for seed in (1, 1, 2)]
    kept = [np.column_stack([store.Z, store.y, store.weight]) for store in stores]
    given = np.column_stack([rows.X, np.ones(103), rows.y, rows.weight])
    assert np.array_equal(kept[0], kept[1])
    assert not np.array_equal(kept[0], kept[2])
    for each in kept:
        assert not np.array_equal(each, given)
        assert np.array_equal(each[np.lexsort(each.T)], given[np.lexsort(given.T)])


@pytest.mark.parametrize("loss", [SQUARED, huber(0.5)], ids=["squared", "huber"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("intercept", [True, False])
def test_rows_with_a_column_of_ones_give_the_same_gradients(intercept, l2, weighted, loss):
    rows = examples(weighted=weighted)
    apart = store_of(rows)
    beside = ExampleStore.of([rows], 103, 3, weighted=weighted, ones=True)
    theta = np.array([0.3, -1.0, 2.0, 0.5])[: 4 if intercept else 3]
    for step in range(12):
        a, b = (
            MiniBatchOracle(store, Batches(3, 103, 10), intercept=intercept, l2=l2, loss=loss).value_and_gradient(theta, step)
            for store in (apart, beside)
        )
        assert a.value == pytest.approx(b.value, rel=1e-12)
        assert a.gradient == pytest.approx(b.gradient, rel=1e-12, abs=1e-14)
    assert np.array_equal(beside.X, rows.X)


@pytest.mark.parametrize("ones", [False, True])
@pytest.mark.parametrize("loss", [SQUARED, huber(0.5)], ids=["squared", "huber"])
@pytest.mark.parametrize(("weighted", "l2", "intercept"), [(False, 0.0, True), (True, 0.3, True), (True, 0.3, False)])
def test_a_step_without_a_record_has_the_same_gradient(intercept, l2, weighted, loss, ones):
    store = ExampleStore.of([examples(weighted=weighted)], 103, 3, weighted=weighted, ones=ones)
    oracle = MiniBatchOracle(store, Batches(3, 103, 10), intercept=intercept, l2=l2, loss=loss)
    theta = np.array([0.3, -1.0, 2.0, 0.5])[: 4 if intercept else 3]
    for step in range(12):
        assert np.array_equal(oracle.gradient(theta, step), oracle.value_and_gradient(theta, step).gradient)


@pytest.mark.parametrize("sampling", ["shuffled", "replacement"])
def test_a_batch_depends_on_seed_and_step_alone(sampling):
    forward, backward = Batches(1, 50, 8, sampling), Batches(1, 50, 8, sampling)
    steps = list(range(30))
    ahead = {step: forward.at(step).tolist() for step in steps}
    assert ahead == {step: backward.at(step).tolist() for step in reversed(steps)}
    assert ahead != {step: Batches(2, 50, 8, sampling).at(step).tolist() for step in steps}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("intercept", "l2"), [(True, 0.0), (True, 0.3), (False, 0.0)])
def test_the_mean_gradient_of_an_epoch_is_the_gradient_of_all_rows(weighted, intercept, l2):
    rows = examples(m=100, weighted=weighted)
    batches = Batches(3, 100, 10)
    oracle = MiniBatchOracle(store_of(rows), batches, intercept=intercept, l2=l2)
    theta = np.array([0.3, -1.0, 2.0, 0.5])[: 4 if intercept else 3]
    drawn = [oracle.value_and_gradient(theta, step) for step in range(10)]
    w, b = (theta[:3], theta[3]) if intercept else (theta, 0.0)
    weight = np.ones(100) if rows.weight is None else rows.weight
    residual = rows.X @ w + b - rows.y
    slopes = rows.X.T @ (weight * residual) / weight.sum() + l2 * w
    expected = np.append(slopes, weight @ residual / weight.sum()) if intercept else slopes
    assert np.mean([g for _, g in drawn], axis=0) == pytest.approx(expected, rel=1e-12)
    value = 0.5 * weight @ residual**2 / weight.sum() + 0.5 * l2 * w @ w
    assert np.mean([v for v, _ in drawn]) == pytest.approx(value, rel=1e-12)


def test_one_batch_of_all_rows_is_the_moments_oracle():
    rows = examples()
    problem = dense_problem(rows.X, rows.y)
    oracle = MiniBatchOracle(store_of(rows), Batches(0, 103, 103), intercept=True)
    theta = np.array([1.0, 2.0, -1.0, 0.1])
    assert oracle.value_and_gradient(theta).gradient == pytest.approx(
        MomentsOracle(problem.loss).value_and_gradient(theta).gradient, rel=1e-9
    )


def test_rows_on_disk_give_the_same_batches_gradients(monkeypatch):
    rows = examples(weighted=True)
    monkeypatch.setattr(minibatch, "MOST_IN_MEMORY", 100)
    store = store_of(rows)
    assert store.on_disk
    assert np.array_equal(store.X, rows.X)
    assert np.array_equal(store.weight, rows.weight)


def test_a_store_notices_rows_that_went_missing():
    rows = examples()
    with pytest.raises(ValueError, match="changed during the run"):
        ExampleStore.of([rows], 104, 3, weighted=False)


def test_the_floor_of_a_constant_rate_is_where_the_run_ends():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(4_000, 4)) * [1.0, 0.8, 0.6, 0.5]
    y = X @ [1.0, -2.0, 0.5, 1.5] + rng.normal(size=4_000)
    for batch, share in ((4, 0.25), (32, 0.5)):
        limit = fit(X, y, oracle="minibatch", batch_size=batch, max_steps=1, **ALL).plan["learning_rate_limit"]
        gaps = []
        model = fit(
            X, y, oracle="minibatch", sampling="replacement", batch_size=batch, learning_rate=share * limit,
            patience=10_000, max_steps=9_999, monitors=[lambda step, gaps=gaps: gaps.append(step.gap)], **ALL,
        )  # fmt: skip
        assert len(gaps) == 10_000
        assert np.mean(gaps[2_000:]) == pytest.approx(model.plan["noise_floor"], rel=0.2)


def test_the_limit_is_exact_for_one_feature_of_one_size():
    x = np.where(np.random.default_rng(0).random(2_000) < 0.5, -1.0, 1.0)[:, None]
    y = 3.0 * x[:, 0] + np.random.default_rng(1).normal(size=2_000)
    problem = dense_problem(x, y, intercept=False, scaling="none")
    noise = measure(x, y, problem.solution, np.zeros(1), intercept=False)
    for batch in (1, 7):
        assert noise.limit(problem.solution, batch) == pytest.approx(2.0, rel=1e-12)  # E[‖x‖² x²] = E[x²] = 1


def test_a_schedule_goes_below_the_floor():
    rng = np.random.default_rng(6)
    X = rng.normal(size=(2_000, 3))
    y = X @ [1.0, -2.0, 0.5] + rng.normal(size=2_000)
    settings = {"oracle": "minibatch", "batch_size": 16, "max_steps": 8_000, "patience": 10_000, **ALL}
    constant = fit(X, y, sampling="replacement", optimizer="gradient_descent", **settings)
    falling = fit(X, y, sampling="replacement", optimizer="gradient_descent", schedule="cosine", **settings)
    assert falling.certificate.gap < 0.05 * constant.plan["noise_floor"]


def test_the_same_run_again_gives_the_same_bits_and_the_history_is_of_all_rows():
    rows = examples(m=400)
    a, b = (fit(rows.X, rows.y, oracle="minibatch", batch_size=32, max_steps=300, seed=4, **ALL) for _ in range(2))
    assert np.array_equal(a.theta, b.theta)
    loss = quadratic_loss(a.moments[Role.TRAINING], a.coordinates)
    assert a.history["objective"].to_pylist()[-1] == loss.value(a.theta)
    assert a.certificate.gap == pytest.approx(loss.value(a.theta) - solve(loss).minimum, rel=1e-6)


def test_a_rate_far_past_the_limit_is_refused_and_forced_ends_finite_and_marked():
    rng = np.random.default_rng(7)
    X = rng.normal(size=(500, 2)) * [1.0, 1_000.0]
    y = X @ [1.0, 0.001] + rng.normal(size=500)
    with pytest.raises(StabilityError, match="batches of 8 rows"):
        fit(X, y, oracle="minibatch", scaling="none", batch_size=8, learning_rate=0.1, **ALL)
    model = fit(X, y, oracle="minibatch", scaling="none", batch_size=8, learning_rate=0.1, force=True, **ALL)
    assert model.result["stopped"]["reason"] == "diverged"
    assert np.isfinite([*model.coefficients.values(), model.intercept]).all()
    assert any("learning rate" in n.message for n in model.notices if n.code == "not_converged")


def test_validation_is_judged_by_epochs_and_a_noisy_gradient_not_at_all():
    rows = examples(m=400)
    settings = {"oracle": "minibatch", "batch_size": 50, "validation": 0.25, "test": 0.0, "patience": 2, "tolerance": 1e-3}
    model = fit(rows.X, rows.y, stop="validation", **settings)
    assert model.result["stopped"]["reason"] == "validation"
    epoch = -(-model.result["rows"]["train"] // 50)
    assert (model.result["steps"] + 1) % epoch == 0
    with pytest.raises(UsageError, match="mini-batch"):
        fit(rows.X, rows.y, stop="gradient", **settings)


def test_epochs_are_a_budget():
    rows = examples(m=400)
    model = fit(rows.X, rows.y, oracle="minibatch", batch_size=64, max_epochs=3, **ALL)
    assert model.result["stopped"]["reason"] == "max_epochs"
    assert model.result["steps"] == 3 * 7

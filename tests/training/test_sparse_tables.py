"""Training on sparse tables: the same answer as on the dense copy, and past the moments a proof by the penalty."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
from scipy import sparse

import gradline
from gradline.errors import ContractError, DataError, InputError, UsageError
from gradline.oracles import sparse as kept
from gradline.training import sparse as training
from gradline.training.stopping import StopReason
from gradline.types import Role

pytestmark = pytest.mark.filterwarnings("ignore::gradline.GradlineWarning")


def table(seed=0, m=1_500, p=30, density=0.15, offset=1e3):
    """Column 3 is dense with an offset, column 5 all zero, column 6 constant."""
    rng = np.random.default_rng(seed)
    D = np.where(rng.random((m, p)) < density, rng.normal(size=(m, p)) + 0.5, 0.0)
    D[:, 3], D[:, 5], D[:, 6] = offset + rng.normal(size=m), 0.0, 2.0
    y = D @ rng.normal(size=p) + rng.normal(size=m)
    return D, y


def values(model):
    return np.array(list(model.coefficients.values()))


SETTINGS = [
    {},
    {"oracle": "streamed"},
    {"oracle": "minibatch", "max_steps": 60},
    {"oracle": "minibatch", "optimizer": "averaged_sgd", "max_steps": 60},
    {"loss": "huber"},
    {"loss": "pinball", "quantile": 0.8, "l2": 1e-2},
    {"l1": 0.1},
    {"l2": 0.3},
    {"scaling": "none", "optimizer": "conjugate_gradient"},
    {"intercept": False},
    {"weight": "x4"},
    {"drop": ("x1", "x2")},
    {"features": ("x3", "x9", "x20")},
    {"group": "x9"},
    {"key": "x3"},
    {"time": "x3"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_same_model_as_of_the_dense_copy(settings):
    D, y = table()
    D = np.abs(D) if "weight" in settings else D
    a, b = gradline.train(sparse.csr_array(D), y, **settings), gradline.train(D, y, **settings)
    assert list(a.coefficients) == list(b.coefficients)
    assert a.stop_reason is b.stop_reason
    assert a.result["rows"] == b.result["rows"]
    effect = np.abs(values(b)).max()
    loose = 1e-5 if settings.get("loss") == "pinball" else 1e-9  # its steps end where the gap is proved, not at the last digit
    np.testing.assert_allclose(values(a), values(b), atol=loose * effect)
    assert a.certificate.kind == b.certificate.kind
    assert a.certificate.objective == pytest.approx(b.certificate.objective, rel=loose)
    for role in ("train", "validation", "test"):
        if b.metrics[role] is not None:
            assert a.metrics[role]["rmse"] == pytest.approx(b.metrics[role]["rmse"], rel=loose)
            assert a.metrics["baseline"][role]["rmse"] == pytest.approx(b.metrics["baseline"][role]["rmse"], rel=1e-12)
    np.testing.assert_allclose(a.predict(sparse.csr_array(D)), b.predict(D), atol=loose * np.abs(y).max())


def test_offsets_cost_no_digit():
    D, y = table(offset=1e9)
    model = gradline.train(sparse.csr_array(D), y, test=0, validation=0)
    moved = D - D[0] * (np.arange(30) == 3)  # exact: the offset is a number of the column itself
    centred = gradline.train(moved, y, test=0, validation=0)
    np.testing.assert_allclose(values(model), values(centred), rtol=1e-6)


def test_digits_are_kept_where_the_weights_are_and_rows_without_weight_are_not_there():
    rng = np.random.default_rng(0)
    n = 300
    has = np.arange(n) % 5 < 2  # less than half of the rows, and all of the weight
    weight = np.where(has, 1.0 + rng.random(n), 0.0)
    x1 = np.where(has, 1e9 + rng.normal(size=n), 0.0)
    x2 = rng.normal(size=n) * (rng.random(n) < 0.4)
    x3 = np.where(has, 0.1, 0.7)
    y = np.where(has, 3.0 * (x1 - 1e9), 0.0) + 2.0 * x2 + 0.1 * rng.normal(size=n)
    D = np.column_stack([weight, x1, x2, x3])
    for oracle in ("moments", "streamed"):
        model = gradline.train(sparse.csr_array(D), y, weight="x0", validation=0, test=0, oracle=oracle)
        root = np.sqrt(weight[has])
        A = np.column_stack([x1 - 1e9, x2, np.ones(n)])[has] * root[:, None]
        expected = np.linalg.lstsq(A, y[has] * root, rcond=None)[0]
        assert list(model.coefficients) == ["x1", "x2"]
        np.testing.assert_allclose(values(model), expected[:2], rtol=1e-5)
        assert model.certificate.relative_gap <= 1e-12


@pytest.mark.parametrize(("x", "y", "match"), [(1e200, 1, "overflow"), (1e-200, 1, "vanish"), (1, 1e200, "target .* overflow")])
def test_squares_that_are_no_float64_are_refused(monkeypatch, x, y, match):
    D, target = table(m=200)
    for most in (1, 5_000):
        monkeypatch.setattr(training, "MOST_FEATURES", most)
        with pytest.raises(DataError, match=match):
            gradline.train(sparse.csr_array(D * x), target * y)


def test_threads_and_blocks_do_not_change_a_bit(monkeypatch):
    D, y = table(m=5_000)
    monkeypatch.setattr(kept, "PART_ROWS", 512)
    X = sparse.csr_array(D)
    one = gradline.train(X, y, oracle="streamed", threads=1)
    from gradline.inputs import sparse as inputs

    monkeypatch.setattr(inputs, "BLOCK_ROWS", 333)
    four = gradline.train(X, y, oracle="streamed", threads=4)
    np.testing.assert_array_equal(one.theta, four.theta)


@pytest.mark.parametrize("most", [1, 5_000])
def test_a_svmlight_file_gives_the_bits_of_the_matrix(monkeypatch, tmp_path, most):
    monkeypatch.setattr(training, "MOST_FEATURES", most)
    D, y = table()
    rows = (
        " ".join([repr(t), *(f"{j}:{row[j].item()!r}" for j in np.flatnonzero(row))])
        for t, row in zip(y.tolist(), D, strict=True)
    )
    (tmp_path / "a.svm").write_text("\n".join(rows))
    from gradline.inputs import sparse as inputs

    monkeypatch.setattr(inputs, "CHUNK_BYTES", 5_000)
    a, b = gradline.train(tmp_path / "a.svm", l2=0.1), gradline.train(sparse.csr_array(D), y, l2=0.1)
    np.testing.assert_array_equal(a.theta, b.theta)
    assert a.coefficients == b.coefficients
    assert a.certificate == b.certificate


def test_rows_that_are_kept_in_files_are_the_same(monkeypatch):
    D, y = table()
    X = sparse.csr_array(D)
    memory = gradline.train(X, y, oracle="minibatch", max_steps=40, sampling="replacement")
    stores = []

    class Watched(kept.SparseStore):
        def close(self, width):
            super().close(width)
            stores.append(self.on_disk)

    monkeypatch.setattr(training, "SparseStore", Watched)
    monkeypatch.setattr(kept, "MOST_IN_MEMORY", 600)
    disk = gradline.train(X, y, oracle="minibatch", max_steps=40, sampling="replacement")
    assert any(stores)
    np.testing.assert_array_equal(memory.theta, disk.theta)


# ---- more features than have moments


@pytest.fixture
def wide(monkeypatch):
    """Every problem is wide."""
    monkeypatch.setattr(training, "MOST_FEATURES", 1)


RULES = ["gradient_descent", "momentum", "nesterov", "barzilai_borwein", "conjugate_gradient", "lbfgs"]


@pytest.mark.parametrize("scaling", ["standard", "none"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("rule", RULES)
def test_the_gap_is_proved_and_the_steps_are_foretold(monkeypatch, rule, intercept, scaling):
    D, y = table(offset=0.0)
    X, settings = sparse.csr_array(D), {"l2": 0.05, "scaling": scaling, "intercept": intercept}
    exact = gradline.train(X, y, **settings)
    monkeypatch.setattr(training, "MOST_FEATURES", 1)
    model = gradline.train(X, y, optimizer=rule, **settings)
    assert model.stop_reason is StopReason.GAP
    assert model.certificate.kind == "duality_gap"
    assert model.certificate.relative_gap <= 1e-8
    missing = model.certificate.objective - exact.certificate.minimum
    assert -1e-12 * exact.certificate.objective <= missing <= model.certificate.gap * (1.0 + 1e-6)
    steps, predicted = model.result["steps"], model.plan["predicted_steps"]
    skewed = scaling == "none" and intercept  # there the proof looks at the gradient in other coordinates than the loop's
    assert abs(steps - predicted) <= max(1, (0.2 if skewed else 0.03) * predicted)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scaling", ["standard", "none"])
@pytest.mark.parametrize("intercept", [True, False])
def test_the_gap_is_the_duality_gap_by_its_definition(intercept, scaling, weighted):
    D, y = table(offset=5.0)
    D[:, 4] = 1.0 + np.abs(D[:, 4])
    settings = {"weight": "x4"} if weighted else {"drop": ("x4",)}
    model = gradline.train(
        sparse.csr_array(D), y, l2=0.05, scaling=scaling, intercept=intercept, max_steps=2, validation=0, test=0, **settings
    )
    coordinates = model.coordinates
    Z = coordinates.transformed(D[:, [int(name[1:]) for name in model.coefficients]])
    w, b = coordinates.weights_and_bias(model.theta)
    weight = (D[:, 4] if weighted else np.ones(len(y))) / (D[:, 4].sum() if weighted else len(y))
    residual = Z @ w + b - y
    primal = 0.5 * weight @ residual**2 + 0.025 * w @ w
    u = residual - weight @ residual if intercept else residual  # Σ w u = 0 where b is free
    dual = -(weight @ (u * y + 0.5 * u**2)) - ((weight * u) @ Z) @ ((weight * u) @ Z) / 0.1
    assert model.certificate.gap == pytest.approx(primal - dual, rel=1e-6)
    assert model.certificate.objective == pytest.approx(primal, rel=1e-12)


@pytest.mark.usefixtures("wide")
def test_every_gap_of_the_history_is_a_bound(monkeypatch):
    D, y = table(offset=0.0)
    X = sparse.csr_array(D)
    model = gradline.train(X, y, l2=0.05, optimizer="gradient_descent", learning_rate=0.2)
    monkeypatch.setattr(training, "MOST_FEATURES", 5_000)
    minimum = gradline.train(X, y, l2=0.05).certificate.minimum
    history = model.history.to_pydict()
    true = np.array(history["objective"]) - minimum
    assert len(true) > 20
    assert np.all(np.array(history["gap"]) >= true * (1.0 - 1e-9))


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("settings", [{"loss": "huber", "huber_delta": 1.0}, {"loss": "pinball", "quantile": 0.7}], ids=str)
def test_other_losses_are_bounded_by_the_penalty(monkeypatch, settings):
    D, y = table(offset=0.0)
    X = sparse.csr_array(D)
    model = gradline.train(X, y, l2=0.05, **settings)
    monkeypatch.setattr(training, "MOST_FEATURES", 5_000)
    exact = gradline.train(X, y, l2=0.05, **settings)
    assert model.stop_reason is StopReason.GAP
    assert model.certificate.minimum <= exact.certificate.objective
    assert exact.certificate.minimum <= model.certificate.objective
    assert model.certificate.relative_gap <= (1e-7 if "huber_delta" in settings else 5e-3)


@pytest.mark.usefixtures("wide")
def test_without_a_penalty_nothing_is_proved_and_that_is_said():
    D, y = table(offset=0.0)
    model = gradline.train(sparse.csr_array(D), y)
    dense = gradline.train(D, y)
    assert model.stop_reason is StopReason.GRADIENT
    assert model.certificate.kind == "none"
    assert model.certificate.relative_gap is None
    assert model.certificate.gap is None
    assert "no_certificate" in [notice.code for notice in model.notices]
    assert model.history["gap"].null_count == len(model.history)
    np.testing.assert_allclose(values(model), values(dense), atol=1e-6)


@pytest.mark.usefixtures("wide")
def test_a_rate_past_the_limit_is_refused_and_below_it_is_stable():
    D, y = table(offset=0.0)
    X = sparse.csr_array(D)
    limit = gradline.train(X, y, l2=0.05, optimizer="gradient_descent").plan["learning_rate_limit"]
    H = np.cov((D[:, np.std(D, axis=0) > 0] / D[:, np.std(D, axis=0) > 0].std(axis=0)).T)
    assert limit == pytest.approx(2.0 / (np.linalg.eigvalsh(H)[-1] + 0.05), rel=0.05)
    with pytest.raises(InputError, match="not stable"):
        gradline.train(X, y, l2=0.05, learning_rate=1.01 * limit)
    diverged = gradline.train(X, y, l2=0.05, learning_rate=1.3 * limit, force=True)
    assert diverged.stop_reason is StopReason.DIVERGED
    assert np.isfinite(values(diverged)).all()


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("rule", ["gradient_descent", "averaged_sgd", "momentum", "adam"])
def test_mini_batches_descend(rule):
    D, y = table(offset=0.0)
    model = gradline.train(sparse.csr_array(D), y, l2=0.05, oracle="minibatch", optimizer=rule, max_epochs=20)
    history = model.history.to_pydict()
    assert model.plan["noise_scale"] > 0.0
    assert model.certificate.relative_gap < 0.05 * history["relative_gap"][0]


@pytest.mark.usefixtures("wide")
def test_to_stop_at_a_gap_needs_one_that_is_proved():
    D, y = table(offset=0.0)
    with pytest.raises(UsageError, match="--stop gap needs a bound"):
        gradline.train(sparse.csr_array(D), y, stop="gap", tolerance=1e-3)
    model = gradline.train(sparse.csr_array(D), y, stop="gap", tolerance=1e-3, l2=0.05)
    assert model.stop_reason is StopReason.GAP
    assert model.certificate.relative_gap <= 1e-3


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("settings", [{"oracle": "moments"}, {"l1": 0.1}, {"loss": "huber"}], ids=str)
def test_what_needs_a_matrix_of_p_by_p_is_refused(settings):
    D, y = table()
    with pytest.raises(UsageError, match=r"no \(p, p\) matrix"):
        gradline.train(sparse.csr_array(D), y, **settings)


@pytest.mark.parametrize("settings", [{}, {"oracle": "minibatch"}, {"optimizer": "lbfgs"}], ids=str)
@pytest.mark.parametrize("most", [1, 5_000])
def test_an_interrupted_run_goes_on_with_the_same_bits(monkeypatch, tmp_path, settings, most):
    monkeypatch.setattr(training, "MOST_FEATURES", most)
    D, y = table(offset=0.0)
    X, settings = sparse.csr_array(D), {"l2": 0.05, **settings}
    whole = gradline.train(X, y, max_steps=9, **settings)
    gradline.train(X, y, max_steps=4, out=tmp_path / "run", checkpoint_steps=1, **settings)
    resumed = gradline.train(X, y, max_steps=9, out=tmp_path / "run", checkpoint_steps=1, resume=True, **settings)
    np.testing.assert_array_equal(whole.theta, resumed.theta)
    with pytest.raises(InputError):
        gradline.train(X, y[::-1], max_steps=9, out=tmp_path / "run", resume=True, **settings)


# ---- the model


def test_a_saved_model_predicts_the_same(tmp_path):
    D, y = table()
    X = sparse.csr_array(D)
    model = gradline.train(X, y)
    model.save(tmp_path / "m.gradline")
    again = gradline.load(tmp_path / "m.gradline")
    np.testing.assert_array_equal(model.predict(X), again.predict(X))
    assert again.coefficients == model.coefficients
    assert again.moments[Role.TRAINING].rows == model.result["rows"]["train"]


def test_new_data_that_break_the_contract_are_told_with_the_column():
    D, y = table()
    model = gradline.train(sparse.csr_array(D), y)
    new = D[:5].copy()
    new[2, 5], new[3, 8], new[4, 3], new[1, 6] = 1.0, 1e6, 0.0, 2.0
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        predicted = model.predict(sparse.csr_array(new))
    texts = [str(w.message) for w in told]
    assert any("x5 (1)" in text and "row 2" in text and "never varied" in text for text in texts)
    assert any("x8 (1)" in text and "x3 (1)" in text and "outside" in text for text in texts)
    expected = model.intercept + sum(value * new[:, int(name[1:])] for name, value in model.coefficients.items())
    np.testing.assert_allclose(predicted, expected, rtol=1e-12)
    strict = gradline.train(sparse.csr_array(D), y, unseen="error", out_of_range="error", drop=("x7",))
    new[0, 7] = 1e9  # no feature: nothing is asked of it
    with pytest.raises(ContractError, match=r"'x5' .*unseen, first at row 2"):
        strict.predict(sparse.csr_array(new[[0, 1, 2]]))
    with pytest.raises(ContractError, match="out_of_range"):
        strict.predict(sparse.csr_array(new[[3]]))
    assert len(strict.predict(sparse.csr_array(new[[0]]))) == 1
    with pytest.raises(ContractError, match="31 columns; the model was trained on 30"):
        model.predict(sparse.csr_array(np.ones((2, 31))))
    with pytest.raises(ContractError, match="not sparse"):
        model.predict(D)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"types": {"x1": "text"}}, "--types has no meaning"),
        ({"log_target": True}, "--log-target has no meaning"),
        ({"missing": "drop"}, "--missing has no meaning"),
        ({"out_of_range": "clip"}, "clip"),
        ({"drop": ("z",)}, "sparse columns are named x0"),
        ({"features": ("x99",)}, "there is no column 'x99'"),
        ({"weight": "x3"}, "weights are 0 or more"),
        ({"group": "x99"}, "there is no column 'x99'"),
        ({"weight": "x99"}, "there is no column 'x99'"),
        ({"time": "x99"}, "there is no column 'x99'"),
        ({"weight": "y"}, "'y' is the target"),
    ],
)
def test_settings_without_a_meaning_are_refused(settings, match):
    D, y = table()
    D[:, 3] -= 2e3
    with pytest.raises(InputError, match=match):
        gradline.train(sparse.csr_array(D), y, **settings)


def test_without_scipy_the_extra_is_named(monkeypatch, tmp_path):
    (tmp_path / "a.svm").write_text("1 2:3\n")
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    with pytest.raises(UsageError, match=r"gradline\[sparse\]"):
        gradline.train(tmp_path / "a.svm")


def test_tables_without_rows_targets_or_features():
    D, y = table(m=40)
    X = sparse.csr_array(D)
    with pytest.raises(UsageError, match="needs its target"):
        gradline.train(X)
    with pytest.raises(DataError, match="no row with a target"):
        gradline.train(X, np.full(40, np.nan))
    with pytest.raises(DataError, match="no row"):
        gradline.train(sparse.csr_array((0, 3)), np.zeros(0))
    with pytest.raises(DataError, match="no column varies"):
        gradline.train(sparse.csr_array((40, 3)), y)
    with pytest.raises(DataError, match="in every row"):
        gradline.train(X, np.ones(40))
    with pytest.raises(DataError, match="infinite in row 7"):
        gradline.train(X, np.where(np.arange(40) == 7, np.inf, y))
    missing = gradline.train(X, np.where(np.arange(40) < 5, np.nan, y), l2=0.1)
    assert missing.result["rows"]["dropped"] == 5

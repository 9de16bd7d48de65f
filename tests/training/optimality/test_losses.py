"""Huber and pinball: against minima found another way, and a lower bound that is one at every point."""

import itertools
import json
from fractions import Fraction

import numpy as np
import pytest

import gradline as gl
from gradline.engines.threads import ThreadEngine
from gradline.errors import StabilityError, UsageError
from gradline.maths.duality import lower_bound
from gradline.maths.losses import SQUARED, huber, pinball
from gradline.maths.quadratic import Solution
from tables import gradline, simple, write_parquet

ALL = {"validation": 0.0, "test": 0.0}
pytestmark = pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")


def noisy(m=200, p=3, seed=0, outliers=20):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, p)) @ (np.eye(p) + 0.5) + 3.0
    y = X @ np.arange(1.0, p + 1) - 7.0 + rng.normal(size=m)
    y[:outliers] += rng.normal(30.0, 20.0, outliers)
    return X, y


def parameters(model):
    return np.array([*model.coefficients.values(), model.intercept])


def huber_minimum(X, y, delta, l2=0.0, weight=None):
    """The minimum by reweighted least squares: a row beyond δ counts δ/|r|. Its gradient says when it is there."""
    Z = np.column_stack([X, np.ones(len(X))])
    w = np.ones(len(y)) if weight is None else weight
    penalty = np.diag([*[l2] * X.shape[1], 0.0]) * w.sum()
    theta = np.linalg.lstsq(Z, y, rcond=None)[0]
    for _ in range(20_000):
        r = Z @ theta - y
        gradient = Z.T @ (w * np.clip(r, -delta, delta)) + penalty @ theta
        if np.abs(gradient).max() < 1e-9:
            return theta
        near = w * np.minimum(1.0, delta / np.maximum(np.abs(r), 1e-300))
        theta = np.linalg.solve((Z * near[:, None]).T @ Z + penalty, Z.T @ (near * y))
    raise AssertionError("the steps did not end")


@pytest.mark.parametrize("delta", [0.3, 1.5, 100.0])
def test_huber_is_the_minimum_found_another_way(delta):
    X, y = noisy()
    model = gl.train(X, y, loss="huber", huber_delta=delta, **ALL)
    assert model.stop_reason is gl.StopReason.GAP
    found, wanted = parameters(model), huber_minimum(X, y, delta)
    Z = np.column_stack([X, np.ones(len(X))])
    value = huber(delta).value(Z @ wanted - y).mean()
    assert model.certificate.minimum * (1 - 1e-12) <= value <= model.certificate.objective * (1 + 1e-12)
    assert found == pytest.approx(wanted, rel=1e-3, abs=1e-3)
    assert model.certificate.objective - value <= 1e-8 * model.result["loss"]["baseline"] + 1e-13


def test_huber_beyond_every_residual_is_least_squares():
    X, y = noisy()
    plain, wide = gl.train(X, y, **ALL), gl.train(X, y, loss="huber", huber_delta=1e6, **ALL)
    assert parameters(wide) == pytest.approx(parameters(plain), rel=1e-6)
    assert wide.certificate.objective == pytest.approx(plain.certificate.objective, rel=1e-12)


def test_huber_does_not_follow_the_outliers():
    X, y = noisy(outliers=40)
    truth = np.array([1.0, 2.0, 3.0, -7.0])
    error = {loss: np.abs(parameters(gl.train(X, y, loss=loss, **ALL)) - truth).max() for loss in ("squared", "huber")}
    assert error["huber"] < 0.3 * error["squared"]


def exact_quantile(x, y, tau):
    """The least pinball loss of a line, in rational arithmetic: some minimiser goes through two of the points."""
    x, y, tau = [Fraction(v) for v in x], [Fraction(v) for v in y], Fraction(tau)
    best = None
    for i, j in itertools.combinations(range(len(x)), 2):
        if x[i] == x[j]:
            continue
        w = (y[j] - y[i]) / (x[j] - x[i])
        b = y[i] - w * x[i]
        rest = [yk - w * xk - b for xk, yk in zip(x, y, strict=True)]
        value = sum(tau * r if r > 0 else (tau - 1) * r for r in rest) / len(x)
        best = value if best is None or value < best else best
    return float(best)


@pytest.mark.parametrize("tau", [0.5, 0.25, 0.875])
def test_pinball_is_the_exact_minimum_of_a_line_and_says_how_near(tau):
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 40, 25).astype(float), rng.integers(-50, 90, 25).astype(float)
    model = gl.train(x[:, None], y, loss="pinball", quantile=tau, **ALL)
    wanted, found = exact_quantile(x, y, tau), model.certificate
    assert found.kind == "duality_gap"
    assert found.minimum <= wanted * (1 + 1e-12) <= found.objective * (1 + 1e-12)
    assert found.relative_gap < 2e-3
    assert found.objective == pytest.approx(
        np.mean(np.where(y > model.predict(x[:, None]), tau, tau - 1) * (y - model.predict(x[:, None])))
    )


def test_a_quantile_has_its_share_of_rows_below():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(5_000, 2))
    y = X @ [1.0, -2.0] + (1 + 0.5 * np.abs(X[:, 0])) * rng.standard_t(3, 5_000)
    model = gl.train(X, y, loss="pinball", quantile=0.9, validation=0.2, test=0.0)
    below = model.result["loss"]["share_below"]
    assert below["train"] == pytest.approx(0.9, abs=0.005)
    assert below["validation"] == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("loss", [SQUARED, huber(0.7), pinball(0.8, 0.05)], ids=lambda loss: loss.name)
def test_the_derivative_is_the_difference_and_the_curvature_bounds_it(loss):
    r = np.linspace(-3, 3, 4001)
    h = 1e-6
    assert loss.derivative(r) == pytest.approx((loss.value(r + h) - loss.value(r - h)) / (2 * h), abs=1e-5)
    assert np.max(np.abs(np.diff(loss.derivative(r)) / np.diff(r))) <= loss.curvature * (1 + 1e-9)


@pytest.mark.parametrize("l2", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", [huber(0.7), pinball(0.8, 0.3)], ids=lambda loss: loss.name)
def test_the_lower_bound_is_below_j_everywhere_and_reaches_it_at_the_minimum(loss, l2, weighted):
    rng = np.random.default_rng(5)
    X, y = noisy(m=80, p=2)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    weight = rng.integers(1, 4, 80).astype(float) if weighted else None
    w = np.ones(80) if weight is None else weight
    Z = np.column_stack([X, np.ones(80)])
    H = (Z * w[:, None]).T @ Z / w.sum()
    values, vectors = np.linalg.eigh(H)
    solution = Solution(values, vectors, 0, np.zeros(3), 0.0, 0.0)

    def J(theta):  # noqa: N802
        return w @ loss.value(Z @ theta - y) / w.sum() + 0.5 * l2 * theta[:2] @ theta[:2]

    def D(theta):  # noqa: N802
        def rows(part):
            return (
                X[part.start : part.stop],
                y[part.start : part.stop],
                None if weight is None else weight[part.start : part.stop],
            )

        return lower_bound(loss, theta, [range(50), range(50, 80)], rows, ThreadEngine(2), solution, l2, intercept=True)

    values = [(J(theta), D(theta)) for theta in rng.normal(size=(200, 3)) * 10.0]
    assert max(d for _, d in values) <= min(j for j, _ in values)
    theta, steepest = np.zeros(3), loss.curvature * np.linalg.eigvalsh(H)[-1] + l2
    for _ in range(200_000):  # plain gradient descent, its own
        r = Z @ theta - y
        g = Z.T @ (w * loss.derivative(r)) / w.sum() + l2 * np.append(theta[:2], 0.0)
        theta = theta - g / steepest
        if np.linalg.norm(g) < 1e-9:
            break
    assert 0.0 <= J(theta) - D(theta) + 1e-12 <= 1e-5
    assert all(d <= J(theta) + 1e-12 for _, d in values)


@pytest.mark.parametrize("rule", ["gradient_descent", "nesterov", "lbfgs"])
def test_every_rule_that_suits_reaches_the_proved_gap(rule):
    X, y = noisy()
    model = gl.train(X, y, loss="huber", optimizer=rule, max_steps=50_000, **ALL)
    assert model.stop_reason is gl.StopReason.GAP
    assert model.certificate.relative_gap <= 1.01e-8


def test_adam_and_mini_batches_come_near_and_say_how_near():
    X, y = noisy(m=2_000, outliers=100)
    for settings in ({"optimizer": "adam"}, {"oracle": "minibatch", "batch_size": 64, "schedule": "inverse_time"}):
        model = gl.train(X, y, loss="huber", huber_delta=1.0, max_steps=3_000, **settings, **ALL)
        wanted = huber(1.0).value(np.column_stack([X, np.ones(len(X))]) @ huber_minimum(X, y, 1.0) - y).mean()
        assert model.certificate.minimum <= wanted * (1 + 1e-12) <= model.certificate.objective * (1 + 1e-11)
        assert model.certificate.objective < 1.05 * wanted


def test_a_lucky_batch_is_no_proof():
    X, y = noisy(m=2_000, outliers=0)
    model = gl.train(X, y, loss="huber", oracle="minibatch", batch_size=4, max_steps=700, seed=3, **ALL)
    assert model.stop_reason is not gl.StopReason.GAP
    history = model.history
    assert min(history["objective"].to_pylist()) < model.certificate.minimum  # some batches were lucky
    assert min(history["relative_gap"].to_pylist()) > 1e-8


def test_weight_two_is_the_row_twice_and_l2_shrinks():
    X, y = noisy(m=150)
    weight = np.random.default_rng(6).integers(1, 4, 150)
    import pyarrow as pa

    table = pa.table({**{f"x{j}": X[:, j] for j in range(3)}, "y": y, "w": weight})
    settings = {"loss": "huber", "huber_delta": 0.8, "l2": 0.1, "scaling": "none", **ALL}
    weighted = gl.train(table, "y", weight="w", **settings)
    twice = gl.train(np.repeat(X, weight, axis=0), np.repeat(y, weight), **settings)
    wanted = huber_minimum(X, y, 0.8, 0.1, weight.astype(float))
    assert parameters(weighted) == pytest.approx(parameters(twice), rel=1e-3, abs=1e-3)
    assert parameters(weighted) == pytest.approx(wanted, rel=2e-3, abs=2e-3)
    assert weighted.certificate.relative_gap <= 1e-8


def test_what_does_not_suit_is_refused_with_what_does():
    X, y = noisy(m=60)
    with pytest.raises(UsageError, match="conjugate_gradient does not suit --loss huber") as refused:
        gl.train(X, y, loss="huber", optimizer="conjugate_gradient")
    assert "lbfgs" in refused.value.hint
    with pytest.raises(UsageError, match="no moments"):
        gl.train(X, y, loss="huber", oracle="moments")
    with pytest.raises(UsageError, match="--huber-delta -1"):
        gl.train(X, y, loss="huber", huber_delta=-1.0)
    with pytest.raises(UsageError, match="--quantile has no meaning for --loss squared"):
        gl.train(X, y, quantile=0.9)
    with pytest.raises(UsageError, match="--huber-delta has no meaning for --loss pinball"):
        gl.train(X, y, loss="pinball", huber_delta=1.0)
    with pytest.raises(UsageError, match="--quantile 1"):
        gl.train(X, y, loss="pinball", quantile=1.0)
    with pytest.raises(UsageError, match="--log-target"):
        gl.train(X, np.exp(y / 50), loss="pinball", log_target=True)
    with pytest.raises(StabilityError, match="learning rate 1e\\+06"):
        gl.train(X, y, loss="huber", optimizer="gradient_descent", learning_rate=1e6)


def test_a_collinear_table_is_bounded_as_well():
    X, y = noisy(m=100)
    model = gl.train(np.column_stack([X, X[:, 0] + X[:, 1]]), y, loss="huber", huber_delta=1.0, **ALL)
    wanted = huber_minimum(X, y, 1.0)
    value = huber(1.0).value(np.column_stack([X, np.ones(100)]) @ wanted - y).mean()
    assert model.certificate.minimum <= value * (1 + 1e-9)
    assert model.certificate.objective == pytest.approx(value, rel=1e-6)


def test_the_command_says_what_the_loss_is(tmp_path, capsys):
    path = write_parquet(simple(), tmp_path / "t.parquet")
    words = ["train", path, "--target", "y", "--loss", "pinball", "--quantile", 0.75, "--out", tmp_path / "run"]
    text = gradline(capsys, *words)
    assert text.code == 0
    assert "lie below the prediction" in text.out
    document = json.loads(gradline(capsys, *words, "--json").out)
    assert document["loss"]["name"] == "pinball"
    assert document["loss"]["share_below"]["train"] == pytest.approx(0.75, abs=0.02)
    assert document["certificate"]["kind"] == "duality_gap"
    assert gradline(capsys, "show", tmp_path / "run").code == 0
    assert gradline(capsys, "evaluate", tmp_path / "run", path).code == 0
    planned = json.loads(gradline(capsys, "plan", path, "--target", "y", "--loss", "huber", "--json").out)
    assert planned["plan"]["optimizer"] == "lbfgs"


def test_a_loss_that_needs_a_second_read_says_what_can_be_read_twice(tmp_path):
    path = write_parquet(simple(), tmp_path / "t.parquet")
    with pytest.raises(UsageError, match=r"without ORDER BY can be read only once.*a query with ORDER BY"):
        gl.train(f"select * from '{path}'", "y", loss="huber")

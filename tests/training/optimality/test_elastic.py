"""ℓ1 and elastic net: the optimality conditions, coordinate descent written here, and a bound that is one everywhere."""

import json

import numpy as np
import pytest

import gradline as gl
from gradline.errors import StabilityError, UsageError
from gradline.training.optimality.elastic import ElasticNet
from reference import random_problem
from tables import gradline, simple, write_parquet

ALL = {"validation": 0.0, "test": 0.0}
pytestmark = pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")


def rows(m=200, p=8, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, p)) @ (np.eye(p) + 0.3) * np.geomspace(1, 50, p) + 4.0
    y = 3 * X[:, 0] - 0.05 * X[:, p - 1] + 20 + rng.normal(size=m)
    return X, y


def coordinate_descent(X, y, l1, l2, intercept=True):
    """Tseng's cyclic coordinate descent on standardised columns, to rounding."""
    centre = X.mean(axis=0) if intercept else np.zeros(X.shape[1])
    Z = (X - centre) / X.std(axis=0)
    t = y - y.mean() if intercept else y
    m, w = len(y), np.zeros(X.shape[1])
    for _ in range(100_000):
        before = w.copy()
        for j in range(len(w)):
            a = Z[:, j] @ Z[:, j] / m
            c = Z[:, j] @ (t - Z @ w) / m + a * w[j]
            w[j] = np.sign(c) * max(abs(c) - l1, 0.0) / (a + l2)
        if np.abs(w - before).max() < 1e-14:
            break
    return w


def weights(model):
    return model.coordinates.weights_and_bias(model.theta)[0]


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(("l1", "l2"), [(0.01, 0.0), (0.5, 0.0), (0.2, 0.3), (2.0, 0.0)])
def test_the_minimum_is_that_of_coordinate_descent(l1, l2, intercept):
    X, y = rows()
    model = gl.train(X, y, l1=l1, l2=l2, intercept=intercept, **ALL)
    assert model.stop_reason is gl.StopReason.GAP
    wanted = coordinate_descent(X, y, l1, l2, intercept)
    assert weights(model) == pytest.approx(wanted, abs=2e-6)
    assert np.array_equal(weights(model) == 0.0, wanted == 0.0)
    assert model.certificate.relative_gap <= 1e-12


def test_past_the_largest_correlation_all_coefficients_are_zero():
    X, y = rows()
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    largest = np.abs(Z.T @ (y - y.mean())).max() / len(y)
    model = gl.train(X, y, l1=largest * 1.001, **ALL)
    assert np.array_equal(weights(model), np.zeros(8))
    assert model.intercept == pytest.approx(y.mean())
    assert np.count_nonzero(weights(gl.train(X, y, l1=largest * 0.999, **ALL))) == 1


@pytest.mark.parametrize("settings", [{}, {"intercept": False}, {"l2": 0.3}], ids=str)
def test_the_lower_bound_is_below_j_everywhere(settings):
    problem = random_problem(3, p=4, **settings).posed
    judge = ElasticNet(problem, 0.2)
    rng = np.random.default_rng(1)
    points = [rng.normal(size=problem.coordinates.size) * 10.0 ** rng.integers(-2, 3) for _ in range(300)]
    least = min(judge.value(theta) for theta in points)
    assert max(judge.lower_bound(theta) for theta in points) <= least


@pytest.mark.parametrize("oracle", ["moments", "streamed"])
@pytest.mark.parametrize("rule", ["gradient_descent", "nesterov"])
def test_both_proximal_rules_on_both_exact_oracles(rule, oracle):
    X, y = rows(p=4)
    model = gl.train(X, y, l1=0.3, optimizer=rule, oracle=oracle, max_steps=20_000, **ALL)
    assert model.stop_reason is gl.StopReason.GAP
    assert weights(model) == pytest.approx(coordinate_descent(X, y, 0.3, 0.0), abs=2e-6)


def test_acceleration_pays():
    X, y = rows(p=8)
    steps = {
        rule: gl.train(X, y, l1=0.01, optimizer=rule, max_steps=200_000, **ALL).result["steps"]
        for rule in ("gradient_descent", "nesterov")
    }
    assert steps["nesterov"] < steps["gradient_descent"] / 2


def test_mini_batches_come_near():
    X, y = rows(m=3_000)
    settings = {"oracle": "minibatch", "batch_size": 64, "schedule": "inverse_time", "max_steps": 6_000}
    model = gl.train(X, y, l1=0.3, **settings, **ALL)
    assert model.certificate.relative_gap < 1e-2
    assert model.certificate.minimum <= model.certificate.objective


def test_more_columns_than_rows():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(40, 120))
    y = 2 * X[:, 3] - X[:, 70] + 0.1 * rng.normal(size=40)
    model = gl.train(X, y, l1=0.1, max_steps=100_000, **ALL)
    assert model.stop_reason is gl.StopReason.GAP
    w = weights(model)
    assert np.count_nonzero(w) < 40
    assert {3, 70} <= set(np.flatnonzero(w))
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    slope = Z.T @ (Z @ w - (y - y.mean())) / 40  # the optimality conditions, themselves
    assert np.abs(slope).max() <= 0.1 * (1 + 1e-6)
    assert slope[w != 0.0] == pytest.approx(-0.1 * np.sign(w[w != 0.0]), abs=1e-6)


def test_what_does_not_suit_is_refused():
    X, y = rows(m=60)
    with pytest.raises(UsageError, match="conjugate_gradient does not take the proximal steps"):
        gl.train(X, y, l1=0.1, optimizer="conjugate_gradient")
    with pytest.raises(UsageError, match="--l1 goes with squared error only"):
        gl.train(X, y, l1=0.1, loss="huber")
    with pytest.raises(UsageError, match="backtracking does not go with --l1"):
        gl.train(X, y, l1=0.1, optimizer="gradient_descent", schedule="backtracking")
    with pytest.raises(UsageError, match="--l1 -1"):
        gl.train(X, y, l1=-1.0)
    with pytest.raises(StabilityError, match="learning rate 50"):
        gl.train(X, y, l1=0.1, learning_rate=50.0)


def test_the_command_says_how_many_are_zero(tmp_path, capsys):
    path = write_parquet(simple(), tmp_path / "t.parquet")
    words = ["train", path, "--target", "y", "--l1", 1.5, "--out", tmp_path / "run"]
    text = gradline(capsys, *words)
    assert text.code == 0, text.err
    assert "coefficients are zero" in text.out
    document = json.loads(gradline(capsys, *words, "--json").out)
    zeros = [value for value in document["coefficients"].values() if value == 0.0]
    assert document["loss"] == {"name": "squared", "l1": 1.5, "zero": len(zeros), "of": len(document["coefficients"])}
    assert document["loss"]["zero"] > 0

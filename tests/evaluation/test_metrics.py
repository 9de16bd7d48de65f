from __future__ import annotations

import json

import numpy as np
import pytest

from gradline.evaluation.metrics import ErrorSums, Metrics, from_loss, of_constant
from gradline.evaluation.retransformation import baseline_in_target_units, in_target_units
from gradline.maths.block import block_moments
from gradline.maths.quadratic import quadratic_loss
from gradline.types import NumberColumn
from reference import random_problem


def brute(prediction, actual, weight=None):
    """The metrics by their definitions."""
    weight = np.ones(len(actual)) if weight is None else weight
    error = prediction - actual
    square = np.average(error**2, weights=weight)
    variance = np.average((actual - np.average(actual, weights=weight)) ** 2, weights=weight)
    return {
        "rows": len(actual),
        "rmse": np.sqrt(square),
        "r2": 1 - square / variance,
        "bias": np.average(error, weights=weight),
        "mae": np.average(np.abs(error), weights=weight),
        "largest": np.abs(error).max(),
    }


@pytest.mark.parametrize("scaling", ["standard", "none"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_metrics_from_moments_are_those_of_the_predictions(scaling, intercept, weighted):
    rng = np.random.default_rng(0)
    weight = rng.random(60) if weighted else None
    problem = random_problem(1, weight=weight, scaling=scaling, intercept=intercept)
    theta = problem.solution.minimiser + 0.1 * rng.normal(size=problem.coordinates.size)
    found = from_loss(quadratic_loss(problem.moments, problem.coordinates), problem.moments, theta)
    expected = brute(problem.Z @ theta, problem.y, weight)
    for name in ("rows", "rmse", "r2", "bias"):
        assert getattr(found, name) == pytest.approx(expected[name], rel=1e-9, abs=1e-9)
    assert found.mae is None


def test_metrics_on_other_rows_are_in_the_training_rows_coordinates():
    rng = np.random.default_rng(2)
    train = random_problem(3)
    X, y = train.X[:20] + rng.normal(size=(20, 4)), train.y[:20] + 5.0
    columns = [NumberColumn(f"x{j}", X[:, j]) for j in range(4)] + [NumberColumn("y", y)]
    moments = block_moments(columns, [], 20)
    theta = train.solution.minimiser
    w, b = train.coordinates.to_user(theta)
    found = from_loss(quadratic_loss(moments, train.coordinates), moments, theta)
    expected = brute(X @ w + b, y)
    for name in ("rmse", "r2", "bias"):
        assert getattr(found, name) == pytest.approx(expected[name], rel=1e-9)


def test_the_baseline_always_predicts_one_number():
    problem = random_problem(4)
    found = of_constant(problem.moments, 3.5)
    expected = brute(np.full(60, 3.5), problem.y)
    for name in ("rows", "rmse", "r2", "bias"):
        assert getattr(found, name) == pytest.approx(expected[name], rel=1e-10)


def test_the_own_mean_has_r2_zero():
    problem = random_problem(5)
    assert of_constant(problem.moments, problem.y.mean()).r2 == pytest.approx(0.0, abs=1e-13)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("cuts", [[], [10], [1, 2, 99], [0, 50, 50]])
def test_sums_of_errors_do_not_depend_on_blocks(weighted, cuts):
    rng = np.random.default_rng(6)
    actual = rng.normal(size=100) + 1e4
    prediction = actual + rng.normal(size=100)
    weight = rng.random(100) if weighted else None
    sums = ErrorSums()
    for a, b in zip([0, *cuts], [*cuts, 100], strict=True):
        sums.add(prediction[a:b], actual[a:b], None if weight is None else weight[a:b])
    found, expected = sums.metrics(), brute(prediction, actual, weight)
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-9), name
    baseline = brute(np.full(100, 9e3), actual, weight)
    for name in ("rmse", "r2", "bias"):
        assert getattr(sums.baseline(9e3), name) == pytest.approx(baseline[name], rel=1e-9)


def test_without_rows_there_are_no_metrics():
    sums = ErrorSums()
    sums.add(np.zeros(0), np.zeros(0))
    assert sums.metrics() is None
    assert sums.baseline(0.0) is None


def test_a_constant_target_has_no_r2():
    sums = ErrorSums()
    sums.add(np.array([1.0, 2.0]), np.array([3.0, 3.0]))
    assert sums.metrics().r2 is None
    assert of_constant(moments_of_constant(), 1.0).r2 is None
    assert json.loads(json.dumps(sums.metrics().to_json(), allow_nan=False))["r2"] is None
    odd = json.loads(json.dumps(Metrics(1, float("nan"), None, float("inf")).to_json(), allow_nan=False))
    assert (odd["rows"], odd["rmse"], odd["r2"], odd["bias"]) == (1, None, None, None)


def moments_of_constant():
    return block_moments([NumberColumn("x", np.array([1.0, 2.0])), NumberColumn("y", np.array([3.0, 3.0]))], [], 2)


def test_a_log_targets_metrics_in_its_unit_are_those_of_the_predictions():
    rng = np.random.default_rng(7)
    score = rng.normal(size=80) + 2.0
    y = np.exp(score + 0.3 * rng.normal(size=80))
    columns = {"raised": np.exp(score), "actual": y, "smear": y / np.exp(score)}
    moments = block_moments([NumberColumn(n, v) for n, v in columns.items()], [], 80)
    for factor in (1.0, 1.07):
        found, expected = in_target_units(moments, factor), brute(factor * np.exp(score), y)
        for name in ("rows", "rmse", "r2", "bias"):
            assert getattr(found, name) == pytest.approx(expected[name], rel=1e-10)
    found, expected = baseline_in_target_units(moments, 12.0), brute(np.full(80, 12.0), y)
    for name in ("rows", "rmse", "r2", "bias"):
        assert getattr(found, name) == pytest.approx(expected[name], rel=1e-10)


def test_errors_whose_squares_overflow_are_told_as_far_as_they_are_numbers():
    sums = ErrorSums()
    sums.add(np.array([1e200, -1e200, 3e200]), np.array([1.0, 2.0, 4.0]))
    found = sums.metrics().to_json()
    assert found["rmse"] is None
    assert found["r2"] is None
    assert found["bias"] == pytest.approx(1e200)
    assert found["largest"] == pytest.approx(3e200)
    sums = ErrorSums()
    sums.add(np.array([1.0, 2.0]), np.array([1e200, 3e200]))
    assert sums.baseline(0.0).to_json()["rmse"] is None

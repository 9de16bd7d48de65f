from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from gradline.maths.block import block_moments
from gradline.maths.coordinates import Coordinates
from gradline.maths.quadratic import QuadraticLoss, quadratic_loss, solve
from gradline.types import NumberColumn
from reference import dense_problem, every_setting, exact_least_squares, exact_objective, random_problem


def brute_value(problem, theta):
    """J by its definition: the mean over the rows, and the penalty on w."""
    residual = problem.Z @ theta - problem.y
    weight = np.ones(len(residual)) if problem.weight is None else problem.weight
    w = theta[:-1] if problem.loss.intercept else theta
    return 0.5 * np.sum(weight * residual**2) / weight.sum() + 0.5 * problem.l2 * w @ w


@every_setting
@pytest.mark.parametrize("weighted", [False, True])
def test_the_value_is_the_mean_over_the_rows(settings, weighted):
    rng = np.random.default_rng(0)
    problem = random_problem(1, weight=rng.integers(0, 5, 60).astype(float) if weighted else None, **settings)
    for _ in range(5):
        theta = rng.normal(size=problem.coordinates.size)
        assert problem.loss.value(theta) == pytest.approx(brute_value(problem, theta), rel=1e-12)


@every_setting
@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_is_the_numerical_derivative_of_the_value(settings, weighted):
    rng = np.random.default_rng(2)
    problem = random_problem(3, weight=rng.random(60) if weighted else None, **settings)
    theta = rng.normal(size=problem.coordinates.size)
    h = 1e-3  # J is quadratic: central differences have no truncation error
    numerical = [(problem.loss.value(theta + h * e) - problem.loss.value(theta - h * e)) / (2 * h) for e in np.eye(len(theta))]
    gradient = problem.loss.gradient(theta)
    assert gradient == pytest.approx(numerical, rel=1e-8, abs=1e-8 * np.abs(gradient).max())


@every_setting
def test_the_hessian_is_the_gram_matrix_of_the_design(settings):
    problem = random_problem(4, **settings)
    penalty = settings["l2"] * np.eye(len(problem.loss.linear))
    if settings["intercept"]:
        penalty[-1, -1] = 0.0
    assert problem.loss.hessian == pytest.approx(problem.Z.T @ problem.Z / 60 + penalty, rel=1e-12, abs=1e-12)
    assert problem.loss.linear == pytest.approx(problem.Z.T @ problem.y / 60, rel=1e-12, abs=1e-12)


@every_setting
def test_the_minimiser_is_that_of_a_least_squares_solver_on_the_dense_design(settings):
    problem = random_problem(5, **settings)
    k, p = problem.coordinates.size, 4
    penalty = np.sqrt(settings["l2"] * 60) * np.eye(p, k)  # (p, k) rows that add m·l2·‖w‖² to the sum of squares
    theta, *_ = np.linalg.lstsq(np.vstack([problem.Z, penalty]), np.append(problem.y, np.zeros(p)), rcond=None)
    assert problem.solution.minimiser == pytest.approx(theta, rel=1e-9, abs=1e-9)
    assert problem.solution.minimum == pytest.approx(brute_value(problem, theta), rel=1e-9)
    assert problem.solution.null == 0


@pytest.mark.parametrize("scaling", ["standard", "none"])
def test_the_intercept_is_never_penalised(scaling):
    rng = np.random.default_rng(6)
    X, y = rng.normal(size=(50, 2)), rng.normal(size=50) + 1000.0
    problem = dense_problem(X - X.mean(axis=0), y, scaling=scaling, l2=1e9)
    assert problem.solution.minimiser[:-1] == pytest.approx([0.0, 0.0], abs=1e-6)
    assert problem.solution.minimiser[-1] == pytest.approx(y.mean(), rel=1e-12)
    theta = np.array([0.0, 0.0, 7.0])
    assert problem.loss.value(theta) == pytest.approx(0.5 * np.mean((7.0 - y) ** 2), rel=1e-12)


@pytest.mark.parametrize("l2", [Fraction(0), Fraction(1, 4)])
@pytest.mark.parametrize("intercept", [True, False])
def test_gap_minimum_and_distance_are_exact(intercept, l2):
    X = [[1, 5], [2, -1], [3, 4], [5, 0], [8, 2], [-4, 7]]
    y = [3, 1, 4, 1, 5, 9]
    w, b = exact_least_squares(X, y, l2, intercept=intercept)
    minimum = exact_objective(X, y, w, b, l2)
    problem = dense_problem(np.array(X, float), np.array(y, float), scaling="none", intercept=intercept, l2=float(l2))
    best = [float(v) for v in (*w, b)][: problem.coordinates.size]
    assert problem.solution.minimiser == pytest.approx(best, rel=1e-13)
    assert problem.solution.minimum == pytest.approx(float(minimum), rel=1e-13)
    for theta in ([0, 0, 0], [1, -2, 3], [Fraction(1, 2), Fraction(1, 4), 8], [1000, 1000, -1000]):
        at_b = theta[2] if intercept else 0
        exact = exact_objective(X, y, theta[:2], at_b, l2) - minimum
        point = np.array([float(v) for v in theta])[: problem.coordinates.size]
        assert problem.solution.gap(point) == pytest.approx(float(exact), rel=1e-12)
        assert problem.solution.distance(point) == pytest.approx(point - np.array(best), rel=1e-12, abs=1e-12)


def test_a_small_gap_is_exact_where_the_difference_of_two_losses_is_rounding():
    X = [[1, 5], [2, -1], [3, 4], [5, 0], [8, 2], [-4, 7]]
    y = [3, 1, 4, 1, 5, 9]
    w, b = exact_least_squares(X, y)
    problem = dense_problem(np.array(X, float), np.array(y, float), scaling="none")
    step = 2.0**-30
    theta = problem.solution.minimiser + step
    exact = exact_objective(X, y, map(Fraction, theta[:2]), Fraction(theta[2])) - exact_objective(X, y, w, b)
    assert problem.solution.gap(theta) == pytest.approx(float(exact), rel=1e-4)  # ~ 1e-18 of J


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("scaling", ["standard", "none"])
def test_the_minimum_of_a_perfect_fit_is_nonnegative_and_within_its_rounding(seed, scaling):
    rng = np.random.default_rng(seed)
    X = rng.integers(-9, 10, size=(30, 3)).astype(float)
    y = X @ np.array([1.0, -2.0, 3.0]) + 100.0
    solution = dense_problem(X, y, scaling=scaling).solution
    assert 0.0 <= solution.minimum <= 10 * solution.rounding
    assert solution.rounding < 1e-9 * np.var(y)


@pytest.mark.parametrize("seed", range(8))
def test_the_minimum_is_within_its_stated_rounding_of_the_exact_one(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(15, 2)) + rng.choice([0.0, 100.0])
    y = X @ [1.0, 2.0] + 10.0 ** -float(seed) * rng.normal(size=15)
    w, b = exact_least_squares(X.tolist(), y.tolist())
    exact = float(exact_objective(X.tolist(), y.tolist(), w, b))
    solution = dense_problem(X, y).solution
    assert solution.minimum >= 0.0
    offset = 1.0 + np.max(np.abs(X.mean(axis=0)) / X.std(axis=0))
    assert abs(solution.minimum - exact) <= 10 * offset * solution.rounding


@pytest.mark.parametrize("scaling", ["standard", "none"])
@pytest.mark.parametrize("intercept", [True, False])
def test_a_singular_hessian_gives_the_minimiser_of_least_norm(scaling, intercept):
    rng = np.random.default_rng(7)
    a, b = rng.normal(size=(2, 40))
    X = np.column_stack([a, b, a + b, 2 * a])
    y = a - b + rng.normal(size=40) + 3.0
    problem = dense_problem(X, y, scaling=scaling, intercept=intercept)
    assert problem.solution.null == 2
    expected = np.linalg.pinv(problem.Z) @ y
    assert problem.solution.minimiser == pytest.approx(expected, abs=1e-10)
    residual = problem.Z @ expected - y
    assert problem.solution.minimum == pytest.approx(0.5 * np.mean(residual**2), rel=1e-10)
    assert problem.solution.curvature_min > 1e-6
    assert np.isfinite(problem.solution.condition)
    at = rng.normal(size=problem.coordinates.size)
    assert problem.solution.gap(at) == pytest.approx(problem.loss.value(at) - problem.solution.minimum, rel=1e-10)


def test_a_penalty_makes_a_singular_hessian_regular():
    rng = np.random.default_rng(8)
    a = rng.normal(size=40)
    problem = dense_problem(np.column_stack([a, a]), a + 1.0, l2=0.1)
    assert problem.solution.null == 0
    assert problem.solution.minimiser[0] == pytest.approx(problem.solution.minimiser[1])
    assert problem.solution.minimiser[0] == pytest.approx(a.std() / 2.1, rel=1e-10)  # (1 + 1 + 0.1) w = s


def test_the_spectrum_is_that_of_the_hessian():
    problem = random_problem(9)
    values = np.linalg.svd(problem.Z, compute_uv=False) ** 2 / 60
    assert problem.solution.curvature_max == pytest.approx(values[0], rel=1e-12)
    assert problem.solution.curvature_min == pytest.approx(values[-1], rel=1e-9)
    assert problem.solution.condition == pytest.approx(values[0] / values[-1], rel=1e-9)
    inverse = np.linalg.inv(problem.loss.hessian)
    assert problem.solution.inverse() == pytest.approx(inverse, rel=1e-9)
    assert problem.solution.inverse_diagonal() == pytest.approx(np.diag(inverse), rel=1e-9)
    X = np.random.default_rng(1).normal(size=(len(inverse), 2))
    assert problem.solution.absolute_inverse_times(X) == pytest.approx(np.abs(inverse) @ X, rel=1e-9)


def test_weights_are_repeated_rows():
    rng = np.random.default_rng(10)
    X, y, weight = rng.normal(size=(20, 3)), rng.normal(size=20), rng.integers(0, 4, 20)
    weighted = dense_problem(X, y, weight.astype(float))
    repeated = dense_problem(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert weighted.solution.minimiser == pytest.approx(repeated.solution.minimiser, rel=1e-11, abs=1e-12)
    assert weighted.solution.minimum == pytest.approx(repeated.solution.minimum, rel=1e-11)


def test_the_rounding_of_a_gradient_bounds_what_is_left_at_the_minimiser():
    for seed in range(10):
        problem = random_problem(seed)
        left = np.abs(problem.loss.gradient(problem.solution.minimiser))
        assert np.all(left <= problem.loss.rounding(problem.solution.minimiser))
        assert np.all(problem.loss.rounding(problem.solution.minimiser) < 1e-12 * (1 + np.abs(problem.y).max()))


def test_moments_of_another_size_are_refused():
    moments = block_moments([NumberColumn("x", np.arange(3.0)), NumberColumn("y", np.arange(3.0))], [], 3)
    with pytest.raises(ValueError, match="3 features and the target"):
        quadratic_loss(moments, Coordinates.of("none", np.zeros(3), np.ones(3), intercept=True))


def test_a_zero_hessian_is_refused():
    zero = QuadraticLoss(np.zeros((2, 2)), np.zeros(2), np.zeros((1, 1)), np.zeros(1), np.zeros(1), False)
    with pytest.raises(ValueError, match="no feature that varies"):
        solve(zero)


@every_setting
def test_the_inverse_times_a_gradient_is_the_way_from_the_minimiser(settings):
    problem = random_problem(11, **settings)
    theta = np.random.default_rng(12).normal(size=problem.coordinates.size)
    expected = np.linalg.solve(problem.loss.hessian, problem.loss.gradient(theta))
    assert problem.solution.inverse_times(problem.loss.gradient(theta)) == pytest.approx(expected, rel=1e-7)
    assert problem.solution.distance(theta) == pytest.approx(expected, rel=1e-7)
    gap = 0.5 * problem.loss.gradient(theta) @ expected
    assert problem.solution.gap(theta) == pytest.approx(gap, rel=1e-9)


def test_a_move_along_a_flat_direction_changes_neither_gap_nor_distance():
    rng = np.random.default_rng(13)
    a, b = rng.normal(size=(2, 40))
    problem = dense_problem(np.column_stack([a, b, a + b]), a + rng.normal(size=40))
    flat = np.append(np.array([1.0, 1.0, -1.0]) * problem.coordinates.deviation, 0.0)
    theta = rng.normal(size=4)
    assert problem.loss.hessian @ flat == pytest.approx(np.zeros(4), abs=1e-12)
    assert problem.solution.distance(theta + 100 * flat) == pytest.approx(problem.solution.distance(theta), abs=1e-9)
    assert problem.solution.gap(theta + 100 * flat) == pytest.approx(problem.solution.gap(theta), rel=1e-9)

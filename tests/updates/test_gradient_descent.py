from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gradline.oracles.moments import MomentsOracle
from gradline.training.plan import tolerance_reached
from gradline.updates.gradient_descent import (
    GradientDescent,
    best_learning_rate,
    learning_rate_limit,
    overflow_step,
    predicted_steps,
)
from reference import dense_problem, random_problem

SETTINGS = [{}, {"l2": 0.2}, {"intercept": False}]


def run(problem, alpha, steps):
    oracle, rule = MomentsOracle(problem.loss), GradientDescent(alpha)
    theta, state = np.zeros(problem.coordinates.size), rule.init(np.zeros(problem.coordinates.size))
    for _ in range(steps):
        theta, state = rule.update(theta, oracle.value_and_gradient(theta).gradient, state, oracle)
    return theta


def actual_steps(problem, alpha, reached, ceiling):
    """The steps of a plain loop until the tolerance holds, with gap and distance by their definitions."""
    theta, best = np.zeros(problem.coordinates.size), problem.solution.minimiser
    for step in range(ceiling):
        delta = theta - best
        gap = 0.5 * float(delta @ problem.loss.hessian @ delta)
        if reached(gap, lambda delta=delta: delta):
            return step
        theta = theta - alpha * (problem.loss.hessian @ theta - problem.loss.linear)
    return None


def test_the_update_is_the_textbooks():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 2)), rng.normal(size=30)
    problem = dense_problem(X, y, scaling="none")
    w, b, alpha = np.array([0.5, -1.0]), 2.0, 0.1
    residual = X @ w + b - y
    expected = np.append(w - alpha * X.T @ residual / 30, b - alpha * residual.mean())  # simultaneously
    theta, _ = GradientDescent(alpha).update(
        np.append(w, b), problem.loss.gradient(np.append(w, b)), 0, MomentsOracle(problem.loss)
    )
    assert theta == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("share", [0.3, 0.9, 1.5])
def test_the_error_along_each_eigenvector_shrinks_by_one_minus_alpha_lambda(settings, share):
    problem = random_problem(1, **settings)
    alpha = share / problem.solution.curvature_max
    values, vectors = np.linalg.eigh(problem.loss.hessian)
    before = vectors.T @ -problem.solution.minimiser
    for steps in (1, 2, 5):
        after = vectors.T @ (run(problem, alpha, steps) - problem.solution.minimiser)
        assert after == pytest.approx(before * (1 - alpha * values) ** steps, rel=1e-9, abs=1e-12 * np.abs(before).max())


def test_the_best_rate_contracts_both_ends_of_the_spectrum_alike():
    solution = random_problem(2).solution
    alpha = best_learning_rate(solution)
    expected = (solution.condition - 1) / (solution.condition + 1)
    assert 1 - alpha * solution.curvature_min == pytest.approx(expected)
    assert alpha * solution.curvature_max - 1 == pytest.approx(expected)
    assert alpha < learning_rate_limit(solution)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [None, 0.2, 0.5, 0.97])
def test_predicted_steps_are_the_steps_taken(seed, share):
    problem = random_problem(seed, m=200, p=3)
    alpha = best_learning_rate(problem.solution) if share is None else share * learning_rate_limit(problem.solution)
    reached = tolerance_reached(problem.posed)
    predicted = predicted_steps(problem.solution, np.zeros(problem.coordinates.size), alpha, reached)
    actual = actual_steps(problem, alpha, reached, 200_000)
    assert predicted is not None
    assert abs(predicted - actual) <= 1


@pytest.mark.parametrize("seed", range(4))
def test_the_predicted_step_is_the_first_that_reaches_the_tolerance(seed):
    problem = random_problem(seed, p=2)
    alpha = best_learning_rate(problem.solution)
    error = np.zeros(3) - problem.solution.minimiser
    for goal in (1e-1, 1e-3, 1e-6):
        calls = predicted_steps(problem.solution, np.zeros(3), alpha, lambda gap, _, goal=goal: gap <= goal)
        values, vectors = np.linalg.eigh(problem.loss.hessian)

        def gap(step, values=values, vectors=vectors):
            along = (vectors.T @ error) * (1 - alpha * values) ** step
            return 0.5 * np.sum(values * along**2)

        assert gap(calls) <= goal
        assert calls == 0 or gap(calls - 1) > goal


def test_no_step_is_predicted_at_the_minimum():
    problem = random_problem(3)
    reached = tolerance_reached(problem.posed)
    assert predicted_steps(problem.solution, problem.solution.minimiser, 0.1, reached) == 0


def test_nothing_is_predicted_at_the_limit_or_past_the_ceiling():
    problem = random_problem(4)
    theta, limit = np.zeros(problem.coordinates.size), learning_rate_limit(problem.solution)
    reached = tolerance_reached(problem.posed)
    assert predicted_steps(problem.solution, theta, limit * 1.01, reached) is None
    assert predicted_steps(problem.solution, theta, limit * 1e-6, reached, ceiling=100) is None


def test_flat_directions_do_not_hinder_the_prediction():
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(2, 80))
    problem = dense_problem(np.column_stack([a, b, a + b]), a + rng.normal(size=80))
    alpha = best_learning_rate(problem.solution)
    reached = tolerance_reached(problem.posed)
    predicted = predicted_steps(problem.solution, np.zeros(4), alpha, reached)
    assert predicted is not None
    assert abs(predicted - actual_steps(problem, alpha, reached, 10_000)) <= 1


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_just_below_the_limit_converges_and_just_above_diverges(settings):
    problem = random_problem(6, **settings)
    limit = learning_rate_limit(problem.solution)
    start = problem.loss.value(np.zeros(problem.coordinates.size)) - problem.solution.minimum
    below = problem.solution.gap(run(problem, 0.999 * limit, 20_000))
    above = problem.solution.gap(run(problem, 1.001 * limit, 20_000))
    assert below < 1e-12 * start
    assert above > 1e12 * start


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [1.02, 1.5, 5.0, 1e4])
def test_the_overflow_step_is_where_a_plain_simulation_overflows(seed, share):
    problem = random_problem(seed, p=3)
    alpha = share * learning_rate_limit(problem.solution)
    predicted = overflow_step(problem.solution, np.zeros(4), alpha)
    Z, y, theta = problem.Z, problem.y, np.zeros(4)
    with np.errstate(over="ignore", invalid="ignore"):
        step = 0
        while True:
            residual = Z @ theta - y
            if not np.isfinite(0.5 * np.mean(residual**2)):
                break
            theta = theta - alpha * (Z.T @ residual) / len(y)
            step += 1
    assert abs(predicted - step) <= max(2, 0.01 * step)


@pytest.mark.parametrize("size", [1e-100, 1e100])
def test_the_overflow_step_depends_on_how_far_the_start_is_from_the_minimum(size):
    problem = random_problem(8, p=2)
    alpha = 1.5 * learning_rate_limit(problem.solution)
    error = size * np.ones(3)
    with np.errstate(over="ignore", invalid="ignore"):
        step, along = 0, error
        while np.isfinite(along @ problem.loss.hessian @ along):
            along = along - alpha * problem.loss.hessian @ along
            step += 1
    centred = replace(problem.solution, minimiser=np.zeros(3))
    assert abs(overflow_step(centred, error, alpha) - step) <= max(2, 0.01 * step)


def test_below_the_limit_nothing_overflows():
    problem = random_problem(7)
    assert overflow_step(problem.solution, np.zeros(5), 0.99 * learning_rate_limit(problem.solution)) is None


@pytest.mark.parametrize("seed", range(5))
def test_the_overflow_step_ignores_flat_directions(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(50, 4))
    X = np.column_stack([X, X @ rng.normal(size=(4, 4))])  # the null eigenvalues are rounding, of either sign
    problem = dense_problem(X, X @ rng.normal(size=8) + rng.normal(size=50))
    assert problem.solution.null == 4
    step = overflow_step(problem.solution, rng.normal(size=9), 20.0 * learning_rate_limit(problem.solution))
    assert step is not None
    assert 50 < step < 200  # 1e308 at 39² a step

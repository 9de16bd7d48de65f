from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from gradline.oracles.moments import MomentsOracle
from gradline.training.plan import tolerance_reached
from gradline.updates.conjugate_gradient import ConjugateGradient, predicted_steps
from reference import dense_problem, random_problem


def iterates(problem, steps, theta=None):
    oracle, rule = MomentsOracle(problem.loss), ConjugateGradient()
    theta = np.zeros(problem.coordinates.size) if theta is None else theta
    state = rule.init(theta)
    found = [theta]
    for _ in range(steps):
        theta, state = rule.update(theta, oracle.value_and_gradient(theta).gradient, state, oracle)
        found.append(theta)
    return found


def actual_steps(problem, reached, ceiling=5_000):
    oracle, rule = MomentsOracle(problem.loss), ConjugateGradient()
    theta = np.zeros(problem.coordinates.size)
    state = rule.init(theta)
    for step in range(ceiling):
        gradient = oracle.value_and_gradient(theta).gradient
        if reached(problem.solution.gap(theta), lambda theta=theta: problem.solution.distance(theta)):
            return step
        theta, state = rule.update(theta, gradient, state, oracle)
    return None


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("p", [1, 2, 5, 9])
def test_a_quadratic_in_k_coordinates_is_solved_in_k_steps(seed, p):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(200, p))
    problem = dense_problem(X, X @ rng.normal(size=p) + 5.0 + rng.normal(size=200))
    reached = tolerance_reached(problem.posed)
    assert actual_steps(problem, reached) <= problem.coordinates.size + 1


@pytest.mark.parametrize("settings", [{}, {"scaling": "none"}, {"l2": 0.1}, {"intercept": False}], ids=str)
def test_every_step_lowers_the_gap(settings):
    problem = random_problem(1, **settings)
    gaps = [problem.solution.gap(theta) for theta in iterates(problem, 5)]
    assert all(b < a for a, b in pairwise(gaps) if a > 1e-20 * gaps[0])


def test_the_first_step_is_steepest_descent_with_exact_line_search():
    problem = random_problem(2)
    _, theta = iterates(problem, 1)
    gradient = -problem.loss.linear
    values = [problem.loss.value(theta + h * gradient) for h in (-1e-3, 0.0, 1e-3)]
    assert values[1] < min(values[0], values[2])
    assert theta @ gradient == pytest.approx(-np.linalg.norm(theta) * np.linalg.norm(gradient))


def test_gradients_are_orthogonal_and_directions_conjugate():
    problem = random_problem(3, p=5)
    thetas = iterates(problem, 4)
    gradients = [problem.loss.gradient(t) for t in thetas]
    steps = np.diff(thetas, axis=0)
    for i in range(4):
        for j in range(i):
            cosine = gradients[i] @ gradients[j] / np.linalg.norm(gradients[i]) / np.linalg.norm(gradients[j])
            assert abs(cosine) < 1e-6
            energy = [np.sqrt(s @ problem.loss.hessian @ s) for s in (steps[i], steps[j])]
            assert abs(steps[i] @ problem.loss.hessian @ steps[j]) < 1e-6 * energy[0] * energy[1]


def test_the_gap_shrinks_at_least_as_fast_as_the_bound():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(300, 20)) @ np.diag(np.geomspace(1, 0.05, 20)) @ np.linalg.qr(rng.normal(size=(20, 20)))[0]
    problem = dense_problem(X, X @ rng.normal(size=20) + rng.normal(size=300), scaling="none")
    root = np.sqrt(problem.solution.condition)
    gaps = [problem.solution.gap(t) for t in iterates(problem, 15)]
    for t, gap in enumerate(gaps):
        assert gap <= 4 * ((root - 1) / (root + 1)) ** (2 * t) * gaps[0] * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("spread", [0.0, 1.0, 2.0, 3.0])
def test_predicted_steps_are_the_steps_taken(seed, spread):
    rng = np.random.default_rng(seed)
    p = 15
    X = rng.normal(size=(400, p)) @ np.diag(np.geomspace(1, 10.0**-spread, p)) @ np.linalg.qr(rng.normal(size=(p, p)))[0]
    problem = dense_problem(X, X @ rng.normal(size=p) * 10.0**spread + rng.normal(size=400) + 3.0)
    reached = tolerance_reached(problem.posed)
    predicted = predicted_steps(problem.solution, np.zeros(p + 1), reached, 10_000)
    actual = actual_steps(problem, reached)
    assert predicted is not None
    assert abs(predicted - actual) <= max(1, 0.1 * actual)


def test_no_step_is_predicted_at_the_minimum_and_none_past_the_ceiling():
    problem = random_problem(5)
    reached = tolerance_reached(problem.posed)
    assert predicted_steps(problem.solution, problem.solution.minimiser, reached, 10) == 0
    assert predicted_steps(problem.solution, np.zeros(5), lambda gap, distance: False, 2) is None


def test_a_singular_problem_is_solved_by_the_solution_nearest_to_the_start():
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(2, 60))
    problem = dense_problem(np.column_stack([a, b, a + b]), a + rng.normal(size=60))
    theta = iterates(problem, 6)[-1]
    assert theta == pytest.approx(np.linalg.pinv(problem.Z) @ problem.y, abs=1e-9)


def test_a_flat_direction_moves_nothing():
    class Flat:
        def curvature_along(self, direction):
            return 0.0 * direction

    rule = ConjugateGradient()
    theta = np.array([1.0, 2.0])
    found, _ = rule.update(theta, np.array([1.0, 1.0]), rule.init(theta), Flat())
    assert np.array_equal(found, theta)
    assert rule.learning_rate is None

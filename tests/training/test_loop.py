from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from gradline.maths.oracle import ValueAndGradient
from gradline.oracles.moments import MomentsOracle
from gradline.training.loop import descend
from gradline.training.stopping import StopReason
from gradline.updates.gradient_descent import GradientDescent
from reference import random_problem


class Record(dict):
    validation = None

    @property
    def objective(self):
        return self["value"]


def record(iterate):
    step, theta, value, gradient, update_norm, _ = iterate
    return Record(step=step, theta=theta.copy(), value=value, gradient=gradient.copy(), update_norm=update_norm)


def after(steps, reason=StopReason.MAX_STEPS):
    return lambda step: reason if step["step"] >= steps else None


def test_the_loop_is_the_textbooks_twenty_lines():
    problem = random_problem(0, scaling="none", p=2)
    alpha = 0.5 / problem.solution.curvature_max
    found = descend(MomentsOracle(problem.loss), GradientDescent(alpha), np.zeros(3), record, after(25))
    w, b = np.zeros(2), 0.0
    for step in range(26):
        assert found.history[step]["step"] == step
        assert found.history[step]["theta"] == pytest.approx(np.append(w, b), rel=1e-8, abs=1e-10)
        residual = problem.X @ w + b - problem.y
        assert found.history[step]["value"] == pytest.approx(0.5 * np.mean(residual**2), rel=1e-9)
        w, b = w - alpha * problem.X.T @ residual / 60, b - alpha * residual.mean()
    assert found.reason is StopReason.MAX_STEPS
    assert np.array_equal(found.theta, found.history[-1]["theta"])
    assert len(found.history) == 26


def test_update_norms_are_those_of_the_updates_that_led_there():
    problem = random_problem(1)
    found = descend(MomentsOracle(problem.loss), GradientDescent(0.1), np.zeros(5), record, after(5))
    assert found.history[0]["update_norm"] == 0.0
    for a, b in pairwise(found.history):
        assert b["update_norm"] == pytest.approx(np.linalg.norm(b["theta"] - a["theta"]))
        assert b["update_norm"] == pytest.approx(0.1 * np.linalg.norm(a["gradient"]))


def test_no_step_is_taken_where_the_start_is_the_end():
    problem = random_problem(2)
    start = problem.solution.minimiser
    found = descend(MomentsOracle(problem.loss), GradientDescent(0.1), start, record, after(0, StopReason.CERTIFIED))
    assert found.theta is start
    assert len(found.history) == 1


class Scripted:
    """J is 5, 3, 4, 9, NaN, ∞ at θ = 0, 1, 2, …"""

    def value_and_gradient(self, theta, step):
        return ValueAndGradient([5.0, 3.0, 4.0, 9.0, np.nan, np.inf][int(theta[0])], np.array([-1.0]))


def test_a_diverged_run_returns_its_best_iterate():
    found = descend(Scripted(), GradientDescent(1.0), np.zeros(1), record, after(5, StopReason.DIVERGED))
    assert found.theta.tolist() == [1.0]
    assert found.reason is StopReason.DIVERGED


def test_any_other_run_returns_its_last_iterate():
    found = descend(Scripted(), GradientDescent(1.0), np.zeros(1), record, after(3))
    assert found.theta.tolist() == [3.0]


def test_the_start_is_left_as_it_was():
    problem = random_problem(3)
    start = np.ones(5)
    descend(MomentsOracle(problem.loss), GradientDescent(0.1), start, record, after(3))
    assert start.tolist() == [1.0] * 5


def test_of_a_long_run_every_hundredth_step_and_the_last_are_kept():
    problem = random_problem(4)
    found = descend(MomentsOracle(problem.loss), GradientDescent(1e-3), np.zeros(5), record, after(10_350))
    steps = [s["step"] for s in found.history]
    assert steps == [*range(10_000), 10_000, 10_100, 10_200, 10_300, 10_350]

"""The backtracking line search: Armijo's condition to the last digit, whatever the first α."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from gradline.errors import UsageError
from gradline.maths.losses import huber
from gradline.maths.oracle import ValueAndGradient
from gradline.oracles.moments import MomentsOracle
from gradline.oracles.streamed import Examples, StreamedOracle
from gradline.updates.backtracking import GROWTH, SUFFICIENT, Backtracking
from reference import SerialEngine, fit, random_problem

ALL = {"validation": 0.0, "test": 0.0}


def table(seed=0, m=300, p=6, kappa=50.0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, p)) @ np.diag(np.geomspace(1.0, kappa**-0.5, p)) @ np.linalg.qr(rng.normal(size=(p, p)))[0]
    return X, X @ rng.normal(size=p) * 3.0 + rng.normal(size=m) + 4.0


def exact_fall(problem, theta, step):
    """J(θ + d) − J(θ) = g'd + ½ d'Hd in rationals."""
    H = [[Fraction(v) for v in row] for row in problem.loss.hessian]
    t, d = [Fraction(v) for v in theta], [Fraction(v) for v in step]
    gradient = [
        sum(h * v for h, v in zip(row, t, strict=True)) - Fraction(c) for row, c in zip(H, problem.loss.linear, strict=True)
    ]
    image = [sum(h * v for h, v in zip(row, d, strict=True)) for row in H]
    return sum(g * v for g, v in zip(gradient, d, strict=True)) + sum(i * v for i, v in zip(image, d, strict=True)) / 2


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("first", [1e-3, 0.3, 1.0, 7.0, 1e5])
def test_the_rate_taken_is_the_first_halving_that_meets_armijos_condition(seed, first):
    problem = random_problem(seed)
    oracle, rule = MomentsOracle(problem.loss), Backtracking(first)
    theta = np.random.default_rng(seed).normal(size=5)
    state = rule.init(theta)
    for step in range(25):
        gradient = oracle.value_and_gradient(theta).gradient
        alpha = state.alpha * (1.0 if step == 0 else GROWTH if state.refused else 2.0)
        while exact_fall(problem, theta, -alpha * gradient) > -Fraction(SUFFICIENT) * Fraction(alpha) * Fraction(
            gradient @ gradient
        ):
            alpha /= 2.0
        updated, state = rule.update(theta, gradient, state, oracle)
        assert rule.rate(state) == alpha
        assert np.array_equal(updated, theta - alpha * gradient)
        theta = updated


@pytest.mark.parametrize("oracle", ["moments", "streamed"])
@pytest.mark.parametrize("first", [None, 1e-8, 100.0, 1e300])
def test_whatever_the_first_rate_the_certificate_is_reached_and_the_loss_never_grows(oracle, first):
    X, y = table()
    model = fit(X, y, oracle=oracle, schedule="backtracking", optimizer="gradient_descent", learning_rate=first, **ALL)
    assert model.result["stopped"]["reason"] == "certified"
    assert model.result["steps"] == pytest.approx(model.plan["predicted_steps"], rel=0.1)
    gaps = model.history["gap"].to_pylist()
    assert all(b < a for a, b in pairwise(gaps))


def test_at_a_condition_of_a_thousand_the_certificate_is_reached():
    X, y = table(kappa=1_100.0)
    model = fit(X, y, schedule="backtracking", **ALL)
    assert 700.0 < model.certificate.condition < 2_000.0
    assert model.result["stopped"]["reason"] == "certified"
    assert model.result["steps"] == pytest.approx(model.plan["predicted_steps"], rel=0.1)


def test_the_history_has_the_rate_that_led_to_each_step():
    X, y = table()
    model = fit(X, y, schedule="backtracking", learning_rate=30.0, **ALL)
    assert model.plan["learning_rate"] == 30.0
    assert model.plan["learning_rate_limit"] is None
    rates, norms, updates = (model.history[n].to_pylist() for n in ("learning_rate", "gradient_norm", "update_norm"))
    assert rates[0] is None
    for rate, norm, update in zip(rates[1:], norms[:-1], updates[1:], strict=True):
        assert update == pytest.approx(rate * norm, rel=1e-6)
    assert len(set(rates)) > 5


def test_without_a_rule_named_a_line_search_is_gradient_descents():
    X, y = table(m=60)
    model = fit(X, y, schedule="backtracking", **ALL)
    assert model.plan["optimizer"] == "gradient_descent"
    assert any("line search" in reason for reason in model.plan["reasons"])


@pytest.mark.parametrize("optimizer", ["auto", "gradient_descent", "adam", "averaged_sgd"])
def test_on_mini_batches_it_is_refused(optimizer):
    X, y = table(m=60)
    with pytest.raises(UsageError, match="backtracking needs exact gradients"):
        fit(X, y, oracle="minibatch", optimizer=optimizer, schedule="backtracking", batch_size=8, **ALL)


@pytest.mark.parametrize("optimizer", ["adam", "momentum", "conjugate_gradient"])
def test_other_rules_take_no_line_search(optimizer):
    X, y = table(m=60)
    with pytest.raises(UsageError, match="needs a rule that takes one"):
        fit(X, y, optimizer=optimizer, schedule="backtracking", **ALL)


def test_a_trial_on_a_streamed_oracle_is_a_read_and_the_accepted_one_is_the_next_steps():
    X, y = table(m=80)
    reads = []

    def blocks():
        reads.append(1)
        return [Examples(X, y, None)]

    oracle = StreamedOracle(SerialEngine(), blocks, lambda block: block, intercept=True)
    rule, theta = Backtracking(50.0), np.zeros(7)
    state, refused = rule.init(theta), 0
    for step in range(20):
        gradient = oracle.value_and_gradient(theta).gradient
        before = state.alpha * (1.0 if step == 0 else GROWTH if state.refused else 2.0)
        theta, state = rule.update(theta, gradient, state, oracle)
        refused += round(np.log2(before / state.alpha))
    assert refused > 3
    assert len(reads) == 1 + 20 + refused


class Watched:
    """Gradients as told, and how many were asked for."""

    quadratic = True

    def __init__(self, gradient):
        self.gradient, self.asked = gradient, 0

    def value_and_gradient(self, theta, step=0):
        self.asked += 1
        return ValueAndGradient(0.0, self.gradient(theta))


@pytest.mark.parametrize("gradient", [0.0, np.nan, np.inf])
def test_where_there_is_no_way_down_nothing_moves_and_nothing_is_tried(gradient):
    oracle, rule, theta = Watched(lambda theta: theta), Backtracking(1.0), np.ones(2)
    found, state = rule.update(theta, np.full(2, gradient), rule.init(theta), oracle)
    assert found is theta
    assert oracle.asked == 0
    assert state.alpha == 1.0


def test_a_search_without_end_is_given_up_and_the_rate_is_kept():
    oracle, rule, theta = Watched(lambda theta: -np.ones(2)), Backtracking(1.0), np.ones(2)
    found, state = rule.update(theta, np.ones(2), rule.init(theta), oracle)
    assert found is theta
    assert state.alpha == 1.0


def test_the_rate_does_not_grow_past_what_can_be_multiplied():
    oracle, rule, theta = Watched(lambda theta: np.full(2, 1e-160)), Backtracking(1.0), np.ones(2)
    state = rule.init(theta)
    for _ in range(1_000):
        theta, state = rule.update(theta, np.full(2, 1e-160), state, oracle)
    assert state.alpha < 1e151
    assert np.isfinite(theta).all()


def test_of_a_loss_that_is_no_quadratic_no_step_raises_it():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)) * [1.0, 5.0, 0.2]
    y = X @ [1.0, -2.0, 3.0] + rng.standard_cauchy(60) * 3.0
    examples = Examples(X, y, None)
    oracle = StreamedOracle(SerialEngine(), lambda: [examples], lambda block: block, intercept=True, loss=huber(0.3))
    for first in (1e-6, 1.0, 1e6):
        rule, theta = Backtracking(first), rng.normal(size=4) * 10.0
        state = rule.init(theta)
        values = []
        for _ in range(300):
            value, gradient = oracle.value_and_gradient(theta)
            values.append(value)
            theta, state = rule.update(theta, gradient, state, oracle)
        assert all(b <= a * (1 + 1e-14) for a, b in pairwise(values))
        assert values[-1] < values[0]

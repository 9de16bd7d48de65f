"""Averaged SGD: what is averaged with which weights, and that the average falls like 1/n below the floor of its α."""

from __future__ import annotations

import numpy as np
import pytest

from gradline.errors import StabilityError, UsageError
from gradline.maths.noise import GradientNoise
from gradline.maths.quadratic import Solution, quadratic_loss
from gradline.oracles.minibatch import Batches, ExampleStore, MiniBatchOracle
from gradline.oracles.streamed import Examples
from gradline.types import Role
from gradline.updates import rules
from gradline.updates.averaged import AveragedSGD
from gradline.updates.gradient_descent import GradientDescent
from reference import fit

ALL = {"validation": 0.0, "test": 0.0}
BATCHES = {"oracle": "minibatch", "optimizer": "averaged_sgd", **ALL}


def table(seed=0, m=2_000, p=3):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, p))
    return X, X @ [1.0, -2.0, 0.5] + rng.normal(size=m) + 3.0


def walk(rule, oracle, steps, k):
    """θ and where its gradients were taken, as the loop goes."""
    theta = np.zeros(k)
    state, points = rule.init(theta), []
    for step in range(steps):
        points.append(rule.at(theta, state))
        theta, state = rule.update(theta, oracle.value_and_gradient(points[-1], step).gradient, state, oracle)
    return theta, np.array([*points, rule.at(theta, state)])


@pytest.mark.parametrize("tail", [0, 1, 3])
def test_theta_is_the_average_of_plain_sgd_with_weights_that_grow_like_a_power(tail):
    X, y = table(m=300)
    oracle = MiniBatchOracle(ExampleStore.of([Examples(X, y, None)], 300, 3, weighted=False), Batches(0, 300, 8), intercept=True)
    theta, points = walk(AveragedSGD(0.05, float(tail)), oracle, 90, 4)
    plain, _ = walk(GradientDescent(0.05), oracle, 90, 4)
    assert np.array_equal(points[-1], plain)  # the gradients are those of plain SGD, to the bit
    weights = np.ones(90)  # i(i + 1)…(i + η − 1)
    for j in range(tail):
        weights *= np.arange(1, 91) + j
    assert theta == pytest.approx(np.average(points[1:], axis=0, weights=weights), rel=1e-12)


@pytest.mark.parametrize("batch", [4, 16])
@pytest.mark.parametrize("tail", [0.0, 1.0])
def test_on_gaussian_data_the_gap_falls_like_one_over_n_at_the_size_foretold(batch, tail):
    """Many runs at once, a row each, on fresh x ~ N(0, H) and y = x'θ* + σε: E[‖x‖²xx'] = tr(H)H + 2H², Σ = σ²H."""
    rng, runs, sigma = np.random.default_rng(1), 160, 2.0
    values = np.array([0.4, 0.7, 1.0, 1.3])
    minimiser = np.array([1.0, -1.0, 0.5, 2.0])
    solution = Solution(values, np.eye(4), 0, minimiser, 0.5 * sigma**2, 0.0)
    noise = GradientNoise(float(values.sum() + 2.0 * values[-1]), sigma**2 * values, 0.0)
    alpha = noise.limit(solution, batch) / 2.0
    rule = AveragedSGD(alpha, tail)
    theta = np.tile(minimiser, (runs, 1))  # what the start costs is another test
    state, gaps, raw = rule.init(theta), {}, 0.0
    for step in range(1, 3_201):
        x = rng.normal(size=(runs, batch, 4)) * np.sqrt(values)
        v = rule.at(theta, state)
        residual = np.einsum("rbk,rk->rb", x, v - minimiser) - sigma * rng.normal(size=(runs, batch))
        theta, state = rule.update(theta, np.einsum("rbk,rb->rk", x, residual) / batch, state, None)
        if step in (200, 800, 3_200):
            gaps[step] = 0.5 * np.mean((theta - minimiser) ** 2 @ values)
            raw = 0.5 * np.mean((state.iterate - minimiser) ** 2 @ values)
    for step, gap in gaps.items():
        assert gap == pytest.approx(rule.spread * noise.averaged(solution, alpha, batch, step), rel=0.2)
    assert gaps[200] / gaps[800] == pytest.approx(4.0, rel=0.2)
    assert gaps[800] / gaps[3_200] == pytest.approx(4.0, rel=0.2)
    assert raw == pytest.approx(noise.floor(solution, alpha, batch), rel=0.2)
    assert gaps[3_200] < 0.01 * raw


def test_the_start_is_forgotten_faster_than_by_the_plain_average():
    error = {}
    for tail in (0.0, 1.0):
        rule = AveragedSGD(0.5, tail)
        theta = np.ones(1)
        state = rule.init(theta)
        for _ in range(1_000):  # ½θ², without noise
            theta, state = rule.update(theta, rule.at(theta, state), state, None)
        error[tail] = float(theta[0])
    assert error[0.0] == pytest.approx(1.0 / 1_000, rel=1e-6)
    assert error[1.0] == pytest.approx(2.0 * 2.0 / (1_000 * 1_001), rel=1e-6)  # Σ i 2⁻ⁱ / Σ i


@pytest.mark.parametrize("sampling", ["replacement", "shuffled"])
def test_a_run_ends_far_below_the_floor_of_its_rate(sampling):
    X, y = table()
    settings = {"batch_size": 16, "sampling": sampling, "max_steps": 4_000, "patience": 10_000}
    model = fit(X, y, **BATCHES, **settings)
    plain = fit(X, y, **BATCHES | {"optimizer": "gradient_descent"}, **settings)
    assert plain.plan["learning_rate"] == model.plan["learning_rate_limit"] / 2.0
    assert model.plan["learning_rate"] == model.plan["learning_rate_limit"] / 4.0  # the condition is near 1
    assert model.plan["noise_floor"] is None
    assert any("1/steps" in reason for reason in model.plan["reasons"])
    assert model.certificate.gap < 0.01 * plain.plan["noise_floor"]
    assert model.result["stopped"]["reason"] == "max_steps"


def test_what_is_recorded_and_certified_is_the_average_and_the_same_each_time():
    X, y = table(m=400)
    a, b = (fit(X, y, **BATCHES, batch_size=32, max_steps=300, patience=10_000, seed=4) for _ in range(2))
    assert np.array_equal(a.theta, b.theta)
    loss = quadratic_loss(a.moments[Role.TRAINING], a.coordinates)
    assert a.history["objective"].to_pylist()[-1] == loss.value(a.theta)
    assert a.certificate.gap == a.history["gap"].to_pylist()[-1]
    updates = a.history["update_norm"].to_pylist()
    assert np.mean(updates[250:]) < 0.05 * np.mean(updates[1:10])  # the average settles, SGD would not


def test_a_run_that_no_longer_improves_stops_and_says_so():
    X, y = table()
    model = fit(X, y, **BATCHES, batch_size=64, tolerance=1e-3, patience=3, max_steps=5_000)
    assert model.result["stopped"]["reason"] == "improvement"
    assert model.result["steps"] < 1_000


def test_a_rate_past_the_limit_is_refused_forced_or_halved():
    X, y = table(m=500)
    settings = BATCHES | {"batch_size": 8, "learning_rate": 5.0, "max_steps": 3_000}
    with pytest.raises(StabilityError, match="averaged sgd needs less than"):
        fit(X, y, **settings)
    forced = fit(X, y, **settings, force=True)
    assert forced.result["stopped"]["reason"] == "diverged"
    assert np.isfinite([*forced.coefficients.values(), forced.intercept]).all()
    halved = fit(X, y, **settings, on_divergence="shrink")
    assert halved.result["stopped"]["reason"] != "diverged"
    assert halved.history["learning_rate"].to_pylist()[-1] < 2.0
    assert halved.certificate.relative_gap < 1e-2


def test_exact_gradients_and_schedules_are_refused():
    X, y = table(m=100)
    for oracle in ("auto", "moments", "streamed"):
        with pytest.raises(UsageError, match="exact gradients have none"):
            fit(X, y, optimizer="averaged_sgd", oracle=oracle)
    with pytest.raises(UsageError, match="needs a rule that takes one"):
        fit(X, y, **BATCHES, schedule="cosine")


def test_every_other_rule_takes_its_gradients_at_theta():
    solution = Solution(np.array([0.5, 1.0]), np.eye(2), 0, np.ones(2), 0.0, 0.0)
    theta = np.array([3.0, 4.0])
    for name in rules.NAMES:
        rule = rules.candidate(name, solution, np.zeros(2), lambda gap, _: gap < 1e-3).rule
        assert rule.at(theta, rule.init(np.zeros(2))) is theta

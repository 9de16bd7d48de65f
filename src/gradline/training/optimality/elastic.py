"""Squared error with λ₁‖w‖₁: the minimum is not solved for but bounded from below, by duality, from the moments alone.

With the quadratic penalty as further rows of zeros, r the residuals at θ (of the best intercept) and A, C, G the moments r'r/m,
r'y/m and ‖X'r/m‖∞, every s with |s|·G ≤ λ₁ gives

    J* ≥ D(s) = −½ s²A − sC

(Kim et al., IEEE J. Sel. Top. Signal Process. 1, 2007.) At the minimum s = 1 and D = J*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradline.errors import StabilityError, UsageError
from gradline.maths.certificate import Certificate
from gradline.maths.quadratic import EPSILON
from gradline.training.optimality.judge import Bounded, Judged
from gradline.training.plan import LEAST_BUDGET, Plan
from gradline.updates import gradient_descent, nesterov, proximal, rules

if TYPE_CHECKING:
    from gradline.maths.noise import GradientNoise
    from gradline.maths.problem import Problem
    from gradline.training.config import TrainConfig
    from gradline.training.loop import Iterate
    from gradline.types import FloatArray, Json


@dataclass
class ElasticNet(Bounded):
    """problem: squared error and the quadratic penalty.  l1: λ₁ in the loop's coordinates."""

    problem: Problem
    l1: float
    tolerance: float = 1e-12

    def value(self, theta: FloatArray) -> float:
        """J(θ), with both penalties."""
        w, _ = self.problem.coordinates.weights_and_bias(theta)
        return self.problem.loss.value(theta) + self.l1 * float(np.abs(w).sum())

    def lower_bound(self, theta: FloatArray) -> float:
        """D ≤ J*, from the residuals at θ (k,)."""
        loss = self.problem.loss
        w, _ = self.problem.coordinates.weights_and_bias(theta)
        second = loss.spread if loss.intercept else loss.spread + np.outer(loss.offset, loss.offset)
        u = np.append(w, -1.0)
        product = second @ u  # (p + 1,): X'r/m, then y'r/m
        squares = float(u @ product) + float(loss.penalty @ w**2)
        slope = float(np.abs(product[:-1] + loss.penalty * w).max())
        against = float(product[-1])
        reach = self.l1 / slope if slope > 0.0 else np.inf
        s = float(np.clip(-against / squares, -reach, reach)) if squares > 0.0 else 0.0
        return -0.5 * s * s * squares - s * against

    @property
    def baseline(self) -> float:
        """J(w = 0, b = mean y)."""
        return self.problem.baseline

    def judged(self, iterate: Iterate, *, exact: bool, epoch: int) -> Judged:
        """See `Judge`; J and the bound are of all rows, whatever the gradients were."""
        objective, validation = self.value(iterate.theta), self.problem.validation
        self._bound = max(self._bound, self.lower_bound(iterate.theta))
        held_out = None if validation is None else validation.value(iterate.theta)
        return Judged(objective, held_out, max(objective - self._bound, 0.0))

    def certify(self, theta: FloatArray) -> Certificate:
        """The duality gap at θ (k,)."""
        objective = self.value(theta)
        minimum = min(max(self.lower_bound(theta), self._bound), objective)  # past it by rounding alone
        solution = self.problem.solution
        return Certificate(
            kind="duality_gap",
            objective=objective,
            minimum=minimum,
            gap=objective - minimum,
            relative_gap=(objective - minimum) / self.problem.baseline,
            coefficient_error=None,
            rounding=8.0 * EPSILON * self.problem.baseline,
            curvature_max=solution.curvature_max,
            curvature_min=solution.curvature_min,
            condition=solution.condition,
            trusted_digits=None,
        )

    def to_json(self, theta: FloatArray) -> Json:
        """The entry `loss` of the JSON documents."""
        w, _ = self.problem.coordinates.weights_and_bias(theta)
        return {"name": "squared", "l1": self.l1, "zero": int(np.count_nonzero(w == 0.0)), "of": len(w)}


def elastic_plan(config: TrainConfig, problem: Problem, noise: GradientNoise | None, reads: int) -> Plan:
    """With λ₁‖w‖₁: proximal steps, accelerated where the gradients are exact."""
    p, L = len(problem.names), problem.solution.curvature_max
    names = (gradient_descent.NAME,) if noise is not None else (gradient_descent.NAME, nesterov.NAME)
    plain = noise is not None or config.optimizer == gradient_descent.NAME
    if config.optimizer not in ("auto", *names):
        raise UsageError(
            f"{config.optimizer} does not take the proximal steps that --l1 needs.", f"--optimizer {' or '.join(names)}."
        )
    if config.schedule == "backtracking":
        raise UsageError("--schedule backtracking does not go with --l1.", "leave it out: 1/L is stable.")
    if config.schedule != "constant" and not plain:
        raise UsageError(f"--schedule {config.schedule} needs a rule that takes one.", f"--optimizer {gradient_descent.NAME}.")
    limit = noise.limit(problem.solution, config.batch_size) if noise is not None else (2.0 if plain else 4.0 / 3.0) / L
    alpha = config.learning_rate or (limit / 2.0 if noise is not None else 1.0 / L)
    if alpha >= limit and not config.force and config.on_divergence != "shrink":
        raise StabilityError(
            f"the learning rate {alpha:.6g} is not stable: proximal steps need less than {limit:.6g}.",
            "leave it to gradline (--learning-rate auto), or see it diverge with --force.",
        )
    name = gradient_descent.NAME if plain else nesterov.NAME
    schedule = rules.schedule_of(config.schedule, alpha, config.max_steps or LEAST_BUDGET)
    rule = proximal.ProximalGradient(name, schedule, config.l1, p, accelerated=not plain)
    oracle = "minibatch" if noise is not None else "streamed" if config.oracle == "streamed" else "moments"
    reasons = (
        "λ₁‖w‖₁ has a corner at zero: each step is followed by its proximal map, which sets small coefficients to zero",
        "the duality gap, from the moments, proves how far the minimum is",
    )
    read = "one read: moments" if reads == 1 else f"{reads} reads: moments" + (", rows" if noise is not None else "")
    stages = (read, f"{name} with proximal steps on {oracle}")
    scale = None if noise is None else noise.scale
    return Plan(oracle, rule, limit, problem.coordinates.name, None, None, stages, reasons, scale, None)

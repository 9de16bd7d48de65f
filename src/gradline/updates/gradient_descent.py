"""Gradient descent with a fixed learning rate.

    θ ← θ − α ∇J(θ),   all coordinates simultaneously

Along the eigenvector i of H the error shrinks by (1 − αλ_i) a step, so on a quadratic the whole trajectory is known before
the first step: stable iff 0 < α < 2/L, fastest at α = 2/(μ + L), where ‖θ − θ*‖ contracts by (κ − 1)/(κ + 1) a step
(Nesterov, Introductory Lectures on Convex Optimization, theorem 2.1.15).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gradline.updates.schedules import Halved

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.maths.oracle import Oracle
    from gradline.maths.quadratic import Solution
    from gradline.types import FloatArray
    from gradline.updates.schedules import Schedule

NAME = "gradient_descent"


@dataclass(frozen=True, slots=True)
class GradientDescent:
    """The rule of the textbook; with a schedule, α changes with the steps."""

    learning_rate: float
    schedule: Schedule | None = None
    name: str = NAME

    def init(self, theta: FloatArray) -> int:
        """No step taken yet."""
        return 0

    def at(self, theta: FloatArray, state: int) -> FloatArray:
        """θ."""
        return theta

    def update(self, theta: FloatArray, gradient: FloatArray, state: int, oracle: Oracle) -> tuple[FloatArray, int]:
        """θ − α ∇J(θ)."""
        return theta - self.rate(state) * gradient, state + 1

    def slowed(self) -> GradientDescent:
        """The same rule with half the learning rate."""
        schedule = None if self.schedule is None else Halved(self.schedule)
        return replace(self, learning_rate=self.learning_rate / 2.0, schedule=schedule)

    def rate(self, state: int) -> float:
        """α of the next step."""
        return self.learning_rate if self.schedule is None else self.schedule(state)


def learning_rate_limit(solution: Solution) -> float:
    """2/L: at or past it, gradient descent does not converge."""
    return 2.0 / solution.curvature_max


def best_learning_rate(solution: Solution) -> float:
    """2/(μ + L): the fixed α of the fastest worst case."""
    return 2.0 / (solution.curvature_min + solution.curvature_max)


def predicted_steps(
    solution: Solution,
    theta: FloatArray,
    learning_rate: float,
    reached: Callable[[float, Callable[[], FloatArray]], bool],
    ceiling: int = 10**12,
) -> int | None:
    """The first step at which `reached(gap, θ − θ* on request)` holds, without taking any; None if it never does before `ceiling`."""
    along = solution.along(theta)  # (k,) the error in the eigenbasis
    factor = 1.0 - learning_rate * solution.eigenvalues

    def at(step: int) -> bool:
        error = along * factor**step
        gap = 0.5 * float(solution.eigenvalues @ error**2)
        return reached(gap, lambda: solution.vectors @ error)

    if at(0):
        return 0
    if np.any(np.abs(factor[solution.null :]) >= 1.0):
        return None
    high = 1
    while not at(high):
        high *= 2
        if high > ceiling:
            return None
    low = high // 2  # not reached at low, reached at high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if at(middle) else (middle, high)
    return high


def overflow_step(solution: Solution, theta: FloatArray, learning_rate: float) -> int | None:
    """The step at which J overflows float64 with a learning rate past the limit; None if it never does."""
    along = np.abs(solution.along(theta))
    growth = np.abs(1.0 - learning_rate * solution.eigenvalues)
    grows = (growth > 1.0) & (along > 0.0)
    if not grows.any():
        return None
    start = np.log(solution.eigenvalues[grows]) + 2.0 * np.log(along[grows])
    steps = (np.log(np.finfo(np.float64).max) - start) / (2.0 * np.log(growth[grows]))
    return int(np.ceil(steps.min()))

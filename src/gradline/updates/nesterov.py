"""Nesterov's accelerated gradient: step, then look ahead.

    x₊ = θ − α ∇J(θ),   θ₊ = x₊ + β (x₊ − x)

The loop's θ is the point looked ahead to; x and θ end in the same place. On a quadratic it is stable iff
0 < α < (2 + 2β)/((1 + 2β)L). With α = 1/L and β = (√κ − 1)/(√κ + 1) the gap shrinks by 1 − 1/√κ a step (Nesterov,
Introductory Lectures on Convex Optimization, 2.2.22).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gradline.maths.oracle import Oracle
    from gradline.maths.quadratic import Solution
    from gradline.types import FloatArray

NAME = "nesterov"


@dataclass(frozen=True, slots=True)
class Nesterov:
    """α and β; the state is x (k,)."""

    learning_rate: float
    momentum: float
    name: str = NAME

    def init(self, theta: FloatArray) -> FloatArray:
        """At rest."""
        return theta

    def at(self, theta: FloatArray, state: FloatArray) -> FloatArray:
        """θ."""
        return theta

    def update(self, theta: FloatArray, gradient: FloatArray, state: FloatArray, oracle: Oracle) -> tuple[FloatArray, FloatArray]:
        """x₊ + β (x₊ − x)."""
        stepped = theta - self.learning_rate * gradient
        return stepped + self.momentum * (stepped - state), stepped

    def slowed(self) -> Nesterov:
        """The same rule with half the learning rate."""
        return replace(self, learning_rate=self.learning_rate / 2.0)

    def rate(self, state: FloatArray) -> float:
        """α."""
        return self.learning_rate

    def limit(self, curvature_max: float) -> float:
        """(2 + 2β)/((1 + 2β)L)."""
        return (2.0 + 2.0 * self.momentum) / ((1.0 + 2.0 * self.momentum) * curvature_max)

    def transition(self, eigenvalues: FloatArray) -> FloatArray:
        """The map (error of θ, error of x) -> the next ones along each eigenvector, (k, 2, 2)."""
        shrink = 1.0 - self.learning_rate * eigenvalues
        map_ = np.zeros((len(eigenvalues), 2, 2))
        map_[:, 0, 0] = (1.0 + self.momentum) * shrink
        map_[:, 0, 1] = -self.momentum
        map_[:, 1, 0] = shrink
        return map_


def best(solution: Solution, learning_rate: float | None) -> Nesterov:
    """α = 1/L and the β that goes with the spectrum; a given α keeps the β."""
    root = np.sqrt(solution.condition)
    alpha = 1.0 / solution.curvature_max if learning_rate is None else learning_rate
    return Nesterov(alpha, float((root - 1.0) / (root + 1.0)))

"""Momentum, the heavy ball: a step that remembers the last one.

    θ₊ = θ − α ∇J(θ) + β (θ − θ₋)

On a quadratic it is stable iff 0 ≤ β < 1 and 0 < α < 2(1 + β)/L. With α = 4/(√L + √μ)² and β = ((√κ − 1)/(√κ + 1))² the error
shrinks by (√κ − 1)/(√κ + 1) a step in the long run: the best that any fixed pair reaches (Polak 1964).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gradline.maths.oracle import Oracle
    from gradline.maths.quadratic import Solution
    from gradline.types import FloatArray

NAME = "momentum"


@dataclass(frozen=True, slots=True)
class HeavyBall:
    """α and β; the state is the parameters before (k,)."""

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
        """θ − α ∇J(θ) + β (θ − θ₋)."""
        return theta - self.learning_rate * gradient + self.momentum * (theta - state), theta

    def slowed(self) -> HeavyBall:
        """The same rule with half the learning rate."""
        return replace(self, learning_rate=self.learning_rate / 2.0)

    def rate(self, state: FloatArray) -> float:
        """α."""
        return self.learning_rate

    def limit(self, curvature_max: float) -> float:
        """2(1 + β)/L."""
        return 2.0 * (1.0 + self.momentum) / curvature_max

    def transition(self, eigenvalues: FloatArray) -> FloatArray:
        """The map (error, error before) -> (error after, error) along each eigenvector, (k, 2, 2)."""
        map_ = np.zeros((len(eigenvalues), 2, 2))
        map_[:, 0, 0] = 1.0 + self.momentum - self.learning_rate * eigenvalues
        map_[:, 0, 1] = -self.momentum
        map_[:, 1, 0] = 1.0
        return map_


def best(solution: Solution, learning_rate: float | None) -> HeavyBall:
    """The fastest pair for a spectrum; a given α keeps the best β."""
    low, high = np.sqrt(solution.curvature_min), np.sqrt(solution.curvature_max)
    beta = float(((high - low) / (high + low)) ** 2)
    return HeavyBall(float(4.0 / (low + high) ** 2) if learning_rate is None else learning_rate, beta)

"""Adam: each coordinate's step is divided by the size of its recent gradients.

    m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²,   θ ← θ − α_t m̂ / (√v̂ + ε)

with m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ) (Kingma & Ba 2015). A step is about α in every coordinate whatever the gradient's
scale, so no α is unstable, and with a constant α the iterates end in circles of size α about the minimum: the schedule shrinks it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.updates.schedules import Halved

if TYPE_CHECKING:
    from gradline.maths.oracle import Oracle
    from gradline.types import FloatArray
    from gradline.updates.schedules import Schedule

NAME = "adam"


class Averages(NamedTuple):
    """Steps taken, and the running means of g (k,) and g² (k,)."""

    step: int
    first: FloatArray
    second: FloatArray


@dataclass(frozen=True, slots=True)
class Adam:
    """α by the schedule; β₁, β₂ and ε as published."""

    schedule: Schedule
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    name: str = NAME

    @property
    def learning_rate(self) -> float:
        """The first α."""
        return self.schedule(0)

    def init(self, theta: FloatArray) -> Averages:
        """Nothing seen yet."""
        return Averages(0, np.zeros_like(theta), np.zeros_like(theta))

    def at(self, theta: FloatArray, state: Averages) -> FloatArray:
        """θ."""
        return theta

    def update(self, theta: FloatArray, gradient: FloatArray, state: Averages, oracle: Oracle) -> tuple[FloatArray, Averages]:
        """θ − α_t m̂ / (√v̂ + ε)."""
        step = state.step + 1
        first = self.beta1 * state.first + (1.0 - self.beta1) * gradient
        second = self.beta2 * state.second + (1.0 - self.beta2) * gradient**2
        mean = first / (1.0 - self.beta1**step)
        size = np.sqrt(second / (1.0 - self.beta2**step)) + self.epsilon
        return theta - self.schedule(state.step) * mean / size, Averages(step, first, second)

    def slowed(self) -> Adam:
        """The same rule with half the learning rate."""
        return replace(self, schedule=Halved(self.schedule))

    def rate(self, state: Averages) -> float:
        """α of the next step."""
        return self.schedule(state.step)

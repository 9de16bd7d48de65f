"""Linear conjugate gradients: gradient descent that never undoes an earlier step.

    d ← −g, made conjugate to every earlier direction;   α = −g'd / d'Hd  (exact line search);   θ ← θ + α d

In exact arithmetic a quadratic in k coordinates is solved in at most k steps, and the gap shrinks at least as fast as
4((√κ − 1)/(√κ + 1))^2t (Hestenes & Stiefel 1952). The two-term recurrence gives the same directions only until rounding has
spoilt them, which at a condition of 1e6 takes ten times the steps; so the directions are kept, and each new one is made
conjugate to all of them. They take no more memory than H.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.updates.forecast import walked_steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.maths.oracle import Oracle
    from gradline.maths.quadratic import Solution
    from gradline.types import FloatArray

NAME = "conjugate_gradient"
MOST_DIRECTIONS = 1_000
FLAT = 8.0 * float(np.finfo(np.float64).eps)  # curvature relative to the steepest, per coordinate


class Conjugate(NamedTuple):
    """The directions taken, (t, k), scaled to d'Hd = 1, their images Hd, (t, k), and the steepest curvature met."""

    directions: FloatArray
    images: FloatArray
    steepest: float


@dataclass(frozen=True, slots=True)
class ConjugateGradient:
    """No learning rate to choose: every step size is exact."""

    learning_rate: None = None
    name: str = NAME

    def init(self, theta: FloatArray) -> Conjugate:
        """No direction yet."""
        return Conjugate(np.zeros((0, len(theta))), np.zeros((0, len(theta))), 0.0)

    def at(self, theta: FloatArray, state: Conjugate) -> FloatArray:
        """θ."""
        return theta

    def update(self, theta: FloatArray, gradient: FloatArray, state: Conjugate, oracle: Oracle) -> tuple[FloatArray, Conjugate]:
        """One exact line search along the next conjugate direction."""
        if len(state.directions) >= min(len(theta), MOST_DIRECTIONS):  # all used up: what is left is rounding; begin again
            state = self.init(theta)._replace(steepest=state.steepest)
        direction = -gradient
        for _ in range(2):  # once is not enough where much cancels (Kahan)
            direction = direction - state.directions.T @ (state.images @ direction)
        size = float(np.linalg.norm(direction))
        if size == 0.0:
            return theta, self.init(theta)._replace(steepest=state.steepest)
        direction = direction / size
        image = oracle.curvature_along(direction)
        along = float(direction @ image)
        steepest = max(state.steepest, along)
        if along <= FLAT * len(theta) * steepest:  # J does not change along it, but for rounding
            return theta, self.init(theta)._replace(steepest=steepest)
        direction, image = direction / np.sqrt(along), image / np.sqrt(along)
        step = -float(gradient @ direction)
        directions = np.vstack([state.directions, direction])
        return theta + step * direction, Conjugate(directions, np.vstack([state.images, image]), steepest)

    def slowed(self) -> None:
        """There is no learning rate to halve."""

    def rate(self, state: Conjugate) -> None:
        """Each step has its own, known when it is taken."""


def predicted_steps(
    solution: Solution, theta: FloatArray, reached: Callable[[float, Callable[[], FloatArray]], bool], ceiling: int
) -> int | None:
    """The step at which `reached(gap, θ − θ* on request)` holds, from the spectrum and the first error alone."""
    return walked_steps(ConjugateGradient(), solution, theta, reached, ceiling)

"""Linear conjugate gradients: gradient descent that never undoes an earlier step.

    d ← −g + β d,  β = g'(g − g₋)/g₋'g₋ (≥ 0);   α = −g'd / d'Hd  (exact line search);   θ ← θ + α d

In exact arithmetic a quadratic in k coordinates is solved in at most k steps, and the gap shrinks at least as fast as
4((√κ − 1)/(√κ + 1))^2t (Hestenes & Stiefel 1952; β of Polak & Ribière, which restarts itself where rounding has spoilt
the conjugacy).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.maths.quadratic import Solution
    from gradline.oracles.base import Oracle
    from gradline.types import FloatArray

NAME = "conjugate_gradient"


class Conjugate(NamedTuple):
    """The last direction (k,) and the gradient (k,) it was made from."""

    direction: FloatArray
    gradient: FloatArray


@dataclass(frozen=True, slots=True)
class ConjugateGradient:
    """No learning rate to choose: every step size is exact."""

    learning_rate: None = None
    name: str = NAME

    def init(self, theta: FloatArray) -> Conjugate:
        """No direction yet."""
        return Conjugate(np.zeros_like(theta), np.zeros_like(theta))

    def update(self, theta: FloatArray, gradient: FloatArray, state: Conjugate, oracle: Oracle) -> tuple[FloatArray, Conjugate]:
        """One exact line search along the next conjugate direction."""
        before = float(state.gradient @ state.gradient)
        beta = max(float(gradient @ (gradient - state.gradient)) / before, 0.0) if before > 0.0 else 0.0
        direction = -gradient + beta * state.direction
        if float(gradient @ direction) >= 0.0:  # rounding: start again from steepest descent
            direction = -gradient
        along = float(direction @ oracle.curvature_along(direction))
        if along <= 0.0:  # a flat direction: J does not change along it
            return theta, Conjugate(direction, gradient)
        return theta - (float(gradient @ direction) / along) * direction, Conjugate(direction, gradient)


def predicted_steps(
    solution: Solution, theta: FloatArray, reached: Callable[[float, Callable[[], FloatArray]], bool], ceiling: int
) -> int | None:
    """The step at which `reached(gap, θ − θ* on request)` holds, from the spectrum and the first error alone: O(k) a step.

    The same recurrence in the eigenbasis, where H is diagonal.
    """
    values = solution.eigenvalues[solution.null :]
    error = solution.along(theta)[solution.null :]
    gradient = values * error
    direction, before = np.zeros_like(error), 0.0
    for step in range(ceiling + 1):
        gap = 0.5 * float(values @ error**2)
        if reached(gap, partial(np.matmul, solution.vectors[:, solution.null :], error)):
            return step
        square = float(gradient @ gradient)
        if square == 0.0:
            return step
        direction = -gradient + (square / before if before > 0.0 else 0.0) * direction
        alpha = square / float(values @ direction**2)
        error = error + alpha * direction
        gradient, before = values * error, square
    return None

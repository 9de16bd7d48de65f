"""What rules with a memory of one step will do, from the spectrum alone.

Along each eigenvector of H such a rule is a linear recurrence of order two, e₊ = T(λ) e with a 2×2 matrix T, so its whole
trajectory is known before the first step. The gap oscillates on its way down: the first step within tolerance is looked for
step by step up to a bound found by doubling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.maths.quadratic import Solution
    from gradline.types import FloatArray

MOST_WALKED = 200_000  # steps followed one by one; past that the bound itself is the prediction


class Recurrent(Protocol):
    """A rule that is a linear recurrence along each eigenvector."""

    def transition(self, eigenvalues: FloatArray) -> FloatArray:
        """(k, 2, 2), acting on (error, memory); both start as the first error."""
        ...


def predicted_steps(
    rule: Recurrent, solution: Solution, theta: FloatArray, reached: Callable[[float, Callable[[], FloatArray]], bool]
) -> int | None:
    """The first step at which `reached(gap, θ − θ* on request)` holds; None if the rule does not converge."""
    values, vectors = solution.eigenvalues[solution.null :], solution.vectors[:, solution.null :]
    error = solution.along(theta)[solution.null :]
    transition = rule.transition(values)
    if spectral_radius(transition).max() >= 1.0:
        return None

    def within(e: FloatArray) -> bool:
        return reached(0.5 * float(values @ e**2), lambda: vectors @ e)

    bound = _bound(transition, error, within)
    if bound > MOST_WALKED:
        return bound
    now, memory = error, error
    for step in range(2 * bound + 1):
        if within(now):
            return step
        now, memory = (
            transition[:, 0, 0] * now + transition[:, 0, 1] * memory,
            transition[:, 1, 0] * now + transition[:, 1, 1] * memory,
        )
    return bound


def spectral_radius(transition: FloatArray) -> FloatArray:
    """The factor by which each direction shrinks (or grows) a step in the long run, (k,)."""
    half_trace = (transition[:, 0, 0] + transition[:, 1, 1]) / 2.0
    determinant = transition[:, 0, 0] * transition[:, 1, 1] - transition[:, 0, 1] * transition[:, 1, 0]
    square = half_trace**2 - determinant
    real = np.abs(half_trace) + np.sqrt(np.maximum(square, 0.0))
    return np.where(square >= 0.0, real, np.sqrt(np.maximum(determinant, 0.0)))


def _bound(transition: FloatArray, error: FloatArray, within: Callable[[FloatArray], bool]) -> int:
    """A step, to one in sixteen, at which the tolerance is reached, by powers of the transition."""
    start = np.stack([error, error], axis=1)[:, :, None]  # (k, 2, 1)

    def at(step: int) -> bool:
        return within((np.linalg.matrix_power(transition, step) @ start)[:, 0, 0])

    high = 1
    while not at(high):
        high *= 2
    low = high // 2
    while high - low > max(1, high // 16):
        middle = (low + high) // 2
        low, high = (low, middle) if at(middle) else (middle, high)
    return high

"""What a rule will do, from the spectrum and the first error alone: no data, no H, and no step taken.

On a quadratic a rule that treats all directions alike does in the basis of the eigenvectors what it does in any other, and
there H is diagonal: a step costs O(k). Rules with a memory of one step are linear recurrences of order two along each
eigenvector, e₊ = T(λ) e, so that their far future follows from powers of 2×2 matrices.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gradline.maths.oracle import ValueAndGradient

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.maths.quadratic import Solution
    from gradline.types import FloatArray
    from gradline.updates.base import UpdateRule

    Reached = Callable[[float, Callable[[], FloatArray]], bool]

MOST_WALKED = 200_000  # steps followed one by one; past that the bound itself is the prediction


class _Diagonal:
    """The oracle of a diagonal H."""

    quadratic = True

    def __init__(self, values: FloatArray) -> None:
        self._values = values

    def value_and_gradient(self, theta: FloatArray, step: int = 0) -> ValueAndGradient:
        """Of ½ Σ λ_i e_i²."""
        return ValueAndGradient(0.5 * float(self._values @ theta**2), self._values * theta)

    def gradient(self, theta: FloatArray, step: int = 0) -> FloatArray:
        """∇J, (k,)."""
        return self.value_and_gradient(theta, step).gradient

    def curvature_along(self, direction: FloatArray) -> FloatArray:
        """λ_i d_i."""
        return self._values * direction


def walked_steps(rule: UpdateRule[Any], solution: Solution, theta: FloatArray, reached: Reached, ceiling: int) -> int | None:
    """The step at which `reached(gap, θ − θ* on request)` holds, by walking the rule in the basis of the eigenvectors."""
    oracle = _Diagonal(solution.eigenvalues[solution.null :])
    vectors = solution.vectors[:, solution.null :]
    error = solution.along(theta)[solution.null :]
    state = rule.init(error)
    for step in range(ceiling + 1):
        gap, gradient = oracle.value_and_gradient(error)
        if reached(gap, partial(np.matmul, vectors, error)):
            return step
        error, state = rule.update(error, gradient, state, oracle)
    return None


class Recurrent(Protocol):
    """A rule that is a linear recurrence along each eigenvector."""

    def transition(self, eigenvalues: FloatArray) -> FloatArray:
        """(k, 2, 2), acting on (error, memory); both start as the first error."""
        ...


def recurrent_steps(rule: Recurrent, solution: Solution, theta: FloatArray, reached: Reached) -> int | None:
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

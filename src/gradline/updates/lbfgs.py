"""L-BFGS: a quasi-Newton direction from the last few steps, and a line search along it.

    d = −B g,  B from the pairs (s, r) = (θ − θ₋, g − g₋) by the two-loop recursion;   θ ← θ + α d

α is halved from the exact step of a quadratic, or from 1 for another loss, until J falls by at least c·α·g'd (Armijo). The pairs with
s'r > 0 are kept, ten of them (Nocedal & Wright, Numerical Optimization, algorithm 7.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from gradline.maths.oracle import Oracle
    from gradline.types import FloatArray

NAME = "lbfgs"
PAIRS = 10
SUFFICIENT = 1e-4
MOST_HALVINGS = 40
ROUNDING = 1e-13


class Pairs(NamedTuple):
    """steps, turns: (t, k) of the last t ≤ PAIRS steps.  theta, gradient: (k,) of the step before.  any: whether there was one."""

    steps: FloatArray
    turns: FloatArray
    theta: FloatArray
    gradient: FloatArray
    any: bool


@dataclass(frozen=True, slots=True)
class LBFGS:
    """No learning rate to choose."""

    learning_rate: None = None
    name: str = NAME

    def init(self, theta: FloatArray) -> Pairs:
        """No step taken yet."""
        none = np.zeros((0, len(theta)))
        return Pairs(none, none, theta, np.zeros_like(theta), False)

    def at(self, theta: FloatArray, state: Pairs) -> FloatArray:
        """θ."""
        return theta

    def update(self, theta: FloatArray, gradient: FloatArray, state: Pairs, oracle: Oracle) -> tuple[FloatArray, Pairs]:
        """One quasi-Newton step."""
        steps, turns = state.steps, state.turns
        if state.any:
            step, turn = theta - state.theta, gradient - state.gradient
            if float(step @ turn) > ROUNDING * float(np.linalg.norm(step) * np.linalg.norm(turn)):
                steps, turns = np.vstack([steps, step])[-PAIRS:], np.vstack([turns, turn])[-PAIRS:]
        direction = -_inverse_times(steps, turns, gradient)
        slope = float(gradient @ direction)
        if slope >= 0.0:  # rounding has spoilt the pairs: begin again
            steps, turns, direction = steps[:0], turns[:0], -gradient
            slope = -float(gradient @ gradient)
        if oracle.quadratic or not len(steps):  # the exact step, or a safe one
            along = float(direction @ oracle.curvature_along(direction))
            alpha = -slope / along if along > 0.0 else 1.0
        else:
            alpha = 1.0
        alpha = _backtracked(oracle, theta, direction, slope, alpha)
        return theta + alpha * direction, Pairs(steps, turns, theta, gradient, True)

    def slowed(self) -> None:
        """There is no learning rate to halve."""

    def rate(self, state: Pairs) -> None:
        """Known when the step is taken."""


def _inverse_times(steps: FloatArray, turns: FloatArray, gradient: FloatArray) -> FloatArray:
    """B g by the two-loop recursion."""
    q = gradient.copy()
    pairs = [(s, r, 1.0 / float(s @ r)) for s, r in zip(steps, turns, strict=True)]
    alphas = []
    for s, r, rho in reversed(pairs):
        alphas.append(rho * float(s @ q))
        q -= alphas[-1] * r
    if pairs:
        s, r, _ = pairs[-1]
        q *= float(s @ r) / float(r @ r)
    for (s, r, rho), alpha in zip(pairs, reversed(alphas), strict=True):
        q += (alpha - rho * float(r @ q)) * s
    return q


def _backtracked(oracle: Oracle, theta: FloatArray, direction: FloatArray, slope: float, alpha: float) -> float:
    """α, halved until J falls enough, or by no more than the rounding of J can show."""
    start = oracle.value_and_gradient(theta).value
    for _ in range(MOST_HALVINGS):
        value = oracle.value_and_gradient(theta + alpha * direction).value
        if value <= start + SUFFICIENT * alpha * slope + ROUNDING * abs(start):
            return alpha
        alpha /= 2.0
    return 0.0

"""Gradient descent with a backtracking line search: each step's α is found by trying.

    α ← 1.1 times the last α;   while J falls by less than c α ‖g‖²:  α ← α/2;   θ ← θ − α g

(Armijo's condition; Nocedal & Wright, Numerical Optimization, algorithm 3.1.) Whatever the first α, the loss never grows.

If J is a quadratic, J(θ − αg) − J(θ) = −½ α (g + g₊)'g exactly, with g₊ the gradient at the trial: Armijo's condition is the
same as g₊'g ≥ (2c − 1) g'g. That is how it is asked here, because it keeps its digits to the end, where differences of J are
rounding (half of the approximate Wolfe conditions of Hager & Zhang 2005). Of another convex J the trial is asked not to have
passed the minimum along the line, g₊'g ≥ 0: up to there J falls. Only gradients are
evaluated, one a trial, and the accepted one is the gradient that the next step begins with.

Until a trial has been refused α doubles from step to step, which makes up for a first α far too small. GROWTH and SUFFICIENT
take the fewest evaluations of those tried (docs/optimisation.md): growth by 2 refuses every other trial.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.updates.gradient_descent import NAME

if TYPE_CHECKING:
    from gradline.maths.oracle import Oracle
    from gradline.types import FloatArray

SCHEDULE = "backtracking"
SUFFICIENT = 0.4  # c
GROWTH = 1.1
MOST_HALVINGS = 2_100  # from the largest float64 down to the smallest
LARGEST = 1e150  # α grows no further: where the gradient has vanished nothing else would hold it


class Search(NamedTuple):
    """Steps taken, the α of the last one, and whether a trial has ever been refused."""

    step: int
    alpha: float
    refused: bool


@dataclass(frozen=True, slots=True)
class Backtracking:
    """learning_rate: the first trial."""

    learning_rate: float
    name: str = NAME

    def init(self, theta: FloatArray) -> Search:
        """No step taken yet."""
        return Search(0, self.learning_rate, False)

    def at(self, theta: FloatArray, state: Search) -> FloatArray:
        """θ."""
        return theta

    def update(self, theta: FloatArray, gradient: FloatArray, state: Search, oracle: Oracle) -> tuple[FloatArray, Search]:
        """θ − α ∇J(θ) with the first α that lowers J enough; θ itself where none does: rounding."""
        square = float(gradient @ gradient)
        alpha, refused = state.alpha, state.refused
        least = (2.0 * SUFFICIENT - 1.0) * square if oracle.quadratic else 0.0
        if state.step > 0 and alpha < LARGEST:
            alpha *= GROWTH if refused else 2.0
        for _ in range(MOST_HALVINGS if 0.0 < square < np.inf else 0):
            trial = theta - alpha * gradient
            turned = float(oracle.value_and_gradient(trial).gradient @ gradient)
            if turned >= least:  # not so where the trial has overflowed
                return trial, Search(state.step + 1, alpha, refused)
            alpha, refused = alpha / 2.0, True
        return theta, state._replace(step=state.step + 1)

    def slowed(self) -> None:
        """It slows itself."""

    def rate(self, state: Search) -> float | None:
        """α of the last step: the next one's is not known before it is taken."""
        return state.alpha if state.step > 0 else None

"""Gradient descent with the step sizes of Barzilai and Borwein: the last step's own estimate of the curvature.

    s = θ − θ₋,  r = g − g₋;   α = s's / s'r;   θ ← θ − α g

The first step is 1/L-like by an exact line search. The loss does not fall at every step, but on quadratics it converges, and
commonly as fast as conjugate gradients do where κ is moderate (Barzilai & Borwein, IMA J. Numer. Anal. 8, 1988; Raydan 1993).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from gradline.maths.oracle import Oracle
    from gradline.types import FloatArray

NAME = "barzilai_borwein"


class Last(NamedTuple):
    """The parameters and the gradient before, (k,) each, and whether there were any."""

    theta: FloatArray
    gradient: FloatArray
    any: bool


@dataclass(frozen=True, slots=True)
class BarzilaiBorwein:
    """No learning rate to choose."""

    learning_rate: None = None
    name: str = NAME

    def init(self, theta: FloatArray) -> Last:
        """No step taken yet."""
        return Last(theta, np.zeros_like(theta), False)

    def at(self, theta: FloatArray, state: Last) -> FloatArray:
        """θ."""
        return theta

    def update(self, theta: FloatArray, gradient: FloatArray, state: Last, oracle: Oracle) -> tuple[FloatArray, Last]:
        """θ − α ∇J(θ) with α from the last step."""
        if state.any:
            step, turn = theta - state.theta, gradient - state.gradient
            square, along = float(step @ step), float(step @ turn)
        else:
            square, along = float(gradient @ gradient), float(gradient @ oracle.curvature_along(gradient))
        if along <= 0.0:  # no curvature left to be seen: rounding
            return theta, Last(theta, gradient, False)
        return theta - (square / along) * gradient, Last(theta, gradient, True)

    def slowed(self) -> None:
        """There is no learning rate to halve."""

    def rate(self, state: Last) -> None:
        """Known when the step is taken."""

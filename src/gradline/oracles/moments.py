"""The gradient from moments: J's gradient is linear in θ, so one read of the data holds every later gradient exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradline.maths.oracle import ValueAndGradient

if TYPE_CHECKING:
    from gradline.maths.quadratic import QuadraticLoss
    from gradline.types import FloatArray


class MomentsOracle:
    """∇J(θ) = Hθ − c: O(k²) a step, and no data."""

    name = "moments"
    quadratic = True

    def __init__(self, loss: QuadraticLoss) -> None:
        self._loss = loss

    def value_and_gradient(self, theta: FloatArray, step: int = 0) -> ValueAndGradient:
        """See `Oracle`."""
        return ValueAndGradient(self._loss.value(theta), self._loss.gradient(theta))

    def curvature_along(self, direction: FloatArray) -> FloatArray:
        """See `Oracle`."""
        return self._loss.hessian @ direction

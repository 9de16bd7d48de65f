"""The gradient from moments: J's gradient is linear in θ, so one read of the data holds every later gradient exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradline.maths.oracle import ValueAndGradient

if TYPE_CHECKING:
    from gradline.maths.quadratic import QuadraticLoss
    from gradline.types import FloatArray


class MomentsOracle:
    """∇J(θ) = Hθ − c: O(k²) a step, and no data. flat: (k, f) unit vectors along which the loop shall not go."""

    name = "moments"
    quadratic = True

    def __init__(self, loss: QuadraticLoss, flat: FloatArray | None = None) -> None:
        self._loss = loss
        self._flat = flat if flat is not None and flat.size else None

    def value_and_gradient(self, theta: FloatArray, step: int = 0) -> ValueAndGradient:
        """See `Oracle`."""
        return ValueAndGradient(self._loss.value(theta), self._steep(self._loss.gradient(theta)))

    def gradient(self, theta: FloatArray, step: int = 0) -> FloatArray:
        """∇J, (k,)."""
        return self.value_and_gradient(theta, step).gradient

    def curvature_along(self, direction: FloatArray) -> FloatArray:
        """See `Oracle`."""
        return self._steep(self._loss.curvature_along(direction))

    def _steep(self, gradient: FloatArray) -> FloatArray:
        return gradient if self._flat is None else gradient - self._flat @ (self._flat.T @ gradient)

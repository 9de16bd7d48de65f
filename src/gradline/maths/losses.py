"""Losses of a residual r = f(x) − y: squared error, Huber, and the pinball loss of a quantile.

All three are one function of three numbers: the derivative is r/h, clipped to [low, high],

    φ(r) = max { u r − h u²/2 : low ≤ u ≤ high }        φ'(r) = clip(r/h, low, high)        φ'' ≤ 1/h

    squared error    h = 1, no clipping                 ½ r²
    Huber            h = 1, [−δ, δ]                     ½ r² up to δ, then δ|r| − δ²/2 (Huber 1964)
    pinball          h → 0, [−τ, 1 − τ]                 τ (y − f) above f, (1 − τ)(f − y) below (Koenker & Bassett 1978)

The pinball loss has a corner, so it is smoothed over a width h: φ_h ≤ φ ≤ φ_h + h·max(τ, 1 − τ)²/2 (Nesterov 2005). The maximum
over u is what proves a lower bound of the minimum: see `gradline.maths.duality`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gradline.types import FloatArray


@dataclass(frozen=True, slots=True)
class Loss:
    """φ of a residual, in squared target units (pinball: target units). width: h.  low, high: bounds of φ'."""

    name: str
    width: float
    low: float
    high: float

    def value(self, residual: FloatArray) -> FloatArray:
        """φ(r), (n,)."""
        u = self.derivative(residual)
        return u * residual - 0.5 * self.width * u * u

    def derivative(self, residual: FloatArray) -> FloatArray:
        """φ'(r), (n,); of the corner of an unsmoothed loss a subgradient."""
        if self.width == 0.0:
            return np.where(residual > 0.0, self.high, np.where(residual < 0.0, self.low, 0.0))
        return np.clip(residual / self.width, self.low, self.high)

    @property
    def curvature(self) -> float:
        """The largest φ'': L of the loss is at most so many times that of squared error."""
        return 1.0 / self.width

    @property
    def exact(self) -> Loss:
        """The loss without smoothing."""
        return replace(self, width=0.0) if self.name == "pinball" else self


SQUARED = Loss("squared", 1.0, -np.inf, np.inf)


def huber(delta: float) -> Loss:
    """½r² for |r| ≤ δ, linear beyond. delta: in target units."""
    return Loss("huber", 1.0, -delta, delta)


def pinball(quantile: float, width: float) -> Loss:
    """The loss whose minimiser is the conditional quantile τ, smoothed over `width` target units."""
    return Loss("pinball", width, -quantile, 1.0 - quantile)

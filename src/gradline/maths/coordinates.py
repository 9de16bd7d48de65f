"""The loop's coordinates, and the way back to the user's units.

    z = (x − centre) / scale,   f = w·z + b
    user's coefficient  w_j / scale_j,   user's intercept  b − Σ_j w_j·centre_j / scale_j

`standard` centres and scales by the training rows' means and deviations (without an intercept it only scales); `none`
leaves the columns as they are. Whatever the coordinates, errors are judged in standard ones, which no unit can change.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.types import FloatArray


NAMES = ("standard", "none")


class UserParameters(NamedTuple):
    """Parameters in the user's units: `coefficients` (p,) in target units per feature unit, `intercept` in target units."""

    coefficients: FloatArray
    intercept: float


@dataclass(frozen=True, slots=True)
class Coordinates:
    """mean, deviation: (p,) of the training rows.  centre, scale: (p,) of the loop.  θ = (w, b), or (w) without intercept."""

    name: str
    mean: FloatArray
    deviation: FloatArray
    centre: FloatArray
    scale: FloatArray
    intercept: bool

    @classmethod
    def of(cls, name: str, mean: FloatArray, deviation: FloatArray, *, intercept: bool) -> Coordinates:
        """Coordinates by their name, `standard` or `none`."""
        if name not in NAMES:
            raise ValueError(f"there are no coordinates {name!r}, only {' and '.join(NAMES)}")
        zeros, ones = np.zeros_like(mean), np.ones_like(mean)
        standard = name == "standard"
        return cls(
            name,
            mean,
            deviation,
            centre=mean if standard and intercept else zeros,
            scale=deviation if standard else ones,
            intercept=intercept,
        )

    @property
    def size(self) -> int:
        """The number of coordinates k of θ."""
        return len(self.mean) + int(self.intercept)

    def weights_and_bias(self, theta: FloatArray) -> tuple[FloatArray, float]:
        """θ taken apart into w (p,) and b."""
        return (theta[:-1], float(theta[-1])) if self.intercept else (theta, 0.0)

    def transformed(self, X: FloatArray) -> FloatArray:  # (n, p) -> (n, p)
        """Features in the loop's coordinates."""
        Z = X - self.centre
        Z /= self.scale
        return Z

    def to_user(self, theta: FloatArray, low: FloatArray | None = None) -> UserParameters:
        """θ in the user's units. low: what is to be added to θ, where it is known to twice the precision; then these are rounded once."""
        w, b = self.weights_and_bias(theta)
        if low is not None:
            exact = [Fraction(high) + Fraction(rest) for high, rest in zip(theta.tolist(), low.tolist(), strict=True)]
            slopes = [t / Fraction(s) for t, s in zip(exact, self.scale.tolist(), strict=False)]
            moved = sum((t * Fraction(c) for t, c in zip(slopes, self.centre.tolist(), strict=True)), Fraction(0))
            return UserParameters(np.array([float(t) for t in slopes]), float(exact[-1] - moved) if self.intercept else 0.0)
        coefficients = w / self.scale
        return UserParameters(coefficients, b - float(coefficients @ self.centre))

    def from_user(self, coefficients: Sequence[float] | FloatArray, intercept: float) -> FloatArray:
        """θ of parameters in the user's units, (k,): the way back from `to_user`. Without an intercept theirs is left out."""
        slopes = np.asarray(coefficients, dtype=np.float64)
        w: FloatArray = slopes * self.scale
        return np.append(w, intercept + float(slopes @ self.centre)) if self.intercept else w

    def standard(self) -> Coordinates:
        """The standard coordinates of the same columns."""
        return Coordinates.of("standard", self.mean, self.deviation, intercept=self.intercept)

    def to_standard(self, theta: FloatArray) -> FloatArray:
        """θ in standard coordinates, (k,): the change of the prediction per deviation of each feature, then at their mean."""
        w, b = self.weights_and_bias(theta)
        slopes = w / self.scale
        if not self.intercept:
            return slopes * self.deviation
        return np.append(slopes * self.deviation, b + float(slopes @ (self.mean - self.centre)))

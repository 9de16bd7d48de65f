"""Prediction intervals as a model keeps them: what they were calibrated on, and the bounds of new rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradline.maths.conformal import Bounds, decimal, widened
from gradline.maths.jackknife import LeftOut, Whitened

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.maths.coordinates import Coordinates
    from gradline.representation.features import Representation
    from gradline.types import Decoded, FloatArray, Json

CONFORMAL, JACKKNIFE, QUANTILE = "conformal", "jackknife+", "quantile"
PANEL_VALUES = 1 << 18  # of the design at once
ROOT, ROWS, QUANTILES = "interval-root.npy", "interval-rows.npy", "interval-quantiles.npy"


@dataclass(frozen=True, slots=True)
class Intervals:
    """Intervals of nominal `coverage` about a model's scores, in the unit trained in.

    rows: how many calibrated them.  margin: half their width (conformal), or how far the quantiles are moved apart; infinite where the
    rows are too few; 0 for jackknife+.  quantiles: (2, k) θ of the lower and the upper quantile, in the loop's coordinates.
    whitened, left_out: of jackknife+.
    """

    method: str
    coverage: float
    rows: int
    margin: float
    quantiles: FloatArray | None = None
    whitened: Whitened | None = None
    left_out: LeftOut | None = None

    def bounds(self, decoded: Decoded, score: FloatArray, representation: Representation, coordinates: Coordinates) -> Bounds:
        """Of some rows: their features and scores (n,)."""
        if self.quantiles is not None:
            low, high = (
                representation.scores(decoded, *_parts(coordinates, theta)) + coordinates.weights_and_bias(theta)[1]
                for theta in self.quantiles
            )
            return widened(low, high, self.margin)
        if self.left_out is None or self.whitened is None:
            return Bounds(score - self.margin, score + self.margin)
        parts = []
        for at in panels(decoded.rows, len(coordinates.mean)):
            Z = coordinates.standard().transformed(representation.design(decoded.take(at)))
            parts.append(self.left_out.bounds(score[at], self.whitened.of(Z), decimal(self.coverage)))
        if not parts:
            return Bounds(score.copy(), score.copy())
        return Bounds(*(np.concatenate(each) for each in zip(*parts, strict=True)))

    def to_json(self) -> Json:
        """What stands in the model's document; the arrays stand beside it."""
        finite = bool(np.isfinite(self.margin))
        return {
            "method": self.method,
            "coverage": self.coverage,
            "rows": self.rows,
            "margin": self.margin if finite else None,
            "constant": None if self.whitened is None else self.whitened.constant,
        }

    def arrays(self) -> dict[str, FloatArray]:
        """What is kept as arrays, by their names in the model file; no value is infinite."""
        found: dict[str, FloatArray] = {}
        if self.quantiles is not None:
            found[QUANTILES] = self.quantiles
        if self.whitened is not None and self.left_out is not None:
            residual = np.where(np.isfinite(self.left_out.residual), self.left_out.residual, -1.0)  # none is negative
            found[ROOT] = self.whitened.root
            found[ROWS] = np.column_stack([self.left_out.rows, self.left_out.shift, residual])
        return found

    @classmethod
    def read(cls, document: Json, array: Callable[[str], FloatArray], coordinates: Coordinates) -> Intervals:
        """From a model file. Raises ValueError where the parts do not fit each other."""
        method, coverage, rows = document["method"], float(document["coverage"]), document["rows"]
        margin = np.inf if document["margin"] is None else float(document["margin"])
        if method not in (CONFORMAL, JACKKNIFE, QUANTILE) or not 0.0 < coverage < 1.0 or rows < 0:
            raise ValueError(f"there are no intervals {method!r} of coverage {coverage} from {rows} rows")
        if method == CONFORMAL and margin < 0.0:
            raise ValueError(f"half an interval's width is {margin}")
        if method == QUANTILE:
            quantiles = array(QUANTILES)
            if quantiles.shape != (2, coordinates.size):
                raise ValueError(f"the quantiles have shape {quantiles.shape}")
            return cls(method, coverage, rows, margin, quantiles)
        if method == CONFORMAL:
            return cls(method, coverage, rows, margin)
        root, kept = array(ROOT), array(ROWS)
        whitened = Whitened(root, document["constant"])
        features, width = len(coordinates.mean), (whitened.constant is not None) + 2
        if root.ndim != 2 or root.shape[0] != features or kept.shape != (rows, root.shape[1] + width):
            raise ValueError(f"the rows of jackknife+ have shape {kept.shape}")
        residual = np.where(kept[:, -1] < 0.0, np.inf, kept[:, -1])
        return cls(method, coverage, rows, margin, None, whitened, LeftOut(kept[:, :-2], kept[:, -2], residual))


def _parts(coordinates: Coordinates, theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    return coordinates.weights_and_bias(theta)[0], coordinates.centre, coordinates.scale


def panels(rows: int, features: int) -> list[np.ndarray[tuple[int], np.dtype[np.intp]]]:
    """Positions of rows, as many at once as a design of so many features may hold."""
    step = max(PANEL_VALUES // max(features, 1), 1)
    return [np.arange(start, min(start + step, rows)) for start in range(0, rows, step)]

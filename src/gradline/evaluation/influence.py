"""How much each training row decides the fit: its leverage and its Cook's distance.

    h_i = (w_i/W)(1 + z_i'(R + Λ)⁻¹z_i),   D_i = w_i e_i² h_i / (k σ² (1 − h_i)²),   σ² = Σ w e² / (W − k),   k = Σ h_i

z are the features in deviations from the training means, R their correlations, Λ the penalty; both from the moments in the model.
The error of a row under the fit to all others is e_i/(1 − h_i), with the penalty, the imputed means and the coordinates of all rows;
generalised cross-validation, with h_i at its mean: √(Σ w e²/W)/(1 − k/W).  (Golub, Heath & Wahba, Technometrics 1979.)

Since Σ h_i over the training rows is known beforehand, a sum that comes to it shows that the rows are those of the training.
(Cook, Technometrics 1977.)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.maths.quadratic import EPSILON, quadratic_loss
from gradline.types import Notice, finite_or_none

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.maths.coordinates import Coordinates
    from gradline.maths.moments import Moments
    from gradline.representation.features import Representation
    from gradline.types import Decoded, FloatArray, IntArray, Json

MOST_FEATURES = 2_000
PANEL_VALUES = 1 << 16  # of the design at once: they stay in the cache
MOST_KEPT = 10  # rows
SAME_ROWS = 1e-7  # |Σh − k|/k, up to which the rows are those of the training
DECIDES = 1.0  # Cook's distance: without the row the coefficients would move by as much as their own joint error
FITTED = 1e-9  # 1 − h, below which the fit goes through the row whatever its target


class _Row(NamedTuple):
    file: int
    row: int
    leverage: float
    influence: float  # w e² h/(1 − h)²
    error: float


class Whitening(NamedTuple):
    """Z'Z of the training rows → 1: leverage is the square of z @ root, of one row. expected: Σ h over all training rows."""

    root: FloatArray  # (p, rank)
    weight: float
    expected: float
    intercept: bool

    def leverage(self, Z: FloatArray) -> FloatArray:
        """Of rows in standard coordinates (n, p), each of weight one, (n,)."""
        white = Z @ self.root
        found: FloatArray = (np.einsum("ij,ij->i", white, white) + float(self.intercept)) / self.weight
        return found


def whitening(moments: Moments, coordinates: Coordinates, l2: float) -> Whitening:
    """From the moments of the training rows; `l2` is λ in the loop's coordinates."""
    standard = coordinates.standard()
    p = len(standard.mean)
    free = quadratic_loss(moments, standard).hessian[:p, :p]
    penalty = l2 * (coordinates.scale / coordinates.deviation) ** 2
    values, vectors = np.linalg.eigh(free + np.diag(penalty))
    kept = values > 8.0 * (p + 1) * EPSILON * values[-1]
    root = vectors[:, kept] / np.sqrt(values[kept])
    expected = float(np.sum(root * (free @ root))) + float(coordinates.intercept)
    return Whitening(root, moments.weight, expected, coordinates.intercept)


@dataclass
class Influences:
    """Sums over the rows that were trained on, block by block, and the most influential of them."""

    representation: Representation
    coordinates: Coordinates
    theta: FloatArray
    moments: Moments
    l2: float
    log_target: bool
    _whitening: Whitening = field(init=False)
    _rows: int = 0
    _leverage: float = 0.0
    _squares: float = 0.0
    _left_out: float = 0.0
    _largest: float = 0.0
    _kept: list[_Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        """What leverage needs, once."""
        self._whitening = whitening(self.moments, self.coordinates, self.l2)

    def add(self, decoded: Decoded, y: FloatArray, weight: FloatArray | None, file: int, row: IntArray) -> None:
        """Some more training rows, (n,) each; `row` are their numbers."""
        step = max(PANEL_VALUES // max(len(self.coordinates.mean), 1), 1)
        for start in range(0, len(y), step):
            at = np.arange(start, min(start + step, len(y)))
            self._panel(decoded.take(at), y[at], None if weight is None else weight[at], file, row[at])

    def _panel(self, decoded: Decoded, y: FloatArray, weight: FloatArray | None, file: int, row: IntArray) -> None:
        X = self.representation.design(decoded)
        standard = self.coordinates.standard()
        Z = standard.transformed(X)
        w, b = standard.weights_and_bias(self.coordinates.to_standard(self.theta))
        target = np.log(y) if self.log_target else y
        error = target - (Z @ w + b)
        heavy = np.ones(len(y)) if weight is None else weight
        leverage = heavy * self._whitening.leverage(Z)
        rest = 1.0 - leverage
        fitted = rest <= FITTED
        influence = np.where(fitted, np.inf, heavy * error**2 * leverage / np.where(fitted, 1.0, rest) ** 2)
        self._rows += len(y)
        self._leverage += float(leverage.sum())
        self._squares += float(heavy @ error**2)
        self._left_out += float(heavy @ (error / np.where(fitted, np.inf, rest)) ** 2) if not fitted.any() else np.inf
        self._largest = max(self._largest, float(leverage.max()))
        most = np.argsort(-influence, kind="stable")[:MOST_KEPT].tolist()
        self._kept += [_Row(file, int(row[i]), float(leverage[i]), float(influence[i]), float(error[i])) for i in most]
        self._kept = sorted(self._kept, key=lambda each: -each.influence)[:MOST_KEPT]

    def to_json(self, files: Sequence[str]) -> Json | None:
        """The key `influence` of `evaluate --json`; None where these rows are not the training rows, all of them."""
        k = self._whitening.expected
        spare = self.moments.weight - k
        if self._rows != self.moments.rows or abs(self._leverage - k) > SAME_ROWS * k or spare <= 0.0:
            return None
        scale = k * self._squares / spare
        rows = [
            {
                "file": files[each.file] if each.file < len(files) else None,
                "row": each.row,
                "cook": finite_or_none(each.influence / scale if scale > 0.0 else None),
                "leverage": each.leverage,
                "error": each.error,
            }
            for each in self._kept
        ]
        total = self.moments.weight
        left_out = {
            "rmse": finite_or_none(np.sqrt(self._left_out / total)),
            "gcv_rmse": float(np.sqrt(self._squares / total)) / (1.0 - k / total),
        }
        return {"parameters": k, "largest_leverage": self._largest, "leave_one_out": left_out, "rows": rows}


def influence_doubts(found: Json | None, *, several_files: bool) -> list[Notice]:
    """Rows without which the coefficients would be others."""
    if found is None:
        return []
    odd = [each for each in found["rows"] if each["cook"] is not None and each["cook"] > DECIDES]
    odd += [each for each in found["rows"] if each["leverage"] >= 1.0 - FITTED]
    if not odd:
        return []
    shown = ", ".join(_shown(each, several_files=several_files) for each in odd[:5]) + (" and more" if len(odd) > 5 else "")
    text = (
        f"a few training rows decide the coefficients: {shown}. Are their values right? If not, filter them out with SQL text and train again; if they "
        "are, the coefficients hold for tables with such rows only."
    )
    return [Notice("influential_rows", None, text)]


def _shown(each: Json, *, several_files: bool) -> str:
    where = f"row {each['row']:,}" + (f" of {each['file']}" if several_files and each["file"] else "")
    cook = "the fit goes through it" if each["cook"] is None else f"Cook's distance {each['cook']:.3g}"
    return f"{where} ({cook}, leverage {each['leverage']:.3g})"

"""How good the predictions are, from moments or from the rows, beside the baseline that always says the training mean."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradline.maths.block import block_moments
from gradline.maths.moments import merge
from gradline.types import NumberColumn, plain_numbers

if TYPE_CHECKING:
    from gradline.maths.moments import Moments
    from gradline.maths.quadratic import QuadraticLoss, SquaredError
    from gradline.types import FloatArray, Json


@dataclass(frozen=True, slots=True)
class Metrics:
    """Errors on some rows, in the target's unit.

    rmse: √mean e².  r2: 1 − Σe²/Σ(y − mean y)², by these rows' own mean.  bias: mean of prediction − actual.
    mae: mean |e|, largest: max |e|; None where they were not computed (moments do not hold them).
    """

    rows: int
    rmse: float
    r2: float | None
    bias: float
    mae: float | None = None
    largest: float | None = None

    def to_json(self) -> Json:
        """An entry of `metrics` in the JSON documents."""
        known = {k: v for k, v in asdict(self).items() if k != "rows" and (v is not None or k == "r2")}
        return {"rows": self.rows} | plain_numbers(known)


def from_loss(loss: QuadraticLoss | SquaredError, moments: Moments, theta: FloatArray) -> Metrics:
    """The metrics of θ from moments: exact, and without the data."""
    mean, spread = loss.mean_and_variance(theta)
    bias, square = -mean, spread + mean * mean
    variance = float(moments.comoment[-1, -1]) / moments.weight
    return Metrics(moments.rows, float(np.sqrt(square)), 1.0 - square / variance if variance > 0.0 else None, bias)


def of_constant(moments: Moments, constant: float, column: int = -1) -> Metrics:
    """The metrics of always predicting one number for a column of the moments."""
    variance = float(moments.comoment[column, column]) / moments.weight
    bias = constant - float(moments.mean[column])
    square = variance + bias * bias
    return Metrics(moments.rows, float(np.sqrt(square)), 1.0 - square / variance if variance > 0.0 else None, bias)


class ErrorSums:
    """Errors of predictions, block by block: moments of (prediction, error, actual) and the extremes."""

    def __init__(self) -> None:
        self._moments: Moments | None = None
        self._absolute = 0.0
        self._largest = 0.0

    @np.errstate(over="ignore", invalid="ignore")  # a sum past float64 is null in the metrics
    def add(self, prediction: FloatArray, actual: FloatArray, weight: FloatArray | None = None) -> None:
        """Some more rows, (n,) each."""
        if not len(actual):
            return
        error = prediction - actual
        block = block_moments([NumberColumn("error", error), NumberColumn("actual", actual)], [], len(actual), weight)
        self._moments = block if self._moments is None else merge(self._moments, block)
        self._absolute += float(np.abs(error).sum() if weight is None else np.abs(error) @ weight)
        self._largest = max(self._largest, float(np.abs(error).max()))

    def plus(self, other: ErrorSums) -> None:
        """The rows of another, after these."""
        if other._moments is not None:
            self._moments = other._moments if self._moments is None else merge(self._moments, other._moments)
        self._absolute += other._absolute
        self._largest = max(self._largest, other._largest)

    def metrics(self) -> Metrics | None:
        """The metrics of all rows so far; None without a row."""
        moments = self._moments
        if moments is None or moments.weight == 0.0:
            return None
        bias, (error_square, actual_square) = float(moments.mean[0]), np.diag(moments.comoment) / moments.weight
        square = float(error_square) + bias * bias
        r2 = 1.0 - square / float(actual_square) if actual_square > 0.0 else None
        return Metrics(moments.rows, float(np.sqrt(square)), r2, bias, self._absolute / moments.weight, self._largest)

    @property
    def actual_mean(self) -> float | None:
        """The mean of the actual values; None without a row."""
        return None if self._moments is None else float(self._moments.mean[1])

    def baseline(self, constant: float) -> Metrics | None:
        """The metrics of always predicting one number on the same rows."""
        return None if self._moments is None else of_constant(self._moments, constant)

"""Whether predictions mean what they say, over their range: by tenths, and as a line of actual on predicted.

    actual = a + b·predicted + e;   calibrated: a = 0, b = 1      (Mincer & Zarnowitz, in Economic Forecasts and Expectations, 1969)

Standard errors are robust and by unit (rows, groups, stretches of time), with the leverage's correction: Σ_u (Σ_{i∈u} x_i e_i/(1 − h_i))²
between two (X'WX)⁻¹, which for rows is HC3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from gradline.evaluation.bootstrap import LEAST_UNITS, LEVEL
from gradline.maths.distributions import t_quantile
from gradline.types import Notice, finite_or_none

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.evaluation.bootstrap import Interval
    from gradline.evaluation.uncertainty import Judged
    from gradline.types import FloatArray, Json

TENTHS = 10
LEAST_ROWS = 50  # below so many no line is judged
FLAT = 1e-24  # variance of the predictions to the square of the largest value: they do not vary
MATERIAL = 0.1  # about a slope of 1: no matter


@dataclass(frozen=True, slots=True)
class Tenth:
    """Some rows of like predictions. actual: their mean, with its interval."""

    rows: int
    predicted: float
    actual: Interval

    def to_json(self) -> Json:
        """An entry of `tenths`."""
        return {"rows": self.rows, "predicted": finite_or_none(self.predicted), "actual": self.actual.to_json()}


@dataclass(frozen=True, slots=True)
class Calibration:
    """slope, intercept: b and a, and their standard errors; None where predictions do not vary or are few.  low, high: of the slope."""

    role: str
    tenths: Sequence[Tenth]
    slope: float | None = None
    slope_error: float | None = None
    intercept: float | None = None
    intercept_error: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def off(self) -> bool:
        """Whether the slope is surely, and materially, not 1: its interval is past 0.9 or 1.1."""
        return self.low is not None and self.high is not None and (self.high < 1.0 - MATERIAL or self.low > 1.0 + MATERIAL)

    def to_json(self) -> Json:
        """The entry `assessment.calibration`."""
        return {
            "role": self.role,
            "tenths": [each.to_json() for each in self.tenths],
            "slope": {
                "value": finite_or_none(self.slope),
                "standard_error": finite_or_none(self.slope_error),
                "low": finite_or_none(self.low),
                "high": finite_or_none(self.high),
            },
            "intercept": {"value": finite_or_none(self.intercept), "standard_error": finite_or_none(self.intercept_error)},
        }

    def doubts(self) -> list[Notice]:
        """That predictions are systematically too far from their mean, or too near to it."""
        if not self.off or self.slope is None:
            return []
        text = (
            f"on the {self.role} rows the actual value rises by {self.slope:.3g} ({self.low:.3g} to {self.high:.3g}) for one unit of the "
            "prediction, not by 1: "
        )
        if self.slope < 1.0:
            text += "high predictions are too high and low ones too low. Fewer columns, more rows or --l2 make them calmer."
        else:
            text += "high predictions are too low and low ones too high. Less of a penalty, or columns that bend with the target, mend it."
        return [Notice("miscalibrated", None, text)]


def calibration(rows: Judged) -> Calibration:
    """Of the judged rows."""
    role, w = rows.rows.role.label, rows.weight
    scale = float(max(np.abs(rows.rows.predicted).max(), np.abs(rows.rows.actual).max())) or 1.0  # squares must not overflow
    predicted, actual = rows.rows.predicted / scale, rows.rows.actual / scale
    tenths = _tenths(rows)
    units = rows.bootstrap.units
    few = len(actual) < LEAST_ROWS or units.drawn < LEAST_UNITS
    if few or not np.isfinite(scale) or not w.sum() > 0.0:
        return Calibration(role, tenths)
    centre, total = float(np.average(predicted, weights=w)), float(w.sum())
    x = predicted - centre  # (n,)
    spread = float(w @ x**2)
    if spread <= FLAT * total:
        return Calibration(role, tenths)
    middle = float(np.average(actual, weights=w))
    slope = float(w @ (x * (actual - middle))) / spread
    error = actual - middle - slope * x
    leverage = w * (1.0 / total + x**2 / spread)
    error = error / np.maximum(1.0 - leverage, 1e-12)
    scores = units.sums(np.stack([w * error, w * error * x], axis=1))  # (drawn, 2)
    meat = scores.T @ scores
    variance = meat[1, 1] / spread**2
    back = np.array([1.0 / total, -centre / spread])  # the intercept at a prediction of 0
    half = t_quantile(LEVEL, units.drawn - 1) * float(np.sqrt(variance))
    return Calibration(
        role,
        tenths,
        slope,
        float(np.sqrt(variance)),
        scale * (middle - slope * centre),
        scale * float(np.sqrt(max(float(back @ meat @ back), 0.0))),
        slope - half,
        slope + half,
    )


def _tenths(rows: Judged) -> list[Tenth]:
    predicted, actual, w = rows.rows.predicted, rows.rows.actual, rows.weight
    edges = np.unique(np.quantile(predicted, np.linspace(0.0, 1.0, TENTHS + 1)[1:-1]))
    of = np.searchsorted(edges, predicted, side="left")  # equal predictions are never parted
    count = int(of.max()) + 1
    columns = np.zeros((len(actual), 2 * count))
    at = np.arange(len(actual))
    columns[at, of] = w
    columns[at, count + of] = w * actual
    found = rows.bootstrap.resampled(columns)
    tenths = []
    for i in range(count):
        mine = of == i
        if not mine.any() or not w[mine].any():
            continue
        mean = found.interval(partial(_ratio, above=count + i, below=i))
        tenths.append(Tenth(int(np.count_nonzero(mine)), float(np.average(predicted[mine], weights=w[mine])), mean))
    return tenths


def _ratio(sums: FloatArray, above: int, below: int) -> FloatArray:
    """A mean: one sum over another."""
    ratio: FloatArray = sums[..., above] / sums[..., below]
    return ratio

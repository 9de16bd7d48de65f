"""How sure the metrics are: each with its interval over other rows of the same kind.

    R² = 1 − Σe²/Σ(y − ȳ)²   RMSE = √mean e²   MAE = mean |e|   MAPE = mean |e/y|   bias = mean e,   e = predicted − actual

By the bootstrap of `gradline.evaluation.bootstrap`: of rows, groups or stretches of time. The largest error has no interval: no
resample holds a larger one.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.evaluation.bootstrap import LEVEL, RESAMPLES, Bootstrap, Interval, units_of

if TYPE_CHECKING:
    from gradline.evaluation.kept_rows import Assessed, KeptRows
    from gradline.evaluation.metrics import Metrics
    from gradline.types import FloatArray, Json

NEAR_ZERO = 0.01  # of the mean |actual|: an error is no percentage of less


class Judged(NamedTuple):
    """The rows that judge the model, and their resamples, which every figure of them shares."""

    rows: KeptRows
    bootstrap: Bootstrap
    over_all: Metrics | None  # of all rows of the role, where only a sample is kept

    @property
    def weight(self) -> FloatArray:
        """(n,), ones without weights."""
        return np.ones(len(self.rows.actual)) if self.rows.weight is None else self.rows.weight


def judged(assessed: Assessed, time: FloatArray | None, seed: int) -> Judged:
    """Of what was read of one role; `time`: of its kept rows, where they have an order."""
    rows = assessed.rows
    units = units_of(len(rows.actual), seed, group=rows.group, time=time, error=rows.error)
    return Judged(rows, Bootstrap.of(units, seed), assessed.errors.metrics())


def metric_intervals(rows: Judged) -> dict[str, Interval]:
    """R², RMSE, MAE, median |error|, MAPE, bias and the largest |error|."""
    actual, error, w = rows.rows.actual, rows.rows.error, rows.weight
    size = np.abs(error)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        y = actual - float(np.average(actual, weights=w)) if w.sum() > 0.0 else actual
        relative = size / np.abs(actual)
        columns = np.stack([w, w * error, w * error**2, w * size, w * y, w * y**2, w * relative], axis=1)
        if (reason := no_percentage(actual)) is not None:
            columns[:, 6] = 0.0
        found = rows.bootstrap.resampled(columns)
    intervals = {
        "r2": found.interval(lambda s: 1.0 - s[..., 2] / (s[..., 5] - s[..., 4] ** 2 / s[..., 0])),
        "rmse": found.interval(lambda s: np.sqrt(s[..., 2] / s[..., 0])),
        "mae": found.interval(lambda s: s[..., 3] / s[..., 0]),
        "median_absolute_error": rows.bootstrap.median(size, rows.rows.weight),
        "mape": Interval(None, reason=reason) if reason else found.interval(lambda s: s[..., 6] / s[..., 0]),
        "bias": found.interval(lambda s: s[..., 1] / s[..., 0]),
        "largest": Interval(float(size.max()), reason="the largest of all rows to come is not known"),
    }
    if rows.over_all is None:
        return intervals
    known = {"r2": rows.over_all.r2, "rmse": rows.over_all.rmse, "mae": rows.over_all.mae, "bias": rows.over_all.bias}
    shrunk = sqrt(len(actual) / rows.rows.of)
    intervals["largest"] = intervals["largest"]._replace(value=rows.over_all.largest)
    return intervals | {name: of_all(intervals[name], value, shrunk) for name, value in known.items() if not rows.rows.whole}


def of_all(sample: Interval, value: float | None, shrunk: float) -> Interval:
    """The interval of a figure of all N rows from that of a sample of n: as far from the figure, times √(n/N)."""
    if value is None or sample.value is None or sample.low is None or sample.high is None:
        return sample
    return Interval(value, value - shrunk * (sample.value - sample.low), value + shrunk * (sample.high - sample.value))


def no_percentage(actual: FloatArray) -> str | None:
    """Why errors are no percentages of the actual values; None where they are."""
    least = float(np.abs(actual).min())
    if least < NEAR_ZERO * float(np.abs(actual).mean()) or least == 0.0:
        return f"an actual value is {least:g}: no error is a percentage of that"
    if actual.min() < 0.0 < actual.max():
        return "actual values are of both signs: an error is no percentage of them"
    return None


def how(rows: Judged) -> Json:
    """How the intervals of some rows were made: the entry `resampling`."""
    units = rows.bootstrap.units
    return {
        "by": units.by,
        "units": units.number,
        "stretch_rows": units.length,
        "resamples": RESAMPLES,
        "level": LEVEL,
        "rows": len(rows.rows.actual),
        "sample": not rows.rows.whole,
    }

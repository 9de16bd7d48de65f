"""Two models on the same rows: the errors of each, and the interval of their difference.

    mean of (loss of A − loss of B) over the same rows;   below 0 A is better

for the squared and for the absolute error, by the paired bootstrap of `gradline.evaluation.bootstrap`. Exchanging A and B turns the sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradline.evaluation.bootstrap import LEVEL, RESAMPLES, Bootstrap, Interval
from gradline.evaluation.metrics import ErrorSums

if TYPE_CHECKING:
    from gradline.evaluation.bootstrap import Units
    from gradline.evaluation.metrics import Metrics
    from gradline.types import FloatArray, Json

NAMES = ("a", "b")


@dataclass(frozen=True, slots=True)
class Comparison:
    """metrics: of A and of B.  mse, rmse, mae: A's less B's."""

    units: Units
    metrics: tuple[Metrics, Metrics]
    mse: Interval
    rmse: Interval
    mae: Interval

    @property
    def better(self) -> str | None:
        """`a` or `b`, by the RMSE; None where the difference is within noise."""
        return better_of(self.rmse)

    def to_json(self) -> Json:
        """Keys of the document of `compare`."""
        return {
            "metrics": {name: found.to_json() for name, found in zip(NAMES, self.metrics, strict=True)},
            "difference": {"mse": self.mse.to_json(), "rmse": self.rmse.to_json(), "mae": self.mae.to_json()},
            "better": self.better,
            "better_by_mae": better_of(self.mae),
            "resampling": {
                "by": self.units.by,
                "units": self.units.number,
                "stretch_rows": self.units.length,
                "resamples": RESAMPLES,
                "level": LEVEL,
            },
        }


def better_of(difference: Interval) -> str | None:
    """Whose error is surely the smaller one."""
    if difference.low is None or difference.high is None or difference.low <= 0.0 <= difference.high:
        return None
    return NAMES[0] if difference.high < 0.0 else NAMES[1]


def compare_predictions(actual: FloatArray, a: FloatArray, b: FloatArray, units: Units, seed: int = 0) -> Comparison:
    """Of two predictions of the same rows, (n,) each; n > 0."""
    metrics = []
    for predicted in (a, b):
        sums = ErrorSums()
        sums.add(predicted, actual)
        found = sums.metrics()
        assert found is not None
        metrics.append(found)
    of_a, of_b = a - actual, b - actual
    with np.errstate(over="ignore", invalid="ignore"):
        columns = np.stack([np.ones(len(actual)), of_a**2, of_b**2, np.abs(of_a), np.abs(of_b)], axis=1)
        resampled = Bootstrap.of(units, seed).resampled(columns)
    return Comparison(
        units,
        (metrics[0], metrics[1]),
        resampled.interval(lambda s: (s[..., 1] - s[..., 2]) / s[..., 0]),
        resampled.interval(lambda s: np.sqrt(s[..., 1] / s[..., 0]) - np.sqrt(s[..., 2] / s[..., 0])),
        resampled.interval(lambda s: (s[..., 3] - s[..., 4]) / s[..., 0]),
    )

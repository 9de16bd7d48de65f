"""What the errors cost: a row and in all, beside the mean's and beside predictions moved to where they cost least.

The move is chosen on the validation rows and measured on the test rows, so that it was not chosen on what it is measured by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradline.decisions.cost import PiecewiseLinear
from gradline.types import finite_or_none

if TYPE_CHECKING:
    from gradline.decisions.cost import Cost
    from gradline.evaluation.bootstrap import Interval
    from gradline.evaluation.kept_rows import KeptRows
    from gradline.evaluation.uncertainty import Judged
    from gradline.types import FloatArray, Json

NOT_CHOSEN = "there are no validation rows to choose it on"
ENDLESS = "the cost falls without end on one side: no shift is the best"


@dataclass(frozen=True, slots=True)
class ExpectedCost:
    """Costs a row, in `unit`. rows: the judged ones; scale: of a cost a row to that of all of them.

    less_than_mean, saved: what the model saves a row beside the mean, and the shift beside the model.  shift: None with its reason.
    constant: the one prediction for all rows that costs least, its cost, and what the model saves beside it.
    """

    cost: Cost
    unit: str | None
    role: str
    rows: int
    scale: float
    model: Interval
    mean: Interval
    less_than_mean: Interval
    shift: float | None
    shifted: Interval | None
    saved: Interval | None
    constant: tuple[float, Interval, Interval] | None
    reason: str | None = None

    def to_json(self) -> Json:
        """The entry `assessment.cost`."""
        quantile = self.cost.quantile if isinstance(self.cost, PiecewiseLinear) else None
        shifted = None
        if self.shift is not None and self.shifted is not None and self.saved is not None:
            shifted = {"shift": self.shift, **self._entry(self.shifted), "saved": self.saved.to_json()}
        return {
            **self.cost.to_json(),
            "unit": self.unit,
            "role": self.role,
            "rows": self.rows,
            "model": self._entry(self.model),
            "mean": self._entry(self.mean) | {"saved": self.less_than_mean.to_json()},
            "best_constant": None
            if self.constant is None
            else {"value": self.constant[0], **self._entry(self.constant[1]), "saved": self.constant[2].to_json()},
            "shifted": shifted,
            "reason": self.reason,
            "quantile": quantile,
        }

    def _entry(self, per_row: Interval) -> Json:
        total = None if per_row.value is None else finite_or_none(per_row.value * self.scale)
        return {"per_row": per_row.to_json(), "total": total}


def expected_cost(cost: Cost, unit: str | None, rows: Judged, mean: float, validation: KeptRows | None) -> ExpectedCost:
    """Of the judged rows, beside always predicting `mean`. Raises UsageError for a function that has no cost for one of the errors."""
    w, error = rows.weight, rows.rows.error
    shift, move, reason = _shifts(cost, mean, validation)
    with np.errstate(over="ignore", invalid="ignore"):
        columns = [w, w * cost.of(error), w * cost.of(mean - rows.rows.actual)]
        if shift is not None and move is not None:
            columns += [w * cost.of(error + shift), w * cost.of(mean + move - rows.rows.actual)]
        found = rows.bootstrap.resampled(np.stack(columns, axis=1))
    return ExpectedCost(
        cost,
        unit,
        rows.rows.role.label,
        rows.rows.of,
        float(w.mean()) * rows.rows.of,
        found.interval(lambda s: s[..., 1] / s[..., 0]),
        found.interval(lambda s: s[..., 2] / s[..., 0]),
        found.interval(lambda s: (s[..., 2] - s[..., 1]) / s[..., 0]),
        shift,
        None if shift is None else found.interval(lambda s: s[..., 3] / s[..., 0]),
        None if shift is None else found.interval(lambda s: (s[..., 1] - s[..., 3]) / s[..., 0]),
        None
        if move is None
        else (
            mean + move,
            found.interval(lambda s: s[..., 4] / s[..., 0]),
            found.interval(lambda s: (s[..., 4] - s[..., 1]) / s[..., 0]),
        ),
        reason,
    )


def _shifts(cost: Cost, mean: float, validation: KeptRows | None) -> tuple[float | None, float | None, str | None]:
    """What to add to every prediction, and what to the mean; or why neither is known."""
    if validation is None or not len(validation.actual):
        return None, None, NOT_CHOSEN
    weight: FloatArray = np.ones(len(validation.actual)) if validation.weight is None else validation.weight
    shift, move = (cost.shift(error, weight) for error in (validation.error, mean - validation.actual))
    return (None, None, ENDLESS) if shift is None or move is None else (shift, move, None)

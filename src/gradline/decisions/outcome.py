"""What a policy comes to on some rows: hits, false alarms, misses and their cost, each with an interval, beside doing nothing clever.

precision = hits/acted,   recall = hits/events    with Wilson's intervals (JASA 22, 1927)
cost a row, and how much less it is than another policy's on the same rows: mean ± z s/√n
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.types import finite_or_none

if TYPE_CHECKING:
    from gradline.decisions.policy import Costs
    from gradline.types import BoolArray, FloatArray, Json

Z = 1.959963984540054  # of the 95% intervals
LEVEL = 0.95


class Outcome(NamedTuple):
    """The weight of rows (their number, without weights) by what was done and what happened. rows: how many independent ones they are
    worth: fewer than there are where weights differ; the groups, where rows come in groups.
    """

    hits: float
    false_alarms: float
    misses: float
    rests: float
    rows: float

    @classmethod
    def of(cls, acted: BoolArray, happened: BoolArray, weight: FloatArray | None = None, groups: int | None = None) -> Outcome:
        """From the rows, (n,) each."""
        heavy = np.ones(len(acted)) if weight is None else weight
        square = float(heavy @ heavy)
        worth = float(heavy.sum()) ** 2 / square if square > 0.0 else 0.0
        return cls(
            float(heavy[acted & happened].sum()),
            float(heavy[acted & ~happened].sum()),
            float(heavy[~acted & happened].sum()),
            float(heavy[~acted & ~happened].sum()),
            worth if groups is None else min(worth, float(groups)),
        )

    def plus(self, other: Outcome) -> Outcome:
        """Of these rows and others."""
        return Outcome(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def weight(self) -> float:
        """Of all rows."""
        return self.hits + self.false_alarms + self.misses + self.rests

    def cost(self, costs: Costs) -> Estimate:
        """A row's, on average."""
        return self._mean((costs.hit, costs.false_alarm, costs.miss, 0.0))

    def saving(self, costs: Costs, *, always: bool) -> Estimate:
        """How much less a row costs than with a policy that always acts, or never does: on the same rows, so that what both get right or
        wrong does not blur the difference.
        """
        if always:
            return self._mean((0.0, 0.0, costs.hit - costs.miss, costs.false_alarm))
        return self._mean((costs.miss - costs.hit, -costs.false_alarm, 0.0, 0.0))

    def _mean(self, values: tuple[float, float, float, float]) -> Estimate:
        if self.weight == 0.0:
            return Estimate(None, None, None)
        shares = [part / self.weight for part in self[:4]]
        mean = sum(share * value for share, value in zip(shares, values, strict=True))
        variance = sum(share * (value - mean) ** 2 for share, value in zip(shares, values, strict=True))
        half = Z * sqrt(variance / max(self.rows - 1.0, 1.0))
        return Estimate(mean, mean - half, mean + half)

    def _share(self, part: float, of: float) -> Estimate:
        return wilson(part / of, self.rows * of / self.weight) if of > 0.0 else Estimate(None, None, None)

    @property
    def precision(self) -> Estimate:
        """Of the rows acted on, with the event."""
        return self._share(self.hits, self.hits + self.false_alarms)

    @property
    def recall(self) -> Estimate:
        """Of the rows with the event, acted on."""
        return self._share(self.hits, self.hits + self.misses)

    def to_json(self, costs: Costs) -> Json:
        """Counts, shares and cost."""
        return {
            "hits": self.hits,
            "false_alarms": self.false_alarms,
            "misses": self.misses,
            "rests": self.rests,
            "cost": self.cost(costs).to_json(),
            "precision": self.precision.to_json(),
            "recall": self.recall.to_json(),
        }


class Estimate(NamedTuple):
    """A figure and its 95% interval; None where there are no rows to tell."""

    value: float | None
    low: float | None
    high: float | None

    def to_json(self) -> Json:
        """See `Outcome.to_json`."""
        return {name: finite_or_none(value) for name, value in self._asdict().items()}


def wilson(share: float, rows: float) -> Estimate:
    """Of a share of so many independent rows."""
    centre, half = share + Z * Z / (2.0 * rows), Z * sqrt(share * (1.0 - share) / rows + Z * Z / (4.0 * rows * rows))
    scale = 1.0 + Z * Z / rows
    return Estimate(share, (centre - half) / scale if share > 0.0 else 0.0, (centre + half) / scale if share < 1.0 else 1.0)


def compared(costs: Costs, own: Outcome, at_event: Outcome) -> Json:
    """A policy's outcome, beside acting always, never, and where the prediction itself is the event."""
    events, others = own.hits + own.misses, own.false_alarms + own.rests
    return {
        **own.to_json(costs),
        "always": Outcome(events, others, 0.0, 0.0, own.rows).to_json(costs),
        "never": Outcome(0.0, 0.0, events, others, own.rows).to_json(costs),
        "at_event": at_event.to_json(costs),
        "saving": {
            "always": own.saving(costs, always=True).to_json(),
            "never": own.saving(costs, always=False).to_json(),
        },
    }

"""What a policy comes to on some rows: hits, false alarms, misses and their cost, each with an interval, beside doing nothing clever.

    s_u = (hits, false alarms, misses, rests) of unit u,   s = Σ s_u,   G = Σ s_u s_u'
    R = v's/b's,   Var R ≈ U/(U − 1) q'Gq/(b's)²,   q = v − R b

Precision, recall and cost a row are all such ratios R. A unit is a row, or rows that depend on each other: a group, a stretch of time. Of
rows alone this is the variance of a mean or a share. Shares have Wilson's interval for as many independent rows as that variance is of, R(1 − R)/Var R
(JASA 22, 1927); costs, and how much less they are than another policy's on the same rows, the normal one.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.types import finite_or_none

if TYPE_CHECKING:
    from gradline.decisions.policy import Costs
    from gradline.types import BoolArray, FloatArray, IntArray, Json

Z = 1.959963984540054  # of the 95% intervals
LEVEL = 0.95
PARTS = ("hits", "false_alarms", "misses", "rests")
ALL = np.ones(4)
ACTED, HAPPENED = np.array([1.0, 1.0, 0.0, 0.0]), np.array([1.0, 0.0, 1.0, 0.0])
HIT = np.array([1.0, 0.0, 0.0, 0.0])


class Estimate(NamedTuple):
    """A figure and its 95% interval; None where there are no rows to tell."""

    value: float | None
    low: float | None
    high: float | None

    def to_json(self) -> Json:
        """See `Outcome.to_json`."""
        return {name: finite_or_none(value) for name, value in self._asdict().items()}


UNKNOWN = Estimate(None, None, None)


class Outcome(NamedTuple):
    """sums: (4,) the weight of the rows (their number, without weights) by PARTS.  gram: (4, 4) G.  units: U."""

    sums: FloatArray
    gram: FloatArray
    units: int

    @classmethod
    def of(cls, acted: BoolArray, happened: BoolArray, weight: FloatArray | None = None, unit: IntArray | None = None) -> Outcome:
        """From the rows, (n,) each. unit: 0 … U − 1, of each row; None where rows are independent."""
        heavy = np.ones(len(acted)) if weight is None else weight
        part = np.where(acted, np.where(happened, 0, 1), np.where(happened, 2, 3))
        if unit is None:  # a row has one part: G is diagonal
            sums, squares = (np.bincount(part, weights=values, minlength=4).astype(np.float64) for values in (heavy, heavy**2))
            return cls(sums, np.diag(squares), len(acted))
        units = int(unit.max()) + 1 if len(unit) else 0
        by_unit = np.bincount(4 * unit + part, weights=heavy, minlength=4 * units).astype(np.float64).reshape(units, 4)
        return cls(by_unit.sum(axis=0), by_unit.T @ by_unit, units)

    @classmethod
    def none(cls) -> Outcome:
        """Of no rows."""
        return cls(np.zeros(4), np.zeros((4, 4)), 0)

    def plus(self, other: Outcome) -> Outcome:
        """Of these units and others."""
        return Outcome(self.sums + other.sums, self.gram + other.gram, self.units + other.units)

    def acting(self, *, always: bool) -> Outcome:
        """Of the same rows, had one always acted, or never."""
        to = np.zeros((4, 4))  # [from, to]: the event stays what it was
        to[[0, 2], 0 if always else 2] = 1.0
        to[[1, 3], 1 if always else 3] = 1.0
        return Outcome(self.sums @ to, to.T @ self.gram @ to, self.units)

    @property
    def weight(self) -> float:
        """Of all rows."""
        return float(self.sums.sum())

    @property
    def base_rate(self) -> float | None:
        """The share of rows with the event."""
        return float(HAPPENED @ self.sums) / self.weight if self.weight else None

    def cost(self, costs: Costs) -> Estimate:
        """A row's, on average."""
        return self._mean(np.array([costs.hit, costs.false_alarm, costs.miss, 0.0]))

    def saving(self, costs: Costs, *, always: bool) -> Estimate:
        """How much less a row costs than with a policy that always acts, or never does: on the same rows, so that what both get right or
        wrong does not blur the difference.
        """
        if always:
            return self._mean(np.array([0.0, 0.0, costs.hit - costs.miss, costs.false_alarm]))
        return self._mean(np.array([costs.miss - costs.hit, -costs.false_alarm, 0.0, 0.0]))

    @property
    def precision(self) -> Estimate:
        """Of the rows acted on, with the event."""
        return self._share(HIT, ACTED)

    @property
    def recall(self) -> Estimate:
        """Of the rows with the event, acted on."""
        return self._share(HIT, HAPPENED)

    def _mean(self, v: FloatArray) -> Estimate:
        if self.weight == 0.0:
            return UNKNOWN
        ratio = float(v @ self.sums) / self.weight
        half = Z * sqrt(self._variance(v, ALL, ratio) * self.units / max(self.units - 1, 1))
        return Estimate(ratio, ratio - half, ratio + half)

    def _share(self, v: FloatArray, b: FloatArray) -> Estimate:
        whole = float(b @ self.sums)
        if whole == 0.0:
            return UNKNOWN
        share = float(v @ self.sums) / whole
        variance = self._variance(v, b, share)
        # of a share of 0 or 1 there is no variance: then as many as the units' sizes are worth (Kish)
        rows = share * (1.0 - share) / variance if 0.0 < share < 1.0 and variance > 0.0 else whole**2 / float(b @ self.gram @ b)
        return wilson(share, rows)

    def _variance(self, v: FloatArray, b: FloatArray, ratio: float) -> float:
        q = v - ratio * b
        return max(float(q @ self.gram @ q), 0.0) / float(b @ self.sums) ** 2

    def to_json(self, costs: Costs) -> Json:
        """Counts, shares and cost."""
        return {
            **dict(zip(PARTS, map(float, self.sums), strict=True)),
            "cost": self.cost(costs).to_json(),
            "precision": self.precision.to_json(),
            "recall": self.recall.to_json(),
        }


def wilson(share: float, rows: float) -> Estimate:
    """Of a share of so many independent rows."""
    centre, half = share + Z * Z / (2.0 * rows), Z * sqrt(share * (1.0 - share) / rows + Z * Z / (4.0 * rows * rows))
    scale = 1.0 + Z * Z / rows
    low = (centre - half) / scale if share > 0.0 else 0.0
    return Estimate(share, low, (centre + half) / scale if share < 1.0 else 1.0)


def compared(costs: Costs, own: Outcome, at_event: Outcome) -> Json:
    """A policy's outcome, beside acting always, never, and where the prediction itself is the event."""
    return {
        **own.to_json(costs),
        "always": own.acting(always=True).to_json(costs),
        "never": own.acting(always=False).to_json(costs),
        "at_event": at_event.to_json(costs),
        "saving": {name: own.saving(costs, always=name == "always").to_json() for name in ("always", "never")},
    }

"""Where the model is worse than its average, or off to one side: parts of the rows found on some rows and confirmed on others.

    worse    mean |e| in the segment > mean |e| in the rest          biased    mean e in the segment ≠ 0
    t = (m_s − m_r)/√V                                                t = m_s/√V_s

Searched are the levels of categories, fifths of numbers, missing values, and pairs of the best of them. The 15 most striking of
each kind are tested on rows that the search never saw, and all tests together are corrected by Holm's steps: with no such segment
there is, in 95 of 100 tables, none reported (Holm, Scandinavian Journal of Statistics 6, 1979; Welch, Biometrika 34, 1947). Errors are
capped at the 99th percentile of the search rows, so that no single row makes a segment; V is by unit, as in `gradline.evaluation.bootstrap`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gradline.evaluation.bootstrap import LEAST_UNITS
from gradline.evaluation.segment_search import LEAST_ROWS, coded_columns, some, strongest
from gradline.maths.distributions import t_two_sided
from gradline.types import Notice, finite_or_none

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.evaluation.kept_rows import KeptRows
    from gradline.evaluation.segment_search import Candidate, Shown, Sides
    from gradline.types import BoolArray, FloatArray, IntArray, Json

RATE = 0.05  # of tables without such a segment in which one is reported
CAP = 0.99
LISTED = 1.1  # times the error of all rows: less is not worth a line
ALARMING = 2.5  # times the error of all rows: worth a warning; honest tables whose errors grow with the target reach 2.4
MUCH_WORSE = 1.5  # times as bad as what it overlaps: worth a line of its own
MUCH_BIAS = 0.1  # of the RMSE: less is not worth a line
NO_SEARCH = "there are too few held-out rows to search some and to confirm on others"


@dataclass(frozen=True, slots=True)
class Segment:
    """A confirmed segment, measured on the confirming rows. ratio: its mean |e| to that of all.  p: corrected."""

    condition: str
    rows: int
    rmse: float
    mae: float
    bias: float
    ratio: float | None
    p: float

    def times(self, scale: float) -> Segment:
        """The same in another unit."""
        return replace(self, rmse=scale * self.rmse, mae=scale * self.mae, bias=scale * self.bias)

    def to_json(self) -> Json:
        """An entry of `worse` or `biased`."""
        figures = {name: finite_or_none(getattr(self, name)) for name in ("rmse", "mae", "bias", "ratio", "p")}
        return {"condition": self.condition, "rows": self.rows, **figures}


@dataclass(frozen=True, slots=True)
class Segments:
    """What was searched, and what was found. searched, confirmed: (role, rows).  tried: conditions; tested: of them, on other rows."""

    searched: tuple[str, int]
    confirmed: tuple[str, int]
    tried: int
    tested: int
    rmse: float
    mae: float
    bias: float
    worse: Sequence[Segment]
    biased: Sequence[Segment]

    def to_json(self) -> Json:
        """The entry `assessment.segments`."""
        return {
            "searched": {"role": self.searched[0], "rows": self.searched[1]},
            "confirmed": {"role": self.confirmed[0], "rows": self.confirmed[1]},
            "conditions": self.tried,
            "tested": self.tested,
            "correction": "Holm",
            "rate": RATE,
            "least_rows": LEAST_ROWS,
            "overall": {name: finite_or_none(getattr(self, name)) for name in ("rmse", "mae", "bias")},
            "worse": [each.to_json() for each in self.worse],
            "biased": [each.to_json() for each in self.biased],
        }

    def doubts(self) -> list[Notice]:
        """Where the model errs much more than on average."""
        bad = [each for each in self.worse if each.ratio is not None and each.ratio >= ALARMING]
        if not bad:
            return []
        worst = max(bad, key=lambda each: each.ratio or 0.0)
        more = f" {len(bad) - 1} more such segments are in the report." if len(bad) > 2 else ""
        more = " One more is in the report." if len(bad) == 2 else more
        text = (
            f"where {worst.condition}, errors are {worst.ratio:.2g} times as large as on average (mean |error| {worst.mae:.4g} against "
            f"{self.mae:.4g}, {worst.rows:,} of {self.confirmed[1]:,} rows).{more} Do not trust the average error there; columns that "
            "tell these rows apart, or a model of their own, may help."
        )
        return [Notice("worse_segment", None, text)]


def segments(sides: Sides, shown: Shown = lambda name, value: f"{value:.6g}") -> Segments:
    """Search and confirm."""
    scale = float(max(np.abs(each.error).max() for each in (sides.search, sides.confirm))) or 1.0  # squares must not overflow
    e, w = _error_and_weight(sides.search, sides.at, scale)
    cap = float(np.quantile(np.abs(e), CAP))
    columns = coded_columns(sides, shown)
    e_test, w_test = _error_and_weight(sides.confirm, sides.on, scale)
    unit = sides.units.of[sides.on]
    worse, pairs = strongest(columns, np.minimum(np.abs(e), cap), w, bias=False)
    biased, more = strongest(columns, np.clip(e, -cap, cap), w, bias=True)
    tests = [(each, False) for each in worse] + [(each, True) for each in biased]
    capped = np.clip(e_test, -cap, cap)
    p_values = [
        _p_of_bias(each.confirm, capped, w_test, unit) if bias else _p_of_worse(each.confirm, np.abs(capped), w_test, unit)
        for each, bias in tests
    ]
    mae, rmse = float(np.average(np.abs(e_test), weights=w_test)), float(np.sqrt(np.average(e_test**2, weights=w_test)))
    confirmed = [(each, bias, p) for (each, bias), p in zip(tests, holm(p_values), strict=True) if p <= RATE]
    found = {}
    for of_bias in (False, True):
        some = [(each.confirm, _measured(each, e_test, w_test, mae, p)) for each, bias, p in confirmed if bias is of_bias]
        found[of_bias] = _telling(some, e_test, w_test, MUCH_BIAS * rmse if of_bias else LISTED * mae, bias=of_bias)
    return Segments(
        (sides.search.role.label, len(sides.at)),
        (sides.confirm.role.label, len(sides.on)),
        sum(len(np.unique(each.search[each.search >= 0])) for each in columns) + pairs + more,
        len(tests),
        scale * rmse,
        scale * mae,
        scale * float(np.average(e_test, weights=w_test)),
        sorted((each.times(scale) for each in found[False]), key=lambda each: -(each.ratio or 0.0)),
        sorted((each.times(scale) for each in found[True]), key=lambda each: -abs(each.bias)),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected for how many there are: the chance that any is as small, whatever depends on what."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(p_values))
    highest = 0.0
    for rank, at in enumerate(order):
        highest = max(highest, min((len(p_values) - rank) * p_values[at], 1.0))
        corrected[at] = highest
    return corrected.tolist()


def _telling(
    found: Sequence[tuple[BoolArray, Segment]], e: FloatArray, w: FloatArray, least: float, *, bias: bool
) -> list[Segment]:
    """Without what another one says already: the surest first, then those of whose rows a third is outside of these and as bad, or which are much worse."""
    covered = np.zeros(len(e), dtype=np.bool_)
    kept: list[tuple[BoolArray, Segment]] = []
    for inside, segment in sorted(found, key=lambda each: each[1].p):
        size = _size(segment, bias=bias)
        alone = inside & ~covered
        outside = 0.0
        if np.count_nonzero(alone) >= max(LEAST_ROWS, segment.rows // 3):
            outside = abs(float(np.average(e[alone] if bias else np.abs(e[alone]), weights=some(w[alone]))))
        around = max((_size(other, bias=bias) for rows, other in kept if np.any(rows & inside)), default=0.0)
        own = least if not bias else max(least, size * 2.0 / 3.0)
        if size >= least and (outside >= own or size >= MUCH_WORSE * around):
            kept.append((inside, segment))
            covered |= inside
    return [segment for _, segment in kept]


def _size(segment: Segment, *, bias: bool) -> float:
    return abs(segment.bias) if bias else segment.mae


# ---- the confirmation


def _error_and_weight(rows: KeptRows, at: IntArray, scale: float) -> tuple[FloatArray, FloatArray]:
    return rows.error[at] / scale, np.ones(len(at)) if rows.weight is None else rows.weight[at]


def _mean(inside: BoolArray, a: FloatArray, w: FloatArray, unit: IntArray) -> tuple[float, float, FloatArray, int]:
    """A mean in some rows, its variance by unit, the scores of the units, and how many units there are."""
    weight = some(w[inside])
    mean = float(np.average(a[inside], weights=weight))
    rows = np.bincount(unit[inside], minlength=int(unit.max()) + 1)
    g = int(np.count_nonzero(rows))
    scores = np.bincount(unit[inside], weights=weight * (a[inside] - mean), minlength=len(rows)) / weight.sum()
    return mean, float(scores @ scores) * g / max(g - 1, 1), scores, g


def _p_of_worse(inside: BoolArray, a: FloatArray, w: FloatArray, unit: IntArray) -> float:
    """That the segment's mean is larger than the rest's by chance: one-sided."""
    mean, variance, scores, g = _mean(inside, a, w, unit)
    rest, other, others, h = _mean(~inside, a, w, unit)
    total = variance + other - 2.0 * float(scores @ others)  # of units that have rows in both
    if min(g, h) < LEAST_UNITS or not total > 0.0:
        return 1.0
    freedom = (variance + other) ** 2 / (variance**2 / (g - 1) + other**2 / (h - 1))
    t = (mean - rest) / np.sqrt(total)
    tails = float(t_two_sided(np.array([t]), freedom)[0])
    return tails / 2.0 if t > 0.0 else 1.0 - tails / 2.0


def _p_of_bias(inside: BoolArray, e: FloatArray, w: FloatArray, unit: IntArray) -> float:
    """That the segment's mean error is as far from 0 by chance: two-sided."""
    mean, variance, _, g = _mean(inside, e, w, unit)
    if g < LEAST_UNITS or not variance > 0.0:
        return 1.0
    return float(t_two_sided(np.array([mean / np.sqrt(variance)]), g - 1)[0])


def _measured(candidate: Candidate, error: FloatArray, w: FloatArray, mae: float, p: float) -> Segment:
    """The figures of a segment, of errors as they are, not capped."""
    inside = candidate.confirm
    e, weight = error[inside], some(w[inside])
    own = float(np.average(np.abs(e), weights=weight))
    rmse, bias = float(np.sqrt(np.average(e**2, weights=weight))), float(np.average(e, weights=weight))
    return Segment(candidate.words, int(np.count_nonzero(inside)), rmse, own, bias, own / mae if mae > 0.0 else None, p)

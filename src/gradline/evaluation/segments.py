"""Where the model is worse than its average, or off to one side: parts of the rows found on some rows and confirmed on others.

    worse    mean |e| in the segment > mean |e| in the rest          biased    mean e in the segment ≠ 0
    t = (m_s − m_r)/√V                                                t = m_s/√V_s

Searched are the levels of categories, fifths of numbers, missing values, and pairs of the best of them. The MOST_TESTED most striking of
each kind are tested on rows that the search never saw, and all tests together are corrected by Holm's steps: with no such segment
there is, in 95 of 100 tables, none reported (Holm, Scandinavian Journal of Statistics 6, 1979; Welch, Biometrika 34, 1947). Errors are
capped at the 99th percentile of the search rows, so that no single row makes a segment; V is by unit, as in `gradline.evaluation.bootstrap`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.evaluation.bootstrap import LEAST_UNITS
from gradline.maths.distributions import t_two_sided
from gradline.types import Notice, finite_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gradline.evaluation.bootstrap import Units
    from gradline.evaluation.kept_rows import KeptRows
    from gradline.types import BoolArray, CategoryColumn, Decoded, FloatArray, IntArray, Json, NumberColumn

    Shown = Callable[[str, float], str]  # a number of a column, to be read

RATE = 0.05  # of tables without such a segment in which one is reported
CAP = 0.99
LEAST_ROWS = 30  # of a segment, in the search and in the confirmation
FIFTHS = 5
FEW_VALUES = 7  # up to so many, a number's values are levels
MOST_SINGLES = 10  # of which pairs are made
MOST_TESTED = 15
MORE = 1.1  # times as much as each of its halves, or a pair says nothing new
ALARMING = 2.5  # times the error of all rows: worth a warning; honest tables whose errors grow with the target reach 2.4
MUCH_WORSE = 1.5  # times as bad as what it overlaps: worth a line of its own
MUCH_BIAS = 0.1  # of the RMSE: less is not worth a line
LONGEST_LEVEL = 60
NO_SEARCH = "there are too few held-out rows to search some and to confirm on others"


class Coded(NamedTuple):
    """A column cut into parts. search, confirm: (n,) and (m,) the part of each row, −1 where it is in none that is tried.

    words: of each part: `origin = JFK`, `17 < hour ≤ 21`.
    """

    column: str
    search: IntArray
    confirm: IntArray
    words: Sequence[str]


class Part(NamedTuple):
    """One part of a column."""

    of: Coded
    code: int

    @property
    def words(self) -> str:
        """Its condition."""
        return self.of.words[self.code]

    @property
    def search(self) -> BoolArray:
        """Which of the search rows are in it, (n,)."""
        found: BoolArray = self.of.search == self.code
        return found

    @property
    def confirm(self) -> BoolArray:
        """Which of the confirming rows are in it, (m,)."""
        found: BoolArray = self.of.confirm == self.code
        return found


class Candidate(NamedTuple):
    """One part, or two of different columns. strength: how striking it was on the search rows."""

    parts: tuple[Part, ...]
    strength: float

    @property
    def words(self) -> str:
        """Its condition."""
        return " and ".join(part.words for part in self.parts)

    @property
    def confirm(self) -> BoolArray:
        """Which of the confirming rows are in it."""
        found: BoolArray = np.logical_and.reduce([part.confirm for part in self.parts])
        return found


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


class Sides(NamedTuple):
    """The rows that are searched and those that confirm, of one table or of two; (n,) and (m,). units: of the confirming rows."""

    search: KeptRows
    at: IntArray
    confirm: KeptRows
    on: IntArray
    units: Units


def sides_of(validation: KeptRows | None, test: KeptRows, units: Units) -> Sides | None:
    """Search the validation rows and confirm on the test rows; without validation rows on two halves of these. None of too few."""
    everything = np.arange(len(test.actual))
    if validation is not None and len(validation.actual) >= 2 * LEAST_ROWS:
        sides = Sides(validation, np.arange(len(validation.actual)), test, everything, units)
    else:
        half = np.arange(units.number) % 2 if units.length else np.random.default_rng(units.number).permutation(units.number) % 2
        mine = half[units.of] == 0
        sides = Sides(test, everything[mine], test, everything[~mine], units)
    enough = len(sides.at) >= 2 * LEAST_ROWS and len(sides.on) >= 2 * LEAST_ROWS
    enough &= bool(np.isfinite(sides.search.error).all() and np.isfinite(test.error).all())
    return sides if enough and len(np.unique(units.of[sides.on])) >= 2 * LEAST_UNITS else None


def segments(sides: Sides, shown: Shown = lambda name, value: f"{value:.6g}") -> Segments:
    """Search and confirm."""
    scale = float(max(np.abs(each.error).max() for each in (sides.search, sides.confirm))) or 1.0  # squares must not overflow
    e, w = _error_and_weight(sides.search, sides.at, scale)
    cap = float(np.quantile(np.abs(e), CAP))
    columns = coded_columns(sides, shown)
    e_test, w_test = _error_and_weight(sides.confirm, sides.on, scale)
    unit = sides.units.of[sides.on]
    worse, pairs = _strongest(columns, np.minimum(np.abs(e), cap), w, bias=False)
    biased, more = _strongest(columns, np.clip(e, -cap, cap), w, bias=True)
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
        found[of_bias] = _telling(some, e_test, w_test, MUCH_BIAS * rmse if of_bias else MORE * mae, bias=of_bias)
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
            outside = abs(float(np.average(e[alone] if bias else np.abs(e[alone]), weights=_some(w[alone]))))
        around = max((_size(other, bias=bias) for rows, other in kept if np.any(rows & inside)), default=0.0)
        own = least if not bias else max(least, size * 2.0 / 3.0)
        if size >= least and (outside >= own or size >= MUCH_WORSE * around):
            kept.append((inside, segment))
            covered |= inside
    return [segment for _, segment in kept]


def _size(segment: Segment, *, bias: bool) -> float:
    return abs(segment.bias) if bias else segment.mae


# ---- the search


def coded_columns(sides: Sides, shown: Shown) -> list[Coded]:
    """Every column, cut into its values or fifths; parts with too few rows on either side are left out."""
    search, confirm = sides.search.decoded, sides.confirm.decoded
    numbers = [_coded_number(mine, other, sides, shown) for mine, other in zip(search.numbers, confirm.numbers, strict=True)]
    categories = [_coded_category(each, _of_name(confirm, each.name), sides) for each in search.categories]
    return [_with_rows_enough(each) for each in (*numbers, *categories)]


def _of_name(decoded: Decoded, name: str) -> CategoryColumn:
    return next(category for category in decoded.categories if category.name == name)


def _coded_number(mine: NumberColumn, other: NumberColumn, sides: Sides, shown: Shown) -> Coded:
    search, confirm, name = mine.values[sides.at], other.values[sides.on], mine.name
    present = search[~np.isnan(search)]
    edges = np.unique(present)
    if len(edges) <= FEW_VALUES:
        words = [f"{name} = {shown(name, value)}" for value in edges.tolist()]
        of, on = (np.where(np.isin(values, edges), np.searchsorted(edges, values), -1) for values in (search, confirm))
    else:
        edges = np.unique(np.quantile(present, np.linspace(0.0, 1.0, FIFTHS + 1)[1:-1], method="inverted_cdf"))
        limits = [None, *(shown(name, edge) for edge in edges.tolist()), None]
        words = [_between(name, low, high) for low, high in pairwise(limits)]
        of, on = np.searchsorted(edges, search, side="left"), np.searchsorted(edges, confirm, side="left")
    of, on = (np.where(np.isnan(values), len(words), codes) for values, codes in ((search, of), (confirm, on)))
    return Coded(name, of, on, [*words, f"{name} is missing"])


def _between(name: str, low: str | None, high: str | None) -> str:
    if low is None:
        return f"{name} ≤ {high}" if high is not None else f"{name} is there"
    return f"{name} > {low}" if high is None else f"{low} < {name} ≤ {high}"


def _coded_category(mine: CategoryColumn, other: CategoryColumn, sides: Sides) -> Coded:
    place = {level: i for i, level in enumerate(mine.levels)}
    missing = len(mine.levels) if mine.missing_is_level else -1
    own = np.array([*range(len(mine.levels)), missing], dtype=np.intp)
    theirs = np.array([place.get(level, -1) for level in other.levels] + [missing], dtype=np.intp)
    levels = ["(other)" if code == mine.rest else level for code, level in enumerate(mine.levels)]
    levels = [level if len(level) <= LONGEST_LEVEL else level[:LONGEST_LEVEL] + "…" for level in levels]
    words = [*(f"{mine.name} = {level}" for level in levels), f"{mine.name} is missing"]
    return Coded(mine.name, own[mine.codes[sides.at]], theirs[other.codes[sides.on]], words)


def _with_rows_enough(coded: Coded) -> Coded:
    """The same without parts that are too small, or nearly all rows."""
    parts = len(coded.words)
    small = np.zeros(parts + 1, dtype=np.bool_)
    for codes in (coded.search, coded.confirm):
        rows = np.bincount(codes[codes >= 0], minlength=parts)
        small[:parts] |= (rows < LEAST_ROWS) | (len(codes) - rows < LEAST_ROWS)
    return coded._replace(search=np.where(small[coded.search], -1, coded.search))


def _strongest(columns: Sequence[Coded], a: FloatArray, w: FloatArray, *, bias: bool) -> tuple[list[Candidate], int]:
    """The most striking parts and pairs on the search rows, and how many pairs were tried."""
    centred = a if bias else a - float(np.average(a, weights=_some(w)))
    singles = []
    for column in columns:
        strengths = _strengths(column.search, len(column.words), centred, w, bias=bias)
        singles += [Candidate((Part(column, code),), float(strengths[code])) for code in np.flatnonzero(strengths > 0.0).tolist()]
    singles.sort(key=lambda each: -each.strength)
    pairs, tried = [], 0
    for one, two in combinations(singles[:MOST_SINGLES], 2):
        first, second = one.parts[0], two.parts[0]
        if first.of.column == second.of.column:
            continue
        search = first.search & second.search
        both = np.count_nonzero(search), np.count_nonzero(first.confirm & second.confirm)
        if min(both) < LEAST_ROWS:
            continue
        tried += 1
        least = max(abs(float(np.average(a[part.search], weights=_some(w[part.search])))) for part in (first, second))
        if abs(float(np.average(a[search], weights=_some(w[search])))) >= MORE * least:
            pairs.append(Candidate((first, second), float(_strengths(search - 1, 1, centred, w, bias=bias)[0])))
    best = sorted([*singles, *(pair for pair in pairs if pair.strength > 0.0)], key=lambda each: -each.strength)
    return best[:MOST_TESTED], tried


def _strengths(codes: IntArray, parts: int, a: FloatArray, w: FloatArray, *, bias: bool) -> FloatArray:
    """How far each part's mean of `a` is above the rest's (of a bias, from 0), in standard errors, (parts,); 0 without rows."""
    inside = codes >= 0
    of, w_in, a_in = codes[inside], w[inside], a[inside]
    columns = (w_in, w_in * a_in, w_in**2, w_in**2 * a_in, (w_in * a_in) ** 2)
    part = np.stack([np.bincount(of, weights=column, minlength=parts) for column in columns]).astype(np.float64)  # (5, parts)
    whole = np.array([w.sum(), w @ a, w @ w, w**2 @ a, (w * a) @ (w * a)])[:, None]
    mean, variance = _mean_and_variance(part)
    with np.errstate(divide="ignore", invalid="ignore"):
        if bias:
            found = np.abs(mean) / np.sqrt(variance)
        else:
            rest, other = _mean_and_variance(whole - part)
            found = (mean - rest) / np.sqrt(variance + other)
    return np.where(np.isfinite(found), found, 0.0)


def _mean_and_variance(sums: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Of weighted means, from Σw, Σwa, Σw², Σw²a, Σw²a²."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums[1] / sums[0]
        return mean, np.maximum(sums[4] - 2.0 * mean * sums[3] + mean**2 * sums[2], 0.0) / sums[0] ** 2


def _some(w: FloatArray) -> FloatArray:
    return w if w.any() else np.ones(len(w))


# ---- the confirmation


def _error_and_weight(rows: KeptRows, at: IntArray, scale: float) -> tuple[FloatArray, FloatArray]:
    return rows.error[at] / scale, np.ones(len(at)) if rows.weight is None else rows.weight[at]


def _mean(inside: BoolArray, a: FloatArray, w: FloatArray, unit: IntArray) -> tuple[float, float, FloatArray, int]:
    """A mean in some rows, its variance by unit, the scores of the units, and how many units there are."""
    weight = _some(w[inside])
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
    e, weight = error[inside], _some(w[inside])
    own = float(np.average(np.abs(e), weights=weight))
    rmse, bias = float(np.sqrt(np.average(e**2, weights=weight))), float(np.average(e, weights=weight))
    return Segment(candidate.words, int(np.count_nonzero(inside)), rmse, own, bias, own / mae if mae > 0.0 else None, p)

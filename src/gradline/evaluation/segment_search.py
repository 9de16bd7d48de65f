"""The search for segments: which parts of the columns have the most striking errors on the rows that are searched.

Numbers are cut into fifths (or into their values, where they are few), categories into their levels; missing values are a part as well. The
most striking parts are paired. What is striking is confirmed on other rows, in `gradline.evaluation.segments`.
"""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.evaluation.bootstrap import LEAST_UNITS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gradline.evaluation.bootstrap import Units
    from gradline.evaluation.kept_rows import KeptRows
    from gradline.types import BoolArray, CategoryColumn, Decoded, FloatArray, IntArray, NumberColumn

    Shown = Callable[[str, float], str]  # a number of a column, to be read

LEAST_ROWS = 30  # of a segment, in the search and in the confirmation
FIFTHS = 5
FEW_VALUES = 7  # up to so many, a number's values are levels
MOST_SINGLES = 10  # of which pairs are made
MOST_TESTED = 15
MORE = 1.1  # times as much as each of its halves, or a pair says nothing new
LONGEST_LEVEL = 60


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


def strongest(columns: Sequence[Coded], a: FloatArray, w: FloatArray, *, bias: bool) -> tuple[list[Candidate], int]:
    """The most striking parts and pairs on the search rows, and how many pairs were tried."""
    centred = a if bias else a - float(np.average(a, weights=some(w)))
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
        least = max(abs(float(np.average(a[part.search], weights=some(w[part.search])))) for part in (first, second))
        if abs(float(np.average(a[search], weights=some(w[search])))) >= MORE * least:
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


def some(w: FloatArray) -> FloatArray:
    """Weights of some rows, all one where they have none."""
    return w if w.any() else np.ones(len(w))

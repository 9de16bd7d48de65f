"""Moments: the rows, the means and the centred co-moments of a set of raw columns; all that a quadratic loss needs.

A block's moments (`gradline.maths.block`) are merged pairwise in a fixed order:

    δ = mean_B − mean_A;   mean = mean_A + δ·W_B/W;   M = M_A + M_B + δδ'·W_A·W_B/W

(Chan, Golub & LeVeque, Stanford CS-TR-79-773; Schubert & Gertz, SSDBM 2018.) W is the sum of the weights.

Missing numbers are imputed by the mean *inside* the moments: a column with missing values is kept as the pair (value,
indicator), where the value of a missing row is the mean of the present ones. That mean is then the column's own mean, so it
needs no field of its own, and when two sets with other means are merged the rows move with it exactly: x ← x + d·z is a
linear map of the pair. Hence one read gives the moments of data imputed by the mean of *all* rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.maths.compensated import two_sum
from gradline.types import Part, RawColumn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gradline.types import FloatArray, IntArray

SHIFTED_VALUES = 1 << 15  # of a merge, at once: they stay in the cache


class Fill(NamedTuple):
    """fill + rest for the missing values of a column. value, indicator: where it and its missing indicator stand."""

    value: int
    indicator: int
    fill: float
    rest: float = 0.0


@dataclass(frozen=True, slots=True)
class Moments:
    """Weighted moments of `q` raw columns.

    columns: what each of the q columns is.  rows: how many rows.  weight: the sum of their weights (= rows without weights).
    mean + mean_rest: (q,) each, the mean in two parts, so that it keeps its digits beside an offset of 1e9.
    comoment: (q, q), Σ w (z − mean)(z − mean)'.
    """

    columns: tuple[RawColumn, ...]
    rows: int
    weight: float
    mean: FloatArray
    comoment: FloatArray
    mean_rest: FloatArray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        """Without a rest, the mean is its float64."""
        if len(self.mean_rest) != len(self.mean):
            object.__setattr__(self, "mean_rest", np.zeros_like(self.mean))

    def index(self) -> dict[RawColumn, int]:
        """Where each column stands."""
        return {column: i for i, column in enumerate(self.columns)}

    def with_columns_of(self, other: Moments) -> tuple[RawColumn, ...]:
        """The columns of this set, then those of the other that are not among them."""
        known = set(self.columns)
        return self.columns if known.issuperset(other.columns) else (*self.columns, *(c for c in other.columns if c not in known))

    def expanded(self, columns: tuple[RawColumn, ...]) -> Moments:
        """The same rows over more columns, which are zero in all of them (levels not seen here)."""
        if columns == self.columns:
            return self
        where = {column: i for i, column in enumerate(columns)}
        at = np.array([where[column] for column in self.columns], dtype=np.intp)
        mean, mean_rest = np.zeros(len(columns)), np.zeros(len(columns))
        comoment = np.zeros((len(columns), len(columns)))
        mean[at], mean_rest[at] = self.mean, self.mean_rest
        comoment[np.ix_(at, at)] = self.comoment
        return replace(self, columns=columns, mean=mean, comoment=comoment, mean_rest=mean_rest)

    def _chosen(self, at: IntArray, columns: tuple[RawColumn, ...]) -> Moments:
        comoment = self.comoment[np.ix_(at, at)]
        return replace(self, columns=columns, mean=self.mean[at], comoment=comoment, mean_rest=self.mean_rest[at])

    def filled(self, fills: Sequence[Fill]) -> Moments:
        """The same rows with the missing values of some columns imputed by other numbers: x ← x + (fill − mean)·z."""
        shifts = self.shifts(fills)
        if not shifts:
            return self
        mean, mean_rest, comoment = self.mean.copy(), self.mean_rest.copy(), self.comoment.copy()
        for value, indicator, shift in shifts:
            mean[value], mean_rest[value] = two_sum(mean[value], mean_rest[value] + shift * mean[indicator])
            comoment[value, :] += shift * comoment[indicator, :]
            comoment[:, value] += shift * comoment[:, indicator]
        return replace(self, mean=mean, comoment=comoment, mean_rest=mean_rest)

    def shifts(self, fills: Sequence[Fill]) -> list[tuple[int, int, float]]:
        """(value, indicator, fill − mean) of those fills that change anything."""
        shifts = []
        for value, indicator, fill, rest in fills:
            shift = float((fill - self.mean[value]) + (rest - self.mean_rest[value]))
            if shift != 0.0 and self.mean[indicator] != 0.0:
                shifts.append((value, indicator, shift))
        return shifts

    def aggregated(self, groups: Sequence[Sequence[int]], names: tuple[RawColumn, ...]) -> Moments:
        """The moments of sums of columns: new column g is Σ of the columns in `groups[g]` (an empty group is zero)."""
        if all(len(group) == 1 for group in groups):
            return self._chosen(np.array([group[0] for group in groups], dtype=np.intp), names)
        single = [g for g, group in enumerate(groups) if len(group) == 1]
        at = np.array([groups[g][0] for g in single], dtype=np.intp)
        mean, mean_rest = np.zeros(len(groups)), np.zeros(len(groups))
        comoment = np.zeros((len(groups), len(groups)))
        mean[single], mean_rest[single] = self.mean[at], self.mean_rest[at]
        comoment[np.ix_(single, single)] = self.comoment[np.ix_(at, at)]
        rows: dict[int, FloatArray] = {}  # of the groups of several, (q,) each; the others' are copied
        for g, group in enumerate(groups):
            if len(group) > 1:
                these = list(group)
                mean[g], mean_rest[g] = self.mean[these].sum(), self.mean_rest[these].sum()
                row = rows[g] = self.comoment[these].sum(axis=0)
                comoment[g, single] = comoment[single, g] = row[at]
                for other, sums in rows.items():
                    comoment[g, other] = comoment[other, g] = sums[these].sum()
        return replace(self, columns=names, mean=mean, comoment=comoment, mean_rest=mean_rest)

    def spread(self, groups: Sequence[Sequence[int]]) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of the sums of the columns in each group, (g,) each."""
        mean = np.array([self.mean[list(group)].sum() for group in groups])
        squares = np.array([self.comoment[group[0], group[0]] if len(group) == 1 else self._together(group) for group in groups])
        return mean, np.maximum(squares, 0.0) / self.weight

    def _together(self, group: Sequence[int]) -> float:
        """Σ w (s − mean s)² of the sum s of some columns."""
        return float(self.comoment[np.ix_(list(group), list(group))].sum())

    def present_weight(self, indicator: int) -> float:
        """The weight of the rows in which a column is not missing."""
        return self.weight * (1.0 - float(self.mean[indicator]))


def indicator_pairs(columns: tuple[RawColumn, ...]) -> list[tuple[int, int]]:
    """The positions (value, missing indicator) of every number that has both."""
    if not any(column.part is Part.MISSING for column in columns):
        return []
    where = {column: i for i, column in enumerate(columns)}
    pairs = []
    for i, column in enumerate(columns):
        if column.part is Part.VALUE:
            j = where.get(RawColumn(column.column, Part.MISSING))
            if j is not None:
                pairs.append((i, j))
    return pairs


def common_fills(a: Moments, b: Moments) -> list[Fill]:
    """Of each number of two sets over the same columns: the mean of what is present in both."""
    fills = []
    for value, indicator in indicator_pairs(a.columns):
        present_a, present_b = a.present_weight(indicator), b.present_weight(indicator)
        if present_a + present_b > 0.0:
            delta = (b.mean[value] - a.mean[value]) + (b.mean_rest[value] - a.mean_rest[value])
            fill, rest = two_sum(a.mean[value], a.mean_rest[value] + delta * (present_b / (present_a + present_b)))
            fills.append(Fill(value, indicator, float(fill), float(rest)))
    return fills


def merge(a: Moments, b: Moments, *, reuse: bool = False) -> Moments:
    """The moments of the rows of `a` and then `b`. reuse: the result may take the memory of `a`, which is lost then."""
    if a.rows == 0:
        return b
    if b.rows == 0:
        return a
    before = a
    columns = a.with_columns_of(b)
    a, b = a.expanded(columns), b.expanded(columns)
    fills = common_fills(a, b)
    a, b = a.filled(fills), b.filled(fills)
    with np.errstate(over="ignore", invalid="ignore"):
        return chan_sum(a, b, reuse=reuse or a.comoment is not before.comoment)  # else it is a copy that is written to


def chan_sum(a: Moments, b: Moments, *, reuse: bool = False) -> Moments:
    """Chan's merge of two sets over the same columns, whose missing numbers are filled alike. reuse: see `merge`."""
    columns = a.columns
    weight = a.weight + b.weight
    if weight == 0.0:
        return replace(a, rows=a.rows + b.rows)
    delta = (b.mean - a.mean) + (b.mean_rest - a.mean_rest)  # (q,)
    mean, mean_rest = two_sum(a.mean, a.mean_rest + delta * (b.weight / weight))
    comoment = a.comoment if reuse else np.empty_like(a.comoment)
    for rows, square in squares_by_rows(delta):
        np.add(a.comoment[rows], b.comoment[rows], out=comoment[rows])
        comoment[rows] += np.multiply(square, a.weight * b.weight / weight, out=square)
    return Moments(columns, a.rows + b.rows, weight, mean, comoment, mean_rest)


def squares_by_rows(delta: FloatArray) -> Iterator[tuple[slice, FloatArray]]:
    """δδ', (q, q), a few rows at a time, in memory that is used again: (q, q) temporaries would be most of a merge's work."""
    q = len(delta)
    together = max(1, SHIFTED_VALUES // max(q, 1))
    squares = np.empty((min(together, q), q))
    for start in range(0, q, together):
        rows = slice(start, min(start + together, q))
        part = squares[: rows.stop - rows.start]
        np.multiply(delta[rows, None], delta, out=part)
        yield rows, part

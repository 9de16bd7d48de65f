"""Moments: the rows, the means and the centred co-moments of a set of raw columns; all that a quadratic loss needs.

A block's moments are computed about the block's own means (two passes over the block, which is in memory), in panels of
a fixed height, and merged pairwise in a fixed order:

    δ = mean_B − mean_A;   mean = mean_A + δ·W_B/W;   M = M_A + M_B + δδ'·W_A·W_B/W

(Chan, Golub & LeVeque, Stanford CS-TR-79-773; Schubert & Gertz, SSDBM 2018.) W is the sum of the weights.

Missing numbers are imputed by the mean *inside* the moments: a column with missing values is kept as the pair (value,
indicator), where the value of a missing row is the mean of the present ones. That mean is then the column's own mean, so it
needs no field of its own, and when two sets with other means are merged the rows move with it exactly: x ← x + d·z is a
linear map of the pair. Hence one read gives the moments of data imputed by the mean of *all* rows.

Categories never become dense columns: their counts and joint counts are counted, and their products with the numbers are
sums by level.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from gradline.maths.compensated import two_sum
from gradline.maths.scratch import Scratch
from gradline.types import CategoryColumn, NumberColumn, Part, RawColumn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.types import BoolArray, FloatArray, IntArray

MOST_PRODUCTS = 1 << 17  # of panels multiplied in one call: their results stay in the cache
SHIFTED_VALUES = 1 << 15  # of a merge, at once: they stay in the cache
PANEL_ROWS = 1024  # fixed: a block's bits must not depend on how it is cut; short: rounding grows with the terms of one sum

_scratch = Scratch()


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

    def without(self, names: set[str]) -> Moments:
        """The moments of the other columns only."""
        keep = [i for i, column in enumerate(self.columns) if column.column not in names]
        if len(keep) == len(self.columns):
            return self
        return self._chosen(np.array(keep, dtype=np.intp), tuple(self.columns[i] for i in keep))

    def _chosen(self, at: IntArray, columns: tuple[RawColumn, ...]) -> Moments:
        comoment = self.comoment[np.ix_(at, at)]
        return replace(self, columns=columns, mean=self.mean[at], comoment=comoment, mean_rest=self.mean_rest[at])

    def refilled(self, value: int, indicator: int, fill: float, fill_rest: float = 0.0) -> Moments:
        """The same rows with the missing values of one column imputed by `fill + fill_rest`: x ← x + (fill − mean)·z."""
        shift = (fill - self.mean[value]) + (fill_rest - self.mean_rest[value])
        if shift == 0.0 or self.mean[indicator] == 0.0:
            return self
        mean, mean_rest, comoment = self.mean.copy(), self.mean_rest.copy(), self.comoment.copy()
        mean[value], mean_rest[value] = two_sum(mean[value], mean_rest[value] + shift * mean[indicator])
        comoment[value, :] += shift * comoment[indicator, :]
        comoment[:, value] += shift * comoment[:, indicator]
        return replace(self, mean=mean, comoment=comoment, mean_rest=mean_rest)

    def aggregated(self, groups: Sequence[Sequence[int]], names: tuple[RawColumn, ...]) -> Moments:
        """The moments of sums of columns: new column g is Σ of the columns in `groups[g]` (an empty group is zero)."""
        if all(len(group) == 1 for group in groups):
            return self._chosen(np.array([group[0] for group in groups], dtype=np.intp), names)
        pick = np.zeros((len(groups), len(self.columns)))
        for g, group in enumerate(groups):
            pick[g, list(group)] = 1.0
        comoment = pick @ self.comoment @ pick.T
        return replace(self, columns=names, mean=pick @ self.mean, comoment=comoment, mean_rest=pick @ self.mean_rest)

    def spread(self, groups: Sequence[Sequence[int]]) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of the sums of the columns in each group, (g,) each."""
        sums = self.aggregated(groups, tuple(RawColumn(str(g), Part.VALUE) for g in range(len(groups))))
        return sums.mean, np.maximum(np.diag(sums.comoment), 0.0) / sums.weight

    def present_weight(self, indicator: int) -> float:
        """The weight of the rows in which a column is not missing."""
        return self.weight * (1.0 - float(self.mean[indicator]))


def indicator_pairs(columns: tuple[RawColumn, ...]) -> list[tuple[int, int]]:
    """The positions (value, missing indicator) of every number that has both."""
    where = {column: i for i, column in enumerate(columns)}
    pairs = []
    for i, column in enumerate(columns):
        if column.part is Part.VALUE:
            j = where.get(RawColumn(column.column, Part.MISSING))
            if j is not None:
                pairs.append((i, j))
    return pairs


def merge(a: Moments, b: Moments, *, reuse: bool = False) -> Moments:
    """The moments of the rows of `a` and then `b`. reuse: the result may take the memory of `a`, which is lost then."""
    if a.rows == 0:
        return b
    if b.rows == 0:
        return a
    columns = a.columns
    if b.columns != columns:
        known = set(columns)
        columns = columns + tuple(column for column in b.columns if column not in known)
        reuse |= len(columns) > len(a.columns)  # then it is a copy that is written to
    a, b = a.expanded(columns), b.expanded(columns)
    for value, indicator in indicator_pairs(columns):
        present_a, present_b = a.present_weight(indicator), b.present_weight(indicator)
        if present_a + present_b > 0.0:
            delta = (b.mean[value] - a.mean[value]) + (b.mean_rest[value] - a.mean_rest[value])
            fill = two_sum(a.mean[value], a.mean_rest[value] + delta * (present_b / (present_a + present_b)))
            a, b = a.refilled(value, indicator, *fill), b.refilled(value, indicator, *fill)
    with np.errstate(over="ignore", invalid="ignore"):
        return _sum(a, b, reuse=reuse)


def _sum(a: Moments, b: Moments, *, reuse: bool) -> Moments:
    """Chan's merge of two sets over the same columns."""
    columns = a.columns
    weight = a.weight + b.weight
    if weight == 0.0:
        return replace(a, rows=a.rows + b.rows)
    delta = (b.mean - a.mean) + (b.mean_rest - a.mean_rest)  # (q,)
    mean, mean_rest = two_sum(a.mean, a.mean_rest + delta * (b.weight / weight))
    comoment = a.comoment if reuse else np.empty_like(a.comoment)
    _add_with_shift(a.comoment, b.comoment, delta, a.weight * b.weight / weight, comoment)
    return Moments(columns, a.rows + b.rows, weight, mean, comoment, mean_rest)


def _add_with_shift(a: FloatArray, b: FloatArray, delta: FloatArray, factor: float, out: FloatArray) -> None:
    """A + b + factor·δδ', (q, q), into `out`; a few rows at a time, since (q, q) temporaries would be most of the work."""
    q = len(delta)
    together = max(1, SHIFTED_VALUES // max(q, 1))
    shift = np.empty((min(together, q), q))
    for start in range(0, q, together):
        rows = slice(start, min(start + together, q))
        part = shift[: rows.stop - rows.start]
        np.multiply(delta[rows, None], delta, out=part)
        part *= factor
        np.add(a[rows], b[rows], out=out[rows])
        out[rows] += part


def block_moments(
    numbers: Sequence[NumberColumn], categories: Sequence[CategoryColumn], rows: int, weight: FloatArray | None = None
) -> Moments:
    """The moments of one block of `rows` rows; `weight` is (rows,), 1 where it is None.

    NaN is missing; infinities must have been refused before. Squares that overflow leave infinities or NaN in the result.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _block_moments(numbers, categories, rows, weight)


def _block_moments(
    numbers: Sequence[NumberColumn], categories: Sequence[CategoryColumn], rows: int, weight: FloatArray | None
) -> Moments:
    total = float(rows) if weight is None else float(weight.sum())
    if rows == 0 or total == 0.0:
        return Moments((), rows, 0.0, np.zeros(0), np.zeros((0, 0)))
    columns, dense, mean, rest = _centred_numbers(numbers, rows, weight, total)
    weighted = dense if weight is None else dense * weight
    counted = [_counted(category, weight) for category in categories]

    q_dense = len(columns)
    for _, kept in counted:
        columns.extend(kept)
    comoment = np.empty((len(columns), len(columns)))
    comoment[:q_dense, :q_dense] = _gram(dense, weighted)
    means = [mean]
    start = q_dense
    for c, (codes, kept) in enumerate(counted):
        size = len(kept)
        sums = _LevelSums(codes, size)
        share = sums.of(weight) / total  # (size,)
        stop = start + size
        for j in range(q_dense):  # Σ w (x − x̄) over the rows of each level: centred already
            comoment[start:stop, j] = sums.of(weighted[j])
        comoment[:q_dense, start:stop] = comoment[start:stop, :q_dense].T
        comoment[start:stop, start:stop] = total * (np.diag(share) - np.outer(share, share))
        other = q_dense
        for (other_codes, other_kept), other_share in zip(counted[:c], means[1:], strict=True):
            joint = _joint_counts(codes, size, other_codes, len(other_kept), weight)
            comoment[start:stop, other : other + len(other_kept)] = joint - total * np.outer(share, other_share)
            comoment[other : other + len(other_kept), start:stop] = comoment[start:stop, other : other + len(other_kept)].T
            other += len(other_kept)
        means.append(share)
        start = stop
    mean_rest = np.zeros(len(columns))
    mean_rest[:q_dense] = rest
    return Moments(tuple(columns), rows, total, np.concatenate(means), comoment, mean_rest)


def _centred_numbers(
    numbers: Sequence[NumberColumn], rows: int, weight: FloatArray | None, total: float
) -> tuple[list[RawColumn], FloatArray, FloatArray, FloatArray]:
    """The numbers and their missing indicators as centred rows of one (q, rows) array, and their means in two parts.

    Column by column: what is a megabyte stays in the cache from one pass to the next.
    """
    columns = [RawColumn(column.name, column.part) for column in numbers]
    dense = _scratch.of(2 * len(numbers), rows)  # room for indicators, which costs nothing while it is not written to
    mean, rest = np.empty(len(dense)), np.empty(len(dense))
    for i, column in enumerate(numbers):
        values = column.values
        sum_ = _sum_of(values, weight)
        if not np.isfinite(sum_) and (missing := np.isnan(values)).any():
            dense[len(columns)] = missing
            columns.append(RawColumn(column.name, Part.MISSING))
            values = _imputed(values, missing, weight)
            sum_ = _sum_of(values, weight)
        mean[i] = sum_ / total
        np.subtract(values, mean[i], out=dense[i])
        rest[i] = _correct(dense[i], weight, total)
    q = len(columns)
    for i in range(len(numbers), q):
        mean[i] = _sum_of(dense[i], weight) / total
        dense[i] -= mean[i]
        rest[i] = _correct(dense[i], weight, total)
    return columns, dense[:q], *two_sum(mean[:q], rest[:q])


def _correct(row: FloatArray, weight: FloatArray | None, total: float) -> float:
    """Subtract what the rounded mean had left: the corrected two-pass algorithm. A rank-one update of the co-moments instead
    would save the pass, and leave constant columns with a variance below zero.
    """
    rest = _sum_of(row, weight) / total
    row -= rest
    return rest


def _sum_of(values: FloatArray, weight: FloatArray | None) -> float:
    return float(values.sum() if weight is None else values @ weight)


def _imputed(values: FloatArray, missing: BoolArray, weight: FloatArray | None) -> FloatArray:
    """The values with the mean of the present ones, 0 where there is none, for the missing ones."""
    present = ~missing
    part = None if weight is None else weight[present]
    known = present.any() and (part is None or part.sum() > 0.0)
    return np.where(missing, np.average(values[present], weights=part) if known else 0.0, values)


def _gram(dense: FloatArray, weighted: FloatArray) -> FloatArray:
    """Σ w z z', (q, q), panel by panel; many small panels in one call, since threads meet at each."""
    q, rows = dense.shape
    gram = np.zeros((q, q))
    whole = rows - rows % PANEL_ROWS
    together = max(1, MOST_PRODUCTS // max(q**2, 1)) * PANEL_ROWS
    for start in range(0, whole, together):
        stop = min(start + together, whole)
        left = weighted[:, start:stop].reshape(q, -1, PANEL_ROWS).transpose(1, 0, 2)  # (panels, q, PANEL_ROWS)
        right = dense[:, start:stop].reshape(q, -1, PANEL_ROWS).transpose(1, 2, 0)
        gram += (left @ right).sum(axis=0)
    gram += weighted[:, whole:] @ dense[:, whole:].T
    return (gram + gram.T) / 2


class _LevelSums:
    """Sums by level, panel by panel: one long running sum would lose digits that a sum of short ones keeps."""

    def __init__(self, codes: IntArray, size: int) -> None:
        self._size = size
        self._panels = -(-len(codes) // PANEL_ROWS)
        self._slots = np.arange(len(codes)) // PANEL_ROWS * (size + 1) + codes

    def of(self, values: FloatArray | None) -> FloatArray:
        """Σ of `values` (n,), ones if None, over the rows of each level, (size,)."""
        sums = np.bincount(self._slots, values, self._panels * (self._size + 1))
        by_level: FloatArray = sums.reshape(self._panels, self._size + 1)[:, : self._size].sum(axis=0, dtype=np.float64)
        return by_level


def _counted(category: CategoryColumn, weight: FloatArray | None) -> tuple[IntArray, list[RawColumn]]:
    """Codes renumbered to the levels that occur, in which rows without a column of their own have the last code."""
    levels = len(category.levels)
    counts = np.bincount(category.codes + 1, minlength=levels + 1)  # slot 0 is missing
    if not category.missing_is_level:
        counts[0] = 0
    seen = np.flatnonzero(counts)
    renumber = np.full(levels + 1, len(seen), dtype=np.intp)
    renumber[seen] = np.arange(len(seen))
    columns = []
    for slot in seen:
        if slot == 0:
            columns.append(RawColumn(category.name, Part.MISSING))
        elif slot - 1 == category.rest:
            columns.append(RawColumn(category.name, Part.OTHER))
        else:
            columns.append(RawColumn(category.name, Part.LEVEL, category.levels[slot - 1]))
    return renumber[category.codes + 1], columns


def _joint_counts(a: IntArray, size_a: int, b: IntArray, size_b: int, weight: FloatArray | None) -> FloatArray:
    joint = np.bincount(a * (size_b + 1) + b, weight, (size_a + 1) * (size_b + 1))
    return joint.reshape(size_a + 1, size_b + 1)[:size_a, :size_b].astype(np.float64)

"""The tally of one block: what every row goes through, once.

    z = x − s,   G = Σ w z z',   δ = Σ w z / W,   M = G − W δδ',   mean = s + δ

s is the median of some of the rows: a value of the column, so that a constant one leaves nothing but zeros, and near the
mean, so that the difference costs no more than the last bits (where it would, a second pass goes about the means). Rows go
through tile by tile, so that what is gathered once is in the cache when it is compared, summed and multiplied; a tile is
multiplied in panels of a fixed height, with a row of ones for the sums. All of that is one pass of the compiled kernel, where
there is one (`gradline.maths.kernels`) and no number is missing.

A missing number counts as s, with an indicator beside it, and is moved to the mean of the present ones at the end: a linear map
of the pair. Categories never become dense columns: their counts and joint counts are counted, and their products with the
numbers are sums by level.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.maths import kernels
from gradline.maths.compensated import two_sum
from gradline.maths.moments import Moments, squares_by_rows
from gradline.maths.scratch import Scratch
from gradline.maths.tally import Tally
from gradline.types import CategoryColumn, NumberColumn, Part, RawColumn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.types import BoolArray, FloatArray, IntArray

MOST_PRODUCTS = 1 << 17  # of panels multiplied in one call: their results stay in the cache
PANEL_ROWS = 1024  # fixed: a block's bits must not depend on how it is cut; short: rounding grows with the terms of one sum
TILE_VALUES = 1 << 19  # 4 MB of float64: in the shared cache; small calls would keep threads waiting for each other
LEAST_TILE_PANELS = 4
MOST_SLOTS = 1 << 15  # of sums by level
SAMPLED_ROWS = 127  # whose medians are the shift
CANCELLED = 16.0  # W δ² to M, past which the rows go through again about their means
FEW_ROWS = 512  # which go through twice in any case: it costs nothing there

_tile, _weighted_tile = Scratch(), Scratch()


class Encoded(NamedTuple):
    """A category as the levels that occur in a block; rows without a level of their own have the last code."""

    name: str
    codes: IntArray  # (rows,)
    levels: tuple[RawColumn, ...]


class MissingInMatrixError(Exception):
    """Numbers are missing from rows that lie row by row: they are gone through column by column instead."""


class BlockTally(NamedTuple):
    """What some rows of a block come to. least, greatest: (numbers,) of each number, NaN where none is present.  plain:
    (numbers,) whether all of them are present and finite.
    """

    tally: Tally
    least: FloatArray
    greatest: FloatArray
    plain: BoolArray

    @property
    def rows(self) -> int:
        """How many rows."""
        return self.tally.numbers.rows


def block_moments(
    numbers: Sequence[NumberColumn], categories: Sequence[CategoryColumn], rows: int, weight: FloatArray | None = None
) -> Moments:
    """The moments of one block of `rows` rows; `weight` is (rows,), 1 where it is None.

    NaN is missing; infinities must have been refused before. Squares that overflow leave infinities or NaN in the result.
    """
    return block_tally(numbers, [encoded(category) for category in categories], rows, weight).tally.moments()


def block_tally(
    numbers: Sequence[NumberColumn],
    categories: Sequence[Encoded],
    rows: int,
    weight: FloatArray | None = None,
    at: IntArray | None = None,
    matrix: FloatArray | None = None,
) -> BlockTally:
    """The tally of the rows at the positions `at` (of all `rows`, where it is None), and the range of each number in them.

    matrix: (rows, k) the first k numbers, where they lie row by row.  Raises MissingInMatrixError where one of them is missing.
    """
    if at is not None:
        rows, weight = len(at), None if weight is None else weight[at]
    total = float(rows) if weight is None else float(weight.sum())
    if rows == 0 or total == 0.0:
        nothing = np.full(len(numbers), np.nan)
        empty = Tally(Moments((), rows, 0.0, np.zeros(0), np.zeros((0, 0))))
        return BlockTally(empty, nothing, nothing, np.isfinite(nothing))
    with np.errstate(over="ignore", invalid="ignore"):
        counted = [_counted(category, weight, at) for category in categories]
        passage = _Passage([column.values for column in numbers], counted, rows, weight, at, matrix)
        sums = passage.about(_medians(passage), [])
        centred = _centred(sums, total)
        if centred.cancelled or rows <= FEW_ROWS:
            sums = passage.about(centred.mean, sums.missing)
            centred = _centred(sums, total)
    columns = [RawColumn(column.name, column.part) for column in numbers]
    columns += [RawColumn(numbers[j].name, Part.MISSING) for j in sums.missing]
    tally = Tally(
        Moments(tuple(columns), rows, total, centred.mean, centred.comoment, centred.mean_rest),
        {each.name: each.levels for each in counted},
        {each.name: each.weight for each in counted},
        {each.name: by_level for each, by_level in zip(counted, centred.by_level, strict=True)},
        {(a.name, b.name): _joint(a, b, weight) for a, b in combinations(counted, 2)},
    )
    plain = np.isfinite(sums.least) & np.isfinite(sums.greatest)
    plain[sums.missing] = False
    return BlockTally(tally, sums.least, sums.greatest, plain)


class _Counted(NamedTuple):
    """The levels of a category in some rows, and their weight; rows without a level of their own have the last code."""

    name: str
    codes: IntArray  # (rows,)
    levels: tuple[RawColumn, ...]
    weight: FloatArray  # (levels,)


class _Sums(NamedTuple):
    """Over some rows, about a shift: of z, then a one, then the indicators of the numbers `missing`, in that order.

    shift: (k,).  gram: (k, k) Σ w z z'.  by_level: (levels, k) Σ w z of each category.  numbers: how many there are.
    """

    numbers: int
    missing: list[int]
    shift: FloatArray
    gram: FloatArray
    by_level: list[FloatArray]
    least: FloatArray
    greatest: FloatArray


class _Centred(NamedTuple):
    """mean + mean_rest, comoment, by_level: of the numbers, then the indicators.  cancelled: too few digits are left of some."""

    mean: FloatArray
    mean_rest: FloatArray
    comoment: FloatArray
    by_level: list[FloatArray]
    cancelled: bool


class _Passage:
    """The rows of a block, to be gone through."""

    def __init__(
        self,
        columns: list[FloatArray],
        counted: list[_Counted],
        rows: int,
        weight: FloatArray | None,
        at: IntArray | None,
        matrix: FloatArray | None = None,
    ) -> None:
        self.columns, self.rows, self.weight, self.at, self.matrix = columns, rows, weight, at, matrix
        self._counted = counted
        self._compiled = kernels.fits(len(columns)) and (matrix is None or kernels.lies_by_rows(matrix))
        self._tile = max(LEAST_TILE_PANELS, TILE_VALUES // (len(columns) + 1) // PANEL_ROWS) * PANEL_ROWS

    def about(self, shift: FloatArray, missing: list[int]) -> _Sums:
        """The sums about a shift: (numbers,), or with one for each of the indicators that are known to be needed."""
        q, missing = len(self.columns), list(missing)
        if not missing and self._compiled:
            found = self._in_one_pass(shift[:q])
            if found is not None:
                return found
        shift = np.concatenate([shift[:q], [0.0], shift[q:]])
        gram = np.zeros((len(shift), len(shift)))
        by_level = [np.zeros((len(each.levels), len(shift))) for each in self._counted]
        least, greatest = np.full(q, np.nan), np.full(q, np.nan)
        for start in range(0, self.rows, self._tile):
            rows = slice(start, min(start + self._tile, self.rows))
            Z = self._gathered(rows)
            low, high = Z[:q].min(axis=1), Z[:q].max(axis=1)
            absent = {int(j): np.isnan(Z[j]) for j in np.flatnonzero(np.isnan(low))}
            if absent and self.matrix is not None:
                raise MissingInMatrixError
            for j in absent:
                low[j], high[j] = np.fmin.reduce(Z[j]), np.fmax.reduce(Z[j])
            least, greatest = np.fmin(least, low), np.fmax(greatest, high)
            missing += [j for j in absent if j not in missing]
            if more := q + 1 + len(missing) - len(shift):
                shift = np.append(shift, np.zeros(more))
                gram = np.pad(gram, (0, more))
                by_level = [np.pad(sums, ((0, 0), (0, more))) for sums in by_level]
            Z = Z[: len(shift)]
            for row, j in zip(Z[q + 1 :], missing, strict=True):
                row[:] = absent.get(j, 0.0)
            Z -= shift[:, None]
            for j, rows_absent in absent.items():
                Z[j, rows_absent] = 0.0
            W = self._weighted(Z, rows)
            gram += _gram(Z, W)
            for i, each in enumerate(self._counted):
                by_level[i] += _by_level(each.codes[rows], W, len(each.levels))
        return _Sums(q, missing, shift, gram, by_level, least, greatest)

    def _in_one_pass(self, shift: FloatArray) -> _Sums | None:
        """The same by the compiled kernel; None where a number is missing, which it does not know. Raises MissingInMatrixError."""
        categories = [(each.codes, len(each.levels)) for each in self._counted]
        found = kernels.tally(self.rows, self.columns, shift, self.at, self.weight, self.matrix, categories)
        if found is None:
            self._compiled = False
            if self.matrix is not None:
                raise MissingInMatrixError
            return None
        gram, by_level, least, greatest = found
        return _Sums(len(self.columns), [], np.append(shift, 0.0), gram, by_level, least, greatest)

    def _gathered(self, rows: slice) -> FloatArray:
        """A tile: the numbers of some rows, a one, and room for an indicator of each number, (2 q + 1, rows)."""
        q, height = len(self.columns), rows.stop - rows.start
        if self.matrix is not None:
            return self._gathered_by_rows(self.matrix, rows)
        Z = _tile.of(2 * q + 1, height)
        for values, row in zip(self.columns, Z, strict=False):
            if self.at is None:
                row[:] = values[rows]
            else:
                np.take(values, self.at[rows], out=row, mode="clip")  # the other modes copy once more
        Z[q] = 1.0
        return Z

    def _gathered_by_rows(self, matrix: FloatArray, rows: slice) -> FloatArray:
        """The same tile, (q + 1, rows) without room for indicators, that lies row by row: nothing is transposed."""
        q, (_, k) = len(self.columns), matrix.shape
        Z = _tile.of(rows.stop - rows.start, q + 1)
        Z[:, :k] = matrix[rows] if self.at is None else matrix.take(self.at[rows], axis=0)
        for j in range(k, q):
            Z[:, j] = self.columns[j][rows] if self.at is None else self.columns[j].take(self.at[rows])
        Z[:, q] = 1.0
        return Z.T

    def _weighted(self, Z: FloatArray, rows: slice) -> FloatArray:
        """Z itself where all rows weigh the same."""
        if self.weight is None:
            return Z
        return np.multiply(Z, self.weight[rows], out=_weighted_tile.of(*Z.shape))


def _medians(passage: _Passage) -> FloatArray:
    """The median of some rows of each number, 0 where none is present; of rows that have weight, if any are to have it."""
    heavy = None if passage.weight is None else np.flatnonzero(passage.weight > 0.0)
    sample = np.arange(SAMPLED_ROWS) * (passage.rows if heavy is None else len(heavy)) // SAMPLED_ROWS
    if heavy is not None:
        sample = heavy[sample]
    if passage.at is not None:
        sample = passage.at[sample]
    if passage.matrix is None:
        values = np.array([column[sample] for column in passage.columns]).reshape(-1, SAMPLED_ROWS)
    else:
        k = passage.matrix.shape[1]
        values = np.column_stack([passage.matrix[sample], *(column[sample] for column in passage.columns[k:])]).T
    values = np.sort(np.where(np.isfinite(values), values, np.nan), axis=1)
    present = np.count_nonzero(~np.isnan(values), axis=1)
    return np.where(present > 0, values[np.arange(len(values)), np.maximum(present - 1, 0) // 2], 0.0)


def _centred(sums: _Sums, total: float) -> _Centred:
    """From sums about the shift, which are lost, to those about the means, missing numbers moved to the mean of the present ones."""
    q, gram, by_level = sums.numbers, sums.gram, sums.by_level
    for indicator, value in enumerate(sums.missing, q + 1):
        count = gram[indicator, q] + sums.shift[indicator] * total
        if count < total:
            move = gram[value, q] / (total - count)
            for each in (gram, gram.T, *by_level):
                _move(each, value, indicator, q, move, sums.shift[indicator])
    # without the ones; where nothing is missing they are the last, and of thousands of columns no (q, q) copy is made
    kept: IntArray | slice = slice(q)
    comoment = gram[:q, :q]
    if sums.missing:
        kept = at = np.delete(np.arange(len(gram)), q)
        comoment = gram[np.ix_(at, at)]
    delta = gram[kept, q] / total  # (q,)
    for rows, square in squares_by_rows(gram[kept, q]):
        comoment[rows] -= np.divide(square, total, out=square)
    squares = np.maximum(np.diag(comoment), 0.0)
    np.fill_diagonal(comoment, squares)
    moved = [each[:, kept] - np.outer(each[:, q], delta) for each in by_level]
    mean, mean_rest = two_sum(sums.shift[kept], delta)
    return _Centred(mean, mean_rest, comoment, moved, bool(np.any(total * delta**2 > CANCELLED * squares)))


def _move(sums: FloatArray, value: int, indicator: int, one: int, move: float, shift: float) -> None:
    """Σ w u z → Σ w u z' with x ← x + move·1_missing, in the columns of `sums`; the indicator counts from a shift of its own."""
    sums[:, value] += move * (sums[:, indicator] + shift * sums[:, one])


def _gram(left: FloatArray, right: FloatArray) -> FloatArray:
    """Σ left right', (k, k), panel by panel; many small panels in one call, since threads meet at each."""
    k, rows = left.shape
    whole = rows - rows % PANEL_ROWS
    panels = left[:, :whole].reshape(k, -1, PANEL_ROWS).transpose(1, 0, 2)  # (panels, k, PANEL_ROWS)
    others = right[:, :whole].reshape(k, -1, PANEL_ROWS).transpose(1, 2, 0)
    gram: FloatArray = left[:, whole:] @ right[:, whole:].T
    together = max(1, MOST_PRODUCTS // k**2)
    for start in range(0, len(panels), together):
        part, other = panels[start : start + together], others[start : start + together]
        gram += part[0] @ other[0] if len(part) == 1 else (part @ other).sum(axis=0)
    return gram if left is right else (gram + gram.T) / 2


def encoded(category: CategoryColumn) -> Encoded:
    """The codes renumbered to the levels that occur, a missing value after the others if that is a level."""
    codes, levels = category.codes, len(category.levels)
    missing = bool(len(codes)) and int(codes.min()) < 0
    slots = np.where(codes < 0, levels, codes) if missing else codes
    counts = np.bincount(slots, minlength=levels + 1)
    if not category.missing_is_level:
        counts[levels] = 0
    seen = np.flatnonzero(counts)
    if not counts[:levels].all():
        renumber = np.full(levels + 1, len(seen), dtype=np.intp)
        renumber[seen] = np.arange(len(seen))
        slots = renumber[slots]
    return Encoded(category.name, slots, _raw_columns(category.name, category.levels, category.rest, seen.tobytes()))


@lru_cache(maxsize=64)
def _raw_columns(name: str, levels: tuple[str, ...], rest: int | None, seen: bytes) -> tuple[RawColumn, ...]:
    """The same tuple for every block with the same levels: what is the same object need not be compared."""
    columns = []
    for slot in np.frombuffer(seen, dtype=np.intp).tolist():
        if slot == len(levels):
            columns.append(RawColumn(name, Part.MISSING))
        elif slot == rest:
            columns.append(RawColumn(name, Part.OTHER))
        else:
            columns.append(RawColumn(name, Part.LEVEL, levels[slot]))
    return tuple(columns)


def _counted(category: Encoded, weight: FloatArray | None, at: IntArray | None) -> _Counted:
    codes, levels = category.codes, len(category.levels)
    if at is not None:
        codes = codes.take(at)
    heavy: FloatArray = np.bincount(codes, weight, levels + 1)[:levels].astype(np.float64, copy=False)
    return _Counted(category.name, codes, category.levels, heavy)


def _by_level(codes: IntArray, W: FloatArray, levels: int) -> FloatArray:
    """Σ of each row of W (k, rows) over the rows of each level, (levels, k); panel by panel where the levels are few: one long
    running sum would lose digits that a sum of short ones keeps.
    """
    panels = min(-(-len(codes) // PANEL_ROWS), max(1, MOST_SLOTS // (levels + 1)))
    if panels > 1:
        codes = _panel_of(len(codes), panels) * (levels + 1) + codes
    sums = np.array([np.bincount(codes, row, panels * (levels + 1)) for row in W])  # (k, slots)
    by_level: FloatArray = sums.reshape(len(W), panels, levels + 1)[:, :, :levels].sum(axis=1).T
    return by_level


@lru_cache(maxsize=8)
def _panel_of(rows: int, panels: int) -> IntArray:
    """In which of some panels of nearly one height each row is, (rows,): the same for nearly every tile."""
    return np.arange(rows) * panels // rows


def _joint(a: _Counted, b: _Counted, weight: FloatArray | None) -> FloatArray:
    """The weight of each pair of levels, (levels of a, levels of b)."""
    if kernels.compiled():
        return kernels.joint(a.codes, b.codes, (len(a.levels), len(b.levels)), weight)
    shape = len(a.levels) + 1, len(b.levels) + 1
    joint = np.bincount(a.codes * shape[1] + b.codes, weight, shape[0] * shape[1])
    return joint.reshape(shape)[:-1, :-1].astype(np.float64)

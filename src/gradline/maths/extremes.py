"""Where the smallest and the largest number of a column stand, and which numbers are too large for float64 to tell neighbours apart.

A row is sought only where it holds much of its block's variance: a row that holds a share of a whole column's variance holds no
smaller one of its block's, and in a column of an ordinary shape there is none. So this costs nothing beside the moments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.maths.block import BlockTally
    from gradline.types import FloatArray, IntArray

SOUGHT = 0.1  # share of a block's variance, from which the row is remembered
EXACT_INTEGERS = 2.0**53


@dataclass(frozen=True, slots=True)
class Extremes:
    """Of q columns, (q,) each. least, greatest: NaN where no value is present.  least_row, greatest_row: −1 where not sought.

    past: how many values are past ±2^53.  first_past: the row of the first one, −1 without any.
    """

    least: FloatArray
    greatest: FloatArray
    least_row: IntArray
    greatest_row: IntArray
    past: IntArray
    first_past: IntArray

    def furthest(self, column: int) -> str:
        """`: 1e+300 in row 17, counted from 0`, of the value of the largest size; nothing where it was not sought."""
        if column >= len(self.least):
            return ""
        low, high = self.least[column], self.greatest[column]
        value, row = (low, self.least_row[column]) if -low > high else (high, self.greatest_row[column])
        return f": {value:.3g} in row {row:,}, counted from 0" if row >= 0 else ""

    def plus(self, later: Extremes) -> Extremes:
        """Of these rows and the later ones."""
        low = ~(self.least <= later.least) & ~np.isnan(later.least)
        high = ~(self.greatest >= later.greatest) & ~np.isnan(later.greatest)
        return Extremes(
            np.where(low, later.least, self.least),
            np.where(high, later.greatest, self.greatest),
            np.where(low, later.least_row, self.least_row),
            np.where(high, later.greatest_row, self.greatest_row),
            self.past + later.past,
            np.where(self.past > 0, self.first_past, later.first_past),
        )


def extremes_of(
    columns: Sequence[FloatArray], parts: Sequence[tuple[BlockTally, IntArray | None]], row: IntArray
) -> Extremes | None:
    """Of some columns (n,) of a block, whose rows have been tallied in parts: each tally with its rows' positions. None without a row.

    row: (n,) their numbers.
    """
    found = [block_extremes(columns, tally, at, row) for tally, at in parts if tally.rows]
    if not found:
        return None
    first = np.stack([each.first_past for each in found])
    first = np.where(first < 0, np.iinfo(np.intp).max, first).min(axis=0)  # the parts' rows lie between each other
    merged = reduce(Extremes.plus, found)
    return replace(merged, first_past=np.where(merged.past > 0, first, -1))


def block_extremes(columns: Sequence[FloatArray], found: BlockTally, at: IntArray | None, row: IntArray) -> Extremes:
    """Of the rows at the positions `at` of a block (all, where it is None), whose tally is known. row: (n,) their numbers."""
    q = len(columns)
    least, greatest = found.least, found.greatest
    nowhere = np.full(q, -1, dtype=np.intp)
    extremes = Extremes(least, greatest, nowhere, nowhere.copy(), np.zeros(q, dtype=np.intp), nowhere.copy())
    moments = found.tally.numbers
    if not len(moments.mean):
        return extremes
    with np.errstate(over="ignore", invalid="ignore"):
        enough = SOUGHT * np.diag(moments.comoment)[:q]
        low = ~((moments.mean[:q] - least) ** 2 <= enough)
        high = ~((greatest - moments.mean[:q]) ** 2 <= enough)
        large = ~(np.maximum(-least, greatest) <= EXACT_INTEGERS)
    for j in np.flatnonzero((low | high | large) & ~np.isnan(least)).tolist():
        values = columns[j] if at is None else columns[j][at]
        where = row if at is None else row[at]
        if low[j]:
            extremes.least_row[j] = where[np.nanargmin(values)]
        if high[j]:
            extremes.greatest_row[j] = where[np.nanargmax(values)]
        if large[j]:
            past = np.flatnonzero(np.abs(values) > EXACT_INTEGERS)
            extremes.past[j], extremes.first_past[j] = len(past), where[past[0]] if len(past) else -1
    return extremes

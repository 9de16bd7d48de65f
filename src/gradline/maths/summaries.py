"""What one read keeps of each column beside the moments: ranges, missing values, levels; mergeable like moments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gradline.types import CategoryColumn, FloatArray, IntArray, NumberColumn

MOST_COUNTED_LEVELS = 200_000
MOST_PLACED_LEVELS = 2_000  # of a block
HEAD_LEVELS = 8
HEAD_ROWS = 64  # that tell of most columns that they do not count their rows


@dataclass(frozen=True, slots=True)
class NumberSummary:
    """A numeric column. rows, missing, minimum, maximum: over the training rows; `infinite` and `first_infinite`: over all
    rows with a target.

    first, last: of all rows; `consecutive`: whether the values are whole and each is above the one before it.
    """

    rows: int
    missing: int
    minimum: float
    maximum: float
    infinite: int
    first_infinite: int
    first: float
    last: float
    consecutive: bool

    def plus(self, later: NumberSummary) -> NumberSummary:
        """Of these rows and the later ones."""
        return NumberSummary(
            self.rows + later.rows,
            self.missing + later.missing,
            min(self.minimum, later.minimum),
            max(self.maximum, later.maximum),
            self.infinite + later.infinite,
            self.first_infinite if self.infinite else later.first_infinite,
            self.first,
            later.last,
            self.consecutive and later.consecutive and later.first > self.last,
        )


@dataclass(frozen=True, slots=True)
class CategorySummary:
    """A category over the training rows. counts: rows of each level, None where there are more than can be kept.

    missing_is_level: False for the parts of a date, whose missing values are not counted here.  first: the row where each level
    stands first, kept where the levels look like numbers and are few in each block.
    """

    rows: int
    missing: int
    counts: Mapping[str, int] | None
    missing_is_level: bool = True
    first: Mapping[str, int] | None = None

    @property
    def distinct(self) -> int:
        """How many levels there are, or a bound that they pass."""
        return MOST_COUNTED_LEVELS if self.counts is None else len(self.counts)

    def plus(self, later: CategorySummary) -> CategorySummary:
        """Of these rows and the later ones."""
        counts: dict[str, int] | None = None
        if self.counts is not None and later.counts is not None:
            counts = dict(self.counts)
            for level, count in later.counts.items():
                counts[level] = counts.get(level, 0) + count
            if len(counts) > MOST_COUNTED_LEVELS:
                counts = None
        first = None
        if self.first is not None and later.first is not None and counts is not None:
            first = {**later.first, **self.first}
        return CategorySummary(self.rows + later.rows, self.missing + later.missing, counts, self.missing_is_level, first)


Summary = NumberSummary | CategorySummary


def number_summary(column: NumberColumn, used: FloatArray, first_row: int) -> NumberSummary:
    """Of one block; `used` (n,) are the training rows' values."""
    infinite = np.isinf(column.values)
    count, missing = int(np.count_nonzero(infinite)), int(np.count_nonzero(np.isnan(used)))
    empty = missing == len(used)
    least, greatest = (np.inf, -np.inf) if empty else (np.fmin.reduce(used), np.fmax.reduce(used))
    found = plain_summary(column, len(used), least, greatest)
    if not count:
        return replace(found, missing=missing)
    first = first_row + int(np.argmax(infinite))
    return replace(found, missing=missing, infinite=count, first_infinite=first, consecutive=False)


def plain_summary(column: NumberColumn, used: int, least: float, greatest: float) -> NumberSummary:
    """Of one block without missing or infinite numbers, whose range over the `used` training rows is known."""
    values = column.values
    return NumberSummary(
        rows=used,
        missing=0,
        minimum=float(least),
        maximum=float(greatest),
        infinite=0,
        first_infinite=-1,
        first=float(values[0]) if len(values) else np.nan,
        last=float(values[-1]) if len(values) else np.nan,
        consecutive=len(values) > 0 and _counts_up(values[:HEAD_ROWS]) and _counts_up(values),
    )


def _counts_up(values: FloatArray) -> bool:
    """Whether all values are whole and each is above the one before it; the first one tells of most columns that they do not."""
    return float(values[0]).is_integer() and bool(np.all(values[1:] > values[:-1]) and np.all(values == np.rint(values)))


def category_summary(column: CategoryColumn, codes: IntArray, rows: Callable[[], IntArray] | None = None) -> CategorySummary:
    """Of one block; `codes` (n,) are the training rows', `rows` gives their numbers where they are wanted."""
    counts = np.bincount(codes + 1, minlength=len(column.levels) + 1)
    named = {level: int(count) for level, count in zip(column.levels, counts[1:], strict=True) if count}
    missing = int(counts[0]) if column.missing_is_level else 0
    first = None
    if rows is not None and column.missing_is_level and len(column.levels) <= MOST_PLACED_LEVELS and _numeric(column.levels):
        place = np.full(len(column.levels) + 1, -1, dtype=np.intp)
        place[codes[::-1]] = rows()[::-1]  # the first of equal codes is written last
        first = {level: int(row) for level, row, count in zip(column.levels, place, counts[1:], strict=False) if count}
    return CategorySummary(len(codes), missing, named, column.missing_is_level, first)


def _numeric(levels: tuple[str, ...]) -> bool:
    """Whether half of the first levels have a digit, and are short."""
    head = levels[:HEAD_LEVELS]
    return 2 * sum(len(level) < 40 and any(map(str.isdigit, level)) for level in head) >= max(len(head), 1)


def added(a: Mapping[str, int], b: Mapping[str, int]) -> Mapping[str, int]:
    """Counts by name, of both."""
    return {name: a.get(name, 0) + b.get(name, 0) for name in {**a, **b}} if a and b else a or b

"""What one read keeps of each column beside the moments: ranges, missing values, levels; mergeable like moments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.types import CategoryColumn, FloatArray, IntArray, NumberColumn

MOST_COUNTED_LEVELS = 200_000
MOST_PLACED_LEVELS = 2_000  # of a block
HEAD_LEVELS = 8
HEAD_ROWS = 64  # that tell of most columns that they do not count their rows


class NumberSummary(NamedTuple):
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


class ByLevel(Mapping[str, int]):
    """A whole number for each level: side by side, since most blocks have the same levels, and to add up is then one addition.

    levels: each once.  numbers: (n,) theirs.
    """

    def __init__(self, levels: tuple[str, ...], numbers: IntArray) -> None:
        self.levels, self.numbers = levels, numbers

    @classmethod
    def of(cls, named: dict[str, int]) -> ByLevel:
        """The same as a dictionary."""
        return cls(tuple(named), np.fromiter(named.values(), dtype=np.intp, count=len(named)))

    @cached_property
    def named(self) -> dict[str, int]:
        """By their names."""
        return dict(zip(self.levels, self.numbers.tolist(), strict=True))

    def __getitem__(self, level: str) -> int:
        """Of one level."""
        return self.named[level]

    def __iter__(self) -> Iterator[str]:
        """The levels in their order."""
        return iter(self.levels)

    def __len__(self) -> int:
        """How many levels."""
        return len(self.levels)

    def plus(self, other: ByLevel) -> ByLevel:
        """The sums of both."""
        if self.levels == other.levels:
            return ByLevel(self.levels, self.numbers + other.numbers)
        sums = self.named.copy()
        for level, number in other.named.items():
            sums[level] = sums.get(level, 0) + number
        return ByLevel.of(sums)

    def before(self, other: ByLevel) -> ByLevel:
        """These, and the other's of the levels that are not among these."""
        return self if self.levels == other.levels else ByLevel.of({**other.named, **self.named})


@dataclass(frozen=True, slots=True)
class CategorySummary:
    """A category over the training rows. counts: rows of each level, None where there are more than can be kept.

    missing_is_level: False for the parts of a date, whose missing values are not counted here.  first: the row where each level
    stands first, kept where the levels look like numbers and are few in each block.
    """

    rows: int
    missing: int
    counts: ByLevel | None
    missing_is_level: bool = True
    first: ByLevel | None = None

    @property
    def distinct(self) -> int:
        """How many levels there are, or a bound that they pass."""
        return MOST_COUNTED_LEVELS if self.counts is None else len(self.counts)

    def plus(self, later: CategorySummary) -> CategorySummary:
        """Of these rows and the later ones."""
        counts = None
        if self.counts is not None and later.counts is not None:
            counts = self.counts.plus(later.counts)
            if len(counts) > MOST_COUNTED_LEVELS:
                counts = None
        first = None
        if self.first is not None and later.first is not None and counts is not None:
            first = self.first.before(later.first)
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
        return found._replace(missing=missing)
    first = first_row + int(np.argmax(infinite))
    return found._replace(missing=missing, infinite=count, first_infinite=first, consecutive=False)


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
    kept = np.flatnonzero(counts[1:])
    levels = column.levels if len(kept) == len(column.levels) else tuple(column.levels[i] for i in kept.tolist())
    missing = int(counts[0]) if column.missing_is_level else 0
    first = None
    if rows is not None and column.missing_is_level and len(column.levels) <= MOST_PLACED_LEVELS and _numeric(column.levels):
        place = np.full(len(column.levels) + 1, -1, dtype=np.intp)
        place[codes[::-1]] = rows()[::-1]  # the first of equal codes is written last
        first = ByLevel(levels, place[kept])
    return CategorySummary(len(codes), missing, ByLevel(levels, counts[1:][kept]), column.missing_is_level, first)


def _numeric(levels: tuple[str, ...]) -> bool:
    """Whether half of the first levels have a digit, and are short."""
    head = levels[:HEAD_LEVELS]
    return 2 * sum(len(level) < 40 and any(map(str.isdigit, level)) for level in head) >= max(len(head), 1)


def added(a: Mapping[str, int], b: Mapping[str, int]) -> Mapping[str, int]:
    """Counts by name, of both."""
    return {name: a.get(name, 0) + b.get(name, 0) for name in {**a, **b}} if a and b else a or b

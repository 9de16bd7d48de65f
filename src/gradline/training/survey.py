"""The one read of the data: moments by role, what each column holds, and a sample of rows for the pictures.

A category with more levels than moments can hold is counted only; where it is no identifier, the data are read once more
with its most frequent levels.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from gradline.arrays import as_arrow
from gradline.errors import DataError
from gradline.maths.moments import Moments, block_moments, merge
from gradline.maths.scratch import Scratch
from gradline.maths.summaries import CategorySummary, NumberSummary, category_summary, number_summary
from gradline.representation.features import IDENTIFIER_ROWS, IDENTIFIER_SHARE
from gradline.splits.roles import row_hashes
from gradline.types import NumberColumn, Part, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from gradline.inputs.source import Source
    from gradline.maths.engine import Engine
    from gradline.maths.summaries import Summary
    from gradline.splits.roles import Hashes, RoleArray
    from gradline.training.rows import RowReader, Rows
    from gradline.types import Block, CategoryColumn, FloatArray, IntArray

Number = TypeVar("Number", np.float64, np.intp)

MOST_RAW_LEVELS = 2_500  # of one category, in the moments
MOST_RAW_LEVELS_TOGETHER = 5_000  # of all of them
SAMPLE_ROWS = 2_000
SAMPLE_SALT = 0x5A17

_scratch = Scratch()


class Sample(NamedTuple):
    """The rows with the smallest hashes: a uniform sample that depends on the rows alone.

    table: the columns as read.  roles, file, row: (n,).  hashes: (n,).
    """

    table: pa.Table
    roles: RoleArray
    file: IntArray
    row: IntArray
    hashes: Hashes

    def plus(self, other: Sample) -> Sample:
        """Of both sets of rows."""
        import pyarrow as pa

        table = pa.concat_tables([self.table, other.table], promote_options="permissive")
        return Sample(
            table,
            np.concatenate([self.roles, other.roles]),
            np.concatenate([self.file, other.file]),
            np.concatenate([self.row, other.row]),
            np.concatenate([self.hashes, other.hashes]),
        ).smallest()

    def smallest(self) -> Sample:
        """At most SAMPLE_ROWS rows, in the order of file and row."""
        if len(self.hashes) <= SAMPLE_ROWS:
            return self
        keep = np.argpartition(self.hashes, SAMPLE_ROWS)[:SAMPLE_ROWS]
        keep = keep[np.lexsort((self.row[keep], self.file[keep]))]
        return Sample(self.table.take(as_arrow(keep)), self.roles[keep], self.file[keep], self.row[keep], self.hashes[keep])


@dataclass(frozen=True, slots=True)
class Survey:
    """What one read found. moments: of the raw columns, the targets last among the numbers, by role. summaries: by decoded
    column, over the training rows (infinities over all). target: over all rows with a target. others: of the other targets.
    folds: the moments of the training rows by fold, where they are divided; merged in this order they are the training moments.
    """

    moments: Mapping[Role, Moments]
    summaries: Mapping[str, Summary]
    target: NumberSummary
    read: int
    dropped: int
    sample: Sample
    overflowed: frozenset[str] = frozenset()
    reads: int = 1
    others: Mapping[str, NumberSummary] = field(default_factory=dict)
    folds: tuple[Moments, ...] = ()

    def with_training(self) -> Survey:
        """The same with the training moments, after the last block; while it is read, those by fold stand for them."""
        training = reduce(merge, self.folds) if self.folds else None
        return self if training is None or not training.rows else replace(self, moments={Role.TRAINING: training, **self.moments})

    def of(self, target: str) -> Survey:
        """The same for one of the targets; the moments hold them all, and which column is used is its problem's to choose."""
        return replace(self, target=self.others.get(target, self.target))

    def rows(self, role: Role) -> int:
        """How many rows have a role."""
        return self.moments[role].rows if role in self.moments else 0


def survey(
    source: Source, reader: RowReader, engine: Engine, seed: int, on_rows: Callable[[int], None] = lambda rows: None
) -> tuple[Survey, RowReader]:
    """One read of the source (two, where a category has too many levels), and the reader that the later reads must use."""
    found = _read(source, reader, engine, seed, on_rows)
    most = min(MOST_RAW_LEVELS, MOST_RAW_LEVELS_TOGETHER // max(len(found.overflowed), 1))
    crowded = {name: _most_frequent(found.summaries[name], most) for name in sorted(found.overflowed)}
    listed = {name: levels for name, levels in crowded.items() if levels is not None}
    if not listed:
        return found, reader
    if not source.repeatable and not source.files:
        names = ", ".join(map(repr, listed))
        raise DataError(
            f"{names} has more than {MOST_RAW_LEVELS:,} levels, and {source.name} cannot be read a second time to group them.",
            "drop the column, or write the data to a file first.",
        )
    reader = replace(reader, decoder=replace(reader.decoder, listed={**reader.decoder.listed, **listed}))
    again = _read(source, reader, engine, seed, on_rows)
    return replace(again, summaries={**again.summaries, **{n: found.summaries[n] for n in listed}}, reads=2), reader


def _most_frequent(summary: Summary, most: int) -> tuple[str, ...] | None:
    """The levels to keep of a crowded category; None for an identifier."""
    assert isinstance(summary, CategorySummary)
    present = summary.rows - summary.missing
    if summary.counts is None or (len(summary.counts) >= IDENTIFIER_SHARE * present and present >= IDENTIFIER_ROWS):
        return None
    counts = summary.counts
    return tuple(sorted(counts, key=lambda level: (-counts[level], level))[:most])


class _Limits:
    """What later blocks need not look for. A block that does so all the same, since it began before, changes nothing.

    uncountable: the categories with more levels than are kept.  below: the largest hash that the sample may still take.
    """

    def __init__(self) -> None:
        self.uncountable: set[str] = set()
        self.below = np.uint64(0xFFFFFFFFFFFFFFFF)

    def lower(self, found: Survey) -> None:
        """After some blocks."""
        self.uncountable.update(n for n, s in found.summaries.items() if isinstance(s, CategorySummary) and s.counts is None)
        if len(found.sample.hashes) == SAMPLE_ROWS:
            self.below = found.sample.hashes.max()


def _read(source: Source, reader: RowReader, engine: Engine, seed: int, on_rows: Callable[[int], None]) -> Survey:
    limits = _Limits()

    def compute(block: Block) -> Survey:
        return _block_survey(reader.read(block), reader, block, seed, limits)

    def merged(a: Survey, b: Survey) -> Survey:
        on_rows(a.read + b.read)
        both = _merge(a, b)
        limits.lower(both)
        return both

    rest = engine.map_merge(source.blocks(reader.columns), compute, merged)
    if rest is None:
        raise DataError(f"{source.name} has a header and no rows.", "give a table with at least two rows.")
    on_rows(rest.read)
    rest = rest.with_training()
    if rest.read == 0:
        raise DataError(f"{source.name} has a header and no rows.", "give a table with at least two rows.")
    if rest.dropped == rest.read:
        targets = ", ".join(map(repr, sorted([reader.target, *reader.others])))
        raise DataError(
            f"all {rest.read:,} rows were dropped: none has {'all of the targets' if reader.others else 'a target'} {targets}"
            + (" and all features." if reader.missing == "drop" else "."),
            "choose another --target, or look at how missing values are written.",
        )
    _refuse_faults(rest, source)
    return rest


class _ByRole:
    """A block's rows put in the order of their roles: each column is gathered once, and a role is a slice of it.

    folds: how many the training rows are divided among; each is then a slice of their slice, in `self.folds`.
    """

    def __init__(self, rows: Rows, folds: int = 0) -> None:
        first = max(folds, 1)  # cells: the folds of the training rows (or all of them as one), the validation rows, the test rows
        cells = rows.roles if rows.folds is None else np.where(rows.roles == Role.TRAINING, rows.folds, rows.roles + (first - 1))
        positions = [np.flatnonzero(cells == cell) for cell in range(first + len(Role) - 1)]
        stops = accumulate(len(at) for at in positions)
        slices = [slice(stop - len(at), stop) for at, stop in zip(positions, stops, strict=True)]
        self.folds = slices[:folds]
        self.slices = dict(zip(Role, [slice(0, slices[first - 1].stop), *slices[first:]], strict=True))
        self._order = None if any(len(at) == len(rows.y) for at in positions) else np.concatenate(positions)
        self.weight = None if rows.weight is None else (rows.weight if self._order is None else rows.weight[self._order])
        training = self.slices[Role.TRAINING]
        self._present = None if self.weight is None else np.flatnonzero(self.weight[training] > 0.0)

    def numbers(self, columns: Sequence[FloatArray]) -> Sequence[FloatArray]:
        """Columns (n,) in the new order; in the thread's scratch, until its next block."""
        if self._order is None:
            return columns
        gathered = _scratch.of(len(columns), len(self._order))
        for values, row in zip(columns, gathered, strict=True):
            np.take(values, self._order, out=row, mode="clip")  # the other modes copy once more
        return list(gathered)

    def codes(self, codes: IntArray) -> IntArray:
        """Codes (n,) in the new order."""
        return codes if self._order is None else codes.take(self._order)

    def training(self, gathered: NDArray[Number]) -> NDArray[Number]:
        """The gathered values of the training rows; a row without weight is not there."""
        used = gathered[self.slices[Role.TRAINING]]
        return used if self._present is None else used[self._present]


def _block_survey(rows: Rows, reader: RowReader, block: Block, seed: int, limits: _Limits) -> Survey:
    by_role = _ByRole(rows, 0 if reader.folds is None else reader.folds.count)
    target = NumberColumn(reader.target, rows.y, Part.TARGET)
    targets = sorted([target, *rows.others], key=lambda column: column.name)  # the same bits, whichever of them is `target`
    columns = [*rows.decoded.numbers, *targets]
    gathered = by_role.numbers([column.values for column in columns])
    numbers = [column._replace(values=values) for column, values in zip(columns, gathered, strict=True)]
    summaries: dict[str, Summary] = {}
    for i, column in enumerate(rows.decoded.numbers):
        summary = number_summary(column, by_role.training(gathered[i]), block.first_row)
        if summary.infinite:  # told of after the read, with the count; kept out of the moments
            at = int(np.argmax(np.isinf(column.values)))
            summary = replace(summary, first_infinite=int(rows.row[at]))
            numbers[i] = column._replace(values=np.where(np.isinf(gathered[i]), np.nan, gathered[i]))
        summaries[column.name] = summary
    overflowed = set(limits.uncountable)
    categories: list[CategoryColumn] = []
    for category in rows.decoded.categories:
        codes = by_role.codes(category.codes)
        used = by_role.training(codes)
        if category.name in overflowed:
            missing = int(np.count_nonzero(used < 0))
            summaries[category.name] = CategorySummary(len(used), missing, None, category.missing_is_level)
            continue
        summaries[category.name] = category_summary(category, used)
        if len(category.levels) > MOST_RAW_LEVELS + 1:
            overflowed.add(category.name)
        else:
            categories.append(category._replace(codes=codes))

    def moments_of(mine: slice) -> Moments:
        return block_moments(
            [column._replace(values=column.values[mine]) for column in numbers],
            [category._replace(codes=category.codes[mine]) for category in categories],
            mine.stop - mine.start,
            None if by_role.weight is None else by_role.weight[mine],
        )

    divided = {Role.TRAINING} if by_role.folds else set()
    present = {role: mine for role, mine in by_role.slices.items() if mine.stop > mine.start and role not in divided}
    return Survey(
        {role: moments_of(mine) for role, mine in present.items()},
        summaries,
        number_summary(target, target.values, block.first_row),
        rows.read,
        rows.dropped,
        _sample(rows, block, seed, limits.below),
        frozenset(overflowed),
        others={column.name: number_summary(column, column.values, block.first_row) for column in rows.others},
        folds=tuple(moments_of(mine) for mine in by_role.folds),
    )


def _sample(rows: Rows, block: Block, seed: int, below: np.uint64) -> Sample:
    """The rows with the smallest hashes, none above `below`."""
    import pyarrow as pa

    table = rows.table if isinstance(rows.table, pa.Table) else pa.Table.from_batches([rows.table])
    hashes = row_hashes(seed ^ SAMPLE_SALT, block.file, block.first_row, rows.read)[rows.kept]
    keep = np.flatnonzero(hashes <= below)
    if len(keep) > SAMPLE_ROWS:
        keep = np.sort(keep[np.argpartition(hashes[keep], SAMPLE_ROWS)[:SAMPLE_ROWS]])
    position = np.flatnonzero(rows.kept)[keep]
    return Sample(table.take(as_arrow(position)), rows.roles[keep], np.full(len(keep), block.file), rows.row[keep], hashes[keep])


def _merge(a: Survey, b: Survey) -> Survey:
    overflowed = set(a.overflowed | b.overflowed)
    summaries = {name: a.summaries[name].plus(b.summaries[name]) for name in a.summaries}  # type: ignore[arg-type]
    overflowed |= {name for name, s in summaries.items() if isinstance(s, CategorySummary) and s.distinct > MOST_RAW_LEVELS + 1}
    counted = {n: s.distinct for n, s in summaries.items() if isinstance(s, CategorySummary) and n not in overflowed}
    while sum(counted.values()) > MOST_RAW_LEVELS_TOGETHER:
        largest = max(counted, key=lambda name: (counted[name], name))
        overflowed.add(largest)
        del counted[largest]
    moments = {}
    for role in Role:
        parts = [s.moments[role].without(overflowed) for s in (a, b) if role in s.moments]
        if parts:
            moments[role] = parts[0] if len(parts) == 1 else merge(*parts)
    return Survey(
        moments,
        summaries,
        a.target.plus(b.target),
        a.read + b.read,
        a.dropped + b.dropped,
        a.sample.plus(b.sample),
        frozenset(overflowed),
        others={name: a.others[name].plus(b.others[name]) for name in a.others},
        folds=tuple(merge(x.without(overflowed), y.without(overflowed)) for x, y in zip(a.folds, b.folds, strict=True)),
    )


def _refuse_faults(found: Survey, source: Source) -> None:
    """Raise DataError for infinities and for columns without any value."""
    for name, summary in found.summaries.items():
        if isinstance(summary, NumberSummary) and summary.infinite:
            raise DataError(
                f"column {name!r} of {source.name}: {summary.infinite:,} value{'s are' if summary.infinite > 1 else ' is'} infinite "
                f"(first at row {summary.first_infinite:,}, counted from 0).",
                f"drop the column (--drop {name}), or filter the rows with SQL text: select … where isfinite({name}).",
            )
    for role, moments in found.moments.items():
        lost = np.flatnonzero(~np.isfinite(np.diag(moments.comoment)))
        if len(lost):
            name = moments.columns[int(lost[0])].column
            raise DataError(
                f"column {name!r} of {source.name} has values so large that their squares overflow float64 ({role.label} rows).",
                "choose a larger unit for it, or filter out the rows that are wrong.",
            )
    if not found.rows(Role.TRAINING) or found.moments[Role.TRAINING].weight == 0.0:
        return
    empty = [name for name, summary in found.summaries.items() if summary.missing == summary.rows]
    empty = list(
        dict.fromkeys(name.removesuffix(".days") for name in empty if not name.endswith((".month", ".weekday", ".hour")))
    )
    if empty:
        what = f"column {empty[0]!r} is" if len(empty) == 1 else f"columns {', '.join(map(repr, empty))} are"
        raise DataError(f"{what} null in every training row of {source.name}.", f"leave it out: --drop {','.join(empty)}.")

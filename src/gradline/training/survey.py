"""The one read of the data: moments by role, what each column holds, and a sample of rows.

A category with more levels than moments can hold is counted only; where it is no identifier, the data are read once more
with its most frequent levels.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import cached_property, partial, reduce
from itertools import chain
from threading import Semaphore
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from gradline.errors import DataError
from gradline.maths.block import MissingInMatrixError, block_tally, encoded
from gradline.maths.extremes import Extremes, extremes_of
from gradline.maths.summaries import CategorySummary, NumberSummary, added, category_summary, number_summary, plain_summary
from gradline.maths.tally import Tally
from gradline.representation.features import IDENTIFIER_ROWS, IDENTIFIER_SHARE
from gradline.training.reading.sample import ANY_HASH, Sample, sampled
from gradline.types import NumberColumn, Part, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from gradline.inputs.source import Source
    from gradline.maths.block import BlockTally, Encoded
    from gradline.maths.engine import Engine
    from gradline.maths.moments import Moments
    from gradline.maths.summaries import Summary
    from gradline.splits.divisions import Division
    from gradline.training.rows import RowReader, Rows
    from gradline.types import Block, IntArray

Number = TypeVar("Number", np.float64, np.intp)

MOST_RAW_LEVELS = 2_500  # of one category, in the moments
MOST_RAW_LEVELS_TOGETHER = 5_000  # of all of them
USUAL_MEMORY = 1 << 33  # where the system does not say
MATRICES_A_BLOCK = 6  # (q, q), at once: three roles' moments, and what makes the third of them; more where there are parts


@dataclass(frozen=True)
class Survey:
    """What one read found. tallies: of the raw columns, the targets last among the numbers, by role. summaries: by decoded
    column, over the training rows (infinities over all). target: over all rows with a target. others: of the other targets.
    part_tallies: of the training rows by part, for each division of them; merged in this order, the first one's are those of all.
    without_target, null_beside, gap: see `Rows`; the latter are among the dropped.  extremes: of the training rows' numbers, then of
    their targets by name.
    """

    tallies: Mapping[Role, Tally]
    summaries: Mapping[str, Summary]
    target: NumberSummary
    read: int
    dropped: int
    sample: Sample
    overflowed: frozenset[str] = frozenset()
    reads: int = 1
    others: Mapping[str, NumberSummary] = field(default_factory=dict)
    part_tallies: tuple[tuple[Tally, ...], ...] = ()
    without_target: int = 0
    null_beside: Mapping[str, int] = field(default_factory=dict)
    extremes: Extremes | None = None
    gap: int = 0

    def with_training(self) -> Survey:
        """The same with the training rows, after the last block; while it is read, their parts stand for them."""
        training = reduce(Tally.plus, self.part_tallies[0]) if self.part_tallies else None
        if training is None or not training.numbers.rows:
            return self
        return replace(self, tallies={Role.TRAINING: training, **self.tallies})

    def of(self, target: str) -> Survey:
        """The same for one of the targets; the moments hold them all, and which column is used is its problem's to choose."""
        return replace(self, target=self.others[target]) if target in self.others else self

    @cached_property
    def moments(self) -> Mapping[Role, Moments]:
        """The tallies as moments, by role: of thousands of levels a matrix each, kept as long as this."""
        return {role: tally.moments() for role, tally in self.tallies.items()}

    @cached_property
    def parts(self) -> tuple[tuple[Moments, ...], ...]:
        """The parts' tallies as moments, for each division."""
        return tuple(tuple(tally.moments() for tally in tallies) for tallies in self.part_tallies)

    def rows(self, role: Role) -> int:
        """How many rows have a role."""
        return self.tallies[role].numbers.rows if role in self.tallies else 0


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


def continued(before: Survey, source: Source, reader: RowReader, engine: Engine, seed: int) -> Survey:
    """`before`, and then the rows of another source of numbers, whose blocks say where they stand: merged one by one, they come to the
    bits of one read of all the blocks. `before` stays as it is.
    """
    return _read(source, reader, engine, seed, lambda rows: None, before)


def _own(found: Survey) -> Survey:
    """The same in memory of its own, where a merge writes."""
    tallies = {
        role: replace(tally, numbers=replace(tally.numbers, comoment=tally.numbers.comoment.copy()))
        for role, tally in found.tallies.items()
    }
    return replace(found, tallies=tallies)


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
        self.below = ANY_HASH

    def lower(self, found: Survey) -> None:
        """After some blocks."""
        self.uncountable.update(n for n, s in found.summaries.items() if isinstance(s, CategorySummary) and s.counts is None)
        self.below = min(self.below, found.sample.below)


def most_at_once(bytes_each: int) -> int:
    """How many things of this size half of the machine's memory holds; one at least."""
    known = hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if known else USUAL_MEMORY
    return max(1, memory // (2 * max(bytes_each, 1)))


def _read(
    source: Source,
    reader: RowReader,
    engine: Engine,
    seed: int,
    on_rows: Callable[[int], None],
    before: Survey | None = None,
) -> Survey:
    limits = _Limits()
    matrices = MATRICES_A_BLOCK + sum(division.count for division in reader.divisions)
    at_once = Semaphore(most_at_once(matrices * 8 * len(reader.columns) ** 2))

    def compute(block: Block | Survey) -> Survey:
        if isinstance(block, Survey):
            return block
        with at_once:  # of thousands of columns many threads would need more memory than there is
            try:
                return _block_survey(reader.read(block, as_it_lies=True), reader, block, seed, limits)
            except MissingInMatrixError:
                return _block_survey(reader.read(block), reader, block, seed, limits)

    def merged(a: Survey, b: Survey) -> Survey:
        on_rows(a.read + b.read)
        both = _merge(a, b)
        limits.lower(both)
        return both

    blocks: Iterable[Block | Survey] = source.blocks(reader.columns)
    items = blocks if before is None else chain([_own(before)], blocks)
    return checked(engine.map_merge(items, compute, merged), source, reader, on_rows)


def checked(rest: Survey | None, source: Source, reader: RowReader, on_rows: Callable[[int], None]) -> Survey:
    """What a read found, if it can be trained on. Raises DataError."""
    if rest is None:
        raise DataError(f"{source.name} has a header and no rows.", "give a table with at least two rows.")
    on_rows(rest.read)
    rest = replace(rest.with_training(), sample=rest.sample.smallest().in_columns())
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


class _Cells:
    """Where a block's rows of each role stand: (n,) positions, or None for all rows. Of divided training rows, those of each part."""

    def __init__(self, rows: Rows, divisions: Sequence[Division]) -> None:
        self.at: dict[Role, IntArray | None] = {}
        for role in Role:
            mine = rows.roles == role.value  # of the enumeration itself NumPy makes a wider integer
            if mine.any():
                self.at[role] = None if mine.all() else np.flatnonzero(mine)
        self.light = rows.weight is not None and not rows.weight.all()  # some rows have no weight
        self._training: IntArray | None = self.at.get(Role.TRAINING, np.zeros(0, dtype=np.intp))
        if self.light and rows.weight is not None:
            self._training = np.flatnonzero((rows.weight > 0.0) & (rows.roles == Role.TRAINING.value))
        trained = rows.roles == Role.TRAINING.value
        self.parts = [
            [np.flatnonzero(trained & (part == k)) for k in range(division.count)]
            for division, part in zip(divisions, rows.parts, strict=True)
        ]
        if self.parts:
            self.at.pop(Role.TRAINING, None)

    def trained(
        self, found: Mapping[Role, BlockTally], parts: Sequence[Sequence[BlockTally]]
    ) -> list[tuple[BlockTally, IntArray | None]]:
        """The tallies of the training rows, and where those stand."""
        if Role.TRAINING in found:
            return [(found[Role.TRAINING], self.at[Role.TRAINING])]
        return [*zip(parts[0], self.parts[0], strict=True)] if parts else []

    def training(self, values: NDArray[Number]) -> NDArray[Number]:
        """The values of the training rows; a row without weight is not there."""
        return values if self._training is None else values.take(self._training)


def _block_survey(rows: Rows, reader: RowReader, block: Block, seed: int, limits: _Limits) -> Survey:
    cells = _Cells(rows, reader.divisions)
    numbers = rows.decoded.numbers
    target = NumberColumn(reader.target, rows.y, Part.TARGET)
    targets = sorted([target, *rows.others], key=lambda column: column.name)  # the same bits, whichever of them is `target`
    summaries: dict[str, Summary] = {}
    overflowed = set(limits.uncountable)
    categories: list[Encoded] = []
    for category in rows.decoded.categories:
        used = cells.training(category.codes)
        if category.name in overflowed:
            missing = int(np.count_nonzero(used < 0))
            summaries[category.name] = CategorySummary(len(used), missing, None, category.missing_is_level)
            continue
        summaries[category.name] = category_summary(category, used, lambda: cells.training(rows.row))
        if len(category.levels) > MOST_RAW_LEVELS + 1:
            overflowed.add(category.name)
        else:
            categories.append(encoded(category))
    columns = [*numbers, *targets]
    tallied = partial(block_tally, columns, categories, len(rows.y), rows.weight, matrix=rows.decoded.matrix)
    found = {role: tallied(at=at) for role, at in cells.at.items()}
    parts = [[tallied(at=at) for at in division] for division in cells.parts]
    trained = cells.trained(found, parts)
    training = [each for each, _ in trained if each.rows]
    plain = np.all([each.plain for each in (*found.values(), *training) if each.rows], axis=0)
    least, greatest = [], []
    if training and not cells.light:  # the common case: the pass has seen it all
        least = np.min([each.least for each in training], axis=0).tolist()
        greatest = np.max([each.greatest for each in training], axis=0).tolist()
    trained_rows = sum(each.rows for each in training)
    for i, column in enumerate(numbers):
        if least and plain[i]:
            summaries[column.name] = plain_summary(column, trained_rows, least[i], greatest[i])
            continue
        summary = number_summary(column, cells.training(column.values), block.first_row)
        if summary.infinite:  # told of after the read, with the count
            summary = summary._replace(first_infinite=int(rows.row[np.argmax(np.isinf(column.values))]))
        summaries[column.name] = summary
    ordered = [*(n.name for n in numbers), *(c.name for c in rows.decoded.categories)]
    return Survey(
        {role: each.tally for role, each in found.items()},
        {name: summaries[name] for name in ordered},
        number_summary(target, target.values, block.first_row),
        rows.read,
        rows.dropped,
        sampled(rows, block, seed, limits.below),
        frozenset(overflowed),
        others={column.name: number_summary(column, column.values, block.first_row) for column in rows.others},
        part_tallies=tuple(tuple(each.tally for each in division) for division in parts),
        without_target=rows.without_target,
        null_beside=rows.null_beside,
        extremes=extremes_of([column.values for column in columns], trained, rows.row),
        gap=rows.gap,
    )


def _merge(a: Survey, b: Survey) -> Survey:
    overflowed = set(a.overflowed | b.overflowed)
    summaries = {name: a.summaries[name].plus(b.summaries[name]) for name in a.summaries}  # type: ignore[arg-type]
    overflowed |= {name for name, s in summaries.items() if isinstance(s, CategorySummary) and s.distinct > MOST_RAW_LEVELS + 1}
    counted = {n: s.distinct for n, s in summaries.items() if isinstance(s, CategorySummary) and n not in overflowed}
    while sum(counted.values()) > MOST_RAW_LEVELS_TOGETHER:
        largest = max(counted, key=lambda name: (counted[name], name))
        overflowed.add(largest)
        del counted[largest]
    tallies = {}
    for role in Role:
        parts = [s.tallies[role].without(overflowed) for s in (a, b) if role in s.tallies]
        if parts:
            tallies[role] = parts[0] if len(parts) == 1 else parts[0].plus(parts[1], reuse=True)
    return Survey(
        tallies,
        summaries,
        a.target.plus(b.target),
        a.read + b.read,
        a.dropped + b.dropped,
        a.sample.plus(b.sample),
        frozenset(overflowed),
        others={name: a.others[name].plus(b.others[name]) for name in a.others},
        part_tallies=tuple(
            tuple(x.without(overflowed).plus(y.without(overflowed), reuse=True) for x, y in zip(mine, others, strict=True))
            for mine, others in zip(a.part_tallies, b.part_tallies, strict=True)
        ),
        without_target=a.without_target + b.without_target,
        null_beside=added(a.null_beside, b.null_beside),
        extremes=a.extremes.plus(b.extremes) if a.extremes and b.extremes else a.extremes or b.extremes,
        gap=a.gap + b.gap,
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
    for role, tally in found.tallies.items():
        moments = tally.numbers  # what is counted does not overflow
        lost = np.flatnonzero(~np.isfinite(np.diag(moments.comoment)))
        if len(lost):
            name = moments.columns[int(lost[0])].column
            most = "" if role is not Role.TRAINING or found.extremes is None else found.extremes.furthest(int(lost[0]))
            raise DataError(
                f"column {name!r} of {source.name} has values so large that their squares overflow float64 ({role.label} rows{most}).",
                "choose a larger unit for it, or filter out the rows that are wrong.",
            )
    if not found.rows(Role.TRAINING) or found.tallies[Role.TRAINING].numbers.weight == 0.0:
        return
    empty = [name for name, summary in found.summaries.items() if summary.missing == summary.rows]
    empty = list(
        dict.fromkeys(name.removesuffix(".days") for name in empty if not name.endswith((".month", ".weekday", ".hour")))
    )
    if empty:
        what = f"column {empty[0]!r} is" if len(empty) == 1 else f"columns {', '.join(map(repr, empty))} are"
        raise DataError(f"{what} null in every training row of {source.name}.", f"leave it out: --drop {','.join(empty)}.")

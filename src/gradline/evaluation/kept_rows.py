"""The rows that the model is assessed on: one more read scores them all, and keeps as many of each role as memory allows.

Errors are summed over all rows. What needs the rows themselves (quantiles, segments, a threshold) has all of a role up to
MOST_KEPT of them, beyond that a uniform sample, drawn by a hash of (seed, file, row number): the same rows on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gradline.arrays import as_arrow
from gradline.evaluation.metrics import ErrorSums
from gradline.splits.roles import ValueRoles, row_hashes, value_hashes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa

    from gradline.inputs.source import Source
    from gradline.maths.engine import Engine
    from gradline.splits.roles import Hashes
    from gradline.training.rows import RowReader
    from gradline.types import Block, Decoded, FloatArray, IntArray, Role

MOST_KEPT = 1 << 17  # of one role
MOST_WORST = 10
KEPT_SALT = 0xA55E


class KeptRows(NamedTuple):
    """n rows of one role and what the model says of them.

    actual, predicted: (n,) in the target's unit.  y, score: (n,) in the unit trained in (the logarithm, of a log target; else the same).
    weight: (n,), None without weights.  decoded: their features.  table: their columns as read.  file, row: (n,) where they stand.
    group: (n,) a hash of the column by which rows stay together, None where there is none.
    of: how many rows of this role there are; these are all of them, or a uniform sample.
    """

    role: Role
    actual: FloatArray
    predicted: FloatArray
    y: FloatArray
    score: FloatArray
    weight: FloatArray | None
    decoded: Decoded
    table: pa.Table
    file: IntArray
    row: IntArray
    group: Hashes | None
    of: int

    @property
    def error(self) -> FloatArray:
        """Predicted − actual, (n,)."""
        return self.predicted - self.actual

    @property
    def whole(self) -> bool:
        """Whether these are all rows of the role."""
        return len(self.actual) == self.of


class Worst(NamedTuple):
    """The rows with the largest errors, the largest first. table: their columns as read; the arrays (n,)."""

    table: pa.Table
    file: IntArray
    row: IntArray
    actual: FloatArray
    predicted: FloatArray

    def plus(self, other: Worst) -> Worst:
        """The largest of both."""
        import pyarrow as pa

        arrays: list[Any] = [np.concatenate(pair) for pair in zip(self[1:], other[1:], strict=True)]
        table = pa.concat_tables([self.table, other.table], promote_options="permissive")
        return Worst(table, *arrays).largest()

    def largest(self) -> Worst:
        """At most MOST_WORST of them; of equal errors the first."""
        order = np.argsort(-np.abs(self.predicted - self.actual), kind="stable")[:MOST_WORST]
        arrays: list[Any] = [each[order] for each in self[1:]]
        return Worst(self.table.take(as_arrow(order)), *arrays)


class Assessed(NamedTuple):
    """What the read found of one role."""

    rows: KeptRows
    errors: ErrorSums
    worst: Worst


class _Arrays(NamedTuple):
    """What is kept of some rows beside their columns; see `KeptRows`."""

    file: IntArray
    row: IntArray
    y: FloatArray
    score: FloatArray
    weight: FloatArray | None
    group: Hashes | None

    def take(self, at: IntArray) -> _Arrays:
        """Of some of the rows."""
        taken: list[Any] = [None if each is None else each[at] for each in self]
        return _Arrays(*taken)

    @staticmethod
    def joined(parts: list[_Arrays]) -> _Arrays:
        """Of all parts, one after the other."""
        whole: list[Any] = [None if each[0] is None else np.concatenate(each) for each in zip(*parts, strict=True)]
        return _Arrays(*whole)


@dataclass
class _Found:
    """Of one role, of the blocks so far."""

    errors: ErrorSums
    worst: Worst | None
    tables: list[pa.Table] = field(default_factory=list)
    arrays: list[_Arrays] = field(default_factory=list)

    def plus(self, other: _Found) -> _Found:
        self.errors.plus(other.errors)
        self.tables += other.tables
        self.arrays += other.arrays
        worst = self.worst and other.worst and self.worst.plus(other.worst)
        return _Found(self.errors, worst or self.worst or other.worst, self.tables, self.arrays)


class _Part(NamedTuple):
    """Of the blocks so far: how many rows were read, and what was found by role."""

    read: int
    found: dict[Role, _Found]

    def plus(self, other: _Part) -> _Part:
        both = {role: self.found[role].plus(more) if role in self.found else more for role, more in other.found.items()}
        return _Part(self.read + other.read, {**self.found, **both})


def read_kept(
    source: Source,
    reader: RowReader,
    score: Callable[[Decoded], FloatArray],
    to_target: Callable[[FloatArray], FloatArray],
    counts: Mapping[Role, int],
    seed: int,
    engine: Engine,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> dict[Role, Assessed]:
    """One read of the rows. score: of decoded features, in the unit trained in; to_target: of y or a score, in the target's unit of
    a prediction; counts: how many rows each role has.
    """
    import pyarrow as pa

    limit = {role: MOST_KEPT / n for role, n in counts.items() if n}
    grouped = reader.roles.column if isinstance(reader.roles, ValueRoles) else None

    def compute(block: Block) -> _Part:
        rows = reader.read(block)
        scores = score(rows.decoded)
        actual = np.exp(rows.y) if reader.log_target else rows.y
        predicted = to_target(scores)
        table = rows.table if isinstance(rows.table, pa.Table) else pa.Table.from_batches([rows.table])
        where = np.flatnonzero(rows.kept)

        def columns(at: IntArray) -> pa.Table:
            return table.take(as_arrow(where[at]))

        drawn = None
        if min(limit.values()) < 1.0:
            hashes = row_hashes(seed ^ KEPT_SALT, block.file, block.first_row, rows.read)[rows.kept]
            drawn = hashes.astype(np.float64) / 2.0**64
        group = None if grouped is None else value_hashes(0, rows.table.column(grouped))[rows.kept]
        arrays = _Arrays(np.full(len(actual), block.file), rows.row, rows.y, scores, rows.weight, group)
        found = {}
        for role, share in limit.items():
            mine = np.flatnonzero(rows.roles == role)
            if not len(mine):
                continue
            errors = ErrorSums()
            errors.add(predicted[mine], actual[mine], None if rows.weight is None else rows.weight[mine])
            worst = mine[np.argsort(-np.abs(predicted - actual)[mine], kind="stable")[:MOST_WORST]]
            most = Worst(columns(worst), arrays.file[worst], rows.row[worst], actual[worst], predicted[worst])
            kept = mine if drawn is None else mine[drawn[mine] < share]
            found[role] = _Found(errors, most, [columns(kept)], [arrays.take(kept)])
        return _Part(rows.read, found)

    def merge(a: _Part, b: _Part) -> _Part:
        on_rows(a.read + b.read)
        return a.plus(b)

    part = engine.map_merge(source.blocks(reader.columns), compute, merge)
    if part is None:
        return {}
    on_rows(part.read)
    return {role: _assessed(role, part.found[role], reader, to_target, counts[role]) for role in limit if role in part.found}


def _assessed(role: Role, found: _Found, reader: RowReader, to_target: Callable[[FloatArray], FloatArray], of: int) -> Assessed:
    import pyarrow as pa

    table = pa.concat_tables(found.tables, promote_options="permissive").unify_dictionaries()
    file, row, y, score, weight, group = _Arrays.joined(found.arrays)
    actual = np.exp(y) if reader.log_target else y
    decoded = reader.decoder.decode(table)
    assert found.worst is not None
    kept = KeptRows(role, actual, to_target(score), y, score, weight, decoded, table, file, row, group, of)
    return Assessed(kept, found.errors, found.worst)

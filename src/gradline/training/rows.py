"""From a block to the rows that count: decoded features, target, weight, role.

The survey and the streamed oracle both read through here, so that they can never disagree about which rows are trained on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.arrays import as_arrow, flat_column
from gradline.errors import DataError
from gradline.representation.decode import as_numbers
from gradline.splits.roles import LEFT_OUT
from gradline.types import Decoded, Kind, NumberColumn, Part

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from gradline.representation.decode import Decoder
    from gradline.splits.divisions import Division
    from gradline.splits.roles import RoleArray, Roles
    from gradline.types import ArrayRows, Block, BoolArray, FloatArray, IntArray


class Rows(NamedTuple):
    """The rows of a block that have a target (every target, of several; and a weight, and under `missing = drop` all features).

    decoded, y (n,), weight (n,) or None, roles (n,).  row: (n,) their row numbers in the file.  read, dropped: how many rows
    the block had, and how many of them are not here.  table: the block as it was read; kept: (rows read,) which are here.
    others: the other targets of these rows, none of them missing.  parts: (n,) of each division; they count for training rows alone.
    without_target: rows that lack one; null_beside: of each decoded column, how many of those lack it too.  gap: how many of the
    dropped ones are so for having no role.  array: the rest of the block, where it was read as it lies.
    """

    decoded: Decoded
    y: FloatArray
    weight: FloatArray | None
    roles: RoleArray
    row: IntArray
    read: int
    dropped: int
    table: pa.RecordBatch | pa.Table
    kept: BoolArray
    others: tuple[NumberColumn, ...] = ()
    parts: tuple[RoleArray, ...] = ()
    without_target: int = 0
    null_beside: Mapping[str, int] = {}
    gap: int = 0
    array: ArrayRows | None = None

    def as_read(self, position: IntArray) -> pa.Table:
        """Some rows of the table, (k,) positions in it, as they were read."""
        import pyarrow as pa

        table = self.table if isinstance(self.table, pa.Table) else pa.Table.from_batches([self.table])
        return table.take(as_arrow(position))


@dataclass(frozen=True, slots=True)
class RowReader:
    """What a training run reads of a source. others: the other targets that share its rows, and what each is taken for.  divisions: those
    of the training rows, by what decides the roles.
    """

    decoder: Decoder
    roles: Roles
    target: str
    target_kind: Kind
    weight: str | None = None
    missing: str = "impute"
    log_target: bool = False
    others: Mapping[str, Kind] = field(default_factory=dict)
    divisions: tuple[Division, ...] = ()

    def of(self, target: str) -> RowReader:
        """The reader of the same rows for one of the targets."""
        kinds = {self.target: self.target_kind, **self.others}
        return replace(self, target=target, target_kind=kinds.pop(target), others=kinds)

    @property
    def columns(self) -> list[str]:
        """The columns to ask a source for."""
        wanted = [*self.decoder.kinds, self.target, *self.others, self.weight, self.roles.column]
        return list(dict.fromkeys(name for name in wanted if name is not None))

    def read(self, block: Block, *, as_it_lies: bool = False) -> Rows:
        """The rows of a block. Raises DataError for values that no decision covers.

        as_it_lies: an array's rows may stay rows (`Decoded.matrix`), where every column is a number.
        """
        array = block.array if as_it_lies and self._plain(block.array) else None
        table = block.load() if array is None else array.beside()
        y = self._target(table, self.target, self.target_kind, block.first_row)
        others = [self._target(table, name, kind, block.first_row) for name, kind in self.others.items()]
        kept = ~np.isnan(y)
        for other in others:
            kept &= ~np.isnan(other)
        weight = self._weight(table, block.first_row)
        decoded = self.decoder.columns(table, block.first_row) if array is None else Decoded.of_matrix(array.names, array.matrix)
        without = table.num_rows - int(np.count_nonzero(kept))
        beside = _nulls(decoded, ~kept) if without else {}
        if self.missing != "impute":
            incomplete = self._incomplete(decoded, kept, block.first_row)
            kept &= ~incomplete
        values = table.column(self.roles.column) if self.roles.column is not None else None
        roles = self.roles.assign(block.file, block.first_row, table.num_rows, values)
        parts = tuple(each.assign(block.file, block.first_row, table.num_rows, values) for each in self.divisions)
        without_role = roles == LEFT_OUT
        gap = int(np.count_nonzero(kept & without_role))
        kept &= ~without_role
        row = np.arange(block.first_row, block.first_row + table.num_rows)
        dropped = table.num_rows - int(np.count_nonzero(kept))
        if dropped:
            decoded, y, roles, row = decoded.take(kept), y[kept], roles[kept], row[kept]
            weight = None if weight is None else weight[kept]
            parts = tuple(each[kept] for each in parts)
        decoded = self.decoder.derive(decoded, row)
        more = tuple(NumberColumn(name, v[kept], Part.TARGET) for name, v in zip(self.others, others, strict=True))
        return Rows(
            decoded, y, weight, roles, row, table.num_rows, dropped, table, kept, more, parts, without, beside, gap, array
        )

    def _plain(self, array: ArrayRows | None) -> bool:
        """Whether the columns of an array are the features as they are."""
        kinds = self.decoder.kinds
        if array is None or self.decoder.derived or self.missing != "impute" or self.roles.column in array.names:
            return False
        return tuple(kinds) == array.names and set(kinds.values()) == {Kind.NUMBER}

    def _target(self, table: pa.RecordBatch | pa.Table, name: str, kind: Kind, first_row: int) -> FloatArray:
        y = as_numbers(name, flat_column(table, name), kind, first_row)
        infinite = np.isinf(y)
        if infinite.any():
            raise _fault(name, infinite, first_row, "infinite", f"filter them out: select … where isfinite({name})")
        if not self.log_target:
            return y
        low = y <= 0.0
        if low.any():
            raise _fault(
                name,
                low,
                first_row,
                "zero or negative and have no logarithm",
                "filter them out, or train without --log-target.",
            )
        return np.log(y)

    def _weight(self, table: pa.RecordBatch | pa.Table, first_row: int) -> FloatArray | None:
        if self.weight is None:
            return None
        weight = as_numbers(self.weight, flat_column(table, self.weight), self.target_kind, first_row)
        bad = ~np.isfinite(weight) | (weight < 0.0)
        if bad.any():
            raise _fault(
                self.weight,
                bad,
                first_row,
                "negative, null or infinite; a weight is a number from 0",
                "mend or filter these rows.",
            )
        return weight

    def _incomplete(self, decoded: Decoded, kept: BoolArray, first_row: int) -> BoolArray:
        incomplete = np.zeros(decoded.rows, dtype=np.bool_)
        masks = [(n.name, np.isnan(n.values)) for n in decoded.numbers]
        masks += [(c.name, c.codes < 0) for c in decoded.categories if c.missing_is_level]
        for name, mask in masks:
            if self.missing == "error" and (mask & kept).any():
                raise _fault(name, mask & kept, first_row, "null, and --missing is error", "use --missing impute or drop.")
            incomplete |= mask
        return incomplete


def _nulls(decoded: Decoded, rows: BoolArray) -> dict[str, int]:
    """How many of some rows lack a column; the parts of a date are not asked."""
    counts = {n.name: int(np.count_nonzero(np.isnan(n.values[rows]))) for n in decoded.numbers}
    return counts | {c.name: int(np.count_nonzero(c.codes[rows] < 0)) for c in decoded.categories if c.missing_is_level}


def _fault(column: str, rows: BoolArray, first_row: int, what: str, hint: str) -> DataError:
    count = int(np.count_nonzero(rows))
    verb = "row is" if count == 1 else "rows are"
    first = first_row + int(np.argmax(rows))
    return DataError(f"column {column!r}: {count:,} {verb} {what} (first at row {first:,}, counted from 0).", hint)


class SparseReader(NamedTuple):
    """What decided the roles of a sparse table's rows, which are kept and not read again."""

    roles: Roles

"""Whether an export predicts what the model predicts: both on the same rows, the export in the engine that it is for.

    relative difference of a row = |export − model| / max(|model|, deviation of the model's predictions)
    allowed in a row: 1e-9 of that deviation, and 2⁻⁴⁴ of the prediction itself, the rounding of its largest parts

so that neither a prediction near 0 nor a large constant in all of them decides. A row that has a prediction here and none there is no
rounding: it is a wrong export.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.arrays import as_arrow
from gradline.splits.roles import row_hashes
from gradline.types import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from gradline.export.formula import Decision
    from gradline.inputs.contract import ColumnContract
    from gradline.inputs.source import Source
    from gradline.splits.roles import Hashes
    from gradline.types import BoolArray, FloatArray, Json

MOST_ROWS = 100_000
SALT = 0xE4B0
TOLERANCE = 1e-9
ROUNDING = 2.0**-44


class CheckedRows(NamedTuple):
    """Rows of a source: all, or those with the least hashes of (file, row number). sha256: of the columns as Arrow streams them."""

    table: pa.Table
    of: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Parity:
    """How an export and a model differ on `rows` rows. without: how many have no prediction, in both."""

    rows: int
    without: int
    absolute: float
    relative: float
    mistaken: int
    first: int | None

    def to_json(self) -> Json:
        """What stands in the document of an export."""
        return {
            "rows_without_prediction": self.without,
            "max_absolute_difference": self.absolute,
            "max_relative_difference": self.relative,
            "tolerance": TOLERANCE,
        }


def checked_rows(source: Source, columns: Mapping[str, ColumnContract], most: int = MOST_ROWS) -> CheckedRows:
    """Up to `most` rows of a source, the same ones in every read of it."""
    import pyarrow as pa

    hashes, tables = np.zeros(0, dtype=np.uint64), [plain(source.schema.empty_table().select(list(columns)), columns)]
    limit, total = np.uint64(2**64 - 1), 0
    for block in source.blocks(list(columns)):
        loaded = block.load()
        table = loaded if isinstance(loaded, pa.Table) else pa.Table.from_batches([loaded])
        found = row_hashes(SALT, block.file, block.first_row, table.num_rows)
        total += table.num_rows
        chosen = np.flatnonzero(found <= limit)
        hashes = np.concatenate([hashes, found[chosen]])
        tables.append(plain(table.take(as_arrow(chosen)), columns))
        if len(hashes) > 2 * most:
            hashes, tables, limit = _least(hashes, tables, most)
    _, tables, _ = _least(hashes, tables, most)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, tables[0].schema) as writer:
        writer.write_table(tables[0])
    return CheckedRows(tables[0], total, hashlib.sha256(sink.getvalue()).hexdigest())


def _least(hashes: Hashes, tables: list[pa.Table], most: int) -> tuple[Hashes, list[pa.Table], np.uint64]:
    """The rows with the least hashes, in their order, in one table, and the largest of those hashes."""
    import pyarrow as pa

    table = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    if len(hashes) <= most:
        return hashes, [table], np.uint64(2**64 - 1)
    limit = np.partition(hashes, most - 1)[most - 1]
    chosen = np.flatnonzero(hashes <= limit)[:most]
    return hashes[chosen], [table.take(as_arrow(chosen))], limit


def plain(table: pa.Table, columns: Mapping[str, ColumnContract]) -> pa.Table:
    """The same values in types that every engine takes: no dictionaries, nanoseconds, zones but UTC, or types of nulls alone."""
    import pyarrow.compute as pc

    for i, field in enumerate(table.schema):
        kind = _plain_type(field.type, columns[field.name].kind)
        if kind != field.type:
            table = table.set_column(i, field.with_type(kind), pc.cast(table.column(i), kind, safe=False))
    return table.replace_schema_metadata(None)


def _plain_type(kind: pa.DataType, wanted: Kind) -> pa.DataType:
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_null(kind):
        by_kind = {Kind.TEXT: pa.string(), Kind.BOOLEAN: pa.bool_(), Kind.DATE: pa.date32(), Kind.TIMESTAMP: pa.timestamp("us")}
        return by_kind.get(wanted, pa.float64())
    if types.is_float16(kind):
        return pa.float64()
    if types.is_integer(kind) and kind != pa.uint64():
        return pa.int64()
    if types.is_timestamp(kind):
        return pa.timestamp("us", None if kind.tz is None else "UTC")
    if types.is_time(kind):
        return pa.time64("us")
    if types.is_date(kind):
        return pa.date32()
    return pa.duration("us") if types.is_duration(kind) else kind


def compared(expected: Mapping[str, FloatArray], found: Mapping[str, FloatArray], decision: Decision | None = None) -> Parity:
    """The differences of each output, (n,) each, NaN where there is none. decision: how decisions are made."""
    absolute = relative = 0.0
    wrong = np.zeros(len(expected["prediction"]), dtype=np.bool_)
    for name in expected:
        if name != "decision":
            difference = _difference(expected[name], found[name])
            absolute, relative = max(absolute, difference.absolute), max(relative, difference.relative)
            wrong |= difference.wrong
    if decision is not None:
        looked_at = expected[decision.of]
        near = np.abs(looked_at - decision.threshold) <= ROUNDING * np.abs(looked_at)  # rounding may move it across
        same = (expected["decision"] == found["decision"]) | np.isnan(expected["prediction"])
        wrong |= ~same & ~near
    mistaken = np.flatnonzero(wrong)
    without = int(np.count_nonzero(np.isnan(expected["prediction"])))
    return Parity(len(wrong), without, absolute, relative, len(mistaken), int(mistaken[0]) if len(mistaken) else None)


class _Difference(NamedTuple):
    """absolute, relative: the largest.  wrong: (n,) which rows differ by more than is allowed."""

    absolute: float
    relative: float
    wrong: BoolArray


def _difference(expected: FloatArray, found: FloatArray) -> _Difference:
    present = ~np.isnan(expected)
    finite = present & np.isfinite(expected)
    deviation = float(np.std(expected[finite])) if finite.any() else 0.0
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        difference = np.where(expected == found, 0.0, np.abs(found - expected))  # of infinities as well
        difference = np.where(present | ~np.isnan(found), difference, 0.0)
        size = np.where(finite, np.abs(expected), 0.0)
        relative = np.where(difference > 0.0, difference / np.maximum(size, deviation), 0.0)
        wrong = ~(difference <= TOLERANCE * deviation + ROUNDING * size)
    known = ~np.isnan(difference)
    return _Difference(float(np.max(difference[known], initial=0.0)), float(np.max(relative[known], initial=0.0)), wrong)

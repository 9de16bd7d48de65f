"""Tables that are in memory already, and streams of Arrow batches."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from gradline.arrays import as_arrow
from gradline.errors import SourceError, UsageError
from gradline.inputs.source import SourceFile, block_rows, check_unique_names, loaded, rechunked
from gradline.maths import kernels
from gradline.types import ArrayRows, Block

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TILE_ROWS = 512  # of a block that are transposed at a time: they stay in the cache
LEAST_BY_ROWS = 64  # columns of an array that is gone through as it lies by NumPy, which is slow along rows of few values


class ArraySource:
    """A NumPy array (m, p), columns x0, x1, …, and an array (m,) of the target, or (m, t) of several, beside it if there is one."""

    repeatable = True
    files: tuple[SourceFile, ...] = ()
    name = "array"

    def __init__(self, X: np.ndarray[Any, Any], y: np.ndarray[Any, Any] | None = None, target: str = "y") -> None:
        X = X[:, None] if X.ndim == 1 else X
        if X.ndim != 2:
            raise SourceError(f"an array of shape {X.shape} is not a table.", "give rows by columns.")
        self._X = X
        self._columns = {f"x{j}": X[:, j] for j in range(X.shape[1])}
        self._names = tuple(self._columns)
        if y is not None:
            self._columns |= _target_columns(y, target, len(X))
        self.rows = len(X)
        self.schema = pa.schema([(name, _arrow_type(name, column)) for name, column in self._columns.items()])

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """See `Source`."""
        rows = block_rows(len(columns))
        for start in range(0, self.rows, rows):
            cut = slice(start, start + rows)
            array = None
            if self._by_rows(columns) and (len(self._names) >= LEAST_BY_ROWS or kernels.fits(len(columns))):
                beside = columns[len(self._names) :]
                array = ArrayRows(self._names, self._X[cut], partial(self._loaded, beside, cut))
            yield Block(0, start, partial(self._loaded, columns, cut), array)

    def _loaded(self, columns: Sequence[str], cut: slice) -> pa.RecordBatch:
        side_by_side: dict[str, pa.Array] = {}
        if self._by_rows(columns):
            side_by_side = dict(zip(self._names, transposed(self._X[cut]), strict=True))
        arrays = [
            side_by_side[name] if name in side_by_side else as_arrow(self._columns[name][cut], self.schema.field(name).type)
            for name in columns
        ]
        return pa.RecordBatch.from_arrays(arrays, names=list(columns))

    def _by_rows(self, columns: Sequence[str]) -> bool:
        """Whether the columns hold all of an array of floats that does not lie column by column."""
        X = self._X
        return X.dtype.kind == "f" and X.strides[0] != X.itemsize and self._names == tuple(columns[: len(self._names)])


def transposed(X: np.ndarray[Any, Any]) -> list[pa.Array]:
    """The rows of an array of floats as columns of float64: tile by tile, since a column by itself reads all of it."""
    memory = pa.allocate_buffer(8 * X.size)  # of Arrow's pool, which has it ready again for the next block
    columns = np.frombuffer(memory, dtype=np.float64).reshape(X.shape[1], len(X))
    for first in range(0, len(X), TILE_ROWS):
        columns[:, first : first + TILE_ROWS] = X[first : first + TILE_ROWS].T
    return [as_arrow(column) for column in columns]


def _arrow_type(name: str, column: np.ndarray[Any, Any]) -> pa.DataType:
    """Of Python objects, all are looked at; of anything else, none."""
    try:
        return as_arrow(column if column.dtype.hasobject else column[:0]).type
    except (pa.ArrowException, TypeError) as error:
        raise SourceError(
            f"column {name!r} is an array of {column.dtype} that is no column of a table: {str(error).splitlines()[0]}",
            "convert it first, to numbers with .astype(float) or to texts with .astype(str).",
        ) from error


class TableSource:
    """An Arrow table."""

    repeatable = True
    files: tuple[SourceFile, ...] = ()

    def __init__(self, table: pa.Table, name: str = "table") -> None:
        self.name = name
        self._table = without_views(table)
        self.schema = self._table.schema
        self.rows = table.num_rows
        check_unique_names(self.schema.names, name)

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """See `Source`."""
        chosen = self._table.select(list(columns))
        rows = block_rows(len(columns))
        for start in range(0, self.rows, rows):
            yield Block(0, start, loaded(chosen.slice(start, rows)))


class StreamSource:
    """A stream of Arrow batches that can be read once."""

    repeatable = False
    rows = None
    files: tuple[SourceFile, ...] = ()
    name = "stream"

    def __init__(self, reader: pa.RecordBatchReader) -> None:
        self._reader: pa.RecordBatchReader | None = reader
        self.schema = without_views(reader.schema.empty_table()).schema
        check_unique_names(self.schema.names, "the stream")

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """See `Source`."""
        if self._reader is None:
            raise UsageError("the stream has been read already and cannot be read again.", "give a table or a file.")
        reader, self._reader = self._reader, None
        first_row = 0
        chosen = (b for batch in reader for b in without_views(pa.Table.from_batches([batch])).select(list(columns)).to_batches())
        for table in rechunked(chosen, block_rows(len(columns))):
            yield Block(0, first_row, loaded(table))
            first_row += table.num_rows


def without_views(table: pa.Table) -> pa.Table:
    """The same table with plain strings: many of Arrow's functions do not know string views."""
    for i, field in enumerate(table.schema):
        column = table.column(i)
        if pa.types.is_dictionary(field.type) and pa.types.is_string_view(field.type.value_type):
            plain = pa.dictionary(field.type.index_type, pa.large_string())
            chunks = [pa.DictionaryArray.from_arrays(c.indices, c.dictionary.cast(pa.large_string())) for c in column.chunks]
            table = table.set_column(i, field.with_type(plain), pa.chunked_array(chunks, plain))
        elif pa.types.is_string_view(field.type):
            table = table.set_column(i, field.with_type(pa.large_string()), column.cast(pa.large_string()))
    return table


def with_target(table: pa.Table, y: object, target: str) -> pa.Table:
    """A table with a target, or several, that came as an array of its own."""
    for name, values in _target_columns(np.asarray(y), target, table.num_rows).items():
        if name in table.column_names:
            raise UsageError(f"the data have a column {name!r} already.", "name the column as the target.")
        table = table.append_column(name, as_arrow(values))
    return table


def target_names(shape: tuple[int, ...], target: str = "y") -> list[str]:
    """What the targets in an array are called: y in one of shape (m,) or (m, 1), and y0, y1, … in one of shape (m, t)."""
    return [f"{target}{j}" for j in range(shape[1])] if len(shape) == 2 and shape[1] > 1 else [target]


def _target_columns(y: np.ndarray[Any, Any], target: str, rows: int) -> dict[str, np.ndarray[Any, Any]]:
    columns = y[:, None] if y.ndim == 1 else y
    if columns.ndim != 2 or columns.shape[0] != rows or columns.shape[1] == 0:
        raise SourceError(f"the target has shape {y.shape}, the data have {rows:,} rows.", "one target value a row.")
    return dict(zip(target_names(y.shape, target), columns.T, strict=True))

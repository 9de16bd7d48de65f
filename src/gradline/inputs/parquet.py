"""Parquet files, read by row groups, each in the thread that computes it.

A folder's Hive partitions (`year=2013/part.parquet`) are columns with one value a file.
"""

from __future__ import annotations

from functools import partial
from itertools import accumulate, groupby
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from gradline.errors import SourceError
from gradline.inputs.source import SourceFile, block_rows, check_unique_names, loaded, rechunked
from gradline.kinds import kind_of
from gradline.types import Block, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

LARGEST_GROUP_VALUES = 1 << 23  # row groups past 64 MB of float64 are read in slices
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


class _File(NamedTuple):
    path: Path
    metadata: pq.FileMetaData
    schema: pa.Schema
    partitions: dict[str, str | None]


class ParquetSource:
    """Parquet files of one schema, in the order of their names."""

    repeatable = True

    def __init__(self, name: str, paths: Sequence[Path], root: Path | None = None) -> None:
        self.name = name
        self._parts = [_open(path, root) for path in paths]
        first = self._parts[0]
        check_unique_names(first.schema.names, str(first.path))
        for part in self._parts[1:]:
            _check_same_columns(first, part)
        self._partition_types = _partition_types(self._parts)
        fields = [*first.schema, *(pa.field(key, kind) for key, kind in self._partition_types.items())]
        self.schema = pa.schema(fields)
        check_unique_names(self.schema.names, name)
        self.rows = sum(part.metadata.num_rows for part in self._parts)
        self.files = tuple(SourceFile(part.path.name, part.path.stat().st_size) for part in self._parts)

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """See `Source`. Row groups are decoded by the threads that need them, very large ones as the blocks are asked for."""
        for index, part in enumerate(self._parts):
            groups = [part.metadata.row_group(group).num_rows for group in range(part.metadata.num_row_groups)]
            if max(groups, default=0) * len(columns) > LARGEST_GROUP_VALUES:
                yield from self._streamed(index, part, columns)
            else:
                yield from self._shared(index, part, columns, groups)

    def _shared(self, index: int, part: _File, columns: Sequence[str], groups: Sequence[int]) -> Iterator[Block]:
        """Blocks that hold the row groups they need, and so keep them decoded as long as one of them lives."""
        rows, total = block_rows(len(columns)), sum(groups)
        runs = iter(_runs(groups, rows))
        held: list[_Run] = []
        for start in range(0, total, rows):
            stop = min(start + rows, total)
            held = [run for run in held if run.stop > start]
            while not held or held[-1].stop < stop:
                first_row, numbers = next(runs)
                held.append(_Run(first_row, sum(groups[g] for g in numbers), partial(self._decoded, part, numbers, columns)))
            yield Block(index, start, partial(_between, held, start, stop))

    def _decoded(self, part: _File, groups: Sequence[int], columns: Sequence[str]) -> pa.Table:
        stored = [name for name in columns if name not in part.partitions]
        try:
            with pq.ParquetFile(part.path, metadata=part.metadata) as file:
                table = file.read_row_groups(groups, columns=stored, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(part.path, error) from error
        return self._with_partitions(part, table, columns)

    def _streamed(self, index: int, part: _File, columns: Sequence[str]) -> Iterator[Block]:
        stored = [name for name in columns if name not in part.partitions]
        rows = block_rows(len(columns))
        try:
            with pq.ParquetFile(part.path, metadata=part.metadata) as file:
                batches = file.iter_batches(rows, columns=stored, use_threads=False)
                for number, table in enumerate(rechunked(batches, rows)):
                    yield Block(index, number * rows, loaded(self._with_partitions(part, table, columns)))
        except (pa.ArrowException, OSError) as error:
            raise _damaged(part.path, error) from error

    def _with_partitions(self, part: _File, table: pa.Table, columns: Sequence[str]) -> pa.Table:
        rows = table.num_rows
        for key, kind in self._partition_types.items():
            if key in columns:
                value = pa.scalar(part.partitions.get(key), pa.string()).cast(kind)
                table = table.append_column(pa.field(key, kind), pa.repeat(value, rows))
        return table.select(list(columns))


class _Run:
    """Consecutive row groups that are decoded together, once, by the first thread that needs them."""

    def __init__(self, first_row: int, rows: int, decode: Callable[[], pa.Table]) -> None:
        self.start, self.stop = first_row, first_row + rows
        self._decode = decode
        self._lock = Lock()
        self._table: pa.Table | None = None

    def table(self) -> pa.Table:
        with self._lock:
            if self._table is None:
                self._table = self._decode()
            return self._table


def _runs(groups: Sequence[int], rows: int) -> Iterator[tuple[int, list[int]]]:
    """The first row and the numbers of the row groups that are decoded together: those inside one block; each other alone."""
    starts = list(accumulate(groups, initial=0))
    blocks = lambda g: (starts[g] // rows, (starts[g + 1] - 1) // rows)
    for _, run in groupby(range(len(groups)), blocks):
        numbers = list(run)
        yield starts[numbers[0]], numbers


def _between(runs: Sequence[_Run], start: int, stop: int) -> pa.Table:
    """Some rows of the runs that hold them."""
    parts = [run.table().slice(max(start - run.start, 0), min(stop, run.stop) - max(start, run.start)) for run in runs]
    return pa.concat_tables(parts)


def _damaged(path: Path, error: Exception) -> SourceError:
    return SourceError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}", "the file may be cut off or damaged.")


def _open(path: Path, root: Path | None) -> _File:
    try:
        with pq.ParquetFile(path) as file:
            return _File(path, file.metadata, file.schema_arrow, _partitions(path, root))
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _partitions(path: Path, root: Path | None) -> dict[str, str | None]:
    folders = path.relative_to(root).parts[:-1] if root is not None else ()
    pairs = (folder.split("=", 1) for folder in folders if "=" in folder)
    return {unquote(key): None if value == HIVE_NULL else unquote(value) for key, value in pairs}


def _partition_types(parts: Sequence[_File]) -> dict[str, pa.DataType]:
    """int64 where every value of the key is a whole number, else text."""
    keys = dict.fromkeys(key for part in parts for key in part.partitions)
    types = {}
    for key in keys:
        values = [value for part in parts if (value := part.partitions.get(key)) is not None]
        whole = all(value.lstrip("-").isdigit() and str(int(value)) == value for value in values)
        types[key] = pa.int64() if whole and values else pa.string()
    return types


def _check_same_columns(first: _File, other: _File) -> None:
    for field in first.schema:
        index = other.schema.get_field_index(field.name)
        if index < 0:
            raise SourceError(
                f"{other.path} has no column {field.name!r}, which {first.path} has.", "train on files of one schema."
            )
        found = other.schema.field(index).type
        if found != field.type and not (_is_number(found) and _is_number(field.type)):
            raise SourceError(
                f"column {field.name!r} is {field.type} in {first.path} and {found} in {other.path}.",
                "train on files of one schema.",
            )


def _is_number(kind: pa.DataType) -> bool:
    return kind_of(kind) is Kind.NUMBER

"""Parquet files, read by row groups, each in the thread that computes it.

A folder's Hive partitions (`year=2013/part.parquet`) are columns with one value a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from gradline.errors import SourceError
from gradline.inputs.source import SourceFile, block_rows, check_unique_names, loaded
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
        """See `Source`. A block is a row group, or a slice of a very large one."""
        for index, part in enumerate(self._parts):
            first_row = 0
            for group in range(part.metadata.num_row_groups):
                rows = part.metadata.row_group(group).num_rows
                if rows * len(columns) <= LARGEST_GROUP_VALUES:
                    yield Block(index, first_row, self._loader(part, group, columns))
                else:
                    yield from self._slices(index, first_row, part, group, columns)
                first_row += rows

    def _loader(self, part: _File, group: int, columns: Sequence[str]) -> Callable[[], pa.Table]:
        def load() -> pa.Table:
            try:
                with pq.ParquetFile(part.path, metadata=part.metadata) as file:
                    stored = [name for name in columns if name not in part.partitions]
                    table = file.read_row_group(group, columns=stored, use_threads=False)
            except (pa.ArrowException, OSError) as error:
                raise _damaged(part.path, error) from error
            return self._with_partitions(part, table, columns)

        return load

    def _slices(self, index: int, first_row: int, part: _File, group: int, columns: Sequence[str]) -> Iterator[Block]:
        try:
            with pq.ParquetFile(part.path, metadata=part.metadata) as file:
                stored = [name for name in columns if name not in part.partitions]
                rows = block_rows(len(columns))
                for batch in file.iter_batches(rows, row_groups=[group], columns=stored, use_threads=False):
                    table = self._with_partitions(part, pa.Table.from_batches([batch]), columns)
                    yield Block(index, first_row, loaded(table))
                    first_row += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise _damaged(part.path, error) from error

    def _with_partitions(self, part: _File, table: pa.Table, columns: Sequence[str]) -> pa.Table:
        rows = table.num_rows
        for key, kind in self._partition_types.items():
            if key in columns:
                value = pa.scalar(part.partitions.get(key), pa.string()).cast(kind)
                table = table.append_column(pa.field(key, kind), pa.repeat(value, rows))
        return table.select(list(columns))


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

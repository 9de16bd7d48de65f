"""Parquet files, read a block's rows at a time, whatever their row groups.

A folder's Hive partitions (`year=2013/part.parquet`) are columns with one value a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from gradline.errors import SourceError
from gradline.inputs.memory import without_views
from gradline.inputs.objects import StoredObject
from gradline.inputs.source import SourceFile, block_rows, check_unique_names, loaded, rechunked
from gradline.inputs.watched import Watched
from gradline.kinds import kind_of
from gradline.types import Block, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

BUFFER_BYTES = 1 << 16
STORED_BUFFER_BYTES = 1 << 22  # a request to an object store takes as long as a megabyte does
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


class _File(NamedTuple):
    path: Path | StoredObject
    metadata: pq.FileMetaData
    schema: pa.Schema
    partitions: dict[str, str | None]


class ParquetSource:
    """Parquet files of one schema, in the order of their names."""

    repeatable = True

    def __init__(self, name: str, paths: Sequence[Path | StoredObject], root: Path | StoredObject | None = None) -> None:
        self.name = name
        self._watched = [Watched.of(path) for path in paths]
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
        self.files = tuple(SourceFile(file.path.name, file.bytes) for file in self._watched)

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """See `Source`. Each row group is decoded once, a block's rows at a time, its columns side by side; texts come as
        dictionaries, as most files store them.
        """
        rows = block_rows(len(columns))
        for index, part in enumerate(self._parts):
            self._watched[index].check()
            stored = [name for name in columns if name not in part.partitions]
            texts = [name for name in stored if kind_of(part.schema.field(name).type) is Kind.TEXT]
            try:
                # pre_buffer would hold the bytes of all row groups at once; a buffer spares holding those of one
                with pq.ParquetFile(
                    _bytes(part.path),
                    metadata=part.metadata,
                    read_dictionary=texts,
                    buffer_size=STORED_BUFFER_BYTES if isinstance(part.path, StoredObject) else BUFFER_BYTES,
                    pre_buffer=False,
                ) as file:
                    first_row = 0
                    for table in rechunked(file.iter_batches(rows, columns=stored), rows):
                        yield Block(index, first_row, loaded(self._with_partitions(part, table, columns)))
                        first_row += table.num_rows
            except (pa.ArrowException, OSError) as error:
                self._watched[index].check()
                raise _damaged(part.path, error) from error
            self._watched[index].check()

    def _with_partitions(self, part: _File, table: pa.Table, columns: Sequence[str]) -> pa.Table:
        rows = table.num_rows
        for key, kind in self._partition_types.items():
            if key in columns:
                value = pa.scalar(part.partitions.get(key), pa.string()).cast(kind)
                table = table.append_column(pa.field(key, kind), pa.repeat(value, rows))
        return without_views(table.select(list(columns)))


def _bytes(path: Path | StoredObject) -> Path | pa.NativeFile:
    return path.open() if isinstance(path, StoredObject) else path


def _damaged(path: Path | StoredObject, error: Exception) -> SourceError:
    return SourceError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}", "the file may be cut off or damaged.")


def _open(path: Path | StoredObject, root: Path | StoredObject | None) -> _File:
    try:
        with pq.ParquetFile(_bytes(path)) as file:
            schema = without_views(pa.Table.from_batches([], file.schema_arrow)).schema
            return _File(path, file.metadata, schema, _partitions(path, root))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _damaged(path, error) from error


def _partitions(path: Path | StoredObject, root: Path | StoredObject | None) -> dict[str, str | None]:
    folders = () if root is None else path.relative_to(root).parts[:-1]  # type: ignore[arg-type]
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

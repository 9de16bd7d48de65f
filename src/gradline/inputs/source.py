"""Source: anything tabular, as blocks of columns.

A source never holds the whole table unless its owner does. A block begins at a multiple of `block_rows` of its file, in every
format, so that the same rows give the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gradline.errors import SourceError
from gradline.inputs.objects import StoredObject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from gradline.types import Block, Kind

BLOCK_VALUES = 1 << 22  # 32 MB of float64
WIDE_BLOCK_ROWS = 1 << 14  # of many columns: each block has a (q, q) matrix to write and to merge, whatever its rows
WIDE_BLOCK_VALUES = 1 << 25
MOST_BLOCK_ROWS = 1 << 18
HEAD_BYTES = 1 << 18


class SourceFile(NamedTuple):
    """One file of a source, to recognise it again."""

    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How text is to be read, where the text itself does not say.

    kinds: declared kinds of columns.  expected: names that will be asked for (a first line that holds one is a header).
    header: whether the first line of a CSV names the columns; None: found out.  delimiter, decimal: likewise.
    label: what the first word of a svmlight line is called.  db: the address of the database that SQL text is for.
    """

    kinds: Mapping[str, Kind] = field(default_factory=dict)
    expected: frozenset[str] = frozenset()
    header: bool | None = None
    delimiter: str | None = None
    decimal: str | None = None
    label: str = "y"
    db: str | None = field(default=None, repr=False)


class Source(Protocol):
    """A table that can be read in blocks.

    name: what messages call it.  schema: names and Arrow types.  rows: how many, where that is known without reading.
    repeatable: whether a second read gives the same rows in the same order.  files: the files behind it, if any.
    """

    @property
    def name(self) -> str: ...

    @property
    def schema(self) -> pa.Schema: ...

    @property
    def rows(self) -> int | None: ...

    @property
    def repeatable(self) -> bool: ...

    @property
    def files(self) -> tuple[SourceFile, ...]: ...

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """A new read of some columns, in the order asked for."""
        ...


def block_rows(columns: int) -> int:
    """Rows in a block of `columns` columns, a power of two: at most 4M values, but of many columns 16,384 rows up to 32M values."""
    rows, q = MOST_BLOCK_ROWS, max(columns, 1)
    while rows > WIDE_BLOCK_ROWS and rows * q > BLOCK_VALUES:
        rows //= 2
    while rows > 1024 and rows * q > WIDE_BLOCK_VALUES:
        rows //= 2
    return rows


def rechunked(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of exactly `rows` rows (the last one shorter), however the batches came."""
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        rest = batch
        while count + rest.num_rows >= rows:
            head = rest.slice(0, rows - count)
            rest = rest.slice(rows - count)
            yield pa.Table.from_batches([*waiting, head])
            waiting, count = [], 0
        if rest.num_rows:
            waiting.append(rest)
            count += rest.num_rows
    if waiting:
        yield pa.Table.from_batches(waiting)


def text_head(path: Path | StoredObject) -> str:
    """The first characters of a text file, plain, .gz or .zst. Raises SourceError where it cannot be read or is not UTF-8."""
    import pyarrow as pa

    try:
        compression = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix)
        with pa.input_stream(path.open() if isinstance(path, StoredObject) else str(path), compression=compression) as file:
            head: bytes = file.read(HEAD_BYTES)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(
            f"{path} cannot be read: {str(error).splitlines()[0]}", "is it damaged, or not what its name says?"
        ) from error
    try:
        return head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(head) == HEAD_BYTES and error.start > HEAD_BYTES - 4:  # a character cut in two by the end of the head
            return head[: error.start].decode("utf-8-sig")
        hint = "convert it: iconv -f latin1 -t utf-8 OLD > NEW."
        raise SourceError(f"{path} is not UTF-8 text (byte {error.start}).", hint) from error


def loaded(table: pa.Table) -> Callable[[], pa.Table]:
    """The `load` of a block that is in memory already."""
    return lambda: table


def check_unique_names(names: Sequence[str], where: str) -> None:
    """Raise SourceError if two columns have one name."""
    seen: dict[str, int] = {}
    for position, name in enumerate(names, 1):
        if name in seen:
            raise SourceError(
                f"{where}: columns {seen[name]} and {position} are both named {name!r}; each column needs a name of its own.",
                "rename one of them, or choose columns with SQL text.",
            )
        seen[name] = position

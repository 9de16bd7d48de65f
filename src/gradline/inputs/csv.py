"""CSV: the dialect is read off the first lines, the types off the first 20,000; DuckDB parses.

The dialect is ours to find: left to itself, a reader takes a file with one bad line for a table of one column. Numbers are
always read as floating point, so that a column of whole numbers may hold a fraction further down. A line that does not fit
is an error that names it, never a skipped row.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, NamedTuple

import duckdb
import pyarrow as pa

from gradline.errors import SourceError
from gradline.inputs.query import connect, file_literal, first_lines, literal, query_schema, stream
from gradline.inputs.source import SourceFile, check_unique_names, loaded, text_head
from gradline.inputs.watched import Watched
from gradline.types import Block, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from gradline.inputs.objects import StoredObject
    from gradline.inputs.source import ReadOptions

    Translate = Callable[[Exception], SourceError]

NULLS = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "#N/A")
SAMPLE_ROWS = 20_000
INSTANT = pa.timestamp("us", "UTC")
DELIMITERS = (",", ";", "\t", "|")
SQL_TYPES = {
    Kind.NUMBER: "DOUBLE",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.TEXT: "VARCHAR",
    Kind.DATE: "DATE",
    Kind.TIMESTAMP: "TIMESTAMP",
    Kind.TIME: "TIME",
}
_COMMA_NUMBER = r"[+-]?\d+,\d+([eE][+-]?\d+)?"
_THOUSANDS = r"[+-]?\d{1,3}(,\d{3})+"  # 4,268 is four thousand as likely as four and a quarter
_ZONED = r"\d\d:\d\d.*[+-]\d\d(:?\d\d)?$"  # a time with an offset from UTC


class Dialect(NamedTuple):
    """How a file is written. names: of its columns, in order."""

    delimiter: str
    header: bool
    names: tuple[str, ...]


class CsvSource:
    """CSV files with the same columns, in the order of their names; plain, .gz or .zst."""

    repeatable = True
    rows = None

    def __init__(self, name: str, paths: Sequence[Path | StoredObject], options: ReadOptions) -> None:
        self.name = name
        self._paths = paths
        self._watched = [Watched.of(path) for path in paths]
        self._dialects = [read_dialect(path, options) for path in paths]
        first = self._dialects[0]
        for path, dialect in zip(paths[1:], self._dialects[1:], strict=True):
            if set(dialect.names) != set(first.names):
                odd = sorted(set(dialect.names) ^ set(first.names))
                raise SourceError(f"{path} and {paths[0]} differ in the columns {', '.join(odd)}.", "read files of one kind.")
        self._kinds, self._decimal = self._inferred(options)
        sql = "SELECT " + ", ".join(f"CAST(NULL AS {SQL_TYPES[self._kinds[c]]}) AS c{i}" for i, c in enumerate(first.names))
        types = query_schema(sql, self._translate(paths[0], first)).types
        self.schema = pa.schema([(c, INSTANT if c in self._zoned else t) for c, t in zip(first.names, types, strict=True)])
        self.files = tuple(SourceFile(file.path.name, file.bytes) for file in self._watched)

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """See `Source`."""
        for index, (path, dialect) in enumerate(zip(self._paths, self._dialects, strict=True)):
            position = {name: i for i, name in enumerate(dialect.names)}
            kinds = ["VARCHAR" if name in self._zoned else SQL_TYPES[self._kinds[name]] for name in dialect.names]
            at = [position[name] for name in columns]
            with self._watched[index].unchanged():
                for block in self._stream(path, dialect, index, at, kinds):
                    named = _instants(block.load().rename_columns(list(columns)), self._zoned, path, block.first_row)
                    yield block._replace(load=loaded(named))

    def _stream(
        self, path: Path | StoredObject, dialect: Dialect, index: int, at: Sequence[int], kinds: Sequence[str]
    ) -> Iterator[Block]:
        """Some columns of one file. To look for nine words that mean null is a seventh of DuckDB's time: where no column is text, only
        for an empty field, until another word does not read as a number; the blocks already read are the same either way.
        """
        names, translate = [f"c{i}" for i in at], self._translate(path, dialect)
        next_row = 0
        if "VARCHAR" not in {kinds[i] for i in at}:
            try:
                for block in stream(_select(path, dialect, at, kinds, self._decimal, nulls=NULLS[:1]), index, names, translate):
                    next_row = block.first_row + block.load().num_rows
                    yield block
            except SourceError as error:
                if not _is_null_word(error):
                    raise
            else:
                return
        for block in stream(_select(path, dialect, at, kinds, self._decimal), index, names, translate):
            if block.first_row >= next_row:
                yield block

    def _inferred(self, options: ReadOptions) -> tuple[dict[str, Kind], str]:
        """The kind of each column, as wide as the samples of all files need, and the decimal mark."""
        found: dict[str, _Counts] = {}
        for path, dialect in zip(self._paths, self._dialects, strict=True):
            for column, counts in _sample_counts(path, dialect, self._translate(path, dialect)).items():
                found[column] = found[column].plus(counts) if column in found else counts
        decimal = options.decimal or _decimal_mark(self.name, found)
        kinds = {column: options.kinds.get(column) or counts.kind(decimal) for column, counts in found.items()}
        self._zoned = {c for c, counts in found.items() if kinds[c] is Kind.TIMESTAMP and counts.zoned}
        return kinds, decimal

    def _translate(self, path: Path | StoredObject, dialect: Dialect) -> Translate:
        def translate(error: Exception) -> SourceError:
            return _csv_error(error, path, dialect)

        return translate


def _instants(table: pa.Table, zoned: set[str], path: Path | StoredObject, first_row: int) -> pa.Table:
    """Times with offsets as instants in UTC: DuckDB's timestamps would drop the offset."""
    for name in zoned & set(table.column_names):
        try:
            instants = table.column(name).cast(INSTANT)
        except pa.ArrowException as error:
            raise SourceError(
                f"{path}, rows from {first_row:,}: column {name!r} mixes times with and without an offset from UTC, or holds "
                f"something else ({str(error).splitlines()[0]}).",
                f"write all of them with an offset, or read the column as text: --types {name}=text.",
            ) from error
        table = table.set_column(table.column_names.index(name), pa.field(name, INSTANT), instants)
    return table


class _Counts(NamedTuple):
    """How many sampled values of a column are not null, and how many of those read as each kind."""

    present: int
    number: int
    point_number: int
    comma_number: int = 0
    thousands: int = 0
    boolean: int = 0
    date: int = 0
    timestamp: int = 0
    zoned: int = 0
    time: int = 0

    def plus(self, other: _Counts) -> _Counts:
        return _Counts(*(a + b for a, b in zip(self, other, strict=True)))

    def kind(self, decimal: str) -> Kind:
        """The narrowest kind that every value fits; a column without values is taken for numbers."""
        if decimal == ",":
            numbers = self.number - self.point_number + self.comma_number
        else:
            numbers = self.number
        counted = (
            (Kind.NUMBER, numbers),
            (Kind.BOOLEAN, self.boolean),
            (Kind.DATE, self.date),
            (Kind.TIMESTAMP, self.timestamp),
            (Kind.TIME, self.time),
        )
        return next((kind for kind, count in counted if count == self.present), Kind.TEXT)


def read_dialect(path: Path | StoredObject, options: ReadOptions) -> Dialect:
    """Delimiter, header and names from the first lines of a file."""
    text = text_head(path)
    if not text.strip():
        raise SourceError(f"{path} is empty.", "give a file with a header and at least one row.")
    delimiter = options.delimiter or max(DELIMITERS, key=_first_record_outside_quotes(text).count)
    if len(delimiter) != 1:
        raise SourceError(f"the delimiter {delimiter!r} is not a single character.")
    try:
        records = csv.reader(io.StringIO(text), delimiter=delimiter)
        first = [cell.strip() for cell in next(records)]
    except csv.Error as error:
        raise SourceError(f"{path}, first line: {error}.", "is it a CSV file?") from error
    header = options.header if options.header is not None else _is_header(first, options.expected)
    if not header:
        return Dialect(delimiter, False, tuple(f"column{i}" for i in range(len(first))))
    names = tuple(cell or f"column{i}" for i, cell in enumerate(first))
    check_unique_names(names, str(path))
    return Dialect(delimiter, True, names)


def _first_record_outside_quotes(text: str) -> str:
    """The first record without its quoted fields: a quoted name may hold delimiters and line breaks."""
    bare = "".join(text.split('"')[::2])
    return bare.lstrip("\r\n").splitlines()[0] if bare.strip() else ""


def _is_header(cells: list[str], expected: frozenset[str]) -> bool:
    """A line is a header if it names a column asked for, or else if none of its cells is a number or missing."""
    if expected & set(cells):
        return True
    return not any(cell in NULLS[1:] or re.fullmatch(r"[+-]?[\d.,]*\d[\d.,]*([eE][+-]?\d+)?", cell) for cell in cells)


def _select(
    path: Path | StoredObject,
    dialect: Dialect,
    positions: Sequence[int],
    kinds: Sequence[str],
    decimal: str,
    more: str = "",
    nulls: Sequence[str] = NULLS,
) -> str:
    """SQL that reads some columns; the columns are c0, c1, …, so that no name of the user's is ever SQL."""
    chosen = ", ".join(f"c{i}" for i in positions)
    columns = ", ".join(f"'c{i}': '{kind}'" for i, kind in enumerate(kinds))
    compression = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix, "none")
    return (
        f"SELECT {chosen} FROM read_csv({file_literal(path)}, auto_detect = false, columns = {{{columns}}}, "
        f"delim = {literal(dialect.delimiter)}, quote = '\"', escape = '\"', header = {str(dialect.header).lower()}, "
        f"nullstr = [{', '.join(map(literal, nulls))}], decimal_separator = {literal(decimal)}, "
        f"compression = '{compression}'{more})"
    )


def _sample_counts(path: Path | StoredObject, dialect: Dialect, translate: Translate) -> dict[str, _Counts]:
    width = len(dialect.names)
    sample = _select(path, dialect, range(width), ["VARCHAR"] * width, ".", ", ignore_errors = true")
    plain = (
        "count(c{i}), count(try_cast(c{i} AS DOUBLE)), "
        "coalesce(count_if(contains(c{i}, '.') AND try_cast(c{i} AS DOUBLE) IS NOT NULL), 0)"
    )
    others = (  # of columns that are not all plain numbers: the patterns take most of the time
        f"coalesce(count_if(regexp_full_match(trim(c{{i}}), '{_COMMA_NUMBER}')), 0), "
        f"coalesce(count_if(regexp_full_match(trim(c{{i}}), '{_THOUSANDS}')), 0), "
        "coalesce(count_if(lower(c{i}) IN ('true', 'false')), 0), "
        "count(CASE WHEN length(c{i}) <= 10 THEN try_cast(c{i} AS DATE) END), count(try_cast(c{i} AS TIMESTAMP)), "
        f"coalesce(count_if(regexp_matches(c{{i}}, '{_ZONED}')), 0), "
        "count(CASE WHEN contains(c{i}, ':') THEN try_cast(c{i} AS TIME) END)"
    )

    try:
        with connect(sample) as connection:
            connection.execute(f"CREATE TEMP TABLE sample AS FROM ({sample} LIMIT {SAMPLE_ROWS})")
            found = [_Counts(*row) for row in _counted(connection, plain, range(width))]
            unclear = [i for i, counts in enumerate(found) if counts.number < counts.present]
            for i, row in zip(unclear, _counted(connection, others, unclear), strict=True):
                found[i] = _Counts(*found[i][:3], *row)
    except duckdb.Error as error:
        raise translate(error) from error
    return dict(zip(dialect.names, found, strict=True))


def _counted(connection: duckdb.DuckDBPyConnection, expressions: str, columns: Sequence[int]) -> list[tuple[int, ...]]:
    """What some expressions of `c{i}` count in the table `sample`, for each of some columns."""
    if not columns:
        return []
    row = connection.execute(
        "SELECT " + ", ".join(expressions.replace("{i}", str(i)) for i in columns) + " FROM sample"
    ).fetchone()
    assert row is not None
    size = len(row) // len(columns)
    return [row[k : k + size] for k in range(0, len(row), size)]


def _decimal_mark(name: str, found: Mapping[str, _Counts]) -> str:
    """The comma, if some column consists of numbers only when it is one."""
    commas = [c for c, n in found.items() if n.comma_number > n.thousands and n.number + n.comma_number == n.present]
    if not commas:
        return "."
    mixed = [c for c, n in found.items() if (n.point_number and n.kind(".") is Kind.NUMBER) or (c in commas and n.point_number)]
    if mixed:
        raise SourceError(
            f"{name} mixes decimal marks: {commas[0]!r} has decimal commas and {mixed[0]!r} decimal points.",
            "say which mark it is with --decimal , or --decimal . and the other columns are read as text.",
        )
    return ","


def _is_null_word(error: SourceError) -> bool:
    """Whether what could not be read is a word that means null."""
    found = re.search(r"Could not convert string \"(.*?)\" to ", str(error.__cause__))
    return found is not None and found[1] in NULLS


def _csv_error(error: Exception, path: Path | StoredObject, dialect: Dialect) -> SourceError:
    text = str(error)
    line = re.search(r"CSV Error on Line: (\d+)", text)
    original = re.search(r"Original Line: (.*)", text)
    where = f"{path}, line {int(line[1]):,}" if line else str(path)
    shown = f" ({original[1][:60]!r})" if original else ""
    if fields := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text):
        return SourceError(
            f"{where}: {fields[2]} fields, expected {fields[1]}{shown}.", "a field that holds the delimiter must stand in quotes."
        )
    if cast := re.search(r"Error when converting column \"c(\d+)\". Could not convert string \"(.*)\" to '(\w+)'", text):
        column = dialect.names[int(cast[1])]
        kind = next(kind for kind, sql in SQL_TYPES.items() if sql == cast[3])
        return SourceError(
            f"{where}: column {column!r} is {kind} so far, but here stands {cast[2][:60]!r}.",
            f"mend the line, or train on the whole column as text: --types {column}=text.",
        )
    if "unterminated" in text.lower() or "unquoted" in text.lower():
        return SourceError(f"{where}: a quote is opened and not closed{shown}.", "write a quote inside a field twice.")
    return SourceError(f"{where}: {first_lines(error)}", "is it a CSV file, and not cut off?")

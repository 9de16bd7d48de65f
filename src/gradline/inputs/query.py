"""What DuckDB reads: SQL text over files, and newline-delimited JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import duckdb

from gradline.errors import SourceError
from gradline.inputs.object_files import named, names_objects, register
from gradline.inputs.objects import StoredObject
from gradline.inputs.rereads import Rereads
from gradline.inputs.source import SourceFile, block_rows, check_unique_names, loaded, rechunked
from gradline.inputs.watched import Watched
from gradline.types import Block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    Translate = Callable[[Exception], SourceError]


UNORDERED = " without ORDER BY"  # in the name of a query that messages say cannot be read again
LONGEST_LINE = 200  # of a message: it may quote a line of the data, whatever its length


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def file_literal(path: Path | StoredObject) -> str:
    """A file's name as an SQL literal that means this file: `t[1].csv` is no pattern, which would read `t1.csv`."""
    if isinstance(path, StoredObject):
        return literal(named(path))
    return literal("".join(f"[{c}]" if c in "*?[" else c for c in str(path)))


def connect(sql: str = "") -> duckdb.DuckDBPyConnection:
    """A new private database in memory, which keeps the order of rows and downloads nothing. sql: what is to be run, where it names files."""
    connection = duckdb.connect(":memory:")
    connection.execute("SET preserve_insertion_order = true; SET autoinstall_known_extensions = false")
    if names_objects(sql):
        register(connection)
    return connection


def query_schema(sql: str, translate: Translate) -> pa.Schema:
    """Names and types of a query, without running it."""
    try:
        with connect(sql) as connection:
            return connection.sql(sql).limit(0).to_arrow_table().schema
    except (duckdb.Error, AttributeError) as error:  # AttributeError: a statement that gives no rows
        raise translate(error) from error


def ordered(sql: str) -> bool:
    """Whether a query says in which order its rows come."""
    return re.search(r"\border\s+by\b", sql, re.IGNORECASE) is not None


def stream(sql: str, file: int, columns: Sequence[str], translate: Translate, *, alone: bool = False) -> Iterator[Block]:
    """Some columns of a query as blocks, in order, never all in memory. alone: by one thread, since several leave rows that ORDER BY takes
    for equal in another order each time.
    """
    rows = block_rows(len(columns))
    try:
        with connect(sql) as connection:
            if alone:
                connection.execute("SET threads = 1")
            chosen = connection.sql(sql).select(*(duckdb.ColumnExpression(name) for name in columns))
            first_row = 0
            for table in rechunked(chosen.to_arrow_reader(rows), rows):
                yield Block(file, first_row, loaded(table))
                first_row += table.num_rows
    except (duckdb.Error, OSError, RuntimeError) as error:  # OSError: what DuckDB's errors become inside an Arrow stream
        if "interrupt" in str(error).lower():
            raise KeyboardInterrupt from error
        raise translate(error) from error


def first_lines(error: Exception) -> str:
    """DuckDB's message without its advice on DuckDB's own options."""
    own = (
        str(error).rpartition("gradline.errors.")[2].partition(": ")[2] if "Traceback" in str(error) else ""
    )  # of a stored object
    return " ".join(line.strip()[:LONGEST_LINE] for line in (own or str(error)).split("\n\n")[0].splitlines()[:3])


class QuerySource:
    """SQL text. Its rows are numbered as they arrive; without ORDER BY another run may number them otherwise."""

    rows = None
    files: tuple[SourceFile, ...] = ()

    def __init__(self, sql: str) -> None:
        self.name = "the SQL query" + ("" if ordered(sql) else UNORDERED)
        self._sql = sql
        self._check_one_query()
        self.schema = query_schema(sql, self._translate)
        check_unique_names(self.schema.names, "the query")
        self.repeatable = ordered(sql)
        self._rereads = Rereads(self.name)

    def _check_one_query(self) -> None:
        try:
            with connect() as connection:
                statements = connection.extract_statements(self._sql)
        except duckdb.Error as error:
            raise self._translate(error) from error
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise SourceError("the SQL text is not one query.", "give one select statement, which reads and changes nothing.")

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """See `Source`."""
        read = stream(self._sql, 0, columns, self._translate, alone=self.repeatable)
        yield from self._rereads.checked(read, columns) if self.repeatable else read

    @staticmethod
    def _translate(error: Exception) -> SourceError:
        return SourceError(f"the SQL text cannot be run: {first_lines(error)}", "try it in DuckDB's own shell.")


class NdjsonSource:
    """Newline-delimited JSON files: an object a line."""

    repeatable = True
    rows = None

    def __init__(self, name: str, paths: Sequence[Path | StoredObject]) -> None:
        self.name = name
        self._watched = [Watched.of(path) for path in paths]
        for path in paths:
            _check_objects(path)
        everything = self._select("[" + ", ".join(map(file_literal, paths)) + "]")
        self._types = self._described(everything)
        self.schema = query_schema(everything, self._translate)
        self.files = tuple(SourceFile(file.path.name, file.bytes) for file in self._watched)

    @staticmethod
    def _select(files: str, types: str = "") -> str:
        return f"SELECT * FROM read_json({files}, format = 'newline_delimited', sample_size = -1{types})"

    def _described(self, sql: str) -> str:
        """The types found over all files, so that each is read by the same."""
        try:
            with connect(sql) as connection:
                described = connection.sql("DESCRIBE " + sql).fetchall()
        except duckdb.Error as error:
            raise self._translate(error) from error
        for row in described:
            if "\0" in row[0]:  # Arrow would end the name there, and take the column for another
                raise SourceError(f"{self.name}: the key {row[0]!r} holds a NUL character.", "rename it.")
        check_unique_names([row[0] for row in described], self.name)
        return ", columns = {" + ", ".join(f"{literal(row[0])}: {literal(row[1])}" for row in described) + "}"

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """See `Source`."""
        for index, file in enumerate(self._watched):
            with file.unchanged():
                yield from stream(self._select(file_literal(file.path), self._types), index, columns, self._translate)

    def _translate(self, error: Exception) -> SourceError:
        return SourceError(f"{self.name} cannot be read as newline-delimited JSON: {first_lines(error)}", "one object a line.")


def _check_objects(path: Path | StoredObject) -> None:
    """Raise SourceError unless the first line that is not blank begins an object."""
    from gradline.inputs.source import text_head

    head = text_head(path).lstrip()
    if not head:
        raise SourceError(f"{path} is empty.", "give a file with at least one object.")
    if not head.startswith("{"):
        raise SourceError(
            f"{path} is not newline-delimited JSON: it begins with {head[:20]!r}.", 'one object a line: {"x": 1, "y": 2}.'
        )

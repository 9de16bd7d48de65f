"""What DuckDB reads: SQL text over files, and newline-delimited JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import duckdb

from gradline.errors import SourceError
from gradline.inputs.source import SourceFile, block_rows, check_unique_names, loaded, rechunked
from gradline.types import Block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def connect() -> duckdb.DuckDBPyConnection:
    """A new private database in memory, which keeps the order of rows and downloads nothing."""
    connection = duckdb.connect(":memory:")
    connection.execute("SET preserve_insertion_order = true; SET autoinstall_known_extensions = false")
    return connection


def _run(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    return connection.sql(sql)


def query_schema(sql: str, translate: Callable[[duckdb.Error], SourceError]) -> pa.Schema:
    """Names and types of a query, without running it."""
    try:
        with connect() as connection:
            return _run(connection, f"SELECT * FROM ({sql}) LIMIT 0").to_arrow_table().schema
    except duckdb.Error as error:
        raise translate(error) from error


def stream(sql: str, file: int, columns: int, translate: Callable[[duckdb.Error], SourceError]) -> Iterator[Block]:
    """The rows of a query as blocks, in order, never all in memory."""
    rows = block_rows(columns)
    try:
        with connect() as connection:
            reader = _run(connection, sql).to_arrow_reader(rows)
            first_row = 0
            for table in rechunked(reader, rows):
                yield Block(file, first_row, loaded(table))
                first_row += table.num_rows
    except duckdb.Error as error:
        raise translate(error) from error


def first_lines(error: duckdb.Error) -> str:
    """DuckDB's message without its advice on DuckDB's own options."""
    return " ".join(line.strip() for line in str(error).split("\n\n")[0].splitlines()[:3])


class QuerySource:
    """SQL text. Its rows are numbered as they arrive; without ORDER BY another run may number them otherwise."""

    rows = None
    files: tuple[SourceFile, ...] = ()

    def __init__(self, sql: str) -> None:
        self.name = "SQL query"
        self._sql = sql.strip().rstrip(";")
        self.schema = query_schema(self._sql, self._translate)
        check_unique_names(self.schema.names, "the query")
        self.repeatable = re.search(r"\border\s+by\b", self._sql, re.IGNORECASE) is not None

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """See `Source`."""
        chosen = ", ".join(identifier(name) for name in columns)
        return stream(f"SELECT {chosen} FROM ({self._sql})", 0, len(columns), self._translate)

    @staticmethod
    def _translate(error: duckdb.Error) -> SourceError:
        return SourceError(f"the SQL text cannot be run: {first_lines(error)}", "try it in DuckDB's own shell.")


class NdjsonSource:
    """Newline-delimited JSON files: an object a line."""

    repeatable = True
    rows = None

    def __init__(self, name: str, paths: Sequence[Path]) -> None:
        self.name = name
        self._paths = paths
        for path in paths:
            if path.stat().st_size == 0:
                raise SourceError(f"{path} is empty.", "give a file with at least one object.")
        files = ", ".join(literal(str(path)) for path in paths)
        self.schema = query_schema(self._select("*", f"[{files}]"), self._translate)
        self.files = tuple(SourceFile(path.name, path.stat().st_size) for path in paths)

    @staticmethod
    def _select(what: str, files: str, types: str = "") -> str:
        return f"SELECT {what} FROM read_json({files}, format = 'newline_delimited', sample_size = -1{types})"

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """See `Source`. Each file is read by the types found over all of them."""
        with connect() as connection:
            described = _run(
                connection, "DESCRIBE " + self._select("*", "[" + ", ".join(literal(str(path)) for path in self._paths) + "]")
            ).fetchall()
        types = ", columns = {" + ", ".join(f"{literal(row[0])}: {literal(row[1])}" for row in described) + "}"
        chosen = ", ".join(identifier(name) for name in columns)
        for index, path in enumerate(self._paths):
            sql = self._select(chosen, literal(str(path)), types)
            yield from stream(sql, index, len(columns), self._translate)

    def _translate(self, error: duckdb.Error) -> SourceError:
        return SourceError(f"{self.name} cannot be read as newline-delimited JSON: {first_lines(error)}", "one object a line.")

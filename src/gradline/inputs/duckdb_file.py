"""DuckDB databases: `duckdb:///file.duckdb`, opened for reading alone, which no writer can open meanwhile: that is the snapshot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from gradline.errors import SourceError
from gradline.inputs.address import file_of
from gradline.inputs.query import first_lines, ordered

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa


class DuckDBFile:
    """See `gradline.inputs.database.Database`."""

    def __init__(self, url: str) -> None:
        path = Path(file_of(url)).expanduser()
        if not path.is_file():
            raise SourceError(
                f"there is no file {path}.", "duckdb:///file.duckdb is beside you, duckdb:////folder/file.duckdb is not."
            )
        self._connection = duckdb.connect(str(path), read_only=True, config={"autoinstall_known_extensions": "false"})

    def begin(self) -> None:
        """Rows come in the order of the table."""
        self._connection.execute("SET preserve_insertion_order = true")

    def schema(self, sql: str) -> pa.Schema:
        """Names and types, without running the query."""
        self._check_one_query(sql)
        with self._connection.cursor() as cursor:
            schema: pa.Schema = cursor.sql(sql).limit(0).to_arrow_table().schema
            return schema

    def _check_one_query(self, sql: str) -> None:
        statements = self._connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise SourceError("the SQL text is not one query.", "give one select statement, which reads and changes nothing.")

    def batches(self, sql: str, rows: int) -> Iterator[pa.RecordBatch]:
        """See `Database`."""
        with self._connection.cursor() as cursor:
            if ordered(sql):  # of several threads, equal rows come in another order each time
                cursor.execute("SET threads = 1")
            yield from cursor.sql(sql).to_arrow_reader(rows)

    def close(self) -> None:
        """Let writers have the file."""
        self._connection.close()

    @staticmethod
    def message(error: Exception) -> str:
        """DuckDB's own words."""
        return first_lines(error)

"""SQLite by ADBC: `sqlite:///file.db`, opened for reading alone, in one transaction, so that every read sees the same rows.

In SQLite each value has a type of its own, and the driver takes a column for what its first values are. So where there are more
rows than one batch, SQLite is asked for the types that occur, and a row of them goes before the others: a column of whole
numbers and fractions is numbers, one with a text in it is text, whatever comes first.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pyarrow as pa

from gradline.errors import SourceError, UsageError
from gradline.inputs.address import file_of

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH_ROWS = 1 << 16
LITERALS = {"blob": "x''", "text": "''", "real": "0.5", "integer": "0"}  # each takes the values of those below it


class SQLite:
    """See `gradline.inputs.database.Database`."""

    def __init__(self, url: str) -> None:
        try:
            from adbc_driver_sqlite import dbapi
        except ImportError as error:
            raise UsageError(f"a library is missing: {error}.", "pip install 'gradline[databases]'") from error
        path = Path(file_of(url)).expanduser()
        if not path.is_file():
            raise SourceError(f"there is no file {path}.", "sqlite:///file.db is beside you, sqlite:////folder/file.db is not.")
        self._uri = f"file:{quote(str(path))}?mode=ro"
        self._connection = dbapi.connect(self._uri, autocommit=True)
        self._typed: dict[str, tuple[str, list[str]]] = {}  # of a query: with a row of types before it, and its names

    def begin(self) -> None:
        """Take the snapshot, which the first read does."""
        with self._connection.cursor() as cursor:
            cursor.execute("BEGIN")
        with self._read("SELECT count(*) FROM sqlite_schema") as reader:
            reader.read_all()

    def schema(self, sql: str) -> pa.Schema:
        """Names, and types by the first batch, or else by all rows."""
        query = sql.rstrip().rstrip(";") + "\n"  # a comment at its end must not hide a bracket that closes
        with closing(sqlite3.connect(self._uri, uri=True)) as connection:
            connection.execute("EXPLAIN " + sql)  # refuses several statements, of which the driver would run the first
        with self._read(sql) as reader:
            schema, first = reader.schema, next(iter(reader), None)
        if first is not None and first.num_rows >= BATCH_ROWS and len(schema):
            names = ", ".join(f"c{i}" for i in range(len(schema)))  # no name of the user's is ever SQL
            kinds = ", ".join(f"group_concat(DISTINCT typeof(c{i}))" for i in range(len(schema)))
            with self._read(f"WITH q({names}) AS ({query}) SELECT {kinds} FROM q") as reader:
                found = [str(column[0]).split(",") for column in reader.read_all().columns]
            row = ", ".join(LITERALS[next((kind for kind in LITERALS if kind in each), "integer")] for each in found)
            typed = f"WITH q({names}) AS ({query}) SELECT {row} UNION ALL SELECT * FROM q"
            self._typed[sql] = typed, schema.names
            with self._read(typed) as reader:
                schema = pa.schema(zip(schema.names, reader.schema.types, strict=True))
        return schema

    def batches(self, sql: str, rows: int) -> Iterator[pa.RecordBatch]:
        """See `Database`."""
        typed, names = self._typed.get(sql, (None, []))
        with self._read(typed or sql) as reader:
            for number, batch in enumerate(reader):
                yield batch if typed is None else batch.rename_columns(names).slice(1 if number == 0 else 0)

    @contextmanager
    def _read(self, sql: str) -> Iterator[pa.RecordBatchReader]:
        with self._connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(BATCH_ROWS)})
            cursor.execute(sql)
            with cursor.fetch_record_batch() as reader:
                yield reader

    def close(self) -> None:
        """End the transaction."""
        with suppress(Exception):  # a read that was given up is still under way
            self._connection.close()

    @staticmethod
    def message(error: Exception) -> str:
        """SQLite's own words."""
        return re.split(r"\s*query: ", str(error))[0].rpartition("Failed to prepare query: ")[2]

"""A query to a database: one connection, one snapshot, which every read of a run sees.

The query runs as it stands. Nothing is written: the transaction, or the file, is open for reading alone. Each kind of database
stands in a module of its own and gives Arrow batches; what is common to them is here.
"""

from __future__ import annotations

import re
import weakref
from typing import TYPE_CHECKING, Protocol

from gradline.errors import SourceError, UsageError
from gradline.inputs.address import FILES, HIDDEN, scheme_of, secrets, without_password
from gradline.inputs.query import UNORDERED, ordered
from gradline.inputs.rereads import Rereads
from gradline.inputs.source import SourceFile, block_rows, check_unique_names, loaded, rechunked
from gradline.types import Block

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

NAMES = {"sqlite": "SQLite", "duckdb": "DuckDB"}
INTERRUPTED = ("canceling statement due to user request", "INTERRUPT Error", "interrupted")  # Ctrl-C, as the databases call it
LONGEST_MESSAGE = 400  # of the server's: it may quote the query
FOREIGN = ("adbc_driver_manager", "duckdb", "_duckdb", "sqlite3")  # modules whose errors are told in their words


class Database(Protocol):
    """An open database."""

    def begin(self) -> None:
        """Take the snapshot that every read sees."""
        ...

    def schema(self, sql: str) -> pa.Schema:
        """Names and types of a query, as `batches` gives them."""
        ...

    def batches(self, sql: str, rows: int) -> Iterator[pa.RecordBatch]:
        """The rows of a query as they come, in batches of about `rows` rows or as many as the database likes."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...

    def message(self, error: Exception) -> str:
        """What the database says is wrong, in its own words."""
        ...


class DatabaseSource:
    """A query to a database. Its rows are numbered as they arrive; without ORDER BY another run may number them otherwise."""

    rows = None
    files: tuple[SourceFile, ...] = ()

    def __init__(self, sql: str, url: str) -> None:
        self.name = f"the query{'' if ordered(sql) else UNORDERED} to {without_password(url)}"
        self._sql = sql
        self._secrets = secrets(url)
        try:
            self._database = _opened(url)
            weakref.finalize(self, self._database.close)
            self._database.begin()
        except Exception as error:
            if not _foreign(error):
                raise
            said = re.sub(r"^[A-Z_]+: (\[\w+\] )?|Failed to \w+( query)?: |query: .*", "", " ".join(str(error).split()))
            text = self._without_secrets(said).strip()
            kind = scheme_of(url)
            hint = "is it up, and are host, port, user, password and database right?"
            hint = f"is it a {NAMES[kind]} database, and not in use by a writer?" if kind in FILES else hint
            raise SourceError(f"cannot connect to {without_password(url)}: {text}", hint) from None  # it may hold the password
        try:
            self.schema = self._database.schema(sql)
        except Exception as error:
            if not _foreign(error):
                raise
            raise self._translated(error) from error
        if not len(self.schema):
            raise SourceError("the SQL text is not a query: it has no columns.", "give one select statement.")
        check_unique_names(self.schema.names, "the query")
        self.repeatable = ordered(sql)
        self._rereads = Rereads(self.name)

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """See `Source`. A later read of an ordered query gives what the first one gave, or an error."""
        read = self._read(columns)
        return self._rereads.checked(read, columns) if self.repeatable else read

    def _read(self, columns: Sequence[str]) -> Iterator[Block]:
        rows, first_row = block_rows(len(columns)), 0
        try:
            chosen = (batch.select(list(columns)) for batch in self._database.batches(self._sql, rows))
            for table in rechunked(chosen, rows):
                yield Block(0, first_row, loaded(table))
                first_row += table.num_rows
        except Exception as error:
            if not _foreign(error):
                raise
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> SourceError:
        text = self._without_secrets(self._database.message(error))
        if text.startswith(INTERRUPTED):
            raise KeyboardInterrupt from error
        shown = text if len(text) <= LONGEST_MESSAGE else text[:LONGEST_MESSAGE] + "…"
        return SourceError(f"{self.name} cannot be run: {shown.rstrip('.')}.", "try it in the database's own shell.")

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text


def _foreign(error: Exception) -> bool:
    import pyarrow as pa

    return isinstance(error, OSError | pa.ArrowException) or type(error).__module__.split(".")[0] in FOREIGN


def open_database(words: Sequence[object], url: str) -> DatabaseSource:
    """The source of a query to a database. Raises UsageError unless the data are one query."""
    from gradline.inputs.opening import is_sql

    if len(words) != 1 or not is_sql(str(words[0])):
        said = " ".join(map(str, words))[:80]
        raise UsageError(
            f"--db takes one query, and the data are {said!r}.", 'gradline train "select … from TABLE order by ID" --db URL.'
        )
    return DatabaseSource(str(words[0]), url)


def _opened(url: str) -> Database:
    match scheme_of(url):
        case "postgresql":
            from gradline.inputs.postgresql import PostgreSQL

            return PostgreSQL(url)
        case "sqlite":
            from gradline.inputs.sqlite import SQLite

            return SQLite(url)
        case _:
            from gradline.inputs.duckdb_file import DuckDBFile

            return DuckDBFile(url)

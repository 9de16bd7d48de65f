"""PostgreSQL by ADBC: one read-only transaction at repeatable read, so that every read of a run sees the same rows.

The rows come by binary COPY, in batches of about 16 MB. What Arrow has no type for is mended here: a numeric comes as text and is
read as the nearest float64, as a CSV with the same digits is; a uuid is its text; an amount of money, which comes as a number of
cents or of whatever the server's locale says, is left as what nothing can be computed with.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gradline.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONNECT_SECONDS = 15
HEARING_SECONDS = 0.2
SNAPSHOT = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
SAME_ORDER = (
    "SET max_parallel_workers_per_gather = 0",
    "SET synchronize_seqscans = off",
)  # of rows that ORDER BY takes for equal
TYPE = b"POSTGRESQL:type"
MONEY = pa.opaque(pa.int64(), "money", "PostgreSQL")
LAST_DAY = 100_000_000  # since 1970; `infinity` comes as a day further away
LAST_MICROSECOND = 9_000_000_000_000_000_000  # the year 287,000; likewise
DASHES = (8, 12, 16, 20)


class PostgreSQL:
    """See `gradline.inputs.database.Database`."""

    def __init__(self, url: str) -> None:
        try:
            from adbc_driver_postgresql import dbapi
        except ImportError as error:
            raise UsageError(f"a library is missing: {error}.", "pip install 'gradline[databases]'") from error
        url += f"{'&' if '?' in url else '?'}fallback_application_name=gradline"
        if "connect_timeout=" not in url and "PGCONNECT_TIMEOUT" not in os.environ:
            url += f"&connect_timeout={CONNECT_SECONDS}"
        self._server = ThreadPoolExecutor(1)
        self._connection = self._wait(dbapi.connect, url, autocommit=True)

    def _wait(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call the driver on a thread of its own, and wait: this one hears Ctrl-C meanwhile. On the main thread, the driver would take
        the signal for itself.
        """
        future = self._server.submit(call, *arguments, **named)
        while not wait(
            [future], HEARING_SECONDS
        ).done:  # not for ever: another thread may be given the signal, which wakes nobody
            pass
        return future.result()

    def _run(self, statement: str) -> None:
        with self._connection.cursor() as cursor:
            self._wait(cursor.execute, statement)

    def begin(self) -> None:
        """Begin the transaction; its snapshot is taken by the first read."""
        for setting in SAME_ORDER:
            with suppress(Exception):  # another server with the same protocol may not know it
                self._run(setting)
        self._run(SNAPSHOT)

    def schema(self, sql: str) -> pa.Schema:
        """Names and types, without running the query."""
        with self._connection.cursor() as cursor:
            schema = self._wait(cursor.adbc_execute_schema, _statement(sql))
        return pa.schema([pa.field(field.name, _type(field)) for field in schema])

    def batches(self, sql: str, rows: int) -> Iterator[pa.RecordBatch]:
        """See `Database`. A read that is given up is cancelled, else its rest would be waited for; going back to the savepoint keeps the
        transaction, and with it the snapshot.
        """
        self._run("SAVEPOINT gradline")
        cursor, reader = self._connection.cursor(), None
        try:
            self._wait(cursor.execute, _statement(sql))
            reader = cursor.fetch_record_batch()
            while (batch := self._wait(next, reader, None)) is not None:
                arrays = [_mended(field, column) for field, column in zip(batch.schema, batch.columns, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)
        except BaseException:
            with suppress(Exception):
                cursor.adbc_cancel()
            raise
        finally:
            with suppress(Exception):  # of what was cancelled
                if reader is not None:
                    self._wait(reader.close)
            with suppress(Exception):
                self._wait(cursor.close)
            with suppress(Exception):  # of a connection that is gone: the next read says so
                self._run("ROLLBACK TO SAVEPOINT gradline")

    def close(self) -> None:
        """End the transaction."""
        with suppress(Exception):  # a read that was given up is still under way
            self._connection.close()
        self._server.shutdown(wait=False)

    @staticmethod
    def message(error: Exception) -> str:
        """The server's own words, and the line that they are about."""
        text = re.split(r"\s*Query was: ", str(error))[0]
        found = re.search(r"(?:ERROR|FATAL):\s+(.*)", text, re.DOTALL)
        lines = [line.strip() for line in (found[1] if found else text).splitlines() if line.strip(" ^")]
        return " ".join(lines)


def _statement(sql: str) -> str:
    """The query as it can stand between brackets, as COPY has it: a comment at its end must not hide the one that closes."""
    return sql.rstrip().rstrip(";") + "\n"


def _typename(field: pa.Field) -> str:
    return ((field.metadata or {}).get(TYPE) or b"").decode()


def _type(field: pa.Field) -> pa.DataType:
    match _typename(field):
        case "numeric":
            return pa.float64()
        case "uuid":
            return pa.string()
        case "money":
            return MONEY
        case _:
            return field.type


def _mended(field: pa.Field, column: pa.Array) -> pa.Array:
    """A column as the schema says. Raises SourceError for `infinity`, which would be read as some day or other."""
    match _typename(field):
        case "numeric":
            texts = column.storage if isinstance(column, pa.ExtensionArray) else column
            return pc.cast(texts, pa.float64())
        case "uuid":
            return _uuid_texts(column)
        case "money":
            return pa.ExtensionArray.from_storage(MONEY, column)
        case "bpchar":  # padded with blanks, which PostgreSQL takes for none
            return pc.utf8_rtrim(column, " ")
        case "date":
            _check_finite(field.name, column, LAST_DAY, pa.int32())
        case "timestamp" | "timestamptz":
            _check_finite(field.name, column, LAST_MICROSECOND, pa.int64())
    return column


def _check_finite(name: str, column: pa.Array, last: int, whole: pa.DataType) -> None:
    if len(column) == column.null_count:
        return
    ends = pc.min_max(column.view(whole)).as_py()
    if ends["min"] < -last or ends["max"] > last:
        raise SourceError(
            f"column {name!r} holds infinity, which is no time.", f"say in the query what it means: nullif({name}, 'infinity')."
        )


def _uuid_texts(column: pa.Array) -> pa.Array:
    """550e8400-e29b-41d4-a716-446655440000, as PostgreSQL prints it."""
    storage = column.storage if isinstance(column, pa.ExtensionArray) else column
    raw = np.frombuffer(pc.fill_null(storage, bytes(16)).cast(pa.binary(16)).buffers()[1], np.uint8)
    start = 0 if storage.null_count else storage.offset * 16
    digits = np.frombuffer(raw[start : start + 16 * len(storage)].tobytes().hex().encode(), np.uint8).reshape(-1, 32)
    texts = np.insert(digits, DASHES, ord("-"), axis=1)  # (rows, 36)
    offsets = np.arange(0, 36 * len(texts) + 1, 36, dtype=np.int32)
    valid = None if not storage.null_count else pc.is_valid(storage)
    made = pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(texts.tobytes()))
    return made if valid is None else pc.if_else(valid, made, pa.scalar(None, pa.string()))

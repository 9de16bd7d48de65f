"""Stored objects as files of DuckDB's, which parses CSV and JSON and runs SQL: its own way to object stores is an extension, fetched at run time."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from gradline.errors import UsageError
from gradline.inputs.objects import SCHEMES, StoredObject, is_stored, listed

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

PROTOCOL = "gradline-object"
NAMED = f"{PROTOCOL}://"
READ_AHEAD = 1 << 22  # a gzip reader asks for a few kilobytes at a time, and a request takes as long as a megabyte does


def named(path: StoredObject) -> str:
    """What DuckDB calls it: a name in which nothing is a pattern."""
    return f"{NAMED}{path.scheme}/{quote(path.key)}"


def names_objects(sql: str) -> bool:
    """Whether SQL text may name stored objects."""
    return any(f"{scheme}://" in sql.lower() for scheme in (PROTOCOL, *SCHEMES))


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Let a connection read them. Raises UsageError where fsspec, by which DuckDB is told of files, is not installed."""
    try:
        from fsspec import AbstractFileSystem
    except ImportError as error:
        raise UsageError(f"a library is missing: {error}.", "pip install 'gradline[objects]'") from error

    class Objects(AbstractFileSystem):  # type: ignore[misc]
        """The few calls that DuckDB makes: of names as `named` makes them, and of addresses in SQL text, which may be globs."""

        protocol = (PROTOCOL, *SCHEMES)
        cachable = False

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return path

        def unstrip_protocol(self, name: str) -> str:
            return name

        def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> _Bytes:
            return _Bytes(_meant(path))

        def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
            return {"name": path, "size": _meant(path).state()[0], "type": "file"}

        def glob(self, path: str, **kwargs: Any) -> list[str]:
            return [str(each) for each in listed(path).objects] if is_stored(path) else [path]

        def modified(self, path: str) -> datetime:
            return datetime.fromtimestamp(_meant(path).changed() / 1e9, UTC)

    connection.register_filesystem(Objects())


def _meant(name: str) -> StoredObject:
    if is_stored(name):
        scheme, _, key = name.partition("://")
        return StoredObject(scheme.lower(), key)
    scheme, _, key = name.removeprefix(NAMED).partition("/")
    return StoredObject(scheme, unquote(key))


class _Bytes:
    """The bytes of an object. DuckDB's threads share it, and each seeks before it reads: a place that was sought is its thread's own."""

    def __init__(self, path: StoredObject) -> None:
        self._file: pa.NativeFile = path.open()
        self._size: int = self._file.size()
        self._sought = threading.local()
        self._lock = threading.Lock()
        self._next = 0
        self._ahead = (0, b"")  # where, and what

    def seek(self, offset: int, whence: int = 0) -> int:
        """Where the next read of this thread begins."""
        at = offset if whence == 0 else self.tell() + offset if whence == 1 else self._size + offset
        self._sought.at = at
        return at

    def tell(self) -> int:
        """Where it would begin."""
        at: int | None = getattr(self._sought, "at", None)
        return self._next if at is None else at

    def read(self, size: int = -1) -> bytes:
        """Some bytes from there."""
        with self._lock:
            start = self.tell()
            end = self._size if size < 0 else min(start + size, self._size)
            self._sought.at, self._next = None, max(end, start)
            if end - start < READ_AHEAD:
                first, held = self._ahead
                if not first <= start <= end <= first + len(held):
                    first, held = start, self._file.read_at(min(READ_AHEAD, self._size - start), start) if start < end else b""
                    self._ahead = first, held
                return held[start - first : end - first]
        data: bytes = self._file.read_at(end - start, start)
        return data

    def close(self) -> None:
        """Let go of it."""
        self._file.close()

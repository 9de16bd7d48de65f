"""Object stores by PyArrow: `s3://bucket/key` (and what speaks its protocol), `gs://bucket/key`; files, folders and globs.

Where the store is and who asks is told as every tool of its kind is told: AWS_ENDPOINT_URL (or AWS_ENDPOINT_URL_S3), AWS_REGION,
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE; GOOGLE_APPLICATION_CREDENTIALS. Nothing of it is in an address, and nothing is saved.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from gradline.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa
    from pyarrow.fs import FileSystem

SCHEMES = ("s3", "gs")
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
SECONDS = 15  # to connect, and to answer


def is_stored(word: object) -> bool:
    """Whether a word of the command line names something in an object store."""
    return isinstance(word, str) and word.partition("://")[0].lower() in SCHEMES and "://" in word


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A file in an object store, with what sources ask of a path. key: the bucket, then the name in it."""

    scheme: str
    key: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.key}"

    @property
    def name(self) -> str:
        """The last part of the key."""
        return PurePosixPath(self.key).name

    @property
    def suffix(self) -> str:
        """Of the name."""
        return PurePosixPath(self.key).suffix

    def relative_to(self, folder: StoredObject) -> PurePosixPath:
        """The key within a folder."""
        return PurePosixPath(self.key).relative_to(folder.key)

    def open(self) -> pa.NativeFile:
        """The bytes, read by ranges."""
        with _told(self):
            return filesystem(self.scheme).open_input_file(self.key)

    def state(self) -> tuple[int, int, str]:
        """Size, time of the last change, and the store's own mark of what it holds (its ETag), where there is one."""
        with _told(self), filesystem(self.scheme).open_input_file(self.key) as file:
            size, marks = file.size(), file.metadata() or {}
        info = {} if marks else {"changed": self.changed()}
        mark = next((value for name, value in marks.items() if name.lower() == "etag"), b"")
        changed = marks.get("Last-Modified", marks.get("updated", b""))
        return size, info.get("changed") or 0, f"{mark.decode()} {changed.decode()}"

    def changed(self) -> int:
        """When it was changed last, in nanoseconds since 1970."""
        with _told(self):
            return filesystem(self.scheme).get_file_info(self.key).mtime_ns or 0


class Listed(NamedTuple):
    """The objects that an address means, in the order of their keys; the folder they were found under, if it is one; all that is there."""

    objects: list[StoredObject]
    root: StoredObject | None = None
    everything: Sequence[StoredObject] = ()


def listed(word: str) -> Listed:
    """What an address means. Raises SourceError where there is nothing."""
    from pyarrow.fs import FileType

    scheme, _, key = word.partition("://")
    scheme, key = scheme.lower(), key.rstrip("/")
    bucket = key.partition("/")[0]
    if "@" in bucket:
        raise UsageError(
            f"an address {scheme}://… holds no key and no secret.", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    if not bucket or re.search(r"[*?\[]", bucket):
        raise UsageError(f"{word} names no bucket.", f"{scheme}://BUCKET/FOLDER/*.parquet.")
    place = StoredObject(scheme, key)
    with _told(place):
        kind = filesystem(scheme).get_file_info(key).type
    if kind == FileType.File:
        return Listed([place])
    if re.search(r"[*?\[]", key):
        folder = re.split(r"/[^/]*[*?\[]", key, maxsplit=1)[0]
        pattern = re.compile(_pattern(key))
        everything = _under(scheme, folder)
        found = [each for each in everything if pattern.fullmatch(each.key)]
        if not found:
            raise SourceError(f"no object matches {word}.")
        return Listed(found, None, everything)
    if kind != FileType.Directory:
        raise SourceError(f"there is no object {word}.", "names in an object store know capitals from small letters.")
    everything = _under(scheme, key)
    return Listed(everything, place, everything)


def _under(scheme: str, folder: str) -> list[StoredObject]:
    from pyarrow.fs import FileSelector, FileType

    with _told(StoredObject(scheme, folder)):
        infos = filesystem(scheme).get_file_info(FileSelector(folder, recursive=True, allow_not_found=True))
    return [StoredObject(scheme, key) for key in sorted(info.path for info in infos if info.type == FileType.File)]


def _pattern(key: str) -> str:
    """A glob as a regular expression: `*` stays within a folder, and leaves out names that begin with a dot; `**` does not stay."""
    out, at = "", 0
    for found in re.finditer(r"(?:(?<=/)|^)\*\*/|\*+|\?|\[!?[^\]]+\]", key):
        out += re.escape(key[at : found.start()])
        part = found[0]
        first = found.start() == 0 or key[found.start() - 1] == "/"
        if part == "**/":
            out += r"(?:[^/.][^/]*/)*"
        elif part[0] == "*":
            out += r"(?!\.)[^/]*" if first else "[^/]*"
        elif part == "?":
            out += r"[^/.]" if first else "[^/]"
        else:
            inside = part[1:-1].replace("\\", r"\\")
            out += "[" + ("^" + inside[1:] if inside[0] == "!" else inside.replace("^", r"\^")) + "]"
        at = found.end()
    return out + re.escape(key[at:])


def filesystem(scheme: str) -> FileSystem:
    """The store of an address."""
    endpoint = next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), None)
    return _filesystem(scheme, endpoint)


@lru_cache
def _filesystem(scheme: str, endpoint: str | None) -> FileSystem:
    from pyarrow import fs

    if scheme == "gs":
        return fs.GcsFileSystem()
    options: dict[str, Any] = {} if endpoint is None else {"endpoint_override": endpoint}
    return fs.S3FileSystem(connect_timeout=SECONDS, request_timeout=4 * SECONDS, **options)


@contextmanager
def _told(place: StoredObject) -> Iterator[None]:
    """What a store says, as a SourceError."""
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError as error:
        raise SourceError(f"there is no object {place}.") from error
    except (OSError, pa.ArrowException) as error:
        text = re.split(r";? Details?: ", str(error).splitlines()[0])[0]
        asked = {"s3": "AWS_ENDPOINT_URL, AWS_REGION and the keys of access", "gs": "GOOGLE_APPLICATION_CREDENTIALS"}[
            place.scheme
        ]
        raise SourceError(f"{place} cannot be read: {text}.", f"are {asked} set for this store?") from error

"""Files that must stay as they are while they are read: half of the old rows and half of the new ones are nobody's data.

A file is known by its size, the time of its last change and its inode (a file that was replaced by another has a new one), one in
an object store by its ETag, as they were when it was opened. Looked at before and after every read of it, the later ones included.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from gradline.errors import DataError, SourceError
from gradline.inputs.objects import StoredObject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Watched(NamedTuple):
    """A file as it was when it was opened."""

    path: Path | StoredObject
    bytes: int
    changed: int
    inode: int | str

    @classmethod
    def of(cls, path: Path | StoredObject) -> Watched:
        """The file as it is now. Raises SourceError where it is gone or may not be read."""
        if isinstance(path, StoredObject):
            return cls(path, *path.state())
        try:
            found = path.stat()
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror or error}.", "is it still there?") from error
        return cls(path, found.st_size, found.st_mtime_ns, found.st_ino)

    def check(self) -> None:
        """Raise DataError where it is another file by now."""
        try:
            now = Watched.of(self.path)
        except SourceError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
            raise DataError(f"{self.path} was removed while it was read.", "put it back, and start again.") from error
        if now != self:
            size = f": it had {self.bytes:,} bytes and has {now.bytes:,}" if now.bytes != self.bytes else ""
            raise DataError(
                f"{self.path} was changed while it was read{size}.", "wait until it is written, or copy it, and start again."
            )

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """A read of the file. What cannot be read of a file that was changed is told as the change."""
        self.check()
        try:
            yield
        except SourceError:
            self.check()
            raise
        self.check()

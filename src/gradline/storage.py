"""Files and directories that appear whole or not at all.

Everything is written beside its place under a name that starts with a dot, flushed to the disk, and renamed. A run that
fails or is interrupted removes what it began; one that is killed leaves only the dotted directory.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gradline.errors import StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

WRITING_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
RUN_MARKER = "model.gradline"
RUN_FILES = (RUN_MARKER, "history.parquet", "config.toml", "result.json", "report.html", "model-card.md")


def _storage_error(path: Path, error: OSError) -> StorageError:
    reason = error.strerror or str(error)
    return StorageError(f"cannot write {path}: {reason}.", "choose another place with --out, or free some space.")


def _mine(path: Path, staging: Path, error: OSError) -> OSError | StorageError:
    """A failure to write as a StorageError; any other, of reading something else in the meantime, as it is."""
    about_writing = error.errno in WRITING_ERRORS or str(staging) in str(error) or str(path) in str(error)
    return _storage_error(path, error) if about_writing else error


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_place(path: Path) -> None:
    """That a name is in its directory, on the disk; where directories cannot be flushed, it will be soon."""
    with suppress(OSError):
        _flush(path.parent)


def check_replaceable(path: Path) -> None:
    """Raise UsageError if `path` is something else than an earlier run or an empty directory, StorageError if nothing can be
    written there: before hours of training, not after them.
    """
    _check_writable(path)
    if path.resolve() == Path.cwd():
        raise UsageError("--out is the current directory, which a run would replace.", "give the name of a new directory in it.")
    if not path.exists():
        return
    if not path.is_dir():
        raise UsageError(f"--out {path} is a file; a run is a directory.", "give the name of a directory.")
    foreign = sorted(file.name for file in path.iterdir() if file.name not in RUN_FILES)
    if foreign:
        raise UsageError(
            f"--out {path} holds files that are not a gradline run's ({foreign[0]}).", "give a new directory, or move them."
        )


def _check_writable(path: Path) -> None:
    place = path.absolute().parent
    while not place.exists() and place != place.parent:
        place = place.parent
    if place.is_dir() and not os.access(place, os.W_OK | os.X_OK):
        raise _storage_error(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """A directory to fill; it takes the place of `path` when the block ends without an exception.

    An earlier run at `path` stays until the new one is whole.
    """
    check_replaceable(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    except OSError as error:
        raise _storage_error(path, error) from error
    try:
        staging.chmod(0o777 & ~_umask())
        yield staging
        for file in staging.rglob("*"):
            _flush(file)
        _replace_directory(staging, path)
    except OSError as error:
        raise _mine(path, staging, error) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _replace_directory(staging: Path, path: Path) -> None:
    if not path.exists():
        staging.rename(path)
    elif not _exchanged(staging, path):
        try:
            _swap_directory(staging, path)
        except OSError as error:
            raise _storage_error(path, error) from error
    _flush_place(path)


def _exchanged(staging: Path, path: Path) -> bool:
    """Whether the two could change names in one step, so that there is a run at `path` at every moment (Linux)."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    done: bool = rename(here, os.fsencode(staging), here, os.fsencode(path), exchange) == 0
    return done


def _swap_directory(staging: Path, path: Path) -> None:
    """In two steps; whoever is killed between them leaves the earlier run in the directory that ends in `.old`."""
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
    path.rename(aside / path.name)
    try:
        staging.rename(path)
    except BaseException:
        (aside / path.name).rename(path)  # where even this fails, the earlier run stays in `aside`
        aside.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A path to write to; it becomes `path` when the block ends without an exception."""
    if path.is_dir():
        raise UsageError(f"{path} is a directory; a file is to be written.", "add a file name.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    except OSError as error:
        raise _storage_error(path, error) from error
    os.close(descriptor)
    staging = Path(name)
    try:
        yield staging
        staging.chmod(0o666 & ~_umask())
        _flush(staging)
        staging.replace(path)
        _flush_place(path)
    except OSError as error:
        raise _mine(path, staging, error) from error
    finally:
        staging.unlink(missing_ok=True)

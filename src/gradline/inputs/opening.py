"""From what the user gives to a Source."""

from __future__ import annotations

import glob
import re
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any

from gradline.errors import SourceError, UsageError, printable
from gradline.inputs.lakes import LOGS, refuse_lake
from gradline.inputs.objects import StoredObject, is_stored, listed
from gradline.inputs.source import ReadOptions, check_unique_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.inputs.source import Source

SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
    ".svm": "svmlight",
    ".svmlight": "svmlight",
    ".libsvm": "svmlight",
}
COMPRESSIONS = (".gz", ".zst")


def open_source(data: Any, options: ReadOptions | None = None, y: Any = None, target: str = "y") -> Source:
    """A Source of `data`.

    data: a path, glob or folder, several of them, SQL text, a NumPy array, a pandas, Polars or Arrow table, or anything with
    `__arrow_c_stream__`.  y: the target as an array beside data in memory; it becomes the column `target`, or, of shape (m, t), the
    columns `target`0, `target`1, …
    """
    options = options or ReadOptions()
    if isinstance(data, str | Path) or (isinstance(data, list | tuple) and all(isinstance(d, str | Path) for d in data)):
        if y is not None:
            raise UsageError("a target array goes with data in memory, not with files.", "name the target's column.")
        return _open_words([data] if isinstance(data, str | Path) else data, options)
    if options.db is not None:
        raise UsageError("a database goes with SQL text, not with data in memory.", 'give a query: "select … from …".')
    return _open_object(data, y, target)


def names_no_target(words: Sequence[str | Path]) -> bool:
    """Whether the data are svmlight files, whose target has no name but its place."""
    return bool(words) and all(SUFFIXES.get(_suffix(Path(word))) == "svmlight" for word in words)


def is_sql(word: str) -> bool:
    """Whether a word of the command line is SQL text."""
    return re.match(r"\s*(select|with|from)\s", word, re.IGNORECASE) is not None


def _open_words(words: Sequence[str | Path], options: ReadOptions) -> Source:
    if not words:
        raise UsageError("no data given.", "name a file, a folder, a glob, or SQL text.")
    if options.db is not None:
        from gradline.inputs.database import open_database

        return open_database(words, options.db)
    if len(words) == 1 and is_sql(str(words[0])) and not Path(words[0]).exists():
        from gradline.inputs.query import QuerySource

        return QuerySource(str(words[0]))
    name = ", ".join(str(word) for word in words)
    paths: list[Path | StoredObject] = []
    root: Path | StoredObject | None = None
    for word in words:
        found, base = _stored(word) if is_stored(word) else _listed(Path(word).expanduser())
        paths += found
        root = base if base is not None and len(words) == 1 else root
    formats = {_format(path) for path in paths}
    if len(formats) > 1:
        raise SourceError(f"{name} holds files of several formats: {', '.join(sorted(formats))}.", "give files of one format.")
    match formats.pop():
        case "parquet":
            from gradline.inputs.parquet import ParquetSource

            return ParquetSource(name, paths, root)
        case "svmlight":
            from gradline.inputs.sparse import SvmlightSource

            if not all(isinstance(path, Path) for path in paths):
                raise UsageError("svmlight files are read from a disk, not from an object store.", "copy them first.")
            return SvmlightSource(name, [path for path in paths if isinstance(path, Path)], options.label)
        case "csv":
            from gradline.inputs.csv import CsvSource

            return CsvSource(name, paths, options)
        case _:
            from gradline.inputs.query import NdjsonSource

            return NdjsonSource(name, paths)


def paths_of(words: Sequence[str | Path]) -> list[Path]:
    """The files that words of the command line mean; none for SQL text."""
    return [
        file for word in words if not is_sql(str(word)) and not is_stored(word) for file in _found(Path(word).expanduser())[0]
    ]


def _listed(path: Path) -> tuple[list[Path], Path | None]:
    """The files that a path, glob or folder means, in the order of their names, and the folder they were found under."""
    files, root = _found(path)
    for file in files:
        if not str(file).isascii() and str(file) != str(file).encode("utf-8", "replace").decode():
            raise SourceError(f"the file name {printable(str(file))!r} is not UTF-8.", "rename the file.")
    return files, root


def _stored(word: object) -> tuple[list[StoredObject], StoredObject | None]:
    files, root, others = listed(str(word))
    refuse_lake(word, *([PurePosixPath(file.key) for file in each] for each in (files, others)))
    if root is None:
        return files, None
    known = [file for file in files if _known(file) and not _hidden(file.relative_to(root))]
    if not known:
        raise SourceError(f"the folder {word} holds no data file.", f"gradline reads {', '.join(SUFFIXES)}.")
    return known, root


def _found(path: Path) -> tuple[list[Path], Path | None]:
    if path.is_dir():
        everything = [file for file in path.rglob("*") if file.is_file()]
        files = sorted(file for file in everything if _known(file) and not _hidden(file.relative_to(path)))
        refuse_lake(path, files, everything)
        if not files:
            raise SourceError(f"the folder {path} holds no data file.", f"gradline reads {', '.join(SUFFIXES)}.")
        return files, path
    if path.is_file():
        return [path], None
    if glob.has_magic(str(path)):
        files = sorted(Path(match) for match in glob.glob(str(path), recursive=True) if Path(match).is_file())
        if not files:
            raise SourceError(f"no file matches {path}.")
        above = {folder for file in files for folder in file.parents}
        refuse_lake(path, files, (file for folder in above for log in LOGS for file in folder.glob(log)))
        return files, None
    raise SourceError(f"there is no file {path}.", _siblings(path))


def _siblings(path: Path) -> str | None:
    from gradline.errors import did_you_mean

    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {folder} either."
    return did_you_mean(path.name, sorted(f.name for f in folder.iterdir() if _known(f)))


def _hidden(path: PurePath) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _suffix(path: PurePath | StoredObject) -> str:
    named = PurePosixPath(path.key) if isinstance(path, StoredObject) else path
    return (named.with_suffix("").suffix if named.suffix in COMPRESSIONS else named.suffix).lower()


def _known(path: Path | StoredObject) -> bool:
    return _suffix(path) in SUFFIXES


def _format(path: Path | StoredObject) -> str:
    suffix = _suffix(path)
    if suffix not in SUFFIXES:
        raise SourceError(
            f"{path}: gradline does not know files of the type {suffix or '(none)'}.", f"it reads {', '.join(SUFFIXES)}."
        )
    return SUFFIXES[suffix]


def _open_object(data: Any, y: Any, target: str) -> Source:
    import numpy as np
    import pyarrow as pa

    from gradline.inputs.memory import ArraySource, StreamSource, TableSource, with_target

    if isinstance(data, np.ndarray):
        return ArraySource(data, None if y is None else np.asarray(y), target)
    if isinstance(data, pa.RecordBatchReader) and y is None:
        return StreamSource(data)
    if type(data).__module__.startswith("scipy.sparse"):
        from gradline.inputs.sparse import MatrixSource

        return MatrixSource(data, y, target)
    names = getattr(data, "columns", None)
    if names is not None and not callable(names) and all(isinstance(name, str) for name in names):
        check_unique_names(list(names), type(data).__name__)
    elif names is not None and type(data).__module__.startswith("pandas"):
        raise SourceError(
            "the data frame has column names that are not text.", "rename them: df.columns = df.columns.astype(str)."
        )
    if isinstance(data, pa.Table | pa.RecordBatch):
        table = data if isinstance(data, pa.Table) else pa.Table.from_batches([data])
    elif type(data).__module__.split(".")[0] in ("pandas", "polars") and hasattr(data, "__arrow_c_stream__"):
        table = _converted(data)
    elif hasattr(data, "__arrow_c_stream__"):
        if y is None:
            return StreamSource(pa.RecordBatchReader.from_stream(data))
        table = _converted(data)
    else:
        raise SourceError(
            f"an object of type {type(data).__name__} is not a table.",
            "give a path, SQL text, a NumPy array, a pandas, Polars or Arrow table, or anything with __arrow_c_stream__.",
        )
    if y is not None:
        table = with_target(table, y, target)
    return TableSource(table, type(data).__name__)


def _converted(data: Any) -> Any:
    import pyarrow as pa

    try:
        if type(data).__module__.startswith("pandas"):
            return pa.Table.from_pandas(data, preserve_index=False)
        return pa.table(data)
    except (pa.ArrowException, TypeError) as error:
        raise SourceError(f"the {type(data).__name__} cannot be read as a table: {str(error).splitlines()[0]}") from error

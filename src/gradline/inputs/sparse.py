"""Tables that are mostly zeros: SciPy's sparse matrices, and files in the svmlight format.

    <label> <index>:<value> <index>:<value> … # comment

Columns are named by their index as the file or the matrix has it: `x0`, `x1`, …; what a row does not name is zero. A svmlight
file may count from 0 or from 1: a column that never occurs does not vary, and is left out. `qid:` and comments are skipped.
"""

from __future__ import annotations

import re
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from gradline.errors import DataError, SourceError, UsageError
from gradline.inputs.source import SourceFile
from gradline.inputs.watched import Watched
from gradline.types import Block

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gradline.types import BoolArray, FloatArray, IntArray

CHUNK_BYTES = 1 << 23
BLOCK_ROWS = 1 << 16
LARGEST_INDEX = 1 << 27  # some arrays of so many numbers have to fit into memory
COLON, NEWLINE = ord(":"), ord("\n")
NAME = re.compile(r"x(\d+)")


@dataclass(frozen=True, slots=True)
class SparseRows:
    """Consecutive rows of one file: row i has values[starts[i]:starts[i + 1]] in the columns indices[…]; y (n,), or None."""

    file: int
    first_row: int
    starts: IntArray  # (n + 1,)
    indices: np.ndarray[Any, np.dtype[np.int32]]
    values: FloatArray
    y: FloatArray | None

    def __len__(self) -> int:
        return len(self.starts) - 1

    def column(self, index: int) -> FloatArray:
        """One column, zeros and all, (n,)."""
        at = np.flatnonzero(self.indices == index)
        column = np.zeros(len(self))
        column[np.searchsorted(self.starts, at, side="right") - 1] = self.values[at]
        return column


class SparseSource(ABC):
    """A `Source` whose columns are too many for a table. label: what the target is called; its `schema` has nothing else."""

    repeatable = True
    name: str
    label: str
    files: tuple[SourceFile, ...]
    rows: int | None
    width: int | None  # columns, where that is known without reading
    labelled = True

    @abstractmethod
    def sparse_rows(self) -> Iterator[SparseRows]:
        """A new read, some rows at a time."""

    @property
    def schema(self) -> pa.Schema:
        """See `Source`."""
        return pa.schema([(self.label, pa.float64())] if self.labelled else [])

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """See `Source`: the label and single columns, with their zeros."""
        for rows in self.sparse_rows():

            def load(rows: SparseRows = rows) -> pa.Table:
                return pa.table({name: self.values_of(rows, name) for name in columns})

            yield Block(rows.file, rows.first_row, load)

    def values_of(self, rows: SparseRows, name: str) -> FloatArray:
        """A column by its name, (n,). Raises UsageError for a name that is none."""
        if name == self.label and rows.y is not None:
            return rows.y
        return rows.column(column_index(name, self.label))


def column_index(name: str, label: str) -> int:
    """7 of `x7`. Raises UsageError for another name."""
    found = NAME.fullmatch(name)
    if found is None or int(found[1]) >= LARGEST_INDEX:
        raise UsageError(
            f"there is no such column as {name!r}: sparse columns are named x0, x1, …, and {label!r} is the target.", "x7, say."
        )
    return int(found[1])


def check_label(label: str) -> str:
    """The label, if it is none of the columns' names. Raises UsageError."""
    if NAME.fullmatch(label):
        raise UsageError(
            f"the target {label!r} has the name of a column: in a sparse table the target stands beside the columns.",
            "give it another name, or none.",
        )
    return label


class MatrixSource(SparseSource):
    """A SciPy sparse matrix (m, p), and the target (m,) beside it if there is one."""

    files = ()

    def __init__(self, matrix: Any, y: object = None, label: str = "y") -> None:
        self.name, self.label = "sparse matrix", check_label(label)
        if matrix.ndim != 2 or np.dtype(matrix.dtype).kind not in "fiub":
            raise SourceError(f"a sparse array of shape {matrix.shape} and {matrix.dtype} is not a table of numbers.")
        if matrix.shape[1] > LARGEST_INDEX:
            raise SourceError(
                f"a matrix of {matrix.shape[1]:,} columns is wider than {LARGEST_INDEX:,}.", "leave out columns without an entry."
            )
        matrix = matrix.tocsr()
        if not matrix.has_canonical_format:  # entries of one place, not yet added up
            matrix = matrix.copy()
            matrix.sum_duplicates()
        self.rows, self.width = matrix.shape
        self._matrix = matrix
        self._y = None if y is None else np.asarray(y)
        self.labelled = y is not None
        if self._y is not None:
            self._y = self._y[:, 0] if self._y.ndim == 2 and self._y.shape[1] == 1 else self._y
            if self._y.shape != (self.rows,):
                raise SourceError(
                    f"the target has shape {self._y.shape}, the data have {self.rows:,} rows.", "one target value a row."
                )
            if self._y.dtype.kind not in "fiub":
                raise SourceError(f"the target is of type {self._y.dtype}, not a number.", "give numbers.")

    def sparse_rows(self) -> Iterator[SparseRows]:
        """See `SparseSource`."""
        starts, m = self._matrix.indptr, self._matrix
        for first in range(0, m.shape[0], BLOCK_ROWS):
            last = min(first + BLOCK_ROWS, m.shape[0])
            own = slice(starts[first], starts[last])
            y = None if self._y is None else self._y[first:last].astype(np.float64)
            values = m.data[own].astype(np.float64)
            cuts = (starts[first : last + 1] - starts[first]).astype(np.intp)
            yield _checked(SparseRows(0, first, cuts, m.indices[own].astype(np.int32), values, y), self.name)


class SvmlightSource(SparseSource):
    """Files in the svmlight format, plain, .gz or .zst, in the order of their names."""

    rows = None
    width = None

    def __init__(self, name: str, paths: Sequence[Path], label: str = "y") -> None:
        self.name, self.label = name, check_label(label)
        self._paths = paths
        self._watched = [Watched.of(path) for path in paths]
        self.files = tuple(SourceFile(file.path.name, file.bytes) for file in self._watched)

    def sparse_rows(self) -> Iterator[SparseRows]:
        """See `SparseSource`."""
        for file, (path, watched) in enumerate(zip(self._paths, self._watched, strict=True)):
            first_row, line = 0, 1
            with watched.unchanged():
                for chunk in _whole_lines(path):
                    rows = parsed(chunk, path, line)
                    if len(rows.starts) > 1:
                        yield _checked(replace(rows, file=file, first_row=first_row), str(path))
                    first_row, line = first_row + len(rows), line + chunk.count(b"\n")


def _whole_lines(path: Path) -> Iterator[bytes]:
    """A file in pieces that end with a line."""
    compression = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix)
    rest = b""
    try:
        with pa.input_stream(str(path), compression=compression) as file:
            while chunk := file.read(CHUNK_BYTES):
                head, newline, tail = (rest + chunk).rpartition(b"\n")
                rest = tail
                if newline:
                    yield head + newline
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path} cannot be read: {str(error).splitlines()[0]}", "is it damaged or cut off?") from error
    if rest:
        yield rest + b"\n"


def parsed(text: bytes, path: Path, line: int = 1) -> SparseRows:
    """The rows of whole lines of svmlight text, the first one's number being `line`. Raises SourceError with the line at fault."""
    if b"#" in text:
        text = re.sub(rb"#[^\n]*", b"", text)
    if b"qid:" in text:
        text = re.sub(rb"(?<=[ \t])qid:\d+(?=\s)", b"", text)
    characters = np.frombuffer(text, dtype=np.uint8)
    blank = characters <= ord(" ")
    begins = np.flatnonzero(~blank & np.append(True, blank[:-1]))  # of the words
    if not len(begins):
        return SparseRows(0, 0, np.zeros(1, dtype=np.intp), np.zeros(0, dtype=np.int32), np.zeros(0), np.zeros(0))
    line_of = np.searchsorted(np.flatnonzero(characters == NEWLINE), begins)  # of each word
    label = np.append(True, line_of[1:] != line_of[:-1])  # the first word of a line
    colons = np.add.reduceat(characters == COLON, begins, dtype=np.intp)
    wrong = colons != ~label
    if wrong.any():
        raise _malformed(path, text, line, int(line_of[int(np.argmax(wrong))]))
    numbers = _numbers(text.replace(b":", b" "))
    if numbers is None or len(numbers) != len(begins) + int(colons.sum()):
        raise _malformed(path, text, line, _first_bad_word(text, begins, line_of))
    at = np.arange(len(begins)) + np.append(0, np.cumsum(colons)[:-1])  # of each word's first number
    index, values = numbers[at[~label]], numbers[at[~label] + 1]
    bad = (index != np.floor(index)) | (index < 0.0) | (index >= LARGEST_INDEX)
    if bad.any():
        raise _malformed(path, text, line, int(line_of[~label][int(np.argmax(bad))]))
    starts = np.append(np.flatnonzero(label) - np.arange(int(label.sum())), len(index))
    indices, values = _in_order(index.astype(np.int32), values, starts, line_of[~label], path, line)
    return SparseRows(0, 0, starts, indices, values, numbers[at[label]])


def _numbers(text: bytes) -> FloatArray | None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # NumPy's word for text that is no number
        try:
            return np.fromstring(text.decode("ascii"), sep=" ")
        except (DeprecationWarning, ValueError):
            return None


def _in_order(
    index: np.ndarray[Any, np.dtype[np.int32]], values: FloatArray, starts: IntArray, lines: IntArray, path: Path, line: int
) -> tuple[np.ndarray[Any, np.dtype[np.int32]], FloatArray]:
    """The entries of each row by column."""
    row = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    same = row[1:] == row[:-1]
    if np.any(same & (index[1:] <= index[:-1])):
        order = np.lexsort((index, row))
        index, values = index[order], values[order]
        twice = same & (index[1:] == index[:-1])
        if twice.any():
            first = int(np.argmax(twice))
            raise SourceError(f"{path}, line {line + int(lines[first]):,}: column {index[first]} stands twice.", "once a row.")
    return index, values


def _first_bad_word(text: bytes, begins: IntArray, line_of: IntArray) -> int:
    ends = [*begins[1:], len(text)]
    for start, end, at in zip(begins, ends, line_of, strict=True):
        for part in text[start:end].split(b":"):
            try:
                float(part)
            except ValueError:
                return int(at)
    return int(line_of[-1])


def _malformed(path: Path, text: bytes, line: int, at: int) -> SourceError:
    shown = text.split(b"\n")[at].strip()[:60].decode("ascii", "backslashreplace")
    return SourceError(
        f"{path}, line {line + at:,} is not svmlight: {shown!r}.",
        f"each line is: label index:value index:value …, all numbers, indices below {LARGEST_INDEX:,}.",
    )


def _checked(rows: SparseRows, where: str) -> SparseRows:
    """The same rows. Raises DataError for values that are not finite: in a sparse table nothing stands for a missing value."""
    bad: BoolArray = ~np.isfinite(rows.values)
    if bad.any():
        first = int(np.argmax(bad))
        row = rows.first_row + int(np.searchsorted(rows.starts, first, side="right")) - 1
        raise DataError(
            f"column 'x{rows.indices[first]}' of {where} is {rows.values[first]:g} in row {row:,} (counted from 0); "
            f"{int(bad.sum()):,} such values so far.",
            "leave such entries out (they count as zero), or mend them.",
        )
    return rows

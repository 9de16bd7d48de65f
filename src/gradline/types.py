"""The nouns that every layer shares: roles of rows, kinds of columns, blocks, decoded columns.

Shapes, everywhere in gradline: ``m`` rows, ``p`` features, ``q`` raw columns (before levels are grouped and columns left
out), ``k`` coordinates of the loop (``p`` weights, then the intercept if there is one).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

Json = dict[str, Any]


class Role(IntEnum):
    """What a row is used for. The value is what `splits` writes into its array."""

    TRAINING = 0
    VALIDATION = 1
    TEST = 2

    @property
    def label(self) -> str:
        """The role's key in the JSON documents."""
        return ("train", "validation", "test")[self]


class Kind(StrEnum):
    """What a column holds, whatever its storage type: what the contract compares."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    TEXT = "text"
    DATE = "date"
    TIMESTAMP = "timestamp"
    TIME = "time"
    DURATION = "duration"
    EMPTY = "empty"
    UNSUPPORTED = "unsupported"


class Part(StrEnum):
    """Which part of a column a raw column is."""

    VALUE = "value"
    MISSING = "missing"
    LEVEL = "level"
    OTHER = "other"
    TARGET = "target"


class RawColumn(NamedTuple):
    """One column of the raw design: a number, the indicator of its missing values, or the indicator of a category."""

    column: str
    part: Part
    level: str = ""


class NumberColumn(NamedTuple):
    """A decoded numeric column; missing values are NaN, infinities are kept for the fault check."""

    name: str
    values: FloatArray  # (n,)
    part: Part = Part.VALUE


class CategoryColumn(NamedTuple):
    """A decoded category; the code −1 is missing, and `levels[code]` is the value.

    `missing_is_level`: whether a missing value is a category of its own (it is not for the parts of a date, whose
    missing values one indicator marks already). `rest`: the code that stands for every level not listed, if there is one.
    """

    name: str
    codes: IntArray  # (n,)
    levels: tuple[str, ...]
    missing_is_level: bool = True
    rest: int | None = None


class Decoded(NamedTuple):
    """The features of a block as numbers and codes: what representation makes of an Arrow batch.

    matrix: (n, k) the values of all the numbers, where they lie row by row; then those of `numbers` are its columns.
    """

    rows: int
    numbers: tuple[NumberColumn, ...]
    categories: tuple[CategoryColumn, ...]
    matrix: FloatArray | None = None

    @classmethod
    def of_matrix(cls, names: Sequence[str], matrix: FloatArray) -> Decoded:
        """Numbers that lie row by row. matrix: (n, k) of float64 or float32."""
        return cls(len(matrix), tuple(map(NumberColumn, names, matrix.T)), (), matrix)

    def take(self, keep: BoolArray | IntArray) -> Decoded:
        """The same columns for some rows."""
        rows = int(np.count_nonzero(keep)) if keep.dtype == np.bool_ else len(keep)
        if self.matrix is not None:
            return Decoded.of_matrix([column.name for column in self.numbers], self.matrix[keep])
        return Decoded(
            rows,
            tuple(column._replace(values=column.values[keep]) for column in self.numbers),
            tuple(column._replace(codes=column.codes[keep]) for column in self.categories),
        )


class ArrayRows(NamedTuple):
    """Rows of an array of floats as they lie in memory. matrix: (n, k), of the columns `names`.  beside: loads the other columns."""

    names: tuple[str, ...]
    matrix: FloatArray
    beside: Callable[[], pa.RecordBatch]


class Block(NamedTuple):
    """Some consecutive rows of one file, not yet read: `load` reads them, in whichever thread calls it.

    array: the same rows, where they need not be turned into columns.
    """

    file: int
    first_row: int
    load: Callable[[], pa.RecordBatch | pa.Table]
    array: ArrayRows | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that the user should know: a stable code, the column it is about, and a sentence with what to do."""

    code: str
    column: str | None
    message: str

    def to_json(self) -> Json:
        """The entry of `warnings` in the JSON documents."""
        return {"code": self.code, "column": self.column, "message": self.message}


def finite_or_none(value: float | None) -> float | None:
    """A number for a JSON document: NaN and infinities are null there."""
    return None if value is None or not np.isfinite(value) else float(value)


def plain_numbers(document: Mapping[str, float | None]) -> Json:
    """`finite_or_none` for each value of a flat mapping."""
    return {name: finite_or_none(value) for name, value in document.items()}

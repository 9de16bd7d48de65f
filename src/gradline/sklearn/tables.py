"""The arrays of an estimator as sources: rows to train on, then validation rows, each a part with its targets and weights.

A part is a file of the source: blocks begin anew in it, and `PartRoles` gives its rows their role.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from gradline.arrays import as_arrow
from gradline.inputs.memory import transposed
from gradline.inputs.source import SourceFile, block_rows
from gradline.inputs.sparse import MatrixSource, SparseRows, SparseSource
from gradline.types import Block

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gradline.types import FloatArray


class Part(NamedTuple):
    """Some rows. X: (n, p), dense or SciPy's CSR.  columns: the targets (n,) by name, and the weights, if there are any."""

    X: Any
    columns: Mapping[str, FloatArray]


class ArrayParts:
    """Parts as blocks of columns; sparse rows are made dense a block at a time.

    names: of the features.  first_row: the number of the first row, where others were read before.
    """

    repeatable = True
    files: tuple[SourceFile, ...] = ()
    name = "array"

    def __init__(self, names: Sequence[str], parts: Sequence[Part], first_row: int = 0) -> None:
        self._names, self._parts, self._first_row = tuple(names), tuple(parts), first_row
        self.rows = sum(part.X.shape[0] for part in parts)
        self.schema = pa.schema([(name, pa.float64()) for name in (*names, *parts[0].columns)])

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """See `Source`."""
        rows = block_rows(len(columns))
        for file, part in enumerate(self._parts):
            offset = 0 if file else self._first_row
            for start in range(0, part.X.shape[0], rows):
                yield Block(file, offset + start, partial(self._load, part, slice(start, start + rows), columns))

    def _load(self, part: Part, rows: slice, columns: Sequence[str]) -> pa.RecordBatch:
        X = part.X[rows]
        features = dict(zip(self._names, _columns_of(X if isinstance(X, np.ndarray) else X.toarray()), strict=True))
        arrays = [features[name] if name in features else as_arrow(part.columns[name][rows]) for name in columns]
        return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _columns_of(X: np.ndarray[Any, Any]) -> list[pa.Array]:
    """The columns as float64; those of an array by columns are not copied."""
    if X.strides[0] == X.itemsize:
        return [as_arrow(np.asarray(column, dtype=np.float64)) for column in X.T]
    return transposed(X)


class MatrixParts(SparseSource):
    """Parts of CSR matrices with one target, whose rows are kept. weight: the parts' name of the weights, which are the column past
    the last one to whoever reads.
    """

    files = ()
    name = "sparse matrix"

    def __init__(self, parts: Sequence[Part], label: str, weight: str | None = None) -> None:
        self.label, self._weight = label, weight
        self._parts = tuple(parts)
        self.rows = sum(part.X.shape[0] for part in parts)
        self.width = parts[0].X.shape[1] + (weight is not None)

    def sparse_rows(self) -> Iterator[SparseRows]:
        """See `SparseSource`."""
        for file, part in enumerate(self._parts):
            for rows in MatrixSource(part.X, part.columns[self.label], self.label).sparse_rows():
                yield replace(rows, file=file)

    def values_of(self, rows: SparseRows, name: str) -> FloatArray:
        """See `SparseSource`."""
        if self._weight is not None and name == weight_column(self._parts[0].X.shape[1]):
            weights = self._parts[rows.file].columns[self._weight]
            return weights[rows.first_row : rows.first_row + len(rows)]
        return super().values_of(rows, name)


def weight_column(width: int) -> str:
    """What the weights beside a matrix of `width` columns are called."""
    return f"x{width}"

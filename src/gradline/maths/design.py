"""The design matrix of a sparse table, centred and scaled without its zeros being stored.

    z = (x − centre)/scale,   Zw = X(w/scale) − centre·(w/scale),   Z'r = (X'r − centre Σr)/scale

Centring like this loses the digits of columns that are large beside their deviation. With a share d of the rows (by weight)
that have an entry, (mean/deviation)² ≤ d/(1 − d), by Cauchy and Schwarz: where d ≤ ½ none are lost. The other columns are kept dense, less
their mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from gradline.maths.coordinates import Coordinates
    from gradline.types import BoolArray, FloatArray, IntArray


class Frame(NamedTuple):
    """What the rows of a design have in common. columns: (p,) of the table.  sparse_at, dense_at: the positions of the features
    that are kept in either way.  centre: (p,) less what is taken off the dense ones already.  scale: (p,).
    """

    columns: IntArray
    sparse_at: IntArray
    dense_at: IntArray
    centre: FloatArray
    scale: FloatArray

    @classmethod
    def of(cls, columns: IntArray, dense: BoolArray, mean: FloatArray, coordinates: Coordinates) -> Frame:
        """The features `dense` (p,) are kept as such, less their `mean` (p,)."""
        centre = np.where(dense, coordinates.centre - mean, coordinates.centre)
        return cls(columns, np.flatnonzero(~dense), np.flatnonzero(dense), centre, coordinates.scale)


class SparseDesign:
    """Rows in the loop's coordinates, (n, p), as a matrix that is never formed: what the oracles ask of one.

    sparse: SciPy's CSR (n, width).  dense: (n, d), the features at `frame.dense_at`.
    """

    def __init__(self, sparse: Any, dense: FloatArray, frame: Frame) -> None:
        self._sparse, self._dense, self._frame = sparse, dense, frame
        self.shape: tuple[int, int] = (sparse.shape[0], len(frame.columns))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | IntArray) -> SparseDesign:
        """Some of the rows."""
        return SparseDesign(self._sparse[rows], self._dense[rows], self._frame)

    def __matmul__(self, w: FloatArray) -> FloatArray:
        """Zw, (n,)."""
        v = w / self._frame.scale
        product: FloatArray = self._sparse @ self._spread(v) - float(self._frame.centre @ v)
        return product + self._dense @ v[self._frame.dense_at] if self._dense.size else product

    dot = __matmul__

    def _spread(self, values: FloatArray) -> FloatArray:
        """Values of the sparse features, (p,), at the places of their columns, (width,)."""
        spread = np.zeros(self._sparse.shape[1])
        spread[self._frame.columns[self._frame.sparse_at]] = values[self._frame.sparse_at]
        return spread

    @property
    def T(self) -> _Transposed:  # noqa: N802
        """Z', for Z'r."""
        return _Transposed(self)

    def transposed_times(self, r: FloatArray) -> FloatArray:
        """Z'r, (p,)."""
        sums: FloatArray = (self._sparse.T @ r)[self._frame.columns]
        sums[self._frame.dense_at] = self._dense.T @ r
        return np.asarray((sums - self._frame.centre * r.sum()) / self._frame.scale)

    def squared_norms(self) -> FloatArray:
        """‖z‖² of each row, (n,)."""
        _, sparse_at, dense_at, centre, scale = self._frame
        v = 1.0 / scale**2
        norms = self._sparse.power(2) @ self._spread(v) - 2.0 * (self._sparse @ self._spread(v * centre))
        norms += float(v[sparse_at] @ centre[sparse_at] ** 2)
        norms += (self._dense - centre[dense_at]) ** 2 @ v[dense_at]
        return np.asarray(np.maximum(norms, 0.0))

    def toarray(self) -> FloatArray:
        """The rows, dense, (n, p): for few of them."""
        X: FloatArray = self._sparse[:, self._frame.columns].toarray()
        X[:, self._frame.dense_at] = self._dense
        return (X - self._frame.centre) / self._frame.scale


class _Transposed:
    def __init__(self, design: SparseDesign) -> None:
        self._design = design

    def __matmul__(self, r: FloatArray) -> FloatArray:
        return self._design.transposed_times(r)

    dot = __matmul__


def squared_norms(X: Design) -> FloatArray:
    """‖z‖² of each row, (n,)."""
    return X.squared_norms() if isinstance(X, SparseDesign) else np.einsum("ij,ij->i", X, X)


Design: TypeAlias = "FloatArray | SparseDesign"  # (n, p), for X @ w, X.T @ r (or dot) and X[rows]

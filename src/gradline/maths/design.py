"""The design matrix of a sparse table, centred and scaled without its zeros being stored.

    z = (x − centre)/scale,   Zw = X(w/scale) − centre·(w/scale),   Z'r = (X'r − centre Σr)/scale

Centring like this loses the digits of columns that are large beside their deviation. With a share d of entries that are not
zero, (mean/deviation)² ≤ d/(1 − d), by Cauchy and Schwarz: where d ≤ ½ none are lost. The other columns are kept dense, less
their mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from gradline.maths.coordinates import Coordinates
    from gradline.types import FloatArray, IntArray


class SparseDesign:
    """Rows in the loop's coordinates, (n, p), as a matrix that is never formed: what the oracles ask of one.

    sparse: SciPy's CSR (n, width).  dense: (n, d) less `pivot`, of the features at the positions `dense_at`.  columns: (p,).
    """

    def __init__(
        self,
        sparse: Any,
        dense: FloatArray,
        columns: IntArray,
        dense_at: IntArray,
        pivot: FloatArray,
        coordinates: Coordinates,
    ) -> None:
        self._sparse, self._dense = sparse, dense
        self._columns, self._dense_at, self._pivot = columns, dense_at, pivot
        self._coordinates = coordinates
        self._sparse_at = np.setdiff1d(np.arange(len(columns)), dense_at)
        self._centre = coordinates.centre.copy()
        self._centre[dense_at] -= pivot
        self.shape: tuple[int, int] = (sparse.shape[0], len(columns))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | IntArray) -> SparseDesign:
        """Some of the rows."""
        taken = self._sparse[rows], self._dense[rows]
        return SparseDesign(*taken, self._columns, self._dense_at, self._pivot, self._coordinates)

    def __matmul__(self, w: FloatArray) -> FloatArray:
        """Zw, (n,)."""
        v = w / self._coordinates.scale
        slopes = np.zeros(self._sparse.shape[1])
        slopes[self._columns[self._sparse_at]] = v[self._sparse_at]
        product: FloatArray = self._sparse @ slopes + self._dense @ v[self._dense_at] - float(self._centre @ v)
        return product

    @property
    def T(self) -> _Transposed:  # noqa: N802
        """Z', for Z'r."""
        return _Transposed(self)

    def transposed_times(self, r: FloatArray) -> FloatArray:
        """Z'r, (p,)."""
        sums = np.empty(self.shape[1])
        sums[self._sparse_at] = (self._sparse.T @ r)[self._columns[self._sparse_at]]
        sums[self._dense_at] = self._dense.T @ r
        return np.asarray((sums - self._centre * r.sum()) / self._coordinates.scale)

    def squared_norms(self) -> FloatArray:
        """‖z‖² of each row, (n,)."""
        v = 1.0 / self._coordinates.scale**2
        squares, crossed = np.zeros(self._sparse.shape[1]), np.zeros(self._sparse.shape[1])
        squares[self._columns[self._sparse_at]] = v[self._sparse_at]
        crossed[self._columns[self._sparse_at]] = (v * self._centre)[self._sparse_at]
        norms = self._sparse.power(2) @ squares - 2.0 * (self._sparse @ crossed)
        norms += float(v[self._sparse_at] @ self._centre[self._sparse_at] ** 2)
        norms += (self._dense - self._centre[self._dense_at]) ** 2 @ v[self._dense_at]
        return np.asarray(np.maximum(norms, 0.0))

    def toarray(self) -> FloatArray:
        """The rows, dense, (n, p): for few of them."""
        X = np.empty(self.shape)
        X[:, self._sparse_at] = self._sparse[:, self._columns[self._sparse_at]].toarray()
        X[:, self._dense_at] = self._dense
        return np.asarray((X - self._centre) / self._coordinates.scale)


class _Transposed:
    def __init__(self, design: SparseDesign) -> None:
        self._design = design

    def __matmul__(self, r: FloatArray) -> FloatArray:
        return self._design.transposed_times(r)


Design: TypeAlias = "FloatArray | SparseDesign"  # (n, p), for X @ w, X.T @ r and X[rows]

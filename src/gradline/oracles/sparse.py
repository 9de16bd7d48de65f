"""The rows of one role of a sparse table, kept as compressed sparse rows: in memory, or beyond a gigabyte in mapped files."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradline.errors import StorageError, UsageError
from gradline.maths.design import Frame, SparseDesign
from gradline.oracles.streamed import MOST_IN_MEMORY, PART_ROWS, Examples

if TYPE_CHECKING:
    from gradline.maths.coordinates import Coordinates
    from gradline.types import BoolArray, FloatArray, IntArray

ENTRIES_A_COLUMN = 4  # of a part, at least


class Growing:
    """An array that is appended to; beyond its share of the memory it goes on in a file."""

    def __init__(self, folder: Path, name: str, dtype: type, most_bytes: int) -> None:
        self._path, self._dtype, self._most = folder / name, np.dtype(dtype), most_bytes
        self._parts: list[np.ndarray[Any, Any]] = []
        self._bytes = 0
        self.on_disk = False

    def append(self, values: np.ndarray[Any, Any]) -> None:
        """Some more. Raises StorageError where the disk is full."""
        self._parts.append(np.asarray(values, dtype=self._dtype))
        self._bytes += self._parts[-1].nbytes
        if self.on_disk or self._bytes > self._most:
            self._flush()

    def _flush(self) -> None:
        try:
            with self._path.open("ab") as file:
                for part in self._parts:
                    part.tofile(file)
        except OSError as error:
            raise StorageError(
                f"the rows need more than {self._bytes:,} bytes in {self._path.parent}: {error.strerror}.",
                "set TMPDIR to a larger disk.",
            ) from error
        self._parts, self.on_disk = [], True

    def array(self) -> np.ndarray[Any, Any]:
        """All of it."""
        if not self.on_disk:
            return np.concatenate(self._parts) if self._parts else np.zeros(0, dtype=self._dtype)
        return np.memmap(self._path, dtype=self._dtype, mode="r")


class SparseStore:
    """Rows as they come, then, once their width is known, a CSR matrix X (n, width), y (n,) and weight (n,) or None for ones.

    What the oracles ask for (`X`, `parts`, `examples`) is in the coordinates of the last `use`.
    """

    X: SparseDesign

    def __init__(self, *, weighted: bool) -> None:
        try:
            import scipy.sparse  # noqa: F401  # before the rows are read, not after
        except ImportError as error:
            raise UsageError("sparse tables need SciPy, which is not installed.", "pip install 'gradline[sparse]'") from error
        folder = Path(tempfile.mkdtemp(prefix="gradline-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._folder = folder
        self._lengths = Growing(folder, "lengths", np.int64, MOST_IN_MEMORY // 8)
        self._indices = Growing(folder, "indices", np.int32, MOST_IN_MEMORY // 3)
        self._values = Growing(folder, "values", np.float64, 2 * MOST_IN_MEMORY // 3)
        self._y: list[FloatArray] = []
        self._weight: list[FloatArray] | None = [] if weighted else None

    def append(
        self, lengths: IntArray, indices: np.ndarray[Any, Any], values: FloatArray, y: FloatArray, weight: FloatArray | None
    ) -> None:
        """Some rows: how many entries each has, these, and the targets."""
        self._lengths.append(lengths)
        self._indices.append(indices)
        self._values.append(values)
        self._y.append(y)
        if self._weight is not None and weight is not None:
            self._weight.append(weight)

    def close(self, width: int) -> None:
        """No further row."""
        from scipy.sparse import csr_array

        starts = np.append(0, np.cumsum(self._lengths.array()))
        self.on_disk = self._values.on_disk
        self.csr = csr_array((self._values.array(), self._indices.array(), starts), shape=(len(starts) - 1, width))
        self.y = np.concatenate(self._y) if self._y else np.zeros(0)
        self.weight = None if self._weight is None else np.concatenate(self._weight) if self._weight else np.zeros(0)

    def __len__(self) -> int:
        return len(self.y)

    def use(self, columns: IntArray, dense: BoolArray, mean: FloatArray, coordinates: Coordinates) -> None:
        """Take these columns (p,) for features, in these coordinates. dense: (p,) which are kept dense, less `mean` (p,)."""
        at = np.flatnonzero(dense)
        kept = np.empty((len(self), len(at)))
        for part in self.parts() if len(at) else []:
            rows = slice(part.start, part.stop)
            kept[rows] = self.csr[rows][:, columns[at]].toarray() - mean[at]
        self.X = SparseDesign(self.csr, kept, Frame.of(columns, dense, mean, coordinates))

    def parts(self) -> list[range]:
        """All rows, in parts whose borders depend on the rows alone; a part's product is (width,), so that few entries are no part."""
        size, entries = PART_ROWS, max(self.csr.nnz, 1)
        while size < len(self) and size * entries < ENTRIES_A_COLUMN * self.csr.shape[1] * len(self):
            size *= 2
        return [range(start, min(start + size, len(self))) for start in range(0, len(self), size)]

    def examples(self, part: range) -> Examples:
        """The rows of a part."""
        rows = slice(part.start, part.stop)
        return Examples(self.X[rows], self.y[rows], None if self.weight is None else self.weight[rows])

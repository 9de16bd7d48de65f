"""The gradient from a few rows: B examples drawn by f(seed, step), noise against throughput.

    g_B(θ) = (1/B) Σ_{i in batch} (f(x_i) − y_i) x_i,   E g_B = ∇J(θ)

A batch is a pure function of the seed and the step, so a run can be repeated from any step. `shuffled` goes through all rows
once an epoch in an order of its own; the last batch of an epoch holds what is left. `replacement` draws each batch anew.

The training rows are kept as features in the loop's coordinates: in memory while they are below a gigabyte, else in a file
that is mapped, whose rows are then shuffled in blocks and within blocks, so that an epoch still reads the disk in order.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gradline.errors import StorageError
from gradline.maths.losses import SQUARED
from gradline.maths.oracle import ValueAndGradient
from gradline.oracles.streamed import MOST_IN_MEMORY, PART_ROWS, Examples

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gradline.maths.losses import Loss
    from gradline.oracles.sparse import SparseStore
    from gradline.types import FloatArray, IntArray

SHUFFLE_BLOCK = 1 << 16
PART_VALUES = 1 << 22  # of many columns, so that every thread has some
LEAST_PART_ROWS = 1 << 8


class ExampleStore:
    """The training rows: X (n, p), y (n,), weight (n,) or None for ones."""

    def __init__(self, examples: Iterable[Examples], rows: int, width: int, *, weighted: bool) -> None:
        self.on_disk = rows * width * 8 > MOST_IN_MEMORY
        self.X: FloatArray = self._mapped(rows, width) if self.on_disk else np.empty((rows, width))
        self.y = np.empty(rows)
        self.weight = np.empty(rows) if weighted else None
        start = 0
        for X, y, weight in examples:
            stop = start + len(y)
            self.X[start:stop], self.y[start:stop] = X, y  # type: ignore[assignment]  # dense rows for a dense store
            if self.weight is not None and weight is not None:
                self.weight[start:stop] = weight
            start = stop
        if start != rows:
            raise ValueError(f"{start} training rows were read, {rows} expected: the data changed during the run")

    def __len__(self) -> int:
        return len(self.y)

    def parts(self) -> list[range]:
        """All rows, in parts whose borders depend on the numbers of rows and columns alone."""
        size = PART_ROWS
        while size > LEAST_PART_ROWS and size * self.X.shape[1] > PART_VALUES:
            size //= 2
        return [range(start, min(start + size, len(self))) for start in range(0, len(self), size)]

    def examples(self, part: range) -> Examples:
        """The rows of a part."""
        rows = slice(part.start, part.stop)
        return Examples(self.X[rows], self.y[rows], None if self.weight is None else self.weight[rows])

    def _mapped(self, rows: int, width: int) -> FloatArray:
        """An array in a file of its own, which goes when the store does. Raises StorageError where the disk is too small."""
        folder = Path(tempfile.mkdtemp(prefix="gradline-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        file = folder / "rows.f64"
        try:
            with file.open("wb") as space:  # all of it now: a mapped file that finds the disk full later kills the process
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(space.fileno(), 0, rows * width * 8)
        except OSError as error:
            raise StorageError(
                f"the training rows need {rows * width * 8:,} bytes in {folder.parent}: {error.strerror}.",
                "set TMPDIR to a larger disk, or use --oracle moments.",
            ) from error
        return np.memmap(file, dtype=np.float64, mode="r+" if file.stat().st_size else "w+", shape=(rows, width))


@dataclass
class Batches:
    """Which rows the batch of a step holds. sampling: `shuffled` or `replacement`."""

    seed: int
    rows: int
    size: int
    sampling: str = "shuffled"
    blocked: bool = False
    _epoch: int = -1
    _order: IntArray | None = None

    @property
    def per_epoch(self) -> int:
        """Batches that go once through all rows."""
        return -(-self.rows // self.size)

    def at(self, step: int) -> IntArray:
        """The rows of a step's batch, (B,) or fewer at the end of an epoch."""
        if self.sampling == "replacement":
            return self._generator(step).integers(0, self.rows, self.size)
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self._epoch or self._order is None:
            self._epoch, self._order = epoch, self._shuffled(epoch)
        return self._order[position * self.size : (position + 1) * self.size]

    def _shuffled(self, epoch: int) -> IntArray:
        generator = self._generator(epoch)
        if not self.blocked:
            return generator.permutation(self.rows)
        starts = np.arange(0, self.rows, SHUFFLE_BLOCK)
        blocks = [np.arange(start, min(start + SHUFFLE_BLOCK, self.rows)) for start in generator.permutation(starts)]
        return np.concatenate([generator.permutation(block) for block in blocks])

    def _generator(self, count: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=np.array([self.seed, count], dtype=np.uint64)))


class MiniBatchOracle:
    """A noisy gradient at the price of B rows: O(B·p) a step."""

    name = "minibatch"
    quadratic = False

    def __init__(
        self, store: ExampleStore | SparseStore, batches: Batches, *, intercept: bool, l2: float = 0.0, loss: Loss = SQUARED
    ) -> None:
        self._store = store
        self._loss = loss
        self._batches = batches
        self._intercept = intercept
        self._l2 = l2
        # the mean of all weights, not the batch's own: only so is the gradient unbiased
        self._mean_weight = 1.0 if store.weight is None else float(store.weight.mean())

    def value_and_gradient(self, theta: FloatArray, step: int = 0) -> ValueAndGradient:
        """J and ∇J on the batch of a step."""
        rows = self._batches.at(step)
        X, y = self._store.X[rows], self._store.y[rows]  # (B, p), (B,)
        w, b = (theta[:-1], theta[-1]) if self._intercept else (theta, 0.0)
        residual = X @ w + b - y
        total = float(len(rows)) * self._mean_weight
        slope = residual if self._loss is SQUARED else self._loss.derivative(residual)
        weighted = slope if self._store.weight is None else slope * self._store.weight[rows]
        slopes = X.T @ weighted / total
        gradient = np.append(slopes + self._l2 * w, weighted.sum() / total) if self._intercept else slopes + self._l2 * w
        value = (float(weighted @ residual) - 0.5 * self._loss.width * float(weighted @ slope)) / total
        return ValueAndGradient(value + 0.5 * self._l2 * float(w @ w), gradient)

    def curvature_along(self, direction: FloatArray) -> FloatArray:
        """A batch knows the curvature too badly to be asked."""
        raise TypeError("the mini-batch oracle has no curvature: use a rule that takes a learning rate")

"""The gradient from a few rows: B examples drawn by f(seed, step), noise against throughput.

    g_B(θ) = (1/B) Σ_{i in batch} (f(x_i) − y_i) x_i,   E g_B = ∇J(θ)

A batch is a pure function of the seed and the step, so a run can be repeated from any step. `shuffled` goes through all rows
once an epoch in an order of its own; the last batch of an epoch holds what is left. `replacement` draws each batch anew.

The training rows are kept as features in the loop's coordinates: in memory while they are below a gigabyte, else in a file
that is mapped. They are mixed once, when they are kept, so that a batch is a slice of them and nothing is gathered; an epoch
cuts them into batches from a place of its own and takes the batches in an order of its own. On disk both are done in blocks, so
that an epoch still reads the disk in order. Sparse rows are kept as they come; their batches hold the same rows, gathered.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradline.errors import StorageError
from gradline.maths import kernels
from gradline.maths.losses import SQUARED
from gradline.maths.oracle import ValueAndGradient
from gradline.oracles.streamed import MOST_IN_MEMORY, PART_ROWS, Examples

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gradline.maths.design import Design
    from gradline.maths.losses import Loss
    from gradline.oracles.sparse import SparseStore
    from gradline.types import FloatArray, IntArray

SHUFFLE_BLOCK = 1 << 16
PART_VALUES = 1 << 22  # of many columns, so that every thread has some
LEAST_PART_ROWS = 1 << 8
MIXING = (1 << 64) - 1  # no epoch and no step has this number


class ExampleStore:
    """The training rows: X (n, p), y (n,), weight (n,) or None for ones; `add` brings them, block after block.

    seed: of the order in which they are mixed; None keeps them as they come.  ones: whether they are kept as Z (n, p + 1), X and a
    column of ones, which b goes with: then a gradient is two products. (NumPy copies X, a part of Z, for each product.)
    """

    def __init__(
        self,
        rows: int,
        width: int,
        *,
        weighted: bool,
        seed: int | None = None,
        ones: bool = False,
    ) -> None:
        self.mixed, self.ones = seed is not None, ones
        kept = width + 1 if ones else width
        self.on_disk = rows * kept * 8 > MOST_IN_MEMORY
        self.Z: FloatArray = self._mapped(rows, kept) if self.on_disk else np.empty((rows, kept))
        self.X = self.Z[:, :width]
        self.y = np.empty(rows)
        self.weight = np.empty(rows) if weighted else None
        if ones:
            self.Z[:, -1] = 1.0
        self._places = None if seed is None else mixing(seed, rows, blocked=self.on_disk)
        self._filled = 0

    @classmethod
    def of(cls, examples: Iterable[Examples], rows: int, width: int, **settings: Any) -> ExampleStore:
        """A store of all of these."""
        store = cls(rows, width, **settings)
        for each in examples:
            store.add(each)
        return store.complete()

    def add(self, examples: Examples) -> None:
        """Keep the next rows."""
        X, y, weight = examples
        start, stop = self._filled, self._filled + len(y)
        self._filled = stop
        if stop > len(self.y):
            self.complete()
        at = slice(start, stop) if self._places is None else self._places[start:stop]
        self.X[at], self.y[at] = X, y  # type: ignore[assignment]  # dense rows for a dense store
        if self.weight is not None and weight is not None:
            self.weight[at] = weight

    def complete(self) -> ExampleStore:
        """The store, if it holds all that it was made for. Raises ValueError."""
        if self._filled != len(self.y):
            raise ValueError(f"{self._filled} training rows were read, {len(self.y)} expected: the data changed during the run")
        self._places = None
        return self

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
        mapped = np.memmap(file, dtype=np.float64, mode="r+" if file.stat().st_size else "w+", shape=(rows, width))
        return mapped.view(np.ndarray)  # a slice of a memmap costs as much as a product


@dataclass
class Batches:
    """Which rows the batch of a step holds. sampling: `shuffled` or `replacement`.

    blocked: the rows of a block of the disk are near each other in an epoch.  mixed: the rows are kept in the order of `mixing`.
    """

    seed: int
    rows: int
    size: int
    sampling: str = "shuffled"
    blocked: bool = False
    mixed: bool = False
    _epoch: int = -1
    _order: IntArray | None = None
    _firsts: Sequence[int] = ()

    @property
    def per_epoch(self) -> int:
        """Batches that go once through all rows."""
        return -(-self.rows // self.size)

    def at(self, step: int) -> IntArray | slice:
        """The rows of a step's batch, (B,) or fewer at the end of an epoch; of mixed rows a slice, but for one an epoch."""
        if self.sampling == "replacement":
            return self._kept(_generator(self.seed, step).integers(0, self.rows, self.size))
        batches = -(-self.rows // self.size)
        epoch, position = divmod(step, batches)
        if epoch != self._epoch:
            self._begin(epoch)
        first = self._firsts[position]
        stop = first + (self.size if position < batches - 1 else self.rows - position * self.size)
        return self._kept(slice(first, stop) if stop <= self.rows else np.arange(first, stop) % self.rows)

    def slices(self, step: int, count: int) -> tuple[IntArray, IntArray]:
        """Of mixed rows, the batches of some steps, which no epoch ends between: the first row and the rows of each, (count,). A
        batch that runs past the last row goes on at the first.
        """
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._begin(epoch)
        firsts = np.array(self._firsts[position : position + count], dtype=np.int64)
        sizes = np.full(len(firsts), self.size)
        if position + count == self.per_epoch:
            sizes[-1] = self.rows - (self.per_epoch - 1) * self.size
        return firsts, sizes

    def _kept(self, places: IntArray | slice) -> IntArray | slice:
        """Where the rows of these places are kept."""
        if self.mixed:
            return places
        if self._order is None:
            self._order = np.argsort(mixing(self.seed, self.rows, blocked=self.blocked))
        return self._order[places]

    def _begin(self, epoch: int) -> None:
        generator, batches = _generator(self.seed, epoch), self.per_epoch
        firsts = np.arange(batches) * self.size
        if batches > 1:
            whole = self.rows // self.size
            firsts[:whole] = firsts[shuffled(generator, whole, max(SHUFFLE_BLOCK // self.size, 1) if self.blocked else whole)]
            firsts = (firsts + generator.integers(self.rows)) % self.rows
        self._epoch, self._firsts = epoch, firsts.tolist()


def mixing(seed: int, rows: int, *, blocked: bool) -> IntArray:
    """The place of each row, (rows,), in the order from which batches are cut."""
    return shuffled(_generator(seed, MIXING), rows, SHUFFLE_BLOCK if blocked else rows)


def shuffled(generator: np.random.Generator, count: int, block: int) -> IntArray:
    """0 … count − 1 in a random order, (count,): of blocks, and within them."""
    if block >= count:
        return generator.permutation(count)
    starts = np.arange(0, count, block)
    blocks = [np.arange(start, min(start + block, count)) for start in generator.permutation(starts)]
    return np.concatenate([generator.permutation(block) for block in blocks])


def _generator(seed: int, number: int) -> np.random.Generator:
    """The random numbers of an epoch, or of a step."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, number], dtype=np.uint64)))


class MiniBatchOracle:
    """A noisy gradient at the price of B rows: O(B·p) a step."""

    name = "minibatch"
    quadratic = False

    def __init__(
        self, store: ExampleStore | SparseStore, batches: Batches, *, intercept: bool, l2: float = 0.0, loss: Loss = SQUARED
    ) -> None:
        self._loss, self._squared = loss, loss is SQUARED
        self._batches = batches
        self._l2 = l2
        self._y, self._weight = store.y, store.weight
        ones = intercept and isinstance(store, ExampleStore) and store.ones
        self._X: Design = store.Z if isinstance(store, ExampleStore) and ones else store.X
        self._p = store.X.shape[1]
        self._apart = intercept and not ones
        # the mean of all weights, not the batch's own: only so is the gradient unbiased
        self._mean_weight = 1.0 if store.weight is None else float(store.weight.mean())

    def value_and_gradient(self, theta: FloatArray, step: int = 0) -> ValueAndGradient:
        """J and ∇J on the batch of a step."""
        rows = self._batches.at(step)
        X = self._X[rows]
        residual = self._residual(X, theta, rows)
        slope = residual if self._squared else self._loss.derivative(residual)
        weighted = slope if self._weight is None else slope * self._weight[rows]
        value = float(weighted.dot(residual))
        value -= 0.5 * (value if self._squared else self._loss.width * float(weighted.dot(slope)))
        value /= len(residual) * self._mean_weight
        if self._l2 > 0.0:
            w = theta[: self._p]
            value += 0.5 * self._l2 * float(w @ w)
        return ValueAndGradient(value, self._sum(X, weighted, theta))

    def gradient(self, theta: FloatArray, step: int = 0) -> FloatArray:
        """∇J on the batch of a step, (k,)."""
        rows = self._batches.at(step)
        X = self._X[rows]
        slope = self._residual(X, theta, rows)
        if not self._squared:
            slope = self._loss.derivative(slope)
        return self._sum(X, slope if self._weight is None else slope * self._weight[rows], theta)

    # `dot`, and sums in place: of few features, what NumPy does around a product costs as much as the product

    def _residual(self, X: Design, theta: FloatArray, rows: IntArray | slice) -> FloatArray:
        """f(x_i) − y_i, (B,). X: (B, k) with the column of ones, or (B, p)."""
        residual = X.dot(theta[: self._p]) + theta[-1] if self._apart else X.dot(theta)
        residual -= self._y[rows]
        return residual

    def _sum(self, X: Design, weighted: FloatArray, theta: FloatArray) -> FloatArray:
        """∇J, (k,), of the rows' weighted slopes (B,)."""
        gradient: FloatArray = X.T.dot(weighted)
        if self._apart:
            gradient = np.append(gradient, weighted.sum())
        gradient /= len(weighted) * self._mean_weight
        if self._l2 > 0.0:
            gradient[: self._p] += self._l2 * theta[: self._p]
        return gradient

    @property
    def sliced(self) -> bool:
        """Whether several steps can be one call: squared error on dense rows that were mixed, one float64 after the other."""
        X, rows = self._X, self._batches
        together = isinstance(X, np.ndarray) and X.flags.c_contiguous and rows.mixed and rows.sampling == "shuffled"
        return together and self._squared and not self._apart and kernels.compiled()

    def walk(
        self, iterate: FloatArray, average: FloatArray, rates: FloatArray, shares: FloatArray | None, step: int
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Steps from `step` on, of the same epoch, where it is `sliced`: v ← v − rate g_B(v), average ← average + share (v − average).

        rates, shares: (steps,), shares None for no average.  Returns the average (or v) before the last step, v and the average, (k,).
        """
        iterate, average, before = iterate.copy(), average.copy(), np.empty_like(iterate)
        assert isinstance(self._X, np.ndarray)
        batches = self._batches.slices(step, len(rates))
        kernels.descend(
            self._X, self._y, self._weight, batches, rates, shares, self._mean_weight, self._l2, self._p, iterate, average, before
        )
        return before, iterate, average

    def curvature_along(self, direction: FloatArray) -> FloatArray:
        """A batch knows the curvature too badly to be asked."""
        raise TypeError("the mini-batch oracle has no curvature: use a rule that takes a learning rate")

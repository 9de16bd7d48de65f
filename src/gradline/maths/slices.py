"""Sums of products of columns without any rounding, by plain matrix products.

Each column is cut into slices of 20 bits: whole numbers of at most 2^19 in a unit of their own. A product of two slices over
16,384 rows stays below 2^53, so that BLAS adds it up exactly, in whatever order; the whole sums are put together as Python's
integers. (Ozaki, Ogita, Oishi & Rump, Numer. Algorithms 59, 2012.)

    Σ w z_j z_k = numerators[j, k] · 2^(exponents[j] + exponents[k] + unit)

Columns are taken about a shift, z = x − s as a sum of two float64, so that an offset costs no slices. Of numbers that differ
in size by more than 2^87 the smaller ones lose bits: those past 140 below the largest of their block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gradline.maths.compensated import product_parts, two_sum

if TYPE_CHECKING:
    from gradline.types import BoolArray, FloatArray, IntArray

Integers = NDArray[np.object_]  # of Python's int, which has no largest

SLICE_BITS = 20
MOST_SLICES = 7
MOST_ROWS = 1 << 14  # of one product: 2^19 · 2^19 · 2^14 < 2^53
PRODUCT_VALUES = 1 << 22  # of the slices of one product
MOST_WHOLE = 2.0**45  # past 2^52 every float64 is a whole number, rounded or not; some bits below, no rounded column is by chance
TILE_VALUES = 1 << 14  # of columns that are cut at once: they stay in the cache

_integers = np.frompyfunc(int, 1, 1)
_shifted = np.frompyfunc(lambda a, bits: a << bits, 2, 1)


@dataclass(frozen=True, slots=True)
class ExactSums:
    """Of q columns and then a one, over some rows.

    numerators: (q+1, q+1), exponents: (q+1,), unit: see above.  whole: (q,) whether every value of a column is a whole number,
    and small enough for it to be one without having been rounded.
    """

    rows: int
    numerators: Integers
    exponents: IntArray
    unit: int
    whole: BoolArray

    def plus(self, other: ExactSums) -> ExactSums:
        """Of these rows and the others."""
        exponents, unit = np.minimum(self.exponents, other.exponents), min(self.unit, other.unit)
        numerators = self._in_units(exponents, unit) + other._in_units(exponents, unit)
        return ExactSums(self.rows + other.rows, numerators, exponents, unit, self.whole & other.whole)

    def _in_units(self, exponents: IntArray, unit: int) -> Integers:
        more = self.exponents - exponents
        shifted: Integers = _shifted(self.numerators, _integers(more[:, None] + more + (self.unit - unit)))
        return shifted


def exact_sums(columns: FloatArray, shift: FloatArray, weight: FloatArray | None = None) -> ExactSums:
    """Of the rows `columns` (q, n), finite, about `shift` (q,); `weight` is (n,), 1 where it is None."""
    q, n = columns.shape
    together = max(1, min(MOST_ROWS, PRODUCT_VALUES // ((q + 1) * MOST_SLICES)))
    whole = np.all((columns == np.rint(columns)) & (np.abs(columns) <= MOST_WHOLE), axis=1)
    total = ExactSums(0, np.zeros((q + 1, q + 1), dtype=object), np.zeros(q + 1, dtype=np.intp), 0, whole)
    for start in range(0, n, together):
        rows = slice(start, start + together)
        found = _product(columns[:, rows], shift, None if weight is None else weight[rows], whole)
        total = found if total.rows == 0 else total.plus(found)
    return total


def _product(columns: FloatArray, shift: FloatArray, weight: FloatArray | None, whole: BoolArray) -> ExactSums:
    q, n = columns.shape
    reach = np.append(np.maximum(columns.max(axis=1) - shift, shift - columns.min(axis=1)), 1.0)
    exponents = np.frexp(reach)[1].astype(np.intp) + 2  # |z| ≤ 2^(exponent − 2)
    scale = np.ldexp(1.0, -exponents)
    unit = 0 if weight is None else int(np.frexp(weight.max())[1])
    right = np.zeros((MOST_SLICES, q + 1, n))
    left = right if weight is None else np.zeros_like(right)
    used, used_left = 0, 0
    together = max(1, TILE_VALUES // (q + 1))
    for start in range(0, n, together):
        rows = slice(start, min(start + together, n))
        high, low = np.ones((q + 1, rows.stop - start)), np.zeros((q + 1, rows.stop - start))
        high[:q], low[:q] = two_sum(columns[:, rows], -shift[:, None])
        parts = [part * scale[:, None] for part in (high, low) if part.any()]
        if weight is not None:
            heavy = product_parts(parts, np.ldexp(weight[rows], -unit))
            used_left = max(used_left, _cut(heavy, left[:, :, rows]))
        used = max(used, _cut(parts, right[:, :, rows]))
    a, b = (used if weight is None else used_left), used
    product = left[:a].reshape(-1, n) @ right[:b].reshape(-1, n).T  # exact
    levels = product.reshape(a, q + 1, b, q + 1)
    numerators = np.zeros((q + 1, q + 1), dtype=object)
    for i in range(a):
        for j in range(b):
            numerators += _integers(levels[i, :, j]) << SLICE_BITS * (a + b - 2 - i - j)
    return ExactSums(n, numerators, exponents, unit - SLICE_BITS * (a + b), whole)


def _cut(parts: list[FloatArray], slices: FloatArray) -> int:
    """Fill slices (MOST_SLICES, q, n) with whole numbers v₁, v₂, … such that Σ parts = Σ v_i 2^(−20 i); how many are needed.

    The sum of the parts, each (q, n), is at most ½.
    """
    parts = list(parts)
    for used, v in enumerate(slices):
        if used and not any(part.any() for part in parts):
            return used
        for i in reversed(range(1, len(parts))):
            parts[i - 1], parts[i] = two_sum(parts[i - 1], parts[i])
        for i in range(len(parts)):
            parts[i] *= 2.0**SLICE_BITS
        np.rint(parts[0], out=v)
        parts[0] -= v
    return len(slices)

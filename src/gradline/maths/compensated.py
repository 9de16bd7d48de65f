"""Sums of products to twice the working precision, from float64 operations alone.

    two_sum      a + b = s + e   exactly (Knuth)
    a product    a · b = p + e   exactly, by Veltkamp's splitting (Dekker 1971)

(Ogita, Rump & Oishi, Accurate sum and dot product, SIAM J. Sci. Comput. 26, 2005.) Exact as long as no product overflows or
underflows: entries up to about 1e300 and products above about 1e-290.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from gradline.types import FloatArray

Number = TypeVar("Number", "FloatArray", float)

SPLITTER = 134217729.0  # 2^27 + 1
LEAST_VARIANCE = 1e-270  # of a column: below it squares, or the low parts of products with them, are lost to underflow
CHUNK_VALUES = 1 << 15  # of the matrix, at once: they stay in the cache
SHORT = 128  # rows, up to which one call for all columns is quicker than one for each


def two_sum(a: Number, b: Number) -> tuple[Number, Number]:
    """The rounded sum of a and b, and its error."""
    s = a + b
    z = s - a
    return s, (a - (s - z)) + (b - z)


def _split(a: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The high and the low half of a, each with at most 26 bits."""
    scaled = SPLITTER * a
    high = scaled - (scaled - a)
    return high, a - high


def product_parts(parts: list[FloatArray], factor: FloatArray) -> list[FloatArray]:
    """Each of `parts` times `factor`, exactly: twice as many parts, whose sum is the product."""
    factor_high, factor_low = _split(factor)
    products, errors = [], []
    for part in parts:
        product = part * factor
        high, low = _split(part)
        products.append(product)
        errors.append(low * factor_low - (((product - high * factor_high) - low * factor_high) - high * factor_low))
    return products + errors


def residual(A: FloatArray, x: FloatArray, b: FloatArray, *, symmetric: bool = False) -> FloatArray:
    """A x − b for A (n, k), x (k,), b (n,): as if computed in twice the precision and rounded once. Of a symmetric A no copy is made."""
    total, error = -b, np.zeros_like(b)
    columns = A if symmetric else np.ascontiguousarray(A.T)  # (k, n): a strided column costs ten times as much
    together = max(1, CHUNK_VALUES // max(len(b), 1))
    for start in range(0, len(x), together):
        part, factor = columns[start : start + together], x[start : start + together, None]
        product = part * factor  # (columns, n)
        high, low = _split(part)
        x_high, x_low = _split(factor)
        below = low * x_low - (((product - high * x_high) - low * x_high) - high * x_low)
        totals = _running(total, product)
        before, after = totals[:-1], totals[1:]
        z = after - before
        lost = (before - (after - z)) + (product - z)  # of each sum, as `two_sum` finds it
        total, error = totals[-1], _running(error, lost + below)[-1]
    return total + error


def _running(first: FloatArray, terms: FloatArray) -> FloatArray:
    """first, first + terms[0], and so on, each rounded: (k + 1, n) for first (n,), terms (k, n)."""
    sums = np.concatenate([first[None], terms])
    if len(first) <= SHORT:
        return np.add.accumulate(sums, out=sums)
    for before, after in pairwise(sums):
        np.add(after, before, out=after)
    return sums

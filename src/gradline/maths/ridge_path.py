"""Ridge regression for every λ from one eigendecomposition, and its errors on other rows, both from moments alone.

    H = QΛQ',   w(λ) = Q(Λ + λ)⁻¹Q'c,   b = ȳ − w·x̄
    mean squared error on rows with moments M, W, x̄', ȳ':   u'Mu/W + (ȳ' − w·x̄' − b)²,   u = (−w, 1)

H and c are those of the loop's coordinates, with the intercept, which is never penalised, taken out: the centred second moments
with an intercept, the raw ones without. A column that does not vary in these rows is left out: its weight is 0 for every λ, as are
the directions in which H is zero to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.maths.moments import merge
from gradline.maths.quadratic import EPSILON

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gradline.maths.moments import Moments
    from gradline.types import BoolArray, FloatArray

LARGEST = 1e2  # λ_max/L: every direction is shrunk to a hundredth or less
SMALLEST = 1e-10  # λ_min/L: below the best λ (about p/m of the noise) of the largest tables, above rounding
FLAT_INDICATOR = 1e-12  # a variance that is rounding where a column is 0 or 1; a weight's share would have to be as small


@dataclass(frozen=True, slots=True)
class RidgePath:
    """The minimisers on one set of rows. mean, mean_rest: (p+1,) of the features and the target, in two parts.

    scale: (p,) of the coordinates.  eigenvalues: (k,) of H without those that are zero to rounding.  vectors: (p, k).
    along: (k,) Q'c.  intercept: whether there is one.
    """

    mean: FloatArray
    mean_rest: FloatArray
    scale: FloatArray
    eigenvalues: FloatArray
    vectors: FloatArray
    along: FloatArray
    intercept: bool

    @property
    def curvature_max(self) -> float:
        """L, the largest eigenvalue of H; 0 where nothing varies."""
        return float(self.eigenvalues[-1]) if len(self.eigenvalues) else 0.0

    def weights(self, l2: FloatArray) -> FloatArray:
        """w(λ) in the loop's coordinates for λ (n,), (p, n)."""
        weights: FloatArray = self.vectors @ (self.along[:, None] / (self.eigenvalues[:, None] + l2))
        return weights

    def squared_errors(self, held_out: Moments, l2: FloatArray) -> FloatArray:
        """The mean squared error on other rows for λ (n,), (n,): a sum of squares, never negative."""
        u = self._residual(l2)
        return _mean_square(u, self._offset(held_out) @ u, held_out)

    def mean_square(self, other: RidgePath, sign: float, held_out: Moments, l2: FloatArray) -> float:
        """E(e ± e')² of the errors of two minimisers at one λ, (1,), on other rows."""
        u, v = self._residual(l2), other._residual(l2)
        mean = self._offset(held_out) @ u + sign * (other._offset(held_out) @ v)
        return float(_mean_square(u + sign * v, mean, held_out)[0])

    def _residual(self, l2: FloatArray) -> FloatArray:
        """(−w, 1), (p+1, n), in the user's units."""
        return np.vstack([-self.weights(l2) / self.scale[:, None], np.ones((1, len(l2)))])

    def _offset(self, held_out: Moments) -> FloatArray:
        if self.intercept:
            return (held_out.mean - self.mean) + (held_out.mean_rest - self.mean_rest)
        return held_out.mean + held_out.mean_rest

    def baseline_squared_error(self, held_out: Moments) -> float:
        """The same of always predicting the mean of the rows learned from."""
        offset = (held_out.mean[-1] - self.mean[-1]) + (held_out.mean_rest[-1] - self.mean_rest[-1])
        return float(held_out.comoment[-1, -1]) / held_out.weight + float(offset) ** 2


def _mean_square(u: FloatArray, mean: FloatArray, held_out: Moments) -> FloatArray:
    """Of u'(x, y), (n,), whose mean is (n,)."""
    variance = np.einsum("jn,jn->n", u, held_out.comoment @ u) / held_out.weight
    squares: FloatArray = np.maximum(variance, 0.0) + mean**2
    return squares


def ridge_path(moments: Moments, indicators: BoolArray, scaling: str, *, intercept: bool) -> RidgePath:
    """The path on the rows of these moments: of p features, then the target. indicators: (p,) which columns are 0 or 1.

    scaling: as the loop's coordinates, by these rows' deviations.
    """
    variance = np.diag(moments.comoment)[:-1] / moments.weight
    mean = moments.mean[:-1]
    varies = variance > np.where(indicators, FLAT_INDICATOR, (4.0 * EPSILON * mean) ** 2)
    scale = np.where(varies, np.sqrt(np.maximum(variance, 0.0)), 1.0) if scaling == "standard" else np.ones_like(variance)
    full = np.append(scale, 1.0)
    second = moments.comoment / moments.weight / full[:, None] / full
    if not intercept:
        raw = (moments.mean + moments.mean_rest) / full
        second += np.outer(raw, raw)
    at = np.flatnonzero(varies)
    eigenvalues, found = np.linalg.eigh(second[np.ix_(at, at)])
    null = int(np.count_nonzero(eigenvalues <= 8.0 * len(at) * EPSILON * eigenvalues[-1])) if len(at) else 0
    vectors = np.zeros((len(scale), len(at) - null))
    vectors[at] = found[:, null:]
    along = vectors.T @ second[:-1, -1]
    return RidgePath(moments.mean, moments.mean_rest, scale, eigenvalues[null:], vectors, along, intercept)


def penalties(curvature_max: float, count: int) -> FloatArray:
    """`count` values of λ, log-spaced from 100·L down to 1e-10·L, then 0, (count + 1,)."""
    largest = curvature_max if curvature_max > 0.0 else 1.0
    return np.append(np.geomspace(LARGEST * largest, SMALLEST * largest, count), 0.0)


def others(folds: Sequence[Moments]) -> Iterator[Moments]:
    """For each of two or more folds the moments of all others, merged: 3K merges. Subtracting a fold from the sum would cancel."""
    after = list(accumulate(reversed(folds[1:]), lambda later, fold: merge(fold, later)))[::-1]  # after[k]: of the folds past k
    before: Moments | None = None
    for k, fold in enumerate(folds):
        if before is None:
            yield after[k]
            before = fold
        else:
            yield merge(before, after[k]) if k < len(after) else before
            before = merge(before, fold)


class WithoutTwo(NamedTuple):
    """The moments of all folds but `first` and `second`, merged."""

    first: int
    second: int
    rest: Moments


def without_two(folds: Sequence[Moments]) -> Iterator[WithoutTwo]:
    """For each pair of three or more folds the moments of all others: O(K²) merges, no subtraction."""
    after = [*accumulate(reversed(folds), lambda later, fold: merge(fold, later))][::-1]  # after[k]: of fold k and those past it
    for first in range(len(folds)):
        rest: list[Moments] = [] if not first else [reduce(merge, folds[:first])]
        for second in range(first + 1, len(folds)):
            yield WithoutTwo(first, second, reduce(merge, [*rest, *after[second + 1 : second + 2]]))
            rest = [reduce(merge, [*rest, folds[second]])]

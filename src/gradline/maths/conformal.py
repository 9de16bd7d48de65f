"""Split conformal prediction: how far predictions may be wrong, from rows that they were not fitted on.

    q = the ⌈(1 − α)(n + 1)⌉-th smallest of n scores |y − f(x)|,   P(|y − f(x)| ≤ q) ≥ 1 − α   for rows exchangeable with these

whatever the distribution, and ≤ 1 − α + 1/(n + 1) without ties. The rank is exact: α is the decimal that was typed, so that 90% of
n = 99 is rank 90, which ⌈n·0.9·(1 + 1/n)⌉ in floating point makes 91. Given the n rows the coverage of others is Beta(k, n + 1 − k), hence what m of them
show is beta-binomial. (Vovk, Gammerman & Shafer 2005; Vovk, ACML 2012; Angelopoulos & Bates, arXiv 2107.07511.)
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor, sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from gradline.types import FloatArray


FAR = 12.0  # standard deviations, beyond which a band does not reach


class Bounds(NamedTuple):
    """low ≤ high, (n,) each; infinite where too few rows were at hand to bound them."""

    low: FloatArray
    high: FloatArray

    def covers(self, actual: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Whether each actual value lies between, (n,)."""
        return (self.low <= actual) & (actual <= self.high)


class Band(NamedTuple):
    """Between which shares a measured coverage lies, but for `level` of the measurements."""

    low: float
    high: float
    level: float


def decimal(share: float) -> Fraction:
    """The number that was typed: 0.1 is one tenth."""
    return Fraction(repr(float(share)))


def rank(rows: int, coverage: Fraction) -> int:
    """⌈(1 − α)(n + 1)⌉, with 1 − α = `coverage`; n + 1 where no row is large enough."""
    return ceil(coverage * (rows + 1))


def rows_needed(coverage: Fraction) -> int:
    """The smallest n whose rank is one of its rows."""
    return ceil(1 / (1 - coverage)) - 1


def quantile(scores: FloatArray, coverage: Fraction) -> float:
    """The conformal quantile of n scores, infinite where the rank is beyond them."""
    k = rank(len(scores), coverage)
    return float(np.partition(scores, k - 1)[k - 1]) if k <= len(scores) else np.inf


def quantile_scores(actual: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """How far outside two predicted quantiles each row is, negative inside, (n,) (Romano, Patterson & Candès, arXiv 1905.03222)."""
    return np.maximum(low - actual, actual - high)


def widened(low: FloatArray, high: FloatArray, margin: float) -> Bounds:
    """Two predicted quantiles, moved apart by a margin. Those that cross are sorted; where a negative margin leaves nothing between
    them, their middle is.
    """
    below, above = np.minimum(low, high), np.maximum(low, high)
    middle = below + (above - below) / 2.0
    return Bounds(np.minimum(below - margin, middle), np.maximum(above + margin, middle))


def coverage_band(measured: int, rows: int, coverage: Fraction, level: float) -> Band:
    """Where the coverage of `measured` rows lies, by intervals that n = `rows` calibrated: beta-binomial, both tails at most
    (1 − level)/2.
    """
    k = rank(rows, coverage)
    if k > rows:
        return Band(1.0, 1.0, level)
    share = k / (rows + 1)
    first, last = _window(measured, share, share * (1.0 - share) * (1.0 / measured + 1.0 / (rows + 2)))
    c = np.arange(first, last)
    steps = np.log(measured - c) - np.log(c + 1) + np.log(k + c) - np.log(rows - k + measured - c)
    return _band(first, steps, measured, level)


def binomial_band(measured: int, coverage: float, level: float) -> Band:
    """Where the share of `measured` independent rows lies, each covered with the same probability."""
    first, last = _window(measured, coverage, coverage * (1.0 - coverage) / measured)
    c = np.arange(first, last)
    return _band(first, np.log(measured - c) - np.log(c + 1) + np.log(coverage / (1.0 - coverage)), measured, level)


def _window(measured: int, share: float, variance: float) -> tuple[int, int]:
    """The counts beyond which there is nothing: of ten million rows all would take seconds."""
    reach = FAR * sqrt(variance) + FAR**2 / measured
    return max(floor(measured * (share - reach)), 0), min(ceil(measured * (share + reach)), measured)


def _band(first: int, steps: FloatArray, measured: int, level: float) -> Band:
    """From log P(c + 1) − log P(c) of the counts c from `first` on."""
    log = np.concatenate([[0.0], np.cumsum(steps)])
    p = np.exp(log - log.max())
    p /= p.sum()
    tail = (1.0 - level) / 2.0
    low = int(np.searchsorted(np.cumsum(p), tail, side="right"))  # P(C < low) ≤ tail
    high = len(p) - 1 - int(np.searchsorted(np.cumsum(p[::-1]), tail, side="right"))
    return Band((first + low) / measured, (first + high) / measured, level)

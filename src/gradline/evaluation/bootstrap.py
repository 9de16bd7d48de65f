"""The bootstrap: how far a figure would move with other rows of the same kind.

    θ̂* = t(Σ_u c_u s_u),   c ~ multinomial(U; 1/U … 1/U)       s_u: sums over unit u (a row, a group, a stretch of time)

Every figure here is a function t of sums, so a resample is a product of its counts with the sums by unit, and all figures of some rows
share one set of counts: differences are paired. Intervals are BCa (bias-corrected and accelerated): second-order correct, and they stay
within a figure's range (DiCiccio & Efron, Statistical Science 11, 1996). The model stays as it is: what moves is the rows it is judged on.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.types import finite_or_none

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gradline.splits.roles import Hashes
    from gradline.types import FloatArray, IntArray, Json

    Figure = Callable[[FloatArray], FloatArray]  # of sums, (…, s) → (…,)

LEVEL = 0.95
RESAMPLES = 1_000
MOST_UNITS = 1 << 14  # more are resampled in packets of some: the same variance, estimated to 1 %
LEAST_UNITS = 10  # fewer say nothing of their own spread
KNOWN = 0.9  # of the resamples, in which the figure must be defined
DRAWN = 1 << 22  # units drawn in one call: other calls would draw others
CHUNK = 1 << 17  # counts at once: they stay in the cache
NORMAL = NormalDist()
SALT = 0xB007
SEED_BITS = 2**64 - 1  # a seed may be negative


class Interval(NamedTuple):
    """A figure and its interval; None where there is none, and why."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None

    def to_json(self) -> Json:
        """`value`, `low`, `high`; and `reason` where one of them is null."""
        found: Json = {name: finite_or_none(getattr(self, name)) for name in ("value", "low", "high")}
        return found if self.reason is None else found | {"reason": self.reason}


class Units(NamedTuple):
    """What is drawn together. of: (n,) the unit of each row, 0 … number − 1.  by: `rows`, `groups` or `stretches of time`.

    length: rows a stretch of time, else None.  drawn: how many units the resampling tells apart (packets of them, where they are many).
    """

    of: IntArray
    number: int
    by: str
    length: int | None
    packet: IntArray  # (number,)
    drawn: int

    def sums(self, columns: FloatArray) -> FloatArray:
        """Sums by what is drawn, (drawn, s), of some columns (n, s)."""
        of = self.packet[self.of]
        return np.stack([np.bincount(of, weights=column, minlength=self.drawn) for column in columns.T], axis=1)


def units_of(
    rows: int, seed: int = 0, *, group: Hashes | None = None, time: FloatArray | None = None, error: FloatArray | None = None
) -> Units:
    """What is to be drawn together: groups; or stretches of time as long as the errors, or their squares, depend on each other; or rows."""
    by, length = "rows", None
    of: IntArray = np.arange(rows)
    count = rows
    if group is not None:
        of = np.unique(group, return_inverse=True)[1].astype(np.intp)
        count = int(of.max()) + 1 if rows else 0
        by = "groups" if count < rows else "rows"  # each alone
    elif time is not None and error is not None:
        by = "stretches of time"
        order = np.argsort(time, kind="stable")
        ordered = error[order] / (float(np.abs(error).max(initial=0.0)) or 1.0)  # squares must not overflow
        length = max(stretch_length(ordered), stretch_length(ordered**2))
        count = max(ceil(rows / length), 1) if rows else 0
        of = np.empty(rows, dtype=np.intp)
        of[order] = np.arange(rows) * count // max(rows, 1)  # of equal lengths, but for one row
    drawn = min(count, MOST_UNITS)
    packet: IntArray = np.arange(count)
    if count > drawn:
        packet = np.random.default_rng([seed & SEED_BITS, SALT, 1]).permutation(count) % drawn
    return Units(of, count, by, length, packet, drawn)


def stretch_length(series: FloatArray) -> int:
    """Rows a stretch, from the autocorrelations: ⌈(G/g(0))^⅔ n^⅓⌉, at least 1 and at most n/LEAST_UNITS.

    G = Σ λ(k/M)|k| R(k), g(0) = Σ λ(k/M) R(k), with the flat-top window λ and M twice the lag past which no autocorrelation is
    significant (Politis & White, Econometric Reviews 23, 2004, with the correction of Patton, Politis & White 2009; the constant is that of
    blocks that do not overlap, Lahiri, Annals of Statistics 27, 1999).
    """
    n = len(series)
    most = max(n // LEAST_UNITS, 1)
    scale = float(np.abs(series).max(initial=0.0))
    if n < 4 or scale == 0.0 or not np.isfinite(scale):
        return 1
    centred = series / scale - float(np.mean(series / scale))
    furthest = min(ceil(sqrt(n)) + max(5, ceil(np.log10(n))), n - 1)
    spectrum = np.fft.rfft(centred, 2 ** ceil(np.log2(2 * n)))
    covariance = np.fft.irfft(np.abs(spectrum) ** 2)[: furthest + 1] / n
    if covariance[0] <= 0.0:
        return 1
    quiet = max(5, ceil(np.log10(n)))  # so many lags in a row without a significant one
    significant = np.abs(covariance[1:] / covariance[0]) > 2.0 * sqrt(np.log10(n) / n)
    last = 0
    for lag, each in enumerate(significant, 1):
        if each:
            last = lag
        elif lag - last >= quiet:
            break
    if last == 0:
        return 1
    window = min(2 * last, furthest)
    k = np.arange(1, window + 1)
    flat = np.minimum(1.0, 2.0 * (1.0 - k / window))
    bend = 2.0 * float(flat @ (k * covariance[1 : window + 1]))
    density = float(covariance[0] + 2.0 * flat @ covariance[1 : window + 1])
    if density <= 0.0 or bend == 0.0:
        return 1
    return int(np.clip(ceil(abs(bend / density) ** (2.0 / 3.0) * n ** (1.0 / 3.0)), 1, most))


@dataclass(frozen=True)
class Bootstrap:
    """Resamples of some rows. counts: (resamples, drawn), how often each unit is in each."""

    units: Units
    counts: NDArray[np.uint16]

    @classmethod
    def of(cls, units: Units, seed: int = 0, resamples: int = RESAMPLES) -> Bootstrap:
        """Drawn by a seed: the same for the same number of units."""
        rng = np.random.default_rng([seed & SEED_BITS, SALT])
        drawn = units.drawn
        counts = np.zeros((resamples, drawn), dtype=np.uint16)
        at_once, together = (max(1, values // max(drawn, 1)) for values in (DRAWN, CHUNK))
        for i in range(0, resamples if drawn else 0, at_once):
            some = counts[i : i + at_once]
            units_drawn = rng.integers(drawn, size=some.shape, dtype=np.uint16)
            for j in range(0, len(some), together):
                part = some[j : j + together]
                places = units_drawn[j : j + together] + np.arange(len(part))[:, None] * drawn
                part[:] = np.bincount(places.ravel(), minlength=part.size).reshape(part.shape)
        return cls(units, counts)

    def times(self, sums: FloatArray) -> FloatArray:
        """The sums of every resample, (resamples, s), of sums by unit (drawn, s)."""
        together = max(1, CHUNK // max(self.units.drawn, 1))
        parts = [self.counts[i : i + together].astype(np.float64) @ sums for i in range(0, len(self.counts), together)]
        return np.concatenate(parts)

    def resampled(self, columns: FloatArray) -> Resampled:
        """The sums of some columns (n, s), of all rows and of every resample."""
        return Resampled.of(self, columns)

    def median(self, values: FloatArray, weight: FloatArray | None = None) -> Interval:
        """The median of some values (n,) with its percentile interval: a median has no acceleration."""
        order = np.argsort(values, kind="stable")
        ordered, unit = values[order], self.units.packet[self.units.of[order]]
        w = np.ones(len(values)) if weight is None else weight[order]
        value = _medians(ordered, w[None])[0]
        if self.units.drawn < LEAST_UNITS:
            return Interval(float(value), reason=too_few(self.units))
        draws = self._medians(ordered, unit, w)
        low, high = np.quantile(draws, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
        return Interval(float(value), float(low), float(high))

    def _weights(self, unit: IntArray, w: FloatArray) -> FloatArray:
        """The weight of some rows in every resample, (resamples,)."""
        return self.times(np.asarray(np.bincount(unit, weights=w, minlength=self.units.drawn)[:, None], dtype=np.float64))[:, 0]

    def _medians(self, ordered: FloatArray, unit: IntArray, w: FloatArray) -> FloatArray:
        """Of every resample, (resamples,): only the rows about the middle are looked at one by one."""
        n = len(ordered)
        middle = int(np.searchsorted(np.cumsum(w), 0.5 * w.sum()))
        total = self._weights(unit, w)
        half = 4.0 * sqrt(n)
        while True:
            first, last = max(int(middle - half), 0), min(int(middle + half) + 1, n)
            inside = slice(first, last)
            below = self._weights(unit[:first], w[:first])
            found = np.empty(len(self.counts))
            missed = False
            together = max(1, CHUNK // (last - first))
            for i in range(0, len(self.counts), together):
                part = slice(i, i + together)
                weights = self.counts[part][:, unit[inside]] * w[inside]
                up_to = below[part, None] + np.cumsum(weights, axis=1)
                middle_weight = 0.5 * total[part]
                missed |= bool(np.any(below[part] >= middle_weight) and first > 0)
                missed |= bool(np.any(up_to[:, -1] <= middle_weight) and last < n)
                found[part] = _middle(ordered[inside], up_to, middle_weight)
            if not missed:
                return found
            half *= 4.0


@dataclass(frozen=True)
class Resampled:
    """Sums over all rows (s,), by what is drawn (drawn, s), and of each resample (resamples, s)."""

    bootstrap: Bootstrap
    total: FloatArray
    by_unit: FloatArray
    draws: FloatArray

    @classmethod
    def of(cls, bootstrap: Bootstrap, columns: FloatArray) -> Resampled:
        """See `Bootstrap.resampled`."""
        by_unit = bootstrap.units.sums(columns)
        return cls(bootstrap, by_unit.sum(axis=0), by_unit, bootstrap.times(by_unit))

    def interval(self, figure: Figure) -> Interval:
        """A figure of the sums with its BCa interval."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            value = float(figure(self.total))
            if not np.isfinite(value):
                return Interval(None, reason="it is not defined on these rows")
            if self.bootstrap.units.drawn < LEAST_UNITS:
                return Interval(value, reason=too_few(self.bootstrap.units))
            draws = figure(self.draws)
            without = figure(self.total - self.by_unit)
        low, high = bca(value, draws, without)
        return Interval(value, low, high, None if low is not None else "it is not defined in many of the resamples")


def bca(value: float, draws: FloatArray, without: FloatArray, level: float = LEVEL) -> tuple[float | None, float | None]:
    """The BCa limits of a figure from its resamples and from the figure without each unit in turn; None where they cannot be known.

    α₁ = Φ(z₀ + (z₀ + z)/(1 − a(z₀ + z))), z₀ = Φ⁻¹(share of the resamples below), a = Σd³/(6(Σd²)^{3/2}), d = mean − θ̂₍ᵤ₎
    """
    known, without = draws[np.isfinite(draws)], without[np.isfinite(without)]
    if len(known) < KNOWN * len(draws):
        return None, None
    draws = known
    below = np.count_nonzero(draws < value) + 0.5 * np.count_nonzero(draws == value)
    z0 = float(NORMAL.inv_cdf(float(np.clip(below, 0.5, len(draws) - 0.5)) / len(draws)))
    d = float(np.mean(without)) - without if len(without) else np.zeros(1)
    d = d / (float(np.abs(d).max(initial=0.0)) or 1.0)
    squares = float(np.sum(d**2))
    a = float(np.sum(d**3)) / (6.0 * squares**1.5) if squares > 0.0 else 0.0
    limits = []
    for tail in ((1.0 - level) / 2.0, (1.0 + level) / 2.0):
        z = z0 + NORMAL.inv_cdf(tail)
        bend = 1.0 - a * z
        limits.append(float(NORMAL.cdf(z0 + z / bend)) if bend > 0.0 else float(z > 0.0))
    low, high = np.quantile(draws, limits)
    return float(low), float(high)


def too_few(units: Units) -> str:
    """Why there is no interval."""
    return f"{units.number} {units.by if units.number != 1 else units.by.removesuffix('s')} are too few for an interval"


def _medians(ordered: FloatArray, weights: FloatArray) -> FloatArray:
    """The weighted medians of ordered values (n,), one for each row of weights (…, n)."""
    up_to = np.cumsum(weights, axis=1)
    return _middle(ordered, up_to, 0.5 * up_to[:, -1])


def _middle(ordered: FloatArray, up_to: FloatArray, half: FloatArray) -> FloatArray:
    """Where the weight up to there passes half; between two values, if it is half of it exactly: as `np.median` has it."""
    n = len(ordered)
    lower = np.minimum(np.count_nonzero(up_to < half[:, None], axis=1), n - 1)
    upper = np.minimum(np.count_nonzero(up_to <= half[:, None], axis=1), n - 1)
    found: FloatArray = 0.5 * ordered[lower] + 0.5 * ordered[upper]
    return found

"""The jackknife+ of least squares: intervals from leave-one-out fits, without a refit.

    R_i = |e_i|/(1 − h_i),    μ₋ᵢ(x) = μ(x) − (x'A⁻¹x_i) w_i e_i/(1 − h_i),    A = X'WX + the penalty,    h_i = w_i x_i'A⁻¹x_i
    low(x)  = the ⌊α(n + 1)⌋-th smallest of μ₋ᵢ(x) − R_i
    high(x) = the ⌈(1 − α)(n + 1)⌉-th smallest of μ₋ᵢ(x) + R_i

A new row exchangeable with the n is covered with probability at least 1 − 2α, and about 1 − α where the fit is stable. (Barber, Candès,
Ramdas & Tibshirani, Annals of Statistics 49, 2021, arXiv 1905.02928.) Rows are given as g with g(x)'g(x') = x'A⁻¹x'.

Only the rows whose R_i is near the rank can stand there: |g(x)'g_i| ≤ ‖g(x)‖ ‖g_i‖ tells which, and the others are counted, not computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.maths.conformal import Bounds, rank

if TYPE_CHECKING:
    from fractions import Fraction

    from gradline.types import FloatArray

FITTED = 1e-9  # 1 − h, below which the fit goes through the row whatever its target: nothing is known of it without the row
TOGETHER = 512  # rows that share the candidates for the rank
VALUES = 1 << 21  # at once
SLACK = 1e-9  # of a bound on a sum, for its rounding


class Whitened(NamedTuple):
    """The way of a row to its g: standard coordinates (n, p) @ root, and a constant with an intercept."""

    root: FloatArray  # (p, r)
    constant: float | None

    def of(self, Z: FloatArray) -> FloatArray:
        """The g of rows in standard coordinates, (n, r) or (n, r + 1)."""
        white = Z @ self.root
        return white if self.constant is None else np.column_stack([white, np.full(len(Z), self.constant)])


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What n training rows say of the fits without each.

    rows: (n, r) their g.  shift: (n,) w_i e_i/(1 − h_i).  residual: (n,) R_i, infinite where the fit goes through the row.
    """

    rows: FloatArray
    shift: FloatArray
    residual: FloatArray

    @classmethod
    def of(cls, rows: FloatArray, error: FloatArray, weight: FloatArray | None) -> LeftOut:
        """From the rows' g (n, r), their errors y − μ(x) (n,) at the minimum, and their weights (n,)."""
        heavy = np.ones(len(error)) if weight is None else weight
        rest = 1.0 - heavy * np.einsum("ij,ij->i", rows, rows)
        fitted = rest <= FITTED
        rest = np.where(fitted, 1.0, rest)
        return cls(rows, np.where(fitted, 0.0, heavy * error / rest), np.where(fitted, np.inf, np.abs(error) / rest))

    def bounds(self, prediction: FloatArray, rows: FloatArray, coverage: Fraction) -> Bounds:
        """The intervals of new rows: their predictions μ(x) (m,) and their g (m, r)."""
        k = rank(len(self.residual), coverage)
        low, high = np.full(len(prediction), -np.inf), np.full(len(prediction), np.inf)
        if k > len(self.residual):
            return Bounds(low, high)
        size = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        reach = np.abs(self.shift) * np.sqrt(np.einsum("ij,ij->i", self.rows, self.rows))
        order = np.argsort(size, kind="stable")  # rows of like size have the same candidates
        for start in range(0, len(order), TOGETHER):
            at = order[start : start + TOGETHER]
            below, near = self._candidates(size[at[-1]] * reach, k)
            step = max(VALUES // max(len(near), 1), 1)
            for first in range(0, len(at), step):
                some = at[first : first + step]
                moved = (rows[some] @ self.rows[near].T) * self.shift[near]  # (s, c)
                high[some] = prediction[some] + np.partition(self.residual[near] - moved, k - 1 - below, axis=1)[:, k - 1 - below]
                low[some] = prediction[some] - np.partition(self.residual[near] + moved, k - 1 - below, axis=1)[:, k - 1 - below]
        return Bounds(low, high)

    def _candidates(self, reach: FloatArray, k: int) -> tuple[int, np.ndarray[tuple[int], np.dtype[np.intp]]]:
        """How many of R_i ± at most reach_i are certainly below the k-th smallest, and which may be it."""
        slack = SLACK * (reach + np.where(np.isfinite(self.residual), self.residual, 0.0))
        least, most = self.residual - reach - slack, self.residual + reach + slack
        lowest, highest = np.partition(least, k - 1)[k - 1], np.partition(most, k - 1)[k - 1]
        below = most < lowest
        return int(np.count_nonzero(below)), np.flatnonzero(~below & (least <= highest))

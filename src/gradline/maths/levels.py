"""A large category, eliminated: its indicators exclude each other, so that their block of H is diagonal but for one term.

    H = [A  C]      A = D − vv'          D: the weights of the levels,  v: their shares (0 about zero instead of the means)
        [C' E]      S = E − C'A⁻¹C       of the r features beside the levels

    A⁻¹ = D⁻¹ + qq'/ρ,   q = D⁻¹v,   ρ = 1 − v'D⁻¹v        (Sherman & Morrison)
    H⁻¹ = diag(D⁻¹, 0) + FF',        F: (k, r + 1)
    x'Hx = z'Az + ‖R'x_r‖²,          z = x_n + A⁻¹C x_r,   RR' = S

With n levels all of it costs O(n·r²), where an eigendecomposition costs O((n + r)³). What it says of the spectrum is proved:
H − τ is positive where ρ and S of it are, so that no eigenvalue lies below τ, and likewise above (Haynsworth's inertia).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.maths.compensated import residual
from gradline.maths.lanczos import krylov
from gradline.maths.quadratic import EPSILON, REFINEMENTS, Solution, solve

if TYPE_CHECKING:
    from gradline.maths.quadratic import QuadraticLoss
    from gradline.types import FloatArray, IntArray

LEAST_LEVELS = 300  # from which it is worth it
MOST_CONDITION = 1e8  # past it the eigendecomposition says which directions are flat
LEAST_REST = 1e-8  # ρ: the share of the reference level
SAME = 64.0 * EPSILON  # of two deviations: how far a co-moment of two levels may be from minus the product of their shares
PROVED = 1e-10  # of the largest and of the smallest eigenvalue
TRIALS = (32, 96, 288)  # Lanczos' steps for them
SEEN = (64, 128, 256, 400)  # and from a first error
UNSEEN = 1e-9  # of that error, at any step of gradient descent: what would lead out of the directions seen
STEPS = 2.0 ** np.arange(1, 40)
CHUNK = 256  # rows of an inverse at once


class Category(NamedTuple):
    """at: (n,) the features that are levels of one category.  share: (n,) the mean of each."""

    at: IntArray
    share: FloatArray


@dataclass(frozen=True, slots=True)
class Excluding:
    """A = D − vv' of indicators that exclude each other. D, v: (n,).  rho: 1 − v'D⁻¹v."""

    D: FloatArray
    v: FloatArray
    rho: float

    @classmethod
    def of(cls, A: FloatArray, v: FloatArray) -> Excluding | None:
        """Where A (n, n) is D − vv' to rounding, with D > 0 and ρ that has digits."""
        size = np.sqrt(np.maximum(np.diag(A), 0.0))
        for start in range(0, len(v), CHUNK):
            rows = slice(start, start + CHUNK)
            apart = np.multiply(v[rows, None], v)
            apart += A[rows]
            apart[np.arange(len(apart)), np.arange(start, start + len(apart))] = 0.0
            if np.any(np.abs(apart, out=apart) > SAME * size[rows, None] * size):
                return None
        D = np.diag(A) + v * v
        if not np.all(D > 0.0):
            return None
        rho = 1.0 - float(np.sum(v * v / D))
        return cls(D, v, rho) if rho > LEAST_REST else None

    def times(self, x: FloatArray) -> FloatArray:
        """A x, (n,)."""
        return self.D * x - self.v * float(self.v @ x)

    def inverse_times(self, X: FloatArray) -> FloatArray:
        """A⁻¹X for X (n, c)."""
        q = self.v / self.D
        found: FloatArray = X / self.D[:, None] + np.multiply.outer(q, (q @ X) / self.rho)
        return found

    def energy(self, x: FloatArray) -> float:
        """A sum of squares, x'Ax: of the distances to the mean of t = D x/v, weighted by v²/D, and of that mean."""
        weight = self.v * self.v / self.D
        if not weight.any():
            return float(self.D @ x**2)
        t = np.divide(self.D * x, self.v, out=np.zeros_like(x), where=self.v != 0.0)
        total = float(weight.sum())
        mean = float(weight @ t) / total
        plain = float(self.D @ np.where(self.v == 0.0, x, 0.0) ** 2)  # of what has no share
        return float(weight @ (t - mean) ** 2) + total * self.rho * mean * mean + plain


class Absorbed:
    """A symmetric positive H with a block A of excluding indicators, factored. A `Factor`."""

    def __init__(self, H: FloatArray, at: IntArray, A: Excluding) -> None:
        """Raises LinAlgError where S is not positive."""
        self._at, self._A = at, A
        self._rest = np.setdiff1d(np.arange(len(H)), at)
        self._C = H[np.ix_(at, self._rest)]  # (n, r)
        self._E = H[np.ix_(self._rest, self._rest)]
        self._G = A.inverse_times(self._C)
        self._root = np.linalg.cholesky(self._E - self._C.T @ self._G)  # R
        backwards = np.linalg.inv(self._root).T  # S⁻¹ = R'⁻¹R⁻¹
        self._F = np.zeros((len(H), len(self._rest) + 1))
        self._F[at, 0] = A.v / A.D / np.sqrt(A.rho)
        self._F[at, 1:] = self._G @ backwards
        self._F[self._rest, 1:] = -backwards
        self._diagonal = np.zeros(len(H))
        self._diagonal[at] = 1.0 / A.D

    def times(self, x: FloatArray) -> FloatArray:
        """H x, (k,)."""
        found, levels, rest = np.empty_like(x), x[self._at], x[self._rest]
        found[self._at] = self._A.times(levels) + self._C @ rest
        found[self._rest] = self._C.T @ levels + self._E @ rest
        return found

    def energy(self, x: FloatArray) -> float:
        """x'Hx, as a sum of squares."""
        rest = x[self._rest]
        return self._A.energy(x[self._at] + self._G @ rest) + float(np.sum((self._root.T @ rest) ** 2))

    def inverse_times(self, gradient: FloatArray) -> FloatArray:
        """H⁻¹g, (k,)."""
        found: FloatArray = self._diagonal * gradient + self._F @ (self._F.T @ gradient)
        return found

    def inverse_diagonal(self) -> FloatArray:
        """(H⁻¹)_jj, (k,)."""
        found: FloatArray = self._diagonal + np.einsum("ij,ij->i", self._F, self._F)
        return found

    def absolute_inverse_times(self, X: FloatArray) -> FloatArray:
        """|H⁻¹| X for X (k, c), without the (k, k) matrix."""
        found = np.empty_like(X)
        for start in range(0, len(X), CHUNK):
            rows = slice(start, start + CHUNK)
            inverse = self._F[rows] @ self._F.T
            inverse[np.arange(len(inverse)), np.arange(start, start + len(inverse))] += self._diagonal[rows]
            found[rows] = np.abs(inverse, out=inverse) @ X
        return found

    def inverse(self) -> FloatArray:
        """H⁻¹, (k, k)."""
        found: FloatArray = self._F @ self._F.T
        found.flat[:: len(found) + 1] += self._diagonal
        return found

    def seen_from(self, error: FloatArray, low: float, high: float) -> tuple[FloatArray, FloatArray]:
        """The spectrum as steps from an error see it, (j,) ascending, (k, j): Ritz values and vectors, between μ and L, which they
        themselves see nothing of.
        """
        k = len(error)
        if not error.any():
            return np.array([low, high]), np.zeros((k, 2))
        for steps in SEEN:
            found = krylov(self.times, error, steps)
            factor = 1.0 - 2.0 * found.values / (low + high)
            out = np.abs(factor) ** STEPS[:, None] @ (found.vectors[0] * found.vectors[-1])  # the part along the last q
            if len(found.values) < steps or np.abs(out).max() <= UNSEEN:
                break
        vectors = np.zeros((k, len(found.values) + 2))
        np.matmul(found.basis.T, found.vectors, out=vectors[:, 1:-1])
        return np.concatenate([[low], np.clip(found.values, low, high), [high]]), vectors

    def extremes(self) -> tuple[FloatArray, FloatArray] | None:
        """μ and L, (2,), with their eigenvectors, (k, 2); None where their Ritz values are not proved to be the last ones."""
        start = np.random.default_rng(0).normal(size=len(self._diagonal))
        for steps in TRIALS:
            top, bottom = krylov(self.times, start, steps), krylov(self.inverse_times, start, steps)
            high, low = float(top.values[-1]), 1.0 / float(bottom.values[-1])
            if low <= 0.0 or high > MOST_CONDITION * low:
                return None
            if self._all_above(low * (1.0 - PROVED)) and self._all_below(high * (1.0 + PROVED)):
                vectors = [found.basis.T @ found.vectors[:, -1] for found in (bottom, top)]
                return np.array([low, high]), np.column_stack(vectors)
        return None

    def _all_above(self, tau: float) -> bool:
        """Whether H − τ is positive."""
        D, v = self._A.D - tau, self._A.v
        if not np.all(D > 0.0):
            return False
        rho = 1.0 - float(np.sum(v * v / D))
        E = self._E - tau * np.eye(len(self._E))
        return rho > 0.0 and _positive(E - self._C.T @ Excluding(D, v, rho).inverse_times(self._C))

    def _all_below(self, tau: float) -> bool:
        """Whether τ − H is positive. Its block of the levels is, where τ − D is, or has one negative entry, which vv' outweighs."""
        D, v = self._A.D - tau, self._A.v
        rho = 1.0 - float(np.sum(v * v / D)) if np.all(D != 0.0) else 0.0
        below = int(np.count_nonzero(D > 0.0))
        if not ((below == 0 and rho > 0.0) or (below == 1 and rho < 0.0)):
            return False
        E = tau * np.eye(len(self._E)) - self._E
        return _positive(E + self._C.T @ Excluding(D, v, rho).inverse_times(self._C))


def _positive(S: FloatArray) -> bool:
    try:
        np.linalg.cholesky((S + S.T) / 2)
    except np.linalg.LinAlgError:
        return False
    return True


def solve_by_levels(loss: QuadraticLoss, category: Category, scale: FloatArray) -> Solution | None:
    """`solve` for a loss of which some features are the levels of one category; None where it takes the eigendecomposition.

    scale: (p,) of the loop's coordinates.
    """
    at = category.at
    v = category.share / scale[at]
    offset = loss.offset[at]
    if np.all(np.abs(offset) <= SAME * v):
        about = v
    elif np.all(np.abs(offset - v) <= SAME * v):  # about zero there is no second term
        about = np.zeros_like(v)
    else:
        return None
    penalised = Excluding.of(block(loss.hessian, at), about)
    centred = Excluding.of(block(loss.spread, at), v)
    if penalised is None or centred is None:
        return None
    try:
        factor, spread = Absorbed(loss.hessian, at, penalised), Absorbed(loss.spread, at, centred)
    except np.linalg.LinAlgError:  # a flat direction, or a perfect fit
        return None
    found = factor.extremes()
    if found is None:
        return None
    minimiser = factor.inverse_times(loss.linear)
    for _ in range(REFINEMENTS):
        step = factor.inverse_times(residual(loss.hessian, minimiser, loss.linear, symmetric=True))
        minimiser -= step
        if np.all(np.abs(step) <= 0.25 * EPSILON * np.abs(minimiser)):
            break
    minimum, rounding = _minimum(loss, minimiser, spread)
    return Solution(*found, 0, minimiser, minimum, rounding, factor)


def block(matrix: FloatArray, at: IntArray) -> FloatArray:
    """Of some rows and columns, without a copy where they stand together."""
    if at[-1] - at[0] == len(at) - 1:
        together = slice(int(at[0]), int(at[-1]) + 1)
        return matrix[together, together]
    return matrix[np.ix_(at, at)]


def _minimum(loss: QuadraticLoss, theta: FloatArray, spread: Absorbed) -> tuple[float, float]:
    """J(θ*) as a sum of squares, and its rounding, as `solve` has them."""
    w, b = (theta[:-1], float(theta[-1])) if loss.intercept else (theta, 0.0)
    u = np.append(-w, 1.0)
    mean = float(loss.offset @ u) - b
    size, terms = np.abs(u), 0.0
    for start in range(0, len(u), CHUNK):
        terms += float(size[start : start + CHUNK] @ (np.abs(loss.spread[start : start + CHUNK]) @ size))
    squares = spread.energy(u) + mean * mean + float(loss.penalty @ w**2)
    return 0.5 * squares, 2.0 * EPSILON * terms


def solved(loss: QuadraticLoss, scale: FloatArray, category: Category | None = None) -> Solution:
    """The exact minimum of `loss`: by its largest category, where that is known and does."""
    found = None if category is None else solve_by_levels(loss, category, scale)
    return solve(loss) if found is None else found

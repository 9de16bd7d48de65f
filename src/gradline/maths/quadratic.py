"""Squared error as a quadratic function of the parameters, known exactly from moments.

    J(θ) = (1/2m) Σ (f(x_i) − y_i)² + (λ/2)‖w‖² = ½ θ'Hθ − c'θ + const,   ∇J = Hθ − c

with θ = (w, b) in the loop's coordinates. The intercept is never penalised. Where H is singular the pseudo-inverse gives the
minimiser of least norm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from gradline.maths.compensated import CHUNK_VALUES, residual

if TYPE_CHECKING:
    from gradline.maths.coordinates import Coordinates
    from gradline.maths.moments import Moments
    from gradline.types import FloatArray

REFINEMENTS = 3
CANCELLED = 1e-6  # ‖Hθ − c‖ to its terms, below which the difference is computed in twice the precision
EPSILON = float(np.finfo(np.float64).eps)


class LowParts(NamedTuple):
    """What is to be added to the fields of the same names, where they are known to twice the precision."""

    spread: FloatArray
    offset: FloatArray
    hessian: FloatArray
    linear: FloatArray


@dataclass(frozen=True, slots=True)
class QuadraticLoss:
    """J on the rows of one set of moments.

    spread: (p+1, p+1) centred second moments of (z, y) per unit weight.  offset: (p+1,) means of (z, y).
    hessian: (k, k).  linear: (k,).  penalty: (p,) λ of each weight.  low: the rest of exact moments.
    """

    spread: FloatArray
    offset: FloatArray
    hessian: FloatArray
    linear: FloatArray
    penalty: FloatArray
    intercept: bool
    low: LowParts | None = None

    def mean_and_variance(self, theta: FloatArray) -> tuple[float, float]:
        """Of the residuals y − f(x)."""
        w, b = (theta[:-1], float(theta[-1])) if self.intercept else (theta, 0.0)
        u = np.append(-w, 1.0)
        if self.low is None:
            return float(self.offset @ u) - b, max(float(u @ self.spread @ u), 0.0)
        products = residual(np.vstack([self.spread, self.offset]), u, np.append(np.zeros(len(u)), b))
        mean = float(products[-1]) + float(self.low.offset @ u)
        along = products[:-1] + self.low.spread @ u
        return mean, max(float(residual(along[None], u, np.zeros(1))[0]), 0.0)

    def value(self, theta: FloatArray) -> float:
        """J(θ), as squares: ½(mean residual² + variance of the residuals) + penalty. In squared target units."""
        w = theta[:-1] if self.intercept else theta
        mean, variance = self.mean_and_variance(theta)
        return 0.5 * (mean * mean + variance + float(self.penalty @ w**2))

    def gradient(self, theta: FloatArray) -> FloatArray:
        """∇J(θ) = Hθ − c, (k,); where plain float64 would leave little of it but rounding, in twice the precision."""
        product = self.hessian @ theta
        gradient = product - self.linear
        terms = np.abs(product) + np.abs(self.linear)
        if np.linalg.norm(gradient) > CANCELLED * np.linalg.norm(terms):
            return gradient
        gradient = residual(self.hessian, theta, self.linear, symmetric=True)
        if self.low is not None:
            gradient += self.low.hessian @ theta - self.low.linear
        return gradient

    def curvature_along(self, direction: FloatArray) -> FloatArray:
        """H·direction, (k,)."""
        if self.low is None:
            return self.hessian @ direction
        return residual(self.hessian, direction, np.zeros(len(direction)), symmetric=True) + self.low.hessian @ direction

    def rounding(self, theta: FloatArray) -> FloatArray:
        """The size below which a component of ∇J(θ) is the rounding of θ alone, (k,)."""
        size, terms = np.abs(theta), np.abs(self.linear)
        together = max(1, CHUNK_VALUES // len(size))
        for start in range(0, len(size), together):
            terms[start : start + together] += np.abs(self.hessian[start : start + together]) @ size
        return 0.5 * EPSILON * terms


@dataclass(frozen=True, slots=True)
class SquaredError:
    """J without a penalty on rows that are only judged by: from their moments as they are, without a matrix of its own."""

    moments: Moments
    coordinates: Coordinates

    def mean_and_variance(self, theta: FloatArray) -> tuple[float, float]:
        """Of the residuals y − f(x)."""
        place, moments = self.coordinates, self.moments
        w, b = (theta[:-1], float(theta[-1])) if place.intercept else (theta, 0.0)
        u = np.append(-w / place.scale, 1.0)
        offset = (moments.mean - np.append(place.centre, 0.0)) + moments.mean_rest
        return float(offset @ u) - b, max(float(u @ (moments.comoment @ u / moments.weight)), 0.0)

    def value(self, theta: FloatArray) -> float:
        """J(θ), as squares: ½(mean residual² + variance of the residuals). In squared target units."""
        mean, variance = self.mean_and_variance(theta)
        return 0.5 * (mean * mean + variance)


def quadratic_loss(moments: Moments, coordinates: Coordinates, penalty: FloatArray | float = 0.0) -> QuadraticLoss:
    """J from the moments of the p features and then the target, in some coordinates; `penalty` is λ, or (p,) one a weight."""
    p = len(coordinates.mean)
    if moments.comoment.shape != (p + 1, p + 1):
        raise ValueError(f"moments of {p} features and the target have shape {(p + 1, p + 1)}, not {moments.comoment.shape}")
    scale = np.append(coordinates.scale, 1.0)
    centre = np.append(coordinates.centre, 0.0)
    spread = moments.comoment / (moments.weight * scale)[:, None]
    spread /= scale
    offset = ((moments.mean - centre) + moments.mean_rest) / scale
    penalty = np.broadcast_to(np.asarray(penalty, dtype=np.float64), (p,))
    k = p + coordinates.intercept
    hessian, linear = np.empty((k, k)), np.empty(k)
    np.multiply(offset[:p, None], offset[:p], out=hessian[:p, :p])
    hessian[:p, :p] += spread[:p, :p]
    hessian.flat[: p * k : k + 1] += penalty
    linear[:p] = spread[:p, p] + offset[:p] * offset[p]
    if coordinates.intercept:
        hessian[p, :p] = hessian[:p, p] = offset[:p]
        hessian[p, p], linear[p] = 1.0, offset[p]
    return QuadraticLoss(spread, offset, hessian, linear, penalty, coordinates.intercept)


def baseline_objective(moments: Moments) -> float:
    """J(w = 0, b = mean y) = ½ variance of the target, the last column of the moments."""
    return 0.5 * float(moments.comoment[-1, -1]) / moments.weight


class Factor(Protocol):
    """What takes the place of an eigendecomposition of H (k, k), where H has a structure."""

    def energy(self, x: FloatArray) -> float:
        """x'Hx, as a sum of squares."""
        ...

    def inverse_times(self, gradient: FloatArray) -> FloatArray:
        """H⁻¹g, (k,)."""
        ...

    def inverse_diagonal(self) -> FloatArray:
        """(H⁻¹)_jj, (k,)."""
        ...

    def absolute_inverse_times(self, X: FloatArray) -> FloatArray:
        """|H⁻¹| X for X (k, c)."""
        ...

    def inverse(self) -> FloatArray:
        """H⁻¹, (k, k)."""
        ...

    def seen_from(self, error: FloatArray, low: float, high: float) -> tuple[FloatArray, FloatArray]:
        """Eigenvalues (j,) from μ to L, and vectors (k, j), among which the steps from an error go."""
        ...


@dataclass(frozen=True, slots=True)
class Solution:
    """The minimum of a quadratic loss, and its spectrum.

    eigenvalues: (k,) ascending.  vectors: (k, k), one eigenvector a column.  null: how many eigenvalues are zero to rounding.
    minimiser: θ*, (k,).  minimum: J*.  rounding: how far J* may be from the exact one by the rounding of the moments.
    factor: where H is known by one; then there are two eigenvalues, μ and L, and `seen_from` has those that a forecast needs.
    """

    eigenvalues: FloatArray
    vectors: FloatArray
    null: int
    minimiser: FloatArray
    minimum: float
    rounding: float
    factor: Factor | None = None

    @property
    def curvature_max(self) -> float:
        """L, the largest eigenvalue of H."""
        return float(self.eigenvalues[-1])

    @property
    def curvature_min(self) -> float:
        """μ, the smallest eigenvalue of H that is not zero to rounding."""
        return float(self.eigenvalues[self.null])

    @property
    def condition(self) -> float:
        """κ = L/μ."""
        return self.curvature_max / self.curvature_min

    def along(self, theta: FloatArray) -> FloatArray:
        """θ − θ* in the basis of the eigenvectors, (k,); zero in the directions in which J is flat."""
        along = self.vectors.T @ (theta - self.minimiser)
        along[: self.null] = 0.0
        return along

    def gap(self, theta: FloatArray) -> float:
        """J(θ) − J* = ½ (θ − θ*)'H(θ − θ*) = ½ g'H⁻¹g, exact, as a sum of squares."""
        if self.factor is not None:
            return 0.5 * self.factor.energy(theta - self.minimiser)
        return 0.5 * float(self.eigenvalues[self.null :] @ self.along(theta)[self.null :] ** 2)

    def distance(self, theta: FloatArray) -> FloatArray:
        """θ − θ* = H⁻¹g, (k,), without the directions in which J is flat."""
        if self.factor is not None:
            return theta - self.minimiser
        distance: FloatArray = self.vectors @ self.along(theta)
        return distance

    def inverse_times(self, gradient: FloatArray) -> FloatArray:
        """H⁻¹g, (k,), with the pseudo-inverse."""
        if self.factor is not None:
            return self.factor.inverse_times(gradient)
        kept = self.vectors[:, self.null :]
        product: FloatArray = kept @ ((kept.T @ gradient) / self.eigenvalues[self.null :])
        return product

    def inverse(self) -> FloatArray:
        """H⁻¹, (k, k), with the pseudo-inverse."""
        if self.factor is not None:
            return self.factor.inverse()
        root = self._root()
        inverse: FloatArray = root @ root.T  # of a matrix and its own transpose NumPy computes one half
        return inverse

    def inverse_diagonal(self) -> FloatArray:
        """(H⁻¹)_jj, (k,), with the pseudo-inverse."""
        if self.factor is not None:
            return self.factor.inverse_diagonal()
        diagonal: FloatArray = np.sum(self._root() ** 2, axis=1)
        return diagonal

    def absolute_inverse_times(self, X: FloatArray) -> FloatArray:
        """|H⁻¹| X for X (k, c), where |H⁻¹| is that of each component."""
        if self.factor is not None:
            return self.factor.absolute_inverse_times(X)
        inverse = self.inverse()
        product: FloatArray = np.abs(inverse, out=inverse) @ X
        return product

    def _root(self) -> FloatArray:
        root: FloatArray = self.vectors[:, self.null :] / np.sqrt(self.eigenvalues[self.null :])
        return root

    def seen_from(self, theta: FloatArray) -> Solution:
        """The same with the eigenvalues and vectors among which the steps from θ go, to foretell them by."""
        if self.factor is None:
            return self
        values, vectors = self.factor.seen_from(theta - self.minimiser, self.curvature_min, self.curvature_max)
        return replace(self, eigenvalues=values, vectors=vectors, factor=None)


def solve(loss: QuadraticLoss) -> Solution:
    """The exact minimum of `loss`, by the eigendecomposition of H and refinement with compensated residuals."""
    eigenvalues, vectors = np.linalg.eigh(loss.hessian)
    null = int(np.count_nonzero(eigenvalues <= 8.0 * len(eigenvalues) * EPSILON * max(eigenvalues[-1], 0.0)))
    if null == len(eigenvalues):
        raise ValueError("the Hessian is zero: there is no feature that varies")
    blank = Solution(eigenvalues, vectors, null, np.zeros_like(loss.linear), 0.0, 0.0)
    minimiser = blank.inverse_times(loss.linear)
    for _ in range(REFINEMENTS):  # each shrinks the error by about εκ, down to the rounding of θ itself
        minimiser -= blank.inverse_times(residual(loss.hessian, minimiser, loss.linear, symmetric=True))
    minimum, rounding = _minimum(loss, minimiser)
    return Solution(eigenvalues, vectors, null, minimiser, minimum, rounding)


def _minimum(loss: QuadraticLoss, theta: FloatArray) -> tuple[float, float]:
    """J(θ*) as a sum of squares, and its rounding: ‖R u‖² with spread = R'R, u = (−w, 1)."""
    w, b = (theta[:-1], float(theta[-1])) if loss.intercept else (theta, 0.0)
    u = np.append(-w, 1.0)
    deviation = np.sqrt(np.diag(loss.spread))
    deviation[deviation == 0.0] = 1.0
    correlation = loss.spread / deviation[:, None] / deviation
    u = u * deviation
    try:
        root = np.linalg.cholesky(correlation).T
    except np.linalg.LinAlgError:  # singular, or a perfect fit
        eigenvalues, vectors = np.linalg.eigh(correlation)
        root = np.sqrt(np.maximum(eigenvalues, 0.0))[:, None] * vectors.T
    mean_residual = float(loss.offset @ np.append(-w, 1.0)) - b
    squares = float(np.sum((root @ u) ** 2)) + mean_residual**2 + float(loss.penalty @ w**2)
    rounding = 4.0 * EPSILON * float(np.abs(u) @ np.abs(correlation) @ np.abs(u))
    return 0.5 * squares, 0.5 * rounding

"""The noise of mini-batch gradients: how large a stable α is, where constant-α SGD ends, which batch is large enough.

With x the features and the constant, r the residual at θ*, and Σ = E[r² x x'] the covariance of one example's gradient there:

    mean-square stable   α < 2 / ((1 − 1/B) L + R²/B),   R² the smallest number with E[‖x‖² x x'] ≤ R² H
    floor                E J − J* ≈ (α/2B) Σ_i σ_i / (2 − αλ_i) / (1 − αR²/2B),   σ_i = q_i'Σq_i along H's eigenvectors
    noise scale          B_simple(θ) = tr Σ(θ)/‖∇J(θ)‖²: beyond it a larger batch hardly makes a better step

    average              E J − J* ≈ (1/2Bn) Σ_i σ_i / λ_i / (1 − αR²/2B) of the mean of n constant-α iterates, the start forgotten

(Bach & Moulines 2013; Jain et al. 2018; McCandlish et al. 2018.) The first is exact for one-feature data of one size and a
bound otherwise; floor and average are first order in the multiplicative noise. All rest on a sample of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gradline.maths.quadratic import Solution
    from gradline.types import FloatArray


@dataclass(frozen=True, slots=True)
class GradientNoise:
    """radius: R².  along: σ_i (k,) in H's eigenbasis, at θ*; None where it is not known.  scale: B_simple at the start."""

    radius: float
    along: FloatArray | None
    scale: float

    def limit(self, solution: Solution, batch: int) -> float:
        """The mean-square stable α of a batch size."""
        return 2.0 / ((1.0 - 1.0 / batch) * solution.curvature_max + self.radius / batch)

    def momentum_limit(self, solution: Solution, batch: int, momentum: float) -> float:
        """The mean-square stable α with heavy-ball momentum β: 2(1 + β) / (L + (R² − L)/B · (1 + β)/(1 − β)).

        Along one direction exact: e₊ = (1 + β − αλ) e − β e₋ + α ξ e is an autoregression of order two, stable iff the variance
        that it makes of its own noise is below one; for β = 0 it is the limit without momentum.
        """
        noise = max(self.radius - solution.curvature_max, 0.0) / batch
        return 2.0 * (1.0 + momentum) / (solution.curvature_max + noise * (1.0 + momentum) / (1.0 - momentum))

    def floor(self, solution: Solution, alpha: float, batch: int) -> float | None:
        """The gap at which constant-α SGD ends; None where α is past its limit, or the noise at the minimum is not known."""
        if self.along is None or alpha >= self.limit(solution, batch):
            return None
        additive = alpha / (2.0 * batch) * float(np.sum(self.along / (2.0 - alpha * solution.eigenvalues)))
        return additive / (1.0 - alpha * self.radius / (2.0 * batch))

    def averaged(self, solution: Solution, alpha: float, batch: int, steps: int) -> float | None:
        """The gap of the plain average of so many constant-α iterates, the start forgotten; None as for `floor`."""
        if self.along is None or alpha >= self.limit(solution, batch):
            return None
        additive = float(np.sum(self.along[solution.null :] / solution.eigenvalues[solution.null :])) / (2.0 * batch * steps)
        return additive / (1.0 - alpha * self.radius / (2.0 * batch))


def measure(X: FloatArray, y: FloatArray, solution: Solution, start: FloatArray, *, intercept: bool) -> GradientNoise:
    """From a sample of the rows, X (n, p) in the loop's coordinates, y (n,)."""
    Z = np.column_stack([X, np.ones(len(X))]) if intercept else X  # (n, k)
    square = np.einsum("ij,ij->i", Z, Z)  # (n,)
    H = Z.T @ Z / len(Z)
    fourth = (Z * square[:, None]).T @ Z / len(Z)
    values, vectors = np.linalg.eigh(H)
    kept = values > 1e-10 * values[-1]
    root = vectors[:, kept] / np.sqrt(values[kept])
    radius = float(np.linalg.eigvalsh(root.T @ fourth @ root)[-1])
    projected = Z @ solution.vectors  # (n, k)
    residual = Z @ solution.minimiser - y
    along = np.mean((residual[:, None] * projected) ** 2, axis=0)
    at_start = (Z @ start - y)[:, None] * Z  # (n, k)
    gradient = at_start.mean(axis=0)
    spread = float(np.sum(at_start.var(axis=0)))
    size = float(gradient @ gradient)
    return GradientNoise(radius, along, spread / size if size > 0.0 else np.inf)

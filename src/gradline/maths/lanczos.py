"""The spectrum of a Hessian that is only known by what it does to a vector, as far as some steps from it can tell.

    H Q_j = Q_j T_j + β_j q_{j+1} e_j'

From q_1 = g/‖g‖, T_j is H as the first j steps of any method that follows gradients from there can see it: these methods take
the same steps on T_j as on H, so that their progress is foretold by it, exactly for j steps and well beyond (Golub & Meurant,
Matrices, Moments and Quadrature, 2010). The largest eigenvalue of T_j, and β_j times the last entry of its eigenvector, bracket
an eigenvalue of H, which from a start in general position is the largest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.maths.quadratic import Solution

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.types import FloatArray

EXHAUSTED = 1e-10  # of the largest eigenvalue: a β below it says that the start has no further direction


class Ritz(NamedTuple):
    """values: (j,) eigenvalues of T_j, ascending.  shares: (j,) squared parts of the start along their vectors, Σ = 1.
    residuals: (j,) how far each may be from an eigenvalue of H.
    """

    values: FloatArray
    shares: FloatArray
    residuals: FloatArray

    def solution(self, gradient_norm: float) -> Solution:
        """The minimum as seen from a start with a gradient of this size, in j coordinates; the start is 0 there.

        The largest eigenvalue is raised by its residual: what is taken for L must not be too small.
        """
        values = self.values.copy()
        values[-1] += self.residuals[-1]
        minimiser = gradient_norm * np.sqrt(self.shares) / values
        return Solution(values, np.eye(len(values)), 0, minimiser, 0.0, 0.0)


class Krylov(NamedTuple):
    """basis: (j, k) the q.  values: (j,) eigenvalues of T_j, ascending.  vectors: (j, j) theirs.  beside: β_j."""

    basis: FloatArray
    values: FloatArray
    vectors: FloatArray
    beside: float


def lanczos(times: Callable[[FloatArray], FloatArray], start: FloatArray, steps: int) -> Ritz:
    """At most so many steps from a start (k,) that is not 0."""
    _, values, vectors, beside = krylov(times, start, steps)
    positive = values > 0.0  # H is not negative; rounding may be
    return Ritz(values[positive], vectors[0, positive] ** 2, beside * np.abs(vectors[-1, positive]))


def krylov(times: Callable[[FloatArray], FloatArray], start: FloatArray, steps: int) -> Krylov:
    """At most so many steps from a start (k,) that is not 0; each costs one product with H. Every q is made orthogonal to all."""
    steps = min(steps, len(start))
    basis = np.empty((steps, len(start)))
    q = start / np.linalg.norm(start)
    diagonal: list[float] = []
    beside: list[float] = []
    for j in range(steps):
        basis[j] = q
        product = times(q)
        diagonal.append(float(q @ product))
        for _ in range(2):  # twice is enough (Kahan, in Parlett, The Symmetric Eigenvalue Problem)
            product = product - basis[: j + 1].T @ (basis[: j + 1] @ product)
        beside.append(float(np.linalg.norm(product)))
        if beside[-1] <= EXHAUSTED * max(np.abs(diagonal)):
            beside[-1] = 0.0
            break
        q = product / beside[-1]
    T = np.diag(diagonal) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1)
    return Krylov(basis[: len(diagonal)], *np.linalg.eigh(T), beside[-1])

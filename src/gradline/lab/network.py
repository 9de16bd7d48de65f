"""A two-layer network on the same rows: what a loss that is not convex does from 50 starts, beside one that is.

    f(x) = Σ_h v_h tanh(u_h'x + c_h) + d          trained by gradient descent on the same (1/2m) Σ (f(x_i) − y_i)²

It is here for this comparison alone: no other part of gradline has a network. All starts are trained at once, side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from gradline.types import FloatArray

HIDDEN = 3
STEPS = 1_000
RATE = 0.2
MOST_ROWS = 120
SPREAD = 2.0  # deviation of the first parameters


class Networks(NamedTuple):
    """Of s starts: loss (s,) at the end, in squared target units; curves (s, n) predictions at the grid's points."""

    loss: FloatArray
    curves: FloatArray


def train_networks(X: FloatArray, y: FloatArray, grid: FloatArray, starts: int, seed: int, steps: int = STEPS) -> Networks:
    """Networks on rows X (m, p) in standard coordinates and y (m,), from `starts` random starts; their predictions on grid (n, p)."""
    X, y = X[:MOST_ROWS], y[:MOST_ROWS]
    mean, deviation = float(y.mean()), float(y.std()) or 1.0
    target = (y - mean) / deviation
    u, c, v, d = first_parameters(X.shape[1], starts, seed)
    for _ in range(steps):
        gu, gc, gv, gd = gradients(X, target, u, c, v, d)
        u, c, v, d = u - RATE * gu, c - RATE * gc, v - RATE * gv, d - RATE * gd
    residual = outputs(X, u, c, v, d) - target
    return Networks(0.5 * deviation**2 * np.mean(residual**2, axis=1), mean + deviation * outputs(grid, u, c, v, d))


def first_parameters(p: int, starts: int, seed: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Random u (s, p, h), c (s, 1, h), v (s, h, 1), d (s, 1)."""
    rng = np.random.default_rng(seed)
    return (
        SPREAD * rng.standard_normal((starts, p, HIDDEN)),
        SPREAD * rng.standard_normal((starts, 1, HIDDEN)),
        SPREAD * rng.standard_normal((starts, HIDDEN, 1)),
        rng.standard_normal((starts, 1)),
    )


def outputs(X: FloatArray, u: FloatArray, c: FloatArray, v: FloatArray, d: FloatArray) -> FloatArray:
    """F at each row, (s, m)."""
    return (np.tanh(X @ u + c) @ v)[..., 0] + d


def gradients(
    X: FloatArray, y: FloatArray, u: FloatArray, c: FloatArray, v: FloatArray, d: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Of (1/2m) Σ (f(x_i) − y_i)², by the chain rule."""
    hidden = np.tanh(X @ u + c)  # (s, m, h)
    residual = ((hidden @ v)[..., 0] + d - y)[..., None] / len(y)  # (s, m, 1)
    inner = residual * v.transpose(0, 2, 1) * (1.0 - hidden**2)  # (s, m, h)
    return X.T @ inner, inner.sum(axis=1, keepdims=True), hidden.transpose(0, 2, 1) @ residual, residual.sum(axis=1)

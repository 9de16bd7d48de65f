"""A lower bound of the global minimum for any loss of the family in `gradline.maths.losses`, by convex duality.

    J(θ) = (1/W) Σ w_i φ(x_i·θ − y_i) + (λ/2)‖v‖²,   v the weights without the intercept

For every u with low ≤ u_i ≤ high and, along the coordinates that are not penalised, Σ w_i u_i x_i = 0,

    J* ≥ D(u) = −(1/W) Σ w_i (u_i y_i + h u_i²/2) − (1/2λ) ‖(1/W) Σ w_i u_i x_i‖²

(Boyd & Vandenberghe, Convex Optimization, 5.1). At an iterate u = φ'(residual) nearly is such a u: it is projected with the
Hessian that the moments hold, u − x·H⁻¹(Σ w u x)/W, and shrunk until it is within its bounds; at the minimum nothing is left to
do and D = J*. So J(θ) − D is proved, whatever the rule that found θ did; only the rounding of the sums is not in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gradline.maths.design import Design
    from gradline.maths.engine import Engine
    from gradline.maths.losses import Loss
    from gradline.maths.quadratic import Solution
    from gradline.types import FloatArray

    Rows = Callable[[range], tuple[Design, FloatArray, FloatArray | None]]  # X (n, p), y (n,), weight (n,) or None


class _Sums(NamedTuple):
    weight: float
    slopes: FloatArray  # Σ w u x, (k,)


class _Dual(NamedTuple):
    low: float
    high: float
    against: float  # Σ w u (f(x) − y)
    squares: float  # Σ w u²
    slopes: FloatArray


def _both(a: _Dual, b: _Dual) -> _Dual:
    return _Dual(
        min(a.low, b.low), max(a.high, b.high), a.against + b.against, a.squares + b.squares, np.asarray(a.slopes + b.slopes)
    )


def scored(X: Design, theta: FloatArray, *, intercept: bool) -> FloatArray:
    """f(x) of each row, (n,)."""
    return X @ theta[:-1] + theta[-1] if intercept else X @ theta


def against(X: Design, weighted: FloatArray, *, intercept: bool) -> FloatArray:
    """Σ u x over the rows, (k,)."""
    return np.append(X.T @ weighted, weighted.sum()) if intercept else X.T @ weighted


def lower_bound(
    loss: Loss,
    theta: FloatArray,
    parts: Sequence[range],
    rows: Rows,
    engine: Engine,
    solution: Solution | None,
    l2: float,
    *,
    intercept: bool,
    conjugate_width: float | None = None,
) -> float:
    """D(u) of the u that belongs to θ (k,); two passes over `rows` of the `parts`.

    conjugate_width: h of the loss to bound, where it is not the smoothed one that u is taken from: u within the bounds of the one
    is within those of the other.  solution: the squared error of the same rows without a penalty, for the projection where λ = 0.
    """

    def first(part: range) -> _Sums:
        X, y, weight = rows(part)
        u = loss.derivative(scored(X, theta, intercept=intercept) - y)
        total = float(len(y)) if weight is None else float(weight.sum())
        return _Sums(total, against(X, u if weight is None else u * weight, intercept=intercept))

    sums = engine.map_merge(parts, first, lambda a, b: _Sums(a.weight + b.weight, a.slopes + b.slopes))
    assert sums is not None
    slopes = sums.slopes / sums.weight
    correction = np.zeros_like(slopes)
    if l2 == 0.0 and solution is not None:
        correction = solution.inverse_times(slopes)
    elif intercept:  # it alone is free: take off the mean
        correction[-1] = slopes[-1]

    def second(part: range) -> _Dual:
        X, y, weight = rows(part)
        residual = scored(X, theta, intercept=intercept) - y
        u = loss.derivative(residual) - scored(X, correction, intercept=intercept)
        weighted = u if weight is None else u * weight
        slopes = against(X, weighted, intercept=intercept)
        return _Dual(float(u.min()), float(u.max()), float(weighted @ residual), float(weighted @ u), slopes)

    dual = engine.map_merge(parts, second, _both)
    assert dual is not None
    shrink = min(1.0, loss.high / dual.high if dual.high > 0.0 else 1.0, loss.low / dual.low if dual.low < 0.0 else 1.0)
    width = loss.width if conjugate_width is None else conjugate_width
    target = float(theta @ dual.slopes) - dual.against  # Σ w u y, without the digits that a large y would cost
    bound = -(shrink * target + 0.5 * width * shrink**2 * dual.squares) / sums.weight
    if l2 > 0.0:
        penalised = shrink * dual.slopes[: len(slopes) - int(intercept)] / sums.weight
        bound -= float(penalised @ penalised) / (2.0 * l2)
    return float(bound)

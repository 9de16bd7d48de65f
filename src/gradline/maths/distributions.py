"""Student's t and the F distribution, from the regularised incomplete beta function.

    P(|T| > t) = I_x(ν/2, 1/2),  x = ν/(ν + t²)          P(F > f) = I_x(d₂/2, d₁/2),  x = d₂/(d₂ + d₁ f)

I_x by its continued fraction (Abramowitz & Stegun 26.5.8; evaluated as Lentz 1976), on the side of the mean where it converges
quickly. SciPy has both, and takes 0.25 s to import: as long as all else that a small run does.
"""

from __future__ import annotations

from math import erfc, lgamma, log, log1p, pi, sqrt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gradline.types import FloatArray

TINY = 1e-300
MOST_TERMS = 100_000
CONVERGED = 1e-15
STIRLING = 20.0  # from here on the series of log Γ has all digits
NEWTON_STEPS = 200
MANY = 1e4  # degrees of freedom


def t_two_sided(t: FloatArray, freedom: float) -> FloatArray:
    """P(|T| > |t|) for each t, with ν > 0 degrees of freedom."""
    return np.array([_t_tails(each, freedom) for each in np.abs(t).tolist()])


def _t_tails(t: float, freedom: float) -> float:
    if freedom <= MANY or not np.isfinite(t):
        return _beta(freedom / 2.0, 0.5, t * t / freedom)
    a = (
        freedom - 0.5
    )  # the fraction would lose ν eps of the tail; Hill's normal deviate (CACM 13, algorithm 395, 1970) has it all
    b, y = 48.0 * a * a, a * log1p(t * t / freedom)
    z = ((((((-0.4 * y - 3.3) * y - 24.0) * y - 85.5) / (0.8 * y * y + 100.0 + b) + y + 3.0) / b) + 1.0) * sqrt(y)
    return normal_two_sided(z)


def t_quantile(level: float, freedom: float) -> float:
    """The t with P(|T| ≤ t) = level, 0 < level < 1."""
    t = 0.0  # the tail is convex: Newton's steps come from the left, and none goes too far
    constant = -_log_beta(freedom / 2.0, 0.5) - 0.5 * log(freedom)
    for _ in range(NEWTON_STEPS):
        density = 2.0 * np.exp(constant - (freedom + 1.0) / 2.0 * log1p(t * t / freedom))
        step = (_t_tails(t, freedom) - (1.0 - level)) / density
        t += step
        if step <= 4e-16 * t:  # all steps but those of rounding go to the right
            break
    return float(t)


def f_above(f: float, d1: float, d2: float) -> float:
    """P(F > f) with d₁ and d₂ degrees of freedom."""
    return _beta(d2 / 2.0, d1 / 2.0, d1 * f / d2)


def normal_two_sided(z: float) -> float:
    """P(|Z| > |z|)."""
    return erfc(abs(z) / sqrt(2.0))


def chi_squared_above(x: float, d: int) -> float:
    """P(χ² > x) with an even or odd whole number of degrees of freedom, by its finite sums (Abramowitz & Stegun 26.4.4, 26.4.5)."""
    if x <= 0.0:
        return 1.0
    term, total = (np.exp(-x / 2.0), 0.0) if d % 2 == 0 else (sqrt(2.0 * x / pi) * np.exp(-x / 2.0), 0.0)
    for i in range(d // 2):
        total += term
        term *= x / (2 * i + 2 if d % 2 == 0 else 2 * i + 3)
    return float(total) if d % 2 == 0 else float(total) + erfc(sqrt(x / 2.0))


def _beta(a: float, b: float, odds: float) -> float:
    """I_x(a, b) at x = 1/(1 + odds): so that both x and 1 − x keep their digits."""
    if odds <= 0.0:  # of an F that rounding made negative as well
        return 1.0
    if not np.isfinite(odds):
        return 0.0
    x, rest = 1.0 / (1.0 + odds), odds / (1.0 + odds)
    front = float(np.exp(b * log(rest) - a * log1p(odds) - _log_beta(a, b)))
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _fraction(a, b, x) / a
    return 1.0 - front * _fraction(b, a, rest) / b


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of I_x(a, b) a B(a, b) / (x^a (1 − x)^b)."""
    c, d = 1.0, 1.0 / _away(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, MOST_TERMS):
        for coefficient in (
            m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0)),
        ):
            d = 1.0 / _away(1.0 + coefficient * d)
            c = _away(1.0 + coefficient / c)
            value *= d * c
        if abs(d * c - 1.0) < CONVERGED:
            break
    return value


def _away(value: float) -> float:
    return value if abs(value) > TINY else TINY


def _log_beta(a: float, b: float) -> float:
    """The log of B(a, b); of a large a the difference log Γ(a + b) − log Γ(a) is taken term by term, or it would lose all digits."""
    a, b = max(a, b), min(a, b)
    if a < STIRLING:
        return lgamma(a) + lgamma(b) - lgamma(a + b)
    own = lgamma(b) - b * log(a) + b - (a + b - 0.5) * log1p(b / a)
    return own + _stirling_rest(a) - _stirling_rest(a + b)


def _stirling_rest(z: float) -> float:
    """Log Γ(z) without (z − ½) log z − z + ½ log 2π."""
    s = 1.0 / (z * z)
    return (1.0 / 12.0 - s * (1.0 / 360.0 - s * (1.0 / 1260.0 - s * (1.0 / 1680.0 - s / 1188.0)))) / z

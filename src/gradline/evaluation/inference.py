"""How uncertain the coefficients are: standard errors, tests and intervals, from the moments and the solved minimum alone.

    σ² = RSS/(n − k),   Cov(θ) = σ² (X'X)⁻¹   (classical: errors independent, of one variance)
    Cov(θ) = (X'X)⁻¹ S (X'X)⁻¹                (HC0 … HC3, clustered: S from another read, `gradline.evaluation.sandwich`)

All in standard coordinates, then in the user's units. Weights are those of weighted least squares: a row's error has the
variance σ²/w, n counts rows. (Seber & Lee, Linear Regression Analysis, 2003; White, Econometrica 48, 1980.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.maths.distributions import f_above, t_quantile, t_two_sided
from gradline.types import finite_or_none

if TYPE_CHECKING:
    from collections.abc import Collection

    from gradline.maths.problem import Problem
    from gradline.types import FloatArray, Json

LEVEL = 0.95
CLOSE = 0.01  # of a standard error: how far a coefficient may be from its minimiser
PERFECT = 1e-14  # RSS to Σ(y − mean y)², below which it is rounding


class Sandwich(NamedTuple):
    """S of the robust covariance. kind: `HC0` … `HC3` or `clustered`.  meat: (k, k) in standard coordinates, with its correction.
    clusters: how many there are, None where rows are not grouped.
    """

    kind: str
    meat: FloatArray
    clusters: int | None = None


@dataclass(frozen=True, slots=True)
class Inference:
    """What is known of the coefficients besides their values; the intercept, if there is one, stands last.

    errors: `classical`, `HC0` … `HC3` or `clustered`.  freedom: ν of the t distribution.  deviation: σ, in target units.
    names: of the p features.  estimate, standard_error, t, p, low, high: (k,) in the user's units, NaN where a coefficient is not
    identifiable.  standardised: (p,) deviations of the target per deviation of the feature.
    f, f_freedom, f_p: the test that all coefficients but the intercept are zero; NaN where robust errors leave a direction open.
    log_likelihood, aic, bic: of normal errors; None with weights.
    """

    errors: str
    clusters: int | None
    freedom: int
    deviation: float
    names: tuple[str, ...]
    estimate: FloatArray
    standard_error: FloatArray
    t: FloatArray
    p: FloatArray
    low: FloatArray
    high: FloatArray
    standardised: FloatArray
    f: float
    f_freedom: tuple[int, int]
    f_p: float
    log_likelihood: float | None
    aic: float | None
    bic: float | None

    def to_json(self) -> Json:
        """The entry `inference` of the JSON documents."""

        def entry(j: int) -> Json:
            known = ("standard_error", "t", "p", "low", "high")
            return {name: finite_or_none(float(getattr(self, name)[j])) for name in known}

        p = len(self.names)
        return {
            "errors": self.errors,
            "clusters": self.clusters,
            "level": LEVEL,
            "degrees_of_freedom": self.freedom,
            "residual_standard_error": self.deviation,
            "coefficients": {
                name: entry(j) | {"standardised": finite_or_none(float(self.standardised[j]))}
                for j, name in enumerate(self.names)
            },
            "intercept": entry(p) if len(self.estimate) > p else None,
            "f": {
                "statistic": finite_or_none(self.f),
                "degrees_of_freedom": list(self.f_freedom),
                "p": finite_or_none(self.f_p),
            },
            "log_likelihood": self.log_likelihood,
            "aic": self.aic,
            "bic": self.bic,
        }


def bread(problem: Problem) -> FloatArray:
    """(X'WX)⁻¹ in standard coordinates, (k, k), with the pseudo-inverse."""
    inverse = problem.reference.inverse()
    inverse /= problem.training.weight
    return inverse


def infer(
    problem: Problem,
    theta: FloatArray,
    sandwich: Sandwich | None = None,
    *,
    weighted: bool = False,
    low: FloatArray | None = None,
    not_identifiable: Collection[str] = (),
) -> Inference | None:
    """Of θ (k,) in the loop's coordinates, and `low` to be added to it; None where it means nothing: with a penalty, no degrees of freedom, a perfect fit, or θ so far
    from the minimum that the distance counts beside the standard error.
    """
    moments, coordinates, solution = problem.training, problem.coordinates, problem.reference
    n, W, p = moments.rows, moments.weight, len(problem.names)
    rank = coordinates.size - solution.null
    freedom = n - rank
    total = W * (problem.baseline * 2.0 + (0.0 if coordinates.intercept else float(moments.mean[-1]) ** 2))
    squares = 2.0 * W * solution.minimum
    if problem.loss.penalty.any() or freedom < 1 or squares <= max(PERFECT * total, 4.0 * W * solution.rounding):
        return None
    variance = squares / freedom
    covariance: FloatArray | None = None  # where it is classical, no (k, k) matrix is needed
    diagonal = variance / W * solution.inverse_diagonal()
    if sandwich is not None:
        inverse = bread(problem)
        covariance = inverse @ sandwich.meat @ inverse
        diagonal = np.diag(covariance)
    error = np.sqrt(np.maximum(diagonal, 0.0))  # (k,) in standard coordinates
    if np.any(problem.remaining(theta) > CLOSE * error):
        return None
    user, deviation = coordinates.to_user(theta, low), coordinates.deviation
    estimate, standard_error = user.coefficients, error[:p] / deviation
    if coordinates.intercept:
        back = np.append(-coordinates.mean / deviation, 1.0)  # b in the user's units, of θ in standard coordinates
        estimate = np.append(estimate, user.intercept)
        squared = back @ (variance / W * solution.inverse_times(back) if covariance is None else covariance @ back)
        standard_error = np.append(standard_error, np.sqrt(max(float(squared), 0.0)))
    flat = set(not_identifiable)
    unknown = np.array([name in flat for name in problem.names] + [bool(not_identifiable)] * coordinates.intercept)
    standard_error = np.where(unknown, np.nan, standard_error)
    used = freedom if sandwich is None or sandwich.clusters is None else sandwich.clusters - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        t = estimate / standard_error
    half = t_quantile(LEVEL, used) * standard_error
    slopes = rank - int(coordinates.intercept)
    f = (total - squares) / slopes / variance
    if covariance is not None:  # Wald's, with the robust covariance
        along = coordinates.to_standard(theta)[:p]
        f = np.nan if solution.null else float(along @ np.linalg.solve(covariance[:p, :p], along)) / slopes
    likelihood = None if weighted else -0.5 * n * (np.log(2.0 * np.pi * squares / n) + 1.0)
    return Inference(
        "classical" if sandwich is None else sandwich.kind,
        None if sandwich is None else sandwich.clusters,
        used,
        float(np.sqrt(variance)),
        problem.names,
        estimate,
        standard_error,
        t,
        np.where(np.isnan(t), np.nan, t_two_sided(np.nan_to_num(t), used)),
        estimate - half,
        estimate + half,
        user.coefficients * deviation / problem.target_deviation,
        f,
        (slopes, used),
        np.nan if np.isnan(f) else f_above(f, slopes, used),
        None if likelihood is None else float(likelihood),
        None if likelihood is None else float(-2.0 * likelihood + 2.0 * rank),
        None if likelihood is None else float(-2.0 * likelihood + np.log(n) * rank),
    )

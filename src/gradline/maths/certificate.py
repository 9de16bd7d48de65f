"""The certificate: how far the parameters are from the global minimum, and how many of their digits can be trusted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradline.maths.problem import rounding_of_columns
from gradline.maths.quadratic import EPSILON
from gradline.types import finite_or_none

if TYPE_CHECKING:
    from gradline.maths.problem import Problem
    from gradline.maths.quadratic import Solution
    from gradline.types import FloatArray, Json

MOST_DIGITS = -float(np.log10(EPSILON))
MANY_FEATURES = 256  # past them a (p, p) inverse is as much work as the solution itself
MOMENT_ROUNDING = 4.0 * EPSILON  # of a second moment, to its columns' deviations


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is proved about the parameters.

    kind: `exact` (from the moments), `duality_gap`, `bound` or `none`.  objective, minimum, gap: J, J* and J − J* on the
    training rows, in squared target units; `rounding` bounds the error of J* from the rounding of the moments.
    relative_gap: gap / J(w = 0, b = mean y): how much R² is left on the table.  coefficient_error: the largest distance of a
    coefficient from its minimiser, in deviations of the target per deviation of the feature.
    curvature_max, curvature_min, condition: L, μ and κ = L/μ of H in the loop's coordinates.
    trusted_digits: −log10 of the largest |error of w_j|·s_j relative to max_k |w_k|·s_k, from the rounding of the float64
    data and the remaining gap together; None where a coefficient is not identifiable.
    """

    kind: str
    objective: float
    minimum: float | None
    gap: float | None
    relative_gap: float | None
    coefficient_error: float | None
    rounding: float | None
    curvature_max: float | None
    curvature_min: float | None
    condition: float | None
    trusted_digits: float | None

    def to_json(self) -> Json:
        """The entry `certificate` of the JSON documents: no NaN, no Infinity."""
        return {name: value if isinstance(value, str) else finite_or_none(value) for name, value in asdict(self).items()}


def certify(problem: Problem, theta: FloatArray) -> Certificate:
    """The exact certificate of θ (k,), in the loop's coordinates."""
    gap = problem.gap(theta)
    return Certificate(
        kind="exact",
        objective=problem.reference.minimum + gap,
        minimum=problem.reference.minimum,
        gap=gap,
        relative_gap=gap / problem.baseline,
        coefficient_error=problem.coefficient_error(theta),
        rounding=problem.reference.rounding,
        curvature_max=problem.solution.curvature_max,
        curvature_min=problem.solution.curvature_min,
        condition=problem.solution.condition,
        trusted_digits=trusted_digits(problem, theta),
    )


def trusted_digits(problem: Problem, theta: FloatArray) -> float | None:
    """Digits of the coefficients that the rounding of the data and of the moments, and the remaining distance, leave."""
    if problem.reference.null:
        return None
    p = len(problem.names)
    slopes = np.abs(problem.coordinates.to_standard(theta)[:p])  # |w_k| s_k
    remaining = problem.remaining(theta)[:p]
    largest = float(slopes.max())
    if largest == 0.0:  # relative to nothing: no digit is right, unless zero is the minimiser itself
        return 0.0 if remaining.any() else None
    columns = rounding_of_columns(problem.coordinates, None if problem.exact is None else problem.exact.whole[:-1])
    spread = _spread(problem.reference, np.column_stack([columns, _off_by(problem, slopes)]))
    error = _from_data(problem, slopes, columns, spread[:, 0]) + remaining
    if problem.exact is None:
        error = error + spread[:, 1]
    return _digits(float(error.max()) / largest)


def moment_digits(problem: Problem) -> float:
    """Digits of the minimiser that the rounding of the moments leaves; 0 where a coefficient is not identifiable.

    Of many features ‖H⁻¹‖ takes the place of |H⁻¹|, and they are at least so many.
    """
    p = len(problem.names)
    slopes = np.abs(problem.reference.minimiser[:p])
    largest = float(slopes.max())
    if problem.reference.null:
        return 0.0
    if largest == 0.0:
        return MOST_DIGITS
    off = _off_by(problem, slopes)
    if p > MANY_FEATURES:
        return _digits(float(np.linalg.norm(off)) / problem.reference.curvature_min / largest)
    return _digits(float(_spread(problem.reference, off[:, None]).max()) / largest)


def _spread(solution: Solution, sizes: FloatArray) -> FloatArray:
    """|H⁻¹| times errors of the size (p, c) in the weights' components, (p, c)."""
    p, k = len(sizes), len(solution.minimiser)
    return solution.absolute_inverse_times(np.pad(sizes, ((0, k - p), (0, 0))))[:p]


def _digits(error: float) -> float:
    return float(np.clip(-np.log10(max(error, EPSILON)), 0.0, MOST_DIGITS)) if np.isfinite(error) else 0.0


def rounding_of_fit(problem: Problem, slopes: FloatArray) -> float:
    """How far the predictions and the target may be, by their rounding, from what they stand for: the root of a mean square.

    slopes: (p,) |w_k| s_k.
    """
    whole = None if problem.exact is None else problem.exact.whole
    target = 0.0
    if whole is None or not whole[-1]:
        target = EPSILON * float(np.hypot(problem.target_deviation, problem.training.mean[-1]))
    columns = rounding_of_columns(problem.coordinates, None if whole is None else whole[:-1])
    return float(columns @ slopes) + target


def _from_data(problem: Problem, slopes: FloatArray, columns: FloatArray, spread: FloatArray) -> FloatArray:
    """How far each |w_j| s_j may move where every number is changed by ε of itself, (p,).

    With Z = X in deviations, r the residuals, δ the root mean square change of a column, and H⁻¹ that of Z'Z/m:

        dw = H⁻¹ (dZ'r + Z'(dy − dZ w))/m,   |dw_j| ≤ Σ_k |H⁻¹_jk| δ_k √mean r² + √H⁻¹_jj (Σ_k δ_k |w_k| + δ_y)

    (Higham, Accuracy and Stability of Numerical Algorithms, 20.1), to first order; √mean r² is that of the changed data. Past
    that, where the changes could make the columns dependent, no digit is sure. columns: (p,) δ.  spread: (p,) |H⁻¹|δ.
    """
    reach = np.sqrt(problem.reference.inverse_diagonal()[: len(slopes)])
    moved = rounding_of_fit(problem, slopes)
    residual = np.sqrt(2.0 * problem.reference.minimum) + moved
    dependent = float(columns @ reach)
    if dependent >= 0.5:
        return np.full(len(slopes), np.inf)
    error: FloatArray = (spread * residual + reach * moved) / (1.0 - dependent) ** 2 + EPSILON * slopes
    return error


def _off_by(problem: Problem, slopes: FloatArray) -> FloatArray:
    """What each component of Hθ − c is off by, from the rounding of float64 moments, (p,); times |H⁻¹| it is that of |w_j| s_j."""
    p = len(problem.names)
    offset = np.zeros(p) if problem.coordinates.intercept else problem.coordinates.mean / problem.coordinates.deviation
    size = np.hypot(1.0, offset)
    target = problem.target_deviation
    if not problem.coordinates.intercept:
        target = float(np.hypot(target, problem.training.mean[-1]))
    off: FloatArray = MOMENT_ROUNDING * size * (float(size @ slopes) + target)
    return off

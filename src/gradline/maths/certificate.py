"""The certificate: how far the parameters are from the global minimum, and how many of their digits can be trusted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradline.maths.quadratic import EPSILON
from gradline.types import finite_or_none

if TYPE_CHECKING:
    from gradline.maths.problem import Problem
    from gradline.types import FloatArray, Json

MOST_DIGITS = -float(np.log10(EPSILON))


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
    """Digits of the coefficients that the rounding of the data and of the moments, and the remaining distance, leave.

    A relative change ε of each entry x of column k changes the standardised second moments by at most
    ε(γ_k + γ_l), γ_k = 1 + |mean_k|/s_k; the coefficients move by at most |H⁻¹| times that (a first-order componentwise
    bound: Higham, Accuracy and Stability of Numerical Algorithms, 7.2).
    """
    if problem.reference.null:
        return None
    p = len(problem.names)
    coordinates = problem.coordinates
    slopes = np.abs(coordinates.to_standard(theta)[:p])  # |w_k| s_k
    remaining = problem.remaining(theta)[:p]
    largest = float(slopes.max())
    if largest == 0.0:  # relative to nothing: no digit is right, unless zero is the minimiser itself
        return 0.0 if remaining.any() else None
    offsets = 1.0 + np.abs(coordinates.mean) / coordinates.deviation
    target_offset = problem.target_deviation + abs(float(problem.training.mean[-1]))
    perturbation = EPSILON * (
        offsets * (float(slopes.sum()) + problem.target_deviation) + float(offsets @ slopes) + target_offset
    )
    error = problem.reference.absolute_inverse()[:p, :p] @ perturbation + remaining
    return float(np.clip(-np.log10(max(float(error.max()) / largest, EPSILON)), 0.0, MOST_DIGITS))

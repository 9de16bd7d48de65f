"""The certificate: how far the parameters are from the global minimum, and how many of their digits can be trusted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradline.maths.coordinates import Coordinates
from gradline.maths.quadratic import EPSILON, quadratic_loss, solve
from gradline.types import finite_or_none

if TYPE_CHECKING:
    from gradline.maths.moments import Moments
    from gradline.maths.quadratic import QuadraticLoss, Solution
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


def baseline_objective(moments: Moments) -> float:
    """J(w = 0, b = mean y) = ½ variance of the target, the last column of the moments."""
    return 0.5 * float(moments.comoment[-1, -1]) / moments.weight


def certify(
    theta: FloatArray, gradient: FloatArray, loss: QuadraticLoss, solution: Solution, moments: Moments, coordinates: Coordinates
) -> Certificate:
    """The exact certificate of θ; `gradient` is ∇J(θ), `moments` those of the p features and the target."""
    baseline = baseline_objective(moments)
    gap = solution.gap(gradient)
    remaining = np.abs(coordinates.in_deviations(solution.distance(gradient)))
    return Certificate(
        kind="exact",
        objective=solution.minimum + gap,
        minimum=solution.minimum,
        gap=gap,
        relative_gap=gap / baseline if baseline > 0.0 else None,
        coefficient_error=float(remaining.max()) / np.sqrt(2.0 * baseline) if baseline > 0.0 else None,
        rounding=solution.rounding,
        curvature_max=solution.curvature_max,
        curvature_min=solution.curvature_min,
        condition=solution.condition,
        trusted_digits=trusted_digits(theta, remaining[:-1], loss, solution, moments, coordinates),
    )


def trusted_digits(
    theta: FloatArray,
    remaining: FloatArray,
    loss: QuadraticLoss,
    solution: Solution,
    moments: Moments,
    coordinates: Coordinates,
) -> float | None:
    """Digits of the coefficients that the rounding of the data and of the moments, and the remaining distance, leave.

    A relative change ε of each entry x of column k changes the standardised second moments by at most
    ε(γ_k + γ_l), γ_k = 1 + |mean_k|/s_k; the coefficients move by at most |H⁻¹| times that (a first-order componentwise
    bound: Higham, Accuracy and Stability of Numerical Algorithms, 7.2).
    """
    if solution.null:
        return None
    if coordinates.name != "standard":
        standard = Coordinates.of("standard", coordinates.mean, coordinates.deviation, intercept=coordinates.intercept)
        loss = quadratic_loss(moments, standard, loss.l2)
        solution = solve(loss)
        if solution.null:
            return None
    p = len(coordinates.mean)
    slopes = np.abs(coordinates.in_deviations(theta)[:p])  # |w_k| s_k
    largest = float(slopes.max(initial=0.0))
    if largest == 0.0:
        return None
    target_deviation = float(np.sqrt(moments.comoment[-1, -1] / moments.weight))
    offsets = 1.0 + np.abs(moments.mean[:p]) / coordinates.deviation
    target_offset = target_deviation + abs(float(moments.mean[-1]))
    perturbation = EPSILON * (offsets * (float(slopes.sum()) + target_deviation) + float(offsets @ slopes) + target_offset)
    error = solution.absolute_inverse()[:p, :p] @ perturbation + remaining
    return float(np.clip(-np.log10(max(float(error.max()) / largest, EPSILON)), 0.0, MOST_DIGITS))

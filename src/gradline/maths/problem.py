"""A problem to descend on: the loss in the loop's coordinates, and the yardstick in standard ones.

How far an iterate is from the minimum is judged in standard coordinates, whatever the loop's are: there no unit and no offset
of a column can hide a direction behind rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.maths.coordinates import Coordinates
from gradline.maths.exact import combinations, minimise
from gradline.maths.levels import solved
from gradline.maths.quadratic import EPSILON, REFINEMENTS, SquaredError, baseline_objective, quadratic_loss
from gradline.types import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gradline.maths.exact import ExactMoments
    from gradline.maths.levels import Category
    from gradline.maths.moments import Moments
    from gradline.maths.quadratic import QuadraticLoss, Solution
    from gradline.types import BoolArray, FloatArray, IntArray

SHARE = 1e-6  # of a direction, from which a column has a part in it
TOO_FLAT = 1e-12  # of a curvature to the steepest one


class Exact(NamedTuple):
    """What exact moments tell. theta, theta_low: the minimiser in the loop's coordinates as the sum of two, (k,).  whole: (p+1,)
    whether a column (the target is the last) holds whole numbers alone, which have not been rounded.  losses: by role.
    """

    theta: FloatArray
    theta_low: FloatArray
    whole: BoolArray
    losses: Mapping[Role, QuadraticLoss]


@dataclass(frozen=True, slots=True)
class Problem:
    """names: of the p features.  moments: of the features and then the target, by role.  baseline: J(w = 0, b = mean y).

    loss, solution: in the loop's coordinates.  reference: the same minimum in standard coordinates.
    validation: the loss on the validation rows without the penalty, None without such rows.
    exact: None where the moments are those of one read in float64.
    """

    names: tuple[str, ...]
    moments: Mapping[Role, Moments]
    coordinates: Coordinates
    loss: QuadraticLoss
    validation: QuadraticLoss | SquaredError | None
    solution: Solution
    reference: Solution
    baseline: float
    exact: Exact | None = None

    @property
    def training(self) -> Moments:
        """The moments of the training rows."""
        return self.moments[Role.TRAINING]

    @property
    def target_deviation(self) -> float:
        """The standard deviation of the target on the training rows."""
        return float(np.sqrt(2.0 * self.baseline))

    @property
    def identity(self) -> tuple[FloatArray, ...]:
        """Arrays that other data would not have."""
        return self.loss.hessian, self.loss.linear, self.loss.spread, self.loss.offset

    def loss_of(self, role: Role) -> QuadraticLoss | SquaredError:
        """The squared error of a role's rows, without the penalty."""
        if self.exact is not None:
            return self.exact.losses[role]
        if role is Role.TRAINING and not self.loss.penalty.any():
            return self.loss
        if role is Role.VALIDATION and self.validation is not None:
            return self.validation
        return SquaredError(self.moments[role], self.coordinates)

    def gap(self, theta: FloatArray) -> float:
        """J(θ) − J*, in squared target units; θ in the loop's coordinates."""
        return self.reference.gap(self.coordinates.to_standard(theta))

    def remaining(self, theta: FloatArray) -> FloatArray:
        """|θ − θ*| in standard coordinates, (k,): in target units per deviation of each feature."""
        return np.abs(self.reference.distance(self.coordinates.to_standard(theta)))

    def coefficient_error(self, theta: FloatArray) -> float:
        """The largest distance of a coefficient from its minimiser, in deviations of the target per deviation of the feature."""
        return float(self.remaining(theta).max()) / self.target_deviation


def pose(
    names: tuple[str, ...], moments: Mapping[Role, Moments], coordinates: Coordinates, l2: float, category: Category | None = None
) -> Problem:
    """The problem of these moments; `l2` is λ in the loop's coordinates. category: one that is worth to be solved by; the spectrum
    is then known at its ends, and as a forecast sees it.
    """
    training = moments[Role.TRAINING]
    held_out = moments.get(Role.VALIDATION)
    loss = quadratic_loss(training, coordinates, l2)
    solution = reference = solved(loss, coordinates.scale, category)
    if coordinates.name != "standard":
        penalty = l2 * (coordinates.scale / coordinates.deviation) ** 2  # the same penalty, in the other coordinates
        standard = coordinates.standard()
        reference = solved(quadratic_loss(training, standard, penalty), standard.scale, category)
    return Problem(
        names,
        moments,
        coordinates,
        loss,
        None if held_out is None or held_out.weight == 0.0 else SquaredError(held_out, coordinates),
        solution,
        reference,
        baseline_objective(training),
    )


def pose_exact(problem: Problem, exact: Mapping[Role, ExactMoments], l2: float) -> Problem:
    """The same problem, in standard coordinates, from exact moments; `l2` as in `pose`."""
    coordinates, training = problem.coordinates, exact[Role.TRAINING]
    moments = {
        role: replace(exact[role].moments(found.columns), rows=found.rows)
        for role, found in problem.moments.items()
        if role in exact
    }
    losses = {role: found.loss(coordinates, np.zeros(len(coordinates.mean))) for role, found in exact.items()}
    penalty = np.full(len(coordinates.mean), l2)
    loss = training.loss(coordinates, penalty) if l2 else losses[Role.TRAINING]
    whole = training.sums.whole
    found = minimise(training, coordinates, penalty, 0.5 * rounding_of_columns(coordinates, whole[:-1]))
    solution = found.solution(coordinates)
    theta = found.theta(coordinates)
    low = np.array([float(t - Fraction(float(t))) for t in theta])
    return replace(
        problem,
        moments={**problem.moments, **moments},
        loss=loss,
        validation=losses.get(Role.VALIDATION),
        solution=solution,
        reference=solution,
        baseline=baseline_objective(moments[Role.TRAINING]),
        exact=Exact(solution.minimiser, low, whole, losses),
    )


def combined(problem: Problem) -> IntArray:
    """The features that have a part in a direction without curvature."""
    directions = np.abs(problem.reference.vectors[: len(problem.names), : problem.reference.null])
    return np.flatnonzero(np.any(directions > SHARE * directions.max(axis=0), axis=1))


def confirmed(problem: Problem, features: IntArray, sample: ExactMoments) -> bool:
    """Whether the combinations that float64 moments see are ones, but for the rounding of the columns, in a sample of the rows too.

    features: `combined`, those that the sample's moments are of.
    """
    mean, deviation = problem.coordinates.mean[features], problem.coordinates.deviation[features]
    coordinates = Coordinates.of("standard", mean, deviation, intercept=problem.coordinates.intercept)
    perturbation = 0.5 * rounding_of_columns(coordinates, sample.sums.whole[:-1])
    return combinations(sample, coordinates, perturbation) >= problem.reference.null


def too_flat(problem: Problem) -> FloatArray | None:
    """The directions that `followed` leaves out, (k, f) unit vectors; None where there are none."""
    null, more = problem.solution.null, followed(problem).solution.null
    return problem.solution.vectors[:, null:more] if more > null else None


def followed(problem: Problem) -> Problem:
    """The same problem without the directions that are too flat for steps in float64: what the loop is to be judged by."""
    values = problem.solution.eigenvalues
    null = max(problem.solution.null, int(np.count_nonzero(values < TOO_FLAT * values[-1])))
    if problem.exact is None or null == problem.solution.null:
        return problem
    solution = replace(problem.solution, null=null, minimiser=np.zeros_like(problem.solution.minimiser))
    minimiser = solution.minimiser  # not the projection of θ*, whose part along the flat directions may be 1e12 times the rest
    for _ in range(1 + REFINEMENTS):
        minimiser = minimiser - solution.inverse_times(problem.loss.gradient(minimiser))
    solution = replace(solution, minimiser=minimiser)
    return replace(problem, solution=solution, reference=solution)


def rounding_of_columns(coordinates: Coordinates, whole: BoolArray | None = None) -> FloatArray:
    """ε √mean(x²)/s of each feature, (p,): how far it may be from the real numbers it stands for; 0 for whole numbers."""
    size = EPSILON * np.hypot(1.0, coordinates.mean / coordinates.deviation)
    return size if whole is None else np.where(whole, 0.0, size)

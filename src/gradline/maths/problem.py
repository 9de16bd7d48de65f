"""A problem to descend on: the loss in the loop's coordinates, and the yardstick in standard ones.

How far an iterate is from the minimum is judged in standard coordinates, whatever the loop's are: there no unit and no offset
of a column can hide a direction behind rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradline.maths.quadratic import baseline_objective, quadratic_loss, solve
from gradline.types import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gradline.maths.coordinates import Coordinates
    from gradline.maths.moments import Moments
    from gradline.maths.quadratic import QuadraticLoss, Solution
    from gradline.types import FloatArray


@dataclass(frozen=True, slots=True)
class Problem:
    """names: of the p features.  moments: of the features and then the target, by role.  baseline: J(w = 0, b = mean y).

    loss, solution: in the loop's coordinates.  reference: the same minimum in standard coordinates.
    validation: the loss on the validation rows without the penalty, None without such rows.
    """

    names: tuple[str, ...]
    moments: Mapping[Role, Moments]
    coordinates: Coordinates
    loss: QuadraticLoss
    validation: QuadraticLoss | None
    solution: Solution
    reference: Solution
    baseline: float

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

    def gap(self, theta: FloatArray) -> float:
        """J(θ) − J*, in squared target units; θ in the loop's coordinates."""
        return self.reference.gap(self.coordinates.to_standard(theta))

    def remaining(self, theta: FloatArray) -> FloatArray:
        """|θ − θ*| in standard coordinates, (k,): in target units per deviation of each feature."""
        return np.abs(self.reference.distance(self.coordinates.to_standard(theta)))

    def coefficient_error(self, theta: FloatArray) -> float:
        """The largest distance of a coefficient from its minimiser, in deviations of the target per deviation of the feature."""
        return float(self.remaining(theta).max()) / self.target_deviation


def pose(names: tuple[str, ...], moments: Mapping[Role, Moments], coordinates: Coordinates, l2: float) -> Problem:
    """The problem of these moments; `l2` is λ in the loop's coordinates."""
    training = moments[Role.TRAINING]
    held_out = moments.get(Role.VALIDATION)
    loss = quadratic_loss(training, coordinates, l2)
    solution = reference = solve(loss)
    if coordinates.name != "standard":
        penalty = l2 * (coordinates.scale / coordinates.deviation) ** 2  # the same penalty, in the other coordinates
        reference = solve(quadratic_loss(training, coordinates.standard(), penalty))
    return Problem(
        names,
        moments,
        coordinates,
        loss,
        None if held_out is None or held_out.weight == 0.0 else quadratic_loss(held_out, coordinates),
        solution,
        reference,
        baseline_objective(training),
    )

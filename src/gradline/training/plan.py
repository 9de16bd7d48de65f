"""The plan: oracle, update rule, learning rate and number of steps, decided and explained before the first step."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gradline.errors import StabilityError, UsageError, plural
from gradline.maths.quadratic import EPSILON
from gradline.training.stopping import COEFFICIENT_TOLERANCE, GAP_TOLERANCE
from gradline.types import finite_or_none
from gradline.updates import conjugate_gradient, gradient_descent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gradline.maths.problem import Problem
    from gradline.maths.quadratic import Solution
    from gradline.training.config import TrainConfig
    from gradline.types import FloatArray, Json
    from gradline.updates.base import UpdateRule

FEW_STEPS = 1_000  # up to so many, plain gradient descent is taken: a step costs microseconds
FEW_READS = 50  # the same where every step is a read of the data
LEAST_BUDGET = 10_000
MOST_BUDGET = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done. learning_rate_limit: the largest stable α of the rule, None where the rule has none.

    predicted_steps: to the certificate's tolerance, None where it is not reached.  overflow_step: where J would overflow.
    stages: what is done in which order.  reasons: why, in sentences.
    """

    oracle: str
    optimizer: str
    learning_rate: float | None
    learning_rate_limit: float | None
    coordinates: str
    predicted_steps: int | None
    overflow_step: int | None
    stages: tuple[str, ...]
    reasons: tuple[str, ...]

    def to_json(self) -> Json:
        """The entry `plan` of the JSON documents."""
        return asdict(self) | {
            "learning_rate": finite_or_none(self.learning_rate),
            "learning_rate_limit": finite_or_none(self.learning_rate_limit),
            "stages": list(self.stages),
            "reasons": list(self.reasons),
        }

    def rule(self) -> UpdateRule[Any]:
        """The update rule."""
        if self.optimizer == conjugate_gradient.NAME:
            return conjugate_gradient.ConjugateGradient()
        assert self.learning_rate is not None
        return gradient_descent.GradientDescent(self.learning_rate)

    def budget(self, asked: int | None) -> int:
        """The largest number of steps: as asked for, or what the prediction needs with room to spare."""
        if asked is not None:
            return asked
        if self.predicted_steps is None:
            return LEAST_BUDGET
        return min(max(LEAST_BUDGET, self.predicted_steps + self.predicted_steps // 5), MOST_BUDGET)


def tolerance_reached(problem: Problem) -> Callable[[float, Callable[[], FloatArray]], bool]:
    """Whether a gap and a distance θ − θ* (of the loop's coordinates) are within the certificate's tolerance."""

    def reached(gap: float, distance: Callable[[], FloatArray]) -> bool:
        if gap > GAP_TOLERANCE * problem.baseline:
            return False
        error = np.abs(problem.coordinates.to_standard(distance())).max()
        return bool(error <= COEFFICIENT_TOLERANCE * problem.target_deviation)

    return reached


def make_plan(config: TrainConfig, problem: Problem, theta: FloatArray, reads: int) -> Plan:
    """The plan for a problem, from the start θ. Raises StabilityError for an unstable α."""
    solution, coordinates = problem.solution, problem.coordinates
    if solution.null > problem.reference.null and not config.force:
        raise StabilityError(
            f"in the coordinates --scaling {coordinates.name} the condition number is past what float64 can follow "
            f"(over 1e{-int(np.log10(EPSILON)):d}): the loop could not move along {solution.null - problem.reference.null} directions.",
            "use --scaling standard, or subtract offsets from the columns first.",
        )
    reached = tolerance_reached(problem)
    limit = gradient_descent.learning_rate_limit(solution)
    alpha = config.learning_rate or gradient_descent.best_learning_rate(solution)
    descent_steps = gradient_descent.predicted_steps(solution, theta, alpha, reached)
    oracle = "streamed" if config.oracle == "streamed" else "moments"
    few = FEW_READS if oracle == "streamed" else FEW_STEPS
    reasons = [
        "one read gives the moments, and with them every later gradient exactly"
        if oracle == "moments"
        else "every step reads all rows, as asked for; the moments of the first read serve scaling and certificate"
    ]
    optimizer = config.optimizer
    if optimizer == "auto":
        plain = config.learning_rate is not None or (descent_steps is not None and descent_steps <= few)
        optimizer = gradient_descent.NAME if plain else conjugate_gradient.NAME
        needed = plural(descent_steps, "step") if descent_steps is not None else "too many steps"
        reasons.append(
            "the learning rate is given, so the rule is gradient descent"
            if config.learning_rate is not None
            else f"gradient descent needs {needed} at condition {solution.condition:,.0f}"
            + ("" if plain else "; conjugate gradients need far fewer")
        )
    stages = (f"{'two reads' if reads == 2 else 'one read'}: moments", f"{optimizer} on {oracle}")
    if optimizer == conjugate_gradient.NAME:
        if config.learning_rate is not None:
            raise UsageError("conjugate gradients choose their own step sizes; --learning-rate has no meaning there.")
        ceiling = 10 * len(theta) + 1_000
        steps = conjugate_gradient.predicted_steps(solution, theta, reached, ceiling)
        return Plan(oracle, optimizer, None, None, coordinates.name, steps, None, stages, tuple(reasons))
    overflow = None
    if alpha >= limit:
        overflow = gradient_descent.overflow_step(solution, theta, alpha)
        if not config.force:
            raise StabilityError(*_refusal(alpha, limit, solution, problem.names, overflow))
    reasons.append(
        "the learning rate is the best fixed one, 2/(μ + L)" if config.learning_rate is None else "the learning rate is as given"
    )
    return Plan(oracle, optimizer, alpha, limit, coordinates.name, descent_steps, overflow, stages, tuple(reasons))


def steepest_features(solution: Solution, names: Sequence[str], most: int = 3) -> list[str]:
    """The features that make up most of the eigenvectors of L, the first directions to diverge."""
    steepest = solution.eigenvalues >= (1.0 - 1e-9) * solution.curvature_max
    share = np.sum(solution.vectors[:, steepest] ** 2, axis=1)  # (k,)
    order = np.argsort(-share, kind="stable")[:most]
    labels = [*names, "the intercept"]
    return [labels[j] for j in order if share[j] >= 0.1 * share[order[0]]]


def _refusal(alpha: float, limit: float, solution: Solution, names: Sequence[str], overflow: int | None) -> tuple[str, str]:
    growth = alpha * solution.curvature_max - 1.0
    where = " and ".join(steepest_features(solution, names))
    what = (
        f"the error along {where} would grow {growth:.3g}-fold a step, and the loss would overflow at step {overflow:,}"
        if overflow is not None
        else f"the error along {where} would never shrink"
    )
    return (
        f"the learning rate {alpha:.6g} is not stable: gradient descent needs less than 2/L = {limit:.6g}; {what}.",
        f"leave it to gradline (--learning-rate auto), take {limit / 2:.6g}, or see it diverge with --force.",
    )

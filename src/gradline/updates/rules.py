"""The rules by their names, each tuned to a spectrum, with what can be foretold of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gradline.updates import adam, averaged, barzilai_borwein, conjugate_gradient, gradient_descent, heavy_ball, lbfgs, nesterov
from gradline.updates.backtracking import SCHEDULE, Backtracking
from gradline.updates.forecast import recurrent_steps, spectral_radius, walked_steps
from gradline.updates.schedules import Constant, Cosine, InverseTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.maths.quadratic import Solution
    from gradline.types import FloatArray
    from gradline.updates.base import UpdateRule
    from gradline.updates.forecast import Reached
    from gradline.updates.schedules import Schedule

NAMES = (
    gradient_descent.NAME,
    heavy_ball.NAME,
    nesterov.NAME,
    barzilai_borwein.NAME,
    conjugate_gradient.NAME,
    lbfgs.NAME,
    adam.NAME,
)  # with exact gradients
ON_BATCHES = (gradient_descent.NAME, averaged.NAME, heavy_ball.NAME, nesterov.NAME, adam.NAME)
SELF_PACED = (barzilai_borwein.NAME, conjugate_gradient.NAME, lbfgs.NAME)  # no learning rate to give
SCHEDULED = (gradient_descent.NAME, adam.NAME)
MOST_WALKED = 20_000
ADAM_RATE = 0.05  # of the largest standardised parameter, where none is given


@dataclass(frozen=True, slots=True)
class Candidate:
    """A rule on one problem. limit: the largest stable α, None where there is none.  steps: predicted, None where they are not
    foretold or the tolerance is not reached.  overflow: the step at which J overflows, if it does.
    """

    rule: UpdateRule[Any]
    limit: float | None
    steps: int | None
    overflow: int | None

    @property
    def stable(self) -> bool:
        """Whether α is below the limit."""
        return self.limit is None or self.rule.learning_rate is None or self.rule.learning_rate < self.limit


def candidate(
    name: str,
    solution: Solution,
    theta: FloatArray,
    reached: Reached,
    learning_rate: float | None = None,
    schedule: str = "constant",
    horizon: int = 1_000,
) -> Candidate:
    """A rule by its name, from the start θ; `learning_rate` None takes the best one for the spectrum.

    schedule: `constant`, `inverse_time` or `cosine`, over `horizon` steps; or `backtracking`, with gradient descent.
    """
    solution = solution.seen_from(theta)
    if name == gradient_descent.NAME:
        alpha = learning_rate or gradient_descent.best_learning_rate(solution)
        if schedule == SCHEDULE:
            searched = Backtracking(alpha)
            return Candidate(searched, None, _searched_steps(searched, solution, theta, reached), None)
        limit = gradient_descent.learning_rate_limit(solution)
        overflow = gradient_descent.overflow_step(solution, theta, alpha) if alpha >= limit else None
        if schedule != "constant":
            return Candidate(
                gradient_descent.GradientDescent(alpha, schedule_of(schedule, alpha, horizon)), limit, None, overflow
            )
        steps = gradient_descent.predicted_steps(solution, theta, alpha, reached)
        return Candidate(gradient_descent.GradientDescent(alpha), limit, steps, overflow)
    if name in (heavy_ball.NAME, nesterov.NAME):
        recurrent = heavy_ball.best if name == heavy_ball.NAME else nesterov.best
        rule = recurrent(solution, learning_rate)
        limit = rule.limit(solution.curvature_max)
        if rule.learning_rate < limit:
            return Candidate(rule, limit, recurrent_steps(rule, solution, theta, reached), None)
        return Candidate(rule, limit, None, _recurrent_overflow(rule.transition(solution.eigenvalues), solution, theta))
    if name == adam.NAME:
        alpha = learning_rate or ADAM_RATE * float(np.abs(solution.minimiser - theta).max())
        return Candidate(adam.Adam(schedule_of(schedule, alpha, horizon)), None, None, None)
    if name == averaged.NAME:  # what is known of it is known of its noise: the plan knows
        return Candidate(averaged.AveragedSGD(learning_rate or gradient_descent.best_learning_rate(solution)), None, None, None)
    rules: dict[str, Callable[[], UpdateRule[Any]]] = {
        barzilai_borwein.NAME: barzilai_borwein.BarzilaiBorwein,
        conjugate_gradient.NAME: conjugate_gradient.ConjugateGradient,
        lbfgs.NAME: lbfgs.LBFGS,
    }
    paced = rules[name]()
    ceiling = min(10 * len(theta) + 1_000, MOST_WALKED)
    return Candidate(paced, None, walked_steps(paced, solution, theta, reached, ceiling), None)


def _searched_steps(rule: Backtracking, solution: Solution, theta: FloatArray, reached: Reached) -> int | None:
    """By walking; where that is long the steps of the best fixed α, which are somewhat more."""
    fixed = gradient_descent.predicted_steps(solution, theta, gradient_descent.best_learning_rate(solution), reached)
    if fixed is None or fixed > MOST_WALKED:
        return fixed
    with np.errstate(over="ignore", invalid="ignore"):  # a first trial may overflow
        return walked_steps(rule, solution, theta, reached, MOST_WALKED)


def schedule_of(name: str, alpha: float, horizon: int) -> Schedule:
    """A schedule by its name, over `horizon` steps."""
    match name:
        case "inverse_time":
            return InverseTime(alpha, max(horizon / 10.0, 1.0))
        case "cosine":
            return Cosine(alpha, horizon)
        case _:
            return Constant(alpha)


def _recurrent_overflow(transition: FloatArray, solution: Solution, theta: FloatArray) -> int | None:
    """The step at which J overflows, by the factor at which the fastest growing direction grows in the long run."""
    along = np.abs(solution.along(theta))
    growth = spectral_radius(transition)
    grows = (growth > 1.0) & (along > 0.0)
    if not grows.any():
        return None
    start = np.log(solution.eigenvalues[grows]) + 2.0 * np.log(along[grows])
    return int(np.ceil(((np.log(np.finfo(np.float64).max) - start) / (2.0 * np.log(growth[grows]))).min()))

"""The plan: oracle, update rule, learning rate and number of steps, decided and explained before the first step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gradline.errors import StabilityError, UsageError, plural
from gradline.maths.quadratic import EPSILON
from gradline.training.stopping import COEFFICIENT_TOLERANCE, GAP_TOLERANCE
from gradline.types import finite_or_none
from gradline.updates import adam, conjugate_gradient, gradient_descent, heavy_ball, lbfgs, nesterov, proximal, rules

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gradline.maths.losses import Loss
    from gradline.maths.noise import GradientNoise
    from gradline.maths.problem import Problem
    from gradline.maths.quadratic import Solution
    from gradline.training.config import TrainConfig
    from gradline.types import FloatArray, Json
    from gradline.updates.base import UpdateRule
    from gradline.updates.rules import Candidate

FEW_STEPS = 1_000  # up to so many, plain gradient descent is taken: a step costs microseconds
FEW_READS = 50  # the same where every step is a read of the data
LEAST_BUDGET = 10_000
MOST_BUDGET = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done. learning_rate_limit: the largest stable α of the rule, None where the rule has none.

    predicted_steps: to the certificate's tolerance, None where it is not foretold.  overflow_step: where J would overflow.
    noise_scale: the batch size beyond which a larger one hardly makes a better first step; noise_floor: the gap at which a constant
    α ends; both for mini-batches only.
    stages: what is done in which order.  reasons: why, in sentences.
    """

    oracle: str
    rule: UpdateRule[Any]
    learning_rate_limit: float | None
    coordinates: str
    predicted_steps: int | None
    overflow_step: int | None
    stages: tuple[str, ...]
    reasons: tuple[str, ...]
    noise_scale: float | None = None
    noise_floor: float | None = None

    @property
    def optimizer(self) -> str:
        """The rule's name."""
        return self.rule.name

    @property
    def learning_rate(self) -> float | None:
        """α of the first step, None where the rule chooses its own."""
        return self.rule.learning_rate

    @property
    def unstable(self) -> bool:
        """Whether α is at or past the limit of the rule."""
        limit, alpha = self.learning_rate_limit, self.learning_rate
        return limit is not None and alpha is not None and alpha >= limit

    def to_json(self) -> Json:
        """The entry `plan` of the JSON documents."""
        return {
            "oracle": self.oracle,
            "optimizer": self.optimizer,
            "learning_rate": finite_or_none(self.learning_rate),
            "learning_rate_limit": finite_or_none(self.learning_rate_limit),
            "coordinates": self.coordinates,
            "predicted_steps": self.predicted_steps,
            "overflow_step": self.overflow_step,
            "stages": list(self.stages),
            "reasons": list(self.reasons),
            "noise_scale": finite_or_none(self.noise_scale),
            "noise_floor": finite_or_none(self.noise_floor),
        }

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


def make_plan(config: TrainConfig, problem: Problem, theta: FloatArray, reads: int, noise: GradientNoise | None = None) -> Plan:
    """The plan for a problem, from the start θ; `noise` where the gradients are of mini-batches.

    Raises StabilityError for an unstable α.
    """
    solution, coordinates = problem.solution, problem.coordinates
    if solution.null > problem.reference.null and not config.force:
        raise StabilityError(
            f"in the coordinates --scaling {coordinates.name} the condition number is past what float64 can follow "
            f"(over 1e{-int(np.log10(EPSILON)):d}): the loop could not move along {solution.null - problem.reference.null} directions.",
            "use --scaling standard, or subtract offsets from the columns first.",
        )
    if noise is not None:
        return _minibatch_plan(config, problem, theta, noise)
    oracle = "streamed" if config.oracle == "streamed" else "moments"
    reasons = [
        "one read gives the moments, and with them every later gradient exactly"
        if oracle == "moments"
        else "every step reads all rows, as asked for; the moments of the first read serve scaling and certificate"
    ]
    chosen, why = _chosen(config, problem, theta, FEW_READS if oracle == "streamed" else FEW_STEPS)
    reasons += why
    if not chosen.stable and not config.force and config.on_divergence != "shrink":
        raise StabilityError(*_refusal(chosen, solution, problem.names))
    return Plan(
        oracle,
        chosen.rule,
        chosen.limit,
        coordinates.name,
        chosen.steps,
        chosen.overflow,
        (f"{'two reads' if reads == 2 else 'one read'}: moments", f"{chosen.rule.name} on {oracle}"),
        tuple(reasons),
    )


def _minibatch_plan(config: TrainConfig, problem: Problem, theta: FloatArray, noise: GradientNoise) -> Plan:
    """With mini-batches the stable α shrinks with B, and a constant α ends at a floor."""
    solution, batch = problem.solution, config.batch_size
    optimizer = gradient_descent.NAME if config.optimizer == "auto" else config.optimizer
    if optimizer in rules.SELF_PACED:
        raise UsageError(
            f"{optimizer} needs exact gradients; mini-batches are noisy.", "--optimizer gradient_descent, momentum or adam."
        )
    limit = noise.limit(solution, batch)
    plain = optimizer == gradient_descent.NAME
    alpha = config.learning_rate if config.learning_rate is not None or not plain else limit / 2.0
    horizon = config.max_steps or LEAST_BUDGET
    chosen = rules.candidate(optimizer, solution, theta, tolerance_reached(problem), alpha, config.schedule, horizon)
    chosen = replace(chosen, limit=limit if plain else chosen.limit, steps=None)
    if not chosen.stable and not config.force and config.on_divergence != "shrink":
        raise StabilityError(
            f"the learning rate {alpha:.6g} is not stable: with batches of {batch:,} rows gradient descent needs less than {chosen.limit:.6g} "
            "(mean-square bound, from a sample of the rows).",
            "leave it to gradline (--learning-rate auto), take larger batches, or see it diverge with --force.",
        )
    floor = noise.floor(solution, alpha, batch) if plain and alpha is not None and config.schedule == "constant" else None
    reasons = [
        f"every step reads {batch:,} rows; the moments of the first read serve scaling, stopping and certificate",
        f"beyond about {noise.scale:,.0f} rows a larger batch hardly makes a better first step",
    ]
    if floor is not None:
        share = floor / problem.baseline
        reasons.append(
            f"with a constant learning rate the gap ends at about {floor:.3g} ({share:.1g} of the variance to explain); a schedule goes below"
        )
    stages = ("two reads: moments, rows", f"{optimizer} on minibatch")
    return Plan(
        "minibatch", chosen.rule, chosen.limit, problem.coordinates.name, None, None, stages, tuple(reasons), noise.scale, floor
    )


ANY_LOSS = (gradient_descent.NAME, nesterov.NAME, lbfgs.NAME, adam.NAME)  # rules that do not need a quadratic


def general_plan(config: TrainConfig, problem: Problem, loss: Loss, noise: GradientNoise | None, reads: int) -> Plan:
    """For a loss without moments: 1/h times the curvature of squared error bounds its own, and its minimum is not known before."""
    noisy = noise is not None
    auto = gradient_descent.NAME if noisy else lbfgs.NAME
    optimizer = auto if config.optimizer == "auto" else config.optimizer
    if config.learning_rate is not None and config.optimizer == "auto":
        optimizer = gradient_descent.NAME
    if optimizer not in ANY_LOSS or (noisy and optimizer == lbfgs.NAME):
        allowed = [name for name in ANY_LOSS if not (noisy and name == lbfgs.NAME)]
        raise UsageError(f"{optimizer} does not suit --loss {loss.name}.", f"--optimizer {', '.join(allowed)}.")
    if config.schedule != "constant" and optimizer not in rules.SCHEDULED:
        raise UsageError(
            f"--schedule {config.schedule} needs a rule that takes one.", f"--optimizer {' or '.join(rules.SCHEDULED)}."
        )
    if optimizer == lbfgs.NAME and config.learning_rate is not None:
        raise UsageError("lbfgs chooses its own step sizes; --learning-rate has no meaning there.")
    steeper = replace(problem.solution, eigenvalues=problem.solution.eigenvalues * loss.curvature)
    limit = noise.limit(problem.solution, config.batch_size) / loss.curvature if noise is not None else None
    alpha = config.learning_rate
    if alpha is None and optimizer == gradient_descent.NAME:
        alpha = limit / 2.0 if limit is not None else 1.0 / steeper.curvature_max
    start, horizon = np.zeros_like(steeper.minimiser), config.max_steps or LEAST_BUDGET
    chosen = rules.candidate(optimizer, steeper, start, lambda gap, distance: True, alpha, config.schedule, horizon)
    if limit is not None and optimizer == gradient_descent.NAME:
        chosen = replace(chosen, limit=limit)
    if not chosen.stable and not config.force and config.on_divergence != "shrink":
        raise StabilityError(
            f"the learning rate {chosen.rule.learning_rate:.6g} is not known to be stable: --loss {loss.name} needs less than {chosen.limit:.6g}.",
            "leave it to gradline (--learning-rate auto), or try it with --force.",
        )
    oracle = "minibatch" if noisy else "streamed"
    reasons = [f"{loss.name} loss has no moments: the rows are kept, and every step reads {'some' if noisy else 'all'} of them"]
    reasons.append("least squares, from the moments, is the start; the duality gap proves how far the minimum is")
    if loss.name == "pinball":
        reasons.append(f"the corner of the pinball loss is smoothed over {loss.width:.3g}; the certificate is of the loss itself")
    stages = (f"{reads} reads: moments, rows", "least squares from the moments", f"{optimizer} on {oracle}")
    scale = None if noise is None else noise.scale
    return Plan(oracle, chosen.rule, chosen.limit, problem.coordinates.name, None, None, stages, tuple(reasons), scale, None)


def elastic_plan(config: TrainConfig, problem: Problem, noise: GradientNoise | None) -> Plan:
    """With λ₁‖w‖₁: proximal steps, accelerated where the gradients are exact."""
    p, L = len(problem.names), problem.solution.curvature_max
    names = (gradient_descent.NAME,) if noise is not None else (gradient_descent.NAME, nesterov.NAME)
    plain = noise is not None or config.optimizer == gradient_descent.NAME
    if config.optimizer not in ("auto", *names):
        raise UsageError(
            f"{config.optimizer} does not take the proximal steps that --l1 needs.", f"--optimizer {' or '.join(names)}."
        )
    if config.schedule not in ("constant", "inverse_time", "cosine") or (config.schedule != "constant" and not plain):
        raise UsageError(f"--schedule {config.schedule} needs a rule that takes one.", f"--optimizer {gradient_descent.NAME}.")
    limit = noise.limit(problem.solution, config.batch_size) if noise is not None else (2.0 if plain else 4.0 / 3.0) / L
    alpha = config.learning_rate or (limit / 2.0 if noise is not None else 1.0 / L)
    if alpha >= limit and not config.force and config.on_divergence != "shrink":
        raise StabilityError(
            f"the learning rate {alpha:.6g} is not stable: proximal steps need less than {limit:.6g}.",
            "leave it to gradline (--learning-rate auto), or see it diverge with --force.",
        )
    name = gradient_descent.NAME if plain else nesterov.NAME
    schedule = rules.schedule_of(config.schedule, alpha, config.max_steps or LEAST_BUDGET)
    rule = proximal.ProximalGradient(name, schedule, config.l1, p, accelerated=not plain)
    oracle = "minibatch" if noise is not None else "streamed" if config.oracle == "streamed" else "moments"
    reasons = (
        "λ₁‖w‖₁ has a corner at zero: each step is followed by its proximal map, which sets small coefficients to zero",
        "the duality gap, from the moments, proves how far the minimum is",
    )
    stages = ("one read: moments", f"{name} with proximal steps on {oracle}")
    scale = None if noise is None else noise.scale
    return Plan(oracle, rule, limit, problem.coordinates.name, None, None, stages, reasons, scale, None)


def candidates(problem: Problem, theta: FloatArray) -> list[Candidate]:
    """Every rule at its best on a problem, for the table that `gradline plan` shows."""
    return [rules.candidate(name, problem.solution, theta, tolerance_reached(problem)) for name in rules.NAMES]


def _chosen(config: TrainConfig, problem: Problem, theta: FloatArray, few: int) -> tuple[Candidate, list[str]]:
    """The rule asked for, or the plainest that is quick; and why."""
    reached = tolerance_reached(problem)
    given = config.learning_rate is not None
    if given and config.optimizer in rules.SELF_PACED:
        raise UsageError(f"{config.optimizer} chooses its own step sizes; --learning-rate has no meaning there.")
    if config.schedule != "constant" and config.optimizer not in rules.SCHEDULED:
        raise UsageError(
            f"--schedule {config.schedule} needs a rule that takes one.", f"--optimizer {' or '.join(rules.SCHEDULED)}."
        )

    def candidate(name: str) -> Candidate:
        horizon = config.max_steps or LEAST_BUDGET
        return rules.candidate(name, problem.solution, theta, reached, config.learning_rate, config.schedule, horizon)

    if config.optimizer != "auto":
        return candidate(config.optimizer), [_rate_reason(config.optimizer, given=given)]
    plain = candidate(gradient_descent.NAME)
    if given:
        return plain, ["the learning rate is given, so the rule is gradient descent"]
    needed = plural(plain.steps, "step") if plain.steps is not None else "too many steps"
    at = f"gradient descent needs {needed} at condition {problem.solution.condition:,.0f}"
    if plain.steps is not None and plain.steps <= few:
        return plain, [at, _rate_reason(gradient_descent.NAME, given=False)]
    return candidate(conjugate_gradient.NAME), [at + "; conjugate gradients need far fewer"]


def _rate_reason(optimizer: str, *, given: bool) -> str:
    if optimizer in rules.SELF_PACED:
        return "the rule chooses its own step sizes"
    if given:
        return "the learning rate is as given"
    return "the learning rate is the best fixed one for the spectrum" + (
        ", 2/(μ + L)" if optimizer == gradient_descent.NAME else ""
    )


def steepest_features(solution: Solution, names: Sequence[str], most: int = 3) -> list[str]:
    """The features that make up most of the eigenvectors of L, the first directions to diverge."""
    steepest = solution.eigenvalues >= (1.0 - 1e-9) * solution.curvature_max
    share = np.sum(solution.vectors[:, steepest] ** 2, axis=1)  # (k,)
    order = np.argsort(-share, kind="stable")[:most]
    labels = [*names, "the intercept"]
    return [labels[j] for j in order if share[j] >= 0.1 * share[order[0]]]


LIMITS = {gradient_descent.NAME: "2/L", heavy_ball.NAME: "2(1 + β)/L", nesterov.NAME: "(2 + 2β)/((1 + 2β)L)"}


def _refusal(chosen: Candidate, solution: Solution, names: Sequence[str]) -> tuple[str, str]:
    alpha, limit = chosen.rule.learning_rate, chosen.limit
    assert alpha is not None
    assert limit is not None
    where = " and ".join(steepest_features(solution, names))
    growth = (
        f"{alpha * solution.curvature_max - 1.0:.3g}-fold a step"
        if chosen.rule.name == gradient_descent.NAME
        else "without bound"
    )
    what = (
        f"the error along {where} would grow {growth}, and the loss would overflow at step {chosen.overflow:,}"
        if chosen.overflow is not None
        else f"the error along {where} would never shrink"
    )
    name = chosen.rule.name.replace("_", " ")
    return (
        f"the learning rate {alpha:.6g} is not stable: {name} needs less than {LIMITS[chosen.rule.name]} = {limit:.6g}; {what}.",
        f"leave it to gradline (--learning-rate auto), take {limit / 2:.6g}, or see it diverge with --force.",
    )

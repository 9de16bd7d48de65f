"""The plan: oracle, update rule, learning rate and number of steps, decided and explained before the first step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gradline.errors import StabilityError, UsageError, plural
from gradline.maths.quadratic import EPSILON
from gradline.training.optimality.wide import WideProblem
from gradline.training.stopping import COEFFICIENT_TOLERANCE, GAP_TOLERANCE
from gradline.types import finite_or_none
from gradline.updates import averaged, backtracking, conjugate_gradient, gradient_descent, heavy_ball, nesterov, rules

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
MOST_NOISY_MOMENTUM = 0.9  # on mini-batches
WELL_CONDITIONED = 10.0  # up to here the average of mini-batches forgets its start within a few dozen steps


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
        """α of the first step (of a line search: the first trial), None where the rule chooses its own."""
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


def tolerance_reached(problem: Problem | WideProblem) -> Callable[[float, Callable[[], FloatArray]], bool]:
    """Whether a gap and a distance θ − θ* (of the loop's coordinates) are within the certificate's tolerance."""
    if isinstance(problem, WideProblem):
        return problem.reached

    def reached(gap: float, distance: Callable[[], FloatArray]) -> bool:
        if gap > GAP_TOLERANCE * problem.baseline:
            return False
        error = np.abs(problem.coordinates.to_standard(distance())).max()
        return bool(error <= COEFFICIENT_TOLERANCE * problem.target_deviation)

    return reached


def make_plan(
    config: TrainConfig, problem: Problem | WideProblem, theta: FloatArray, reads: int, noise: GradientNoise | None = None
) -> Plan:
    """The plan for a problem, from the start θ in its solution's coordinates; `noise` where the gradients are of mini-batches.

    Raises StabilityError for an unstable α.
    """
    solution, coordinates = problem.solution, problem.coordinates
    wide = isinstance(problem, WideProblem)
    if solution.null > problem.reference.null and not config.force:
        raise StabilityError(
            f"in the coordinates --scaling {coordinates.name} the condition number is past what float64 can follow "
            f"(over 1e{-int(np.log10(EPSILON)):d}): the loop could not move along {solution.null - problem.reference.null} directions.",
            "use --scaling standard, or subtract offsets from the columns first.",
        )
    if noise is not None:
        return _minibatch_plan(config, problem, theta, noise, reads)
    oracle = "streamed" if wide or config.oracle == "streamed" else "moments"
    reasons = [
        f"{len(problem.names):,} features are too many for moments: the rows are kept, and every step reads all of them"
        if wide
        else "one read gives the moments, and with them every later gradient exactly"
        if oracle == "moments"
        else "every step reads all rows, as asked for; the moments of the first read serve scaling and certificate"
    ]
    chosen, why = _chosen(config, problem, theta, FEW_READS if oracle == "streamed" else FEW_STEPS)
    reasons += why
    if not chosen.stable and not config.force and config.on_divergence != "shrink":
        raise StabilityError(*_refusal(chosen, solution, () if wide else problem.names))
    return Plan(
        oracle,
        chosen.rule,
        chosen.limit,
        coordinates.name,
        chosen.steps,
        chosen.overflow,
        (read_stage(reads, wide=wide), f"{chosen.rule.name} on {oracle}"),
        tuple(reasons),
    )


def read_stage(reads: int, *, wide: bool) -> str:
    """What is read before the first step, in words."""
    if wide:
        return "one read: rows" if reads == 1 else f"{reads} reads: means and deviations, then the rows of each role"
    return f"{'two reads' if reads == 2 else 'one read'}: moments"


def _minibatch_plan(
    config: TrainConfig, problem: Problem | WideProblem, theta: FloatArray, noise: GradientNoise, reads: int
) -> Plan:
    """With mini-batches the stable α shrinks with B, and a constant α ends at a floor, below which the average of its steps goes."""
    solution, batch = problem.solution, config.batch_size
    optimizer = _automatic_on_batches(config, problem, noise) if config.optimizer == "auto" else config.optimizer
    if optimizer in rules.SELF_PACED:
        raise UsageError(
            f"{optimizer} needs exact gradients; mini-batches are noisy.",
            "--optimizer gradient_descent, averaged_sgd, momentum or adam.",
        )
    if config.schedule == backtracking.SCHEDULE:
        raise UsageError(
            "--schedule backtracking needs exact gradients; on mini-batches whether a step lowers the loss is noise.",
            "leave --learning-rate to gradline, or --oracle moments.",
        )
    if optimizer not in rules.SCHEDULED:
        _check_schedule(config)
    chosen = _on_batches(optimizer, config, problem, theta, noise)
    alpha, plain = chosen.rule.learning_rate, optimizer == gradient_descent.NAME
    if not chosen.stable and not config.force and config.on_divergence != "shrink":
        raise StabilityError(
            f"the learning rate {alpha:.6g} is not stable: with batches of {batch:,} rows {optimizer.replace('_', ' ')} needs less than {chosen.limit:.6g} "
            "(mean-square bound, from a sample of the rows).",
            "leave it to gradline (--learning-rate auto), take larger batches, or see it diverge with --force.",
        )
    floor = noise.floor(solution, alpha, batch) if plain and alpha is not None and config.schedule == "constant" else None
    reasons = [
        f"every step reads {batch:,} rows"
        + ("" if isinstance(problem, WideProblem) else "; the moments of the first read serve scaling, stopping and certificate"),
        f"beyond about {noise.scale:,.0f} rows a larger batch hardly makes a better first step",
    ]
    if floor is not None:
        share = floor / problem.baseline
        reasons.append(
            f"with a constant learning rate the gap ends at about {floor:.3g} ({share:.1g} of the variance to explain); a schedule or averaged_sgd goes below"
        )
    if isinstance(chosen.rule, averaged.AveragedSGD):
        reasons += _average_reasons(chosen.rule, problem, noise, batch, config.max_steps or LEAST_BUDGET)
    read = read_stage(reads, wide=True) if isinstance(problem, WideProblem) else "two reads: moments, rows"
    stages = (read, f"{optimizer} on minibatch")
    return Plan(
        "minibatch", chosen.rule, chosen.limit, problem.coordinates.name, None, None, stages, tuple(reasons), noise.scale, floor
    )


def _automatic_on_batches(config: TrainConfig, problem: Problem | WideProblem, noise: GradientNoise) -> str:
    """The average, whose gap has no floor; plain descent where a rate or a schedule is given, or the fit is perfect: no floor either."""
    if config.learning_rate is not None or config.schedule != "constant":
        return gradient_descent.NAME
    limit = noise.limit(problem.solution, config.batch_size)
    floor = noise.floor(problem.solution, limit / 2.0, config.batch_size)
    perfect = floor is not None and floor <= GAP_TOLERANCE * problem.baseline
    return gradient_descent.NAME if perfect else averaged.NAME


def _on_batches(
    optimizer: str, config: TrainConfig, problem: Problem | WideProblem, theta: FloatArray, noise: GradientNoise
) -> Candidate:
    """A rule on mini-batches: SGD, averaged or not, takes half its mean-square stable α; no steps are foretold.

    Where the start is soon forgotten, the average takes a quarter, and weights that grow more slowly: both have less noise.
    """
    limit = noise.limit(problem.solution, config.batch_size)
    plain = optimizer in (gradient_descent.NAME, averaged.NAME)
    alpha = config.learning_rate if config.learning_rate is not None or not plain else limit / 2.0
    horizon, reached = config.max_steps or LEAST_BUDGET, tolerance_reached(problem)
    chosen = rules.candidate(optimizer, problem.solution, theta, reached, alpha, config.schedule, horizon)
    if isinstance(chosen.rule, averaged.AveragedSGD) and problem.solution.condition <= WELL_CONDITIONED:
        chosen = replace(chosen, rule=averaged.AveragedSGD(config.learning_rate or limit / 4.0, tail=0.5))
    if isinstance(chosen.rule, heavy_ball.HeavyBall | nesterov.Nesterov):
        return _slow_momentum(chosen.rule, config, problem.solution, noise)
    return replace(chosen, limit=limit if plain else chosen.limit, steps=None)


def _slow_momentum(
    rule: heavy_ball.HeavyBall | nesterov.Nesterov, config: TrainConfig, solution: Solution, noise: GradientNoise
) -> Candidate:
    """Momentum adds up the noise of 1/(1 − β) steps: the α and β of exact gradients would not be stable."""
    beta = min(rule.momentum, MOST_NOISY_MOMENTUM)
    limit = noise.momentum_limit(solution, config.batch_size, beta)
    if rule.name == nesterov.NAME:  # its look ahead counts the noise up to 1 + 2β times
        limit /= 1.0 + 2.0 * beta
    alpha = config.learning_rate if config.learning_rate is not None else limit / 2.0
    return rules.Candidate(replace(rule, learning_rate=alpha, momentum=beta), limit, None, None)


def _average_reasons(
    rule: averaged.AveragedSGD, problem: Problem | WideProblem, noise: GradientNoise, batch: int, steps: int
) -> tuple[str, ...]:
    gap = noise.averaged(problem.solution, rule.learning_rate, batch, steps)
    why = "the gradients are taken where the steps go, at a constant learning rate; the model is the average of the steps"
    if gap is None:
        return (why,)
    gap *= rule.spread
    share = gap / problem.baseline
    return why, (
        f"once the start is forgotten the average's gap falls like 1/steps: about {gap:.3g} after {steps:,} "
        f"({share:.1g} of the variance to explain), with batches drawn anew; shuffled epochs do better"
    )


def candidates(
    config: TrainConfig, problem: Problem | WideProblem, theta: FloatArray, noise: GradientNoise | None = None
) -> list[Candidate]:
    """Every rule of the oracle at its best on a problem, for the table that `gradline plan` shows; `noise` as in `make_plan`."""
    if noise is not None:
        best = replace(config, learning_rate=None, schedule="constant")
        return [_on_batches(name, best, problem, theta, noise) for name in rules.ON_BATCHES]
    seen = problem.solution.seen_from(theta)
    return [rules.candidate(name, seen, theta, tolerance_reached(problem)) for name in rules.NAMES]


def _chosen(config: TrainConfig, problem: Problem | WideProblem, theta: FloatArray, few: int) -> tuple[Candidate, list[str]]:
    """The rule asked for, or the plainest that is quick; and why."""
    reached, seen = tolerance_reached(problem), problem.solution.seen_from(theta)
    given = config.learning_rate is not None
    if given and config.optimizer in rules.SELF_PACED:
        raise UsageError(f"{config.optimizer} chooses its own step sizes; --learning-rate has no meaning there.")
    if config.optimizer == averaged.NAME:
        raise UsageError(
            "averaged_sgd averages the noise of mini-batches away, and exact gradients have none.",
            "--oracle minibatch, or leave --optimizer to gradline.",
        )
    _check_schedule(config)

    def candidate(name: str) -> Candidate:
        horizon = config.max_steps or LEAST_BUDGET
        return rules.candidate(name, seen, theta, reached, config.learning_rate, config.schedule, horizon)

    if config.schedule == backtracking.SCHEDULE:
        searched = candidate(gradient_descent.NAME)
        return searched, [f"a line search finds each step's learning rate; its first trial is {searched.rule.learning_rate:.6g}"]
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


def _check_schedule(config: TrainConfig) -> None:
    """Raise UsageError for a schedule with a rule that takes none; a line search has one rule alone, which `auto` then is."""
    searched = config.schedule == backtracking.SCHEDULE
    takers = (gradient_descent.NAME,) if searched else rules.SCHEDULED
    if config.schedule != "constant" and config.optimizer not in takers and not (searched and config.optimizer == "auto"):
        raise UsageError(f"--schedule {config.schedule} needs a rule that takes one.", f"--optimizer {' or '.join(takers)}.")


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
    where = " and ".join(steepest_features(solution, names)) if names else "the steepest direction"
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

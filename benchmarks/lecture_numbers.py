"""The numbers of docs/how-gradient-descent-finds-the-line.md, from the flights that ship with the project.

Every step is taken by gradline's own loop, oracles and rules; what stands here is which problem and which rule, and the words
in which the page states what was found. `lecture_pictures.py` prints them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from gradline.engines.threads import ThreadEngine
from gradline.evaluation.metrics import from_loss
from gradline.inputs.opening import open_source
from gradline.maths.certificate import certify
from gradline.maths.coordinates import Coordinates
from gradline.maths.noise import measure
from gradline.maths.problem import pose
from gradline.oracles.minibatch import Batches, MiniBatchOracle
from gradline.oracles.moments import MomentsOracle
from gradline.report.numerals import count, number
from gradline.training.config import TrainConfig
from gradline.training.loop import descend
from gradline.training.optimality.judge import Solved, observer
from gradline.training.plan import tolerance_reached
from gradline.training.stopping import GAP_TOLERANCE, Budget, stopping
from gradline.training.trainer import NOISE_ROWS, Progress, prepare
from gradline.types import Role
from gradline.updates import conjugate_gradient, gradient_descent, heavy_ball, nesterov, rules
from gradline.updates.gradient_descent import GradientDescent
from gradline.updates.schedules import InverseTime

if TYPE_CHECKING:
    from gradline.maths.noise import GradientNoise
    from gradline.maths.oracle import Oracle
    from gradline.maths.problem import Problem
    from gradline.training.loop import Iterate
    from gradline.training.stopping import Step
    from gradline.training.trainer import Prepared
    from gradline.types import FloatArray
    from gradline.updates.base import UpdateRule
    from gradline.updates.rules import Candidate

ROOT = Path(__file__).parents[1]
FLIGHTS = ROOT / "examples" / "flights.parquet"

TARGET = "air_time"
ONE = ("distance",)
SPREAD = ("distance", "origin")
CROOKED = ("distance", "carrier", "origin", "month", "hour", "sched_dep_time")  # hour and sched_dep_time say almost the same

THOUSAND = 1_000.0  # miles: the unit of the first pictures
SMALL, LARGE, TOO_LARGE = 0.1, 0.81, 0.9  # learning rates around the best one and the limit
CERTIFIED_STEP = 20
CONTOURS = (100.0, 400.0, 1_600.0, 6_400.0, 25_600.0)  # squared minutes above J*
NOISY_RATE = 0.2
BATCH_SIZES = (8, 64, 512, 4_096)
NOISY_STEPS = 5_000
SETTLED = 500  # steps after which a noisy run has forgotten its start
SCALED_STEPS = (10, 20, 30)
SCHEDULE = 50.0  # steps after which the falling learning rate has halved
RULES = (gradient_descent.NAME, heavy_ball.NAME, nesterov.NAME, conjugate_gradient.NAME)
MOST_STEPS = 100_000

Facts = dict[str, str]  # what a number is -> the words of the page that state it


# ---- problems and runs


@cache
def prepared(features: tuple[str, ...], oracle: str = "auto") -> Prepared:
    """The flights' problem as `gradline train` poses it; with `minibatch`, the training rows as well."""
    config = TrainConfig(target=TARGET, features=features, oracle=oracle)
    with threadpool_limits(limits=1):
        return prepare(open_source(FLIGHTS), config, ThreadEngine(2), Progress())


def posed(centre: float, scale: float) -> Problem:
    """Air time from z = (distance − centre)/scale, on the same training rows."""
    problem = prepared(ONE).problem
    own = problem.coordinates
    chosen = Coordinates("lecture", own.mean, own.deviation, np.array([centre]), np.array([scale]), intercept=True)
    return pose(problem.names, problem.moments, chosen, 0.0)


def in_thousands() -> Problem:
    """Air time from distance in thousands of miles: the problem of the first pictures."""
    return posed(0.0, THOUSAND)


class Walk(NamedTuple):
    """path: (t + 1, k), θ before each update.  history: the records of the steps."""

    path: FloatArray
    history: list[Step]

    @property
    def gaps(self) -> FloatArray:
        """J − J* at each record."""
        return np.array([step.gap for step in self.history])


def walk(
    problem: Problem,
    rule: UpdateRule[Any],
    steps: int = MOST_STEPS,
    oracle: Oracle | None = None,
    on: str = "certificate",
    *,
    keep: bool = True,
) -> Walk:
    """A run of gradline's loop from θ = 0, to the tolerance or so many steps."""
    path: list[FloatArray] = []
    record = observer(Solved(problem), exact=oracle is None)

    def observe(iterate: Iterate) -> Step:
        if keep:
            path.append(iterate.theta)
        return record(iterate)

    stop = stopping([on], 1e-9, 5, Budget(steps))
    with threadpool_limits(limits=1):
        descent = descend(oracle or MomentsOracle(problem.loss), rule, start(problem), observe, stop)
    return Walk(np.array(path), descent.history)


def start(problem: Problem) -> FloatArray:
    """θ = 0, where every run begins."""
    return np.zeros(problem.coordinates.size)


def tuned(problem: Problem, rule: str) -> Candidate:
    """A rule tuned to the problem's spectrum, with its predicted steps."""
    return rules.candidate(rule, problem.solution, start(problem), tolerance_reached(problem))


def predicted(problem: Problem, alpha: float) -> int | None:
    """The steps of gradient descent at a learning rate, from the spectrum alone."""
    return gradient_descent.predicted_steps(problem.solution, start(problem), alpha, tolerance_reached(problem))


# ---- the numbers of the page


def line_numbers() -> Facts:
    """The data, the loss and the line."""
    found = prepared(ONE)
    problem = found.problem
    solution = problem.solution
    user = problem.coordinates.to_user(solution.minimiser)
    score = from_loss(problem.loss, problem.training, solution.minimiser)
    thousands = in_thousands()
    second = thousands.loss.hessian
    return {
        "rows": f"{count(found.survey.rows(Role.TRAINING))} training rows",
        "line": f"air_time ≈ {number(user.intercept)} + {number(float(user.coefficients[0]))} · distance",
        "J at the start": f"J(0, 0) = {number(thousands.loss.value(np.zeros(2)))}",
        "J of the mean": f"J(0, ȳ) = {number(problem.baseline)}",
        "J*": f"J* = {number(solution.minimum)}",
        "RMSE": f"√(2J*) = {number(score.rmse)} minutes",
        "R²": f"R² = {number(score.r2)}",
        "the gap, relative": f"1 − J*/J(0, ȳ) = {number(1.0 - solution.minimum / problem.baseline)}",
        "J after ten steps": f"J = {number(walk(thousands, GradientDescent(SMALL), 10).history[-1].objective)}",
        "mean distance": f"E[x] = {number(float(second[0, 1]))}",
        "mean square distance": f"E[x²] = {number(float(second[0, 0]))}",
        "mean air time": f"E[y] = {number(float(thousands.loss.linear[1]))}",
        "mean product": f"E[xy] = {number(float(thousands.loss.linear[0]))}",
        "minimiser": f"w* = {number(float(thousands.solution.minimiser[0]))}, b* = {number(float(thousands.solution.minimiser[1]))}",
    }


def rates() -> dict[str, float]:
    """The learning rates of the path picture, by what they are."""
    best = gradient_descent.best_learning_rate(in_thousands().solution)
    return {"small": SMALL, "best": best, "just below the limit": LARGE, "past the limit": TOO_LARGE}


def path_numbers() -> Facts:
    """Eigenvalues, limits, and steps at four learning rates."""
    problem = in_thousands()
    solution = problem.solution
    kappa = solution.condition
    facts = {
        "eigenvalues": f"μ = {number(solution.curvature_min)} and L = {number(solution.curvature_max)}",
        "steep direction": f"q₂ = ({', '.join(number(float(v)) for v in upright(solution.vectors[:, 1]))})",
        "flat direction": f"q₁ = ({', '.join(number(float(v)) for v in upright(solution.vectors[:, 0]))})",
        "condition": f"κ = {number(kappa)}",
        "limit": f"2/L = {number(gradient_descent.learning_rate_limit(solution))}",
        "best rate": f"2/(μ + L) = {number(gradient_descent.best_learning_rate(solution))}",
        "contraction": f"(κ − 1)/(κ + 1) = {number((kappa - 1.0) / (kappa + 1.0))}",
    }
    first = start(problem)
    facts["contours"] = f"J − J* = {', '.join(count(int(level)) for level in CONTOURS[:3])}, …"
    facts["gap at the start"] = f"{number(problem.gap(first))} at the start"
    facts["tolerance"] = f"{number(GAP_TOLERANCE * problem.baseline)} squared minutes"
    for name, alpha in rates().items():
        flat, steep = 1.0 - alpha * solution.eigenvalues
        foretold = predicted(problem, alpha)
        taken = walk(problem, GradientDescent(alpha))
        last = taken.history[-1]
        if foretold is None:
            overflow = gradient_descent.overflow_step(solution, first, alpha)
            end = f"never: J overflows at step {count(overflow)} | stopped at {count(last.step)}"
        else:
            end = f"{count(foretold)} | {count(last.step)}"
            along = solution.along(first)
            errors = along * (1.0 - alpha * solution.eigenvalues) ** np.arange(last.step + 1)[:, None]  # (t + 1, k)
            gaps = 0.5 * errors**2 @ solution.eigenvalues
            shown = gaps > 1e-8 * gaps[0]  # past that the start's own rounding shows
            worst = float(np.max(np.abs(taken.gaps[shown] / gaps[shown] - 1.0)))
            assert worst < 1e-9, worst
        facts[name] = f"| {number(alpha)} | {number(float(flat))} | {number(float(steep))} | {end} |"
    return facts


def upright(vector: FloatArray) -> FloatArray:
    """An eigenvector with its largest component positive: its sign is nobody's choice."""
    return np.asarray(vector * np.sign(vector[np.argmax(np.abs(vector))]))


def scalings() -> dict[str, Problem]:
    """Air time from distance in five coordinates."""
    own = prepared(ONE).problem.coordinates
    mean, deviation = float(own.mean[0]), float(own.deviation[0])
    return {
        "x in miles": posed(0.0, 1.0),
        "x in thousands of miles": posed(0.0, THOUSAND),
        "x / s": posed(0.0, deviation),
        "(x − x̄) in thousands of miles": posed(mean, THOUSAND),
        "(x − x̄) / s": posed(mean, deviation),
    }


def scaling_numbers() -> Facts:
    """The condition and the steps before and after scaling."""
    facts = {}
    for name, problem in scalings().items():
        solution = problem.solution
        chosen = tuned(problem, gradient_descent.NAME)
        assert chosen.steps is not None
        if chosen.steps > MOST_STEPS:
            steps = f"{number(chosen.steps / 1e6)} million | not run"
        else:
            steps = f"{count(chosen.steps)} | {count(walk(problem, chosen.rule).history[-1].step)}"
        spectrum = (solution.curvature_min, solution.curvature_max, solution.condition, chosen.rule.learning_rate)
        # a curvature that is 1 by its definition is one but for the last bits
        facts[name] = f"| {name} | {' | '.join(number(round(v, 12)) for v in spectrum)} | {steps} |"
    miles = scalings()["x in miles"].solution
    facts["proportion of the ravine"] = f"√κ = {number(float(np.sqrt(miles.condition)))} times as long as wide"
    own = prepared(ONE).problem.coordinates
    facts["mean and deviation"] = f"x̄ = {number(float(own.mean[0]))} and s = {number(float(own.deviation[0]))} miles"
    crooked = prepared(CROOKED).problem
    i, j = (crooked.names.index(name) for name in ("hour", "sched_dep_time"))
    facts["correlation"] = f"correlation {number(float(crooked.loss.hessian[i, j]), 5)}"
    facts["condition of six columns"] = f"κ = {number(crooked.solution.condition)}"
    return facts


class Accelerated(NamedTuple):
    """A rule on the ill-conditioned problem: as tuned, and its run."""

    chosen: Candidate
    walk: Walk


@cache
def accelerated(rule: str) -> Accelerated:
    """A rule's run on the ill-conditioned problem."""
    problem = prepared(CROOKED).problem
    chosen = tuned(problem, rule)
    return Accelerated(chosen, walk(problem, chosen.rule, keep=False))


def momentum_numbers(*, every: bool = True) -> Facts:
    """The rules on the ill-conditioned problem; without `every`, what takes more than a second is left out."""
    problem = prepared(CROOKED).problem
    solution = problem.solution
    kappa, root = solution.condition, float(np.sqrt(solution.condition))
    momentum, ahead = heavy_ball.best(solution, None), nesterov.best(solution, None)
    climb = accelerated(heavy_ball.NAME).walk.gaps
    facts = {
        "coordinates": f"{problem.coordinates.size} parameters",
        "momentum's peak": f"{count(int(np.argmax(climb)))} steps, to {number(float(climb.max()))} from {number(float(climb[0]))}",
        "condition": f"κ = {number(kappa)}, √κ = {number(root)}",
        "spectrum": f"μ = {number(solution.curvature_min)}, then {number(float(solution.eigenvalues[1]))}, … up to L = {number(solution.curvature_max)}",
        "without the smallest": f"{number(solution.curvature_max / float(solution.eigenvalues[1]))} without its smallest eigenvalue",
        "plain contraction": f"(κ − 1)/(κ + 1) = {number((kappa - 1.0) / (kappa + 1.0), 6)}",
        "accelerated contraction": f"(√κ − 1)/(√κ + 1) = {number((root - 1.0) / (root + 1.0))}",
        "momentum's parameters": f"α = {number(momentum.learning_rate)} and β = {number(momentum.momentum)}",
        "Nesterov's parameters": f"α = {number(ahead.learning_rate)} and β = {number(ahead.momentum)}",
    }
    for name in RULES:
        chosen = tuned(problem, name)
        label = name.replace("_", " ")
        if every or name != gradient_descent.NAME:
            facts[label] = f"| {label} | {count(chosen.steps)} | {count(accelerated(name).walk.history[-1].step)} |"
        else:
            facts[label] = f"| {label} | {count(chosen.steps)} |"
    return facts


class Noisy(NamedTuple):
    """A mini-batch run: the floor foretold for it (None with a schedule) and what it did."""

    floor: float | None
    walk: Walk


@cache
def noise_at(step: int, rows: int | None = None) -> GradientNoise:
    """The noise at the iterate of exact gradient descent after so many steps, on all training rows or a sample of them."""
    ready = prepared(SPREAD, "minibatch")
    assert ready.store is not None
    sample = slice(None) if rows is None else Batches(0, len(ready.store), rows, mixed=True).at(0)
    theta = walk(ready.problem, GradientDescent(NOISY_RATE), step).path[step]
    return measure(ready.store.X[sample], ready.store.y[sample], ready.problem.solution, theta, intercept=True)


@cache
def noisy(size: int, *, falling: bool = False) -> Noisy:
    """Gradient descent with batches of a size, drawn with replacement."""
    ready = prepared(SPREAD, "minibatch")
    problem = ready.problem
    assert ready.store is not None
    oracle = MiniBatchOracle(ready.store, Batches(0, len(ready.store), size, "replacement", mixed=True), intercept=True)
    rule = GradientDescent(NOISY_RATE, InverseTime(NOISY_RATE, SCHEDULE) if falling else None)
    floor = None if falling else noise_at(0).floor(problem.solution, NOISY_RATE, size)
    return Noisy(floor, walk(problem, rule, NOISY_STEPS, oracle))


def noise_numbers(*, every: bool = True) -> Facts:
    """Stable rates, noise scale, and floors foretold and found; without `every`, one batch size."""
    problem = prepared(SPREAD, "minibatch").problem
    solution = problem.solution
    whole, sample = noise_at(0), noise_at(0, NOISE_ROWS)
    exact = walk(problem, GradientDescent(NOISY_RATE))
    facts = {
        "rate": f"α = {number(NOISY_RATE)}",
        "spectrum": f"μ = {number(solution.curvature_min)}, L = {number(solution.curvature_max)} and R² = {number(whole.radius)}",
        "J*": f"J* = {number(solution.minimum)}",
        "noise scale": f"{number(whole.scale, 3)} at the start",
        "steps with all rows": f"{count(exact.history[-1].step)} steps with all rows",
        "rows of the sample": f"sample of {count(NOISE_ROWS)} rows",
        "steps": f"steps {count(SETTLED)} to {count(NOISY_STEPS)}",
        "best RMSE": f"√(2J*) = {number(float(np.sqrt(2.0 * solution.minimum)))} minutes",
    }
    for step in SCALED_STEPS if every else SCALED_STEPS[:1]:
        facts[f"noise scale at step {step}"] = f"{number(noise_at(step).scale, 3)} after {step}"
    for size in BATCH_SIZES if every else BATCH_SIZES[1:2]:
        run = noisy(size)
        found = float(run.walk.gaps[SETTLED:].mean())
        rmse = float(np.sqrt(2.0 * (solution.minimum + found)))
        floors = " | ".join(number(noise.floor(solution, NOISY_RATE, size), 3) for noise in (sample, whole))
        limit = number(whole.limit(solution, size))
        facts[f"batches of {size}"] = f"| {count(size)} | {limit} | {floors} | {number(found, 3)} | {number(rmse)} |"
    if every:
        last = float(noisy(BATCH_SIZES[1], falling=True).walk.gaps[-SETTLED:].mean())
        facts["falling rate"] = f"{number(last, 3)} over its last {count(SETTLED)} steps"
        facts["τ"] = f"τ = {number(SCHEDULE)}"
    return facts


def certificate_numbers(*, every: bool = True) -> Facts:
    """What the gradient proves at one step and at the end, and what the classic rule of stopping leaves."""
    problem = in_thousands()
    solution = problem.solution
    run = walk(problem, GradientDescent(gradient_descent.best_learning_rate(solution)))
    step = run.history[CERTIFIED_STEP]
    square = step.gradient_norm**2
    last = certify(problem, run.path[-1])
    assert last.gap is not None
    facts = {
        "step": f"after {CERTIFIED_STEP} steps",
        "gradient": f"‖g‖ = {number(step.gradient_norm)}",
        "bounds": f"{number(square / (2.0 * solution.curvature_max))} ≤ J − J* ≤ {number(square / (2.0 * solution.curvature_min))}",
        "gap": f"½ g'H⁻¹g = {number(step.gap)}",
        "J then": f"J = {number(step.objective)}",
        "last step": f"at step {count(run.history[-1].step)}",
        "last gap": f"relative gap of {number(last.relative_gap, 2)}",
        "last error": f"coefficient error of {number(last.coefficient_error, 2)}",
        "digits": f"{int(last.trusted_digits or 0)} digits",
    }
    crooked = prepared(CROOKED).problem
    hour = crooked.names.index("hour")
    best = float(crooked.solution.minimiser[hour])
    facts["coefficient of hour"] = f"{number(best)} minutes per deviation"
    for name in (nesterov.NAME, gradient_descent.NAME) if every else (nesterov.NAME,):
        early = walk(crooked, tuned(crooked, name).rule, on="improvement")
        end = early.history[-1]
        off = float(early.path[-1][hour])
        label = name.replace("_", " ")
        facts[f"classic stop, {label}"] = (
            f"| {label} | {count(end.step)} | {number(end.relative_gap, 2)} | "
            f"{number(crooked.coefficient_error(early.path[-1]), 2)} | {number(off)} |"
        )
    return facts


def numbers(*, every: bool = True) -> Facts:
    """Every number of the page, by what it is."""
    parts: dict[str, Facts] = {
        "line": line_numbers(),
        "path": path_numbers(),
        "scaling": scaling_numbers(),
        "momentum": momentum_numbers(every=every),
        "noise": noise_numbers(every=every),
        "certificate": certificate_numbers(every=every),
    }
    return {f"{part}: {name}": text for part, facts in parts.items() for name, text in facts.items()}

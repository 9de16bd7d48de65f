"""Losses without moments: the rows are kept, every step reads them, and the minimum is bounded instead of solved for.

Squared error's moments are still of use: H bounds the curvature, the least squares fit is the start, and the projection of the
dual variables goes through H. With too many features for H (`gradline.training.optimality.wide`) squared error itself is one of these
losses, the start is zero, and the penalty makes the projection needless. How far the iterate is from the minimum is proved by the duality gap, whenever the gradient has
become so much smaller that a better bound is to be had.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gradline.errors import StabilityError, UsageError
from gradline.maths.certificate import Certificate
from gradline.maths.duality import lower_bound
from gradline.maths.losses import SQUARED, huber, pinball
from gradline.maths.quadratic import quadratic_loss, solve
from gradline.oracles.streamed import StreamedOracle
from gradline.training.optimality.judge import Bounded, Judged
from gradline.training.optimality.wide import WideProblem
from gradline.training.plan import LEAST_BUDGET, Plan, read_stage
from gradline.updates import adam, gradient_descent, lbfgs, nesterov, rules

if TYPE_CHECKING:
    from gradline.maths.engine import Engine
    from gradline.maths.losses import Loss
    from gradline.maths.noise import GradientNoise
    from gradline.maths.problem import Problem
    from gradline.maths.quadratic import Solution
    from gradline.oracles.minibatch import ExampleStore
    from gradline.oracles.sparse import SparseStore
    from gradline.training.config import TrainConfig
    from gradline.training.loop import Iterate
    from gradline.types import FloatArray, Json

HUBER_EFFICIENCY = 1.345  # δ in deviations of the noise: 95% of least squares' efficiency on Gaussian noise (Huber 1981)
MAD_TO_DEVIATION = 1.4826  # of a Gaussian
SMOOTHING = 0.01  # h of the pinball loss, in the same deviations
ROUNDING = 1e-15  # of sums taken in parts
WORTH_A_BOUND = 0.3  # so much smaller must the gradient be than at the last bound


@dataclass
class GeneralProblem(Bounded):
    """A loss φ on kept rows. problem: of squared error on the same rows.  baseline: the loss of the best constant."""

    problem: Problem | WideProblem
    loss: Loss
    store: ExampleStore | SparseStore
    held_out: ExampleStore | SparseStore | None
    engine: Engine
    l2: float
    start: FloatArray
    baseline: float
    unpenalised: Solution | None
    quantile: float
    tolerance: float = 1e-8

    @property
    def intercept(self) -> bool:
        """Whether θ has a b."""
        return self.problem.coordinates.intercept

    @property
    def provable(self) -> bool:
        """Whether the minimum can be bounded: by H, or by the penalty."""
        return self.unpenalised is not None or self.l2 > 0.0

    def oracle(self) -> StreamedOracle[range]:
        """All rows at every step."""
        return self._oracle(self.store, self.loss, self.l2)

    def _oracle(self, store: ExampleStore | SparseStore, loss: Loss, l2: float) -> StreamedOracle[range]:
        return StreamedOracle(self.engine, store.parts, store.examples, intercept=self.intercept, l2=l2, loss=loss)

    def value(self, theta: FloatArray, loss: Loss | None = None) -> float:
        """J(θ) on the training rows, of the loss without smoothing if none is given."""
        return self._oracle(self.store, loss or self.loss.exact, self.l2).value_and_gradient(theta).value

    def validation(self, theta: FloatArray) -> float | None:
        """The mean loss on the validation rows, without smoothing and penalty; None without such rows."""
        if self.held_out is None:
            return None
        return self._oracle(self.held_out, self.loss.exact, 0.0).value_and_gradient(theta).value

    def lower_bound(self, theta: FloatArray, loss: Loss) -> float:
        """D ≤ J*, from the residuals at θ; −∞ where nothing is known."""
        if not self.provable:
            return -np.inf
        parts, rows = self.store.parts(), self.store.examples
        return lower_bound(  # u of the smoothed loss is inside the bounds of the exact one too
            self.loss,
            theta,
            parts,
            rows,
            self.engine,
            self.unpenalised,
            self.l2,
            intercept=self.intercept,
            conjugate_width=loss.width,
        )

    def gap_of(self, gradient: FloatArray) -> float:
        """½ g'H⁻¹g ≥ J − J* of squared error, by H ≥ λ: with b at its best the columns are centred, and H in the coordinates of
        centred columns is 1 along b. It is the duality gap, and needs no read. ∞ without a penalty.
        """
        if self.l2 == 0.0:
            return np.inf
        if not self.intercept:
            return float(gradient @ gradient) / (2.0 * self.l2)
        place, along_b = self.problem.coordinates, float(gradient[-1])
        centred = gradient[:-1] - (place.mean - place.centre) / place.scale * along_b
        return float(centred @ centred) / (2.0 * self.l2) + 0.5 * along_b**2

    def judged(self, iterate: Iterate, *, exact: bool, epoch: int) -> Judged:
        """See `Judge`. One batch says nothing about the gap: it is that of the epoch's first step."""
        step, theta, value, gradient, _, _ = iterate
        if exact and self.loss is SQUARED:
            self._gap = self.gap_of(gradient)
        elif exact or step % epoch == 0:
            size = float(np.linalg.norm(gradient))
            if size <= WORTH_A_BOUND * self._bound_at or not exact:
                self._bound, self._bound_at = max(self._bound, self.lower_bound(theta, self.loss)), size
            full = value if exact else self.value(theta, self.loss)
            self._gap = max(full - self._bound, 0.0)
        asked = exact or (step + 1) % epoch == 0
        return Judged(value, self.validation(theta) if asked else None, self._gap)

    def certify(self, theta: FloatArray) -> Certificate:
        """The duality gap at θ (k,), of the loss without smoothing."""
        exact = self.loss.exact
        minimum: float | None = None
        if self.loss is SQUARED:
            objective, gradient = self.oracle().value_and_gradient(theta)
            minimum = objective - self.gap_of(gradient) if self.provable else None
        else:
            objective = self.value(theta)
            minimum = min(self.lower_bound(theta, exact), objective)  # past it by rounding alone
        gap = None if minimum is None else objective - minimum
        return Certificate(
            kind="none" if gap is None else "duality_gap",
            objective=objective,
            minimum=minimum,
            gap=gap,
            relative_gap=None if gap is None else gap / self.baseline,
            coefficient_error=None,
            rounding=ROUNDING * max(objective, self.baseline),
            curvature_max=self.loss.curvature * self.problem.solution.curvature_max,
            curvature_min=None,
            condition=None,
            trusted_digits=None,
        )

    def share_below(self, store: ExampleStore | SparseStore | None, theta: FloatArray) -> float | None:
        """The share of the rows whose target is not above the prediction: of a quantile τ, about τ. None without rows."""
        if store is None:
            return None
        w, b = self.problem.coordinates.weights_and_bias(theta)
        below = [store.y[r.start : r.stop] <= store.X[r.start : r.stop] @ w + b for r in store.parts()]
        return float(np.average(np.concatenate(below), weights=store.weight))

    def to_json(self, theta: FloatArray) -> Json:
        """The entry `loss` of the JSON documents: what the loss is, its mean and the share of the rows below, at θ (k,)."""
        if self.loss is SQUARED:
            return {"name": "squared"}
        means = {"train": self._oracle(self.store, self.loss.exact, 0.0).value_and_gradient(theta).value}
        shares = {"train": self.share_below(self.store, theta), "validation": self.share_below(self.held_out, theta)}
        return {
            "mean": means | {"validation": self.validation(theta)},
            "share_below": shares,
            "name": self.loss.name,
            "delta": self.loss.high if self.loss.name == "huber" else None,
            "quantile": self.quantile if self.loss.name == "pinball" else None,
            "smoothing": self.loss.width if self.loss.name == "pinball" else None,
            "baseline": self.baseline,
        }


def pose_general(
    config: TrainConfig,
    problem: Problem | WideProblem,
    store: ExampleStore | SparseStore,
    held_out: ExampleStore | SparseStore | None,
    engine: Engine,
) -> GeneralProblem:
    """The problem of the loss that was asked for; its scale, where not given, is that of the least squares residuals (of a wide
    problem, of the target).
    """
    known = not isinstance(problem, WideProblem)
    start = problem.solution.minimiser if known else np.zeros(problem.coordinates.size)
    if config.loss == "squared":
        return GeneralProblem(
            problem, SQUARED, store, held_out, engine, config.penalty, start, problem.baseline, None, config.quantile
        )
    w, b = problem.coordinates.weights_and_bias(start)
    residual = np.concatenate([store.X[r.start : r.stop] @ w + b - store.y[r.start : r.stop] for r in store.parts()])
    scale = MAD_TO_DEVIATION * _median(np.abs(residual - _median(residual, store.weight)), store.weight)
    if not scale > 0.0:  # half of the rows are fitted perfectly
        scale = _deviation(residual, store.weight) or problem.target_deviation
    if config.loss == "huber":
        loss, constant = huber(config.huber_delta or HUBER_EFFICIENCY * scale), _median(store.y, store.weight)
    else:
        loss, constant = pinball(config.quantile, SMOOTHING * scale), float(np.quantile(store.y, config.quantile))
    values = loss.exact.value(constant - store.y)
    baseline = float(np.average(values, weights=store.weight))
    if baseline <= 0.0:
        raise UsageError(
            f"the loss {config.loss} of always saying {constant:g} is zero: there is nothing to learn.", "use --loss squared."
        )
    plain = None
    if not isinstance(problem, WideProblem):
        plain = problem.solution if config.penalty == 0.0 else solve(quadratic_loss(problem.training, problem.coordinates))
    return GeneralProblem(problem, loss, store, held_out, engine, config.penalty, start, baseline, plain, config.quantile)


def _median(values: FloatArray, weight: FloatArray | None) -> float:
    """Of rows as often as they weigh: of the two middle ones the mean."""
    if weight is None:
        return float(np.median(values))
    order = np.argsort(values, kind="stable")
    upto = np.cumsum(weight[order])
    middle = [min(int(np.searchsorted(upto, upto[-1] / 2.0, side)), len(order) - 1) for side in ("left", "right")]
    return float(values[order[middle]].mean())


def _deviation(values: FloatArray, weight: FloatArray | None) -> float:
    mean = np.average(values, weights=weight)
    return float(np.sqrt(np.average((values - mean) ** 2, weights=weight)))


ANY_LOSS = (gradient_descent.NAME, nesterov.NAME, lbfgs.NAME, adam.NAME)  # rules that do not need a quadratic


def general_plan(
    config: TrainConfig, problem: Problem | WideProblem, loss: Loss, noise: GradientNoise | None, reads: int
) -> Plan:
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
    if noisy and config.schedule == "backtracking":
        raise UsageError("--schedule backtracking needs exact gradients; mini-batches are noisy.", "--schedule inverse_time.")
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
    known = not isinstance(problem, WideProblem)
    reasons.append(
        f"{'least squares, from the moments, is the start' if known else 'it starts from zero'}; the duality gap proves how far the minimum is"
    )
    if loss.name == "pinball":
        reasons.append(f"the corner of the pinball loss is smoothed over {loss.width:.3g}; the certificate is of the loss itself")
    read = f"{reads} reads: moments, rows" if known and reads > 1 else read_stage(reads, wide=True)
    stages = (read, *(["least squares from the moments"] if known else []), f"{optimizer} on {oracle}")
    scale = None if noise is None else noise.scale
    return Plan(oracle, chosen.rule, chosen.limit, problem.coordinates.name, None, None, stages, tuple(reasons), scale, None)

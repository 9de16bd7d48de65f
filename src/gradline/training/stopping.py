"""When to stop, and the words for it. Stopping is a status, never an exception."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gradline.training.cadence import EVERY_STEP, Cadence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.types import Json

GAP_TOLERANCE = 1e-12
COEFFICIENT_TOLERANCE = 1e-10  # ten times inside the promised 1e-9, which the rounding of the data has to fit into as well
STALLED_STEPS = 50  # within the gap, so many steps without a smaller one are the rounding of the oracle
GROWING_STEPS = 10  # so many in a row at which J and its gradient both grow by
GROWING_FACTOR = 1.5  # are a geometric growth: what momentum overshoots grows ever more slowly


class StopReason(Enum):
    """Why the loop ended; the values are the messages that users read."""

    CERTIFIED = "converged: the loss and every coefficient are within tolerance of the global minimum"
    ROUNDING = "converged: the loss is within tolerance of the global minimum, the coefficients as near as float64 allows"
    GAP = "converged: the loss is proved to be within tolerance of the global minimum"
    IMPROVEMENT = "stopped: the loss no longer improves by more than the tolerance"
    VALIDATION = "stopped early: the validation loss no longer improves; the parameters of its best step are kept"
    GRADIENT = "converged: the gradient is smaller than the first one by the tolerance"
    MONITOR = "stopped: a monitor asked for it"
    MAX_STEPS = "budget spent: the largest number of steps was reached before the tolerance"
    MAX_EPOCHS = "budget spent: the largest number of epochs was reached before the tolerance"
    MAX_SECONDS = "budget spent: the time ran out before the tolerance"
    DIVERGED = "diverged: the loss grew without bound; the best parameters seen are kept"

    @property
    def word(self) -> str:
        """The reason in the JSON documents."""
        return self.name.lower()

    @property
    def converged(self) -> bool:
        """Whether the tolerance was reached (exit code 0), or not (3)."""
        return self in CONVERGED

    @property
    def budget(self) -> bool:
        """Whether the run could go on."""
        return self in (StopReason.MAX_STEPS, StopReason.MAX_EPOCHS, StopReason.MAX_SECONDS, StopReason.MONITOR)

    def to_json(self) -> Json:
        """The entry `stopped` of the JSON documents."""
        return {"reason": self.word, "message": self.value}


CONVERGED = (
    StopReason.CERTIFIED,
    StopReason.ROUNDING,
    StopReason.GAP,
    StopReason.IMPROVEMENT,
    StopReason.VALIDATION,
    StopReason.GRADIENT,
)


@dataclass(frozen=True, slots=True)
class Step:
    """One row of the history: the state before update number `step`.

    objective: J on the training rows.  validation: J on the validation rows, without the penalty; None without such rows.
    parameter_norm, gradient_norm: of θ and ∇J(θ) in the loop's coordinates.  update_norm: of the update that led here.
    learning_rate: α; of a line search that which led here; None where the rule chooses its own.  gap: J − J*.  relative_gap: gap / J(w = 0, b = mean y).
    coefficient_error: the largest distance of a coefficient from its minimiser in deviations of the target, computed
    once the gap is within tolerance.  at_rounding: whether ∇J(θ) is rounding alone.  seconds: since the first step.
    """

    step: int
    objective: float
    validation: float | None
    parameter_norm: float
    gradient_norm: float
    update_norm: float
    learning_rate: float | None
    gap: float
    relative_gap: float
    coefficient_error: float | None
    at_rounding: bool
    seconds: float


class Monitor(Protocol):
    """Sees every step: any function of a `Step`. It may return a reason to stop; it cannot reach the trainer."""

    def __call__(self, step: Step, /) -> StopReason | None:
        """The reason to stop at this step, or None."""
        ...


class Criterion(Protocol):
    """One reason to stop. It may remember; what it remembers are its fields, so that a checkpoint can hold them."""

    def __call__(self, step: Step) -> StopReason | None:
        """The reason to stop at this step, or None."""
        ...


@dataclass
class Diverged:
    """J is not finite, is `growth` times its first value, or grows geometrically together with its gradient."""

    growth: float = 1e6
    _first: float = np.inf
    _objective: float = np.inf
    _gradient: float = np.inf
    _growing: int = 0

    def __call__(self, step: Step) -> StopReason | None:
        """See `Criterion`."""
        if step.step == 0:
            self._first, self._growing = step.objective, 0
        grows = step.objective > GROWING_FACTOR * self._objective and step.gradient_norm > self._gradient
        self._growing = self._growing + 1 if grows else 0
        self._objective, self._gradient = step.objective, step.gradient_norm
        allowed = self.growth * max(self._first, step.objective - step.gap)
        if not np.isfinite(step.objective) or step.objective > allowed or self._growing >= GROWING_STEPS:
            self._objective, self._growing = np.inf, 0  # the loop may go back, and on
            return StopReason.DIVERGED
        return None


@dataclass
class Certified:
    """The gap and every coefficient are within tolerance of the minimum, or as near as rounding allows."""

    _best_gap: float = np.inf
    _stalled: int = 0

    def __call__(self, step: Step) -> StopReason | None:
        """See `Criterion`."""
        if step.relative_gap > GAP_TOLERANCE:
            return None
        if step.coefficient_error is not None and step.coefficient_error <= COEFFICIENT_TOLERANCE:
            return StopReason.CERTIFIED
        self._stalled = 0 if step.gap < self._best_gap else self._stalled + 1
        self._best_gap = min(self._best_gap, step.gap)
        return StopReason.ROUNDING if step.at_rounding or self._stalled >= STALLED_STEPS else None


@dataclass
class ProvedGap:
    """The relative gap is within tolerance, exact or proved."""

    tolerance: float

    def __call__(self, step: Step) -> StopReason | None:
        """See `Criterion`."""
        return StopReason.GAP if step.relative_gap <= self.tolerance else None


@dataclass
class Improvement:
    """J fell by less than `tolerance` of itself over each of `patience` steps: the classic rule. A rise is no small improvement."""

    tolerance: float
    patience: int
    _before: float = np.inf
    _stale: int = 0

    def __call__(self, step: Step) -> StopReason | None:
        """See `Criterion`."""
        if step.step == 0:
            self._before, self._stale = np.inf, 0
        fall = self._before - step.objective
        small = self._before < np.inf and 0.0 <= fall <= self.tolerance * abs(self._before)
        self._stale = self._stale + 1 if small else 0
        self._before = step.objective
        return StopReason.IMPROVEMENT if self._stale >= self.patience else None


@dataclass
class Watched:
    """A loss whose mean over `window` steps (the recorded ones) did not fall below its lowest by `tolerance` of it, `patience`
    windows in a row.

    reason: which loss: VALIDATION, or IMPROVEMENT for J itself. With mini-batches a window is an epoch: no noisy step decides.
    """

    reason: StopReason
    tolerance: float
    patience: int
    window: int = 1
    _sum: float = 0.0
    _seen: int = 0
    _lowest: float = np.inf
    _stale: int = 0

    def __call__(self, step: Step) -> StopReason | None:
        """See `Criterion`."""
        loss = step.validation if self.reason is StopReason.VALIDATION else step.objective
        if loss is None:
            return None
        if step.step == 0:
            self._sum, self._seen, self._lowest, self._stale = 0.0, 0, np.inf, 0
        self._sum, self._seen = self._sum + loss, self._seen + 1
        if (step.step + 1) % self.window:
            return None
        mean, self._sum, self._seen = self._sum / self._seen, 0.0, 0
        lower = self._lowest == np.inf or mean < self._lowest - self.tolerance * abs(self._lowest)
        self._stale = 0 if lower else self._stale + 1
        self._lowest = min(self._lowest, mean)
        return self.reason if self._stale >= self.patience else None


@dataclass
class SmallGradient:
    """‖∇J(θ)‖ is at most `tolerance` of what it was at the start."""

    tolerance: float
    _first: float = np.inf

    def __call__(self, step: Step) -> StopReason | None:
        """See `Criterion`."""
        if step.step == 0:
            self._first = step.gradient_norm
        return StopReason.GRADIENT if step.gradient_norm <= self.tolerance * self._first else None


@dataclass
class Budget:
    """Steps, epochs of `window` steps, seconds."""

    max_steps: int
    max_seconds: float | None = None
    max_epochs: int | None = None
    window: int = 1

    def __call__(self, step: Step) -> StopReason | None:
        """See `Criterion`."""
        if self.max_epochs is not None and step.step >= self.max_epochs * self.window:
            return StopReason.MAX_EPOCHS
        if step.step >= self.max_steps:
            return StopReason.MAX_STEPS
        return StopReason.MAX_SECONDS if self.max_seconds is not None and step.seconds >= self.max_seconds else None


@dataclass
class Stopping:
    """Any of some criteria, asked in their order once a recorded step; then the monitors, who remember for themselves.

    recorded: the steps that the criteria see, whether the steps between are watched or not.
    """

    criteria: Sequence[Criterion]
    monitors: Sequence[Monitor] = ()
    recorded: Cadence = EVERY_STEP

    def __call__(self, step: Step) -> StopReason | None:
        """The first reason to stop at this step, or None. All are asked, so that each sees every step."""
        criteria = self.criteria if self.recorded(step.step) else ()
        reasons = [asked(step) for asked in (*criteria, *self.monitors)]
        return next((reason for reason in reasons if reason is not None), None)

    def memory(self) -> list[Json]:
        """What the criteria remember, for a checkpoint."""
        return [{k: v for k, v in asdict(c).items() if k.startswith("_")} for c in self.criteria]  # type: ignore[call-overload]

    def remember(self, memory: Sequence[Json]) -> None:
        """Go on from a checkpoint."""
        for criterion, values in zip(self.criteria, memory, strict=True):
            for name, value in values.items():
                setattr(criterion, name, value)


def stopping(
    on: Sequence[str],
    tolerance: float,
    patience: int,
    budget: Budget,
    growth: float = 1e6,
    monitors: Sequence[Monitor] = (),
    *,
    noisy: bool = False,
    bounded: float | None = None,
    recorded: Cadence = EVERY_STEP,
) -> Stopping:
    """The criteria of a run: divergence, what was asked for (`certificate`, `gap`, `improvement`, `validation`, `gradient`), budgets.

    bounded: the relative gap to reach, where the minimum is only bounded.  noisy: the gradients are of mini-batches; then a loss is judged by its mean over the epoch, and J always is.
    """
    window = budget.window if noisy else 1
    known: dict[str, Criterion] = {
        "certificate": Certified() if bounded is None else ProvedGap(bounded),
        "gap": ProvedGap(tolerance),
        "improvement": Watched(StopReason.IMPROVEMENT, tolerance, patience, window)
        if noisy
        else Improvement(tolerance, patience),
        "validation": Watched(StopReason.VALIDATION, tolerance, patience, window),
        "gradient": SmallGradient(tolerance),
    }
    asked = [*on, "improvement"] if noisy and "certificate" in on else on
    return Stopping([Diverged(growth), *(known[name] for name in dict.fromkeys(asked)), budget], monitors, recorded)

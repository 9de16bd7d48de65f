"""When to stop, and the words for it. Stopping is a status, never an exception."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gradline.types import Json

GAP_TOLERANCE = 1e-12
COEFFICIENT_TOLERANCE = 1e-10  # ten times inside the promised 1e-9, which the rounding of the data has to fit into as well


STALLED_STEPS = 50  # within the gap, so many steps without a smaller one are the rounding of the oracle


class StopReason(Enum):
    """Why the loop ended; the values are the messages that users read."""

    CERTIFIED = "converged: the loss and every coefficient are within tolerance of the global minimum"
    ROUNDING = "converged: the loss is within tolerance of the global minimum, the coefficients as near as float64 allows"
    IMPROVEMENT = "stopped: the loss no longer improves by more than the tolerance"
    VALIDATION = "stopped early: the validation loss no longer improves; the parameters of its best step are kept"
    MAX_STEPS = "budget spent: the largest number of steps was reached before the tolerance"
    MAX_SECONDS = "budget spent: the time ran out before the tolerance"
    DIVERGED = "diverged: the loss grew without bound; the best parameters seen are kept"

    @property
    def word(self) -> str:
        """The reason in the JSON documents."""
        return self.name.lower()

    @property
    def converged(self) -> bool:
        """Whether the tolerance was reached (exit code 0), or not (3)."""
        return self in (StopReason.CERTIFIED, StopReason.ROUNDING, StopReason.IMPROVEMENT, StopReason.VALIDATION)

    def to_json(self) -> Json:
        """The entry `stopped` of the JSON documents."""
        return {"reason": self.word, "message": self.value}


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


@dataclass
class Stopping:
    """The rules of one run, asked once a step.

    on: `certificate`; `improvement` (J fell by less than `tolerance` of itself over each of `patience` steps); or
    `validation` (the validation loss did not fall below its lowest by `tolerance` of it for `patience` steps).
    window: steps whose mean loss is compared, an epoch of mini-batches: one noisy step decides nothing.
    growth: J at so many times its first value is called diverged.
    """

    on: str
    tolerance: float
    patience: int
    max_steps: int
    max_seconds: float | None
    growth: float = 1e6
    window: int = 1
    _first: float = np.inf
    _before: float = np.inf
    _stale: int = 0
    _best_gap: float = np.inf
    _stalled: int = 0
    _lowest: float = np.inf
    _sum: float = 0.0

    def __call__(self, step: Step) -> StopReason | None:
        """The reason to stop at this step, or None."""
        if step.step == 0:
            self._first, self._before, self._stale = step.objective, np.inf, 0
        if not np.isfinite(step.objective) or step.objective > self.growth * max(self._first, step.objective - step.gap):
            return StopReason.DIVERGED
        if self.window > 1:
            if self._window_ended(step) and self._stale >= self.patience:
                return StopReason.IMPROVEMENT
        elif self.on == "improvement":
            small = self._before - step.objective <= self.tolerance * abs(self._before)
            self._stale = self._stale + 1 if step.step > 0 and small and step.objective <= self._before else 0
            self._before = step.objective
            if self._stale >= self.patience:
                return StopReason.IMPROVEMENT
        elif self.on == "validation" and step.validation is not None:
            lower = step.validation < self._lowest - self.tolerance * abs(self._lowest) or self._lowest == np.inf
            self._stale = 0 if lower else self._stale + 1
            self._lowest = min(self._lowest, step.validation)
            if self._stale >= self.patience:
                return StopReason.VALIDATION
        elif step.relative_gap <= GAP_TOLERANCE:
            if step.coefficient_error is not None and step.coefficient_error <= COEFFICIENT_TOLERANCE:
                return StopReason.CERTIFIED
            self._stalled = 0 if step.gap < self._best_gap else self._stalled + 1
            self._best_gap = min(self._best_gap, step.gap)
            if step.at_rounding or self._stalled >= STALLED_STEPS:
                return StopReason.ROUNDING
        near = step.coefficient_error is not None and step.coefficient_error <= COEFFICIENT_TOLERANCE
        if self.window > 1 and near and step.relative_gap <= GAP_TOLERANCE:
            return StopReason.CERTIFIED
        if step.step >= self.max_steps:
            return StopReason.MAX_STEPS
        if self.max_seconds is not None and step.seconds >= self.max_seconds:
            return StopReason.MAX_SECONDS
        return None

    def _window_ended(self, step: Step) -> bool:
        """Count an epoch whose mean loss is not below the lowest so far by `tolerance` of it."""
        self._sum += step.objective
        if (step.step + 1) % self.window:
            return False
        mean, self._sum = self._sum / self.window, 0.0
        self._stale = 0 if mean < self._lowest * (1.0 - self.tolerance) else self._stale + 1
        self._lowest = min(self._lowest, mean)
        return True

"""Who says how far an iterate is from the minimum: the maker of a step's record, and of the certificate.

There are three, by what is known of the minimum: it is solved for (squared error, here), bounded from the moments
(`gradline.training.optimality.elastic`), or bounded from the rows (`gradline.training.optimality.general`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from gradline.maths.certificate import certify
from gradline.training.stopping import GAP_TOLERANCE, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.maths.certificate import Certificate
    from gradline.maths.problem import Problem
    from gradline.training.loop import Iterate
    from gradline.types import FloatArray, Json


class Judged(NamedTuple):
    """What a judge adds to an iterate to make a `Step`."""

    objective: float
    validation: float | None
    gap: float
    coefficient_error: float | None = None
    at_rounding: bool = False


class Judge(Protocol):
    """tolerance: the relative gap that is good enough where the minimum is only bounded; None where it is solved for."""

    @property
    def tolerance(self) -> float | None: ...

    @property
    def baseline(self) -> float:
        """The loss that the relative gap is relative to."""
        ...

    def judged(self, iterate: Iterate, *, exact: bool, epoch: int) -> Judged:
        """What is known of an iterate. exact: the loop's J and ∇J are those of all rows.  epoch: steps of one."""
        ...

    def certify(self, theta: FloatArray) -> Certificate:
        """The certificate of θ (k,), in the loop's coordinates."""
        ...

    def to_json(self, theta: FloatArray) -> Json:
        """The entry `loss` of the JSON documents."""
        ...

    @property
    def memory(self) -> Json:
        """What it remembers from step to step, for a checkpoint."""
        ...

    def remember(self, memory: Json) -> None:
        """Go on from a checkpoint."""
        ...


class Bounded:
    """A judge that keeps the best lower bound of the minimum so far, ‖∇J‖ where it was found, and the last gap."""

    _bound: float = -np.inf
    _bound_at: float = np.inf
    _gap: float = np.inf

    @property
    def memory(self) -> Json:
        """See `Judge`."""
        return {"bound": self._bound, "bound_at": self._bound_at, "gap": self._gap}

    def remember(self, memory: Json) -> None:
        """See `Judge`."""
        self._bound, self._bound_at, self._gap = memory["bound"], memory["bound_at"], memory["gap"]


@dataclass(frozen=True, slots=True)
class Solved:
    """Squared error: the minimum is known from the moments. loop: the problem that the steps are judged by, where that is another."""

    problem: Problem
    tolerance: None = None
    loop: Problem | None = None

    @property
    def baseline(self) -> float:
        """J(w = 0, b = mean y)."""
        return self.problem.baseline

    def judged(self, iterate: Iterate, *, exact: bool, epoch: int) -> Judged:
        """See `Judge`; where the loop's J is of a batch, it comes from the moments."""
        problem, theta = self.loop or self.problem, iterate.theta
        gap = problem.gap(theta)
        near = gap <= GAP_TOLERANCE * problem.baseline
        return Judged(
            objective=iterate.value if exact else problem.loss.value(theta),
            validation=None if problem.validation is None else problem.validation.value(theta),
            gap=gap,
            coefficient_error=problem.coefficient_error(theta) if near else None,
            at_rounding=near and bool(np.all(np.abs(iterate.gradient) <= problem.loss.rounding(theta))),
        )

    def certify(self, theta: FloatArray) -> Certificate:
        """See `Judge`."""
        return certify(self.problem, theta)

    def to_json(self, theta: FloatArray) -> Json:
        """See `Judge`."""
        return {"name": "squared"}

    @property
    def memory(self) -> Json:
        """Nothing: the minimum is known."""
        return {}

    def remember(self, memory: Json) -> None:
        """See `Judge`."""


def observer(judge: Judge, *, exact: bool, epoch: int = 1, spent: float = 0.0) -> Callable[[Iterate], Step]:
    """What makes the record of a step. spent: seconds before this start, of a run that is resumed; the others as in `Judge`."""
    start = time.perf_counter() - spent

    def observe(iterate: Iterate) -> Step:
        found = judge.judged(iterate, exact=exact, epoch=epoch)
        return Step(
            step=iterate.step,
            objective=found.objective,
            validation=found.validation,
            parameter_norm=float(np.linalg.norm(iterate.theta)),
            gradient_norm=float(np.linalg.norm(iterate.gradient)),
            update_norm=iterate.update_norm,
            learning_rate=iterate.learning_rate,
            gap=found.gap,
            relative_gap=found.gap / judge.baseline,
            coefficient_error=found.coefficient_error,
            at_rounding=found.at_rounding,
            seconds=time.perf_counter() - start,
        )

    return observe

"""The loop: define a function, define a loss, compute gradients, update the parameters, repeat.

f(x) = w·x + b          J(w, b) = (1/2m) Σ (f(x_i) − y_i)²
∂J/∂w, ∂J/∂b            from the oracle, whichever way it knows them
w ← w − α ∂J/∂w,  b ← b − α ∂J/∂b          by the update rule
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gradline.training.cadence import EVERY_STEP
from gradline.training.stepping import stepping
from gradline.training.stopping import StopReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.maths.oracle import Oracle
    from gradline.training.cadence import Cadence
    from gradline.training.stopping import Step
    from gradline.types import FloatArray
    from gradline.updates.base import UpdateRule

ALL_STEPS = 10_000  # so many are all in the history,
STRIDE = 100  # then every so many


class Iterate(NamedTuple):
    """What the loop knows at a step: θ (k,), J(θ), ∇J(θ) (k,), ‖θ − θ₋‖, and α of the next update if it is known."""

    step: int
    theta: FloatArray
    value: float
    gradient: FloatArray
    update_norm: float
    learning_rate: float | None


class Descent(NamedTuple):
    """Where the loop ended: θ (k,), why, and the recorded steps (of a long run, after the first many, every hundredth).

    theta_low: what is to be added to θ, where it was refined to twice the precision.
    """

    theta: FloatArray
    reason: StopReason
    history: list[Step]
    theta_low: FloatArray | None = None


class Position(NamedTuple):
    """All that the loop needs to go on from the top of a step; what is random is a function of the step and the seed.

    before: θ₋, of the step before.  best, validated: the lowest J and the lowest validation loss recorded so far, each with its
    θ.  slowed: halvings of the learning rate.
    """

    step: int
    theta: FloatArray
    state: Any
    before: FloatArray
    best: tuple[float, FloatArray]
    validated: tuple[float, FloatArray]
    slowed: int
    history: list[Step]


def descend(
    oracle: Oracle,
    rule: UpdateRule[Any],
    start: FloatArray | Position,
    observe: Callable[[Iterate], Step],
    stop: Callable[[Step], StopReason | None],
    retries: int = 0,
    keep: Callable[[Position], None] | None = None,
    recorded: Cadence = EVERY_STEP,
    *,
    watched: bool = False,
) -> Descent:
    """Repeat until there is a reason to stop. `observe` makes a step's record; `keep` is shown where the loop stands.

    A step that is not `recorded` is a step alone, or one of several taken together (`stepping`); `watched`: all have one, but only the recorded ones are kept.

    A diverged run goes back to its best iterate, and on with half the learning rate while there are `retries`. A run stopped by
    its validation loss returns the iterate that was best by that.
    """
    position = start if isinstance(start, Position) else beginning(rule, start)
    first, theta, state, before, best, validated, slowed, history = position
    for _ in range(slowed):
        rule = rule.slowed() or rule
    advance, step = stepping(oracle, rule), first
    while True:
        if keep is not None:
            keep(Position(step, theta, state, before, best, validated, slowed, history))
        if not (watched or recorded(step)):
            before, theta, state, step = advance(theta, state, step, recorded.next(step))
            continue
        value, gradient = oracle.value_and_gradient(rule.at(theta, state), step)
        moved = float(np.linalg.norm(theta - before))
        record = observe(Iterate(step, theta, value, gradient, moved, rule.rate(state)))
        reason = stop(record)
        if recorded(step):
            best = min(best, (record.objective, theta), key=itemgetter(0))
            if record.validation is not None:
                validated = min(validated, (record.validation, theta), key=itemgetter(0))
        if reason is not None or (recorded(step) and (step < ALL_STEPS or step % STRIDE == 0)):
            history.append(record)
        if reason is StopReason.DIVERGED and slowed < retries and (slower := rule.slowed()) is not None:
            rule, theta, slowed, step = slower, best[1], slowed + 1, step + 1
            state, advance = rule.init(theta), stepping(oracle, rule)
            continue
        if reason is not None:
            kept = {StopReason.DIVERGED: best[1], StopReason.VALIDATION: validated[1]}.get(reason, theta)
            return Descent(kept, reason, history)
        before, theta, state, step = advance(theta, state, step, step + 1, gradient)


def beginning(rule: UpdateRule[Any], theta: FloatArray) -> Position:
    """The position before the first step."""
    nothing = (np.inf, theta)
    return Position(0, theta, rule.init(theta), theta, nothing, nothing, 0, [])

"""How the loop takes its steps: one by the rule, or all of them up to the next record in one compiled call.

Together go the steps of gradient descent, and of its average, on the batches of a squared error: their θ depends on nothing but
the rows, the learning rates and the shares of the average, which are known beforehand. At a few hundred rows a step, what Python
does around one costs as much as its arithmetic. A run goes the one way or the other for all its steps, so that its bits do not
depend on which of them are recorded or watched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gradline.oracles.minibatch import MiniBatchOracle
from gradline.updates.averaged import AveragedSGD, Walk
from gradline.updates.gradient_descent import GradientDescent

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.maths.oracle import Oracle
    from gradline.types import FloatArray
    from gradline.updates.base import UpdateRule

    Taken = tuple[FloatArray, FloatArray, Any, int]  # θ before the last of the steps, θ, state, the step that is next
    Advance = Callable[..., Taken]


def stepping(oracle: Oracle, rule: UpdateRule[Any]) -> Advance:
    """What takes steps from θ (k,), the state and the step: one, with ∇J there if it is known, or as many as come before `until`."""

    def one(theta: FloatArray, state: Any, step: int, until: int, gradient: FloatArray | None = None) -> Taken:
        if gradient is None:
            gradient = oracle.gradient(rule.at(theta, state), step)
        return theta, *rule.update(theta, gradient, state, oracle), step + 1

    if not (isinstance(oracle, MiniBatchOracle) and oracle.sliced):
        return one
    walk = oracle.walk

    def averaged(theta: FloatArray, state: Walk, step: int, until: int, gradient: FloatArray | None = None) -> Taken:
        assert isinstance(rule, AveragedSGD)
        steps = until - step
        shares = np.array([rule.share(state.step + taken) for taken in range(1, steps + 1)])
        before, iterate, average = walk(state.iterate, theta, np.full(steps, rule.learning_rate), shares, step)
        return before, average, Walk(state.step + steps, iterate), until

    def plain(theta: FloatArray, state: int, step: int, until: int, gradient: FloatArray | None = None) -> Taken:
        assert isinstance(rule, GradientDescent)
        rates = np.array([rule.rate(taken) for taken in range(state, state + until - step)])
        before, theta, _ = walk(theta, theta, rates, None, step)
        return before, theta, state + until - step, until

    return averaged if isinstance(rule, AveragedSGD) else plain if isinstance(rule, GradientDescent) else one

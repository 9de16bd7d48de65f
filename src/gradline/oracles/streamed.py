"""The gradient from the rows themselves: every step reads all of them. The textbook's meaning, and the reference.

    ∂J/∂w = (1/m) Σ (f(x_i) − y_i) x_i,   ∂J/∂b = (1/m) Σ (f(x_i) − y_i)

with weights, m is their sum. Any loss φ of the residual fits: φ' takes the place of the residual.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import numpy as np

from gradline.maths.losses import SQUARED
from gradline.maths.oracle import ValueAndGradient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gradline.maths.design import Design
    from gradline.maths.engine import Engine
    from gradline.maths.losses import Loss
    from gradline.types import FloatArray

B = TypeVar("B")

MOST_IN_MEMORY = 1 << 30  # bytes of rows that are kept; past them they are in mapped files
PART_ROWS = 1 << 14  # of kept rows


class Examples(NamedTuple):
    """Training rows in the loop's coordinates: X (n, p), y (n,), weight (n,) or None for ones."""

    X: Design
    y: FloatArray
    weight: FloatArray | None


class _Sums(NamedTuple):
    weight: float
    loss: float
    gradient: FloatArray  # (k,)


def _add(a: _Sums, b: _Sums) -> _Sums:
    return _Sums(a.weight + b.weight, a.loss + b.loss, a.gradient + b.gradient)


class StreamedOracle(Generic[B]):
    """One read of the data a step: O(m·p).

    blocks: begins a new read.  examples: the training rows of a block.  l2: λ of the penalty (λ/2)‖w‖².  loss: φ.
    """

    name = "streamed"

    def __init__(
        self,
        engine: Engine,
        blocks: Callable[[], Iterable[B]],
        examples: Callable[[B], Examples],
        *,
        intercept: bool,
        l2: float = 0.0,
        loss: Loss = SQUARED,
    ) -> None:
        self._engine = engine
        self._blocks = blocks
        self._examples = examples
        self._intercept = intercept
        self._l2 = l2
        self._loss = loss
        self.quadratic = loss is SQUARED
        self._last: tuple[FloatArray, ValueAndGradient] | None = None

    def value_and_gradient(self, theta: FloatArray, step: int = 0) -> ValueAndGradient:
        """See `Oracle`. The last answer is kept: a rule that tries a step has read the data for the next one."""
        if self._last is None or not np.array_equal(self._last[0], theta):
            self._last = theta.copy(), self._evaluated(theta)
        return self._last[1]

    def _evaluated(self, theta: FloatArray) -> ValueAndGradient:
        sums = self._read(theta, against_target=True)
        penalised = self._penalised(theta)
        value = sums.loss / sums.weight + 0.5 * self._l2 * float(penalised @ penalised)
        return ValueAndGradient(value, sums.gradient / sums.weight + self._l2 * penalised)

    def gradient(self, theta: FloatArray, step: int = 0) -> FloatArray:
        """∇J, (k,)."""
        return self.value_and_gradient(theta, step).gradient

    def curvature_along(self, direction: FloatArray) -> FloatArray:
        """See `Oracle`; for another loss than squared error, the bound of its curvature."""
        sums = self._read(direction, against_target=False)
        return self._loss.curvature * sums.gradient / sums.weight + self._l2 * self._penalised(direction)

    def _penalised(self, theta: FloatArray) -> FloatArray:
        """θ without the intercept."""
        return np.append(theta[:-1], 0.0) if self._intercept else theta

    def _read(self, theta: FloatArray, *, against_target: bool) -> _Sums:
        loss = self._loss if against_target else SQUARED

        def compute(block: B) -> _Sums:
            X, y, weight = self._examples(block)
            with np.errstate(over="ignore", invalid="ignore"):  # a trial, or a run let diverge; threads do not inherit the loop's
                return sums(X, y, weight)

        def sums(X: Design, y: FloatArray, weight: FloatArray | None) -> _Sums:
            prediction = X @ theta[:-1] + theta[-1] if self._intercept else X @ theta
            residual = prediction - y if against_target else prediction  # (n,)
            slope = loss.derivative(residual) if loss is not SQUARED else residual
            weighted = slope if weight is None else slope * weight
            gradient = X.T @ weighted
            if self._intercept:
                gradient = np.append(gradient, weighted.sum())
            total = float(len(y)) if weight is None else float(weight.sum())
            value = float(weighted @ residual) - 0.5 * loss.width * float(weighted @ slope)
            return _Sums(total, value, gradient)

        total = self._engine.map_merge(self._blocks(), compute, _add)
        if total is None or total.weight == 0.0:
            raise ValueError("there is no training row to read")
        return total

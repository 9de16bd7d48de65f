"""Proximal gradient descent: a gradient step on the smooth part of J, then the penalty λ₁‖w‖₁ taken exactly.

    x₊ = S(y − α ∇F(y), αλ₁),   S(v, t) = sign(v)·max(|v| − t, 0)  on the weights, the intercept left as it is
    plain        y = x                                          stable below 2/L
    accelerated  y₊ = x₊ + ((t − 1)/t₊)(x₊ − x)                 FISTA (Beck & Teboulle 2009), stable to 1/L

Acceleration starts again whenever it points uphill, (y − x₊)·(x₊ − x) > 0, which gives back the linear rate that it would lose
(O'Donoghue & Candès 2015). Coefficients that S sets to zero are zero, not small.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.updates.schedules import Constant, Halved

if TYPE_CHECKING:
    from gradline.maths.oracle import Oracle
    from gradline.types import FloatArray
    from gradline.updates.schedules import Schedule


class Momentum(NamedTuple):
    """Steps taken.  point: y (k,), where the next gradient is taken.  weight: t."""

    step: int
    point: FloatArray
    weight: float


@dataclass(frozen=True, slots=True)
class ProximalGradient:
    """schedule: α.  l1: λ₁ ≥ 0.  weights: how many of the first coordinates are penalised."""

    name: str
    schedule: Schedule
    l1: float
    weights: int
    accelerated: bool

    @property
    def learning_rate(self) -> float:
        """The first α."""
        return self.schedule(0)

    def init(self, theta: FloatArray) -> Momentum:
        """At rest."""
        return Momentum(0, theta, 1.0)

    def at(self, theta: FloatArray, state: Momentum) -> FloatArray:
        """Y."""
        return state.point

    def update(self, theta: FloatArray, gradient: FloatArray, state: Momentum, oracle: Oracle) -> tuple[FloatArray, Momentum]:
        """One proximal step from y."""
        alpha = self.schedule(state.step)
        after = state.point - alpha * gradient
        after[: self.weights] = soft_threshold(after[: self.weights], alpha * self.l1)
        if not self.accelerated:
            return after, Momentum(state.step + 1, after, 1.0)
        uphill = float((state.point - after) @ (after - theta)) > 0.0
        before = 1.0 if uphill else state.weight
        weight = 0.5 * (1.0 + float(np.sqrt(1.0 + 4.0 * before * before)))
        return after, Momentum(state.step + 1, after + (before - 1.0) / weight * (after - theta), weight)

    def slowed(self) -> ProximalGradient:
        """The same rule with half the learning rate."""
        return replace(self, schedule=Halved(self.schedule))

    def rate(self, state: Momentum) -> float:
        """α of the next step."""
        return self.schedule(state.step)


def soft_threshold(values: FloatArray, by: float) -> FloatArray:
    """sign(v)·max(|v| − t, 0), (n,)."""
    shrunk: FloatArray = np.sign(values) * np.maximum(np.abs(values) - by, 0.0)
    return shrunk


def constant(name: str, alpha: float, l1: float, weights: int, *, accelerated: bool) -> ProximalGradient:
    """With a fixed learning rate."""
    return ProximalGradient(name, Constant(alpha), l1, weights, accelerated)

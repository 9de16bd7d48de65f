"""Averaged SGD: gradient descent with a constant learning rate on mini-batches, and the average of where it has been.

    v ← v − α g_B(v),   θ ← (1 − c_t) θ + c_t v,   c_t = (η + 1)/(t + η),   t = 1, 2, …

v goes on circling the minimum at the floor of its α; θ, the mean of v_1 … v_t with weights that grow like t^η, has no floor:
its gap falls like 1/t at a constant α, without knowing μ (Polyak & Juditsky 1992; Bach & Moulines 2013, for least squares).
On least squares v is right on average whatever the α, which is why no schedule is needed; with one the average is worse.

η = 0 is the plain average, which forgets its start only like 1/t in θ. η = 1 forgets it like 1/t² and costs 4/3 of the plain
average's variance, (η + 1)²/(2η + 1) (polynomial-decay averaging: Shamir & Zhang 2013). The other cure, to leave out the first
half (tail averaging: Jain et al. 2018), forgets exponentially but costs twice the variance and must know how long the run is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gradline.maths.oracle import Oracle
    from gradline.types import FloatArray

NAME = "averaged_sgd"


class Walk(NamedTuple):
    """Steps taken, and v (k,), where the gradients are taken."""

    step: int
    iterate: FloatArray


@dataclass(frozen=True, slots=True)
class AveragedSGD:
    """α and η; θ is the average, the state holds what is averaged."""

    learning_rate: float
    tail: float = 1.0
    name: str = NAME

    def init(self, theta: FloatArray) -> Walk:
        """Both begin at the same place; the start itself is not averaged."""
        return Walk(0, theta)

    def at(self, theta: FloatArray, state: Walk) -> FloatArray:
        """V."""
        return state.iterate

    def update(self, theta: FloatArray, gradient: FloatArray, state: Walk, oracle: Oracle) -> tuple[FloatArray, Walk]:
        """V − α g_B(v), and the average with it."""
        step, iterate = state.step + 1, state.iterate - self.learning_rate * gradient
        average = iterate - theta
        average *= self.share(step)
        average += theta
        return average, Walk(step, iterate)

    def share(self, step: int) -> float:
        """c_t."""
        return (self.tail + 1.0) / (step + self.tail)

    def slowed(self) -> AveragedSGD:
        """The same rule with half the learning rate."""
        return replace(self, learning_rate=self.learning_rate / 2.0)

    def rate(self, state: Walk) -> float:
        """α."""
        return self.learning_rate

    @property
    def spread(self) -> float:
        """The variance of the average to that of the plain one, (η + 1)²/(2η + 1)."""
        return (self.tail + 1.0) ** 2 / (2.0 * self.tail + 1.0)

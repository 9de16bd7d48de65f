"""What the loop asks of the data: the value of J and its gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from gradline.types import FloatArray


class ValueAndGradient(NamedTuple):
    """J(θ) in squared target units, and ∇J(θ), (k,)."""

    value: float
    gradient: FloatArray


class Oracle(Protocol):
    """A source of gradients of J over the training rows, in the loop's coordinates. quadratic: whether J is, so that H is one matrix."""

    @property
    def quadratic(self) -> bool: ...

    def value_and_gradient(self, theta: FloatArray, step: int = 0) -> ValueAndGradient:
        """J and ∇J at θ (k,); `step` decides which rows are looked at, where not all of them are."""
        ...

    def gradient(self, theta: FloatArray, step: int = 0) -> FloatArray:
        """∇J alone, (k,): all that a step needs of which nothing is recorded."""
        ...

    def curvature_along(self, direction: FloatArray) -> FloatArray:
        """H·direction, (k,); of a J that is not quadratic, a matrix that bounds its second derivatives."""
        ...

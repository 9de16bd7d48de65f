"""What an update rule is: a pure pair of `init` and `update`. State goes in and comes out; the loop owns time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from gradline.maths.oracle import Oracle
    from gradline.types import FloatArray

State = TypeVar("State")


class UpdateRule(Protocol[State]):
    """θ ← θ + something made of the gradient.

    name: as users write it.  learning_rate: α, or None where the rule chooses its own step sizes.
    """

    @property
    def name(self) -> str: ...

    @property
    def learning_rate(self) -> float | None: ...

    def slowed(self) -> UpdateRule[State] | None:
        """The same rule with half the learning rate, None where it has none."""
        ...

    def rate(self, state: State) -> float | None:
        """α of the next step, or of the last one where a search finds it; None where it is not known."""
        ...

    def init(self, theta: FloatArray) -> State:
        """The state before the first step."""
        ...

    def at(self, theta: FloatArray, state: State) -> FloatArray:
        """Where the next gradient is to be taken, (k,): θ, but for a rule whose θ is an average of where it has been."""
        ...

    def update(self, theta: FloatArray, gradient: FloatArray, state: State, oracle: Oracle) -> tuple[FloatArray, State]:
        """The next θ (k,) and state, from ∇J at `at`."""
        ...

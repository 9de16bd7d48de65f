"""How the learning rate changes with the steps: α_t = f(t), a pure function, so that a resumed run has the same one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    """The learning rate of step t = 0, 1, …"""

    def __call__(self, step: int) -> float: ...


@dataclass(frozen=True, slots=True)
class Constant:
    """α_t = α."""

    alpha: float

    def __call__(self, step: int) -> float:
        """α, whatever the step."""
        return self.alpha


@dataclass(frozen=True, slots=True)
class InverseTime:
    """α_t = α / (1 + t/τ): the sum diverges and the sum of squares does not (Robbins & Monro 1951)."""

    alpha: float
    scale: float

    def __call__(self, step: int) -> float:
        """Halved after τ steps."""
        return self.alpha / (1.0 + step / self.scale)


@dataclass(frozen=True, slots=True)
class Cosine:
    """α_t = α·½(1 + cos(π t/T)) down to nothing at step T (Loshchilov & Hutter 2017)."""

    alpha: float
    steps: int

    def __call__(self, step: int) -> float:
        """Zero from step T on."""
        return 0.5 * self.alpha * (1.0 + math.cos(math.pi * min(step / self.steps, 1.0)))


@dataclass(frozen=True, slots=True)
class Halved:
    """Half of another schedule."""

    schedule: Schedule

    def __call__(self, step: int) -> float:
        """α_t / 2."""
        return self.schedule(step) / 2.0

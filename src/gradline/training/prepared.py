"""What is known before the first step of a run, and who watches it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gradline.inputs.contract import Contract
    from gradline.maths.coordinates import Coordinates, UserParameters
    from gradline.maths.noise import GradientNoise
    from gradline.maths.problem import Problem
    from gradline.oracles.minibatch import ExampleStore
    from gradline.oracles.sparse import SparseStore
    from gradline.representation.features import Representation
    from gradline.representation.sparse import SparseRepresentation
    from gradline.training.optimality.judge import Judge
    from gradline.training.optimality.wide import WideProblem
    from gradline.training.plan import Plan
    from gradline.training.rows import RowReader, SparseReader
    from gradline.training.stopping import Monitor
    from gradline.training.survey import Survey
    from gradline.training.validation.cross_validation import CrossValidation
    from gradline.training.validation.learning_curve import LearningCurve
    from gradline.types import FloatArray, Kind, Notice, Role


@dataclass(frozen=True, slots=True)
class Progress:
    """Who watches a run: `rows` is told how many rows have been read, each of the monitors sees every step.

    shown: a monitor that is content with the recorded steps.  parameters: is told the features' names and where the loop stands, in the
    user's units, before the monitors see that step.
    """

    rows: Callable[[int], None] = lambda rows: None
    monitors: Sequence[Monitor] = ()
    shown: Monitor | None = None
    parameters: Callable[[tuple[str, ...], UserParameters], None] | None = None


class Beginning(NamedTuple):
    """Where the loop is to begin, in the user's units: the coefficients by feature, 0 for those that are not named."""

    coefficients: Mapping[str, float]
    intercept: float

    def in_loop(self, names: tuple[str, ...], coordinates: Coordinates) -> FloatArray:
        """θ, (k,)."""
        return coordinates.from_user([self.coefficients.get(name, 0.0) for name in names], self.intercept)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is known before the first step. kinds: of the feature columns.  start: the first θ.

    judge: who says how far θ is from the minimum.  store: the training rows, for mini-batches and for losses without moments.
    noise: of mini-batches.  contract: of a sparse table.  stores: all rows, by role, where they are kept and have no moments.
    """

    problem: Problem | WideProblem
    representation: Representation | SparseRepresentation
    plan: Plan
    survey: Survey
    reader: RowReader | SparseReader
    kinds: Mapping[str, Kind]
    notices: tuple[Notice, ...]
    start: FloatArray
    judge: Judge
    store: ExampleStore | SparseStore | None = None
    noise: GradientNoise | None = None
    contract: Contract | None = None
    stores: Mapping[Role, ExampleStore] | Mapping[Role, SparseStore] = field(default_factory=dict)
    cross_validation: CrossValidation | None = None
    learning_curve: LearningCurve | None = None

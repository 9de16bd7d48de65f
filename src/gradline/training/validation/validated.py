"""What the parts of the training rows say of a run before its first step: the error of λ, or the best λ, and the learning curve."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from gradline.errors import plural
from gradline.training.validation.cross_validation import CrossValidation, cross_validate
from gradline.training.validation.learning_curve import LearningCurve, learning_curve
from gradline.types import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.maths.engine import Engine
    from gradline.maths.moments import Moments
    from gradline.representation.features import Representation
    from gradline.training.config import TrainConfig
    from gradline.training.plan import Plan
    from gradline.training.reading.roles import Split
    from gradline.training.survey import Survey
    from gradline.types import Notice


class Validated(NamedTuple):
    """config: the settings, λ having been chosen."""

    config: TrainConfig
    cross_validation: CrossValidation | None
    learning_curve: LearningCurve | None

    @property
    def notices(self) -> list[Notice]:
        """What is doubtful."""
        return [
            notice for found in (self.cross_validation, self.learning_curve) if found is not None for notice in found.doubts()
        ]

    def staged(self, plan: Plan) -> Plan:
        """The plan with the folds as a stage after the read."""
        found = self.cross_validation
        if found is None:
            return plan
        times = f"{found.repeats} × " if found.repeats > 1 else ""
        name = "rolling origins" if found.rolling else "folds"
        stage = f"{times}{found.folds} {name} × {plural(len(found.l2), 'value')} of λ"
        return replace(plan, stages=(plan.stages[0], stage, *plan.stages[1:]))


def validated(
    config: TrainConfig,
    split: Split,
    found: Survey,
    representation: Representation,
    features: Callable[[Moments, Moments], Moments],
    engine: Engine,
) -> Validated:
    """Of the divisions that the settings ask for. features: see `cross_validate`."""
    validation = curve = None
    folds = split.folds
    if folds:
        validation = cross_validate(folds, found.parts[: len(folds)], representation, features, config, engine)
        config = config.with_penalty(validation.chosen)
    if split.shares is not None:
        training, held_out = found.moments[Role.TRAINING], found.moments.get(Role.VALIDATION)
        curve = learning_curve(split.shares, found.parts[-1], training, held_out, representation, features, config, engine)
    return Validated(config, validation, curve)

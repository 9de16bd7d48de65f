"""One play: settings and a start become the trainer's own loop, whose steps are handed on as they come.

The oracle, the rule, the criteria and the records are those of `gradline.train` with the same settings; from the start θ = 0 they are the
same numbers. What is the lab's own is the place from which to start, and what each step looks like in the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.errors import UsageError
from gradline.maths.problem import Problem
from gradline.representation.features import Representation
from gradline.training.descending import run_loop
from gradline.training.diagnostics.doubts import run_doubts
from gradline.training.escalation import refined
from gradline.training.optimality.judge import Solved
from gradline.training.plan import make_plan, tolerance_reached
from gradline.training.prepared import Prepared, Progress
from gradline.training.rows import RowReader
from gradline.updates import adam, rules
from gradline.updates.gradient_descent import predicted_steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.lab.settings import RunSettings, TableSettings
    from gradline.lab.table import LabTable, Opened
    from gradline.maths.certificate import Certificate
    from gradline.maths.quadratic import Solution
    from gradline.training.config import TrainConfig
    from gradline.training.loop import Descent, Iterate
    from gradline.training.plan import Plan
    from gradline.training.stopping import Monitor, Step
    from gradline.types import FloatArray, Notice


@dataclass(frozen=True, slots=True)
class Play:
    """What is known before the first step. problem: that the steps are judged by.  plan: from this start.  opened: the table."""

    settings: TableSettings
    run: RunSettings
    config: TrainConfig
    prepared: Prepared
    problem: Problem
    opened: Opened

    @property
    def plan(self) -> Plan:
        """Rule, α, limit, predicted steps."""
        return self.prepared.plan

    @property
    def solution(self) -> Solution:
        """The minimum and the spectrum in the loop's coordinates."""
        return self.problem.solution

    @property
    def start(self) -> FloatArray:
        """θ₀, (k,)."""
        return self.prepared.start


class Played(NamedTuple):
    """What became of a play. notices: what is doubtful about it."""

    descent: Descent
    certificate: Certificate
    notices: list[Notice]


def set_up(
    table: LabTable,
    settings: TableSettings,
    run: RunSettings,
    start: FloatArray | None = None,
    learning_rate: float | None = None,
) -> Play:
    """The plan of a run from a start θ₀ (k,) in the loop's coordinates, None for 0. Raises InputError where there is none.

    learning_rate: α itself, in place of its multiple of 1/L.
    """
    prepared, base, opened = table.prepared(settings, run.scaling, run.l2, batches=run.batch > 0)
    judge = prepared.judge
    assert isinstance(judge, Solved)  # squared error, dense
    problem = judge.loop or judge.problem
    theta = prepared.start if start is None else start
    if theta.shape != prepared.start.shape:
        raise UsageError(
            f"the start has {len(theta)} numbers; here θ has {len(prepared.start)}.", "the weights, then the intercept."
        )
    config = replace(
        base,
        optimizer=run.rule,
        learning_rate=learning_rate or learning_rate_of(run, problem.solution),
        batch_size=run.batch or base.batch_size,
        max_steps=run.steps,
    )
    plan = make_plan(config, problem, theta, prepared.survey.reads, prepared.noise)
    return Play(settings, run, config, replace(prepared, plan=plan, start=theta), problem, opened)


def learning_rate_of(run: RunSettings, solution: Solution) -> float | None:
    """α from its multiple of 1/L (of Adam: of its usual α, from θ = 0); None where it is left to gradline or to the rule."""
    if run.rate is None or run.rule in rules.SELF_PACED:
        return None
    if run.rule == adam.NAME:
        return run.rate * rules.ADAM_RATE * float(np.abs(solution.minimiser).max())
    return run.rate / solution.curvature_max


def rate_of(play: Play) -> float | None:
    """The multiple that α is, the other way round."""
    alpha = play.plan.learning_rate
    if alpha is None:
        return None
    if play.run.rule == adam.NAME:
        usual = rules.ADAM_RATE * float(np.abs(play.solution.minimiser).max())
        return alpha / usual if usual > 0.0 else None
    return alpha * play.solution.curvature_max


def play_on(table: LabTable, play: Play, watch: Callable[[Iterate, Step], None], monitors: tuple[Monitor, ...] = ()) -> Played:
    """Run the trainer's loop; `watch` is shown every step. What it raises ends the run."""
    progress = Progress(monitors=monitors)
    descent = run_loop(play.opened.source, play.config, table.engine, play.prepared, progress, watch=watch)
    descent = refined(play.prepared.problem, play.plan, descent) if _is_problem(play) else descent
    certificate = play.prepared.judge.certify(descent.theta)
    return Played(descent, certificate, run_doubts(descent, play.plan, certificate))


def _is_problem(play: Play) -> bool:
    return isinstance(play.prepared.problem, Problem)


def sampled_features(play: Play) -> FloatArray:
    """The features of the sampled rows, (n, p), as training makes them: missing numbers imputed, their indicators beside them."""
    reader, representation = play.prepared.reader, play.prepared.representation
    assert isinstance(reader, RowReader)  # a sparse table is refused
    assert isinstance(representation, Representation)
    return representation.design(reader.decoder.decode(play.opened.read.survey.sample.table))


def steps_foretold(play: Play, learning_rate: float) -> int | None:
    """Steps of gradient descent at another fixed α from the same start, without taking any."""
    return predicted_steps(play.solution, play.start, learning_rate, tolerance_reached(play.problem))

"""What training would do, before a step of it: the wiring of `gradline plan`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from gradline.api import read_options
from gradline.engines.threads import ThreadEngine
from gradline.inputs.opening import open_source
from gradline.maths.problem import Problem, followed
from gradline.training.config import TrainConfig
from gradline.training.optimality.general import GeneralProblem
from gradline.training.optimality.wide import WideProblem
from gradline.training.plan import candidates
from gradline.training.prepared import Progress
from gradline.training.trainer import prepare
from gradline.types import Role

if TYPE_CHECKING:
    from gradline.inputs.source import Source
    from gradline.training.prepared import Prepared
    from gradline.types import Json


def plan(data: Any, target: str, **settings: Any) -> Json:
    """What training would do, without a step of it: the document that `plan --json` prints.

    The plan of these settings, and every rule at its best on these data with its predicted steps and seconds.
    """
    config = TrainConfig.from_mapping({"target": target, **settings})
    return planned(open_source(data, read_options(config)), config)


def planned(source: Source, config: TrainConfig, progress: Progress | None = None) -> Json:
    """The document of `plan --json` for a source."""
    from threadpoolctl import threadpool_limits

    start = time.perf_counter()
    with threadpool_limits(limits=1):
        prepared = prepare(source, config, ThreadEngine(config.threads), progress or Progress())
        problem, seconds = prepared.problem, _seconds_a_step(prepared)
        if config.loss == "squared" and config.l1 == 0.0:
            loop = followed(problem) if isinstance(problem, Problem) else problem
            found = candidates(config, loop, np.zeros(len(problem.solution.minimiser)), prepared.noise)
            rows = [(each.rule, each.limit, each.steps) for each in found]
        else:  # what suits another loss or penalty is the plan's own rule; its steps are not foretold
            rows = [(prepared.plan.rule, prepared.plan.learning_rate_limit, None)]
        table = [
            {
                "optimizer": rule.name,
                "learning_rate": rule.learning_rate,
                "learning_rate_limit": limit,
                "predicted_steps": steps,
                "predicted_seconds": None if steps is None else steps * seconds,
            }
            for rule, limit, steps in rows
        ]
    survey = prepared.survey
    return {
        "rows": {
            "read": survey.read,
            **{role.label: survey.rows(role) for role in Role},
            "dropped": survey.dropped - survey.gap,
            "gap": survey.gap,
        },
        "features": len(problem.names),
        "plan": prepared.plan.to_json(),
        "curvature_max": problem.solution.curvature_max,
        "curvature_min": problem.solution.curvature_min,
        "condition": problem.solution.condition,
        "candidates": table,
        "warnings": [notice.to_json() for notice in prepared.notices],
        "seconds": time.perf_counter() - start,
    }


def _seconds_a_step(prepared: Prepared) -> float:
    """What a step and its record take on the moments oracle here, or on all rows where there are no moments: the shortest of a few."""
    problem, taken = prepared.problem, []
    theta = np.ones(problem.coordinates.size)
    for _ in range(5):
        start = time.perf_counter()
        if isinstance(problem, WideProblem):
            assert isinstance(prepared.judge, GeneralProblem)
            prepared.judge.oracle().value_and_gradient(theta)
        else:
            problem.loss.value(theta)
            problem.loss.gradient(theta)
            problem.gap(theta)
        taken.append(time.perf_counter() - start)
    return min(taken)

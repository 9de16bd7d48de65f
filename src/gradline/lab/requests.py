"""What the page can ask: from JSON to an answer, without anything of HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gradline.errors import UsageError
from gradline.lab.code import code_of
from gradline.lab.degrees import by_degree
from gradline.lab.explain import worked_step
from gradline.lab.lessons import LESSONS, answered
from gradline.lab.play import Play, play_on, set_up
from gradline.lab.records import end_document, problem_document, shown, step_document
from gradline.lab.settings import MOST_STEPS, RULES, RunSettings, TableSettings
from gradline.lab.starts import many_starts
from gradline.lab.view import Plane, converted, picture_of, plane_of
from gradline.types import finite_or_none

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.lab.table import LabTable
    from gradline.training.loop import Iterate
    from gradline.training.stopping import Step
    from gradline.types import FloatArray, Json


def table_document(table: LabTable) -> Json:
    """What was read, and what can be chosen."""
    whole, first = table.opened(TableSettings(table.columns)), table.first
    return {
        "name": table.name,
        "target": table.target,
        "columns": list(table.columns),
        "rows": whole.read.survey.read,
        "sampled": len(whole.points.y),
        "target_deviation": finite_or_none(table.target_deviation),
        "rules": list(RULES),
        "most_steps": MOST_STEPS,
        "first": first,
        "lessons": [lesson.to_json(first) for lesson in LESSONS],
    }


def asked_play(table: LabTable, document: Json) -> tuple[Play, Plane, FloatArray | None]:
    """The play that a question is about, the plane of the picture, and θ₀ where it is not 0.

    {"table": …, "run": …, "view": the run whose plane is shown, or none for the run's own, "axes": two directions, "start": (u, v) there}
    """
    unknown = set(document) - {"table", "run", "view", "axes", "start", "theta", "step", "lesson", "answer", "seed"}
    if unknown:
        raise UsageError(f"there is no {sorted(unknown)[0]!r} in a question.")
    settings = TableSettings.of(document.get("table", {}))
    run = RunSettings.of(document.get("run", {}))
    lead = RunSettings.of(document["view"]) if document.get("view") is not None else run
    axes = document.get("axes")
    if axes is not None and not (isinstance(axes, list) and all(isinstance(key, str) for key in axes)):
        raise UsageError("axes are two directions' keys.")
    plane = plane_of(set_up(table, settings, lead), axes)
    point = document.get("start")
    if point is None:
        return set_up(table, settings, run), plane, None
    theta = plane.theta(_numbers("start", point, 2))
    play = set_up(table, settings, run)
    theta = converted(theta, plane.play.problem.coordinates, play.problem.coordinates) if run.scaling != lead.scaling else theta
    return set_up(table, settings, run, theta), plane, theta


def problem(table: LabTable, document: Json) -> Json:
    """See `problem_document`; with the code that gives the same numbers."""
    play, _, start = asked_play(table, document)
    return problem_document(play, document.get("axes")) | {"code": code_of(table, play, start)}


def prepared_run(table: LabTable, document: Json) -> Callable[[Callable[[Json], None]], None]:
    """A run that is ready to go: a function of what is to be told of each step."""
    play, plane, _ = asked_play(table, document)
    picture = picture_of(play)

    def go(send: Callable[[Json], None]) -> None:
        held: tuple[Iterate, Step] | None = None

        def watch(iterate: Iterate, step: Step) -> None:
            nonlocal held
            held = None if shown(step.step) else (iterate, step)
            if held is None:
                send(step_document(play, plane, picture, iterate, step))

        played = play_on(table, play, watch)
        if held is not None:  # the last step is always shown
            send(step_document(play, plane, picture, *held))
        send(end_document(play, played))

    return go


def worked(table: LabTable, document: Json) -> Json:
    """One step worked through, at the θ that the page shows."""
    play, _, _ = asked_play(table, document)
    theta = _numbers("theta", document.get("theta"), len(play.start))
    step = document.get("step", 0)
    return worked_step(play, theta, step if isinstance(step, int) else 0)


def starts(table: LabTable, document: Json) -> Json:
    """See `many_starts`."""
    play, _, _ = asked_play(table, document)
    return many_starts(table, play.settings, play.run, document.get("axes"))


def degrees(table: LabTable, document: Json) -> Json:
    """See `by_degree`."""
    play, _, _ = asked_play(table, document | {"start": None})
    return by_degree(table, play.settings, play.run)


def check(table: LabTable, document: Json) -> Json:
    """Whether a lesson's question was answered right, for the settings on the screen."""
    play, _, _ = asked_play(table, document)
    return answered(table, play, document.get("lesson"), document.get("answer"))


ANSWERS: dict[str, Callable[[LabTable, Json], Json]] = {
    "problem": problem,
    "worked": worked,
    "starts": starts,
    "degrees": degrees,
    "check": check,
}


def _numbers(name: str, values: Any, length: int) -> FloatArray:
    fine = isinstance(values, list) and len(values) == length
    if not fine or not all(
        isinstance(v, int | float) and not isinstance(v, bool) and np.isfinite(v) and abs(v) < 1e150 for v in values
    ):
        raise UsageError(f"{name} is not {length} numbers.")
    return np.array(values, dtype=np.float64)

"""The documents that the page is given: of a problem, of each step of a run, of its end. Numbers are in full; what is not known is null."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradline.lab.explain import marks, words_of
from gradline.lab.play import rate_of
from gradline.lab.view import directions_of, picture_of, plane_of
from gradline.types import Role, finite_or_none

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.lab.play import Play, Played
    from gradline.lab.view import Picture, Plane
    from gradline.training.loop import Iterate
    from gradline.training.stopping import Step
    from gradline.types import FloatArray, Json

ALL_SHOWN = 1_000  # steps; then every so many, that a long run is a few thousand records
DIGITS = 7  # of what is drawn only


def problem_document(play: Play, axes: Sequence[str] | None = None) -> Json:
    """All that is known before the first step."""
    problem, solution, survey = play.problem, play.solution, play.prepared.survey
    plane, picture = plane_of(play, axes), picture_of(play)
    user = problem.coordinates.to_user(solution.minimiser)
    return {
        "features": list(problem.names),
        "target": play.config.target,
        "rows": {role.label: survey.rows(role) for role in Role} | {"read": survey.read},
        "line": picture.line,
        "points": picture.points,
        "x": picture.x.tolist(),
        "best": picture.predicted(*problem.coordinates.weights_and_bias(solution.minimiser)).tolist(),
        "surface": plane.surface(play.start),
        "directions": [{"key": d.key, "label": d.label} for d in directions_of(play)] if not plane.plain else [],
        "start": plane.at(play.start).tolist(),
        "theta": play.start.tolist(),
        "minimiser": solution.minimiser.tolist(),
        "coefficients": dict(zip(problem.names, map(float, user.coefficients), strict=True)),
        "intercept": user.intercept,
        "minimum": solution.minimum,
        "validation_minimum": None
        if problem.validation is None
        else finite_or_none(problem.validation.value(solution.minimiser)),
        "baseline": problem.baseline,
        "curvature_min": solution.curvature_min,
        "curvature_max": solution.curvature_max,
        "condition": solution.condition,
        "eigenvalues": solution.eigenvalues.tolist(),
        "plan": play.plan.to_json(),
        "rate": finite_or_none(rate_of(play)),
        "marks": marks(play),
        "words": words_of(play),
        "notices": [notice.to_json() for notice in play.prepared.notices],
    }


def shown(step: int) -> bool:
    """Whether a step of a long run is sent."""
    return step < ALL_SHOWN or step % 10 ** (len(str(step)) - len(str(ALL_SHOWN)) + 1) == 0


def step_document(play: Play, plane: Plane, picture: Picture, iterate: Iterate, step: Step) -> Json:
    """A step: the numbers of the trainer's own record, θ, ∇J, and where it is in the pictures."""
    coordinates = play.problem.coordinates
    theta = iterate.theta
    with np.errstate(over="ignore", invalid="ignore"):  # a diverging run may overflow
        at = plane.at(theta, coordinates)
        predicted = picture.predicted(*coordinates.weights_and_bias(theta))
        user = coordinates.to_user(theta)
        surface = play.problem.gap(theta)
    return {
        "kind": "step",
        "step": step.step,
        "objective": finite_or_none(step.objective),
        "validation": finite_or_none(step.validation),
        "gap": finite_or_none(surface),
        "relative_gap": finite_or_none(step.relative_gap),
        "gradient_norm": finite_or_none(step.gradient_norm),
        "update_norm": finite_or_none(step.update_norm),
        "parameter_norm": finite_or_none(step.parameter_norm),
        "learning_rate": finite_or_none(step.learning_rate),
        "theta": _numbers(theta),
        "gradient": _numbers(iterate.gradient),
        "coefficients": _numbers(user.coefficients),
        "intercept": finite_or_none(user.intercept),
        "at": _numbers(at),
        "picture": [None if not np.isfinite(value) else float(f"{value:.{DIGITS}g}") for value in predicted],
    }


def end_document(play: Play, played: Played) -> Json:
    """How a run ended."""
    last = played.descent.history[-1].step if played.descent.history else 0
    user = play.problem.coordinates.to_user(played.descent.theta, played.descent.theta_low)
    predicted = play.plan.predicted_steps
    return {
        "kind": "end",
        "steps": last,
        "stopped": played.descent.reason.to_json(),
        "converged": played.descent.reason.converged,
        "predicted_steps": predicted,
        "certificate": played.certificate.to_json(),
        "coefficients": dict(zip(play.problem.names, map(float, user.coefficients), strict=True)),
        "intercept": finite_or_none(user.intercept),
        "theta": _numbers(played.descent.theta),
        "notices": [notice.to_json() for notice in played.notices],
    }


def _numbers(values: FloatArray) -> list[float | None]:
    return [finite_or_none(value) for value in values.tolist()]

"""Seven lessons: what to set, what to look at, and a question whose answer is found from the settings on the screen."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gradline.errors import UsageError
from gradline.lab.degrees import by_degree
from gradline.lab.explain import number
from gradline.lab.play import Play, play_on, set_up
from gradline.lab.view import plane_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gradline.lab.table import LabTable
    from gradline.types import Json

NEAR = 0.02  # relative: what a number may be off
RANDOM_STARTS = 6


@dataclass(frozen=True, slots=True)
class Question:
    """options: what can be chosen, by key; none where a number is asked for."""

    text: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Try:
    """A thing to do, and the settings that do it."""

    text: str
    table: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Lesson:
    """table, run: settings that differ from the first ones.  look: which curve and which picture are to be seen."""

    id: str
    title: str
    text: tuple[str, ...]
    question: Question
    table: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    tries: tuple[Try, ...] = ()
    look: Mapping[str, str] = field(default_factory=dict)

    def to_json(self, first: Json) -> Json:
        """For the page. first: see `LabTable.first`."""

        def resolved(settings: Mapping[str, Any]) -> Json:
            """`centred`: the feature between −1 and 1, whose powers are far less alike."""
            found = dict(settings)
            return {**found, **first["centred"]} if found.pop("centred", False) else found

        return {
            "id": self.id,
            "title": self.title,
            "text": list(self.text),
            "question": {"text": self.question.text, "options": dict(self.question.options)},
            "table": resolved(self.table),
            "run": dict(self.run),
            "tries": [{"text": each.text, "table": resolved(each.table), "run": dict(each.run)} for each in self.tries],
            "look": dict(self.look),
        }


LESSONS = (
    Lesson(
        "step",
        "One step",
        (
            "A line f(x) = w·x + b, and a few rows. Each row has a residual r = f(x) − y: how far the line is off, and on which side.",
            "The gradients are means over the rows: ∂J/∂w = (1/m) Σ r·x and ∂J/∂b = (1/m) Σ r. The update goes against them, in both parameters at once.",
            "Take one step after the other, and read “One step worked through”: it has the numbers of the step on the screen.",
        ),
        Question(
            "The line starts at w = 0, b = 0. Which way does the first step move w?",
            {"up": "up", "down": "down", "not": "not at all"},
        ),
        table={"rows": 20, "validation": 0.0, "test": 0.0},
        run={"scaling": "none", "rate": 0.3},
        tries=(
            Try("Take one step (→), and one back (←)."),
            Try("Drag the start to another place.", {}, {}),
            Try("Drag a point of the data far away: the line follows it.", {}, {}),
        ),
    ),
    Lesson(
        "stability",
        "How large may α be?",
        (
            "Along each eigenvector of H the error is multiplied by 1 − αλ a step, whatever happens along the others. It shrinks while |1 − αλ| < 1.",
            "The steepest direction, λ = L, decides. Below 1/L the path does not swing, between 1/L and 2/L it swings and closes in, past 2/L it grows.",
        ),
        Question("Up to which α does gradient descent converge with these settings? (A number; it is on the scale.)"),
        run={"scaling": "none", "rate": 1.8},
        tries=(
            Try("α = 0.5/L: no swinging.", {}, {"rate": 0.5, "scaling": "none"}),
            Try("α = 1.95/L: it swings, and closes in slowly.", {}, {"rate": 1.95, "scaling": "none"}),
            Try("α = 2.1/L: past the mark. Read why it diverges.", {}, {"rate": 2.1, "scaling": "none"}),
        ),
    ),
    Lesson(
        "condition",
        "A ravine, or a bowl",
        (
            "How many steps it takes is decided by κ = L/μ. The contours are ellipses, √κ times as long as wide: one α has to serve the steep way across and the flat way along.",
            "Centring and scaling the features changes the coordinates in which the gradient is taken. For one feature κ becomes 1: the contours are circles, and the gradient points at the minimum.",
        ),
        Question("Turn scaling on, and leave α to gradline. How many steps does it take then?"),
        run={"scaling": "none", "rate": None},
        tries=(
            Try("Scaling on.", {}, {"scaling": "standard", "rate": None}),
            Try("Scaling off, in the table's own unit: κ is far larger.", {"divide": 1.0}, {"scaling": "none", "rate": None}),
            Try("Momentum in the ravine: √κ in place of κ.", {}, {"scaling": "none", "rule": "momentum", "rate": None}),
        ),
        look={"curve": "gap"},
    ),
    Lesson(
        "noise",
        "Batches and noise",
        (
            "A batch of B rows gives a gradient that is right on average, and noisy. Far from the minimum a few rows show the way; near it the noise is larger than the gradient.",
            "With a constant α the gap ends at a floor: it goes down with α, and with 1/B.",
        ),
        Question(
            "The batch is made twice as large, α stays. What becomes of the floor of the gap?",
            {"half": "about half as high", "same": "it stays", "double": "about twice as high", "zero": "it is gone"},
        ),
        run={"scaling": "standard", "rate": 0.3, "batch": 8, "steps": 600},
        tries=(
            Try("B = 128.", {}, {"scaling": "standard", "rate": 0.3, "batch": 128, "steps": 600}),
            Try("B = 8 at a tenth of α.", {}, {"scaling": "standard", "rate": 0.03, "batch": 8, "steps": 600}),
            Try(
                "Average the steps: below the floor.",
                {},
                {"scaling": "standard", "rule": "averaged_sgd", "rate": None, "batch": 8, "steps": 600},
            ),
        ),
        look={"curve": "gap"},
    ),
    Lesson(
        "stopping",
        "When to stop",
        (
            "That J hardly falls any more says how slow the method is, not how near the minimum. The gradient says it: ‖∇J‖²/2L ≤ J − J* ≤ ‖∇J‖²/2μ.",
            "gradline knows H from the moments, so it reports the gap itself, J − J* = ½ g'H⁻¹g, and stops when it is a 10⁻¹² part of J(0, ȳ) and every coefficient is right to 10⁻¹⁰.",
        ),
        Question("By which factor are the two bounds apart, for the settings on the screen? (A number.)"),
        run={"scaling": "none", "rate": 0.2, "steps": 400},
        tries=(
            Try("Look at the loss: after some steps it seems to stand still."),
            Try("Look at the gap: it is still falling, by the same factor each step.", {}, {}),
        ),
        look={"curve": "loss"},
    ),
    Lesson(
        "overfitting",
        "Too many powers",
        (
            "A polynomial of x is linear in its coefficients: x, x², x³ … are features like any other. Each further power lowers the training loss.",
            "The validation loss, of rows that were not trained on, rises again when the curve follows the noise. A penalty λ holds the coefficients back.",
        ),
        Question("Which degree has the lowest validation loss at its minimum? (Press “all degrees”; a whole number.)"),
        table={"rows": 30, "degree": 6, "noise": 0.4, "validation": 0.5, "test": 0.0, "centred": True},
        run={"scaling": "standard", "rule": "conjugate_gradient", "rate": None, "steps": 60},
        tries=(
            Try("Degree 1.", {"rows": 30, "degree": 1, "noise": 0.4, "validation": 0.5, "test": 0.0, "centred": True}),
            Try("Degree 9.", {"rows": 30, "degree": 9, "noise": 0.4, "validation": 0.5, "test": 0.0, "centred": True}),
            Try(
                "Degree 9 with λ = 0.1.",
                {"rows": 30, "degree": 9, "noise": 0.4, "validation": 0.5, "test": 0.0, "centred": True},
                {"l2": 0.1},
            ),
        ),
        look={"curve": "loss", "picture": "degrees"},
    ),
    Lesson(
        "convex",
        "Fifty starts",
        (
            "J is convex: where the gradient is zero, J is as low as it can be. Fifty random starts end in one point.",
            "A two-layer network on the same rows has a loss that is not convex: from fifty starts, after the same number of steps, it ends in many different losses. This is why gradline can prove how far it is from the minimum.",
        ),
        Question("In how many different values of J do the fifty starts of the line end (to six digits)?"),
        run={"scaling": "standard", "rate": 0.3, "steps": 400},
        tries=(Try("Press “50 starts”."),),
        look={"picture": "starts"},
    ),
)
BY_ID = {lesson.id: lesson for lesson in LESSONS}


def answered(table: LabTable, play: Play, lesson: Any, answer: Any) -> Json:
    """{"right", "message"}: the answer beside the truth of the settings on the screen."""
    if not isinstance(lesson, str) or lesson not in BY_ID:
        raise UsageError(f"there is no lesson {str(lesson)[:40]!r}.")
    asked = BY_ID[lesson].question
    if asked.options:
        if not isinstance(answer, str) or answer not in asked.options:
            return {"right": False, "message": "Choose one of the answers."}
    else:
        answer = _number(answer)
        if answer is None:
            return {"right": False, "message": "Give a number, such as 0.8 or 12."}
    right, message = CHECKS[lesson](table, play, answer)
    return {"right": bool(right), "message": message}


def _number(answer: Any) -> float | None:
    if isinstance(answer, str):
        try:
            answer = float(answer.strip().replace("\u2212", "-").replace(",", ""))
        except ValueError:
            return None
    if isinstance(answer, bool) or not isinstance(answer, int | float) or not math.isfinite(answer):
        return None
    return float(answer)


def _near(answer: float, truth: float) -> bool:
    return abs(answer - truth) <= NEAR * abs(truth)


def _step(table: LabTable, play: Play, answer: str) -> tuple[bool, str]:
    slope = float(play.problem.loss.gradient(np.zeros_like(play.start))[0])
    truth = "up" if slope < 0.0 else "down" if slope > 0.0 else "not"
    if answer == truth:
        return True, f"Yes: ∂J/∂w = {number(slope)} there, and the step goes against it."
    return False, f"Not quite: ∂J/∂w = {number(slope)} there. Which way is against it?"


def _stability(table: LabTable, play: Play, answer: float) -> tuple[bool, str]:
    limit = 2.0 / play.solution.curvature_max
    if _near(answer, limit):
        return True, f"Yes: 2/L = {number(limit)}, where |1 − αL| = 1."
    side = "At that α the steepest direction still shrinks" if answer < limit else "At that α the steepest direction grows"
    factor = 1.0 - answer * play.solution.curvature_max
    return False, f"{side}: its error is multiplied by 1 − αL = {number(factor, 3)} a step. For which α is the size just 1?"


def _condition(table: LabTable, play: Play, answer: float) -> tuple[bool, str]:
    scaled = set_up(table, play.settings, replace(play.run, rule="gradient_descent", scaling="standard", rate=None, batch=0))
    truth = scaled.plan.predicted_steps
    if truth is not None and answer == truth:
        return True, f"Yes: κ = {number(scaled.solution.condition)} there, and {truth:,} foretold."
    return False, f"Not {number(answer)}. With scaling κ = {number(scaled.solution.condition)}; play it, and read the last step."


def _noise(table: LabTable, play: Play, answer: str) -> tuple[bool, str]:
    batch = play.run.batch or 8
    rate = play.run.rate or 0.3
    run = replace(play.run, rule="gradient_descent", rate=rate, batch=batch)
    floors = [set_up(table, play.settings, replace(run, batch=size)).plan.noise_floor for size in (batch, 2 * batch)]
    if floors[0] is None or floors[1] is None:
        return False, "At this α there is no floor: it is past the limit for such batches. Take a smaller α."
    ratio = floors[1] / floors[0]
    truth = "half" if ratio < 0.75 else "double" if ratio > 1.5 else "same"
    shown = f"foretold are {number(floors[0], 3)} for B = {batch:,} and {number(floors[1], 3)} for B = {2 * batch:,}"
    return (
        (True, f"Yes: {shown}.")
        if answer == truth
        else (False, f"No: try it, with B = {2 * batch:,}. The noise of a mean of 2B rows has half the variance.")
    )


def _stopping(table: LabTable, play: Play, answer: float) -> tuple[bool, str]:
    kappa = play.solution.condition
    if _near(answer, kappa):
        return True, f"Yes: (‖∇J‖²/2μ) / (‖∇J‖²/2L) = L/μ = κ = {number(kappa)}."
    return False, "No: divide the upper bound by the lower one. What is left of ‖∇J‖²?"


def _overfitting(table: LabTable, play: Play, answer: float) -> tuple[bool, str]:
    found = by_degree(table, play.settings, play.run)
    known = [(loss, degree) for loss, degree in zip(found["validation"], found["degree"], strict=True) if loss is not None]
    if not known:
        return False, "There are no validation rows with these settings: hold some out."
    best = min(known)
    if answer == best[1]:
        return True, f"Yes: degree {best[1]}, with a validation loss of {number(best[0])}."
    at = {degree: loss for loss, degree in known}.get(int(answer)) if answer == int(answer) else None
    return False, "No: " + (
        f"degree {int(answer)} has {number(at)}, another has less." if at is not None else "it is one of 1 to 9."
    )


def _convex(table: LabTable, play: Play, answer: float) -> tuple[bool, str]:
    plane = plane_of(play)
    middle, half = plane.frame(play.start)
    rng = np.random.default_rng(0)
    ends = []
    for _ in range(RANDOM_STARTS):
        again = set_up(table, play.settings, play.run, plane.theta(middle + half * rng.uniform(-1.0, 1.0, 2)))
        ends.append(again.problem.loss.value(play_on(table, again, lambda iterate, step: None).descent.theta))
    truth = len({f"{end:.6g}" for end in ends})
    if truth > 1:
        return False, "With these settings the runs end before the minimum: give them more steps or a better α first."
    if answer == truth:
        return True, f"Yes: all end at J* = {number(play.solution.minimum, 6)}. What is convex has one minimum."
    return False, "No: press “50 starts”, and look at the strip of the final losses."


CHECKS: dict[str, Callable[[LabTable, Play, Any], tuple[bool, str]]] = {
    "step": _step,
    "stability": _stability,
    "condition": _condition,
    "noise": _noise,
    "stopping": _stopping,
    "overfitting": _overfitting,
    "convex": _convex,
}

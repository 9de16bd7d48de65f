"""Each lesson's question is answered right and wrong, by an answer found in another way than the lab's."""

import numpy as np
import pytest
from lab_tables import flights, small

from gradline.errors import UsageError
from gradline.lab.lessons import CHECKS, LESSONS, answered
from gradline.lab.play import play_on, set_up
from gradline.lab.requests import table_document
from gradline.lab.settings import RunSettings, TableSettings

FIRST_RUN = {"scaling": "none", "rate": 0.5}


def begun(lesson, table):
    """The play that the page begins a lesson with."""
    first = table.first
    document = lesson.to_json(first)
    settings = TableSettings.of({"features": first["features"], "divide": first["divide"], **document["table"]})
    return set_up(table, settings, RunSettings.of({**FIRST_RUN, **document["run"]}))


def feature(play):
    return play.opened.points.numbers[play.problem.names[0]]


def truth(lesson, play, table):
    training = play.opened.points.roles == 0
    x, y = feature(play)[training], play.opened.points.y[training]
    H = play.problem.loss.hessian
    match lesson:
        case "step":
            return "up" if np.mean(-y * x) < 0 else "down"
        case "stability":
            return 2.0 / np.linalg.eigvalsh(H)[-1]
        case "condition":
            scaled = set_up(table, play.settings, RunSettings(scaling="standard"))
            return play_on(table, scaled, lambda iterate, step: None).descent.history[-1].step
        case "noise":
            return "half"
        case "stopping":
            return np.linalg.cond(H)
        case "overfitting":
            return best_degree(play, table)
        case "convex":
            return 1


def best_degree(play, table):
    losses = {}
    for degree in range(1, 10):
        settings = TableSettings.of({**{n: getattr(play.settings, n) for n in ("rows", "shift", "divide", "noise", "validation", "test")}, "features": list(play.settings.features), "degree": degree})  # fmt: skip
        points = set_up(table, settings, play.run).opened.points
        x, y = points.numbers[play.settings.features[0]], points.y
        fit = np.polynomial.Polynomial.fit(x[points.roles == 0], y[points.roles == 0], degree)
        losses[degree] = np.mean((fit(x[points.roles == 1]) - y[points.roles == 1]) ** 2)
    return min(losses, key=losses.get)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.id)
@pytest.mark.parametrize("table", [flights, small], ids=["flights", "small"])
def test_the_right_answer_is_right_and_others_are_wrong(lesson, table):
    table = table()
    play = begun(lesson, table)
    right = truth(lesson.id, play, table)
    assert answered(table, play, lesson.id, str(right))["right"], right
    wrong = [key for key in lesson.question.options if key != right] or [str(1.1 * right + 1), "0", "-3", "many", "", "1e999"]
    for answer in (*wrong, None, "?", []):
        found = answered(table, play, lesson.id, answer)
        assert not found["right"], answer
        assert found["message"]


def test_there_are_seven_and_each_can_be_checked():
    assert len(LESSONS) == 7
    assert set(CHECKS) == {lesson.id for lesson in LESSONS}


def test_every_try_can_be_played():
    table = small()
    for lesson in table_document(table)["lessons"]:
        for each in lesson["tries"]:
            settings = TableSettings.of({"features": ["x"], **lesson["table"], **each["table"]})
            set_up(table, settings, RunSettings.of({**FIRST_RUN, **lesson["run"], **each["run"]}))


def test_an_unknown_lesson_is_refused():
    with pytest.raises(UsageError):
        answered(small(), begun(LESSONS[0], small()), "nothing", "1")

"""The words are right: what they foretell happens."""

import re
from itertools import pairwise

import numpy as np
import pytest
from lab_tables import small

from gradline.lab.explain import factors, marks, number, words_of, worked_step
from gradline.lab.play import play_on, set_up
from gradline.lab.settings import RunSettings, TableSettings
from gradline.types import Role

TWO = TableSettings(("x", "z"))


@pytest.mark.parametrize("rate", [0.4, 1.7, 2.2])
def test_the_error_along_each_direction_is_multiplied_by_its_factor(rate):
    play = set_up(small(), TWO, RunSettings(rate=rate, scaling="none", steps=25))
    seen = []
    play_on(small(), play, lambda iterate, step: seen.append(play.solution.along(iterate.theta)))
    for before, after in pairwise(seen[:11]):
        np.testing.assert_allclose(after, factors(play) * before, rtol=1e-6, atol=1e-9)


def test_past_the_limit_the_words_say_which_direction_and_by_what_factor():
    play = set_up(small(), TWO, RunSettings(rate=2.2, scaling="none"))
    found = {section["title"]: section for section in words_of(play)}["Why it diverges"]
    text = " ".join(found["lines"])
    assert found["kind"] == "bad"
    alpha, steepest = number(play.plan.learning_rate), number(play.solution.curvature_max)
    assert f"1 − αλ = 1 − {alpha} · {steepest} = −1.2 a step" in text
    assert "grows 1.2-fold" in text
    assert "1.44-fold" in text
    assert "The other 2 directions still shrink" in text
    assert re.search(r"overflows float64 at step [\d,]+", text)


def test_below_it_nothing_is_said_to_grow():
    play = set_up(small(), TWO, RunSettings(rate=1.9, scaling="none"))
    assert all(section["kind"] == "plain" for section in words_of(play))
    assert "grows" not in str(words_of(play)).replace("It grows towards", "")


@pytest.mark.parametrize("rule", ["momentum", "nesterov"])
def test_the_limit_on_the_scale_is_where_the_rule_diverges(rule):
    limit = marks(set_up(small(), TWO, RunSettings(rule, rate=0.5)))["limit"]
    for share, unstable in ((0.98, False), (1.02, True)):
        play = set_up(small(), TWO, RunSettings(rule, rate=share * limit))
        assert play.plan.unstable is unstable
        assert (np.abs(factors(play)).max() > 1.0) == unstable


def test_marks_are_those_of_the_spectrum():
    play = set_up(small(), TWO, RunSettings(scaling="none"))
    found, H = marks(play), play.problem.loss.hessian
    values = np.linalg.eigvalsh(H)
    assert found["two"] / found["one"] == 2.0
    assert found["best"] == pytest.approx(2.0 * values[-1] / (values[0] + values[-1]))
    assert found["limit"] == pytest.approx(2.0)


def test_a_worked_step_is_the_mean_over_the_rows():
    play = set_up(small(), TableSettings(("x",)), RunSettings(scaling="none", rate=0.5))
    points, theta = play.opened.points, np.array([1.0, 2.0])
    training = (points.roles == Role.TRAINING) & np.isfinite(points.y)
    x, y = points.numbers["x"][training], points.y[training]
    residual = theta[0] * x + theta[1] - y
    found = worked_step(play, theta, 4)
    assert found["lines"][0].endswith(f"= {number(float(np.mean(residual * x)))}  (x)")
    assert found["lines"][1].endswith(f"= {number(float(np.mean(residual)))}")
    assert found["rows"][0]["product"] == number(float(residual[0] * x[0]))
    after = theta[0] - play.plan.learning_rate * np.mean(residual * x)
    assert found["lines"][2].endswith(f"= {number(float(after))}")


def test_a_rule_without_factors_has_none():
    assert factors(set_up(small(), TWO, RunSettings("conjugate_gradient"))) is None
    assert factors(set_up(small(), TWO, RunSettings(batch=8))) is None


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (15758.2, "15,758"), (-0.126, "−0.126"), (2.3e-32, "2.3 × 10⁻³²"), (np.inf, "∞"), (None, "–"), (1200.0, "1,200")])  # fmt: skip
def test_numbers_are_written_for_people(value, text):
    assert number(value) == text

"""What the lab shows is what the trainer does."""

import warnings

import numpy as np
import pytest
from lab_tables import FLIGHTS, answer, flights, rows, served, small, streamed

import gradline as gl
from gradline.errors import UsageError
from gradline.lab.play import play_on, set_up
from gradline.lab.settings import RunSettings, TableSettings
from gradline.lab.view import converted

ONE, TWO = TableSettings(("x",)), TableSettings(("x", "z"))
RUNS = [
    (("x",), {}),
    (("x",), {"scaling": "none", "rate": 0.7}),
    (("x", "z"), {"scaling": "none", "rate": 1.99}),
    (("z", "x"), {"rule": "momentum", "l2": 0.3}),
    (("x", "z"), {"rule": "nesterov", "rate": 0.4}),
    (("x", "z"), {"rule": "conjugate_gradient", "scaling": "none"}),
    (("x", "z"), {"rule": "lbfgs", "scaling": "none"}),
    (("x", "z"), {"rule": "adam", "rate": 2.0, "steps": 60}),
    (("x", "z"), {"rate": 2.3}),
    (("x",), {"batch": 16, "rate": 0.4, "steps": 90}),
    (("x",), {"batch": 16, "rule": "averaged_sgd", "steps": 90}),
]
HISTORY = ("objective", "validation", "gap", "relative_gap", "gradient_norm", "update_norm", "parameter_norm", "learning_rate")


def trained(data, target, features, plan, run):
    """The model of the same settings, trained by `gradline.train`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gl.GradlineWarning)
        return gl.train(
            data,
            target,
            features=list(features),
            optimizer=run.get("rule", "gradient_descent"),
            learning_rate=plan["learning_rate"] if "rate" in run else "auto",
            scaling=run.get("scaling", "standard"),
            l2=run.get("l2", 0.0),
            oracle="minibatch" if run.get("batch") else "auto",
            batch_size=run.get("batch", 256),
            max_steps=run.get("steps", 300),
            force=True,
        )


def compare(steps, end, model, features):
    history = model.history.to_pydict()
    shown = {line["step"]: line for line in steps}
    for at, step in enumerate(history["step"]):
        for name in HISTORY:
            start = next((value for value in history[name] if value), 0.0)
            ours, theirs = shown[step][name], history[name][at]
            if theirs is None or np.isnan(theirs):
                assert ours is None
            else:  # an absolute part for what is rounding alone
                assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9 * start), (name, step)
    assert end["steps"] == model.result["steps"]
    assert end["stopped"]["reason"] == model.result["stopped"]["reason"]
    for name in features:
        assert end["coefficients"][name] == pytest.approx(model.coefficients[name], rel=1e-9)
    assert end["intercept"] == pytest.approx(model.intercept, rel=1e-9)


@pytest.mark.parametrize(("features", "run"), RUNS, ids=[f"{'+'.join(f)} {r}" for f, r in RUNS])
def test_every_step_through_the_server_is_that_of_train(features, run):
    question = {"table": {"features": list(features)}, "run": run}
    with served(small()) as server:
        plan = answer(server, "problem", question)["plan"]
        *steps, end = streamed(server, question)
    compare(steps, end, trained(rows(), "y", features, plan, run), features)


def test_the_flights_are_those_of_train_too():
    question = {"table": {"features": ["distance", "hour"]}, "run": {"scaling": "none", "rate": 1.9, "steps": 40}}
    with served(flights()) as server:
        plan = answer(server, "problem", question)["plan"]
        *steps, end = streamed(server, question)
    compare(steps, end, trained(FLIGHTS, "air_time", ("distance", "hour"), plan, question["run"]), ("distance", "hour"))


def test_from_another_start_the_path_is_the_formula():
    play = set_up(small(), TWO, RunSettings(rate=0.7, steps=30), np.array([5.0, -3.0, 2.0]))
    seen = []
    play_on(small(), play, lambda iterate, step: seen.append((iterate.theta, step)))
    theta, solution, alpha = play.start, play.solution, play.plan.learning_rate
    for step, (found, record) in enumerate(seen):
        error = solution.vectors @ (
            (1.0 - alpha * solution.eigenvalues) ** step * (solution.vectors.T @ (theta - solution.minimiser))
        )
        np.testing.assert_allclose(found - solution.minimiser, error, atol=1e-12)
        assert record.step == step


def test_steps_foretold_from_a_start_are_the_steps_taken():
    play = set_up(small(), TWO, RunSettings(rate=0.7, steps=3_000), np.array([5.0, -3.0, 2.0]))
    assert play_on(small(), play, lambda iterate, step: None).descent.history[-1].step == play.plan.predicted_steps


def test_a_diverging_run_returns_finite_parameters_and_says_so():
    play = set_up(small(), TWO, RunSettings(rate=2.5))
    played = play_on(small(), play, lambda iterate, step: None)
    assert played.descent.reason is gl.StopReason.DIVERGED
    assert np.isfinite(played.descent.theta).all()
    assert [notice.code for notice in played.notices]


def test_a_start_of_the_wrong_length_is_refused():
    with pytest.raises(UsageError, match="start has 5 numbers"):
        set_up(small(), TWO, RunSettings(), np.zeros(5))


def test_a_run_is_the_same_whoever_watches():
    play = set_up(small(), ONE, RunSettings(batch=8, rate=0.5, steps=50))
    first, second = [], []
    play_on(small(), play, lambda iterate, step: first.append(iterate.theta))
    play_on(small(), play, lambda iterate, step: second.append(iterate.theta))
    np.testing.assert_array_equal(first, second)


def test_other_coordinates_are_the_same_function():
    here, there = (set_up(small(), TWO, RunSettings(scaling=scaling)).problem.coordinates for scaling in ("none", "standard"))
    X, theta = np.random.default_rng(0).normal(size=(9, 2)), np.array([1.5, -0.3, 4.0])
    moved = converted(theta, here, there)
    expected = here.transformed(X) @ theta[:2] + theta[2]
    np.testing.assert_allclose(there.transformed(X) @ moved[:2] + moved[2], expected, rtol=1e-12)
    np.testing.assert_allclose(converted(moved, there, here), theta, rtol=1e-12)

"""The same pictures and runs without a browser."""

import numpy as np
import pytest
from lab_tables import FLIGHTS, flights, rows, small

import gradline as gl
from gradline.lab.play import set_up
from gradline.lab.settings import RunSettings, TableSettings


def test_the_plot_has_a_path_for_each_rate_that_ends_at_the_minimum():
    figure = gl.lab.path_plot(rows(), "y", features=["x"], rates=[0.5, 1.9], scaling="none", max_steps=3_000)
    kinds = [trace.type for trace in figure.data]
    assert kinds == ["contour", "scatter", "scatter"]
    best = set_up(small(), TableSettings(("x",)), RunSettings(scaling="none")).solution.minimiser
    for trace in figure.data[1:]:
        assert (trace.x[0], trace.y[0]) == (0.0, 0.0)
        assert (trace.x[-1], trace.y[-1]) == pytest.approx(tuple(best), rel=1e-6)


def test_the_surface_carries_its_path():
    figure = gl.lab.path_plot(rows(), "y", features=["x", "z"], surface=True, start=[2.0, -1.0], max_steps=20)
    surface, path = figure.data
    assert (surface.type, path.type) == ("surface", "scatter3d")
    assert (path.x[0], path.y[0]) == pytest.approx((2.0, -1.0))
    assert all(later <= earlier + 1e-12 for earlier, later in zip(path.z, path.z[1:], strict=False))


def test_a_run_has_every_step_of_train():
    run = gl.lab.play(rows(), "y", features=["x", "z"], learning_rate=0.3, max_steps=40)
    with pytest.warns(gl.GradlineWarning):
        model = gl.train(rows(), "y", features=["x", "z"], optimizer="gradient_descent", learning_rate=0.3, max_steps=40)
    np.testing.assert_allclose([step.objective for step in run.steps], model.history["objective"].to_numpy(), rtol=1e-9)
    assert run.thetas.shape == (41, 3)
    assert run.coefficients == pytest.approx(model.coefficients, rel=1e-9)


@pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")
def test_the_code_of_the_page_about_the_lab_runs(monkeypatch):
    import re

    monkeypatch.chdir(FLIGHTS.parents[1])
    (code,) = re.findall(r"```python\n(.*?)```", (FLIGHTS.parents[1] / "docs/lab.md").read_text(encoding="utf-8"), re.DOTALL)
    found = {}
    exec(compile(code, "lab.md", "exec"), found)
    assert found["run"].coefficients == pytest.approx(found["model"].coefficients, rel=1e-6)
    assert len(found["figure"].data) == 3


def test_a_step_of_the_flights_takes_far_less_than_a_picture():
    """50 ms to the screen is promised; the loop, the records and their JSON are to be a small part of it, on any machine."""
    import json
    import time

    from gradline.lab.requests import prepared_run

    question = {"table": {"features": ["distance", "hour"]}, "run": {"rate": 0.5, "steps": 200}}
    prepared_run(flights(), question)
    taken = []
    for _ in range(5):
        start, lines = time.perf_counter(), []
        prepared_run(flights(), question)(lambda line, lines=lines: lines.append(json.dumps(line)))
        taken.append((time.perf_counter() - start) / len(lines))
    assert min(taken) < 0.01

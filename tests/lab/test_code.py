"""The code that the page gives is run, and gives the numbers on the screen."""

import json
import warnings

import numpy as np
import pytest
from lab_tables import written

import gradline as gl
from gradline.cli import main as command_line
from gradline.lab.requests import prepared_run, problem
from gradline.lab.table import LabTable

CASES = {
    "as it is": ({"features": ["x", "z"]}, {"rate": 0.6, "steps": 40}, None),
    "every setting": ({"features": ["z"], "validation": 0.2, "test": 0.05, "seed": 3}, {"rule": "momentum", "scaling": "none", "l2": 0.2}, None),
    "past the limit": ({"features": ["x"]}, {"rate": 2.2, "scaling": "none"}, None),
    "batches": ({"features": ["x"]}, {"batch": 32, "rate": 0.3, "steps": 50}, None),
    "altered": ({"features": ["x"], "rows": 50, "degree": 3, "divide": 2.0, "shift": 1.0, "noise": 0.2, "validation": 0.3, "moved": [[0, 4, 9.0, 1.0]]}, {"rate": 0.8, "steps": 30}, None),
    "a unit": ({"features": ["x", "z"], "divide": 3.0, "shift": 0.25}, {"rate": 0.6, "scaling": "none", "steps": 40}, None),
    "powers": ({"features": ["x"], "divide": 4.0, "degree": 3}, {"rule": "conjugate_gradient"}, None),
    "a unit, batches": ({"features": ["x"], "divide": 3.0}, {"batch": 32, "rate": 0.3, "steps": 20}, None),
    "another start": ({"features": ["x"]}, {"rate": 0.4, "scaling": "none", "steps": 15}, [3.0, -2.0]),
    "altered, another start": ({"features": ["x"], "rows": 40, "divide": 3.0}, {"rate": 0.4, "steps": 15}, [3.0, -2.0]),
}  # fmt: skip


def shown(table, question):
    lines = []
    prepared_run(table, question)(lines.append)
    return lines[-1]


@pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")
@pytest.mark.parametrize("case", CASES)
def test_the_lines_give_what_is_shown(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    written(tmp_path)
    settings, run, start = CASES[case]
    question = {"table": settings, "run": run, "start": start}
    table = LabTable.open("rows.parquet", "y")
    code, end = problem(table, question)["code"], shown(table, question)
    found = {}
    exec(compile(code["python"], case, "exec"), found)
    model = found["model"] if "model" in found else found["run"]
    for name, value in end["coefficients"].items():
        assert model.coefficients[name] == pytest.approx(value, rel=1e-9)
    assert model.intercept == pytest.approx(end["intercept"], rel=1e-9)
    if code["cli"] is None:
        assert start is not None
        assert "starts at" in code["note"]
        return
    capsys.readouterr()
    words = np.array(__import__("shlex").split(code["cli"].replace("\\\n", " "))).tolist()
    assert words[0] == "gradline"
    assert command_line.run([*words[1:], "--json", "--out", "run"]) in (0, 3)
    document = json.loads(capsys.readouterr().out)
    assert document["coefficients"] == pytest.approx(end["coefficients"], rel=1e-9)


def test_names_that_a_shell_or_python_would_act_on_stay_names(tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.chdir(tmp_path)
    x = np.arange(30.0)
    names = ["a, b", "$(touch no)", "it's", '"']
    pq.write_table(pa.table({name: x**0.5 + i * np.sin((i + 1) * x) for i, name in enumerate(names)} | {"y; ls": x}), "t.parquet")
    table = LabTable.open("t.parquet", "y; ls")
    question = {"table": {"features": names, "validation": 0.0, "test": 0.0}, "run": {"steps": 5}}
    code = problem(table, question)["code"]
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gl.GradlineWarning)
        exec(compile(code["python"], "names", "exec"), found)
    assert set(found["model"].coefficients) == set(names)
    words = __import__("shlex").split(code["cli"].replace("\\\n", " "))
    assert command_line.run([*words[1:], "--json", "--out", "run"]) in (0, 3)
    assert not (tmp_path / "no").exists()

"""svmlight files on the command line: train, plan, predict, evaluate, show."""

from __future__ import annotations

import csv
import json
from typing import NamedTuple

import numpy as np
import pytest

from gradline.cli.main import run


class Called(NamedTuple):
    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def call(capsys):
    def called(*words):
        code = run([str(word) for word in words])
        told = capsys.readouterr()
        return Called(code, told.out, told.err)

    return called


@pytest.fixture
def data(tmp_path):
    """400 rows of 50 columns, counted from 1, the last 100 of them in a file of their own."""
    rng = np.random.default_rng(0)
    X = np.where(rng.random((400, 50)) < 0.2, rng.normal(size=(400, 50)), 0.0)
    y = X @ rng.normal(size=50) + 0.1 * rng.normal(size=400) + 7.0
    lines = [f"{t} " + " ".join(f"{j + 1}:{row[j]}" for j in np.flatnonzero(row)) for t, row in zip(y, X, strict=True)]
    (tmp_path / "a.svm").write_text("\n".join(lines[:300]) + "\n")
    (tmp_path / "b.svm").write_text("\n".join(lines[300:]) + "\n")
    return tmp_path, y[300:]


def test_from_file_to_predictions(data, call):
    folder, y = data
    trained = call("train", folder / "a.svm", "--out", folder / "run", "--json")
    assert trained.exit_code == 0, trained.stderr
    document = json.loads(trained.stdout)
    assert document["target"]["name"] == "y"
    assert list(document["coefficients"]) == [f"x{j}" for j in range(1, 51)]
    assert document["certificate"]["kind"] == "exact"
    assert "left_out_constant" not in [warning["code"] for warning in document["warnings"]]  # column 0 of files that count from 1
    predicted = call("predict", folder / "run", folder / "b.svm", "--out", folder / "p.csv", "--keep", "y", "--json")
    assert predicted.exit_code == 0, predicted.stderr
    with (folder / "p.csv").open() as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_array_equal([float(row["y"]) for row in rows], y)
    errors = np.array([float(row["prediction"]) for row in rows]) - y
    evaluated = json.loads(call("evaluate", folder / "run", folder / "b.svm", "--json").stdout)
    assert evaluated["metrics"]["rmse"] == pytest.approx(float(np.sqrt(np.mean(errors**2))), rel=1e-12)
    assert evaluated["metrics"]["rmse"] < 0.2
    shown = call("show", folder / "run")
    assert "x50" in shown.stdout
    assert (folder / "run" / "report.html").stat().st_size > 1e6


def test_the_target_can_be_given_a_name(data, call):
    folder, _ = data
    trained = call("train", folder / "a.svm", "--target", "price", "--out", folder / "run", "--json")
    assert json.loads(trained.stdout)["target"]["name"] == "price"
    assert call("evaluate", folder / "run", folder / "b.svm", "--json").exit_code == 0


def test_the_plan_of_many_features_foretells_every_rule(data, call, monkeypatch):
    monkeypatch.setattr("gradline.training.sparse.MOST_FEATURES", 10)
    folder, _ = data
    planned = call("plan", folder / "a.svm", "--l2", "0.1", "--json")
    assert planned.exit_code == 0, planned.stderr
    document = json.loads(planned.stdout)
    foretold = {row["optimizer"]: row["predicted_steps"] for row in document["candidates"]}
    for rule in ("gradient_descent", "nesterov", "conjugate_gradient"):
        run = call("train", folder / "a.svm", "--l2", "0.1", "--optimizer", rule, "--out", folder / rule, "--json")
        assert abs(json.loads(run.stdout)["steps"] - foretold[rule]) <= max(1, 0.03 * foretold[rule])
    assert "trust" in call("train", folder / "a.svm", "--out", folder / "free").stdout.lower()
    assert "not known" in call("show", folder / "free").stdout


def test_a_fault_is_told_with_its_line_and_leaves_nothing(data, call):
    folder, _ = data
    with (folder / "a.svm").open("a") as file:
        file.write("1 2:3 nonsense\n")
    trained = call("train", folder / "a.svm", "--out", folder / "run")
    assert trained.exit_code == 2
    assert "line 301" in trained.stderr
    assert not (folder / "run").exists()

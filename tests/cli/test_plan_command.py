"""`gradline plan`: what training would do, without a step of it."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gradline.cli.main import run
from gradline.updates import rules


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 4)) @ rng.normal(size=(4, 4))
    columns = {f"x{j}": X[:, j] for j in range(4)} | {"y": X @ [1.0, -2.0, 0.5, 3.0] + rng.normal(size=500)}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def test_the_plan_names_every_rule_and_training_takes_the_steps_it_foretells(data, capsys, tmp_path):
    assert run(["plan", str(data), "--target", "y", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["optimizer"] for row in document["candidates"]] == list(rules.NAMES)
    for row in document["candidates"]:
        if row["predicted_steps"] is None:
            continue
        words = ["train", str(data), "--target", "y", "--optimizer", row["optimizer"], "--json", "--out", str(tmp_path / "run")]
        assert run(words) == 0
        trained = json.loads(capsys.readouterr().out)
        assert trained["steps"] == pytest.approx(row["predicted_steps"], rel=0.1, abs=1)
        assert trained["plan"]["learning_rate"] == row["learning_rate"]


def test_on_mini_batches_the_table_is_of_the_rules_that_run_there(data, capsys):
    words = ["plan", str(data), "--target", "y", "--oracle", "minibatch", "--batch-size", "16", "--optimizer", "averaged_sgd"]
    assert run([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    rows = {row["optimizer"]: row for row in document["candidates"]}
    assert list(rows) == list(rules.ON_BATCHES)
    assert all(row["predicted_steps"] is None for row in rows.values())
    assert document["plan"]["optimizer"] == "averaged_sgd"
    for name, share in (("gradient_descent", 2), ("averaged_sgd", 4)):  # of the limit; the condition is near 1
        assert rows[name]["learning_rate_limit"] == document["plan"]["learning_rate_limit"]
        assert rows[name]["learning_rate"] == rows[name]["learning_rate_limit"] / share
    assert document["plan"]["learning_rate"] == rows["averaged_sgd"]["learning_rate"]
    assert run(words) == 0
    assert "→ averaged sgd" in capsys.readouterr().out
    assert run(["plan", str(data), "--target", "y", "--json"]) == 0
    assert "averaged_sgd" not in [row["optimizer"] for row in json.loads(capsys.readouterr().out)["candidates"]]


def test_planning_writes_nothing(data, capsys, monkeypatch):
    monkeypatch.chdir(data.parent)
    assert run(["plan", str(data), "--target", "y"]) == 0
    assert "conjugate gradient" in capsys.readouterr().out
    assert [file.name for file in data.parent.iterdir()] == ["t.parquet"]


def test_a_rate_for_a_rule_that_chooses_its_own_is_refused(data, capsys):
    assert run(["plan", str(data), "--target", "y", "--optimizer", "lbfgs", "--alpha", "0.1"]) == 2
    assert "its own step sizes" in capsys.readouterr().err

"""Gap and strata in a whole run: counted, told of, known again, and the same for every kind of table."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import gradline as gl
from gradline.api import evaluate
from gradline.errors import UsageError
from gradline.training.config import TrainConfig
from reference import fit
from tables import gradline, write_csv
from tables import weighted as a_table


def dated(rows=400):
    rng = np.random.default_rng(0)
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=int(i)) for i in np.sort(rng.integers(0, 200, rows))]
    return a_table(rows).append_column("day", pa.array(days))


def codes(model):
    return [notice.code for notice in model.notices]


@pytest.mark.parametrize(
    "settings",
    [{"time": "day", "gap": "7d"}, {"stratify": "c"}, {"stratify": "y", "folds": 3}, {"time": "day", "folds": 3, "gap": "2d"}],
    ids=str,
)
def test_the_training_rows_are_known_again_and_their_model_reads_back(settings, tmp_path):
    table = dated()
    model = fit(table, features=["a", "b", "c"], learning_curve=True, **settings)
    found = evaluate(model, table)
    assert found["influence"] is not None
    model.save(tmp_path / "m.gradline")
    again = gl.load(tmp_path / "m.gradline")
    assert again.result["learning_curve"] == model.result["learning_curve"]
    assert again.result["cross_validation"] == model.result["cross_validation"]
    assert evaluate(again, table)["influence"] == found["influence"]


def test_the_levels_of_a_column_have_their_share_of_every_role():
    table = a_table(900)
    model = fit(table, features=["a", "c"], stratify="c", validation=0.2, test=0.1)
    rows = model.result["rows"]
    assert rows["validation"] == 180
    assert abs(rows["test"] - 90) <= 5
    assert "within each level of 'c'" in model.result["split"]
    assert {"c=v", "c=w"} <= set(model.coefficients)  # the column is a feature all the same


def test_a_gap_shorter_than_the_steps_of_time_is_told_of():
    table = dated()
    assert "gap_empty" in codes(fit(table, features=["a"], time="day", gap="12h"))
    assert "gap_empty" not in codes(fit(table, features=["a"], time="day", gap="7d"))
    assert "gap_empty" not in codes(fit(table, features=["a"], time="day"))


def test_a_gap_that_takes_the_validation_rows_is_told_of():
    model = fit(dated(), features=["a"], time="day", gap="30d")
    assert model.result["rows"]["validation"] == 0
    assert any(n.code == "time_ties" and "30d of gap" in n.message for n in model.notices)


def test_a_gap_is_a_number_or_a_text_in_settings():
    assert TrainConfig.from_mapping({"target": "y", "time": "t", "gap": 7}).gap == "7"
    assert TrainConfig.from_mapping({"target": "y", "time": "t", "gap": 0.5}).gap == "0.5"
    with pytest.raises(UsageError, match="gap is True"):
        TrainConfig.from_mapping({"target": "y", "time": "t", "gap": True})


@pytest.mark.parametrize("settings", [{"time": "x0", "gap": "2.5"}, {"stratify": "x0"}], ids=str)
def test_sparse_and_wide_tables_have_the_roles_of_narrow_ones(settings):
    from scipy import sparse

    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 6))
    X[:, 0] = rng.integers(0, 40, 300)
    y = X[:, 1] + rng.normal(size=300)
    wanted = fit(X, y, **settings).result["rows"]
    assert fit(sparse.csr_array(X), y, **settings).result["rows"] == wanted
    wide = np.hstack([X, rng.normal(size=(300, 5_000))])
    assert fit(wide, y, l2=1.0, max_steps=1, **settings).result["rows"] == wanted
    assert wanted["gap"] > 0 or "gap" not in settings


@pytest.mark.parametrize("settings", [{"stratify": "c"}, {"time": "key"}], ids=str)
def test_what_can_be_read_once_has_no_column_read_before(settings):
    table = a_table()
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches())
    with pytest.raises(UsageError, match="needs to read its column first"):
        gl.train(reader, "y", **settings)


def test_the_command_counts_the_gap_and_says_what_more_rows_would_bring(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = dated(600)
    write_csv(table.select(["day", "a", "b", "y"]), Path("t.csv"))
    words = ["t.csv", "--target", "y", "--time", "day", "--gap", "7d", "--folds", "3", "--learning-curve"]
    answer = gradline(capsys, "train", *words)
    assert answer.code == 0, answer.err
    assert "left out (in the gap)" in answer.out
    assert "over 3 rolling origins" in answer.out
    assert "Rows " in answer.out
    document = gradline(capsys, "show", "runs/y", "--json").json
    assert document["rows"]["gap"] > 0
    assert document["cross_validation"]["scheme"] == "rolling_origin"
    planned = gradline(capsys, "plan", *words, "--json").json
    assert planned["rows"] == document["rows"]
    assert any("3 rolling origins" in stage for stage in planned["plan"]["stages"])

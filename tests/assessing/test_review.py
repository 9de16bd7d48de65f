"""What reviewers found, each by its smallest case: answers that were wrong and said nothing, and data that were lost."""

import datetime as dt
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gradline.cli.main import run
from gradline.inputs.opening import open_source
from reference import fit

ALL = {"validation": 0.0, "test": 0.0}


def kinds(path):
    return {field.name: str(field.type) for field in open_source(path).schema}


def test_thousands_separators_are_not_decimal_commas(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("population,rooms,sales\n" + '"4,268",3,8570\n950,2,1930\n"1,200",1,2400\n' * 10)
    assert kinds(path)["population"] == "string"
    model = fit(path, "sales", **ALL)
    assert any(n.code == "text_numbers" and "'4,268'" in n.message for n in model.notices)


def test_decimal_commas_are_still_found_beside_whole_numbers(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a;y\n1,25;2\n1,234;3\n2;4\n")
    assert kinds(path) == {"a": "double", "y": "double"}


def test_times_with_offsets_are_instants_whatever_the_file(tmp_path):
    rng = np.random.default_rng(0)
    when = pd.Timestamp("2024-01-01", tz="Europe/Berlin") + pd.to_timedelta(rng.integers(0, 10_000, 400), unit="h")
    frame = pd.DataFrame({"when": when, "y": when.tz_convert("UTC").hour + rng.normal(size=400)})
    frame.to_csv(tmp_path / "t.csv", index=False)
    a, b = fit(frame, "y", **ALL), fit(tmp_path / "t.csv", "y", **ALL)
    assert a.coefficients == pytest.approx(b.coefficients, rel=1e-6, abs=1e-9)
    assert a.predict(tmp_path / "t.csv") == pytest.approx(a.predict(frame), rel=1e-12)


def test_mixed_offsets_and_local_times_are_refused(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("when,y\n" + "2024-01-01 00:00:00+01:00,1\n2024-01-02 00:00:00,2\n" * 5)
    assert run(["train", str(tmp_path / "t.csv"), "--target", "y", "--out", str(tmp_path / "r")]) == 2
    assert "'when' mixes times" in capsys.readouterr().err


def test_predictions_never_replace_what_they_are_made_from(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    pq.write_table(pa.table({"x": rng.normal(size=50), "y": rng.normal(size=50)}), "a.parquet")
    before = (tmp_path / "a.parquet").read_bytes()
    assert run(["train", "a.parquet", "--target", "y", "--out", "r"]) == 0
    assert run(["predict", "r", "a.parquet", "--out", "a.parquet"]) == 2
    assert run(["predict", "r", "*.parquet", "--out", "./a.parquet"]) == 2
    assert (tmp_path / "a.parquet").read_bytes() == before
    assert "would be replaced" in capsys.readouterr().err


def test_a_run_never_deletes_files_that_are_not_its_own(tmp_path, capsys):
    pq.write_table(pa.table({"x": np.arange(50.0) % 7, "y": np.arange(50.0) % 5}), tmp_path / "a.parquet")
    words = ["train", str(tmp_path / "a.parquet"), "--target", "y", "--out", str(tmp_path / "r")]
    assert run(words) == 0
    assert run(words) == 0
    (tmp_path / "r" / "notes.txt").write_text("mine")
    assert run(words) == 2
    assert "notes.txt" in capsys.readouterr().err
    assert (tmp_path / "r" / "notes.txt").read_text() == "mine"


def test_a_category_sorted_into_one_block_each_is_no_identifier(tmp_path, monkeypatch):
    stores, periods = 300, 20
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", stores)
    rng = np.random.default_rng(1)
    effect = rng.normal(size=stores)
    store = np.tile(np.arange(stores), periods)
    table = pa.table({"store": [f"s{i}" for i in store], "x": rng.normal(size=len(store)), "y": effect[store]})
    pq.write_table(table, tmp_path / "t.parquet")
    model = fit(tmp_path / "t.parquet", "y")
    assert sum(name.startswith("store=") for name in model.coefficients) == stores - 1
    assert model.metrics["test"]["r2"] > 0.999


def test_train_and_evaluate_share_the_baseline_of_a_log_target(tmp_path, capsys):
    rng = np.random.default_rng(2)
    x = rng.normal(size=500)
    pq.write_table(pa.table({"x": x, "y": np.exp(x + rng.normal(size=500))}), tmp_path / "t.parquet")
    model = fit(tmp_path / "t.parquet", "y", log_target=True, **ALL)
    model.save(tmp_path / "m.gradline")
    assert run(["evaluate", str(tmp_path / "m.gradline"), str(tmp_path / "t.parquet"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["baseline"]["rmse"] == pytest.approx(model.metrics["baseline"]["train"]["rmse"], rel=1e-9)
    assert found["metrics"]["rmse"] == pytest.approx(model.metrics["train"]["rmse"], rel=1e-9)


def test_a_run_that_stops_far_from_the_minimum_says_so():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(300, 3))
    model = fit(X, X @ [1.0, 2.0, 3.0] + 10.0, learning_rate=1e-3, stop="improvement", tolerance=1e-2)
    codes = [n.code for n in model.notices]
    assert "not_at_minimum" in codes
    assert "few_digits" not in codes


def test_a_row_counter_with_gaps_is_an_identifier():
    rng = np.random.default_rng(4)
    y = [None if i % 9 == 0 else float(v) for i, v in enumerate(rng.normal(size=200))]
    model = fit(pa.table({"id": range(200), "x": rng.normal(size=200), "y": y}), "y")
    assert set(model.coefficients) == {"x"}
    assert [n.column for n in model.notices if n.code == "left_out_identifier"] == ["id"]


def test_columns_left_out_are_not_asked_for_at_predict():
    rng = np.random.default_rng(5)
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=int(d)) for d in rng.integers(0, 90, 100)]
    table = pa.table(
        {
            "name": [f"n{i}" for i in range(100)],
            "flat": [1] * 100,
            "day": days,
            "x": rng.normal(size=100),
            "y": rng.normal(size=100),
        }
    )
    model = fit(table, "y")
    assert set(model.contract.columns) == {"day", "x"}
    assert len(model.predict(table.select(["x", "day"]))) == 100


def test_a_wide_csv_needs_little_more_than_itself(tmp_path):
    rng = np.random.default_rng(6)
    names = [f"x{j}" for j in range(300)]
    pd.DataFrame(rng.normal(size=(400, 300)).round(3), columns=names).to_csv(tmp_path / "w.csv", index=False)
    assert set(kinds(tmp_path / "w.csv").values()) == {"double"}

"""`gradline.compare` and the command."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import gradline as gl
from gradline.cli.main import run
from gradline.errors import ContractError, DataError, UsageError
from reference import fit


def table(n=2_000, seed=0):
    rng = np.random.default_rng(seed)
    x, z, g = rng.uniform(-2, 2, n), rng.uniform(-2, 2, n), rng.integers(0, 60, n)
    x[:8], z[:8] = [-2, 2] * 4, [2, -2] * 4  # no later row is outside of the training range
    y = 20.0 + 2.0 * x + 0.5 * z + rng.normal(size=n)
    return pa.table({"x": x, "z": z, "shop": [f"s{v}" for v in g], "y": y, "other": -y})


@pytest.fixture(scope="module")
def models():
    data = table()
    return fit(data, "y", features=["x"]), fit(data, "y", features=["x", "z"])


def test_on_data_the_better_model_is_named_with_the_interval_of_the_difference(models):
    new = table(1_500, 1)
    found = gl.compare(*models, new)
    actual = new["y"].to_numpy()
    errors = [np.sqrt(np.mean((model.predict(new) - actual) ** 2)) for model in models]
    assert found["difference"]["rmse"]["value"] == pytest.approx(errors[0] - errors[1], rel=1e-9)
    assert found["better"] == "b"
    assert found["rows"] == {"read": 1_500, "compared": 1_500, "without_target": 0, "without_prediction": {"a": 0, "b": 0}}
    back = gl.compare(*models[::-1], new)
    assert back["better"] == "a"
    assert back["difference"]["mae"]["low"] == pytest.approx(-found["difference"]["mae"]["high"])


def test_models_of_the_same_columns_and_of_a_log_target_are_compared_in_its_unit(models):
    data = table()
    log = fit(data, "y", features=["x", "z"], log_target=True)
    new = table(800, 2)
    found = gl.compare(models[1], log, new)
    predicted = log.predict(new)
    assert found["metrics"]["b"]["rmse"] == pytest.approx(np.sqrt(np.mean((predicted - new["y"].to_numpy()) ** 2)), rel=1e-9)
    assert found["models"]["b"]["log_target"] is True
    assert found["settings"]["log_target"] == [False, True]


def test_without_data_the_stored_figures_stand_side_by_side(models):
    found = gl.compare(*models)
    assert found["models"]["a"]["metrics"] == models[0].metrics
    assert found["coefficients"] == {
        "x": [models[0].coefficients["x"], models[1].coefficients["x"]],
        "z": [None, models[1].coefficients["z"]],
    }
    assert found["settings"] == {"features": [["x"], ["x", "z"]]}
    assert "difference" not in found
    assert found["warnings"] == []
    other = gl.compare(models[0], fit(table(), "y", features=["x"], seed=5))
    assert [each["code"] for each in other["warnings"]] == ["other_rows"]


def test_rows_that_one_of_them_cannot_predict_count_for_neither(models):
    data = table()
    drop = fit(data, "y", features=["x", "z"], missing="drop")
    new = table(500, 3)
    z = new["z"].to_pylist()
    z[:100] = [None] * 100
    y = new["y"].to_pylist()
    y[90:120] = [None] * 30
    new = new.set_column(1, "z", pa.array(z)).set_column(3, "y", pa.array(y))
    found = gl.compare(models[0], drop, new)
    assert found["rows"] == {"read": 500, "compared": 380, "without_target": 30, "without_prediction": {"a": 0, "b": 90}}
    own = np.arange(500) >= 120
    predicted = models[0].predict(new)
    actual = np.array([np.nan if v is None else v for v in y])
    assert found["metrics"]["a"]["rmse"] == pytest.approx(np.sqrt(np.mean((predicted - actual)[own] ** 2)))


def test_rows_of_one_group_are_resampled_together(models):
    grouped = fit(table(), "y", features=["x"], group="shop")
    found = gl.compare(grouped, models[1], table(900, 4))
    assert found["resampling"]["by"] == "groups"
    assert found["resampling"]["units"] == 60
    timed = fit(table().append_column("t", pa.array(range(2_000))), "y", features=["x"], time="t")
    found = gl.compare(timed, models[1], table(900, 4).append_column("t", pa.array(range(900))))
    assert found["resampling"]["by"] == "stretches of time"


def test_what_cannot_be_compared_is_refused(models):
    other = fit(table(), "other", features=["x"])
    with pytest.raises(UsageError, match="different targets"):
        gl.compare(models[0], other)
    minutes, hours = (fit(table(), "y", features=["x"], units={"y": unit}) for unit in ("minutes", "hours"))
    with pytest.raises(UsageError, match="different units"):
        gl.compare(minutes, hours)
    with pytest.raises(ContractError, match="no column 'y'"):
        gl.compare(*models, table(50).drop_columns(["y"]))
    with pytest.raises(DataError, match="no row with a target"):
        gl.compare(*models, table(50).set_column(3, "y", pa.nulls(50, pa.float64())))


def test_the_command_prints_what_python_returns_and_says_it_in_words(models, tmp_path, capsys):
    for name, model in zip("ab", models, strict=True):
        model.save(tmp_path / f"{name}.gradline")
    pq.write_table(table(700, 5), tmp_path / "new.parquet")
    words = ["compare", str(tmp_path / "a.gradline"), str(tmp_path / "b.gradline")]
    assert run([*words, str(tmp_path / "new.parquet"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["difference"] == gl.compare(*models, table(700, 5))["difference"]
    assert run([*words, str(tmp_path / "new.parquet")]) == 0
    out = capsys.readouterr().out
    assert "On 700 rows B errs less" in out
    assert run(words) == 0
    assert "Settings that differ" in capsys.readouterr().out
    assert run([*words, str(tmp_path / "none.csv")]) == 2


def test_data_that_a_model_was_trained_on_are_called_so(tmp_path, models):
    pa.csv.write_csv(table(), tmp_path / "t.csv")
    seen = fit(str(tmp_path / "t.csv"), "y", features=["x", "z"])
    found = gl.compare(models[0], seen, str(tmp_path / "t.csv"))
    assert [each["code"] for each in found["warnings"]] == ["same_data"]
    assert "that B was trained on" in found["warnings"][0]["message"]


def test_names_of_columns_do_not_act_in_the_terminal(tmp_path, capsys):
    data = table().rename_columns(["\x1b[2Jx", "z", "shop", "y", "other"])
    for name, features in (("a", ["\x1b[2Jx"]), ("b", ["\x1b[2Jx", "z"])):
        fit(data, "y", features=features).save(tmp_path / name)
    assert run(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    assert "\x1b" not in capsys.readouterr().out

"""What `train` says of the meaning of its errors: from the rows to the document, the summary and the report."""

from __future__ import annotations

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gradline as gl
from gradline.cli.main import run
from gradline.errors import UsageError
from gradline.report.command import command
from gradline.report.meaning import cost_sentence
from gradline.report.page import render
from reference import fit

HOSTILE = "<script>alert(1)</script>\x1b[2J"


def table(n=4_000, seed=0):
    """Errors three times as large in one shop; one shop predicted too low."""
    rng = np.random.default_rng(seed)
    x, shop, day = rng.normal(size=n), rng.integers(0, 5, n), rng.integers(0, 300, n)
    noise = rng.normal(size=n) * np.where((shop == 3), 4.0, 1.0)
    y = 100.0 + 5.0 * x + noise
    names = np.array(["north", "south", "east", HOSTILE, "west"])
    return pa.table(
        {"x": x, "shop": names[shop], "day": pa.array(day.astype("datetime64[D]")), "customer": rng.integers(0, 400, n), "y": y}
    )


@pytest.fixture(scope="module")
def model():
    return fit(table(), "y", features=["x", "shop", "day"], units={"y": "minutes"}, cost="under=3,over=1", cost_unit="EUR")


def test_every_part_is_in_the_document_and_agrees_with_the_metrics(model):
    found = model.result["assessment"]
    json.dumps(found, allow_nan=False)
    for role in ("validation", "test"):
        assert found["metrics"][role]["rmse"]["value"] == pytest.approx(model.metrics[role]["rmse"], rel=1e-9)
        assert found["metrics"][role]["r2"]["value"] == pytest.approx(model.metrics[role]["r2"], rel=1e-9)
        assert found["metrics"][role]["rmse"]["low"] < model.metrics[role]["rmse"] < found["metrics"][role]["rmse"]["high"]
    assert found["segments"]["worse"][0]["condition"] == f"shop = {HOSTILE}"
    assert found["baselines"]["mean"]["error"] == pytest.approx(model.metrics["baseline"]["test"]["rmse"], rel=1e-9)
    assert found["cost"]["rows"] == model.metrics["test"]["rows"]
    assert found["calibration"]["slope"]["value"] == pytest.approx(1.0, abs=0.1)
    assert len(found["worst"]["rows"]) == 10
    assert set(found["worst"]["rows"][0]["values"]) == {"x", "shop", "day", "y"}
    assert re.fullmatch(r"1970-\d\d-\d\d", found["worst"]["rows"][0]["values"]["day"])
    assert found["reasons"] == {}


def test_the_same_run_says_the_same(model):
    again = fit(
        table(), "y", features=["x", "shop", "day"], units={"y": "minutes"}, cost="under=3,over=1", cost_unit="EUR", threads=3
    )
    assert again.result["assessment"] == model.result["assessment"]


def test_the_report_shows_all_of_it_and_no_value_acts_in_it(model):
    page = render(model)
    for words in (
        "What the errors mean",
        "What an error costs",
        "Where the model is worse",
        "The worst rows",
        "Calibration by tenths",
        "Beside simple predictions",
        "How sure the metrics are",
        "EUR a row",
    ):
        assert words in page
    assert "<script>alert" not in page
    assert "\x1b" not in page


def test_the_summary_has_the_interval_the_cost_and_the_worst_segment(model, tmp_path, capsys):
    model.save(tmp_path / "m")
    assert run(["show", str(tmp_path / "m")]) == 0
    out = capsys.readouterr().out
    sure = model.result["assessment"]["metrics"]["test"]["rmse"]
    assert f"{sure['low']:.3f} to {sure['high']:.3f}" in out or f"{sure['low']:.4g} to {sure['high']:.4g}" in out
    assert "The errors cost" in out
    assert "Errors are largest where shop = " in out
    assert "\x1b" not in out


def test_a_saved_model_keeps_what_was_measured(model, tmp_path):
    model.save(tmp_path / "m")
    assert gl.load(tmp_path / "m").result["assessment"] == model.result["assessment"]


def test_without_test_rows_nothing_is_measured_and_it_says_why():
    found = fit(table(), "y", features=["x"], test=0, cost="under=3,over=1").result["assessment"]
    assert found["metrics"]["test"] is None
    assert found["metrics"]["validation"]["rmse"]["low"] is not None
    for key in ("baselines", "cost", "calibration", "segments"):
        assert found[key] is None
        assert found["reasons"][key] == "there are no test rows"
    assert found["worst"]["role"] == "validation"


def test_without_validation_rows_the_test_rows_are_not_used_twice():
    found = fit(table(), "y", features=["x", "shop"], validation=0, test=0.3, cost="under=3,over=1").result["assessment"]
    assert found["cost"]["shifted"] is None
    assert "no validation rows" in found["cost"]["reason"]
    parts = found["segments"]
    assert (parts["searched"]["role"], parts["confirmed"]["role"]) == ("test", "test")
    assert parts["searched"]["rows"] + parts["confirmed"]["rows"] == found["rows"]["test"]["rows"]
    assert parts["worse"][0]["condition"] == f"shop = {HOSTILE}"


def test_groups_and_times_are_resampled_as_what_they_are():
    grouped = fit(table(), "y", features=["x"], group="customer").result["assessment"]["metrics"]["test"]["resampling"]
    assert grouped["by"] == "groups"
    assert grouped["units"] < 100  # a tenth of 400 customers
    timed = fit(table(), "y", features=["x"], time="day").result["assessment"]
    assert timed["metrics"]["test"]["resampling"]["by"] == "stretches of time"
    assert timed["baselines"]["last_value"]["error"] is not None


def test_a_function_of_python_is_measured_and_not_saved(tmp_path):
    def late(error):
        return np.where(error < 0, -3.0 * error, error)

    model = fit(table(), "y", features=["x"], cost=late)
    straight = fit(table(), "y", features=["x"], cost="under=3,over=1")
    costs = [each.result["assessment"]["cost"] for each in (model, straight)]
    assert costs[0]["model"]["per_row"]["value"] == pytest.approx(costs[1]["model"]["per_row"]["value"], rel=1e-12)
    assert costs[0]["shifted"]["shift"] == pytest.approx(costs[1]["shifted"]["shift"], abs=0.02)
    model.save(tmp_path / "m")
    saved = gl.load(tmp_path / "m")
    assert saved.config["cost"] == "function late"
    assert saved.result["assessment"]["cost"]["name"] == "late"
    assert "its code is not in the model" in render(saved)
    assert "cost=late" in command(saved.config)  # a name, no text
    with pytest.raises(UsageError, match="code is not saved"):
        fit(table(), "y", cost=saved.config["cost"])


def test_a_cost_that_cannot_be_is_refused_before_anything_is_read(tmp_path, capsys):
    pq.write_table(table(200), tmp_path / "t.parquet")
    words = ["train", str(tmp_path / "t.parquet"), "--target", "y", "--out", str(tmp_path / "r")]
    for options, says in (
        (["--cost", "under=3"], "needs both"),
        (["--cost", "none.csv"], "none.csv"),
        (["--cost-unit", "EUR"], "--cost-unit"),
        (["--cost", "under=3,over=1", "--assess", "no"], "--assess no"),
    ):
        assert run([*words, *options]) == 2
        assert says in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
    stream = table(200).to_reader()
    with pytest.raises(UsageError, match="--cost needs the rows a second time"):
        fit(stream, "y", cost="under=3,over=1")


def test_a_table_of_costs_is_read_and_its_points_are_kept(tmp_path, capsys):
    (tmp_path / "cost.csv").write_text("error,cost\n-10,30\n0,0\n10,10\n")
    pq.write_table(table(), tmp_path / "t.parquet")
    words = ["train", str(tmp_path / "t.parquet"), "--target", "y", "--features", "x", "--out", str(tmp_path / "r"), "--json"]
    assert run([*words, "--cost", str(tmp_path / "cost.csv"), "--cost-unit", "EUR"]) == 0
    found = json.loads(capsys.readouterr().out)["assessment"]["cost"]
    straight = fit(table(), "y", features=["x"], cost="under=3,over=1").result["assessment"]["cost"]
    assert found["model"] == straight["model"]
    assert found["shifted"] == straight["shifted"]
    assert found["points"] == [[-10.0, 30.0], [0.0, 0.0], [10.0, 10.0]]


def test_a_model_of_the_cheapest_quantile_is_not_told_to_learn_it():
    said = {}
    for quantile in (0.75, 0.5):
        model = fit(table(1_000), "y", features=["x"], cost="under=3,over=1", loss="pinball", quantile=quantile)
        said[quantile] = cost_sentence(model)
    assert "--quantile 0.75 learns the prediction that costs least" in said[0.5]
    assert "learns" not in said[0.75]


@pytest.mark.parametrize("settings", [{"loss": "pinball", "quantile": 0.8}, {"loss": "huber"}, {"log_target": True}, {"l1": 0.01}, {"l2": 0.1}], ids=str)  # fmt: skip
def test_other_losses_and_penalties_are_assessed_as_well(settings):
    model = fit(table(1_500), "y", features=["x", "shop"], **settings)
    found = model.result["assessment"]
    render(model)
    assert found["metrics"]["test"]["rmse"]["value"] == pytest.approx(model.metrics["test"]["rmse"], rel=1e-8)
    if settings.get("loss") == "pinball":
        assert found["baselines"]["measure"] == "pinball"
        assert found["baselines"]["mean"]["better"] is True
        assert found["calibration"] is None
        assert "calibration" in found["reasons"]
    else:
        assert found["baselines"]["best_column"]["column"] == "x"


def test_noise_is_called_noise_and_a_signal_is_not():
    rng = np.random.default_rng(3)
    noise = pa.table({"x": rng.normal(size=3_000), "z": rng.normal(size=3_000), "y": rng.normal(size=3_000)})
    assert "no_better_than_baseline" in [n.code for n in fit(noise, "y").notices]
    assert not {"no_better_than_baseline", "miscalibrated"} & {n.code for n in fit(table(), "y", features=["x"]).notices}


def test_weights_count_as_repeated_rows_in_the_values():
    rng = np.random.default_rng(4)
    n = 1_000
    weight = rng.integers(1, 4, n)
    x, y = rng.normal(size=n), rng.normal(size=n)
    key = np.arange(n)
    once = pa.table({"x": x, "y": 2 * x + y, "k": key, "w": weight})
    repeated = pa.table({"x": np.repeat(x, weight), "y": np.repeat(2 * x + y, weight), "k": np.repeat(key, weight)})
    settings = {"features": ["x"], "key": "k", "cost": "under=2,over=1", "test": 0.3, "validation": 0.2}
    one = fit(once, "y", weight="w", **settings).result["assessment"]
    two = fit(repeated, "y", **settings).result["assessment"]
    for name in ("rmse", "r2", "mae", "median_absolute_error", "bias"):
        assert one["metrics"]["test"][name]["value"] == pytest.approx(two["metrics"]["test"][name]["value"], rel=1e-7)
    assert one["cost"]["model"]["total"] == pytest.approx(two["cost"]["model"]["total"], rel=1e-7)
    assert one["cost"]["shifted"]["total"] == pytest.approx(two["cost"]["shifted"]["total"], rel=1e-7)
    assert one["calibration"]["slope"]["value"] == pytest.approx(two["calibration"]["slope"]["value"], rel=1e-7)


def test_of_large_tables_a_sample_is_judged_and_it_is_called_one(monkeypatch):
    monkeypatch.setattr("gradline.evaluation.kept_rows.MOST_KEPT", 400)
    data = table(12_000)
    model = fit(data, "y", features=["x", "shop"], cost="under=3,over=1", time="day")
    found = model.result["assessment"]
    sure = found["metrics"]["test"]
    assert sure["resampling"]["sample"] is True
    assert sure["resampling"]["rows"] == found["rows"]["test"]["kept"] < found["rows"]["test"]["rows"]
    assert sure["rmse"]["value"] == pytest.approx(model.metrics["test"]["rmse"], rel=1e-9)  # of all rows
    assert found["baselines"]["last_value"]["error"] is None
    assert found["cost"]["model"]["total"] == pytest.approx(
        found["cost"]["model"]["per_row"]["value"] * found["rows"]["test"]["rows"]
    )
    assert "from a sample of" in render(model)


def test_derived_numbers_are_no_columns_to_search():
    rng = np.random.default_rng(6)
    x = rng.normal(size=4_000)
    data = pa.table({"x": x, "z": rng.normal(size=4_000), "y": x + x**2 + rng.normal(size=4_000) * (1.0 + x**2)})
    found = fit(data, "y", derive=["x^2"]).result["assessment"]["segments"]["worse"]
    assert found
    assert not any("^" in each["condition"] for each in found)


@pytest.mark.parametrize("group", [False, True])
def test_with_roles_fixed_the_order_of_the_rows_does_not_matter(group):
    data = table(2_000).append_column("k", pa.array(range(2_000)))
    mixed = data.take(np.random.default_rng(7).permutation(2_000))
    settings = {"features": ["x", "shop"], "cost": "under=3,over=1", **({"group": "customer"} if group else {"key": "k"})}
    one, two = (fit(each, "y", **settings).result["assessment"] for each in (data, mixed))
    for name in ("rmse", "r2", "mae", "bias", "median_absolute_error"):
        for end in ("low", "high"):
            assert one["metrics"]["test"][name][end] == pytest.approx(two["metrics"]["test"][name][end], rel=1e-7, abs=1e-9)
    assert one["cost"]["shifted"]["saved"] == pytest.approx(two["cost"]["shifted"]["saved"], rel=1e-7)
    assert [each["condition"] for each in one["segments"]["worse"]] == [each["condition"] for each in two["segments"]["worse"]]

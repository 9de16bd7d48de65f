"""Intervals and decisions that the prediction alone decides over, in every engine; the others are left out, and that is said."""

import json

import duckdb
import numpy as np
import pytest
from exporting_cases import positive

from gradline.export.of_model import formula_of
from gradline.export.runtime import bounds, decided
from gradline.exporting import export_model
from tables import fit, mixed, simple

ENGINES = ("sql", "python", "json", "onnx")
MODELS = {
    "conformal": {"interval": "conformal"},
    "log target": {"interval": "conformal", "log_target": True},
    "acts on the prediction": {"event": ">5", "false_alarm_cost": 1.0, "miss_cost": 3.0},
    "acts on a bound": {"interval": "conformal", "event": "<4", "false_alarm_cost": 1.0, "miss_cost": 2.0, "act_on": "high"},
}


def model_of(name):
    table = mixed(600)
    settings = MODELS[name]
    return fit(positive(table) if "log_target" in settings else table, validation=0.2, test=0.2, **settings)


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return model_of(request.param)


@pytest.mark.parametrize("to", ENGINES)
def test_bounds_and_decisions_are_the_models(to, model, tmp_path):
    if to == "onnx":
        pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
    found = export_model(model, to, tmp_path / "y", check=mixed(500, 9))
    wanted = ["prediction", *(["low", "high"] if model.intervals else []), *(["decision"] if model.policy else [])]
    assert found["outputs"] == wanted
    assert found["checked"] is True
    assert found["max_relative_difference"] < 1e-12


@pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")
def test_the_statement_in_the_comments_runs_as_it_stands(model, tmp_path):
    export_model(model, "sql", tmp_path / "y.sql", check=mixed(50, 9))
    text = (tmp_path / "y.sql").read_text()
    line = next(line for line in text.splitlines() if line.startswith("--   SELECT *, ") and " AS predicted" in line)
    rows = mixed(300, 4)
    found = duckdb.sql(line.removeprefix("-- ").replace("<this expression>", text).replace("the_table", "rows")).to_arrow_table()
    assert found.num_rows == 300
    if model.intervals is not None:
        predicted = model.predict(rows, return_interval=True)
        np.testing.assert_allclose(found["low"].to_pylist(), predicted.low, rtol=1e-11)
        np.testing.assert_allclose(found["high"].to_pylist(), predicted.high, rtol=1e-11)
    if model.policy is not None:
        assert found["decision"].to_pylist() == model.decide(rows).to_pylist()
        assert 0 < sum(found["decision"].to_pylist()) < 300


def test_a_wrong_bound_or_decision_is_no_export(tmp_path, monkeypatch):
    from gradline.errors import ParityError
    from gradline.export import sql

    model = model_of("acts on a bound")
    right = sql.beside
    for name, wrong in (("low", "(gradline_prediction - 1e-3)"), ("high", "NULL"), ("decision", "NOT {}")):

        def made(formula, engine, name=name, wrong=wrong):
            found = right(formula, engine)
            return found | {name: wrong.format(found[name])}

        monkeypatch.setattr("gradline.exporting.beside", made)
        with pytest.raises(ParityError):
            export_model(model, "sql", tmp_path / "y.sql", check=mixed(200, 3))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", ["jackknife+"])
def test_what_the_prediction_alone_does_not_give_is_left_out_and_named(method, tmp_path):
    model = fit(simple(120), validation=0, test=0.2, interval=method)
    assert formula_of(model).interval is None
    found = export_model(model, "json", tmp_path / "y.json", check=simple(50))
    assert any(text.startswith("Left out: the interval") for text in found["differences"])
    assert json.loads((tmp_path / "y.json").read_text())["interval"] is None


def test_a_policy_that_always_or_never_acts_and_a_row_without_prediction():
    for rule, answer in (("always", True), ("never", False)):
        formula = {"interval": None, "decision": {"of": "prediction", "above": True, "rule": rule, "threshold": None}}
        assert decided(formula, 3.0) is answer
        assert decided(formula, None) is None
    assert bounds({"interval": None}, 3.0) is None


@pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")
def test_a_table_with_a_column_named_prediction_does_not_mislead_the_statement(tmp_path):
    rows = simple(200).rename_columns(["prediction", "low", "c", "y"])
    model = fit(rows, validation=0.2, test=0.2, interval="conformal", event=">1", false_alarm_cost=1.0, miss_cost=1.0)
    for to in ENGINES:
        if to == "onnx":
            pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
        assert export_model(model, to, tmp_path / f"y.{to}", check=rows)["checked"] is True
    text = (tmp_path / "y.sql").read_text()
    line = next(line for line in text.splitlines() if line.startswith("--   SELECT *, ") and " AS predicted" in line)
    found = duckdb.sql(line.removeprefix("-- ").replace("<this expression>", text).replace("the_table", "rows")).to_arrow_table()
    np.testing.assert_allclose(found["gradline_prediction"].to_pylist(), model.predict(rows), rtol=1e-11)
    assert found["decision"].to_pylist() == model.decide(rows).to_pylist()

"""Predictions of a model, and what it says of itself."""

import json

import numpy as np
import pyarrow as pa
import pytest

from gradline.errors import GradlineWarning, ModelFileError
from gradline.model.model import HISTORY_COLUMNS, load
from tables import fit, mixed, predicted, simple, write_csv, write_parquet


@pytest.fixture(scope="module")
def table():
    return simple()


@pytest.fixture(scope="module")
def model(table):
    return fit(table)


def test_a_prediction_is_intercept_and_coefficients_times_features(model, table):
    w, c = model.coefficients, np.array(table["c"].to_pylist())
    by_hand = model.intercept + w["x0"] * table["x0"].to_numpy() + w["x1"] * table["x1"].to_numpy()
    for level in "abc":
        by_hand += w.get(f"c={level}", 0.0) * (c == level)
    assert np.allclose(model.predict(table), by_hand, rtol=1e-13, atol=1e-13)


def test_a_model_shown_is_one_line_without_arrays():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    target = pa.table({"x0": X[:, 0], "x1": X[:, 1], "y\x1b[2J": X @ [1.0, 2.0] + rng.normal(size=200)})
    shown = repr(fit(target, "y\x1b[2J", validation=0, test=0))
    assert "from 2 features, 200 training rows; converged" in shown
    assert shown.isprintable()


def test_predictions_do_not_depend_on_blocks(table, model, monkeypatch):
    expected = model.predict(table)
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 64)
    assert np.array_equal(model.predict(table), expected)
    assert np.array_equal(model.predict(table.to_reader(max_chunksize=7)), expected)


def test_each_row_is_predicted_as_if_it_were_alone(table, model):
    expected = model.predict(table)
    for i in (0, 17, 299):
        assert model.predict(table.slice(i, 1)) == expected[i]


def test_every_format_gives_the_same_predictions(tmp_path):
    rows = mixed()
    trained = fit(rows, drop=("id",))
    expected = predicted(trained, rows)
    ways = [rows.to_pandas(), rows.to_reader(), write_csv(rows, tmp_path / "t.csv"), write_parquet(rows, tmp_path / "t.parquet")]
    for data in ways:
        assert np.array_equal(predicted(trained, data), expected)


def test_no_rows_give_no_predictions(model, table):
    assert model.predict(table.slice(0, 0)).shape == (0,)


def test_the_input_of_predict_is_unchanged(model, table):
    frame = table.to_pandas()
    before = frame.copy(deep=True)
    model.predict(frame)
    assert frame.equals(before)


def test_predictions_of_a_log_target_are_in_its_unit_without_bias():
    rng = np.random.default_rng(0)
    x = rng.normal(size=4_000)
    rows = pa.table({"x": x, "y": np.exp(1 + 0.5 * x + 0.8 * rng.normal(size=len(x)))})
    trained = fit(rows, log_target=True)
    found = predicted(trained, rows)
    assert found.mean() == pytest.approx(rows["y"].to_numpy().mean(), rel=0.05)
    score = trained.intercept + trained.coefficients["x"] * x
    assert np.allclose(found, np.exp(score) * trained.retransformation.factor, rtol=1e-12)


def test_the_sample_is_predicted_as_the_rows_are(model, table):
    assert np.allclose(model.sampled.predicted, model.predict(table), rtol=1e-13)
    assert np.array_equal(model.sampled.actual, table["y"].to_numpy())


def test_the_history_has_a_row_a_step_and_no_nan(model):
    history = model.history
    assert tuple(history.column_names) == HISTORY_COLUMNS
    assert history["step"].to_pylist() == list(range(model.result["steps"] + 1))
    assert history.schema.field("step").type == pa.int64()
    assert history.schema.field("at_rounding").type == pa.bool_()
    assert not any(v != v for column in history.columns for v in column.to_pylist())
    assert history["objective"][-1].as_py() == pytest.approx(model.certificate.objective, rel=1e-12)


def test_the_result_is_json_and_agrees_with_the_properties(model):
    document = json.loads(json.dumps(model.result, allow_nan=False))
    assert document["coefficients"] == model.coefficients
    assert document["intercept"] == model.intercept
    assert document["metrics"] == model.metrics
    assert document["plan"] == model.plan
    assert document["warnings"] == model.warnings
    rows = document["rows"]
    assert rows["read"] == rows["train"] + rows["validation"] + rows["test"] + rows["dropped"]


def test_the_notices_of_one_prediction_are_not_those_of_the_next(model, table):
    with pytest.warns(GradlineWarning):
        model.predict(table.slice(0, 1).set_column(0, "x0", pa.array([1e6])))
    assert model.last_notices
    model.predict(table)
    assert model.last_notices == ()


def test_loading_what_is_no_model_says_so(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelFileError, match=r"empty is not a run directory: it holds no model\.gradline"):
        load(tmp_path / "empty")
    with pytest.raises(ModelFileError, match=r"there is no model .*missing"):
        load(tmp_path / "missing")

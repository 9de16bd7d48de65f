"""The Python face: `train`, `load`, `evaluate`, `Model`."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import gradline as gl
from tables import predicted, simple, write_csv


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3)) * [1.0, 10.0, 0.1] + [0.0, 5.0, -2.0]
    return X, X @ [2.0, -1.0, 30.0] + 4.0 + 0.01 * rng.normal(size=400)


def test_arrays_are_columns_x0_x1(arrays):
    X, y = arrays
    model = gl.train(X, y, validation=0.1, test=0.1)
    assert list(model.coefficients) == ["x0", "x1", "x2"]
    assert list(model.coefficients.values()) == pytest.approx([2.0, -1.0, 30.0], abs=0.05)
    assert model.intercept == pytest.approx(4.0, abs=0.1)
    assert model.predict(X[:5] * 0.5 + 0.5 * X.mean(axis=0)) == pytest.approx(
        model.predict(X[:5]) * 0.5 + 0.5 * model.predict(X.mean(axis=0)[None]), rel=1e-9
    )


def test_all_that_design_promises_of_a_model_is_there(arrays, tmp_path):
    X, y = arrays
    model = gl.train(X, y)
    assert isinstance(model, gl.Model)
    assert all(type(v) is float for v in model.coefficients.values())
    assert type(model.intercept) is float
    assert model.certificate.relative_gap <= 1e-12
    assert model.certificate.kind == "exact"
    assert model.history.num_rows == model.result["steps"] + 1
    assert set(model.metrics) >= {"train", "validation", "test", "baseline"}
    assert model.warnings == []
    model.save(tmp_path / "m.gradline")
    inside = 0.5 * X + 0.5 * X.mean(axis=0)
    assert np.array_equal(gl.load(tmp_path / "m.gradline").predict(inside), model.predict(inside))


def test_the_loss_never_rises_while_descending(arrays):
    X, y = arrays
    history = gl.train(X, y, optimizer="gradient_descent").history
    objective = history["objective"].to_numpy()
    assert (np.diff(objective) <= 1e-15 * objective[0]).all()


def test_a_target_is_a_name_in_a_table_or_an_array_beside_one():
    table = simple()
    named = gl.train(table, target="y")
    beside = gl.train(table.drop_columns(["y"]), table["y"].to_numpy())
    assert named.coefficients == beside.coefficients
    assert named.intercept == beside.intercept


def test_every_library_gives_the_same_bits(tmp_path):
    table = simple()
    expected = gl.train(table, "y")
    for data in (
        table.to_pandas(),
        pl.from_arrow(table.drop_columns(["c"])),
        write_csv(table, tmp_path / "t.csv"),
        str(tmp_path / "t.csv"),
        table.to_reader(),
    ):
        features = ["x0", "x1"] if isinstance(data, pl.DataFrame) else None
        found = gl.train(data, "y", features=features)
        assert found.coefficients == (gl.train(table, "y", features=features) if features else expected).coefficients


def test_settings_are_those_of_the_command(tmp_path, capsys, monkeypatch):
    from tables import gradline

    monkeypatch.chdir(tmp_path)
    path = write_csv(simple(), tmp_path / "t.csv")
    model = gl.train(
        path,
        "y",
        drop=["c"],
        validation=0.2,
        test=0.2,
        seed=3,
        l2=0.1,
        types={"x0": "number"},
        units={"x0": "miles"},
        learning_rate=0.5,
        max_steps=400,
    )
    words = (
        "--drop c --validation 0.2 --test 0.2 --seed 3 --l2 0.1 --types x0=number --units x0=miles --alpha 0.5 --max-steps 400"
    )
    document = gradline(capsys, "train", path, "--target", "y", *words.split(), "--json").json
    assert document["coefficients"] == model.coefficients
    assert document["plan"] == model.plan


def test_an_unknown_setting_is_refused_with_the_nearest(arrays):
    X, y = arrays
    with pytest.raises(gl.InputError, match=r"no setting 'optimiser'.*did you mean 'optimizer'"):
        gl.train(X, y, optimiser="auto")
    with pytest.raises(gl.InputError, match="learning_rate is 'fast', which is not a number"):
        gl.train(X, y, learning_rate="fast")


def test_doubts_are_python_warnings_and_in_the_model(arrays):
    X, y = arrays
    with pytest.warns(gl.GradlineWarning) as told:
        model = gl.train(np.column_stack([X, X[:, 0]]), y, validation=0, test=0)
    codes = [w["code"] for w in model.warnings]
    assert "collinear" in codes
    assert "nothing_held_out" in codes
    assert [str(w.message) for w in told] == [w["message"] for w in model.warnings]
    assert all(w.filename == __file__ for w in told)


def test_a_clean_run_warns_of_nothing(arrays):
    X, y = arrays
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gl.train(X, y)


def test_inputs_are_not_changed(arrays):
    X, y = arrays
    frame = pd.DataFrame({"a": X[:, 0], "b": ["u", "v"] * 200, "y": y})
    before = frame.copy(deep=True)
    X_before, y_before = X.copy(), y.copy()
    features, units = ["a"], {"a": "miles"}
    gl.train(X, y)
    gl.train(frame, "y", features=features, units=units)
    pd.testing.assert_frame_equal(frame, before)
    assert np.array_equal(X, X_before)
    assert np.array_equal(y, y_before)
    assert features == ["a"]
    assert units == {"a": "miles"}


def test_integer_targets_keep_their_meaning(arrays):
    X, y = arrays
    whole = np.rint(y * 10).astype(np.int16)
    assert gl.train(X, whole).coefficients == gl.train(X, whole.astype(float)).coefficients


def test_out_writes_the_run_and_nothing_is_written_without_it(arrays, tmp_path, monkeypatch):
    X, y = arrays
    monkeypatch.chdir(tmp_path)
    gl.train(X, y)
    assert list(tmp_path.iterdir()) == []
    model = gl.train(X, y, out="run")
    assert gl.load("run").coefficients == model.coefficients


def test_the_same_call_gives_the_same_bits(arrays):
    X, y = arrays
    a, b = gl.train(X, y, seed=5), gl.train(X, y, seed=5, threads=1)
    assert a.coefficients == b.coefficients
    assert np.array_equal(a.theta, b.theta)
    assert gl.train(X, y, seed=6).coefficients != a.coefficients


def test_training_does_not_touch_numpys_global_random_state(arrays):
    X, y = arrays
    np.random.seed(0)
    expected = np.random.random()
    np.random.seed(0)
    gl.train(X, y)
    assert np.random.random() == expected


def test_evaluate_is_the_document_of_the_command(tmp_path):
    table = simple()
    model = gl.train(table, "y")
    document = gl.evaluate(model, table)
    error = predicted(model, table) - table["y"].to_numpy()
    assert document["metrics"]["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)))
    assert set(document) == {"rows", "metrics", "baseline", "influence", "duplicates", "intervals", "decision", "warnings"}


def test_errors_are_one_tree(arrays):
    X, y = arrays
    assert issubclass(gl.InputError, gl.GradlineError)
    with pytest.raises(gl.InputError):
        gl.train(X, y[:-1])
    with pytest.raises(gl.InputError):
        gl.train("missing.csv", "y")
    with pytest.raises(gl.InputError):
        gl.load("missing")


def test_diverging_by_force_returns_a_finite_marked_model(arrays):
    X, y = arrays
    with pytest.warns(gl.GradlineWarning) as told:
        model = gl.train(X, y, learning_rate=10.0, force=True)
    assert any("diverged" in str(w.message) for w in told)
    assert model.result["stopped"]["reason"] == "diverged"
    assert np.isfinite(model.theta).all()
    with pytest.raises(gl.InputError, match="2/L"):
        gl.train(X, y, learning_rate=10.0)


def test_the_public_names_are_all_there_is():
    errors = ["GradlineError", "GradlineWarning", "InputError"]
    assert sorted(gl.__all__) == [*errors, "Model", "Step", "StopReason", "compare", "evaluate", "export_model", "load", "train"]
    for name in gl.__all__:
        assert getattr(gl, name) is not None
        assert name in dir(gl)
    with pytest.raises(AttributeError, match="fit"):
        gl.fit  # noqa: B018


def test_importing_gradline_imports_no_heavy_library():
    code = "import sys, gradline; print([m for m in ('numpy', 'pyarrow', 'duckdb', 'plotly', 'pandas', 'polars') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_a_csv_copy_of_parquet_gives_the_same_bits_though_its_row_groups_are_smaller_than_blocks(tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 1 << 13)
    rng = np.random.default_rng(0)
    n = 20_000
    X = rng.normal(size=(n, 3)) @ (np.eye(3) + 0.5) + [0.0, 100.0, -3.0]
    table = pa.table({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "y": X @ [1.0, 2.0, -1.0] + rng.normal(size=n)})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=3_000)
    write_csv(table, tmp_path / "t.csv")
    a, b = gl.train(tmp_path / "t.parquet", "y"), gl.train(tmp_path / "t.csv", "y")
    assert a.result["rows"] == b.result["rows"]
    assert (a.coefficients, a.intercept) == (b.coefficients, b.intercept)

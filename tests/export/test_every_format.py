"""Every export predicts what the model predicts, of every kind of column."""

import datetime as dt
import json
import math
import subprocess
import sys

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from exporting_cases import CASES, case

from gradline.errors import ContractError, UsageError
from gradline.export import engines
from gradline.export.document import json_text
from gradline.export.of_model import formula_of
from gradline.export.parity import compared, plain
from gradline.export.python import python_text
from gradline.export.sql import sql_text
from tables import HOSTILE, fit, predicted, simple, write_parquet

FORMATS = ("duckdb", "python", "json", "onnx")


def exported(formula, engine, table, tmp_path):
    """The predictions of an export in its engine, (n,)."""
    match engine:
        case "duckdb":
            return engines.in_duckdb(sql_text(formula, "duckdb"), table).predicted
        case "python":
            path = tmp_path / "exported.py"
            path.write_text(python_text(formula))
            return engines.in_python(path, table).predicted
        case "json":
            return engines.in_reader(json_text(formula), table).predicted
        case _:
            pytest.importorskip("onnx", reason="the package onnx is not installed")
            pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
            from gradline.export.onnx import onnx_bytes

            return engines.in_onnxruntime(onnx_bytes(formula), formula, table).predicted


def check(model, engine, table, tmp_path, tolerance=1e-12):
    expected = predicted(model, table)
    found = exported(
        formula_of(model), engine, plain(table.select(list(model.contract.columns)), model.contract.columns), tmp_path
    )
    parity = compared({"prediction": expected}, {"prediction": found})
    assert parity.mistaken == 0
    assert parity.relative <= tolerance
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))


@pytest.mark.parametrize("engine", FORMATS)
@pytest.mark.parametrize("name", CASES)
def test_an_export_predicts_what_the_model_predicts(name, engine, tmp_path):
    model, table, strange = case(name)
    check(model, engine, table.slice(0, 300), tmp_path)
    check(model, engine, strange, tmp_path)


# ------------------------------------------------------------------------------------------------------- where rows are refused

BREACHES = {
    "missing": {"x0": None},
    "out_of_range": {"x1": 1e9},
    "unseen": {"c": "never seen"},
}


@pytest.mark.parametrize("engine", FORMATS)
@pytest.mark.parametrize("decision", BREACHES)
def test_a_row_that_the_contract_refuses_has_no_prediction_and_the_others_have_theirs(decision, engine, tmp_path):
    table = simple()
    model = fit(table, validation=0, test=0.2, **{decision: "error"})
    good = model.representation.features[0].mean
    row = {"x0": good, "x1": 5.0, "c": "a", "y": None}
    assert model.contract.columns["x1"].minimum < 5.0 < model.contract.columns["x1"].maximum
    pair = pa.Table.from_pylist([row, row | BREACHES[decision]], table.schema).select(["x0", "x1", "c"])
    with pytest.raises(ContractError):
        predicted(model, pair)
    formula = formula_of(model)
    if engine in ("python", "json"):
        with pytest.raises(ValueError, match=r"column .(x0|x1|c). is"):
            exported(formula, engine, pair, tmp_path)
        found = exported(formula, engine, pair.slice(0, 1), tmp_path)
    else:
        found = exported(formula, engine, pair, tmp_path)
        assert np.isnan(found[1])
    np.testing.assert_allclose(found[:1], predicted(model, pair.slice(0, 1)), rtol=1e-12)


@pytest.mark.parametrize("engine", FORMATS)
def test_past_float64_a_log_target_is_infinite_as_in_the_model(engine, tmp_path):
    model, table, _ = case("log target")
    far = table.slice(0, 4).to_pylist()
    slope = model.coefficients["count"]
    for row, count in zip(far, (1e4, -1e4, 1e5, 3.0), strict=True):
        row["count"] = round(count / slope)
    far = pa.Table.from_pylist(far, table.schema)
    expected = predicted(model, far)
    assert np.isinf(expected[0])
    assert expected[1] == 0.0
    np.testing.assert_allclose(exported(formula_of(model), engine, plain(far.drop_columns("y"), model.contract.columns), tmp_path), expected)  # fmt: skip


# ---------------------------------------------------------------------------------------------------- as others would use them


def test_the_sql_runs_on_a_file_that_duckdb_reads_itself(tmp_path):
    """Whose statistics say that there is no NaN."""
    model, table, _ = case("mixed")
    path = write_parquet(table, tmp_path / "rows.parquet")
    (tmp_path / "y.sql").write_text(sql_text(formula_of(model), "duckdb"))
    text = (tmp_path / "y.sql").read_text()
    rows = duckdb.sql(f"SELECT *, {text} AS prediction FROM '{path}'").fetchnumpy()["prediction"]
    np.testing.assert_allclose(np.array(rows), predicted(model, table), rtol=1e-12)


SCRIPT = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("exported", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(json.dumps([module.predict(json.loads(line)) for line in sys.stdin]))
print(*sorted({name.split(".")[0] for name in sys.modules} - set(sys.stdlib_module_names) - {"exported", "__main__"}), file=sys.stderr)
"""


@pytest.mark.parametrize("name", ["mixed", "hostile", "declared", "log target"])
def test_the_python_function_runs_without_any_package(name, tmp_path):
    model, table, _ = case(name)
    path = tmp_path / "exported.py"
    path.write_text(python_text(formula_of(model)))
    assert path.read_bytes().isascii()
    rows = plain(table.slice(0, 100).select(list(model.contract.columns)), model.contract.columns).to_pylist()

    def plainly(value):
        if isinstance(value, float) and math.isnan(value):
            return None
        return value.isoformat() if hasattr(value, "isoformat") else value

    lines = "\n".join(json.dumps({k: plainly(v) for k, v in row.items()}) for row in rows)
    done = subprocess.run([sys.executable, "-I", "-S", "-c", SCRIPT, str(path)], input=lines, capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stderr.strip() == ""
    np.testing.assert_allclose(json.loads(done.stdout), predicted(model, table.slice(0, 100)), rtol=1e-12)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"x0": 1.0, "x1": 2.0}, "no column 'c'"),
        ({"x0": "1.0", "x1": 2.0, "c": "a"}, "column 'x0' is '1.0', which is no number"),
        ({"x0": 1.0, "x1": 2.0, "c": 3}, "column 'c' is 3, which is no text"),
        ({"x0": [1.0], "x1": 2.0, "c": "a"}, "column 'x0'"),
    ],
)
def test_the_python_function_refuses_a_row_of_another_kind(row, words, tmp_path):
    path = tmp_path / "exported.py"
    path.write_text(python_text(formula_of(fit(simple(), validation=0, test=0.2))))
    namespace = {}
    exec(path.read_text(), namespace)
    with pytest.raises(ValueError, match=words):
        namespace["predict"](row)


def test_dates_before_1970_and_leap_days_have_their_parts_in_every_engine(tmp_path):
    days = np.arange(-80_000, 80_000, 97)
    rng = np.random.default_rng(1)
    day = pa.array(days.astype("datetime64[D]"))
    moment = pa.array((days * 86_400_000_000 + rng.integers(0, 86_400_000_000, len(days))).astype("datetime64[us]"))
    table = pa.table({"day": day, "moment": moment, "y": rng.normal(size=len(days))})
    model = fit(table, validation=0, test=0.2)
    assert {"day.month=12", "moment.hour=23", "moment.weekday=Sun"} <= set(model.coefficients) | {f"{k}={v}" for k, v in model.result["references"].items()}  # fmt: skip
    for engine in FORMATS:
        check(model, engine, table, tmp_path, tolerance=1e-9)  # days and moments are nearly the same, their slopes large


# ------------------------------------------------------------------------------------------------------------- what is refused


def test_names_that_duckdb_takes_for_one_are_refused():
    rng = np.random.default_rng(0)
    table = pa.table({"Größe": rng.normal(size=90), "GRÖSSE": rng.normal(size=90), "y": rng.normal(size=90)})
    formula = formula_of(fit(table, validation=0, test=0.2))
    with pytest.raises(UsageError, match="for one"):
        sql_text(formula, "duckdb")
    sql_text(formula, "postgres")


def test_a_name_that_no_sql_table_can_have_is_refused():
    rng = np.random.default_rng(0)
    table = pa.table({"x\0y": rng.normal(size=90), "y": rng.normal(size=90)})
    with pytest.raises(UsageError, match="can be named"):
        sql_text(formula_of(fit(table, validation=0, test=0.2)), "postgres")


def test_no_name_or_level_leaves_its_place_in_sql_or_python():
    model, _, _ = case("hostile")
    formula = formula_of(model)
    for dialect in ("duckdb", "postgres"):
        text = sql_text(formula, dialect)
        comments, _, expression = text.partition("\n(")
        assert all(line.startswith("--") for line in comments.split("\n"))
        assert all(name.replace('"', '""') in expression for name in HOSTILE.values())
    assert "back\\\\slash" in sql_text(formula, "postgres")
    assert "back\\slash" in sql_text(formula, "duckdb")


def test_numbers_declared_text_that_are_none_are_refused():
    table = pa.table({"big": [2**60 + i % 3 for i in range(90)], "y": np.random.default_rng(0).normal(size=90)})
    with pytest.raises(UsageError, match="declared text"):
        formula_of(fit(table, types={"big": "text"}, validation=0, test=0.2))


def test_a_sparse_table_has_no_columns_to_export():
    sparse = pytest.importorskip("scipy.sparse")
    import gradline as gl

    X = sparse.random(80, 5, 0.5, random_state=0, format="csr")
    model = gl.train(X, X @ np.arange(5.0) + np.sin(np.arange(80)), validation=0, test=0.2)
    with pytest.raises(UsageError, match="sparse"):
        formula_of(model)


@pytest.mark.parametrize("engine", FORMATS)
def test_a_level_with_a_nul_is_a_level(engine, tmp_path):
    rng = np.random.default_rng(0)
    level = rng.choice(["a", "a\0b", "a\0c", ""], 200)
    table = pa.table({"c": level.tolist(), "y": np.char.str_len(level) + (level == "a\0b") + 0.1 * rng.normal(size=200)})
    check(fit(table, validation=0, test=0.2), engine, table, tmp_path)


def test_the_python_function_takes_no_time_for_a_date(tmp_path):
    model, table, _ = case("mixed")
    path = tmp_path / "exported.py"
    path.write_text(python_text(formula_of(model)))
    namespace = {}
    exec(path.read_text(), namespace)
    row = table.slice(0, 1).to_pylist()[0]
    at_midnight = dt.datetime(2024, 5, 5)  # noqa: DTZ001
    expected = namespace["predict"](row | {"day": dt.date(2024, 5, 5)})
    assert namespace["predict"](row | {"day": at_midnight}) == namespace["predict"](row | {"day": "2024-05-05"}) == expected
    with pytest.raises(ValueError, match="column 'day' is"):
        namespace["predict"](row | {"day": at_midnight.replace(hour=15)})
    zoned = dt.datetime(2024, 5, 5, 12, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    naive = zoned.astimezone(dt.UTC).replace(tzinfo=None)
    assert namespace["predict"](row | {"moment": zoned}) == namespace["predict"](row | {"moment": naive})
    assert namespace["predict"](row | {"size": float("nan")}) == namespace["predict"](row | {"size": None})

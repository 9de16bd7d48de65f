"""Products, logarithms and splines in every engine, held to exact arithmetic: the formulas stand without a model."""

import math
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest

from gradline.export import engines
from gradline.export.document import json_text
from gradline.export.formula import Column, Factor, Formula, Level, Logarithm, NumberTerm, Product, Read, Spline
from gradline.export.of_model import formula_of
from gradline.export.python import python_text
from gradline.export.sql import sql_text
from gradline.inputs.contract import Decisions
from gradline.types import Kind
from tables import fit, predicted

X, Z, C, D = Read("x", "value"), Read("z z", "value"), Read("c'", "text"), Read("d", "month")
KNOTS = (-1.5, 0.25, 1.0, 2.75)
COLUMNS = {
    "x": Column("x", Kind.NUMBER, Kind.NUMBER),
    "z z": Column("z z", Kind.NUMBER, Kind.NUMBER),
    "c'": Column("c'", Kind.TEXT, Kind.TEXT),
    "d": Column("d", Kind.DATE, Kind.DATE),
}
ROWS = 60


def rows():
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(0.5, 2, ROWS), 3)
    x[:4] = [2.75, -1.5, 0.25, 7.0]
    z = np.round(rng.gamma(2, 2, ROWS) + 0.01, 3)
    days = rng.integers(0, 700, ROWS).astype("datetime64[D]")
    return pa.table({
        "x": [None if i % 11 == 5 else v for i, v in enumerate(x.tolist())],
        "z z": [None if i % 13 == 7 else v for i, v in enumerate(z.tolist())],
        "c'": [None if i % 9 == 2 else v for i, v in enumerate(rng.choice(["a", "b'", "\\"], ROWS).tolist())],
        "d": pa.array(days),
    })  # fmt: skip


def spline(x, knots, j):
    """Harrell's definition, with three cubes, in rational arithmetic."""
    x, t = Fraction(x), [Fraction(k) for k in knots]

    def cube(u):
        return max(u, Fraction(0)) ** 3

    k = len(t) - 1
    total = cube(x - t[j]) - cube(x - t[k - 1]) * (t[k] - t[j]) / (t[k] - t[k - 1]) + cube(x - t[k]) * (t[k - 1] - t[j]) / (t[k] - t[k - 1])  # fmt: skip
    return float(total / (t[k] - t[0]) ** 2)


NUMBERS = {
    "power": (Product((Factor(X, 0.0, 3),)), lambda r: float(Fraction(r["x"]) ** 3), ("x",)),
    "shifted": (Product((Factor(X, 0.125, 2), Factor(Z, -3.0, 1))), lambda r: float((Fraction(r["x"]) - Fraction(1, 8)) ** 2 * (Fraction(r["z z"]) + 3)), ("x", "z z")),
    "level": (Product((Factor(Z, 0.0, 1),), Level(C, "b'")), lambda r: r["z z"] * (r["c'"] == "b'"), ("z z",)),
    "month": (Product((Factor(X, 0.0, 1),), Level(D, "7")), lambda r: r["x"] * (r["d"].month == 7), ("x",)),
    "logarithm": (Logarithm(Z), lambda r: math.log(r["z z"]), ("z z",)),
    "spline 0": (Spline(X, KNOTS, 0), lambda r: spline(r["x"], KNOTS, 0), ("x",)),
    "spline 1": (Spline(X, KNOTS, 1), lambda r: spline(r["x"], KNOTS, 1), ("x",)),
}  # fmt: skip


def formula(number, **decisions):
    term = NumberTerm(number, 2.5, 0.3, -7.0)
    return Formula("y", None, COLUMNS, (term,), 11.0, None, Decisions(**decisions))


def exported(formula, engine, table, tmp_path):
    match engine:
        case "duckdb":
            return engines.in_duckdb(sql_text(formula, "duckdb"), table).predicted
        case "python":
            (tmp_path / "exported.py").write_text(python_text(formula))
            return engines.in_python(tmp_path / "exported.py", table).predicted
        case "json":
            return engines.in_reader(json_text(formula), table).predicted
        case _:
            pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
            from gradline.export.onnx import onnx_bytes

            return engines.in_onnxruntime(onnx_bytes(formula), formula, table).predicted


@pytest.mark.parametrize("engine", ["duckdb", "python", "json", "onnx"])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_derived_number_is_what_its_definition_says(name, engine, tmp_path):
    number, value, needs = NUMBERS[name]
    table = rows()
    expected = [11.0 - 7.0 if any(r[n] is None for n in needs) else 11.0 + 2.5 * (value(r) - 0.3) for r in table.to_pylist()]
    np.testing.assert_allclose(exported(formula(number), engine, table, tmp_path), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("engine", ["duckdb", "python", "json", "onnx"])
def test_a_number_without_a_logarithm_is_an_error_or_no_prediction(engine, tmp_path):
    table = pa.table({"x": [1.0], "z z": [-2.0], "c'": ["a"], "d": pa.array(np.zeros(1, dtype="datetime64[D]"))})
    if engine in ("duckdb", "onnx"):
        assert np.isnan(exported(formula(Logarithm(Z)), engine, table, tmp_path)[0])
    else:
        with pytest.raises(Exception, match="logarithm"):
            exported(formula(Logarithm(Z)), engine, table, tmp_path)


def test_a_sum_of_many_terms_is_not_too_deep_for_duckdb():
    terms = tuple(NumberTerm(X, 1.0 / (j + 1), 0.0, float(j)) for j in range(1_100))
    text = sql_text(Formula("y", None, COLUMNS, terms, 0.0, None, Decisions()), "duckdb")
    table = pa.table({"x": [1.0, None], "z z": [1.0, 1.0], "c'": ["a", "a"], "d": pa.array(np.zeros(2, dtype="datetime64[D]"))})
    harmonic = float(sum(1.0 / (j + 1) for j in range(1_100)))
    np.testing.assert_allclose(engines.in_duckdb(text, table).predicted, [harmonic, 1_100 * 1_099 / 2], rtol=1e-13)


@pytest.mark.parametrize("engine", ["duckdb", "python", "json", "onnx"])
def test_a_model_of_logarithms_and_hidden_columns_is_exported(engine, tmp_path):
    rng = np.random.default_rng(2)
    x, z = rng.gamma(2.0, 3.0, 200) + 0.1, rng.normal(size=200)
    table = pa.table(
        {"x": [None if i % 9 == 4 else v for i, v in enumerate(x.tolist())], "a*b": z, "y": np.log(x) + z**2 + 0.1 * z}
    )
    model = fit(table, features=("a*b",), derive=("log(x)", '"a*b"^2'), validation=0, test=0.2)
    assert {"log(x)", '"a*b"^2', "x=(missing)"} <= set(model.coefficients)
    assert "x" not in model.coefficients
    found = exported(formula_of(model), engine, table.select(["x", "a*b"]), tmp_path)
    np.testing.assert_allclose(found, predicted(model, table), rtol=1e-12, atol=1e-12)

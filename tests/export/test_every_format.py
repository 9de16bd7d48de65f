"""Every export predicts what the model predicts, of every kind of column."""

import json
import math
import subprocess
import sys

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from exporting_cases import CASES, case, stranger
from gradline.errors import ContractError, UsageError
from gradline.export import engines
from gradline.export.document import json_text
from gradline.export.of_model import formula_of
from gradline.export.parity import compared, plain
from gradline.export.python import python_text
from gradline.export.sql import sql_text
from tables import HOSTILE, fit, mixed, predicted, simple, write_parquet

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
    found = exported(formula_of(model), engine, plain(table.select(list(model.contract.columns)), model.contract.columns), tmp_path)
    parity = compared(expected, found)
    assert parity.mistaken == 0
    assert parity.relative <= tolerance
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))


@pytest.mark.parametrize("engine", FORMATS)
@pytest.mark.parametrize("name", CASES)
def test_an_export_predicts_what_the_model_predicts(name, engine, tmp_path):
    model, table, strange = case(name)
    check(model, engine, table.slice(0, 300), tmp_path)
    check(model, engine, strange, tmp_path)

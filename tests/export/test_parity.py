"""What counts as the same prediction, and which rows are looked at."""

import numpy as np
import pyarrow as pa
import pytest

from gradline.export.formula import Decision
from gradline.export.parity import checked_rows
from gradline.export.parity import compared as compared_outputs
from gradline.inputs.contract import ColumnContract
from gradline.inputs.memory import TableSource
from gradline.types import Kind

NAN, INF = np.nan, np.inf


def compared(expected, found):
    return compared_outputs({"prediction": expected}, {"prediction": found})


def test_rounding_is_no_difference_and_a_billionth_of_the_deviation_is_the_limit():
    expected = np.random.default_rng(0).normal(size=1_000)
    assert compared(expected, expected + 1e-13).mistaken == 0
    assert compared(expected, expected * (1 + 4e-16)).mistaken == 0
    found = compared(expected, expected + np.eye(1_000)[7] * 3e-9)
    assert found.mistaken == 1
    assert found.first == 7
    assert found.absolute == pytest.approx(3e-9, rel=1e-3)


def test_a_large_constant_in_all_predictions_hides_nothing():
    expected = 1e9 + np.random.default_rng(0).normal(size=1_000)
    assert compared(expected, expected + 1e-6).mistaken == 0  # eight units in the last place
    assert compared(expected, expected + 1e-3).mistaken == 1_000  # a relative difference of 1e-12


@pytest.mark.parametrize(("there", "here"), [(1.0, NAN), (NAN, 1.0), (INF, 1.0), (1.0, INF), (INF, -INF)])
def test_a_prediction_that_only_one_gives_is_a_difference(there, here):
    expected = np.array([0.0, 1.0, 2.0, there])
    assert compared(expected, np.array([0.0, 1.0, 2.0, here])).mistaken == 1


def test_no_prediction_in_both_and_infinity_in_both_are_the_same():
    values = np.array([0.0, NAN, INF, -INF, 3.0])
    found = compared(values, values)
    assert (found.mistaken, found.without, found.absolute, found.relative) == (0, 1, 0.0, 0.0)


def test_a_decision_differs_only_where_rounding_moves_it_across_the_threshold():
    score = np.array([1.0, 2.0, 3.0, 2.0 + 4e-16, NAN])
    expected = {"prediction": score, "decision": np.array([0.0, 1.0, 1.0, 1.0, NAN])}
    act = Decision("prediction", True, 2.0)
    assert compared_outputs(expected, expected, act).mistaken == 0
    for at, mistaken in ((0, 1), (1, 0), (2, 1), (3, 0), (4, 0)):
        other = expected["decision"].copy()
        other[at] = 1.0 - np.nan_to_num(other[at])
        assert compared_outputs(expected, expected | {"decision": other}, act).mistaken == mistaken


def rows(n):
    return pa.table({"x": np.arange(float(n)), "c": [f"c{i % 7}" for i in range(n)], "y": np.zeros(n)})


COLUMNS = {"x": ColumnContract("x", Kind.NUMBER, Kind.NUMBER), "c": ColumnContract("c", Kind.TEXT, Kind.TEXT)}


def test_few_rows_are_all_checked_in_their_order():
    found = checked_rows(TableSource(rows(500)), COLUMNS)
    assert found.of == 500
    assert found.table.equals(rows(500).select(["x", "c"]))


def test_of_many_rows_the_same_ones_are_drawn_evenly_and_known_by_their_digest():
    found = checked_rows(TableSource(rows(400_000)), COLUMNS, 1_000)
    again = checked_rows(TableSource(rows(400_000)), COLUMNS, 1_000)
    assert found.table.num_rows == 1_000
    assert found.of == 400_000
    assert found.sha256 == again.sha256
    x = np.array(found.table["x"].to_pylist())
    assert np.all(np.diff(x) > 0)
    assert abs(x.mean() - 200_000) < 5 * 400_000 / np.sqrt(12 * 1_000)
    other = rows(400_000).set_column(1, "c", pa.array(["c"] * 400_000))
    assert checked_rows(TableSource(other), COLUMNS, 1_000).sha256 != found.sha256

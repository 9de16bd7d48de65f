from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from gradline.evaluation.kept_rows import Worst
from gradline.evaluation.worst_rows import LONGEST_TEXT, plain, worst_rows
from gradline.types import Role
from reference import fit


@pytest.mark.parametrize("block", [1 << 16, 97])
def test_the_worst_rows_are_those_of_a_full_sort(block, monkeypatch):
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", block)
    rng = np.random.default_rng(0)
    x = rng.normal(size=2_000)
    y = 2 * x + rng.standard_t(2, size=2_000)
    table = pa.table({"x": x, "word": [f"w{i}" for i in range(2_000)], "time": np.arange(2_000), "y": y})
    model = fit(table, "y", features=["x"], time="time", validation=0.1, test=0.3)
    found = model.result["assessment"]["worst"]
    error = model.predict(table.select(["x"]))[1_400:] - y[1_400:]
    order = np.argsort(-np.abs(error), kind="stable")[:10]
    assert found["role"] == "test"
    assert [row["row"] for row in found["rows"]] == (order + 1_400).tolist()
    assert [row["error"] for row in found["rows"]] == pytest.approx(error[order].tolist(), rel=1e-9)
    for row in found["rows"]:
        assert row["values"] == {"x": x[row["row"]], "time": row["row"], "y": y[row["row"]]}
        assert row["actual"] == y[row["row"]]


def test_values_are_made_safe_for_json():
    assert plain(float("nan")) is None
    assert plain(True) is True
    assert plain(dt.date(2024, 2, 3)) == "2024-02-03"
    assert plain(dt.datetime(2024, 2, 3, 4, 5)) == "2024-02-03T04:05:00"  # noqa: DTZ001
    assert plain(Decimal("1.50")) == "1.50"
    assert plain(b"\xff") == "b'\\xff'"
    long = plain("a" * 10_000)
    assert len(long) < LONGEST_TEXT + 30
    assert "10,000 characters" in long


def test_texts_that_are_none_and_times_that_are_none_do_not_fail():
    bad = pa.array([b"\xff\xfe", b"a"]).cast(pa.large_binary()).view(pa.large_string())
    far = pa.array([2**62, 0]).cast(pa.timestamp("s"))
    table = pa.table({"bad": bad, "far": far, "nan": [np.nan, 1.0]})
    where = np.arange(2)
    found = worst_rows(Worst(table, where * 0, where, np.array([1.0, 2.0]), np.array([np.inf, 2.5])), Role.TEST, [])
    text = json.dumps(found, allow_nan=False)
    assert found["rows"][0]["error"] is None
    assert found["rows"][0]["file"] is None
    assert "UnicodeDecodeError" in text

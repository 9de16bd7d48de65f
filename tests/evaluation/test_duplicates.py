"""Rows that repeat an earlier one are counted exactly; past the limit, by a share of the hashes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gradline.api import evaluate
from gradline.evaluation import duplicates
from gradline.evaluation.duplicates import Duplicates
from reference import fit
from tables import mixed, simple


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_counted_with_their_first_row(seed):
    rng = np.random.default_rng(seed)
    base = mixed(seed=seed).drop(["id"])
    base = base.filter(pa.compute.is_valid(base["y"]))
    m = base.num_rows
    source = rng.integers(0, m, int(rng.integers(1, 50)))
    data = pa.concat_tables([base, base.take(source)])
    found = evaluate(fit(data, "y"), data)
    assert found["duplicates"] == {"rows": len(source), "first": {"file": None, "row": m}, "estimate": False}
    assert [w["code"] for w in found["warnings"]].count("duplicate_rows") == 1


def test_a_table_without_copies_has_none():
    data = simple()
    found = evaluate(fit(data, "y"), data)
    assert found["duplicates"] == {"rows": 0, "first": None, "estimate": False}


def test_equal_rows_of_few_values_are_counted_and_not_warned_of():
    rng = np.random.default_rng(0)
    data = pa.table({"a": rng.integers(0, 4, 2_000), "b": rng.integers(0, 4, 2_000), "y": rng.integers(0, 9, 2_000)})
    found = evaluate(fit(data, "y"), data)
    distinct = len({tuple(row.values()) for row in data.to_pylist()})
    assert found["duplicates"]["rows"] == 2_000 - distinct
    assert "duplicate_rows" not in [w["code"] for w in found["warnings"]]


def test_of_very_many_rows_a_share_of_the_hashes_tells(monkeypatch):
    monkeypatch.setattr(duplicates, "MOST_HASHES", 4_000)
    rng = np.random.default_rng(1)
    x = rng.normal(size=40_000)
    data = pa.table({"x": np.concatenate([x, x[:10_000]]), "y": np.zeros(50_000)})
    count = Duplicates(["x", "y"])
    for first in range(0, 50_000, 1_000):
        count.add(data.slice(first, 1_000), 0, first)
    found = count.to_json([])
    assert found["estimate"]
    assert found["rows"] == pytest.approx(10_000, rel=0.15)
    assert found["first"]["row"] >= 40_000
    assert "about" in count.doubts(found)[0].message


def test_order_and_blocks_change_nothing():
    data = simple()
    data = pa.concat_tables([data, data.slice(5, 7)])
    whole, parts = Duplicates(["x0", "c", "y"]), Duplicates(["x0", "c", "y"])
    whole.add(data, 0, 0)
    for first in range(0, data.num_rows, 13):
        parts.add(data.slice(first, 13), 0, first)
    assert whole.to_json([]) == parts.to_json([]) == {"rows": 7, "first": {"file": None, "row": 300}, "estimate": False}

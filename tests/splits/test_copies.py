"""Copies among rows, against a dictionary of the rows themselves."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gradline.splits.copies import coincidental, column_hashes, copies, repeats, row_hashes_of
from tables import mixed


def by_hand(table):
    seen, later = set(), []
    for i, row in enumerate(table.to_pylist()):
        key = tuple((k, "nan" if v != v else v) for k, v in row.items())
        if key in seen:
            later.append(i)
        seen.add(key)
    return later


@pytest.mark.parametrize("seed", range(6))
def test_rows_that_repeat_an_earlier_one_are_found_in_every_kind_of_column(seed):
    rng = np.random.default_rng(seed)
    table = mixed(200, seed)
    table = table.take(pa.array(rng.integers(0, 200, 260)))
    hashes = row_hashes_of(column_hashes(table, table.column_names))
    expected = by_hand(table)
    assert copies(hashes).later.tolist() == expected
    assert repeats(hashes) == (len(expected), expected[0])


def test_a_value_has_its_hash_whether_or_not_its_block_holds_nulls():
    whole = pa.table({"a": pa.array([1.5, None, 2.0, 0.0, -0.0]), "b": pa.array([7, 8, None, 9, 9])})
    parts = [column_hashes(whole.slice(i, 1), ["a", "b"]) for i in range(5)]
    together = column_hashes(whole, ["a", "b"])
    for j in range(2):
        assert together[j].tolist() == [part[j][0] for part in parts]
        assert together[j][3] == together[j][4]


def test_the_same_value_in_two_columns_does_not_cancel():
    table = pa.table({"a": [1.0, 2.0], "b": [1.0, 2.0]})
    assert len(set(row_hashes_of(column_hashes(table, ["a", "b"])).tolist())) == 2


def test_nothing_repeats_in_rows_that_differ():
    assert repeats(np.arange(10, dtype=np.uint64)) == (0, None)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("levels", [3, 6])
def test_equal_rows_of_few_values_are_coincidences(seed, levels):
    rng = np.random.default_rng(seed)
    table = pa.table({name: rng.integers(0, levels, 800) for name in "abcdy"})
    hashes = column_hashes(table, table.column_names)
    assert coincidental(table, table.column_names, hashes, copies(row_hashes_of(hashes)).pairs)

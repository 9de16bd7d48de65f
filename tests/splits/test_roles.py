# ruff: noqa: DTZ001 (times without a zone are what files hold)
from __future__ import annotations

import datetime as dt
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradline.errors import DataError
from gradline.splits.roles import RowRoles, ValueRoles, mix, row_hashes, time_ordinals, time_roles, value_hashes
from gradline.types import Role
from reference import fit

WHOLE = [0, 1, 2, 7, 100, 127]
INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]


def by_definition(x):
    """SplitMix64's finaliser in Python's integers."""
    mask = (1 << 64) - 1
    z = (x + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20))
def test_mix_is_splitmix64(values):
    assert mix(np.array(values, dtype=np.uint64)).tolist() == [by_definition(v) for v in values]


@given(st.integers(-(2**63), 2**64 - 1), st.integers(0, 1000), st.integers(0, 10**12), st.lists(st.integers(0, 300), max_size=5))
@settings(max_examples=50, deadline=None)
def test_row_hashes_do_not_depend_on_chunks(seed, file, first, cuts):
    whole = row_hashes(seed, file, first, 300)
    edges = [0, *sorted(cuts), 300]
    parts = [row_hashes(seed, file, first + a, b - a) for a, b in pairwise(edges)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_row_hashes_differ_by_row_file_and_seed():
    hashes = np.concatenate([row_hashes(seed, file, 0, 1000) for seed in range(5) for file in range(5)])
    assert len(set(hashes.tolist())) == 25_000


@pytest.mark.parametrize("kind", [*INTEGERS, pa.float16(), pa.float32(), pa.float64()], ids=str)
def test_equal_whole_numbers_hash_alike_in_every_type(kind):
    values = pa.array(WHOLE, pa.int64()).cast(kind)
    assert np.array_equal(value_hashes(3, values), value_hashes(3, pa.array(WHOLE)))


def test_negative_and_large_whole_numbers_hash_alike_as_integers_and_floats():
    values = [-1, -(2**40), 2**52, -(2**53), 2**62, -(2**63)]
    assert np.array_equal(value_hashes(0, pa.array(values)), value_hashes(0, pa.array([float(v) for v in values])))
    large = [2**63, 2**63 + 2**20]
    assert np.array_equal(value_hashes(0, pa.array(large, pa.uint64())), value_hashes(0, pa.array([float(v) for v in large])))


def test_float32_values_hash_as_the_float64_of_the_same_value():
    values = pa.array([0.5, -1.25, 3.0, 1e10], pa.float32())
    assert np.array_equal(value_hashes(0, values), value_hashes(0, values.cast(pa.float64())))
    assert value_hashes(0, pa.array([-0.0]))[0] == value_hashes(0, pa.array([0.0]))[0]


def test_numbers_that_differ_hash_differently():
    values = [0.0, 0.5, -0.5, 1.0, 1.5, float("inf"), float("-inf"), 1e300, 2.0**63, 2.0**64]
    assert len(set(value_hashes(0, pa.array(values)).tolist())) == len(values)


TEXTS = ["", "a", "b", "ab", "ba", "aa", "Ä", "日本", "x" * 300, "a\0", " a"]


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int32(), pa.large_string())], ids=str)  # fmt: skip
def test_equal_texts_hash_alike_in_every_type(kind):
    texts = [*TEXTS, None, "a"]
    plain = pa.array(texts, pa.string())
    if pa.types.is_dictionary(kind):
        cast = plain.dictionary_encode().cast(kind)
    else:
        cast = pa.array(texts, kind)
    assert np.array_equal(value_hashes(5, cast), value_hashes(5, plain))


def test_texts_that_differ_hash_differently():
    assert len(set(value_hashes(0, pa.array(TEXTS)).tolist())) == len(TEXTS)


def test_null_has_one_hash_that_no_value_has():
    for values in (pa.array([1, None, 0]), pa.array([1.0, None, 0.0]), pa.array(["1", None, ""])):
        hashes = value_hashes(4, values)
        assert len(set(hashes.tolist())) == 3
        assert hashes[1] == value_hashes(4, pa.array([None, 7]))[0]


def test_null_hashes_the_same_inside_a_dictionary():
    inside = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array(["a", None]))
    assert np.array_equal(value_hashes(0, inside), value_hashes(0, pa.array(["a", None, "a"])))


@given(st.lists(st.one_of(st.none(), st.text(max_size=6)), max_size=30), st.integers(0, 30), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_value_hashes_do_not_depend_on_chunks(texts, cut, seed):
    whole = pa.array(texts, pa.string())
    expected = value_hashes(seed, whole)
    assert np.array_equal(np.concatenate([value_hashes(seed, whole[:cut]), value_hashes(seed, whole[cut:])]), expected)
    chunked = pa.chunked_array([whole[:cut], whole[cut:]], pa.string())
    assert np.array_equal(value_hashes(seed, chunked), expected)
    single = [value_hashes(seed, pa.array([text], pa.string()))[0] for text in texts]
    assert expected.tolist() == single


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_a_slice_hashes_as_its_values(kind):
    texts = ["longer text", "b", "", "cc", "d", "ee"]
    for nulls in (False, True):
        whole = pa.array([None if nulls and t == "cc" else t for t in texts], kind)
        expected = value_hashes(0, whole)
        for start in range(6):
            assert np.array_equal(value_hashes(0, whole[start:]), expected[start:])
            assert np.array_equal(value_hashes(0, whole[start : start + 1]), expected[start : start + 1])


@pytest.mark.parametrize("values", [pa.array([True, False, None]), pa.array([dt.date(2020, 1, 1), None]), pa.array([dt.datetime(2020, 1, 1, 5)])])  # fmt: skip
def test_other_types_hash_by_their_text(values):
    hashes = value_hashes(0, values)
    assert len(set(hashes.tolist())) == len(values)
    assert np.array_equal(value_hashes(0, values), hashes)


@pytest.mark.parametrize(("validation", "test"), [(0.1, 0.1), (0.3, 0.0), (0.0, 0.25), (0.0, 0.0), (0.45, 0.5)])
@pytest.mark.parametrize("by", ["row", "value", "text"])
def test_shares_are_near_what_is_asked(by, validation, test):
    n = 40_000
    if by == "row":
        roles = RowRoles(1, validation, test).assign(0, 0, n, None)
    else:
        values = pa.array(range(n)) if by == "value" else pa.array([f"customer {i}" for i in range(n)])
        roles = ValueRoles("k", 1, validation, test).assign(0, 0, n, values)
    shares = np.bincount(roles, minlength=3) / n
    expected = [1 - validation - test, validation, test]
    for found, share in zip(shares, expected, strict=True):
        assert abs(found - share) <= 5 * np.sqrt(share * (1 - share) / n)


def test_a_larger_share_only_adds_rows():
    small, large = (RowRoles(0, v, 0.0).assign(0, 0, 5000, None) == Role.VALIDATION for v in (0.1, 0.2))
    assert np.all(large[small])


def test_roles_of_different_seeds_are_independent():
    a, b = (RowRoles(seed, 0.5, 0.0).assign(0, 0, 20_000, None) for seed in (0, 1))
    assert abs(np.mean(a == b) - 0.5) < 0.02


def test_a_row_keeps_its_role_wherever_blocks_begin():
    roles = RowRoles(9, 0.2, 0.2)
    whole = roles.assign(2, 0, 1000, None)
    for start in (0, 1, 17, 999):
        assert np.array_equal(roles.assign(2, start, 1000 - start, None), whole[start:])
    assert not np.array_equal(roles.assign(3, 0, 1000, None), whole)


def test_rows_of_one_value_have_one_role_wherever_they_stand():
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 50, 1000)
    roles = ValueRoles("k", 0, 0.2, 0.2).assign(0, 0, 1000, pa.array(keys))
    assert len(set(roles.tolist())) == 3
    for key in range(50):
        assert len(set(roles[keys == key].tolist())) == 1
    order = rng.permutation(1000)
    assert np.array_equal(ValueRoles("k", 0, 0.2, 0.2).assign(7, 123, 1000, pa.array(keys[order])), roles[order])


def test_by_time_the_latest_rows_are_test_and_those_before_them_validation():
    rng = np.random.default_rng(1)
    times = rng.permutation(1000).astype(float)
    roles = time_roles("t", times, 0.2, 0.1)
    found = roles.assign(0, 0, 1000, pa.array(times))
    assert np.array_equal(found, np.where(times >= 900, Role.TEST, np.where(times >= 700, Role.VALIDATION, Role.TRAINING)))


@pytest.mark.parametrize(("validation", "test"), [(0.0, 0.2), (0.2, 0.0), (0.0, 0.0)])
def test_by_time_a_share_of_zero_holds_nothing_out(validation, test):
    times = np.arange(100.0)
    found = time_roles("t", times, validation, test).assign(0, 0, 100, pa.array(times))
    counts = np.bincount(found, minlength=3)
    assert counts[Role.VALIDATION] == round(100 * validation)
    assert counts[Role.TEST] == round(100 * test)


def test_by_time_rows_of_one_time_stay_together():
    times = np.repeat(np.arange(10.0), 10)
    found = time_roles("t", times, 0.15, 0.15).assign(0, 0, 100, pa.array(times))
    for time in range(10):
        assert len(set(found[times == time].tolist())) == 1


def test_by_time_a_row_without_time_is_refused_with_its_number():
    roles = time_roles("t", np.array([1.0, 2.0, np.nan]), 0.1, 0.1)
    with pytest.raises(DataError, match=r"'t'.*row 51"):
        roles.assign(0, 50, 3, pa.array([1.0, None, 2.0]))
    with pytest.raises(DataError, match="holds no time"):
        time_roles("t", np.array([np.nan]), 0.1, 0.1)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([dt.date(2019, 5, 1), dt.date(2020, 1, 1), None, dt.date(1960, 1, 1)]),
        pa.array([dt.datetime(2019, 5, 1, 3), dt.datetime(2019, 5, 1, 4), None, dt.datetime(1960, 1, 1)]),
        pa.array(["2019-05-01T03:00:00", "2019-05-01 04:00:00Z", None, "1960-01-01"]),
        pa.array([5, 6, None, -3]),
        pa.array([0.5, 0.75, None, -1e9]),
        pa.array([dt.time(3), dt.time(4), None, dt.time(1)]),
    ],
    ids=lambda v: str(v.type),
)
def test_times_keep_their_order_as_numbers(values):
    found = time_ordinals(values, "t")
    assert np.isnan(found[2])
    assert found[3] < found[0] < found[1]


def test_what_is_no_time_is_refused():
    with pytest.raises(DataError, match=r"'t'.*is not a time"):
        time_ordinals(pa.array(["yesterday"]), "t")


def test_times_that_are_text_in_a_dictionary_are_times(tmp_path):
    import pyarrow.parquet as pq

    text = pa.array([f"2013-{1 + i % 12:02}-{1 + i % 28:02}T{i % 24:02}:00:00Z" for i in range(400)])
    assert time_ordinals(text.dictionary_encode(), "t").tolist() == time_ordinals(text, "t").tolist()
    x = [float(i % 37) for i in range(400)]
    pq.write_table(pa.table({"t": text, "x": x, "y": [2.0 * v + (i % 5) for i, v in enumerate(x)]}), tmp_path / "t.parquet")
    rows = fit(tmp_path / "t.parquet", "y", time="t", features=["x"]).result["rows"]
    assert min(rows["train"], rows["validation"], rows["test"]) > 0

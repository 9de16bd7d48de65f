"""How training rows are divided: folds and their repeats, rolling origins, nested shares."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from gradline.splits.divisions import CURVE_SALT, NO_PART, Folds, Shares, latest_shares, rolling_origins
from gradline.splits.roles import row_hashes


@given(st.lists(st.integers(0, 40), min_size=2, max_size=120), st.integers(2, 8), st.integers(0, 12))
def test_an_origin_learns_from_all_rows_before_its_gap_and_is_judged_on_those_up_to_the_next(times, count, gap):
    values = np.array(times, dtype=float)
    division = rolling_origins("t", values, count, gap)
    parts = division.assign(0, 0, len(values), pa.array(values))
    assert parts.max() < division.count
    cuts = [np.sort(values)[len(values) * k // (count + 1)] for k in range(1, count + 1)]
    for k, origin in enumerate(division.origins):
        learned, judged = parts < origin.learned, (parts >= origin.start) & (parts < origin.stop)
        until = cuts[k + 1] if k + 1 < count else np.inf
        assert np.array_equal(learned, values < cuts[k] - gap)
        assert np.array_equal(judged, (values >= cuts[k]) & (values < until))


def test_origins_cut_stretches_of_as_many_rows():
    values = np.random.default_rng(0).permutation(600).astype(float)
    division = rolling_origins("t", values, 5)
    counts = np.bincount(division.assign(0, 0, 600, pa.array(values)))
    assert counts.tolist() == [100] * 6
    assert [tuple(origin) for origin in division.origins] == [(k, k, k + 1) for k in range(1, 6)]


def test_repeats_are_independent_divisions():
    folds = [Folds(4, 0, repeat).assign(0, 0, 100_000, None) for repeat in range(3)]
    for a in range(3):
        for b in range(a):
            together = np.bincount(folds[a].astype(int) * 4 + folds[b], minlength=16)
            assert np.all(np.abs(together - 6_250) < 5 * np.sqrt(6_250))
    assert np.array_equal(folds[0], Folds(4, 0).assign(0, 0, 100_000, None))


def test_each_share_is_half_of_the_one_that_holds_it():
    parts = Shares(3).assign(2, 1_000, 200_000, None)
    hashes = row_hashes(3 ^ CURVE_SALT, 2, 1_000, 200_000)
    for j in range(7):
        assert np.array_equal(parts >= j, hashes < np.uint64(2 ** (64 - j) - 1)) or j == 0
        assert abs(np.count_nonzero(parts >= j) - 200_000 / 2**j) < 5 * np.sqrt(200_000 / 2**j)
    assert parts.min() == 0
    assert parts.max() == 6
    rest = Shares(3, whole=False).assign(2, 1_000, 200_000, None)
    assert np.array_equal(rest, np.where(parts == 0, NO_PART, parts))


def test_rows_of_one_value_are_in_one_share():
    values = pa.array([f"customer {i % 200}" for i in range(2_000)])
    parts = Shares(0).assign(0, 0, 2_000, values)
    assert all(len(np.unique(parts[i::200])) == 1 for i in range(200))
    assert not np.array_equal(Shares(0, by_row=True).assign(0, 0, 2_000, values), parts)


def test_the_latest_shares_are_the_latest_rows():
    values = np.random.default_rng(0).permutation(6_400).astype(float)
    parts = latest_shares("t", values, whole=True).assign(0, 0, 6_400, pa.array(values))
    for j in range(7):
        assert np.array_equal(parts >= j, values >= 6_400 - (6_400 >> j))

"""Stratified roles: the shares hold within every stratum, and a role depends on the row's place and value alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradline.splits.stratify import read_strata, stratified_folds, stratified_roles, stratum_edges
from gradline.types import Role

LEVELS = st.lists(st.sampled_from(["a", "b", "c", "rare", None]), min_size=1, max_size=200)
NUMBERS = st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.integers(0, 3).map(float)), min_size=1, max_size=200)
SHARES = st.sampled_from([(0.1, 0.1), (0.0, 0.25), (0.3, 0.0), (0.45, 0.45), (0.07, 0.13)])


def roles_of(values, shares, cuts=(), seed=0):
    """The roles of all rows, from blocks cut there."""
    edges = [0, *(cut for cut in sorted(set(cuts)) if 0 < cut < len(values)), len(values)]
    blocks = [(0, a, values.slice(a, b - a)) for a, b in pairwise(edges)]
    roles = stratified_roles(read_strata("c", blocks), seed, *shares)
    return np.concatenate([roles.assign(file, first, len(part), part) for file, first, part in blocks]), roles


def check_shares(roles, strata, shares):
    """Each share is kept to one row in each stratum, that of the validation rows to half a row in all."""
    names = np.array([str(each) for each in strata])
    for name in np.unique(names):
        mine = roles[names == name]
        for role, share in ((Role.VALIDATION, shares[0]), (Role.TEST, shares[1])):
            assert abs(np.count_nonzero(mine == role) - share * len(mine)) <= 1.0 + 1e-9
    assert abs(np.count_nonzero(roles == Role.VALIDATION) - shares[0] * len(roles)) <= 0.5 + 1e-9


@given(LEVELS, SHARES)
def test_the_shares_hold_within_each_level_to_one_row(levels, shares):
    roles, _ = roles_of(pa.array(levels, pa.string()), shares)
    check_shares(roles, levels, shares)


@given(NUMBERS, SHARES)
def test_the_shares_hold_within_each_tenth_to_one_row(numbers, shares):
    values = np.array([np.nan if v is None else v for v in numbers])
    roles, found = roles_of(pa.array(numbers, pa.float64()), shares)
    strata = np.where(np.isnan(values), -1, np.searchsorted(found.strata.edges, values, side="right"))
    check_shares(roles, strata, shares)


def test_the_test_rows_are_kept_to_one_row_in_all():
    levels = pa.array([str(i // 3) for i in range(30_000)])  # of three rows each, of which a tenth is none
    roles, _ = roles_of(levels, (0.1, 0.1))
    assert np.count_nonzero(roles == Role.VALIDATION) == 3_000
    assert abs(np.count_nonzero(roles == Role.TEST) - 3_000) <= 30


def test_tenths_have_as_many_rows_each_and_few_values_are_strata_of_their_own():
    values = np.random.default_rng(0).lognormal(size=1_000)
    counts = np.bincount(np.searchsorted(stratum_edges(values), values, side="right"))
    assert counts.tolist() == [100] * 10
    assert stratum_edges(np.array([2.0, 0.0, 0.0, 1.0, np.nan])).tolist() == [1.0, 2.0]
    assert stratum_edges(np.full(5, np.nan)).tolist() == []


@pytest.mark.parametrize("kind", ["text", "number"])
def test_blocks_and_reading_again_change_no_role(kind):
    rng = np.random.default_rng(1)
    values = pa.array(rng.choice(list("abc"), 500)) if kind == "text" else pa.array(rng.normal(size=500))
    whole, _ = roles_of(values, (0.2, 0.1))
    for cuts in ((1,), (250,), tuple(range(0, 500, 7))):
        assert np.array_equal(roles_of(values, (0.2, 0.1), cuts)[0], whole)
    assert not np.array_equal(roles_of(values, (0.2, 0.1), seed=1)[0], whole)


def test_a_role_depends_on_the_place_and_the_value_alone():
    """Values in another stratum that change within it change no role in this one."""
    values = np.array(["a", "b"] * 200)
    whole, _ = roles_of(pa.array(values.tolist()), (0.2, 0.1))
    renamed = np.where(values == "b", "z", values)  # z comes after a as well, or before: only rounding could move a row
    other, _ = roles_of(pa.array(renamed.tolist()), (0.2, 0.1))
    assert np.array_equal(whole, other)


def test_roles_within_a_stratum_are_spread_over_its_rows():
    values = pa.array(["a"] * 40_000)
    roles, _ = roles_of(values, (0.25, 0.25))
    halves = [np.count_nonzero(part == Role.VALIDATION) for part in np.split(roles, 4)]
    assert all(abs(count - 2_500) < 5 * np.sqrt(2_500) for count in halves)


@given(LEVELS, SHARES, st.integers(2, 7), st.integers(0, 3))
def test_the_training_rows_of_each_level_are_in_every_fold_to_one_row(levels, shares, count, repeat):
    values = pa.array(levels, pa.string())
    read = read_strata("c", [(0, 0, values)])
    roles = stratified_roles(read, 0, *shares)
    trained = roles.assign(0, 0, len(values), values) == Role.TRAINING
    division = stratified_folds(read, roles, count, repeat)
    folds = division.assign(0, 0, len(values), values)
    assert division.count == count
    names = np.array([str(each) for each in levels])
    for name in np.unique(names[trained]):
        sizes = np.bincount(folds[trained & (names == name)], minlength=count)
        assert sizes.max() - sizes.min() <= 1


def test_small_strata_fill_all_folds_and_repeats_divide_anew():
    values = pa.array([str(i // 2) for i in range(20_000)])
    read = read_strata("c", [(0, 0, values)])
    roles = stratified_roles(read, 0, 0.0, 0.0)
    a, b = (stratified_folds(read, roles, 5, repeat).assign(0, 0, 20_000, values) for repeat in (0, 1))
    for folds in (a, b):
        assert np.all(np.abs(np.bincount(folds) - 4_000) < 5 * np.sqrt(4_000))
        assert np.all(folds[::2] != folds[1::2])
    assert abs(np.count_nonzero(a == b) - 4_000) < 5 * np.sqrt(4_000)
    cut = stratified_folds(read, roles, 5, 0)
    assert np.array_equal(np.concatenate([cut.assign(0, k, 100, values[k : k + 100]) for k in range(0, 20_000, 100)]), a)

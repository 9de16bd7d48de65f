"""Where the extremes of columns stand, whatever the blocks: against NumPy on all rows at once."""

from __future__ import annotations

import itertools
from functools import reduce

import numpy as np
import pytest

from gradline.maths.block import block_tally
from gradline.maths.extremes import Extremes, extremes_of
from gradline.types import NumberColumn


def extremes(columns, starts, at=None):
    """Of the rows `at` (all, where None), block by block."""
    bounds = [*starts, len(columns[0])]
    parts = []
    for first, last in itertools.pairwise(bounds):
        block = [c[first:last] for c in columns]
        mine = None if at is None else np.flatnonzero(at[first:last])
        tally = block_tally([NumberColumn(str(j), c) for j, c in enumerate(block)], [], last - first, None, mine)
        parts.append(extremes_of(block, [(tally, mine)], np.arange(first, last)))
    return reduce(Extremes.plus, [each for each in parts if each is not None])


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("some", [False, True])
def test_a_row_that_holds_much_of_a_column_is_remembered(seed, some):
    rng = np.random.default_rng(seed)
    m = 5_000
    columns = list(rng.normal(size=(3, m)))
    at = rng.random(m) < 0.7 if some else None
    rows = np.arange(m) if at is None else np.flatnonzero(at)
    low, high = rng.choice(rows, 2, replace=False)
    columns[0][low], columns[1][high] = -1e6, 1e200
    columns[2][rng.random(m) < 0.2] = np.nan
    starts = [0, *np.sort(rng.choice(np.arange(1, m), 3, replace=False)).tolist()]
    found = extremes(columns, starts, at)
    for j in range(3):
        assert found.least[j] == np.nanmin(columns[j][rows])
        assert found.greatest[j] == np.nanmax(columns[j][rows])
    assert found.least_row[0] == low
    assert found.greatest_row[1] == high
    assert found.furthest(1) == f": 1e+200 in row {high:,}, counted from 0"


@pytest.mark.parametrize("seed", range(5))
def test_numbers_past_2_53_are_counted_from_the_first(seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 100, 3_000).astype(float)
    rows = np.sort(rng.choice(3_000, 7, replace=False))
    x[rows] = rng.choice([-1.0, 1.0], 7) * 2.0**60
    found = extremes([x, np.ones(3_000)], [0, 1_000, 2_000])
    assert (found.past.tolist(), found.first_past.tolist()) == ([7, 0], [rows[0], -1])


def test_a_column_without_a_value_in_a_block_takes_the_others():
    x = np.array([np.nan] * 10 + [3.0, 1.0, 2.0])
    found = extremes([x], [0, 10])
    assert (found.least[0], found.greatest[0]) == (1.0, 3.0)
    assert np.isnan(extremes([x[:10]], [0]).least[0])

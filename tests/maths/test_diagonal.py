"""Means and deviations alone are the diagonal of the moments, however the rows are cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradline.maths.block import block_moments
from gradline.maths.diagonal import block_diagonal
from gradline.types import CategoryColumn, NumberColumn

NAMES = ("a", "b", "c")


def rows(seed, n, offset=0.0):
    rng = np.random.default_rng(seed)
    V = rng.normal(size=(3, n)) * 3.0 + offset
    V[0, rng.random(n) < 0.3] = np.nan
    V[2] = 7.5
    codes = rng.integers(-1, 4, n)
    return V, CategoryColumn("k", codes, ("p", "q", "r", "s")), rng.integers(1, 4, n).astype(float)


def cut(V, category, weight, start, stop):
    part = slice(start, stop)
    return block_diagonal(
        NAMES, V[:, part], [category._replace(codes=category.codes[part])], None if weight is None else weight[part]
    )


@given(st.integers(0, 10**6), st.lists(st.integers(0, 60), max_size=4), st.booleans(), st.sampled_from([0.0, 1e6]))
@settings(max_examples=60, deadline=None)
def test_blocks_add_up_to_the_diagonal_of_the_moments(seed, cuts, weighted, offset):
    V, category, weight = rows(seed, 60, offset)
    weight = weight if weighted else None
    whole = block_moments([NumberColumn(name, v) for name, v in zip(NAMES, V, strict=True)], [category], 60, weight)
    edges = [0, *sorted(cuts), 60]
    found = cut(V, category, weight, 0, edges[1])
    for start, stop in pairwise(edges[1:]):
        found = found.plus(cut(V, category, weight, start, stop))
    assert set(found.columns) == set(whole.columns)
    where = whole.index()
    mean, variance = found.spread([[i] for i in range(len(found.columns))])
    at = [where[column] for column in found.columns]
    expected = np.diag(whole.comoment)[at] / whole.weight
    np.testing.assert_allclose(mean, whole.mean[at], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(variance, expected, rtol=1e-9, atol=1e-12 + 1e-24 * offset**2)
    levels = [i for i, column in enumerate(found.columns) if column.column == "k"]
    mean, variance = found.spread([levels[:2], levels])
    _, other = whole.spread([[where[found.columns[i]] for i in group] for group in (levels[:2], levels)])
    assert variance == pytest.approx(other, abs=1e-12)


def test_a_column_without_a_value_has_no_deviation():
    found = block_diagonal(("a",), np.full((1, 4), np.nan), [], None).plus(
        block_diagonal(("a",), np.full((1, 3), np.nan), [], None)
    )
    assert found.present.tolist() == [0.0]
    assert found.squares.tolist() == [0.0]

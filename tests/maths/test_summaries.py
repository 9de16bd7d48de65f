from __future__ import annotations

from collections import Counter
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradline.maths import summaries
from gradline.maths.summaries import CategorySummary, category_summary, number_summary
from gradline.types import CategoryColumn, NumberColumn


def of(values, cuts, training=None):
    """The summary of some values cut into blocks."""
    values = np.array(values, dtype=float)
    training = np.ones(len(values), dtype=bool) if training is None else np.array(training)
    edges = sorted({0, len(values), *(c for c in cuts if 0 < c < len(values))})
    parts = [number_summary(NumberColumn("x", values[a:b]), values[a:b][training[a:b]], a) for a, b in pairwise(edges)]
    found = parts[0]
    for part in parts[1:]:
        found = found.plus(part)
    return found


entries = st.tuples(st.sampled_from([1.0, 2.0, -5.0, 7.5, np.nan, np.inf, -np.inf]), st.booleans())


@given(st.lists(entries, min_size=1, max_size=20), st.lists(st.integers(0, 20), max_size=4))
def test_the_summary_of_numbers_is_of_the_training_rows_however_they_are_cut(rows, cuts):
    values, training = np.array([v for v, _ in rows]), np.array([t for _, t in rows])
    found, used = of(values, cuts, training), values[training]
    present = used[~np.isnan(used)]
    assert (found.rows, found.missing) == (len(used), len(used) - len(present))
    assert found.minimum == min(present, default=np.inf)
    assert found.maximum == max(present, default=-np.inf)
    assert found.infinite == np.isinf(values).sum()
    assert found.first_infinite == (int(np.argmax(np.isinf(values))) if found.infinite else -1)


@pytest.mark.parametrize("cuts", [[], [3], [1, 2, 3, 4, 5, 6, 7], [5, 9]])
def test_only_whole_numbers_that_rise_through_all_blocks_are_consecutive(cuts):
    assert of(range(5, 15), cuts).consecutive
    assert not of([*range(5), *range(5)], [*cuts, 5]).consecutive
    assert of([*range(5), *range(6, 11)], [*cuts, 5]).consecutive  # rows without a target leave gaps
    assert not of([0, 1, 1, 2, 3, 4, 5, 6, 7, 8], cuts).consecutive
    assert not of([0, 1, 2, np.nan, 4], cuts).consecutive
    assert not of([0, 1, 2.5, 4, 5, 6, 7, 8, 9, 10], cuts).consecutive


def category(texts):
    levels = tuple(dict.fromkeys(t for t in texts if t is not None))
    codes = np.array([-1 if t is None else levels.index(t) for t in texts], dtype=np.intp)
    return category_summary(CategoryColumn("c", codes, levels), codes)


def test_counts_of_levels_add_up():
    found = category(["a", "b", None, "a"]).plus(category(["c", None, "a"]))
    assert (found.rows, found.missing, found.distinct) == (7, 2, 3)
    assert dict(found.counts) == {"a": 3, "b": 1, "c": 1}


@pytest.mark.parametrize("cuts", [[], [30], [7, 11, 40], [1, 2, 59]])
def test_counts_and_first_rows_do_not_depend_on_how_the_rows_are_cut(cuts):
    codes = np.random.default_rng(0).integers(0, 6, 60) ** 2 % 7
    texts = [f"{code}a" for code in codes]
    parts = []
    for low, high in zip([0, *cuts], [*cuts, 60], strict=True):
        levels = tuple(sorted(set(texts)))  # of which a part may have no row
        part = np.array([levels.index(text) for text in texts[low:high]], dtype=np.intp)
        parts.append(category_summary(CategoryColumn("c", part, levels), part, lambda low=low, high=high: np.arange(low, high)))
    found = reduce(CategorySummary.plus, parts)
    assert dict(found.counts) == Counter(texts)
    assert dict(found.first) == {text: texts.index(text) for text in texts}
    assert all(type(number) is int for number in found.counts.values())


def test_past_so_many_levels_nothing_is_counted(monkeypatch):
    monkeypatch.setattr(summaries, "MOST_COUNTED_LEVELS", 3)
    full = category(["a", "b", "c"])
    assert full.plus(category(["a"])).counts is not None
    over = full.plus(category(["d"]))
    assert over.counts is None
    assert (over.rows, over.distinct) == (4, 3)
    assert over.plus(full).counts is None
    assert full.plus(over).counts is None

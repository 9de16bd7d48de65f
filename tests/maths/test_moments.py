from __future__ import annotations

import tracemalloc
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradline.maths.block import PANEL_ROWS, SAMPLED_ROWS, block_moments, block_tally, encoded
from gradline.maths.moments import Fill, Moments, indicator_pairs, merge
from gradline.types import CategoryColumn, NumberColumn, Part, RawColumn
from reference import Row, assert_moments_are_exact, block_of, exact_columns, exact_moments, merged, tallied, tally_of

numbers = st.one_of(st.none(), st.integers(-50, 50))
levels = st.one_of(st.none(), st.sampled_from("abcd"))


ones = st.just(1)


@st.composite
def tables(draw, weights=ones):
    rows = draw(
        st.lists(st.builds(Row, st.tuples(numbers, numbers), st.tuples(levels, levels), weights), min_size=1, max_size=25)
    )
    cuts = draw(st.lists(st.integers(0, len(rows)), max_size=4))
    return rows, cuts


ways = pytest.mark.parametrize("merged", [merged, tallied], ids=["moments", "tallies"])


def assert_same(a, b, tolerance=1e-12):
    """Equal up to the order of the columns, relative to the deviations."""
    assert set(a.columns) == set(b.columns)
    assert (a.rows, a.weight) == (b.rows, b.weight)
    b = b.expanded(a.columns)
    scale = np.sqrt(np.diag(a.comoment))
    assert np.all(np.abs(a.comoment - b.comoment) <= tolerance * np.outer(scale, scale) + 1e-14)
    assert np.all(np.abs(a.mean - b.mean) <= tolerance * (np.abs(a.mean) + scale))


@ways
@given(tables())
@settings(max_examples=40, deadline=None)
def test_merged_blocks_are_the_exact_moments_of_the_whole_however_it_is_cut(merged, table):
    rows, cuts = table
    assert_moments_are_exact(merged(rows, cuts, weighted=False), rows)


@ways
@given(tables(weights=st.integers(0, 4)))
@settings(max_examples=40, deadline=None)
def test_weighted_blocks_are_the_exact_moments_of_the_whole_however_it_is_cut(merged, table):
    rows, cuts = table
    if sum(r.weight for r in rows):
        assert_moments_are_exact(merged(rows, cuts, weighted=True), rows)


@given(tables(weights=st.integers(0, 4)))
@settings(max_examples=40, deadline=None)
def test_blocks_whose_rows_go_through_once_are_as_exact(table):
    rows, cuts = table
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gradline.maths.block.FEW_ROWS", 0)
        if sum(r.weight for r in rows):
            assert_moments_are_exact(tallied(rows, cuts, weighted=True), rows)


@ways
@given(st.integers(0, 2**32), st.lists(st.integers(0, 500), max_size=8))
@settings(max_examples=30, deadline=None)
def test_merging_any_chunks_of_floats_equals_one_block(merged, seed, cuts):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(500, 3)) * [1.0, 1e-6, 1e6] + [0.0, 1e-6, -1e6]
    values[rng.random((500, 3)) < [0.1, 0.0, 0.3]] = np.nan
    rows = [Row(tuple(None if np.isnan(v) else v for v in row), (rng.choice(list("abc")),)) for row in values]
    assert_same(merged(rows, [], weighted=False), merged(rows, cuts, weighted=False))


@ways
@given(tables(weights=st.integers(0, 3)))
@settings(max_examples=50, deadline=None)
def test_weights_are_repeated_rows(merged, table):
    rows, cuts = table
    repeated = [r._replace(weight=1) for r in rows for _ in range(r.weight)]
    if not repeated:
        return
    weighted, plain = merged(rows, cuts, weighted=True), merged(repeated, [], weighted=False)
    assert weighted.weight == plain.weight == plain.rows
    common = tuple(c for c in plain.columns)
    at = [weighted.index()[c] for c in common]
    scale = np.sqrt(np.diag(plain.comoment))
    assert np.all(np.abs(weighted.comoment[np.ix_(at, at)] - plain.comoment) <= 1e-12 * np.outer(scale, scale) + 1e-12)
    assert np.allclose(weighted.mean[at], plain.mean, rtol=1e-12, atol=1e-12)


@given(tables(), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_order_in_which_blocks_are_merged_does_not_matter_but_for_rounding(table, order):
    rows, cuts = table
    edges = [0, *sorted(cuts), len(rows)]
    parts = [rows[a:b] for a, b in pairwise(edges) if a < b]
    order.shuffle(parts)
    shuffled = [row for part in parts for row in part]
    assert_same(
        merged(rows, cuts, weighted=False), merged(shuffled, np.cumsum([len(p) for p in parts])[:-1].tolist(), weighted=False)
    )


@given(tables())
@settings(max_examples=30, deadline=None)
def test_merging_is_associative_but_for_rounding(table):
    rows, _ = table
    third = max(len(rows) // 3, 1)
    parts = [rows[:third], rows[third : 2 * third], rows[2 * third :]]
    a, b, c = [block_of(part, weighted=False) for part in parts if part] if all(parts) else (None, None, None)
    if a is not None:
        assert_same(merge(merge(a, b), c), merge(a, merge(b, c)))


@ways
def test_a_level_of_some_blocks_only_counts_as_absent_from_the_others(merged):
    rows = [Row((1,), ("a",)), Row((5,), ("a",)), Row((2,), ("b",)), Row((9,), (None,)), Row((4,), ("c",)), Row((7,), ("a",))]
    moments = merged(rows, [2, 4], weighted=False)
    assert_moments_are_exact(moments, rows)
    assert moments.mean[moments.index()[RawColumn("c0", Part.LEVEL, "b")]] == pytest.approx(1 / 6)


@ways
def test_a_block_without_any_value_of_a_column_takes_the_mean_of_the_others(merged):
    rows = [
        Row((None, 3)),
        Row((None, 5)),
        Row((4, 1)),
        Row((10, 2)),
        Row((None, 8)),
        Row((1, None)),
        Row((None, 2)),
        Row((None, 0)),
    ]
    for cuts in ([2], [2, 5], [2, 4, 6], [6], [1, 2, 3, 4, 5, 6, 7]):
        moments = merged(rows, cuts, weighted=False)
        assert_moments_are_exact(moments, rows)
        assert moments.mean[moments.index()[RawColumn("x0", Part.VALUE)]] == pytest.approx(5.0, rel=1e-14)


def test_missing_values_are_imputed_by_the_mean_of_all_rows_as_brute_force_does():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(400, 3)) * [1.0, 5.0, 0.1] + [100.0, -7.0, 0.0]
    missing = rng.random(values.shape) < [0.4, 0.05, 0.9]
    missing[100:200, 0] = True  # a whole block
    X = np.where(missing, np.nan, values)
    fill = np.nanmean(X, axis=0)
    dense = np.column_stack([np.where(missing, fill, values), missing])
    centred = dense - dense.mean(axis=0)
    expected = centred.T @ centred
    parts = [block_moments([NumberColumn(f"x{j}", X[a : a + 100, j]) for j in range(3)], [], 100) for a in range(0, 400, 100)]
    moments = parts[0]
    for part in parts[1:]:
        moments = merge(moments, part)
    columns = [RawColumn(f"x{j}", Part.VALUE) for j in range(3)] + [RawColumn(f"x{j}", Part.MISSING) for j in range(3)]
    at = [moments.index()[c] for c in columns]
    scale = np.sqrt(np.diag(expected))
    assert np.all(np.abs(moments.comoment[np.ix_(at, at)] - expected) <= 1e-12 * np.outer(scale, scale))
    assert moments.mean[at] == pytest.approx(dense.mean(axis=0), rel=1e-12)


@ways
@pytest.mark.parametrize("offset", [10**6, 10**9, -(10**9), 10**12])
@pytest.mark.parametrize("cuts", [[], [7], [3, 4, 20], list(range(1, 40))])
def test_a_huge_offset_costs_no_more_than_its_own_rounding(offset, cuts, merged):
    rng = np.random.default_rng(5)
    rows = [
        Row((None if rng.random() < 0.2 else offset + int(rng.integers(-1, 2)), int(rng.integers(-9, 10)))) for _ in range(40)
    ]
    moments = merged(rows, cuts, weighted=False)
    assert_moments_are_exact(moments, rows, 1e-12 + 4 * 2.0**-53 * abs(offset))


@pytest.mark.parametrize("offset", [10**9, 2**52, -(2**52) + 1])
def test_one_block_keeps_full_precision_at_a_huge_offset(offset):
    rng = np.random.default_rng(6)
    rows = [Row((offset + int(rng.integers(-1, 2)), int(rng.integers(-9, 10)))) for _ in range(40)]
    _, _, comoment = exact_moments(rows)
    moments = merged(rows, [], weighted=False)
    x = RawColumn("x0", Part.VALUE)
    at = moments.index()[x]
    assert moments.comoment[at, at] == pytest.approx(float(comoment[x, x]), rel=1e-13)


@ways
def test_rows_of_weight_zero_change_nothing(merged):
    rows = [Row((1, 2), ("a",), 2), Row((4, None), ("b",), 1), Row((3, 7), ("a",), 3)]
    ballast = [Row((1000, -5), ("a",), 0), Row((None, 99), ("b",), 0)]
    assert_moments_are_exact(
        merged([rows[0], ballast[0], rows[1], ballast[1], rows[2]], [2, 3], weighted=True), [*rows[:1], *ballast, *rows[1:]]
    )
    with_ballast = merged([*rows, *ballast], [3], weighted=True)
    without = merged(rows, [], weighted=True)
    at = [with_ballast.index()[c] for c in without.columns]
    assert with_ballast.comoment[np.ix_(at, at)] == pytest.approx(without.comoment, rel=1e-13, abs=1e-15)
    assert with_ballast.mean[at] == pytest.approx(without.mean, rel=1e-13)


@ways
@pytest.mark.parametrize("heavy_first", [True, False])
def test_a_block_whose_weights_are_all_zero_counts_its_rows_and_nothing_else(heavy_first, merged):
    heavy = [Row((1, 2), ("a",), 2), Row((4, 5), ("b",), 1)]
    light = [Row((9, None), ("c",), 0), Row((8, 8), ("a",), 0)]
    rows, cut = (heavy + light, [2]) if heavy_first else (light + heavy, [2])
    moments = merged(rows, cut, weighted=True)
    assert moments.rows == 4
    assert moments.weight == 3.0
    assert moments.mean[moments.index()[RawColumn("x0", Part.VALUE)]] == pytest.approx(2.0)


def test_no_rows_are_neutral():
    none = Moments((), 0, 0.0, np.zeros(0), np.zeros((0, 0)))
    some = block_of([Row((1, 2)), Row((3, 5))], weighted=False)
    assert merge(none, some) is some
    assert merge(some, none) is some
    assert block_moments([NumberColumn("x", np.zeros(0))], [], 0).rows == 0


def test_panels_do_not_change_the_sum_of_a_long_block():
    rng = np.random.default_rng(8)
    X = rng.integers(-20, 20, size=(2 * PANEL_ROWS + 123, 2)).astype(float)  # exact in float64 whatever the order
    moments = block_moments([NumberColumn("a", X[:, 0]), NumberColumn("b", X[:, 1])], [], len(X))
    centred = X - X.mean(axis=0)
    assert moments.comoment == pytest.approx(centred.T @ centred, rel=1e-12)
    assert np.array_equal(moments.comoment, moments.comoment.T)


def test_the_inputs_are_left_as_they_were():
    values = np.array([1.0, np.nan, 3.0])
    codes = np.array([0, -1, 1])
    weight = np.array([1.0, 2.0, 3.0])
    block_moments([NumberColumn("x", values)], [CategoryColumn("c", codes, ("a", "b"))], 3, weight)
    assert np.array_equal(values, [1.0, np.nan, 3.0], equal_nan=True)
    assert codes.tolist() == [0, -1, 1]
    assert weight.tolist() == [1.0, 2.0, 3.0]
    a, b = block_of([Row((1, None)), Row((2, 3))], weighted=False), block_of([Row((7, 4)), Row((None, 5))], weighted=False)
    before = [a.mean.copy(), a.comoment.copy(), b.mean.copy(), b.comoment.copy()]
    merge(a, b)
    assert all(np.array_equal(x, z) for x, z in zip(before, [a.mean, a.comoment, b.mean, b.comoment], strict=True))


def test_levels_declared_but_not_seen_have_no_column_and_the_rest_is_other():
    codes = np.array([0, 2, 3, 3, -1, 0])
    category = CategoryColumn("c", codes, ("a", "b", "c", ""), rest=3)
    moments = block_moments([NumberColumn("x", np.arange(6.0))], [category], 6)
    assert moments.columns[1:] == (
        RawColumn("c", Part.LEVEL, "a"),
        RawColumn("c", Part.LEVEL, "c"),
        RawColumn("c", Part.OTHER),
        RawColumn("c", Part.MISSING),
    )
    assert moments.mean[1:] == pytest.approx([2 / 6, 1 / 6, 2 / 6, 1 / 6])


def test_a_missing_part_of_a_date_is_no_level():
    category = CategoryColumn("d.month", np.array([0, -1, 1, -1]), ("1", "2"), missing_is_level=False)
    moments = block_moments([NumberColumn("x", np.arange(4.0))], [category], 4)
    assert RawColumn("d.month", Part.MISSING) not in moments.columns
    assert moments.mean[1:] == pytest.approx([0.25, 0.25])
    assert moments.comoment[1, 0] == pytest.approx(0.0 - 1.5)  # Σ over the rows of month 1 of x − mean


def table_of_two():
    rows = [Row((1, 2), ("a", "u")), Row((4, None), ("b", "v")), Row((3, 7), ("a", None)), Row((8, 1), ("c", "u"))]
    return rows, block_of(rows, weighted=False)


def test_expanded_adds_columns_of_zeros():
    rows, moments = table_of_two()
    extra = RawColumn("c0", Part.LEVEL, "z")
    wide = moments.expanded((extra, *reversed(moments.columns)))
    assert wide.mean[0] == 0.0
    assert not wide.comoment[0].any()
    assert not wide.comoment[:, 0].any()
    assert_moments_are_exact(wide, rows)
    assert moments.expanded(moments.columns) is moments


def test_without_leaves_the_other_categories_alone():
    rows, moments = table_of_two()
    tally = tally_of(rows, weighted=False)
    fewer = tally.without({"c0"}).moments()
    assert {c.column for c in fewer.columns} == {"x0", "x1", "c1"}
    at = [moments.index()[c] for c in fewer.columns]
    assert np.array_equal(fewer.comoment, moments.comoment[np.ix_(at, at)])
    assert np.array_equal(fewer.mean, moments.mean[at])
    assert tally.without({"absent"}) is tally


@given(tables(), st.integers(-100, 100))
@settings(max_examples=40, deadline=None)
def test_filled_is_imputation_by_another_number(table, fill):
    rows, cuts = table
    moments = merged(rows, cuts, weighted=False)
    for value, indicator in indicator_pairs(moments.columns):
        if moments.columns[value].column == "x0":
            moments = moments.filled([Fill(value, indicator, float(fill))])
    filled = [r._replace(numbers=(fill if r.numbers[0] is None else r.numbers[0], r.numbers[1])) for r in rows]
    _, mean, comoment = exact_moments(filled)
    where = moments.index()
    for a in mean:
        scale_a = np.sqrt(float(comoment[a, a]))
        assert moments.mean[where[a]] == pytest.approx(float(mean[a]), rel=1e-11, abs=1e-11)
        for b in mean:
            scale_b = np.sqrt(float(comoment[b, b]))
            room = 1e-11 * (scale_a + 100) * (scale_b + 100)
            assert abs(moments.comoment[where[a], where[b]] - float(comoment[a, b])) <= room


def test_filling_several_columns_at_once_has_the_bits_of_one_by_one():
    rng = np.random.default_rng(11)
    rows = [Row(tuple(None if rng.random() < 0.3 else int(rng.integers(0, 99)) for _ in range(3))) for _ in range(50)]
    together = alone = moments = block_of(rows, weighted=False)
    fills = [Fill(value, indicator, 7.0 / 3.0 + value) for value, indicator in indicator_pairs(moments.columns)]
    assert len(fills) == 3
    for fill in fills:
        alone = alone.filled([fill])
    together = moments.filled(fills)
    np.testing.assert_array_equal(together.comoment, alone.comoment)
    np.testing.assert_array_equal(together.mean, alone.mean)
    assert together.filled([Fill(v, i, together.mean[v], together.mean_rest[v]) for v, i, *_ in fills]) is together


def test_aggregated_is_the_moments_of_the_sums_of_columns():
    rng = np.random.default_rng(9)
    rows = [Row((int(rng.integers(0, 9)),), (rng.choice(list("abcde")),)) for _ in range(30)]
    moments = block_of(rows, weighted=False)
    where = moments.index()
    columns = {c: np.array([float(v) for v in values]) for c, values in exact_columns(rows).items()}
    groups = [
        [RawColumn("x0", Part.VALUE)],
        [RawColumn("c0", Part.LEVEL, v) for v in "bde"],
        [],
        [RawColumn("c0", Part.LEVEL, "a")],
    ]
    names = tuple(RawColumn(f"g{i}", Part.VALUE) for i in range(4))
    grouped = moments.aggregated([[where[c] for c in group] for group in groups], names)
    dense = np.column_stack([sum((columns[c] for c in group), np.zeros(30)) for group in groups])
    centred = dense - dense.mean(axis=0)
    assert grouped.columns == names
    assert grouped.mean == pytest.approx(dense.mean(axis=0), abs=1e-13)
    assert grouped.comoment == pytest.approx(centred.T @ centred, abs=1e-11)


def test_aggregated_singles_only_reorder():
    _, moments = table_of_two()
    order = list(reversed(range(len(moments.columns))))
    names = tuple(moments.columns[i] for i in order)
    turned = moments.aggregated([[i] for i in order], names)
    assert np.array_equal(turned.expanded(moments.columns).comoment, moments.comoment)


def test_a_constant_column_never_has_a_variance_below_zero():
    """The mean of a constant is rounded; what the rounding leaves must not be taken off the squares."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        n, value = int(rng.integers(3, 4000)), rng.normal() * 10.0 ** rng.integers(-3, 9)
        numbers = [NumberColumn("x", np.full(n, value))]
        for weight in (None, rng.random(n)):
            variance = block_moments(numbers, [], n, weight).comoment[0, 0]
            assert 0.0 <= variance <= n * (value * 1e-25) ** 2


@given(tables(), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_a_merge_into_the_memory_of_the_first_set_has_the_same_bits(table, together):
    rows, cuts = table
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gradline.maths.moments.SHIFTED_VALUES", together)
        blocks = [block_of(rows[i:j], weighted=False) for i, j in pairwise([0, *sorted(cuts), len(rows)]) if j > i]
        kept = [block.comoment.copy() for block in blocks]
        plain = again = blocks[0]
        for block in blocks[1:]:
            plain = merge(plain, block)
        for block, values in zip(blocks, kept, strict=True):
            np.testing.assert_array_equal(block.comoment, values)  # none was changed
        for block, values in zip(blocks[1:], kept[1:], strict=True):
            again = merge(again, block, reuse=True)
            np.testing.assert_array_equal(block.comoment, values)
        assert again.columns == plain.columns
        np.testing.assert_array_equal(again.comoment, plain.comoment)
        np.testing.assert_array_equal(again.mean, plain.mean)


@given(tables(weights=st.integers(1, 3)))
@settings(max_examples=40, deadline=None)
def test_a_tally_merged_into_the_memory_of_the_first_has_the_same_bits(table):
    rows, cuts = table
    plain, *parts = [tally_of(rows[i:j], weighted=True) for i, j in pairwise([0, *sorted(cuts), len(rows)]) if j > i]
    again = tally_of(rows[: plain.numbers.rows], weighted=True)
    for part in parts:
        before, kept = plain.numbers.comoment.copy(), part.numbers.comoment.copy()
        both = plain.plus(part)
        np.testing.assert_array_equal(plain.numbers.comoment, before)  # without reuse nothing is lost
        plain, again = both, again.plus(part, reuse=True)
        np.testing.assert_array_equal(part.numbers.comoment, kept)
    assert again.moments().columns == plain.moments().columns
    np.testing.assert_array_equal(again.moments().comoment, plain.moments().comoment)
    np.testing.assert_array_equal(again.moments().mean, plain.moments().mean)


def test_a_merge_needs_no_matrix_beside_those_of_its_sets():
    q = 600
    columns = tuple(RawColumn(f"x{j}", Part.VALUE) for j in range(q))
    a, b = (Moments(columns, 5, 5.0, np.full(q, k), np.eye(q)) for k in (1.0, 2.0))
    tracemalloc.start()
    both = merge(a, b, reuse=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert both.comoment is a.comoment
    assert peak < q * q * 8 / 4


def test_a_shift_far_from_the_mean_costs_no_digits():
    """The sampled rows are all but alike, and the others are far away: then a second pass goes about the mean."""
    rng = np.random.default_rng(4)
    n = 5_000
    x = rng.normal(size=n) * 1e-3
    sampled = np.arange(SAMPLED_ROWS) * n // SAMPLED_ROWS
    x[np.setdiff1d(np.arange(n), sampled)] += 1e6
    y = rng.normal(size=n)
    exact = [Fraction(v) for v in x.tolist()]
    mean = sum(exact) / n
    variance = float(sum((v - mean) ** 2 for v in exact))
    moments = block_moments([NumberColumn("x", x), NumberColumn("y", y)], [], n)
    assert moments.comoment[0, 0] == pytest.approx(variance, rel=1e-13)
    assert moments.mean[0] + moments.mean_rest[0] == pytest.approx(float(mean), rel=1e-15)


def test_a_column_missing_in_all_but_a_few_rows_keeps_its_digits():
    rng = np.random.default_rng(5)
    n = 20_000
    x = np.full(n, np.nan)
    x[[7, 9_999, 12_345]] = 5.0, 6.5, -3.25
    y = rng.normal(size=n) + 1e3
    moments = block_moments([NumberColumn("x", x), NumberColumn("y", y)], [], n)
    where = moments.index()
    gone = where[RawColumn("x", Part.MISSING)]
    assert moments.comoment[gone, gone] == pytest.approx(3.0 * (n - 3) / n, rel=1e-12)
    exact = [Fraction(v) for v in y.tolist()]
    mean = sum(exact) / n
    assert moments.comoment[gone, where[RawColumn("y", Part.VALUE)]] == pytest.approx(
        float(-(exact[7] + exact[9_999] + exact[12_345] - 3 * mean)), rel=1e-9
    )


def test_some_rows_of_a_block_have_the_moments_of_a_block_of_them():
    rng = np.random.default_rng(6)
    x, w = rng.normal(size=3_000), rng.random(3_000)
    x[::7] = np.nan
    codes = rng.integers(-1, 3, 3_000)
    at = np.sort(rng.permutation(3_000)[:1_234])
    category = CategoryColumn("c", codes, ("a", "b", "c"))
    some = block_tally([NumberColumn("x", x)], [encoded(category)], 3_000, w, at)
    alone = block_tally([NumberColumn("x", x[at])], [encoded(category._replace(codes=codes[at]))], len(at), w[at])
    assert some.tally.moments().columns == alone.tally.moments().columns
    assert np.array_equal(some.tally.moments().comoment, alone.tally.moments().comoment)
    assert (some.least[0], some.greatest[0]) == (np.nanmin(x[at]), np.nanmax(x[at]))
    assert not some.plain[0]

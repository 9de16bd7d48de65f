"""The rank of split conformal prediction is exact, and its quantile and bands are those of the definitions."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradline.maths.conformal import (
    binomial_band,
    coverage_band,
    decimal,
    quantile,
    quantile_scores,
    rank,
    rows_needed,
    widened,
)

SHARES = st.integers(1, 999).map(lambda thousandths: thousandths / 1000)


@pytest.mark.parametrize(("rows", "coverage", "expected"), [
    (9, 0.9, 9), (99, 0.9, 90), (999, 0.9, 900), (9, 0.8, 8), (99, 0.95, 95), (999, 0.95, 950), (99, 0.99, 99), (999, 0.999, 999),
    (8, 0.9, 9), (10, 0.9, 10), (98, 0.99, 99), (19, 0.95, 19), (18, 0.95, 19), (1, 0.5, 1),
])  # fmt: skip
def test_the_rank_is_exact_where_floating_point_is_not(rows, coverage, expected):
    assert rank(rows, decimal(coverage)) == expected


@given(st.integers(1, 100_000), st.integers(1, 9_999))
def test_the_rank_is_that_of_rational_arithmetic(rows, ten_thousandths):
    found = rank(rows, decimal(ten_thousandths / 10_000))
    share = Fraction(ten_thousandths, 10_000)
    assert found - 1 < share * (rows + 1) <= found


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), SHARES)
def test_the_quantile_is_the_smallest_that_so_many_scores_do_not_pass_and_never_one_less(scores, coverage):
    # coverage of a further row, were each of the n + 1 as likely the last: at least 1 − α with q, and less with the score before it
    scores, share = np.array(scores), decimal(coverage)
    q = quantile(scores, share)
    needed = share * (len(scores) + 1)
    if np.isinf(q):
        assert needed > len(scores)
        return
    assert np.count_nonzero(scores <= q) >= needed
    assert np.count_nonzero(scores < q) < needed


@given(SHARES)
def test_rows_needed_is_the_smallest_number_of_rows_with_a_finite_quantile(coverage):
    n, share = rows_needed(decimal(coverage)), decimal(coverage)
    assert rank(n, share) <= n or n == 0
    assert n == 0 or rank(n - 1, share) > n - 1


def beta_binomial(m, a, b):
    """Its probabilities as fractions: B(c + a, m − c + b)/B(a, b) · C(m, c), for whole a and b."""

    def beta(p, q):
        return Fraction(1, p * comb(p + q - 1, p))

    return [comb(m, c) * beta(c + a, m - c + b) / beta(a, b) for c in range(m + 1)]


@pytest.mark.parametrize(
    ("measured", "rows", "coverage"), [(1, 9, 0.9), (7, 9, 0.9), (50, 19, 0.95), (60, 99, 0.8), (40, 300, 0.9)]
)
def test_the_band_of_the_coverage_is_the_beta_binomial_one(measured, rows, coverage):
    k = rank(rows, decimal(coverage))
    p = beta_binomial(measured, k, rows + 1 - k)
    assert sum(p) == 1
    for level in (0.9, 0.99):
        band, tail = coverage_band(measured, rows, decimal(coverage), level), (1 - decimal(level)) / 2
        low, high = round(band.low * measured), round(band.high * measured)
        assert sum(p[:low]) <= tail < sum(p[: low + 1])
        assert sum(p[high + 1 :]) <= tail < sum(p[high:])


@pytest.mark.parametrize(("measured", "coverage"), [(1, 0.5), (30, 0.9), (200, 0.99)])
def test_the_binomial_band_too(measured, coverage):
    q = decimal(coverage)
    p = [comb(measured, c) * q**c * (1 - q) ** (measured - c) for c in range(measured + 1)]
    band, tail = binomial_band(measured, coverage, 0.95), Fraction(25, 1000)
    low, high = round(band.low * measured), round(band.high * measured)
    assert sum(p[:low]) <= tail < sum(p[: low + 1])
    assert sum(p[high + 1 :]) <= tail < sum(p[high:])


def test_rows_too_few_for_any_interval_cover_everything():
    assert quantile(np.arange(8.0), decimal(0.9)) == np.inf
    assert coverage_band(10, 8, decimal(0.9), 0.99)[:2] == (1.0, 1.0)


def test_a_band_of_ten_million_rows_is_the_beta_distributions():
    stats = pytest.importorskip("scipy.stats")
    band = coverage_band(10_000_000, 1_000, decimal(0.9), 0.99)
    assert band[:2] == pytest.approx(stats.beta(901, 100).ppf([0.005, 0.995]), abs=1e-5)


def test_quantiles_that_cross_are_sorted_and_a_negative_margin_leaves_no_bound_above_the_other():
    low, high = np.array([0.0, 3.0, 1.0, 1.0]), np.array([2.0, 1.0, 1.5, 5.0])
    bounds = widened(low, high, -0.5)
    assert bounds.low.tolist() == [0.5, 1.5, 1.25, 1.5]
    assert bounds.high.tolist() == [1.5, 2.5, 1.25, 4.5]
    assert np.all(widened(low, high, -9.0).low <= widened(low, high, -9.0).high)


@given(st.lists(st.tuples(*[st.floats(-50, 50)] * 3), min_size=12, max_size=60), SHARES)
def test_the_margin_of_quantiles_covers_as_many_calibration_rows_as_its_rank(rows, coverage):
    actual, a, b = np.array(rows).T
    low, high = np.minimum(a, b), np.maximum(a, b)
    margin = quantile(quantile_scores(actual, low, high), decimal(coverage))
    if np.isfinite(margin):
        slack = 1e-12 * 200
        inside = (low - margin <= actual + slack) & (actual - slack <= high + margin)
        assert np.count_nonzero(inside) >= rank(len(rows), decimal(coverage))

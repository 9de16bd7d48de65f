"""Coverage of simulated data sets follows its exact law for each method, and what is measured is a direct count."""

from fractions import Fraction
from itertools import pairwise
from math import ceil

import numpy as np
import pytest

from gradline.evaluation.coverage import LEAST_ROWS, counted, judged, low_coverage, measure
from gradline.evaluation.kept_rows import KeptRows
from gradline.maths.conformal import Bounds, coverage_band, decimal, quantile, quantile_scores, rank, widened
from gradline.maths.jackknife import LeftOut
from gradline.types import CategoryColumn, Decoded, Role

SETS = 200
TEST = 300
COVERAGE = 0.9


def drawn(rng, n, kind):
    """Features with a column of ones, and the target: of one variance, of a variance that grows with x, or with heavy tails."""
    x = rng.uniform(0.0, 4.0, n)
    noise = {"constant": rng.normal(size=n), "growing": (0.1 + x) * rng.normal(size=n), "heavy": rng.standard_t(2, n)}[kind]
    return np.column_stack([x, np.ones(n)]), 3.0 * x + noise


def conformal(rng, kind, n):
    X, y = drawn(rng, 60, kind)
    theta = np.linalg.lstsq(X, y, rcond=None)[0]
    held, truth = drawn(rng, n, kind)
    q = quantile(np.abs(truth - held @ theta), decimal(COVERAGE))
    new, actual = drawn(rng, TEST, kind)
    return Bounds(new @ theta - q, new @ theta + q).covers(actual)


def quantiles(rng, kind, n):
    X, y = drawn(rng, 60, kind)
    theta = np.linalg.lstsq(X, y, rcond=None)[0]
    spread = np.linalg.lstsq(X, np.abs(y - X @ theta), rcond=None)[0]  # the law holds whatever the two functions are
    held, truth = drawn(rng, n, kind)
    margin = quantile(quantile_scores(truth, held @ (theta - spread), held @ (theta + spread)), decimal(COVERAGE))
    new, actual = drawn(rng, TEST, kind)
    return widened(new @ (theta - spread), new @ (theta + spread), margin).covers(actual)


@pytest.mark.parametrize("n", [9, 99, 240])
@pytest.mark.parametrize("kind", ["constant", "growing", "heavy"])
@pytest.mark.parametrize("method", [conformal, quantiles])
def test_coverage_of_200_data_sets_has_the_beta_binomial_law(method, kind, n):
    rng = np.random.default_rng([n, len(kind), len(method.__name__)])
    share = np.array([method(rng, kind, n).mean() for _ in range(SETS)])
    k = rank(n, decimal(COVERAGE))
    mean = k / (n + 1)
    variance = mean * (1 - mean) * (1 / TEST + (1 - 1 / TEST) / (n + 2))
    assert abs(share.mean() - mean) <= 4.0 * np.sqrt(variance / SETS)
    assert mean >= COVERAGE
    assert share.var() / variance == pytest.approx(1.0, abs=0.5)
    band = coverage_band(TEST, n, decimal(COVERAGE), 0.9)
    outside = np.count_nonzero((share < band.low) | (share > band.high))
    assert outside <= 20 + 4 * np.sqrt(SETS * 0.1 * 0.9)  # a tenth of them at most
    assert np.count_nonzero(share < band.low) >= 1  # the band is not too wide either


@pytest.mark.parametrize("kind", ["constant", "growing", "heavy"])
@pytest.mark.parametrize("n", [30, 120])
def test_coverage_of_jackknife_plus_on_200_data_sets(kind, n):
    rng = np.random.default_rng([n, len(kind)])
    shares = []
    for _ in range(SETS):
        X, y = drawn(rng, n, kind)
        root = np.linalg.inv(np.linalg.cholesky(X.T @ X)).T
        theta = np.linalg.lstsq(X, y, rcond=None)[0]
        new, actual = drawn(rng, TEST, kind)
        bounds = LeftOut.of(X @ root, y - X @ theta, None).bounds(new @ theta, new @ root, decimal(COVERAGE))
        shares.append(bounds.covers(actual).mean())
    mean, error = np.mean(shares), np.std(shares) / np.sqrt(SETS)
    assert mean >= 2 * COVERAGE - 1  # what is proved
    assert abs(mean - rank(n, decimal(COVERAGE)) / (n + 1)) <= 0.01 + 4.0 * error  # what a stable fit gives
    band = coverage_band(TEST, n, decimal(COVERAGE), 0.99)  # which is why this law may judge it
    assert np.count_nonzero(np.array(shares) < band.low) <= 0.03 * SETS


def test_one_rank_less_would_cover_too_little():
    rng = np.random.default_rng(4)
    held = np.abs(rng.standard_t(2, (4_000, 99)))
    new = np.abs(rng.standard_t(2, (4_000, 50)))
    k = ceil(Fraction(9, 10) * 100)
    least = np.sort(held, axis=1)
    assert (new <= least[:, [k - 1]]).mean() == pytest.approx(0.90, abs=0.003)
    assert (new <= least[:, [k - 2]]).mean() == pytest.approx(0.89, abs=0.003)
    assert all(quantile(row, decimal(0.9)) == ordered[k - 1] for row, ordered in zip(held[:50], least[:50], strict=True))


def kept(n, seed=0, weight=None, group=None, role=Role.TEST, levels=("a", "b", "c")):
    """n rows predicted with an error of deviation 1 (5 for the level `c`)."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, len(levels), n)
    predicted = rng.normal(0.0, 10.0, n)
    actual = predicted + rng.normal(size=n) * np.where(codes == 2, 5.0, 1.0)
    decoded = Decoded(n, (), (CategoryColumn("c", codes, levels),))
    return KeptRows(
        role, actual, predicted, actual, predicted, weight, decoded, None, np.zeros(n, dtype=np.intp), np.arange(n), group, n
    )


def about(rows, half):
    return Bounds(rows.predicted - half, rows.predicted + half)


def test_every_figure_is_a_direct_count():
    rows = kept(900)
    found = measure(rows, about(rows, 1.5), about(rows, 2.0), 200, 0.9, 0).document
    inside = np.abs(rows.error) <= 1.5
    assert found["coverage"] == inside.mean()
    assert found["expected"]["coverage"] == inside.mean()
    assert (found["width"], found["normal"]["width"]) == pytest.approx((3.0, 4.0))
    assert found["normal"]["coverage"] == (np.abs(rows.error) <= 2.0).mean()
    codes = rows.decoded.categories[0].codes
    assert {each["level"]: (each["rows"], each["coverage"]) for each in found["by_level"]} == {
        level: (np.count_nonzero(codes == i), inside[codes == i].mean()) for i, level in enumerate("abc")
    }
    parts = found["by_prediction"]
    assert [each["rows"] for each in parts] == [90] * 10
    order = np.argsort(rows.predicted)
    assert [each["coverage"] for each in parts] == [inside[at].mean() for at in np.split(order, 10)]
    assert all(a["to"] <= b["from"] for a, b in pairwise(parts))


def test_a_level_that_is_served_worse_is_named_and_even_ones_are_not():
    rows = kept(900)
    worst = measure(rows, about(rows, 1.7), about(rows, 1.7), 200, 0.9, 0).worst
    assert (worst["column"], worst["level"]) == ("c", "c")
    even = kept(900, seed=1)
    even = even._replace(
        decoded=even.decoded._replace(categories=(even.decoded.categories[0]._replace(codes=np.arange(900) % 3),))
    )
    q = np.quantile(np.abs(even.error), 0.9)
    assert measure(even, about(even, q), about(even, q), 200, 0.9, 0).worst is None


def test_few_rows_are_not_cut_into_tenths():
    rows = kept(3 * LEAST_ROWS)
    assert len(measure(rows, about(rows, 1.0), about(rows, 1.0), 200, 0.9, 0).document["by_prediction"]) == 3


def test_rows_without_weight_do_not_count_and_others_count_once():
    weight = np.tile([0.0, 1.0, 7.0], 100)
    rows = kept(300, weight=weight)
    found = measure(rows, about(rows, 1.0), about(rows, 1.0), 200, 0.9, 0).document
    assert found["rows"] == 200
    assert found["coverage"] == (np.abs(rows.error) <= 1.0)[weight > 0].mean()
    assert counted(rows, 0).tolist() == np.flatnonzero(weight > 0).tolist()


def test_of_each_group_one_row_is_drawn_and_by_another_seed_another():
    group = np.repeat(np.arange(50, dtype=np.uint64) * 977, 20)
    rows = kept(1_000, group=group)
    at = counted(rows, 3)
    assert np.array_equal(np.unique(group[at]), np.unique(group))
    assert len(at) == 50
    assert counted(rows, 3).tolist() == at.tolist() != counted(rows, 4).tolist()
    place = np.concatenate([counted(rows, seed) % 20 for seed in range(40)])
    assert np.bincount(place, minlength=20).min() > 0.6 * 100  # of each place in a group about as often
    shuffled = np.random.default_rng(0).permutation(1_000)
    other = rows._replace(group=group[shuffled], row=rows.row[shuffled])
    assert sorted(rows.row[shuffled][counted(other, 3)]) == sorted(at)  # whatever the order they are kept in


def test_coverage_below_the_band_is_told_and_within_it_is_not():
    assert not low_coverage(judged(880, 1_000, 2_000, 0.9), 0.9, "these rows")
    [notice] = low_coverage(judged(850, 1_000, 2_000, 0.9), 0.9, "these rows")
    assert notice.code == "coverage_low"
    assert "85.0% of these rows" in notice.message


def test_clean_sets_are_told_of_at_most_as_often_as_stated():
    rng = np.random.default_rng(8)
    told = 0
    for _ in range(2_000):
        q = quantile(np.abs(rng.normal(size=150)), decimal(0.9))
        told += judged(int(np.count_nonzero(np.abs(rng.normal(size=400)) <= q)), 400, 150, 0.9).low
    assert told <= 10 + 4 * np.sqrt(10)  # half of a percent

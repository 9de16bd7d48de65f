from __future__ import annotations

import numpy as np
import pytest

from gradline.evaluation.bootstrap import (
    LEAST_UNITS,
    MOST_UNITS,
    RESAMPLES,
    Bootstrap,
    bca,
    stretch_length,
    units_of,
)
from kept import binomial_band


def mean(sums):
    return sums[..., 1] / sums[..., 0]


def repeated(bootstrap, values, resample):
    """The values of a resample, each as often as its unit was drawn."""
    return np.repeat(values, bootstrap.counts[resample][bootstrap.units.packet[bootstrap.units.of]])


@pytest.mark.parametrize("grouped", [False, True])
def test_resampled_sums_and_medians_are_those_of_the_rows_written_out(grouped):
    rng = np.random.default_rng(0)
    values, group = rng.exponential(size=157), rng.integers(0, 23, 157).astype(np.uint64)
    bootstrap = Bootstrap.of(units_of(157, group=group if grouped else None), 5, 200)
    found = bootstrap.resampled(np.stack([np.ones(157), values], axis=1))
    plain_means = [np.mean(repeated(bootstrap, values, r)) for r in range(200)]
    assert found.draws[:, 1] / found.draws[:, 0] == pytest.approx(plain_means, rel=1e-12)
    plain_medians = [np.median(repeated(bootstrap, values, r)) for r in range(200)]
    interval = bootstrap.median(values)
    assert interval.value == np.median(values)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(plain_medians, [0.025, 0.975])), rel=1e-14)


def test_medians_of_many_rows_look_at_the_middle_only_and_are_exact():
    rng = np.random.default_rng(1)
    values, group = np.round(rng.normal(size=20_000), 3), np.sort(rng.integers(0, 40, 20_000)).astype(np.uint64)
    values += 0.3 * (group % np.uint64(2))  # the middle moves far with whole groups
    for units in (units_of(20_000), units_of(20_000, group=group)):
        bootstrap = Bootstrap.of(units, 2, 50)
        plain = [np.median(repeated(bootstrap, values, r)) for r in range(50)]
        interval = bootstrap.median(values)
        assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(plain, [0.025, 0.975])), rel=1e-14)


def test_weights_count_as_repeated_rows():
    rng = np.random.default_rng(2)
    values, weight = rng.normal(size=40), rng.integers(1, 4, 40).astype(np.float64)
    bootstrap = Bootstrap.of(units_of(40), 3)
    assert bootstrap.median(values, weight).value == np.median(np.repeat(values, weight.astype(int)))


def test_every_resample_draws_as_many_units_as_there_are():
    for n in (12, 1_000):
        counts = Bootstrap.of(units_of(n), 7).counts
        assert counts.shape == (RESAMPLES, n)
        assert np.all(counts.sum(axis=1) == n)
    many = units_of(3 * MOST_UNITS + 5)
    assert many.number == 3 * MOST_UNITS + 5
    assert many.drawn == MOST_UNITS
    assert set(np.bincount(many.packet)) == {3, 4}


def test_packets_of_rows_give_the_variance_of_rows():
    rng = np.random.default_rng(4)
    values = rng.exponential(size=4 * MOST_UNITS)
    found = Bootstrap.of(units_of(len(values)), 0).resampled(np.stack([np.ones(len(values)), values], axis=1))
    assert np.std(mean(found.draws)) == pytest.approx(
        np.std(values) / np.sqrt(len(values)), rel=0.08
    )  # 1,000 draws tell it to 2 %


def test_the_same_seed_draws_the_same_and_another_others():
    units = units_of(50)
    assert np.array_equal(Bootstrap.of(units, 1).counts, Bootstrap.of(units, 1).counts)
    assert not np.array_equal(Bootstrap.of(units, 1).counts, Bootstrap.of(units, 2).counts)
    assert not np.array_equal(Bootstrap.of(units, 1).counts, Bootstrap.of(units, -1).counts)
    assert units_of(3, group=np.array([7, 8, 9], dtype=np.uint64)).by == "rows"


@pytest.mark.parametrize("statistic", ["rmse", "mean"])
def test_intervals_cover_at_their_rate(statistic):
    rng = np.random.default_rng(6)
    trials, n, covered = 300, 120, 0
    truth = {"rmse": np.sqrt(2.0), "mean": 1.0}[statistic]  # of exponential values
    bootstrap = Bootstrap.of(units_of(n), 0)
    for _ in range(trials):
        x = rng.exponential(size=n)
        found = bootstrap.resampled(np.stack([np.ones(n), x, x**2], axis=1))
        figure = (lambda s: np.sqrt(s[..., 2] / s[..., 0])) if statistic == "rmse" else mean
        interval = found.interval(figure)
        covered += interval.low <= truth <= interval.high
    # 95 % but for terms of the order 1/n, with the skewness of exponential values, or of their squares, before them
    assert binomial_band(trials, 0.92)[0] <= covered <= binomial_band(trials, 0.95)[1]


def test_groups_and_stretches_cover_where_rows_depend_on_each_other_and_rows_do_not():
    rng = np.random.default_rng(7)
    trials, covered = 150, {"rows": 0, "groups": 0, "stretches of time": 0}
    of = np.repeat(np.arange(40), 10).astype(np.uint64)
    by_row, by_group = Bootstrap.of(units_of(400), 0), Bootstrap.of(units_of(400, group=of), 0)
    memory = 0.7 ** np.arange(40)
    for _ in range(trials):
        x = np.repeat(rng.normal(size=40), 10) + rng.normal(size=400)
        series = np.convolve(rng.normal(size=639), memory, mode="valid")
        by_time = Bootstrap.of(units_of(600, time=np.arange(600.0), error=series), 0)
        for values, bootstrap in ((x, by_row), (x, by_group), (series, by_time)):
            found = bootstrap.resampled(np.stack([np.ones(len(values)), values], axis=1)).interval(mean)
            covered[bootstrap.units.by] += found.low <= 0.0 <= found.high
    assert covered["rows"] < 0.75 * trials
    assert covered["groups"] >= binomial_band(trials, 0.93)[0]
    assert covered["stretches of time"] >= binomial_band(trials, 0.90)[0]


def test_stretches_are_as_long_as_the_dependence():
    rng = np.random.default_rng(8)
    lengths = {}
    for memory in (0.0, 0.8, 0.95):
        found = []
        for _ in range(20):
            x = rng.normal(size=2_000)
            for i in range(1, len(x)):
                x[i] += memory * x[i - 1]
            found.append(stretch_length(x))
        lengths[memory] = np.median(found)
    assert lengths[0.0] <= 2
    assert lengths[0.95] > 1.5 * lengths[0.8]
    # Politis & White's constant for AR(1): (G/g)^(2/3) with G = 2ρ/(1−ρ)²·R, g = (1+ρ)/(1−ρ)·R, R(0) = 1
    rho = 0.8
    assert lengths[0.8] == pytest.approx((2 * rho / (1 - rho**2)) ** (2 / 3) * 2_000 ** (1 / 3), rel=0.3)
    assert stretch_length(np.zeros(100)) == 1
    assert stretch_length(np.array([1.0, 2.0])) == 1


def test_stretches_follow_time_not_the_order_of_the_rows():
    rng = np.random.default_rng(9)
    x = np.cumsum(rng.normal(size=500))
    shuffled = rng.permutation(500)
    straight = units_of(500, time=np.arange(500.0), error=x)
    mixed = units_of(500, time=np.arange(500.0)[shuffled], error=x[shuffled])
    assert straight.length == mixed.length > 1
    assert np.array_equal(mixed.of, straight.of[shuffled])


def test_bca_of_symmetric_resamples_is_the_percentile_interval():
    draws = np.linspace(-1.0, 1.0, 1_001)
    low, high = bca(0.0, draws, np.array([-1.0, 0.0, 1.0]))
    assert (low, high) == pytest.approx((-0.95, 0.95), abs=1e-9)


def test_bca_agrees_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(10)
    x = rng.exponential(size=60)
    theirs = stats.bootstrap((x,), np.mean, n_resamples=9_999, method="BCa", rng=rng).confidence_interval
    ours = Bootstrap.of(units_of(60), 0, 9_999).resampled(np.stack([np.ones(60), x], axis=1)).interval(mean)
    spread = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.03 * spread)
    assert ours.high == pytest.approx(theirs.high, abs=0.03 * spread)


def test_too_few_units_have_a_value_and_no_interval():
    few = Bootstrap.of(units_of(LEAST_UNITS - 1), 0)
    x = np.arange(LEAST_UNITS - 1.0)
    for interval in (few.resampled(np.stack([np.ones(len(x)), x], axis=1)).interval(mean), few.median(x)):
        assert interval.value == 4.0
        assert interval.low is None
        assert "too few" in interval.to_json()["reason"]

from __future__ import annotations

import numpy as np
import pytest

from gradline.evaluation.metrics import ErrorSums
from gradline.evaluation.uncertainty import how, metric_intervals
from kept import judge, kept


def rows(n=300, seed=0, **more):
    rng = np.random.default_rng(seed)
    actual = rng.normal(50.0, 5.0, n)
    return kept(rng.normal(0.5, 2.0, n), actual=actual, **more)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_values_are_the_metrics_by_their_definitions(weighted):
    weight = np.random.default_rng(1).integers(0, 3, 300).astype(np.float64) if weighted else None
    some = rows(weight=weight)
    e, y, w = some.error, some.actual, np.ones(300) if weight is None else weight
    found = {name: each.value for name, each in metric_intervals(judge(some)).items()}
    mean = np.average(y, weights=w)
    expected = {
        "r2": 1 - np.average(e**2, weights=w) / np.average((y - mean) ** 2, weights=w),
        "rmse": np.sqrt(np.average(e**2, weights=w)),
        "mae": np.average(np.abs(e), weights=w),
        "median_absolute_error": np.median(np.repeat(np.abs(e), w.astype(int))),
        "mape": np.average(np.abs(e / y), weights=w),
        "bias": np.average(e, weights=w),
        "largest": np.abs(e).max(),
    }
    assert found == pytest.approx(expected, rel=1e-9)


def test_intervals_are_about_their_values_and_narrow_with_the_rows():
    few, many = (metric_intervals(judge(rows(n))) for n in (200, 20_000))
    for name in ("r2", "rmse", "mae", "median_absolute_error", "mape", "bias"):
        assert few[name].low < few[name].value < few[name].high
        width = [each[name].high - each[name].low for each in (few, many)]
        assert width[0] / width[1] == pytest.approx(10.0, rel=0.35)  # √(20,000/200)


def test_percentages_are_of_actual_values_that_are_not_near_0():
    for actual, says in (([0.0, 5.0] * 50, "is 0"), ([1e-3, 5.0] * 50, "0.001"), ([-5.0, 5.0] * 50, "both signs")):
        found = metric_intervals(judge(kept(np.arange(100.0), actual=actual)))["mape"]
        assert found.value is None
        assert says in found.reason
    assert metric_intervals(judge(kept(np.ones(100), actual=np.full(100, -4.0))))["mape"].value == 0.25


def test_the_interval_of_a_sample_is_drawn_to_all_rows():
    some = rows(400, of=1_600)
    everything = ErrorSums()
    rng = np.random.default_rng(5)
    actual = rng.normal(50.0, 5.0, 1_600)
    everything.add(actual + rng.normal(0.5, 2.0, 1_600), actual)
    known = everything.metrics()
    sample, found = metric_intervals(judge(some)), metric_intervals(judge(some, over_all=known))
    for name in ("r2", "rmse", "mae", "bias"):
        assert found[name].value == getattr(known, name)
        assert found[name].high - found[name].value == pytest.approx((sample[name].high - sample[name].value) / 2)
        assert found[name].value - found[name].low == pytest.approx((sample[name].value - sample[name].low) / 2)
    assert found["largest"].value == known.largest
    assert how(judge(some))["sample"] is True


def test_what_cannot_be_known_is_null_with_its_reason():
    constant = metric_intervals(judge(kept(np.arange(50.0), actual=np.full(50, 7.0))))
    assert constant["r2"].to_json() == {"value": None, "low": None, "high": None, "reason": "it is not defined on these rows"}
    few = metric_intervals(judge(rows(5)))
    assert few["rmse"].value is not None
    assert few["rmse"].low is None
    huge = metric_intervals(judge(kept(np.full(50, 1e200), actual=np.arange(50.0))))
    assert huge["rmse"].to_json()["value"] is None

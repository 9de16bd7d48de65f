from __future__ import annotations

import numpy as np
import pytest

from gradline.evaluation.calibration import calibration
from kept import binomial_band, judge, kept


def rows(slope, n=800, seed=0, **more):
    """Rows whose actual value rises by `slope` with the prediction."""
    rng = np.random.default_rng(seed)
    predicted = rng.gamma(2.0, 5.0, n)
    actual = 3.0 + slope * predicted + rng.normal(size=n) * (1.0 + 0.2 * predicted)
    return kept(predicted - actual, actual=actual, **more)


def test_slope_and_errors_are_those_of_statsmodels_hc3():
    sm = pytest.importorskip("statsmodels.api")
    some = rows(0.9)
    theirs = sm.OLS(some.actual, sm.add_constant(some.predicted)).fit(cov_type="HC3")
    found = calibration(judge(some))
    assert (found.intercept, found.slope) == pytest.approx(tuple(theirs.params), rel=1e-9)
    assert (found.intercept_error, found.slope_error) == pytest.approx(tuple(theirs.bse), rel=1e-7)


@pytest.mark.parametrize("weighted", [False, True])
def test_slope_and_errors_are_those_of_the_matrices(weighted):
    weight = np.random.default_rng(1).integers(1, 4, 300).astype(float) if weighted else None
    some = rows(1.2, 300, weight=weight)
    w, X = np.ones(300) if weight is None else weight, np.column_stack([np.ones(300), some.predicted])
    bread = np.linalg.inv(X.T @ (w[:, None] * X))
    theta = bread @ X.T @ (w * some.actual)
    h = w * np.einsum("ij,jk,ik->i", X, bread, X)
    s = X * (w * (some.actual - X @ theta) / (1 - h))[:, None]
    error = np.sqrt(np.diag(bread @ s.T @ s @ bread))
    found = calibration(judge(some))
    assert (found.intercept, found.slope, found.intercept_error, found.slope_error) == pytest.approx((*theta, *error), rel=1e-8)


def test_tenths_are_means_of_like_predictions():
    some = rows(1.0, 1_000)
    found = calibration(judge(some))
    assert sum(tenth.rows for tenth in found.tenths) == 1_000
    order = np.argsort(some.predicted)
    for tenth, at in zip(found.tenths, np.split(order, 10), strict=True):
        assert tenth.rows == pytest.approx(100, abs=1)
        assert tenth.predicted == pytest.approx(some.predicted[at].mean(), rel=0.02)
        assert tenth.actual.low < tenth.actual.value < tenth.actual.high
    half = 1.96 * some.actual[order[:100]].std() / 10.0
    assert found.tenths[0].actual.high - found.tenths[0].actual.low == pytest.approx(2 * half, rel=0.25)


def test_equal_predictions_are_not_parted():
    predicted = np.repeat([1.0, 2.0, 3.0], 40)
    actual = predicted + np.random.default_rng(2).normal(size=120)
    found = calibration(judge(kept(predicted - actual, actual=actual)))
    assert [tenth.rows for tenth in found.tenths] == [40, 40, 40]
    assert [tenth.predicted for tenth in found.tenths] == [1.0, 2.0, 3.0]


def test_only_what_is_surely_and_materially_off_is_told():
    assert [n.code for n in calibration(judge(rows(0.6, 3_000))).doubts()] == ["miscalibrated"]
    assert "too high" in calibration(judge(rows(0.6, 3_000))).doubts()[0].message
    assert "too low" in calibration(judge(rows(1.6, 3_000))).doubts()[0].message
    assert calibration(judge(rows(0.95, 3_000))).doubts() == []
    told = sum(bool(calibration(judge(rows(1.0, 200, seed))).doubts()) for seed in range(100))
    assert told <= binomial_band(100, 0.02)[1]


def test_the_interval_of_the_slope_covers_at_its_rate():
    trials = 300
    found = [calibration(judge(rows(1.0, 150, seed))) for seed in range(trials)]
    covered = sum(each.low <= 1.0 <= each.high for each in found)
    low, high = binomial_band(trials, 0.95)
    assert low <= covered <= high


def test_predictions_that_do_not_vary_have_no_slope():
    rng = np.random.default_rng(3)
    actual = rng.normal(size=100)
    for predicted in (np.zeros(100), np.full(100, 1e8)):
        found = calibration(judge(kept(predicted - actual, actual=actual)))
        assert found.slope is None
        assert found.to_json()["slope"]["value"] is None
        assert len(found.tenths) == 1
        assert not found.doubts()
    assert calibration(judge(rows(1.0, 20))).slope is None

from __future__ import annotations

import numpy as np
import pytest

from gradline.evaluation.bootstrap import units_of
from gradline.evaluation.comparison import compare_predictions
from kept import binomial_band


def predictions(n, seed=0, gain=0.0):
    rng = np.random.default_rng(seed)
    actual = rng.normal(size=n)
    common = rng.normal(size=n)
    a, b = (actual + common + 0.3 * rng.normal(size=n) for _ in range(2))
    return actual, a + gain * (actual - a), b


def test_the_differences_are_the_differences_of_the_metrics():
    actual, a, b = predictions(500)
    found = compare_predictions(actual, a, b, units_of(500))
    e, f = a - actual, b - actual
    assert found.mse.value == pytest.approx(np.mean(e**2) - np.mean(f**2), rel=1e-9)
    assert found.rmse.value == pytest.approx(found.metrics[0].rmse - found.metrics[1].rmse, rel=1e-9)
    assert found.mae.value == pytest.approx(found.metrics[0].mae - found.metrics[1].mae, rel=1e-9)


def test_exchanging_the_models_turns_every_sign():
    actual, a, b = predictions(300, 1, gain=0.02)
    forth, back = (compare_predictions(actual, *pair, units_of(300)) for pair in ((a, b), (b, a)))
    for name in ("mse", "rmse", "mae"):
        one, two = getattr(forth, name), getattr(back, name)
        assert (one.value, one.low, one.high) == pytest.approx((-two.value, -two.high, -two.low), rel=1e-9)
    assert forth.better != back.better or forth.better is None


def test_models_that_are_alike_are_called_different_at_the_stated_rate():
    trials, cried = 120, 0
    for seed in range(trials):
        found = compare_predictions(*predictions(200, seed), units_of(200))
        cried += found.better is not None
    low, high = binomial_band(trials, 0.05)
    assert low <= cried <= high + 4  # 200 rows: 95 % but for the order 1/n


def test_a_better_model_is_named_though_both_err_much():
    actual, a, b = predictions(1_000, 2, gain=0.05)
    assert compare_predictions(actual, a, b, units_of(1_000)).better == "a"
    assert compare_predictions(actual, b, a, units_of(1_000)).better == "b"
    same = compare_predictions(actual, a, a, units_of(1_000))
    assert same.better is None
    assert (same.rmse.value, same.rmse.low, same.rmse.high) == (0.0, 0.0, 0.0)

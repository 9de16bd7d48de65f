from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gradline.evaluation.baselines import Baseline, Measure, _least_squares, compare_baselines, last_values
from gradline.maths.block import block_moments
from gradline.types import NumberColumn
from kept import judge, kept
from reference import fit


def rows(n=400, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    actual = rng.normal(10.0, 3.0, n)
    return kept(rng.normal(0.0, noise, n), actual=actual)


def test_differences_are_of_the_same_rows_and_turn_their_sign():
    some = rows()
    other = some.actual + np.random.default_rng(1).normal(0.0, 1.1, 400)
    forth = compare_baselines(judge(some), [Baseline("mean", other)], Measure()).compared[0]
    back = compare_baselines(judge(some._replace(predicted=other)), [Baseline("mean", some.predicted)], Measure()).compared[0]
    rmse = [np.sqrt(np.mean((p - some.actual) ** 2)) for p in (some.predicted, other)]
    assert forth.difference.value == pytest.approx(rmse[0] - rmse[1], rel=1e-9)
    assert forth.error == pytest.approx(rmse[1])
    assert (forth.difference.low, forth.difference.high) == pytest.approx((-back.difference.high, -back.difference.low), rel=1e-9)


def test_a_baseline_with_nearly_the_models_errors_differs_by_little_though_both_vary_much():
    some = rows()
    near = some.predicted + 0.05 * np.random.default_rng(2).normal(size=400)
    found = compare_baselines(judge(some), [Baseline("mean", near)], Measure())
    difference = found.compared[0].difference
    assert difference.high - difference.low < 0.02  # unpaired it would be about 0.14


def test_the_last_value_is_that_of_the_latest_time_before():
    rng = np.random.default_rng(3)
    time, actual = rng.integers(5, 15, 60).astype(float), rng.normal(size=60)
    before_time, before = rng.integers(0, 8, 50).astype(float), rng.normal(size=50)
    found = last_values(time, actual, before_time, before)
    all_times, values = np.concatenate([before_time, time]), np.concatenate([before, actual])
    for t, value in zip(time, found, strict=True):
        earlier = all_times[all_times < t]
        assert value == pytest.approx(values[all_times == earlier.max()].mean())
    for t, value in zip(time, last_values(time, actual, before_time, before, 3.0), strict=True):  # a target is known three later
        earlier = all_times[all_times < t - 3.0]
        assert value == pytest.approx(values[all_times == earlier.max()].mean())
    assert np.isnan(last_values(np.array([1.0]), np.array([2.0]), np.zeros(0), np.zeros(0)))[0]


def test_rows_without_a_last_value_count_for_neither():
    some = rows(200)
    some.actual[0] += 1e3  # so that this row would count
    last = np.append(np.nan, some.actual[:-1])
    found = compare_baselines(judge(some), [Baseline("last_value", last)], Measure()).compared[0]
    e = some.predicted - some.actual
    expected = np.sqrt(np.mean(e[1:] ** 2)) - np.sqrt(np.mean((last - some.actual)[1:] ** 2))
    assert found.difference.value == pytest.approx(expected)


def test_quantiles_are_compared_by_their_loss():
    measure = Measure(0.9)
    assert measure.losses(np.array([-2.0, 0.0, 3.0])) == pytest.approx([1.8, 0.0, 0.3])
    some = rows()
    found = compare_baselines(judge(some), [Baseline("mean", np.full(400, 14.0))], measure)
    assert found.model.value == pytest.approx(np.mean(measure.losses(some.error)))
    assert found.to_json()["measure"] == "pinball"


def notices(n, gain, seed=0):
    rng = np.random.default_rng(seed)
    actual = rng.normal(0.0, 1.0, n)
    some = kept(rng.normal(0.0, 1.0 - gain, n), actual=actual)
    found = compare_baselines(judge(some), [Baseline("mean", np.zeros(n))], Measure())
    return [n.code for n in found.doubts("y")]


def test_a_model_that_is_not_better_is_told_so_and_one_that_is_better_is_not():
    assert notices(1_000, 0.0) == ["no_better_than_baseline"]
    assert notices(1_000, 0.3) == []
    assert notices(60, 0.0) == []  # so few rows hardly tell
    assert notices(60, -1.0) == ["no_better_than_baseline"]  # but this they do


def test_a_column_that_has_moved_since_training_is_not_the_best():
    rng = np.random.default_rng(5)
    y = rng.normal(size=1_000)
    steady, moved = y + 0.8 * rng.normal(size=1_000), y + 0.1 * rng.normal(size=1_000)
    moved[600:] += 5.0
    table = pa.table({"steady": steady, "moved": moved, "time": np.arange(1_000), "y": y})
    model = fit(table, "y", features=["steady", "moved"], time="time", validation=0.2, test=0.2)
    assert model.result["assessment"]["baselines"]["best_column"]["column"] == "steady"


def groups_of(table, features, target):
    """Each column alone, by NumPy: {column: (design, target)}."""
    found = {}
    for name in features:
        column = table.column(name)
        if pa.types.is_string(column.type):
            levels = sorted(set(column.to_pylist()))[1:]
            found[name] = np.stack([np.array([v == level for v in column.to_pylist()], float) for level in levels], axis=1)
        else:
            found[name] = column.to_numpy().astype(float)[:, None]
    return found


@pytest.mark.parametrize("log_target", [False, True])
@pytest.mark.parametrize("validation", [0.2, 0.0])
def test_the_best_column_and_its_error_are_those_of_least_squares_on_each_alone(log_target, validation):
    rng = np.random.default_rng(4)
    m = 1_500
    a, b, c = rng.normal(size=m), rng.normal(size=m) * 1e3, rng.integers(0, 4, m)
    score = 0.3 * a + 2e-4 * b + np.array([0.0, 0.9, -0.8, 0.4])[c] + 0.3 * rng.normal(size=m)
    y = np.exp(score) if log_target else score
    table = pa.table({"a": a, "b": b, "c": [f"k{k}" for k in c], "time": np.arange(m), "y": y})
    model = fit(table, "y", features=["a", "b", "c"], time="time", validation=validation, test=0.2, log_target=log_target)
    found = model.result["assessment"]["baselines"]
    held, z = round(m * 0.8), np.log(y) if log_target else y
    training, test = np.arange(held - round(m * validation)), np.arange(held, m)
    judging = np.arange(len(training), held) if validation else training
    errors, predictions = {}, {}
    for name, X in groups_of(table, ["a", "b", "c"], "y").items():
        X1 = np.column_stack([np.ones(m), X])
        theta = np.linalg.lstsq(X1[training], z[training], rcond=None)[0]
        errors[name] = np.sqrt(np.mean((X1 @ theta - z)[judging] ** 2))
        score = X1 @ theta
        predictions[name] = np.exp(score) * np.mean(np.exp(z - score)[training]) if log_target else score
    best = min(errors, key=errors.get)
    assert found["best_column"]["column"] == best
    rmse = np.sqrt(np.mean((predictions[best] - y)[test] ** 2))
    assert found["best_column"]["error"] == pytest.approx(rmse, rel=1e-8)
    last = np.sqrt(np.mean((y[test] - y[test - 1]) ** 2))
    assert found["last_value"]["error"] == pytest.approx(last, rel=1e-9)
    assert found["mean"]["error"] == pytest.approx(np.sqrt(np.mean((y[test] - y[training].mean()) ** 2)), rel=1e-9)
    assert found["model"] == pytest.approx(model.metrics["test"]["rmse"], rel=1e-9)


def test_the_slopes_of_many_levels_are_those_of_least_squares():
    rng = np.random.default_rng(5)
    code, weight = rng.integers(0, 41, 900), rng.integers(1, 4, 900).astype(float)
    y = rng.normal(size=41)[code] + rng.normal(size=900)
    indicators = [NumberColumn(f"l{level}", (code == level).astype(float)) for level in range(1, 41)]
    moments = block_moments([*indicators, NumberColumn("y", y)], [], 900, weight)
    means = [np.average(y[code == level], weights=weight[code == level]) for level in range(41)]
    assert _least_squares(moments, np.arange(40), 40) == pytest.approx(np.array(means[1:]) - means[0], rel=1e-9, abs=1e-12)

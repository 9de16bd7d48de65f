"""Which steps of a mini-batch run are recorded, who sees the others, and that watching a run does not change it."""

from __future__ import annotations

import numpy as np
import pytest

import gradline as gl
from gradline.training.cadence import FIRST_STEPS, RECORDS_AN_EPOCH, batch_cadence
from reference import fit

ALL = {"validation": 0.0, "test": 0.0}
BATCHES = {"oracle": "minibatch", "batch_size": 16, "patience": 10_000, **ALL}


def table(m=10_000, p=3):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(m, p))
    return X, X @ rng.normal(size=p) + 3.0 + rng.normal(size=m)


@pytest.mark.parametrize("epoch", [1, 13, 40, 399, 3_907, 100_000])
@pytest.mark.parametrize("features", [2, 5_000])
def test_an_epoch_has_twenty_records_or_all_its_steps_and_its_last_step_among_them(features, epoch):
    cadence = batch_cadence(features, 256, epoch)
    for start in (0, 7 * epoch):
        recorded = [step for step in range(start, start + epoch) if cadence(step)]
        assert len(recorded) >= min(RECORDS_AN_EPOCH, epoch)
        assert recorded[-1] == start + epoch - 1
    assert all(cadence(step) for step in range(FIRST_STEPS))
    assert cadence.distance <= max(100, 10 * features // 256)


def test_the_history_holds_the_recorded_steps_and_a_monitor_sees_every_step():
    X, y = table()
    seen = []
    model = fit(X, y, **BATCHES, max_steps=1_290, monitors=[lambda step: seen.append(step.step)])
    assert seen == list(range(1_291))
    distance, epoch = 20, 625
    steps = model.history["step"].to_pylist()
    assert steps == [s for s in range(1_291) if s < 10 or s % distance == 0 or s % epoch == epoch - 1 or s == 1_290]


def same_bits(a, b):
    assert np.array_equal(a.theta, b.theta)
    assert a.history_array[:, :-1].tobytes() == b.history_array[:, :-1].tobytes()
    assert a.result["stopped"] == b.result["stopped"]
    assert a.certificate == b.certificate


@pytest.mark.parametrize("stop", ["gap", "improvement", "certificate"])
@pytest.mark.parametrize("optimizer", ["gradient_descent", "averaged_sgd"])
def test_to_watch_a_run_does_not_change_it(optimizer, stop):
    X, y = table()
    settings = BATCHES | {"optimizer": optimizer, "stop": stop, "tolerance": 1e-2, "patience": 2, "max_steps": 2_000}
    same_bits(fit(X, y, **settings), fit(X, y, **settings, monitors=[lambda step: None]))


def test_a_run_killed_between_two_records_resumes_to_the_same_bits(tmp_path):
    class Killed(BaseException):
        pass

    def killing(step):
        if step.step == 757:
            raise Killed

    X, y = table()
    settings = BATCHES | {"max_steps": 1_500}
    whole = fit(X, y, **settings)
    with pytest.raises(Killed):
        fit(X, y, **settings, out=tmp_path / "run", checkpoint_steps=7, monitors=[killing])
    seen = []
    resumed = fit(X, y, **settings, out=tmp_path / "run", checkpoint_steps=7, resume=True, monitors=[seen.append])
    assert seen[0].step == 756
    assert seen[0].update_norm > 0.0
    same_bits(whole, resumed)


def test_a_monitor_ends_the_run_at_a_step_that_is_not_recorded():
    X, y = table()
    model = fit(X, y, **BATCHES, monitors=[lambda step: gl.StopReason.MONITOR if step.step == 333 else None])
    assert model.result["steps"] == 333
    assert model.history["step"].to_pylist()[-2:] == [320, 333]


@pytest.mark.parametrize("oracle", ["moments", "streamed", "minibatch"])
def test_a_run_stops_at_the_relative_gap_that_is_asked_for(oracle):
    X, y = table()
    model = fit(X, y, oracle=oracle, batch_size=64, stop="gap", tolerance=1e-4, **ALL)
    gaps = model.history["relative_gap"].to_pylist()
    assert model.result["stopped"]["reason"] == "gap"
    assert model.stop_reason.converged
    assert model.certificate.relative_gap <= 1e-4 < min(gaps[:-1])


def test_mini_batches_average_where_nothing_else_is_asked_for():
    X, y = table(m=1_000)
    assert fit(X, y, **BATCHES, max_steps=1).plan["optimizer"] == "averaged_sgd"
    assert fit(X, y, **BATCHES, max_steps=1, schedule="cosine").plan["optimizer"] == "gradient_descent"
    assert fit(X, y, **BATCHES, max_steps=1, learning_rate=0.01).plan["optimizer"] == "gradient_descent"

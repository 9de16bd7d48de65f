"""A run killed at any moment and resumed ends with the same bits as one that nobody disturbed, in every oracle and rule."""

import json
import random
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pyarrow as pa
import pytest

import gradline as gl
from gradline.errors import ModelFileError, UsageError
from gradline.training.checkpoint import checkpoint_path
from tables import gradline, leftovers, simple, write_parquet

EXACT = ["gradient_descent", "momentum", "nesterov", "barzilai_borwein", "conjugate_gradient", "lbfgs", "adam"]
CASES = [("moments", rule) for rule in EXACT]
CASES += [("streamed", rule) for rule in ("gradient_descent", "conjugate_gradient", "lbfgs")]
CASES += [("minibatch", rule) for rule in ("gradient_descent", "momentum", "nesterov", "adam", "averaged_sgd")]


class Killed(BaseException):
    """Nothing below may catch it."""


def killed_at(step):
    def monitor(record):
        if record.step == step:
            raise Killed

    return monitor


def quiet(data, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gl.GradlineWarning)
        return gl.train(data, target="y", **settings)


def bits(model):
    """Everything that the steps decide: the history without the clock, parameters, certificate, metrics."""
    history = model.history_array[:, :-1]
    assert model.history.column_names[-1] == "seconds"
    return (
        model.theta.tobytes(),
        history.tobytes(),
        model.certificate,
        model.metrics,
        model.result["stopped"],
        model.result["steps"],
    )


def correlated(rows=400):
    table = simple(rows)
    x = np.asarray(table["x0"]) + 0.2 * np.asarray(table["x1"])
    return table.append_column("x2", pa.array(x + 0.1 * np.random.default_rng(3).normal(size=rows)))


@pytest.mark.parametrize(("oracle", "rule"), CASES, ids=["-".join(case) for case in CASES])
def test_resumed_is_undisturbed(oracle, rule, tmp_path):
    data = correlated()
    settings = {"oracle": oracle, "optimizer": rule, "max_steps": 40, "batch_size": 64, "schedule": "constant"}
    whole = quiet(data, **settings)
    last = whole.result["steps"]
    assert last >= 3
    for kill, every in ((last - 1, 1), (max(last // 2, 2), 2)):
        with pytest.raises(Killed):
            quiet(data, **settings, out=tmp_path / "run", checkpoint_steps=every, monitors=[killed_at(kill)])
        seen = []
        resumed = quiet(data, **settings, out=tmp_path / "run", checkpoint_steps=every, resume=True, monitors=[seen.append])
        assert bits(resumed) == bits(whole)
        assert seen[0].step == kill // every * every  # it went on, it did not start again
    assert leftovers(tmp_path) == []


OTHERS = {
    "huber": {"loss": "huber", "huber_delta": 0.05},
    "huber, mini-batches": {"loss": "huber", "oracle": "minibatch", "batch_size": 64, "max_steps": 30},
    "pinball": {"loss": "pinball", "quantile": 0.8, "optimizer": "nesterov", "max_steps": 30},
    "lasso": {"l1": 0.3},
    "lasso, mini-batches": {"l1": 0.3, "oracle": "minibatch", "schedule": "cosine", "max_steps": 30},
    "line search": {"optimizer": "gradient_descent", "schedule": "backtracking", "max_steps": 40},
}


@pytest.mark.parametrize("case", OTHERS)
def test_losses_penalties_and_searches_resume_as_well(case, tmp_path):
    settings = OTHERS[case]
    whole = quiet(correlated(), **settings)
    kill = whole.result["steps"] // 2 + 1
    assert kill >= 3
    with pytest.raises(Killed):
        quiet(correlated(), **settings, out=tmp_path / "run", checkpoint_steps=2, monitors=[killed_at(kill)])
    resumed = quiet(correlated(), **settings, out=tmp_path / "run", checkpoint_steps=2, resume=True)
    assert bits(resumed) == bits(whole)


@pytest.mark.parametrize("stop", ["improvement", "validation", "certificate", "gradient"])
def test_the_criteria_remember(stop, tmp_path):
    settings = {"stop": stop, "patience": 7, "tolerance": 1e-5}
    settings |= {"optimizer": "momentum"} if stop == "certificate" else {"optimizer": "gradient_descent", "learning_rate": 0.6}
    whole = quiet(correlated(), **settings)
    last = whole.result["steps"]
    every = last // 5 * 2 + 1
    with pytest.raises(Killed):
        quiet(correlated(), **settings, out=tmp_path / "run", checkpoint_steps=every, monitors=[killed_at(last - 3)])
    resumed = quiet(correlated(), **settings, out=tmp_path / "run", resume=True)
    assert bits(resumed) == bits(whole)
    assert not checkpoint_path(tmp_path / "run").exists()


def test_a_run_that_shrank_its_rate_goes_on_with_the_smaller_one(tmp_path):
    settings = {"optimizer": "gradient_descent", "learning_rate": 40.0, "on_divergence": "shrink", "max_steps": 400}
    whole = quiet(correlated(), **settings)
    rates = whole.history["learning_rate"].to_pylist()
    assert rates[-1] < rates[0]
    kill = whole.result["steps"] - 2
    with pytest.raises(Killed):
        quiet(correlated(), **settings, out=tmp_path / "run", checkpoint_steps=5, monitors=[killed_at(kill)])
    assert bits(quiet(correlated(), **settings, out=tmp_path / "run", resume=True)) == bits(whole)


def test_a_spent_budget_can_be_raised(tmp_path):
    settings = {"optimizer": "gradient_descent", "out": tmp_path / "run", "checkpoint_steps": 50}
    short = quiet(correlated(), **settings, max_steps=7)
    assert short.stop_reason is gl.StopReason.MAX_STEPS
    longer = quiet(correlated(), **settings, max_steps=60, resume=True)
    assert bits(longer) == bits(quiet(correlated(), optimizer="gradient_descent", max_steps=60))


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0])
def test_seconds_that_are_no_time_are_refused(seconds):
    with pytest.raises(UsageError, match="--checkpoint-seconds"):
        quiet(correlated(), checkpoint_seconds=seconds)


def test_a_checkpoint_of_another_run_does_not_outlive_a_whole_one(tmp_path):
    with pytest.raises(Killed):
        quiet(correlated(), out=tmp_path / "run", checkpoint_steps=1, monitors=[killed_at(3)])
    assert checkpoint_path(tmp_path / "run").exists()
    quiet(correlated(), out=tmp_path / "run", optimizer="gradient_descent", max_steps=2)  # a budget spent, without its own
    assert not checkpoint_path(tmp_path / "run").exists()


@pytest.mark.parametrize("change", [{"l2": 0.1}, {"seed": 1}, {"optimizer": "momentum"}], ids=str)
def test_other_settings_do_not_go_on(change, tmp_path):
    settings = {"out": tmp_path / "run", "optimizer": "gradient_descent", "checkpoint_steps": 1}
    with pytest.raises(Killed):
        quiet(correlated(), **settings, monitors=[killed_at(3)])
    with pytest.raises(UsageError, match="settings are not those"):
        quiet(correlated(), **settings | change, resume=True)
    with pytest.raises(UsageError, match="data or the settings"):
        quiet(correlated(399), **settings, resume=True)


def test_without_a_checkpoint_or_with_a_damaged_one_it_says_so(tmp_path):
    with pytest.raises(UsageError, match="there is no checkpoint"):
        quiet(correlated(), out=tmp_path / "run", resume=True)
    with pytest.raises(UsageError, match="out="):
        quiet(correlated(), resume=True)
    with pytest.raises(Killed):
        quiet(correlated(), out=tmp_path / "run", checkpoint_steps=1, monitors=[killed_at(3)])
    path = checkpoint_path(tmp_path / "run")
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"text", whole[:200] + bytes([whole[200] ^ 1]) + whole[201:]):
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError, match="is not a whole checkpoint"):
            quiet(correlated(), out=tmp_path / "run", checkpoint_steps=1, resume=True)


def test_the_command_goes_on_with_its_own_settings(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_parquet(simple(), tmp_path / "t.parquet")
    words = [path, "--target", "y", "--optimizer", "gd", "--alpha", "0.1", "--checkpoint-steps", 100, "--json"]
    whole = json.loads(gradline(capsys, "train", *words, "--out", "whole").out)
    first = gradline(capsys, "train", *words, "--out", "run", "--max-steps", 20)
    assert first.code == 3
    assert (tmp_path / "run.checkpoint").exists()
    changed = gradline(capsys, "train", "--resume", "run", "--l2", "1")
    assert changed.code == 2
    assert "--l2 cannot change" in changed.err
    again = gradline(capsys, "train", "--resume", "run", "--max-steps", 100_000, "--json")
    assert again.code == 0, again.err
    resumed = json.loads(again.out)
    for key in ("coefficients", "intercept", "steps", "certificate", "metrics", "stopped"):
        assert resumed[key] == whole[key]
    assert not (tmp_path / "run.checkpoint").exists()
    none = gradline(capsys, "train", "--resume", "run")
    assert none.code == 2
    assert "there is no checkpoint" in none.err


def train_command(folder, *words):
    command = [sys.executable, "-m", "gradline", "train", *words, "--json"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


KILL_CASES = {  # the steps of a run for each kill, so that it is not done before the last of them
    "moments": (4_000, ["--oracle", "moments", "--alpha", "1e-4", "--checkpoint-steps", "1000"]),
    "streamed": (250, ["--oracle", "streamed", "--alpha", "1e-3", "--checkpoint-steps", "5"]),
    "minibatch": (4_500, ["--oracle", "minibatch", "--optimizer", "adam", "--patience", "9999", "--checkpoint-steps", "500"]),
}


def kill_words(name, kills, out):
    steps, words = KILL_CASES[name]
    return ["t.parquet", "--target", "y", "--out", out, "--max-steps", str(kills * steps), *words]


def killed_and_resumed(name, folder, seed, kills):
    """Killed by SIGKILL at random moments, and each time resumed; after so many kills let run to its end."""
    rng = random.Random(seed)
    write_parquet(correlated(2_000), folder / "t.parquet")
    checkpoint = checkpoint_path(folder / "run")
    words = kill_words(name, kills, "run")
    for _ in range(kills):
        seen = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        process = train_command(folder, *words)
        while process.poll() is None and (not checkpoint.exists() or checkpoint.stat().st_mtime_ns == seen):
            time.sleep(0.002)
        time.sleep(rng.random() * 0.1)
        process.send_signal(signal.SIGKILL)
        _, err = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, err  # it was not done yet
        assert not (folder / "run").exists()
        words = ["--resume", "run"]
    process = train_command(folder, *words)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 3, err  # its budget is spent


def check_kills(name, folder, capsys, seed, kills):
    killed_and_resumed(name, folder, seed, kills)
    assert gradline(capsys, "train", *kill_words(name, kills, "whole")).code == 3
    assert bits(gl.load(folder / "run")) == bits(gl.load(folder / "whole"))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("name", KILL_CASES)
def test_sigkill_at_random_moments_changes_no_bit(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_kills(name, tmp_path, capsys, seed=7, kills=2)  # the second is of a run that was resumed


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", KILL_CASES)
def test_many_sigkills_change_no_bit(name, seed, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_kills(name, tmp_path, capsys, seed, kills=4)

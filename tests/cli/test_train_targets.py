"""`gradline train` with several targets."""

import json
import re

import numpy as np
import pyarrow as pa
import pytest

from gradline import load
from tables import assert_same_model, fit, gradline, gradline_process, leftovers, simple, write_csv


def table(rows=300):
    """simple(), and a target z that four rows lack."""
    z = np.random.default_rng(9).normal(size=rows) + np.asarray(simple(rows)["x1"])
    z[[3, 50, 51, 200]] = np.nan
    return simple(rows).append_column("z", pa.array(z))


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_csv(table(), tmp_path / "t.csv")


def untimed(document):
    return {name: value for name, value in document.items() if name not in ("seconds", "model")}


@pytest.mark.parametrize("words", [("--target", "z,y"), ("--target", "z", "--target", "y"), ("--target", '"z", y')])
def test_json_is_a_document_a_target(capsys, data, words):
    answer = gradline(capsys, "train", data, *words, "--json", "--out", "out")
    assert answer.code == 0
    assert list(answer.json) == ["targets"]
    assert list(answer.json["targets"]) == ["z", "y"]
    for target, document in answer.json["targets"].items():
        assert document["model"] == f"out/{target}"
        assert document["target"]["name"] == target
        assert document["rows"]["dropped"] == 4
        assert document == json.loads((data.parent / f"out/{target}/result.json").read_text())
        one = gradline(capsys, "show", f"out/{target}", "--json").json
        assert one["config"]["target"] == target
        assert one["coefficients"] == document["coefficients"]
        assert sorted(p.name for p in (data.parent / f"out/{target}").iterdir()) == [
            "config.toml",
            "history.parquet",
            "model-card.md",
            "model.gradline",
            "report.html",
            "result.json",
        ]
    assert leftovers(data.parent) == []
    assert_same_model(load("out/z"), fit(table().drop_columns(["y"]), "z"), 2e-10)


def test_summaries_stand_one_after_the_other_and_say_what_was_left_out(capsys, data):
    answer = gradline(capsys, "train", data, "--target", "y,z", "--test", "0", "--validation", "0")
    assert answer.code == 0
    assert answer.out.index("y from 3 columns") < answer.out.index("z from 3 columns")
    assert answer.out.count("4 left out (without one of the targets)") == 2
    for target in ("y", "z"):
        assert f"gradline predict runs/{target} " in answer.out
        assert f"warning [nothing_held_out] {target}: " in answer.said
        assert gradline(capsys, "evaluate", f"runs/{target}", data, "--json").json["rows"]["without_target"] == 4 * (
            target == "z"
        )


def test_one_target_is_as_ever(capsys, data):
    answer = gradline(capsys, "train", data, "--target", "y", "--json")
    assert answer.json["model"] == "runs/y"
    assert answer.json["rows"]["dropped"] == 0
    assert "z" in answer.json["coefficients"]
    assert "other_targets" not in (data.parent / "runs/y/config.toml").read_text()


def test_a_configuration_file_holds_a_list_and_that_of_a_run_repeats_it(capsys, data):
    (data.parent / "c.toml").write_text('data = "t.csv"\ntarget = ["y", "z"]\nout = "out"\n')
    documents = gradline(capsys, "train", "--config", "c.toml", "--json").json["targets"]
    for target, document in documents.items():
        again = gradline(capsys, "train", "--config", f"out/{target}/config.toml", "--json", "--out", "again").json
        assert untimed(again) == untimed(document)


@pytest.mark.parametrize("order", ["y,z", "z,y"])
def test_three_if_any_has_not_converged(capsys, data, order):
    words = [data, "--target", order, "--optimizer", "gd", "--json"]
    answer = gradline(capsys, "train", *words)
    steps = {target: document["steps"] for target, document in answer.json["targets"].items()}
    assert answer.code == 0
    assert steps["y"] != steps["z"]
    answer = gradline(capsys, "train", *words, "--max-steps", min(steps.values()))
    reasons = {target: document["stopped"]["reason"] for target, document in answer.json["targets"].items()}
    assert answer.code == 3
    assert sorted(reasons.values()) == ["certified", "max_steps"]


def test_the_steps_of_each_are_shown(capsys, data):
    err = gradline(capsys, "train", data, "--target", "y,z", "--steps-table").err
    assert err.count("J validation") == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--target", "y,y"], "the target 'y' is named twice"),
        (["--target", "y", "--target", "y"], "the target 'y' is named twice"),
        (["--target", "y,zz"], r"--target: .*t\.csv has no column 'zz'\. Hint: did you mean 'z'"),
        (["--target", ","], "no target given"),
        (["--target", ""], "no target given"),
        (["--target", "y,c"], "the target 'c' is text"),
        (
            ["--target", "y,z", "--features", "x0,z"],
            "the target 'z' is among the features. Hint: no target is a feature of another",
        ),
        (["--target", "y,z", "--out", "t.csv"], "--out t.csv is a file"),
    ],
)
def test_bad_input_is_refused(capsys, data, words, says):
    answer = gradline(capsys, "train", data, *words)
    assert answer.code == 2
    assert re.search(says, answer.said)
    assert answer.out == ""
    assert [p.name for p in data.parent.iterdir()] == ["t.csv"]


def test_a_plan_is_of_one_target(capsys, data):
    answer = gradline(capsys, "plan", data, "--target", "y,z")
    assert (answer.code, answer.out) == (2, "")
    assert "plan is of one target, and 2 are named" in answer.said
    assert gradline(capsys, "plan", data, "--target", "y", "--json").code == 0


def test_a_run_of_one_of_them_goes_on(capsys, data):
    words = ["train", data, "--target", "z,y", "--optimizer", "gd", "--json"]
    whole = gradline(capsys, *words, "--out", "whole").json["targets"]
    assert gradline(capsys, *words, "--max-steps", 5, "--checkpoint-steps", 5).code == 3
    for target in ("z", "y"):
        answer = gradline(capsys, "train", "--resume", f"runs/{target}", "--max-steps", 100_000, "--json")
        assert answer.code == 0
        for name in ("coefficients", "steps", "certificate", "metrics", "rows"):
            assert answer.json[name] == whole[target][name]


def test_the_module_does_it_too(data):
    answer = gradline_process("train", data, "--target", "y,z", "--json", cwd=data.parent)
    assert answer.code == 0
    assert list(answer.json["targets"]) == ["y", "z"]
    assert answer.err == ""


def test_interrupted_at_the_second_it_keeps_the_first_and_says_what_goes_on(capsys, data, monkeypatch):
    starts = []

    def interrupt(self, step):
        starts.extend([step] if step.step == 0 else [])
        if len(starts) == 2 and step.step == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr("gradline.cli.terminal.StepsTable.__call__", interrupt)
    words = ["--optimizer", "gd", "--steps-table", "--checkpoint-steps", 2]
    answer = gradline(capsys, "train", data, "--target", "y,z,x0", *words)
    assert answer.code == 130
    assert answer.said.count("gradline train --resume") == 1
    assert "interrupted; done and kept: runs/y." in answer.said
    assert "nothing was written" not in answer.said
    assert "gradline train --resume runs/z goes on from there" in answer.said
    assert sorted(p.name for p in (data.parent / "runs").iterdir()) == ["y", "z.checkpoint"]

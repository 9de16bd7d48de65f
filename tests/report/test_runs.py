"""gradline runs: what it lists, how it sorts, and what becomes of damaged runs."""

import json
import os
import time

import pytest

from tables import gradline, simple, write_csv


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Three runs of y, one of x1, in a folder and in one below it."""
    from gradline.cli import main

    folder = tmp_path_factory.mktemp("trained")
    write_csv(simple(), folder / "t.csv")
    for i, (out, words) in enumerate({
        "all": [],
        "few": ["--features", "x0"],
        "deep/er/ridge": ["--l2", "3", "--test", "0"],
        "other": ["--target", "x1"],
    }.items()):  # fmt: skip
        target = [] if "--target" in words else ["--target", "y"]
        assert main.run(["train", str(folder / "t.csv"), *target, *words, "--out", str(folder / "runs" / out), "--json"]) == 0
        os.utime(folder / "runs" / out / "model.gradline", (1e9 + i, 1e9 + i))
    return folder


@pytest.fixture
def folder(trained, tmp_path, monkeypatch):
    """A copy of them, to be damaged."""
    import shutil

    shutil.copytree(trained / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def names(answer):
    return [entry["run"].removeprefix("runs/") for entry in answer.json["runs"]]


def test_every_run_is_listed_with_what_its_result_says(folder, capsys):
    answer = gradline(capsys, "runs", "--json")
    assert answer.code == 0
    assert names(answer) == ["other", "deep/er/ridge", "few", "all"]  # the newest first
    by_name = dict(zip(names(answer), answer.json["runs"], strict=True))
    result = json.loads((folder / "all/result.json").read_text())
    entry = by_name["all"]
    assert entry["when"] == "2001-09-09T01:46:40+00:00"
    assert (entry["target"], entry["rows"], entry["steps"]) == ("y", result["rows"]["train"], result["steps"])
    assert (entry["role"], entry["rmse"], entry["r2"]) == (
        "test",
        result["metrics"]["test"]["rmse"],
        result["metrics"]["test"]["r2"],
    )
    assert (entry["gap"], entry["warnings"]) == (result["certificate"]["relative_gap"], len(result["warnings"]))
    assert by_name["deep/er/ridge"]["role"] == "validation"


def test_settings_are_those_that_differ_among_the_runs_of_a_target(folder, capsys):
    by_name = {entry["run"]: entry["settings"] for entry in gradline(capsys, "runs", "--json").json["runs"]}
    assert by_name == {
        "runs/all": {"features": None, "l2": 0.0, "test": 0.1},
        "runs/few": {"features": ["x0"], "l2": 0.0, "test": 0.1},
        "runs/deep/er/ridge": {"features": None, "l2": 3.0, "test": 0.0},
        "runs/other": {},
    }
    answer = gradline(capsys, "runs")
    assert "features=x0 l2=0.0 test=0.1" in answer.out
    assert "4 runs in runs" in answer.out


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("name", ["all", "deep/er/ridge", "few", "other"]),
        ("when", ["other", "deep/er/ridge", "few", "all"]),
    ],
)
def test_runs_are_sorted(sort, expected, folder, capsys):
    assert names(gradline(capsys, "runs", "--sort", sort, "--json")) == expected


@pytest.mark.parametrize(("sort", "sign"), [("rmse", 1), ("r2", -1)])
def test_the_best_of_each_target_stands_first(sort, sign, folder, capsys):
    entries = gradline(capsys, "runs", "--sort", sort, "--json").json["runs"]
    assert [entry["target"] for entry in entries] == ["x1", "y", "y", "y"]
    values = [sign * entry[sort] for entry in entries[1:]]
    assert values == sorted(values)


DAMAGES = {
    "cut off": lambda run: (run / "result.json").write_text((run / "result.json").read_text()[:100]),
    "empty": lambda run: (run / "result.json").write_text(""),
    "a list": lambda run: (run / "result.json").write_text("[]"),
    "no text": lambda run: (run / "result.json").write_bytes(b"\xff\xfe\x00"),
    "infinite": lambda run: (run / "result.json").write_text((run / "result.json").read_text().replace('"rmse": ', '"rmse": 1e999, "x": ')),
    "deep": lambda run: (run / "result.json").write_text("[" * 100_000),
    "gone": lambda run: (run / "result.json").unlink(),
    "no settings": lambda run: (run / "config.toml").unlink(),
    "settings cut": lambda run: (run / "config.toml").write_text("target = "),
    "no model": lambda run: (run / "model.gradline").unlink(),
    "a folder": lambda run: ((run / "config.toml").unlink(), (run / "config.toml").mkdir()),
    "wrong types": lambda run: (run / "result.json").write_text(json.dumps({"rows": 1, "metrics": [], "target": None})),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_listed_as_such(damage, folder, capsys):
    DAMAGES[damage](folder / "few")
    answer = gradline(capsys, "runs", "--json")
    assert answer.code == 0, answer.err
    assert names(answer)[-1] == "few"
    assert [bool(entry["damaged"]) for entry in answer.json["runs"]] == [False, False, False, True]
    assert answer.json["runs"][-1]["rmse"] is None
    shown = gradline(capsys, "runs")
    assert shown.code == 0
    assert "few is damaged: " in shown.out
    assert "4 runs in runs, 1 damaged" in shown.out
    assert "Traceback" not in shown.out + shown.err


def test_hostile_names_and_settings_do_not_act(folder, capsys):
    (folder / "few").rename(folder / "few\x1b[2J")
    result = json.loads((folder / "all/result.json").read_text())
    result["target"] |= {"name": "\x1b[31my", "unit": "[bold]x"}
    (folder / "all/result.json").write_text(json.dumps(result))
    for words in ([], ["--json"]):
        answer = gradline(capsys, "runs", *words)
        assert answer.code == 0
        assert "\x1b" not in answer.out
    assert "[bold]x" in gradline(capsys, "runs").out


def test_a_run_itself_an_empty_folder_and_none(folder, capsys, tmp_path):
    assert len(gradline(capsys, "runs", folder / "few", "--json").json["runs"]) == 1
    (tmp_path / "empty").mkdir()
    answer = gradline(capsys, "runs", "empty")
    assert answer.code == 0
    assert "empty holds no runs." in answer.out
    answer = gradline(capsys, "runs", "nowhere")
    assert answer.code == 2
    assert "there is no folder nowhere" in answer.err


def test_three_hundred_runs_take_a_few_seconds(folder, capsys):
    import shutil

    shutil.rmtree(folder / "other")
    for i in range(300):
        (folder / f"copy{i}").symlink_to(folder / "all")
    start = time.perf_counter()
    assert len(gradline(capsys, "runs", "--json").json["runs"]) == 303
    assert time.perf_counter() - start < 10.0

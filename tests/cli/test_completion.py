"""Completion of a shell, and the help that teaches."""

import subprocess

import pytest
from click.shell_completion import BashComplete

from gradline.cli.main import VERBS, cli
from gradline.cli.teaching import OTHERS, SECTIONS, TRAIN
from tables import gradline, simple, write_csv, write_parquet


def completed(words, begun):
    return [item.value for item in BashComplete(cli, {}, "gradline", "_GRADLINE_COMPLETE").get_completions(words, begun)]


def test_commands_options_and_their_values_are_completed():
    assert completed([], "pl") == ["plan"]
    assert set(completed([], "")) == set(VERBS)
    assert "--features" in completed(["train"], "--fea")
    assert completed(["train", "--loss"], "hu") == ["huber"]


def test_columns_are_completed_from_the_files_named_before(tmp_path):
    data = str(write_parquet(simple(), tmp_path / "t.parquet"))
    assert completed(["train", data, "--target"], "") == ["x0", "x1", "c", "y"]
    assert completed(["train", data, "--target", "y", "--features"], "x0,x") == ["x0,x0", "x0,x1"]
    assert completed(["plan", str(write_csv(simple(), tmp_path / "t.csv")), "--group"], "c") == ["c"]


@pytest.mark.parametrize("word", ["none.csv", "select 1 as a", "s3://bucket/t.parquet", ""])
def test_where_there_is_no_file_nothing_is_completed_and_nothing_is_said(word, capfd):
    assert completed(["train", word, "--target"], "") == []
    assert capfd.readouterr() == ("", "")


def test_a_file_that_cannot_be_read_completes_nothing(tmp_path):
    (tmp_path / "t.parquet").write_text("no table")
    assert completed(["train", str(tmp_path / "t.parquet"), "--target"], "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_how(shell, capsys):
    answer = gradline(capsys, "completion", shell)
    assert answer.code == 0
    assert f"_GRADLINE_COMPLETE={shell}_complete" in answer.out
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=answer.out, text=True, check=True)
    assert gradline(capsys, "completion", "cmd").code == 2


def test_the_help_fits_80_columns_and_shows_every_option_once(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = gradline(capsys, "train", "--help").out
    assert max(map(len, shown.splitlines())) <= 80
    command = cli.get_command(None, "train")
    options = [p for p in command.params if p.param_type_name == "option"]
    for option in options:
        assert (
            sum(
                line.strip().startswith(option.opts[0] + " ")
                or line.strip().startswith(option.opts[0] + ",")
                or line.strip() == option.opts[0]
                for line in shown.splitlines()
            )
            >= 1
        ), option.name
    named = [name for names in SECTIONS.values() for name in names]
    assert len(named) == len(set(named))
    assert all(f"{title}:" in shown for title in SECTIONS)
    assert f"{OTHERS}:" not in shown


def test_the_examples_of_the_help_are_commands_that_parse():
    lines = [line.strip() for line in TRAIN.replace("\\\n", " ").splitlines() if line.strip().startswith("gradline ")]
    assert len(lines) >= 12
    import shlex

    for line in lines:
        _, verb, *words = shlex.split(line)
        command = cli.get_command(None, verb)
        context = command.make_context(verb, words)
        assert context.params["target"]
        assert context.params["data"]

"""`gradline lab`: what cannot be is said, and Ctrl-C ends it."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from gradline.cli import main as command_line


def test_what_cannot_be_a_table_is_said(tmp_path, capsys):
    (tmp_path / "no.parquet").write_bytes(b"PAR1 this is no table")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "texts.csv").write_text("a,b\nx,y\nz,w\n")
    (tmp_path / "one.csv").write_text("y\n1\n2\n")
    (tmp_path / "same.csv").write_text("x,y\n1,5\n2,5\n3,5\n4,5\n")
    (tmp_path / "fine.csv").write_text("x,y\n" + "".join(f"{i},{i * i}\n" for i in range(40)))
    cases = {
        ("no.parquet", "--target", "y"): "no.parquet",
        ("empty.csv", "--target", "y"): "empty",
        ("missing.csv", "--target", "y"): "there is no file",
        ("texts.csv", "--target", "b"): "no numeric column",
        ("one.csv", "--target", "y"): "no numeric column beside the target",
        ("same.csv", "--target", "y"): "in every row",
        ("fine.csv",): "no target given",
        ("fine.csv", "--target", "z"): "no column 'z'",
        ("fine.csv", "--target", "y", "--features", "q"): "no column 'q'",
        ("fine.csv", "--target", "y", "--features", "y"): "is the target",
        ("fine.csv", "--target", "y", "--port", "70000"): "70000",
    }
    for (file, *words), text in cases.items():
        assert command_line.run(["lab", str(tmp_path / file), *words, "--no-browser"]) == 2, file
        captured = capsys.readouterr()
        assert text in captured.err
        assert not captured.out


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
def test_it_says_where_it_is_answers_and_ends_by_ctrl_c(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{i},{i * i}\n" for i in range(40)))
    words = [sys.executable, "-m", "gradline", "lab", "t.csv", "--target", "y", "--no-browser"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(Path(command_line.__file__).parents[2])}
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert "y from 1 column" in process.stdout.readline()
    url = process.stdout.readline().strip()
    with urllib.request.urlopen(url + "api/table", timeout=10) as response:
        assert json.load(response)["target"] == "y"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=10)
    assert process.returncode == 0
    assert said == "gradline lab: ended.\n"

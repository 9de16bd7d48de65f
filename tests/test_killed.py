"""Killed, out of room, not permitted: a message, no traceback, and never a model less than before."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gradline import storage
from gradline.model.model import load
from tables import fit, gradline, leftovers, simple, write_csv

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits and renameat2 of Linux")

KILLED = """
import os, signal, sys
import gradline.storage as storage, gradline.report.run, gradline.model.file
from gradline.cli.main import main

def die(*arguments, **settings):
    os.kill(os.getpid(), signal.SIGKILL)

place = sys.argv[1]
if place == "writing":
    import zipfile
    zipfile.ZipFile.writestr = die
elif place == "flushing":
    storage._flush = die
elif place == "renaming":
    storage._replace_directory = die
elif place == "between two renames":
    storage._exchanged = lambda *paths: False
    rename = storage.Path.rename
    def second(self, target):
        die() if self.name.endswith(".partial") else rename(self, target)
    storage.Path.rename = second
elif place == "exchanged":
    storage._flush_place = die
main(sys.argv[2:])
"""


def trained(folder, capsys):
    """A run directory, and the bytes of its model."""
    write_csv(simple(), folder / "t.csv")
    assert gradline(capsys, "train", folder / "t.csv", "--target", "y", "--out", folder / "run").code == 0
    return (folder / "run" / "model.gradline").read_bytes()


@linux
@pytest.mark.parametrize("place", ["writing", "flushing", "renaming", "between two renames", "exchanged"])
def test_a_killed_run_leaves_a_whole_model_where_there_was_one(place, tmp_path, capsys):
    before = trained(tmp_path, capsys)
    words = ["train", "t.csv", "--target", "y", "--seed", "5", "--out", "run"]
    done = subprocess.run([sys.executable, "-c", KILLED, place, *words], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    if place == "between two renames":  # of file systems that exchange no names: the run is beside, whole
        (kept,) = tmp_path.glob(".run.*.old/run/model.gradline")
        assert kept.read_bytes() == before
    elif place == "exchanged":
        assert load(tmp_path / "run").config["seed"] == 5
    else:
        assert (tmp_path / "run" / "model.gradline").read_bytes() == before
    assert gradline(capsys, "train", tmp_path / "t.csv", "--target", "y", "--seed", 6, "--out", tmp_path / "run").code == 0
    assert load(tmp_path / "run").config["seed"] == 6


@linux
def test_an_earlier_run_is_there_at_every_moment_of_its_replacement(tmp_path, monkeypatch):
    seen = []
    for text in ("old", "new"):
        with storage.atomic_directory(tmp_path / "run") as staging:
            (staging / storage.RUN_MARKER).write_text(text)
            monkeypatch.setattr(Path, "rename", lambda self, target, go=Path.rename: (seen.append(self.name), go(self, target)))
    assert (tmp_path / "run" / storage.RUN_MARKER).read_text() == "new"
    assert "run" not in seen  # it was never moved aside
    assert leftovers(tmp_path) == []


FULL = """
import resource, sys
from gradline.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)  # as a full disk: every library's write fails
main(sys.argv[2:])
"""


@linux
@pytest.mark.parametrize("room", [0, 5_000, 100_000])
def test_no_room_for_a_run_is_a_message_and_the_earlier_run_stays(room, tmp_path, capsys):
    before = trained(tmp_path, capsys)
    words = ["train", "t.csv", "--target", "y", "--seed", "5", "--out", "run"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(room), *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 1, done.stderr
    assert "cannot write run" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert (tmp_path / "run" / "model.gradline").read_bytes() == before
    assert leftovers(tmp_path) == []


@linux
@pytest.mark.parametrize("suffix", ["csv", "parquet", "ndjson"])
def test_no_room_for_predictions_is_a_message_and_the_earlier_file_stays(suffix, tmp_path, capsys):
    trained(tmp_path, capsys)
    out = tmp_path / f"p.{suffix}"
    out.write_text("earlier")
    words = ["predict", "run", "t.csv", "--out", out.name]
    command = [sys.executable, "-c", FULL, "700", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert f"cannot write {out.name}" in done.stderr
    assert "Traceback" not in done.stderr
    assert out.read_text() == "earlier"
    assert leftovers(tmp_path) == []


def test_a_model_that_finds_no_room_is_kept_elsewhere_and_said_where(tmp_path, capsys, monkeypatch):
    before = trained(tmp_path, capsys)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "elsewhere"))
    monkeypatch.setattr("gradline.report.run.atomic_directory", _no_room)
    answer = gradline(capsys, "train", tmp_path / "t.csv", "--target", "y", "--seed", 5, "--out", tmp_path / "run")
    assert answer.code == 1
    (kept,) = (tmp_path / "elsewhere").iterdir()
    assert f"The trained model is kept in {kept}" in answer.said
    assert load(kept).config["seed"] == 5
    assert (tmp_path / "run" / "model.gradline").read_bytes() == before


def _no_room(path):
    raise storage._storage_error(path, OSError(28, "No space left on device"))


def test_a_directory_that_cannot_be_written_to_is_refused_before_anything_is_read(tmp_path, capsys, monkeypatch):
    before = trained(tmp_path, capsys)
    monkeypatch.setattr("gradline.storage.os.access", lambda *arguments: False)  # root may write anywhere
    answer = gradline(capsys, "train", tmp_path / "none.csv", "--target", "y", "--out", tmp_path / "deep" / "er" / "run")
    assert answer.code == 1
    assert "Permission denied" in answer.said
    assert "--out" in answer.said
    assert (tmp_path / "run" / "model.gradline").read_bytes() == before
    assert not (tmp_path / "deep").exists()


def test_saving_over_a_model_without_room_leaves_it(tmp_path, monkeypatch):
    model = fit(simple())
    model.save(tmp_path / "m")
    before = (tmp_path / "m").read_bytes()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gradline.model.file.zipfile.ZipFile.writestr", full)
    with pytest.raises(storage.StorageError, match="No space left"):
        model.save(tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == before
    assert leftovers(tmp_path) == []

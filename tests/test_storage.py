"""Files and directories appear whole or not at all."""

import errno
import os
import stat

import pytest

from gradline.errors import StorageError, UsageError
from gradline.storage import RUN_MARKER, atomic_directory, atomic_file, check_replaceable


def fill(path, text="new"):
    (path / RUN_MARKER).write_text(text)
    (path / "history.parquet").mkdir()
    (path / "history.parquet" / "more.txt").write_text(text)


def fill_and_raise(staging, error):
    fill(staging)
    raise error


def write_and_raise(staging, error):
    staging.write_text("half")
    raise error


def snapshot(folder):
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def test_a_directory_appears_whole_with_its_parents(tmp_path):
    with atomic_directory(tmp_path / "a" / "b" / "run") as staging:
        fill(staging)
        assert not (tmp_path / "a" / "b" / "run").exists()
    assert snapshot(tmp_path / "a" / "b") == {
        "run": None,
        f"run/{RUN_MARKER}": b"new",
        "run/history.parquet": None,
        "run/history.parquet/more.txt": b"new",
    }


@pytest.mark.parametrize(
    "error", [ValueError("no"), KeyboardInterrupt(), SystemExit(1), GeneratorExit()], ids=lambda e: type(e).__name__
)
def test_nothing_is_left_when_the_body_raises(error, tmp_path):
    with pytest.raises(type(error)), atomic_directory(tmp_path / "run") as staging:
        fill_and_raise(staging, error)
    with pytest.raises(type(error)), atomic_file(tmp_path / "f.csv") as staging:
        write_and_raise(staging, error)
    assert snapshot(tmp_path) == {}


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()], ids=lambda e: type(e).__name__)
def test_what_was_there_stays_when_the_body_raises(error, tmp_path):
    with atomic_directory(tmp_path / "run") as staging:
        fill(staging, "old")
    (tmp_path / "f.csv").write_text("old")
    before = snapshot(tmp_path)
    with pytest.raises(type(error)), atomic_directory(tmp_path / "run") as staging:
        fill_and_raise(staging, error)
    with pytest.raises(type(error)), atomic_file(tmp_path / "f.csv") as staging:
        write_and_raise(staging, error)
    assert snapshot(tmp_path) == before


def test_an_earlier_run_stays_until_the_new_one_is_whole_and_is_then_replaced_altogether(tmp_path):
    with atomic_directory(tmp_path / "run") as staging:
        fill(staging, "old")
        (staging / "config.toml").write_text("old")
    with atomic_directory(tmp_path / "run") as staging:
        fill(staging)
        assert (tmp_path / "run" / RUN_MARKER).read_text() == "old"
    assert snapshot(tmp_path) == {
        "run": None,
        f"run/{RUN_MARKER}": b"new",
        "run/history.parquet": None,
        "run/history.parquet/more.txt": b"new",
    }


def test_an_earlier_run_comes_back_when_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    with atomic_directory(tmp_path / "run") as staging:
        fill(staging, "old")
    before = snapshot(tmp_path)
    rename = type(tmp_path).rename
    monkeypatch.setattr("gradline.storage._exchanged", lambda *paths: False)  # where names cannot be exchanged in one step

    def refuse(self, target):
        if self.name.endswith(".partial"):
            raise OSError(errno.EACCES, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(type(tmp_path), "rename", refuse)
    with pytest.raises(StorageError, match="Permission denied"), atomic_directory(tmp_path / "run") as staging:
        fill(staging)
    assert snapshot(tmp_path) == before


def test_an_empty_directory_is_taken(tmp_path):
    (tmp_path / "run").mkdir()
    with atomic_directory(tmp_path / "run") as staging:
        fill(staging)
    assert (tmp_path / "run" / RUN_MARKER).read_text() == "new"


def test_a_directory_with_other_files_or_a_file_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    (tmp_path / "note").write_text("a file")
    before = snapshot(tmp_path)
    with (
        pytest.raises(UsageError, match=r"thesis holds files that are not a gradline run"),
        atomic_directory(tmp_path / "thesis"),
    ):
        raise AssertionError("the body must not run")
    with pytest.raises(UsageError, match="note is a file; a run is a directory"):
        check_replaceable(tmp_path / "note")
    with pytest.raises(UsageError, match="is a directory; a file is to be written"), atomic_file(tmp_path / "thesis"):
        raise AssertionError("the body must not run")
    assert snapshot(tmp_path) == before


def test_a_file_appears_whole_and_replaces_the_old_one(tmp_path):
    path = tmp_path / "deep" / "f.csv"
    for text in ("first", "second"):
        with atomic_file(path) as staging:
            staging.write_text(text)
            assert not path.exists() or path.read_text() == "first"
        assert path.read_text() == text
    assert [p.name for p in path.parent.iterdir()] == ["f.csv"]


def test_files_and_directories_have_the_usual_permissions(tmp_path):
    old = os.umask(0o027)
    try:
        with atomic_file(tmp_path / "f") as staging:
            staging.write_text("x")
        with atomic_directory(tmp_path / "run") as staging:
            fill(staging)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o750


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("what", ["tempfile.mkdtemp", "os.fsync"])
def test_a_full_disk_is_a_storage_error_and_leaves_nothing(what, tmp_path, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(what, full)
        with (
            pytest.raises(StorageError, match=r"cannot write .*run: No space left on device.*--out") as raised,
            atomic_directory(tmp_path / "run") as staging,
        ):
            fill(staging)
    assert raised.value.exit_code == 1
    assert snapshot(tmp_path) == {}


@pytest.mark.parametrize("what", ["tempfile.mkstemp", "os.fsync"])
def test_a_full_disk_is_a_storage_error_for_a_file_too(what, tmp_path, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(what, full)
        with pytest.raises(StorageError, match="No space left on device"), atomic_file(tmp_path / "f") as staging:
            staging.write_text("x")
    assert snapshot(tmp_path) == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory_is_a_storage_error(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o555)
    with pytest.raises(StorageError, match="Permission denied"), atomic_directory(tmp_path / "locked" / "run"):
        raise AssertionError("the body must not run")
    with pytest.raises(StorageError, match="Permission denied"), atomic_file(tmp_path / "locked" / "f"):
        raise AssertionError("the body must not run")


def test_a_parent_that_is_a_file_is_a_storage_error(tmp_path):
    (tmp_path / "note").write_text("a file")
    with pytest.raises(StorageError, match="cannot write"), atomic_directory(tmp_path / "note" / "run"):
        raise AssertionError("the body must not run")
    with pytest.raises(StorageError, match="cannot write"), atomic_file(tmp_path / "note" / "f"):
        raise AssertionError("the body must not run")


def test_an_error_of_reading_in_the_body_is_not_called_an_error_of_writing(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "f"):
        (tmp_path / "missing.csv").read_text()

"""A file that changes while it is read, or between two reads, is an error that says so; nothing is written."""

import os

import numpy as np
import pyarrow as pa
import pytest

from gradline.errors import DataError, SourceError
from gradline.inputs.opening import open_source
from gradline.inputs.source import rechunked
from gradline.inputs.watched import Watched
from tables import fit, gradline, leftovers, write_csv, write_ndjson, write_parquet


def table(rows=5_000, seed=0):
    X = np.random.default_rng(seed).normal(size=(rows, 2))
    return pa.table({"x0": X[:, 0], "x1": X[:, 1], "y": X.sum(axis=1)})


def write_svmlight(rows, path):
    lines = (f"{y} 1:{a} 2:{b}" for a, b, y in zip(*(c.to_pylist() for c in rows.columns), strict=True))
    path.write_text("\n".join(lines) + "\n")
    return path


WRITERS = {"csv": write_csv, "parquet": write_parquet, "ndjson": write_ndjson, "svmlight": write_svmlight}


def rows_of(source):
    """A read, a block at a time."""
    if hasattr(source, "sparse_rows"):
        yield from source.sparse_rows()
    else:
        yield from source.blocks(["x0", "y"])


def append(path, write):
    path.write_bytes(path.read_bytes() + path.read_bytes()[:40])


def replaced(path, write):
    """Another file of the same size and time in its place."""
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def rewritten(path, write):
    """The same number of bytes, in place."""
    data = path.read_bytes()
    path.write_bytes(data[:-20] + data[-40:-20])
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


def removed(path, write):
    path.unlink()


@pytest.mark.parametrize("change", [append, replaced, rewritten, removed], ids=lambda f: f.__name__)
@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_that_changes_between_two_reads_is_refused(kind, change, tmp_path):
    path = WRITERS[kind](table(), tmp_path / f"t.{kind}")
    source = open_source(path)
    assert sum(1 for _ in rows_of(source))
    assert sum(1 for _ in rows_of(source))
    change(path, WRITERS[kind])
    with pytest.raises(DataError, match=rf"t\.{kind} was (changed|removed) while it was read"):
        list(rows_of(source))


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_that_changes_during_the_read_is_refused_at_its_end(kind, tmp_path):
    path = WRITERS[kind](table(), tmp_path / f"t.{kind}")
    read = rows_of(open_source(path))
    next(read)
    append(path, None)
    with pytest.raises(DataError, match=rf"t\.{kind} was changed while it was read: it had [\d,]+ bytes and has [\d,]+"):
        list(read)


def test_what_cannot_be_read_of_a_changed_file_is_told_as_the_change(tmp_path):
    path = write_csv(table(), tmp_path / "t.csv")
    watched = Watched.of(path)

    def half_read():
        raise SourceError("line 7: 2 fields, expected 3.")

    with pytest.raises(SourceError, match="line 7"), watched.unchanged():
        half_read()

    def half_written():
        path.write_text("half")
        half_read()

    with pytest.raises(DataError, match="was changed"), watched.unchanged():
        half_written()


def test_a_read_that_is_given_up_asks_nothing(tmp_path):
    path = write_csv(table(), tmp_path / "t.csv")
    read = rows_of(open_source(path))
    next(read)
    append(path, None)
    read.close()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_training_on_a_file_that_another_program_writes_to_fails_and_leaves_the_earlier_run(kind, tmp_path, capsys, monkeypatch):
    path = WRITERS[kind](table(), tmp_path / f"t.{kind}")
    assert gradline(capsys, "train", path, "--target", "y", "--out", tmp_path / "run").code == 0
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}

    def grows(batches, rows):
        for table in rechunked(batches, rows):
            append(path, None)
            yield table

    monkeypatch.setattr(f"gradline.inputs.{'parquet' if kind == 'parquet' else 'query'}.rechunked", grows)
    answer = gradline(capsys, "train", path, "--target", "y", "--out", tmp_path / "run")
    assert answer.code == 2
    assert f"t.{kind} was changed while it was read" in answer.said
    assert "Traceback" not in answer.err
    assert {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()} == before
    assert leftovers(tmp_path) == []


def test_a_later_read_of_the_streamed_oracle_sees_the_change(tmp_path, monkeypatch):
    path = write_csv(table(300), tmp_path / "t.csv")
    from gradline.training import descending

    descend = descending.descend

    def later(*args, **kwargs):
        append(path, None)
        return descend(*args, **kwargs)

    monkeypatch.setattr(descending, "descend", later)
    with pytest.raises(DataError, match="was changed while it was read"):
        fit(path, oracle="streamed")


def test_a_change_before_the_assessment_does_not_cost_the_model(tmp_path, monkeypatch):
    path = write_csv(table(300), tmp_path / "t.csv")
    expected = fit(path, assess="no")
    from gradline.training import descending

    descend = descending.descend

    def later(*args, **kwargs):
        append(path, None)
        return descend(*args, **kwargs)

    monkeypatch.setattr(descending, "descend", later)
    model = fit(path)
    assert model.coefficients == expected.coefficients
    assert model.result["assessment"] is None
    told = [notice.message for notice in model.notices if notice.code == "not_assessed"]
    assert len(told) == 1
    assert "was changed while it was read" in told[0]

"""Ctrl-C: exit code 130, a word, nothing half-written, what was there before untouched; and the memory of a large run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from tables import gradline, leftovers, simple, write_csv, write_parquet

SLOW = ["--oracle", "streamed", "--learning-rate", "1e-7", "--max-steps", "100000000"]


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def cpu_seconds(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start(folder, *words):
    """A training run in the middle of its steps: it has worked for longer than it needs to start."""
    command = [sys.executable, "-m", "gradline", "train", *words]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 30
    while cpu_seconds(process) < 2.5 and time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return process


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_sigint_in_the_middle_ends_with_130_and_leaves_the_earlier_run_alone(tmp_path, capsys):
    path = write_csv(simple(3_000), tmp_path / "t.csv")
    assert gradline(capsys, "train", path, "--target", "y", "--out", tmp_path / "run").code == 0
    before = contents(tmp_path)
    process = start(tmp_path, "t.csv", "--target", "y", "--out", "run", *SLOW)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert out == ""
    assert "interrupted; nothing was written, and what was there before is untouched" in err
    assert "Traceback" not in err
    assert contents(tmp_path) == before
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_sigint_leaves_no_run_directory_where_there_was_none(tmp_path):
    write_parquet(simple(3_000), tmp_path / "t.parquet")
    process = start(tmp_path, "t.parquet", "--target", "y", *SLOW)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, ""), err
    assert "interrupted" in err
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


PLACES = {
    "reading": "gradline.training.survey._block_survey",
    "descending": "gradline.training.descending.descend",
    "measuring": "gradline.api.measure",
    "writing the model": "gradline.model.file.write_model",
    "writing the report": "gradline.report.run.json.dumps",
    "flushing": "gradline.storage._flush",
}


@pytest.mark.parametrize("place", PLACES)
def test_an_interrupt_anywhere_in_training_leaves_everything_as_it_was(place, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_csv(simple(), tmp_path / "t.csv")
    assert gradline(capsys, "train", path, "--target", "y").code == 0
    before = contents(tmp_path)

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(PLACES[place], interrupted)
        again = gradline(capsys, "train", path, "--target", "y", "--seed", 4)
        fresh = gradline(capsys, "train", path, "--target", "y", "--out", "fresh/run")
    for answer in (again, fresh):
        assert answer.code == 130
        assert "interrupted" in answer.err
        assert answer.out == ""
    assert contents(tmp_path) == before
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "fresh" / "run").exists()


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        RuntimeError("Query interrupted"),
        duckdb.InterruptException("INTERRUPT Error: Interrupted!"),
        OSError("INTERRUPT Error: Interrupted!"),
    ],
    ids=["python", "query", "duckdb", "arrow"],
)
def test_an_interrupt_that_duckdb_caught_first_is_an_interrupt(error, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_csv(simple(), tmp_path / "t.csv")

    def interrupted(*args, **kwargs):
        raise error

    monkeypatch.setattr("gradline.inputs.query.rechunked", interrupted)
    answer = gradline(capsys, "train", path, "--target", "y")
    assert answer.code == 130, answer.err
    assert "interrupted; nothing was written" in answer.err
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


def test_an_interrupt_while_predicting_leaves_the_earlier_file(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_csv(simple(), tmp_path / "t.csv")
    assert gradline(capsys, "train", path, "--target", "y", "--out", "run").code == 0
    (tmp_path / "p.csv").write_text("earlier")

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("gradline.inputs.contract.ContractCheck.apply", interrupted)
        answer = gradline(capsys, "predict", "run", path, "--out", "p.csv")
    assert answer.code == 130
    assert (tmp_path / "p.csv").read_text() == "earlier"
    assert leftovers(tmp_path) == []


GENERATE = """
import sys
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
rng = np.random.default_rng(0)
names = [f"x{j}" for j in range(19)]
schema = pa.schema([(name, pa.float64()) for name in [*names, "y"]])
with pq.ParquetWriter(sys.argv[1], schema, compression="none", use_dictionary=False) as writer:
    for _ in range(40):
        X = rng.normal(size=(19, 250_000))
        y = X.sum(axis=0) + rng.normal(size=250_000)
        writer.write_table(pa.table([*X, y], schema=schema), row_group_size=250_000)
"""

MEASURE = """
import json, os, resource, subprocess, sys, time
start = time.perf_counter()
done = subprocess.run([sys.executable, "-m", "gradline", "train", *sys.argv[1:]], capture_output=True, text=True)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"code": done.returncode, "err": done.stderr, "out": done.stdout, "bytes": usage.ru_maxrss * 1024,
                  "seconds": time.perf_counter() - start}))
"""


@pytest.mark.bench
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux")
def test_ten_million_rows_of_twenty_columns_take_less_than_a_gigabyte(tmp_path):
    import json

    path = tmp_path / "large.parquet"
    subprocess.run([sys.executable, "-c", GENERATE, path], check=True)
    words = [path, "--target", "y", "--out", tmp_path / "run", "--json"]
    done = subprocess.run([sys.executable, "-c", MEASURE, *words], capture_output=True, text=True, check=True)
    path.unlink()
    found = json.loads(done.stdout)
    print(f"{found['bytes'] / 1e6:,.0f} MB at the peak, {found['seconds']:.1f} s")
    assert found["code"] == 0, found["err"]
    document = json.loads(found["out"])
    assert document["rows"]["read"] == 10_000_000
    assert np.allclose(list(document["coefficients"].values()), 1.0, atol=0.01)
    assert found["bytes"] < 1e9


@pytest.mark.bench
def test_a_csv_of_a_million_rows_takes_less_than_a_gigabyte(tmp_path):
    import json

    import pyarrow.csv

    rng = np.random.default_rng(0)
    X = rng.normal(size=(19, 1_000_000))
    pyarrow.csv.write_csv(pa.table([*X, X.sum(axis=0)], names=[*(f"x{j}" for j in range(19)), "y"]), tmp_path / "t.csv")
    words = [tmp_path / "t.csv", "--target", "y", "--out", tmp_path / "run", "--json"]
    done = subprocess.run([sys.executable, "-c", MEASURE, *words], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    print(f"{found['bytes'] / 1e6:,.0f} MB at the peak, {found['seconds']:.1f} s")
    assert found["code"] == 0, found["err"]
    assert found["bytes"] < 1e9

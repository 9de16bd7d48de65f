"""Queries to a PostgreSQL server that the test starts. Skipped where no server or no driver is installed; all of it is `make integration`."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
import zipfile

import numpy as np
import pyarrow as pa
import pytest

from gradline.errors import SourceError
from gradline.inputs.opening import open_source
from gradline.inputs.source import ReadOptions
from gradline.model.model import load
from servers import ADDRESS_PASSWORD, PASSWORD, postgresql
from tables import assert_same_model, fit, gradline, mixed, simple


@pytest.fixture(scope="module")
def server():
    with postgresql() as address:
        yield address


@pytest.fixture(scope="module")
def db(server):
    return server.format(ADDRESS_PASSWORD)


def run(db, *statements):
    """Statements of a writer."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(db) as connection:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        connection.commit()


@pytest.fixture(scope="module")
def table(db):
    """The table of every kind of column, in the server and here."""
    from adbc_driver_postgresql import dbapi

    rows = mixed()
    with dbapi.connect(db) as connection:
        with connection.cursor() as cursor:
            cursor.adbc_ingest("t", rows, mode="create")
        connection.commit()
    return rows.sort_by("id")


def opened(sql, db):
    return open_source(sql, ReadOptions(db=db))


def read(source, columns=None):
    return pa.concat_tables([pa.table(block.load()) for block in source.blocks(columns or source.schema.names)])


def test_a_query_to_postgresql_gives_the_model_of_the_table(table, db):
    assert_same_model(fit("select * from t order by id -- all of it", drop=("id",), db=db), fit(table, drop=("id",)))


def contents(path):
    """What a file says, and the files in it if it is an archive."""
    if not zipfile.is_zipfile(path):
        return [path.read_bytes()]
    with zipfile.ZipFile(path) as archive:
        return [archive.read(name) for name in archive.namelist()]


def test_no_password_is_saved_or_shown(table, db, server, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["select count, size, y from t order by id", "--target", "y", "--db"]
    answer = gradline(capsys, "train", *words, db, "--out", "run", "--log-target", "--json", "--max-steps", "0")
    assert answer.code in (2, 3)
    answer = gradline(
        capsys,
        "train",
        *words,
        db,
        "--out",
        "run",
        "--json",
        "--checkpoint-steps",
        "1",
        "--max-steps",
        "2",
        "--optimizer",
        "gd",
        "--alpha",
        "0.1",
    )
    assert answer.code == 3, answer.err
    wrong = gradline(capsys, "train", *words, server.format("pass%20word%26"), "--out", "other")
    assert wrong.code == 2
    assert "password authentication failed" in wrong.err
    said = answer.out + answer.err + wrong.out + wrong.err
    kept = [data for path in tmp_path.rglob("*") if path.is_file() for data in contents(path)]
    assert len(kept) >= 10
    for secret in (PASSWORD, ADDRESS_PASSWORD, "pass%20word", "pass word"):
        assert secret not in said
        assert not any(secret.encode() in data for data in kept)
    assert load("run").config["db"] == server.format("").replace(":@", "@")
    shown = gradline(capsys, "show", "run", "--json")
    assert "pass" not in shown.out.replace("passed", "")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    resumed = gradline(capsys, "train", "--resume", "run", "--max-steps", "4", "--json")
    assert resumed.code == 3, resumed.err
    assert resumed.json["steps"] == 4
    assert gradline(capsys, "evaluate", "run", words[0], "--db", load("run").config["db"]).code == 0


def test_every_read_of_a_run_sees_the_same_rows(db):
    run(
        db, "DROP TABLE IF EXISTS s", "CREATE TABLE s AS SELECT i::float8 AS x, 2 * i::float8 AS y FROM generate_series(1, 100) i"
    )
    source = opened("select * from s order by x", db)
    first = read(source)
    run(db, "DELETE FROM s WHERE x < 50", "UPDATE s SET y = 0", "INSERT INTO s VALUES (7, 7)")
    assert read(source) == first
    assert first.num_rows == 100
    assert read(opened("select * from s", db)).num_rows == 52


def test_a_log_target_reads_twice_while_another_writes(db):
    """The mean of exp(residual) is of the rows that were trained on, whatever is written meanwhile."""
    values = "SELECT i / 50.0::float8 AS x, exp(i / 50.0::float8 + 0.1 * sin(i)) AS y FROM generate_series(1, 400) i"
    run(db, "DROP TABLE IF EXISTS l", f"CREATE TABLE l AS {values}")
    expected = fit("select * from l order by x", log_target=True, db=db)
    source = opened("select * from l order by x", db)
    run(db, "UPDATE l SET y = y * 1000")
    from gradline import api
    from gradline.training.config import TrainConfig

    model = api.run(source, TrainConfig.from_mapping({"target": "y", "log_target": True}))
    assert model.retransformation == expected.retransformation
    assert_same_model(model, expected)


TYPES = """SELECT i AS id, i::int2 AS small, i::real AS single, i::float8 / 3 AS double, (i::numeric / 7)::numeric(12, 4) AS price, i::numeric * 1e-3 AS loose,
    CASE WHEN i = 3 THEN 'NaN'::numeric WHEN i = 4 THEN NULL ELSE i END AS holed, 'x' || i % 3 AS word, i % 2 = 0 AS flag, ('{fine,sad}'::mood[])[1 + i % 2] AS mood,
    date '2024-01-01' + i AS day, timestamp '2024-01-01 05:00' + i * interval '1 hour' AS moment, timestamptz '2024-01-01 05:00+02' + i * interval '1 day' AS instant,
    time '05:00' + i * interval '1 minute' AS clock, 'ab'::char(6) AS padded, NULL::text AS nothing,
    CASE WHEN i = 2 THEN NULL ELSE ('00000000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid END AS uuid, interval '1 day' AS span, array[1, 2] AS list,
    '{"a": 1}'::jsonb AS json, 12.34::money AS money, '\\x00'::bytea AS bytes FROM generate_series(1, 9) i ORDER BY i"""


def test_types_arrive_as_what_they_are(db):
    run(db, "DROP TYPE IF EXISTS mood", "CREATE TYPE mood AS ENUM ('fine', 'sad')")
    source = opened(TYPES, db)
    kinds = {field.name: str(field.type) for field in source.schema}
    assert kinds | {"json": "", "money": "", "span": "", "list": "", "bytes": ""} == {
        "id": "int32", "small": "int16", "single": "float", "double": "double", "price": "double", "loose": "double", "holed": "double",
        "word": "string", "flag": "bool", "mood": "string", "day": "date32[day]", "moment": "timestamp[us]", "instant": "timestamp[us, tz=UTC]",
        "clock": "time64[us]", "padded": "string", "nothing": "string", "uuid": "string",
        "json": "", "money": "", "span": "", "list": "", "bytes": "",
    }  # fmt: skip
    rows = read(source)
    assert rows.schema.types == source.schema.types
    assert rows["price"].to_pylist() == [round(i / 7, 4) for i in range(1, 10)]
    assert rows["loose"].to_pylist() == [float(f"{i}e-3") for i in range(1, 10)]
    np.testing.assert_array_equal(rows["holed"].to_numpy(), [1, 2, np.nan, np.nan, 5, 6, 7, 8, 9])
    assert rows["mood"].to_pylist()[:3] == ["sad", "fine", "sad"]
    assert rows["padded"].to_pylist()[0] == "ab"
    assert rows["uuid"].to_pylist()[:3] == [
        str(uuid.UUID(int=(4 << 76) + (8 << 60) + 1)),
        None,
        str(uuid.UUID(int=(4 << 76) + (8 << 60) + 3)),
    ]
    assert str(rows["instant"][0].as_py()) == "2024-01-02 03:00:00+00:00"


def test_what_nothing_can_be_computed_with_is_left_out_with_a_notice(db):
    run(
        db,
        "DROP TABLE IF EXISTS k",
        "CREATE TABLE k AS SELECT i AS x, 3.0 * i + i % 5 AS y, i::int8::money AS price, interval '1 h' * i AS span FROM generate_series(1, 60) i",
    )
    model = fit("select * from k order by x", db=db)
    assert list(model.coefficients) == ["x"]
    assert {n.column for n in model.notices if n.code == "left_out_type"} == {"price", "span"}


@pytest.mark.parametrize("value", ["'infinity'::date", "'-infinity'::date", "'infinity'::timestamp", "'-infinity'::timestamptz"])
def test_infinity_is_no_time(db, value):
    with pytest.raises(SourceError, match="'t' holds infinity"):
        read(opened(f"select {value} as t, 1 as y", db))
    assert read(opened(f"select nullif({value}, '{value.split(chr(39))[1]}') as t, 1 as y", db))["t"].to_pylist() == [None]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select nope from t", 'column "nope" does not exist LINE 1: select nope from t'),
        ("select * from nowhere", 'relation "nowhere" does not exist'),
        ("select 1 as y; drop table t", "cannot insert multiple commands"),
        ("with gone as (delete from t returning *) select * from gone", "read-only transaction"),
        ("select 1 / 0 as y from t", "division by zero"),
        ("select nextval('numbers') as y", "read-only transaction"),
    ],
)
def test_the_errors_of_the_server_are_in_its_words(table, db, sql, said):
    run(db, "CREATE SEQUENCE IF NOT EXISTS numbers")
    with pytest.raises(SourceError) as refused:
        read(opened(sql, db))
    assert said in str(refused.value)
    assert read(opened("select * from t", db)).num_rows == 500


@pytest.mark.parametrize(
    "address", ["postgresql://gradline:{}@127.0.0.1:1/postgres", "postgresql://gradline:{}@nowhere.invalid/postgres"]
)
def test_a_server_that_is_not_there_is_named_without_the_password(address, db):
    with pytest.raises(SourceError, match=r"cannot connect to postgresql://gradline@.*is it up") as refused:
        opened("select 1 as y", address.format(ADDRESS_PASSWORD))
    shown = "".join(str(e) for e in (refused.value, refused.value.__cause__, refused.value.__suppress_context__))
    assert "pass%20word" not in shown


def test_a_read_that_is_given_up_is_not_waited_for_and_leaves_the_snapshot(db):
    run(db, "DROP TABLE IF EXISTS g", "CREATE TABLE g AS SELECT i AS x FROM generate_series(1, 300000) i")
    source = opened("select x from g order by x", db)
    first = read(source)
    run(db, "DELETE FROM g WHERE x < 7")
    reading = source.blocks(["x"])
    next(reading)
    reading.close()
    assert read(source) == first
    slow = opened("select i as x, repeat('a', 500) as t, pg_sleep(0.001)::text as s from generate_series(1, 100000) i", db)
    began, reading = time.monotonic(), slow.blocks(["x"])
    killer = threading.Timer(2, os.kill, [os.getpid(), signal.SIGINT])
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    killer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            next(reading)
    finally:
        signal.signal(signal.SIGINT, heard)
    assert time.monotonic() - began < 12  # of the hundred seconds or more that the query takes


@pytest.mark.integration
def test_memory_does_not_grow_with_the_rows(db, tmp_path):
    """Of 6 million rows, 150 MB as they travel: a process of its own says how much memory it took at most."""
    script = (
        "import resource, sys, gradline as gl; m = gl.train(sys.argv[1], target='y', db=sys.argv[2], assess='no'); "
        "print(m.result['rows']['read'], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for rows in (600_000, 6_000_000):
        sql = f"select i::float8 as a, sin(i) as b, 2 * i + cos(i) as y from generate_series(1, {rows}) i"
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", script, sql, db], capture_output=True, text=True, check=True)
        read_rows, peak = map(int, done.stdout.split())
        assert read_rows == rows
        peaks.append(peak / 1024)
    print(f"peak memory of 0.6 and of 6 million rows: {peaks[0]:.0f} and {peaks[1]:.0f} MB")
    assert peaks[1] < peaks[0] + 120


@pytest.mark.integration
def test_a_transaction_that_the_server_ends_is_an_error(db):
    source = opened("select i as x from generate_series(1, 10) i order by i", db)
    read(source)
    run(db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'")
    with pytest.raises(SourceError, match="cannot be run"):
        read(source)


@pytest.mark.integration
def test_predictions_of_a_database_are_those_of_a_file(table, db, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from tables import write_parquet

    write_parquet(table, tmp_path / "t.parquet")
    assert gradline(capsys, "train", "t.parquet", "--target", "y", "--key", "id", "--out", "run").code == 0
    sql = ["select * from t order by id", "--db", db]
    assert gradline(capsys, "predict", "run", *sql, "--keep", "word,flag,moment", "--out", "a.ndjson").code == 0
    assert gradline(capsys, "predict", "run", "t.parquet", "--keep", "word,flag,moment", "--out", "b.ndjson").code == 0
    first, second = (
        [json.loads(line) for line in (tmp_path / name).read_text().splitlines()] for name in ("a.ndjson", "b.ndjson")
    )
    assert first == second
    assert len(first) == 500
    assert simple().num_rows == 300


@pytest.mark.integration
def test_ctrl_c_ends_a_query_that_runs_at_the_server(db, tmp_path):
    words = [
        "train",
        "select i as x, 2.0 * i as y, pg_sleep(0.01)::text as s from generate_series(1, 6000) i",
        "--db",
        db,
        "--target",
        "y",
    ]
    process = subprocess.Popen([sys.executable, "-m", "gradline", *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    time.sleep(8)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted; nothing was written" in said

"""Queries to databases that are files, and what holds for every database: one snapshot, no password, no silent other order."""

import datetime as dt
import itertools
import json
import sqlite3

import duckdb
import numpy as np
import pyarrow as pa
import pytest

import gradline as gl
from gradline.errors import DataError, SourceError, UsageError
from gradline.inputs.opening import open_source
from gradline.inputs.rereads import Rereads
from gradline.inputs.source import ReadOptions
from gradline.types import Block
from tables import assert_same_model, fit, gradline, mixed, simple, write_parquet

AS_IN_SQLITE = {"day": "date", "moment": "timestamp", "flag": "number"}


@pytest.fixture(scope="module")
def table():
    return mixed().sort_by("id")


@pytest.fixture(scope="module")
def expected(table):
    return fit(table, drop=("id",))


@pytest.fixture(scope="module")
def duckdb_file(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("d") / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.register("given", table)
        connection.execute("CREATE TABLE t AS FROM given")
    return path


@pytest.fixture(scope="module")
def sqlite_file(table, tmp_path_factory):
    pytest.importorskip("adbc_driver_sqlite", reason="the driver adbc-driver-sqlite is not installed")
    path = tmp_path_factory.mktemp("s") / "shop 100%.db"
    columns = "id integer primary key, count integer, size real, ratio real, few integer, word text, flag boolean, day date, moment, y real"
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE t ({columns})")
        rows = [[str(v) if isinstance(v, dt.date) else v for v in row.values()] for row in table.to_pylist()]
        connection.executemany(f"INSERT INTO t VALUES ({', '.join('?' * 10)})", rows)
    return path


def opened(sql, db):
    return open_source(sql, ReadOptions(db=db))


def read(source, columns=None):
    return pa.concat_tables([pa.table(block.load()) for block in source.blocks(columns or source.schema.names)])


def test_a_duckdb_database_gives_the_model_of_the_table(duckdb_file, expected):
    model = fit("select * exclude (id) from t order by t.id", db=f"duckdb:///{duckdb_file}")
    assert_same_model(model, expected)
    assert model.config["db"] == f"duckdb:///{duckdb_file}"


def test_a_sqlite_database_gives_the_model_of_the_table(sqlite_file, expected):
    model = fit("select * from t order by id", drop=("id",), types=AS_IN_SQLITE, db=f"sqlite:///{sqlite_file}")
    assert list(model.coefficients) == list(expected.coefficients)
    assert_same_model(model, expected)


@pytest.mark.parametrize("kind", ["duckdb", "sqlite"])
def test_a_query_to_a_database_is_repeatable_only_when_it_is_ordered(kind, request):
    db = f"{kind}:///{request.getfixturevalue(kind + '_file')}"
    assert opened("select * from t order by id", db).repeatable
    assert not opened("select * from t", db).repeatable
    assert fit("select count, y from t", db=db).result["repeatable"] is False
    with pytest.raises(UsageError, match=r"the query without ORDER BY to .* only once"):
        gl.train("select count, y from t", "y", db=db, errors="HC3")
    assert fit("select count, y from t order by id", db=db, errors="HC3").result["inference"]["errors"] == "HC3"


@pytest.mark.parametrize("kind", ["duckdb", "sqlite"])
def test_every_verb_reads_a_database(kind, request, table, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [
        "select id, count, size, y from t order by id",
        "--db",
        f"{kind}:///{request.getfixturevalue(kind + '_file')}",
        "--json",
    ]
    trained = gradline(capsys, "train", *words, "--target", "y", "--key", "id", "--out", "run")
    assert trained.code == 0, trained.err
    assert trained.json["repeatable"]
    planned = gradline(capsys, "plan", *words, "--target", "y", "--key", "id")
    assert planned.json["rows"] == trained.json["rows"]
    answer = gradline(capsys, "predict", "run", *words, "--out", "p.ndjson")
    assert answer.code == 0, answer.err
    written = [json.loads(line) for line in (tmp_path / "p.ndjson").read_text().splitlines()]
    assert [row["id"] for row in written] == table["id"].to_pylist()
    assert gradline(capsys, "evaluate", "run", *words).json["rows"]["read"] == 500


@pytest.mark.parametrize("kind", ["duckdb", "sqlite"])
def test_what_is_not_one_query_is_refused_and_changes_nothing(kind, request):
    path = request.getfixturevalue(kind + "_file")
    before = path.read_bytes()
    for sql in (
        "select 1 as y; drop table t",
        "with x as (select 1) delete from t",
        "select y from",
        "select nope from t",
        "select * from nope",
    ):
        with pytest.raises(SourceError):
            opened(sql, f"{kind}:///{path}")
    with pytest.raises(UsageError, match="one query"):
        opened("t", f"{kind}:///{path}")
    with pytest.raises(UsageError, match="one query"):
        open_source(["select * from t", "select * from t"], ReadOptions(db=f"{kind}:///{path}"))
    with pytest.raises(UsageError, match="in memory"):
        open_source(simple(), ReadOptions(db=f"{kind}:///{path}"))
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["duckdb", "sqlite"])
def test_the_errors_of_a_database_are_in_its_words(kind, request, tmp_path):
    db = f"{kind}:///{request.getfixturevalue(kind + '_file')}"
    with pytest.raises(SourceError, match="nope"):
        opened("select nope from t", db)
    with pytest.raises(SourceError, match="there is no file"):
        opened("select 1", f"{kind}:///{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "text.db").write_text("a text of some length, which is no database, " * 40)
    with pytest.raises(SourceError, match=r"text\.db.*is it a .* database"):
        opened("select 1", f"{kind}:///{tmp_path}/text.db")


def test_every_read_of_a_sqlite_database_sees_the_same_rows(tmp_path):
    pytest.importorskip("adbc_driver_sqlite")
    path = tmp_path / "t.db"
    with sqlite3.connect(path) as writer:
        writer.execute("PRAGMA journal_mode = wal")
        writer.execute("CREATE TABLE t (x real, y real)")
        writer.executemany("INSERT INTO t VALUES (?, ?)", [(i, 2 * i) for i in range(100)])
        writer.commit()
        source = opened("select * from t order by x", f"sqlite:///{path}")
        first = read(source)
        writer.execute("DELETE FROM t WHERE x < 50")
        writer.execute("UPDATE t SET y = 0")
        writer.commit()
        assert read(source) == first
        assert first.num_rows == 100
        assert read(opened("select * from t", f"sqlite:///{path}")).num_rows == 50
    writer.close()


@pytest.fixture(scope="module")
def late_values(tmp_path_factory):
    """A database whose columns begin otherwise than they go on, past the driver's first look."""
    pytest.importorskip("adbc_driver_sqlite")
    path = tmp_path_factory.mktemp("l") / "t.db"
    with sqlite3.connect(path) as writer:
        writer.execute("CREATE TABLE t (id integer primary key, fraction, late, word, empty, y)")
        rows = [(i, i % 97, None, i % 3, None, 2.0 * (i % 97)) for i in range(1_100)]
        rows += [(1_100 + i, i + 0.5, 0.25 * i, "none", None, 2.0 * i) for i in range(1_000)]
        writer.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", rows)
    writer.close()
    return path, rows


@pytest.mark.parametrize("batch_rows", [1, 700, 1_024, 1 << 16])
def test_a_column_of_sqlite_has_the_type_that_all_its_values_have(late_values, batch_rows, monkeypatch):
    monkeypatch.setattr("gradline.inputs.sqlite.BATCH_ROWS", batch_rows)
    path, rows = late_values
    for sql, order in (
        ("select * from t order by id", 1),
        ("select * from t order by id desc; ", -1),
        ("with u as (select * from t order by id) select * from u -- all", 1),
    ):
        source = opened(sql, f"sqlite:///{path}")
        table = read(source)
        assert [str(t) for t in source.schema.types] == ["int64", "double", "double", "string", "int64", "double"]
        assert table.schema.types == source.schema.types
        for column, values in zip(table.columns, zip(*rows[::order], strict=True), strict=True):
            wanted = [v if v is None or column.type != pa.string() else str(v) for v in values]
            assert column.to_pylist() == wanted


def test_a_column_that_begins_with_nulls_is_trained_on(late_values, monkeypatch):
    monkeypatch.setattr("gradline.inputs.sqlite.BATCH_ROWS", 1_024)
    model = fit("select fraction, late, y from t order by id", db=f"sqlite:///{late_values[0]}", max_steps=5)
    assert model.result["rows"]["read"] == 2_100
    assert "late" in model.coefficients


def test_a_duckdb_database_keeps_its_types(tmp_path):
    path = tmp_path / "t.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TYPE mood AS ENUM ('sad', 'fine')")
        connection.execute("""CREATE TABLE t AS SELECT i, 0.1::DECIMAL(9, 4) * i AS d, (i % 2 = 0) AS b, if(i % 2 = 0, 'sad', 'fine')::mood AS m,
            TIMESTAMPTZ '2024-01-01 05:00:00+02' AS z, i::HUGEINT AS h, uuid() AS u, NULL::INTEGER AS n, 3.0 * i + (i % 2) AS y FROM range(200) s(i)""")
    source = opened("select * from t order by i", f"duckdb:///{path}")
    assert source.schema.field("z").type.tz is not None
    model = fit("select * exclude (n, z) from t order by i", db=f"duckdb:///{path}", test=0.3)
    assert {"d", "b", "h"} & set(model.coefficients)
    assert any(name.startswith("m=") for name in model.coefficients)


def blocks(*tables):
    return [Block(0, 0, lambda table=table: table) for table in tables]


RAGGED = pa.table(
    {
        "whole": pa.array([1, None, 3, 4, None, 6], pa.int32()),
        "text": ["a", None, "", "cd", "e", "a"],
        "flag": [True, False, None, True, True, False],
        "day": pa.array([1, 2, 3, None, 5, 6], pa.date32()),
        "word": pa.array(["x", "y", None, "x", "x", "y"]).dictionary_encode(),
        "price": pa.array([1, 2, 3, 4, 5, None], pa.decimal128(9, 2)),
        "number": [0.5, np.nan, None, 1.5, -0.0, 2.5],
    }
)


def test_the_same_rows_are_the_same_however_they_are_cut():
    rereads = Rereads("t")
    for cuts in ([0, 6], [0, 1, 4, 6], [0, 3, 3, 6]):
        parts = [RAGGED.slice(a, b - a) for a, b in itertools.pairwise(cuts)]
        list(rereads.checked(iter(blocks(*parts)), RAGGED.column_names))
    list(rereads.checked(iter(blocks(RAGGED.select(["text"]))), ["text"]))


@pytest.mark.parametrize("name", RAGGED.column_names)
@pytest.mark.parametrize("order", [[1, 0, 2, 3, 4, 5], [0, 1, 2, 3, 5, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5, 5]])
def test_other_rows_or_another_order_is_an_error_in_each_type_of_column(name, order):
    one, other = RAGGED.select([name]), RAGGED.take(order).select([name])
    if one.equals(other):
        pytest.skip("these rows are equal")
    rereads = Rereads("t")
    list(rereads.checked(iter(blocks(one)), [name]))
    with pytest.raises(DataError, match=f"another order.*{name}"):
        list(rereads.checked(iter(blocks(other)), [name]))


def test_a_read_that_is_given_up_is_not_judged():
    rereads = Rereads("t")
    next(rereads.checked(iter(blocks(RAGGED)), ["text"]))
    list(rereads.checked(iter(blocks(RAGGED)), ["text"]))


@pytest.mark.parametrize("where", ["database", "file"])
def test_rows_that_order_by_takes_for_equal_come_in_one_order(where, tmp_path):
    """Of DuckDB's, on several threads, six reads of these rows come in two orders or more."""
    rows = pa.table({"id": np.arange(400_000), "few": np.arange(400_000) % 7, "y": np.arange(400_000) * 1.0})
    if where == "database":
        with duckdb.connect(str(tmp_path / "t.duckdb")) as connection:
            connection.register("given", rows)
            connection.execute("CREATE TABLE t AS FROM given")
        source = opened("select * from t order by few", f"duckdb:///{tmp_path}/t.duckdb")
    else:
        write_parquet(rows, tmp_path / "t.parquet", row_group_size=50_000)
        source = open_source(f"select a.* from '{tmp_path}/t.parquet' a join '{tmp_path}/t.parquet' b using (id) order by a.few")
    first = read(source, ["id"])
    for _ in range(5):
        assert read(source, ["id"]) == first


def test_a_database_that_gives_equal_rows_in_another_order_is_found_out(sqlite_file, monkeypatch):
    """As a server does whose ORDER BY leaves rows that it takes for equal in any order."""
    source = opened("select * from t order by few", f"sqlite:///{sqlite_file}")
    read(source)
    source._sql = "select * from t order by few, random()"
    with pytest.raises(DataError, match="ORDER BY"):
        read(source)

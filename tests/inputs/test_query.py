"""SQL text and newline-delimited JSON."""

import json

import numpy as np
import pyarrow as pa
import pytest

from gradline.errors import DataError, SourceError
from gradline.inputs.opening import open_source
from tables import assert_same_model, fit, mixed, simple, write_csv, write_ndjson, write_parquet


@pytest.fixture(scope="module")
def table():
    return mixed()


@pytest.fixture(scope="module")
def expected(table):
    return fit(table, drop=("id",))


def read(source, columns=None):
    return pa.concat_tables([pa.table(block.load()) for block in source.blocks(columns or source.schema.names)])


def test_ndjson_gives_the_model_of_the_table(table, expected, tmp_path):
    for suffix in ("ndjson", "jsonl", "json"):
        assert_same_model(fit(write_ndjson(table, tmp_path / f"t.{suffix}"), drop=("id",)), expected)


def test_ndjson_may_be_compressed(table, expected, tmp_path):
    import gzip

    import zstandard

    data = write_ndjson(table, tmp_path / "t.ndjson").read_bytes()
    (tmp_path / "t.ndjson.gz").write_bytes(gzip.compress(data))
    (tmp_path / "t.ndjson.zst").write_bytes(zstandard.compress(data))
    assert_same_model(fit(tmp_path / "t.ndjson.gz", drop=("id",)), expected)
    assert_same_model(fit(tmp_path / "t.ndjson.zst", drop=("id",)), expected)


def test_keys_may_be_absent_or_in_another_order(tmp_path):
    path = tmp_path / "t.ndjson"
    path.write_text('{"a": 1, "b": "x"}\n{"b": "y", "a": 2.5}\n{"a": null}\n{"b": "z", "c": true}\n')
    assert read(open_source(path)).to_pydict() == {
        "a": [1.0, 2.5, None, None],
        "b": ["x", "y", None, "z"],
        "c": [None, None, None, True],
    }


def test_a_fraction_after_30_000_whole_numbers_is_kept(tmp_path):
    path = tmp_path / "t.ndjson"
    path.write_text("".join(json.dumps({"x": i if i != 30_500 else 0.5}) + "\n" for i in range(31_000)))
    assert read(open_source(path))["x"].to_pylist()[30_500] == 0.5


def test_files_of_one_folder_are_read_by_the_types_of_all(tmp_path):
    (tmp_path / "a.ndjson").write_text('{"x": 1, "y": 2}\n{"x": 2, "y": 3}\n')
    (tmp_path / "b.ndjson").write_text('{"y": 5, "x": 1.5}\n')
    source = open_source(tmp_path)
    blocks = [(b.file, b.first_row, b.load().to_pydict()) for b in source.blocks(["y", "x"])]
    assert blocks == [(0, 0, {"y": [2, 3], "x": [1.0, 2.0]}), (1, 0, {"y": [5], "x": [1.5]})]


def test_nested_values_are_left_out_with_a_notice(tmp_path):
    path = tmp_path / "t.ndjson"
    rng = np.random.default_rng(0)
    rows = [{"x": float(x), "tags": ["a"], "place": {"city": "b"}, "y": float(2 * x + e)} for x, e in rng.normal(size=(200, 2))]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = fit(path)
    assert list(model.coefficients) == ["x"]
    assert sorted(n.column for n in model.notices if n.code == "left_out_type") == ["place", "tags"]


@pytest.mark.parametrize(
    "text",
    ['{"x": 1, "y": 2}\n{"x": 1, "y":\n', '{"x": 1, "y": 2}\nnot json\n', "[1, 2]\n[3, 4]\n", "42\n43\n", "<xml/>\n"],
    ids=["cut", "words", "arrays", "numbers", "xml"],
)
def test_malformed_json_is_refused_by_name(text, tmp_path):
    path = tmp_path / "t.ndjson"
    path.write_text(text)
    with pytest.raises(SourceError, match=r"t\.ndjson"):
        fit(path)


def test_malformed_json_far_down_is_refused_by_name(tmp_path):
    path = tmp_path / "t.ndjson"
    path.write_text('{"x": 1, "y": 2}\n' * 60_000 + "{broken\n")
    with pytest.raises(SourceError, match=r"t\.ndjson"):
        fit(path)


def test_an_empty_json_file_is_refused_by_name(tmp_path):
    path = tmp_path / "t.ndjson"
    path.write_text("")
    with pytest.raises(SourceError, match=r"t\.ndjson is empty"):
        fit(path)
    path.write_text("\n\n")
    with pytest.raises((SourceError, DataError), match=r"t\.ndjson"):
        fit(path)


def test_sql_over_each_format_gives_the_model_of_the_table(table, expected, tmp_path):
    write_parquet(table, tmp_path / "t.parquet")
    write_ndjson(table, tmp_path / "t.ndjson")
    for name in ("t.parquet", "t.ndjson"):
        assert_same_model(fit(f"select * exclude (id) from '{tmp_path / name}'"), expected)
    write_csv(table, tmp_path / "t.csv")
    columns = ", ".join(f"'{c}': '{k}'" for c, k in zip(table.column_names, SQL_TYPES, strict=True))
    sql = f"from read_csv('{tmp_path / 't.csv'}', columns = {{{columns}}}, header = true, quote = '\"', escape = '\"')"
    assert_same_model(fit(sql, drop=("id",)), expected)


SQL_TYPES = ("BIGINT", "BIGINT", "DOUBLE", "DOUBLE", "BIGINT", "VARCHAR", "BOOLEAN", "DATE", "TIMESTAMP", "DOUBLE")


@pytest.mark.parametrize(
    "start", ["select * from", "SELECT * FROM", "  \n select * from", "from", "with t as (select 1) select * from"]
)
def test_sql_is_known_by_its_first_word(start, tmp_path):
    path = write_parquet(simple(), tmp_path / "t.parquet")
    assert fit(f"{start} '{path}';  ").result["rows"]["read"] == 300


def test_sql_with_comments_and_a_semicolon_inside_a_text_runs(tmp_path):
    path = write_parquet(simple(), tmp_path / "t.parquet")
    assert fit(f"select *, 'a;b' as note -- all; of it\nfrom '{path}' -- the end").result["rows"]["read"] == 300


def test_a_query_is_repeatable_only_when_it_is_ordered(tmp_path):
    path = write_parquet(simple(), tmp_path / "t.parquet")
    assert open_source(f"select * from '{path}' order by x0, x1").repeatable
    assert not open_source(f"select * from '{path}'").repeatable
    assert fit(f"select * from '{path}' order by x0").result["repeatable"]
    assert not fit(f"select * from '{path}'").result["repeatable"]


def test_any_query_is_a_source(tmp_path):
    write_parquet(simple(), tmp_path / "t.parquet")
    sql = f"select c, avg(x0) as x, sum(y) as y, count(*) as n from '{tmp_path}/t.parquet' group by c order by c"
    table = read(open_source(sql))
    assert table.column_names == ["c", "x", "y", "n"]
    assert table["c"].to_pylist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("select * form nowhere", "syntax error"),
        ("select * from 'missing.parquet'", "missing.parquet"),
        ("select nothing from (select 1 as x)", "nothing"),
        ("select * from read_csv('missing.csv')", "missing.csv"),
        ("from unknown_table", "unknown_table"),
    ],
)
def test_sql_that_cannot_run_is_an_error_with_the_databases_words(sql, says):
    with pytest.raises(SourceError, match=r"the SQL text cannot be run: .*" + says):
        open_source(sql)


def test_sql_that_fails_half_way_is_an_error(tmp_path):
    path = write_parquet(
        pa.table({"x": [str(i) for i in range(200_000)] + ["oops"], "y": np.arange(200_001.0)}), tmp_path / "t.parquet"
    )
    with pytest.raises(SourceError, match=r"the SQL text cannot be run: .*oops"):
        fit(f"select cast(x as double) as x, y from '{path}'")


def test_two_columns_of_one_name_in_a_query_are_told_apart():
    assert open_source("select 1 as a, 2 as b, 3 as a").schema.names == ["a", "b", "a_1"]


def test_sql_is_one_query(tmp_path):
    out = tmp_path / "copied.parquet"
    with pytest.raises(SourceError):
        open_source(f"select 1 as x; copy (select 1) to '{out}'")
    assert not out.exists()


def test_blocks_of_a_query_have_the_same_borders_for_any_row_group(tmp_path, monkeypatch):
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 64)
    for size in (7, 64, 150, 300):
        path = write_parquet(simple(300), tmp_path / "t.parquet", row_group_size=size)
        blocks = [(b.file, b.first_row, b.load().num_rows) for b in open_source(f"from '{path}'").blocks(["x0", "y"])]
        assert blocks == [(0, 0, 64), (0, 64, 64), (0, 128, 64), (0, 192, 64), (0, 256, 44)]

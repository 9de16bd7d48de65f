"""The same rows give the same bits, whatever format they come in: blocks depend on row numbers and the columns alone."""

import weakref

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from gradline.inputs.memory import StreamSource
from gradline.inputs.opening import open_source
from gradline.inputs.source import block_rows
from reference import SerialEngine
from reference import fit as train
from tables import fit, mixed, predicted, simple, write_csv, write_ndjson, write_parquet

FEATURES = 31


@pytest.fixture
def collinear(monkeypatch):
    """Three blocks of columns that all but repeat each other, as float64 of full length."""
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 1 << 12)
    rng = np.random.default_rng(4)
    rows = 10_001
    common = rng.normal(size=rows)
    X = [common + 1.5e-3 * rng.normal(size=rows) for _ in range(FEATURES)]
    y = sum((j % 5 - 2.0) * x for j, x in enumerate(X)) + 0.1 * rng.normal(size=rows)
    assert 2 * block_rows(FEATURES + 1) < rows
    return pa.table([*X, y], names=[*(f"x{j}" for j in range(FEATURES)), "y"])


def assert_same_bits(found, expected, new):
    """Parameters, what is known of them, and predictions."""
    assert found.theta.tobytes() == expected.theta.tobytes()
    assert (found.coefficients, found.intercept) == (expected.coefficients, expected.intercept)
    assert found.certificate == expected.certificate
    assert found.metrics == expected.metrics
    assert found.result["rows"] == expected.result["rows"]
    np.testing.assert_array_equal(found.sampled.roles, expected.sampled.roles)
    np.testing.assert_array_equal(found.sampled.actual, expected.sampled.actual)
    assert predicted(found, new).tobytes() == predicted(expected, new).tobytes()


def test_numbers_of_bad_condition_give_the_same_bits_from_every_format(collinear, tmp_path):
    expected, new = fit(collinear), collinear.slice(0, 1_000)
    assert expected.certificate.condition >= 1e7
    for rows in (999, collinear.num_rows):
        path = write_parquet(collinear, tmp_path / "t.parquet", row_group_size=rows)
        assert_same_bits(fit(path), expected, new)
    assert_same_bits(fit(f"from '{path}'"), expected, new)
    pyarrow.csv.write_csv(collinear, tmp_path / "t.csv")
    assert_same_bits(fit(tmp_path / "t.csv"), expected, new)
    duckdb.sql(f"COPY collinear TO '{tmp_path / 't.ndjson'}' (FORMAT json)")
    assert_same_bits(fit(tmp_path / "t.ndjson"), expected, new)
    assert_same_bits(fit(collinear.to_pandas()), expected, new)
    array = np.column_stack([column.to_numpy() for column in collinear.columns])
    assert_same_bits(train(array[:, :-1], array[:, -1]), expected, new)


def test_text_dates_and_missing_values_give_the_same_bits_from_every_format(tmp_path, monkeypatch):
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 1_024)
    table = mixed(5_000)
    expected, new = fit(table), table.slice(0, 500)
    assert {"size", "flag", "few=(missing)", "word=two\nlines", "day.month=3", "moment.hour=7"} <= set(expected.coefficients)
    assert_same_bits(fit(table.to_pandas()), expected, new)
    encoded = table.set_column(table.column_names.index("word"), "word", table["word"].dictionary_encode())
    for source in (table, encoded):
        for rows in (100, 999, 5_000):
            path = write_parquet(source, tmp_path / "t.parquet", row_group_size=rows)
            assert_same_bits(fit(path), expected, new)
    assert_same_bits(fit(f"from '{path}'"), expected, new)
    for suffix in ("csv", "csv.gz"):
        assert_same_bits(fit(write_csv(table, tmp_path / f"t.{suffix}")), expected, new)
    assert_same_bits(fit(write_ndjson(table, tmp_path / "t.ndjson")), expected, new)


def test_sql_with_an_order_gives_the_bits_of_the_ordered_table(tmp_path, monkeypatch):
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 1_024)
    table = mixed(5_000)
    path = write_parquet(table, tmp_path / "t.parquet", row_group_size=300)
    assert_same_bits(fit(f"from '{path}' order by id"), fit(table.sort_by("id")), table.slice(0, 500))


def test_files_of_a_folder_give_the_same_bits_from_every_format(tmp_path, monkeypatch):
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 1_024)
    table = mixed(5_000)
    for i, (start, rows) in enumerate([(0, 1_700), (1_700, 20), (1_720, 3_280)]):
        part = table.slice(start, rows)
        write_parquet(part, tmp_path / "parquet" / f"{i}.parquet", row_group_size=700)
        for name, write in (("csv", write_csv), ("ndjson", write_ndjson)):
            (tmp_path / name).mkdir(exist_ok=True)
            write(part, tmp_path / name / f"{i}.{name}")
    expected = fit(tmp_path / "parquet")
    for name in ("csv", "ndjson"):
        assert_same_bits(fit(tmp_path / name), expected, table.slice(0, 500))


def test_decimals_give_the_bits_of_their_digits_in_a_csv(tmp_path):
    rng = np.random.default_rng(0)
    price = pa.array(rng.integers(-(10**9), 10**9, 3_000)).cast(pa.decimal128(19, 0))
    cents = pa.Array.from_buffers(pa.decimal128(19, 3), len(price), price.buffers())
    table = pa.table({"x": cents, "y": rng.normal(size=3_000)})
    pyarrow.csv.write_csv(table, tmp_path / "t.csv")
    assert_same_bits(fit(table), fit(tmp_path / "t.csv"), table)


def borders(source, columns):
    return [(block.file, block.first_row, block.load().num_rows) for block in source.blocks(columns)]


@pytest.mark.parametrize("columns", [["x0", "c", "y"], ["y"], ["y", "x1"]], ids=len)
def test_blocks_begin_at_multiples_of_their_rows_in_every_source(columns, tmp_path, monkeypatch):
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 64)
    table = simple(300)
    expected = [(0, 0, 64), (0, 64, 64), (0, 128, 64), (0, 192, 64), (0, 256, 44)]
    sources = [table, table.to_pandas(), write_csv(table, tmp_path / "t.csv"), write_ndjson(table, tmp_path / "t.ndjson")]
    sources += [write_parquet(table, tmp_path / f"{n}.parquet", row_group_size=n) for n in (1, 7, 64, 90, 128, 300)]
    for source in sources:
        assert borders(open_source(source), columns) == expected
    assert borders(StreamSource(table.to_reader(max_chunksize=17)), columns) == expected
    numbers = table.select(["x0", "x1"]).to_pandas().to_numpy()
    assert borders(open_source(numbers, y=table["y"].to_numpy()), ["x0", "y"]) == expected


def test_blocks_begin_anew_in_every_file(tmp_path, monkeypatch):
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 64)
    table = simple(300)
    for name, write in (("csv", write_csv), ("ndjson", write_ndjson), ("parquet", write_parquet)):
        folder = tmp_path / name
        folder.mkdir()
        for i, (start, rows) in enumerate([(0, 100), (100, 64), (164, 136)]):
            write(table.slice(start, rows), folder / f"{i}.{name}")
        assert borders(open_source(folder), ["x0", "y"]) == [
            (0, 0, 64),
            (0, 64, 36),
            (1, 0, 64),
            (2, 0, 64),
            (2, 64, 64),
            (2, 128, 8),
        ]


@pytest.mark.parametrize("group", [7, 90, 300])
def test_each_row_of_a_parquet_file_is_decoded_once_in_a_read(group, tmp_path, monkeypatch):
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 64)
    path = write_parquet(simple(300), tmp_path / "t.parquet", row_group_size=group)
    decoded = []
    plain = pq.ParquetFile.iter_batches

    def counted(self, *args, **kwargs):
        for batch in plain(self, *args, **kwargs):
            decoded.append(batch.num_rows)
            yield batch

    def refused(*args, **kwargs):
        raise AssertionError("a second way to read")

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    for name in ("read", "read_row_group", "read_row_groups"):
        monkeypatch.setattr(pq.ParquetFile, name, refused)
    assert fit(path, assess="no").result["rows"]["read"] == 300
    assert sum(decoded) == 300


@pytest.mark.parametrize("group", [1_000, 250_000, 1_000_000])
def test_no_more_than_a_few_blocks_of_a_parquet_file_are_in_memory(group, tmp_path):
    rng = np.random.default_rng(0)
    table = pa.table({f"x{j}": rng.normal(size=1_000_000) for j in range(4)})  # 32 MB
    path = write_parquet(table, tmp_path / "t.parquet", row_group_size=group, use_dictionary=False)
    source, columns = open_source(path), table.column_names
    before, most = pa.total_allocated_bytes(), 0
    for block in source.blocks(columns):
        block.load()
        most = max(most, pa.total_allocated_bytes() - before)
    assert most <= 4 * block_rows(4) * 4 * 8


def test_blocks_may_be_loaded_in_any_order_twice_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 64)
    table = simple(300)
    for group in (10, 90, 300):
        source = open_source(write_parquet(table, tmp_path / "t.parquet", row_group_size=group))
        blocks = list(source.blocks(["y", "x0"]))
        for i in (3, 0, 4, 3, 1):
            assert pa.table(blocks[i].load()).equals(table.select(["y", "x0"]).slice(64 * i, 64))
        unread = source.blocks(["y"])
        next(unread)
        unread.close()


def test_a_read_lets_go_of_its_first_block(tmp_path, monkeypatch):
    from gradline.training import survey

    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 64)
    alive = []
    plain = survey._block_survey

    def watched(rows, *rest):
        alive.append(weakref.ref(rows.table))
        if len(alive) == 5:
            assert alive[0]() is None
        return plain(rows, *rest)

    monkeypatch.setattr(survey, "_block_survey", watched)
    monkeypatch.setattr("gradline.api.ThreadEngine", lambda _: SerialEngine())
    fit(write_parquet(simple(300), tmp_path / "t.parquet"))
    assert len(alive) == 5

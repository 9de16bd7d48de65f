"""Tables in memory: NumPy, pandas, Polars, Arrow, and anything with `__arrow_c_stream__`."""

from decimal import Decimal
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradline.api import read_options, run
from gradline.errors import InputError, SourceError, UsageError
from gradline.inputs.opening import open_source
from gradline.inputs.source import block_rows, rechunked
from gradline.training.config import TrainConfig
from tables import OTHER_BLOCKS, assert_same_model, fit, mixed, simple


@pytest.fixture(scope="module")
def table():
    return mixed()


@pytest.fixture(scope="module")
def expected(table):
    return fit(table, drop=("id",))


class OnlyAStream:
    """What any library may hand over."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


def categorical(frame):
    return frame.assign(word=frame["word"].astype("category"))


def nullable(frame):
    return frame.assign(
        few=frame["few"].astype("Int64"), size=frame["size"].astype("Float64"), flag=frame["flag"].astype("boolean")
    )


def objects(frame):
    return frame.assign(count=frame["count"].astype(object), word=frame["word"].astype(object), flag=frame["flag"].astype(object))


WAYS = {
    "arrow table": lambda t: t,
    "arrow table of many chunks": lambda t: pa.concat_tables([t.slice(i, 33) for i in range(0, t.num_rows, 33)]),
    "record batch": lambda t: t.combine_chunks().to_batches()[0],
    "record batch reader": lambda t: t.to_reader(max_chunksize=77),
    "only a stream": OnlyAStream,
    "stream of small batches": lambda t: OnlyAStream(pa.concat_tables([t.slice(i, 13) for i in range(0, t.num_rows, 13)])),
    "pandas": lambda t: t.to_pandas(),
    "pandas with another index": lambda t: t.to_pandas().set_index(pd.Index(np.arange(t.num_rows)[::-1], name="back")),
    "pandas with repeated index": lambda t: t.to_pandas().set_index(pd.Index(["same"] * t.num_rows)),
    "pandas categorical": lambda t: categorical(t.to_pandas()),
    "pandas nullable": lambda t: nullable(t.to_pandas()),
    "pandas objects": lambda t: objects(t.to_pandas()),
    "pandas on arrow": lambda t: t.to_pandas(types_mapper=pd.ArrowDtype),
    "polars": pl.from_arrow,
    "polars categorical": lambda t: pl.from_arrow(t).with_columns(pl.col("word").cast(pl.Categorical)),
    "polars of many chunks": lambda t: pl.concat(
        [pl.from_arrow(t.slice(i, 100)) for i in range(0, t.num_rows, 100)], rechunk=False
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_library_gives_the_model_of_the_arrow_table(way, table, expected):
    assert_same_model(fit(WAYS[way](table), drop=("id",)), expected)


def arrays(X, y, **settings):
    config = TrainConfig.from_mapping({"target": "y", **settings})
    return run(open_source(X, read_options(config), y), config)


@pytest.mark.parametrize("kind", ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", ">f8", ">i4"])
def test_arrays_of_every_type_and_order_give_the_model_of_a_table(kind):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 100, (300, 3))
    y = X @ [1.0, 2.0, 3.0] + rng.normal(size=300)
    expected = fit(pa.table({"x0": X[:, 0].astype(float), "x1": X[:, 1].astype(float), "x2": X[:, 2].astype(float), "y": y}))
    for stored in (
        np.ascontiguousarray(X.astype(kind)),
        np.asfortranarray(X.astype(kind)),
        np.repeat(X, 2, axis=0)[::2].astype(kind),
    ):
        assert_same_model(arrays(stored, y), expected)


def test_a_vector_is_one_column_and_a_column_of_targets_is_a_vector():
    x = np.arange(100.0)
    y = 2 * x + np.sin(x)
    expected = arrays(x[:, None], y)
    assert_same_model(arrays(x, y), expected)
    assert_same_model(arrays(x, y[:, None]), expected)
    assert_same_model(arrays(x, y.tolist()), expected)
    assert_same_model(arrays(x, pd.Series(y, index=np.arange(100)[::-1])), expected)


def test_nan_in_an_array_is_missing():
    x = np.arange(200.0)
    x[::7] = np.nan
    y = np.arange(200.0) + np.sin(np.arange(200.0))
    y[3] = np.nan
    model = arrays(x, y)
    assert set(model.coefficients) == {"x0", "x0=(missing)"}
    assert model.result["rows"]["dropped"] == 1


def test_a_target_array_goes_beside_a_table_too():
    table = simple()
    X, y = table.drop_columns(["y"]), table["y"].to_numpy()
    expected = fit(table)
    for data in (X, X.to_pandas(), pl.from_arrow(X), X.to_reader(), OnlyAStream(X)):
        assert_same_model(arrays(data, y), expected)


def test_an_array_of_booleans_is_zero_and_one():
    flags = np.random.default_rng(0).random((200, 2)) < 0.5
    y = flags @ [1.0, 2.0] + np.sin(np.arange(200))
    model = arrays(flags, y)
    assert set(model.coefficients) == {"x0", "x1"}


@pytest.mark.parametrize(
    ("X", "y", "says"),
    [
        (np.zeros((3, 2, 2)), np.zeros(3), r"shape \(3, 2, 2\) is not a table"),
        (np.zeros((3, 2)), np.zeros(4), r"the target has shape \(4,\), the data have 3 rows"),
        (np.zeros((3, 2)), np.zeros((2, 3)), r"the target has shape \(2, 3\), the data have 3 rows"),
        (np.zeros((3, 2)), np.zeros((3, 0)), r"the target has shape \(3, 0\), the data have 3 rows"),
        (np.zeros((3, 2)), np.zeros((3, 1, 1)), r"the target has shape \(3, 1, 1\), the data have 3 rows"),
        (np.zeros((3, 2), dtype=complex), np.zeros(3), "complex128"),
        (np.zeros((3, 2), dtype=[("a", "f8")]), np.zeros(3), "'x0'.*is no column of a table"),
        (np.array([["a", 1], [2, "b"], [3, 4]], dtype=object), np.zeros(3), "'x0' is an array of object"),
        (np.zeros((3, 2)), np.zeros(3, dtype=complex), "'y' is an array of complex128"),
    ],
    ids=["3d", "length", "rows of targets", "no target", "3d target", "complex", "records", "mixed", "target"],
)
def test_arrays_that_are_no_table_are_refused_with_their_shape(X, y, says):
    with pytest.raises(SourceError, match=says):
        open_source(X, None, y)


def test_an_array_of_objects_is_what_its_columns_hold():
    """The type is that of all rows: a block may hold only nulls."""
    X = np.array([[None if i < 5 else "ab"[i % 2], i % 7] for i in range(100)], dtype=object)
    source = open_source(X, None, np.arange(100.0))
    assert [str(field.type) for field in source.schema] == ["string", "int64", "double"]
    model = arrays(X, np.arange(100.0) % 7 + np.arange(100.0) % 2)
    assert {"x0=a", "x0=(missing)", "x1"} == set(model.coefficients)  # b is as frequent or more, and the reference


@pytest.mark.parametrize(
    "thing", [42, {"a": [1]}, [[1, 2], [3, 4]], None, object()], ids=["int", "dict", "list", "none", "object"]
)
def test_what_is_no_table_is_refused_by_its_type(thing):
    with pytest.raises(SourceError, match=type(thing).__name__):
        open_source(thing)


def test_pandas_columns_that_are_not_text_are_refused_with_the_way_to_rename_them():
    with pytest.raises(SourceError, match=r"astype\(str\)"):
        open_source(pd.DataFrame(np.zeros((3, 2))))


def test_two_columns_of_one_name_are_refused():
    frame = pd.DataFrame(np.zeros((3, 3)), columns=["a", "b", "a"])
    batch = pa.RecordBatch.from_arrays([pa.array([1])] * 3, names=["a", "b", "a"])
    for data in (frame, pa.Table.from_batches([batch]), batch, OnlyAStream(pa.Table.from_batches([batch]))):
        with pytest.raises(SourceError, match=r"columns 1 and 3 are both named 'a'"):
            open_source(data)


def test_an_object_column_of_mixed_things_is_refused_by_name():
    frame = pd.DataFrame({"x": [1, "a", 2.5, None], "y": [1.0, 2, 3, 4]})
    with pytest.raises(SourceError, match="DataFrame cannot be read as a table"):
        open_source(frame)


def test_a_name_that_is_taken_cannot_be_the_targets():
    with pytest.raises(UsageError, match="'y' already"):
        open_source(simple(), None, np.zeros(300), "y")


def test_a_stream_can_be_read_once_only():
    source = open_source(simple().to_reader())
    list(source.blocks(["y"]))
    with pytest.raises(UsageError, match="cannot be read again"):
        list(source.blocks(["y"]))


def test_a_stream_is_recorded_as_not_repeatable_unless_keyed():
    table = mixed()
    assert not fit(table.to_reader(), drop=("id",)).result["repeatable"]
    assert fit(table.to_reader(), key="id").result["repeatable"]
    assert fit(table, drop=("id",)).result["repeatable"]


def test_the_error_of_a_stream_that_fails_half_way_is_passed_on():
    def batches():
        yield from simple().to_batches()
        raise ValueError("the connection was lost")

    with pytest.raises(ValueError, match="the connection was lost"):
        fit(pa.RecordBatchReader.from_batches(simple().schema, batches()))


def test_no_input_is_changed(table):
    frame, polars = table.to_pandas(), pl.from_arrow(table)
    before, polars_before = frame.copy(deep=True), polars.clone()
    X, y = np.arange(300.0).reshape(100, 3) ** 1.1, np.sin(np.arange(100.0))
    X_before, y_before = X.copy(), y.copy()
    fit(frame, drop=("id",))
    fit(polars, drop=("id",))
    arrays(X, y)
    pd.testing.assert_frame_equal(frame, before)
    assert polars.equals(polars_before)
    assert np.array_equal(X, X_before)
    assert np.array_equal(y, y_before)


def test_read_only_arrays_can_be_trained_on():
    X, y = np.random.default_rng(0).normal(size=(100, 2)), np.sin(np.arange(100.0))
    X.flags.writeable = y.flags.writeable = False
    assert arrays(X, y).result["rows"]["read"] == 100


# ------------------------------------------------------------------------------------------------------------ blocks


@given(st.lists(st.integers(0, 40), max_size=12), st.integers(1, 50))
def test_rechunking_keeps_the_rows_and_makes_blocks_of_one_size(sizes, rows):
    total = sum(sizes)
    whole = pa.table({"i": np.arange(total)})
    edges = np.concatenate([[0], np.cumsum(sizes)])
    schema = whole.schema
    batches = [
        pa.RecordBatch.from_arrays([whole["i"].slice(a, b - a).combine_chunks()], schema=schema) for a, b in pairwise(edges)
    ]
    tables = list(rechunked(batches, rows))
    assert [t.num_rows for t in tables] == [rows] * (total // rows) + ([total % rows] if total % rows else [])
    assert [i for t in tables for i in t["i"].to_pylist()] == list(range(total))


@given(st.integers(0, 1_000_000))
def test_a_block_has_at_most_four_million_values_or_sixteen_thousand_rows(columns):
    rows = block_rows(columns)
    assert rows & (rows - 1) == 0
    assert rows * columns <= 1 << 22 or rows <= 1 << 14
    assert rows * columns <= 1 << 25 or rows == 1024
    assert 1024 <= rows <= 1 << 18


def test_a_block_of_many_columns_has_rows_enough_for_its_matrix():
    assert [block_rows(q) for q in (1, 16, 32, 33, 512, 1_000, 4_000, 5_001, 20_000, 40_000)] == [
        *(1 << 18, 1 << 18, 1 << 17, 1 << 16),
        *(1 << 14, 1 << 14, 1 << 13),
        *(1 << 12, 1 << 10, 1 << 10),
    ]


@pytest.mark.parametrize("size", [1, 7, 64, 130, 1000])
def test_borders_of_blocks_do_not_depend_on_how_batches_came(size, monkeypatch):
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 64)
    table = simple(300)
    borders = [(0, 0, 64), (0, 64, 64), (0, 128, 64), (0, 192, 64), (0, 256, 44)]
    chunked = pa.concat_tables([table.slice(i, size) for i in range(0, 300, size)])
    X = np.arange(600.0).reshape(300, 2)
    for data in (chunked, chunked.to_reader(max_chunksize=size), OnlyAStream(chunked), pl.from_arrow(chunked)):
        blocks = list(open_source(data).blocks(["y", "x0"]))
        assert [(b.file, b.first_row, b.load().num_rows) for b in blocks] == borders
        assert pa.concat_tables([pa.table(b.load()) for b in blocks])["y"].to_pylist() == table["y"].to_pylist()
    assert [(b.file, b.first_row, b.load().num_rows) for b in open_source(X).blocks(["x1"])] == borders


def test_small_blocks_give_the_model_of_one_block(table, expected, monkeypatch):
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 64)
    assert_same_model(fit(table, drop=("id",)), expected, OTHER_BLOCKS)


def test_the_same_blocks_give_the_same_bits_however_the_rows_came(table, monkeypatch):
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 64)
    a, b = fit(table, drop=("id",), threads=1), fit(table.to_reader(max_chunksize=19), drop=("id",), threads=3)
    assert a.coefficients == b.coefficients
    assert a.intercept == b.intercept


WHOLE_KEYS = (pa.int16(), pa.uint32(), pa.int64(), pa.float32(), pa.float64(), pa.decimal128(30, 2))
INSTANT_KEYS = (pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("ns"))
TEXT_KEYS = (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string()))


@pytest.mark.parametrize(
    ("values", "kinds"),
    [(np.arange(300), WHOLE_KEYS), (np.arange(300) * 86_461, INSTANT_KEYS), (np.arange(300), TEXT_KEYS)],
    ids=["whole numbers", "instants", "texts"],
)
def test_a_key_gives_its_row_the_same_role_whatever_its_storage_type(values, kinds):
    table = simple()
    models = []
    for kind in kinds:
        if pa.types.is_decimal(kind):
            keys = pa.array([Decimal(int(v)) for v in values], kind)
        elif kinds is TEXT_KEYS:
            keys = pa.array([f"k{v}" for v in values])
            keys = keys.dictionary_encode() if pa.types.is_dictionary(kind) else keys.cast(kind)
        elif kinds is INSTANT_KEYS:
            keys = pa.array(values).cast(pa.timestamp("s")).cast(kind)
        else:
            keys = pa.array(values).cast(kind)
        models.append((kind, fit(table.append_column("k", keys), key="k").sampled.roles.tolist()))
    differing = [str(kind) for kind, roles in models if roles != models[0][1]]
    assert differing == []


@pytest.mark.parametrize("flag", ["key", "group", "time", "weight"])
@pytest.mark.parametrize("values", [[[1]] * 300, [{"a": 1}] * 300], ids=["list", "struct"])
def test_a_nested_column_cannot_decide_roles_or_weights(flag, values):
    with pytest.raises(InputError, match="'k'"):
        fit(simple().append_column("k", pa.array(values)), **{flag: "k"})


def test_texts_can_be_declared_to_be_times_of_day():
    rng = np.random.default_rng(0)
    second = rng.integers(0, 86_400, 300)
    y = second / 1e3 + rng.normal(size=300)
    texts = [f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in second.tolist()]
    expected = fit(pa.table({"t": second.astype(float), "y": y}))
    assert_same_model(fit(pa.table({"t": texts, "y": y}), types={"t": "time"}), expected)

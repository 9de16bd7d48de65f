"""Parquet: one file, globs, folders, Hive partitions; every storage type."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from gradline.errors import SourceError
from gradline.inputs.opening import open_source
from tables import OTHER_BLOCKS, assert_same_model, fit, mixed, simple, write_csv, write_parquet


@pytest.fixture(scope="module")
def table():
    return mixed()


@pytest.fixture(scope="module")
def expected(table):
    return fit(table, key="id")


def read(source, columns=None):
    return pa.concat_tables([pa.table(block.load()) for block in source.blocks(columns or source.schema.names)])


def test_one_file_gives_the_model_of_the_table(table, tmp_path):
    path = write_parquet(table, tmp_path / "t.parquet")
    assert_same_model(fit(path, drop=("id",)), fit(table, drop=("id",)))


def test_folder_glob_and_list_give_the_model_of_one_file_when_keyed(table, expected, tmp_path):
    folder = tmp_path / "parts"
    paths = [write_parquet(table.slice(i * 125, 125), folder / f"{i}.parquet") for i in range(4)]
    (folder / "_SUCCESS").write_text("")
    (folder / "readme.md").write_text("")
    for data in (folder, str(folder / "*.parquet"), paths, [str(p) for p in paths]):
        assert_same_model(fit(data, key="id"), expected, OTHER_BLOCKS)


def test_a_glob_reaches_into_folders(table, expected, tmp_path):
    write_parquet(table.slice(0, 250), tmp_path / "a" / "1.parquet")
    write_parquet(table.slice(250), tmp_path / "b" / "c" / "2.parquet")
    assert_same_model(fit(str(tmp_path / "**" / "*.parquet"), key="id"), expected, OTHER_BLOCKS)
    assert_same_model(fit(tmp_path, key="id"), expected, OTHER_BLOCKS)


def test_hive_partitions_are_columns(table, tmp_path):
    known = table.filter(pc.is_valid(table["few"]))
    word = [("year", "2023"), ("year", "2024")]
    whole = []
    for i, (key, value) in enumerate(word):
        part = known.slice(i * 200, 200)
        write_parquet(part, tmp_path / f"{key}={value}" / "region=north%20west" / "p.parquet")
        whole.append(
            part.append_column("year", pa.array([int(value)] * 200)).append_column("region", pa.array(["north west"] * 200))
        )
    source = open_source(tmp_path)
    assert source.schema.field("year").type == pa.int64()
    assert source.schema.field("region").type == pa.string()
    assert_same_model(fit(tmp_path, key="id"), fit(pa.concat_tables(whole), key="id"), OTHER_BLOCKS)


def test_a_hive_null_is_null_and_a_partition_alone_can_be_read(tmp_path):
    write_parquet(pa.table({"x": [1.0, 2.0]}), tmp_path / "k=a" / "p.parquet")
    write_parquet(pa.table({"x": [3.0]}), tmp_path / "k=__HIVE_DEFAULT_PARTITION__" / "p.parquet")
    source = open_source(tmp_path)
    assert read(source)["k"].to_pylist() == [None, "a", "a"]
    assert read(source, ["k"])["k"].to_pylist() == [None, "a", "a"]


def test_files_may_have_other_orders_and_widths_of_columns(tmp_path):
    table = pa.table({"x": pa.array([1, 2, 3, 4], pa.int32()), "y": [1.0, 2.0, 3.0, 4.5]})
    write_parquet(table.slice(0, 2), tmp_path / "a.parquet")
    other = table.slice(2).select(["y", "x"]).set_column(1, "x", table["x"].slice(2).cast(pa.float64()))
    write_parquet(other, tmp_path / "b.parquet")
    source = open_source(tmp_path)
    values = [block.load().select(["y", "x"]).to_pydict() for block in source.blocks(["y", "x"])]
    assert values == [{"y": [1.0, 2.0], "x": [1, 2]}, {"y": [3.0, 4.5], "x": [3.0, 4.0]}]


def test_files_of_two_widths_can_be_trained_on(tmp_path):
    table = simple(200)
    write_parquet(table.slice(0, 100), tmp_path / "a.parquet")
    narrow = table.slice(100).set_column(0, "x0", table["x0"].slice(100).cast(pa.float32()))
    write_parquet(narrow, tmp_path / "b.parquet")
    assert fit(tmp_path).result["rows"]["read"] == 200


def test_a_missing_column_in_one_file_is_refused_by_name(tmp_path):
    write_parquet(pa.table({"x": [1.0], "y": [1.0]}), tmp_path / "a.parquet")
    write_parquet(pa.table({"y": [1.0]}), tmp_path / "b.parquet")
    with pytest.raises(SourceError, match=r"b\.parquet has no column 'x', which .*a\.parquet has"):
        open_source(tmp_path)


def test_another_type_in_one_file_is_refused_by_name(tmp_path):
    write_parquet(pa.table({"x": [1.0]}), tmp_path / "a.parquet")
    write_parquet(pa.table({"x": ["1"]}), tmp_path / "b.parquet")
    with pytest.raises(SourceError, match=r"column 'x' is double in .*a\.parquet and string in .*b\.parquet"):
        open_source(tmp_path)


def test_a_partition_that_is_also_a_column_is_refused(tmp_path):
    write_parquet(pa.table({"year": [1.0]}), tmp_path / "year=2024" / "a.parquet")
    with pytest.raises(SourceError, match="both named 'year'"):
        open_source(tmp_path)


def test_formats_cannot_be_mixed(tmp_path):
    write_parquet(simple(), tmp_path / "a.parquet")
    write_csv(simple(), tmp_path / "b.csv")
    with pytest.raises(SourceError, match="several formats: csv, parquet"):
        open_source(tmp_path)


def test_a_cut_or_damaged_file_is_refused_by_name(tmp_path):
    path = write_parquet(mixed(5_000), tmp_path / "t.parquet", row_group_size=1000)
    whole = path.read_bytes()
    for data in (whole[: len(whole) // 2], whole[:4], b"", b"not parquet at all", whole[:-9] + b"\0" * 9):
        path.write_bytes(data)
        with pytest.raises(SourceError, match=r"t\.parquet cannot be read as Parquet"):
            fit(path)


def test_damage_inside_a_page_is_refused_or_read_but_never_a_crash(tmp_path):
    path = write_parquet(simple(2_000), tmp_path / "t.parquet", write_page_checksum=True, compression="snappy")
    whole = bytearray(path.read_bytes())
    for at in range(10, len(whole) - 2_000, len(whole) // 12):
        damaged = bytearray(whole)
        damaged[at : at + 40] = bytes(b ^ 0xFF for b in damaged[at : at + 40])
        path.write_bytes(damaged)
        try:
            fit(path)
        except SourceError as error:
            assert "t.parquet" in str(error)  # noqa: PT017


def test_a_second_read_gives_the_same_rows(tmp_path):
    source = open_source(write_parquet(mixed().drop_columns(["ratio"]), tmp_path / "t.parquet"))
    assert read(source).equals(read(source))


def test_units_in_the_metadata_of_a_field_become_the_columns_units(tmp_path):
    schema = pa.schema(
        [pa.field("d", pa.float64(), metadata={"unit": "miles"}), pa.field("y", pa.float64(), metadata={"unit": "minutes"})]
    )
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    path = write_parquet(pa.table([x, 2 * x + rng.normal(size=200)], schema=schema), tmp_path / "t.parquet")
    model = fit(path)
    assert (model.contract.columns["d"].unit, model.contract.target_unit) == ("miles", "minutes")


WHOLE = np.tile(np.arange(100), 4)


def stored_as(kind, values):
    """Whole numbers in any numeric type."""
    if pa.types.is_decimal(kind):
        return pa.array([Decimal(int(v)) for v in values], kind)
    return pa.array(values.astype(np.float64)).cast(kind)


@pytest.mark.parametrize(
    "kind",
    [
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
        *(pa.float16(), pa.float32(), pa.decimal128(10, 2), pa.decimal128(38, 20), pa.decimal256(50, 4)),
    ],
    ids=str,
)
def test_every_number_type_gives_the_model_of_float64(kind, tmp_path):
    y = 0.25 * WHOLE + np.random.default_rng(0).normal(size=400)
    expected = fit(pa.table({"x": WHOLE.astype(float), "y": y}))
    table = pa.table({"x": stored_as(kind, WHOLE), "y": y})
    assert_same_model(fit(table), expected)
    assert_same_model(fit(write_parquet(table, tmp_path / "t.parquet")), expected)


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float16(), pa.float32(), pa.decimal128(12, 3)], ids=str
)
def test_every_signed_type_keeps_its_sign_as_feature_and_as_target(kind):
    values = stored_as(kind, WHOLE - 50)
    noise = np.random.default_rng(0).normal(size=400)
    assert_same_model(fit(pa.table({"x": values, "y": WHOLE + noise})), fit(pa.table({"x": (WHOLE - 50.0), "y": WHOLE + noise})))
    assert_same_model(fit(pa.table({"x": WHOLE + noise, "y": values})), fit(pa.table({"x": WHOLE + noise, "y": WHOLE - 50.0})))


TEXTS = pa.array(["a", "b", None, "c"] * 100)


@pytest.mark.parametrize(
    "kind",
    [
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.dictionary(pa.uint16(), pa.large_string()),
        pa.dictionary(pa.int32(), pa.string(), ordered=True),
    ],
    ids=str,
)
def test_every_text_type_gives_the_model_of_strings(kind):
    y = WHOLE + np.random.default_rng(1).normal(size=400)
    text = TEXTS.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else TEXTS.cast(kind)
    assert_same_model(fit(pa.table({"c": text, "y": y})), fit(pa.table({"c": TEXTS, "y": y})))


def test_a_dictionary_of_whole_numbers_is_a_category():
    y = WHOLE + np.random.default_rng(1).normal(size=400)
    codes = pa.array([10, 2, None, 7] * 100).dictionary_encode()
    model = fit(pa.table({"c": codes, "y": y}))
    assert set(model.coefficients) == {"c=2", "c=7", "c=10", "c=(missing)"} - {f"c={model.result['references']['c']}"}


def test_dictionaries_that_differ_by_block_are_the_same_categories():
    y = pa.chunked_array([np.arange(200.0), np.arange(200.0) ** 1.1])
    a = pa.array(["a", "b"] * 100).dictionary_encode()
    b = pa.array(["b", "c"] * 100).dictionary_encode()
    table = pa.table({"c": pa.chunked_array([a, b]), "y": y})
    plain = pa.table({"c": pa.chunked_array([a.cast(pa.string()), b.cast(pa.string())]), "y": y})
    assert_same_model(fit(table), fit(plain))


def test_booleans_are_zero_and_one():
    y = WHOLE + np.random.default_rng(1).normal(size=400)
    flags = pa.array(WHOLE % 3 == 0)
    assert_same_model(fit(pa.table({"f": flags, "y": y})), fit(pa.table({"f": (WHOLE % 3 == 0).astype(float), "y": y})))


SECONDS = np.random.default_rng(2).integers(0, 400 * 86_400, 400) + 1_600_000_000


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York", "+05:30"])
def test_timestamps_of_every_unit_and_zone_are_the_same_instants(unit, zone, tmp_path):
    y = SECONDS / 1e6 + np.random.default_rng(3).normal(size=400)
    plain = pa.array(SECONDS).cast(pa.timestamp("s"))
    stored = pa.array(SECONDS).cast(pa.timestamp("s")).cast(pa.timestamp(unit)).cast(pa.int64()).cast(pa.timestamp(unit, zone))
    expected = fit(pa.table({"t": plain, "y": y}))
    assert "t.hour=3" in expected.coefficients
    assert_same_model(fit(pa.table({"t": stored, "y": y})), expected)
    assert_same_model(fit(write_parquet(pa.table({"t": stored, "y": y}), tmp_path / "t.parquet")), expected)


def test_dates_of_both_types_are_the_same_days():
    y = SECONDS / 1e6 + np.random.default_rng(3).normal(size=400)
    day = pa.array((SECONDS // 86_400).astype(np.int32)).cast(pa.date32())
    assert_same_model(fit(pa.table({"d": day.cast(pa.date64()), "y": y})), fit(pa.table({"d": day, "y": y})))


@pytest.mark.parametrize("kind", [pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")], ids=str)
def test_times_of_day_are_seconds(kind):
    second = SECONDS % 86_400
    y = second / 1e3 + np.random.default_rng(3).normal(size=400)
    times = pa.array(second.astype(np.int32)).cast(pa.time32("s")).cast(kind)
    assert_same_model(fit(pa.table({"t": times, "y": y})), fit(pa.table({"t": second.astype(float), "y": y})))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_durations_are_seconds_as_feature_and_as_target(unit):
    second = SECONDS % 86_400
    noise = np.random.default_rng(3).normal(size=400)
    spans = pa.array(second).cast(pa.duration("s")).cast(pa.duration(unit))
    assert_same_model(
        fit(pa.table({"t": spans, "y": second + noise})), fit(pa.table({"t": second.astype(float), "y": second + noise}))
    )
    assert_same_model(
        fit(pa.table({"x": second + noise, "y": spans})), fit(pa.table({"x": second + noise, "y": second.astype(float)}))
    )


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[1, 2]] * 400),
        pa.array([{"a": 1}] * 400),
        pa.array([b"x"] * 400),
        pa.array([[("k", 1)]] * 400, pa.map_(pa.string(), pa.int64())),
    ],
    ids=["list", "struct", "binary", "map"],
)
def test_nested_and_binary_columns_are_left_out_with_a_notice(values, tmp_path):
    table = pa.table({"x": WHOLE.astype(float), "odd": values, "y": WHOLE + np.random.default_rng(3).normal(size=400)})
    for data in (table, write_parquet(table, tmp_path / "t.parquet")):
        model = fit(data)
        assert list(model.coefficients) == ["x"]
        assert [n.column for n in model.notices if n.code == "left_out_type"] == ["odd"]


def test_nan_and_null_are_both_missing():
    x = np.where(WHOLE % 5 == 0, np.nan, WHOLE.astype(float))
    y = WHOLE + np.random.default_rng(3).normal(size=400)
    null = pa.array(x, from_pandas=True)
    assert null.null_count
    assert pa.array(x).null_count == 0
    assert_same_model(fit(pa.table({"x": x, "y": y})), fit(pa.table({"x": null, "y": y})))


def test_a_missing_target_is_dropped_whether_nan_or_null():
    y = np.where(WHOLE % 5 == 0, np.nan, WHOLE + np.random.default_rng(3).normal(size=400))
    nan, null = fit(pa.table({"x": WHOLE, "y": y})), fit(pa.table({"x": WHOLE, "y": pa.array(y, from_pandas=True)}))
    assert nan.result["rows"]["dropped"] == 80
    assert_same_model(nan, null)


def test_a_file_without_row_groups_has_no_rows(tmp_path):
    path = tmp_path / "t.parquet"
    pq.ParquetWriter(path, pa.schema([("x", pa.float64()), ("y", pa.float64())])).close()
    assert list(open_source(path).blocks(["x", "y"])) == []


def test_spaces_brackets_and_quotes_in_paths_are_no_trouble(tmp_path):
    for name in ("a b.parquet", "a[1].parquet", "it's.parquet", "größe.parquet", "*.parquet"):
        path = write_parquet(simple(), tmp_path / "odd [dir]" / name)
        assert fit(path).result["rows"]["read"] == 300
        path.unlink()

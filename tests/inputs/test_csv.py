"""CSV in every dialect is the same table."""

import numpy as np
import pyarrow as pa
import pytest

from gradline.arrays import as_numpy
from gradline.errors import SourceError
from gradline.inputs.csv import CsvSource
from gradline.inputs.opening import open_source
from gradline.inputs.source import ReadOptions
from tables import assert_same_model, csv_text, fit, mixed, simple, write_csv


@pytest.fixture(scope="module")
def table():
    return mixed()


@pytest.fixture(scope="module")
def expected(table):
    return fit(table, drop=("id",))


def opened(path, **options):
    return open_source(path, ReadOptions(**options))


def read(source, columns=None):
    columns = columns or source.schema.names
    return pa.concat_tables([pa.table(block.load()) for block in source.blocks(columns)])


DIALECTS = {
    "comma": ("t.csv", {}),
    "semicolon": ("t.csv", {"delimiter": ";"}),
    "semicolon and decimal comma": ("t.csv", {"delimiter": ";", "decimal": ","}),
    "tab": ("t.tsv", {"delimiter": "\t"}),
    "bar": ("t.txt", {"delimiter": "|"}),
    "tab and decimal comma": ("t.tsv", {"delimiter": "\t", "decimal": ","}),
    "comma and quoted decimal comma": ("t.csv", {"decimal": ","}),
    "all fields quoted": ("t.csv", {"quote_all": True}),
    "crlf": ("t.csv", {"newline": "\r\n"}),
    "byte order mark": ("t.csv", {"bom": True}),
    "gz": ("t.csv.gz", {}),
    "zst": ("t.csv.zst", {}),
    "upper case suffix": ("T.CSV", {}),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_gives_the_model_of_the_arrow_table(dialect, table, expected, tmp_path):
    name, how = DIALECTS[dialect]
    assert_same_model(fit(write_csv(table, tmp_path / name, **how), drop=("id",)), expected)


def test_without_a_header_the_columns_are_numbered_and_the_model_is_the_same(table, tmp_path):
    path = write_csv(table, tmp_path / "t.csv", header=False)
    numbered = table.rename_columns([f"column{i}" for i in range(table.num_columns)])
    assert_same_model(fit(path, f"column{table.num_columns - 1}"), fit(numbered, f"column{table.num_columns - 1}"))


def test_a_text_header_is_data_where_the_user_says_so(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3,4\n")
    assert opened(path, header=False).schema.names == ["column0", "column1"]
    assert opened(path, header=True).schema.names == ["a", "b"]
    assert opened(path).schema.names == ["a", "b"]


def test_a_header_of_years_is_a_header_where_a_name_is_asked_for(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("2023,2024\n1,2\n3,4\n")
    assert opened(path, expected=frozenset({"2024"})).schema.names == ["2023", "2024"]
    assert opened(path).schema.names == ["column0", "column1"]


def test_a_last_line_without_a_newline_is_read(table, expected, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(csv_text(table).rstrip("\n").encode())
    assert_same_model(fit(path, drop=("id",)), expected)


def test_whole_numbers_may_have_a_fraction_after_30_000_rows(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 100, 31_000).astype(float)
    x[30_500] = 41.5
    y = 2 * x + rng.normal(size=len(x))
    path = tmp_path / "late.csv"
    path.write_text(
        "x,y\n" + "".join(f"{a if a != int(a) else int(a)},{b!r}\n" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    )
    assert read(opened(path))["x"].to_pylist()[30_500] == 41.5
    assert_same_model(fit(path), fit(pa.table({"x": x, "y": y})))


def test_text_after_50_000_numbers_is_an_error_that_names_line_column_and_value(tmp_path):
    path = tmp_path / "late.csv"
    rows = [f"{i % 97},{i % 89}.5" for i in range(60_000)]
    rows[50_000] = "unknown,3.5"
    path.write_text("x,y\n" + "\n".join(rows) + "\n")
    with pytest.raises(SourceError, match=r"line 50,002: column 'x' is number so far, but here stands 'unknown'.*--types x=text"):
        fit(path)


def test_declared_text_keeps_the_zeros_of_a_zip_code(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("zip,y\n01234,1\n00001,2\n")
    assert read(opened(path, kinds={"zip": "text"}))["zip"].to_pylist() == ["01234", "00001"]
    assert read(opened(path))["zip"].to_pylist() == [1234.0, 1.0]


@pytest.mark.parametrize("word", ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "#N/A"])
def test_the_usual_words_for_nothing_are_null_in_numbers_and_in_text(word, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(f"x,c\n1,a\n{word},{word}\n2.5,b\n")
    table = read(opened(path))
    assert table["x"].to_pylist() == [1.0, None, 2.5]
    assert table["c"].to_pylist() == ["a", None, "b"]


def test_types_are_found_and_are_as_wide_as_all_files_need(tmp_path):
    (tmp_path / "1.csv").write_text("n,b,d,t,h,s\n1,true,2024-01-01,2024-01-01 10:00:00,10:00:00,a\n")
    types = {field.name: str(field.type) for field in opened(tmp_path / "1.csv").schema}
    assert types == {"n": "double", "b": "bool", "d": "date32[day]", "t": "timestamp[us]", "h": "time64[us]", "s": "string"}
    (tmp_path / "2.csv").write_text("n,b,d,t,h,s\nx,true,2024-01-01,2024-01-01 10:00:00,10:00:00,a\n")
    assert str(opened(tmp_path).schema.field("n").type) == "string"


def test_files_of_a_folder_may_have_other_orders_of_columns(tmp_path):
    table = simple(400)
    folder = tmp_path / "parts"
    folder.mkdir()
    write_csv(table.slice(0, 150), folder / "a.csv")
    write_csv(table.slice(150, 100).select(["y", "c", "x1", "x0"]), folder / "b.csv", delimiter=";", bom=True)
    write_csv(table.slice(250).select(["c", "x0", "y", "x1"]), folder / "c.csv.gz")
    (folder / ".hidden.csv").write_text("not,the,same\n")
    (folder / "_log.csv").write_text("not,the,same\n")
    assert read(open_source(folder)).equals(table.cast(read(open_source(folder)).schema))


def test_row_numbers_continue_within_a_file_and_start_again_in_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 64)
    table = simple(300)
    write_csv(table.slice(0, 200), tmp_path / "a.csv")
    write_csv(table.slice(200), tmp_path / "b.csv")
    blocks = [(b.file, b.first_row, b.load().num_rows) for b in open_source(tmp_path).blocks(["x0"])]
    assert blocks == [(0, 0, 64), (0, 64, 64), (0, 128, 64), (0, 192, 8), (1, 0, 64), (1, 64, 36)]


def test_columns_come_in_the_order_asked_for(tmp_path):
    source = open_source(write_csv(simple(), tmp_path / "t.csv"))
    for columns in (["y", "x0"], ["c"], ["x1", "c", "y", "x0"]):
        assert read(source, columns).column_names == columns


def test_a_line_with_too_many_fields_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n1,2\n3,4,5\n6,7\n")
    with pytest.raises(SourceError, match=r"line 3: 3 fields, expected 2 \('3,4,5'\)"):
        fit(path)


def test_a_line_with_too_few_fields_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,z,y\n1,2,3\n3,4\n6,7,8\n")
    with pytest.raises(SourceError, match=r"line 3: 2 fields, expected 3"):
        fit(path)


def test_a_quote_that_is_not_closed_is_an_error_that_says_so(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('x,y\n1,2\n"3,4\n6,7\n')
    with pytest.raises(SourceError, match="quote"):
        fit(path)


def test_latin_1_is_refused_with_the_way_to_convert_it(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("größe,y\n1,2\n3,4\n".encode("latin-1"))
    with pytest.raises(SourceError, match=r"not UTF-8 text \(byte 2\).*iconv"):
        CsvSource("t", [path], ReadOptions())


def test_latin_1_far_down_is_refused_too(tmp_path):
    path = tmp_path / "t.csv"
    rows = "".join(f"{i % 7},name{i % 5},{i % 11}\n" for i in range(60_000))
    path.write_bytes(f"x,c,y\n{rows}".encode() + "1,größe,3\n".encode("latin-1") + b"2,a,4\n")
    with pytest.raises(SourceError, match=r"(?i)utf-?8|unicode"):
        fit(path)


def test_a_character_on_the_border_of_the_sample_is_not_taken_for_bad_encoding(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("x,c,y\n" + "1,ééé,2\n2,ü,3\n" * 40, encoding="utf-8")
    for size in range(30, 60):
        monkeypatch.setattr("gradline.inputs.source.HEAD_BYTES", size)
        assert opened(path).schema.names == ["x", "c", "y"]


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_damaged_compressed_file_is_an_error(suffix, tmp_path):
    path = write_csv(simple(2000), tmp_path / f"t.csv.{suffix}")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"t\.csv"):
        fit(path)
    path.write_bytes(b"x,y\n1,2\n3,4\n")
    with pytest.raises(SourceError, match=r"t\.csv"):
        fit(path)


def test_mixed_decimal_marks_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a;b;y\n1,5;2.5;1\n2,5;3.5;2\n")
    with pytest.raises(SourceError, match=r"mixes decimal marks: 'a' has decimal commas and 'b' decimal points"):
        opened(path)


def test_two_columns_of_one_name_are_refused_by_their_places(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,a\n1,2,3\n")
    with pytest.raises(SourceError, match=r"columns 1 and 3 are both named 'a'"):
        opened(path)


def test_a_name_with_a_line_break_does_not_hide_the_delimiter(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('"height\nin cm";weight;y\n1;2;3\n2;4;5\n')
    assert opened(path).schema.names == ["height\nin cm", "weight", "y"]


def test_files_with_other_columns_are_refused_by_name(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("x,z\n1,2\n")
    with pytest.raises(SourceError, match=r"b\.csv and .*a\.csv differ in the columns y, z"):
        open_source(tmp_path)


def test_no_row_is_lost_in_a_file_larger_than_the_sample(tmp_path):
    rows = 40_000
    path = tmp_path / "t.csv"
    path.write_text("x,note,y\n" + "".join(f'{i},"a, ""b""\n{i % 3}",{i / 7!r}\n' for i in range(rows)))
    table = read(opened(path))
    assert table["x"].to_numpy().tolist() == list(range(rows))
    assert table["y"].to_pylist() == [i / 7 for i in range(rows)]
    assert set(table["note"].to_pylist()) == {f'a, "b"\n{i}' for i in range(3)}


@pytest.mark.parametrize("word", ["NA", "None", "#N/A", "nan", ""])
@pytest.mark.parametrize("row", [0, 19_000, 280_000])
def test_a_word_for_null_far_down_a_column_of_numbers_is_null(tmp_path, word, row):
    """Beyond the sample and beyond the first block: the read begins again, and no row comes twice."""
    values = [str(i) for i in range(300_000)]
    values[row] = word
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "\n".join(f"{v},{i}" for i, v in enumerate(values)) + "\n")
    blocks = list(CsvSource("t", [path], ReadOptions()).blocks(["x", "y"]))
    x = np.concatenate([as_numpy(b.load()["x"], null=np.nan) for b in blocks])
    y = np.concatenate([as_numpy(b.load()["y"]) for b in blocks])
    assert np.array_equal(y, np.arange(300_000.0))
    assert np.flatnonzero(np.isnan(x)).tolist() == [row]
    assert [b.first_row for b in blocks] == [0, 1 << 18]

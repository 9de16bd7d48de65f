"""From what the user gives to a source, and the words for what cannot be one."""

from pathlib import Path

import pytest

from gradline.errors import SourceError, UsageError
from gradline.inputs.opening import is_sql, open_source
from tables import simple, write_csv, write_parquet


@pytest.mark.parametrize(
    ("word", "sql"),
    [
        ("select 1", True),
        ("SELECT\n1", True),
        ("from t", True),
        ("with a as (select 1) from a", True),
        ("selected.csv", False),
        ("from.csv", False),
        ("select.parquet", False),
        ("data/with/select.csv", False),
    ],
)
def test_sql_is_told_from_paths(word, sql):
    assert is_sql(word) is sql


def test_a_file_whose_name_reads_like_sql_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_csv(simple(), tmp_path / "select from old.csv")
    assert open_source("select from old.csv").schema.names == ["x0", "x1", "c", "y"]


def test_a_missing_file_is_named_with_the_nearest_one(tmp_path):
    write_csv(simple(), tmp_path / "flights.csv")
    with pytest.raises(SourceError, match=r"there is no file .*flihgts\.csv.*did you mean 'flights\.csv'\?"):
        open_source(tmp_path / "flihgts.csv")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"there is no folder .*nowhere either"):
        open_source(tmp_path / "nowhere" / "a.csv")


def test_a_glob_without_matches_is_named(tmp_path):
    with pytest.raises(SourceError, match=r"no file matches .*\*\.csv"):
        open_source(tmp_path / "*.csv")


def test_a_folder_without_data_is_refused_with_what_could_be_read(tmp_path):
    (tmp_path / "notes.md").write_text("")
    (tmp_path / ".hidden.csv").write_text("a\n1\n")
    with pytest.raises(SourceError, match=r"holds no data file.*\.parquet.*\.csv.*\.ndjson"):
        open_source(tmp_path)


@pytest.mark.parametrize("name", ["book.xlsx", "data.feather", "table", "a.csv.bz2", "model.pkl"])
def test_an_unknown_type_is_refused_with_what_could_be_read(name, tmp_path):
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    with pytest.raises(SourceError, match=r"does not know files of the type .*it reads \.parquet"):
        open_source(tmp_path / name)


def test_no_data_and_a_target_beside_files_are_refused(tmp_path):
    with pytest.raises(UsageError, match="no data given"):
        open_source([])
    with pytest.raises(UsageError, match="target array goes with data in memory"):
        open_source(write_csv(simple(), tmp_path / "t.csv"), None, [1, 2])


def test_files_of_a_glob_come_in_the_order_of_their_names(tmp_path):
    for name in ("b", "a", "c"):
        write_csv(simple(), tmp_path / f"{name}.csv")
    assert [file.name for file in open_source(tmp_path / "*.csv").files] == ["a.csv", "b.csv", "c.csv"]
    assert [file.name for file in open_source([tmp_path / "c.csv", tmp_path / "a.csv"]).files] == ["c.csv", "a.csv"]


def test_files_are_recorded_with_their_sizes(tmp_path):
    path = write_csv(simple(), tmp_path / "t.csv")
    assert [tuple(file) for file in open_source(path).files] == [("t.csv", path.stat().st_size)]


def test_the_number_of_rows_is_known_where_the_file_states_it(tmp_path):
    assert open_source(write_parquet(simple(), tmp_path / "t.parquet")).rows == 300
    assert open_source(write_csv(simple(), tmp_path / "t.csv")).rows is None


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_csv(simple(), tmp_path / "t.csv")
    assert open_source("~/t.csv").schema.names == ["x0", "x1", "c", "y"]
    assert open_source(Path("~/t.csv")).schema.names == ["x0", "x1", "c", "y"]

"""`gradline predict`: rows in their order, with their key and the columns asked for."""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gradline.report.run import write_run
from tables import fit, gradline, gradline_process, leftovers, mixed, predicted, simple, write_csv, write_ndjson, write_parquet


@pytest.fixture(scope="module")
def table():
    return simple().append_column("id", pa.array([f"{i * 7:05d}" for i in range(300)]))


@pytest.fixture(scope="module")
def plain(table):
    return fit(table, features=("x0", "x1", "c"))


@pytest.fixture(scope="module")
def keyed(table):
    return fit(table, key="id")


@pytest.fixture
def folder(plain, keyed, table, tmp_path, monkeypatch):
    """A folder to work in, with two models, `plain` and `keyed`, and data in three formats."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 77)
    plain.save("plain")
    keyed.save("keyed")
    write_csv(table, tmp_path / "t.csv")
    write_parquet(table, tmp_path / "t.parquet", row_group_size=50)
    write_ndjson(table, tmp_path / "t.ndjson")
    return tmp_path


def read(path):
    """A file of predictions as a list of rows."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    with path.open(newline="") as file:
        return list(csv.DictReader(file)) if path.suffix == ".csv" else [json.loads(line) for line in file]


@pytest.mark.parametrize("out", ["p.csv", "p.parquet", "p.ndjson", "p.jsonl"])
@pytest.mark.parametrize("data", ["t.csv", "t.parquet", "t.ndjson"])
def test_predictions_of_every_format_into_every_format_are_those_of_the_model(data, out, folder, plain, table, capsys):
    answer = gradline(capsys, "predict", "plain", data, "--out", out)
    assert answer.code == 0, answer.err
    rows = read(folder / out)
    assert [int(row["row"]) for row in rows] == list(range(300))
    assert [float(row["prediction"]) for row in rows] == predicted(plain, table).tolist()


def test_the_key_of_the_training_stands_beside_each_prediction_as_it_was_written(folder, keyed, table, capsys):
    for data in ("t.csv", "t.parquet", "t.ndjson"):
        assert gradline(capsys, "predict", "keyed", data, "--out", "p.csv").code == 0
        rows = read(folder / "p.csv")
        assert list(rows[0]) == ["id", "prediction", "low", "high"]
        assert [row["id"] for row in rows] == table["id"].to_pylist()
        assert [float(row["prediction"]) for row in rows] == predicted(keyed, table).tolist()


def test_kept_columns_stand_beside_each_prediction_in_the_order_asked_for(folder, table, capsys):
    for data in ("t.csv", "t.parquet"):
        assert gradline(capsys, "predict", "keyed", data, "--out", "p.parquet", "--keep", "y,c", "--keep", "x1").code == 0
        found = pq.read_table("p.parquet")
        assert found.column_names == ["id", "y", "c", "x1", "prediction", "low", "high"]
        assert found["c"].to_pylist() == table["c"].to_pylist()
        assert np.array_equal(found["x1"].to_numpy(), table["x1"].to_numpy())


def test_kept_columns_that_are_no_features_are_written_as_they_were(folder, table, capsys):
    write_csv(table.append_column("zip", pa.array(["01234"] * 300)), folder / "z.csv")
    assert gradline(capsys, "predict", "plain", "z.csv", "--out", "p.csv", "--keep", "zip").code == 0
    assert {row["zip"] for row in read(folder / "p.csv")} == {"01234"}


def test_text_that_needs_quotes_survives(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = mixed()
    fit(rows, drop=("id",)).save("m")
    write_parquet(rows, tmp_path / "t.parquet")
    for out in ("p.csv", "p.ndjson", "p.parquet"):
        answer = gradline(capsys, "predict", "m", "t.parquet", "--out", out, "--keep", "word,day,moment,flag")
        assert answer.code == 0
        words = [row["word"] or None for row in read(tmp_path / out)]
        assert words == rows["word"].to_pylist()


def test_a_kept_column_named_prediction_is_not_overwritten(folder, table, capsys):
    write_parquet(table.append_column("prediction", table["x0"]), folder / "q.parquet")
    assert gradline(capsys, "predict", "plain", "q.parquet", "--out", "p.parquet", "--keep", "prediction").code == 0
    found = pq.read_table("p.parquet")
    assert found["prediction"].to_pylist() == table["x0"].to_pylist()
    assert found.column_names == ["row", "prediction", "gradline_prediction", "low", "high"]


def test_data_without_the_key_get_row_numbers(folder, table, capsys):
    write_csv(table.drop_columns(["id", "y"]), folder / "n.csv")
    assert gradline(capsys, "predict", "keyed", "n.csv", "--out", "p.csv").code == 0
    assert list(read(folder / "p.csv")[0]) == ["row", "prediction", "low", "high"]


def test_several_files_are_predicted_in_their_order(folder, table, plain, capsys):
    write_parquet(table.slice(0, 100), folder / "b.parquet")
    write_parquet(table.slice(100, 50), folder / "a.parquet")
    assert gradline(capsys, "predict", "plain", "b.parquet", "a.parquet", "--out", "p.parquet").code == 0
    found = pq.read_table("p.parquet")
    assert found["row"].to_pylist() == list(range(150))
    assert found["prediction"].to_pylist() == predicted(plain, table.slice(0, 150)).tolist()


def test_order_is_kept_over_many_blocks(folder, table, plain, capsys, monkeypatch):
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 64)
    for data in ("t.csv", "t.ndjson", "select * from 't.parquet'"):
        assert gradline(capsys, "predict", "plain", data, "--out", "p.ndjson").code == 0
        assert [row["prediction"] for row in read(folder / "p.ndjson")] == predicted(plain, table).tolist()


def test_rows_without_a_prediction_are_empty_and_counted(table, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit(table, features=("x0", "x1"), missing="drop").save("m")
    holes = table.set_column(0, "x0", pa.array([None if i in (3, 5) else 0.1 for i in range(300)]))
    write_parquet(holes, tmp_path / "t.parquet")
    for out, nothing in (("p.csv", ""), ("p.parquet", None), ("p.ndjson", None)):
        answer = gradline(capsys, "predict", "m", "t.parquet", "--out", out, "--json")
        assert answer.json["rows_without_prediction"] == 2
        assert [i for i, row in enumerate(read(tmp_path / out)) if row["prediction"] == nothing] == [3, 5]
        assert [w["code"] for w in answer.json["warnings"]] == ["contract_null"]
        assert "[contract_null]" in answer.err


def test_no_rows_make_a_file_with_a_header(folder, table, capsys):
    write_parquet(table.slice(0, 0), folder / "e.parquet")
    (folder / "e.csv").write_text("x0,x1,c,id\n")
    for data in ("e.parquet", "e.csv"):
        for model, columns in (("plain", ["row", "prediction", "low", "high"]), ("keyed", ["id", "prediction", "low", "high"])):
            answer = gradline(capsys, "predict", model, data, "--out", "p.parquet", "--json")
            assert answer.code == 0, answer.err
            assert answer.json["rows"] == 0
            assert pq.read_table("p.parquet").column_names == columns
            assert gradline(capsys, "predict", model, data, "--out", "p.csv").code == 0
            assert (folder / "p.csv").read_text().strip() == ",".join(f'"{c}"' for c in columns)


def test_the_document_and_the_sentence_say_what_was_written(folder, capsys):
    answer = gradline(capsys, "predict", "plain", "t.csv", "--out", "p.csv", "--json")
    assert {"out": "p.csv", "rows": 300, "rows_without_prediction": 0}.items() <= answer.json.items()
    answer = gradline(capsys, "predict", "plain", "t.csv", "--out", "p.csv")
    assert answer.out == "300 predictions of y written to p.csv\n"


def test_a_run_directory_predicts_in_a_process_of_its_own(folder, plain, table, capsys):
    write_run(plain, folder / "run")
    answer = gradline_process("predict", "run", "t.csv", "--out", "p.csv", "--json")
    assert answer.code == 0
    assert answer.json["rows"] == 300
    assert [float(row["prediction"]) for row in read(folder / "p.csv")] == predicted(plain, table).tolist()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["predict", "plain", "t.csv", "--out", "p.xlsx"], "does not write files of the type .xlsx"),
        (["predict", "plain", "t.csv", "--out", "p"], "does not write files of the type (none)"),
        (["predict", "plain", "t.csv"], "--out"),
        (["predict", "plain", "t.csv", "--out", "p.csv", "--keep", "idd"], "did you mean 'id'"),
        (["predict", "nothing", "t.csv", "--out", "p.csv"], "there is no model nothing"),
        (["predict", "plain", "nothing.csv", "--out", "p.csv"], "there is no file nothing.csv"),
        (["predict", "t.csv", "t.csv", "--out", "p.csv"], "t.csv"),
    ],
)
def test_what_cannot_be_is_exit_code_2_and_writes_nothing(words, says, folder, capsys):
    before = sorted(p.name for p in folder.iterdir())
    answer = gradline(capsys, *words)
    assert answer.code == 2, answer.err
    assert says in answer.said
    assert "Traceback" not in answer.err
    assert sorted(p.name for p in folder.iterdir()) == before


def test_an_error_half_way_leaves_the_earlier_file_and_nothing_else(folder, table, capsys, monkeypatch):
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 64)
    (folder / "p.csv").write_text("earlier")
    lines = write_csv(table, folder / "bad.csv").read_text().splitlines()
    lines[251] = "many" + lines[251][lines[251].index(",") :]
    (folder / "bad.csv").write_text("\n".join(lines) + "\n")
    answer = gradline(capsys, "predict", "plain", "bad.csv", "--out", "p.csv")
    assert answer.code == 2, answer.err
    assert "line 252: column 'x0' is number so far, but here stands 'many'" in answer.said
    assert (folder / "p.csv").read_text() == "earlier"
    assert leftovers(folder) == []


def test_an_error_after_50_000_rows_is_an_error_of_the_data(folder, table, capsys):
    rows = [f"{i % 7}.5,{i % 5}.25,a" for i in range(60_000)]
    rows[50_000] = "many,1,a"
    (folder / "bad.csv").write_text("x0,x1,c\n" + "\n".join(rows) + "\n")
    answer = gradline(capsys, "predict", "plain", "bad.csv", "--out", "p.csv")
    assert answer.code == 2, answer.err
    assert "bad.csv, line 50,002: column 'x0'" in answer.said
    assert not (folder / "p.csv").exists()

"""gradline export: what is written, what it is checked on, and that no wrong export is left."""

import hashlib
import json
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exporting_cases import case

import gradline as gl
from gradline.errors import ContractError, DataError, ParityError, UsageError
from gradline.export import sql
from gradline.exporting import export_model
from tables import fit, gradline, leftovers, mixed, predicted, simple, write_csv, write_parquet

ROOT = Path(__file__).parents[2]
FORMATS = ("sql", "python", "json", "onnx")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def trained(folder, capsys):
    """A run in `run`, of a file."""
    write_csv(simple(), folder / "t.csv")
    assert gradline(capsys, "train", "t.csv", "--target", "y", "--out", "run").code == 0
    return folder


def needs(to):
    if to == "onnx":
        pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")


@pytest.mark.parametrize("to", FORMATS)
def test_an_export_is_checked_on_the_data_trained_on_and_says_so(to, trained, capsys):
    needs(to)
    answer = gradline(capsys, "export", "run", "--to", to, "--out", f"out.{to}", "--json")
    assert answer.code == 0, answer.err
    found = answer.json
    assert (found["checked"], found["rows"], found["of"], found["data"]) == (True, 300, 300, "t.csv")
    assert 0.0 <= found["max_absolute_difference"] < 1e-11
    assert found["max_relative_difference"] <= found["tolerance"] == 1e-9
    written = json.loads((trained / f"out.{to}.parity.json").read_text())
    assert written["sha256"] == hashlib.sha256((trained / f"out.{to}").read_bytes()).hexdigest() == found["sha256"]
    assert {k: v for k, v in found.items() if k in written} == {k: v for k, v in written.items() if k in found}
    assert leftovers(trained) == []
    answer = gradline(capsys, "export", "run", "--to", to)
    assert answer.code == 0, answer.err
    assert "parity on 300 rows of t.csv in" in answer.out
    suffix = {"sql": ".sql", "python": ".py"}.get(to, f".{to}")
    assert (trained / f"y{suffix}").read_bytes() == (trained / f"out.{to}").read_bytes()  # the same model is the same file


def test_a_wrong_export_ends_with_1_and_leaves_nothing(trained, capsys, monkeypatch):
    right = sql.expression
    monkeypatch.setattr(sql, "expression", lambda *given: right(*given) + " + 1e-6")
    answer = gradline(capsys, "export", "run", "--to", "sql", "--out", "y.sql")
    assert answer.code == 1
    assert "300 rows of 300 differ in DuckDB" in answer.said
    assert not list(trained.glob("y.sql*"))
    assert leftovers(trained) == []
    monkeypatch.undo()
    monkeypatch.chdir(trained)
    assert gradline(capsys, "export", "run", "--to", "sql", "--out", "y.sql").code == 0
    before = (trained / "y.sql").read_bytes(), (trained / "y.sql.parity.json").read_bytes()
    monkeypatch.setattr(sql, "expression", lambda *given: "NULL::DOUBLE")
    assert gradline(capsys, "export", "run", "--to", "sql", "--out", "y.sql").code == 1
    assert ((trained / "y.sql").read_bytes(), (trained / "y.sql.parity.json").read_bytes()) == before


def test_where_it_cannot_be_checked_it_says_why(trained, capsys):
    (trained / "t.csv").rename(trained / "moved.csv")
    answer = gradline(capsys, "export", "run", "--to", "sql", "--json")
    assert answer.code == 0
    assert answer.json["checked"] is False
    assert "there is no file t.csv" in answer.json["reason"]
    assert [w["code"] for w in answer.json["warnings"]] == ["export_not_checked"]
    assert gradline(capsys, "export", "run", "--to", "sql", "--check", "moved.csv", "--json").json["checked"] is True
    answer = gradline(capsys, "export", "run", "--to", "sql", "--dialect", "postgres", "--check", "moved.csv", "--json")
    assert answer.json["checked"] is False
    assert "--server" in answer.json["reason"]
    assert gradline(capsys, "export", "run", "--to", "sql", "--no-check", "--json").json["reason"] == "that was not asked for."


@pytest.mark.parametrize("to", ["sql", "python"])
def test_rows_that_the_model_refuses_are_no_rows_to_check_on(to, tmp_path):
    table = simple()
    model = fit(table, unseen="error", validation=0, test=0.2)
    strange = table.set_column(2, "c", pa.array(["never seen"] * 300))
    with pytest.raises(ContractError, match="--no-check"):
        export_model(model, to, tmp_path / "y", check=strange)
    positive = table.set_column(0, "x0", pa.array(np.exp(np.array(table["x0"]))))
    model = fit(positive, derive=("log(x0)",), validation=0, test=0.2)
    with pytest.raises(DataError, match="logarithm"):
        export_model(model, to, tmp_path / "y", check=table)
    assert not list(tmp_path.iterdir())


def test_a_model_of_a_database_is_checked_on_its_query(folder, capsys):
    with duckdb.connect("t.duckdb") as connection:
        rows = simple()  # noqa: F841
        connection.execute("CREATE TABLE t AS FROM rows")
    query, db = "select * from t order by x0", "duckdb:///t.duckdb"
    assert gradline(capsys, "train", query, "--db", db, "--target", "y", "--out", "run").code == 0
    assert gradline(capsys, "export", "run", "--to", "sql", "--json").json["rows"] == 300
    found = gradline(capsys, "export", "run", "--to", "json", "--check", "select * from t limit 20", "--db", db, "--json").json
    assert (found["checked"], found["rows"]) == (True, 20)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--to", "pmml"], "pmml"),
        (["run", "--to", "sql", "--out", "run/model.gradline"], "the model itself"),
        (["run", "--to", "sql", "--out", "t.csv"], "among the rows to check on"),
        (["run", "--to", "json", "--server", "postgresql://x"], "--server"),
        (["run", "--to", "sql", "--check", "t.csv", "--no-check"], "exclude each other"),
        (["run", "--to", "sql", "--check", "none.csv"], "there is no file none.csv"),
        (["none", "--to", "sql"], "there is no model none"),
    ],
)
def test_words_that_cannot_be_are_refused(words, said, trained, capsys):
    before = {p: p.read_bytes() for p in trained.rglob("*") if p.is_file()}
    answer = gradline(capsys, "export", *words)
    assert answer.code == 2
    assert said in answer.said
    assert {p: p.read_bytes() for p in trained.rglob("*") if p.is_file()} == before


def test_a_file_that_nobody_named_is_not_replaced(trained, capsys):
    (trained / "y.py").write_text("mine = 1\n")
    answer = gradline(capsys, "export", "run", "--to", "python")
    assert answer.code == 2
    assert "no export wrote" in answer.said
    assert (trained / "y.py").read_text() == "mine = 1\n"


def test_from_python_any_table_checks_an_export(tmp_path):
    pandas = pytest.importorskip("pandas")
    table = simple()
    model = fit(table, validation=0, test=0.2)
    found = gl.export_model(model, "python", tmp_path / "y.py", check=pandas.DataFrame(table.to_pydict()))
    assert (found["checked"], found["rows"]) == (True, 300)
    assert gl.export_model(model, "json", tmp_path / "y.json")["reason"].startswith("the model was trained on a table in memory")
    with pytest.raises(UsageError, match="no export to 'pmml'"):
        gl.export_model(model, "pmml", tmp_path / "y.pmml")
    with pytest.raises(UsageError, match="no SQL dialect 'oracle'"):
        gl.export_model(model, "sql", tmp_path / "y.sql", dialect="oracle")
    assert issubclass(ParityError, gl.GradlineError)


def test_what_an_export_does_otherwise_is_said_in_it(tmp_path):
    model = fit(mixed(), missing="drop", unseen="error", out_of_range="error", validation=0, test=0)
    found = export_model(model, "sql", tmp_path / "y.sql", check=False)
    said = " ".join(found["differences"])
    assert "a value outside the training range, a level that training had not" in said
    assert "A row with a missing value has no prediction" in said
    head = (tmp_path / "y.sql").read_text().partition("\n(")[0]
    assert all(sentence in head for sentence in found["differences"])


def test_a_row_that_the_contract_drops_is_counted(tmp_path):
    model, table, _ = case("dropped")
    found = export_model(model, "sql", tmp_path / "y.sql", check=table)
    assert found["rows_without_prediction"] == int(np.isnan(predicted(model, table)).sum()) > 0


def test_the_json_keeps_to_its_schema(tmp_path):
    jsonschema = pytest.importorskip("jsonschema", reason="the package jsonschema is not installed")
    schema = json.loads((ROOT / "docs/export.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for name in ("mixed", "log target", "declared"):
        export_model(case(name)[0], "json", tmp_path / "y.json", check=False)
        document = json.loads((tmp_path / "y.json").read_text())
        assert [error.message for error in validator.iter_errors(document)] == []
    document["terms"][0]["type"] = "neuron"
    assert list(validator.iter_errors(document))
    del document["terms"], document["columns"][0]["kind"]
    assert len(list(validator.iter_errors(document))) == 2


@pytest.mark.parametrize("to", FORMATS)
def test_on_100_000_flights_no_export_differs_by_more_than_a_billionth(to, tmp_path, flights):
    needs(to)
    file = ROOT / "examples/flights.parquet"
    row_by_row = to in ("python", "json")  # on all 100,000 by `make integration`
    check = pq.read_table(file).slice(100_000, 10_000) if row_by_row else file
    found = export_model(flights, to, tmp_path / "flights", check=check)
    print(f"\n{to}: {found['rows']:,} flights in {found['engine']}: {found['max_absolute_difference']:.3g} minutes")
    assert (found["rows"], found["of"]) == ((10_000, 10_000) if row_by_row else (100_000, 336_776))
    assert found["max_relative_difference"] <= 1e-9
    if to == "sql":  # DuckDB reads the file itself, all of it
        text = (tmp_path / "flights").read_text()
        rows = duckdb.sql(f"SELECT {text} AS p FROM read_parquet('{file}', file_row_number = true) ORDER BY file_row_number")
        some = pq.read_table(file).slice(200_000, 5_000)
        np.testing.assert_allclose(rows.fetchnumpy()["p"][200_000:205_000], predicted(flights, some), rtol=1e-9)


@pytest.fixture(scope="module")
def flights():
    table = pq.read_table(ROOT / "examples/flights.parquet").slice(0, 60_000)
    features = ("distance", "carrier", "origin", "dest", "hour", "time_hour", "dep_delay")
    return fit(table, target="air_time", features=features, assess="no")


def test_a_run_of_parquet_is_exported_whole(folder, capsys):
    write_parquet(mixed(), folder / "t.parquet")
    assert gradline(capsys, "train", "t.parquet", "--target", "y", "--out", "runs/y").code == 0
    answer = gradline(capsys, "export", "runs/y", "--to", "sql", "--out", "made/y.sql")
    assert answer.code == 0, answer.err
    assert "parity on 500 rows" in answer.out

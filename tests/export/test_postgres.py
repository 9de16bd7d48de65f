"""The dialect of PostgreSQL in a real server, and 100,000 flights in every engine: `make integration`."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exporting_cases import CASES, case
from test_derived_numbers import NUMBERS, formula, rows

from gradline.errors import UsageError
from gradline.export import engines
from gradline.export.of_model import formula_of
from gradline.export.parity import compared, plain
from gradline.export.sql import sql_text
from gradline.exporting import export_model
from servers import ADDRESS_PASSWORD, postgresql
from tables import fit, gradline, predicted, simple, write_csv

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def database():
    with postgresql() as address:
        yield address.format(ADDRESS_PASSWORD)


@pytest.mark.parametrize("name", CASES)
def test_an_expression_predicts_what_the_model_predicts(name, database):
    model, table, strange = case(name)
    text = sql_text(formula_of(model), "postgres")
    for some in (table.slice(0, 300), strange):
        given = plain(some.select(list(model.contract.columns)), model.contract.columns)
        expected = predicted(model, some)
        found = engines.in_postgres(text, given, database)
        assert found.engine.startswith("PostgreSQL ")
        parity = compared({"prediction": expected}, found.said)
        assert parity.mistaken == 0
        assert parity.relative < 1e-11


@pytest.mark.parametrize("name", NUMBERS)
def test_a_derived_number_is_what_its_definition_says(name, database):
    number, value, needs = NUMBERS[name]
    table = rows()
    expected = [11.0 - 7.0 if any(r[n] is None for n in needs) else 11.0 + 2.5 * (value(r) - 0.3) for r in table.to_pylist()]
    found = engines.in_postgres(sql_text(formula(number), "postgres"), table, database).predicted
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("decision", "breach"), [("missing", {"x0": None}), ("out_of_range", {"x1": 1e9}), ("unseen", {"c": "never"})]
)
def test_a_row_that_the_contract_refuses_is_null(decision, breach, database):
    table = simple()
    model = fit(table, validation=0, test=0.2, **{decision: "error"})
    row = {"x0": 0.0, "x1": 5.0, "c": "a"}
    pair = pa.Table.from_pylist([row, row | breach])
    found = engines.in_postgres(sql_text(formula_of(model), "postgres"), pair, database).predicted
    np.testing.assert_allclose(found[:1], predicted(model, pair.slice(0, 1)), rtol=1e-12)
    assert np.isnan(found[1])


def test_past_float64_a_log_target_is_infinite_or_0(database):
    model, table, _ = case("log target")
    far = table.slice(0, 3).to_pylist()
    for row, count in zip(far, (1e4, -1e4, 3.0), strict=True):
        row["count"] = round(count / model.coefficients["count"])
    far = pa.Table.from_pylist(far, table.schema)
    found = engines.in_postgres(sql_text(formula_of(model), "postgres"), far.drop_columns("y"), database).predicted
    np.testing.assert_allclose(found, predicted(model, far))


def test_the_command_checks_it_there(database, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_csv(simple(), tmp_path / "t.csv")
    assert gradline(capsys, "train", "t.csv", "--target", "y", "--out", "run").code == 0
    answer = gradline(capsys, "export", "run", "--to", "sql", "--dialect", "postgres", "--server", database, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["checked"] is True
    assert database not in answer.out + answer.err + (tmp_path / "y.sql.parity.json").read_text()
    answer = gradline(
        capsys, "export", "run", "--to", "sql", "--dialect", "postgres", "--server", "postgresql:///none?host=/nowhere"
    )
    assert answer.code == 2
    assert "--server" in answer.err


@pytest.mark.parametrize("to", ["sql", "postgres", "python", "json", "onnx"])
def test_on_100_000_flights_no_export_differs_by_more_than_a_billionth(to, database, tmp_path):
    file = ROOT / "examples/flights.parquet"
    features = ("distance", "carrier", "origin", "dest", "hour", "time_hour", "dep_delay", "tailnum")
    model = fit(pq.read_table(file).slice(0, 60_000), target="air_time", features=features, assess="no")
    how = {"dialect": "postgres", "server": database} if to == "postgres" else {}
    found = export_model(model, "sql" if how else to, tmp_path / "flights", check=file, **how)
    print(f"\n{to}: 100,000 flights in {found['engine']}: {found['max_absolute_difference']:.3g} minutes")
    assert (found["checked"], found["rows"], found["of"]) == (True, 100_000, 336_776)
    assert found["max_relative_difference"] <= 1e-9


def test_names_that_postgres_cuts_to_one_are_refused():
    rng = np.random.default_rng(0)
    names = ["ü" * 40 + end for end in "ab"]
    table = pa.table({name: rng.normal(size=90) for name in names} | {"y": rng.normal(size=90)})
    with pytest.raises(UsageError, match="for one"):
        sql_text(formula_of(fit(table, validation=0, test=0.2)), "postgres")

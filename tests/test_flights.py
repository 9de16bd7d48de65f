"""The shipped flights: what the README promises, checked against QR on the same rows."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import gradline as gl
from gradline.splits.roles import RowRoles
from gradline.types import Role
from reference import fit
from tables import predicted

FLIGHTS = Path(__file__).parents[1] / "examples" / "flights.parquet"
FEATURES = ["distance", "carrier", "origin", "dest", "month", "hour"]


@pytest.fixture(scope="module")
def table():
    return pq.read_table(FLIGHTS)


@pytest.fixture(scope="module")
def one():
    return gl.train(FLIGHTS, target="air_time", features=["distance"])


def test_a_mile_takes_about_an_eighth_of_a_minute_and_a_flight_eighteen_minutes_more(one):
    assert one.coefficients["distance"] == pytest.approx(0.126, abs=5e-4)
    assert one.intercept == pytest.approx(18.5, abs=0.1)
    assert one.certificate.relative_gap <= 1e-12


def test_rows_without_air_time_are_dropped_and_counted(one, table):
    rows = one.result["rows"]
    assert rows["read"] == table.num_rows
    assert rows["dropped"] == table["air_time"].null_count
    assert rows["train"] + rows["validation"] + rows["test"] + rows["dropped"] == rows["read"]


def test_six_columns_agree_with_qr_on_the_same_rows_and_columns(table):
    with pytest.warns(gl.GradlineWarning, match=r"rare values of 'dest'"):
        model = gl.train(FLIGHTS, target="air_time", features=FEATURES)
    present = pc.is_valid(table["air_time"]).to_numpy()
    roles = RowRoles(0, 0.1, 0.1).assign(0, 0, table.num_rows, None)
    rows = table.filter(present & (roles == Role.TRAINING))
    y = rows["air_time"].to_numpy().astype(float)
    columns = {name: rows[name].to_numpy().astype(float) for name in ("distance", "month", "hour")}
    for name in ("carrier", "origin", "dest"):
        values = np.asarray(rows[name].to_pylist())
        levels, counts = np.unique(values, return_counts=True)
        common = levels[counts >= 10]
        reference = levels[counts.argmax()]
        assert model.result["references"][name] == reference
        for level in common[common != reference]:
            columns[f"{name}={level}"] = (values == level).astype(float)
        if len(common) < len(levels):
            columns[f"{name}=(other)"] = (~np.isin(values, common)).astype(float)
    assert set(columns) == set(model.coefficients)

    X = np.column_stack([columns[name] for name in model.coefficients])
    deviation = X.std(axis=0)
    R = np.linalg.qr(np.column_stack([(X - X.mean(axis=0)) / deviation, np.ones(len(X)), y]), mode="r")  # its last column: Q'y
    exact = np.linalg.solve(R[:-1, :-1], R[:-1, -1])[:-1] / deviation
    found = np.array(list(model.coefficients.values()))
    assert np.max(np.abs(found - exact) * deviation / y.std()) <= 1e-9
    assert model.certificate.relative_gap <= 1e-12


def test_the_streamed_oracle_ends_where_the_moments_do(one):
    streamed = gl.train(FLIGHTS, target="air_time", features=["distance"], oracle="streamed")
    assert streamed.plan["oracle"] == "streamed"
    assert streamed.coefficients["distance"] == pytest.approx(one.coefficients["distance"], rel=1e-9)
    assert streamed.intercept == pytest.approx(one.intercept, rel=1e-9)


@pytest.mark.parametrize("features", [["distance"], None], ids=["one", "all"])
def test_a_csv_copy_of_the_parquet_file_gives_the_same_bits(features, table, tmp_path):
    chosen = table if features is None else table.select([*features, "air_time"])
    pyarrow.csv.write_csv(chosen, tmp_path / "flights.csv")
    a, b = (fit(data, "air_time", features=features, max_levels=100) for data in (FLIGHTS, tmp_path / "flights.csv"))
    assert a.result["rows"] == b.result["rows"]
    assert a.theta.tobytes() == b.theta.tobytes()
    assert (a.coefficients, a.intercept, a.certificate) == (b.coefficients, b.intercept, b.certificate)
    assert predicted(a, FLIGHTS).tobytes() == predicted(b, tmp_path / "flights.csv").tobytes()


def test_the_delay_by_time_with_costs_and_a_decision_says_what_it_is_worth():
    known = ["carrier", "origin", "month", "hour", "distance", "dep_delay"]
    model = fit(
        FLIGHTS,
        "arr_delay",
        features=known,
        time="time_hour",
        gap="1d",
        cost="under=3,over=1",
        cost_unit="EUR",
        event=">15",
        false_alarm_cost=1.0,
        miss_cost=3.0,
    )
    rows, found = model.result["rows"], model.result["assessment"]
    assert rows["gap"] > 0
    assert rows["train"] + rows["validation"] + rows["test"] + rows["dropped"] + rows["gap"] == rows["read"]
    cost = found["cost"]
    assert cost["model"]["per_row"]["value"] < cost["mean"]["per_row"]["value"]  # what is known at departure is worth money
    assert cost["quantile"] == 0.75
    assert cost["shifted"]["per_row"]["value"] < cost["model"]["per_row"]["value"]
    decided = found["decision"]
    assert decided["event"] == {"relation": ">", "value": 15.0}
    assert decided["test"]["cost"]["value"] < min(decided["test"][policy]["cost"]["value"] for policy in ("always", "never"))
    assert 0.0 <= found["intervals"]["test"]["coverage"] <= 1.0


def test_what_is_known_only_after_landing_is_flagged():
    model = fit(FLIGHTS, "arr_delay", time="time_hour", drop=["tailnum", "dest"])
    flagged = {w["column"] for w in model.warnings if w["code"] == "null_with_target"}
    assert flagged == {"air_time"}
    assert not flagged & {"carrier", "origin", "month", "hour", "distance"}


def test_a_column_null_in_most_rows_without_a_target_and_never_else_is_flagged():
    rng = np.random.default_rng(0)
    n = 2_000
    y = np.where(rng.random(n) < 0.05, np.nan, rng.normal(size=n))
    landed, before = rng.normal(size=n), rng.normal(size=n)
    missing = np.flatnonzero(np.isnan(y))
    landed[missing[: int(0.95 * len(missing))]] = np.nan
    before[missing[: int(0.5 * len(missing))]] = np.nan
    table = pa.table({"landed": landed, "before": before, "x": rng.normal(size=n), "y": pa.array(y, from_pandas=True)})
    table = table.set_column(0, "landed", pa.array(landed, from_pandas=True)).set_column(
        1, "before", pa.array(before, from_pandas=True)
    )
    flagged = {w["column"] for w in fit(table, "y").warnings if w["code"] == "null_with_target"}
    assert flagged == {"landed"}

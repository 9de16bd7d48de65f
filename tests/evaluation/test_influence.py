"""Cook's distance is how far the coefficients move when a row is left out, in their joint error: here by leaving each row out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gradline.api import evaluate
from gradline.splits.roles import RowRoles
from reference import fit
from tables import gradline, write_csv


def table(seed=0, m=120):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(1e3, 5, m), rng.exponential(2, m)
    c = rng.choice(["u", "v", "w"], m)
    y = 2 * a - b + (c == "v") + rng.normal(size=m)
    odd = int(rng.integers(m))
    b[odd], y[odd] = 60.0, y[odd] + 90.0
    return {"a": a, "b": b, "c": c.astype(object), "y": y, "w": rng.uniform(0.5, 2.0, m)}


def as_table(columns):
    return pa.table({n: pa.array(list(v)) for n, v in columns.items()})


def design(columns, rows, *, intercept=True):
    reference = max("uvw", key=lambda level: np.count_nonzero(columns["c"][rows] == level))
    X = [columns["a"], columns["b"], *((columns["c"] == level).astype(float) for level in "uvw" if level != reference)]
    return np.column_stack([*X, np.ones(len(columns["y"]))] if intercept else X)[rows]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "settings", [{}, {"intercept": False}, {"scaling": "none"}, {"weight": "w"}, {"log_target": True}], ids=str
)
def test_cooks_distance_is_what_leaving_the_row_out_does(seed, settings):
    columns = table(seed)
    if "weight" not in settings:
        del columns["w"]
    model = fit(as_table(columns), "y", seed=seed, **settings)
    rows = np.flatnonzero(RowRoles(seed, 0.1, 0.1).assign(0, 0, 120, None) == 0)
    X = design(columns, rows, intercept=settings.get("intercept", True))
    y = np.log(columns["y"][rows]) if settings.get("log_target") else columns["y"][rows]
    heavy = np.sqrt(columns["w"][rows]) if "w" in columns else np.ones(len(rows))
    X, y, k = X * heavy[:, None], y * heavy, X.shape[1]
    theta = np.linalg.lstsq(X, y, rcond=None)[0]
    variance = np.sum((y - X @ theta) ** 2) / (np.sum(heavy**2) - k)
    moved = []
    for i in range(len(rows)):
        without = np.delete(np.arange(len(rows)), i)
        away = X @ (theta - np.linalg.lstsq(X[without], y[without], rcond=None)[0])
        moved.append(away @ away / (k * variance))
    found = evaluate(model, as_table(columns))["influence"]
    assert found["parameters"] == pytest.approx(k, rel=1e-9)
    order = np.argsort(moved)[::-1][:10]
    assert [each["row"] for each in found["rows"]] == rows[order].tolist()
    assert [each["cook"] for each in found["rows"]] == pytest.approx(np.array(moved)[order], rel=1e-5)
    hat = np.einsum("ij,jk,ik->i", X, np.linalg.inv(X.T @ X), X)
    assert found["largest_leverage"] == pytest.approx(hat.max(), rel=1e-6)


def test_the_row_that_decides_is_named_and_other_rows_have_no_influence(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    columns = table(3)
    write_csv(as_table(columns), tmp_path / "t.csv")
    gradline(capsys, "train", "t.csv", "--target", "y", "--validation", "0", "--test", "0", "--out", "run")
    answer = gradline(capsys, "evaluate", "run", "t.csv")
    odd = int(np.argmax(columns["b"]))
    assert f"largest Cook's distances: row {odd:,} (" in answer.out
    assert "influential_rows" in answer.said
    document = gradline(capsys, "evaluate", "run", "t.csv", "--json").json
    assert document["influence"]["rows"][0]["row"] == odd
    assert document["influence"]["rows"][0]["file"].endswith("t.csv")
    write_csv(as_table(columns).slice(1), tmp_path / "other.csv")
    assert gradline(capsys, "evaluate", "run", "other.csv", "--json").json["influence"] is None


@pytest.mark.parametrize("settings", [{"loss": "huber"}, {"l1": 0.1}], ids=str)
def test_fits_that_are_not_linear_in_the_target_have_none(settings):
    data = as_table(table())
    assert evaluate(fit(data, "y", **settings), data)["influence"] is None


@pytest.mark.parametrize("settings", [{"key": "id"}, {"group": "id"}, {"time": "id"}, {"l2": 0.2}], ids=str)
def test_the_training_rows_are_known_again_however_they_were_chosen(settings):
    data = as_table(table() | {"id": np.arange(120) // 2 if "key" not in settings else np.arange(120)})
    model = fit(data, "y", **settings)
    found = evaluate(model, data)["influence"]
    assert found is not None
    assert len(found["rows"]) == 10


def test_a_row_with_a_parameter_of_its_own_has_leverage_one():
    columns = table()
    columns["only"] = np.zeros(120)
    columns["only"][7] = 1.0
    data = as_table(columns)
    found = evaluate(fit(data, "y", validation=0.0, test=0.0), data)
    row = found["influence"]["rows"][0]
    assert (row["row"], row["cook"]) == (7, None)
    assert row["leverage"] == pytest.approx(1.0, abs=1e-9)
    assert "the fit goes through it" in next(w["message"] for w in found["warnings"] if w["code"] == "influential_rows")

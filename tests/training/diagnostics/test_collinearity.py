"""Collinear columns are named with their equation, whatever the unit; VIF is 1/(1 − R²) of each column on the others."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from reference import fit
from tables import gradline, write_csv

EVERY_ROW = {"validation": 0.0, "test": 0.0}
WORDS = ("collinear", "nearly_collinear")


def trained(table, **settings):
    return fit(pa.table(table), "y", **(EVERY_ROW | settings))


def told(model):
    return [(n.code, n.column) for n in model.notices if n.code in WORDS]


def messages(model):
    return [n.message for n in model.notices if n.code in WORDS]


def sound(m=400, seed=0, names="abcd"):
    rng = np.random.default_rng(seed)
    columns = dict(zip(names, rng.normal(size=(len(names), m)), strict=True))
    return rng, columns | {"y": sum(columns.values()) + rng.normal(size=m)}


def regressed(table, name, *, intercept=True):
    """1/(1 − R²) of a column on the others, by QR."""
    others = [v for n, v in table.items() if n not in (name, "y")]
    A = np.column_stack([*([np.ones(len(table[name]))] if intercept else []), *others])
    x = table[name]
    rest = x - A @ np.linalg.lstsq(A, x, rcond=None)[0]
    about = x - x.mean() if intercept else x
    return (about @ about) / (rest @ rest)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("settings", [{}, {"scaling": "none"}, {"l2": 0.5}, {"intercept": False}], ids=str)
def test_variance_inflation_is_that_of_a_regression_on_the_others(seed, settings):
    rng, table = sound(seed=seed)
    table["e"] = 100 + 50 * (table["a"] - table["b"]) + rng.normal(size=400) * 10.0 ** rng.integers(0, 2)
    found = trained(table, **settings).result["variance_inflation"]
    for name in "abcde":
        assert found[name] == pytest.approx(regressed(table, name, intercept=settings.get("intercept", True)), rel=1e-6)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 7e8])
@pytest.mark.parametrize("noise", [1e-3, 1e-4, 1e-6])
def test_a_near_combination_is_named_in_any_unit(unit, noise):
    rng, table = sound()
    table["made"] = unit * (2 * table["a"] - table["c"] + 5 + noise * rng.normal(size=400))
    model = trained(table)
    assert told(model) == [("nearly_collinear", "made")]
    assert "made, a, c are nearly" in messages(model)[0]
    assert model.result["not_identifiable"] == []
    assert model.result["variance_inflation"]["b"] < 2
    assert model.result["variance_inflation"]["made"] > 1e4


@pytest.mark.parametrize("noise", [0.03, 0.2, 1.0])
def test_columns_with_a_share_of_their_own_are_not_called_collinear(noise):
    rng, table = sound()
    table["made"] = table["a"] + noise * rng.normal(size=400)
    assert told(trained(table)) == []


def test_an_exact_combination_is_told_with_its_equation():
    _, table = sound()
    table["made"] = 3 * table["a"] - table["d"] + 8
    model = trained(table)
    assert told(model) == [("collinear", "made")]
    assert "(made = 3·a − d + 8)" in messages(model)[0]
    assert "--drop made" in messages(model)[0]
    assert model.result["not_identifiable"] == ["a", "d", "made"]
    inflation = model.result["variance_inflation"]
    assert [inflation[name] for name in ("a", "d", "made")] == [None] * 3
    assert inflation["b"] == pytest.approx(1.0, abs=0.1)


def test_exact_and_near_combinations_of_one_column_are_told_apart():
    rng, table = sound(names="abc")
    table["near"] = table["a"] + 1e-6 * rng.normal(size=400)
    table["copy"] = table["near"]
    model = trained(table)
    assert told(model) == [("collinear", "copy"), ("nearly_collinear", "near")]
    assert model.result["not_identifiable"] == ["near", "copy"]


@pytest.mark.parametrize("seed", range(20))
def test_a_column_that_is_hidden_in_the_middle_of_the_order_is_found(seed):
    rng, table = sound(seed=seed, names="ab")
    table = {"a": table["a"], "b": table["a"] + 0.05 * table["b"] + 1e-3 * rng.normal(size=400), "c": table["b"], "y": table["y"]}
    model = trained(table)
    worst = max(regressed(table, name) for name in "abc")
    assert bool(told(model)) == (worst > 1e4)


def test_many_combinations_are_counted_not_listed():
    rng = np.random.default_rng(5)
    base = rng.normal(size=(8, 300))
    table = {f"x{j}": v for j, v in enumerate(base)} | {f"z{j}": 2 * v for j, v in enumerate(base)}
    found = messages(trained(table | {"y": rng.normal(size=300)}))
    assert len(found) == 6
    assert "3 more" in found[-1]
    near = {f"x{j}": v for j, v in enumerate(base)} | {f"z{j}": v + 1e-5 * rng.normal(size=300) for j, v in enumerate(base)}
    found = messages(trained(near | {"y": rng.normal(size=300)}))
    assert len(found) == 6
    assert "3 more near" in found[-1]


def test_without_an_intercept_an_offset_counts():
    _rng, table = sound(names="ab")
    table = {"a": 1e4 + table["a"], "b": 1e4 + table["b"], "y": table["y"]}
    assert told(trained(table, intercept=False)) == [("nearly_collinear", "b")]
    assert told(trained(table)) == []


def test_a_penalty_identifies_the_coefficients():
    _, table = sound()
    table["copy"] = table["a"]
    model = trained(table, l2=0.1)
    assert told(model) == []
    assert model.result["not_identifiable"] == []
    assert model.result["variance_inflation"]["copy"] is None


def test_the_summary_marks_them(tmp_path, capsys):
    rng, table = sound(names="abc")
    table |= {"copy": table["a"], "near": table["b"] + 0.1 * rng.normal(size=400)}
    write_csv(pa.table(table), tmp_path / "t.csv")
    answer = gradline(capsys, "train", tmp_path / "t.csv", "--target", "y", "--out", tmp_path / "run")
    lines = answer.out.splitlines()
    assert next(line for line in lines if line.startswith("copy ")).endswith("not identifiable")
    assert "× " in next(line for line in lines if line.startswith("near "))
    shown = gradline(capsys, "show", tmp_path / "run", "--json").json
    assert shown["not_identifiable"] == ["a", "copy"]
    assert set(shown["variance_inflation"]) == {"a", "b", "c", "copy", "near"}


def test_more_features_than_are_cubed_have_no_inflation(monkeypatch):
    monkeypatch.setattr("gradline.training.diagnostics.collinearity.MOST_CUBED", 3)
    assert trained(sound()[1]).result["variance_inflation"] is None

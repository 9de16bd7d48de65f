from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest

import gradline as gl
from reference import fit


def notices(table, code=None, **settings):
    model = fit(pa.table(table) if isinstance(table, dict) else table, "y", **settings)
    return [n for n in model.notices if code is None or n.code == code]


def regular(m=300, seed=0):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, m))
    return rng, {"a": a, "b": b, "y": a + b + rng.normal(size=m)}


def test_a_sound_fit_has_no_notice():
    assert notices(regular()[1]) == []


def test_collinear_columns_are_named():
    rng, table = regular()
    table |= {"d": table["a"] - 2 * table["b"] + 3.0, "free": rng.normal(size=300)}
    (notice,) = notices(table, "collinear")
    assert {name for name in ("a", "b", "d", "free") if f"{name}" in notice.message.split(" are ")[0].split(", ")} == {
        "a",
        "b",
        "d",
    }
    assert notice.column in {"a", "b", "d"}
    assert f"--drop {notice.column}" in notice.message


def test_each_group_of_collinear_columns_has_its_notice():
    rng, table = regular()
    c = rng.normal(size=300)
    table |= {"a2": 2 * table["a"], "c": c, "c2": c - 1}
    found = [set(n.message.split(" are ")[0].split(", ")) for n in notices(table, "collinear")]
    assert sorted(map(sorted, found)) == [["a", "a2"], ["c", "c2"]]


def test_categories_that_say_the_same_are_collinear():
    rng, table = regular()
    city = rng.choice(["Oslo", "Rome", "Lima"], 300)
    table |= {"city": city, "country": [{"Oslo": "NO", "Rome": "IT", "Lima": "PE"}[c] for c in city]}
    found = notices(table, "collinear")
    assert len(found) == 2
    assert all("city=" in n.message and "country=" in n.message for n in found)


@pytest.mark.parametrize("scaling", ["standard", "none"])
def test_an_offset_alone_is_not_collinear(scaling):
    _, table = regular()
    table["a"] = table["a"] + 1e3
    assert notices(table, "collinear", scaling=scaling) == []


def test_a_column_that_is_the_target_nearly_is_named():
    rng, table = regular()
    table["leak"] = 3 * table["y"] + 1e-4 * rng.normal(size=300)
    (notice,) = notices(table, "near_target")
    assert notice.column == "leak"
    assert "--drop leak" in notice.message


def test_ill_conditioning_is_told_with_the_digits_left():
    rng, table = regular()
    table["twin"] = table["a"] + 1e-11 * rng.normal(size=300)
    (notice,) = notices(table, "few_digits")
    assert "digits" in notice.message
    assert notices(table, "few_digits", l2=0.1) == []


def test_few_rows_are_told():
    rng = np.random.default_rng(1)
    table = {f"x{j}": rng.normal(size=9) for j in range(8)} | {"y": rng.normal(size=9)}
    assert len(notices(table, "few_rows", validation=0.0, test=0.0)) == 1


def test_nothing_held_out_is_told():
    assert len(notices(regular()[1], "nothing_held_out", validation=0.0, test=0.0)) == 1
    assert notices(regular()[1], "nothing_held_out", validation=0.0, test=0.2) == []


def test_a_spent_budget_is_told_with_what_is_left():
    (notice,) = notices(regular()[1], "not_converged", max_steps=2)
    assert "relative gap left" in notice.message


def test_text_that_is_numbers_is_told():
    _, table = regular()
    table["size"] = [str(i % 20) if i > 30 else "n/a" for i in range(300)]
    (notice,) = notices(table, "text_numbers")
    assert notice.column == "size"
    assert "'n/a'" in notice.message
    assert notices(table | {"size": ["small", "large", "huge"] * 100}, "text_numbers") == []


def test_the_sql_that_is_advised_for_text_with_numbers_works_on_the_file(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("size,y\n" + "".join(f"{'?' if i % 9 == 0 else i % 40},{i % 40 + i % 7}\n" for i in range(400)))
    (notice,) = (n for n in fit(str(path), "y").notices if n.code == "text_numbers")
    advised = re.search(r"try_cast\(.*?\) as double\)", notice.message)[0]
    model = fit(f"select {advised} as size, y from '{path}' order by y, size", "y")
    assert model.contract.columns["size"].null_share == pytest.approx(1 / 9, abs=0.05)
    assert set(model.coefficients) == {"size", "size=(missing)"}


def test_whole_numbers_past_float64_are_told():
    rng, table = regular()
    table["big"] = rng.integers(2**60, 2**61, 300)
    (notice,) = notices(table, "past_2_53")
    assert notice.column == "big"


def test_a_perfect_fit_is_told():
    _, table = regular()
    table["y"] = 2 * table["a"] - table["b"]
    assert len(notices(table, "perfect_fit")) == 1


def test_every_notice_is_a_python_warning_too():
    with pytest.warns(gl.GradlineWarning, match="no row was held out"):
        gl.train(pa.table(regular()[1]), "y", validation=0.0, test=0.0)

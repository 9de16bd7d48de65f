"""Every fault that a generator plants is named, with its column, its count and its first row; a sound table has none."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pyarrow.parquet as pq
import pytest

import gradline as gl
from faults import FAULTS, as_table, shared_groups, sound
from gradline.errors import DataError
from gradline.splits.roles import RowRoles
from reference import fit

EXPECTED = {"grouped_levels", "left_out_identifier"}  # facts about the representation, not doubts


def told(columns, **settings):
    return [n for n in fit(as_table(columns), "y", **settings).notices if n.code not in EXPECTED]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("plant", FAULTS, ids=lambda f: f.__name__)
def test_a_planted_fault_is_named(plant, seed):
    planted = plant(np.random.default_rng([seed, 97]))
    found = told(planted.table, **(planted.settings or {}))
    mine = [n for n in found if (n.code, n.column) == (planted.code, planted.column)]
    assert len(mine) == 1, [(n.code, n.column, n.message) for n in found]
    for words in planted.words:
        assert words in mine[0].message


@pytest.mark.parametrize("seed", range(40))
def test_a_sound_table_has_no_notice(seed):
    assert told(sound(np.random.default_rng([seed, 11]))) == []


def large(rng, m):
    x = rng.normal(size=m)
    return {"x": x, "y": 2 * x + rng.normal(size=m)}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("settings", [{}, {"folds": 3}], ids=str)
def test_rows_of_a_table_of_several_blocks_are_found_where_they_stand(seed, settings):
    rng = np.random.default_rng([seed, 5])
    m = 300_000
    training = np.flatnonzero(RowRoles(0, 0.1, 0.1).assign(0, 0, m, None) == 0)
    few, big, far, still = (np.sort(rng.choice(training, count, replace=False)) for count in (9, 4, 1, 3))
    table = large(rng, m) | {
        "size": rng.integers(0, 30, m).astype(str).astype(object),
        "big": rng.integers(0, 9_000, m),
        "far": rng.exponential(size=m),
        "still": np.full(m, 4.0),
    }
    table["size"][few] = "unknown"
    table["big"][big] = 2**60 + 1
    table["far"][far] = -1e9
    table["still"][still] = 5.0
    found = {n.code: n for n in told(table, **settings) if n.column != "big" or n.code == "past_2_53"}
    assert f"9 rows, first at row {few[0]:,}," in found["text_numbers"].message
    assert f"4 rows (first at row {big[0]:,})" in found["past_2_53"].message
    assert f"row {far[0]:,} (far = -1e+09)" in found["row_decides"].message
    assert found["nearly_constant"].column == "still"


def test_copies_in_a_large_table_are_estimated():
    rng = np.random.default_rng(2)
    table = {name: np.tile(values, 20) for name, values in large(rng, 2_000).items()}
    (notice,) = [n for n in told(table) if n.code == "duplicate_rows"]
    assert "an estimate" in notice.message
    about = int(re.search(r"about ([\d,]+) rows", notice.message)[1].replace(",", ""))
    assert about >= 30_000
    assert "metrics are too good" in notice.message


def test_a_value_whose_square_overflows_is_an_error_with_its_row():
    table = large(np.random.default_rng(0), 500)
    row = int(np.flatnonzero(RowRoles(0, 0.1, 0.1).assign(0, 0, 500, None) == 0)[77])
    table["x"][row] = -1e300
    with pytest.raises(DataError, match=rf"column 'x' .*-1e\+300 in row {row:,}, counted from 0"):
        fit(as_table(table), "y")


def test_of_very_many_notices_of_a_code_the_others_are_counted():
    rng = np.random.default_rng(0)
    table = large(rng, 400)
    for j in range(12):
        table[f"big{j}"] = rng.integers(2**55, 2**58, 400)
    found = [n for n in told(table) if n.code == "past_2_53"]
    assert len(found) == 6
    assert "and 7 more notices" in found[-1].message
    assert "'big11'" in found[-1].message


def test_several_targets_have_their_own_notices():
    rng = np.random.default_rng(1)
    table = large(rng, 400)
    table |= {"z": rng.normal(size=400), "copy": 3 * table["y"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gl.GradlineWarning)
        models = gl.train(as_table(table), ["y", "z"])
    assert [n.column for n in models["y"].notices if n.code == "target_copy"] == ["copy"]
    assert [n for n in models["z"].notices if n.code == "target_copy"] == []


@pytest.mark.parametrize(
    "settings", [{"weight": "w"}, {"missing": "drop"}, {"l1": 0.01}, {"loss": "huber"}, {"log_target": True}], ids=str
)
def test_the_detectors_run_with_every_setting(settings):
    rng = np.random.default_rng(3)
    table = sound(rng, m=500) | {"w": rng.uniform(0.5, 2, 500)}
    table["y"] = table["y"] - table["y"].min() + 10
    table["leak"] = np.round(table["y"], 1) + 0.0
    table["hole"] = np.where(rng.random(500) < 0.1, np.nan, rng.normal(size=500))
    codes = {(n.code, n.column) for n in told(table, **settings)}
    assert {c for c in codes if c[1] == "leak"} & {("near_target", "leak"), ("target_transformed", "leak")}


def codes(table, **settings):
    return {(n.code, n.column) for n in told(table, **settings)}


def test_a_date_is_named_by_its_column():
    rng = np.random.default_rng(4)
    table = large(rng, 300)
    days = np.argsort(np.argsort(table["y"])).astype("timedelta64[D]") + np.datetime64("2020-01-01")
    found = told(table | {"due": days.astype("datetime64[us]")})
    assert "--drop due" in next(n.message for n in found if n.column == "due")


def test_hostile_names_are_harmless_in_every_notice():
    rng = np.random.default_rng(5)
    table = large(rng, 300)
    name = "a=b'\"; drop table t; --\x1b[2J\n"
    assert ("target_copy", name) in codes(table | {name: 2 * table["y"] + 1})
    assert ("collinear", name) in codes(table | {"z": rng.normal(size=300), name: 2 * table["x"] + 1})


def test_empty_rows_are_no_leak():
    rng = np.random.default_rng(6)
    table = {name: values.astype(object) for name, values in (large(rng, 300) | {"z": rng.normal(size=300)}).items()}
    for values in table.values():
        values[280:] = None
    assert codes(table) == set()


def test_thousands_are_no_decimal_commas():
    rng = np.random.default_rng(7)
    table = large(rng, 400) | {"price": np.array([f"{v:,}" for v in rng.integers(100, 3_000, 400)], dtype=object)}
    assert {code for code, _ in codes(table)} <= {"text_numbers"}


def test_a_group_that_is_given_is_not_warned_of():
    planted = shared_groups(np.random.default_rng(8))
    assert ("shared_groups", "patient_id") not in codes(planted.table, group="patient_id")


@pytest.mark.parametrize(("stations", "noise"), [(25, 1.0), (400, 4.0)])
def test_stations_that_training_is_to_know_are_no_shared_groups(stations, noise):
    rng = np.random.default_rng(9)
    station = rng.integers(0, stations, 2_000)
    y = rng.normal(0, 5, stations)[station] + rng.normal(0, noise, 2_000)
    found = codes({"station": [f"s{s}" for s in station], "x": rng.normal(size=2_000), "y": y})
    assert not [code for code, _ in found if code != "no_better_than_baseline"]  # which is true: x is noise


def test_doses_of_an_experiment_are_not_called_bins_of_the_target():
    rng = np.random.default_rng(10)
    dose = rng.integers(0, 6, 400).astype(float)
    assert codes({"dose": dose, "y": 10 * dose + rng.uniform(-3, 3, 400)}) == set()


def test_large_measures_are_not_called_whole_numbers_past_float64():
    rng = np.random.default_rng(11)
    assert codes({"x": rng.normal(0, 1e20, 300), "y": rng.normal(size=300)}) == set()


def test_a_file_out_of_order_is_not_called_going_backwards():
    rng = np.random.default_rng(12)
    table = large(rng, 400) | {"t": rng.permutation(400)}
    assert codes(table, time="t") == set()


def test_a_column_with_holes_everywhere_is_not_said_to_be_null_with_the_target():
    rng = np.random.default_rng(13)
    table = large(rng, 400) | {"hole": rng.normal(size=400), "z": rng.normal(size=400)}
    table = {name: values.astype(object) for name, values in table.items()}
    table["y"][:20] = table["hole"][:20] = table["hole"][100:150] = None
    assert codes(table) == set()


def test_files_in_any_order_do_not_go_back_in_time(tmp_path):
    rng = np.random.default_rng(14)
    for name, first in (("a", 1_000), ("b", 0), ("c", 2_000)):
        times = np.arange(first, first + 200)
        if name == "c":
            times[150] = 0
        pq.write_table(as_table(large(rng, 200) | {"t": times}), tmp_path / f"{name}.parquet")
    notices = [
        n for n in fit([str(tmp_path / f"{n}.parquet") for n in "abc"], "y", time="t").notices if n.code == "time_backwards"
    ]
    assert len(notices) == 1
    assert "1 row (first at row 150)" in notices[0].message
    notices = fit([str(tmp_path / f"{n}.parquet") for n in "ab"], "y", time="t").notices
    assert "time_backwards" not in {n.code for n in notices}


def test_a_line_with_a_little_noise_in_few_rows_is_no_leak():
    rng = np.random.default_rng(15)
    x = np.arange(60.0)
    assert codes({"x": x, "y": 2 * x + rng.uniform(-0.9, 0.9, 60)}) == set()


@pytest.mark.parametrize("m", [60, 100])
def test_a_function_of_the_target_is_found_in_few_rows(m):
    rng = np.random.default_rng(16)
    y = rng.normal(size=m)
    assert ("target_transformed", "x") in codes({"x": np.exp(y), "z": rng.normal(size=m), "y": y})

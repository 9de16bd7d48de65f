"""Float64 moments that hold too few digits are followed by exact ones, and the answer has the digits that its columns hold."""

from __future__ import annotations

import importlib.util
import math
import warnings
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gradline as gl
from gradline.errors import DataError
from gradline.inputs.opening import open_source
from gradline.training.escalation import needed
from gradline.types import Notice
from reference import exact_least_squares, fit
from reference_sets import all_sets, digits

ALL = {"validation": 0.0, "test": 0.0}
EXACT = "second read: exact moments"
KEPT = "exact moments of the rows, kept from the first read"


def found_digits(model, case):
    found = [model.coefficients[f"x{j}"] for j in range(case.X.shape[1])]
    return digits([model.intercept, *found] if case.intercept else found, case.solution())


@pytest.mark.parametrize("case", all_sets(), ids=lambda case: case.name)
def test_no_digit_is_lost_that_the_float64_columns_hold(case):
    model = fit(case.X, case.y, intercept=case.intercept, **ALL)
    assert model.stop_reason in (gl.StopReason.CERTIFIED, gl.StopReason.ROUNDING)
    assert found_digits(model, case) > 15.0
    assert model.certificate.trusted_digits is not None
    if case.certified is not None:
        found = [model.coefficients[f"x{j}"] for j in range(case.X.shape[1])]
        deviation = case.X.std(axis=0)
        effects = [abs(float(c)) * s for c, s in zip(case.certified[1:], deviation, strict=True)]
        error = max(abs(Fraction(f) - c) * Fraction(s) for f, c, s in zip(found, case.certified[1:], deviation, strict=True))
        actual = 16.0 if error == 0 else -math.log10(float(error) / max(effects))
        assert model.certificate.trusted_digits <= actual + 1.0


@pytest.mark.parametrize("case", [case for case in all_sets() if case.certified], ids=lambda case: case.name)
def test_the_published_sets_have_the_published_answers(case):
    assert digits([float(v) for v in case.solution()], case.certified) > 13.0  # what rounding the columns leaves


def nearly_twins(rows, nearness=1e-9, seed=0):
    rng = np.random.default_rng(seed)
    a, b, c, noise = rng.normal(size=(4, rows))
    return {"a": a, "b": a + nearness * b, "c": c, "y": a + c + noise}


def written(table, path):
    pq.write_table(pa.table(table), path)
    return path


def worst(model, table, names=("a", "b", "c")):
    """The worst relative error of a coefficient, against rationals."""
    X = np.column_stack([table[name] for name in names])
    w, b = exact_least_squares(X.tolist(), table["y"].tolist())
    found = [*(model.coefficients[name] for name in names), model.intercept]
    return max(float(abs(Fraction(f) - e) / abs(e)) for f, e in zip(found, [*w, b], strict=True))


def test_a_large_table_is_read_again_where_the_digits_are_too_few(tmp_path):
    table = nearly_twins(2_500)
    model = fit(written(table, tmp_path / "t.parquet"), "y", **ALL)
    assert model.plan["stages"][:2] == ["one read: moments", EXACT]
    assert model.plan["stages"][-1].startswith("refinement")
    assert "exact" in model.plan["reasons"][0]
    assert worst(model, table) < 1e-15
    assert model.certificate.condition > 1e17
    assert not any(w["code"] == "collinear" for w in model.warnings)


def test_a_large_table_of_independent_columns_is_read_once(tmp_path):
    model = fit(written(nearly_twins(2_500, 1.0), tmp_path / "t.parquet"), "y", **ALL)
    assert not any("exact" in stage for stage in model.plan["stages"])


def test_a_large_table_with_a_column_that_repeats_another_is_read_once(tmp_path):
    table = nearly_twins(2_500)
    model = fit(written(table | {"b": 2.0 * table["a"]}, tmp_path / "t.parquet"), "y", **ALL)
    assert not any("exact" in stage for stage in model.plan["stages"])
    assert any(w["code"] == "collinear" for w in model.warnings)


def test_the_second_read_gives_the_bits_of_the_rows_kept_whatever_the_blocks(tmp_path, monkeypatch):
    table = nearly_twins(1_500)
    table["y"] = pa.array(
        table["y"], mask=np.arange(1_500) % 13 == 3
    )  # rows that are dropped, so that the others' places are not their numbers
    path = written(table, tmp_path / "t.parquet")
    kept = fit(path, "y", seed=3)
    assert KEPT in kept.plan["stages"]
    monkeypatch.setattr("gradline.training.reading.sample.SAMPLE_ROWS", 100)
    monkeypatch.setattr("gradline.training.reading.sample.MOST_SAMPLED", 200)
    read = fit(path, "y", seed=3)
    assert EXACT in read.plan["stages"]
    assert read.coefficients == kept.coefficients
    assert read.intercept == kept.intercept
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 128)
    for threads in (1, 3):
        cut = fit(path, "y", seed=3, threads=threads)
        assert cut.coefficients == kept.coefficients
        assert cut.intercept == kept.intercept
    assert kept.result["rows"]["validation"] > 0
    assert read.metrics == kept.metrics


def test_neither_the_order_of_rows_and_columns_nor_a_unit_changes_more_than_the_last_bit():
    table = nearly_twins(300)
    model = fit(pa.table(table), "y", **ALL)
    order = np.random.default_rng(1).permutation(300)
    other = {name: table[name][order] * (1024.0 if name == "b" else 1.0) for name in ("c", "b", "y", "a")}
    again = fit(pa.table(other), "y", **ALL)
    for name, unit in (("a", 1.0), ("b", 1024.0), ("c", 1.0)):
        assert again.coefficients[name] * unit == model.coefficients[name]
    assert again.intercept == model.intercept


def test_missing_values_categories_and_weights_are_those_of_the_first_read():
    rng = np.random.default_rng(4)
    rows = 200
    a, b = rng.normal(size=(2, rows))
    hole = rng.random(rows) < 0.2
    kind, weight = rng.choice(["p", "q", "r"], rows), rng.integers(0, 4, rows).astype(float)
    y = a + 2 * b + (kind == "q") + rng.normal(size=rows)
    table = pa.table({"a": pa.array(a, mask=hole), "b": b, "kind": kind, "w": weight, "y": y})
    model = fit(table, "y", weight="w", **ALL)
    assert KEPT in model.plan["stages"]
    names = list(model.coefficients)
    fill = next(f.mean for f in model.representation.features if f.name == "a")
    made = {"a": np.where(hole, fill, a), "a=(missing)": hole * 1.0, "b": b} | {f"kind={k}": (kind == k) * 1.0 for k in "pqr"}
    X = np.column_stack([made[name] for name in names])
    w, intercept = exact_least_squares(X.tolist(), y.tolist(), weights=weight.tolist())
    assert [model.coefficients[name] for name in names] == pytest.approx([float(v) for v in w], rel=1e-15)
    assert model.intercept == pytest.approx(float(intercept), rel=1e-15)


def test_a_stream_cannot_be_read_again_and_it_is_said():
    table = pa.table(nearly_twins(2_500))
    model = fit(table.to_reader(max_chunksize=500), "y", **ALL)
    (notice,) = [w for w in model.warnings if w["code"] == "not_escalated"]
    assert "cannot be read a second time" in notice["message"]
    assert not any("exact" in stage for stage in model.plan["stages"])
    assert model.certificate.trusted_digits is None or model.certificate.trusted_digits < 1.0
    few = fit(table.slice(0, 1_000).to_reader(max_chunksize=300), "y", **ALL)
    assert KEPT in few.plan["stages"]


def test_rows_that_are_others_at_the_second_read_are_an_error(tmp_path):
    path = written(nearly_twins(2_500), tmp_path / "t.parquet")

    class Changing:
        def __init__(self):
            self._source, self.reads = open_source(path), 0

        def __getattr__(self, name):
            return getattr(self._source, name)

        def blocks(self, columns):
            self.reads += 1
            if self.reads == 2:
                written(nearly_twins(2_500, seed=9), path)
                self._source = open_source(path)
            return self._source.blocks(columns)

    from gradline.api import run
    from gradline.training.config import TrainConfig

    with pytest.raises(DataError, match="changed while it was read"):
        run(Changing(), TrainConfig.from_mapping({"target": "y"} | ALL))


def test_a_run_that_did_not_converge_is_not_refined():
    table = pa.table(nearly_twins(300))
    stopped = fit(table, "y", max_steps=2, **ALL)
    assert stopped.result["stopped"]["reason"] == "max_steps"
    assert stopped.certificate.relative_gap > 1e-9
    assert any(w["code"] == "not_converged" for w in stopped.warnings)


def test_what_the_user_chooses_for_the_loop_stays_the_loop_s():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(100, 2))
    y = X @ [1.0, 2.0] + rng.normal(size=100)
    for settings in ({"learning_rate": 0.1}, {"optimizer": "nesterov"}, {"stop": ("gap",)}, {"scaling": "none"}):
        model = fit(X, y, **settings, **ALL)
        assert not any("refinement" in stage for stage in model.plan["stages"]), settings
        assert model.certificate.gap > 0.0
        assert model.theta_low is None
    assert any("refinement" in stage for stage in fit(X, y, **ALL).plan["stages"])


def test_sql_without_an_order_is_read_again_if_it_gives_the_same_rows(tmp_path):
    path = written(nearly_twins(2_500), tmp_path / "t.parquet")
    assert fit(f"from '{path}'", "y", **ALL).coefficients == fit(path, "y", **ALL).coefficients
    for settings in (ALL, {"validation": 0.2, "test": 0.2}):
        with pytest.raises(DataError, match="another order the second time"):
            fit(f"from '{path}' order by random()", "y", **settings)


def test_the_saved_model_has_the_refined_parameters(tmp_path):
    case = next(case for case in all_sets() if case.name == "Wampler5")
    model = fit(case.X, case.y, **ALL)
    model.save(tmp_path / "m.gradline")
    loaded = gl.load(tmp_path / "m.gradline")
    assert found_digits(loaded, case) > 15.0
    assert loaded.coefficients == model.coefficients
    assert loaded.intercept == model.intercept


def test_the_errors_of_a_nearly_perfect_fit_are_right_in_every_role():
    rng = np.random.default_rng(6)
    a, b, noise = rng.normal(size=(3, 400))
    X, y = np.column_stack([a, b]), a + 2 * b + 1e-9 * noise
    model = fit(X, y, validation=0.2, test=0.2, seed=1)
    w, _ = np.array([1.0, 2.0]), 0.0
    error = y - X @ w
    assert model.metrics["train"]["rmse"] == pytest.approx(error.std(), rel=0.2)
    for role in ("train", "validation", "test"):
        assert model.metrics[role]["rmse"] == pytest.approx(1e-9, rel=0.3)
        assert 1.0 - model.metrics[role]["r2"] < 1e-15


def test_a_second_read_of_the_summary_is_named(tmp_path, capsys):
    from gradline.report.summary import print_summary

    model = fit(pa.table(nearly_twins(300)), "y", **ALL)
    print_summary(model, tmp_path)
    shown = " ".join(capsys.readouterr().out.split()) + " ".join(capsys.readouterr().err.split())
    assert KEPT in shown
    assert "refined to the solved minimum" in shown


def test_residuals_that_dwarf_the_effects_cost_the_digits_that_they_do():
    rng = np.random.default_rng(12)
    shortfalls = []
    for _ in range(20):
        a, b, e = [[Fraction(v) / 3 for v in values] for values in rng.normal(size=(3, 12)).tolist()]
        X = [[u, u + Fraction(1, 10**4) * v] for u, v in zip(a, b, strict=True)]
        w, c = exact_least_squares(X, e)
        apart = [v - (w[0] * row[0] + w[1] * row[1] + c) for v, row in zip(e, X, strict=True)]  # orthogonal to the columns
        y = [row[0] + row[1] + 1000 * v for row, v in zip(X, apart, strict=True)]  # whose exact coefficients are 1 and 1
        model = fit(np.array([[float(v) for v in row] for row in X]), np.array([float(v) for v in y]), **ALL)
        actual = -math.log10(max(abs(model.coefficients[name] - 1.0) for name in ("x0", "x1")))
        shortfalls.append(actual - model.certificate.trusted_digits)
    assert min(shortfalls) > -0.5
    assert np.median(shortfalls) < 2.5


def benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "trusted_digits.py"
    spec = importlib.util.spec_from_file_location("trusted_digits", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_trusted_digits_promise_no_digit_that_rounding_has_taken():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = benchmark().outcomes(60, seed=11)
    said = [o for o in found if o.promised is not None]
    assert len(said) > 40
    assert max(o.promised - o.actual for o in said) < 1.0
    assert np.median([o.actual - o.promised for o in said]) < 3.0
    assert min(o.computed for o in said) > 14.0
    assert np.median([o.ceiling for o in found if o.promised is None]) < 1.0


@pytest.mark.parametrize(("digits", "told"), [(None, True), (5.9, True), (6.0, False)])
def test_exact_moments_that_cannot_be_had_are_told_of_only_where_digits_lack(digits, told):
    certificate = replace(fit(np.arange(50.0)[:, None], np.arange(50.0) % 7, **ALL).certificate, trusted_digits=digits)
    word, other = Notice("not_escalated", None, "a word"), Notice("few_rows", None, "another")
    assert needed([word, other], certificate) == ([word, other] if told else [other])

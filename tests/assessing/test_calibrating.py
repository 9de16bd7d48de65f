"""Intervals of whole training runs: those of refits, of peers, and of the definition; calibrated, saved, predicted, evaluated."""

import csv
import dataclasses
import json
import warnings
from fractions import Fraction
from math import ceil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gradline as gl
from gradline.api import evaluate
from gradline.assessing import calibrating
from gradline.errors import GradlineWarning, ModelFileError, UsageError
from gradline.evaluation import leave_one_out
from gradline.maths.conformal import coverage_band, decimal
from gradline.model.file import write_model
from gradline.splits.roles import RowRoles, value_hashes
from gradline.types import Role
from tables import fit, gradline, write_csv, write_ndjson, write_parquet


def heteroscedastic(n, seed=0):
    """The spread of y grows with x; a category, a column with holes."""
    rng = np.random.default_rng(seed)
    x, z = rng.uniform(0.0, 4.0, n), rng.normal(size=n)
    c = rng.choice(["a", "b", "c"], n)
    y = 3.0 * x - z + (c == "b") + (0.2 + x) * rng.normal(size=n)
    holed = np.where(rng.random(n) < 0.1, np.nan, z)
    return pa.table(
        {"x": x, "z": pa.array(holed, from_pandas=True), "c": c.tolist(), "y": y, "w": rng.integers(1, 4, n).astype(float)}
    )


@pytest.fixture(autouse=True)
def _extrapolations_are_no_news():
    """Held-out rows may be a little outside of the training range."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'(x|z|x2)' is outside the training range", GradlineWarning)
        yield


def told(model):
    return model.result["assessment"]["intervals"]


def codes(model):
    return [notice.code for notice in model.notices]


def roles_of(n, seed=0, validation=0.1, test=0.1):
    return RowRoles(seed, validation, test).assign(0, 0, n, None)


# ---- split conformal


@pytest.mark.parametrize(("coverage", "log"), [(0.9, False), (0.8, False), (0.95, True)])
def test_the_margin_is_the_exact_order_statistic_of_the_validation_errors(coverage, log):
    data = heteroscedastic(1_500)
    if log:
        data = data.set_column(3, "y", pa.array(np.exp(data["y"].to_numpy() / 9)))
    model = fit(data, drop=["w"], coverage=coverage, log_target=log)
    held = roles_of(1_500) == Role.VALIDATION
    predicted, y = model.predict(data), data["y"].to_numpy()
    if log:
        predicted, y = np.log(predicted / model.retransformation.factor), np.log(y)
    errors = np.sort(np.abs(y - predicted)[held])
    k = ceil(Fraction(repr(coverage)) * (held.sum() + 1))
    assert told(model)["margin"] == pytest.approx(errors[k - 1], rel=1e-9)
    assert (told(model)["method"], told(model)["rows"], told(model)["guarantee"]) == ("conformal", held.sum(), coverage)


def test_of_a_log_target_the_bounds_are_raised_without_the_factor_of_the_mean():
    data = heteroscedastic(1_000).drop_columns(["w"])
    data = data.set_column(3, "y", pa.array(np.exp(data["y"].to_numpy() / 9)))
    model = fit(data, log_target=True)
    found = model.predict(data, return_interval=True)
    score = np.log(found.prediction / model.retransformation.factor)
    np.testing.assert_allclose(found.low, np.exp(score - told(model)["margin"]), rtol=1e-12)
    np.testing.assert_allclose(found.high, np.exp(score + told(model)["margin"]), rtol=1e-12)
    test = roles_of(1_000) == Role.TEST
    y = data["y"].to_numpy()
    assert told(model)["test"]["coverage"] == ((found.low <= y) & (y <= found.high))[test].mean()
    assert told(model)["test"]["width"] == pytest.approx((found.high - found.low)[test].mean(), rel=1e-12)


def test_of_each_group_one_row_calibrates_and_the_groups_are_the_count():
    rng = np.random.default_rng(2)
    who = np.repeat(np.arange(400), 5)
    x = rng.normal(size=2_000)
    y = 2 * x + np.repeat(rng.normal(0, 3, 400), 5) + rng.normal(size=2_000)
    model = fit(pa.table({"who": who, "x": x, "y": y}), features=["x"], group="who")
    held = {int(g) for g, h in zip(range(400), value_hashes(0, pa.array(range(400))) / 2**64, strict=True) if h < 0.1}
    assert told(model)["rows"] == len(held)
    assert told(model)["test"]["rows"] > told(model)["test"]["expected"]["rows"]
    assert "new values of who" in told(model)["rests_on"]


def test_evaluate_draws_one_row_of_each_group_whatever_the_blocks(monkeypatch):
    rng = np.random.default_rng(2)
    who = np.repeat(np.arange(300), 6)
    shared = np.repeat(rng.normal(0, 3, 300), 6)
    data = pa.table({"who": who, "x": rng.normal(size=1_800), "y": shared + rng.normal(size=1_800)})
    model = fit(data, features=["x"], group="who")
    found = evaluate(model, data)["intervals"]
    assert found["rows"] == 1_800
    assert found["expected"]["rows"] == 300
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 101)
    assert evaluate(model, data)["intervals"]["expected"] == found["expected"]
    assert evaluate(model, data.drop_columns(["who"]))["intervals"]["expected"] is None


# ---- jackknife+


def refits(design, y, weight, penalty, new, alpha):
    """Barber et al.'s definition with n least squares, (m, 2)."""
    n = len(y)
    centre, residual = np.empty((len(new), n)), np.empty(n)
    for i in range(n):
        kept = np.arange(n) != i
        A = np.vstack([np.sqrt(weight[kept])[:, None] * design[kept], penalty])
        b = np.append(np.sqrt(weight[kept]) * y[kept], np.zeros(len(penalty)))
        theta = np.linalg.lstsq(A, b, rcond=None)[0]
        centre[:, i], residual[i] = new @ theta, abs(y[i] - design[i] @ theta)
    k = ceil((1 - alpha) * (n + 1))
    return np.column_stack([np.sort(centre - residual, axis=1)[:, n - k], np.sort(centre + residual, axis=1)[:, k - 1]])


@pytest.mark.parametrize(("settings", "copy"), [
    ({}, False), ({"l2": 0.3}, False), ({"weight": "w"}, False), ({"weight": "w", "l2": 0.05}, False), ({"intercept": False}, False),
    ({"scaling": "none", "l2": 0.1}, False), ({}, True), ({"log_target": True}, False), ({"coverage": 0.5}, False),
])  # fmt: skip
def test_jackknife_plus_by_leverage_is_that_of_brute_force_refits(settings, copy, tmp_path):
    data = heteroscedastic(120, seed=5)
    y = data["y"].to_numpy()
    if settings.get("log_target"):
        y = np.exp(y / 9)
        data = data.set_column(3, "y", pa.array(y))
    if copy:  # exactly collinear columns
        data = data.append_column("x2", pa.array(2.0 * data["x"].to_numpy()))
    drop = [] if settings.get("weight") else ["w"]
    model = fit(data, drop=drop, interval="jackknife+", test=0.2, validation=0.0, **settings)
    assert told(model)["method"] == "jackknife+"
    training = roles_of(120, validation=0.0, test=0.2) == Role.TRAINING
    decoded = model.decoder().decode(data.to_batches()[0])
    design = model.representation.design(decoded)
    at, lam = model.coordinates, settings.get("l2", 0.0)
    weight = data["w"].to_numpy()[training] if settings.get("weight") else np.ones(training.sum())
    slopes = np.diag(np.sqrt(lam * weight.sum()) * at.scale)  # (λ/2)Σ(s_j w_j)² of the mean loss, in the user's units
    constant = settings.get("intercept", True)
    penalty = np.column_stack([slopes, np.zeros(len(slopes))]) if constant else slopes
    whole = np.column_stack([design, np.ones(120)]) if constant else design
    goal = np.log(y) if settings.get("log_target") else y
    expected = refits(whole[training], goal[training], weight, penalty, whole, 1 - decimal(settings.get("coverage", 0.9)))
    found = model.predict(data, return_interval=True)
    bounds = np.column_stack(found[1:])
    bounds = np.log(bounds) if settings.get("log_target") else bounds
    np.testing.assert_allclose(bounds, expected, rtol=1e-9, atol=1e-9)
    model.save(tmp_path / "m.gradline")
    again = gl.load(tmp_path / "m.gradline").predict(data, return_interval=True)
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))


@pytest.mark.filterwarnings("ignore")
def test_jackknife_plus_is_mapies():
    pytest.importorskip("mapie")
    from mapie.regression import CrossConformalRegressor
    from sklearn.linear_model import LinearRegression

    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(150, 3)), 2.0 * rng.normal(size=(60, 3))
    y = X @ [1.0, -2.0, 0.5] + (0.3 + np.abs(X[:, 0])) * rng.normal(size=150)
    peer = CrossConformalRegressor(LinearRegression(), confidence_level=0.9, method="plus", cv=150).fit_conformalize(X, y)
    _, expected = peer.predict_interval(new)
    data = pa.table({**{f"x{j}": X[:, j] for j in range(3)}, "y": y})
    model = fit(data, interval="jackknife+", validation=0.0, test=0.0)
    found = model.predict(pa.table({f"x{j}": new[:, j] for j in range(3)}), return_interval=True)
    np.testing.assert_allclose(np.column_stack(found[1:]), expected[:, :, 0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("settings", "why"), [
    ({"l1": 0.01}, "--l1"), ({"loss": "huber"}, "huber"), ({"max_steps": 1, "optimizer": "gradient_descent"}, "before the minimum"),
    ({"group": "c"}, "groups"),
])  # fmt: skip
def test_where_jackknife_plus_cannot_be_had_it_is_split_conformal_and_told(settings, why):
    model = fit(heteroscedastic(400), drop=["w"], interval="jackknife+", validation=0.3, **settings)
    notices = {notice.code: notice.message for notice in model.notices}
    assert why in notices["interval_method"]
    assert told(model)["method"] in ("conformal", None)
    assert why in told(model)["reason"] or told(model)["method"] is None


def test_tables_past_its_limit_too(monkeypatch):
    monkeypatch.setattr(leave_one_out, "MOST_ROWS", 300)
    model = fit(heteroscedastic(400), drop=["w"], interval="jackknife+", validation=0.1)
    assert told(model)["method"] == "conformal"
    assert "interval_method" in codes(model)


# ---- conformalised quantiles


def test_quantile_intervals_are_wide_where_the_rows_spread_and_hold_as_many():
    data = heteroscedastic(3_000, seed=3)
    even, own = (fit(data, drop=["w"], interval=how, test=0.3) for how in ("conformal", "quantile"))
    found = own.predict(data, return_interval=True)
    width, x = found.high - found.low, data["x"].to_numpy()
    assert width[x > 3.5].mean() > 4.0 * width[x < 0.5].mean() > 0.0
    shares = [np.std([each["coverage"] for each in told(model)["test"]["by_prediction"]]) for model in (even, own)]
    assert shares[1] < 0.5 * shares[0]
    assert told(own)["test"]["width"] < told(even)["test"]["width"]
    for model in (even, own):
        expected = told(model)["test"]["expected"]
        assert expected["low"] <= expected["coverage"] <= expected["high"]
    held = roles_of(3_000, test=0.3) == Role.VALIDATION
    inside = (found.low <= data["y"].to_numpy()) & (data["y"].to_numpy() <= found.high)
    assert np.count_nonzero(inside[held]) == ceil(Fraction(9, 10) * (held.sum() + 1))  # the rank: no row more, none less


def test_quantiles_that_cross_are_sorted():
    data = heteroscedastic(600)
    model = fit(data, drop=["w"], interval="quantile")
    crossed = dataclasses.replace(model.intervals, quantiles=model.intervals.quantiles[::-1])
    found, other = (each.predict(data, return_interval=True) for each in (model, dataclasses.replace(model, intervals=crossed)))
    assert np.array_equal(found.low, other.low)
    assert np.array_equal(found.high, other.high)


@pytest.mark.parametrize("how", ["conformal", "jackknife+", "quantile"])
def test_coverage_of_whole_runs_is_within_its_law(how):
    runs = [fit(heteroscedastic(500, seed=s), drop=["w", "z"], interval=how, validation=0.2, test=0.4) for s in range(100, 112)]
    found = [told(model)["test"]["expected"] for model in runs]
    assert sum(not each["low"] <= each["coverage"] <= each["high"] for each in found) <= 1
    mean = np.mean([each["coverage"] for each in found])
    band = coverage_band(1_200, 600, decimal(0.9), 0.999)  # of twelve calibrated by about 100 rows each, on about 200
    assert band.low - 0.01 <= mean <= band.high + 0.01


# ---- what is said


def test_rows_too_few_are_told_with_the_number_that_would_do():
    data = heteroscedastic(100)
    model = fit(data, drop=["w"], interval="conformal", coverage=0.99)
    notice = next(notice for notice in model.notices if notice.code == "interval_infinite")
    assert "need 99 validation rows" in notice.message
    assert model.intervals is None
    quiet = fit(data, drop=["w"], coverage=0.99)
    assert "need 99 validation rows" in told(quiet)["reason"]
    assert "interval_infinite" not in codes(quiet)
    with pytest.raises(UsageError, match="no prediction intervals"):
        quiet.predict(data, return_interval=True)


def test_validation_rows_that_were_used_before_promise_nothing():
    data = heteroscedastic(1_000)
    model = fit(data, drop=["w"], stop="validation", optimizer="gradient_descent")
    assert "interval_reused_rows" in codes(model)
    assert told(model)["guarantee"] is None
    assert "interval_reused_rows" not in codes(fit(data, drop=["w"]))


def test_by_time_nothing_is_promised_and_a_later_drift_is_seen():
    data = heteroscedastic(3_000, seed=9)
    later = np.arange(3_000) > 2_750
    drifted = data["y"].to_numpy() + 6.0 * later * np.random.default_rng(0).normal(size=3_000)
    data = data.set_column(3, "y", pa.array(drifted)).append_column("t", pa.array(np.arange(3_000)))
    model = fit(data, features=["x", "z", "c"], time="t")
    assert told(model)["guarantee"] is None
    assert "coverage_low" in codes(model)


def test_evaluate_measures_the_coverage_of_new_rows_and_tells_of_drift():
    model = fit(heteroscedastic(2_000), drop=["w"])
    same = evaluate(model, heteroscedastic(1_000, seed=77))
    rows = heteroscedastic(1_000, seed=77)
    found, y = model.predict(rows, return_interval=True), rows["y"].to_numpy()
    assert same["intervals"]["coverage"] == ((found.low <= y) & (y <= found.high)).mean()
    assert same["intervals"]["rows"] == 1_000
    assert "coverage_low" not in [notice["code"] for notice in same["warnings"]]
    other = rows.set_column(3, "y", pa.array(y + 4.0))
    assert "coverage_low" in [notice["code"] for notice in evaluate(model, other)["warnings"]]


@pytest.mark.parametrize(("settings", "words"), [
    ({"coverage": 1.0}, "not a share"), ({"coverage": 90.0}, "not a share"), ({"interval": "conformal", "validation": 0.0}, "validation"),
    ({"interval": "quantile", "log_target": True}, "do not go together"), ({"interval": "jackknife+", "assess": "no"}, "leaves out"),
    ({"interval": "bootstrap"}, "not known"),
])  # fmt: skip
def test_settings_that_cannot_be_are_refused(settings, words):
    with pytest.raises(UsageError, match=words):
        fit(heteroscedastic(50), **settings)


def test_what_is_read_once_has_no_second_read_for_intervals(tmp_path):
    query = f"select * from '{write_parquet(heteroscedastic(100), tmp_path / 't.parquet')}'"
    with pytest.raises(UsageError, match="--interval conformal needs the rows a second time"):
        gl.train(query, "y", interval="conformal")
    with pytest.raises(UsageError, match="--event needs the rows a second time"):
        gl.train(query, "y", event=">6")
    assert fit(query).result["assessment"] is None


def test_without_intervals_there_are_none():
    model = fit(heteroscedastic(300), interval="none")
    assert model.intervals is None
    assert told(model)["method"] is None


# ---- the file, and predictions


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    data = heteroscedastic(900)
    write_csv(data.drop_columns(["w"]), folder / "t.csv")
    gl.train(str(folder / "t.csv"), "y", out=folder / "m", event=">6", miss_cost=3)
    return folder


@pytest.mark.parametrize("suffix", ["csv", "parquet", "ndjson"])
def test_predict_writes_the_bounds_and_the_decision_beside_the_prediction(run, capsys, suffix):
    source = write_parquet(heteroscedastic(200, seed=8), run / "new.parquet")
    answer = gradline(capsys, "predict", run / "m", source, "--out", run / f"p.{suffix}")
    assert answer.code == 0, answer.err
    model = gl.load(run / "m")
    expected, decided = model.predict(source, return_interval=True), model.decide(source)
    if suffix == "parquet":
        table = pq.read_table(run / "p.parquet")
        assert table.schema.field("decision").type == pa.bool_()
        rows = table.to_pylist()
    elif suffix == "csv":
        rows = list(csv.DictReader((run / "p.csv").read_text().splitlines()))
        rows = [row | {"decision": {"true": True, "false": False}[row["decision"]]} for row in rows]
    else:
        rows = [json.loads(line) for line in (run / "p.ndjson").read_text().splitlines()]
    assert list(rows[0]) == ["row", "prediction", "low", "high", "decision"]
    for name, values in zip(("prediction", "low", "high"), expected, strict=True):
        assert [float(row[name]) for row in rows] == values.tolist()
    assert [row["decision"] for row in rows] == decided.to_pylist()


def test_rows_that_the_contract_drops_have_no_bounds_and_no_decision(tmp_path):
    data = heteroscedastic(900)
    model = fit(data, drop=["w"], missing="drop", event=">6")
    with pytest.warns(GradlineWarning):
        found = model.predict(data, return_interval=True)
    lacking = np.asarray(data["z"].is_null())
    assert np.array_equal(np.isnan(found.low), lacking)
    assert np.array_equal(np.isnan(found.high), lacking)
    with pytest.warns(GradlineWarning):
        assert np.array_equal(np.asarray(model.decide(data).is_null()), lacking)


def test_a_column_that_is_kept_by_these_names_keeps_its_name(run, capsys):
    data = heteroscedastic(20).append_column("low", pa.array(range(20)))
    path = write_ndjson(data, run / "named.ndjson")
    assert gradline(capsys, "predict", run / "m", path, "--out", run / "k.parquet", "--keep", "low").code == 0
    table = pq.read_table(run / "k.parquet")
    assert table.column_names == ["row", "low", "prediction", "gradline_low", "high", "decision"]
    assert table["low"].to_pylist() == list(range(20))


@pytest.mark.parametrize("how", ["conformal", "jackknife+", "quantile"])
def test_a_model_of_each_method_comes_back_from_its_file(how, tmp_path):
    data = heteroscedastic(400)
    model = fit(data, drop=["w"], interval=how, event="<=2", recall=0.8, act_on="low")
    model.save(tmp_path / "m")
    again = gl.load(tmp_path / "m")
    assert again.policy == model.policy
    assert all(
        np.array_equal(a, b)
        for a, b in zip(model.predict(data, return_interval=True), again.predict(data, return_interval=True), strict=True)
    )
    assert again.decide(data) == model.decide(data)


@pytest.mark.parametrize("change", [
    {"method": "guess"}, {"coverage": 1.5}, {"margin": -3.0}, {"rows": -1},
])  # fmt: skip
def test_a_file_whose_intervals_cannot_be_is_refused(change, tmp_path):
    model = fit(heteroscedastic(400), drop=["w"])
    write_model(dataclasses.replace(model, intervals=dataclasses.replace(model.intervals, **change)), tmp_path / "m")
    with pytest.raises(ModelFileError):
        gl.load(tmp_path / "m")


def test_the_fits_of_the_quantiles_share_the_rows_and_leave_every_other_choice():
    from gradline.training.config import TrainConfig

    config = TrainConfig(
        target="y", l2=None, folds=5, errors="classical", stop=("validation",), optimizer="momentum", seed=4, group="g"
    )
    found = calibrating.quantile_config(config, 0.05, 0.7)
    assert (found.loss, found.quantile, found.l2, found.seed, found.group) == ("pinball", 0.05, 0.7, 4, "g")
    assert (found.folds, found.optimizer, found.interval) == (0, "auto", "none")


def test_validation_rows_without_weight_do_not_calibrate():
    data, held = heteroscedastic(600), np.flatnonzero(roles_of(600) == Role.VALIDATION)
    weight = np.ones(600)
    weight[held[20:]] = 0.0
    model = fit(data.set_column(4, "w", pa.array(weight)), weight="w")
    assert told(model)["rows"] == 20
    weight[held[8:]] = 0.0
    model = fit(data.set_column(4, "w", pa.array(weight)), weight="w")
    assert told(model)["method"] is None
    assert "there are 8" in told(model)["reason"]


@pytest.mark.parametrize("part", ["intervals", "decision"])
def test_a_file_that_tells_of_intervals_or_a_policy_it_has_not_is_refused(part, tmp_path):
    model = fit(heteroscedastic(400), drop=["w"], event=">6")
    lost = {
        "intervals": {"intervals": None},
        "decision": {"result": model.result | {"assessment": model.result["assessment"] | {"decision": None}}},
    }
    write_model(dataclasses.replace(model, **lost[part]), tmp_path / "m")
    with pytest.raises(ModelFileError):
        gl.load(tmp_path / "m")


def test_arrays_of_jackknife_plus_that_do_not_fit_are_refused(tmp_path):
    model = fit(heteroscedastic(200), drop=["w"], interval="jackknife+")
    own = model.intervals
    for root in (own.whitened.root[:-1], own.whitened.root[:, 0], np.array(1.0), own.whitened.root[:, :-1]):
        other = dataclasses.replace(own, whitened=own.whitened._replace(root=root))
        write_model(dataclasses.replace(model, intervals=other), tmp_path / "m")
        with pytest.raises(ModelFileError):
            gl.load(tmp_path / "m")


def test_intervals_of_several_targets_are_each_targets_own():
    data = heteroscedastic(900).append_column("y2", pa.array(np.random.default_rng(0).normal(size=900)))
    models = gl.train(data, ["y", "y2"], drop=["w"], interval="quantile")
    for target, model in models.items():
        found = model.predict(data, return_interval=True)
        inside = (found.low <= data[target].to_numpy()) & (data[target].to_numpy() <= found.high)
        test = roles_of(900) == Role.TEST
        assert told(model)["test"]["coverage"] == inside[test].mean()


def test_a_file_without_intervals_loads_as_older_ones_do(tmp_path, monkeypatch):
    model = fit(heteroscedastic(300), drop=["w"], assess="no")
    made = json.dumps

    def without(document, **how):
        older = {name: value for name, value in document.items() if name not in ("intervals", "policy")}
        return made(older, **how)

    monkeypatch.setattr("gradline.model.file.json.dumps", without)
    model.save(tmp_path / "m")
    monkeypatch.undo()
    again = gl.load(tmp_path / "m")
    assert again.intervals is None
    assert again.policy is None

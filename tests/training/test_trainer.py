# ruff: noqa: DTZ001 (times without a zone are what files hold)
"""Whole runs through `gradline.train`, against QR on a dense design that is built a second time, row by row."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gradline as gl
from gradline.errors import DataError, StabilityError, UsageError
from gradline.maths import levels as by_levels
from gradline.splits.roles import RowRoles, ValueRoles
from gradline.training import survey as surveys
from gradline.training import trainer
from gradline.types import Role
from reference import brute_design, fit, qr_coefficients, worst_error

ALL = {"validation": 0.0, "test": 0.0}


def everything(m=1200, seed=0):
    """Numbers with offsets and missing values, categories with rare levels and missing values, dates and times."""
    rng = np.random.default_rng(seed)

    def holes(values, share):
        return [None if rng.random() < share else v for v in values]

    start = dt.date(2013, 1, 1)
    columns = {
        "area": holes((rng.gamma(2, 50, m) + 1e4).tolist(), 0.1),
        "age": holes(rng.integers(0, 90, m).tolist(), 0.002),
        "ratio": rng.normal(0, 1e-6, m).tolist(),
        "city": holes([str(c) for c in rng.choice(["Oslo", "Rome", "Lima", "Bern"], m, p=[0.5, 0.3, 0.17, 0.03])], 0.05),
        "code": [str(min(c, 300)) for c in rng.geometric(0.05, m)],
        "day": holes([start + dt.timedelta(days=int(d)) for d in rng.integers(0, 900, m)], 0.05),
        "at": [dt.datetime(2013, 1, 1) + dt.timedelta(hours=float(h)) for h in rng.uniform(0, 9000, m).round(2)],
    }
    effect = {"Oslo": 0.0, "Rome": 40.0, "Lima": -20.0, "Bern": 5.0, None: 1.0}
    y = [
        (a or 1e4) * 0.3 + 2e6 * r + effect[c] + 0.01 * (d.toordinal() if d else 0) + t.hour + float(e)
        for a, r, c, d, t, e in zip(
            columns["area"], columns["ratio"], columns["city"], columns["day"], columns["at"], rng.normal(0, 20, m), strict=True
        )
    ]
    return columns, y


def training_rows(columns, y, roles):
    mine = [i for i, (role, target) in enumerate(zip(roles, y, strict=True)) if role == Role.TRAINING and target is not None]
    return {name: [values[i] for i in mine] for name, values in columns.items()}, np.array([y[i] for i in mine], float)


@pytest.mark.parametrize("settings", [ALL, {"validation": 0.2, "test": 0.1, "seed": 5}], ids=["all rows", "split"])
@pytest.mark.parametrize("oracle", ["moments", "streamed"])
def test_coefficients_are_those_of_qr_on_the_training_rows(tmp_path, monkeypatch, settings, oracle):
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 250)
    columns, y = everything()
    y[10] = y[700] = None
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table(columns | {"y": y}), path)
    model = fit(path, "y", oracle=oracle, **settings)
    roles = RowRoles(model.config["seed"], settings["validation"], settings["test"]).assign(0, 0, len(y), None)
    rows, target = training_rows(columns, y, roles)
    names, X = brute_design(rows, min(max(len(target) // 100, 2), 10))
    assert set(model.coefficients) == set(names)
    assert worst_error(model, names, X, target) <= 1e-9
    assert model.certificate.relative_gap <= 1e-12
    assert model.result["rows"]["train"] == len(target)
    assert model.result["rows"]["dropped"] == 2
    assert model.result["stopped"]["reason"] in ("certified", "rounding")
    w, b = qr_coefficients(X, target)
    residual = X @ w + b - target
    assert model.certificate.minimum == pytest.approx(0.5 * np.mean(residual**2), rel=1e-9)
    assert model.metrics["train"]["rmse"] == pytest.approx(np.sqrt(np.mean(residual**2)), rel=1e-9)
    assert model.metrics["train"]["r2"] == pytest.approx(1 - np.mean(residual**2) / np.var(target), rel=1e-9)


@pytest.mark.parametrize("offset", [1e3, 1e6])
def test_offsets_do_not_cost_the_promised_digits(tmp_path, monkeypatch, offset):
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 100)
    rng = np.random.default_rng(1)
    X = rng.normal(size=(3000, 3)) + offset * np.array([1.0, -1.0, 0.5])
    y = X @ [1.0, 2.0, 3.0] + rng.normal(size=3000)
    path = tmp_path / "offset.parquet"
    pq.write_table(pa.table({f"x{j}": X[:, j] for j in range(3)} | {"y": y}), path)
    model = fit(path, "y", **ALL)
    assert worst_error(model, ["x0", "x1", "x2"], X, y) <= 1e-9


def test_an_offset_of_a_thousand_million_keeps_the_promised_digits(tmp_path, monkeypatch):
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 100)
    rng = np.random.default_rng(2)
    X = np.column_stack([1e9 + rng.integers(-5, 6, 3000), rng.normal(size=3000)])  # exact in float64
    y = X @ [1.0, 2.0] - 1e9 + rng.normal(size=3000)
    path = tmp_path / "offset.parquet"
    pq.write_table(pa.table({"x0": X[:, 0], "x1": X[:, 1], "y": y}), path)
    model = fit(path, "y", **ALL)
    error = worst_error(model, ["x0", "x1"], X, y)
    assert error <= 10.0**-model.certificate.trusted_digits
    assert error <= 1e-9


def simple(m=400, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, 3)) * [1.0, 2.0, 0.5] + [1.0, -2.0, 0.0]
    return X, X @ [1.0, -1.0, 2.0] + 3.0 + rng.normal(size=m)


NAMES = ["x0", "x1", "x2"]


def test_the_penalty_is_on_standardised_coefficients():
    X, y = simple()
    for l2 in (1e-3, 0.1, 10.0):
        model = fit(X, y, l2=l2, **ALL)
        Z, s = (X - X.mean(axis=0)) / X.std(axis=0), X.std(axis=0)
        w = np.linalg.solve(Z.T @ Z / len(y) + l2 * np.eye(3), Z.T @ (y - y.mean()) / len(y))
        assert [model.coefficients[n] for n in NAMES] == pytest.approx(w / s, rel=1e-9)
        assert model.intercept == pytest.approx(y.mean() - X.mean(axis=0) @ (w / s), rel=1e-9)
        objective = 0.5 * np.mean((Z @ w + y.mean() - y) ** 2) + 0.5 * l2 * w @ w
        assert model.certificate.objective == pytest.approx(objective, rel=1e-10)


def test_the_penalty_is_on_raw_coefficients_where_nothing_is_scaled():
    X, y = simple()
    model = fit(X, y, l2=0.5, scaling="none", **ALL)
    A, c = X - X.mean(axis=0), y - y.mean()
    w = np.linalg.solve(A.T @ A / len(y) + 0.5 * np.eye(3), A.T @ c / len(y))
    assert [model.coefficients[n] for n in NAMES] == pytest.approx(w, rel=1e-9)


@pytest.mark.parametrize("scaling", ["standard", "none"])
def test_without_an_intercept_there_is_none(scaling):
    X, y = simple()
    model = fit(X, y, intercept=False, scaling=scaling, **ALL)
    w, *_ = np.linalg.lstsq(X, y, rcond=None)
    assert model.intercept == 0.0
    assert [model.coefficients[n] for n in NAMES] == pytest.approx(w, rel=1e-8)
    assert model.predict(X) == pytest.approx(X @ w, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("optimizer", ["gradient_descent", "conjugate_gradient"])
def test_scaling_does_not_change_the_predictions(optimizer):
    X, y = simple()
    a, b = (fit(X, y, scaling=scaling, optimizer=optimizer) for scaling in ("standard", "none"))
    assert b.plan["coordinates"] == "none"
    assert b.result["stopped"]["reason"] in ("certified", "rounding")
    assert fit_predict(b, X) == pytest.approx(fit_predict(a, X), rel=1e-8, abs=1e-8)
    assert b.metrics["test"]["rmse"] == pytest.approx(a.metrics["test"]["rmse"], rel=1e-8)


def test_weights_are_repeated_rows():
    X, y = simple(200)
    weight = np.random.default_rng(3).integers(0, 4, 200)
    columns = {f"x{j}": X[:, j] for j in range(3)} | {"y": y}
    a = fit(pa.table(columns | {"w": weight}), "y", weight="w", **ALL)
    b = fit(pa.table({k: np.repeat(v, weight) for k, v in columns.items()}), "y", **ALL)
    assert a.coefficients == pytest.approx(b.coefficients, rel=1e-9)
    assert a.certificate.minimum == pytest.approx(b.certificate.minimum, rel=1e-10)
    assert worst_error(a, NAMES, X, y, weight.astype(float)) <= 1e-9


def test_rows_without_target_take_their_weight_with_them():
    X, y = simple(200)
    weight = np.random.default_rng(3).integers(0, 4, 200)
    holes = [None if i % 3 == 0 else float(v) for i, v in enumerate(y)]
    a = fit(pa.table({f"x{j}": X[:, j] for j in range(3)} | {"y": holes, "w": weight}), "y", weight="w", **ALL)
    keep = np.arange(200) % 3 != 0
    assert worst_error(a, NAMES, X[keep], y[keep], weight[keep].astype(float)) <= 1e-9


def test_the_contract_holds_the_decisions_of_the_run():
    X, y = simple(60)
    decisions = fit(X, y, missing="error", unseen="error", out_of_range="clip", **ALL).contract.decisions
    assert (decisions.null, decisions.unseen, decisions.out_of_range) == ("error", "error", "clip")


def test_a_column_that_varies_only_where_the_weight_is_zero_is_left_out():
    rng = np.random.default_rng(4)
    x = np.full(60, 0.1)
    x[:5] = 7.0
    weight = np.where(np.arange(60) < 5, 0.0, rng.uniform(0.1, 1, 60))
    a, y = rng.normal(size=60), rng.normal(size=60)
    model = fit(pa.table({"a": a, "x": x, "w": weight, "y": y}), "y", weight="w", **ALL)
    assert set(model.coefficients) == {"a"}
    assert [n.column for n in model.notices if n.code == "left_out_constant"] == ["x"]


def test_a_category_that_varies_only_where_the_weight_is_zero_is_left_out():
    rng = np.random.default_rng(5)
    for seed in range(20):
        weight = np.where(np.arange(60) < 40, 0.0, np.random.default_rng(seed).uniform(0.1, 1, 60))
        table = pa.table({"a": rng.normal(size=60), "c": ["u"] * 40 + ["v"] * 20, "w": weight, "y": rng.normal(size=60)})
        assert set(fit(table, "y", weight="w", **ALL).coefficients) == {"a"}


@pytest.mark.parametrize("share", [1.001, 2.0, 50.0])
def test_an_unstable_rate_is_refused_and_by_force_diverges_to_its_best_iterate(share):
    X, y = simple()
    Z = np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(len(y))])
    limit = 2 / np.linalg.eigvalsh(Z.T @ Z / len(y))[-1]
    with pytest.raises(StabilityError, match="2/L"):
        gl.train(X, y, learning_rate=share * limit, **ALL)
    model = fit(X, y, learning_rate=share * limit, force=True, max_steps=100_000, **ALL)
    assert model.result["stopped"]["reason"] == "diverged"
    assert model.plan["learning_rate_limit"] == pytest.approx(limit)
    values = model.history["objective"].to_pylist()
    parameters = np.array([*model.coefficients.values(), model.intercept])
    assert np.isfinite(parameters).all()
    best = 0.5 * np.mean((X @ parameters[:3] + parameters[3] - y) ** 2)
    assert best == pytest.approx(min(v for v in values if v is not None), rel=1e-9)
    assert model.certificate.objective == pytest.approx(best, rel=1e-9)
    assert any(n.code == "not_converged" for n in model.notices)


@pytest.mark.parametrize("rate", [1e10, 1e160, 1e300])
def test_a_rate_beyond_all_bounds_diverges_without_a_numerical_warning(rate):
    X, y = simple()
    model = fit(X, y, learning_rate=rate, force=True, **ALL)
    assert model.result["stopped"]["reason"] == "diverged"
    assert np.isfinite([*model.coefficients.values(), model.intercept]).all()


def test_a_rate_just_below_the_limit_converges():
    X, y = simple()
    Z = np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(len(y))])
    limit = 2 / np.linalg.eigvalsh(Z.T @ Z / len(y))[-1]
    model = fit(X, y, learning_rate=0.99 * limit, **ALL)
    assert model.result["stopped"]["reason"] in ("certified", "rounding")
    assert worst_error(model, NAMES, X, y) <= 1e-9


def test_the_steps_taken_are_those_predicted():
    X, y = simple()
    for settings in ({}, {"learning_rate": 0.1}, {"optimizer": "conjugate_gradient"}, {"scaling": "none"}):
        model = fit(X, y, **ALL, **settings)
        assert abs(model.result["steps"] - model.plan["predicted_steps"]) <= max(1, 0.1 * model.result["steps"])


def test_a_budget_spent_is_not_converged():
    X, y = simple()
    model = fit(X, y, max_steps=3, learning_rate=0.01, **ALL)
    assert model.result["steps"] == 3
    assert model.result["stopped"]["reason"] == "max_steps"
    assert model.certificate.relative_gap > 1e-3
    w = np.zeros(4)
    Z = np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(len(y))])
    for _ in range(3):
        w = w - 0.01 * Z.T @ (Z @ w - y) / len(y)
    assert model.theta == pytest.approx(w, rel=1e-10)


def test_stopping_by_improvement_stops_before_the_certificate():
    X, y = simple()
    model = fit(X, y, stop="improvement", tolerance=1e-3, learning_rate=0.05, **ALL)
    assert model.result["stopped"]["reason"] == "improvement"
    assert 1e-12 < model.certificate.relative_gap < 0.1
    assert not any(n.code == "not_converged" for n in model.notices)


def test_the_history_holds_the_validation_loss_of_every_step():
    X, y = simple()
    model = fit(X, y, validation=0.3, test=0.0, learning_rate=0.1, max_steps=4)
    roles = RowRoles(0, 0.3, 0.0).assign(0, 0, len(y), None)
    held, train = roles == Role.VALIDATION, roles == Role.TRAINING
    mean, s = X[train].mean(axis=0), X[train].std(axis=0)
    Z, V = ((X[part] - mean) / s for part in (train, held))
    w, b = np.zeros(3), 0.0
    for step in range(5):
        residual, other = Z @ w + b - y[train], V @ w + b - y[held]
        row = model.history.slice(step, 1).to_pylist()[0]
        assert row["objective"] == pytest.approx(0.5 * np.mean(residual**2), rel=1e-10)
        assert row["validation"] == pytest.approx(0.5 * np.mean(other**2), rel=1e-10)
        w, b = w - 0.1 * Z.T @ residual / len(residual), b - 0.1 * residual.mean()


def test_rows_without_target_are_dropped_and_counted():
    X, y = simple()
    holes = [None if i % 10 == 3 else float(v) for i, v in enumerate(y)]
    columns = {f"x{j}": X[:, j] for j in range(3)}
    a = fit(pa.table(columns | {"y": holes}), "y", **ALL)
    assert a.result["rows"] == {"read": 400, "train": 360, "validation": 0, "test": 0, "dropped": 40, "gap": 0}
    keep = np.array([v is not None for v in holes])
    assert worst_error(a, NAMES, X[keep], y[keep]) <= 1e-9


def test_the_same_seed_gives_the_same_rows_and_another_one_others():
    X, y = simple()
    a, b, c = (fit(X, y, seed=seed) for seed in (1, 1, 2))
    assert a.coefficients == b.coefficients
    assert a.metrics == b.metrics
    assert a.coefficients != c.coefficients
    for model in (a, c):
        rows = model.result["rows"]
        assert rows["train"] + rows["validation"] + rows["test"] == 400
        assert 20 <= rows["validation"] <= 60
        assert 20 <= rows["test"] <= 60


@pytest.mark.parametrize("option", ["group", "key"])
def test_the_rows_of_a_group_stay_together(option):
    rng = np.random.default_rng(6)
    customer = rng.integers(0, 60, 600)
    x = rng.normal(size=600)
    y = x + rng.normal(size=600)
    model = fit(pa.table({"customer": customer, "x": x, "y": y}), "y", **{option: "customer"}, validation=0.2, test=0.2)
    assert set(model.coefficients) == {"x"}
    roles = ValueRoles("customer", 0, 0.2, 0.2).assign(0, 0, 600, pa.array(customer))
    for role in Role:
        groups = set(customer[roles == role])
        assert model.result["rows"][role.label] == np.isin(customer, list(groups)).sum()
    assert worst_error(model, ["x"], x[roles == 0][:, None], y[roles == 0]) <= 1e-9


def test_by_time_the_latest_rows_are_held_out():
    rng = np.random.default_rng(7)
    day = rng.permutation(500)
    x = rng.normal(size=500)
    y = x * np.where(day >= 450, -1.0, 1.0) + 0.1 * rng.normal(size=500)
    dates = [dt.date(2020, 1, 1) + dt.timedelta(days=int(d)) for d in day]
    model = fit(pa.table({"day": dates, "x": x, "y": y}), "y", time="day", validation=0.0, test=0.1)
    assert set(model.coefficients) == {"x"}
    assert model.result["rows"]["test"] == 50
    assert worst_error(model, ["x"], x[day < 450][:, None], y[day < 450]) <= 1e-9
    late = day >= 450
    error = model.intercept + model.coefficients["x"] * x[late] - y[late]
    assert model.metrics["test"]["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-9)


def test_metrics_of_rows_held_out_are_those_of_the_predictions():
    columns, y = everything(900, seed=2)
    table = pa.table(columns | {"y": y})
    model = fit(table, "y", validation=0.2, test=0.2)
    roles = RowRoles(0, 0.2, 0.2).assign(0, 0, 900, None)
    predicted, actual = fit_predict(model, table), np.array(y)
    for role in Role:
        mine = roles == role
        error = predicted[mine] - actual[mine]
        found = model.metrics[role.label]
        assert found["rows"] == mine.sum()
        assert found["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-9)
        assert found["bias"] == pytest.approx(error.mean(), rel=1e-6, abs=1e-8)
        assert found["r2"] == pytest.approx(1 - np.mean(error**2) / np.var(actual[mine]), rel=1e-9)
        constant = actual[roles == Role.TRAINING].mean() - actual[mine]
        assert model.metrics["baseline"][role.label]["rmse"] == pytest.approx(np.sqrt(np.mean(constant**2)), rel=1e-9)


def fit_predict(model, table):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gl.GradlineWarning)
        return model.predict(table)


def test_a_log_target_is_smeared_and_judged_in_its_own_unit():
    rng = np.random.default_rng(8)
    X = rng.normal(size=(500, 2))
    y = np.exp(X @ [0.5, -0.3] + 2.0 + 0.4 * rng.normal(size=500))
    table = pa.table({"x0": X[:, 0], "x1": X[:, 1], "y": y})
    model = fit(table, "y", log_target=True, validation=0.2, test=0.2)
    roles = RowRoles(0, 0.2, 0.2).assign(0, 0, 500, None)
    train = roles == Role.TRAINING
    w, b = qr_coefficients(X[train], np.log(y[train]))
    assert worst_error(model, ["x0", "x1"], X[train], np.log(y[train])) <= 1e-9
    factor = np.mean(np.exp(np.log(y[train]) - X[train] @ w - b))
    assert model.retransformation.method == "smearing"
    assert model.retransformation.factor == pytest.approx(factor, rel=1e-9)
    predicted = np.exp(X @ w + b) * factor
    assert fit_predict(model, table) == pytest.approx(predicted, rel=1e-8)
    for role in Role:
        error = predicted[roles == role] - y[roles == role]
        found = model.metrics[role.label]
        assert found["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-8)
        assert found["bias"] == pytest.approx(error.mean(), rel=1e-5, abs=1e-8)
        assert found["r2"] == pytest.approx(1 - np.mean(error**2) / np.var(y[roles == role]), rel=1e-8)
        constant = y[train].mean() - y[roles == role]
        assert model.metrics["baseline"][role.label]["rmse"] == pytest.approx(np.sqrt(np.mean(constant**2)), rel=1e-9)
    assert model.sampled.predicted == pytest.approx(predicted, rel=1e-8)
    assert model.sampled.actual == pytest.approx(y)


def test_a_weighted_log_target_is_smeared_by_weight():
    rng = np.random.default_rng(9)
    x, weight = rng.normal(size=200), rng.integers(0, 4, 200)
    y = np.exp(x + rng.normal(size=200))
    a = fit(pa.table({"x": x, "w": weight, "y": y}), "y", log_target=True, weight="w", **ALL)
    b = fit(pa.table({"x": np.repeat(x, weight), "y": np.repeat(y, weight)}), "y", log_target=True, **ALL)
    assert a.retransformation.factor == pytest.approx(b.retransformation.factor, rel=1e-9)
    assert a.metrics["train"]["rmse"] == pytest.approx(b.metrics["train"]["rmse"], rel=1e-9)


def test_constants_and_identifiers_are_left_out_with_a_notice_that_names_them():
    X, y = simple()
    table = {
        "a": X[:, 0],
        "flat": [1] * 400,
        "word": ["w"] * 400,
        "id": range(400),
        "name": [f"n{i}" for i in range(400)],
        "y": y,
    }
    model = fit(pa.table(table), "y")
    assert set(model.coefficients) == {"a"}
    assert {(n.code, n.column) for n in model.notices} == {
        ("left_out_constant", "flat"), ("left_out_constant", "word"), ("left_out_identifier", "id"), ("left_out_identifier", "name"),
    }  # fmt: skip


RNG = np.random.default_rng(10)
DAYS = [dt.date(2020, 1, 1) + dt.timedelta(days=int(d)) for d in RNG.integers(0, 300, 100)]


@pytest.mark.parametrize(
    "columns",
    [
        {"d": DAYS, "d.days": RNG.normal(size=100)},
        {"d": DAYS, "d.month": RNG.choice(["u", "v"], 100)},
        {"c": list("ab") * 50, "c=a": RNG.normal(size=100), "c=b": RNG.normal(size=100)},
        {"x": [None, 1.0, 2.0, 3.0] * 25, "x=(missing)": RNG.normal(size=100)},
    ],
    ids=["day", "part of a day", "level", "missing"],
)
def test_two_features_that_would_share_a_name_are_refused(columns):
    with pytest.raises(DataError, match="named"):
        fit(pa.table(columns | {"y": RNG.normal(size=100)}), "y")


def test_a_target_named_as_a_part_of_a_date_is_not_mixed_up_with_it():
    rng = np.random.default_rng(14)
    y = rng.normal(size=100)
    days = [dt.date(2020, 1, 1) + dt.timedelta(days=int(d)) for d in rng.integers(0, 20, 100)]
    a, b = (fit(pa.table({"d": days, name: y}), name, **ALL) for name in ("y", "d.days"))
    assert b.certificate.minimum == pytest.approx(a.certificate.minimum, rel=1e-9)


def test_a_weight_that_is_no_number_is_refused():
    rng = np.random.default_rng(11)
    days = [dt.date(2020, 1, 1 + i % 20) for i in range(40)]
    with pytest.raises(gl.InputError, match="w"):
        fit(pa.table({"x": rng.normal(size=40), "w": days, "y": rng.normal(size=40)}), "y", weight="w")


def test_collinear_columns_predict_as_without_them():
    X, y = simple()
    a = fit(np.column_stack([X, X[:, 0] + X[:, 1]]), y, **ALL)
    b = fit(X, y, **ALL)
    assert a.certificate.trusted_digits is None
    assert a.certificate.minimum == pytest.approx(b.certificate.minimum, rel=1e-10)
    assert a.predict(np.column_stack([X, X[:, 0] + X[:, 1]])) == pytest.approx(b.predict(X), rel=1e-9)
    assert any(n.code == "collinear" for n in a.notices)


def test_a_perfect_fit_is_certified():
    X = np.random.default_rng(12).integers(-9, 10, size=(200, 2)).astype(float)
    y = X @ [3.0, -1.0] + 5.0
    model = fit(X, y, **ALL)
    assert model.coefficients == pytest.approx({"x0": 3.0, "x1": -1.0}, rel=1e-9)
    assert 0.0 <= model.certificate.minimum <= 2.0**-51 * y.var()  # the last bits of the moments
    assert model.result["stopped"]["reason"] in ("certified", "rounding")


def test_many_levels_are_kept_where_that_is_asked_for():
    rng = np.random.default_rng(13)
    levels = [f"k{i // 3:04d}" for i in range(9_000)]  # 3,000 levels of three rows
    x = rng.normal(size=9_000)
    model = fit(pa.table({"c": levels, "x": x, "y": x + rng.normal(size=9_000)}), "y", max_levels=400, min_level_rows=2, **ALL)
    assert sum(name.startswith("c=k") for name in model.coefficients) == 399
    assert "c=(other)" in model.coefficients
    assert model.result["plan"]["stages"][0].startswith("two reads")


@pytest.mark.parametrize("levels", [60, 120])
def test_more_levels_than_the_moments_hold_are_rare_ones_whatever_is_asked_for(levels, monkeypatch):
    monkeypatch.setattr(surveys, "MOST_RAW_LEVELS", 50)
    rng = np.random.default_rng(15)
    codes = rng.permutation(np.repeat(np.arange(levels), 20))
    x, effect = rng.normal(size=len(codes)), rng.normal(size=levels)
    y = x + effect[codes] + 0.1 * rng.normal(size=len(codes))
    model = fit(pa.table({"c": [f"k{v:03d}" for v in codes], "x": x, "y": y}), "y", max_levels=80, **ALL)
    assert sum(name.startswith("c=k") for name in model.coefficients) == 49
    assert "c=(other)" in model.coefficients
    assert not [n for n in model.notices if n.code == "left_out_constant"]


def test_the_data_are_left_as_they_were():
    X, y = simple(50)
    before = X.copy(), y.copy()
    fit(X, y)
    assert np.array_equal(X, before[0])
    assert np.array_equal(y, before[1])


def test_names_that_are_not_there_are_refused_with_what_is_meant():
    X, y = simple(50)
    with pytest.raises(UsageError, match="x0"):
        fit(X, y, features=["x00"])


@pytest.mark.parametrize("y", [np.full(50, 3.0), np.full(50, np.nan)])
def test_a_target_without_variation_is_refused(y):
    with pytest.raises(DataError):
        fit(simple(50)[0], y)


def test_held_out_rows_without_weight_judge_nothing():
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    held_out = RowRoles(0, 0.1, 0.1).assign(0, 0, 400, None) == Role.VALIDATION
    table = pa.table({"x": x, "y": 2.0 * x + rng.normal(size=400), "w": np.where(held_out, 0.0, 1.0)})
    model = fit(table, "y", weight="w")
    assert model.metrics["validation"] is None
    assert model.metrics["test"]["rows"] > 0


def test_a_large_category_gives_what_the_eigendecomposition_gives(monkeypatch):
    rng = np.random.default_rng(0)
    rows, levels = 9_000, 320
    code, small = rng.integers(0, levels, rows), rng.integers(0, 3, rows)
    x = rng.normal(size=rows) + 0.01 * code
    y = 2.0 * x + rng.normal(size=levels)[code] + small + rng.normal(size=rows)
    table = pa.table({"x": x, "level": [f"l{c:03d}" for c in code], "small": [f"s{c}" for c in small], "y": y})
    solved = []
    original = by_levels.solve_by_levels
    monkeypatch.setattr(by_levels, "solve_by_levels", lambda *given: solved.append(original(*given)) or solved[-1])
    fast = gl.train(table, "y", assess="no")
    assert solved
    assert solved[0] is not None
    monkeypatch.setattr(trainer, "LEAST_LEVELS", levels + 1)
    slow = gl.train(table, "y", assess="no")
    assert len(solved) == 1
    for name, value in slow.coefficients.items():
        assert fast.coefficients[name] == pytest.approx(value, abs=1e-11)
    assert fast.result["plan"] == slow.result["plan"]
    assert fast.result["steps"] == slow.result["steps"]
    for name in ("objective", "minimum", "rounding", "curvature_max", "curvature_min", "condition", "trusted_digits"):
        assert fast.result["certificate"][name] == pytest.approx(slow.result["certificate"][name], rel=1e-8)
    for name, entry in slow.result["inference"]["coefficients"].items():
        assert fast.result["inference"]["coefficients"][name] == pytest.approx(entry, rel=1e-8, abs=1e-11)
    assert fast.result["inference"]["intercept"] == pytest.approx(slow.result["inference"]["intercept"], rel=1e-8)

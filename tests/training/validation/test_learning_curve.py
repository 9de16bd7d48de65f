"""The learning curve: its points are refits on nested rows, its noise that of other validation rows, and its verdict what was planted."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from test_cross_validation import FEATURES, SEED
from test_rolling_origins import a_series, by_time, judged, rows_of

import gradline as gl
from gradline.errors import DataError, UsageError
from gradline.maths.block import block_moments
from gradline.maths.ridge_path import ridge_path
from gradline.splits.divisions import CURVE_SALT
from gradline.splits.roles import RowRoles, row_hashes
from gradline.training.validation.learning_curve import _Point, _standard_error
from gradline.types import NumberColumn, Role
from reference import fit as fit_and_assess
from tables import weighted as a_table

fit = partial(fit_and_assess, assess="no")  # the read after training is of no interest here

WAYS = {
    "default": {},
    "with folds": {"folds": 3},
    "a chosen penalty": {"l2": "auto"},
    "a given penalty": {"l2": 0.3},
    "weights": {"weight": "weight"},
    "raw, no intercept": {"scaling": "none", "intercept": False},
}


def check_points(found, X, y, weight, shares, validation, how):
    """Each point is a refit on the rows of a share."""
    wanted = [(share, judged(X, y, weight, share, validation, [found["l2"]], **how)[0]) for share in shares]
    train = [judged(X, y, weight, share, share, [found["l2"]], **how)[0] for share in shares]
    assert found["rows"] == [np.count_nonzero(share) for share in shares]
    assert np.allclose(found["validation_rmse"], np.sqrt([float(e[0]) for _, e in wanted]), rtol=1e-9)
    assert np.allclose(found["train_rmse"], np.sqrt([float(e[0]) for e in train]), rtol=1e-9)
    assert np.allclose(found["gain"], -np.diff(found["validation_rmse"]), rtol=1e-9, atol=1e-12)
    assert found["validation_rows"] == np.count_nonzero(validation)


@pytest.mark.parametrize("settings", WAYS.values(), ids=WAYS)
def test_each_point_is_a_refit_on_nested_rows(settings):
    table = a_table(2_000)
    model = fit(table, features=FEATURES, seed=SEED, learning_curve=True, validation=0.2, min_level_rows=4, **settings)
    found = model.result["learning_curve"]
    X, y, weight = rows_of(table, weighted="weight" in settings)
    roles = RowRoles(SEED, 0.2, 0.1).assign(0, 0, 2_000, None)
    hashes = row_hashes(SEED ^ CURVE_SALT, 0, 0, 2_000)
    shares = [(roles == Role.TRAINING) & (hashes < 2.0**64 / 2**j) for j in range(6, -1, -1)]
    assert found["order"] == "hash"
    assert len(found["rows"]) == 7
    how = {name: settings[name] for name in ("scaling", "intercept") if name in settings}
    check_points(found, X, y, weight, shares, roles == Role.VALIDATION, how)
    metrics = model.result["metrics"]
    if "folds" not in settings:
        assert found["validation_rmse"][-1] == pytest.approx(metrics["validation"]["rmse"], rel=1e-9)
        assert found["train_rmse"][-1] == pytest.approx(metrics["train"]["rmse"], rel=1e-9)
    if settings.get("l2") == "auto":
        assert found["l2"] == model.result["cross_validation"]["chosen"]
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("settings", [{}, {"folds": 3}], ids=str)
def test_by_time_each_point_is_a_refit_on_the_latest_rows(settings):
    table = a_series(3_000)
    found = fit(table, features=FEATURES, time="day", gap="4", learning_curve=True, min_level_rows=4, **settings)
    found = found.result["learning_curve"]
    X, y, weight = rows_of(table)
    day = table["day"].to_numpy()
    used, _, _ = by_time(day, 2, 4.0)
    ordered = np.sort(day[used])
    edges = [ordered[len(ordered) - (len(ordered) >> j)] for j in range(1, 7)]
    shares = [used & (day >= edge) for edge in reversed(edges)] + [used]
    first, second = (np.sort(day)[round(3_000 * share)] for share in (0.8, 0.9))
    assert found["order"] == "latest"
    check_points(found, X, y, weight, shares, (day >= first) & (day < second - 4), {})


def test_the_curve_costs_the_coefficients_no_digit_and_changes_no_fold():
    table = a_table()
    plain, curved = (fit(table, features=FEATURES, l2="auto", learning_curve=on) for on in (False, True))
    assert plain.result["cross_validation"] == curved.result["cross_validation"]
    assert plain.coefficients == curved.coefficients
    alone = fit(table, features=FEATURES, learning_curve=True)
    for name, value in fit(table, features=FEATURES).coefficients.items():
        assert alone.coefficients[name] == pytest.approx(value, rel=1e-11)


def test_shares_with_no_more_rows_than_parameters_are_left_out():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(640, 30))
    y = X[:, 0] + rng.normal(size=640)
    free = fit(X, y, learning_curve=True, validation=0.2, test=0).result["learning_curve"]
    bound = fit(X, y, learning_curve=True, validation=0.2, test=0, l2=1.0).result["learning_curve"]
    assert free["rows"] == [n for n in bound["rows"] if n >= 32]
    assert len(bound["rows"]) == 7
    few = fit(X[:45], y[:45], learning_curve=True, validation=0.2, test=0).result["learning_curve"]
    assert (len(few["rows"]), few["gain"], few["verdict"]) == (1, [], None)


def test_shares_that_are_the_same_for_few_groups_stand_there_once():
    rng = np.random.default_rng(0)
    x, who = rng.normal(size=600), np.arange(600) % 20
    table = pa.table({"x": x, "who": who, "y": x + rng.normal(size=600)})
    rows = fit(table, group="who", learning_curve=True, validation=0.3, test=0, seed=2).result["learning_curve"]["rows"]
    assert rows == sorted(set(rows))
    assert 1 < len(rows) < 7
    assert all(count % 30 == 0 for count in rows)
    table = pa.table({"x": x, "when": np.arange(600) // 150, "y": x + rng.normal(size=600)})
    rows = fit(table, time="when", learning_curve=True, validation=0.2, test=0).result["learning_curve"]["rows"]
    assert rows == [150, 300, 450]


# ------------------------------------------------------------------------------------------------------ the noise of a gain


def path_of(X, y):
    columns = [NumberColumn(f"x{j}", x) for j, x in enumerate(X.T)]
    moments = block_moments([*columns, NumberColumn("y", y)], [], len(y))
    return moments, ridge_path(moments, np.zeros(X.shape[1], dtype=bool), "standard", intercept=True)


@pytest.mark.parametrize("noise", ["normal", "t3"])
def test_the_standard_error_of_a_gain_is_its_spread_over_other_validation_rows(noise):
    """Of two models that are fixed: also for errors of heavy tails, which a formula from the errors' variance alone would miss."""
    rng = np.random.default_rng(0)

    def draw(m):
        X = rng.normal(size=(m, 6))
        e = rng.normal(size=m) if noise == "normal" else rng.standard_t(3, size=m)
        return X, 1.0 + X[:, 0] - X[:, 1] + e

    l2 = np.zeros(1)
    small, large = path_of(*draw(60))[1], path_of(*draw(120))[1]
    gains, claimed = [], []
    for _ in range(400):
        moments, _ = path_of(*draw(500))
        points = [_Point(0, path, 0.0, float(path.squared_errors(moments, l2)[0])) for path in (small, large)]
        gains.append(np.sqrt(points[0].validation) - np.sqrt(points[1].validation))
        claimed.append(_standard_error(*points, moments, 500, l2))
    assert np.sqrt(np.mean(np.square(claimed))) == pytest.approx(np.std(gains), rel=0.2)


# -------------------------------------------------------------------------------------------------------------- verdicts


def test_a_model_with_many_features_and_few_rows_is_still_learning():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1_500, 120))
    found = fit(X, X @ rng.normal(size=120) + 3.0 * rng.normal(size=1_500), learning_curve=True, validation=0.4, test=0)
    assert found.result["learning_curve"]["verdict"] == "learning"


def test_a_line_through_many_rows_is_at_its_bias():
    x = np.random.default_rng(0).normal(size=40_000)
    y = x**2 + x + np.random.default_rng(1).normal(size=40_000)
    verdicts = [fit(x[:, None], y, learning_curve=True, seed=seed).result["learning_curve"]["verdict"] for seed in range(5)]
    assert verdicts == ["flat"] * 5


def test_older_rows_of_another_law_are_told_of():
    rng = np.random.default_rng(0)
    t, x = np.arange(4_000), rng.normal(size=4_000)
    y = np.where(t < 1_600, -2.0, 2.0) * x + rng.normal(size=4_000)
    table = pa.table({"t": t, "x": x, "y": y})
    model = fit(table, features=["x"], time="t", learning_curve=True)
    assert model.result["learning_curve"]["verdict"] == "worse"
    assert "older_rows_hurt" in [notice.code for notice in model.notices]
    steady = pa.table({"t": t, "x": x, "y": 2.0 * x + rng.normal(size=4_000)})
    assert "older_rows_hurt" not in [n.code for n in fit(steady, features=["x"], time="t", learning_curve=True).notices]


# --------------------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "huber"}, "--learning-curve is of squared error.*--loss huber"),
        ({"l1": 0.1}, "--learning-curve is of squared error.*--l1"),
        ({"validation": 0.0}, "--learning-curve is judged on the validation rows, and none are held out"),
    ],
    ids=str,
)
def test_what_has_no_curve_is_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        gl.train(a_table(), "y", features=FEATURES, learning_curve=True, **settings)


def test_validation_rows_without_a_target_are_an_error():
    table = a_table(60)
    roles = RowRoles(0, 0.1, 0.1).assign(0, 0, 60, None)
    y = pa.array(np.where(roles == Role.VALIDATION, np.nan, table["y"].to_numpy()), from_pandas=True)
    with pytest.raises(DataError, match="judged on the validation rows, and there are none"):
        fit(table.set_column(table.column_names.index("y"), "y", y), features=["a"], learning_curve=True)


def test_sparse_tables_and_those_without_moments_have_no_curve():
    from scipy import sparse

    X = sparse.random_array((50, 4), density=0.5, rng=np.random.default_rng(0)).tocsr()
    with pytest.raises(UsageError, match="is sparse: a learning curve"):
        gl.train(X, np.arange(50.0), learning_curve=True)
    with pytest.raises(UsageError, match=r"a learning curve is from moments, and 5,001 features have none"):
        gl.train(np.zeros((3, 5_001)), np.arange(3.0), learning_curve=True)

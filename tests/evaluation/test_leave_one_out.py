"""Leave-one-out without a refit is leave-one-out: here each row is left out, and predicted from the others."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gradline.api import evaluate
from gradline.splits.roles import RowRoles
from reference import fit


def a_table(seed, rows=90):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 4)) @ rng.normal(size=(4, 4)) + 10.0
    y = X[:, 0] - X[:, 1] + rng.standard_t(4, size=rows)
    return X, y, rng.uniform(0.5, 2.0, rows)


def minimiser(Z, y, weight, penalty, *, intercept):
    """w of Σ w (y − zw − b)² + penalty |w|², and b, by the normal equations."""
    p = Z.shape[1]
    full = np.column_stack([Z, np.ones(len(y))]) if intercept else Z
    G = full.T @ (weight[:, None] * full)
    G[:p, :p] += penalty * np.eye(p)
    theta = np.linalg.solve(G, full.T @ (weight * y))
    return (theta[:p], theta[p]) if intercept else (theta, 0.0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "settings",
    [{}, {"intercept": False}, {"scaling": "none"}, {"weight": "w"}, {"l2": 0.4}, {"l2": 0.4, "weight": "w"}, {"l2": 2.0, "scaling": "none"}],
    ids=str,
)  # fmt: skip
def test_the_errors_of_rows_left_out_are_those_of_refits_without_them(seed, settings):
    X, y, weight = a_table(seed)
    table = pa.table({**{f"x{j}": x for j, x in enumerate(X.T)}, "y": y, "w": weight})
    table = table if "weight" in settings else table.drop_columns(["w"])
    model = fit(table, seed=seed, **settings)
    found = evaluate(model, table)["influence"]

    used = RowRoles(seed, 0.1, 0.1).assign(0, 0, len(y), None) == 0
    X, y = X[used], y[used]
    weight = weight[used] if "weight" in settings else np.ones(len(y))
    total, intercept = weight.sum(), settings.get("intercept", True)
    mean = weight @ X / total
    scale = np.sqrt(weight @ (X - mean) ** 2 / total) if settings.get("scaling") != "none" else np.ones(4)
    Z = ((X - mean) if intercept else X) / scale
    penalty = total * settings.get("l2", 0.0)
    errors = []
    for i in range(len(y)):
        rest = np.arange(len(y)) != i
        w, b = minimiser(Z[rest], y[rest], weight[rest], penalty, intercept=intercept)
        errors.append(y[i] - Z[i] @ w - b)
    assert found["leave_one_out"]["rmse"] == pytest.approx(np.sqrt(weight @ np.square(errors) / total), rel=1e-9)

    w, b = minimiser(Z, y, weight, penalty, intercept=intercept)
    full = np.column_stack([Z, np.ones(len(y))]) if intercept else Z
    G = full.T @ (weight[:, None] * full)
    trace = np.trace(np.linalg.solve(G + penalty * np.diag([1.0] * 4 + [0.0] * (full.shape[1] - 4)), G))
    rss = weight @ (y - Z @ w - b) ** 2
    assert found["leave_one_out"]["gcv_rmse"] == pytest.approx(np.sqrt(total * rss) / (total - trace), rel=1e-9)


def test_a_row_that_no_other_can_predict_has_no_error_and_leaves_the_figure_unknown():
    x = np.zeros(40)
    x[7] = 1.0
    y = np.random.default_rng(0).normal(size=40)
    z = np.arange(40.0)
    table = pa.table({"x": x, "z": z, "y": y})
    found = evaluate(fit(table, validation=0, test=0), table)["influence"]
    assert found["largest_leverage"] == pytest.approx(1.0)
    assert found["leave_one_out"]["rmse"] is None
    assert found["leave_one_out"]["gcv_rmse"] > 0.0


def test_many_folds_come_near_to_leaving_one_out():
    X, y, _ = a_table(0, 300)
    table = pa.table({**{f"x{j}": x for j, x in enumerate(X.T)}, "y": y})
    model = fit(table, folds=30, validation=0, test=0)
    found = model.result["cross_validation"]
    squared = evaluate(model, table)["influence"]["leave_one_out"]["rmse"] ** 2
    folds = 1.0 - found["r2"]  # all folds' squared errors to those of the others' mean, which is the variance m/(m − 1) apart
    assert folds * np.var(y) == pytest.approx(squared, rel=0.03)

"""One way of fitting one table, in a process of its own: `python benchmarks/ways.py WAY DATA [ROLES]`.

Prints JSON: the coefficients of x0, x1, …, the intercept and, for a table in memory, the seconds of the fit alone. DATA is a
Parquet or CSV file with the columns x0 … and y, or `memory:ROWSxCOLUMNS:TYPE`. ROLES is a NumPy file with the role of each row
(0 training, 1 validation, 2 test): then a way fits the training rows and measures R² on the others, as gradline does by itself.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_ROWS = 1_000  # fitted before the clock starts, so that no import counts


def read(data: str) -> tuple[Any, Any]:
    """The features (m, p) and the target (m,) by the quickest common reader, Polars."""
    if data.startswith("memory:"):
        from making import made

        _, shape, dtype = data.split(":")
        rows, columns = map(int, shape.split("x"))
        X, y = made(rows, columns)
        return X.astype(dtype, copy=False), y.astype(dtype, copy=False)
    import polars as pl

    table = pl.read_parquet(data) if data.endswith(".parquet") else pl.read_csv(data)
    return table.drop("y").to_numpy(), table["y"].to_numpy()


def split(X: Any, y: Any, roles: str | None) -> list[tuple[Any, Any]]:
    """The training rows, and the validation and test rows where there is a split."""
    if roles is None:
        return [(X, y)]
    import numpy as np

    role = np.load(roles)
    return [(X[role == k], y[role == k]) for k in (0, 1, 2)]


def estimator(name: str) -> Any:
    """A peer's estimator with its defaults, or the solver that is named."""
    if name == "sklearn_linear":
        from sklearn.linear_model import LinearRegression

        return LinearRegression()
    if name == "sklearn_ridge":
        from sklearn.linear_model import Ridge

        return Ridge(alpha=1e-8, solver="cholesky")
    if name == "sklearnex_linear":
        from sklearnex.linear_model import LinearRegression as Fast

        return Fast()
    if name == "sklearnex_incremental":
        from sklearnex.linear_model import IncrementalLinearRegression

        return IncrementalLinearRegression()
    if name == "glum":
        from glum import GeneralizedLinearRegressor

        return GeneralizedLinearRegressor(family="normal", alpha=0)
    if name == "sgd":
        from sklearn.linear_model import SGDRegressor
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        return make_pipeline(StandardScaler(), SGDRegressor(random_state=0))
    raise SystemExit(f"there is no way {name!r}")


def fitted(name: str, data: str, roles: str | None) -> dict[str, Any]:
    """A peer reads, splits, fits and scores."""
    X, y = read(data)
    if name == "statsmodels":
        import numpy as np
        import statsmodels.api as sm

        start = time.perf_counter()
        parts = split(X, y, roles)
        params = sm.OLS(parts[0][1], sm.add_constant(parts[0][0])).fit().params
        for A, b in parts:
            1 - np.var(b - sm.add_constant(A) @ params) / np.var(b)
        return {"seconds": time.perf_counter() - start, "coefficients": list(params[1:]), "intercept": params[0]}
    model = estimator(name)
    if data.startswith("memory:"):
        estimator(name).fit(X[:WARM_ROWS], y[:WARM_ROWS])
    start = time.perf_counter()
    parts = split(X, y, roles)
    model.fit(*parts[0])
    for part in parts:
        model.score(*part)
    seconds = time.perf_counter() - start
    if name == "sgd":
        scaler, last = model[0], model[1]
        coefficients = last.coef_ / scaler.scale_
        return {
            "seconds": seconds,
            "coefficients": list(map(float, coefficients)),
            "intercept": float(last.intercept_[0] - coefficients @ scaler.mean_),
        }
    return {"seconds": seconds, "coefficients": list(map(float, model.coef_)), "intercept": float(model.intercept_)}


def gradline_memory(data: str, roles: str | None) -> dict[str, Any]:
    """Gradline on arrays."""
    import gradline as gl

    X, y = read(data)
    warnings.simplefilter("ignore")  # that without a split the quality is not known
    shares = {} if roles is not None else {"validation": 0.0, "test": 0.0}
    gl.train(X[:WARM_ROWS], y[:WARM_ROWS], **shares)
    start = time.perf_counter()
    model = gl.train(X, y, **shares)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "coefficients": list(model.coefficients.values()), "intercept": model.intercept}


def duckdb_sum(data: str) -> dict[str, Any]:
    """The floor: DuckDB reads every column and adds it up."""
    import duckdb

    duckdb.sql(f"SELECT sum(columns(*)) FROM '{data}'").fetchall()
    return {}


def polars_scan(data: str) -> dict[str, Any]:
    """The floor: Polars' streaming engine does the same."""
    import polars as pl

    scan = pl.scan_parquet(data) if data.endswith(".parquet") else pl.scan_csv(data)
    scan.sum().collect(engine="streaming")
    return {}


FLOORS: dict[str, Callable[[str], dict[str, Any]]] = {"duckdb_sum": duckdb_sum, "polars_scan": polars_scan}


def main(way: str, data: str, roles: str | None = None) -> None:
    """Run one way and print what it found."""
    if way in FLOORS:
        found = FLOORS[way](data)
    elif way == "gradline":
        found = gradline_memory(data, roles)
    else:
        found = fitted(way, data, roles)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])

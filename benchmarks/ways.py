"""One way of fitting one table, in a process of its own: `python benchmarks/ways.py WAY DATA [ROLES]`.

Prints JSON: the coefficients of x0, x1, …, then of the categories' levels, the intercept and, for a table in memory, the seconds
of the fit alone; or why the way is left out. DATA is what `making.py` wrote: a Parquet or CSV file with a target y, or a folder of
NumPy arrays. ROLES is a NumPy file with the role of each row (0 training, 1 validation, 2 test): then a way fits the training rows
and measures R² on the others, as gradline does by itself.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_ROWS = 1_000  # fitted before the clock starts, so that no import counts
ABSENT = "left_out"
VW_CONSTANT = 11_650_396  # the hash under which Vowpal Wabbit keeps its intercept


def in_memory(data: str) -> bool:
    """Whether DATA is a folder of arrays."""
    return Path(data).is_dir()


def read(data: str) -> tuple[Any, Any]:
    """The features (m, p) and the target (m,): as they are in memory, or by the quickest common reader, Polars."""
    if in_memory(data):
        import numpy as np

        return np.load(Path(data) / "X.npy"), np.load(Path(data) / "y.npy")
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
        return {
            "seconds": time.perf_counter() - start,
            "coefficients": list(map(float, params[1:])),
            "intercept": float(params[0]),
        }
    model = estimator(name)
    if in_memory(data):
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


def glum_categories(data: str, roles: str | None) -> dict[str, Any]:
    """Glum on a table with categories, which tabmat holds as codes; pandas reads them as such (glum 3.4 takes none from Polars 2)."""
    import pandas as pd
    from glum import GeneralizedLinearRegressor
    from making import LEVELS, level_names

    table = pd.read_parquet(data)
    y = table.pop("y").to_numpy()
    parts = split(table, y, roles)
    model = GeneralizedLinearRegressor(family="normal", alpha=0, drop_first=True, solver="irls-ls").fit(*parts[0])
    for part in parts:
        model.score(*part)
    found = dict(zip(model.feature_names_, map(float, model.coef_), strict=True))
    numeric = [value for name, value in found.items() if "[" not in name]
    effects = [[found.get(f"{column}[{level}]", 0.0) for level in level_names(n)] for column, n in LEVELS.items()]
    return {"coefficients": [*numeric, *centred(effects)], "intercept": None}


def centred(effects: list[list[float]]) -> list[float]:
    """The levels' effects from the mean of their column's: the same whichever level is the reference."""
    return [value - sum(column) / len(column) for column in effects for value in column]


def vowpal_wabbit(data: str, roles: str | None, options: str = "") -> dict[str, Any]:
    """Vowpal Wabbit with its defaults, on text."""
    try:
        from vowpalwabbit import Workspace
    except ImportError:
        return {ABSENT: "vowpalwabbit is not installed"}
    path, bits = Path(data), 18
    model = path.with_suffix(".vw.model")
    trained = Workspace(f"--quiet -b {bits} -d {path.with_suffix('.vw')} -f {model} {options}")
    with path.with_suffix(".vw").open() as text:
        columns = text.readline().count(":")
    coefficients = [trained.get_weight_from_name(f"x{j}") for j in range(columns)]
    intercept = trained.get_weight(VW_CONSTANT % (1 << bits))
    trained.finish()
    if roles is not None:
        Workspace(f"--quiet -t -i {model} -d {path.with_suffix('.rest.vw')}").finish()
    return {"coefficients": coefficients, "intercept": intercept}


def vowpal_wabbit_5_passes(data: str, roles: str | None) -> dict[str, Any]:
    """The same with five passes, four of them over the cache that the first one writes."""
    return vowpal_wabbit(data, roles, f"--passes 5 --holdout_off -k --cache_file {Path(data).with_suffix('.vw.cache')}")


def spark(data: str, roles: str | None) -> dict[str, Any]:
    """Spark MLlib on this machine, two threads, the normal equations; with a split, the roles are a column of its file."""
    import shutil

    if shutil.which("java") is None:
        return {ABSENT: "there is no java"}
    try:
        from pyspark.ml.feature import VectorAssembler
        from pyspark.ml.regression import LinearRegression
        from pyspark.sql import SparkSession
    except ImportError:
        return {ABSENT: "pyspark is not installed"}
    builder = SparkSession.builder.master("local[2]").config("spark.driver.memory", "6g").config("spark.ui.enabled", "false")
    session = builder.config("spark.ui.showConsoleProgress", "false").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    table = session.read.parquet(data if roles is None else str(Path(data).with_suffix(".roles.parquet")))
    features = [name for name in table.columns if name not in ("y", "role")]
    rows = VectorAssembler(inputCols=features, outputCol="features").transform(table)
    parts = [rows] if roles is None else [rows.where(rows["role"] == k) for k in (0, 1, 2)]
    model = LinearRegression(labelCol="y", solver="normal").fit(parts[0])
    for part in parts:
        model.evaluate(part).r2  # noqa: B018  (computed when asked for)
    found = {"coefficients": [float(value) for value in model.coefficients], "intercept": float(model.intercept)}
    machine = Path(f"/proc/{session.sparkContext._gateway.proc.pid}/status")  # another process than this one's
    if machine.exists():
        found["megabytes"] = (
            next(int(row.split()[1]) for row in machine.read_text().splitlines() if row.startswith("VmHWM")) / 1024
        )
    session.stop()
    return found


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
OTHERS: dict[str, Callable[[str, str | None], dict[str, Any]]] = {
    "gradline": gradline_memory,
    "glum_categories": glum_categories,
    "vowpal_wabbit": vowpal_wabbit,
    "vowpal_wabbit_5_passes": vowpal_wabbit_5_passes,
    "spark": spark,
}


def main(way: str, data: str, roles: str | None = None) -> None:
    """Run one way and print what it found."""
    if way in FLOORS:
        found = FLOORS[way](data)
    else:
        found = OTHERS[way](data, roles) if way in OTHERS else fitted(way, data, roles)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])

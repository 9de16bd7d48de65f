"""How many notices ten clean tables get: five real ones and five that are awkward and sound. And what is told of real tables that are not clean.

`python benchmarks/false_alarms.py` prints the notices; the tables of scikit-learn and statsmodels come with those packages, and are left
out where these are not installed.
"""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import gradline as gl

if TYPE_CHECKING:
    from collections.abc import Callable

FLIGHTS = Path(__file__).parents[1] / "examples" / "flights.parquet"
FACTS = ("grouped_levels", "left_out_identifier", "left_out_constant", "left_out_rare")  # of the representation: no doubts


class Case(NamedTuple):
    """name, how to make it, the target.  expected: codes of what is really so (told, and no false alarm), with the reason."""

    name: str
    make: Callable[[], pa.Table]
    target: str
    expected: tuple[str, ...] = ()
    reason: str = ""
    most_levels: int = 1_000


def flights() -> pa.Table:
    """Every column that is known before departure, the date once."""
    return pq.read_table(FLIGHTS).drop(["arr_delay", "dep_delay", "time_hour"])


def bundled(package: str, name: str) -> Callable[[], pa.Table]:
    """A table that comes with scikit-learn or statsmodels."""

    def make() -> pa.Table:
        if package == "sklearn":
            frame = getattr(importlib.import_module("sklearn.datasets"), f"load_{name}")(as_frame=True).frame
        else:
            frame = importlib.import_module(f"statsmodels.datasets.{name}").load_pandas().data
        return pa.Table.from_pandas(frame.reset_index(drop=True), preserve_index=False)

    return make


def heavy_tails(seed: int = 1, m: int = 20_000) -> pa.Table:
    """Student's t with 3 degrees of freedom, in the features and in the noise."""
    rng = np.random.default_rng(seed)
    X = rng.standard_t(3, (4, m))
    return _table(X, X.sum(axis=0) + rng.standard_t(3, m))


def skewed(seed: int = 2, m: int = 5_000) -> pa.Table:
    """Log-normal sizes, gamma waiting times, counts with many zeros; a price that grows with them."""
    rng = np.random.default_rng(seed)
    size, wait = rng.lognormal(3, 0.8, m), rng.gamma(0.7, 20, m)
    count = np.where(rng.random(m) < 0.7, 0, rng.poisson(4, m)).astype(np.float64)
    price = 5 * size**0.7 + 0.3 * wait + 4 * count
    return _table([size, wait, count], np.round(price * rng.lognormal(0, 0.3, m), 2))


def categories(seed: int = 3, m: int = 30_000) -> pa.Table:
    """Categories of 2 to 400 levels with a long tail, flags, missing values."""
    rng = np.random.default_rng(seed)
    shop = np.minimum(rng.zipf(1.6, m), 400)
    effect = rng.normal(size=401)
    kind, flag = rng.choice(["a", "b", "c"], m, p=[0.8, 0.15, 0.05]), rng.random(m) < 0.02
    age = [None if hole else float(v) for hole, v in zip(rng.random(m) < 0.1, rng.integers(18, 90, m), strict=True)]
    y = effect[shop] + (kind == "c") + 3 * flag + rng.normal(size=m)
    return pa.table({"shop": [f"s{s}" for s in shop], "kind": list(kind), "flag": flag, "age": age, "y": y})


def dates(seed: int = 4, m: int = 8_000) -> pa.Table:
    """Times of a year in order, a daily course and a trend; readings in tenths."""
    rng = np.random.default_rng(seed)
    minutes = np.sort(rng.integers(0, 525_600, m))
    start = (np.datetime64("2025-01-01T00:00") + minutes.astype("timedelta64[m]")).astype("datetime64[us]")
    warm = 10 + 8 * np.sin(2 * np.pi * minutes / 525_600) + 3 * np.sin(2 * np.pi * minutes / 1440) + rng.normal(0, 2, m)
    use = 50 - 2 * warm + minutes / 1e5 + rng.normal(0, 5, m)
    return pa.table({"start": pa.array(start), "temperature": np.round(warm, 1), "y": np.round(use, 1)})


def many_columns(seed: int = 5, m: int = 4_000) -> pa.Table:
    """300 columns: correlated ones, offsets of a thousand deviations, scales from 1e-9 to 1e9."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(300, 40)) @ rng.normal(size=(40, m)) + 3 * rng.normal(size=(300, m))
    y = X[:10].sum(axis=0) + 10 * rng.normal(size=m)
    offset = np.where(rng.random((300, 1)) < 0.2, 1e3 * X.std(), 0.0)
    return _table((X + offset) * 10.0 ** rng.uniform(-9, 9, (300, 1)), y)


def _table(X: Any, y: Any) -> pa.Table:
    return pa.table({f"x{j}": x for j, x in enumerate(X)} | {"y": y})


CLEAN = (
    Case("flights", flights, "air_time", most_levels=100),
    Case("diabetes", bundled("sklearn", "diabetes"), "target"),
    Case("wine", bundled("sklearn", "wine"), "alcohol"),
    Case("randhie", bundled("statsmodels", "randhie"), "mdvis"),
    Case("fair", bundled("statsmodels", "fair"), "affairs"),
    Case("heavy tails", heavy_tails, "y"),
    Case("skewed", skewed, "y"),
    Case("categories", categories, "y"),
    Case("dates", dates, "y"),
    Case("many columns", many_columns, "y"),
)

NOT_CLEAN = (
    Case(
        "flights, whole",
        lambda: pq.read_table(FLIGHTS),
        "air_time",
        ("null_with_target", "nearly_collinear"),
        "the delay at arrival is known after the flight; the date stands twice, as month, day and hour and as one",
        100,
    ),
    Case(
        "engel",
        bundled("statsmodels", "engel"),
        "foodexp",
        ("duplicate_rows",),
        "three households stand twice, to the last digit",
    ),
    Case(
        "statecrime",
        bundled("statsmodels", "statecrime"),
        "murder",
        ("row_decides",),
        "the District of Columbia is no state, and outlies all",
    ),
    Case(
        "star98",
        bundled("statsmodels", "star98"),
        "NABOVE",
        ("row_decides", "nearly_collinear"),
        "Los Angeles is larger than all other districts; products of columns",
    ),
    Case(
        "macrodata",
        bundled("statsmodels", "macrodata"),
        "realgdp",
        ("nearly_collinear",),
        "the real rate is the bill rate less inflation",
    ),
)


def alarms(case: Case) -> list[Any] | None:
    """The notices of a case beyond those expected and plain facts; None where its package is not there."""
    try:
        table = case.make()
    except ImportError:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = gl.train(table, case.target, max_levels=case.most_levels)
    return [notice for notice in model.notices if notice.code not in FACTS]


def main() -> None:
    """Print them."""
    false = 0
    for case in CLEAN:
        found = alarms(case)
        false += len(found or [])
        print(f"{case.name:16}", "package not installed" if found is None else f"{len(found)} notices")
        for notice in found or []:
            print(f"    [{notice.code}] {notice.message}")
    print(f"false alarms on {len(CLEAN)} clean tables: {false}\n")
    for case in NOT_CLEAN:
        for notice in alarms(case) or []:
            kind = f"true: {case.reason}" if notice.code in case.expected else "NOT EXPECTED"
            print(f"{case.name:16} [{notice.code}] {notice.column}: {kind}")


if __name__ == "__main__":
    main()

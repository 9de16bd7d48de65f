"""Sound tables of random shape, and each fault planted into one at a random place: where a detector must find it, and where nothing."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import numpy as np
import pyarrow as pa

SHAPES = {
    "normal": lambda rng, m: rng.normal(rng.uniform(-50, 50), 10.0 ** rng.uniform(-2, 3), m),
    "uniform": lambda rng, m: rng.uniform(0, 10.0 ** rng.uniform(-1, 4), m),
    "exponential": lambda rng, m: rng.exponential(10.0 ** rng.uniform(-1, 3), m),
    "whole": lambda rng, m: rng.poisson(rng.uniform(3, 40), m).astype(np.float64),
    "offset": lambda rng, m: 1e6 + rng.normal(0, 3, m),
    "flag": lambda rng, m: (rng.random(m) < rng.uniform(0.2, 0.8)).astype(np.float64),
}


class Planted(NamedTuple):
    """table, and what must be told of it: the code and the column, and words of the message (count, first row)."""

    table: dict
    code: str
    column: str | None
    words: tuple[str, ...] = ()
    settings: dict | None = None


def sound(rng, m=None, p=None):
    """Features x0, x1, … of several shapes, a category, and y = a sum of their effects and noise."""
    m = m or int(rng.integers(150, 1_500))
    p = p or int(rng.integers(2, 6))
    shapes = list(SHAPES.values())
    X = [shapes[int(rng.integers(len(shapes)))](rng, m) for _ in range(p)]
    city = rng.choice(["Oslo", "Rome", "Lima", "Bern"], m)
    y = sum(rng.normal() * (x - x.mean()) / x.std() for x in X) + (city == "Rome") + rng.normal(0, 1.0, m)
    return {f"x{j}": x for j, x in enumerate(X)} | {"city": city.astype(object), "y": 100 + 10 * y}


def _training_rows(table, settings=None):
    """The training rows of a table, by an independent way: what the model itself counts is not asked."""
    from gradline.splits.roles import RowRoles

    return np.flatnonzero(RowRoles(0, 0.1, 0.1).assign(0, 0, len(table["y"]), None) == 0)


def deciding_row(rng):
    table = sound(rng)
    row = int(rng.choice(_training_rows(table)))
    x = rng.normal(size=len(table["y"]))
    x[row] = float(rng.choice([-1.0, 1.0])) * 10.0 ** rng.uniform(3, 140)
    return Planted(table | {"odd": x}, "row_decides", "odd", (f"row {row:,} ",))


def deciding_target(rng):
    table = sound(rng)
    row = int(rng.choice(_training_rows(table)))
    table["y"][row] = 10.0 ** rng.uniform(6, 100)
    return Planted(table, "row_decides", "y", (f"row {row:,} ",))


def hardly_varying(rng):
    table = sound(rng)
    rows = rng.choice(_training_rows(table), int(rng.integers(1, 6)), replace=False)
    x = np.full(len(table["y"]), float(rng.integers(0, 9)))
    x[rows] += rng.integers(1, 5, len(rows))
    count = f"{len(rows)} row" + ("s" if len(rows) > 1 else "")
    return Planted(table | {"still": x}, "nearly_constant", "still", (count, f"row {rows.min():,})"))


def hardly_varying_text(rng):
    table = sound(rng)
    rows = rng.choice(_training_rows(table), int(rng.integers(1, 6)), replace=False)
    x = np.full(len(table["y"]), "usual", dtype=object)
    x[rows] = "other"
    return Planted(table | {"still": x}, "nearly_constant", "still", ("'usual'", f"row {rows.min():,})"))


def large_integers(rng):
    table = sound(rng)
    x = rng.integers(0, 2**40, len(table["y"]))
    rows = rng.choice(_training_rows(table), int(rng.integers(1, 30)), replace=False)
    x[rows] = 2**53 + 1 + rng.integers(0, 2**50, len(rows))
    return Planted(table | {"big": x}, "past_2_53", "big", (f"{len(rows)} row", f"first at row {rows.min():,})"))


def odd_text(rng):
    table = sound(rng)
    m = len(table["y"])
    x = np.array([str(v) for v in rng.integers(0, 60, m)], dtype=object)
    rows = rng.choice(_training_rows(table), int(rng.integers(1, 9)), replace=False)
    x[rows] = str(rng.choice(["n/a", "?", "none", "unknown", "1O"]))
    return Planted(table | {"size": x}, "text_numbers", "size", (f"{len(rows)} row", f"first at row {rows.min():,}"))


def two_decimal_marks(rng):
    table = sound(rng)
    m = len(table["y"])
    x = np.array([f"{v / 10:.1f}" for v in rng.integers(0, 300, m)], dtype=object)
    rows = rng.choice(_training_rows(table), int(rng.integers(2, 30)), replace=False)
    x[rows] = [v.replace(".", ",") for v in x[rows]]
    return Planted(table | {"size": x}, "mixed_decimals", "size", (f"{len(rows)} row", f"first at row {rows.min():,}"))


def copied_rows(rng):
    table = sound(rng)
    m = len(table["y"])
    count = int(rng.integers(1, m // 5))
    source = rng.choice(m, count)
    table = {name: np.concatenate([values, values[source]]) for name, values in table.items()}
    return Planted(table, "duplicate_rows", None, (f"{count} row", f"first at row {m:,}"))


def copied_whole_numbers(rng):
    m, p = int(rng.integers(200, 1_200)), int(rng.integers(5, 9))
    X = {f"x{j}": rng.integers(0, int(rng.integers(20, 60)), m) for j in range(p)}
    table = X | {"y": np.rint(sum(X.values()) + rng.normal(0, 20, m))}
    count = int(rng.integers(1, m // 10))
    source = rng.choice(m, count)
    table = {name: np.concatenate([values, values[source]]) for name, values in table.items()}
    return Planted(table, "duplicate_rows", None, (f"{count} row", f"first at row {m:,}"))


def target_copy(rng):
    table = sound(rng)
    return Planted(table | {"leak": 10.0 ** rng.uniform(-6, 6) * table["y"] + rng.normal() * 100}, "target_copy", "leak")


def near_target(rng):
    table = sound(rng)
    noise = 10.0 ** rng.uniform(-4.5, -2.2) * table["y"].std()
    return Planted(table | {"leak": -2 * table["y"] + noise * rng.normal(size=len(table["y"]))}, "near_target", "leak")


def transformed_target(rng):
    table = sound(rng)
    y = table["y"]
    made = [
        np.log(y - y.min() + y.std() / 10),
        np.argsort(np.argsort(y)) ** 3.0,
        np.exp((y - y.mean()) / y.std()),
        (y - y.mean()) ** 2,
        -1.0 / (y - y.min() + y.std() / 10),
    ][int(rng.integers(5))]
    return Planted(table | {"leak": made}, "target_transformed", "leak")


def target_bins(rng):
    table = sound(rng)
    y, bins = table["y"], int(rng.integers(2, 12))
    bounds = np.quantile(y, np.linspace(0, 1, bins + 1)[1:-1])
    code = np.searchsorted(bounds, y)
    kind = int(rng.integers(2))
    leak = code.astype(np.float64) if kind else np.array([f"band {c}" for c in code], dtype=object)
    return Planted(table | {"leak": leak}, "target_category", "leak")


def target_lookup(rng):
    table = sound(rng, m=int(rng.integers(600, 1_500)))
    levels = int(rng.integers(5, 40))
    leak = rng.integers(0, levels, len(table["y"]))
    table["y"] = rng.normal(0, 30, levels)[leak] + 0.01 * rng.normal(size=len(leak))
    return Planted(table | {"leak": np.array([f"item {c}" for c in leak], dtype=object)}, "target_category", "leak")


def null_with_target(rng):
    table = sound(rng)
    m = len(table["y"])
    rows = rng.choice(m, int(rng.integers(12, m // 4)), replace=False)
    y, late = table["y"].astype(object), rng.normal(size=m).astype(object)
    y[rows] = late[rows] = None
    return Planted(table | {"y": y, "late": late}, "null_with_target", "late", (f"{len(rows):,} rows",))


def known_later(rng):
    table = sound(rng)
    m = len(table["y"])
    start = [dt.datetime(2024, 1, 1) + dt.timedelta(hours=int(h)) for h in np.sort(rng.integers(0, 9_000, m))]  # noqa: DTZ001
    end = [s + dt.timedelta(hours=float(h)) for s, h in zip(start, rng.exponential(50, m), strict=True)]
    return Planted(table | {"start": start, "end": end}, "known_later", "end", (), {"time": "start"})


def time_backwards(rng):
    table = sound(rng)
    m = len(table["y"])
    hours = np.sort(rng.choice(100_000, m, replace=False))
    rows = np.sort(rng.choice(np.arange(5, m - 5, 3), int(rng.integers(1, m // 40)), replace=False))
    hours[rows] -= 50_000 + hours[rows]  # before all others
    start = [dt.datetime(2024, 1, 1) + dt.timedelta(hours=int(h)) for h in hours]  # noqa: DTZ001
    return Planted(
        table | {"start": start}, "time_backwards", "start", (f"{len(rows)} row", f"first at row {rows[0]:,})"), {"time": "start"}
    )


def tied_times(rng):
    table = sound(rng)
    m = len(table["y"])
    days = np.sort(rng.integers(0, 30, m))
    days[m // 2 :] = 40
    return Planted(
        table | {"day": [dt.date(2024, 1, 1) + dt.timedelta(days=int(d)) for d in days]}, "time_ties", "day", (), {"time": "day"}
    )


def shared_groups(rng):
    table = sound(rng, m=int(rng.integers(500, 1_500)))
    m = len(table["y"])
    group = rng.integers(0, m // 6, m)
    table["y"] = rng.normal(0, 20, m // 6)[group] + rng.normal(size=m)
    name = np.array([f"p{g}" for g in group], dtype=object) if rng.random() < 0.5 else group * 17 + 3
    return Planted(table | {"patient_id": name}, "shared_groups", "patient_id", ("--group patient_id",))


def identifier(rng):
    table = sound(rng)
    m = len(table["y"])
    return Planted(table | {"order_id": rng.permutation(m * 9)[:m]}, "identifier_like", "order_id")


def exact_combination(rng):
    table = sound(rng, p=4)
    w = np.rint(rng.normal(0, 3, 2)) + 0.5
    return Planted(table | {"z": w[0] * table["x0"] + w[1] * table["x2"] + 7}, "collinear", "z", ("x0", "x2"))


def near_combination(rng):
    table = sound(rng, p=4)
    noise = 10.0 ** rng.uniform(-6, -2.5) * table["x1"].std()
    return Planted(table | {"z": table["x1"] + noise * rng.normal(size=len(table["y"]))}, "nearly_collinear", "z", ("x1",))


FAULTS = (
    deciding_row,
    deciding_target,
    hardly_varying,
    hardly_varying_text,
    large_integers,
    odd_text,
    two_decimal_marks,
    copied_rows,
    copied_whole_numbers,
    target_copy,
    near_target,
    transformed_target,
    target_bins,
    target_lookup,
    null_with_target,
    known_later,
    time_backwards,
    tied_times,
    shared_groups,
    identifier,
    exact_combination,
    near_combination,
)


def as_table(columns):
    """An Arrow table of what a generator made."""
    return pa.table(
        {name: pa.array(list(v) if getattr(v, "dtype", None) == np.dtype(object) else v) for name, v in columns.items()}
    )

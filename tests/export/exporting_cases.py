"""Models and rows for the exports: every kind of column, and what is odd about it. Each case is made once."""

import datetime as dt
import functools
from decimal import Decimal

import numpy as np
import pyarrow as pa

from tables import HOSTILE, fit, mixed, simple

EVERYTHING = {"validation": 0, "test": 0.2}


def holed(values, share, seed):
    hole = np.random.default_rng(seed).random(len(values)) < share
    return [None if h else v for v, h in zip(values, hole, strict=True)]


def stranger(table, declared=()):
    """Rows that training had not, but for the texts of `declared`: every value null in turn, levels and numbers past all bounds, leap days, years before 1970."""
    rows = table.slice(0, 60).to_pylist()
    names = [name for name in table.column_names if name != "y"]
    for i, row in enumerate(rows):
        row[names[i % len(names)]] = None
        if i % 3 == 0:
            for name, kind in zip(table.column_names, table.schema.types, strict=True):
                if row[name] is None or name in declared:
                    continue
                if pa.types.is_string(kind):
                    row[name] = ("", "never seen", 'it\'s\\a\n"trap"')[i % 9 // 3]
                elif pa.types.is_floating(kind):
                    row[name] = (1e6, -1e6, float("nan"))[i % 9 // 3]
                elif pa.types.is_date32(kind):
                    row[name] = (dt.date(1969, 12, 31), dt.date(2024, 2, 29), dt.date(2100, 3, 1))[i % 9 // 3]
                elif pa.types.is_timestamp(kind):
                    moments = dt.datetime(1969, 12, 31, 23, 59, 59), dt.datetime(2000, 2, 29, 0), dt.datetime(2101, 1, 1, 12, 30)  # noqa: DTZ001
                    row[name] = moments[i % 9 // 3]
    rows.append(dict.fromkeys(table.column_names))
    return pa.Table.from_pylist(rows, table.schema)


def hostile():
    rng = np.random.default_rng(3)
    names = list(HOSTILE.values())
    X = rng.normal(size=(240, len(names)))
    level = rng.choice([*names, "back\\slash", "per%cent", "$$", "\\'; select 1; --", "E'x'"], 240)
    table = {name: X[:, j] for j, name in enumerate(names)}
    return pa.table(table | {'level"; --': level.tolist(), "y": X.sum(axis=1) + np.char.str_len(level) + rng.normal(size=240)})


def typed():
    """Types that are none of `mixed`: decimals, small numbers, dictionaries, times, durations, zones, nanoseconds, dates of 64 bits."""
    rng, n = np.random.default_rng(4), 300
    cents = rng.integers(-5_000, 5_000, n)
    seconds = rng.integers(0, 86_400, n)
    begin = dt.datetime(2023, 11, 1)  # noqa: DTZ001
    moments = [begin + dt.timedelta(seconds=int(s) * 97) for s in seconds]
    word = rng.choice(["a", "b", "c"], n)
    y = cents / 100 + seconds / 9_000 + (word == "b") + rng.normal(size=n)
    return pa.table({
        "price": pa.array(holed([Decimal(int(c)) / 100 for c in cents], 0.1, 1), pa.decimal128(9, 2)),
        "small": pa.array(rng.integers(0, 100, n).astype(np.int8)),
        "half": pa.array(rng.normal(size=n).astype(np.float32)),
        "word": pa.array(holed(word.tolist(), 0.1, 2)).dictionary_encode(),
        "clock": pa.array(holed([dt.time(*divmod(int(s) // 60, 60), int(s) % 60) for s in seconds], 0.1, 3), pa.time32("s")),
        "taken": pa.array([dt.timedelta(seconds=int(s), milliseconds=7) for s in seconds], pa.duration("ns")),
        "zoned": pa.array(holed(moments, 0.1, 4), pa.timestamp("us", "Europe/Berlin")),
        "precise": pa.array(moments[::-1], pa.timestamp("ns")),
        "day": pa.array([m.date() for m in moments], pa.date64()),
        "y": y,
    })  # fmt: skip


def declared():
    """Columns whose type is not what they are taken for."""
    rng, n = np.random.default_rng(5), 300
    number = np.round(rng.normal(size=n), 3)
    flag = rng.random(n) < 0.5
    day = [dt.date(2024, 1, 1) + dt.timedelta(days=int(d)) for d in rng.integers(0, 200, n)]
    zips, grade = rng.choice([501, 10001, 90210], n), rng.choice([1.0, 1.5, 2.0], n)
    return pa.table({
        "number": holed([f" {v} " for v in number], 0.1, 1),
        "flag": holed(["true" if f else "false" for f in flag], 0.1, 2),
        "day": holed([str(d) for d in day], 0.1, 3),
        "moment": [f"{d} {d.day % 24:02}:30:00" for d in day],
        "clock": [f"{d.day % 24:02}:{d.month:02}:07" for d in day],
        "zip": pa.array(holed(zips.tolist(), 0.1, 4), pa.int64()),
        "grade": pa.array(grade),
        "stamp": pa.array(holed([dt.datetime(2020, 1, 1) + dt.timedelta(hours=7 * i) for i in range(n)], 0.1, 6), pa.timestamp("us")),  # noqa: DTZ001
        "dated": pa.array(holed(day[::-1], 0.1, 7), pa.date32()),
        "yes": pa.array(holed(flag.tolist(), 0.1, 5), pa.bool_()),
        "y": number + flag + zips / 10_000 + grade + rng.normal(size=n),
    })  # fmt: skip


DECLARED = {
    "number": "number", "flag": "boolean", "day": "date", "moment": "timestamp", "clock": "time", "zip": "text", "grade": "text", "yes": "text", "stamp": "date", "dated": "timestamp",
}  # fmt: skip


def many_levels():
    rng, n = np.random.default_rng(6), 6_000
    code = rng.integers(0, 1_400, n)
    return pa.table({"code": [f"N{c:05}" for c in code], "x": rng.normal(size=n), "y": code % 17 + rng.normal(size=n)})


def positive(table):
    """The target as something to take a logarithm of."""
    y = np.exp(np.nan_to_num(np.array(table["y"].to_pylist(), dtype=float)) / 20)
    return table.set_column(table.column_names.index("y"), "y", pa.array(y))


DERIVE = (
    "size^2",
    "count*ratio",
    "(size-10)^3",
    "spline(size,4)",
    "spline(day.days,5)",
    "word*size",
    "day.month*count",
    "moment.hour*flag",
)


CASES = {
    "mixed": (mixed, {}),
    "raw coordinates": (mixed, {"scaling": "none", "features": ("count", "size", "few", "word")}),
    "no intercept": (mixed, {"intercept": False}),
    "clipped": (mixed, {"out_of_range": "clip"}),
    "dropped": (mixed, {"missing": "drop"}),
    "log target": (lambda: positive(mixed()), {"log_target": True}),
    "few levels": (mixed, {"max_levels": 2}),
    "hostile": (hostile, {}),
    "typed": (typed, {}),
    "declared": (declared, {"types": DECLARED}),
    "many levels": (many_levels, {"min_level_rows": 2}),
    "derived": (mixed, {"derive": DERIVE}),
    "derived, declared and clipped": (
        declared,
        {"types": DECLARED, "derive": ("zip*number", "number^2"), "out_of_range": "clip"},
    ),
    "one category": (lambda: simple().select(["c", "y"]), {}),
}


@functools.cache
def case(name):
    """A model, the table it was trained on, and rows that it was not."""
    make, settings = CASES[name]
    table = make()
    return fit(table, **EVERYTHING | settings), table, stranger(table, settings.get("types", ()))

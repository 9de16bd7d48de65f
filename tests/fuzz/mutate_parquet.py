"""Parquet: columns of odd types, row groups of any size, and damage to the bytes."""

import datetime as dt
import decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from outcomes import ALL, Outcome, check, command, same_answer, tried

from tables import fit

NAMES = ("y ", "Y", "у", "", "a\x00b", "'", "two\nlines", "x" * 3_000, "x0\u200b", "\x1b[2J")


def case(rng, folder):
    """Write a Parquet file, read it, and check what comes of it."""
    table = made(rng)
    path = folder / "t.parquet"
    group = int(rng.choice([1, 2, 7, 1_000]))
    compression = str(rng.choice(["snappy", "none", "zstd", "gzip"]))
    with pq.ParquetWriter(path, table.schema, compression=compression, use_dictionary=bool(rng.random() < 0.5)) as writer:
        if rng.random() < 0.2:
            writer.write_table(table.slice(0, 0))  # an empty row group
        writer.write_table(table, row_group_size=group)
    damaged = rng.random() < 0.6
    if damaged:
        path.write_bytes(mutate_bytes(rng, path.read_bytes()))
    if rng.random() < 0.05:
        out = folder / "run"
        code, _ = command(folder, out, "train", path, "--target", "y", "--validation", 0, "--test", 0, "--out", out, "--json")
        return f"exit {code}"
    how = {}
    if rng.random() < 0.2:
        how[str(rng.choice(["key", "group", "time", "weight", "target"]))] = str(rng.choice(table.column_names))
    found = tried(fit, path, **ALL, **how)
    if found.model is None:
        if not damaged:
            other = tried(fit, table, **ALL, **how)
            check(other.word == found.word, f"{found.word} where the table itself gives {other.word}")
        return found.word
    if damaged or "numbers in a dictionary" in table.column_names:  # which Parquet does not keep as one
        try:
            with pq.ParquetFile(path) as file:
                table = file.read()
        except (pa.ArrowException, OSError):
            return "unchecked"  # columns that were not asked for, say
    other = tried(fit, table, **ALL, **how)
    check(other.word == "answer", f"an answer where the table itself gives {other.word}")
    check(other.model.result["rows"] == found.model.result["rows"], "other rows than the table's")
    plain = not how and all(pa.types.is_floating(table[n].type) for n in [*found.model.contract.columns, "y"])
    if plain:
        same_answer(found.model, table)
    else:
        same = {k: v for k, v in found.model.coefficients.items() if v == other.model.coefficients.get(k)}
        check(len(same) == len(other.model.coefficients), "other coefficients than the table's")
    return Outcome("answer").word


def made(rng):
    """x0, x1, y and columns of odd types."""
    rows = int(rng.integers(3, 60))
    X = rng.normal(size=(rows, 2))
    y = X @ [1.0, -2.0] + rng.normal(size=rows)
    columns = {"x0": pa.array(X[:, 0]), "x1": pa.array(X[:, 1])}
    kinds = list(ODD)
    for name in rng.choice(kinds, int(rng.integers(0, 4)), replace=False):
        values = ODD[str(name)](rng, rows)
        if rng.random() < 0.4:
            hole = rng.random(rows) < rng.choice([0.1, 1.0])
            values = (
                values.take(pa.array([None if h else i for i, h in enumerate(hole)], pa.int64())) if name != "view" else values
            )
        columns[str(name)] = values
    for column in ("x0", "y"):
        if rng.random() < 0.05:
            y[rng.integers(rows)] = [np.inf, np.nan, 1e300, -1e308, 5e-324][rng.integers(5)]
            columns[column] = pa.array(y)
    columns["y"] = pa.array(y) if rng.random() < 0.95 else pa.array(y).cast(pa.float32())
    if rng.random() < 0.08:
        columns[NAMES[rng.integers(len(NAMES))]] = columns.pop("x0")
    return pa.table(columns)


def _days(rng, rows):
    return [dt.date(1900, 1, 1) + dt.timedelta(days=int(d)) for d in rng.integers(0, 80_000, rows)]


ODD = {
    "decimal": lambda rng, n: pa.array(
        [decimal.Decimal(int(v)) / 100 for v in rng.integers(-(10**9), 10**9, n)], pa.decimal128(38, 2)
    ),
    "list": lambda rng, n: pa.array([[float(v)] for v in rng.normal(size=n)]),
    "struct": lambda rng, n: pa.array([{"a": float(v)} for v in rng.normal(size=n)]),
    "map": lambda rng, n: pa.array([[("k", float(v))] for v in rng.normal(size=n)], pa.map_(pa.string(), pa.float64())),
    "dictionary": lambda rng, n: pa.array(rng.choice(["a", "b", "c"], n).tolist()).dictionary_encode(),
    "numbers in a dictionary": lambda rng, n: pa.array(rng.integers(0, 3, n)).dictionary_encode(),
    "zoned": lambda rng, n: pa.array(rng.integers(-(2**50), 2**50, n), pa.timestamp("us", "Europe/Madrid")),
    "unknown zone": lambda rng, n: pa.array(rng.integers(0, 2**50, n), pa.timestamp("us", "Nowhere/None")),
    "ns": lambda rng, n: pa.array(rng.integers(-(2**62), 2**62, n), pa.timestamp("ns")),
    "seconds": lambda rng, n: pa.array(rng.integers(-(2**40), 2**40, n), pa.timestamp("s")),
    "date32": lambda rng, n: pa.array(_days(rng, n), pa.date32()),
    "date64": lambda rng, n: pa.array(_days(rng, n), pa.date64()),
    "time": lambda rng, n: pa.array(rng.integers(0, 86_400_000_000, n), pa.time64("us")),
    "duration": lambda rng, n: pa.array(rng.integers(-(2**62), 2**62, n), pa.duration("ns")),
    "binary": lambda rng, n: pa.array([rng.bytes(4) for _ in range(n)]),
    "bool": lambda rng, n: pa.array(rng.random(n) < 0.5),
    "null": lambda rng, n: pa.nulls(n),
    "uint64": lambda rng, n: pa.array(rng.integers(0, 2**64, n, dtype=np.uint64)),
    "int8": lambda rng, n: pa.array(rng.integers(-128, 128, n), pa.int8()),
    "half": lambda rng, n: pa.array(rng.normal(size=n).astype(np.float16)),
    "texts": lambda rng, n: pa.array(rng.choice(["", "a\x00b", "\x1b[2J", "NaN", "x" * 2_000], n).tolist(), pa.large_string()),
    "view": lambda rng, n: pa.array(rng.choice(["p", "q"], n).tolist(), pa.string_view()),
}


def mutate_bytes(rng, data):
    at = int(rng.integers(len(data)))
    match int(rng.integers(6)):
        case 0:
            return data[:at]
        case 1:
            return data[at:]
        case 2:
            return data[:at] + data[at + 1 :]
        case 3:
            return data[:at] + rng.bytes(8) + data[at + 8 :]
        case 4:
            foot = max(0, len(data) - int(rng.integers(4, 400)))
            return data[:foot] + bytes([data[foot] ^ int(rng.integers(1, 256))]) + data[foot + 1 :]
        case _:
            return data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :]

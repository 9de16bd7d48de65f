"""Tables of every kind of column, written in every way that gradline reads, for the tests of inputs, models and commands."""

import csv
import datetime as dt
import gzip
import io
import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gradline.api import read_options, run
from gradline.cli import main as command_line
from gradline.inputs.memory import TableSource
from gradline.inputs.opening import open_source
from gradline.training.config import TrainConfig
from gradline.types import Block

WORDS = ("plain", "with, comma", 'with "quotes"', "two\nlines", "Größe", "semi;colon")
HOSTILE = {
    "quotes": 'it\'s "quoted"',
    "sql": '"; drop table t; --',
    "newline": "two\nlines",
    "ansi": "\x1b[31mred\x1b[2J",
    "script": "<script>alert(1)</script>",
    "cyrillic": "аge",  # looks like `age`
    "latin": "age",
    "comma": "height, cm",
    "equals": "a=b",
    "dot": "a.month",
    "percent": "{{ 7*7 }} %s {0}",
    "emoji": "größe 🙂",
}


def mixed(rows=500, seed=0):
    """A table with a number of each kind, text that needs quoting, a boolean, a date, a timestamp, nulls and NaN."""
    rng = np.random.default_rng(seed)
    count = rng.integers(-40, 40, rows)
    size = np.round(rng.normal(10, 3, rows), 6)
    word = rng.choice(WORDS, rows)
    flag = rng.random(rows) < 0.4
    day = [dt.date(2024, 1, 1) + dt.timedelta(days=int(d)) for d in rng.integers(0, 300, rows)]
    moment = [dt.datetime(2024, 3, 1, 5) + dt.timedelta(seconds=int(s)) for s in rng.integers(0, 9_000_000, rows)]  # noqa: DTZ001
    y = 2 * count - 0.5 * size + 3 * flag + np.char.str_len(word) + rng.normal(size=rows)
    y = np.round(y, 9)

    def holed(values, share):
        hole = rng.random(rows) < share
        return [None if h else v.item() if isinstance(v, np.generic) else v for v, h in zip(values, hole, strict=True)]

    return pa.table(
        {
            "id": pa.array((rng.permutation(rows) * 7 + 3).astype(np.int64)),
            "count": pa.array(count.astype(np.int64)),
            "size": pa.array(holed(size, 0.1), pa.float64()),
            "ratio": pa.array([np.nan if i % 17 == 5 else v for i, v in enumerate(np.round(rng.normal(size=rows), 5))]),
            "few": pa.array(holed(rng.integers(0, 5, rows), 0.15), pa.int64()),
            "word": pa.array(holed(word, 0.08), pa.string()),
            "flag": pa.array(holed(flag, 0.05), pa.bool_()),
            "day": pa.array(holed(day, 0.06), pa.date32()),
            "moment": pa.array(moment, pa.timestamp("us")),
            "y": pa.array(holed(y, 0.04), pa.float64()),
        }
    )


def simple(rows=300, seed=1):
    """x0, x1, c and y, without anything odd."""
    rng = np.random.default_rng(seed)
    x0, x1 = rng.normal(size=rows), rng.normal(5, 2, rows)
    c = rng.choice(["a", "b", "c"], rows)
    y = 3 * x0 - x1 + (c == "b") * 2.0 + 7 + 0.1 * rng.normal(size=rows)
    return pa.table({"x0": x0, "x1": x1, "c": c.tolist(), "y": y})


def weighted(rows=600, seed=0):
    """Numbers with an offset, with missing values and nearly equal, a category with a rare level and missing values, weights."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(100.0, 5.0, rows), rng.normal(size=rows)
    near = b + 0.05 * rng.normal(size=rows)
    near[[2, 11, 30]] = np.nan  # too few for an indicator
    c = rng.choice(["u", "v", "w"], rows, p=[0.5, 0.3, 0.2]).astype(object)
    c[rng.choice(rows, 20, replace=False)] = None
    c[rng.choice(rows, 3, replace=False)] = "rare"
    y = 0.3 * a - b + 2.0 * (c == "v") + rng.normal(size=rows)
    holes = rng.random(rows) < 0.1
    return pa.table(
        {
            "key": np.arange(rows) * 7 + 11,
            "a": a,
            "b": pa.array(np.where(holes, np.nan, b), from_pandas=True),
            "near": pa.array(near, from_pandas=True),
            "c": pa.array(c.tolist()),
            "weight": rng.integers(0, 4, rows) / 2.0,
            "y": y,
        }
    )


class ChunkedSource(TableSource):
    """A table whose blocks are cut where the test says."""

    def __init__(self, table, cuts=()):
        super().__init__(table)
        self._cuts = sorted({c for c in cuts if 0 < c < table.num_rows})

    def blocks(self, columns):
        edges = [0, *self._cuts, self.rows]
        chosen = self._table.select(list(columns))
        for a, b in pairwise(edges):
            yield Block(0, a, lambda a=a, b=b: chosen.slice(a, b - a))


def _cell(value, decimal):
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value).replace(".", decimal)
    return str(value)


def csv_text(table, *, delimiter=",", header=True, decimal=".", newline="\n", quote_all=False):
    """A table as CSV."""
    out = io.StringIO()
    writer = csv.writer(
        out, delimiter=delimiter, lineterminator=newline, quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    )
    if header:
        writer.writerow(table.column_names)
    for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
        writer.writerow([_cell(value, decimal) for value in row])
    return out.getvalue()


def write_csv(table, path, *, bom=False, **how):
    """A table as a CSV file; the suffixes .gz and .zst compress it."""
    data = (b"\xef\xbb\xbf" if bom else b"") + csv_text(table, **how).encode()
    if path.suffix == ".gz":
        data = gzip.compress(data)
    elif path.suffix == ".zst":
        import zstandard

        data = zstandard.compress(data)
    path.write_bytes(data)
    return path


def write_ndjson(table, path):
    """A table as newline-delimited JSON; NaN is null there."""
    lines = []
    for row in table.to_pylist():
        cells = {name: None if isinstance(v, float) and np.isnan(v) else v for name, v in row.items()}
        lines.append(json.dumps(cells, default=str, ensure_ascii=False))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_parquet(table, path, **how):
    """A table as a Parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **how)
    return path


def fit(data, target="y", **settings):
    """Train as the command does: without Python warnings."""
    config = TrainConfig.from_mapping({"target": target, **settings})
    return run(open_source(data, read_options(config)), config)


OTHER_BLOCKS = 2e-10  # moments differ by rounding where blocks do; both iterates are within 1e-10 of the one minimum


def assert_same_model(found, expected, tolerance=1e-12):
    """The same rows have the same roles, and coefficients differ by no more than `tolerance` deviations of the target."""
    assert list(found.coefficients) == list(expected.coefficients)
    assert found.result["rows"] == expected.result["rows"]
    np.testing.assert_array_equal(found.sampled.roles, expected.sampled.roles)
    np.testing.assert_array_equal(found.sampled.actual, expected.sampled.actual)
    spread = np.nanstd(expected.sampled.actual)
    for feature in expected.representation.features:
        error = abs(found.coefficients[feature.name] - expected.coefficients[feature.name]) * feature.deviation / spread
        assert error <= tolerance, feature.name
    mean = {feature.name: feature.mean for feature in expected.representation.features}
    at_mean = [m.intercept + sum(m.coefficients[name] * mean[name] for name in mean) for m in (found, expected)]
    largest = max(abs(expected.intercept), *(abs(expected.coefficients[name] * mean[name]) for name in mean))
    assert abs(at_mean[0] - at_mean[1]) <= tolerance * spread + 1e-15 * len(mean) * largest


def predicted(model, data):
    """Predictions without Python warnings; the notices are in model.last_notices."""
    return np.concatenate([block.predicted for block in model.predictions(open_source(data, model.read_options()))])


class Answer:
    """What a command did: its exit code, what it said on each stream."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        """The document on stdout; no constant that JSON does not know, and nothing around it."""

        def refuse(word):
            raise AssertionError(f"{word} is not JSON")

        return json.loads(self.out, parse_constant=refuse)

    @property
    def said(self):
        """stderr as one line of words."""
        return re.sub(r"\s+", " ", self.err)


def gradline(capsys, *words):
    """Run the command line in this process."""
    capsys.readouterr()
    code = command_line.run([str(word) for word in words])
    captured = capsys.readouterr()
    return Answer(code, captured.out, captured.err)


def gradline_process(*words, **how):
    """Run the command line in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "gradline", *map(str, words)], capture_output=True, text=True, timeout=120, check=False, **how
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def leftovers(folder):
    """Everything half-written below a folder."""
    return [p for p in Path(folder).rglob("*") if p.name.endswith((".partial", ".old")) or p.name.startswith(".")]

"""What a fuzzed case may come to: a right answer, or an error of gradline's own. Anything else is a fault.

A case is a function of its seed alone: `case(seed)` in each of the `mutate_*` modules writes a file and checks what becomes of
it. What the right answer is comes by another route than the one that is tried: Python's own csv and json modules, the Arrow
table before it was written, least squares by NumPy.
"""

import json
import shutil
from collections import Counter
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import NamedTuple
from unittest import mock

import duckdb
import numpy as np
import pyarrow as pa

from gradline.cli import main as command_line
from gradline.errors import GradlineError
from gradline.inputs import csv, query
from tables import fit, leftovers

ALL = {"validation": 0.0, "test": 0.0}
NULLS = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "#N/A")


class Fault(AssertionError):  # noqa: N818
    """Neither a right answer nor an error of gradline's."""


class Outcome(NamedTuple):
    """word: `answer`, `unchecked` (an answer that the other route cannot read), or the class of the error."""

    word: str
    model: object = None


def check(truth, what):
    """Raise Fault unless it is so."""
    if not truth:
        raise Fault(what)


def tried(function, *arguments, **settings):
    """The result of a function, or the gradline error that it ends in; any other exception is a fault."""
    try:
        return Outcome("answer", function(*arguments, **settings))
    except GradlineError as error:
        check(len(str(error)) < 20_000, f"a message of {len(str(error))} characters")
        return Outcome(type(error).__name__)
    except Exception as error:
        raise Fault(f"{type(error).__name__}: {error}") from error


def command(folder, out, *words):
    """The command line on some words: its exit code, after the checks that hold for each: no bug, no traceback, nothing left."""
    said, printed = StringIO(), StringIO()
    with redirect_stdout(printed), redirect_stderr(said):
        code = command_line.run([str(word) for word in words])
    text = said.getvalue()
    check(code in (0, 1, 2, 3), f"exit code {code}")
    check("Traceback" not in text and "this is a bug" not in text, text[-400:])
    check(not leftovers(folder), f"left: {leftovers(folder)}")
    if code in (1, 2):
        check(text.startswith("gradline: "), f"no message: {text[:200]!r}")
        check(len(text) < 10_000, f"a message of {len(text)} characters")
        check(printed.getvalue() == "", "an error, and something on stdout")
        check(not out.exists(), f"an error, and {out.name} was written")
        return code, None
    return code, json.loads(printed.getvalue(), parse_constant=lambda word: check(False, f"{word} in the JSON"))


def finite(document):
    """Whether no number of a document is NaN or infinite, as JSON is read back."""
    json.dumps(document, allow_nan=False)
    return True


def same_answer(found, table, **settings):
    """Check a model against the same rows as an Arrow table, and that against least squares where all features are numbers."""
    other = tried(fit, table, **ALL, **settings)
    check(other.word == "answer", f"an answer where the same rows as a table are refused: {other.word}")
    expected = other.model
    check(found.result["rows"] == expected.result["rows"], f"rows {found.result['rows']} for {expected.result['rows']}")
    check(
        list(found.coefficients) == list(expected.coefficients),
        f"features {list(found.coefficients)[:9]} for {list(expected.coefficients)[:9]}",
    )
    for name, value in expected.coefficients.items():
        near(found.coefficients[name], value, f"coefficient of {name!r}")
    near(found.intercept, expected.intercept, "intercept")
    least_squares(found, table)


def near(found, expected, what):
    """Check that two floats agree to 8 digits."""
    check(abs(found - expected) <= 1e-8 * (1e-12 + abs(expected)), f"{what}: {found!r} for {expected!r}")


def least_squares(model, table):
    """Check the residuals of a model of numbers against those of `numpy.linalg.lstsq`: a minimum is one even where it is flat."""
    names = list(model.coefficients)
    if not set(names) <= set(table.column_names) or model.certificate.kind != "exact":
        return
    columns = {n: table[n].cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).copy() for n in [*names, "y"]}
    y = columns.pop("y")
    X = np.array([columns[n] for n in names]).T[~np.isnan(y)]
    y = y[~np.isnan(y)]
    if np.isnan(X).any() or np.abs(X).max() > 1e100 or not np.all(np.ptp(X, axis=0) > 0):
        return
    Z = (X - X.mean(axis=0)) / np.ptp(X, axis=0)
    design = np.column_stack([Z / np.sqrt((Z**2).mean(axis=0)), np.ones(len(y))])
    values = np.linalg.svd(design, compute_uv=False)
    if values[-1] < 1e-4 * values[0] or np.ptp(y) < 1e-6 * np.abs(y).max():  # then lstsq itself has few digits
        return
    best = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    ours = y - X @ np.array([model.coefficients[n] for n in names]) - model.intercept
    offset = 1e-12 * (np.abs(X) @ np.abs([model.coefficients[n] for n in names])).max()
    check(np.abs(ours - best).max() <= 1e-6 * np.ptp(y) + offset, f"residuals off by {np.abs(ours - best).max():.3g}")


@contextmanager
def one_database():
    """Connections to one DuckDB database instead of one each: opening it takes longer than a case."""
    with duckdb.connect(":memory:") as database, ExitStack() as patches:
        database.execute("SET preserve_insertion_order = true; SET autoinstall_known_extensions = false; SET threads = 2")

        def another(*settings):
            return database.cursor()

        for module in (query, csv):
            patches.enter_context(mock.patch.object(module, "connect", another))
        yield


def run(cases, folder):
    """Run cases, (module, seed) each: the count of each outcome. Raises Fault with the case that shows it."""
    with one_database():
        return _run(cases, folder)


def _run(cases, folder):
    found = Counter()
    for module, seed in cases:
        place = folder / f"{module.__name__}-{seed}"
        place.mkdir()
        try:
            word = module.case(np.random.default_rng(seed), place)
        except Fault as fault:
            raise Fault(f"{module.__name__}.case, seed {seed}: {fault}") from fault
        found[f"{module.__name__.removeprefix('mutate_')} {word}"] += 1
        shutil.rmtree(place)
    return found

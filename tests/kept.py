"""Rows as the read after training keeps them, made by hand."""

from functools import cache

import numpy as np
import pyarrow as pa

from gradline.evaluation.bootstrap import Bootstrap, units_of
from gradline.evaluation.kept_rows import KeptRows
from gradline.evaluation.uncertainty import Judged
from gradline.types import CategoryColumn, Decoded, NumberColumn, Role


def kept(error, *, actual=None, weight=None, numbers=(), categories=(), role=Role.TEST, group=None, of=None):
    """Rows with these errors. numbers: {name: values}; categories: {name: (codes, levels)}."""
    error = np.asarray(error, dtype=np.float64)
    n = len(error)
    actual = np.zeros(n) if actual is None else np.asarray(actual, dtype=np.float64)
    decoded = Decoded(
        n,
        tuple(NumberColumn(name, np.asarray(values, dtype=np.float64)) for name, values in dict(numbers).items()),
        tuple(CategoryColumn(name, np.asarray(codes), tuple(levels)) for name, (codes, levels) in dict(categories).items()),
    )
    where = np.arange(n)
    table = pa.table({"row": where})
    predicted = actual + error
    files = np.zeros(n, dtype=int)
    return KeptRows(
        role, actual, predicted, actual, predicted, weight, decoded, table, files, where, group, n if of is None else of
    )


@cache
def by_row(n, seed):
    """Resamples of n rows, drawn once for all tests."""
    return Bootstrap.of(units_of(n, seed), seed)


def judge(rows, seed=0, time=None, over_all=None):
    """The rows with their resamples."""
    if rows.group is None and time is None:
        return Judged(rows, by_row(len(rows.actual), seed), over_all)
    units = units_of(len(rows.actual), seed, group=rows.group, time=time, error=rows.error)
    return Judged(rows, Bootstrap.of(units, seed), over_all)


def binomial_band(n, p, risk=1e-4):
    """Counts of n that a share p leaves with the probability `risk` altogether."""
    from math import comb

    law = [comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
    below, above = np.cumsum(law), np.cumsum(law[::-1])[::-1]
    return int(np.argmax(below > risk / 2)), int(n - np.argmax(above[::-1] > risk / 2))

"""Independent answers: exact rational arithmetic, dense designs by brute force, QR; and engines to compute blocks in tests."""

from __future__ import annotations

import math
import random
import warnings
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest

import gradline as gl
from gradline.maths.block import block_moments, block_tally, encoded
from gradline.maths.coordinates import Coordinates
from gradline.maths.moments import merge
from gradline.maths.problem import pose
from gradline.types import CategoryColumn, NumberColumn, Part, RawColumn, Role

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
SETTINGS = [
    {"scaling": scaling, "intercept": intercept, "l2": l2}
    for scaling in ("standard", "none")
    for intercept in (True, False)
    for l2 in (0.0, 0.3)
]
every_setting = pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: f"{s['scaling']}-{s['intercept']}-{s['l2']}")


def fit(data, target="y", **settings):
    """`gradline.train` without the Python warnings; the notices stay in `model.warnings`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gl.GradlineWarning)
        return gl.train(data, target, **settings)


# ---------------------------------------------------------------------------------------------------------- engines


class SerialEngine:
    """One block after the other."""

    def map_merge(self, items, compute, merge):
        merged = None
        for item in items:
            result = compute(item)
            merged = result if merged is None else merge(merged, result)
        return merged


class ShuffledEngine:
    """Computes the blocks in a random order, and merges them in theirs."""

    def __init__(self, seed=0):
        self._random = random.Random(seed)

    def map_merge(self, items, compute, merge):
        items = list(items)
        order = list(range(len(items)))
        self._random.shuffle(order)
        results = {i: compute(items[i]) for i in order}
        merged = None
        for i in range(len(items)):
            merged = results[i] if merged is None else merge(merged, results[i])
        return merged


# ---------------------------------------------------------------------------------------------- exact linear algebra


def gauss(A, b):
    """The solution of a regular rational system."""
    n = len(A)
    rows = [[Fraction(v) for v in row] + [Fraction(c)] for row, c in zip(A, b, strict=True)]
    for i in range(n):
        pivot = next(r for r in range(i, n) if rows[r][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(i + 1, n):
            if rows[r][i]:
                factor = rows[r][i] / rows[i][i]
                rows[r] = [v - factor * u for v, u in zip(rows[r], rows[i], strict=True)]
    solution = [Fraction(0)] * n
    for i in reversed(range(n)):
        known = sum((rows[i][j] * solution[j] for j in range(i + 1, n)), Fraction(0))
        solution[i] = (rows[i][n] - known) / rows[i][i]
    return solution


def exact_objective(X, y, w, b, l2=0, weights=None):
    """J by its definition, over the float64 values taken as rationals."""
    w, weights = list(w), [1] * len(y) if weights is None else weights
    total = Fraction(0)
    for row, target, weight in zip(X, y, weights, strict=True):
        prediction = sum((Fraction(c) * Fraction(v) for c, v in zip(w, row, strict=True)), Fraction(b))
        total += Fraction(weight) * (prediction - Fraction(target)) ** 2
    return total / (2 * sum(map(Fraction, weights))) + Fraction(l2) / 2 * sum((Fraction(c) ** 2 for c in w), Fraction(0))


def exact_least_squares(X, y, l2=0, *, intercept=True, weights=None):
    """(w, b) of the minimum of J, over the float64 values taken as rationals."""
    weights = [1] * len(y) if weights is None else weights
    rows = [[Fraction(v) for v in row] + ([Fraction(1)] if intercept else []) for row in X]
    k, p, total = len(rows[0]), len(X[0]), sum(map(Fraction, weights))
    H = [[sum(Fraction(w) * r[i] * r[j] for w, r in zip(weights, rows, strict=True)) / total for j in range(k)] for i in range(k)]
    for j in range(p):
        H[j][j] += Fraction(l2)
    c = [sum(Fraction(w) * r[i] * Fraction(t) for w, r, t in zip(weights, rows, y, strict=True)) / total for i in range(k)]
    theta = gauss(H, c)
    return theta[:p], theta[p] if intercept else Fraction(0)


# ------------------------------------------------------------------------------------------------------ exact moments


class Row(NamedTuple):
    """A row as a person writes it: numbers (None: missing), categories (None: missing), weight."""

    numbers: tuple
    categories: tuple = ()
    weight: float = 1


def block_of(rows, *, weighted):
    """The moments of a block."""
    return tally_of(rows, weighted=weighted).moments()


def tally_of(rows, *, weighted):
    """The tally of a block; levels stand in the order of their first row, as a file's own dictionary would have them."""
    numbers = [
        NumberColumn(f"x{j}", np.array([np.nan if r.numbers[j] is None else float(r.numbers[j]) for r in rows]))
        for j in range(len(rows[0].numbers))
    ]
    categories = []
    for j in range(len(rows[0].categories)):
        values = [r.categories[j] for r in rows]
        levels = tuple(dict.fromkeys(v for v in values if v is not None))
        codes = np.array([-1 if v is None else levels.index(v) for v in values], dtype=np.intp)
        categories.append(CategoryColumn(f"c{j}", codes, levels))
    weight = np.array([float(r.weight) for r in rows]) if weighted else None
    return block_tally(numbers, [encoded(category) for category in categories], len(rows), weight).tally


def tallied(rows, cuts, *, weighted):
    """The moments of the merged tallies of rows cut at some places."""
    edges = [0, *sorted(cuts), len(rows)]
    result, *parts = [tally_of(rows[a:b], weighted=weighted) for a, b in pairwise(edges) if a < b]
    for part in parts:
        result = result.plus(part)
    return result.moments()


def merged(rows, cuts, *, weighted):
    """The moments of rows cut at some places, merged in order."""
    edges = [0, *sorted(cuts), len(rows)]
    parts = [block_of(rows[a:b], weighted=weighted) for a, b in pairwise(edges) if a < b]
    result = parts[0]
    for part in parts[1:]:
        result = merge(result, part)
    return result


def exact_columns(rows):
    """Every raw column over all rows: missing numbers are the mean of the present ones (0 where there is none)."""
    columns = {}
    for j in range(len(rows[0].numbers)):
        present = [(Fraction(r.numbers[j]), Fraction(r.weight)) for r in rows if r.numbers[j] is not None]
        total = sum((w for _, w in present), Fraction(0))
        fill = sum((v * w for v, w in present), Fraction(0)) / total if total else Fraction(0)
        columns[RawColumn(f"x{j}", Part.VALUE)] = [fill if r.numbers[j] is None else Fraction(r.numbers[j]) for r in rows]
        columns[RawColumn(f"x{j}", Part.MISSING)] = [Fraction(r.numbers[j] is None) for r in rows]
    for j in range(len(rows[0].categories)):
        values = [r.categories[j] for r in rows]
        for level in sorted({v for v in values if v is not None}):
            columns[RawColumn(f"c{j}", Part.LEVEL, level)] = [Fraction(v == level) for v in values]
        columns[RawColumn(f"c{j}", Part.MISSING)] = [Fraction(v is None) for v in values]
    return columns


def exact_moments(rows):
    """Means and centred co-moments of every raw column that is not zero throughout, as rationals."""
    columns = {c: v for c, v in exact_columns(rows).items() if c.part is Part.VALUE or any(v)}
    weights = [Fraction(r.weight) for r in rows]
    total = sum(weights)
    mean = {c: sum(w * v for w, v in zip(weights, values, strict=True)) / total for c, values in columns.items()}
    comoment = {
        (a, b): sum(w * (x - mean[a]) * (z - mean[b]) for w, x, z in zip(weights, columns[a], columns[b], strict=True))
        for a in columns
        for b in columns
    }
    return total, mean, comoment


def assert_moments_are_exact(moments, rows, tolerance=1e-12):
    """Each mean and co-moment within `tolerance` of the deviations it is made of."""
    total, mean, comoment = exact_moments(rows)
    where = moments.index()
    assert moments.rows == len(rows)
    assert moments.weight == float(total)
    scale = {c: math.sqrt(comoment[c, c] or total / 10_000) for c in mean}  # a constant: what its mean's rounding leaves
    for a in mean:
        if a not in where:  # a level that only rows of weight 0 have
            assert mean[a] == 0
            continue
        size = abs(float(mean[a])) + scale[a] / math.sqrt(total)
        assert abs(Fraction(float(moments.mean[where[a]])) - mean[a]) <= tolerance * size, a
        for b in mean:
            if b in where:
                found = Fraction(float(moments.comoment[where[a], where[b]]))
                assert abs(found - comoment[a, b]) <= tolerance * scale[a] * scale[b], (a, b, float(found))
    for column in where:
        if column not in mean:
            assert moments.mean[where[column]] == 0.0


# ----------------------------------------------------------------------------------------------------- dense problems


class Problem(NamedTuple):
    """A least-squares problem in the loop's coordinates, and the dense design it comes from."""

    X: np.ndarray  # (m, p) in the user's units
    y: np.ndarray  # (m,)
    weight: np.ndarray | None
    l2: float
    posed: object  # gradline.maths.problem.Problem

    @property
    def moments(self):
        return self.posed.training

    @property
    def coordinates(self):
        return self.posed.coordinates

    @property
    def loss(self):
        return self.posed.loss

    @property
    def solution(self):
        return self.posed.solution

    @property
    def Z(self):  # noqa: N802
        """The loop's design with its column of ones, (m, k)."""
        Z = self.coordinates.transformed(self.X)
        return np.column_stack([Z, np.ones(len(Z))]) if self.coordinates.intercept else Z


def dense_problem(X, y, weight=None, *, scaling="standard", intercept=True, l2=0.0):
    """A problem from arrays, by one block."""
    numbers = [NumberColumn(f"x{j}", X[:, j].copy()) for j in range(X.shape[1])] + [NumberColumn("y", y.copy())]
    moments = block_moments(numbers, [], len(y), weight)
    deviation = np.sqrt(np.diag(moments.comoment)[:-1] / moments.weight)
    coordinates = Coordinates.of(scaling, moments.mean[:-1], deviation, intercept=intercept)
    names = tuple(f"x{j}" for j in range(X.shape[1]))
    return Problem(X, y, weight, l2, pose(names, {Role.TRAINING: moments}, coordinates, l2))


def random_problem(seed, m=60, p=4, **settings):
    """A random problem with correlated columns, different scales and offsets, and noise."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, p)) @ (np.eye(p) + 0.4 * rng.normal(size=(p, p)))
    X = X * 10.0 ** rng.uniform(-1, 1, p) + rng.normal(0, 3, p)
    y = X @ rng.normal(size=p) + 2.0 + rng.normal(size=m)
    return dense_problem(X, y, **settings)


def qr_coefficients(X, y, weight=None):
    """(w, b) in the user's units by QR of the standardised design."""
    weight = np.ones(len(y)) if weight is None else weight
    mean = np.average(X, axis=0, weights=weight)
    centred = X - mean
    deviation = np.sqrt(np.average(centred**2, axis=0, weights=weight))
    centre = np.average(y, weights=weight)
    Z = np.column_stack([centred / deviation, np.ones(len(y))]) * np.sqrt(weight)[:, None]
    Q, R = np.linalg.qr(Z)
    theta = np.linalg.solve(R, Q.T @ ((y - centre) * np.sqrt(weight)))
    w = theta[:-1] / deviation
    return w, float(theta[-1] + centre - w @ mean)


def worst_error(model, names, X, y, weight=None):
    """The largest |error of w_j|·s_j/s_y of a model against QR on the dense design of its training rows."""
    w, b = qr_coefficients(X, y, weight)
    weight = np.ones(len(y)) if weight is None else weight
    deviation = np.sqrt(np.cov(X, rowvar=False, aweights=weight, ddof=0).reshape(len(names), -1).diagonal())
    target = np.sqrt(np.cov(y, aweights=weight, ddof=0))
    found = np.array([model.coefficients[name] for name in names])
    at_mean = model.intercept + found @ np.average(X, axis=0, weights=weight) - (b + w @ np.average(X, axis=0, weights=weight))
    return max(float(np.max(np.abs(found - w) * deviation)), float(abs(at_mean))) / float(target)


# ----------------------------------------------------------------------------------- features, written a second time


def brute_design(columns, least_rows):
    """Names and dense columns of the features of training rows, from the rules of the documentation, row by row.

    columns: {name: list of floats, texts, dates or datetimes, with None}.
    """
    features = {}
    for name, values in columns.items():
        present = [v for v in values if v is not None]
        if isinstance(present[0], str):
            features |= _dummies(name, values, least_rows, missing_is_level=True)
        elif hasattr(present[0], "year"):
            days = [None if v is None else _days(v) for v in values]
            features |= _numbers(f"{name}.days", days, least_rows)
            months = [None if v is None else str(v.month) for v in values]
            features |= _dummies(f"{name}.month", months, least_rows, missing_is_level=False)
            weekdays = [None if v is None else WEEKDAYS[v.weekday()] for v in values]
            features |= _dummies(f"{name}.weekday", weekdays, least_rows, missing_is_level=False)
            if hasattr(present[0], "hour"):
                hours = [None if v is None else str(v.hour) for v in values]
                features |= _dummies(f"{name}.hour", hours, least_rows, missing_is_level=False)
        else:
            features |= _numbers(name, values, least_rows)
    return list(features), np.column_stack(list(features.values()))


def _days(value):
    import datetime as dt

    if hasattr(value, "hour"):
        return (value - dt.datetime(1970, 1, 1)) / dt.timedelta(days=1)  # noqa: DTZ001
    return float((value - dt.date(1970, 1, 1)).days)


def _numbers(name, values, least_rows):
    present = [v for v in values if v is not None]
    fill = math.fsum(present) / len(present)
    features = {name: np.array([fill if v is None else float(v) for v in values])} if min(present) < max(present) else {}
    if len(values) - len(present) >= least_rows:
        features[f"{name}=(missing)"] = np.array([float(v is None) for v in values])
    return features


def _dummies(name, values, least_rows, *, missing_is_level):
    counts = Counter(v for v in values if v is not None)
    kept = sorted((v for v in counts if counts[v] >= least_rows), key=lambda v: (-counts[v], v))
    rare = set(counts) - set(kept)
    missing = sum(v is None for v in values)
    features = {f"{name}={level}": np.array([float(v == level) for v in values]) for level in kept[1:]}
    if rare:
        few = missing_is_level and missing < least_rows
        features[f"{name}=(other)"] = np.array([float(v in rare or (v is None and few)) for v in values])
    if missing_is_level and missing >= least_rows:
        features[f"{name}=(missing)"] = np.array([float(v is None) for v in values])
    return features

"""The ridge path against normal equations solved λ by λ; what has to be merged, and what has to be left out."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise

import numpy as np
import pytest

from gradline.maths.block import block_moments
from gradline.maths.moments import merge
from gradline.maths.ridge_path import others, penalties, ridge_path
from gradline.types import NumberColumn


def moments_of(X, y):
    columns = [NumberColumn(f"x{j}", x.copy()) for j, x in enumerate(X.T)]
    return block_moments([*columns, NumberColumn("y", y.copy())], [], len(y))


def rows(m=50, p=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, p)) * [1.0, 10.0, 0.1, 1.0][:p] + 5.0
    return X, X @ rng.normal(size=p) + rng.normal(size=m)


NUMBERS = np.zeros(4, dtype=bool)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("scaling", ["standard", "none"])
def test_weights_are_those_of_the_normal_equations(scaling, intercept):
    X, y = rows()
    path = ridge_path(moments_of(X, y), NUMBERS, scaling, intercept=intercept)
    scale = X.std(axis=0) if scaling == "standard" else np.ones(4)
    Z, target = (X - X.mean(axis=0) * intercept) / scale, y - y.mean() * intercept
    l2 = penalties(path.curvature_max, 9)
    wanted = [np.linalg.solve(Z.T @ Z / 50 + each * np.eye(4), Z.T @ target / 50) for each in l2]
    assert np.allclose(path.weights(l2).T, wanted, rtol=1e-9, atol=1e-12)
    assert path.curvature_max == pytest.approx(np.linalg.eigvalsh(Z.T @ Z / 50)[-1])


def test_errors_on_other_rows_are_those_of_their_predictions():
    (X, y), (other, actual) = rows(), rows(20, seed=1)
    path, l2 = ridge_path(moments_of(X, y), NUMBERS, "standard", intercept=True), np.array([3.0, 0.1, 0.0])
    slopes = path.weights(l2) / X.std(axis=0)[:, None]
    predicted = y.mean() + (other - X.mean(axis=0)) @ slopes
    errors = path.squared_errors(moments_of(other, actual), l2)
    assert np.allclose(errors, np.mean((actual[:, None] - predicted) ** 2, axis=0), rtol=1e-12)
    baseline = path.baseline_squared_error(moments_of(other, actual))
    assert baseline == pytest.approx(np.mean((actual - y.mean()) ** 2), rel=1e-12)


def test_the_path_goes_down_from_a_hundred_times_the_curvature_and_ends_in_no_penalty():
    l2 = penalties(3.0, 100)
    assert len(l2) == 101
    assert (l2[0], l2[-2], l2[-1]) == (pytest.approx(300.0), pytest.approx(3e-10), 0.0)
    assert all(a > b for a, b in pairwise(l2))
    assert np.all(np.isfinite(penalties(0.0, 5)))


def test_the_largest_penalty_leaves_a_hundredth_of_each_direction():
    X, y = rows()
    path = ridge_path(moments_of(X, y), NUMBERS, "standard", intercept=True)
    free, shrunk = (path.vectors.T @ path.weights(np.array([l2]))[:, 0] for l2 in (0.0, penalties(path.curvature_max, 9)[0]))
    assert np.all(np.abs(shrunk) <= 0.01 * np.abs(free))


@pytest.mark.parametrize(
    ("indicator", "value", "variance"), [(True, 0.5, 3e-16), (False, 1e8, 1e-2 * 1e16 * 1e-31), (True, 1.0, 0.0)]
)
def test_a_column_whose_variance_is_rounding_has_no_weight(indicator, value, variance):
    X, y = rows()
    X[:, 1] = value
    moments = moments_of(X, y)
    moments.comoment[1, 1] = 50 * variance
    moments.comoment[1, 4] = moments.comoment[4, 1] = 50 * np.sqrt(variance) * 0.5
    indicators = np.array([False, indicator, False, False])
    for scaling in ("standard", "none"):
        path = ridge_path(moments, indicators, scaling, intercept=True)
        weights = path.weights(np.array([1.0, 0.0]))
        assert np.all(weights[1] == 0.0)
        without = ridge_path(moments_of(np.delete(X, 1, axis=1), y), NUMBERS[:3], scaling, intercept=True)
        assert np.allclose(np.delete(weights, 1, axis=0), without.weights(np.array([1.0, 0.0])), rtol=1e-12)


def test_nothing_varies_nothing_is_learned():
    path = ridge_path(moments_of(np.ones((5, 2)), np.arange(5.0)), NUMBERS[:2], "standard", intercept=True)
    assert path.curvature_max == 0.0
    assert np.array_equal(path.weights(np.array([0.0, 1.0])), np.zeros((2, 2)))


def test_collinear_columns_have_the_weights_of_least_norm():
    X, y = rows()
    X[:, 1] = 2.0 * X[:, 0] - 1.0
    path = ridge_path(moments_of(X, y), NUMBERS, "standard", intercept=True)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    assert np.allclose(path.weights(np.zeros(1))[:, 0], np.linalg.lstsq(Z, y - y.mean(), rcond=1e-10)[0], rtol=1e-9)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_others_of_a_fold_are_all_other_folds_in_their_order(count):
    X, y = rows(60)
    folds = [moments_of(X[k::count], y[k::count]) for k in range(count)]
    found = list(others(folds))
    assert len(found) == count
    for k, learned in enumerate(found):
        wanted = reduce(merge, [fold for j, fold in enumerate(folds) if j != k])
        assert (learned.rows, learned.columns) == (wanted.rows, wanted.columns)
        assert np.allclose(learned.mean, wanted.mean, rtol=1e-14)
        assert np.allclose(learned.comoment, wanted.comoment, rtol=1e-12)

"""Leave-one-out fits by leverage are refits, and the bounds of jackknife+ are those of its definition."""

from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest

from gradline.maths import jackknife
from gradline.maths.jackknife import LeftOut


def problem(n, p, seed, *, weighted=False, l2=0.0, heavy=False):
    """X with a column of ones, y, weights, and A = X'WX + the penalty (not of the ones)."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.standard_t(2, (n, p)) if heavy else rng.normal(size=(n, p)), np.ones(n)])
    y = X @ rng.normal(size=p + 1) + rng.normal(size=n)
    w = rng.integers(1, 5, n).astype(float) if weighted else np.ones(n)
    penalty = np.diag([l2] * p + [0.0])
    return X, y, w, penalty


def solved(X, y, w, penalty):
    return np.linalg.solve(X.T @ (w[:, None] * X) + penalty, X.T @ (w * y))


def by_leverage(X, y, w, penalty):
    A = X.T @ (w[:, None] * X) + penalty
    root = np.linalg.inv(np.linalg.cholesky(A)).T
    theta = solved(X, y, w, penalty)
    return theta, root, LeftOut.of(X @ root, y - X @ theta, w)


def by_refits(X, y, w, penalty, new, alpha):
    """The bounds as Barber et al. define them, (m, 2)."""
    n = len(y)
    at_new, residual = np.empty((len(new), n)), np.empty(n)
    for i in range(n):
        kept = np.arange(n) != i
        theta = solved(X[kept], y[kept], w[kept], penalty)
        at_new[:, i], residual[i] = new @ theta, abs(y[i] - X[i] @ theta)
    low, high = np.sort(at_new - residual, axis=1), np.sort(at_new + residual, axis=1)
    k_low, k_high = floor(alpha * (n + 1)), ceil((1 - alpha) * (n + 1))
    return np.column_stack([
        low[:, k_low - 1] if k_low >= 1 else np.full(len(new), -np.inf),
        high[:, k_high - 1] if k_high <= n else np.full(len(new), np.inf),
    ])  # fmt: skip


@pytest.mark.parametrize("alpha", [Fraction(1, 10), Fraction(1, 2), Fraction(1, 40)])
@pytest.mark.parametrize(("n", "p", "weighted", "l2", "heavy"), [
    (9, 2, False, 0.0, False), (39, 3, False, 0.0, True), (60, 4, True, 0.0, False), (99, 5, False, 7.0, False), (80, 3, True, 2.5, True),
])  # fmt: skip
def test_the_bounds_are_those_of_brute_force_refits(n, p, weighted, l2, heavy, alpha):
    X, y, w, penalty = problem(n, p, n + p, weighted=weighted, l2=l2, heavy=heavy)
    new = np.column_stack([3.0 * np.random.default_rng(1).normal(size=(40, p)), np.ones(40)])
    theta, root, left_out = by_leverage(X, y, w, penalty)
    found = left_out.bounds(new @ theta, new @ root, 1 - alpha)
    expected = by_refits(X, y, w, penalty, new, alpha)
    np.testing.assert_allclose(np.column_stack(found), expected, rtol=1e-9, atol=1e-9)


def test_counting_the_rows_that_cannot_stand_at_the_rank_changes_no_bound(monkeypatch):
    X, y, w, penalty = problem(3_000, 6, 5, heavy=True)
    theta, root, left_out = by_leverage(X, y, w, penalty)
    new = np.column_stack([np.random.default_rng(2).standard_t(1, (700, 6)), np.ones(700)])
    found = left_out.bounds(new @ theta, new @ root, Fraction(9, 10))
    moved = (new @ root) @ left_out.rows.T * left_out.shift
    k = ceil(Fraction(9, 10) * 3_001)
    centre = (new @ theta)[:, None] - moved
    np.testing.assert_allclose(found.high, np.sort(centre + left_out.residual, axis=1)[:, k - 1], rtol=1e-12)
    np.testing.assert_allclose(found.low, np.sort(centre - left_out.residual, axis=1)[:, 3_000 - k], rtol=1e-12)
    monkeypatch.setattr(jackknife, "VALUES", 5)  # one row at a time
    few = left_out.bounds(new @ theta, new @ root, Fraction(9, 10))
    np.testing.assert_allclose(few.high, found.high, rtol=1e-13)
    np.testing.assert_allclose(few.low, found.low, rtol=1e-13)


def test_too_few_rows_bound_nothing():
    X, y, w, penalty = problem(8, 1, 0)
    theta, root, left_out = by_leverage(X, y, w, penalty)
    found = left_out.bounds(X @ theta, X @ root, Fraction(9, 10))
    assert np.all(np.isinf(found.low) & np.isinf(found.high))


def test_a_row_through_which_the_fit_goes_counts_as_infinitely_far():
    X = np.column_stack([np.append(np.zeros(20), 1.0), np.ones(21)])  # the last row alone knows the first coefficient
    y = np.random.default_rng(0).normal(size=21)
    theta, root, left_out = by_leverage(X, y, np.ones(21), np.zeros((2, 2)))
    assert np.isinf(left_out.residual).tolist() == [False] * 20 + [True]
    found = left_out.bounds(X @ theta, X @ root, Fraction(9, 10))
    assert np.all(np.isfinite(found.high[:-1]))
    assert np.all(np.isinf(left_out.bounds(X @ theta, X @ root, Fraction(95, 100)).high))  # rank 21 is that row

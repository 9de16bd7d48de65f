"""A x − b in twice the precision, against rational arithmetic, for rows summed in one call and rows summed column by column."""

from fractions import Fraction

import numpy as np
import pytest

from gradline.maths import compensated
from gradline.maths.compensated import SHORT, residual

EPSILON = np.finfo(np.float64).eps


def exact(A, x, b):
    x = [Fraction(v) for v in x]
    return [sum((Fraction(a) * v for a, v in zip(row, x, strict=True)), -Fraction(y)) for row, y in zip(A, b, strict=True)]


@pytest.mark.parametrize(("n", "k"), [(1, 1), (1, 40), (7, 7), (SHORT, 3), (SHORT + 1, 3)])
@pytest.mark.parametrize("together", [1, 1 << 15])
def test_the_residual_is_rounded_once_though_all_but_its_last_digits_cancel(n, k, together, monkeypatch):
    monkeypatch.setattr(compensated, "CHUNK_VALUES", together * n)
    rng = np.random.default_rng(n + k)
    A = rng.normal(size=(n, k)) * 10.0 ** rng.integers(-6, 7, (n, k))
    x = rng.normal(size=k)
    b = A @ x  # what is left is the rounding of this product
    kept = A.copy(), x.copy(), b.copy()
    found, size = residual(A, x, b), np.abs(A) @ np.abs(x) + np.abs(b)
    for value, each, terms in zip(found, exact(A, x, b), size, strict=True):
        assert abs(Fraction(value) - each) <= EPSILON * abs(each) + (k + 2) ** 2 * EPSILON**2 * terms
    assert all(np.array_equal(a, c) for a, c in zip((A, x, b), kept, strict=True))


def test_of_a_symmetric_matrix_the_bits_are_the_same():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(9, 9))
    A, x, b = A + A.T, rng.normal(size=9), rng.normal(size=9)
    assert residual(A, x, b, symmetric=True).tobytes() == residual(A, x, b).tobytes()

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from gradline.maths.slices import MOST_ROWS, exact_sums


def rational(sums):
    """Every sum as a rational."""
    q = len(sums.exponents)
    return [
        [
            Fraction(sums.numerators[j, k]) * Fraction(2) ** int(sums.exponents[j] + sums.exponents[k] + sums.unit)
            for k in range(q)
        ]
        for j in range(q)
    ]


def by_hand(columns, shift, weight=None):
    """Σ w z z' of the columns about the shift, and then a one."""
    Z = [[Fraction(v) - Fraction(s) for v in column] for column, s in zip(columns.tolist(), shift.tolist(), strict=True)]
    Z.append([Fraction(1)] * columns.shape[1])
    w = [Fraction(1)] * columns.shape[1] if weight is None else [Fraction(v) for v in weight.tolist()]
    return [[sum(a * b * c for a, b, c in zip(u, v, w, strict=True)) for v in Z] for u in Z]


def table(rows, seed=0):
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(5, rows))
    columns *= np.array([1.0, 1e9, 1e-7, 1.0, 1.0])[:, None]
    columns[3] = rng.integers(-9, 10, rows)
    columns[4] = np.exp(8 * columns[4])  # eight digits between the least and the greatest
    columns[0] += 1e6
    return columns


SHIFT = np.array([1e6, 0.0, 0.1, 0.0, 3.0])


@pytest.mark.parametrize("weighted", [False, True])
def test_the_sums_have_no_rounding_at_all(weighted):
    columns = table(40)
    weight = np.random.default_rng(1).integers(1, 9, 40) / 8.0 if weighted else None
    assert rational(exact_sums(columns, SHIFT, weight)) == by_hand(columns, SHIFT, weight)


def test_weights_of_full_precision_cost_less_than_a_hundred_bits_can_show():
    columns, weight = table(40), np.random.default_rng(2).random(40)
    for found, exact in zip(rational(exact_sums(columns, SHIFT, weight)), by_hand(columns, SHIFT, weight), strict=True):
        for a, b in zip(found, exact, strict=True):
            assert abs(a - b) <= abs(b) * Fraction(1, 2**80)


def test_weights_are_repeated_rows():
    columns = table(30)
    count = np.random.default_rng(3).integers(1, 4, 30)
    assert rational(exact_sums(columns, SHIFT, count.astype(float))) == rational(
        exact_sums(np.repeat(columns, count, axis=1), SHIFT)
    )


def test_neither_order_nor_cuts_of_the_rows_change_a_bit():
    columns = table(90)
    whole = exact_sums(columns, SHIFT)
    parts = exact_sums(columns[:, :7], SHIFT)
    for rows in (slice(7, 8), slice(8, 60), slice(60, 90)):
        parts = parts.plus(exact_sums(columns[:, rows], SHIFT))
    shuffled = exact_sums(columns[:, np.random.default_rng(4).permutation(90)], SHIFT)
    assert rational(parts) == rational(whole) == rational(shuffled)
    assert parts.rows == whole.rows == 90


def test_more_rows_than_one_product_takes():
    columns = np.random.default_rng(5).integers(-(2**30), 2**30, (2, MOST_ROWS + 321)).astype(float)
    found = rational(exact_sums(columns, np.zeros(2)))
    a, b = ([int(v) for v in column.tolist()] for column in columns)
    assert found[0][1] == sum(x * y for x, y in zip(a, b, strict=True))
    assert found[1][1] == sum(y * y for y in b)
    assert found[0][2] == sum(a)


def test_the_largest_slices_of_the_most_rows_are_still_exact():
    columns = np.full((1, MOST_ROWS), 1.0 - 2.0**-53)  # every slice at its largest
    found = rational(exact_sums(columns, np.zeros(1)))
    assert found[0][0] == MOST_ROWS * (1 - Fraction(1, 2**53)) ** 2


def test_whole_numbers_are_told_apart_from_rounded_ones():
    columns = np.array([[1.0, -2.0, 3e9], [0.5, 1.0, 2.0], [4503599627370497.0, 4503599627370499.0, 9007199254740991.0]])
    assert exact_sums(columns, np.zeros(3)).whole.tolist() == [True, False, False]  # past 2^52 all are, whatever they were

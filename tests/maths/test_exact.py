from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from gradline.maths.exact import ExactMoments
from gradline.maths.problem import confirmed, followed, pose_exact, too_flat
from gradline.maths.slices import exact_sums
from gradline.types import Role
from reference import dense_problem, exact_least_squares, exact_objective
from reference_sets import all_sets


def exact_moments(X, y, weight=None):
    return ExactMoments(
        exact_sums(np.column_stack([X, y]).T, np.append(X.mean(axis=0), y.mean()), weight), np.append(X.mean(axis=0), y.mean())
    )


def posed(X, y, weight=None, *, intercept=True, l2=0.0):
    """A problem from exact moments."""
    plain = dense_problem(X, y, weight, intercept=intercept, l2=l2).posed
    return pose_exact(plain, {Role.TRAINING: exact_moments(X, y, weight)}, l2)


def user(problem):
    return problem.coordinates.to_user(problem.exact.theta, problem.exact.theta_low)


@pytest.mark.parametrize("case", all_sets(), ids=lambda case: case.name)
def test_every_coefficient_is_the_exact_one_rounded_once(case):
    found = user(posed(case.X, case.y, intercept=case.intercept))
    exact = [float(v) for v in case.solution()]
    if case.intercept:
        assert found.intercept == exact[0]
    assert found.coefficients.tolist() == exact[case.intercept :]


@pytest.mark.parametrize("intercept", [True, False])
def test_the_penalised_minimum_is_the_exact_one(intercept):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 3)) + np.array([0.0, 5.0, 1e5])
    y = X @ [1.0, -2.0, 3.0] + rng.normal(size=20)
    problem = posed(X, y, intercept=intercept, l2=0.1)
    w, b = problem.coordinates.weights_and_bias(problem.exact.theta)
    Z = rational_design(problem, X)
    exact_w, exact_b = exact_least_squares(Z, y.tolist(), 0.1, intercept=intercept)
    assert w.tolist() == [float(v) for v in exact_w]
    assert b == float(exact_b)
    assert problem.reference.minimum == pytest.approx(float(exact_objective(Z, y.tolist(), exact_w, exact_b, 0.1)), rel=1e-15)


def test_weights_are_repeated_rows():
    rng = np.random.default_rng(1)
    X, count = rng.normal(size=(20, 2)), rng.integers(1, 5, 20)
    y = X @ [1.0, 2.0] + rng.normal(size=20)
    a, b = user(posed(X, y, count.astype(float))), user(posed(np.repeat(X, count, axis=0), np.repeat(y, count)))
    assert a.coefficients == pytest.approx(b.coefficients, rel=1e-15)
    w, _ = exact_least_squares(X.tolist(), y.tolist(), weights=count.tolist())
    assert a.coefficients == pytest.approx([float(v) for v in w], rel=1e-15)


def test_moments_are_the_exact_ones_rounded():
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(15, 2)) + np.array([1e9, 0.0]), rng.normal(size=15)
    problem = posed(X, y)
    rows = [[Fraction(v) for v in row] for row in np.column_stack([X, y]).tolist()]
    mean = [sum(column) / 15 for column in zip(*rows, strict=True)]
    found = problem.training
    assert [Fraction(a) + Fraction(b) for a, b in zip(found.mean, found.mean_rest, strict=True)] == pytest.approx(mean, rel=1e-30)
    for j in range(3):
        for k in range(3):
            exact = sum((row[j] - mean[j]) * (row[k] - mean[k]) for row in rows)
            assert found.comoment[j, k] == pytest.approx(float(exact), rel=1e-15)


def near_perfect():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(25, 3))
    X[:, 1] = X[:, 0] + 1e-7 * X[:, 1]
    return X, X @ [1.0, 2.0, 3.0] + 1e-10 * rng.normal(size=25)


def test_the_minimum_of_a_nearly_perfect_fit_has_its_digits():
    X, y = near_perfect()
    w, b = exact_least_squares(X.tolist(), y.tolist())
    assert posed(X, y).reference.minimum == pytest.approx(float(exact_objective(X.tolist(), y.tolist(), w, b)), rel=1e-15)


def rational_design(problem, X):
    """The rows in the loop's coordinates, without rounding."""
    place = list(zip(problem.coordinates.centre.tolist(), problem.coordinates.scale.tolist(), strict=True))
    return [[(Fraction(v) - Fraction(c)) / Fraction(s) for v, (c, s) in zip(row, place, strict=True)] for row in X.tolist()]


def test_the_gradient_has_its_digits_where_float64_leaves_noise():
    X, y = near_perfect()
    problem, plain = posed(X, y), dense_problem(X, y).posed
    theta = problem.exact.theta + np.array([1e-12, -1e-12, 0.0, 0.0])
    Z = [[*row, Fraction(1)] for row in rational_design(problem, X)]
    residual = [sum(Fraction(t) * v for t, v in zip(theta.tolist(), row, strict=True)) - Fraction(r) for row, r in zip(Z, y.tolist(), strict=True)]  # fmt: skip
    exact = np.array([float(sum(row[j] * r for row, r in zip(Z, residual, strict=True)) / 25) for j in range(4)])
    assert problem.loss.gradient(theta) == pytest.approx(exact, rel=1e-12, abs=1e-30)
    assert np.abs(plain.loss.gradient(theta) - exact).max() > 0.1 * np.abs(exact).max()
    assert problem.loss.value(theta) == pytest.approx(float(sum(r * r for r in residual) / 50), rel=1e-12)


@pytest.mark.parametrize("nearness", [1e-2, 1e-5, 1e-8, 1e-11])
def test_the_flattest_curvature_has_its_digits_where_float64_has_none(nearness):
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(2, 50))
    X = np.column_stack([a, a + nearness * b])
    curvature = posed(X, a + b).reference.curvature_min
    columns = [[Fraction(v) for v in column] for column in X.T.tolist()]
    centred = [[v - sum(column) / 50 for v in column] for column in columns]
    aa, bb, ab = (sum(x * z for x, z in zip(centred[i], centred[j], strict=True)) for i, j in ((0, 0), (1, 1), (0, 1)))
    apart = float(1 - ab * ab / (aa * bb))  # 1 − r² = (1 − r)(1 + r), and 1 − r is the smaller eigenvalue
    assert curvature == pytest.approx(apart / 2, rel=1e-3)


def test_columns_that_repeat_others_are_told_apart_from_those_that_nearly_do():
    rng = np.random.default_rng(5)
    a, b, c = rng.normal(size=(3, 40))
    y = a + b + c

    def null(*columns):
        return posed(np.column_stack(columns), y).reference.null

    assert null(a, b, a) == 1
    assert null(a, b, a + b, a - b) == 2  # to the rounding of their sums
    assert null(a, b, 3.0 * a - 0.7 * b + 100.0) == 1
    assert null(a, b, a + 1e-12 * c) == 0
    assert null(a, a + 1e-12 * b, a + 1e-12 * b + 1e-13 * c) == 0
    assert null(a + 1e9, b, a + 1e9 + 1e-8 * c) == 1  # less than the rounding beside such an offset
    assert null(a + 1e9, b, a + 1e9 + 1e-5 * c) == 0
    whole = np.arange(40.0) + 1e9
    other = whole.copy()
    other[7] += 1.0  # a whole number has not been rounded, however small the difference is beside it
    assert null(whole, b, other) == 0
    assert null(whole, b, whole) == 1
    for seed in range(5):
        one, two, three = np.random.default_rng(seed).integers(-99, 100, (3, 40)).astype(float)
        assert null(one, two, three, 3 * one - 7 * two + 11 * three + 5) == 1


def test_predictions_and_least_norm_of_what_is_not_identifiable():
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(2, 40))
    X, y = np.column_stack([a, b, a]), a + 2 * b + rng.normal(size=40)
    problem = posed(X, y)
    single = posed(X[:, :2], y)
    twice, once = user(problem), user(single)
    assert twice.coefficients[0] == pytest.approx(twice.coefficients[2], rel=1e-12)
    assert twice.coefficients[0] * 2 == pytest.approx(once.coefficients[0], rel=1e-12)
    assert problem.reference.minimum == pytest.approx(single.reference.minimum, rel=1e-14)


def test_what_is_too_flat_to_follow_is_left_to_the_refinement():
    rng = np.random.default_rng(7)
    a, b, c = rng.normal(size=(3, 40))
    problem = posed(np.column_stack([a, a + 1e-9 * b, c]), a + c + 0.1 * rng.normal(size=40))
    loop = followed(problem)
    assert loop.solution.null == 1
    assert loop.solution.condition < 1e12
    flat = too_flat(problem)
    assert np.abs(flat[:2, 0]) == pytest.approx([0.5**0.5] * 2, abs=1e-6)
    assert np.abs(flat.T @ loop.solution.minimiser).max() < 1e-6 * np.abs(problem.exact.theta).max()
    steep = loop.solution.vectors[:, 1:]
    assert np.abs(steep.T @ problem.loss.gradient(loop.solution.minimiser)).max() < 1e-12
    easy = posed(np.column_stack([a, b]), a)
    assert followed(easy) is easy
    assert too_flat(easy) is None


def test_a_sample_confirms_a_combination_or_does_not():
    rng = np.random.default_rng(8)
    a, b, c = rng.normal(size=(3, 200))
    for third, answer in ((a + b, True), (a + b + 1e-9 * c, False)):
        X = np.column_stack([a, b, third, c])
        plain = dense_problem(X, a).posed
        assert plain.reference.null == 1
        sample = exact_moments(X[:50], a[:50])
        assert confirmed(plain, sample) is answer

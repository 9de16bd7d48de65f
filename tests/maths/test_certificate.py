from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pytest

from gradline.maths.certificate import MOST_DIGITS, Certificate, certify
from gradline.maths.quadratic import baseline_objective
from reference import dense_problem, exact_least_squares, exact_objective, random_problem


def certificate_at(problem, theta):
    return certify(problem.posed, theta)


def strict_json(certificate):
    return json.loads(json.dumps(certificate.to_json(), allow_nan=False))


@pytest.mark.parametrize("scaling", ["standard", "none"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_objective_minimum_gap_and_their_ratio_are_as_defined(scaling, intercept, l2):
    rng = np.random.default_rng(0)
    problem = random_problem(1, scaling=scaling, intercept=intercept, l2=l2)
    theta = problem.solution.minimiser + 0.01 * rng.normal(size=problem.coordinates.size)
    found = certificate_at(problem, theta)
    w, _ = problem.coordinates.weights_and_bias(theta)
    residual = problem.Z @ theta - problem.y
    objective = 0.5 * np.mean(residual**2) + 0.5 * l2 * w @ w
    assert found.kind == "exact"
    assert found.objective == pytest.approx(objective, rel=1e-10)
    assert found.gap == pytest.approx(found.objective - found.minimum, rel=1e-9)
    at_the_mean = 0.5 * np.mean((problem.y - problem.y.mean()) ** 2)  # J(w = 0, b = mean y)
    assert baseline_objective(problem.moments) == pytest.approx(at_the_mean, rel=1e-12)
    assert found.relative_gap == pytest.approx(found.gap / at_the_mean, rel=1e-12)
    eigenvalues = np.linalg.eigvalsh(problem.loss.hessian)
    assert found.curvature_max == pytest.approx(eigenvalues[-1], rel=1e-10)
    assert found.curvature_min == pytest.approx(eigenvalues[0], rel=1e-8)
    assert found.condition == pytest.approx(eigenvalues[-1] / eigenvalues[0], rel=1e-8)


def test_the_relative_gap_is_the_r2_left_on_the_table():
    problem = random_problem(2)
    theta = 0.7 * problem.solution.minimiser
    total = np.mean((problem.y - problem.y.mean()) ** 2)
    r2 = [1 - np.mean((problem.Z @ t - problem.y) ** 2) / total for t in (problem.solution.minimiser, theta)]
    assert certificate_at(problem, theta).relative_gap == pytest.approx(r2[0] - r2[1], rel=1e-9)


@pytest.mark.parametrize("scaling", ["standard", "none"])
def test_the_coefficient_error_is_the_largest_distance_in_deviations_of_the_target(scaling):
    problem = random_problem(3, scaling=scaling)
    theta = problem.solution.minimiser + np.array([1e-3, -2e-3, 5e-4, 1e-3, 0.0])
    best = problem.coordinates.to_user(problem.solution.minimiser)
    here = problem.coordinates.to_user(theta)
    slopes = np.abs(here.coefficients - best.coefficients) * problem.X.std(axis=0)
    middle = abs(here.intercept - best.intercept + (here.coefficients - best.coefficients) @ problem.X.mean(axis=0))
    expected = max(*slopes, middle) / problem.y.std()
    assert certificate_at(problem, theta).coefficient_error == pytest.approx(expected, rel=1e-6)


def test_json_holds_no_nan_and_no_infinity():
    odd = Certificate("none", math.inf, None, math.nan, -math.inf, math.nan, None, math.inf, 0.0, math.nan, math.nan)
    document = strict_json(odd)
    assert document["kind"] == "none"
    assert document["objective"] is None
    assert document["condition"] is None
    assert document["curvature_min"] == 0.0
    assert set(document) >= {
        "kind", "objective", "minimum", "gap", "relative_gap", "curvature_max", "curvature_min", "condition", "trusted_digits",
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_json_of_extreme_problems_is_strict(seed):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=30)
    for X, y in (
        (np.column_stack([a, a]), a),  # singular, perfect
        (np.column_stack([a * 1e150, a**2]), a * 1e-150),
        (np.column_stack([a + 1e12, a**2]), a + 1e12),
    ):
        problem = dense_problem(X, y)
        strict_json(certificate_at(problem, np.zeros(3)))
        strict_json(certificate_at(problem, problem.solution.minimiser))


def test_coefficients_that_are_not_identifiable_have_no_trusted_digits():
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(2, 30))
    for scaling in ("standard", "none"):
        problem = dense_problem(np.column_stack([a, b, a - b]), a + b + rng.normal(size=30), scaling=scaling)
        assert certificate_at(problem, problem.solution.minimiser).trusted_digits is None


def test_ill_conditioning_costs_digits():
    rng = np.random.default_rng(6)
    a, b, noise = rng.normal(size=(3, 60))
    digits = []
    for nearness in (1.0, 1e-2, 1e-4, 1e-6):
        problem = dense_problem(np.column_stack([a, a + nearness * b]), a + noise)
        digits.append(certificate_at(problem, problem.solution.minimiser).trusted_digits)
    assert digits == sorted(digits, reverse=True)
    assert digits[0] > 13.0
    assert digits[0] - digits[-1] > 4.0


def test_offsets_cost_digits():
    rng = np.random.default_rng(7)
    a, b, noise = rng.normal(size=(3, 60))
    digits = []
    for offset in (0.0, 1e3, 1e6, 1e9):
        problem = dense_problem(np.column_stack([a + offset, b]), a + b + noise)
        digits.append(certificate_at(problem, problem.solution.minimiser).trusted_digits)
    assert digits == sorted(digits, reverse=True)
    assert 4.0 < digits[-1] < 8.0


def test_the_remaining_gap_costs_digits():
    problem = random_problem(8)
    size = np.abs(problem.solution.minimiser[:-1]).max()
    for digits in (2, 5, 8):
        theta = problem.solution.minimiser + np.array([10.0**-digits * size, 0, 0, 0, 0])
        assert certificate_at(problem, theta).trusted_digits == pytest.approx(digits, abs=0.1)
    assert 0.0 <= certificate_at(problem, problem.solution.minimiser).trusted_digits <= MOST_DIGITS


def true_digits(problem, theta):
    """−log10 of the largest |error of w_j|·s_j relative to max |w_k|·s_k, against exact rational arithmetic."""
    w, _ = exact_least_squares(problem.X.tolist(), problem.y.tolist())
    found = problem.coordinates.to_user(theta).coefficients
    deviation = [Fraction(s) for s in problem.coordinates.deviation]
    error = max(abs(Fraction(f) - e) * s for f, e, s in zip(found, w, deviation, strict=True))
    size = max(abs(e) * s for e, s in zip(w, deviation, strict=True))
    return max(-math.log10(error / size), 0.0) if error else 16.0


@pytest.mark.parametrize("scaling", ["standard", "none"])
def test_trusted_digits_never_promise_a_digit_too_many(scaling):
    rng = np.random.default_rng(9)
    excess = []
    for trial in range(100):
        p, m = int(rng.integers(1, 5)), int(rng.integers(8, 31))
        X = rng.normal(size=(m, p))
        if p > 1:
            X[:, 1] = X[:, 0] + 10.0 ** rng.uniform(-5, 0) * X[:, 1]
        X = X * 10.0 ** rng.uniform(-2, 2, p)
        X += 10.0 ** rng.uniform(0, 6 if scaling == "standard" else 2) * rng.choice([-1, 1], p)
        y = X @ rng.normal(size=p) + 10.0 ** rng.uniform(-6, 1) * rng.normal(size=m) + 10.0 ** rng.uniform(0, 4)
        problem = dense_problem(X, y, scaling=scaling)
        stated = certificate_at(problem, problem.solution.minimiser).trusted_digits
        if stated is not None:
            excess.append((stated - true_digits(problem, problem.solution.minimiser), trial))
    assert len(excess) > 60
    assert max(excess)[0] < 1.0


def test_trusted_digits_are_not_needlessly_humble():
    rng = np.random.default_rng(10)
    humble = []
    for _ in range(40):
        X = rng.normal(size=(30, 3)) + 10.0 ** rng.uniform(0, 4)
        problem = dense_problem(X, X @ rng.normal(size=3) + rng.normal(size=30))
        stated = certificate_at(problem, problem.solution.minimiser).trusted_digits
        humble.append(true_digits(problem, problem.solution.minimiser) - stated)
    assert np.median(humble) < 3.5


def test_trusted_digits_do_not_depend_on_units():
    problem = random_problem(11)
    scaled = dense_problem(problem.X * 2.0 ** np.array([10, -7, 0, 3]), problem.y * 2.0**12)
    a, b = (certificate_at(q, q.solution.minimiser).trusted_digits for q in (problem, scaled))
    assert a == pytest.approx(b, abs=1e-3)


def test_the_baseline_does_not_depend_on_the_coordinates():
    rng = np.random.default_rng(12)
    X, y = rng.normal(size=(30, 2)), rng.normal(size=30) + 50.0
    values = {
        baseline_objective(dense_problem(X, y, scaling=s, intercept=i).moments)
        for s in ("standard", "none")
        for i in (True, False)
    }
    assert len(values) == 1


def test_objective_and_gap_are_exact_against_rationals():
    X, y = [[1.0, 2.0], [3.0, 5.0], [-2.0, 1.0], [0.5, 0.25], [4.0, -3.0]], [1.0, 2.0, 0.0, -1.0, 3.0]
    problem = dense_problem(np.array(X), np.array(y), scaling="none")
    theta = np.array([0.5, -0.25, 1.0])
    w, b = exact_least_squares(X, y)
    here = exact_objective(X, y, [Fraction(1, 2), Fraction(-1, 4)], 1)
    found = certificate_at(problem, theta)
    assert found.objective == pytest.approx(float(here), rel=1e-13)
    assert found.minimum == pytest.approx(float(exact_objective(X, y, w, b)), rel=1e-12)
    assert found.gap == pytest.approx(float(here - exact_objective(X, y, w, b)), rel=1e-12)

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from gradline.decisions.cost import Function, PiecewiseLinear, parse_cost
from gradline.errors import UsageError


def exact_cost(points, error):
    """By the definition, in rational arithmetic: straight between the points, on beyond them."""
    points = [(Fraction(e), Fraction(c)) for e, c in points]
    error = Fraction(error)
    stretches = list(pairwise(points))
    (e0, c0), (e1, c1) = next((s for s in stretches if error <= s[1][0]), stretches[-1])
    return c0 + (c1 - c0) / (e1 - e0) * (error - e0)


TABLE = [(-30.0, 90.0), (-10.0, 10.0), (0.0, 0.0), (5.0, 1.0), (20.0, 40.0)]
BENT = [(-10.0, 20.0), (-5.0, 0.0), (0.0, 8.0), (5.0, 1.0), (10.0, 30.0)]  # two valleys


@pytest.mark.parametrize("points", [TABLE, BENT, [(-1.0, 3.0), (0.0, 0.0), (1.0, 1.0)]])
def test_costs_are_those_of_rational_arithmetic(points):
    cost = PiecewiseLinear(*np.array(points).T)
    errors = np.concatenate([np.random.default_rng(0).normal(scale=20, size=200), [e for e, _ in points]])
    exact = [float(exact_cost(points, e)) for e in errors]
    assert cost.of(errors) == pytest.approx(exact, rel=1e-13, abs=1e-12)


def total(points, errors, weights, shift):
    return sum(Fraction(w) * exact_cost(points, Fraction(e) + shift) for e, w in zip(errors, weights, strict=True))


@pytest.mark.parametrize("points", [TABLE, BENT, [(-1.0, 3.0), (0.0, 0.0), (1.0, 1.0)]])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_shift_costs_least_of_all_at_which_a_row_meets_a_point(points, weighted, seed):
    rng = np.random.default_rng(seed)
    errors = np.round(rng.normal(4.0, 9.0, 23), 2)
    weights = rng.integers(0, 4, 23).astype(np.float64) if weighted else np.ones(23)
    shift = PiecewiseLinear(*np.array(points).T).shift(errors, weights)
    # the sum is straight between these, so that one of them is the least of all
    kinks = [Fraction(point) - Fraction(e) for point, _ in points for e in errors.tolist()]
    least = min(total(points, errors.tolist(), weights.tolist(), kink) for kink in kinks)
    found = total(points, errors.tolist(), weights.tolist(), Fraction(shift))
    assert float(found - least) == pytest.approx(0.0, abs=1e-10 * float(abs(least) + 1))


@pytest.mark.parametrize(("text", "quantile"), [("under=3,over=1", 0.75), ("over=1,under=1", 0.5), ("under=1,over=9", 0.1)])
def test_the_shift_of_two_slopes_is_the_quantile_of_the_residuals(text, quantile):
    cost = parse_cost(text)
    assert cost.quantile == pytest.approx(quantile)
    errors = np.random.default_rng(1).normal(size=10_001)
    shift = cost.shift(errors, np.ones(len(errors)))
    below = np.mean(-errors <= shift)
    assert below == pytest.approx(quantile, abs=1.01 / len(errors))


def test_a_shift_that_is_not_needed_is_none_at_all():
    cost = parse_cost("under=1,over=1")
    assert cost.shift(np.array([-1.0, 1.0]), np.ones(2)) == 0.0
    assert (
        PiecewiseLinear(np.array([0.0, 1.0]), np.array([0.0, 1.0])).shift(np.array([1.0]), np.ones(1)) is None
    )  # falls without end


def test_a_file_of_error_and_cost_is_read_in_any_order(tmp_path):
    file = tmp_path / "cost.csv"
    file.write_text("cost,error\n40,20\n90,-30\n0,0\n1,5\n10,-10\n")
    cost = parse_cost(str(file))
    assert [tuple(point) for point in cost.to_json()["points"]] == TABLE
    assert cost.to_json()["least_at"] == 0.0
    assert cost.quantile is None


def test_a_function_is_called_with_all_errors_at_once_and_shifted_as_its_table_would_be():
    def steep(error):
        return np.where(error < 0, -3 * error, error)

    cost, table = parse_cost(steep), parse_cost("under=3,over=1")
    errors = np.random.default_rng(2).normal(size=2_000)
    assert cost.of(errors) == pytest.approx(table.of(errors), rel=1e-14)
    assert cost.to_json() == {"kind": "function", "name": "steep"}
    weights = np.ones(len(errors))
    costs = [table.of(errors + each.shift(errors, weights)).sum() for each in (cost, table)]
    assert costs[0] == pytest.approx(costs[1], rel=1e-4)


def test_a_function_cannot_change_the_errors():
    errors = np.array([1.0, 2.0])
    Function(lambda e: e.fill(0.0) or np.zeros(2)).of(errors)
    assert errors.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda e: 1.0, "shape"),
        (np.log, "finite"),
        (lambda e: e.nonsense, "AttributeError"),
        (lambda e: e[:-1], "shape"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_a_function_that_gives_no_costs_is_refused(call, says):
    with pytest.raises(UsageError, match=says):
        parse_cost(call)


@pytest.mark.parametrize(
    "text",
    ["under=3", "under=3,over=x", "under=-1,over=1", "under=0,over=0", "under=1,under=2", "below=3,over=1", "under=nan,over=1", "under=inf,over=1", "nothing", "nothing.csv", "function f", ""],
)  # fmt: skip
def test_what_is_no_cost_is_refused(text):
    with pytest.raises(UsageError):
        parse_cost(text)


@pytest.mark.parametrize(
    "table",
    ["error,cost\n1,2\n", "a,b\n1,2\n3,4\n", "error,cost\n1,2\n1,3\n", "error,cost\n1,x\n2,3\n", "error,cost\n1,2\n3\n", "error,cost\n1,inf\n2,3\n", ""],
)  # fmt: skip
def test_a_table_that_is_none_is_refused(tmp_path, table):
    (tmp_path / "c.csv").write_text(table)
    with pytest.raises(UsageError, match=r"c\.csv"):
        parse_cost(str(tmp_path / "c.csv"))

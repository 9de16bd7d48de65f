"""Derived numbers: exact powers, logarithms, products with a category; natural cubic splines by what defines them."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import Polynomial

from gradline.errors import DataError
from gradline.representation.derive import Derived, natural_spline
from gradline.representation.expressions import Factor, Product, Spline, parse
from gradline.types import CategoryColumn

KNOTS = [np.array(knots) for knots in ([0.0, 1.0, 3.0], [-2.0, 0.5, 1.0, 4.0], [1e6, 1e6 + 1.0, 1e6 + 2.5, 1e6 + 7.0, 1e6 + 9.0])]


def made(text, numbers, categories=None, **learned):
    columns = {name: np.asarray(values, dtype=float) for name, values in numbers.items()}
    rows = np.arange(100, 100 + len(next(iter(columns.values()))))
    return Derived(parse(text), **learned).values(columns, categories or {}, rows)


@given(st.lists(st.integers(-(2**26), 2**26), min_size=1, max_size=20))
def test_squares_of_whole_numbers_are_exact(values):
    (squares,) = made("x^2", {"x": values})
    assert [int(v) for v in squares.tolist()] == [v**2 for v in values]


@given(
    st.lists(st.tuples(st.integers(-300, 300), st.integers(-300, 300)), min_size=1, max_size=20),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(-50, 50),
)
def test_products_are_exact_where_they_fit(values, power, other, shift):
    expression = Product((Factor("a", power, float(shift)), Factor("b", other)))
    (found,) = made(str(expression), {"a": [a for a, _ in values], "b": [b for _, b in values]}) if shift else (None,)
    if found is not None:
        assert [Fraction(v) for v in found.tolist()] == [Fraction(a - shift) ** power * b**other for a, b in values]


def test_what_is_made_of_a_missing_value_is_missing():
    values = [1.0, np.nan, 3.0]
    for text, learned in (("x^2", {}), ("log(x)", {}), ("x*y", {}), ("spline(x,3)", {"knots": (1.0, 2.0, 3.0)})):
        for column in made(text, {"x": values, "y": [5.0, 6.0, 7.0]}, **learned):
            assert np.isnan(column).tolist() == [False, True, False]


def test_a_logarithm_of_what_has_none_names_the_first_row():
    with pytest.raises(DataError, match=r"zero or negative, and log\(x\) needs .* \(first at row 102, counted from 0: 0\)"):
        made("log(x)", {"x": [1.0, np.nan, 0.0, -1.0]})
    assert made("log(x)", {"x": [math.e]})[0][0] == pytest.approx(1.0, abs=1e-15)


def test_a_category_times_a_number_is_a_column_for_each_level_but_the_reference():
    category = CategoryColumn("c", np.array([0, 1, 2, -1, 1]), ("u", "v", "w"))
    columns = made("c*x", {"x": [1.0, 2.0, 3.0, 4.0, np.nan]}, {"c": category}, category="c", levels=("v", "w"))
    np.testing.assert_array_equal(columns, [[0.0, 2.0, 0.0, 0.0, np.nan], [0.0, 0.0, 3.0, 0.0, np.nan]])
    derived = Derived(parse("c*x"), category="c", levels=("v", "w"))
    assert derived.names == ("c=v*x", "c=w*x")
    strange = CategoryColumn("c", np.array([0]), ("never seen",))  # is of the reference
    assert derived.values({"x": np.array([3.0])}, {"c": strange}, np.arange(1))[0][0] == 0.0


# ------------------------------------------------------------------------------------------------------------ splines


@pytest.mark.parametrize("knots", KNOTS, ids=len)
def test_a_natural_spline_is_linear_beyond_its_outer_knots(knots):
    span = knots[-1] - knots[0]
    for side, at in ((-1, knots[0]), (1, knots[-1])):
        x = at + side * span * np.array([0.0, 0.5, 1.0, 10.0, 1e5])
        for term in natural_spline(x, knots):
            slopes = np.diff(term) / np.diff(x)
            assert np.allclose(slopes, slopes[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("knots", KNOTS, ids=len)
def test_a_natural_spline_is_a_cubic_between_knots_and_has_two_continuous_derivatives_at_them(knots):
    centre, scale = knots[0], knots[-1] - knots[0]
    edges = np.concatenate([[knots[0] - scale], knots, [knots[-1] + scale]])
    pieces = []
    for low, high in itertools.pairwise(edges):
        x = np.linspace(low, high, 9)
        u = (x - centre) / scale
        fits = [Polynomial.fit(u, term / scale, 3) for term in natural_spline(x, knots)]
        for fit, term in zip(fits, natural_spline(x, knots), strict=True):
            assert np.allclose(fit(u), term / scale, rtol=1e-8, atol=1e-9)  # four numbers tell all nine
        pieces.append(fits)
    for at, left, right in zip((knots - centre) / scale, pieces, pieces[1:], strict=False):
        for a, b in zip(left, right, strict=True):
            for order in range(3):
                before, after = (f.deriv(order)(at) if order else f(at) for f in (a, b))
                assert before == pytest.approx(after, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("knots", KNOTS, ids=len)
def test_the_terms_the_column_and_a_constant_are_independent_and_as_many_as_the_knots(knots):
    x = np.linspace(knots[0] - 1.0, knots[-1] + 1.0, 400)
    design = np.column_stack([np.ones_like(x), x - knots[0], *natural_spline(x, knots)])
    assert design.shape[1] == len(knots)
    design /= np.linalg.norm(design, axis=0)
    assert np.linalg.svd(design, compute_uv=False)[-1] > 1e-4


@pytest.mark.parametrize("knots", KNOTS[:2], ids=len)
def test_they_span_the_natural_cubic_splines_of_scipy(knots):
    interpolate = pytest.importorskip("scipy.interpolate")
    rng = np.random.default_rng(0)
    x = np.linspace(knots[0], knots[-1], 200)
    design = np.column_stack([np.ones_like(x), x, *natural_spline(x, knots)])
    at_knots = np.column_stack([np.ones_like(knots), knots, *natural_spline(knots, knots)])
    for _ in range(5):
        values = rng.normal(size=len(knots))
        wanted = interpolate.CubicSpline(knots, values, bc_type="natural")(x)
        assert np.allclose(design @ np.linalg.solve(at_knots, values), wanted, rtol=0.0, atol=1e-10)


def test_far_beyond_the_knots_the_line_keeps_its_digits():
    knots = np.array([1.0, 2.0, 4.0, 8.0])
    x = 1e9 + 3.0
    found = natural_spline(np.array([x]), knots)
    t, last, before, exact = [Fraction(k) for k in knots.tolist()], Fraction(8), Fraction(4), Fraction(x)
    for j, (value,) in enumerate(found):
        cubes = (exact - t[j]) ** 3 - (exact - before) ** 3 * (last - t[j]) / (last - before)
        cubes += (exact - last) ** 3 * (before - t[j]) / (last - before)
        wanted = cubes / (last - t[0]) ** 2
        assert abs(Fraction(float(value)) / wanted - 1) < Fraction(1, 10**14)


# ------------------------------------------------------------------------------------------------------- its document


@pytest.mark.parametrize(
    "derived",
    [
        Derived(parse("a^2*b")),
        Derived(parse('log("height, cm")')),
        Derived(Spline("x", 3), (0.5, 1.5, 2.5)),
        Derived(parse("c*x"), (), "c", ("u", "v")),
    ],
)
def test_the_document_of_a_derived_number_gives_it_back(derived):
    assert Derived.from_json(derived.to_json()) == derived


@pytest.mark.parametrize(
    "edit",
    [
        {"expression": "x^"},
        {"expression": "x"},
        {"knots": [1.0, 1.0, 2.0]},
        {"knots": [1.0, 2.0]},
        {"category": "c"},
        {"levels": ["u"]},
        {"expression": "c*x", "knots": [], "category": "c", "levels": ["u", "u"]},
        {"expression": "log(x)", "knots": [], "category": "x"},
    ],
    ids=str,
)
def test_a_document_that_training_does_not_write_is_refused(edit):
    document = Derived(Spline("x", 3), (0.5, 1.5, 2.5)).to_json() | edit
    with pytest.raises(ValueError, match=r"."):
        Derived.from_json(document)

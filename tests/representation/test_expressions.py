"""The grammar of `--derive`: what is written comes back as it is, and any other text is an error that says where."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gradline.errors import UsageError
from gradline.representation.expressions import MOST_POWER, Factor, Logarithm, Product, Spline, parse
from tables import HOSTILE

names = st.one_of(st.text(min_size=1, max_size=12), st.sampled_from([*HOSTILE.values(), "log", "spline", "a-1e", "x+", "1", '"']))
shifts = st.one_of(st.just(0.0), st.floats(-1e30, 1e30).filter(lambda value: value != 0.0))
factors = st.builds(Factor, names, st.integers(1, 3), shifts)
products = (
    st.lists(factors, min_size=1, max_size=3, unique_by=lambda f: (f.column, f.shift))
    .map(lambda found: Product(tuple(found)))
    .filter(lambda product: 1 < sum(f.power for f in product.factors) <= MOST_POWER)
)
expressions = st.one_of(products, st.builds(Logarithm, names), st.builds(Spline, names, st.integers(3, 7)))


@given(expressions)
@example(Product((Factor("a-1e", 2, 5.0),)))
def test_what_an_expression_is_written_as_is_that_expression(expression):
    assert parse(str(expression)) == expression


def outcome(text):
    """The expression, or the error."""
    try:
        return parse(text), None
    except UsageError as error:
        return None, error


@given(st.text(alphabet=st.sampled_from('ab "^*(),-+0129.elogspn\n'), max_size=30) | st.text(max_size=40))
@example('"')
@example("(a-)^2")
@example("a" * 2000)
def test_any_text_is_an_expression_or_a_usage_error_with_a_hint(text):
    expression, refused = outcome(text)
    assert (expression is None) != (refused is None)
    if refused is None:
        assert parse(str(expression)) == expression
    else:
        assert refused.hint
        assert "--derive" in str(refused)


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("distance^2", Product((Factor("distance", 2),))),
        (" distance ^ 2 ", Product((Factor("distance", 2),))),
        ("x*x*x", Product((Factor("x", 3),))),
        ("distance*hour", Product((Factor("distance"), Factor("hour")))),
        ("(distance-1000)^2*hour", Product((Factor("distance", 2, 1000.0), Factor("hour")))),
        ("(distance + 0.5)^2", Product((Factor("distance", 2, -0.5),))),
        ("(x-0)^2", Product((Factor("x", 2),))),
        ("log(distance)", Logarithm("distance")),
        ("log^2", Product((Factor("log", 2),))),
        ("spline( hour , 4 )", Spline("hour", 4)),
        ('"height, cm"^2', Product((Factor("height, cm", 2),))),
        ('log("say ""so""")', Logarithm('say "so"')),
        ("dep time*sold_on.days", Product((Factor("dep time"), Factor("sold_on.days")))),
    ],
)
def test_examples(text, expression):
    assert parse(text) == expression


def test_products_are_the_same_in_any_order():
    assert parse("a*b^2").key == parse("b*a*b").key
    assert parse("a*b").key != parse("a*b^2").key


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("distance", "itself"),
        ("(distance-3)", "beside the intercept"),
        ("", "character 1, got the end"),
        ("a**b", "character 3, got '*'"),
        ("a^", "whole power from 1 at character 3"),
        ("a^0", "whole power"),
        ("a^2.5", "whole power"),
        ("a^99", "past 12"),
        ("a^7*b^7", "add up to 14"),
        ("exp(a)", "no function 'exp'"),
        ("log(a", "expected ) at character 6"),
        ("log(a)^2", "expected the end"),
        ("spline(a)", "number of knots"),
        ("spline(a,2)", "2 knots"),
        ("spline(a,x)", "number of knots"),
        ("(a)^2", "a column and a number"),
        ("(a-1e999)^2", "float64"),
        ('"abc', "a quote that ends"),
        ("a*b) ", "expected * or the end"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text, says):
    with pytest.raises(UsageError, match=r".") as caught:
        parse(text)
    assert says in str(caught.value)

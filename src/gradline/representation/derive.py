"""Derived numbers: columns that are computed from columns when a block is decoded.

    power, product    Π (x_j − c_j)^p_j, by repeated multiplication: the same bits everywhere, exact where whole numbers stay below 2^53
    logarithm         log x
    spline            S_j, j = 1 … k − 2, of knots t_1 < … < t_k (Harrell, Regression Modeling Strategies, 2.4.5), beside x itself:

    S_j(x) = [(x − t_j)₊³ − (x − t_{k−1})₊³ (t_k − t_j)/(t_k − t_{k−1}) + (x − t_k)₊³ (t_{k−1} − t_j)/(t_k − t_{k−1})]/(t_k − t_1)²

A natural (restricted) cubic spline: linear beyond the outer knots, with two continuous derivatives. What it is made of being
missing, a derived number is missing, and has the training mean of its own; the indicator is that of the column.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

import numpy as np

from gradline.errors import DataError, UsageError
from gradline.representation.expressions import Factor, Logarithm, Product, Spline, parse, quoted
from gradline.types import NumberColumn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gradline.representation.expressions import Expression
    from gradline.types import CategoryColumn, Decoded, FloatArray, IntArray, Json


@dataclass(frozen=True, slots=True)
class Derived:
    """An expression, and what had to be learned of the training rows for it.

    knots: of a spline, ascending.  category, levels: of a product with a category, its name and the levels that have a column of their
    own; the other levels, and a missing one, are the reference.
    """

    expression: Expression
    knots: tuple[float, ...] = ()
    category: str | None = None
    levels: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns that it makes."""
        match self.expression:
            case Spline(_, knots):
                return tuple(f"{self.expression}[{j}]" for j in range(1, knots - 1))
            case Product() if self.category is not None:
                return tuple(self._of_level(self.expression, level) for level in self.levels)
            case _:
                return (str(self.expression),)

    def _of_level(self, product: Product, level: str) -> str:
        factors = [f"{quoted(f.column)}={level}" if f.column == self.category else str(f) for f in product.factors]
        return "*".join(factors)

    def values(
        self, numbers: Mapping[str, FloatArray], categories: Mapping[str, CategoryColumn], row: IntArray
    ) -> list[FloatArray]:
        """Its columns for some rows, (n,) each, NaN where missing. row: (n,) their numbers, for messages.

        Raises DataError for a logarithm of what has none.
        """
        match self.expression:
            case Logarithm(column):
                return [_logarithm(str(self.expression), column, numbers[column], row)]
            case Spline(column, _):
                return natural_spline(numbers[column], np.array(self.knots))
            case Product(factors):
                with np.errstate(over="ignore", invalid="ignore"):  # a power past float64 is told of as infinite
                    return self._products(factors, numbers, categories)
            case _ as never:
                assert_never(never)

    def _products(
        self, factors: tuple[Factor, ...], numbers: Mapping[str, FloatArray], categories: Mapping[str, CategoryColumn]
    ) -> list[FloatArray]:
        product: FloatArray | None = None
        for factor in factors:
            if factor.column != self.category:
                base = numbers[factor.column] - factor.shift if factor.shift else numbers[factor.column]
                for _ in range(factor.power):
                    product = base if product is None else product * base
        assert product is not None  # a category stands beside a number
        if self.category is None:
            return [product]
        category = categories[self.category]
        place = {level: code for code, level in enumerate(category.levels) if code != category.rest}
        return [
            np.where(category.codes == place[level] if level in place else False, product, 0.0 * product) for level in self.levels
        ]

    def to_json(self) -> Json:
        """An entry of `representation.derived` in the model file."""
        return {
            "expression": str(self.expression),
            "knots": list(self.knots),
            "category": self.category,
            "levels": list(self.levels),
        }

    @classmethod
    def from_json(cls, document: Json) -> Derived:
        """The inverse of `to_json`. Raises ValueError for what training does not write."""
        try:
            expression = parse(document["expression"])
        except UsageError as error:
            raise ValueError(error.message) from error
        knots, levels, category = tuple(map(float, document["knots"])), tuple(document["levels"]), document["category"]
        wanted = expression.knots if isinstance(expression, Spline) else 0
        if len(knots) != wanted or any(b <= a for a, b in itertools.pairwise(knots)):
            raise ValueError(f"{expression} has the knots {knots}")
        if (category is None and levels) or (category is not None and category not in expression.columns):
            raise ValueError(f"{expression} has the category {category!r} with {len(levels)} levels")
        if category is not None and not isinstance(expression, Product):
            raise ValueError(f"{expression} has a category")
        if len(set(levels)) < len(levels):
            raise ValueError(f"{expression} has a level twice")
        return cls(expression, knots, category, levels)


def _logarithm(name: str, column: str, values: FloatArray, row: IntArray) -> FloatArray:
    bad = values <= 0.0
    if bad.any():
        first = int(np.argmax(bad))  # how many there are is known of this block alone
        raise DataError(
            f"column {column!r} has values that are zero or negative, and {name} needs the logarithm of each (first at row "
            f"{int(row[first]):,}, counted from 0: {values[first]:g}).",
            f"filter these rows out with SQL text, or derive something else: {quoted(column)}^2, spline({quoted(column)},4).",
        )
    found: FloatArray = np.log(values)
    return found


def natural_spline(x: FloatArray, knots: FloatArray) -> list[FloatArray]:
    """S_1 … S_{k−2} at x (n,): all but the linear term of the natural cubic spline with these knots, (k,) ascending.

    Beyond the last knot the cubes would cancel: there  S_j = (t_k − t_j)(t_{k−1} − t_j)(3x − t_j − t_{k−1} − t_k)/(t_k − t_1)².
    """
    *inner, before, last = knots.tolist()
    size = (last - knots[0]) ** 2
    beyond = x >= last
    terms = []
    for t in inner:
        with np.errstate(over="ignore", invalid="ignore"):
            cubic = _cube(np.maximum(x - t, 0.0)) - _cube(np.maximum(x - before, 0.0)) * ((last - t) / (last - before))
            line = (last - t) * (before - t) * ((x - t) + (x - before) + (x - last))
        terms.append(np.where(beyond, line, cubic) / size)
    return terms


def _cube(u: FloatArray) -> FloatArray:
    return u * u * u


def with_derived(decoded: Decoded, derived: tuple[Derived, ...], row: IntArray) -> Decoded:
    """The rows with their derived numbers after the others. row: (n,) their numbers."""
    if not derived:
        return decoded
    numbers = {number.name: number.values for number in decoded.numbers}
    categories = {category.name: category for category in decoded.categories}
    made = [
        NumberColumn(name, values)
        for each in derived
        for name, values in zip(each.names, each.values(numbers, categories, row), strict=True)
    ]
    return decoded._replace(numbers=(*decoded.numbers, *made))

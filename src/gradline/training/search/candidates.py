"""The derived numbers that a search tries: squares, logarithms, splines and products of the columns with the largest effects."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.representation.derive import Derived
from gradline.representation.expressions import QUANTILES, Factor, Logarithm, Product, Spline
from gradline.training.reading.columns import made_of
from gradline.training.search.sampled_design import LEAST_FOLD_ROWS
from gradline.types import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.representation.expressions import Expression
    from gradline.representation.features import Feature, Representation
    from gradline.training.search.sampled_design import SampledDesign
    from gradline.training.trainer import Fit
    from gradline.types import FloatArray

MOST_NUMBERS = 20  # whose squares, logarithms and splines are tried: those with the largest effects
MOST_PAIRED = 6  # of which each pair's product is tried
MOST_CROSSED = 3  # categories, and numbers, of which each pair's product is tried
MOST_CROSSED_LEVELS = 10
SPLINE_KNOTS = 4
DIFFERENT = {"square": 3, "logarithm": 5, "spline": 10}  # values that a column must have
FAR = 10.0  # deviations of the mean from zero, past which powers are proposed about a round number near it


class Candidate(NamedTuple):
    """An expression and its columns on the sampled rows, (n,) each."""

    expression: Expression
    columns: list[FloatArray]


def candidates(found: Fit, representation: Representation, design: SampledDesign) -> list[Candidate]:
    """At most 3·MOST_NUMBERS + C(MOST_PAIRED, 2) + MOST_CROSSED², those of the largest effects first."""
    effects = np.abs(found.problem.coordinates.to_standard(found.descent.theta)[: len(representation.features)])
    derived = made_of(representation)
    ordered = [representation.features[j] for j in np.argsort(-effects, kind="stable")]
    numbers = [f for f in ordered if f.part is Part.VALUE and f.column not in derived and _varied(design.numbers[f.column]) > 1]
    known = {each.expression.key for each in representation.derived}
    wanted: list[Expression] = []
    curved = [f for f in numbers if _varied(design.numbers[f.column]) > 2]  # a 0/1 column is its square; its products are slopes
    for feature in curved[:MOST_NUMBERS]:
        values = design.numbers[feature.column]
        different, column = _varied(values), feature.column
        if different >= DIFFERENT["square"]:
            wanted.append(Product((Factor(column, 2, _shift(feature)),)))
        if different >= DIFFERENT["logarithm"] and np.nanmin(values) > 0.0:
            wanted.append(Logarithm(column))
        if different >= DIFFERENT["spline"]:
            wanted.append(Spline(column, SPLINE_KNOTS))
    for a, b in combinations(numbers[:MOST_PAIRED], 2):
        wanted.append(Product((Factor(a.column, 1, _shift(a)), Factor(b.column, 1, _shift(b)))))
    made = [Candidate(e, _columns(e, design)) for e in wanted if e.key not in known]
    made += [each for each in _crossed(ordered, numbers, representation, design) if each.expression.key not in known]
    return [each for each in made if each.columns]


def _varied(values: FloatArray) -> int:
    return len(np.unique(values[~np.isnan(values)]))


def _shift(feature: Feature) -> float:
    """0, or where the column lies far from it for its spread the mean, to a digit of the deviation: it has the same span, and keeps its digits."""
    if abs(feature.mean) <= FAR * feature.deviation:
        return 0.0
    unit = 10.0 ** np.floor(np.log10(feature.deviation))
    return float(np.rint(feature.mean / unit) * unit)


def _columns(expression: Expression, design: SampledDesign) -> list[FloatArray]:
    """On the sampled rows; none where a spline finds no knots, or a power is past float64."""
    knots: tuple[float, ...] = ()
    if isinstance(expression, Spline):
        values = design.numbers[expression.column]
        different = np.unique(np.quantile(values[~np.isnan(values)], QUANTILES[expression.knots]))
        if len(different) < expression.knots:
            return []
        knots = tuple(different.tolist())
    made = Derived(expression, knots).values(design.numbers, {}, np.arange(len(design.y)))
    return made if not any(np.isinf(column).any() for column in made) else []


def _crossed(
    ordered: Sequence[Feature], numbers: Sequence[Feature], representation: Representation, design: SampledDesign
) -> list[Candidate]:
    """Products of the most important categories of few levels with the most important numbers."""
    made = []
    categories = list(dict.fromkeys(f.column for f in ordered if f.part is Part.LEVEL))[:MOST_CROSSED]
    for name in categories:
        parts = {f.part for f in representation.features if f.column == name}
        at = [j for j, f in enumerate(representation.features) if f.column == name and f.part is Part.LEVEL]
        rows = design.X[:, at].sum(axis=0)
        if Part.OTHER in parts or len(at) >= MOST_CROSSED_LEVELS or rows.min() < LEAST_FOLD_ROWS:
            continue
        for number in numbers[:MOST_CROSSED]:
            values = design.numbers[number.column]
            shift = _shift(number)
            expression = Product((Factor(name), Factor(number.column, 1, shift)))
            made.append(Candidate(expression, [design.X[:, j] * (values - shift) for j in at]))
    return made

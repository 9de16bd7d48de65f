"""A model as a formula over a table's columns: what every exporter writes down in its own language.

    score = intercept + Σ terms,   prediction = score, or exp(score)·factor of a log target

    number     slope·(x − centre), or the constant `missing` where x is
    category   effects[level], `otherwise` for any other level, or the constant `missing`

These are the arithmetic and the constants of `Representation.scores`: a category's effect is its slope less Σ slope·centre of its levels,
so that nothing large cancels. How a number is made of columns is a tree of `Read`, `Product`, `Logarithm` and `Spline`; an exporter
has one case for each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.errors import UsageError
from gradline.representation.features import Representation
from gradline.types import Kind, Part, RawColumn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gradline.inputs.contract import ColumnContract, Decisions
    from gradline.model.model import Model

VALUE, DAYS = "value", "days"  # the numbers that a column has
TEXT, MONTH, WEEKDAY, HOUR = "text", "month", "weekday", "hour"  # the categories
DATES = (Kind.DATE, Kind.TIMESTAMP)
TEXT_FROM = (Kind.TEXT, Kind.NUMBER, Kind.BOOLEAN, Kind.DATE, Kind.EMPTY)  # whose text is the same in every engine
WHOLE_IN_FLOAT = 2.0**53


@dataclass(frozen=True, slots=True)
class Column:
    """A column that the formula reads.

    kind: what it is taken for.  stored: the type it had in training.  minimum, maximum: of the training rows, a date's in days since
    1970.  levels: the only ones that are not an error, None where none is.
    """

    name: str
    kind: Kind
    stored: Kind
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    levels: tuple[str, ...] | None = None

    @property
    def source(self) -> Kind:
        """The type to expect in a table."""
        return self.kind if self.stored is Kind.EMPTY else self.stored

    @property
    def compares_numbers(self) -> bool:
        """Whether its levels are numbers that were declared text: 10001 is written 10001.0 by some engines."""
        return self.kind is Kind.TEXT and self.source is Kind.NUMBER


class Read(NamedTuple):
    """A number or a category as a column has it: part `value` or `days`, or `text`, `month`, `weekday`, `hour`."""

    column: str
    part: str


class Factor(NamedTuple):
    """(x − shift)^power."""

    of: Read
    shift: float
    power: int


class Level(NamedTuple):
    """The indicator of a level."""

    of: Read
    level: str


class Product(NamedTuple):
    """A product of powers, and of the indicator of a level; missing where one of its numbers is."""

    factors: tuple[Factor, ...]
    level: Level | None = None


class Logarithm(NamedTuple):
    """The natural logarithm. Of what has none there is no prediction, and an error where the engine can give one."""

    of: Read


class Spline(NamedTuple):
    """The term of the knot `knots[term]` of a natural cubic spline, beside x itself; linear past the last knot.

    [(x − t_j)₊³ − (x − t_{k−1})₊³ (t_k − t_j)/(t_k − t_{k−1})]/(t_k − t_1)² up to t_k, then (t_k − t_j)(t_{k−1} − t_j)(3x − t_j − t_{k−1} − t_k)/(t_k − t_1)²
    """

    of: Read
    knots: tuple[float, ...]
    term: int


Number = Read | Product | Logarithm | Spline


@dataclass(frozen=True, slots=True)
class NumberTerm:
    """slope·(x − centre); `missing` where x is."""

    number: Number
    slope: float
    centre: float
    missing: float

    @property
    def reads(self) -> tuple[Read, ...]:
        """What must be there for the number to be."""
        match self.number:
            case Read():
                return (self.number,)
            case Product(factors):
                return tuple(dict.fromkeys(factor.of for factor in factors))
            case Logarithm(of) | Spline(of):
                return (of,)


@dataclass(frozen=True, slots=True)
class CategoryTerm:
    """effects[level]; `otherwise` for any level not among them, `missing` where there is none."""

    category: Read
    effects: Mapping[str, float]
    otherwise: float
    missing: float


Term = NumberTerm | CategoryTerm


@dataclass(frozen=True, slots=True)
class Formula:
    """What a model computes. factor: of exp(score), None where the score is the prediction.

    columns: what it reads, by name: those of its terms, and those that the decisions look at.
    """

    target: str
    unit: str | None
    columns: Mapping[str, Column]
    terms: tuple[Term, ...]
    intercept: float
    factor: float | None
    decisions: Decisions

    @property
    def required(self) -> tuple[Column, ...]:
        """The columns without which a row has no prediction."""
        return tuple(self.columns.values()) if self.decisions.null != "impute" else ()

    @property
    def bounded(self) -> tuple[Column, ...]:
        """The columns outside whose range a row has no prediction."""
        found = self.columns.values() if self.decisions.out_of_range == "error" else ()
        return tuple(column for column in found if column.minimum is not None and column.maximum is not None)

    @property
    def listed(self) -> tuple[Column, ...]:
        """The columns with an unknown level of which a row has no prediction."""
        return tuple(column for column in self.columns.values() if column.levels is not None)

    def clip(self, read: Read) -> tuple[float, float] | None:
        """The range that a number is moved into, if it is."""
        column = self.columns[read.column]
        if self.decisions.out_of_range != "clip" or column.minimum is None or column.maximum is None:
            return None
        return column.minimum, column.maximum


def number_of(column: Column) -> Read:
    """The number that a column has."""
    return Read(column.name, DAYS if column.kind in DATES else VALUE)


def formula_of(model: Model) -> Formula:
    """The formula of a model. Raises UsageError where it has none that other engines can compute."""
    representation = model.representation
    if not isinstance(representation, Representation):
        raise UsageError(
            "a model of a sparse table has columns without names, which no export can read.", "predict with gradline predict."
        )
    w, b = model.coordinates.weights_and_bias(model.theta)
    slopes, centre = w / model.coordinates.scale, model.coordinates.centre  # (p,)
    position = {(f.column, f.part, f.level): j for j, f in enumerate(representation.features)}
    made: set[int] = set()

    def number_term(name: str, number: Number) -> NumberTerm | None:
        value, indicator = position.get((name, Part.VALUE, "")), position.get((name, Part.MISSING, ""))
        made.update(j for j in (value, indicator) if j is not None)
        if value is None and indicator is None:
            return None
        shifted = 0.0 if indicator is None else float(slopes[indicator])
        constant = 0.0 if indicator is None else -float(slopes[indicator] * centre[indicator])
        slope, mean = (0.0, 0.0) if value is None else (float(slopes[value]), float(representation.features[value].mean))
        at = 0.0 if value is None else float(centre[value])
        constants.append(constant)
        return NumberTerm(number, slope, at, slope * (mean - at) + shifted)

    def category_term(name: str, read: Read) -> CategoryTerm | None:
        scheme = representation.schemes.get(name)
        own = [j for j, f in enumerate(representation.features) if f.column == name]
        if scheme is None or not own:
            return None
        made.update(own)
        base = -float(slopes[own] @ centre[own])

        levels = (scheme.reference, *(f.level for f in representation.features if f.column == name and f.part is Part.LEVEL))
        raws = [*(RawColumn(name, Part.LEVEL, level) for level in levels), RawColumn(name, Part.OTHER), RawColumn(name, Part.MISSING)]
        effect = [base] * len(raws)
        for j, group in enumerate(representation.groups(raws)):
            for i in group:
                effect[i] = base + float(slopes[j])
        *known, otherwise, missing = effect
        effects = dict(zip(levels, known, strict=True))
        missing = missing if read.part == TEXT else base  # of a date's parts the indicator is that of its days
        return CategoryTerm(read, effects, otherwise, missing)

    constants = [float(b)]
    columns: dict[str, Column] = {}
    terms: list[Term] = []
    for name, contract in model.contract.columns.items():
        column = _column(contract, model.contract.decisions)
        found: list[Term | None] = []
        if column.kind is Kind.TEXT:
            found.append(category_term(name, Read(name, TEXT)))
        else:
            read = number_of(column)
            found.append(number_term(f"{name}.{DAYS}" if read.part == DAYS else name, read))
        if column.kind in DATES:
            found += [category_term(f"{name}.{part}", Read(name, part)) for part in (MONTH, WEEKDAY, HOUR)]
        needed = [term for term in found if term is not None]
        terms += needed
        if needed or _decides(column, model.contract.decisions):
            columns[name] = column
    unknown = [f.name for j, f in enumerate(representation.features) if j not in made]
    if unknown:
        raise UsageError(
            f"the feature {unknown[0]!r} is made in a way that no export writes down yet.", "predict with gradline predict."
        )
    columns, terms = _with_plain_texts(columns, terms)
    factor = None if model.retransformation is None else model.retransformation.factor
    target = model.contract
    intercept = float(np.sum(np.array(constants)))
    return Formula(target.target, target.target_unit, columns, tuple(terms), intercept, factor, target.decisions)


def _column(contract: ColumnContract, decisions: Decisions) -> Column:
    levels = None
    complete = contract.levels is not None and contract.distinct is not None and contract.distinct <= len(contract.levels)
    if decisions.unseen == "error" and complete and contract.levels is not None:
        levels = tuple(contract.levels)
    return Column(
        contract.name, contract.kind, contract.stored, contract.unit, contract.minimum, contract.maximum, levels
    )


def _decides(column: Column, decisions: Decisions) -> bool:
    """Whether a column without a feature decides over predictions all the same."""
    bounded = column.minimum is not None and decisions.out_of_range == "error"
    return decisions.null != "impute" or bounded or column.levels is not None


def _with_plain_texts(columns: dict[str, Column], terms: list[Term]) -> tuple[dict[str, Column], list[Term]]:
    """The levels of numbers that were declared text in one way of writing. Raises UsageError where engines write texts differently."""
    changed: list[Term] = []
    for term in terms:
        if isinstance(term, CategoryTerm) and term.category.part == TEXT:
            column = columns[term.category.column]
            if column.source not in TEXT_FROM:
                raise UsageError(
                    f"column {column.name!r} is {column.source} that was declared text, and engines write such texts differently.",
                    "train with it as it is stored, or as text in the data itself.",
                )
            if column.compares_numbers:
                effects = {_plain(column.name, level): effect for level, effect in term.effects.items()}
                levels = None if column.levels is None else tuple(_plain(column.name, level) for level in column.levels)
                columns = columns | {column.name: replace(column, levels=levels)}
                changed.append(replace(term, effects=effects))
                continue
        changed.append(term)
    return columns, changed


def _plain(name: str, level: str) -> str:
    """`plain_number` of a level. Raises UsageError where it is none that engines compare exactly."""
    found = plain_number(level)
    if found is None:
        raise UsageError(
            f"column {name!r} holds numbers that were declared text, and {level[:40]!r} is none that engines compare exactly.",
            "store the column as text and train again.",
        )
    return found


def plain_number(text: str) -> str | None:
    """A number in one way of writing, 10001 for 10001.0; None of what is none, or too large for float64 to hold exactly."""
    try:
        value = float(text)
    except ValueError:
        return None
    if not abs(value) < WHOLE_IN_FLOAT:  # NaN as well
        return None
    return str(int(value)) if value.is_integer() else repr(value)

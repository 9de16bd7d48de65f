"""A model as a formula over a table's columns: what every exporter writes down in its own language.

    score = intercept + Σ terms,   prediction = score, or exp(score)·factor of a log target

    number     slope·(x − centre), or the constant `missing` where x is
    category   effects[level], `otherwise` for any other level, or the constant `missing`

These are the arithmetic and the constants of `Representation.scores`: a category's effect is its slope less Σ slope·centre of its levels,
so that nothing large cancels. How a number is made of columns is a tree of `Read`, `Product`, `Logarithm` and `Spline`; an exporter
has one case for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from gradline.types import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gradline.inputs.contract import Decisions

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
    """The natural logarithm. Where there is none there is no prediction, or an error in Python."""

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


class Interval(NamedTuple):
    """Bounds of nominal `coverage`: the prediction + `low` and + `high`, or · `low` and · `high` where they are `relative` (a log target)."""

    coverage: float
    low: float
    high: float
    relative: bool


class Decision(NamedTuple):
    """Act where `of` (prediction, low or high) is ≥ the threshold, or ≤ where not `above`; ±∞ for a policy that always or never acts."""

    of: str
    above: bool
    threshold: float

    @property
    def rule(self) -> str:
        """`threshold`, `always` or `never`."""
        if isfinite(self.threshold):
            return "threshold"
        return "never" if (self.threshold > 0.0) == self.above else "always"


@dataclass(frozen=True, slots=True)
class Formula:
    """What a model computes. factor: of exp(score), None where the score is the prediction.

    columns: what it reads, by name: those of its terms, and those that the decisions look at.
    interval, decision: what is made of the prediction alone.  left_out: what the model says beside its prediction and this does not.
    made_by: gradline and its version.
    """

    target: str
    unit: str | None
    columns: Mapping[str, Column]
    terms: tuple[Term, ...]
    intercept: float
    factor: float | None
    decisions: Decisions
    interval: Interval | None = None
    decision: Decision | None = None
    left_out: tuple[str, ...] = ()
    made_by: str = "gradline"

    @property
    def outputs(self) -> tuple[str, ...]:
        """What is said of a row."""
        bounds = () if self.interval is None else ("low", "high")
        return ("prediction", *bounds, *(() if self.decision is None else ("decision",)))

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


def reads_of(term: Term) -> tuple[Read, ...]:
    """All that a term reads."""
    if isinstance(term, CategoryTerm):
        return (term.category,)
    match term.number:
        case Product(_, Level(of)):
            return (*term.reads, of)
        case _:
            return term.reads


def number_of(column: Column) -> Read:
    """The number that a column has."""
    return Read(column.name, DAYS if column.kind in DATES else VALUE)


def plain_number(text: str) -> str | None:
    """A number in one way of writing, 10001 for 10001.0; None of what is none, or too large for float64 to hold exactly."""
    try:
        value = float(text)
    except ValueError:
        return None
    if not abs(value) < WHOLE_IN_FLOAT:  # NaN as well
        return None
    return str(int(value)) if value.is_integer() else repr(value)

"""From a model to its formula: the constants of `Representation.scores`, and how its numbers are made of columns."""

from __future__ import annotations

from dataclasses import replace
from math import exp, isfinite
from typing import TYPE_CHECKING, NamedTuple

from gradline.errors import UsageError
from gradline.export.formula import (
    DATES,
    DAYS,
    HOUR,
    MONTH,
    TEXT,
    TEXT_FROM,
    WEEKDAY,
    CategoryTerm,
    Column,
    Decision,
    Factor,
    Formula,
    Interval,
    Level,
    Logarithm,
    NumberTerm,
    Product,
    Read,
    Spline,
    number_of,
    plain_number,
    reads_of,
)
from gradline.model.intervals import CONFORMAL
from gradline.representation import expressions
from gradline.representation.features import Representation
from gradline.types import Kind, Part, RawColumn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gradline.export.formula import Number, Term
    from gradline.inputs.contract import ColumnContract, Decisions
    from gradline.model.model import Model
    from gradline.representation.derive import Derived


def formula_of(model: Model) -> Formula:
    """The formula of a model. Raises UsageError where it has none that other engines can compute."""
    representation, contract = model.representation, model.contract
    if not isinstance(representation, Representation):
        raise UsageError(
            "a model of a sparse table has columns without names, which no export can read.", "predict with gradline predict."
        )
    made = _Terms(model, representation)
    known = {name: _column(column, contract.decisions) for name, column in contract.columns.items()}
    terms = [term for column in known.values() for term in made.of_column(column)]
    terms += [term for derived in representation.derived for term in made.of_derived(derived, known)]
    if made.left:
        raise UsageError(
            f"the feature {made.left[0]!r} is made in a way that no export writes down yet.", "predict with gradline predict."
        )
    read = {read.column for term in terms for read in reads_of(term)}
    columns = {name: column for name, column in known.items() if name in read or _decides(column, contract.decisions)}
    columns, terms = _with_plain_texts(columns, terms)
    factor = None if model.retransformation is None else model.retransformation.factor
    beside = _beside(model, factor)
    return Formula(
        contract.target, contract.target_unit, columns, tuple(terms), made.intercept, factor, contract.decisions, *beside
    )


LARGEST_MARGIN = 700.0  # of a logarithm


class _Beside(NamedTuple):
    interval: Interval | None
    decision: Decision | None
    left_out: tuple[str, ...]


def _beside(model: Model, factor: float | None) -> _Beside:
    """The interval and the decision, where the prediction alone decides over them."""
    interval, left_out = None, []
    if model.intervals is not None:
        margin = model.intervals.margin
        if model.intervals.method != CONFORMAL:
            left_out.append(f"the interval, which {model.intervals.method} makes of the features or of the training rows")
        elif not isfinite(margin):
            left_out.append("the interval, which is infinite: too few rows calibrated it")
        elif factor is None:
            interval = Interval(model.intervals.coverage, -margin, margin, False)
        elif margin < LARGEST_MARGIN:  # exp(score ± margin), and the prediction is exp(score)·factor
            interval = Interval(model.intervals.coverage, exp(-margin) / factor, exp(margin) / factor, True)
        else:
            left_out.append("the interval, which ends past float64")
    decision = None
    if model.policy is not None:
        if model.policy.act_on != "prediction" and interval is None:
            left_out.append(f"the decision, which looks at the {model.policy.act_on} bound of the interval")
        else:
            decision = Decision(model.policy.act_on, model.policy.event.above, model.policy.threshold)
    return _Beside(interval, decision, tuple(left_out))


class _Terms:
    """The terms of a model's columns, made one after the other. intercept: what belongs to no term."""

    def __init__(self, model: Model, representation: Representation) -> None:
        w, b = model.coordinates.weights_and_bias(model.theta)
        self.intercept = b
        self._representation = representation
        self._slopes = w / model.coordinates.scale  # (p,)
        self._centre = model.coordinates.centre  # (p,)
        self._position = {(f.column, f.part, f.level): j for j, f in enumerate(representation.features)}
        self._used: set[int] = set()

    @property
    def left(self) -> list[str]:
        """The features that are in no term."""
        return [f.name for j, f in enumerate(self._representation.features) if j not in self._used]

    def of_column(self, column: Column) -> list[Term]:
        """The terms that a column alone makes."""
        name = column.name
        if column.kind is Kind.TEXT:
            return self._category(name, Read(name, TEXT))
        read = number_of(column)
        terms = self._number(f"{name}.{DAYS}" if read.part == DAYS else name, read)
        for part in (MONTH, WEEKDAY, HOUR) if column.kind in DATES else ():
            terms += self._category(f"{name}.{part}", Read(name, part))
        return terms

    def of_derived(self, derived: Derived, columns: Mapping[str, Column]) -> list[Term]:
        """The terms of numbers that are computed of columns."""
        numbers: list[Number]
        match derived.expression:
            case expressions.Logarithm(column):
                numbers = [Logarithm(_operand(column, columns))]
            case expressions.Spline(column, knots):
                numbers = [Spline(_operand(column, columns), derived.knots, term) for term in range(knots - 2)]
            case expressions.Product(given):
                factors = tuple(
                    Factor(_operand(factor.column, columns), factor.shift, factor.power)
                    for factor in given
                    if factor.column != derived.category
                )
                if derived.category is None:
                    numbers = [Product(factors)]
                else:
                    category = _operand(derived.category, columns)
                    numbers = [Product(factors, Level(category, level)) for level in derived.levels]
        return [term for name, number in zip(derived.names, numbers, strict=True) for term in self._number(name, number)]

    def _number(self, name: str, number: Number) -> list[Term]:
        """A number, by its name among the decoded ones, and the indicator of its missing values."""
        value, indicator = self._position.get((name, Part.VALUE, "")), self._position.get((name, Part.MISSING, ""))
        self._used.update(j for j in (value, indicator) if j is not None)
        if value is None and indicator is None:
            return []
        slope = centre = missing = 0.0
        if value is not None:
            slope, centre = float(self._slopes[value]), float(self._centre[value])
            missing = slope * (float(self._representation.features[value].mean) - centre)
        if indicator is not None:
            missing += float(self._slopes[indicator])
            self.intercept -= float(self._slopes[indicator] * self._centre[indicator])
        return [NumberTerm(number, slope, centre, missing)]

    def _category(self, name: str, read: Read) -> list[Term]:
        """A category, by its name among the decoded ones."""
        features = self._representation.features
        scheme = self._representation.schemes.get(name)
        own = [j for j, f in enumerate(features) if f.column == name]
        if scheme is None or not own:
            return []
        self._used.update(own)
        base = -float(self._slopes[own] @ self._centre[own])
        levels = (scheme.reference, *(features[j].level for j in own if features[j].part is Part.LEVEL))
        raws = [
            *(RawColumn(name, Part.LEVEL, level) for level in levels),
            RawColumn(name, Part.OTHER),
            RawColumn(name, Part.MISSING),
        ]
        effect = [base] * len(raws)
        for j, group in enumerate(self._representation.groups(raws)):
            for i in group:
                effect[i] = base + float(self._slopes[j])
        *known, otherwise, missing = effect
        if read.part != TEXT:
            missing = base  # of a date's parts the indicator is that of its days
        return [CategoryTerm(read, dict(zip(levels, known, strict=True)), otherwise, missing)]


def _operand(name: str, columns: Mapping[str, Column]) -> Read:
    """What a decoded column's name means: a column, or a part of a date."""
    if name in columns:
        column = columns[name]
        return Read(name, TEXT) if column.kind is Kind.TEXT else number_of(column)
    base, _, part = name.rpartition(".")
    return Read(base, part)


def _column(contract: ColumnContract, decisions: Decisions) -> Column:
    levels = None
    complete = contract.levels is not None and contract.distinct is not None and contract.distinct <= len(contract.levels)
    if decisions.unseen == "error" and complete and contract.levels is not None:
        levels = tuple(contract.levels)
    return Column(contract.name, contract.kind, contract.stored, contract.unit, contract.minimum, contract.maximum, levels)


def _decides(column: Column, decisions: Decisions) -> bool:
    """Whether a column without a feature decides over predictions all the same."""
    bounded = column.minimum is not None and decisions.out_of_range == "error"
    return decisions.null != "impute" or bounded or column.levels is not None


def _with_plain_texts(columns: dict[str, Column], terms: list[Term]) -> tuple[dict[str, Column], list[Term]]:
    """The levels of numbers that were declared text in one way of writing. Raises UsageError where engines write texts differently."""
    for read in {read for term in terms for read in reads_of(term) if read.part == TEXT}:
        column = columns[read.column]
        if column.source not in TEXT_FROM:
            raise UsageError(
                f"column {column.name!r} is {column.source} that was declared text, and engines write such texts differently.",
                "train with it as it is stored, or as text in the data itself.",
            )
        if column.compares_numbers and column.levels is not None:
            columns = columns | {
                column.name: replace(column, levels=tuple(_plain(column.name, level) for level in column.levels))
            }
    return columns, [_with_plain_levels(term, columns) for term in terms]


def _with_plain_levels(term: Term, columns: Mapping[str, Column]) -> Term:
    def numbers(read: Read) -> bool:
        return read.part == TEXT and columns[read.column].compares_numbers

    match term:
        case CategoryTerm(category, effects) if numbers(category):
            return replace(term, effects={_plain(category.column, level): effect for level, effect in effects.items()})
        case NumberTerm(Product(factors, Level(of, level))) if numbers(of):
            return replace(term, number=Product(factors, Level(of, _plain(of.column, level))))
        case _:
            return term


def _plain(name: str, level: str) -> str:
    """`plain_number` of a level. Raises UsageError where it is none that engines compare exactly."""
    found = plain_number(level)
    if found is None:
        raise UsageError(
            f"column {name!r} holds numbers that were declared text, and {level[:40]!r} is none that engines compare exactly.",
            "store the column as text and train again.",
        )
    return found

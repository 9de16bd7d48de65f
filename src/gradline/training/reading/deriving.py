"""Which numbers a run derives, from which columns, and what must be learned of the rows for them before they are made."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.errors import DataError, UsageError, did_you_mean, plural
from gradline.kinds import kind_of
from gradline.maths.summaries import CategorySummary
from gradline.representation.decode import DATE_PARTS, Decoder
from gradline.representation.derive import Derived
from gradline.representation.expressions import QUANTILES, Factor, Product, Spline, quoted
from gradline.representation.features import IDENTIFIER_NAME
from gradline.training.reading.drawn import draw
from gradline.types import Kind, Notice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gradline.inputs.source import Source
    from gradline.maths.engine import Engine
    from gradline.maths.summaries import Summary
    from gradline.representation.expressions import Expression
    from gradline.training.config import TrainConfig
    from gradline.training.rows import RowReader, Rows
    from gradline.types import FloatArray, IntArray

NUMERIC = (Kind.NUMBER, Kind.BOOLEAN, Kind.TIME, Kind.DURATION)
DATES = (Kind.DATE, Kind.TIMESTAMP)
KNOT_ROWS = 50_000  # training rows, whose quantiles are the knots
MOST_LEVELS = 50  # of a category that is multiplied with a number
LEAST_LEVEL_ROWS = 10


class Derivations(NamedTuple):
    """kinds: of all columns to decode.  hidden: decoded columns that are read for derived numbers alone.  expressions: what to derive."""

    kinds: dict[str, Kind]
    hidden: frozenset[str]
    expressions: tuple[Expression, ...]

    @property
    def columns(self) -> int:
        """How many numbers they make, or a bound of it."""
        return sum(_columns(expression) for expression in self.expressions)


def _columns(expression: Expression) -> int:
    return expression.knots - 2 if isinstance(expression, Spline) else 1


def derived_names(config: TrainConfig, columns: Iterable[str]) -> set[str]:
    """What `--drop` may name beside columns: the derived numbers."""
    names = {str(expression) for expression in config.expressions().values()}
    return names | {f"{quoted(column)}^{power}" for column in columns for power in range(2, config.degree + 1)}


def derivations(source: Source, config: TrainConfig, kinds: Mapping[str, Kind]) -> Derivations:
    """What a run derives; `kinds`: of its feature columns. Raises UsageError for what cannot be derived, DataError for two of a name."""
    found: dict[object, Expression] = dict(config.expressions())
    for power in range(2, config.degree + 1):
        for column in raised(config, kinds):
            expression = Product((Factor(column, power),))
            found.setdefault(expression.key, expression)
    expressions = tuple(each for each in found.values() if str(each) not in config.drop)
    every, shown = dict(kinds), set(kinds)
    for each in expressions:
        for operand in each.columns:
            column = _source_column(operand, source, config)
            every.setdefault(column, _kind(source, config, column))
            _check_operand(each, operand, column, every[column])
        if isinstance(each, Spline):  # its linear term is the column
            shown.add(_source_column(each.column, source, config))
        _check_product(each, every)
    for each in expressions:
        for name in Derived(each).names:
            if name in every:
                raise DataError(f"two features would both be named {name!r}.", "rename one of the columns with SQL text.")
    only = [column for column in every if column not in shown]
    hidden = frozenset(name for column in only for name in (column, *(f"{column}.{part}" for part in DATE_PARTS)))
    return Derivations(every, hidden, expressions)


def raised(config: TrainConfig, kinds: Mapping[str, Kind]) -> list[str]:
    """The numbers that `--degree` raises to powers; one that is named like an identifier only where the user named it."""
    numbers = [name for name, kind in kinds.items() if kind in (Kind.NUMBER, Kind.DURATION)]
    return [name for name in numbers if config.features is not None or not IDENTIFIER_NAME.search(name)]


def _source_column(operand: str, source: Source, config: TrainConfig) -> str:
    """The table's column of an operand: `sold_on` of `sold_on.days`."""
    names = source.schema.names
    column = operand
    if operand not in names:
        base, _, part = operand.rpartition(".")
        if part not in DATE_PARTS or base not in names:
            raise UsageError(f"--derive: {source.name} has no column {operand!r}.", did_you_mean(operand, names))
        column = base
    if column in config.targets:
        raise UsageError(f"--derive: {column!r} is the target.", "no feature is made of what is to be predicted.")
    return column


def _kind(source: Source, config: TrainConfig, column: str) -> Kind:
    """Of a column that is read for a derived number alone."""
    stored = kind_of(source.schema.field(column).type)
    kind = config.kinds().get(column, stored)
    if kind in (Kind.UNSUPPORTED, Kind.EMPTY):
        raise UsageError(
            f"--derive: column {column!r} is {source.schema.field(column).type}, of which nothing can be derived.",
            "choose another.",
        )
    return kind


def _is_category(operand: str, column: str, kind: Kind) -> bool:
    return kind is Kind.TEXT or (operand != column and not operand.endswith(".days"))


def _check_operand(expression: Expression, operand: str, column: str, kind: Kind) -> None:
    part = operand[len(column) + 1 :]
    if operand == column and kind in DATES:
        raise UsageError(
            f"--derive {str(expression)!r}: {column!r} is a {kind}.", f"its number of days is {quoted(column + '.days')}."
        )
    if operand != column and (kind not in DATES or (part == "hour" and kind is Kind.DATE)):
        raise UsageError(f"--derive {str(expression)!r}: {column!r} is {kind}, and has no {part}.", f"write {quoted(column)}.")
    if not _is_category(operand, column, kind):
        if kind not in (*NUMERIC, *DATES):
            raise UsageError(f"--derive {str(expression)!r}: {column!r} is {kind}, no number.", "choose another column.")
        return
    if not isinstance(expression, Product):
        raise UsageError(
            f"--derive {str(expression)!r}: {operand!r} is a category, and only numbers have {_what(expression)}.",
            f"if its texts are numbers, say so: --types {column}=number.",
        )
    if any(f.column == operand and (f.power > 1 or f.shift) for f in expression.factors):
        raise UsageError(
            f"--derive {str(expression)!r}: {operand!r} is a category, and has no power.", f"write {operand}*NUMBER."
        )


def _what(expression: Expression) -> str:
    return "a spline" if isinstance(expression, Spline) else "a logarithm"


def _check_product(expression: Expression, kinds: Mapping[str, Kind]) -> None:
    categories = [operand for operand in expression.columns if _operand_is_category(operand, kinds)]
    if len(categories) == len(expression.columns) or len(categories) > 1:
        raise UsageError(
            f"--derive {str(expression)!r}: {' and '.join(map(repr, categories))} {'is a category' if len(categories) == 1 else 'are categories'}; "
            "a product is of numbers, and of one category at most.",
            "join two categories to one with SQL text: a || b.",
        )


def _operand_is_category(operand: str, kinds: Mapping[str, Kind]) -> bool:
    column = operand if operand in kinds else operand.rpartition(".")[0]
    return _is_category(operand, column, kinds[column])


def resolved(source: Source, config: TrainConfig, reader: RowReader, engine: Engine, found: Derivations) -> tuple[Derived, ...]:
    """The derived numbers, knots and levels learned of the training rows by a read of the columns that have such, if any do."""
    splines = list(dict.fromkeys(each.column for each in found.expressions if isinstance(each, Spline)))
    categories = {
        each: next((o for o in each.columns if _operand_is_category(o, found.kinds)), None) for each in found.expressions
    }
    crossed = list(dict.fromkeys(name for name in categories.values() if name is not None))
    quantiles: dict[str, FloatArray] = {}
    levels: dict[str, tuple[str, ...]] = {}
    if splines or crossed:
        if not source.repeatable and not source.files:
            raise UsageError(
                f"--derive: knots and levels are learned by a read of their own, and {source.name} can be read only once.",
                "write it to a file.",
            )
        quantiles, levels = _learned(source, config, reader, engine, found, splines, crossed)
    made = []
    for each in found.expressions:
        category = categories[each]
        if isinstance(each, Spline):
            made.append(Derived(each, _knots(each, quantiles[each.column])))
        elif category is not None:
            made.append(Derived(each, (), category, levels[category]))
        else:
            made.append(Derived(each))
    return tuple(made)


def _learned(
    source: Source,
    config: TrainConfig,
    reader: RowReader,
    engine: Engine,
    found: Derivations,
    splines: list[str],
    crossed: list[str],
) -> tuple[dict[str, FloatArray], dict[str, tuple[str, ...]]]:
    """Of the columns that have splines the training rows' values, of the categories their levels but the most frequent one."""
    wanted = {operand if operand in found.kinds else operand.rpartition(".")[0] for operand in (*splines, *crossed)}
    reader = replace(
        reader, decoder=Decoder({name: kind for name, kind in found.kinds.items() if name in wanted}), missing="impute"
    )

    def values(rows: Rows, at: IntArray) -> FloatArray:
        numbers = {number.name: number.values for number in rows.decoded.numbers}
        return np.column_stack([np.zeros((len(at), 0)), *(numbers[name][at] for name in splines)])

    def counted(rows: Rows) -> Counter[tuple[str, str]]:
        counts: Counter[tuple[str, str]] = Counter()
        for category in rows.decoded.categories:
            if category.name in crossed:
                seen = np.bincount(category.codes[category.codes >= 0], minlength=len(category.levels))
                counts.update({(category.name, level): int(n) for level, n in zip(category.levels, seen, strict=True)})
        return counts

    drawn = draw(source, reader, engine, config.seed, KNOT_ROWS, values, counted)
    quantiles = {name: drawn.values[:, j] for j, name in enumerate(splines)}
    counts = {name: Counter({level: n for (column, level), n in drawn.counts.items() if column == name}) for name in crossed}
    return quantiles, {name: _levels(name, counts[name]) for name in crossed}


def _levels(name: str, counts: Counter[str]) -> tuple[str, ...]:
    common = sorted((level for level in counts if counts[level] >= LEAST_LEVEL_ROWS), key=lambda level: (-counts[level], level))
    if len(common) > MOST_LEVELS or len(common) < 2:
        raise UsageError(
            f"--derive: {name!r} has {len(common):,} levels of {LEAST_LEVEL_ROWS} training rows or more; a product with a number is for 2 to "
            f"{MOST_LEVELS}.",
            "group them with SQL text." if len(common) > MOST_LEVELS else "leave the product out.",
        )
    return tuple(sorted(common[1:]))  # the most frequent one is the reference, as among the features


def pooled(derived: Iterable[Derived], summaries: Mapping[str, Summary]) -> list[Notice]:
    """A word on the rare levels that have no slope of their own."""
    notices = []
    for each in derived:
        summary = None if each.category is None else summaries.get(each.category)
        if not isinstance(summary, CategorySummary) or summary.counts is None:
            continue
        counts = {level: rows for level, rows in summary.counts.items() if level not in each.levels}
        reference = max(counts, key=lambda level: (counts[level], level), default="")
        rows = sum(counts.values()) - counts.get(reference, 0)
        if len(counts) > 1:
            text = (
                f"{each.expression}: {plural(len(counts) - 1, 'rare value')} of {each.category!r} ({rows:,} training rows) "
                f"{'has' if len(counts) == 2 else 'have'} the slope of {reference!r}, the most frequent one."
            )
            notices.append(Notice("grouped_levels", each.category, text))
    return notices


def _knots(spline: Spline, values: FloatArray) -> tuple[float, ...]:
    """The quantiles of the training rows; where some coincide, of the distinct values. Raises UsageError where these are too few."""
    present = np.sort(values[np.isfinite(values)])
    different = np.unique(present)
    for of in (present, different) if len(different) >= spline.knots else ():
        knots = np.unique(np.quantile(of, QUANTILES[spline.knots]))
        if len(knots) == spline.knots:
            return tuple(knots.tolist())
    raise UsageError(
        f"--derive {str(spline)!r}: {spline.column!r} has too few different values in the training rows for {spline.knots} knots.",
        f"take fewer knots, or a power: {quoted(spline.column)}^2.",
    )

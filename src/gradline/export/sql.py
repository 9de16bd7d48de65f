"""The export to SQL: one expression of a SELECT list, for DuckDB or PostgreSQL.

Names are quoted identifiers and texts quoted literals, whatever they hold; every number is a literal of float64, since 0.1 is a decimal
in both. Sums are nested in groups, for engines limit how deep an expression may be.

A row that the contract drops or refuses is NULL: an expression cannot refuse a row in both engines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradline.errors import UsageError, did_you_mean, printable
from gradline.export.formula import (
    DAYS,
    HOUR,
    MONTH,
    TEXT,
    WEEKDAY,
    CategoryTerm,
    Level,
    Logarithm,
    Product,
    Read,
    Spline,
    number_of,
)
from gradline.representation.decode import WEEKDAYS
from gradline.types import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.export.formula import Column, Formula, Number, Term

DIALECTS = ("duckdb", "postgres")
PREDICTION = "gradline_prediction"  # a column of `prediction` may be in the table, and would be taken for it
GROUP = 32  # terms in one pair of parentheses
DAY = 86_400_000_000
LONGEST_NAME = 63  # bytes, that PostgreSQL tells apart
LARGEST_EXPONENT = 709.782712893384  # log of the largest float64
LEAST_EXPONENT = -745.13


@dataclass(frozen=True, slots=True)
class _Duckdb:
    """What DuckDB writes in its own way."""

    title = "DuckDB"
    real = "DOUBLE"
    text = "VARCHAR"

    def number(self, value: float) -> str:
        literal = repr(float(value))
        return f"({literal}{'' if 'e' in literal else 'e0'})" if value < 0.0 else literal + ("" if "e" in literal else "e0")

    def literal(self, text: str) -> str:
        parts = ["'" + part.replace("'", "''") + "'" for part in text.split("\0")]
        return parts[0] if len(parts) == 1 else "(" + " || chr(0) || ".join(parts) + ")"

    def is_nan(self, real: str) -> str:
        # not isnan(x): DuckDB 2.0 takes it for false where a Parquet file's least and largest values are no NaN (its issue 25521)
        return f"(NOT isfinite({real}) AND NOT isinf({real}))"

    def seconds(self, value: str) -> str:
        return f"epoch({value})"

    def microseconds(self, instant: str) -> str:
        return f"epoch_us({instant})"

    def month(self, days: str) -> str:
        return f"month(DATE '1970-01-01' + CAST({days} AS INTEGER))"

    def whole(self, dividend: str, divisor: int) -> str:
        return f"({dividend} // {divisor})"

    def flag(self, value: str) -> str:
        return f"CAST(CAST({value} AS BOOLEAN) AS DOUBLE)"

    def exponential(self, score: str) -> str:
        return f"exp({score})"

    def compared(self, text: str) -> str:
        return f"CAST({text} AS VARCHAR)"


@dataclass(frozen=True, slots=True)
class _Postgres:
    """What PostgreSQL writes in its own way: a number with a point is `numeric` there, and exp of much ends the query."""

    title = "PostgreSQL"
    real = "double precision"
    text = "text"

    def number(self, value: float) -> str:
        return f"float8 '{float(value)!r}'"

    def literal(self, text: str) -> str:
        quoted = text.replace("'", "''")
        return "E'" + quoted.replace("\\", "\\\\") + "'" if "\\" in text else f"'{quoted}'"

    def is_nan(self, real: str) -> str:
        return f"{real} = float8 'NaN'"

    def seconds(self, value: str) -> str:
        return f"CAST(extract(epoch FROM {value}) AS double precision)"

    def microseconds(self, instant: str) -> str:
        return f"CAST(round(extract(epoch FROM {instant}) * 1000000) AS bigint)"

    def whole(self, dividend: str, divisor: int) -> str:
        return f"({dividend} / {divisor})"

    def month(self, days: str) -> str:
        return f"CAST(extract(month FROM DATE '1970-01-01' + CAST({days} AS integer)) AS integer)"

    def flag(self, value: str) -> str:
        return f"CAST(CAST(CAST({value} AS boolean) AS integer) AS double precision)"

    def exponential(self, score: str) -> str:
        cases = (
            f"WHEN s = float8 'NaN' THEN s WHEN s > {self.number(LARGEST_EXPONENT)} THEN float8 'Infinity' "
            f"WHEN s < {self.number(LEAST_EXPONENT)} THEN float8 '0' ELSE exp(s) END"
        )
        return f"(SELECT CASE {cases} FROM (SELECT {score} AS s) AS scored)"

    def compared(self, text: str) -> str:
        return f'CAST({text} AS text) COLLATE "C"'


Dialect = _Duckdb | _Postgres


def dialect_of(name: str) -> Dialect:
    """A dialect by its name. Raises UsageError."""
    if name not in DIALECTS:
        raise UsageError(f"there is no SQL dialect {name!r}.", did_you_mean(name, DIALECTS))
    return _Duckdb() if name == "duckdb" else _Postgres()


def sql_text(formula: Formula, dialect: str, notes: Sequence[str] = ()) -> str:
    """The expression, below comments that say how it is used. notes: where it differs from the model."""
    engine = dialect_of(dialect)
    _check_names(formula, engine)
    unit = f" ({formula.unit})" if formula.unit else ""
    comments = [
        f"A linear regression as an expression of {engine.title}, written by {formula.made_by}.",
        f"It predicts {formula.target!r}{unit}:  SELECT *, <this expression> AS prediction FROM the_table",
        *_beside_lines(formula, engine),
        "",
        "Columns that it reads:",
        *(f"  {column.name!r}: {column.source}" for column in formula.columns.values()),
        *(["", *notes] if notes else []),
    ]
    head = "".join(f"-- {printable(line)}".rstrip() + "\n" for line in comments)
    return head + expression(formula, engine) + "\n"


def _beside_lines(formula: Formula, engine: Dialect) -> list[str]:
    """How the interval and the decision are had."""
    columns = ", ".join(f"{each} AS {name}" for name, each in beside(formula, engine).items())
    if not columns:
        return []
    said = "" if formula.interval is None else f" (the interval has coverage {formula.interval.coverage:g})"
    inner = f"SELECT *, <this expression> AS {PREDICTION} FROM the_table"
    return [f"With {' and '.join(formula.outputs[1:])}{said}:", f"  SELECT *, {columns} FROM ({inner}) AS predicted"]


def expression(formula: Formula, engine: Dialect) -> str:
    """The prediction as one expression, NULL where the contract gives none."""
    writer = _Writer(formula, engine)
    score = _sum([engine.number(formula.intercept), *(writer.term(term) for term in formula.terms)])
    if formula.factor is not None:
        score = f"({engine.exponential(score)} * {engine.number(formula.factor)})"
    broken = writer.broken()
    return score if not broken else "CASE WHEN " + "\n  OR ".join(broken) + f"\nTHEN NULL ELSE {score} END"


def beside(formula: Formula, engine: Dialect) -> dict[str, str]:
    """The bounds and the decision as expressions of a column PREDICTION, by their names."""
    found: dict[str, str] = {}
    if formula.interval is not None:
        sign = "*" if formula.interval.relative else "+"
        for name in ("low", "high"):
            found[name] = f"({PREDICTION} {sign} {engine.number(getattr(formula.interval, name))})"
    if formula.decision is not None:
        decision = formula.decision
        looked_at = found.get(decision.of, PREDICTION)
        if decision.rule == "threshold":
            found["decision"] = f"({looked_at} {'>=' if decision.above else '<='} {engine.number(decision.threshold)})"
        else:
            found["decision"] = f"CASE WHEN {PREDICTION} IS NOT NULL THEN {str(decision.rule == 'always').upper()} END"
    return found


def quoted(name: str) -> str:
    """A name as an identifier."""
    return '"' + name.replace('"', '""') + '"'


def _sum(parts: Sequence[str]) -> str:
    while len(parts) > GROUP:
        parts = [_sum(parts[i : i + GROUP]) for i in range(0, len(parts), GROUP)]
    return "(" + "\n  + ".join(parts) + ")"


def _check_names(formula: Formula, engine: Dialect) -> None:
    """Raise UsageError where the engine takes two columns for one, or no table of it can have a name."""
    seen: dict[str, str] = {}
    for name in formula.columns:
        if "\0" in name or not _is_utf_8(name):
            raise UsageError(f"no column of {engine.title} can be named {printable(name)!r}.", "rename it and train again.")
        if isinstance(engine, _Duckdb):
            folded = name.casefold()
        else:
            folded = name.encode()[:LONGEST_NAME].decode(errors="ignore")
        if folded in seen:
            raise UsageError(
                f"{engine.title} takes the columns {seen[folded]!r} and {name!r} for one.", "rename one of them and train again."
            )
        seen[folded] = name


def _is_utf_8(text: str) -> bool:
    return text.encode(errors="replace").decode() == text


def _is_date(column: Column) -> bool:
    """Whether it holds days without a time, or texts that are read so."""
    return column.source is Kind.DATE or (column.source is Kind.TEXT and column.kind is Kind.DATE)


class _Writer:
    """Writes the parts of a formula in one dialect."""

    def __init__(self, formula: Formula, engine: Dialect) -> None:
        self._formula, self._engine = formula, engine

    def term(self, term: Term) -> str:
        """What a term adds to the score."""
        engine = self._engine
        if isinstance(term, CategoryTerm):
            cases = [
                f"WHEN {self._level(term.category, level)} THEN {engine.number(effect)}"
                for level, effect in term.effects.items()
                if self._can_be(level) and effect != term.otherwise
            ]
            otherwise, missing = engine.number(term.otherwise), self._is_missing(term.category)
            if cases:
                otherwise = f"CASE {self._subject(term.category)} {' '.join(cases)} ELSE {otherwise} END"
            return f"CASE WHEN {missing} THEN {engine.number(term.missing)} ELSE {otherwise} END"
        missing = " OR ".join(self._is_missing(read) for read in term.reads)
        if term.slope == 0.0:
            return f"CASE WHEN {missing} THEN {engine.number(term.missing)} ELSE {engine.number(0.0)} END"
        value = f"{engine.number(term.slope)} * ({self._number(term.number)} - {engine.number(term.centre)})"
        return f"CASE WHEN {missing} THEN {engine.number(term.missing)} ELSE {value} END"

    def broken(self) -> list[str]:
        """The conditions of which each leaves a row without a prediction."""
        formula, engine = self._formula, self._engine
        found = [self._is_missing(self._whole(column)) for column in formula.required]
        for column in formula.bounded:
            assert column.minimum is not None
            assert column.maximum is not None
            read = number_of(column)
            value, low, high = self._read(read, clipped=False), engine.number(column.minimum), engine.number(column.maximum)
            found.append(f"(NOT ({self._is_missing(read)}) AND ({value} < {low} OR {value} > {high}))")
        for column in formula.listed:
            read = Read(column.name, TEXT)
            known = [self._level(read, level) for level in column.levels or () if self._can_be(level)]
            # a null is not unknown, and `NULL NOT IN` is null
            found.append(f"{self._subject(read)} NOT IN ({', '.join(known)})" if known else f"{quoted(column.name)} IS NOT NULL")
        return found

    def _whole(self, column: Column) -> Read:
        return Read(column.name, TEXT) if column.kind is Kind.TEXT else number_of(column)

    def _can_be(self, level: str) -> bool:
        """Whether a text of the engine can be this level at all."""
        return _is_utf_8(level) and ("\0" not in level or isinstance(self._engine, _Duckdb))

    def _is_missing(self, read: Read) -> str:
        column = self._formula.columns[read.column]
        null = f"{quoted(column.name)} IS NULL"
        if column.source is Kind.NUMBER or (column.source is Kind.TEXT and column.kind is Kind.NUMBER):
            if column.kind is Kind.TEXT:  # NaN is a level like any other there, and none that was kept
                return null
            return f"{null} OR {self._engine.is_nan(f'CAST({quoted(column.name)} AS {self._engine.real})')}"
        return null

    def _subject(self, read: Read) -> str:
        """What a category is compared by."""
        engine, column = self._engine, self._formula.columns[read.column]
        if read.part == TEXT:
            name = quoted(column.name)
            return f"CAST({name} AS {engine.real})" if column.compares_numbers else engine.compared(name)
        if read.part == HOUR:
            return engine.whole(self._rest(column), DAY // 24)
        days = self._days(column)
        return engine.month(days) if read.part == MONTH else f"(({days} + 3) % 7 + 7) % 7"  # 1970-01-01 was a Thursday

    def _level(self, read: Read, level: str) -> str:
        """What `_subject` is for a level."""
        if read.part == TEXT:
            numeric = self._formula.columns[read.column].compares_numbers
            return self._engine.number(float(level)) if numeric else self._engine.literal(level)
        return str(WEEKDAYS.index(level) if read.part == WEEKDAY else int(level))

    def _days(self, column: Column) -> str:
        """Whole days since 1970."""
        if _is_date(column):
            return f"(CAST({quoted(column.name)} AS DATE) - DATE '1970-01-01')"
        return self._engine.whole(f"({self._instant(column)} - {self._rest(column)})", DAY)

    def _rest(self, column: Column) -> str:
        """Microseconds since midnight: % has the sign of what is divided."""
        return "0" if _is_date(column) else f"(({self._instant(column)} % {DAY} + {DAY}) % {DAY})"

    def _instant(self, column: Column) -> str:
        """Microseconds since 1970, of an instant in UTC, or of a clock that has no zone."""
        name = quoted(column.name)
        return self._engine.microseconds(f"CAST({name} AS TIMESTAMP)" if column.source is Kind.TEXT else name)

    def _read(self, read: Read, *, clipped: bool = True) -> str:
        engine, column = self._engine, self._formula.columns[read.column]
        name = quoted(column.name)
        if read.part == DAYS:
            value = f"CAST({self._days(column) if _is_date(column) else self._instant(column)} AS {engine.real})"
            value = value if _is_date(column) else f"({value} / {engine.number(DAY)})"
        elif column.kind in (Kind.TIME, Kind.DURATION):
            value = engine.seconds(f"CAST({name} AS TIME)" if column.source is Kind.TEXT else name)
        elif column.source is Kind.BOOLEAN or (column.source is Kind.TEXT and column.kind is Kind.BOOLEAN):
            value = engine.flag(name)
        else:
            value = f"CAST({name} AS {engine.real})"
        bounds = self._formula.clip(read) if clipped else None
        if bounds is None:
            return value
        low, high = map(engine.number, bounds)
        return f"LEAST(GREATEST({value}, {low}), {high})"

    def _number(self, number: Number) -> str:
        engine = self._engine
        match number:
            case Read():
                return self._read(number)
            case Product(factors, level):
                powers = [self._shifted(factor.of, factor.shift) for factor in factors for _ in range(factor.power)]
                product = "(" + " * ".join(powers) + ")"
                return product if level is None else f"CASE WHEN {self._has(level)} THEN {product} ELSE {engine.number(0.0)} END"
            case Logarithm(of):
                x = self._read(of)
                return f"CASE WHEN {x} > {engine.number(0.0)} THEN ln({x}) END"
            case Spline(of, knots, term):
                return self._spline(self._read(of), knots, term)

    def _has(self, level: Level) -> str:
        return f"{self._subject(level.of)} = {self._level(level.of, level.level)}" if self._can_be(level.level) else "1 = 0"

    def _shifted(self, read: Read, shift: float) -> str:
        return f"({self._read(read)} - {self._engine.number(shift)})" if shift else self._read(read)

    def _spline(self, x: str, knots: Sequence[float], term: int) -> str:
        number = self._engine.number
        first, before, last, t = knots[0], knots[-2], knots[-1], knots[term]

        def cube(knot: float) -> str:
            above = f"GREATEST({x} - {number(knot)}, {number(0.0)})"
            return f"{above} * {above} * {above}"

        line = f"{number((last - t) * (before - t))} * (({x} - {number(t)}) + ({x} - {number(before)}) + ({x} - {number(last)}))"
        cubic = f"{cube(t)} - {cube(before)} * {number((last - t) / (last - before))}"
        size = number((last - first) ** 2)
        return f"(CASE WHEN {x} >= {number(last)} THEN {line} ELSE {cubic} END / {size})"

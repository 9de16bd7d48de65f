"""The contract: what the training data looked like, and what happens when later data do not.

Inferred from the training rows, saved in the model, and checked at predict and evaluate. Order of columns and additional
columns do not matter.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from gradline.errors import ContractError, did_you_mean, plural
from gradline.kinds import kind_of
from gradline.types import Kind, Notice

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from gradline.types import BoolArray, Decoded, Json

MOST_LEVELS = 10_000


@dataclass(frozen=True, slots=True)
class Decisions:
    """What happens when data break the contract.

    missing_column, type_changed: always `error`.  null: `impute` (mean, or a category's own level), `drop` (no prediction for
    the row) or `error`.  unseen: a category that training did not have: `warn` (and take it for the grouped rare levels, or
    the reference where there are none) or `error`.  out_of_range: `warn`, `clip` to the training range, or `error`.
    """

    missing_column: str = "error"
    type_changed: str = "error"
    null: str = "impute"
    unseen: str = "warn"
    out_of_range: str = "warn"


@dataclass(frozen=True, slots=True)
class ColumnContract:
    """One feature column of the training rows. A date's minimum and maximum are days since 1970.

    kind: what it was taken for.  stored: what its type said (they differ where the user declared a type).
    """

    name: str
    kind: Kind
    stored: Kind
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    null_share: float = 0.0
    levels: Mapping[str, int] | None = None
    distinct: int | None = None

    def shown(self, value: float) -> str:
        """A value of this column to be read: a day or a time where the column holds such."""
        match self.kind:
            case Kind.DATE:
                return str(np.datetime64(round(value), "D"))
            case Kind.TIMESTAMP:
                return str(np.datetime64(round(value * 86_400), "s")).replace("T", " ")
            case _:
                return f"{value:g}"


@dataclass(frozen=True, slots=True)
class Contract:
    """target and its unit; the feature columns by name; the decisions."""

    target: str
    target_unit: str | None
    target_kind: Kind
    columns: Mapping[str, ColumnContract]
    decisions: Decisions = field(default_factory=Decisions)

    def to_json(self) -> Json:
        """The entry `contract` of the model."""
        return {
            "target": {"name": self.target, "kind": str(self.target_kind), "unit": self.target_unit},
            "columns": [
                asdict(column) | {"kind": str(column.kind), "stored": str(column.stored)} for column in self.columns.values()
            ],
            "decisions": asdict(self.decisions),
        }

    @classmethod
    def from_json(cls, document: Json) -> Contract:
        """The inverse of `to_json`."""
        columns = [
            ColumnContract(**(column | {"kind": Kind(column["kind"]), "stored": Kind(column["stored"])}))
            for column in document["columns"]
        ]
        target = document["target"]
        return cls(
            target["name"],
            target["unit"],
            Kind(target["kind"]),
            {column.name: column for column in columns},
            Decisions(**document["decisions"]),
        )

    def check_schema(self, schema: pa.Schema, where: str) -> None:
        """Raise ContractError where a column is missing or of another kind."""
        there = frozenset(schema.names)  # Arrow makes the list anew at each call
        missing = [name for name in self.columns if name not in there]
        if missing:
            others = [name for name in schema.names if name not in self.columns]
            raise ContractError(
                f"{where} has no column {', '.join(map(repr, missing))}, which the model needs.",
                did_you_mean(missing[0], others) if others else "gradline show MODEL lists the columns that it needs.",
            )
        for name, column in self.columns.items():
            found = kind_of(schema.field(name).type)
            if found not in (column.kind, column.stored, Kind.EMPTY) and not _readable(found, column.kind):
                raise ContractError(
                    f"column {name!r} of {where} is {found}; the model was trained on {column.kind}.",
                    f"give it as {column.kind}.",
                )


def _readable(found: Kind, wanted: Kind) -> bool:
    """Whether a stored kind can be read as the contract's without a loss: text that was declared to hold dates, say."""
    return found is Kind.TEXT and wanted in (Kind.DATE, Kind.TIMESTAMP, Kind.TIME)


@dataclass(frozen=True, slots=True)
class _Breach:
    count: int
    first_row: int
    example: str


class ContractCheck:
    """Counts, block by block, where the values of a source break a contract; one object for one read."""

    def __init__(self, contract: Contract, where: str) -> None:
        self._contract = contract
        self._where = where
        self._known: dict[str, frozenset[str]] = {}
        self._breaches: dict[tuple[str, str], _Breach] = {}
        self.dropped = 0
        for column in contract.columns.values():
            if column.levels is not None and column.distinct is not None and column.distinct <= len(column.levels):
                self._known[column.name] = frozenset(column.levels)

    def apply(self, decoded: Decoded, first_row: int) -> tuple[Decoded, BoolArray | None]:
        """The block as the decisions leave it, and which rows get no prediction (None: all get one).

        Raises ContractError where the decision is `error`.
        """
        decisions = self._contract.decisions
        numbers, unpredicted = [], np.zeros(decoded.rows, dtype=np.bool_)
        for column in decoded.numbers:
            source = self._source(column.name)
            missing = np.isnan(column.values)
            self._null(source, missing, first_row)
            unpredicted |= missing
            values = column.values
            if source.minimum is not None and source.maximum is not None:
                outside = (values < source.minimum) | (values > source.maximum)
                if outside.any():
                    example = f"{source.shown(float(values[int(np.argmax(outside))]))}, training had "
                    example += f"{source.shown(source.minimum)} to {source.shown(source.maximum)}"
                    self._record("out_of_range", source.name, outside, first_row, example)
                    if decisions.out_of_range == "clip":
                        values = np.clip(values, source.minimum, source.maximum)
            numbers.append(column._replace(values=values))
        for category in decoded.categories:
            source = self._source(category.name)
            missing = category.codes < 0
            if category.missing_is_level:
                self._null(source, missing, first_row)
                unpredicted |= missing
            known = self._known.get(category.name)
            if known is not None:
                strange = np.array([level not in known for level in category.levels] + [False])
                if strange.any():
                    rows = strange[category.codes]
                    if rows.any():
                        example = repr(category.levels[category.codes[int(np.argmax(rows))]][:60])
                        self._record("unseen", category.name, rows, first_row, example)
        if decisions.null != "drop":
            return decoded._replace(numbers=tuple(numbers)), None
        self.dropped += int(np.count_nonzero(unpredicted))
        return decoded._replace(numbers=tuple(numbers)), unpredicted

    def _source(self, name: str) -> ColumnContract:
        """The contract of the column that a decoded column (`day.month`) comes from."""
        columns = self._contract.columns
        return columns[name] if name in columns else columns[name.rsplit(".", 1)[0]]

    def _null(self, source: ColumnContract, missing: BoolArray, first_row: int) -> None:
        if self._contract.decisions.null == "error" or source.null_share == 0.0:
            self._record("null", source.name, missing, first_row, "null")

    def _record(self, what: str, column: str, rows: BoolArray, first_row: int, example: str) -> None:
        count = int(np.count_nonzero(rows))
        if not count:
            return
        first = first_row + int(np.argmax(rows))
        if getattr(self._contract.decisions, what) == "error":
            raise ContractError(
                f"column {column!r} of {self._where}: {plural(count, 'row')} {'breaks' if count == 1 else 'break'} the contract "
                f"({what}, first at row {first:,}: {example}).",
                "mend the data, or train with another decision for this case.",
            )
        before = self._breaches.get((what, column))
        self._breaches[what, column] = (
            _Breach(count, first, example) if before is None else replace(before, count=before.count + count)
        )

    def notices(self) -> list[Notice]:
        """What the read met, a notice for each kind of breach and column."""
        return [
            Notice(f"contract_{what}", column, self._sentence(what, column, breach))
            for (what, column), breach in self._breaches.items()
        ]

    def _sentence(self, what: str, column: str, breach: _Breach) -> str:
        rows = f"{breach.count:,} row{'s' if breach.count != 1 else ''} (first at row {breach.first_row:,}: {breach.example})"
        decision = getattr(self._contract.decisions, what)
        match what:
            case "null":
                done = "no prediction is given" if decision == "drop" else "the training mean or the reference stands in"
                return f"{column!r} is null in {rows}, and never was in training; {done}."
            case "unseen":
                return f"{column!r} has values that training had not in {rows}; they count as rare levels, or as the reference."
            case _:
                done = "they were clipped to it" if decision == "clip" else "these predictions are extrapolations"
                return f"{column!r} is outside the training range in {rows}; {done}."

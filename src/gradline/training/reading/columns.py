"""What the columns are taken for before they are read, and the contract that the training rows suggest for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gradline.errors import DataError, UsageError, did_you_mean
from gradline.inputs.contract import MOST_LEVELS, ColumnContract, Contract, Decisions
from gradline.kinds import kind_of
from gradline.maths.summaries import CategorySummary, NumberSummary
from gradline.representation.decode import DATE_PARTS
from gradline.training.reading.deriving import derived_names
from gradline.types import Kind, Notice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gradline.inputs.source import Source
    from gradline.representation.features import Representation
    from gradline.representation.sparse import SparseRepresentation
    from gradline.training.config import TrainConfig
    from gradline.training.survey import Survey


def feature_kinds(source: Source, config: TrainConfig) -> tuple[dict[str, Kind], list[Notice]]:
    """The feature columns and what each is taken for. Raises UsageError for names that are not there."""
    names = source.schema.names
    declared = config.kinds()
    special = {*config.targets, config.key, config.time, config.group, config.weight}
    asked = {
        "--target": config.targets,
        "--features": config.features or (),
        "--drop": config.drop,
        "--types": declared,
        "--units": config.units,
        "--key": [config.key],
        "--time": [config.time],
        "--group": [config.group],
        "--stratify": [config.stratify],
        "--weight": [config.weight],
    }
    for flag, columns in asked.items():
        for column in columns:
            if column is not None and column not in names and not (flag == "--drop" and column in derived_names(config, names)):
                raise UsageError(f"{flag}: {source.name} has no column {column!r}.", did_you_mean(column, names))
    wanted = config.features or tuple(name for name in names if name not in special)
    serving = {
        "--key": config.key,
        "--time": config.time,
        "--group": config.group,
        "--stratify": config.stratify,
        "--weight": config.weight,
    }
    for flag, column in serving.items():
        stored = None if column is None else kind_of(source.schema.field(column).type)
        if stored is Kind.UNSUPPORTED or (flag == "--weight" and stored not in (None, Kind.NUMBER, Kind.BOOLEAN)):
            raise UsageError(
                f"{flag}: column {column!r} is {source.schema.field(column).type}, which cannot serve.", "choose another."
            )
    kinds: dict[str, Kind] = {}
    notices: list[Notice] = []
    for name in dict.fromkeys(wanted):
        if name in config.drop:
            continue
        stored = kind_of(source.schema.field(name).type)
        kind = declared.get(name, stored)
        if stored is Kind.EMPTY and name not in declared:
            raise DataError(f"column {name!r} is null in every row of {source.name}.", f"leave it out: --drop {name}.")
        if kind is Kind.UNSUPPORTED:
            text = f"{name!r} is {source.schema.field(name).type}, which cannot be a feature; left out. Cast or unnest it with SQL text."
            if config.features is not None:
                raise DataError(text)
            notices.append(Notice("left_out_type", name, text))
            continue
        _check_declared(name, stored, kind)
        kinds[name] = kind
    _check_part_names(kinds)
    if not kinds:
        raise UsageError(f"{source.name} has no column beside the target to learn from.", "choose columns with --features.")
    return kinds, notices


def _check_part_names(kinds: Mapping[str, Kind]) -> None:
    """A date's parts (`day.month`) must not be named as another column is."""
    for name, kind in kinds.items():
        if kind in (Kind.DATE, Kind.TIMESTAMP):
            for part in DATE_PARTS:
                if f"{name}.{part}" in kinds:
                    raise DataError(
                        f"two features would both be named '{name}.{part}'.", "rename one of the columns with SQL text."
                    )


def _check_declared(name: str, stored: Kind, kind: Kind) -> None:
    readable = (
        kind is stored or kind is Kind.TEXT or stored in (Kind.TEXT, Kind.EMPTY) or (stored, kind) == (Kind.DATE, Kind.TIMESTAMP)
    )
    if not readable and (stored, kind) not in ((Kind.TIMESTAMP, Kind.DATE), (Kind.BOOLEAN, Kind.NUMBER)):
        raise UsageError(
            f"--types {name}={kind}: the column is {stored}, which cannot be read as {kind}.", "choose another type."
        )


def target_kind(source: Source, config: TrainConfig, target: str | None = None) -> Kind:
    """What a target (the run's own, where none is named) is taken for. Raises DataError where that is no number."""
    target = target or config.target
    stored = kind_of(source.schema.field(target).type)
    kind = config.kinds().get(target, stored)
    if kind in (Kind.NUMBER, Kind.BOOLEAN, Kind.DURATION):
        return kind
    if stored is Kind.EMPTY:
        raise DataError(f"the target {target!r} is null in every row of {source.name}.", "choose another --target.")
    others = [f.name for f in source.schema if kind_of(f.type) is Kind.NUMBER]
    hint = f"numbers here are: {', '.join(others[:8])}." if others else "no column here is a number."
    if stored is Kind.TEXT:
        hint += f" If its texts are numbers, say so: --types {target}=number."
    raise DataError(f"the target {target!r} is {kind}; linear regression needs a number.", hint)


def make_contract(kinds: Mapping[str, Kind], found: Survey, config: TrainConfig, source: Source) -> Contract:
    """The contract that the training rows suggest."""
    columns = {}
    for name, kind in kinds.items():
        column = ColumnContract(
            name, kind, kind_of(source.schema.field(name).type), unit=config.units.get(name) or _stored_unit(source, name)
        )
        summary = found.summaries[f"{name}.days" if kind in (Kind.DATE, Kind.TIMESTAMP) else name]
        share = summary.missing / summary.rows
        if isinstance(summary, NumberSummary):
            column = replace(column, minimum=summary.minimum, maximum=summary.maximum, null_share=share)
        elif isinstance(summary, CategorySummary):
            counts = summary.counts
            kept = None if counts is None or len(counts) > MOST_LEVELS else dict(sorted(counts.items()))
            column = replace(column, levels=kept, distinct=summary.distinct, null_share=share)
        columns[name] = column
    unit = config.units.get(config.target) or _stored_unit(source, config.target)
    decisions = Decisions(null=config.missing, unseen=config.unseen, out_of_range=config.out_of_range)
    return Contract(config.target, unit, target_kind(source, config), columns, decisions)


def _stored_unit(source: Source, name: str) -> str | None:
    """The unit that a Parquet file states in its field's metadata."""
    metadata = source.schema.field(name).metadata or {}
    unit = metadata.get(b"unit")
    return None if unit is None else unit.decode("utf-8", "replace")


def source_columns(representation: Representation | SparseRepresentation) -> dict[str, str]:
    """Of each feature, the column that `--drop` leaves out with it: `sold_on` of `sold_on.month=7`; a derived number is one itself."""
    features = representation.features
    derived = made_of(representation)
    dates = {f.column.removesuffix(".days") for f in features if f.column.endswith(".days") and f.column not in derived}
    found = {}
    for feature in features:
        base, _, part = feature.column.rpartition(".")
        is_part = part in DATE_PARTS and base in dates and feature.column not in derived
        found[feature.name] = base if is_part else feature.column
    return found


def made_of(representation: Representation | SparseRepresentation) -> dict[str, frozenset[str]]:
    """Of each derived number that is a feature, the decoded columns that it is made of."""
    return {name: frozenset(each.expression.columns) for each in representation.derived for name in each.names}


def table_columns(representation: Representation | SparseRepresentation, kinds: Iterable[str]) -> list[str]:
    """The columns of the table that the features are made of, in the order of `kinds`, the names of those that were read."""
    derived = made_of(representation)
    used = {feature.column for feature in representation.features if feature.column not in derived}.union(*derived.values())
    return [name for name in kinds if used & {name, *(f"{name}.{part}" for part in DATE_PARTS)}]

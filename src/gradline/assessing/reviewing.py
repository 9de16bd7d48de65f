"""What `evaluate` asks of the rows beside their errors: which of them decide the fit, and which repeat others; whether the intervals
hold them, and what the policy comes to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gradline.arrays import flat_column
from gradline.assessing.deciding import doubts
from gradline.decisions.outcome import Outcome, compared
from gradline.errors import InputError
from gradline.evaluation.coverage import OneOfEach, judged, low_coverage
from gradline.evaluation.duplicates import Duplicates
from gradline.evaluation.influence import MOST_FEATURES, Influences, influence_doubts
from gradline.representation.decode import as_numbers
from gradline.representation.features import Representation
from gradline.splits.roles import value_hashes
from gradline.training.config import TrainConfig
from gradline.training.reading.roles import make_roles
from gradline.types import Kind, Role, finite_or_none

if TYPE_CHECKING:
    from gradline.inputs.source import Source
    from gradline.model.model import Model, Predictions
    from gradline.splits.roles import Roles
    from gradline.types import BoolArray, FloatArray, Json, Notice

OF_ROLES = ("target", "seed", "validation", "test", "key", "group", "time", "gap", "stratify")


class Review:
    """Goes along with a read of the rows. columns: what it needs beside those of the contract."""

    def __init__(self, model: Model, source: Source) -> None:
        self._files = [file.name for file in source.files]
        self._weight: str | None = None
        self._duplicates: Duplicates | None = None
        self._influences: Influences | None = None
        if not isinstance(model.representation, Representation):
            return
        self._duplicates = Duplicates([*model.contract.columns, model.contract.target])
        self._roles = _roles(model, source)
        weight = model.config.get("weight")
        if self._roles is None or not _has_leverage(model) or (weight is not None and weight not in source.schema.names):
            return
        self._weight = weight
        self._influences = Influences(
            model.representation,
            model.coordinates,
            model.theta,
            model.moments[Role.TRAINING],
            model.penalty,
            bool(model.config.get("log_target")),
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """To be read as well."""
        if self._influences is None or self._roles is None:
            return ()
        return tuple(name for name in (self._weight, self._roles.column) if name is not None)

    def add(self, block: Predictions, actual: FloatArray, usable: BoolArray) -> None:
        """A block with its targets, (n,); `usable`: the rows that have one, and a prediction."""
        if self._duplicates is not None:
            self._duplicates.add(block.table, block.file, block.first_row)
        if self._influences is None or self._roles is None or block.decoded is None:
            return
        values = None if self._roles.column is None else block.table.column(self._roles.column)
        roles = self._roles.assign(block.file, block.first_row, len(actual), values)
        at = np.flatnonzero(usable & (roles == Role.TRAINING))
        weight = None
        if self._weight is not None:
            weight = as_numbers(self._weight, flat_column(block.table, self._weight), Kind.NUMBER, block.first_row)[at]
        if len(at):
            self._influences.add(block.decoded.take(at), actual[at], weight, block.file, block.first_row + at)

    def to_json(self) -> tuple[Json, list[Notice]]:
        """The keys `influence` and `duplicates`, and what is doubtful."""
        influence = None if self._influences is None else self._influences.to_json(self._files)
        duplicates = None if self._duplicates is None else self._duplicates.to_json(self._files)
        notices = influence_doubts(influence, several_files=len(self._files) > 1)
        if self._duplicates is not None and duplicates is not None:
            notices += self._duplicates.doubts(duplicates)
        return {"influence": influence, "duplicates": duplicates}, notices


class Beside:
    """Goes along likewise: whether the intervals hold the rows, and what the policy comes to on them. columns: what it needs as well."""

    def __init__(self, model: Model, source: Source) -> None:
        self._intervals, self._policy = model.intervals, model.policy
        group = model.config.get("group") if model.intervals is not None else None
        self.columns: tuple[str, ...] = () if group is None or group not in source.schema.names else (group,)
        self._grouped = group is not None
        self._one_of_each = OneOfEach(int(model.config.get("seed", 0)))
        self._rows = self._covered = 0
        self._width = 0.0
        self._own = self._at_event = Outcome.none()

    def add(self, block: Predictions, actual: FloatArray, usable: BoolArray) -> None:
        """A block with its targets, (n,); `usable`: the rows that have one, and a prediction."""
        if block.bounds is not None:
            covered = block.bounds.covers(actual)[usable]
            self._rows += len(covered)
            self._covered += int(np.count_nonzero(covered))
            self._width += float((block.bounds.high - block.bounds.low)[usable].sum())
            for name in self.columns:
                group = value_hashes(0, flat_column(block.table, name))[usable]
                self._one_of_each.add(group, block.file, block.first_row + np.flatnonzero(usable), covered)
        if (policy := self._policy) is not None:
            happened = policy.event.happens(actual[usable])
            self._own = self._own.plus(Outcome.of(policy.acts(block.acted_on(policy.act_on))[usable], happened))
            self._at_event = self._at_event.plus(Outcome.of(policy.event.happens(block.predicted[usable]), happened))

    def to_json(self) -> tuple[Json, list[Notice]]:
        """The keys `intervals` and `decision`, null where the model has none, and what is doubtful."""
        intervals = decision = None
        notices: list[Notice] = []
        if (made := self._intervals) is not None and self._rows:
            expected = None
            if not self._grouped or self.columns:
                drawn = self._one_of_each
                hits, rows = (drawn.covered, drawn.groups) if self._grouped else (self._covered, self._rows)
                own = judged(hits, rows, made.rows, made.coverage)
                expected, notices = own.to_json(), low_coverage(own, made.coverage, "these rows")
            intervals = {
                "method": made.method,
                "nominal": made.coverage,
                "rows": self._rows,
                "coverage": self._covered / self._rows,
                "width": finite_or_none(self._width / self._rows),
                "expected": expected,
            }
        if (policy := self._policy) is not None and self._own.weight:
            decision = {**policy.to_json(), "rows": int(self._own.weight), **compared(policy.costs, self._own, self._at_event)}
            notices += doubts(policy, self._own, decision, "these rows")
        return {"intervals": intervals, "decision": decision}, notices


def _has_leverage(model: Model) -> bool:
    """Whether the fit is linear in the target, and small enough."""
    config: dict[str, Any] = model.config
    plain = config.get("loss", "squared") == "squared" and not config.get("l1")
    return plain and len(model.representation.features) <= MOST_FEATURES and len(model.moments[Role.TRAINING].mean) > 1


def _roles(model: Model, source: Source) -> Roles | None:
    """Those of the training, if these are its rows; None where that cannot be asked."""
    settings = {name: model.config[name] for name in OF_ROLES if model.config.get(name) is not None}
    column = settings.get("key") or settings.get("group") or settings.get("time") or settings.get("stratify")
    if column is not None and column not in source.schema.names:
        return None
    if (settings.get("time") or settings.get("stratify")) is not None and not source.repeatable and not source.files:
        return None
    try:
        return make_roles(source, TrainConfig.from_mapping(settings))
    except InputError:  # times that are none: these are other rows
        return None

"""Who decides a row's role, and into which parts the training rows are divided: its own number, the value of a column, or its time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.arrays import flat_column
from gradline.errors import UsageError
from gradline.splits.divisions import Folds, Shares, latest_shares, rolling_origins
from gradline.splits.gap import parsed_gap
from gradline.splits.roles import RowRoles, ValueRoles, time_ordinals, time_roles
from gradline.splits.stratify import read_strata, stratified_folds, stratified_roles

if TYPE_CHECKING:
    from gradline.inputs.source import Source
    from gradline.splits.divisions import Division
    from gradline.splits.roles import Roles
    from gradline.training.config import TrainConfig


class Split(NamedTuple):
    """folds: the divisions for cross-validation, one for each repeat.  shares: that for the learning curve."""

    roles: Roles
    folds: tuple[Division, ...] = ()
    shares: Division | None = None

    @property
    def divisions(self) -> tuple[Division, ...]:
        """All of them; every training row is in a part of the first."""
        return self.folds if self.shares is None else (*self.folds, self.shares)


def make_roles(source: Source, config: TrainConfig) -> Roles:
    """Which rows are held out. By time or in strata, the column of these is read first."""
    return make_split(source, config).roles


def make_split(source: Source, config: TrainConfig) -> Split:
    """Which rows are held out, and how the others are divided."""
    if config.time is not None:
        return _by_time(source, config, config.time)
    if config.stratify is not None and (config.validation + config.test > 0.0 or config.fold_count):
        return _in_strata(source, config, config.stratify)
    column = config.key or config.group
    roles = (
        RowRoles(config.seed, config.validation, config.test)
        if column is None
        else ValueRoles(column, config.seed, config.validation, config.test)
    )
    folds = tuple(Folds(config.fold_count, config.seed, repeat) for repeat in _repeats(config))
    return Split(roles, folds, Shares(config.seed, whole=not folds) if config.learning_curve else None)


def _repeats(config: TrainConfig) -> range:
    return range(config.repeats if config.fold_count else 0)


def _in_strata(source: Source, config: TrainConfig, column: str) -> Split:
    _check_readable(source, "--stratify")
    read = read_strata(column, ((b.file, b.first_row, flat_column(b.load(), column)) for b in source.blocks([column])))
    roles = stratified_roles(read, config.seed, config.validation, config.test)
    folds = tuple(stratified_folds(read, roles, config.fold_count, repeat) for repeat in _repeats(config))
    return Split(roles, folds, Shares(config.seed, by_row=True, whole=not folds) if config.learning_curve else None)


def _by_time(source: Source, config: TrainConfig, column: str) -> Split:
    _check_readable(source, "--time")
    import pyarrow as pa

    gap = 0.0
    if config.gap is not None:
        at = source.schema.get_field_index(column)  # -1 where it is a sparse table's, of float64
        gap = parsed_gap(config.gap).ordinals(pa.float64() if at < 0 else source.schema.field(at).type, column)
    read = [(b.first_row, time_ordinals(flat_column(b.load(), column), column)) for b in source.blocks([column])]
    times = np.concatenate([np.zeros(0), *(each for _, each in read)])
    starts = np.cumsum([0, *(len(each) for _, each in read)])[:-1][[row == 0 for row, _ in read]]  # of the files
    roles = time_roles(column, times, config.validation, config.test, starts.tolist(), gap, config.gap or "")
    learned = roles.learned(times)
    folds = (rolling_origins(column, learned, config.fold_count, gap),) if config.fold_count else ()
    return Split(roles, folds, latest_shares(column, learned, whole=not folds) if config.learning_curve else None)


def _check_readable(source: Source, flag: str) -> None:
    if not source.repeatable and not source.files:
        raise UsageError(
            f"{flag} needs to read its column first, and {source.name} can be read only once, or in another order.",
            "write it to a file, or end a query with order by.",
        )

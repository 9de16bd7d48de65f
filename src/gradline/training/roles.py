"""Who decides a row's role: its own number, the value of a column, or its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradline.arrays import flat_column
from gradline.errors import UsageError
from gradline.splits.roles import RowRoles, ValueRoles, time_ordinals, time_roles

if TYPE_CHECKING:
    from gradline.inputs.source import Source
    from gradline.splits.roles import Roles
    from gradline.training.config import TrainConfig


def make_roles(source: Source, config: TrainConfig) -> Roles:
    """Which rows are held out. By time, the column of times is read first."""
    column = config.key or config.group
    if column is not None:
        return ValueRoles(column, config.seed, config.validation, config.test)
    if config.time is None:
        return RowRoles(config.seed, config.validation, config.test)
    if not source.repeatable and not source.files:
        raise UsageError(f"--time needs to read the times first, and {source.name} can be read only once.", "write it to a file.")
    read = [(b.first_row, time_ordinals(flat_column(b.load(), config.time), config.time)) for b in source.blocks([config.time])]
    times = np.concatenate([np.zeros(0), *(each for _, each in read)])
    starts = np.cumsum([0, *(len(each) for _, each in read)])[:-1][[row == 0 for row, _ in read]]  # of the files
    return time_roles(config.time, times, config.validation, config.test, starts.tolist())

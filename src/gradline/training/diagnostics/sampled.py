"""The rows that the one read has kept a sample of, decoded: what detectors look at that moments do not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.arrays import flat_column
from gradline.representation.decode import as_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from gradline.splits.roles import RoleArray
    from gradline.training.rows import RowReader
    from gradline.training.survey import Survey
    from gradline.types import CategoryColumn, FloatArray, IntArray


class SampledRows(NamedTuple):
    """n rows of all roles, drawn evenly of those that have a target. whole: whether they are all of them.

    numbers: (n,) each, NaN where missing.  y: (n,) the target, as it was read.  table: the columns as read.
    """

    table: pa.Table
    numbers: Mapping[str, FloatArray]
    categories: Mapping[str, CategoryColumn]
    y: FloatArray
    roles: RoleArray
    file: IntArray
    row: IntArray
    of: int

    @property
    def whole(self) -> bool:
        """Whether the sample is all rows that have a target."""
        return len(self.y) == self.of

    @property
    def described(self) -> str:
        """How to speak of them."""
        n = len(self.y)
        return f"all {n:,} rows" if self.whole else f"a sample of {n:,} of the {self.of:,} rows"


def sampled_rows(found: Survey, reader: RowReader) -> SampledRows:
    """The sample of a read, decoded; without derived numbers, which say what their columns say."""
    sample = found.sample
    decoded = reader.decoder.columns(sample.table)
    return SampledRows(
        sample.table,
        {column.name: column.values for column in decoded.numbers},
        {column.name: column for column in decoded.categories},
        as_numbers(reader.target, flat_column(sample.table, reader.target), reader.target_kind),
        sample.roles,
        sample.file,
        sample.row,
        found.read - found.dropped,
    )


def ranks(values: FloatArray) -> FloatArray:
    """1 for the smallest, equal values share the mean of their ranks, (n,)."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    shared: FloatArray = (last - (counts - 1) / 2.0)[which]
    return shared


def rank_correlation(a: FloatArray, b: FloatArray) -> float:
    """Spearman's, 0 where one of them does not vary."""
    x, y = ranks(a), ranks(b)
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size > 0.0 else 0.0

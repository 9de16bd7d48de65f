"""Rows that repeat other rows: hashes of whole rows, the copies among them, and whether they can be coincidences."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.arrays import as_numpy, flat_column
from gradline.splits.roles import value_hashes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from gradline.splits.roles import Hashes
    from gradline.types import FloatArray, IntArray

TRULY_EQUAL = 0.5  # of the pairs that are equal in some columns, to be equal in all: else these columns tell nothing
SURPRISING = 20.0  # times the pairs that chance makes
MOST_DECIMALS = 9  # of a column of text or prices; numbers with more are taken for continuous
LEAST_COLUMNS = 3
MOST_COLUMNS = 100


def column_hashes(table: pa.Table | pa.RecordBatch, columns: Sequence[str]) -> list[Hashes]:
    """A hash of each value of some columns, (n,) each; the same value in two columns has two hashes."""
    return [value_hashes(position + 1, flat_column(table, name)) for position, name in enumerate(columns)]


def row_hashes_of(columns: Sequence[Hashes]) -> Hashes:
    """Of whole rows, (n,): equal rows have equal hashes."""
    hashes = np.zeros_like(columns[0])
    for each in columns:
        hashes ^= each
    return hashes


class Copies(NamedTuple):
    """later: the positions of rows that repeat an earlier one, ascending.  group: (n,) rows of one number are equal.

    pairs: how many pairs of rows are equal.
    """

    later: IntArray
    group: IntArray
    pairs: int


def copies(hashes: Hashes) -> Copies:
    """The rows whose hash an earlier one has."""
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    later = np.flatnonzero(first[group] != np.arange(len(hashes)))
    return Copies(later, group, _pairs(hashes))


def _pairs(hashes: Hashes) -> int:
    counts = np.unique(hashes, return_counts=True)[1]
    return int(np.sum(counts * (counts - 1) // 2))


def coincidental(table: pa.Table, columns: Sequence[str], hashes: Sequence[Hashes], pairs: int) -> bool:
    """Whether the equal rows can be chance: rows of few possible values meet by themselves.

    They were copied if a column of very many possible values is the same in them; or if there are no more pairs that are equal in all
    columns but one, whichever it is: chance would leave many such near misses for each hit.
    """
    n = len(hashes[0])
    whole = row_hashes_of(hashes)
    for name, each in zip(columns, hashes, strict=True):
        if pairs >= TRULY_EQUAL * _pairs(each) and pairs > SURPRISING * (n * (n - 1) / 2) / _possible(flat_column(table, name)):
            return False
    if not LEAST_COLUMNS <= len(columns) <= MOST_COLUMNS:
        return True
    misses = sum(_pairs(whole ^ each) - pairs for each in hashes)
    return misses > pairs


def _possible(values: pa.Array) -> float:
    """How many values a column of numbers could have in its range with its decimals; of others, how many it has."""
    import pyarrow as pa

    if not pa.types.is_integer(values.type) and not pa.types.is_floating(values.type):
        return 1.0
    numbers = as_numpy(values, null=0).astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return 1.0
    return max(_span(numbers), 1.0)


def _span(numbers: FloatArray) -> float:
    for decimals in range(MOST_DECIMALS + 1):
        scaled = numbers * 10.0**decimals
        if np.all(np.abs(scaled - np.rint(scaled)) <= 1e-12 * np.abs(scaled)):
            return float(scaled.max() - scaled.min())
    return np.inf

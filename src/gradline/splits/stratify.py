"""Stratified roles: the shares held out hold within each level of a column, or within each tenth of its numbers.

Within a stratum the rows are ordered by the hash of (seed, file, row number): the first ones are validation rows, the next ones test
rows. Of n rows in stratum s, with C rows in it and the strata before it, in the order of their hashes,

    validation   ⌊v·C + ½⌋ − ⌊v·(C − n) + ½⌋

so that v·n is kept to one row in each stratum and v·m to half a row in all, however small the strata are; the test rows likewise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradline.errors import DataError
from gradline.kinds import kind_of
from gradline.splits.roles import mix, row_hashes, time_ordinals, value_hashes
from gradline.types import Kind, Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa
    from numpy.typing import NDArray

    from gradline.splits.roles import Hashes, RoleArray
    from gradline.types import FloatArray, IntArray

TENTHS = 10
_ORDERED = (Kind.NUMBER, Kind.DATE, Kind.TIMESTAMP, Kind.TIME, Kind.DURATION)


@dataclass(frozen=True, slots=True, eq=False)
class StratifiedRoles:
    """Roles by the hash of (file, row number), within strata.

    edges: (e,) where a stratum of numbers begins, ascending; None where each value is one.  strata: (s,) the hashes of the strata,
    ascending.  least_test, least_training: (s,) the hashes at which the roles after validation begin in each of them.
    """

    column: str
    seed: int
    edges: FloatArray | None
    strata: Hashes
    least_test: Hashes
    least_training: Hashes

    @property
    def description(self) -> str:
        """For the plan."""
        each = "level" if self.edges is None else "tenth" if len(self.edges) + 1 == TENTHS else "range of values"
        return f"by a hash of the row number within each {each} of {self.column!r}, seed {self.seed}"

    def assign(self, file: int, first_row: int, rows: int, values: pa.Array | None) -> RoleArray:
        """See `Roles`."""
        assert values is not None
        at = np.minimum(np.searchsorted(self.strata, stratum_hashes(values, self.column, self.edges)), len(self.strata) - 1)
        hashes = row_hashes(self.seed, file, first_row, rows)
        roles = np.full(rows, Role.VALIDATION, dtype=np.uint8)
        roles[hashes >= self.least_test[at]] = Role.TEST
        roles[hashes >= self.least_training[at]] = Role.TRAINING
        return roles


def stratified_roles(
    column: str, read: Iterable[tuple[int, int, pa.Array]], seed: int, validation: float, test: float
) -> StratifiedRoles:
    """From all values of the column: (file, first row, values) of each block."""
    hashes, numbers, found = [], [], []
    for file, first_row, values in read:
        hashes.append(row_hashes(seed, file, first_row, len(values)))
        if kind_of(values.type) in _ORDERED:
            numbers.append(time_ordinals(values, column))
        else:
            found.append(stratum_hashes(values, column, None))
    if not hashes:
        raise DataError(f"column {column!r} holds no row.", "choose another column for --stratify.")
    edges = stratum_edges(np.concatenate(numbers)) if numbers else None
    each = np.concatenate([_of_numbers(part, edges) for part in numbers] if edges is not None else found)
    return _thresholds(column, seed, edges, each, np.concatenate(hashes), validation, test)


def _thresholds(
    column: str, seed: int, edges: FloatArray | None, each: Hashes, hashes: Hashes, validation: float, test: float
) -> StratifiedRoles:
    """each: (m,) the rows' strata.  hashes: (m,) of the rows."""
    strata, stratum, counts = np.unique(each, return_inverse=True, return_counts=True)
    ordered = hashes[np.lexsort((hashes, stratum))]
    ends = np.cumsum(counts)
    held_out = np.minimum(_shared(ends, counts, validation), counts)
    both = np.minimum(held_out + _shared(ends, counts, test), counts)
    return StratifiedRoles(
        column,
        seed,
        edges,
        strata,
        _first_past(ordered, ends, counts, held_out),
        _first_past(ordered, ends, counts, both),
    )


def _shared(ends: IntArray, counts: IntArray, share: float) -> IntArray:
    """How many rows of each stratum are the share of it."""
    upto = np.floor(share * np.stack([ends, ends - counts]) + 0.5)
    taken: IntArray = (upto[0] - upto[1]).astype(np.intp)
    return taken


def _first_past(ordered: Hashes, ends: IntArray, counts: IntArray, taken: IntArray) -> Hashes:
    """The hash of the row after the first `taken` of each stratum; past all hashes where it has no more."""
    at = ends - counts + taken
    return np.where(taken < counts, ordered[np.minimum(at, len(ordered) - 1)], np.uint64(0xFFFFFFFFFFFFFFFF))


def stratum_edges(numbers: FloatArray) -> FloatArray:
    """Where the strata of some numbers begin, ascending: at each value, of ten or fewer; else at the tenths. NaN is missing."""
    present: FloatArray = np.sort(numbers[~np.isnan(numbers)])
    firsts = np.flatnonzero(present[1:] != present[:-1]) + 1
    if len(firsts) < TENTHS:
        return present[firsts]
    return np.unique(present[len(present) * np.arange(1, TENTHS) // TENTHS])


def stratum_hashes(values: pa.Array, column: str, edges: FloatArray | None) -> Hashes:
    """What stratum each value is in, (n,): equal hashes are one."""
    return value_hashes(0, values) if edges is None else _of_numbers(time_ordinals(values, column), edges)


def _of_numbers(numbers: FloatArray, edges: FloatArray) -> NDArray[np.uint64]:
    stratum = np.searchsorted(edges, numbers, side="right")
    stratum[np.isnan(numbers)] = len(edges) + 1
    return mix(stratum.astype(np.uint64))

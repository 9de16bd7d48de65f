"""Strata: the levels of a column, or the tenths of its numbers, within each of which the shares held out hold, and those of the folds.

Within a stratum the rows are ordered by the hash of (seed, file, row number): the first ones are validation rows, the next ones test
rows. Of n rows in a stratum, with C rows in it and the strata before it, in the order of their hashes,

    validation   ⌊v·C + ½⌋ − ⌊v·(C − n) + ½⌋

so that v·n is kept to one row in each stratum and v·m to half a row in all, however small the strata are; the test rows likewise.
Its training rows are ordered by another hash and dealt out in K runs of n/K rows, to one row, from a fold on that its own hash decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.errors import DataError
from gradline.kinds import kind_of
from gradline.splits.divisions import fold_seed
from gradline.splits.roles import mix, row_hashes, time_ordinals, value_hashes
from gradline.types import Kind, Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

    from gradline.splits.roles import Hashes, RoleArray
    from gradline.types import FloatArray, IntArray

TENTHS = 10
LARGEST_HASH = np.uint64(0xFFFFFFFFFFFFFFFF)
_ORDERED = (Kind.NUMBER, Kind.DATE, Kind.TIMESTAMP, Kind.TIME, Kind.DURATION)


@dataclass(frozen=True, slots=True, eq=False)
class Strata:
    """edges: (e,) where a stratum of numbers begins, ascending; None where each value is one.  names: (s,) their hashes, ascending."""

    column: str
    edges: FloatArray | None
    names: Hashes

    def of(self, values: pa.Array) -> IntArray:
        """The stratum of each value, (n,); null is one of its own."""
        at = np.searchsorted(self.names, stratum_hashes(values, self.column, self.edges))
        return np.minimum(at, len(self.names) - 1)


class StrataRead(NamedTuple):
    """The strata of all rows. stratum: (m,).  places: (file, first row, rows) of each block."""

    strata: Strata
    stratum: IntArray
    places: Sequence[tuple[int, int, int]]

    def hashes(self, seed: int) -> Hashes:
        """Of all rows, (m,)."""
        return np.concatenate([row_hashes(seed, file, first, rows) for file, first, rows in self.places])


def read_strata(column: str, read: Iterable[tuple[int, int, pa.Array]]) -> StrataRead:
    """From all values of a column: (file, first row, values) of each block."""
    places, numbers, found = [], [], []
    for file, first_row, values in read:
        places.append((file, first_row, len(values)))
        if kind_of(values.type) in _ORDERED:
            numbers.append(time_ordinals(values, column))
        else:
            found.append(stratum_hashes(values, column, None))
    if not places:
        raise DataError(f"column {column!r} holds no row.", "choose another column for --stratify.")
    edges = stratum_edges(np.concatenate(numbers)) if numbers else None
    each = np.concatenate([_of_numbers(part, edges) for part in numbers] if edges is not None else found)
    names, stratum = np.unique(each, return_inverse=True)
    return StrataRead(Strata(column, edges, names), stratum, places)


@dataclass(frozen=True, slots=True, eq=False)
class StratifiedRoles:
    """Roles by the hash of (file, row number), within strata. least_test, least_training: (s,) the hashes at which these begin."""

    strata: Strata
    seed: int
    least_test: Hashes
    least_training: Hashes

    @property
    def column(self) -> str:
        """See `Roles`."""
        return self.strata.column

    @property
    def description(self) -> str:
        """For the plan."""
        edges = self.strata.edges
        each = "level" if edges is None else "tenth" if len(edges) + 1 == TENTHS else "range of values"
        return f"by a hash of the row number within each {each} of {self.column!r}, seed {self.seed}"

    def assign(self, file: int, first_row: int, rows: int, values: pa.Array | None) -> RoleArray:
        """See `Roles`."""
        assert values is not None
        return self.by_hash(row_hashes(self.seed, file, first_row, rows), self.strata.of(values))

    def by_hash(self, hashes: Hashes, stratum: IntArray) -> RoleArray:
        """The roles of rows with these hashes, (n,)."""
        roles = np.full(len(hashes), Role.VALIDATION, dtype=np.uint8)
        roles[hashes >= self.least_test[stratum]] = Role.TEST
        roles[hashes >= self.least_training[stratum]] = Role.TRAINING
        return roles


def stratified_roles(read: StrataRead, seed: int, validation: float, test: float) -> StratifiedRoles:
    """The shares of each stratum."""
    ordered, counts = _ordered(read.hashes(seed), read.stratum, len(read.strata.names))
    ends = np.cumsum(counts)
    held_out = np.minimum(_shared(ends, counts, validation), counts)
    both = np.minimum(held_out + _shared(ends, counts, test), counts)
    thresholds = (_first_past(ordered, ends, counts, taken) for taken in (held_out, both))
    return StratifiedRoles(read.strata, seed, *thresholds)


@dataclass(frozen=True, slots=True, eq=False)
class StratifiedFolds:
    """The folds of the training rows within strata, a `Division`. least: (K − 1, s) the hashes at which the runs begin.  first: (s,)."""

    strata: Strata
    seed: int
    least: Hashes
    first: IntArray
    whole: bool = True

    @property
    def count(self) -> int:
        """See `Division`."""
        return len(self.least) + 1

    def assign(self, file: int, first_row: int, rows: int, values: pa.Array | None) -> RoleArray:
        """See `Division`."""
        assert values is not None
        stratum, hashes = self.strata.of(values), row_hashes(self.seed, file, first_row, rows)
        folds = self.first[stratum]
        for least in self.least:
            folds += hashes >= least[stratum]
        return (folds % self.count).astype(np.uint8)


def stratified_folds(read: StrataRead, roles: StratifiedRoles, count: int, repeat: int) -> StratifiedFolds:
    """One division of the training rows into `count` folds."""
    trained = roles.by_hash(read.hashes(roles.seed), read.stratum) == Role.TRAINING
    seed = fold_seed(roles.seed, repeat)
    ordered, counts = _ordered(read.hashes(seed)[trained], read.stratum[trained], len(read.strata.names))
    ends = np.cumsum(counts)
    least = [_first_past(ordered, ends, counts, counts * k // count) for k in range(1, count)]
    first = (mix(read.strata.names ^ np.uint64(seed & 0xFFFFFFFFFFFFFFFF)) % np.uint64(count)).astype(np.intp)
    return StratifiedFolds(read.strata, seed, np.stack(least), first)


def _ordered(hashes: Hashes, stratum: IntArray, strata: int) -> tuple[Hashes, IntArray]:
    """The hashes by stratum, ascending within each; and how many rows each has."""
    return hashes[np.lexsort((hashes, stratum))], np.bincount(stratum, minlength=strata)


def _shared(ends: IntArray, counts: IntArray, share: float) -> IntArray:
    """How many rows of each stratum are the share of it."""
    upto = np.floor(share * np.stack([ends, ends - counts]) + 0.5)
    taken: IntArray = (upto[0] - upto[1]).astype(np.intp)
    return taken


def _first_past(ordered: Hashes, ends: IntArray, counts: IntArray, taken: IntArray) -> Hashes:
    """The hash of the row after the first `taken` of each stratum; past all hashes where it has no more."""
    if not len(ordered):
        return np.full(len(counts), LARGEST_HASH)
    return np.where(taken < counts, ordered[np.minimum(ends - counts + taken, len(ordered) - 1)], LARGEST_HASH)


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


def _of_numbers(numbers: FloatArray, edges: FloatArray) -> Hashes:
    stratum = np.searchsorted(edges, numbers, side="right")
    stratum[np.isnan(numbers)] = len(edges) + 1
    return mix(stratum.astype(np.uint64))

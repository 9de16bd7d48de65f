"""How the training rows are divided into parts that have moments of their own: folds, stretches of time, nested shares.

Whatever is asked of the parts follows from their moments: those of a union of parts are their merged ones.

    fold     ⌊K·hash(seed', key) / 2^64⌋, another hash of the key that decides the row's role
    origin   rows before c − gap are learned from, rows from c to the next origin are judged; c: the quantiles of the training times
    share    the rows of which that hash, of another seed, is below 2^64/2^j; by time the latest 2^−j of them: each holds the next
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from gradline.splits.roles import row_hashes, time_ordinals, value_hashes

if TYPE_CHECKING:
    import pyarrow as pa

    from gradline.splits.roles import Hashes, RoleArray
    from gradline.types import FloatArray

FOLD_SALT = 0xF01D
CURVE_SALT = 0xC0DE
HALVINGS = 6  # of the training rows: the smallest share is a 64th
NO_PART = 255  # a row that is in none
_PART_OF_64TH = np.array([HALVINGS, *(HALVINGS - k.bit_length() for k in range(1, 1 << HALVINGS))], dtype=np.uint8)


class Division(Protocol):
    """Divides rows. count: into how many parts.  whole: whether every row is in one."""

    @property
    def count(self) -> int: ...

    @property
    def whole(self) -> bool: ...

    def assign(self, file: int, first_row: int, rows: int, values: pa.Array | None) -> RoleArray:
        """The parts of consecutive rows, (rows,), NO_PART of those in none; `values` are those of the roles' column, if there is one."""
        ...


@dataclass(frozen=True, slots=True)
class Folds:
    """The fold of each row, for cross-validation: 0 to `count` − 1, by a hash of (file, row number), or of the value that decides the
    rows' roles: its rows stay together. The salt is not that of the roles, so that a role says nothing of the fold.

    repeat: another division for each.  by_row: by the row number whatever the values.
    """

    count: int
    seed: int
    repeat: int = 0
    by_row: bool = False
    whole: bool = True

    def assign(self, file: int, first_row: int, rows: int, values: pa.Array | None) -> RoleArray:
        """See `Division`."""
        hashes = _hashes(fold_seed(self.seed, self.repeat), file, first_row, rows, None if self.by_row else values)
        return (((hashes >> np.uint64(32)) * np.uint64(self.count)) >> np.uint64(32)).astype(np.uint8)


def fold_seed(seed: int, repeat: int) -> int:
    """Of the hashes that decide the folds."""
    return seed ^ FOLD_SALT ^ (repeat << 32)


@dataclass(frozen=True, slots=True)
class Shares:
    """Nested shares of the rows: part j < 6 holds those of a half, a quarter, … that the next share has not, part 6 the last 64th.

    by_row: by the row number whatever the values.  whole: whether the first half, which no smaller share holds, is a part as well;
    where the whole is known otherwise it need not be.
    """

    seed: int
    by_row: bool = False
    whole: bool = True

    @property
    def count(self) -> int:
        """See `Division`."""
        return HALVINGS + 1

    def assign(self, file: int, first_row: int, rows: int, values: pa.Array | None) -> RoleArray:
        """See `Division`."""
        hashes = _hashes(self.seed ^ CURVE_SALT, file, first_row, rows, None if self.by_row else values)
        return _without_first(_PART_OF_64TH[hashes >> np.uint64(64 - HALVINGS)], whole=self.whole)


@dataclass(frozen=True, slots=True)
class LatestShares:
    """As `Shares`, but the latest rows: part j begins at `edges[j − 1]`, ascending."""

    column: str
    edges: tuple[float, ...]
    whole: bool = True

    @property
    def count(self) -> int:
        """See `Division`."""
        return len(self.edges) + 1

    def assign(self, file: int, first_row: int, rows: int, values: pa.Array | None) -> RoleArray:
        """See `Division`."""
        return _without_first(_stretches(self.edges, values, self.column), whole=self.whole)


class Origin(NamedTuple):
    """Parts 0 to `learned` − 1 are learned from, parts `start` to `stop` − 1 judged; those between are in the gap."""

    learned: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class RollingOrigins:
    """Parts by time, cut at each origin and at the begin of the gap before it: `edges`, ascending."""

    column: str
    edges: tuple[float, ...]
    origins: tuple[Origin, ...]
    whole: bool = True

    @property
    def count(self) -> int:
        """See `Division`."""
        return len(self.edges) + 1

    def assign(self, file: int, first_row: int, rows: int, values: pa.Array | None) -> RoleArray:
        """See `Division`."""
        return _stretches(self.edges, values, self.column)


def rolling_origins(column: str, times: FloatArray, count: int, gap: float = 0.0) -> RollingOrigins:
    """`count` origins that cut the times of the training rows, (m,), into `count` + 1 stretches of as many rows each, or nearly."""
    ordered = np.sort(times)
    cuts = [float(ordered[len(ordered) * k // (count + 1)]) if len(ordered) else np.inf for k in range(1, count + 1)]
    edges = sorted({*cuts, *(cut - gap for cut in cuts)})
    ends = [*(edges.index(cut) + 1 for cut in cuts[1:]), len(edges) + 1]
    origins = [Origin(edges.index(cut - gap) + 1, edges.index(cut) + 1, end) for cut, end in zip(cuts, ends, strict=True)]
    return RollingOrigins(column, tuple(edges), tuple(origins))


def latest_shares(column: str, times: FloatArray, *, whole: bool) -> LatestShares:
    """Of the training rows' times, (m,)."""
    ordered = np.sort(times)
    starts = [len(ordered) - (len(ordered) >> j) for j in range(1, HALVINGS + 1)]
    edges = [float(ordered[start]) if start < len(ordered) else np.inf for start in starts]
    return LatestShares(column, tuple(edges), whole)


def _hashes(seed: int, file: int, first_row: int, rows: int, values: pa.Array | None) -> Hashes:
    return row_hashes(seed, file, first_row, rows) if values is None else value_hashes(seed, values)


def _stretches(edges: tuple[float, ...], values: pa.Array | None, column: str) -> RoleArray:
    """In which of the stretches of time between the edges each row is, (rows,)."""
    assert values is not None
    return np.searchsorted(np.array(edges), time_ordinals(values, column), side="right").astype(np.uint8)


def _without_first(parts: RoleArray, *, whole: bool) -> RoleArray:
    if not whole:
        parts[parts == 0] = NO_PART
    return parts

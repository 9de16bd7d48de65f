"""A row's role: training, validation or test, decided by what the row is and never by when it is read.

    u = hash(seed, key) / 2^64;   validation if u < v;   test if v ≤ u < v + t;   else training

The key is (file, row number), or the value of a column: then all rows of one value (a customer, a day) have one role. By
time, the latest rows are the test rows and those before them the validation rows; those in a gap before either have no role.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gradline.arrays import as_numpy
from gradline.errors import DataError
from gradline.types import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from gradline.types import FloatArray

    Hashes = NDArray[np.uint64]
    RoleArray = NDArray[np.uint8]

_STEP = np.uint64(0x9E3779B97F4A7C15)
LEFT_OUT = 255  # in place of a role: the row is used for nothing


def mix(values: Hashes) -> Hashes:
    """SplitMix64's finaliser: each bit of the result depends on each bit of the value (Steele, Lea & Flood 2014)."""
    return _mixed(values.copy())


def _mixed(z: Hashes) -> Hashes:
    """`mix` in place: new memory would cost as much as the arithmetic."""
    shifted = np.empty_like(z)
    with np.errstate(over="ignore"):
        z += _STEP
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            np.right_shift(z, np.uint64(shift), out=shifted)
            z ^= shifted
            z *= np.uint64(factor)
    np.right_shift(z, np.uint64(31), out=shifted)
    z ^= shifted
    return z


def row_hashes(seed: int, file: int, first_row: int, rows: int) -> Hashes:
    """A hash of (seed, file, row number) for consecutive rows, (rows,)."""
    salt = mix(mix(np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64)) ^ np.uint64(file))
    z = np.arange(first_row, first_row + rows, dtype=np.uint64)
    z ^= salt
    return _mixed(z)


def value_hashes(seed: int, values: pa.Array) -> Hashes:
    """A hash of (seed, value) for each value, (n,): equal values have equal hashes whatever their storage type.

    Whole numbers hash as integers, other numbers by their bits, text and all else by its characters; null has one hash.
    """
    import pyarrow as pa

    salt = mix(np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64))
    values = _canonical(values)
    if pa.types.is_integer(values.type):
        number = as_numpy(values)
        bits = number.astype(np.int64 if number.dtype.kind == "i" else np.uint64).view(np.uint64)
    elif pa.types.is_floating(values.type):
        number = as_numpy(values)
        whole = (number == np.rint(number)) & (number >= -(2.0**63)) & (number < 2.0**63)
        bits = np.where(whole, np.where(whole, number, 0.0).astype(np.int64).view(np.uint64), number.view(np.uint64))
        large = (number >= 2.0**63) & (number < 2.0**64)  # whole numbers that only unsigned integers hold
        bits[large] = number[large].astype(np.uint64)
    else:
        bits = _text_hashes(values)  # whatever stands where a value is null: its hash is replaced
    hashes = mix(bits ^ salt)
    if values.null_count:
        hashes[as_numpy(values.is_null())] = mix(salt ^ _STEP)[0]
    return hashes


def _canonical(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Values of one meaning in one type: integers, float64, or large strings; times as microseconds since 1970."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_integer(values.type):
        return values
    if pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        return pc.cast(values, pa.float64(), safe=False)
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        zone = getattr(values.type, "tz", None)
        return pc.cast(pc.cast(values, pa.timestamp("us", zone), safe=False), pa.int64())
    return pc.cast(values, pa.large_string())


def _text_hashes(text: pa.Array) -> Hashes:
    """A hash of each text: the sum over its bytes of mix(byte, position), then its length mixed in."""
    n = len(text)
    offsets = np.frombuffer(text.buffers()[1], dtype=np.int64)[text.offset : text.offset + n + 1]
    data = text.buffers()[2]
    if data is None or offsets[-1] == offsets[0]:
        return mix(np.zeros(n, dtype=np.uint64))
    raw = np.frombuffer(data, dtype=np.uint8)[offsets[0] : offsets[-1]]
    lengths = np.diff(offsets)
    position = np.arange(len(raw)) - np.repeat(offsets[:-1] - offsets[0], lengths)
    mixed = mix(raw.astype(np.uint64) | (position.astype(np.uint64) << np.uint64(8)))
    total = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    ends = offsets - offsets[0]
    with np.errstate(over="ignore"):
        sums = total[ends[1:]] - total[ends[:-1]]
    return mix(sums ^ lengths.astype(np.uint64))


class Roles(Protocol):
    """Assigns roles. column: what has to be read for it, or None; description: in the user's words."""

    @property
    def column(self) -> str | None: ...

    @property
    def description(self) -> str: ...

    def assign(self, file: int, first_row: int, rows: int, values: pa.Array | None) -> RoleArray:
        """The roles of consecutive rows, (rows,), or LEFT_OUT; `values` are those of `column`."""
        ...


def _by_share(hashes: Hashes, validation: float, test: float) -> RoleArray:
    """Validation below the first share of the hashes, test from there to the second."""
    first, both = (np.uint64(min(int(share * 2.0**64), 2**64 - 1)) for share in (validation, validation + test))
    roles: RoleArray = (hashes < both).view(np.uint8) * np.uint8(Role.TEST)
    roles -= (hashes < first).view(np.uint8) * np.uint8(Role.TEST - Role.VALIDATION)
    return roles


@dataclass(frozen=True, slots=True)
class RowRoles:
    """Roles by (file, row number)."""

    seed: int
    validation: float
    test: float
    column: None = None

    @property
    def description(self) -> str:
        """For the plan."""
        return f"by a hash of the row number, seed {self.seed}"

    def assign(self, file: int, first_row: int, rows: int, values: pa.Array | None) -> RoleArray:
        """See `Roles`."""
        if self.validation + self.test == 0.0:
            return np.full(rows, Role.TRAINING, dtype=np.uint8)
        return _by_share(row_hashes(self.seed, file, first_row, rows), self.validation, self.test)


@dataclass(frozen=True, slots=True)
class ValueRoles:
    """Roles by the value of a column: its rows stay together."""

    column: str
    seed: int
    validation: float
    test: float

    @property
    def description(self) -> str:
        """For the plan."""
        return f"by a hash of {self.column!r}, seed {self.seed}: rows of one value have one role"

    def assign(self, file: int, first_row: int, rows: int, values: pa.Array | None) -> RoleArray:
        """See `Roles`."""
        assert values is not None
        return _by_share(value_hashes(self.seed, values), self.validation, self.test)


@dataclass(frozen=True, slots=True)
class TimeRoles:
    """Roles by time: training before `validation_from` ≤ validation < `test_from` ≤ test. Times are ordinals.

    gap: rows of so long a time before either have no role; `gap_words`: as it was said.  rows: how many have a time.  backwards: before how many of them their file has a later one just before; first_backwards: the first.
    """

    column: str
    validation_from: float
    test_from: float
    rows: int = 0
    backwards: int = 0
    first_backwards: int = -1
    gap: float = 0.0
    gap_words: str = ""

    @property
    def description(self) -> str:
        """For the plan."""
        gap = f", and those up to {self.gap_words} before them left out" if self.gap else ""
        return f"by time: the latest rows of {self.column!r} are held out{gap}"

    def assign(self, file: int, first_row: int, rows: int, values: pa.Array | None) -> RoleArray:
        """See `Roles`."""
        assert values is not None
        time = time_ordinals(values, self.column)
        missing = np.isnan(time)
        if missing.any():
            raise DataError(
                f"column {self.column!r}: {np.count_nonzero(missing):,} rows have no time (first at row {first_row + int(np.argmax(missing)):,}).",
                "every row needs one to be placed before or after the others; filter them out with SQL text.",
            )
        roles = np.full(rows, Role.TRAINING, dtype=np.uint8)
        roles[time >= self.validation_from] = Role.VALIDATION
        roles[time >= self.test_from] = Role.TEST
        for start in (self.validation_from, self.test_from) if self.gap else ():
            roles[(time >= start - self.gap) & (time < start)] = LEFT_OUT
        return roles

    def learned(self, times: FloatArray) -> FloatArray:
        """The times of training rows among some, (n,)."""
        return times[times < min(self.validation_from, self.test_from) - self.gap]


def time_roles(
    column: str,
    times: FloatArray,
    validation: float,
    test: float,
    starts: Sequence[int] = (0,),
    gap: float = 0.0,
    gap_words: str = "",
) -> TimeRoles:
    """Roles by time from all times, (m,). Rows of one time stay together, so the shares are approximate.

    starts: where the rows of each file begin.  gap, gap_words: see `TimeRoles`.
    """
    back = np.flatnonzero(times[1:] < times[:-1]) + 1
    back = back[~np.isin(back, np.asarray(starts))]
    first = int(back[0]) - max(start for start in starts if start <= back[0]) if len(back) else -1
    times = np.sort(times[~np.isnan(times)])
    if not len(times):
        raise DataError(f"column {column!r} holds no time.", "choose another column for --time.")

    def cut(share: float) -> float:
        index = round(len(times) * (1.0 - share))
        return float(times[index]) if share > 0.0 and index < len(times) else np.inf

    return TimeRoles(column, cut(validation + test), cut(test), len(times), len(back), first, gap, gap_words)


def time_ordinals(values: pa.Array, column: str) -> FloatArray:
    """Times as numbers that have their order, (n,); NaN where null. ISO text is read as a time."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):  # text of a Parquet file, as it is read
        values = pc.cast(values, values.type.value_type)
    kind = values.type
    try:
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            values = pc.cast(pc.replace_substring_regex(values, r"Z$", ""), pa.timestamp("us"))
        if pa.types.is_temporal(values.type):
            unit = pa.int32() if values.type.bit_width == 32 else pa.int64()
            values = pc.cast(values, unit)
        return as_numpy(pc.cast(values, pa.float64(), safe=False), null=np.nan)
    except (pa.ArrowException, ValueError) as error:
        raise DataError(
            f"column {column!r} ({kind}) is not a time: {str(error).splitlines()[0]}",
            "--time takes dates, timestamps, ISO text or numbers.",
        ) from error

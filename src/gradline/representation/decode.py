"""From an Arrow batch to numbers and codes, column by column.

Numbers, booleans, times of day and durations are one number. Text is a category. A date is its days since 1970 and the
categories month and weekday; a timestamp has the hour as well. Missing is NaN, or the code −1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gradline.arrays import as_arrow, as_numpy, flat_column
from gradline.errors import DataError
from gradline.kinds import kind_of
from gradline.representation.derive import with_derived
from gradline.types import CategoryColumn, Decoded, Kind, NumberColumn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gradline.representation.derive import Derived
    from gradline.types import FloatArray, IntArray

MONTHS = tuple(str(month) for month in range(1, 13))
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HOURS = tuple(str(hour) for hour in range(24))
DAY_MICROSECONDS = 86_400_000_000
TICKS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}  # a second
DATE_PARTS = ("days", "month", "weekday", "hour")
LARGEST_WHOLE = 2.0**50  # of a decimal's digits, for a product off by three roundings to be within a half of it
REST = ""  # the text of the level that stands for all levels not listed; its part is OTHER


@dataclass(frozen=True, slots=True)
class Decoder:
    """Decodes some columns.

    kinds: what each column is taken for, in the order of the features.  listed: the only levels that a category may have;
    any other is of the rest.  derived: the numbers that are computed of them.
    """

    kinds: Mapping[str, Kind]
    listed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    derived: tuple[Derived, ...] = ()

    def decode(self, table: pa.RecordBatch | pa.Table, first_row: int = 0) -> Decoded:
        """The columns as numbers and codes, with the derived numbers. Raises DataError as `columns` and `derive` do."""
        return self.derive(self.columns(table, first_row), np.arange(first_row, first_row + table.num_rows))

    def derive(self, decoded: Decoded, row: IntArray) -> Decoded:
        """Some rows with their derived numbers. row: (n,) their numbers.  Raises DataError where one cannot be computed."""
        return with_derived(decoded, self.derived, row)

    def columns(self, table: pa.RecordBatch | pa.Table, first_row: int = 0) -> Decoded:
        """The table's own columns. Raises DataError where a value does not fit its declared kind."""
        numbers: list[NumberColumn] = []
        categories: list[CategoryColumn] = []
        for name, kind in self.kinds.items():
            values = flat_column(table, name)
            match kind:
                case Kind.TEXT:
                    categories.append(self._category(name, values))
                case Kind.DATE | Kind.TIMESTAMP:
                    number, parts = _date_parts(name, values, kind, first_row)
                    numbers.append(number)
                    categories.extend(parts)
                case _:
                    numbers.append(NumberColumn(name, as_numbers(name, values, kind, first_row)))
        return Decoded(table.num_rows, tuple(numbers), tuple(categories))

    def _category(self, name: str, values: pa.Array) -> CategoryColumn:
        levels, codes = text_codes(values)
        listed = self.listed.get(name)
        if listed is None:
            return CategoryColumn(name, codes, levels)
        position = {level: i for i, level in enumerate(listed)}
        renumber = np.array([position.get(level, len(listed)) for level in levels] + [-1], dtype=np.intp)
        return CategoryColumn(name, renumber[codes], (*listed, REST), rest=len(listed))


def text_codes(values: pa.Array) -> tuple[tuple[str, ...], np.ndarray[Any, np.dtype[np.intp]]]:
    """The distinct texts that occur, sorted, and for each row the position of its own, −1 where null.

    Sorted, whatever stores them in which order: most blocks then have the same levels, and nothing is moved when they merge.
    """
    if pa.types.is_dictionary(values.type) and not _plain_dictionary(values):
        values = values.dictionary_decode()
    if not pa.types.is_dictionary(values.type):
        if not pa.types.is_large_string(values.type) and not pa.types.is_string(values.type):
            values = pc.cast(values, pa.large_string())
        values = values.dictionary_encode()
    texts, missing = values.dictionary, values.null_count > 0
    codes = as_numpy(pc.cast(values.indices, pa.int64()), null=-1)
    order = pc.array_sort_indices(texts)
    rank = np.empty(len(texts) + 1, dtype=np.intp)
    rank[as_numpy(order)], rank[-1] = np.arange(len(texts)), -1
    if len(texts):
        seen = np.bincount(codes + 1, minlength=len(texts) + 1)[1:] if missing else np.bincount(codes, minlength=len(texts))
        kept = np.flatnonzero(seen[as_numpy(order)])
        if len(kept) < len(texts):  # a dictionary may hold what no row has, or no row of this block
            order = pc.take(order, as_arrow(kept))
            rank[:-1][as_numpy(order)] = np.arange(len(kept))
    return tuple(_texts(pc.take(texts, order))), rank[codes]


def _plain_dictionary(values: pa.Array) -> bool:
    """Whether a dictionary is of texts, each there once."""
    texts = values.dictionary
    if not pa.types.is_string(texts.type) and not pa.types.is_large_string(texts.type):
        return False
    return texts.null_count == 0 and len(pc.unique(texts)) == len(texts)


def as_numbers(name: str, values: pa.Array, kind: Kind, first_row: int = 0) -> FloatArray:
    """A column as float64, NaN where missing: numbers as they are, booleans 0 and 1, times and durations in seconds."""
    stored = kind_of(values.type)
    if stored is Kind.EMPTY:
        return np.full(len(values), np.nan)
    if kind is Kind.NUMBER and stored is Kind.TEXT:
        return _parsed(name, values, pa.float64(), kind, first_row)
    if kind is Kind.BOOLEAN and stored is Kind.TEXT:
        return _parsed(name, values, pa.bool_(), kind, first_row)
    if kind is Kind.TIME and stored is Kind.TEXT:
        values = _cast(name, values, pa.time64("us"), kind, first_row)
        stored = Kind.TIME
    if stored in (Kind.TIME, Kind.DURATION):
        whole = pc.cast(values, pa.int32() if values.type.bit_width == 32 else pa.int64())
        return _float(whole) / TICKS[values.type.unit]
    if stored is Kind.BOOLEAN:
        values = pc.cast(values, pa.uint8())
    return _float(values)


def _float(values: pa.Array) -> FloatArray:
    if pa.types.is_decimal(values.type):
        return _nearest(values)
    if values.type != pa.float64():
        values = pc.cast(values, pa.float64(), safe=False)
    return as_numpy(values, null=np.nan)


def _nearest(values: pa.Array) -> FloatArray:
    """Decimals as the nearest float64, as a CSV with the same digits has them: Arrow's cast is off by a last bit for many."""
    near = as_numpy(pc.cast(values, pa.float64(), safe=False), null=np.nan)
    scale = values.type.scale
    whole = np.rint(near * 10.0**scale)
    if 0 <= scale <= 22 and not np.any(np.abs(whole) > LARGEST_WHOLE):  # then both are exact, and their quotient is rounded once
        exact: FloatArray = whole / 10.0**scale
        return exact
    return _float(pc.cast(pc.cast(values, pa.string()), pa.float64()))


def _parsed(name: str, values: pa.Array, target: pa.DataType, kind: Kind, first_row: int) -> FloatArray:
    parsed = _cast(name, values, target, kind, first_row)
    return _float(pc.cast(parsed, pa.uint8()) if pa.types.is_boolean(target) else parsed)


def _cast(name: str, values: pa.Array, target: pa.DataType, kind: Kind, first_row: int) -> pa.Array:
    """Text as another type; DataError with the count and the first row of the values that are none."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    values = pc.utf8_trim_whitespace(pc.cast(values, pa.large_string()))
    texts = values
    if pa.types.is_timestamp(target):  # times are kept in UTC; an offset other than Z is refused, not dropped
        values = pc.replace_substring_regex(values, r"Z$", "")
    if pa.types.is_time(target):  # Arrow reads times of day only as part of a time
        values = pc.binary_join_element_wise(
            pa.scalar("1970-01-01", pa.large_string()), values, pa.scalar(" ", pa.large_string())
        )
        target = pa.timestamp("us")
    try:
        parsed = pc.cast(values, target)
        return pc.cast(parsed, pa.time64("us")) if kind is Kind.TIME else parsed
    except pa.ArrowException:
        levels, codes = text_codes(texts)
        if kind is Kind.TIME:
            levels_as_read = tuple(f"1970-01-01 {level}" for level in levels)
        else:
            levels_as_read = levels
        bad = np.array([not _fits(level, target) for level in levels_as_read] + [False])
        rows = np.flatnonzero(bad[codes])
        raise DataError(
            f"column {name!r}: {len(rows):,} values are no {kind} (first at row {first_row + int(rows[0]):,}: "
            f"{levels[codes[rows[0]]][:40]!r}).",
            f"declare the column text (--types {name}=text), drop it (--drop {name}), or clean it with SQL text.",
        ) from None


def _fits(text: str, target: pa.DataType) -> bool:
    try:
        pc.cast(pa.scalar(text), target)
    except pa.ArrowException:
        return False
    return True


def _date_parts(name: str, values: pa.Array, kind: Kind, first_row: int) -> tuple[NumberColumn, list[CategoryColumn]]:
    if kind_of(values.type) is Kind.EMPTY:
        values = pc.cast(values, pa.timestamp("us"))
    if kind_of(values.type) is Kind.TEXT:
        target = pa.date32() if kind is Kind.DATE else pa.timestamp("us")
        values = _cast(name, values, target, kind, first_row)
    if getattr(values.type, "tz", None) is not None:  # the instant in UTC: local clocks would need a time zone database
        values = pc.cast(values, pa.timestamp(values.type.unit, "UTC"))
        values = pc.cast(values, pa.timestamp(values.type.unit))
    missing = as_numpy(values.is_null())
    microseconds = as_numpy(pc.cast(pc.cast(values, pa.timestamp("us"), safe=False), pa.int64()))
    days = microseconds / DAY_MICROSECONDS
    number = NumberColumn(f"{name}.days", np.where(missing, np.nan, days))
    whole_days = microseconds // DAY_MICROSECONDS
    month = whole_days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
    weekday = (whole_days + 3) % 7  # 1970-01-01 was a Thursday
    parts = [("month", month, MONTHS), ("weekday", weekday, WEEKDAYS)]
    if kind is Kind.TIMESTAMP:
        parts.append(("hour", microseconds % DAY_MICROSECONDS // (DAY_MICROSECONDS // 24), HOURS))
    codes = [(part, np.where(missing, -1, code).astype(np.intp), levels) for part, code, levels in parts]
    return number, [CategoryColumn(f"{name}.{part}", code, levels, False) for part, code, levels in codes]


def _texts(values: pa.Array) -> list[str]:
    """Texts as Python's. Raises DataError for bytes that are none, as a damaged file holds them."""
    try:
        texts: list[str] = values.to_pylist()
    except UnicodeDecodeError as error:
        raise DataError(f"a text is not UTF-8: {error}.", "is the file damaged?") from error
    return texts

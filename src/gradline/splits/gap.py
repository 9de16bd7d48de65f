"""The gap before held-out rows: how long it is, in the unit of the column of times.

Features made of past targets (lags, running means) and targets that span a time are shared by the rows on either side of the cut; and who
predicts so far ahead has no later targets to train on. Rows with a time within the gap before the first held-out one are used for
nothing:   c − gap ≤ time < c
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from gradline.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_GAP = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]([+-]?[0-9]{1,3}))?\s*(s|min|m|h|d|w)?\s*")


class Gap(NamedTuple):
    """As it was said. unit: None for a plain number."""

    value: float
    unit: str | None

    def ordinals(self, kind: pa.DataType, column: str) -> float:
        """In the unit that `time_ordinals` gives to a column of this type. Raises UsageError where it has another kind of unit."""
        per_second = ordinals_per_second(kind)
        if per_second is None:
            if self.unit is not None:
                raise UsageError(
                    f"--gap {self.value:g}{self.unit}: {column!r} is {kind}, a number without that unit.", "--gap 7."
                )
            return self.value
        if self.unit is None and self.value:
            raise UsageError(f"--gap {self.value:g}: {column!r} is {kind}, and the gap has no unit.", "such as 7d, 12h or 30m.")
        return self.value * SECONDS[self.unit or "s"] * per_second


def parsed_gap(text: str) -> Gap:
    """`7d`, `12h`, `30m`, `2w`, `45s`, or a number. Raises UsageError."""
    found = _GAP.fullmatch(text)
    if found is None:
        raise UsageError(f"--gap {text!r} is no length of time.", "give 7d, 12h, 30m, 45s, 2w, or a number in the column's unit.")
    return Gap(float(found[1] + (f"e{found[2]}" if found[2] else "")), found[3])


def ordinals_per_second(kind: pa.DataType) -> float | None:
    """How many of a column's ordinals are a second; None for plain numbers. Text is read as microseconds."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        return ordinals_per_second(kind.value_type)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return 1e6
    if types.is_date32(kind):
        return 1.0 / SECONDS["d"]
    if types.is_date64(kind):
        return 1e3
    if types.is_timestamp(kind) or types.is_time(kind) or types.is_duration(kind):
        return {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]
    return None

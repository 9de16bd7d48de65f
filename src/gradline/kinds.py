"""Which kind of column an Arrow type is, and which the user declares."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from gradline.errors import UsageError, did_you_mean
from gradline.types import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

DECLARABLE = (Kind.NUMBER, Kind.BOOLEAN, Kind.TEXT, Kind.DATE, Kind.TIMESTAMP, Kind.TIME)


@lru_cache(maxsize=256)
def kind_of(data_type: pa.DataType) -> Kind:
    """The kind of an Arrow type; a dictionary is text, whatever its values: its author called it a category."""
    from pyarrow import types

    tests = (
        (Kind.BOOLEAN, types.is_boolean),
        (Kind.NUMBER, types.is_integer),
        (Kind.NUMBER, types.is_floating),
        (Kind.NUMBER, types.is_decimal),
        (Kind.TEXT, types.is_string),
        (Kind.TEXT, types.is_large_string),
        (Kind.TEXT, types.is_string_view),
        (Kind.TEXT, types.is_dictionary),
        (Kind.DATE, types.is_date),
        (Kind.TIMESTAMP, types.is_timestamp),
        (Kind.TIME, types.is_time),
        (Kind.DURATION, types.is_duration),
        (Kind.EMPTY, types.is_null),
    )
    return next((kind for kind, test in tests if test(data_type)), Kind.UNSUPPORTED)


def declared_kinds(types: Mapping[str, str]) -> dict[str, Kind]:
    """The kinds that the user declares with `--types zip=text`."""
    kinds = {}
    for column, word in types.items():
        if word not in DECLARABLE:
            raise UsageError(f"--types {column}={word}: there is no type {word!r}.", did_you_mean(word, DECLARABLE))
        kinds[column] = Kind(word)
    return kinds

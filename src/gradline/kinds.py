"""Which kind of column an Arrow type is, and a column of a batch as one array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gradline.errors import UsageError, did_you_mean
from gradline.types import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from numpy.typing import NDArray

DECLARABLE = (Kind.NUMBER, Kind.BOOLEAN, Kind.TEXT, Kind.DATE, Kind.TIMESTAMP, Kind.TIME)


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


def flat_column(table: pa.RecordBatch | pa.Table, name: str) -> pa.Array:
    """A column as one array, however many chunks it has."""
    import pyarrow as pa

    values = table.column(name)
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def declared_kinds(types: Mapping[str, str]) -> dict[str, Kind]:
    """The kinds that the user declares with `--types zip=text`."""
    kinds = {}
    for column, word in types.items():
        if word not in DECLARABLE:
            raise UsageError(f"--types {column}={word}: there is no type {word!r}.", did_you_mean(word, DECLARABLE))
        kinds[column] = Kind(word)
    return kinds


def as_numpy(values: pa.Array | pa.ChunkedArray, null: float = 0) -> NDArray[Any]:
    """An array of numbers or booleans as NumPy, `null` for nulls; one piece without nulls is not copied.

    Arrow's own `to_numpy` and `fill_null` would import pandas, where it is installed: 0.2 s.
    """
    import pyarrow as pa

    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if values.null_count:
        stored = pa.Array.from_buffers(values.type, len(values), [None, *values.buffers()[1:]], offset=values.offset)
        numbers = as_numpy(stored)
        return np.where(as_numpy(values.is_null()), np.asarray(null, dtype=numbers.dtype), numbers)
    if pa.types.is_boolean(values.type):
        return np.from_dlpack(values.cast(pa.uint8())).view(np.bool_)
    return np.from_dlpack(values)


def as_arrow(values: NDArray[Any], *, nan_is_null: bool = False) -> pa.Array:
    """NumPy values (n,) as an Arrow array. Contiguous numbers are not copied, nor is pandas imported for them."""
    import pyarrow as pa

    values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
    if values.dtype.kind == "b":
        return as_arrow(values.view(np.uint8)).cast(pa.bool_())
    if values.dtype.kind not in "iuf":
        return pa.array(values, from_pandas=nan_is_null)
    present = as_arrow(~np.isnan(values)).buffers()[1] if nan_is_null else None
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [present, pa.py_buffer(values)])

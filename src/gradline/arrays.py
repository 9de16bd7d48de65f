"""Between Arrow and NumPy, without a copy where there need be none, and without pandas, which Arrow's own ways (`to_numpy`,
`pa.array`, `pa.scalar`, `take`) import wherever it is installed: 0.2 s of a command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


def flat_column(table: pa.RecordBatch | pa.Table, name: str) -> pa.Array:
    """A column as one array, however many chunks it has."""
    import pyarrow as pa

    values = table.column(name)
    return one_piece(values) if isinstance(values, pa.ChunkedArray) else values


def one_piece(values: pa.ChunkedArray) -> pa.Array:
    """The chunks as one array; `combine_chunks` copies even a single one."""
    return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()


def as_numpy(values: pa.Array | pa.ChunkedArray, null: float = 0) -> NDArray[Any]:
    """An array of numbers or booleans as NumPy, `null` for nulls; one piece without nulls is not copied."""
    import pyarrow as pa

    if isinstance(values, pa.ChunkedArray):
        values = one_piece(values)
    if values.null_count:
        stored = pa.Array.from_buffers(values.type, len(values), [None, *values.buffers()[1:]], offset=values.offset)
        numbers = as_numpy(stored)
        return np.where(as_numpy(values.is_null()), np.asarray(null, dtype=numbers.dtype), numbers)
    if pa.types.is_boolean(values.type):
        return np.from_dlpack(values.cast(pa.uint8())).view(np.bool_)
    return np.from_dlpack(values)


def as_arrow(values: NDArray[Any], kind: pa.DataType | None = None, *, nan_is_null: bool = False) -> pa.Array:
    """NumPy values (n,) as an Arrow array. Contiguous numbers are not copied.

    kind: the type of what is no number; found out where it is None.
    """
    import pyarrow as pa

    values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
    if values.dtype.kind == "b":
        return as_arrow(values.view(np.uint8)).cast(pa.bool_())
    if values.dtype.kind not in "iuf":
        return pa.array(values, kind, from_pandas=nan_is_null)
    present = as_arrow(~np.isnan(values)).buffers()[1] if nan_is_null else None
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [present, pa.py_buffer(values)])

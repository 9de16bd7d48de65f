"""What is compiled: the pass over a block, joint counts, and the steps of mini-batches between two records (kernels.c).

`hatch_build.py` compiles it when gradline is installed, where there is a C compiler. Where there is none, or with
GRADLINE_KERNELS=numpy, NumPy does the same work at less speed, to the last digits but not to the bit. decision 0041
"""

from __future__ import annotations

import ctypes
import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradline.maths.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.types import FloatArray, IntArray

SWITCH = "GRADLINE_KERNELS"  # numpy: do without
ROWS, WIDTH, FEW = 128, 12, 4096  # as in kernels.c
MOST_COLUMNS = 1_000  # past them the products no longer fit the cache, and BLAS is quicker
ALIGNED = 4  # numbers: the border of a tile

_tiles = Scratch()


class _Categories(ctypes.Structure):
    _fields_ = (
        ("count", ctypes.c_int64),
        ("codes", ctypes.c_void_p),
        ("levels", ctypes.c_void_p),
        ("sums", ctypes.c_void_p),
        ("partial", ctypes.c_void_p),
    )


@lru_cache(maxsize=1)
def _library() -> Any:
    """The library that was made from the source beside it; None where there is none."""
    source = Path(__file__).with_name("kernels.c")
    try:
        made = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
        library = ctypes.CDLL(str(source.with_name(f"kernels-{made}.so")))
    except OSError:
        return None
    number, address = ctypes.c_int64, ctypes.c_void_p
    library.gradline_tally.restype = number
    library.gradline_tally.argtypes = [
        *(number, address, address, number, number, number, address, number),
        *(address, address, number, address, address, address, address, address),
    ]
    library.gradline_joint.restype = None
    library.gradline_joint.argtypes = [number, address, address, number, number, address, address]
    library.gradline_descend.restype = None
    library.gradline_descend.argtypes = [
        *(number, number, address, address, address, number, address, address, address, address),
        *(ctypes.c_double, ctypes.c_double, number, address, address, address, address),
    ]
    return library


def compiled() -> bool:
    """Whether the kernels are there and wanted."""
    return os.environ.get(SWITCH) != "numpy" and _library() is not None


def fits(columns: int) -> bool:
    """Whether the pass over so many numbers is to be the compiled one."""
    return columns <= MOST_COLUMNS and compiled()


def lies_by_rows(matrix: np.ndarray[Any, Any]) -> bool:
    """Whether the pass takes these rows as they lie."""
    row, value = matrix.strides
    plain = matrix.dtype in (np.float32, np.float64) and matrix.dtype.isnative and matrix.flags.aligned
    return plain and value == matrix.itemsize and row >= 0 and row % matrix.itemsize == 0


def tally(
    rows: int,
    columns: Sequence[FloatArray],
    shift: FloatArray,
    at: IntArray | None,
    weight: FloatArray | None,
    matrix: np.ndarray[Any, Any] | None,
    categories: Sequence[tuple[IntArray, int]],
) -> tuple[FloatArray, list[FloatArray], FloatArray, FloatArray] | None:
    """Over some rows, of z = x − shift and a one: Σ w z z' (q + 1, q + 1), Σ w z by level (levels, q + 1) of each category, and the
    least and the greatest x (q,). None where a number is missing.

    columns: q of them; the first ones are those of `matrix`, if it is given.  at: (rows,) positions, None for all.  weight: (rows,).
    categories: codes (rows,), and how many levels; a greater code counts nowhere.
    """
    q, k = len(columns), 0 if matrix is None else matrix.shape[1]
    pitch = -(-(q + 1) // WIDTH) * WIDTH
    gram, bounds = np.zeros((pitch, pitch)), np.empty((2, q))
    bounds[0], bounds[1] = np.inf, -np.inf
    beside = [np.ascontiguousarray(column) for column in columns[k:]]
    codes = [np.ascontiguousarray(each, dtype=np.int64) for each, _ in categories]
    levels = np.array([count for _, count in categories], dtype=np.int64)
    sums = [np.zeros((count, pitch)) for count in levels]
    partial = [np.zeros_like(each) if each.size <= FEW else None for each in sums]
    lists = [_addresses(codes), _addresses(sums), _addresses(partial), _addresses(beside)]
    described = _Categories(len(levels), lists[0].ctypes.data, levels.ctypes.data, lists[1].ctypes.data, lists[2].ctypes.data)
    room = _tiles.of(1, (2 if weight is not None else 1) * ROWS * pitch + ALIGNED)[0]
    tile = room[(-room.ctypes.data % (8 * ALIGNED)) // 8 :]
    shift = np.ascontiguousarray(shift)
    missing = _library().gradline_tally(
        rows,
        _address(at),
        _address(matrix),
        0 if matrix is None else matrix.strides[0] // matrix.itemsize,
        int(matrix is not None and matrix.dtype == np.float32),
        k,
        lists[3].ctypes.data,
        len(beside),
        _address(weight),
        shift.ctypes.data,
        pitch,
        gram.ctypes.data,
        bounds[0].ctypes.data,
        bounds[1].ctypes.data,
        ctypes.addressof(described),
        tile.ctypes.data,
    )
    if missing:
        return None
    gram = gram[: q + 1, : q + 1]
    above = np.triu(gram)
    return above + np.triu(gram, 1).T, [each[:, : q + 1] for each in sums], bounds[0], bounds[1]


def joint(a: IntArray, b: IntArray, levels: tuple[int, int], weight: FloatArray | None) -> FloatArray:
    """The weight of each pair of levels (levels of a, levels of b); a row with a greater code counts nowhere."""
    found = np.zeros(levels)
    a, b = np.ascontiguousarray(a, dtype=np.int64), np.ascontiguousarray(b, dtype=np.int64)
    weight = None if weight is None else np.ascontiguousarray(weight)
    _library().gradline_joint(len(a), a.ctypes.data, b.ctypes.data, *levels, _address(weight), found.ctypes.data)
    return found


def descend(
    X: FloatArray,
    y: FloatArray,
    weight: FloatArray | None,
    batches: tuple[IntArray, IntArray],
    rates: FloatArray,
    shares: FloatArray | None,
    mean_weight: float,
    l2: float,
    penalised: int,
    iterate: FloatArray,
    average: FloatArray,
    before: FloatArray,
) -> None:
    """Steps of (averaged) descent on batches of the rows X (n, k), in place: see kernels.c.

    batches: the first row and the number of rows of each step.  rates, shares: of each step; shares None for no average.
    penalised: how many of the coordinates l2 is of.  before: the average, or without one the iterate, before the last step.
    """
    firsts, sizes = (np.ascontiguousarray(each, dtype=np.int64) for each in batches)
    room = np.empty_like(iterate)
    _library().gradline_descend(
        len(y),
        X.shape[1],
        X.ctypes.data,
        y.ctypes.data,
        _address(weight),
        len(rates),
        firsts.ctypes.data,
        sizes.ctypes.data,
        rates.ctypes.data,
        _address(shares),
        mean_weight,
        l2,
        penalised,
        iterate.ctypes.data,
        average.ctypes.data,
        before.ctypes.data,
        room.ctypes.data,
    )


def _address(array: np.ndarray[Any, Any] | None) -> int | None:
    return None if array is None else array.ctypes.data


def _addresses(arrays: Sequence[np.ndarray[Any, Any] | None]) -> np.ndarray[Any, Any]:
    """Of each, 0 for None, as C reads them; they are kept by who has the arrays."""
    return np.array([_address(each) or 0 for each in arrays], dtype=np.uintp)

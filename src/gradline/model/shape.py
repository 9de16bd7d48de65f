"""The shape of a document and the form of an array, looked at before anything is made of them.

The checksums show damage; these checks keep an edited file from being half believed: it is refused when it is read, not met
by the first command that stumbles over it.
"""

from __future__ import annotations

import io
import json
from math import isfinite, prod
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gradline.types import Json

Shape = (
    Any  # a type, a tuple of shapes of which one must fit, {key: shape}, [shape of each], or Each(shape) of a mapping's values
)


class Each:
    """A mapping of text to values of one shape."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape


class Maybe:
    """A key that may be left out."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape


LARGEST = 2**1000  # of a whole number: it must fit into a float64
NUMBER = (float, int)
GIVEN = (*NUMBER, None)  # a number, or null
WORD = (str, None)


def parsed(data: bytes) -> Json:
    """A document. Raises ValueError for what is none, and for numbers that are no numbers."""
    document: Json = json.loads(data, parse_constant=_no_number, parse_float=_finite)
    return document


def float_array(data: bytes, name: str, *, finite: bool = True) -> np.ndarray[Any, Any]:
    """An array of float64 from the bytes of a .npy file, whose header must claim exactly the bytes that follow it."""
    file = io.BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError(f"{name} is of another version")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    rest = data[file.tell() :]
    if dtype != np.dtype("<f8") or any(size < 0 for size in shape) or 8 * prod(shape) != len(rest):
        raise ValueError(f"{name} claims {shape} of {dtype}, and {len(rest):,} bytes follow")
    values = np.frombuffer(rest, dtype="<f8").astype(np.float64).reshape(shape, order="F" if fortran else "C")
    if finite and not np.all(np.isfinite(values)):
        raise ValueError(f"{name} holds values that are no numbers")
    return values


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _finite(text: str) -> float:
    value = float(text)
    return value if isfinite(value) else _no_number(text)


def check(value: Any, shape: Shape, where: str) -> None:
    """Raise ValueError, which says where, for a value that has another shape."""
    match shape:
        case Each():
            check(value, dict, where)
            if not _all_floats(value.values(), shape.shape):
                for key, part in value.items():
                    check(part, shape.shape, f"{where}.{key}")
        case dict():
            check(value, dict, where)
            for key, part in shape.items():
                if key in value:
                    check(value[key], part.shape if isinstance(part, Maybe) else part, f"{where}.{key}")
                elif not isinstance(part, Maybe):
                    raise ValueError(f"{where}.{key} is not there")
        case list():
            check(value, list, where)
            if not _all_floats(value, shape[0]):
                for i, part in enumerate(value):
                    check(part, shape[0], f"{where}.{i}")
        case tuple():
            if any(_fits(value, each) for each in shape):
                return
            deep = [each for each in shape if isinstance(each, dict | list | Each) and isinstance(value, dict | list)]
            if not deep:
                raise ValueError(f"{where} is {str(value)[:40]!r}")
            check(value, deep[0], where)
        case _:
            if not _fits(value, shape):
                raise ValueError(f"{where} is {str(value)[:40]!r}")


def _all_floats(values: Iterable[Any], shape: Shape) -> bool:
    """The common case, of which there may be a million."""
    return shape in (NUMBER, GIVEN) and set(map(type, values)) <= {float}


def _fits(value: Any, shape: Shape) -> bool:
    """Whether a value is of a plain type: True is no number, and 10^400 no float64."""
    if not isinstance(shape, type):
        return shape is None and value is None
    if shape is int:
        return type(value) is int and abs(value) < LARGEST
    return isinstance(value, shape)

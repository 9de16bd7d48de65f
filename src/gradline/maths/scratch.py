"""Memory that a thread uses again from block to block: to get new pages from the system costs as much as the arithmetic."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gradline.types import FloatArray


class Scratch(threading.local):
    """One array for each thread, as large as the largest asked for. What is in it is lost at the thread's next `of`."""

    def __init__(self) -> None:
        self._buffer = np.empty(0)

    def of(self, rows: int, columns: int) -> FloatArray:
        """An array (rows, columns) of whatever was there."""
        if self._buffer.size < rows * columns:
            self._buffer = np.empty(rows * columns)
        return self._buffer[: rows * columns].reshape(rows, columns)

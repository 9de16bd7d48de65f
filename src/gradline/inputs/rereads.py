"""A second read of a query must give the same rows in the same order: a row's number decides its role.

ORDER BY leaves rows that it takes for equal in any order, and an engine may give them in another one each time. So each read of
an ordered query keeps a check sum a column, and a later read whose sum is another one is an error, not an answer.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gradline.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gradline.types import Block


@dataclass(slots=True)
class _Sum:
    """Of one column, the same however its rows are cut into blocks."""

    rows: int = 0
    missing: int = 0
    lengths: int = 0
    values: int = 0

    def add(self, column: pa.Array) -> None:
        kind = column.type
        if column.null_count:
            at = pc.indices_nonzero(pc.is_null(column)).to_numpy() + np.uint64(self.rows)
            self.missing = zlib.crc32(at.tobytes(), self.missing)
        self.rows += len(column)
        present = column.drop_null() if column.null_count else column
        if pa.types.is_dictionary(kind):
            present = present.dictionary_decode()
            kind = present.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            self.lengths = zlib.crc32(np.asarray(pc.binary_length(present)).astype(np.int64).tobytes(), self.lengths)
            offsets = np.frombuffer(present.buffers()[1], np.int64 if pa.types.is_large_string(kind) else np.int32)
            offsets = offsets[present.offset : present.offset + len(present) + 1]
            if len(present) and (text := present.buffers()[2]) is not None:
                self.values = zlib.crc32(memoryview(text)[offsets[0] : offsets[-1]], self.values)
            return
        if pa.types.is_boolean(kind):
            present, kind = pc.cast(present, pa.uint8()), pa.uint8()
        if pa.types.is_primitive(kind) or pa.types.is_decimal(kind):
            width = kind.bit_width // 8
            if len(present):
                start = present.offset * width
                cut = memoryview(present.buffers()[1]).cast("B")[start : start + len(present) * width]
                self.values = zlib.crc32(cut, self.values)


@dataclass(slots=True)
class Rereads:
    """Goes along with every read of a source. name: of the source, for the message."""

    name: str
    _first: dict[str, _Sum] = field(default_factory=dict)

    def checked(self, blocks: Iterator[Block], columns: Sequence[str]) -> Iterator[Block]:
        """The same blocks. Raises DataError at the end of a read that gave other rows, or another order, than an earlier one."""
        sums = {name: _Sum() for name in columns}
        for block in blocks:
            table = block.load()
            for name, found in sums.items():
                column = table.column(name)
                for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
                    found.add(chunk)
            yield block
        for name, found in sums.items():
            if self._first.setdefault(name, found) != found:
                raise DataError(
                    f"{self.name} gave its rows in another order the second time (seen in column {name!r}): ORDER BY leaves "
                    "rows that it takes for equal in any order.",
                    "let ORDER BY end with a column that no two rows share, or name that column with --key and leave ORDER BY out.",
                )

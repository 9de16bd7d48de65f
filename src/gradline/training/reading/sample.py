"""A sample of the rows that were read, which depends on the rows alone: those with the smallest hashes of their places.

It is for pictures and for what the moments cannot tell; blocks' samples merge to the sample of all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.arrays import as_arrow
from gradline.splits.roles import row_hashes

if TYPE_CHECKING:
    import pyarrow as pa

    from gradline.splits.roles import Hashes, RoleArray
    from gradline.training.rows import Rows
    from gradline.types import Block, FloatArray, IntArray

SAMPLE_ROWS = 2_000
MOST_SAMPLED = 2 * SAMPLE_ROWS  # before those too many are dropped: each time costs as much
SAMPLE_SALT = 0x5A17
GROUP_ROWS = 64
DENSE_ROWS = 1 << 17  # of a file; more than SAMPLE_ROWS * GROUP_ROWS

ANY_HASH = np.uint64(0xFFFFFFFFFFFFFFFF)


class Sample(NamedTuple):
    """The rows with the smallest hashes: a uniform sample that depends on the rows alone.

    table: the columns as read, without those of `matrix`.  roles, file, row: (n,).  hashes: (n,).  matrix: (n, k) the values of the
    columns `names`, where those lie row by row: hundreds of columns cost more to put together than their values.
    """

    table: pa.Table
    roles: RoleArray
    file: IntArray
    row: IntArray
    hashes: Hashes
    names: tuple[str, ...] = ()
    matrix: FloatArray | None = None

    def in_columns(self) -> Sample:
        """The same with all columns in the table."""
        import pyarrow as pa

        if self.matrix is None:
            return self
        values = np.ascontiguousarray(self.matrix.T, dtype=np.float64)
        columns = {name: as_arrow(column) for name, column in zip(self.names, values, strict=True)}
        columns |= dict(zip(self.table.column_names, self.table.columns, strict=True))
        return self._replace(table=pa.table(columns), names=(), matrix=None)

    def plus(self, other: Sample) -> Sample:
        """Of both sets of rows."""
        import pyarrow as pa

        if (self.matrix is None) != (other.matrix is None):
            return self.in_columns().plus(other.in_columns())
        table = pa.concat_tables([self.table, other.table], promote_options="permissive")
        return Sample(
            table,
            np.concatenate([self.roles, other.roles]),
            np.concatenate([self.file, other.file]),
            np.concatenate([self.row, other.row]),
            np.concatenate([self.hashes, other.hashes]),
            self.names,
            None if self.matrix is None or other.matrix is None else np.concatenate([self.matrix, other.matrix]),
        ).smallest(MOST_SAMPLED)

    @property
    def below(self) -> np.uint64:
        """The largest hash that a further row may have to be taken."""
        if len(self.hashes) < SAMPLE_ROWS:
            return ANY_HASH
        return np.uint64(np.partition(self.hashes, SAMPLE_ROWS - 1)[SAMPLE_ROWS - 1])

    def smallest(self, most: int = SAMPLE_ROWS) -> Sample:
        """SAMPLE_ROWS rows where there are more than `most`, in the order of file and row."""
        if len(self.hashes) <= most:
            return self
        keep = np.argpartition(self.hashes, SAMPLE_ROWS)[:SAMPLE_ROWS]
        keep = keep[np.lexsort((self.row[keep], self.file[keep]))]
        matrix = None if self.matrix is None else self.matrix[keep]
        table = self.table.take(as_arrow(keep))
        return Sample(table, self.roles[keep], self.file[keep], self.row[keep], self.hashes[keep], self.names, matrix)


def sampled(rows: Rows, block: Block, seed: int, below: np.uint64) -> Sample:
    """Of a block: the candidates with the smallest hashes, none above `below`."""
    position, hashes = candidates(seed ^ SAMPLE_SALT, block.file, block.first_row, rows.read)
    chosen = np.flatnonzero(hashes <= below)
    if rows.dropped:
        chosen = chosen[rows.kept[position[chosen]]]
    if len(chosen) > SAMPLE_ROWS:
        chosen = np.sort(chosen[np.argpartition(hashes[chosen], SAMPLE_ROWS)[:SAMPLE_ROWS]])
    position, hashes = position[chosen], hashes[chosen]
    keep = position if not rows.dropped else np.cumsum(rows.kept)[position] - 1  # where they stand among the rows kept
    table, array = rows.as_read(position), rows.array
    names, matrix = ((), None) if array is None else (array.names, array.matrix[position])
    return Sample(table, rows.roles[keep], np.full(len(keep), block.file), rows.row[keep], hashes, names, matrix)


def candidates(seed: int, file: int, first_row: int, rows: int) -> tuple[IntArray, Hashes]:
    """The rows of a block that may be sampled, and a hash of each: positions (n,), ascending, and (n,).

    All of the first rows of a file. Past these a row in 64, at a place that its hash decides, with 1/64 of that hash: below a
    threshold of less than 1/64, which so many rows have as a whole, that is as likely for each row, and a 64th of the work.
    """
    dense = max(0, min(DENSE_ROWS - first_row, rows))
    position, hashes = np.arange(dense), row_hashes(seed, file, first_row, dense)
    if dense == rows:
        return position, hashes
    first, last = (first_row + dense) // GROUP_ROWS, (first_row + rows - 1) // GROUP_ROWS
    of_group = row_hashes(seed + 1, file, first, last - first + 1)
    place = np.arange(first, last + 1) * GROUP_ROWS + (of_group % np.uint64(GROUP_ROWS)).astype(np.intp) - first_row
    inside = (place >= dense) & (place < rows)
    return np.concatenate([position, place[inside]]), np.concatenate([hashes, of_group[inside] // np.uint64(GROUP_ROWS)])

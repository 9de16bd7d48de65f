"""A table that is altered while it is read: other units, powers, noise on the target, a point that was dragged away.

An altered table is a source like any other: its rows keep their places, hence their roles, and nothing is held in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradline.arrays import as_arrow, flat_column
from gradline.errors import UsageError
from gradline.kinds import kind_of
from gradline.representation.decode import as_numbers
from gradline.types import Block

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from gradline.inputs.source import Source, SourceFile
    from gradline.types import FloatArray

MOST_DEGREE = 9
NOISE_ROWS = 1 << 10  # of one draw: the noise of a row depends on its place alone, however the rows are cut into blocks


@dataclass(frozen=True, slots=True)
class Moved:
    """A row, by its file and its number in it, that has another (x, y)."""

    file: int
    row: int
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Alteration:
    """shift, divide: every feature is (x − shift)/divide: its origin and its unit.  degree: the powers x, x², … of a lone feature, of
    what that makes.

    noise: the deviation of normal noise that is added to the target, in its unit.  moved: points dragged away, of a lone feature, in the
    table's own unit.
    """

    shift: float = 0.0
    divide: float = 1.0
    degree: int = 1
    noise: float = 0.0
    moved: tuple[Moved, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether the table stays as it is."""
        return self == Alteration()


def power_names(feature: str, degree: int) -> list[str]:
    """The columns of a polynomial of this degree."""
    return [feature, *(f"{feature}^{power}" for power in range(2, degree + 1))]


def powers(x: FloatArray, degree: int) -> list[FloatArray]:
    """x, x², … (n,) each."""
    return [x**power for power in range(1, degree + 1)]


class AlteredSource:
    """The numeric columns of a source, altered as they are read."""

    def __init__(self, base: Source, target: str, features: Sequence[str], alteration: Alteration, seed: int = 0) -> None:
        import pyarrow as pa

        if not features:
            raise UsageError("no feature was chosen.", "choose at least one.")
        if len(features) > 1 and (alteration.degree > 1 or alteration.moved):
            raise UsageError("powers and dragged points are for one feature.", "choose one feature, or degree 1.")
        self._base, self._target, self._features = base, target, tuple(features)
        self._alteration, self._seed = alteration, seed
        names = power_names(features[0], alteration.degree) if len(features) == 1 else list(features)
        self.features = tuple(names)
        self.schema = pa.schema([(name, pa.float64()) for name in (*names, target)])

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._base.name

    @property
    def rows(self) -> int | None:
        """How many rows there are, where that is known."""
        return self._base.rows

    @property
    def repeatable(self) -> bool:
        """As of the table beneath."""
        return self._base.repeatable

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """As of the table beneath."""
        return self._base.files

    def blocks(self, columns: Sequence[str]) -> Iterator[Block]:
        """See `Source`."""
        read = [*self._features, self._target]
        for block in self._base.blocks(read):

            def load(block: Block = block) -> pa.Table:
                return self._altered(block).select(list(columns))

            yield Block(block.file, block.first_row, load)

    def _altered(self, block: Block) -> pa.Table:
        import pyarrow as pa

        table = block.load()

        def numbers(name: str) -> FloatArray:
            column = flat_column(table, name)
            return np.array(as_numbers(name, column, kind_of(column.type), block.first_row), dtype=np.float64)

        x, y = [numbers(name) for name in self._features], numbers(self._target)
        for point in self._alteration.moved:
            at = point.row - block.first_row
            if point.file == block.file and 0 <= at < len(y):
                x[0][at], y[at] = point.x, point.y
        if self._alteration.noise > 0.0:
            y += self._alteration.noise * noise_of(self._seed, block.file, block.first_row, len(y))
        x = [(column - self._alteration.shift) / self._alteration.divide for column in x]
        if len(x) == 1:
            x = powers(x[0], self._alteration.degree)
        return pa.table(dict(zip(self.schema.names, map(as_arrow, [*x, y]), strict=True)))


def noise_of(seed: int, file: int, first: int, rows: int) -> FloatArray:
    """Standard normal numbers of consecutive rows, (rows,): a function of the seed and each row's place."""
    begin = first // NOISE_ROWS
    draws = [
        np.random.Generator(np.random.Philox(key=np.array([seed, (file << 40) + part], dtype=np.uint64))).standard_normal(
            NOISE_ROWS
        )
        for part in range(begin, (first + rows) // NOISE_ROWS + 1)
    ]
    return np.concatenate(draws)[first - begin * NOISE_ROWS :][:rows]

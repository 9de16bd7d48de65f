"""Some training rows of a source, drawn by a hash of their number: a uniform sample that depends on the seed and the rows alone."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.splits.roles import row_hashes
from gradline.types import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.inputs.source import Source
    from gradline.maths.engine import Engine
    from gradline.splits.roles import Hashes, RoleArray
    from gradline.training.rows import RowReader, Rows
    from gradline.types import Block, FloatArray, IntArray

DRAWN_SALT = 0xD4A3


class Drawn(NamedTuple):
    """n training rows that have weight, in the order of file and row; of how many they were drawn.

    values: (n, c), what was asked of them.  y, weight: (n,).  fold: (n,), 0 where the rows are not divided.  counts: of (column, level).
    """

    values: FloatArray
    y: FloatArray
    weight: FloatArray
    fold: RoleArray
    of: int
    counts: Counter[tuple[str, str]]


class _Part(NamedTuple):
    values: FloatArray
    y: FloatArray
    weight: FloatArray
    fold: RoleArray
    hashes: Hashes
    file: IntArray
    row: IntArray

    def at(self, keep: IntArray) -> _Part:
        values, y, weight, fold, hashes, file, row = self
        return _Part(values[keep], y[keep], weight[keep], fold[keep], hashes[keep], file[keep], row[keep])

    def plus(self, other: _Part) -> _Part:
        return _Part(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))  # type: ignore[arg-type, call-overload, misc, unused-ignore]

    def smallest(self, most: int) -> _Part:
        """Those with the smallest hashes, in the order of file and row."""
        keep = np.arange(len(self.hashes))
        if len(keep) > most:
            keep = np.argpartition(self.hashes, most)[:most]
        return self.at(keep[np.lexsort((self.row[keep], self.file[keep]))])


class _Limit:
    """What blocks that are read later need not look at; one that does so all the same, since it began before, changes nothing."""

    def __init__(self) -> None:
        self.largest = np.uint64(0xFFFFFFFFFFFFFFFF)

    def lower(self, hashes: np.uint64) -> None:
        """After some blocks."""
        self.largest = min(self.largest, hashes)


class _Found(NamedTuple):
    part: _Part
    of: int
    counts: Counter[tuple[str, str]]


def draw(
    source: Source,
    reader: RowReader,
    engine: Engine,
    seed: int,
    most: int,
    values: Callable[[Rows, IntArray], FloatArray],
    counted: Callable[[Rows], Counter[tuple[str, str]]] = lambda rows: Counter(),
) -> Drawn:
    """At most `most` of the training rows that have weight, by one read. values: of the rows at some positions, (n, c).  counted: of all
    training rows.

    Rows whose hash is past the largest that so many rows before it have are in no sample, and are not asked for their values.
    """
    limit = _Limit()

    def of_block(block: Block) -> _Found:
        rows = reader.read(block)
        used = rows.roles == Role.TRAINING
        if rows.weight is not None:
            used &= rows.weight > 0.0
        at = np.flatnonzero(used)
        hashes = row_hashes(seed ^ DRAWN_SALT, block.file, block.first_row, rows.read)[rows.kept][at]
        counts = counted(rows._replace(decoded=rows.decoded.take(at)))
        total = len(at)
        below = hashes <= limit.largest
        at, hashes = at[below], hashes[below]
        if len(at) > most:
            smallest = np.sort(np.argpartition(hashes, most)[:most])
            at, hashes = at[smallest], hashes[smallest]
        weight = np.ones(len(at)) if rows.weight is None else rows.weight[at]
        fold = rows.parts[0][at] if rows.parts else np.zeros(len(at), dtype=np.uint8)
        file = np.full(len(at), block.file)
        return _Found(_Part(values(rows, at), rows.y[at], weight, fold, hashes, file, rows.row[at]), total, counts)

    def merged(a: _Found, b: _Found) -> _Found:
        both = a.part.plus(b.part)
        if len(both.y) > most + most // 4:
            both = both.smallest(most)
        if len(both.y) >= most:
            limit.lower(np.partition(both.hashes, most - 1)[most - 1])
        return _Found(both, a.of + b.of, a.counts + b.counts)

    found = engine.map_merge(source.blocks(reader.columns), of_block, merged)
    if found is None:
        return Drawn(np.zeros((0, 0)), np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.uint8), 0, Counter())
    part = found.part.smallest(most)
    return Drawn(part.values, part.y, part.weight, part.fold, found.of, found.counts)

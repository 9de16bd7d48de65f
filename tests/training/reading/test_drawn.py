"""Rows drawn by the hash of their number: the same ones however the table is cut and in whatever order its blocks are computed."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from gradline.engines.threads import ThreadEngine
from gradline.representation.decode import Decoder
from gradline.splits.divisions import Folds
from gradline.splits.roles import RowRoles, row_hashes
from gradline.training.reading.drawn import DRAWN_SALT, draw
from gradline.training.rows import RowReader
from gradline.types import Kind, Role
from reference import SerialEngine, ShuffledEngine
from tables import ChunkedSource

ROWS, MOST, SEED = 2_000, 150, 5


def a_table():
    rng = np.random.default_rng(0)
    y = rng.normal(size=ROWS)
    y[rng.choice(ROWS, 100, replace=False)] = np.nan
    weight = rng.integers(0, 3, ROWS).astype(float)
    return pa.table(
        {
            "x": np.arange(ROWS, dtype=float),
            "c": rng.choice(["u", "v"], ROWS).tolist(),
            "w": weight,
            "y": pa.array(y, from_pandas=True),
        }
    )


def drawn(source, engine, *, most=MOST, weight="w"):
    decoder = Decoder({"x": Kind.NUMBER, "c": Kind.TEXT})
    reader = RowReader(decoder, RowRoles(SEED, 0.2, 0.2), "y", Kind.NUMBER, weight, divisions=(Folds(4, SEED),))

    def values(rows, at):
        return rows.decoded.take(at).numbers[0].values[:, None]

    def counted(rows):
        return Counter((c.name, c.levels[code]) for c in rows.decoded.categories for code in c.codes)

    return draw(source, reader, engine, SEED, most, values, counted)


@pytest.mark.parametrize(
    "engine", [SerialEngine(), ShuffledEngine(1), ShuffledEngine(2), ThreadEngine(4)], ids=["serial", "a", "b", "threads"]
)
@pytest.mark.parametrize("rows", [ROWS, 700, 64, 7])
def test_the_training_rows_with_the_smallest_hashes_are_drawn(rows, engine):
    table = a_table()
    found = drawn(ChunkedSource(table, range(0, ROWS, rows)), engine)
    y = np.array(table["y"].to_pylist(), dtype=float)
    weight, c = table["w"].to_numpy(), np.array(table["c"].to_pylist())
    used = (RowRoles(SEED, 0.2, 0.2).assign(0, 0, ROWS, None) == Role.TRAINING) & ~np.isnan(y) & (weight > 0.0)
    hashes = np.where(used, row_hashes(SEED ^ DRAWN_SALT, 0, 0, ROWS), np.uint64(2**64 - 1))
    at = np.sort(np.argsort(hashes)[:MOST])
    np.testing.assert_array_equal(found.values[:, 0], at)
    np.testing.assert_array_equal(found.y, y[at])
    np.testing.assert_array_equal(found.weight, weight[at])
    np.testing.assert_array_equal(found.fold, Folds(4, SEED).assign(0, 0, ROWS, None)[at])
    assert found.of == used.sum()
    assert found.counts == Counter(("c", level) for level in c[used].tolist())


def test_a_smaller_table_is_drawn_as_a_whole():
    found = drawn(ChunkedSource(a_table(), [500]), SerialEngine(), most=10**6, weight=None)
    assert len(found.y) == found.of
    assert np.all(np.diff(found.values[:, 0]) > 0)
    assert set(found.weight) == {1.0}

"""Altered tables are what they say, whatever the blocks."""

import numpy as np
import pyarrow as pa
import pytest
from lab_tables import flights, rows, small

from gradline.errors import UsageError
from gradline.inputs.memory import TableSource
from gradline.lab import altered
from gradline.lab.alteration import Alteration, AlteredSource, Moved, noise_of
from gradline.lab.degrees import by_degree
from gradline.lab.settings import RunSettings, TableSettings
from gradline.types import Block


def columns(source):
    return {
        n: np.concatenate([b.load().column(n).to_numpy() for b in source.blocks(source.schema.names)])
        for n in source.schema.names
    }


def test_units_powers_and_a_moved_point():
    table = rows()
    source = AlteredSource(TableSource(table), "y", ["x"], Alteration(1.0, 2.0, 3, 0.0, (Moved(0, 7, 9.0, -4.0),)))
    found, x, y = columns(source), table["x"].to_numpy().copy(), table["y"].to_numpy().copy()
    x[7], y[7] = 9.0, -4.0
    for power in (1, 2, 3):
        np.testing.assert_array_equal(found["x" if power == 1 else f"x^{power}"], ((x - 1.0) / 2.0) ** power)
    np.testing.assert_array_equal(found["y"], y)


@pytest.mark.parametrize("cut", [1, 700, 1024, 5000])
def test_the_noise_of_a_row_does_not_depend_on_the_blocks(cut):
    whole = noise_of(4, 0, 0, 6_000)
    parts = (
        [noise_of(4, 0, first, min(cut, 6_000 - first)) for first in range(0, 6_000, cut)] if cut > 1 else [noise_of(4, 0, 17, 1)]
    )
    np.testing.assert_array_equal(np.concatenate(parts), whole if cut > 1 else whole[17:18])
    assert abs(whole.mean()) < 0.05
    assert whole.std() == pytest.approx(1.0, abs=0.05)
    assert not np.array_equal(whole, noise_of(5, 0, 0, 6_000))


def test_a_moved_row_is_found_in_later_blocks_and_files():
    table = pa.table({"x": np.arange(20.0), "y": np.zeros(20)})

    class Cut(TableSource):
        def blocks(self, names):
            for file, first in ((0, 0), (0, 5), (1, 0)):
                yield Block(file, first, lambda f=first + 10 * file: table.select(list(names)).slice(f, 5))

    source = AlteredSource(Cut(table), "y", ["x"], Alteration(moved=(Moved(1, 2, 100.0, 1.0), Moved(0, 6, 200.0, 2.0))))
    found = columns(source)
    assert [(i, x) for i, x in enumerate(found["x"]) if x >= 100] == [(6, 200.0), (12, 100.0)]
    assert found["y"][6] == 2.0
    assert found["y"][12] == 1.0


def test_powers_are_for_one_feature():
    with pytest.raises(UsageError, match="one feature"):
        small().opened(TableSettings(("x", "z"), degree=2))


def test_the_rows_drawn_are_rows_of_the_table_and_the_same_each_time():
    drawn = altered(rows(), "y", features=["x"], rows=30)
    again = altered(rows(), "y", features=["x"], rows=30)
    assert drawn.equals(again)
    assert drawn.num_rows == 30
    pairs = set(zip(rows()["x"].to_pylist(), rows()["y"].to_pylist(), strict=True))
    assert set(zip(drawn["x"].to_pylist(), drawn["y"].to_pylist(), strict=True)) <= pairs


def test_more_powers_never_raise_the_training_loss_and_overfit():
    settings = TableSettings(("distance",), rows=30, noise=0.4, validation=0.5, test=0.0, **flights().first["centred"])
    found = by_degree(flights(), settings, RunSettings())
    assert found["degree"] == list(range(1, 10))
    assert all(later <= earlier * (1 + 1e-9) for earlier, later in zip(found["train"], found["train"][1:], strict=False))
    assert found["validation"][-1] > 1.5 * min(found["validation"])


def test_the_loss_of_a_polynomial_is_the_least_squares_fit_of_numpy():
    settings = TableSettings(("x",), rows=200, degree=4, validation=0.0, test=0.0)
    found = by_degree(small(), settings, RunSettings())
    table = altered(rows(), "y", features=["x"], rows=200)
    x, y = table["x"].to_numpy(), table["y"].to_numpy()
    residual = y - np.polyval(np.polyfit(x, y, 4), x)
    assert found["train"][3] == pytest.approx(0.5 * np.mean(residual**2), rel=1e-9)


def test_the_whole_table_is_read_once_whatever_is_asked_of_it(monkeypatch):
    from gradline.lab import table as module
    from gradline.lab.play import set_up

    reads, read = [], module.read_once
    monkeypatch.setattr(module, "read_once", lambda *arguments: (reads.append(1), read(*arguments))[1])
    table = module.LabTable.open(rows(), "y")
    for features, run in (
        (("x",), RunSettings()),
        (("z", "x"), RunSettings(scaling="none", rate=0.3)),
        (("z",), RunSettings(l2=2.0)),
    ):
        set_up(table, TableSettings(features), run)
    assert len(reads) == 1

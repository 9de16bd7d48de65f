from __future__ import annotations

import threading
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gradline.api
from gradline.engines.threads import ThreadEngine
from reference import SerialEngine, ShuffledEngine, fit


@pytest.fixture
def parquet(tmp_path, monkeypatch):
    """A file of many small blocks, with categories and missing values."""
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 97)
    rng = np.random.default_rng(0)
    m = 3_000
    table = pa.table(
        {
            "a": [None if v < 0.1 else v * 1e3 + 1e4 for v in rng.random(m)],
            "b": rng.normal(size=m),
            "c": [None if v == 0 else f"level {v % 9}" for v in rng.integers(0, 40, m)],
            "y": rng.normal(size=m),
        }
    )
    path = tmp_path / "many.parquet"
    pq.write_table(table, path, row_group_size=250)
    return path


@pytest.mark.parametrize("oracle", ["moments", "streamed"])
def test_every_engine_gives_the_same_bits(parquet, monkeypatch, oracle):
    engines = [lambda _: SerialEngine(), lambda _: ThreadEngine(1), lambda _: ThreadEngine(2), lambda _: ThreadEngine(5)]
    engines += [lambda _, seed=seed: ShuffledEngine(seed) for seed in range(2)]
    found = []
    for engine in engines:
        monkeypatch.setattr(gradline.api, "ThreadEngine", engine)
        found.append(fit(parquet, "y", oracle=oracle, max_steps=4 if oracle == "streamed" else None))
    for model in found[1:]:
        assert model.coefficients == found[0].coefficients
        assert model.intercept == found[0].intercept
        assert model.metrics == found[0].metrics
        assert model.certificate == found[0].certificate
        assert np.array_equal(model.sampled.actual, found[0].sampled.actual)


def test_threads_can_be_asked_for(parquet):
    assert fit(parquet, "y", threads=1).coefficients == fit(parquet, "y", threads=2).coefficients


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_results_are_merged_in_the_order_of_the_items(threads):
    def slow_first(item):
        time.sleep(0.003 * (5 - item % 5))
        return [item]

    assert ThreadEngine(threads).map_merge(range(20), slow_first, lambda a, b: a + b) == list(range(20))


def test_nothing_is_merged_of_nothing():
    assert ThreadEngine(2).map_merge([], lambda item: item, lambda a, b: a) is None


def test_few_items_wait_in_memory():
    lock, state = threading.Lock(), {"alive": 0, "most": 0}

    def items():
        for i in range(50):
            with lock:
                state["alive"] += 1
                state["most"] = max(state["most"], state["alive"])
            yield i

    def compute(item):
        time.sleep(0.001)
        return 1

    def merge(a, b):
        with lock:
            state["alive"] -= 1
        return a + b

    assert ThreadEngine(2).map_merge(items(), compute, merge) == 50
    assert state["most"] <= 2 + 3


@pytest.mark.parametrize("where", ["compute", "items", "merge"])
def test_an_error_is_raised_as_it_is(where):
    def items():
        yield from range(5)
        if where == "items":
            raise KeyError("items")

    def compute(item):
        if where == "compute" and item == 3:
            raise KeyError("compute")
        return item

    def merge(a, b):
        if where == "merge":
            raise KeyError("merge")
        return a + b

    with pytest.raises(KeyError, match=where):
        ThreadEngine(2).map_merge(items(), compute, merge)

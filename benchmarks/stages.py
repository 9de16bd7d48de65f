"""Where the time of a run goes: `python benchmarks/stages.py [DATA]`, the file of a table with a target y, or none for 1M x 100
in memory. Prints the opening, the one read with one and two threads, and the functions of one thread that take longest.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import time
from typing import TYPE_CHECKING, TypeVar

from threadpoolctl import threadpool_limits

from gradline.engines.threads import ThreadEngine
from gradline.inputs.opening import open_source
from gradline.training.config import TrainConfig
from gradline.training.prepared import Progress
from gradline.training.trainer import read_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gradline.maths.engine import Engine

T = TypeVar("T")
R = TypeVar("R")
FUNCTIONS = 16


class Here:
    """An engine without threads, for the profiler to see into."""

    threads = 1

    def map_merge(self, items: Iterable[T], compute: Callable[[T], R], merge: Callable[[R, R], R]) -> R | None:
        """See `gradline.maths.engine.Engine`."""
        merged: R | None = None
        for item in items:
            found = compute(item)
            merged = found if merged is None else merge(merged, found)
        return merged


def main(data: str | None = None) -> None:
    """See the module."""
    start = time.perf_counter()
    if data is None:
        from making import made

        from gradline.inputs.memory import ArraySource

        X, y = made(1_000_000, 100)
        source = ArraySource(X, y)
    else:
        source = open_source(data)
        print(f"opening              {time.perf_counter() - start:6.2f} s")

    def read(name: str, engine: Engine) -> None:
        wall, processor = time.perf_counter(), time.process_time()
        read_once(source, [TrainConfig(target="y")], engine, Progress())
        print(f"read, {name:<14} {time.perf_counter() - wall:6.2f} s, processor {time.process_time() - processor:.2f} s")

    with threadpool_limits(limits=1):
        for threads in (1, 2, 2):
            read(f"{threads} thread{'s' if threads > 1 else ''}", ThreadEngine(threads))
        profile = cProfile.Profile()
        profile.enable()
        read("profiled", Here())
        profile.disable()
    pstats.Stats(profile, stream=sys.stdout).strip_dirs().sort_stats("tottime").print_stats(FUNCTIONS)


if __name__ == "__main__":
    main(*sys.argv[1:])

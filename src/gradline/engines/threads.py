"""Blocks on the threads of this machine."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")
R = TypeVar("R")


def available_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ThreadEngine:
    """`threads` workers, and never more than one block more than that in memory."""

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads if threads is not None else min(available_cores(), 16)

    def map_merge(self, items: Iterable[T], compute: Callable[[T], R], merge: Callable[[R, R], R]) -> R | None:
        """See `gradline.maths.engine.Engine`."""
        merged: R | None = None
        waiting: deque[Future[R]] = deque()
        with ThreadPoolExecutor(self.threads) as pool:
            try:
                for item in items:
                    waiting.append(pool.submit(compute, item))
                    if len(waiting) > self.threads:
                        result = waiting.popleft().result()
                        merged = result if merged is None else merge(merged, result)
                while waiting:
                    result = waiting.popleft().result()
                    merged = result if merged is None else merge(merged, result)
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return merged

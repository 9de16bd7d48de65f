"""Fresh processes, in turn: seconds, peak memory and what each of them printed."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

SLOW = 10.0  # seconds of a process; what takes longer is repeated twice at most
SLOW_ROUNDS = 2

Key = TypeVar("Key")


class Run(NamedTuple):
    """One process. seconds: of all of it, or those that it measured itself.  megabytes: its peak.  answer: its JSON."""

    seconds: float
    megabytes: float
    answer: dict[str, Any]


def process(command: Sequence[str], *, prints: bool = True, own_clock: bool = False) -> Run:
    """Run a command and take its time from outside; own_clock: by the `seconds` of its answer.

    Memory is of the largest process, or the `megabytes` of the answer where those are more; a child's peak counts from its parent's,
    so a parent has to stay small. Modules are kept compiled, as an installation has them, whatever the shell says.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as words:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=out, stderr=words, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            words.seek(0)
            sys.stderr.write(words.read().decode(errors="replace"))
            raise SystemExit(f"{' '.join(command)} ended with exit code {child.returncode}")
        out.seek(0)
        answer = json.loads(out.read()) if prints else {}
    megabytes = usage.ru_maxrss / (1024.0 if sys.platform != "darwin" else 1024.0**2)
    return Run(answer["seconds"] if own_clock else seconds, max(megabytes, answer.get("megabytes", 0.0)), answer)


def in_turn(ways: Iterable[Key], once: Callable[[Key], Run], rounds: int, what: str) -> dict[Key, list[Run]]:
    """Each way once, then each way again, and so on; slow ones no more than twice."""
    found: dict[Key, list[Run]] = {way: [] for way in ways}
    slow = set()
    for number in range(rounds):
        for way, runs in found.items():
            if way in slow and number >= SLOW_ROUNDS:
                continue
            print(f"  {what}, round {number + 1}, {way}", file=sys.stderr, flush=True)
            start = time.perf_counter()
            runs.append(once(way))
            if time.perf_counter() - start > SLOW:
                slow.add(way)
    return found


def median(runs: Iterable[Run]) -> float:
    """Of the seconds."""
    return statistics.median(run.seconds for run in runs)


def peak(runs: Iterable[Run]) -> float:
    """The most megabytes."""
    return max(run.megabytes for run in runs)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median (least to most); one value alone is just that."""
    middle = f"{statistics.median(values):,.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"

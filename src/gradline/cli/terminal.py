"""The terminal: progress and warnings on stderr, one JSON document on stdout. Quiet in a pipe."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING

import click

from gradline.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from gradline.training.stopping import Step
    from gradline.types import Json, Notice

REFRESH_SECONDS = 0.1
UNPRINTABLE = re.compile(r"[^\n\x20-\x7e]")  # some of these are


def print_json(document: Json) -> None:
    """The document, and nothing else, on stdout. Characters that a terminal would act on, which strings alone can hold, are escaped."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    click.echo(UNPRINTABLE.sub(lambda found: json.dumps(found[0])[1:-1] if not found[0].isprintable() else found[0], text))


def print_notices(notices: Iterable[Notice]) -> None:
    """Warnings, a line each, on stderr."""
    for notice in notices:
        mark = click.style("warning", fg="yellow") if sys.stderr.isatty() else "warning"
        click.echo(f"{mark} [{notice.code}] {printable(notice.message)}", err=True)


class TerminalProgress:
    """Rows read, then steps and loss, while they happen; nothing where stderr is not a terminal.

    `rows` is the number of rows there are, where it is known: then the time left is shown.
    """

    def __init__(self, rows: int | None) -> None:
        self._total = rows
        self._bar: RichProgress | None = None
        self._reading: TaskID | None = None
        self._stepping: TaskID | None = None
        self._shown = 0.0

    def __enter__(self) -> TerminalProgress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(24), TimeElapsedColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._reading = self._bar.add_task("reading", total=self._total)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def rows(self, count: int) -> None:
        """`count` rows have been read."""
        if self._bar is not None and self._reading is not None:
            self._bar.update(self._reading, completed=count, description=f"reading  {count:>12,} rows")

    def step(self, step: Step) -> None:
        """A step has been recorded."""
        now = time.perf_counter()
        if self._bar is None or now - self._shown < REFRESH_SECONDS:
            return
        self._shown = now
        if self._stepping is None:
            self._stepping = self._bar.add_task("descending", total=None)
        text = f"step {step.step:>8,}   loss {step.objective:.6g}   gap {step.relative_gap:.1e}"
        self._bar.update(self._stepping, description=text)


class StepsTable:
    """A monitor: the norms of the steps as a table on stderr, every step at first and then at ever longer distances."""

    def __call__(self, step: Step) -> None:
        """A line for step 0, 1, … 10, 20, … 100, 200, …"""
        n = step.step
        if n == 0:
            click.echo(
                f"{'step':>9} {'J':>13} {'J validation':>13} {'gap/J(mean)':>11} {'‖∇J‖':>10} {'‖Δθ‖':>10} {'‖θ‖':>10} {'α':>9}",
                err=True,
            )
        if n % 10 ** max(len(str(n)) - 1, 0):
            return
        validation = "–" if step.validation is None else f"{step.validation:.7g}"
        rate = "–" if step.learning_rate is None else f"{step.learning_rate:.3g}"
        click.echo(
            f"{n:>9,} {step.objective:>13.7g} {validation:>13} {step.relative_gap:>11.2e} {step.gradient_norm:>10.3g} "
            f"{step.update_norm:>10.3g} {step.parameter_norm:>10.3g} {rate:>9}",
            err=True,
        )

"""`gradline runs`: the runs in a folder, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradline.report.runs import SORTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.report.runs import Run

LONGEST_SETTING = 40


@click.command()
@click.argument("folder", default="runs", type=click.Path(path_type=Path))
@click.option(
    "--sort", type=click.Choice(SORTS), default="when", show_default=True, help="rmse and r2: by target, the best first."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def runs(folder: Path, sort: str, as_json: bool) -> int:
    """List the runs in FOLDER (default: runs): target, errors, certificate, and the settings in which they differ.

    A damaged run is listed as such. `gradline show RUN` shows one of them.
    """
    from gradline.cli.terminal import print_json
    from gradline.errors import plural, printable
    from gradline.report.runs import list_runs

    found = list_runs(folder, sort)
    if as_json:
        print_json({"folder": str(folder), "runs": [run.to_json() for run in found]})
    elif not found:
        click.echo(printable(f"{folder} holds no runs."))
    else:
        _print_table(folder, found)
        damaged = [run for run in found if run.damaged is not None]
        for run in damaged:
            click.echo(printable(f"{_shown(run, folder)} is damaged: {run.damaged}"))
        click.echo(printable(f"{plural(len(found), 'run')} in {folder}" + (f", {len(damaged)} damaged" if damaged else "")))
    return 0


def _print_table(folder: Path, found: Sequence[Run]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from gradline.errors import printable
    from gradline.report.plain import PLAIN_WIDTH, number

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PLAIN_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("run", "when (UTC)", "target"):
        table.add_column(name)
    for name in ("rows", "RMSE", "R²", "gap", "steps", "warnings"):
        table.add_column(name, justify="right")
    table.add_column("settings that differ")
    for run in found:
        if run.damaged is not None:
            table.add_row(Text(printable(_shown(run, folder))), _day(run.when), "damaged", style="red")
            continue
        unit = f" ({run.unit})" if run.unit else ""
        mark = "" if run.role == "test" or run.rmse is None else f" {run.role}"
        table.add_row(
            Text(printable(_shown(run, folder))),
            _day(run.when),
            Text(printable(f"{run.target}{unit}")),
            "–" if run.rows is None else f"{run.rows:,}",
            number(run.rmse) + mark,
            "–" if run.r2 is None else f"{run.r2:.4f}",
            "–" if run.gap is None else f"{run.gap:.1e}",
            f"{run.steps:,} {run.stopped}",
            str(run.warnings),
            Text(printable(" ".join(f"{name}={_setting(value)}" for name, value in run.settings.items()))),
        )
    console.print(table)


def _shown(run: Run, folder: Path) -> str:
    return str(run.path.relative_to(folder)) if run.path != folder else str(folder)


def _day(when: str | None) -> str:
    return "" if when is None else when[:16].replace("T", " ")


def _setting(value: Any) -> str:
    """A setting in a few characters; – where it is not given."""
    if isinstance(value, list):
        shown = ",".join(map(str, value))
    else:
        shown = "–" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return shown if len(shown) <= LONGEST_SETTING else shown[:LONGEST_SETTING] + "…"

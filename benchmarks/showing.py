"""The results as Markdown and as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cases import BY_LOSS, FLOORS, Result
from measuring import median, peak, spread

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

OURS, PEERS, FLOOR = "#0072b2", "#b8720a", "#888888"
DPI = 110


def table(result: Result) -> str:
    """The medians of a case."""
    case, found = result.case, result.found
    reference = median(found[case.reference]) if case.reference in found else float("nan")
    lines = [
        f"### {case.name}: {case.rows:,} rows, {case.features}, {'with a split' if result.roles else 'all rows for training'}",
        "",
        f"Seconds of {'the fit alone' if case.in_memory else 'the whole cold process'}, median (least to most); ratio to {case.reference};",
        "how far the largest difference of a coefficient from gradline's is, in units of the largest coefficient.",
        "",
        "| way | seconds | ratio | peak memory, MB | apart |",
        "|---|---|---|---|---|",
    ]
    for way, runs in sorted(found.items(), key=lambda item: median(item[1])):
        apart = "" if way in FLOORS or way == "gradline" else f"{result.apart[way]:.0e}"
        lines.append(
            f"| {bold(way)} | {spread([run.seconds for run in runs])} | {median(runs) / reference:.2f} | {peak(runs):,.0f} | {apart} |"
        )
    by_loss = [f"{way} {result.excess[way]:.0e}" for way in found if way in BY_LOSS]
    if by_loss:
        lines += ["", f"Compared by their loss, (J − J*)/J(w = 0): {', '.join(by_loss)}."]
    if result.left_out:
        lines += ["", f"Left out: {', '.join(f'{way} ({why})' for way, why in result.left_out.items())}."]
    return "\n".join(lines) + "\n"


def bold(way: str) -> str:
    """What is ours stands out."""
    return f"**{way}**" if "gradline" in way else way


def figure(down: int, across: int, width: float, height: float) -> tuple[Any, Any]:
    """A figure and its axes, (down, across)."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    made, axes = plt.subplots(down, across, figsize=(width * across, height * down), squeeze=False, layout="constrained")
    for axis in axes.flat:
        axis.tick_params(labelsize=8)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    return made, axes


def plain_ticks(axis: Any, unit: str = "") -> None:
    """1, 2, 5, 10, … on a logarithmic axis; of more than two and a half decades, the decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    least, most = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if most / least < 300 else (1.0,), numticks=20))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} {unit}".strip()))
    axis.set_minor_locator(LogLocator(subs=()))


def plot(results: Sequence[Result], path: Path) -> None:
    """Dots of the medians, from the least to the most, one panel a case."""
    across = min(2, len(results))
    made, axes = figure(-(-len(results) // across), across, 5.4, 2.6)
    for axis in axes.flat[len(results) :]:
        axis.set_visible(False)
    for axis, result in zip(axes.flat, results, strict=False):
        found = result.found
        ordered = sorted(found, key=lambda way: -median(found[way]))
        for place, way in enumerate(ordered):
            seconds = [run.seconds for run in found[way]]
            colour = OURS if way == "gradline" else FLOOR if way in FLOORS else PEERS
            axis.hlines(place, min(seconds), max(seconds), colors=colour, linewidth=2)
            axis.plot(median(found[way]), place, "o", color=colour)
            axis.annotate(
                f"{median(found[way]):.2f} s", (max(seconds), place), (8, 0), textcoords="offset points", va="center", fontsize=8
            )
        everything = [run.seconds for runs in found.values() for run in runs]
        least, most = min(everything) / 1.5, max(everything) * 2.5
        axis.set_xscale("log")
        axis.set_xlim(least, most)
        plain_ticks(axis.xaxis, "s")
        axis.set_yticks(range(len(ordered)), ordered)
        axis.set_ylim(-0.6, len(ordered) - 0.4)
        axis.set_title(f"{result.case.name}{', split' if result.roles else ''}", fontsize=10)
        axis.grid(visible=True, axis="x", color="#e4e4e4")
    made.savefig(path, dpi=DPI)

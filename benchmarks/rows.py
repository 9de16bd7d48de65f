"""Cost by the number of rows: `gradline train`, cold, on Parquet files of 20 random features, which do not compress."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from cases import train
from measuring import in_turn, median, peak, spread
from showing import DPI, OURS, PEERS, figure, plain_ticks

if TYPE_CHECKING:
    from measuring import Run

HERE = Path(__file__).parent
SIZES = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 40_000_000)
COLUMNS = 20
PICTURE = "benchmarks-rows.png"


def section(scale: float, rounds: int, folder: Path, out: Path) -> str:
    """Measure, draw, and say it."""
    found = {rows: timed(rows, rounds, folder) for rows in (int(size * scale) for size in SIZES)}
    fixed, each = line(found)
    plot(found, fixed, each, out / PICTURE)
    lines = [
        "### rows",
        "",
        f"`gradline train` on Parquet with {COLUMNS} features, `--assess no` (by default only tables up to 20 million values",
        "are assessed, which adds a second), the whole cold process: median (least to most).",
        f"The line through the medians: {fixed:.2f} s and {each * 1e6:.3f} s for every million rows.",
        "",
        f"![Seconds and memory by rows]({PICTURE})",
        "",
        "| rows | file, MB | seconds | the line | peak memory, MB |",
        "|---|---|---|---|---|",
    ]
    for rows, runs in found.items():
        size = rows * (COLUMNS + 1) * 8 / 1e6
        seconds = spread([run.seconds for run in runs])
        lines.append(f"| {rows:,} | {size:,.0f} | {seconds} | {fixed + each * rows:.2f} | {peak(runs):,.0f} |")
    last, before = list(found)[-1], list(found)[-2]
    ratio = peak(found[last]) / peak(found[before])
    lines += ["", f"Memory of {last:,} rows: {ratio:.2f} times that of {before:,}."]
    return "\n".join(lines) + "\n"


def timed(rows: int, rounds: int, folder: Path) -> list[Run]:
    """The runs of one size; its file is made for them and goes with them."""
    data = folder / "rows.parquet"
    making = [sys.executable, str(HERE / "making.py"), str(data), str(rows), str(COLUMNS)]
    subprocess.run(making, check=True)
    runs = in_turn(["gradline"], lambda _: train(data, folder / "run", ["--assess", "no"]), rounds, f"rows {rows:,}")["gradline"]
    data.unlink()
    return runs


def line(found: dict[int, list[Run]]) -> tuple[float, float]:
    """Seconds of no row and of each, which fit the medians best by their relative error."""
    rows, seconds = np.array(list(found)), np.array([median(runs) for runs in found.values()])
    A = np.column_stack([np.ones(len(rows)), rows]) / seconds[:, None]
    fixed, each = np.linalg.lstsq(A, np.ones(len(rows)), rcond=None)[0]
    return float(fixed), float(each)


def plot(found: dict[int, list[Run]], fixed: float, each: float, path: Path) -> None:
    """Time on two logarithmic axes with the line, and memory."""
    made, axes = figure(1, 2, 5.4, 3.4)
    time, memory = axes.flat
    rows = np.array(list(found), dtype=float)
    for size, runs in found.items():
        seconds = [run.seconds for run in runs]
        time.vlines(size, min(seconds), max(seconds), colors=OURS, linewidth=2)
        time.plot(size, statistics.median(seconds), "o", color=OURS)
        memory.plot(size, peak(runs), "o", color=OURS)
    dense = np.geomspace(rows[0], rows[-1], 200)
    time.plot(dense, fixed + each * dense, color=OURS, linewidth=1, label=f"{fixed:.2f} s + {each * 1e6:.2f} s a million rows")
    least = min(run.seconds for runs in found.values() for run in runs) / 1.5
    high = dense[each * dense > least]
    time.plot(high, each * high, "--", color=PEERS, linewidth=1, label="slope 1: the rows alone")
    time.set_yscale("log")
    time.set_title("seconds of the whole process", fontsize=10)
    time.legend(fontsize=8, frameon=False)
    top = max(peak(runs) for runs in found.values())
    memory.set_ylim(0, 1.25 * top)
    memory.set_title("peak memory, MB", fontsize=10)
    time.set_ylim(bottom=least)
    plain_ticks(time.yaxis, "s")
    for axis in (time, memory):
        axis.set_xscale("log")
        axis.minorticks_off()
        axis.set_xticks(rows, [short(size) for size in found])
        axis.set_xlabel("rows", fontsize=8)
        axis.grid(visible=True, color="#e4e4e4")
    made.savefig(path, dpi=DPI)


def short(rows: int) -> str:
    """3M, 100k."""
    return f"{rows / 1e6:g}M" if rows >= 1_000_000 else f"{rows / 1e3:g}k"

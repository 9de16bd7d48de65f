"""gradline beside its peers, on the same data and the same split, in fresh processes, in turn.

    python benchmarks/speed.py                 all cases, five rounds: about an hour, 20 GB of memory for the peers
    python benchmarks/speed.py --scale 0.1     a tenth of the rows
    python benchmarks/speed.py --case csv --rounds 3

Writes docs/benchmarks.md and docs/benchmarks.png. Before a time is printed, the answers have to agree: with split and without,
each coefficient of each exact peer within 1e-6 of gradline's (1e-3 in float32, 0.05 for SGD), in units of the largest.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
EXACT = ("sklearn_linear", "sklearn_ridge", "sklearnex_linear", "sklearnex_incremental", "glum", "statsmodels")
FLOORS = ("duckdb_sum", "polars_scan")
HEAVY = {"sklearn_linear": 2e9, "statsmodels": 1.2e9, "sgd": 2.1e9, "glum": 2.1e9}  # bytes of X past which it is left out


class Case(NamedTuple):
    """A table, and the ways to go over it. reference: what ratios are to."""

    name: str
    rows: int
    columns: int
    kind: str
    ways: tuple[str, ...]
    reference: str


CASES = (
    Case("parquet", 10_000_000, 20, "parquet", ("gradline", *FLOORS, "sklearnex_linear", "sklearn_ridge", "sklearn_linear", "sgd"), "duckdb_sum"),
    Case("csv", 2_000_000, 20, "csv", ("gradline", *FLOORS, "sklearnex_linear", "sklearn_ridge"), "duckdb_sum"),
    Case("memory-1Mx100", 1_000_000, 100, "float64", ("gradline", *EXACT, "sgd"), "sklearnex_linear"),
    Case("memory-10Mx5", 10_000_000, 5, "float64", ("gradline", *EXACT), "sklearnex_linear"),
    Case("memory-200kx500", 200_000, 500, "float64", ("gradline", *EXACT), "sklearnex_linear"),
    Case("memory-1Mx100-float32", 1_000_000, 100, "float32", ("gradline", "sklearnex_linear", "sklearn_ridge"), "sklearnex_linear"),
)  # fmt: skip


class Run(NamedTuple):
    """One process. seconds: of the whole process, or of the fit alone for a table in memory. megabytes: its peak."""

    seconds: float
    megabytes: float
    answer: dict[str, Any]


def make(case: Case, folder: Path, *, roles: bool) -> tuple[str, str | None]:
    """The case's file, or a word for a table in memory, and the file of roles. By another process: a child's peak memory counts
    from its parent's.
    """
    in_memory = case.kind.startswith("float")
    data = f"memory:{case.rows}x{case.columns}:{case.kind}" if in_memory else str(folder / f"{case.name}.{case.kind}")
    split = str(folder / f"{case.name}.npy") if roles else None
    subprocess.run([sys.executable, str(HERE / "making.py"), data, str(case.rows), str(case.columns), split or ""], check=True)
    return data, split


def run(way: str, data: str, roles: str | None, folder: Path) -> Run:
    """One way in a process of its own."""
    command = [sys.executable, str(HERE / "ways.py"), way, data, *([roles] if roles else [])]
    trained = folder / "run"
    if way == "gradline" and not data.startswith("memory:"):
        shutil.rmtree(trained, ignore_errors=True)
        shares = [] if roles else ["--validation", "0", "--test", "0"]
        command = [sys.executable, "-m", "gradline", "train", data, "--target", "y", "--out", str(trained), "--json", *shares]
    with tempfile.TemporaryFile() as out:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{way} on {data} ended with exit code {process.returncode}")
        out.seek(0)
        answer = json.loads(out.read())
    if isinstance(answer.get("coefficients"), dict):
        answer["coefficients"] = list(answer["coefficients"].values())
    fit_alone = answer["seconds"] if data.startswith("memory:") else seconds
    return Run(fit_alone, usage.ru_maxrss / (1024.0 if sys.platform != "darwin" else 1024.0**2), answer)


def check(case: Case, found: dict[str, list[Run]]) -> None:
    """Stop where a peer's answer is another than gradline's."""
    ours = np.array(found["gradline"][0].answer["coefficients"])
    for way, runs in found.items():
        if way in FLOORS:
            continue
        tolerance = 0.05 if way == "sgd" else 1e-3 if case.kind == "float32" else 1e-6
        apart = float(np.max(np.abs(np.array(runs[0].answer["coefficients"]) - ours)) / np.max(np.abs(ours)))
        if apart > tolerance:
            raise SystemExit(f"{case.name}: {way} and gradline are {apart:.1e} apart: no times")


def measured(case: Case, *, roles: bool, rounds: int, folder: Path) -> dict[str, list[Run]]:
    """All ways in turn, `rounds` times after one that is not counted."""
    data, split = make(case, folder, roles=roles)
    size = case.rows * case.columns * 8
    ways = [way for way in case.ways if size <= HEAVY.get(way, np.inf)]
    found: dict[str, list[Run]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way in ways:
            print(f"  {case.name}, round {number}, {way}", file=sys.stderr, flush=True)
            one = run(way, data, split, folder)
            if number:
                found[way].append(one)
    if not data.startswith("memory:"):
        Path(data).unlink()
    check(case, found)
    return found


def table(case: Case, roles: bool, found: dict[str, list[Run]]) -> str:
    """The medians as Markdown."""
    reference = statistics.median(one.seconds for one in found[case.reference])
    what = "the fit alone" if case.kind.startswith("float") else "the whole cold process"
    lines = [
        f"### {case.name}: {case.rows:,} rows, {case.columns} features, {'with a split' if roles else 'all rows for training'}",
        "",
        f"Seconds of {what}, median (least to most); ratio to {case.reference}.",
        "",
        "| way | seconds | ratio | peak memory, MB |",
        "|---|---|---|---|",
    ]
    for way, runs in sorted(found.items(), key=lambda item: statistics.median(one.seconds for one in item[1])):
        seconds = [one.seconds for one in runs]
        median = statistics.median(seconds)
        name = f"**{way}**" if way == "gradline" else way
        peak = max(one.megabytes for one in runs)
        lines.append(
            f"| {name} | {median:.2f} ({min(seconds):.2f} to {max(seconds):.2f}) | {median / reference:.2f} | {peak:,.0f} |"
        )
    return "\n".join(lines) + "\n"


def plot(results: list[tuple[Case, bool, dict[str, list[Run]]]], path: Path) -> None:
    """Dots of the medians, from the least to the most, one panel a case."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import NullFormatter

    across = min(2, len(results))
    down = -(-len(results) // across)
    figure, axes = plt.subplots(down, across, figsize=(5.4 * across, 2.6 * down), squeeze=False, layout="constrained")
    for axis in axes.flat[len(results) :]:
        axis.set_visible(False)
    for axis, (case, roles, found) in zip(axes.flat, results, strict=False):
        seconds = {way: [one.seconds for one in runs] for way, runs in found.items()}
        ordered = sorted(seconds, key=lambda way: -statistics.median(seconds[way]))
        for place, way in enumerate(ordered):
            colour = "#0072b2" if way == "gradline" else "#888888" if way in FLOORS else "#b8720a"
            median = statistics.median(seconds[way])
            axis.hlines(place, min(seconds[way]), max(seconds[way]), colors=colour, linewidth=2)
            axis.plot(median, place, "o", color=colour)
            axis.annotate(
                f"{median:.2f} s", (max(seconds[way]), place), (8, 0), textcoords="offset points", va="center", fontsize=8
            )
        everything = [one for each in seconds.values() for one in each]
        axis.set_xscale("log")
        axis.set_xlim(min(everything) / 1.5, max(everything) * 2.5)
        ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if min(everything) / 1.5 <= t <= max(everything) * 2.5]
        axis.set_xticks(ticks, [f"{t:g} s" for t in ticks])
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_yticks(range(len(ordered)), ordered)
        axis.set_ylim(-0.6, len(ordered) - 0.4)
        axis.set_title(f"{case.name}{', split' if roles else ''}", fontsize=10)
        axis.tick_params(labelsize=8)
        axis.grid(visible=True, axis="x", color="#e4e4e4")
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES])
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of rows")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--split", choices=["with", "without", "both"], default="both")
    parser.add_argument("--out", type=Path, default=DOCS, help="the folder of benchmarks.md and benchmarks.png")
    asked = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as name:
        chosen = [case for case in CASES if not asked.case or case.name in asked.case]
        for case in [case._replace(rows=int(case.rows * asked.scale)) for case in chosen]:
            for roles in {"with": [True], "without": [False], "both": [False, True]}[asked.split]:
                results.append((case, roles, measured(case, roles=roles, rounds=asked.rounds, folder=Path(name))))
                print(table(*results[-1]), flush=True)
    import gradline

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    head = f"""# Benchmarks

Made by `python benchmarks/speed.py` (peers: `pip install -r benchmarks/requirements.txt`) with gradline {gradline.__version__},
Python {platform.python_version()}, on {cores} cores of {platform.machine()}; {asked.rounds} rounds, all ways in turn, fresh processes.
Compare the ratios, not the seconds: another machine has others. gradline's time holds all it does by default: the split, the
certificate, the history, the metrics and, from files, the saved run. The peers fit, and score the same rows; tables in memory are
timed after a fit of 1,000 rows, so that no import counts. The answers were compared before any time was written.

![Medians](benchmarks.png)

"""
    (asked.out / "benchmarks.md").write_text(head + "\n".join(table(*result) for result in results))
    plot(results, asked.out / "benchmarks.png")


if __name__ == "__main__":
    main()

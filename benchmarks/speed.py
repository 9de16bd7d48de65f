"""gradline beside its peers, on the same data and the same split, in fresh processes, in turn.

    python benchmarks/speed.py                 all of it, three rounds: about 45 minutes, 20 GB of memory and of disk
    python benchmarks/speed.py --scale 0.1     a tenth of the rows
    python benchmarks/speed.py --case csv --case start --rounds 5

Writes docs/benchmarks.md and its pictures; the tables go to TMPDIR meanwhile. Before a time is printed the answers have to agree,
with split and without: each coefficient of each exact peer within 1e-6 of gradline's, in units of the largest; the loss of peers in
float32 within 1e-6 of the least one, relative to that of the mean, and of stochastic gradients within 1e-2.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import minibatch
import rows
import start
from cases import CASES, HERE, measured
from measuring import SLOW, SLOW_ROUNDS
from showing import plot, table

if TYPE_CHECKING:
    from cases import Result

DOCS = HERE.parent / "docs"
PATHS = HERE / "paths.py"  # folds and ridge paths; prints what it found
OTHERS = ("folds", "minibatch", "rows", "start")


def tables_of(asked: argparse.Namespace, folder: Path) -> list[Result]:
    """The cases that were asked for, each with a split and without."""
    results = []
    for case in (case._replace(rows=int(case.rows * asked.scale)) for case in CASES if wanted(asked, case.name)):
        for roles in {"with": [True], "without": [False], "both": [False, True]}[asked.split]:
            results.append(measured(case, roles=roles, rounds=asked.rounds, folder=folder))
            print(table(results[-1]), flush=True)
    return results


def folds(asked: argparse.Namespace) -> str:
    """What paths.py prints: plain training, and with 5 folds and 100 values of λ, beside scikit-learn's searches."""
    command = [
        sys.executable,
        str(PATHS),
        "--rows",
        str(int(10_000_000 * asked.scale)),
        "--peer-rows",
        str(int(200_000 * asked.scale)),
    ]
    command += ["--rounds", str(asked.rounds)]
    print("  folds", file=sys.stderr, flush=True)
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return f"### folds: cross-validation and the ridge path\n\n```text\n{printed}```\n"


def wanted(asked: argparse.Namespace, name: str) -> bool:
    """Whether a case is to run."""
    return not asked.case or name in asked.case


def introduction(asked: argparse.Namespace, seconds: float) -> str:
    """How the figures were made."""
    import gradline

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    scale = "" if asked.scale == 1.0 else f" at {asked.scale:g} of the rows"
    return f"""# Benchmarks

Made by `python benchmarks/speed.py` (peers: `pip install -r benchmarks/requirements.txt`) with gradline {gradline.__version__},
Python {platform.python_version()}, on {cores} cores of {platform.machine()}, in {seconds / 60:.0f} minutes{scale}; {asked.rounds} rounds, all ways in turn, fresh processes;
a way of more than {SLOW:.0f} seconds has {SLOW_ROUNDS} at most. Compare the ratios, not the seconds: another machine has others. gradline's time holds all
it does by default: the split, the certificate, the history, the metrics and, from files, the saved run. The peers fit, and score
the same rows; tables in memory are timed after a fit of 1,000 rows, so that no import counts. The answers were compared before any
time was written.
"""


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=[*(case.name for case in CASES), *OTHERS])
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of rows")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--split", choices=["with", "without", "both"], default="both")
    parser.add_argument("--out", type=Path, default=DOCS, help="the folder of benchmarks.md and its pictures")
    asked = parser.parse_args()
    began = time.perf_counter()
    asked.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        others: list[str] = []

        def finished(section: str) -> None:
            others.append(section)
            print(section, flush=True)  # at once: what comes later may fail

        if wanted(asked, "start"):
            finished(start.section())
        results = tables_of(asked, folder)
        if wanted(asked, "folds") and PATHS.exists():
            finished(folds(asked))
        if wanted(asked, "minibatch"):
            finished(minibatch.section(asked.scale, asked.rounds, folder, asked.out))
        if wanted(asked, "rows"):
            finished(rows.section(asked.scale, asked.rounds, folder, asked.out))
    picture = []
    if results:
        plot(results, asked.out / "benchmarks.png")
        picture = ["![Medians](benchmarks.png)\n"]
    document = [introduction(asked, time.perf_counter() - began), *picture, *map(table, results), *others]
    (asked.out / "benchmarks.md").write_text("\n".join(document))


if __name__ == "__main__":
    main()

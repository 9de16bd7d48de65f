"""What it takes to start: `gradline --help` and `import gradline` beside an import of NumPy and of scikit-learn, warm."""

from __future__ import annotations

import sys

from measuring import in_turn, median, process, spread
from showing import bold

REPETITIONS = 20
COMMANDS = {
    "import numpy": ["-c", "import numpy"],
    "import gradline": ["-c", "import gradline"],
    "gradline --help": ["-m", "gradline", "--help"],
    "import sklearn": ["-c", "import sklearn"],
    "import sklearn.linear_model": ["-c", "import sklearn.linear_model"],
}


def section(repetitions: int = REPETITIONS) -> str:
    """Measure, and say it."""
    for command in COMMANDS.values():  # once, so that the files are in memory
        process([sys.executable, *command], prints=False)
    found = in_turn(COMMANDS, lambda name: process([sys.executable, *COMMANDS[name]], prints=False), repetitions, "start")
    reference = median(found["import numpy"])
    lines = [
        "### start",
        "",
        f"Seconds of the whole process, {repetitions} of each in turn, files in memory: median (least to most); ratio to `import numpy`.",
        "`import gradline` alone loads none of what it needs to train; that comes with the first use.",
        "",
        "| command | seconds | ratio |",
        "|---|---|---|",
    ]
    for name, runs in sorted(found.items(), key=lambda item: median(item[1])):
        lines.append(f"| {bold(name)} | {spread([run.seconds for run in runs])} | {median(runs) / reference:.1f} |")
    return "\n".join(lines) + "\n"

"""Mini-batches beside SGDRegressor: rows a second of an epoch, and seconds to a relative gap of 1e-6.

`section` is called by speed.py; each measurement is a process of its own, `python benchmarks/minibatch.py FOLDER TASK SETTINGS`.
Both have one thread of arithmetic and shuffle every epoch. The gap is that of the returned coefficients, (J − J*)/J(w = 0, b = mean y)
in float64, with J* solved for directly; it is looked at ten times an epoch, outside the clock where the way does not know it itself.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from making import excess
from measuring import Run, in_turn, process, spread
from showing import DPI, OURS, PEERS, bold, figure, plain_ticks

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
ROWS = 1_000_000
FEATURES = (1, 20, 100)
BATCHES = (256, 64)
EPOCHS = 3  # of the throughput
GAP = 1e-6
NEVER = 1e-200
MOST_EPOCHS, MOST_SECONDS = 10, 20.0  # then a setting has not reached it
LOOKS = 10  # an epoch
WARM_ROWS = 1_000
PICTURE = "benchmarks-minibatch.png"

Settings = dict[str, Any]


def ours() -> Iterator[Settings]:
    """Gradline's settings: the plan's own learning rate; `auto` is not averaged and ends at the floor of its noise."""
    for batch in BATCHES:
        yield {"batch_size": batch, "optimizer": "averaged_sgd"}
    yield {"batch_size": BATCHES[0], "optimizer": "auto"}


def theirs(p: int) -> Iterator[Settings]:
    """SGDRegressor's settings: its default, a quicker one, and constant rates averaged; 0.5/(p + 1) is half of 1/E‖(x, 1)‖²."""
    yield {"learning_rate": "invscaling", "eta0": 0.01}
    yield {"learning_rate": "invscaling", "eta0": 0.1}
    yield {"learning_rate": "constant", "eta0": 0.001}
    for rate in (0.01, 0.1 / (p + 1), 0.5 / (p + 1)):
        yield {"learning_rate": "constant", "eta0": rate, "average": True}


# ---- one measurement


def arrays(folder: Path) -> tuple[Any, Any]:
    """The table of making.py."""
    return np.load(folder / "X.npy"), np.load(folder / "y.npy")


class Trained(NamedTuple):
    """What gradline found. seconds: of all of `train`; loop: of its steps, with their records.  epochs: steps in epochs."""

    coefficients: np.ndarray[Any, Any]
    intercept: float
    seconds: float
    loop: float
    epochs: float


def trained(folder: Path, settings: Settings, gap: float, **budget: Any) -> Trained:
    """A run of gradline that stops where its gap is small enough. The loop's seconds are its own: nobody watches its steps."""
    import gradline as gl

    X, y = arrays(folder)
    warnings.simplefilter("ignore")  # that without a split the quality is not known
    every: Settings = {"oracle": "minibatch", "validation": 0.0, "test": 0.0, "stop": ["gap"], "tolerance": gap, **settings}
    gl.train(X[:WARM_ROWS], y[:WARM_ROWS], **every, max_epochs=1)
    start = time.perf_counter()
    model = gl.train(X, y, **every, **budget)
    seconds = time.perf_counter() - start
    last = model.history.slice(model.history.num_rows - 1).to_pylist()[0]
    found = np.array(list(model.coefficients.values()))
    return Trained(found, model.intercept, seconds, last["seconds"], last["step"] / -(-len(y) // settings["batch_size"]))


def gradline_epochs(folder: Path, settings: Settings) -> Settings:
    """Rows a second of the loop, with its records."""
    run = trained(folder, settings, NEVER, max_epochs=EPOCHS)
    rows = len(np.load(folder / "y.npy", mmap_mode="r"))
    return {"rate": rows * run.epochs / run.loop}


def gradline_gap(folder: Path, settings: Settings) -> Settings:
    """Seconds to the gap."""
    run = trained(folder, settings, GAP, max_epochs=MOST_EPOCHS, max_seconds=MOST_SECONDS)
    gap = excess(np.load(folder / "products.npy"), run.coefficients, run.intercept)
    return {"seconds": run.seconds, "loop": run.loop, "epochs": run.epochs, "gap": gap}


def regressor(settings: Settings) -> Any:
    """SGDRegressor without a penalty and without its stopping rule."""
    from sklearn.linear_model import SGDRegressor

    return SGDRegressor(penalty=None, tol=None, random_state=0, **settings)


def standardised(folder: Path) -> tuple[Any, Any, Any, Any]:
    """X with mean 0 and deviation 1, y, and the mean and the deviation."""
    X, y = arrays(folder)
    mean, deviation = X.mean(axis=0), X.std(axis=0)
    return (X - mean) / deviation, y, mean, deviation


def sgd_epochs(folder: Path, settings: Settings) -> Settings:
    """Rows a second of `fit`."""
    X, y, *_ = standardised(folder)
    regressor({**settings, "max_iter": 1}).fit(X[:WARM_ROWS], y[:WARM_ROWS])
    model = regressor({**settings, "max_iter": EPOCHS})
    start = time.perf_counter()
    model.fit(X, y)
    return {"rate": len(y) * EPOCHS / (time.perf_counter() - start)}


def sgd_gap(folder: Path, settings: Settings) -> Settings:
    """Seconds of `partial_fit` on a tenth of the rows after the other, until the gap is reached."""
    products = np.load(folder / "products.npy")
    X, y, mean, deviation = standardised(folder)
    regressor(settings).partial_fit(X[:WARM_ROWS], y[:WARM_ROWS])
    model = regressor(settings)
    seconds, gap, part = 0.0, np.inf, 0
    tenths = [slice(len(y) * k // LOOKS, len(y) * (k + 1) // LOOKS) for k in range(LOOKS)]
    while gap > GAP and part < MOST_EPOCHS * LOOKS and seconds < MOST_SECONDS:
        rows = tenths[part % LOOKS]
        start = time.perf_counter()
        try:
            model.partial_fit(X[rows], y[rows])
        except ValueError:  # diverged: it overflows
            return {"seconds": seconds, "epochs": part / LOOKS, "gap": None}
        seconds += time.perf_counter() - start
        part += 1
        w = model.coef_ / deviation
        gap = excess(products, w, float(model.intercept_[0] - w @ mean))
    return {"seconds": seconds, "epochs": part / LOOKS, "gap": gap if np.isfinite(gap) else None}


TASKS = {"gradline epochs": gradline_epochs, "gradline gap": gradline_gap, "sgd epochs": sgd_epochs, "sgd gap": sgd_gap}


# ---- the section


def section(scale: float, rounds: int, folder: Path, out: Path) -> str:
    """Measure, draw, and say it."""
    rates: dict[str, dict[int, list[Run]]] = {}
    races: dict[int, dict[str, list[Run]]] = {}
    for p in FEATURES:
        data = folder / f"minibatch-{p}"
        making = [sys.executable, str(HERE / "making.py"), str(data), str(int(ROWS * scale)), str(p), "", "float64"]
        subprocess.run(making, check=True)
        ways = {f"gradline, batches of {size}": ("gradline", {"batch_size": size}) for size in BATCHES}
        ways["SGDRegressor"] = ("sgd", {})
        for name, runs in raced("epochs", ways, data, rounds).items():
            rates.setdefault(name, {})[p] = runs
        races[p] = best(data, p, rounds)
        shutil.rmtree(data)
    plot(rates, races, out / PICTURE)
    return rate_table(rates, scale) + "\n" + race_table(races)


def raced(task: str, ways: dict[str, tuple[str, Settings]], data: Path, rounds: int) -> dict[str, list[Run]]:
    """Ways by their names, in turn."""

    def once(name: str) -> Run:
        way, settings = ways[name]
        command = [sys.executable, str(HERE / "minibatch.py"), str(data), f"{way} {task}", json.dumps(settings)]
        return process(command, own_clock=task == "gap")

    return in_turn(ways, once, rounds, f"{data.name} {task}")


def best(data: Path, p: int, rounds: int) -> dict[str, list[Run]]:
    """Every setting once; the quickest to the gap of each side (of gradline, of each batch size) again, with the others."""
    sides: dict[str, dict[str, tuple[str, Settings]]] = {"SGDRegressor": {worded(s): ("sgd", s) for s in theirs(p)}}
    for settings in ours():
        sides.setdefault(f"gradline, batches of {settings['batch_size']}", {})[worded(settings)] = ("gradline", settings)
    tried = {side: raced("gap", ways, data, 1) for side, ways in sides.items()}
    again: dict[str, tuple[str, Settings]] = {}
    for side, runs in tried.items():
        reached = [name for name in runs if within(runs[name][0])]
        if reached:
            name = min(reached, key=lambda name: runs[name][0].seconds)
            again[f"{side}: {name}"] = sides[side][name]
    repeated = raced("gap", again, data, rounds)
    alone = {f"{side}: {name}": found for side, runs in tried.items() for name, found in runs.items()}
    return {**alone, **repeated}


def worded(settings: Settings) -> str:
    """Settings in a cell of a table."""
    names = {"learning_rate": "", "optimizer": "", "batch_size": None, "average": "averaged", "eta0": "η ="}
    words = [(names[key], value) for key, value in settings.items() if names[key] is not None]
    return ", ".join(word if value is True else f"{word} {value:.3g}" if word else str(value) for word, value in words)


def within(run: Run) -> bool:
    """Whether the gap was reached."""
    gap = run.answer["gap"]
    return gap is not None and gap <= GAP * 1.01


def rate_table(rates: dict[str, dict[int, list[Run]]], scale: float) -> str:
    """Rows a second."""
    lines = [
        "### minibatch: rows a second",
        "",
        f"{int(ROWS * scale):,} rows in memory, {EPOCHS} epochs, shuffled: millions of rows a second, median (least to most). gradline's loop",
        "records the exact loss, the gap and the norms of every hundredth step or oftener; SGDRegressor is on standardised arrays, a row a step.",
        "",
        "| way | " + " | ".join(f"p = {p}" for p in FEATURES) + " |",
        "|---|" + "---|" * len(FEATURES),
    ]
    for name, by_width in rates.items():
        cells = [spread([run.answer["rate"] / 1e6 for run in by_width[p]]) for p in FEATURES]
        lines.append(f"| {bold(name)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def race_table(races: dict[int, dict[str, list[Run]]]) -> str:
    """Seconds to the gap, every setting that was tried."""
    lines = [
        f"### minibatch: seconds to a relative gap of {GAP:.0e}",
        "",
        "(J − J*)/J(w = 0), J* by a direct solve in float64, looked at ten times an epoch or oftener. Every setting was tried once and the quickest of each",
        f"way then repeated, in turn; at most {MOST_EPOCHS} epochs or {MOST_SECONDS:.0f} seconds. gradline's seconds are of `train` as a whole, which reads the table twice,",
        "standardises it and certifies the result; those of its loop in brackets. SGDRegressor's are of its steps alone, on standardised arrays.",
        "",
        "| p | way: setting | seconds | epochs | gap |",
        "|---|---|---|---|---|",
    ]
    for p, found in races.items():
        for name, runs in found.items():
            answer = runs[0].answer
            if not within(runs[0]):
                gap = "diverged" if answer["gap"] is None else f"{answer['gap']:.0e}"
                lines.append(f"| {p} | {bold(name)} | not reached in {runs[0].seconds:.1f} | {answer['epochs']:.1f} | {gap} |")
                continue
            seconds = spread([run.seconds for run in runs])
            if "loop" in answer:
                seconds += f" [{statistics.median(run.answer['loop'] for run in runs):.2f}]"
            lines.append(f"| {p} | {bold(name)} | {seconds} | {answer['epochs']:.1f} | {answer['gap']:.1e} |")
    return "\n".join(lines) + f"\n\n![Rows a second and seconds to the gap]({PICTURE})\n"


def plot(rates: dict[str, dict[int, list[Run]]], races: dict[int, dict[str, list[Run]]], path: Path) -> None:
    """Rows a second by features, and the seconds of each side's best setting."""
    made, axes = figure(1, 2, 5.4, 3.4)
    looks = dict(zip(rates, ((OURS, "o-"), ("#56b4e9", "s-"), (PEERS, "^-")), strict=True))
    for name, by_width in rates.items():
        colour, marker = looks[name]
        values = [statistics.median(run.answer["rate"] for run in by_width[p]) / 1e6 for p in FEATURES]
        axes.flat[0].plot(FEATURES, values, marker, color=colour, label=name)
        times = [quickest(races[p], name) for p in FEATURES]
        axes.flat[1].plot(FEATURES, times, marker, color=colour, label=name)
    titles = ("million rows a second", f"seconds to a relative gap of {GAP:.0e}, best setting")
    for axis, title in zip(axes.flat, titles, strict=True):
        axis.set(xscale="log", yscale="log")
        axis.set_xticks(FEATURES, [str(p) for p in FEATURES])
        axis.xaxis.minorticks_off()
        plain_ticks(axis.yaxis)
        axis.set_xlabel("features", fontsize=8)
        axis.set_title(title, fontsize=10)
        axis.grid(visible=True, color="#e4e4e4")
    axes.flat[0].legend(fontsize=8, frameon=False)
    made.savefig(path, dpi=DPI)


def quickest(found: dict[str, list[Run]], side: str) -> float:
    """The median seconds of a side's best setting, NaN where none reached the gap."""
    times = [
        statistics.median(r.seconds for r in runs)
        for name, runs in found.items()
        if name.startswith(f"{side}:") and within(runs[0])
    ]
    return min(times, default=float("nan"))


def main(folder: str, task: str, settings: str) -> None:
    """One measurement."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        print(json.dumps(TASKS[task](Path(folder), json.loads(settings))))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The pictures and the numbers of docs/how-gradient-descent-finds-the-line.md, from the flights that ship with the project.

    pip install '.[docs]'
    python benchmarks/lecture_pictures.py

Prints every number of the page and writes docs/pictures/*.svg. Nothing is timed. Which problems and which runs they show stands
in lecture_numbers.py; here is how they are drawn.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from lecture_numbers import (
    BATCH_SIZES,
    CONTOURS,
    CROOKED,
    MOST_STEPS,
    NOISY_RATE,
    NOISY_STEPS,
    ONE,
    ROOT,
    RULES,
    SMALL,
    SPREAD,
    accelerated,
    in_thousands,
    noisy,
    numbers,
    predicted,
    prepared,
    rates,
    scalings,
    tuned,
    walk,
)

from gradline.oracles.minibatch import Batches
from gradline.report.numerals import count, number
from gradline.training.stopping import GAP_TOLERANCE
from gradline.updates import gradient_descent, heavy_ball
from gradline.updates.gradient_descent import GradientDescent

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gradline.maths.quadratic import Solution
    from gradline.types import FloatArray

PICTURES = ROOT / "docs" / "pictures"
BLUE, ORANGE, GREEN, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#AA4499", "#56B4E9"  # Okabe and Ito, and Tol's purple
INK, MUTED, FAINT = "#222222", "#666666", "#BBBBBB"
STYLE: Any = {
    "svg.hashsalt": "gradline",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "axes.titlesize": 10.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "path.simplify_threshold": 0.3,
}
MOST_POINTS = 250  # of a curve
FLIGHTS_SHOWN = 300
LINES_SHOWN = (0, 1, 3, 10, 30, 100)


def thinned(steps: int) -> list[int]:
    """The positions of a curve that are drawn on a logarithmic axis: all the early ones, then evenly."""
    return sorted({round(v) for v in np.geomspace(1, steps, MOST_POINTS)} - {steps} | {steps - 1})


def ellipse(solution: Solution, gap: float) -> FloatArray:
    """The points at which J − J* = gap, (2, n), from the eigenvectors."""
    angle = np.linspace(0.0, 2.0 * np.pi, 73)
    radii = np.sqrt(2.0 * gap / solution.eigenvalues)
    points: FloatArray = solution.minimiser[:, None] + (solution.vectors * radii) @ np.vstack([np.cos(angle), np.sin(angle)])
    return points


def draw_contours(axes: Any, solution: Solution, levels: Iterable[float] = CONTOURS) -> None:
    """The contours of J, and its minimum."""
    for level in levels:
        axes.plot(*ellipse(solution, level), color=FAINT, lw=0.9, zorder=1)
    axes.plot(*solution.minimiser, marker="+", color=INK, ms=11, mew=1.6, zorder=4)


def draw_path(axes: Any, path: FloatArray, colour: str) -> None:
    """The iterates and the way between them; the start is open."""
    axes.plot(path[:, 0], path[:, 1], color=colour, lw=1.3, marker="o", ms=3.6, zorder=3)
    axes.plot(*path[0], marker="o", ms=7.0, mfc="white", mec=colour, mew=1.4, zorder=5)


def line_picture(plt: Any) -> Any:
    """Flights and the line at several steps."""
    store = prepared(ONE, "minibatch").store
    assert store is not None
    shown = Batches(0, len(store), FLIGHTS_SHOWN, mixed=True).at(0)
    own = prepared(ONE).problem.coordinates
    miles = store.X[shown, 0] * own.deviation[0] + own.mean[0]
    problem = in_thousands()
    path = walk(problem, GradientDescent(SMALL), max(LINES_SHOWN)).path
    figure, axes = plt.subplots(figsize=(7.4, 4.0), layout="constrained")
    axes.plot(miles, store.y[shown], ls="", marker="o", ms=3.0, color=FAINT, mew=0.0)
    ends = np.array([0.0, 2_700.0])
    for position, step in enumerate(LINES_SHOWN):
        w, b = problem.coordinates.to_user(path[step])
        shade = plt.get_cmap("viridis")(0.92 - 0.92 * position / (len(LINES_SHOWN) - 1))
        axes.plot(ends, w[0] * ends + b, color=shade, lw=2.0)
        height = float(w[0] * ends[1] + b)
        axes.annotate(f"step {step}", (ends[1], height), xytext=(6, 0), textcoords="offset points", va="center", size=9)
    axes.set(xlim=(0.0, 2_980.0), ylim=(-12.0, 420.0), xlabel="distance (miles)", ylabel="air time (minutes)")
    return figure


def path_picture(plt: Any) -> Any:
    """The path over the contours for four learning rates."""
    problem = in_thousands()
    figure, grid = plt.subplots(2, 2, figsize=(8.6, 6.6), sharex=True, sharey=True, layout="constrained")
    shown = {"small": 40, "best": 40, "just below the limit": 25, "past the limit": 4}
    for axes, (name, alpha), colour in zip(grid.flat, rates().items(), (BLUE, GREEN, ORANGE, PURPLE), strict=True):
        draw_contours(axes, problem.solution)
        path = walk(problem, GradientDescent(alpha), shown[name]).path
        draw_path(axes, path, colour)
        steps = predicted(problem, alpha)
        end = f"converges in {count(steps)} steps" if steps is not None else "diverges"
        axes.set_title(f"α = {number(alpha)}, {name}: {end}", color=INK, loc="left")
        axes.text(0.98, 0.03, f"steps 0 to {len(path) - 1}", transform=axes.transAxes, ha="right", color=MUTED, size=9)
        axes.set(xlim=(-75.0, 320.0), ylim=(-105.0, 190.0), aspect="equal")
    for axes in grid[1]:
        axes.set_xlabel("w (minutes per thousand miles)")
    for axes in grid[:, 0]:
        axes.set_ylabel("b (minutes)")
    return figure


def scaling_picture(plt: Any) -> Any:
    """The same loss in three coordinates, each with the path at its best learning rate."""
    figure, grid = plt.subplots(2, 2, figsize=(8.4, 8.2), layout="constrained")
    upward = (-190.0, 235.0)
    panels = (
        ("x in miles", "miles, true to scale", "w (minutes per mile)", (-212.0, 213.0), upward, BLUE),
        ("x in miles", "miles, w stretched a thousandfold", "w (minutes per mile)", (-0.086, 0.339), upward, BLUE),
        ("x in thousands of miles", "thousands of miles", "w (minutes per thousand miles)", (-86.0, 339.0), upward, ORANGE),
        ("(x − x̄) / s", "centred and scaled", "w (minutes per deviation)", (-120.0, 305.0), (-62.0, 363.0), GREEN),
    )
    for axes, (name, title, label, across, up, colour) in zip(grid.flat, panels, strict=True):
        problem = scalings()[name]
        draw_contours(axes, problem.solution)
        chosen = tuned(problem, gradient_descent.NAME)
        assert chosen.steps is not None
        path = walk(problem, chosen.rule, 40).path
        draw_path(axes, path, colour)
        steps = f"{number(chosen.steps / 1e6)} million" if chosen.steps > MOST_STEPS else count(chosen.steps)
        axes.set_title(
            f"{title}\nκ = {number(problem.solution.condition)}, {steps} step{'' if chosen.steps == 1 else 's'}", loc="left"
        )
        shown = f"steps 0 to {len(path) - 1}" if len(path) > 2 else "steps 0 and 1"
        axes.text(0.98, 0.03, shown, transform=axes.transAxes, ha="right", color=MUTED, size=9)
        axes.set(xlabel=label, xlim=across, ylim=up)
        axes.set_box_aspect(1.0)
    for axes in grid[:, 0]:
        axes.set_ylabel("b (minutes)")
    return figure


def momentum_picture(plt: Any) -> Any:
    """The gap by step for four rules, with the steps foretold."""
    problem = prepared(CROOKED).problem
    figure, axes = plt.subplots(figsize=(8.2, 4.6), layout="constrained")
    tolerance = GAP_TOLERANCE * problem.baseline
    axes.axhline(tolerance, color=MUTED, lw=1.0, ls="--")
    axes.text(1.1, tolerance * 2.0, "tolerance of the gap", color=MUTED, size=9)
    colours = dict(zip(RULES, (BLUE, ORANGE, GREEN, PURPLE), strict=True))
    dashes = dict(zip(RULES, ("-", "--", "-.", "-"), strict=True))
    bottom = 1e-27
    for name in RULES:
        chosen, run = accelerated(name)
        steps = np.array([step.step for step in run.history])
        kept = np.unique(np.searchsorted(steps, [v for v in thinned(int(steps[-1]) + 1) if v >= 1]))
        axes.plot(steps[kept], run.gaps[kept], color=colours[name], lw=1.7, ls=dashes[name])
        axes.plot(steps[-1], run.gaps[-1], color=colours[name], marker="o", ms=5.0)
        assert chosen.steps is not None
        axes.plot([chosen.steps] * 2, [bottom, run.gaps[-1]], color=colours[name], lw=1.0, ls=":")
        axes.annotate(
            f"{name.replace('_', ' ').replace('nesterov', 'Nesterov')}\n{count(chosen.steps)} foretold",
            (chosen.steps, bottom * 3.0),
            xytext=(-5 if name == heavy_ball.NAME else 5, 0),
            textcoords="offset points",
            ha="right" if name == heavy_ball.NAME else "left",
            color=colours[name],
            size=9,
        )
    axes.set(xscale="log", yscale="log", xlim=(1.0, 400_000.0), ylim=(bottom, 1e7))
    axes.set(xlabel="step", ylabel="J − J* (squared minutes)")
    return figure


def noise_picture(plt: Any) -> Any:
    """The gap against steps and against rows read, for several batch sizes, with the floors foretold."""
    ready = prepared(SPREAD, "minibatch")
    assert ready.store is not None
    figure, row = plt.subplots(1, 2, figsize=(10.0, 4.4), sharey=True, layout="constrained")
    runs = [(noisy(size), f"B = {count(size)}", size, "-") for size in BATCH_SIZES]
    runs.append((noisy(BATCH_SIZES[1], falling=True), f"B = {count(BATCH_SIZES[1])}, falling α", BATCH_SIZES[1], ":"))
    for (run, label, size, dash), colour in zip(runs, (BLUE, ORANGE, GREEN, PURPLE, INK), strict=True):
        middles, means = averaged(run.walk.gaps)
        for axes, scale in zip(row, (1.0, size / len(ready.store)), strict=True):
            axes.plot(middles * scale, means, color=colour, lw=1.7, ls=dash, label=label)
            if run.floor is not None:
                axes.plot([60.0 * scale, NOISY_STEPS * scale], [run.floor] * 2, color=colour, lw=1.0, ls="--")
    exact = walk(ready.problem, GradientDescent(NOISY_RATE)).gaps
    shown = exact > 1e-3
    row[0].plot(np.arange(1, shown.sum() + 1)[1:] - 1, exact[shown][1:], color=MUTED, lw=1.2, label="all rows")
    row[0].set(
        xscale="log", yscale="log", xlim=(1.0, NOISY_STEPS), ylim=(4e-3, 2e4), xlabel="step", ylabel="J − J* (squared minutes)"
    )
    row[1].set(xscale="log", xlabel="epochs (rows read / training rows)")
    row[0].legend(loc="upper right", fontsize=9)
    row[0].set_title("by step", loc="left")
    row[1].set_title("by rows read", loc="left")
    return figure


def averaged(gaps: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Steps and the mean gap around them, over windows that grow with the step: the mean is what is foretold."""
    edges = np.unique(np.geomspace(1, len(gaps), 70).round().astype(int))
    windows = list(pairwise(edges.tolist()))
    middles = np.array([(a + b - 1) / 2.0 for a, b in windows])
    return middles, np.array([gaps[a:b].mean() for a, b in windows])


DRAWN = {
    "line": line_picture,
    "path": path_picture,
    "scaling": scaling_picture,
    "momentum": momentum_picture,
    "noise": noise_picture,
}


def draw(folder: Path) -> list[Path]:
    """Write every picture."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with mpl.rc_context(STYLE):
        for name, picture in DRAWN.items():
            figure = picture(plt)
            written.append(folder / f"{name}.svg")
            figure.savefig(written[-1], metadata={"Date": None, "Creator": None})
            plt.close(figure)
    return written


def main() -> None:
    """Print the numbers, write the pictures."""
    for name, text in numbers().items():
        print(f"{name}: {text}")
    for path in draw(PICTURES):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

"""The lab's pictures and its runs, for notebooks and for the lines that the page gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gradline.lab.play import play_on, set_up
from gradline.lab.settings import RunSettings, TableSettings
from gradline.lab.table import LabTable
from gradline.lab.view import plane_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from gradline.training.loop import Iterate
    from gradline.training.stopping import Step, StopReason
    from gradline.types import FloatArray

LEVELS = 18  # of contours
LINE_COLOURS = ("#0060a8", "#b84a00", "#00755a")


class Run(NamedTuple):
    """What a play did. steps: the trainer's records.  thetas: (n, k) of each, in the loop's coordinates.

    coefficients, intercept: in the user's units, of the parameters that were kept.
    """

    steps: list[Step]
    thetas: FloatArray
    coefficients: dict[str, float]
    intercept: float
    reason: StopReason


def altered(data: Any, target: str, *, features: Sequence[str] | None = None, **settings: Any) -> pa.Table:
    """The lab's altered table, for `gradline.train`.

    settings: rows, divide, degree, noise, moved, seed of `gradline.lab.settings.TableSettings`.
    """
    import pyarrow as pa

    table = LabTable.open(data, target, features)
    opened = table.opened(TableSettings.of({"features": list(features or table.columns), **settings}))
    columns = [*opened.features, target]
    return pa.concat_tables([pa.table({c: block.load().column(c) for c in columns}) for block in opened.source.blocks(columns)])


def play(
    data: Any,
    target: str,
    *,
    features: Sequence[str] | None = None,
    start: Sequence[float] | None = None,
    learning_rate: float | None = None,
    optimizer: str = "gradient_descent",
    scaling: str = "standard",
    batch_size: int = 0,
    l2: float = 0.0,
    max_steps: int = 300,
    oracle: str = "auto",
    **settings: Any,
) -> Run:
    """Run the trainer's loop from any start, and keep every step.

    start: θ₀, in the loop's coordinates, weights first; None for 0.  settings: those of the table, as in `altered`, and validation, test.
    """
    table = LabTable.open(data, target, features)
    shared = TableSettings.of({"features": list(features or table.columns), **settings})
    batch = batch_size if oracle != "moments" else 0
    run = RunSettings(rule=optimizer, scaling=scaling, batch=batch, l2=l2, steps=max_steps)
    theta = None if start is None else np.array(start, dtype=np.float64)
    found = set_up(table, shared, run, theta, learning_rate=learning_rate)
    steps: list[Step] = []
    thetas: list[FloatArray] = []

    def keep(iterate: Iterate, step: Step) -> None:
        steps.append(step)
        thetas.append(iterate.theta)

    played = play_on(table, found, keep)
    user = found.problem.coordinates.to_user(played.descent.theta, played.descent.theta_low)
    coefficients = dict(zip(found.problem.names, map(float, user.coefficients), strict=True))
    return Run(steps, np.array(thetas), coefficients, user.intercept, played.descent.reason)


def path_plot(
    data: Any,
    target: str,
    *,
    features: Sequence[str] | None = None,
    rates: Sequence[float | None] = (None,),
    optimizer: str = "gradient_descent",
    scaling: str = "standard",
    l2: float = 0.0,
    max_steps: int = 300,
    start: Sequence[float] | None = None,
    axes: Sequence[str] | None = None,
    surface: bool = False,
    **settings: Any,
) -> Any:
    """The contours of J, or its surface, with the path of one run for each rate, as a Plotly figure.

    rates: α in units of 1/L; None for the best one.  start: (u, v) in the plane of the picture.  axes: two directions, such as
    ("q1", "q4") or ("w:distance", "b").  The others as in `play`.
    """
    from plotly.graph_objects import Figure

    table = LabTable.open(data, target, features)
    shared = TableSettings.of({"features": list(features or table.columns), **settings})
    runs = [RunSettings(optimizer, rate, scaling=scaling, l2=l2, steps=max_steps) for rate in rates]
    lead = set_up(table, shared, runs[0])
    plane = plane_of(lead, axes)
    theta = None if start is None else plane.theta(start)
    drawn = plane.surface(lead.start if theta is None else theta)
    gap = np.array(drawn["gap"])
    u, v = drawn["labels"]
    if surface:
        traces: list[dict[str, Any]] = [{"type": "surface", "x": drawn["x"], "y": drawn["y"], "z": lead.solution.minimum + gap, "showscale": False, "opacity": 0.8}]  # fmt: skip
    else:
        traces = [
            {"type": "contour", "x": drawn["x"], "y": drawn["y"], "z": np.sqrt(gap), "ncontours": LEVELS, "showscale": False}
            | {"contours": {"coloring": "lines"}, "colorscale": [[0, "#9aa3ad"], [1, "#9aa3ad"]], "hoverinfo": "skip"}
        ]
    for i, run in enumerate(runs):
        found = set_up(table, shared, run, theta)
        path: list[FloatArray] = []
        play_on(table, found, lambda iterate, step, path=path: path.append(iterate.theta))  # type: ignore[misc]
        at = np.array([plane.at(each) for each in path])
        line = {
            "x": at[:, 0],
            "y": at[:, 1],
            "name": f"α = {found.plan.learning_rate:.4g}" if found.plan.learning_rate else optimizer,
        }
        line |= {"mode": "lines+markers", "line": {"color": LINE_COLOURS[i % len(LINE_COLOURS)]}}
        heights = [lead.problem.loss.value(each) for each in path]
        traces.append(
            {"type": "scatter3d", **line, "z": heights, "marker": {"size": 3}} if surface else {"type": "scatter", **line}
        )
    low, high = (drawn["x"][0], drawn["x"][-1]), (drawn["y"][0], drawn["y"][-1])
    axes_layout = {"xaxis": {"title": {"text": u}, "range": low}, "yaxis": {"title": {"text": v}, "range": high}}
    layout = {"scene": {**axes_layout, "zaxis": {"title": {"text": "J"}}}} if surface else axes_layout
    return Figure({"data": traces, "layout": layout}, skip_invalid=False)

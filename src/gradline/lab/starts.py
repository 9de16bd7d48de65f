"""Fifty random starts that all end in one point, beside networks on the same rows that do not: what a convex objective gives."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gradline.lab.network import HIDDEN, MOST_ROWS, train_networks
from gradline.lab.play import play_on, set_up
from gradline.lab.view import plane_of
from gradline.types import Role, finite_or_none

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.lab.play import Play
    from gradline.lab.settings import RunSettings, TableSettings
    from gradline.lab.table import LabTable
    from gradline.training.loop import Iterate
    from gradline.training.stopping import Step
    from gradline.types import FloatArray, Json

STARTS = 50
MOST_STEPS = 1_000  # of each
PATH_POINTS = 12  # of each path, in the picture
CURVE_POINTS = 40


def many_starts(
    table: LabTable, settings: TableSettings, run: RunSettings, axes: Sequence[str] | None = None, seed: int = 0
) -> Json:
    """Where gradline's loop ends from 50 starts in the plane, and the losses of 50 networks."""
    run = replace(run, steps=min(run.steps, MOST_STEPS))
    first = set_up(table, settings, run)
    plane = plane_of(first, axes)
    middle, half = plane.frame(first.start)
    rng = np.random.default_rng(seed)
    found: Json = {"paths": [], "losses": [], "gaps": [], "steps": [], "minimum": first.solution.minimum}
    for _ in range(STARTS):
        seen: list[FloatArray] = []

        def keep(iterate: Iterate, step: Step, seen: list[FloatArray] = seen) -> None:
            seen.append(plane.at(iterate.theta))

        play = set_up(table, settings, run, plane.theta(middle + half * rng.uniform(-1.0, 1.0, 2)))
        played = play_on(table, play, keep)
        chosen = np.unique(np.linspace(0, len(seen) - 1, PATH_POINTS).astype(int))
        found["paths"].append([[finite_or_none(value) for value in seen[i]] for i in chosen])
        found["losses"].append(finite_or_none(play.problem.loss.value(played.descent.theta)))
        found["gaps"].append(finite_or_none(play.problem.gap(played.descent.theta)))
        found["steps"].append(len(seen) - 1)
    return {**found, "network": _networks(first, seed)}


def _networks(play: Play, seed: int) -> Json:
    points, names = play.opened.points, play.settings.features
    columns = np.column_stack([points.numbers[name] for name in names])
    keep = np.isfinite(columns).all(axis=1) & np.isfinite(points.y) & (points.roles == Role.TRAINING)
    X, y = columns[keep], points.y[keep]
    deviation = X.std(axis=0)
    centre, scale = X.mean(axis=0), np.where(deviation > 0.0, deviation, 1.0)
    one = len(names) == 1
    grid = np.linspace(X[:, 0].min(), X[:, 0].max(), CURVE_POINTS)[:, None] if one else X[:1]
    networks = train_networks((X - centre) / scale, y, (grid - centre) / scale, STARTS, seed)
    return {
        "losses": [finite_or_none(value) for value in networks.loss.tolist()],
        "hidden": HIDDEN,
        "rows": min(len(y), MOST_ROWS),
        "x": grid[:, 0].tolist() if one else [],
        "curves": [[finite_or_none(value) for value in curve] for curve in networks.curves.tolist()] if one else [],
    }

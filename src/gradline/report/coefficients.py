"""The coefficients in the report: by the size of their effect, each with its interval, and what that rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradline.report import charts
from gradline.report.cells import Cell, Table, cell
from gradline.report.numerals import UNKNOWN, count, number, plural, signed
from gradline.report.sentences import RESTS_ON
from gradline.types import Part

if TYPE_CHECKING:
    from gradline.model.model import Model
    from gradline.types import Json

SHOWN = 30
MOST = 2_000
SMALLEST_P = 0.001


def tables(model: Model) -> list[Table]:
    """The first ones, then the others."""
    features, values = model.representation.features, model.coefficients
    effect = charts.effects(model)
    order = [int(j) for j in np.argsort(-np.abs(effect), kind="stable")][:MOST]
    units = {name: column.unit for name, column in model.contract.columns.items() if column.unit}
    inference: Json | None = model.result.get("inference")
    head = [("feature", False), ("coefficient", True)]
    head += [] if inference is None else [(f"{100 * inference['level']:g}% interval", True), ("p", True)]
    head += [("per", False)] if units else []
    head += [("mean", True), ("deviation", True), ("effect per deviation", True)]
    rows = []
    for j in order:
        feature = features[j]
        between = [] if inference is None else _between(inference["coefficients"][feature.name])
        per = [Cell(units.get(feature.column, "") if feature.part is Part.VALUE else "")] if units else []
        numbers = [cell(feature.mean), cell(feature.deviation), cell(float(effect[j]), _signed)]
        rows.append([Cell(feature.name), cell(values[feature.name]), *between, *per, *numbers])
    if model.config.get("intercept", True):
        blank = Cell("", numeric=True)
        between = [] if inference is None else _between(inference["intercept"])
        unit = [Cell("")] if units else []
        rows.insert(0, [Cell("intercept"), cell(model.intercept), *between, *unit, blank, blank, blank])
    what = f"Coefficients of {charts.score_label(model)}"
    if len(order) < len(features):
        what += f", {count(len(order))} of {count(len(features))}; `gradline show --json` has all"
    rest = rows[SHOWN:]
    first = Table(f"{what}, by the size of their effect", head, rows[:SHOWN])
    return [first, Table(f"The {plural(len(rest), 'other coefficient')}", head, rest, folded=True)] if rest else [first]


def uncertain(model: Model) -> str | None:
    """What the intervals mean, and what they rest on; None without them."""
    inference: Json | None = model.result.get("inference")
    if inference is None:
        return None
    return (
        f"Of 100 such samples of rows, {100 * inference['level']:g} would give an interval that holds the coefficient of all rows, "
        f"{RESTS_ON[inference['errors']]}. p: how often a coefficient this far from 0 would be found if it were 0. "
        "Neither says that changing the feature changes the target."
    )


def _between(found: Json) -> list[Cell]:
    low, high = found["low"], found["high"]
    if low is None or high is None:
        return [Cell(UNKNOWN, numeric=True), Cell(UNKNOWN, numeric=True)]
    return [Cell(f"{number(low)} to {number(high)}", f"{low!r} to {high!r}", numeric=True), cell(found["p"], probability)]


def probability(p: float | None) -> str:
    """A p value: below a thousandth its size says nothing more."""
    if p is None:
        return UNKNOWN
    return f"< {SMALLEST_P}" if p < SMALLEST_P else f"{p:.3f}"


def _signed(value: float | None) -> str:
    return number(value) if value is None else signed(value)

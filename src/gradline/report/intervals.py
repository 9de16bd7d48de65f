"""Prediction intervals in the report: what they rest on, how many rows they hold, along the prediction and by category."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradline.report.cells import Cell, Table, cell, counted
from gradline.report.charts import Chart, layout_of, target_label
from gradline.report.numerals import count, number, percent, plural

if TYPE_CHECKING:
    from gradline.model.model import Model
    from gradline.types import Json

NAMES = {"conformal": "split conformal", "jackknife+": "jackknife+", "quantile": "conformalised quantiles"}
FOUND = {"train": "training", "validation": "validation"}
SHOWN = 20  # segments


def entry(model: Model) -> Json | None:
    """What `assessment` says of intervals; None where they were not looked at, as in older models."""
    assessment: Json | None = model.result.get("assessment")
    return None if assessment is None else assessment.get("intervals")


def _unit(model: Model) -> str:
    return f" {model.contract.target_unit}" if model.contract.target_unit else ""


def _how(model: Model, found: Json) -> str:
    """The method with what calibrated it."""
    of = FOUND[found["calibrated_on"]]
    calibrated = f"{count(found['rows'])} {of} {'groups' if model.config.get('group') and of == 'validation' else 'rows'}"
    return f"{NAMES[found['method']]}, {calibrated}"


def _width(model: Model, found: Json) -> str:
    """How wide they are: of one width in the target's unit, or on average."""
    if found["method"] == "conformal" and model.retransformation is None:
        return f"± {number(found['margin'])}{_unit(model)}"
    width = None if found["test"] is None else found["test"]["width"]
    return "their width follows the row" if width is None else f"{number(width)}{_unit(model)} wide on average"


def lines(model: Model) -> list[tuple[str, str]]:
    """For the terminal."""
    found = entry(model)
    if found is None or found["method"] is None:
        return []
    text = f"{percent(found['coverage'])}: {_width(model, found)} ({_how(model, found)})"
    said = [("Intervals", text)]
    if (test := found["test"]) is not None:
        expected = test["expected"]
        text = f"hold {percent(test['coverage'])} of {_rows(test)} (to be expected: {percent(expected['low'])} to {percent(expected['high'])})"
        said.append(("", text + ("" if found["guarantee"] is not None else "; not promised: " + found["rests_on"])))
    return said


def _rows(found: Json) -> str:
    return (
        plural(found["rows"], "test row") if found["rows"] == found["of"] else f"a sample of {plural(found['rows'], 'test row')}"
    )


def measured(model: Model, document: Json) -> list[tuple[str, str]]:
    """What `evaluate` found, for the terminal."""
    found = document["intervals"]
    if found is None:
        return []
    expected = found["expected"]
    band = "" if expected is None else f" (to be expected: {percent(expected['low'])} to {percent(expected['high'])})"
    width = "" if found["width"] is None else f", {number(found['width'])}{_unit(model)} wide on average"
    return [
        (
            "Intervals",
            f"of {percent(found['nominal'])} hold {percent(found['coverage'])} of {plural(found['rows'], 'row')}{band}{width}",
        )
    ]


def parts(model: Model) -> list[Table | str]:
    """Paragraphs and tables."""
    found = entry(model)
    if found is None:
        return []
    if found["method"] is None:
        return [f"There are no intervals: {found['reason']}."]
    promised = "nothing" if found["guarantee"] is None else f"{percent(found['guarantee'])} of new rows at least"
    said: list[Table | str] = [
        f"An interval is to hold the actual value of {percent(found['coverage'])} of the rows. Made by {_how(model, found)}: {_width(model, found)}. "
        f"Promised: {promised}. It rests on {found['rests_on']}."
    ]
    if found["reason"] is not None:
        said.append(f"Not what was asked for: {found['reason']}.")
    test = found["test"]
    if test is None:
        return [*said, "No test row is there to measure the coverage on."]
    normal = test["normal"]
    expected = test["expected"]
    said.append(
        f"They hold {percent(test['coverage'])} of {_rows(test)}; chance alone gives {percent(expected['low'])} to {percent(expected['high'])} in "
        f"{percent(expected['level'])} of such samples. Intervals of normal errors (prediction ± t σ) would hold {percent(normal['coverage'])}, "
        f"with an average width of {number(normal['width'])}{_unit(model)} beside {number(test['width'])}."
    )
    if test["uneven"] is not None:
        said.append(test["uneven"][:1].upper() + test["uneven"][1:] + ".")
    head = [("segment", False), ("test rows", True), ("held", True), ("average width", True)]
    body = [
        [Cell(name), counted(each["rows"]), cell(each["coverage"], percent), cell(each["width"])]
        for name, each in [*_along(test), *((f"{each['column']}={each['level']}", each) for each in test["by_level"])]
    ]
    said.append(Table(f"Coverage along the prediction of {target_label(model)}, and by category", head, body[:SHOWN]))
    if rest := body[SHOWN:]:
        said.append(Table(f"The {plural(len(rest), 'other segment')}", head, rest, folded=True))
    return said


def _along(test: Json) -> list[tuple[str, Json]]:
    return [(f"prediction {number(each['from'])} to {number(each['to'])}", each) for each in test["by_prediction"]]


def charts(model: Model) -> list[Chart]:
    """Coverage by tenth of the prediction."""
    found = entry(model)
    if found is None or found.get("test") is None or len(found["test"]["by_prediction"]) < 2:
        return []
    shown, nominal = found["test"]["by_prediction"], found["coverage"]
    places = list(range(1, len(shown) + 1))
    least, most = min(shown, key=lambda each: each["coverage"]), max(shown, key=lambda each: each["coverage"])
    label = (
        f"Share of {_rows(found['test'])} that the intervals hold, by {len(shown)} parts of the prediction from small to large: from "
        f"{percent(least['coverage'])} at predictions of {number(least['from'])} to {number(least['to'])}, up to {percent(most['coverage'])}; "
        f"{percent(nominal)} is asked for. Equal heights mean that the width suits small and large predictions alike."
    )
    data: list[Json] = [
        {
            "type": "bar",
            "name": "held",
            "x": places,
            "y": [each["coverage"] for each in shown],
            "customdata": [
                [number(each["from"]), number(each["to"]), count(each["rows"]), number(each["width"])] for each in shown
            ],
            "marker": {"color": "--series-1"},
            "hovertemplate": "predicted %{customdata[0]} to %{customdata[1]}: %{y:.1%} of %{customdata[2]} rows, width %{customdata[3]}<extra></extra>",
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"asked for: {percent(nominal)}",
            "x": [0.5, len(shown) + 0.5],
            "y": [nominal, nominal],
            "line": {"color": "--series-2", "width": 1.5, "dash": "dash"},
            "hoverinfo": "skip",
        },
    ]
    layout = layout_of(f"predicted {target_label(model)}, from here on", "share held", legend=True)
    layout["xaxis"] |= {"tickvals": places, "ticktext": [number(each["from"], 2) for each in shown]}
    layout["yaxis"] |= {"range": [0.0, 1.02], "tickformat": ".0%"}
    return [Chart("coverage", "What the intervals hold", label, data, layout)]

"""The policy in the report: where it acts, why there, what it comes to on rows that did not choose it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradline.report.cells import Cell, Table, cell, counted
from gradline.report.charts import Chart, layout_of, target_label
from gradline.report.numerals import count, number, percent, plural

if TYPE_CHECKING:
    from gradline.decisions.policy import Policy
    from gradline.model.model import Model
    from gradline.types import Json

ESTIMATES = ("precision", "recall")


def entry(model: Model) -> Json | None:
    """What `assessment` says of the policy; None where none was asked for."""
    assessment: Json | None = model.result.get("assessment")
    return None if assessment is None else assessment.get("decision")


def policy_in_words(policy: Policy) -> str:
    """When it acts, and on what."""
    sign = "≥" if policy.event.above else "≤"
    what = "prediction" if policy.act_on == "prediction" else f"interval's {policy.act_on} bound"
    return f"act where the {what} is {sign} {number(policy.threshold)}" if policy.rule == "threshold" else f"{policy.rule} act"


def _why(found: Json) -> str:
    if found["chosen_by"] != "cost":
        return f"for a {found['chosen_by']} of {percent(found['required'])}"
    costs = found["costs"]
    hit = f", a hit {number(costs['hit'])}" if costs["hit"] else ""
    return f"cheapest where a false alarm costs {number(costs['false_alarm'])}, a miss {number(costs['miss'])}{hit}"


def _event(model: Model, found: Json) -> str:
    unit = f" {model.contract.target_unit}" if model.contract.target_unit else ""
    return f"{model.contract.target} {found['event']['relation']} {number(found['event']['value'])}{unit}"


def lines(model: Model) -> list[tuple[str, str]]:
    """For the terminal."""
    found = entry(model)
    if found is None:
        return []
    if model.policy is None:
        return [("Decision", f"none for {_event(model, found)}: {found['reason']}")]
    text = f"{policy_in_words(model.policy)}, to foresee {_event(model, found)} ({_why(found)})"
    test = found["test"]
    return [("Decision", text), *([] if test is None else [("", _outcome(test, f"{_rows(test)}"))])]


def _outcome(found: Json, rows: str) -> str:
    return (
        f"on {rows}: cost {number(found['cost']['value'])} a row (never to act {number(found['never']['cost']['value'])}, always "
        f"{number(found['always']['cost']['value'])}), precision {percent(found['precision']['value'])}, recall {percent(found['recall']['value'])}"
    )


def _rows(found: Json) -> str:
    return (
        plural(found["rows"], "test row") if found["rows"] == found["of"] else f"a sample of {plural(found['rows'], 'test row')}"
    )


def measured(model: Model, document: Json) -> list[tuple[str, str]]:
    """What `evaluate` found, for the terminal."""
    found = document["decision"]
    if found is None or model.policy is None:
        return []
    return [("Decision", f"{policy_in_words(model.policy)}: {_outcome(found, plural(found['rows'], 'row'))}")]


def parts(model: Model) -> list[Table | str]:
    """Paragraphs and tables."""
    found = entry(model)
    if found is None:
        return []
    if model.policy is None:
        return [f"There is no policy for {_event(model, found)}: {found['reason']}."]
    validation, test, event = found["validation"], found["test"], found["event"]
    said: list[Table | str] = [
        f"To foresee {_event(model, found)}: {policy_in_words(model.policy)}. The threshold was chosen on {plural(validation['rows'], 'validation row')}, "
        f"{_why(found)}, and measured on rows that did not choose it."
    ]
    if test is None:
        return [*said, "No test row is there to measure it on."]
    head = [
        (name, i > 0)
        for i, name in enumerate(
            ("policy", "hits", "false alarms", "misses", "rests", "cost a row", "95% interval", "precision", "recall")
        )
    ]
    named = {
        "this policy": test,
        f"act where the prediction is {event['relation']} {number(event['value'])}": test["at_event"],
        "always act": test["always"],
        "never act": test["never"],
    }
    body = []
    for name, each in named.items():
        counts = [counted(round(each[key])) for key in ("hits", "false_alarms", "misses", "rests")]
        body.append(
            [
                Cell(name),
                *counts,
                cell(each["cost"]["value"]),
                _between(each["cost"], number),
                *(cell(each[key]["value"], percent) for key in ESTIMATES),
            ]
        )
    said.append(Table(f"On {_rows(test)}. A hit: acted, and the event came; a rest: neither", head, body))
    saving = test["saving"]
    words = {
        key: f"{percent(test[key]['low'])} to {percent(test[key]['high'])}" for key in ESTIMATES if test[key]["value"] is not None
    }
    said.append(
        f"Against never acting it saves {number(saving['never']['value'])} a row ({_words(saving['never'])}), against always acting "
        f"{number(saving['always']['value'])} ({_words(saving['always'])}), on the same rows. "
        + ", ".join(f"{key.capitalize() if i == 0 else key} {text}" for i, (key, text) in enumerate(words.items()))
        + (f" (95% intervals, {_of(test['units'])})." if words else "")
    )
    return said


def _of(units: Json) -> str:
    """What the intervals go by."""
    return "of independent rows" if units["by"] == "rows" else f"of {count(units['number'])} {units['by']}"


def _words(estimate: Json) -> str:
    return f"{number(estimate['low'])} to {number(estimate['high'])}"


def _between(estimate: Json, write: object) -> Cell:
    return Cell(_words(estimate), numeric=True)


def charts(model: Model) -> list[Chart]:
    """Cost, precision and recall over all thresholds."""
    found = entry(model)
    if found is None or found["curve"] is None or found["validation"] is None:
        return []
    curve = found["curve"]
    kept = [i for i, value in enumerate(curve["threshold"]) if value is not None]
    if len(kept) < 2:
        return []
    x = [curve["threshold"][i] for i in kept]
    cost = [curve["cost"][i] for i in kept]
    best, policy = found["validation"], model.policy
    if policy is None:
        return []
    label = (
        f"Cost a row of acting from each threshold on, on {plural(best['rows'], 'validation row')} ({count(len(kept))} thresholds shown): from {number(min(cost))} to {number(max(cost))}; "
        f"chosen: {policy_in_words(policy)}, at {number(best['cost']['value'])}, with a precision of {percent(best['precision']['value'])} and a recall of "
        f"{percent(best['recall']['value'])}."
    )
    named = {
        "cost a row": (cost, "y", "solid", 1),
        **{
            key: ([curve[key][i] for i in kept], "y2", dash, series)
            for key, dash, series in (("precision", "dot", 2), ("recall", "dashdot", 3))
        },
    }
    data: list[Json] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "x": x,
            "y": values,
            "yaxis": axis,
            "line": {"color": f"--series-{series}", "width": 2, "dash": dash},
            "hovertemplate": f"threshold %{{x:.4~g}}: {name} %{{y:.4~g}}<extra></extra>",
        }
        for name, (values, axis, dash, series) in named.items()
    ]
    if found["threshold"] is not None:
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "chosen",
                "x": [found["threshold"]],
                "y": [best["cost"]["value"]],
                "marker": {"color": "--ink", "size": 11, "symbol": "circle-open", "line": {"width": 2}},
                "hovertemplate": "chosen: %{x:.4~g}, cost %{y:.4~g}<extra></extra>",
            }
        )
    what = "predicted" if found["act_on"] == "prediction" else f"{found['act_on']} bound of"
    layout = layout_of(f"threshold: {what} {target_label(model)}", "cost a row", legend=True)
    layout["margin"]["r"] = 48
    layout["yaxis"]["rangemode"] = "tozero"
    layout["yaxis2"] = {
        **layout_of("", "precision, recall")["yaxis"],
        "overlaying": "y",
        "side": "right",
        "range": [0.0, 1.02],
        "tickformat": ".0%",
        "tickmode": "linear",
        "dtick": 0.2,
        "showgrid": False,
    }
    return [Chart("decision", "What each threshold costs", label, data, layout)]

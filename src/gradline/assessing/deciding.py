"""The policy after training: its threshold from the validation rows, and what the test rows say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.arrays import flat_column
from gradline.decisions.outcome import Outcome, compared
from gradline.decisions.policy import Costs, Event, Policy, cheapest, cuts, most_precision, most_recall, shown
from gradline.evaluation.bootstrap import units_of
from gradline.splits.roles import time_ordinals
from gradline.types import Notice, Role, finite_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gradline.assessing.calibrating import Calibrated
    from gradline.decisions.policy import Cuts
    from gradline.evaluation.bootstrap import Units
    from gradline.evaluation.kept_rows import Assessed, KeptRows
    from gradline.training.config import TrainConfig
    from gradline.types import FloatArray, Json


class Decided(NamedTuple):
    """policy: None where there is none.  document: the entry `decision`, None where it was not asked for."""

    policy: Policy | None
    document: Json | None
    notices: tuple[Notice, ...] = ()


def decide(config: TrainConfig, by_role: Mapping[Role, Assessed], calibrated: Calibrated) -> Decided:
    """Choose the policy that was asked for, and measure it."""
    if config.event is None:
        return Decided(None, None)
    event = Event.parsed(config.event)
    costs = Costs(float(config.false_alarm_cost), float(config.miss_cost), float(config.hit_cost))
    chosen_by = "precision" if config.precision is not None else "recall" if config.recall is not None else "cost"
    required = config.precision if config.precision is not None else config.recall
    document: Json = {
        "event": {"relation": event.relation, "value": event.value},
        "act_on": config.act_on,
        "chosen_by": chosen_by,
        "required": required,
        "costs": costs._asdict(),
        "rule": None,
        "threshold": None,
        "reason": None,
        "validation": None,
        "curve": None,
        "test": None,
    }
    if Role.VALIDATION not in by_role:
        return _none(document, "no validation row is there to choose a threshold on")
    if config.act_on != "prediction" and Role.VALIDATION not in calibrated.bounds:
        return _none(document, f"there are no intervals to act on: {calibrated.document['reason']}")
    rows = by_role[Role.VALIDATION].rows
    happened, scores = event.happens(rows.actual), _acted_on(rows, Role.VALIDATION, config, calibrated)
    found = cuts(event, happened, scores, rows.weight)
    if not found.events or not found.others:
        which = "no" if not found.events else "every"
        return _none(document, f"{which} validation row has the event {event}")
    at = cheapest(found, costs)
    if required is not None:
        reached = most_recall(found, required) if chosen_by == "precision" else most_precision(found, required)
        if reached is None:
            best = float(np.nanmax(found.precision()))
            text = f"no threshold has a precision of {required:g} on the validation rows; the largest is {best:.3g}"
            return _none(document | {"curve": _curve(found, costs, None)}, text)
        at = reached
    policy = Policy(event, config.act_on, float(found.threshold[at]), costs, chosen_by, required)
    document |= policy.to_json()
    document["validation"] = {"rows": len(rows.actual), "of": rows.of, **_outcome(policy, rows, scores, config)[0].to_json(costs)}
    document["curve"] = _curve(found, costs, at)
    notices: list[Notice] = []
    if Role.TEST in by_role:
        test = by_role[Role.TEST].rows
        own, units = _outcome(policy, test, _acted_on(test, Role.TEST, config, calibrated), config)
        at_event = Outcome.of(
            event.happens(test.predicted), event.happens(test.actual), test.weight, None if units is None else units.of
        )
        document["test"] = {
            "rows": len(test.actual),
            "of": test.of,
            "units": {"number": own.units, "by": "rows" if units is None else units.by},
            **compared(costs, own, at_event),
        }
        notices = doubts(policy, own, document["test"])
    return Decided(policy, document, tuple(notices))


def _none(document: Json, reason: str) -> Decided:
    text = f"there is no policy: {reason}. Ask for less, or change --event; the model predicts all the same."
    return Decided(None, document | {"reason": reason}, (Notice("no_decision", None, text),))


def _acted_on(rows: KeptRows, role: Role, config: TrainConfig, calibrated: Calibrated) -> FloatArray:
    if config.act_on == "prediction":
        return rows.predicted
    return getattr(calibrated.bounds[role], config.act_on)  # type: ignore[no-any-return]


def _units(rows: KeptRows, cost: FloatArray, config: TrainConfig) -> Units | None:
    """What depends on each other: groups, or stretches of time; None of independent rows."""
    if config.time is not None:
        time = time_ordinals(flat_column(rows.table, config.time), config.time)
        return units_of(len(cost), config.seed, time=time, error=cost)
    return None if rows.group is None else units_of(len(cost), config.seed, group=rows.group)


def _outcome(policy: Policy, rows: KeptRows, scores: FloatArray, config: TrainConfig) -> tuple[Outcome, Units | None]:
    acted, happened = policy.acts(scores), policy.event.happens(rows.actual)
    costs = policy.costs
    cost = np.where(acted, np.where(happened, costs.hit, costs.false_alarm), np.where(happened, costs.miss, 0.0))
    units = _units(rows, cost, config)
    return Outcome.of(acted, happened, rows.weight, None if units is None else units.of), units


def _curve(found: Cuts, costs: Costs, chosen: int | None) -> Json:
    """At most some 200 cuts; thresholds that are no number are null: never to act, and always."""
    at = shown(found, chosen)
    total = float(found.events + found.others)
    hits, alarms = found.hits[at].astype(np.float64), found.alarms[at].astype(np.float64)
    cost = (costs.false_alarm * alarms + costs.miss * (float(found.events) - hits) + costs.hit * hits) / total
    columns = {
        "threshold": found.threshold[at],
        "acted": (hits + alarms) / total,
        "cost": cost,
        "precision": found.precision()[at],
        "recall": found.recall()[at],
    }
    return {name: [finite_or_none(float(value)) for value in values] for name, values in columns.items()}


def doubts(policy: Policy, own: Outcome, document: Json, rows: str = "the test rows") -> list[Notice]:
    """Where the policy is worth nothing, or does not keep what was asked for."""
    notices = []
    asked = {"precision": own.precision, "recall": own.recall}.get(policy.chosen_by)
    if (
        asked is not None
        and asked.value is not None
        and asked.high is not None
        and policy.required is not None
        and asked.high < policy.required
    ):
        text = (
            f"the threshold was chosen for a {policy.chosen_by} of {policy.required:g}, and on {rows} it is {asked.value:.3g} ({asked.low:.3g} to {asked.high:.3g}). "
            "Ask for more than you need, or hold out more rows."
        )
        notices.append(Notice("decision_short", None, text))
    if policy.rule != "threshold" and policy.chosen_by == "cost":
        text = f"at these costs it is cheapest to {policy.rule} act, whatever the prediction. Are the costs right? Else the model cannot tell the event {policy.event} well enough."
        return [*notices, Notice("decision_no_better", None, text)]
    if policy.chosen_by == "cost":
        for rule in ("never", "always"):
            saving = document["saving"][rule]
            if saving["low"] is not None and saving["low"] <= 0.0:
                text = (
                    f"the policy is no better than to {rule} act, beyond noise: on {rows} it saves {saving['value']:.3g} a row ({saving['low']:.3g} to {saving['high']:.3g}). "
                    "Hold out more rows, or do without the model."
                )
                return [*notices, Notice("decision_no_better", None, text)]
        return notices
    base, precision = own.base_rate, own.precision
    if base is not None and precision.value is not None and precision.low is not None and precision.low <= base:
        text = (
            f"of {rows} that the policy acts on {precision.value:.1%} have the event (at least {precision.low:.1%}), and of all rows {base:.1%}: it picks no better than chance, beyond noise. "
            "Hold out more rows, or do without the model."
        )
        notices.append(Notice("decision_no_better", None, text))
    return notices

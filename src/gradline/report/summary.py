"""The terminal summary: what was learned, how good it is, whether to trust it, what to type next."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from gradline.errors import plural, printable
from gradline.report import dataflow, decisions, intervals, meaning
from gradline.report.learning_curve import learned_from_rows
from gradline.report.plain import console as _console
from gradline.report.plain import number
from gradline.report.plain import text as _text
from gradline.report.sentences import RESTS_ON, folds_of, free_is_near, violated
from gradline.training.stopping import StopReason

if TYPE_CHECKING:
    from pathlib import Path

    from gradline.model.model import Model
    from gradline.representation.features import Feature
    from gradline.types import Json

SHOWN_COEFFICIENTS = 12
MOST_COEFFICIENTS = 2_000
HIGH_INFLATION = 10.0  # of a coefficient's variance: the usual limit


def singular(unit: str) -> str:
    """`miles` as in *per mile*."""
    return unit[:-1] if unit.endswith("s") and not unit.endswith("ss") else unit


def print_summary(model: Model, path: Path, *, every: bool = False) -> None:
    """The summary of a run; `every`: all coefficients."""
    console = _console()
    console.print()
    console.print(_title(model))
    console.print(_rows(model))
    console.print()
    for line in _learned(model, every=every):
        console.print(line)
    console.print()
    console.print(_quality(model))
    console.print()
    if meant := _meaning(model):
        console.print(meant)
        console.print()
    if (folds := _folds(model)) is not None:
        console.print(folds)
        console.print()
    for sentence in learned_from_rows(model):
        rows = Table.grid(padding=(0, 2))
        rows.add_row(Text("Rows    "), _text(sentence))
        console.print(rows)
        console.print()
    if lines := [*intervals.lines(model), *decisions.lines(model)]:
        for name, line in lines:
            console.print(_text(f"{name:10}{line}"))
        console.print()
    if every:
        for name, line in dataflow.steps(model):
            console.print(_text(f"{name:10}{line}"))
        console.print()
    if (found := _found(model)) is not None:
        console.print(found)
        console.print()
    trust = Table.grid(padding=(0, 2))  # wraps under its own first column
    trust.add_row(Text("Trust   "), _trust(model))
    console.print(trust)
    console.print()
    console.print(_next(model, path))


def _title(model: Model) -> Text:
    columns = list(model.contract.columns)
    what = columns[0] if len(columns) == 1 else f"{len(columns)} columns"
    return Text.assemble((printable(f"{model.contract.target} from {what}"), "bold"), "   ", printable(model.data_name))


def _rows(model: Model) -> Text:
    rows = model.result["rows"]
    parts = [f"{rows['train']:,} training", f"{rows['validation']:,} validation", f"{rows['test']:,} test"]
    text = f"{rows['read']:,} rows read: " + " · ".join(parts)
    if rows["dropped"]:
        why = "without one of the targets" if model.config.get("other_targets") else "without a target"
        why += "" if model.config["missing"] != "drop" else " or a feature"
        text += f" · {rows['dropped']:,} left out ({why})"
    if rows.get("gap"):
        text += f" · {rows['gap']:,} left out (in the gap)"
    return _text(text, style="dim")


def _learned(model: Model, *, every: bool) -> list[Any]:
    coefficients, contract = model.coefficients, model.contract
    target = contract.target if model.retransformation is None else f"log({contract.target})"
    names = list(coefficients)
    if len(names) == 1 and names[0] in contract.columns:
        slope = coefficients[names[0]]
        sign = "+" if slope >= 0 else "−"
        formula = f"{target} ≈ {number(model.intercept)} {sign} {number(abs(slope))} · {names[0]}"
        units = _per_unit(model, names[0])
        line = Text.assemble("Learned   ", (printable(formula), "bold green"), printable(f"   ({units})") if units else "")
        interval = _between(model.result.get("inference"), names[0])
        below = [_text(f"          slope {interval} (95% interval)", "dim")] if interval else []
        return [line, *below, *(Text("          ").append(text) for text in _violated(model))]
    features = {f.name: f for f in model.representation.features}
    effect = {name: coefficients[name] * features[name].deviation for name in names}
    order = sorted(names, key=lambda name: -abs(effect[name]))
    shown = order[: MOST_COEFFICIENTS if every else SHOWN_COEFFICIENTS]
    table = Table(box=None, pad_edge=False, title_justify="left", header_style="dim")
    table.add_column("Learned", overflow="fold")
    table.add_column("coefficient", justify="right")
    inference = model.result.get("inference")
    if inference is not None:
        table.add_column("95% interval", justify="right")
    table.add_column("per", overflow="fold")
    table.add_column("effect per deviation", justify="right")
    doubtful = _doubtful(model)
    if doubtful:
        table.add_column("variance inflation", justify="right")
    for name in shown:
        between = [] if inference is None else [_between(inference, name) or ""]
        cells: list[Text | str] = [number(coefficients[name]), *between, _per(model, features[name]), number(effect[name])]
        table.add_row(_text(name), *cells, *([doubtful.get(name, "")] if doubtful else []))
    own = [] if inference is None or inference["intercept"] is None else [_interval(inference["intercept"]) or ""]
    table.add_row(_text("intercept"), number(model.intercept), *own)
    lines: list[Any] = [table]
    if len(order) > len(shown):
        lines.append(
            _text(
                f"… and {len(order) - len(shown):,} more, by the size of their effect: "
                + ("all are in result.json" if every else "gradline show RUN"),
                style="dim",
            )
        )
    if inference is not None:
        lines.append(_text(f"95% interval: {RESTS_ON[inference['errors']]}", style="dim"))
        lines += _violated(model)
    references = model.result["references"]
    if references:
        lines.append(_text("compared with " + ", ".join(f"{c}={level}" for c, level in references.items()), style="dim"))
    if model.retransformation is not None:
        lines.append(_text(f"of log({contract.target}): +0.01 is about +1 % of {contract.target}", style="dim"))
    return lines


def _violated(model: Model) -> list[Text]:
    """What the intervals rest on and does not hold."""
    found = violated(model)
    return [_text(f"✗ not so: {'; '.join(each['finding'] for each in found)}", style="yellow")] if found else []


def _between(inference: Json | None, name: str) -> str | None:
    """The interval of a coefficient; None where there is none."""
    return None if inference is None else _interval(inference["coefficients"][name])


def _interval(found: Json) -> str | None:
    return None if found["low"] is None else f"{number(found['low'])} to {number(found['high'])}"


def _doubtful(model: Model) -> dict[str, str]:
    """The coefficients that the data do not identify, and those whose variance the other columns inflate."""
    inflation = model.result.get("variance_inflation") or {}
    found = {name: f"× {number(value, 3)}" for name, value in inflation.items() if value is not None and value > HIGH_INFLATION}
    return found | dict.fromkeys(model.result.get("not_identifiable") or (), "not identifiable")


def _per(model: Model, feature: Feature) -> Text:
    column = model.contract.columns.get(feature.column)
    if feature.part != "value":
        return _text("if so")
    if feature.column.endswith(".days") and column is None:
        return _text("day")
    return _text(singular(column.unit) if column is not None and column.unit else "unit")


def _per_unit(model: Model, name: str) -> str:
    unit, per = model.contract.target_unit, model.contract.columns[name].unit
    return f"{unit} per {singular(per)}" if unit and per and model.retransformation is None else ""


def _quality(model: Model) -> Table:
    metrics, baseline = model.metrics, model.metrics["baseline"]
    unit = f" ({model.contract.target_unit})" if model.contract.target_unit else ""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("How good")
    sure = (meaning.assessment(model).get("metrics") or {}).get("test")
    intervals = ["95% interval"] if sure and sure["rmse"]["low"] is not None else []
    for column in ("rows", f"typical error, RMSE{unit}", *intervals, "always the mean", "R²"):
        table.add_column(column, justify="right")
    for role in ("train", "validation", "test"):
        if metrics[role] is not None:
            found = metrics[role]
            table.add_row(
                role,
                f"{found['rows']:,}",
                number(found["rmse"]),
                *([_interval(sure["rmse"]) or "" if sure and role == "test" else ""] if intervals else []),
                number(baseline[role]["rmse"]),
                f"{found['r2']:.4f}" if found["r2"] is not None else "–",
            )
    return table


def _meaning(model: Model) -> Table | None:
    """What an error costs and where errors are largest, if that was found out."""
    lines = [line for line in (meaning.cost_sentence(model), meaning.segment_sentence(model)) if line]
    if not lines:
        return None
    table = Table.grid(padding=(0, 2))
    for i, line in enumerate(lines):
        table.add_row(Text("" if i else "Meaning "), _text(line))
    return table


def _folds(model: Model) -> Text | None:
    """What cross-validation says, if it was asked for."""
    found = model.result.get("cross_validation")
    if found is None:
        return None
    best = found["l2"].index(found["chosen"])
    rmse, error, mean = number(found["rmse"][best]), number(found["rmse_standard_error"][best], 2), number(found["baseline_rmse"])
    log = f" of log({model.contract.target})" if model.config.get("log_target") else ""
    chosen = number(found["chosen"]) if found["chosen"] else "0"
    r2 = "" if found["r2"] is None else f", R² {found['r2']:.4f}"
    text = _text(
        f"Folds     RMSE{log} {rmse} ± {error} over {folds_of(found).partition(' of ')[0].partition(' in ')[0]} (always the mean {mean}){r2}"
    )
    if (nested := found.get("nested")) is not None:
        over = f" over {nested['folds']} of them" if nested["folds"] != found["folds"] * found.get("repeats", 1) else ""
        text.append(f"\n          {number(nested['rmse'])}{over} where λ is chosen without the rows it is judged on")
    if len(found["l2"]) == 1:
        return text.append(f"\n          at λ = {chosen}")
    if not found["chosen"]:
        why = "a penalty would only add to the error"
    else:
        why = (
            "λ = 0 is as good within one standard error"
            if free_is_near(found)
            else "λ = 0 is worse by more than one standard error"
        )
    return text.append(f"\n          λ = {chosen} chosen of {len(found['l2']):,} values: {why}")


def _found(model: Model) -> Text | None:
    """What the search proposes, and what the degree curve says, if they were asked for."""
    search, curve = model.result.get("representation_search"), model.result.get("degree_curve")
    lines = []
    if search is not None and not search["proposals"]:
        lines.append(
            f"Search    nothing proposed: none of {plural(search['candidates'], 'change')} lowers the error beyond its noise"
        )
    elif search is not None:
        base = search["base"]
        for i, each in enumerate(search["proposals"]):
            lines.append(
                ("          and " if i else "Search    ")
                + f"{each['change']}: RMSE {number(each['rmse'])}, {number(each['gain'], 2)} ± {number(each['gain_error'], 2)} less; {each['terms']:,} terms"
                + ("" if i else f" instead of {base['terms']:,}")
            )
        added = " ".join(f"--derive {shlex.quote(expression)}" for expression in search["proposals"][-1]["derive"])
        lines.append(f"          nothing is changed; to train with {'it' if len(search['proposals']) == 1 else 'them'}: {added}")
    if search is not None and search["penalty"]["proposed"]:
        it = search["penalty"]
        lines.append(
            f"          a penalty takes off {number(it['difference'], 2)} ± {number(it['standard_error'], 2)}: --l2 auto"
        )
    if curve is not None:
        errors = ", ".join(number(value) for value in curve["rmse"])
        within = "" if curve["simplest"] == curve["best"] else f", {curve['simplest']} is no worse beyond the noise"
        lines.append(
            f"Degrees   RMSE {errors} over {curve['folds']} folds for degree 1 to {len(curve['rmse'])}: smallest at {curve['best']}{within}"
        )
    return Text("\n").join(map(_text, lines)) if lines else None


def _trust(model: Model) -> Text:
    stopped, plan, certificate = model.result["stopped"], model.plan, model.certificate
    far = any(notice.code == "not_at_minimum" for notice in model.notices)
    good = StopReason[stopped["reason"].upper()].converged and not far
    mark = ("✓ ", "bold green") if good else ("✗ ", "bold red")
    text = Text.assemble(mark, (stopped["message"], "bold" if good else "bold red"), "\n")
    if certificate.relative_gap is None:
        text.append("the distance to the global minimum is not known")
    else:
        text.append(f"relative gap {certificate.relative_gap:.1e} to the global minimum")
    digits = certificate.trusted_digits
    if digits is not None:
        text.append(f", {int(digits)} digits of the coefficients can be trusted")
    elif any(notice.code == "collinear" for notice in model.notices):
        text.append(", coefficients not identifiable, predictions are")
    predicted = plan["predicted_steps"]
    text.append(f"\n{plan['optimizer'].replace('_', ' ')} on {plan['oracle']}, {plural(model.result['steps'], 'step')}")
    text.append(f" (predicted {predicted:,})" if predicted is not None else "")
    if plan["learning_rate"] is not None:
        changing = model.config.get("schedule", "constant") != "constant"
        text.append(f", α = {number(plan['learning_rate'])}" + (" at first" if changing else ""))
        text.append(f" (stable below {number(plan['learning_rate_limit'])})" if plan["learning_rate_limit"] is not None else "")
    if certificate.condition is not None:
        text.append(f", condition {number(certificate.condition)}")
    if exact := [stage for stage in plan["stages"] if "exact moments" in stage]:
        text.append(
            f"\n{exact[0]}" + ("; refined to the solved minimum" if stopped["reason"] in ("certified", "rounding") else "")
        )
    loss = model.result["loss"]
    if loss["name"] == "pinball":
        shares = [
            f"{100 * share:.1f}% of {'training' if role == 'train' else role} rows"
            for role, share in loss["share_below"].items()
            if share is not None
        ]
        text.append(f"\nquantile {loss['quantile']:g}: {', '.join(shares)} lie below the prediction")
    elif "l1" in loss:
        text.append(f"\nλ₁ = {number(loss['l1'])}: {loss['zero']:,} of {plural(loss['of'], 'coefficient')} are zero")
    elif loss["name"] == "huber":
        text.append(f"\nHuber loss, linear beyond {number(loss['delta'])}: far rows count less")
    return text


def _next(model: Model, path: Path) -> Text:
    run = printable(shlex.quote(str(path)))
    return Text.assemble(
        ("Next      ", ""),
        (f"gradline predict {run} NEW.csv --out predictions.csv", "cyan"),
        f"\n          open {run}/report.html" if path.is_dir() else "",
    )

"""What the other commands print: the contract (`show`), errors on new data (`evaluate`), what training would do (`plan`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from gradline.errors import plural, printable
from gradline.report import decisions, intervals
from gradline.report.plain import console as _console
from gradline.report.plain import number
from gradline.report.plain import text as _text
from gradline.report.representation import derived

if TYPE_CHECKING:
    from gradline.model.model import Model
    from gradline.types import Json

SHOWN_ROWS = 5


def print_contract(model: Model) -> None:
    """What the model expects of new data."""
    console = _console()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("Contract", "kind", "training range or levels", "null"):
        table.add_column(name, overflow="fold")
    for column in model.contract.columns.values():
        if column.distinct is not None:
            held = f"{column.distinct:,} levels"
        elif column.minimum is not None and column.maximum is not None:
            held = f"{column.shown(column.minimum)} to {column.shown(column.maximum)}" + (
                f" {column.unit}" if column.unit else ""
            )
        else:
            held = ""
        table.add_row(_text(column.name), str(column.kind), held, f"{column.null_share:.2%}" if column.null_share else "none")
    console.print()
    console.print(table)
    if made := derived(model):
        console.print(_text(f"derived of these: {' · '.join(made)}", style="dim"))
    decisions = model.contract.decisions
    text = f"null: {decisions.null} · unseen category: {decisions.unseen} · out of range: {decisions.out_of_range} · missing column or other type: error"
    console.print(_text(text, style="dim"))


def print_evaluation(model: Model, document: Json) -> None:
    """Errors on new data beside the baseline's."""
    console = _console()
    found, baseline, rows = document["metrics"], document["baseline"], document["rows"]
    unit = f" {model.contract.target_unit}" if model.contract.target_unit else ""
    console.print()
    console.print(_text(f"{rows['evaluated']:,} of {rows['read']:,} rows evaluated", style="dim"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    table.add_column("model", justify="right")
    table.add_column("always the mean", justify="right")
    for key, label in (
        ("rmse", f"typical error, RMSE{unit}"),
        ("mae", "mean absolute error"),
        ("bias", "bias"),
        ("largest", "largest error"),
        ("r2", "R²"),
    ):
        table.add_row(label, number(found[key]), number((baseline or {}).get(key)))
    console.print(table)
    for name, line in [*intervals.measured(model, document), *decisions.measured(model, document)]:
        console.print(_text(f"{name:10}{line}"))
    if (influence := document["influence"]) is not None:
        rows = [f"row {r['row']:,} ({number(r['cook'], 3)}, leverage {number(r['leverage'], 3)})" for r in influence["rows"]]
        console.print(
            _text(f"these are the training rows; largest Cook's distances: {', '.join(rows[:SHOWN_ROWS])}", style="dim")
        )
        left_out = influence["leave_one_out"]["rmse"]
        if left_out is not None:
            console.print(
                _text(f"each of them predicted from all others (leave-one-out): RMSE {number(left_out)}{unit}", style="dim")
            )
    if (copies := document["duplicates"]) is not None and copies["rows"]:
        about = "about " if copies["estimate"] else ""
        first = f"first at row {copies['first']['row']:,}"
        console.print(_text(f"{about}{plural(copies['rows'], 'row')} like an earlier one in every column ({first})", style="dim"))


def print_plan(document: Json, target: str) -> None:
    """What training would do, and the table of all rules."""
    console = _console()
    plan = document["plan"]
    console.print()
    console.print(Text.assemble((printable(f"plan for {target}"), "bold"), f"   {plural(document['features'], 'feature')}"))
    low, high = number(document["curvature_min"]), number(document["curvature_max"])
    console.print(_text(f"curvature μ {low} to L {high}, condition {number(document['condition'])}", style="dim"))
    console.print()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("rule", "learning rate α", "stable below", "predicted steps", "seconds"):
        table.add_column(name, justify="left" if name == "rule" else "right")
    for row in document["candidates"]:
        steps, seconds = row["predicted_steps"], row["predicted_seconds"]
        table.add_row(
            ("→ " if row["optimizer"] == plan["optimizer"] else "  ") + row["optimizer"].replace("_", " "),
            number(row["learning_rate"]) if row["learning_rate"] is not None else "its own",
            number(row["learning_rate_limit"]),
            f"{steps:,}" if steps is not None else "not foretold",
            number(seconds, 2),
        )
    console.print(table)
    console.print()
    for reason in plan["reasons"]:
        console.print(_text(f"· {reason}", style="dim"))

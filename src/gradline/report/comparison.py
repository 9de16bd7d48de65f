"""Two models side by side on the terminal, and in one sentence which errs less."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from gradline.errors import plural
from gradline.report.plain import console, number, text

if TYPE_CHECKING:
    from gradline.types import Json

MOST_COEFFICIENTS = 30
ROLES = ("train", "validation", "test")


def print_comparison(document: Json) -> None:
    """The document of `compare`."""
    out = console()
    out.print()
    out.print(text(f"{document['target']}: A {document['a']}, B {document['b']}", "bold"))
    out.print()
    if "difference" in document:
        out.print(_measured(document))
        out.print(text(sentence(document), "bold green" if document["better"] else "bold"))
        out.print()
    out.print(_stored(document))
    for part in (_settings(document), _coefficients(document)):
        if part is not None:
            out.print()
            out.print(part)


def sentence(document: Json) -> str:
    """Which model errs less on the rows compared, and by how much."""
    difference, found = document["difference"]["rmse"], document["metrics"]
    rows, unit = plural(document["rows"]["compared"], "row"), f" {document['unit']}" if document["unit"] else ""
    if difference["low"] is None:
        return f"On {rows} which model errs less cannot be told: {difference['reason']}."
    low, high = sorted((abs(difference["low"]), abs(difference["high"])))
    better = document["better"]
    if better is None:
        return (
            f"On {rows} there is no difference beyond noise: RMSE A − B {number(difference['value'])}{unit} "
            f"({number(difference['low'])} to {number(difference['high'])})."
        )
    other = "b" if better == "a" else "a"
    by = number(abs(difference["value"]))
    return (
        f"On {rows} {better.upper()} errs less: RMSE {number(found[better]['rmse'])} against {number(found[other]['rmse'])}{unit}, "
        f"by {by} ({number(low)} to {number(high)})."
    )


def _measured(document: Json) -> Table:
    unit = f" ({document['unit']})" if document["unit"] else ""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(f"On {plural(document['rows']['compared'], 'row')}{unit}")
    for name in ("A", "B", "A − B", "95% interval"):
        table.add_column(name, justify="right")
    found, difference = document["metrics"], document["difference"]
    for key, label in (("rmse", "typical error, RMSE"), ("mae", "mean absolute error"), ("bias", "bias"), ("r2", "R²")):
        row = [number(found[name].get(key)) for name in ("a", "b")]
        each = difference.get(key)
        if each is None:
            table.add_row(label, *row)
        else:
            between = "–" if each["low"] is None else f"{number(each['low'])} to {number(each['high'])}"
            table.add_row(label, *row, number(each["value"]), between)
    return table


def _stored(document: Json) -> Table:
    """What each model says of itself."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("As trained")
    for name in ("A", "B"):
        table.add_column(name, justify="right", overflow="fold")
    a, b = (document["models"][name] for name in ("a", "b"))

    def add(label: str, one: Any, two: Any) -> None:
        table.add_row(label, *(text(each if isinstance(each, str) else number(each)) for each in (one, two)))

    add("columns, features", *(f"{len(each['columns'])}, {each['features']:,}" for each in (a, b)))
    for role in ROLES:
        one, two = a["metrics"][role], b["metrics"][role]
        if one is not None or two is not None:
            add(f"RMSE, {role} rows", *(None if each is None else each["rmse"] for each in (one, two)))
            add(f"R², {role} rows", *(None if each is None else each["r2"] for each in (one, two)))
    gaps, conditions, digits = (
        [each["certificate"][key] for each in (a, b)] for key in ("relative_gap", "condition", "trusted_digits")
    )
    add("relative gap", *(number(gap, 2) for gap in gaps))
    add("condition", *conditions)
    add("trusted digits", *("–" if each is None else str(int(each)) for each in digits))
    add("steps", f"{a['steps']:,}", f"{b['steps']:,}")
    add("stopped", a["stopped"]["reason"], b["stopped"]["reason"])
    return table


def _settings(document: Json) -> Table | None:
    if not document["settings"]:
        return None
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("Settings that differ", "A", "B"):
        table.add_column(name, overflow="fold")
    for name, pair in document["settings"].items():
        table.add_row(text(name.replace("_", " ")), *(text(_word(value)) for value in pair))
    return table


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "–"
    return "–" if value is None else str(value)


def _coefficients(document: Json) -> Table | None:
    pairs = document["coefficients"]
    if not pairs:
        return None
    shown = list(pairs.items())[:MOST_COEFFICIENTS]
    more = f", {len(shown)} of {len(pairs):,} (--json has all)" if len(shown) < len(pairs) else ""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(f"Coefficients{more}", overflow="fold")
    for name in ("A", "B"):
        table.add_column(name, justify="right")
    table.add_row("intercept", *(number(document["models"][name]["intercept"]) for name in ("a", "b")))
    for name, pair in shown:
        table.add_row(text(name), *map(number, pair))
    return table

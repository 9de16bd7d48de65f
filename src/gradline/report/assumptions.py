"""What the intervals of the coefficients rest on, as a table of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradline.report.cells import Cell, Table
from gradline.report.coefficients import probability
from gradline.report.numerals import count, number

if TYPE_CHECKING:
    from gradline.model.model import Model
    from gradline.types import Json


def table(model: Model) -> Table | None:
    """One assumption a row; None where they were not checked."""
    assessment: Json | None = model.result.get("assessment")
    found = None if assessment is None else assessment["assumptions"]
    if found is None:
        return None
    rows = f"{count(found['rows'])} training rows" + ("" if found["rows"] == found["of"] else f" of {count(found['of'])}")
    head = [("assumption", False), ("holds", False), ("found", False), ("what it means", False)]
    body = [_row("Effects are straight, and add up", found["linearity"], _linearity(found["linearity"]))]
    body.append(_row("Errors have one variance", found["variance"], _variance(found["variance"])))
    body.append(_row("Errors are normal", found["normality"], _normality(found["normality"])))
    body.append(_row("Rows are independent", found["independence"], _independence(found["independence"])))
    if found["influence"] is not None:
        influence = found["influence"]
        largest = (
            f"largest Cook's distance {number(influence['rows'][0]['cook'])}, leverage {number(influence['largest_leverage'])}"
        )
        body.append(_row("No row decides alone", influence, largest))
    return Table(f"What the intervals rest on, checked on {rows}", head, body)


def _row(name: str, found: Json, figures: str) -> list[Cell]:
    message: str = found["message"] or ""
    return [Cell(name), Cell("✓ yes" if found["holds"] else "✗ no"), Cell(figures), Cell(message[:1].upper() + message[1:])]


def _linearity(found: Json) -> str:
    reset, curve = found["reset"], found["curve"]
    text = f"RESET: F = {number(reset['f'])}, p {probability(reset['p'])}, {100 * reset['share']:.1f}% of the errors' variance"
    return text + (
        "" if curve is None else f"; along {curve['column']}: {100 * curve['share']:.1f}%, p {probability(curve['p'])}"
    )


def _variance(found: Json) -> str:
    test = found["breusch_pagan"]
    return (
        f"Breusch-Pagan: χ² = {number(test['lm'])}, p {probability(test['p'])}; HC1 to classical standard error: at most "
        f"{number(found['robust_to_classical'], 3)} ({found['feature']})"
    )


def _normality(found: Json) -> str:
    return (
        f"skewness {number(found['skewness'], 3)}, excess kurtosis {number(found['excess_kurtosis'], 3)}; Jarque-Bera: p "
        f"{probability(found['jarque_bera']['p'])}"
    )


def _independence(found: Json) -> str:
    r, groups = found["correlation"], found["groups"]
    order = "in time" if found["order"] == "time" else "in the file"
    text = "too few neighbours" if r is None else f"correlation of neighbours {order} {number(r, 3)}, p {probability(found['p'])}"
    if found["durbin_watson"] is not None:
        text += f", Durbin-Watson {number(found['durbin_watson'], 3)}"
    return text + ("" if groups is None else f"; within {count(groups['groups'])} groups {number(groups['correlation'], 3)}")

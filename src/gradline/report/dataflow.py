"""The way from a row to a decision, as one compact section: columns → features → score → interval → decision."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from gradline.report import decisions, intervals
from gradline.report.cells import Cell, Table
from gradline.report.charts import score_label, target_label
from gradline.report.numerals import count, percent, plural
from gradline.report.representation import derived
from gradline.representation.sparse import SparseRepresentation
from gradline.types import Part

if TYPE_CHECKING:
    from gradline.model.model import Model


def steps(model: Model) -> list[tuple[str, str]]:
    """Each step's name and what it makes."""
    kinds = Counter(str(column.kind) for column in model.contract.columns.values())
    columns = ", ".join(f"{count(number)} {kind}" for kind, number in kinds.most_common())
    features, own = len(model.representation.names), "no intercept" if model.config.get("intercept") is False else "an intercept"
    missing = model.contract.decisions.null
    sparse = isinstance(model.representation, SparseRepresentation)
    found = [
        (
            "Inputs",
            "a sparse table" if sparse else f"{plural(len(model.contract.columns), 'column')} ({columns}); null: {missing}",
        ),
        ("Features", f"{plural(features, 'number')} a row{'' if sparse else _made(model)}"),
        ("Score", f"{score_label(model)} = {plural(features, 'coefficient')} × features, and {own}"),
    ]
    if model.retransformation is not None:
        factor = model.retransformation
        found.append(("Prediction", f"{target_label(model)} = exp(score) × {factor.factor:.4g} ({factor.method})"))
    said = intervals.lines(model)
    found.append(("Interval", said[0][1] if said else "none"))
    policy = model.policy
    found.append(("Decision", "none" if policy is None else f"{decisions.policy_in_words(policy)}{_acted(model)}"))
    return found


def _made(model: Model) -> str:
    """Of what they are made."""
    parts = Counter(feature.part for feature in model.representation.features)
    marks = {
        "from numbers": parts[Part.VALUE],
        "marks of missing values": parts[Part.MISSING],
        "marks of levels": parts[Part.LEVEL] + parts[Part.OTHER],
    }
    named = ", ".join(f"{count(number)} {what}" for what, number in marks.items() if number)
    shown = derived(model)
    return (f": {named}" if named else "") + (f"; derived: {', '.join(shown)}" if shown else "")


def _acted(model: Model) -> str:
    """On how many of the test rows."""
    found = decisions.entry(model)
    if found is None or found["test"] is None:
        return ""
    test = found["test"]
    acted = test["hits"] + test["false_alarms"]
    total = acted + test["misses"] + test["rests"]
    return f": {percent(acted / total)} of the test rows" if total else ""


def parts(model: Model) -> list[Table | str]:
    """As a table."""
    rows = [[Cell(name), Cell(text)] for name, text in steps(model)]
    return [Table("What becomes of a row", [("step", False), ("what it is", False)], rows)]

"""The export to JSON: a formula as a document, whose schema is docs/export.schema.json.

It holds all that a prediction needs, and nothing that has to be run. `gradline.export.runtime` computes it; the export to Python is both.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gradline.export.formula import CategoryTerm, Logarithm, Product, Read, Spline
from gradline.export.runtime import bounds, decided, score

if TYPE_CHECKING:
    from gradline.export.formula import Column, Decision, Formula, Number, NumberTerm
    from gradline.types import Json

FORMAT, VERSION = "gradline formula", 1


def document_of(formula: Formula) -> Json:
    """The document of a formula."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "made_by": formula.made_by,
        "target": {"name": formula.target, "unit": formula.unit},
        "decisions": {
            name: word for name, word in asdict(formula.decisions).items() if name in ("null", "unseen", "out_of_range")
        },
        "columns": [_column(column) for column in formula.columns.values()],
        "intercept": formula.intercept,
        "terms": [_term(term) for term in formula.terms],
        "interval": None if formula.interval is None else formula.interval._asdict(),
        "decision": None if formula.decision is None else _decision(formula.decision),
        "output": {
            "transform": None if formula.factor is None else "exp",
            "factor": 1.0 if formula.factor is None else formula.factor,
        },
    }


def _decision(decision: Decision) -> Json:
    threshold = decision.threshold if decision.rule == "threshold" else None
    return {"of": decision.of, "above": decision.above, "rule": decision.rule, "threshold": threshold}


def _column(column: Column) -> Json:
    return {
        "name": column.name,
        "kind": str(column.kind),
        "stored": str(column.source),
        "unit": column.unit,
        "minimum": column.minimum,
        "maximum": column.maximum,
        "levels": None if column.levels is None else list(column.levels),
    }


def _term(term: NumberTerm | CategoryTerm) -> Json:
    if isinstance(term, CategoryTerm):
        constants = {"effects": dict(term.effects), "otherwise": term.otherwise, "missing": term.missing}
        return {"type": "category", "category": _read(term.category), **constants}
    return {
        "type": "number",
        "number": _number(term.number),
        "slope": term.slope,
        "centre": term.centre,
        "missing": term.missing,
    }


def _read(read: Read) -> Json:
    return {"type": "read", "column": read.column, "part": read.part}


def _number(number: Number) -> Json:
    match number:
        case Read():
            return _read(number)
        case Product(factors, level):
            return {
                "type": "product",
                "factors": [{"of": _read(f.of), "shift": f.shift, "power": f.power} for f in factors],
                "level": None if level is None else {"of": _read(level.of), "level": level.level},
            }
        case Logarithm(of):
            return {"type": "logarithm", "of": _read(of)}
        case Spline(of, knots, term):
            return {"type": "spline", "of": _read(of), "knots": list(knots), "term": term}


def json_text(formula: Formula) -> str:
    """The export to JSON. No character acts in a terminal; all are ASCII."""
    return json.dumps(document_of(formula), indent=1, allow_nan=False) + "\n"


def values_of(text: str, rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What an export to JSON says of some rows: prediction, bounds, decision; None for what it does not say."""
    document = json.loads(text)
    predictions = [score(document, row) for row in rows]
    return [(each, *(bounds(document, each) or (None, None)), decided(document, each)) for each in predictions]

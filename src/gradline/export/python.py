"""The export to Python: a module with `predict(row)`, which imports the standard library alone."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from gradline.export.document import document_of

if TYPE_CHECKING:
    from gradline.export.formula import Formula

RUNTIME = Path(__file__).with_name("runtime.py")
HEADER = '''"""A linear regression, written by {made_by}: `predict(row)`, `interval(row)` and `decide(row)` with the standard library of
    Python 3.11 or later.

    row: a mapping of columns to values, as FORMULA["columns"] lists them. None and NaN are missing.
         numbers int, float or Decimal; booleans bool; text str; dates and times of the module datetime, or in ISO 8601
         (a time without an offset is UTC).
    The result is the prediction, None for a row that the contract drops, ValueError for one that it refuses.
"""
'''


def python_text(formula: Formula) -> str:
    """The module. Names and levels of the user's are escaped literals of ASCII."""
    document = document_of(formula)
    source = RUNTIME.read_text(encoding="utf-8")
    body = source[source.index("import datetime") :]
    lines = [f"    {key!r}: {_literal(value)}," for key, value in document.items()]
    return "\n".join([
        HEADER.format(made_by=document["made_by"]),
        "from __future__ import annotations",
        "",
        body.replace("  # noqa: DTZ001", "").replace("  # noqa: PLR0124", ""),
        "",
        "FORMULA: dict[str, Any] = {",
        *lines,
        "}",
        "",
        "",
        "def predict(row: Any) -> float | None:",
        '    """The prediction for one row."""',
        "    return score(FORMULA, row)",
        "",
        "",
        "def interval(row: Any) -> tuple[float, float] | None:",
        '    """The bounds of the prediction for one row; None where the model has none."""',
        "    return bounds(FORMULA, predict(row))",
        "",
        "",
        "def decide(row: Any) -> bool | None:",
        '    """Whether to act on one row; None where the model has no policy."""',
        "    return decided(FORMULA, predict(row))",
        "",
    ])  # fmt: skip


def _literal(value: Any) -> str:
    """Of a list, an entry a line."""
    if not isinstance(value, list):
        return ascii(value)
    return "\n".join(["[", *(f"        {entry!a}," for entry in value), "    ]"])


def values_of(path: Path, rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What an export to Python says of some rows: prediction, bounds, decision; None for what it does not say."""
    module = ModuleType("exported")
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)  # noqa: S102
    if module.FORMULA["interval"] is None and module.FORMULA["decision"] is None:
        return [(module.predict(row), None, None, None) for row in rows]
    return [(module.predict(row), *(module.interval(row) or (None, None)), module.decide(row)) for row in rows]

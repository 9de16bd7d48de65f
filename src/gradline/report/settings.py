"""The settings of a run in the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradline.report.cells import Cell, Table
from gradline.report.command import default_settings
from gradline.report.numerals import UNKNOWN

if TYPE_CHECKING:
    from gradline.model.model import Model


def settings(model: Model) -> Table:
    """All of them, and whether they were given."""
    defaults = default_settings()
    rows = []
    for name, value in model.config.items():
        origin = "default" if name in defaults and value == defaults[name] else "given"
        rows.append([Cell(name.replace("_", " ")), Cell(_words(value)), Cell(origin)])
    return Table("Settings of the run", [("setting", False), ("value", False), ("from", False)], rows)


def _words(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(str, value)) or UNKNOWN
        case dict():
            return ", ".join(f"{key}={word}" for key, word in value.items()) or UNKNOWN
        case _:
            return str(value)

"""The settings of a run in the report, and the command that repeats it."""

from __future__ import annotations

import csv
import io
import shlex
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

from gradline.report.cells import Cell, Table
from gradline.report.numerals import UNKNOWN
from gradline.training.config import TrainConfig

if TYPE_CHECKING:
    from gradline.model.model import Model


def _defaults() -> dict[str, Any]:
    """The settings' defaults, as they stand in a model's config."""
    defaults = {}
    for setting in fields(TrainConfig):
        made = setting.default_factory() if setting.default_factory is not MISSING else setting.default
        defaults[setting.name] = list(made) if isinstance(made, tuple) else made
    return defaults


def settings(model: Model) -> Table:
    """All of them, and whether they were given."""
    defaults = _defaults()
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


def command(model: Model) -> str:
    """What repeats the run: a command line, or a line of Python where the data were in memory."""
    defaults = _defaults()
    chosen = {name: value for name, value in model.config.items() if name in defaults and value != defaults[name]}
    data = model.config.get("data")
    if not isinstance(data, list):
        arguments = ", ".join(f"{name}={value!r}" for name, value in chosen.items())
        return f"gradline.train(data, {arguments})"
    lines = ["gradline train " + " ".join(map(shlex.quote, data))]
    for target in (chosen.pop("target"), *chosen.pop("other_targets", [])):
        lines.append(f"--target {shlex.quote(_comma_separated([target]) if ',' in target else target)}")
    for name, value in chosen.items():
        flag = "--" + name.replace("_", "-")
        match value:
            case True:
                lines.append(flag)
            case False:
                lines.append("--no-" + name.replace("_", "-"))
            case list() if name == "derive":  # an expression may hold a comma
                lines += [f"{flag} {shlex.quote(expression)}" for expression in value]
            case list():
                lines.append(f"{flag} {shlex.quote(_comma_separated(value))}")
            case dict():
                lines.append(f"{flag} {shlex.quote(','.join(f'{key}={word}' for key, word in value.items()))}")
            case _:
                lines.append(f"{flag} {shlex.quote(str(value))}")
    return " \\\n    ".join(lines)


def _comma_separated(names: list[str]) -> str:
    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow(names)
    return row.getvalue()

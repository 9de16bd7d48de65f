"""The code for this: the command and the Python lines that give the numbers on the screen."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from gradline.inputs.opening import is_sql
from gradline.inputs.query import file_literal
from gradline.lab.alteration import power_names
from gradline.lab.settings import TableSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.lab.play import Play
    from gradline.lab.table import LabTable
    from gradline.types import FloatArray, Json

ALTERED = "altered.parquet"


def code_of(table: LabTable, play: Play, start: FloatArray | None) -> Json:
    """{"cli", "python", "note"}; start: θ₀ where it is not 0, which `train` cannot be told and `gradline.lab.play` can."""
    altered = bool(play.settings.rows) or not table.alteration(play.settings).nothing
    settings = _settings(play)
    data = list(table.words)
    note = None
    if start is not None:
        python = _play_lines(table, play, start, data)
        note = "gradline train starts at θ = 0. From another start the lab's own function runs the same loop."
        return {"cli": None, "python": python, "note": note}
    query = _query(table, play) if altered else None
    if query is not None:
        note, data, altered = "The unit and the powers are made by SQL text, which is a table like any other.", [query], False
    if altered:
        note = "The table is altered; the Python lines write it to a file, which the command reads."
        call = _call("altered", [_data(data), repr(table.target)], _altered(play.settings))
        python = "\n".join(
            [
                "import gradline as gl",
                "import pyarrow.parquet as pq",
                "from gradline.lab import altered",
                "",
                f"table = {call}",
                f"pq.write_table(table, {ALTERED!r})  # for the command line",
                f"model = {_call('gl.train', ['table', repr(table.target)], settings)}",
                "print(model.coefficients, model.intercept)",
            ]
        )
        return {"cli": _command([ALTERED], table.target, settings), "python": python, "note": note}
    python = "\n".join(
        [
            "import gradline as gl",
            "",
            f"model = {_call('gl.train', [_data(data), repr(table.target)], settings)}",
            "print(model.coefficients, model.intercept)",
        ]
    )
    return {"cli": _command(data, table.target, settings), "python": python, "note": note}


def _query(table: LabTable, play: Play) -> str | None:
    """Of a Parquet file in which only units and powers are altered, the query that gives them; None where that does not do.

    A query without ORDER BY is not read again, so that batches, which keep their rows by another read, are not for it.
    """
    settings, words = play.settings, table.words
    plain = not (settings.rows or settings.noise or settings.moved or play.run.batch)
    if not plain or len(words) != 1 or is_sql(words[0]) or not words[0].endswith(".parquet") or not Path(words[0]).is_file():
        return None
    columns = []
    for feature in settings.features:
        x = f"(cast({_identifier(feature)} as double) - {settings.shift!r}) / {settings.divide!r}"
        for power, name in enumerate(power_names(feature, settings.degree), 1):
            columns.append(f"{x if power == 1 else f'pow({x}, {power})'} as {_identifier(name)}")
    return f"select {', '.join([*columns, _identifier(table.target)])} from {file_literal(Path(words[0]))}"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _settings(play: Play) -> dict[str, object]:
    """The settings of `gradline.train` that differ from its defaults, or that matter here."""
    run, table, plan = play.run, play.settings, play.plan
    found: dict[str, object] = {"features": list(play.problem.names), "optimizer": run.rule}
    if play.config.learning_rate is not None:
        found["learning_rate"] = play.config.learning_rate
    if run.scaling != "standard":
        found["scaling"] = run.scaling
    if run.l2:
        found["l2"] = run.l2
    if run.batch:
        found |= {"oracle": "minibatch", "batch_size": run.batch}
    defaults = TableSettings(table.features)
    found |= {
        name: getattr(table, name) for name in ("validation", "test", "seed") if getattr(table, name) != getattr(defaults, name)
    }
    found["max_steps"] = run.steps
    if plan.unstable or play.solution.null > play.problem.reference.null:
        found["force"] = True
    return found


def _altered(settings: TableSettings) -> dict[str, object]:
    found: dict[str, object] = {"features": list(settings.features)}
    if settings.rows:
        found["rows"] = settings.rows
    if settings.shift:
        found["shift"] = settings.shift
    if settings.divide != 1.0:
        found["divide"] = settings.divide
    if settings.degree != 1:
        found["degree"] = settings.degree
    if settings.noise:
        found["noise"] = settings.noise
    if settings.moved:
        found["moved"] = [(point.file, point.row, point.x, point.y) for point in settings.moved]
    if settings.seed:
        found["seed"] = settings.seed
    return found


def _play_lines(table: LabTable, play: Play, start: FloatArray, data: Sequence[str]) -> str:
    settings = _altered(play.settings) | {
        name: value for name, value in _settings(play).items() if name not in ("features", "force", "learning_rate")
    }
    if play.config.learning_rate is not None:
        settings["learning_rate"] = play.config.learning_rate
    settings["start"] = start.tolist()
    return "\n".join(
        [
            "from gradline.lab import play",
            "",
            f"run = {_call('play', [_data(data), repr(table.target)], settings)}",
            "print(run.coefficients, run.intercept)",
        ]
    )


def _data(words: Sequence[str]) -> str:
    if not words:
        return "data"
    return repr(words[0]) if len(words) == 1 else repr(list(words))


def _call(name: str, positional: Sequence[str], named: dict[str, object]) -> str:
    inside = ",\n".join(f"    {text}" for text in [", ".join(positional), *(f"{key}={value!r}" for key, value in named.items())])
    return f"{name}(\n{inside},\n)"


def _command(words: Sequence[str], target: str, settings: dict[str, object]) -> str:
    parts = ["gradline train", *(shlex.quote(word) for word in words or ["DATA"]), f"--target {shlex.quote(_listed([target]))}"]
    for name, value in settings.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            parts.append(flag)
        elif isinstance(value, list):
            parts.append(f"{flag} {shlex.quote(_listed(value))}")
        else:
            parts.append(f"{flag} {shlex.quote(str(value))}")
    return " \\\n    ".join([" ".join(parts[:2]), *parts[2:]])


def _listed(names: Sequence[str]) -> str:
    """Names as an option's value: those that hold a comma or a quote are quoted."""
    if len(names) == 1 and "," not in names[0]:
        return names[0] if not names[0].startswith('"') else '"' + names[0].replace('"', '""') + '"'
    return ",".join('"' + name.replace('"', '""') + '"' if set(name) & set(',"\n') else name for name in names)

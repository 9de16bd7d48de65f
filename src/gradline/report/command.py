"""The command that repeats a run, or runs it with other settings, from the settings that a model keeps."""

from __future__ import annotations

import csv
import io
import shlex
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

from gradline.decisions.cost import FUNCTION
from gradline.training.config import TrainConfig

if TYPE_CHECKING:
    from gradline.types import Json

EXPLORING = ("search", "degree_curve")  # settings that change nothing of the model


def default_settings() -> dict[str, Any]:
    """The settings' defaults, as they stand in a model's config."""
    defaults = {}
    for setting in fields(TrainConfig):
        made = setting.default_factory() if setting.default_factory is not MISSING else setting.default
        defaults[setting.name] = list(made) if isinstance(made, tuple) else made
    return defaults


def command(config: Json) -> str:
    """What repeats the run: a command line, or a line of Python where the data were in memory."""
    defaults = default_settings()
    chosen = {name: value for name, value in config.items() if name in defaults and value != defaults[name]}
    data = config.get("data")
    function = str(chosen.get("cost", "")).startswith(FUNCTION)  # whose code only Python has
    if not isinstance(data, list) or function:
        words = {name: repr(value) for name, value in chosen.items()}
        words |= {"cost": str(chosen["cost"]).removeprefix(FUNCTION)} if function else {}
        return f"gradline.train({data if isinstance(data, list) else 'data'}, {', '.join(f'{n}={word}' for n, word in words.items())})"
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


def with_commands(search: Json, config: Json) -> Json:
    """The entry `representation_search` with the command that trains with each change, without searching again."""
    plain = {name: value for name, value in config.items() if name not in EXPLORING}
    proposals = [each | {"command": command(plain | {"derive": each["derive"]})} for each in search["proposals"]]
    return search | {
        "proposals": proposals,
        "penalty": search["penalty"] | {"command": command(plain | {"l2": "auto"})},
    }

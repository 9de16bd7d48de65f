"""The runs in a folder, side by side: what each predicts, how well, and which of its settings the others do not share.

Read from `result.json` and `config.toml` alone, in milliseconds a run; a run whose files are damaged or gone is listed with what is wrong
with it. Nothing of a run is believed that has not the type that training writes.
"""

from __future__ import annotations

import datetime
import json
import tomllib
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

from gradline.errors import UsageError
from gradline.storage import RUN_MARKER

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gradline.types import Json

RESULT, CONFIG = "result.json", "config.toml"
DEPTH = 3  # of a run below the folder: folder/experiment/target
MOST_BYTES = 1 << 28  # of a file that is read
SORTS = ("when", "name", "rmse", "r2", "rows", "gap", "steps", "warnings", "seconds")
LARGEST_FIRST = ("when", "r2", "rows")


@dataclass(frozen=True, slots=True)
class Run:
    """A run directory. damaged: what is wrong with it, then all that could not be read is None.

    role: of the rows that rmse and r2 are of, `test`, or `validation` where none were kept for a test.  settings: those that differ among
    the runs of its target.
    """

    path: Path
    when: str | None = None
    target: str | None = None
    unit: str | None = None
    rows: int | None = None
    role: str | None = None
    rmse: float | None = None
    r2: float | None = None
    warnings: int | None = None
    gap: float | None = None
    steps: int | None = None
    stopped: str | None = None
    seconds: float | None = None
    config: Json = field(default_factory=dict)
    settings: Json = field(default_factory=dict)
    damaged: str | None = None

    def to_json(self) -> Json:
        """An entry of `runs` in the document of `gradline runs --json`."""
        names = (
            "when", "target", "unit", "rows", "role", "rmse", "r2", "warnings", "gap", "steps", "stopped", "seconds", "settings", "damaged",
        )  # fmt: skip
        return {"run": str(self.path), **{name: getattr(self, name) for name in names}}


def list_runs(folder: Path, sort: str = "when") -> list[Run]:
    """The runs in a folder, or the one that it is. Raises UsageError where there is no such folder."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}.", "gradline train writes runs into runs/ unless --out says otherwise.")
    found = _with_differing_settings([_read(path) for path in _directories(folder)])
    found.sort(key=lambda run: str(run.path))
    return sorted(found, key=lambda run: _rank(run, sort))


def _directories(folder: Path, depth: int = DEPTH) -> list[Path]:
    if (folder / RUN_MARKER).exists() or (folder / RESULT).is_file():
        return [folder]
    try:
        below = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:
        return []
    return [run for path in below for run in _directories(path, depth - 1)] if depth else []


def _rank(run: Run, sort: str) -> tuple[Any, ...]:
    """Damaged runs last; errors are of use beside others of the same target alone."""
    if sort == "name":
        return (False, str(run.path))
    value = getattr(run, sort)
    if isinstance(value, str):  # an instant
        value = datetime.datetime.fromisoformat(value).timestamp()
    group = (run.target or "") if sort in ("rmse", "r2") else ""
    return (run.damaged is not None, group, value is None, 0.0 if value is None else -value if sort in LARGEST_FIRST else value)


def _read(path: Path) -> Run:
    run = Run(path)
    try:
        if not (path / RUN_MARKER).is_file():
            raise ValueError(f"there is no {RUN_MARKER}")
        modified = datetime.datetime.fromtimestamp((path / RUN_MARKER).stat().st_mtime, datetime.UTC)
        run = replace(run, when=modified.isoformat(timespec="seconds"))
        return _of_documents(run, json.loads(_text(path / RESULT)), tomllib.loads(_text(path / CONFIG)))
    except FileNotFoundError as error:
        return replace(run, damaged=f"there is no {_name(error)}")
    except OSError as error:
        return replace(run, damaged=f"{_name(error)} cannot be read: {error.strerror}")
    except RecursionError:
        return replace(run, damaged="its files are nested too deep")
    except (ValueError, KeyError, TypeError) as error:
        return replace(run, damaged=" ".join(str(error).split())[:200] or type(error).__name__)


def _name(error: OSError) -> str:
    return str(error.filename).replace("\\", "/").rpartition("/")[2]


def _text(path: Path) -> str:
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path.name} is too large")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is not UTF-8") from None


def _of_documents(run: Run, result: Any, config: Json) -> Run:
    """The run with what its files say. Raises ValueError where they are not what training writes."""
    metrics, target = _part(result, "metrics"), _part(result, "target")
    held = [role for role in ("test", "validation") if isinstance(metrics.get(role), dict)]
    role = held[0] if held else None
    errors = metrics[role] if role else {}
    warnings = result.get("warnings")
    if not isinstance(warnings, list):
        raise ValueError(f"{RESULT} has no warnings")
    stopped = _part(result, "stopped").get("reason")
    name, unit = target.get("name"), target.get("unit")
    if not isinstance(name, str) or not isinstance(stopped, str) or not isinstance(unit, str | None):
        raise ValueError(f"{RESULT} has no target or no reason to have stopped")
    return replace(
        run,
        target=name,
        unit=unit,
        rows=_whole(_part(result, "rows").get("train"), "rows.train"),
        role=role,
        rmse=_number(errors.get("rmse")),
        r2=_number(errors.get("r2")),
        warnings=len(warnings),
        gap=_number(_part(result, "certificate").get("relative_gap")),
        steps=_whole(result.get("steps"), "steps"),
        stopped=stopped,
        seconds=_number(result.get("seconds")),
        config=config,
    )


def _part(document: Any, key: str) -> Json:
    found = document.get(key) if isinstance(document, dict) else None
    if not isinstance(found, dict):
        raise ValueError(f"{RESULT} has no {key}")
    return found


def _whole(value: Any, key: str) -> int:
    if type(value) is not int:
        raise ValueError(f"{RESULT} has no {key}")
    return value


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float) or not isfinite(value):
        raise ValueError(f"{RESULT} has {str(value)[:40]!r} where a number is")
    return float(value)


def _with_differing_settings(runs: Sequence[Run]) -> list[Run]:
    """Each run with those of its settings in which another of the same target differs; None for one that is not given."""
    configs: dict[str | None, list[Json]] = {}
    for run in runs:
        if run.damaged is None:
            configs.setdefault(run.target, []).append(run.config)
    differing = {}
    for target, others in configs.items():
        names = sorted({name for config in others for name in config})
        differing[target] = [name for name in names if any(config.get(name) != others[0].get(name) for config in others)]
    return [
        replace(run, settings={name: _plain(run.config.get(name)) for name in differing[run.target]})
        if run.damaged is None
        else run
        for run in runs
    ]


def _plain(value: Any) -> Any:
    """A value of TOML as JSON has it: without dates, infinities and NaN."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | None) else str(value)

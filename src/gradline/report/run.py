"""The run directory: model, history, resolved settings, result, report; written whole or not at all."""

from __future__ import annotations

import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from gradline.errors import GradlineWarning, UsageError
from gradline.storage import RUN_MARKER, atomic_directory, check_replaceable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gradline.model.model import Model
    from gradline.types import Json

REPORT = "report.html"
CARD = "model-card.md"


def directory_name(target: str) -> str:
    """A target's name as a directory's: letters, digits, - and _ only."""
    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in target)[:80]
    return name.strip("_") or "run"


def run_directories(folder: Path, targets: Sequence[str]) -> list[Path]:
    """The run directory of each of several targets, in one folder. Raises UsageError where they cannot be written."""
    if folder.is_file():
        check_replaceable(folder)
    if (folder / RUN_MARKER).exists():
        raise UsageError(f"--out {folder} is the run of one target; of several, each has its own in a folder.", "give another.")
    paths: dict[Path, str] = {}
    for target in targets:
        path = folder / directory_name(target)
        if path in paths:
            raise UsageError(
                f"the targets {paths[path]!r} and {target!r} would both be written to {path}.", "train them one by one."
            )
        check_replaceable(path)
        paths[path] = target
    return list(paths)


def write_run(model: Model, path: Path) -> Json:
    """Write a run directory and return the document of `train --json`. Raises StorageError, UsageError."""
    import pyarrow.parquet as pq
    import tomli_w

    from gradline.model.file import write_model

    document = {"model": str(path), **model.result}
    with atomic_directory(path) as staging, ThreadPoolExecutor(1) as beside:
        writing = beside.submit(write_model, model, staging / RUN_MARKER)  # it compresses while the page is made
        with (staging / "history.parquet").open("wb") as file:
            pq.write_table(model.history, file)
        (staging / "config.toml").write_text(tomli_w.dumps(model.config), encoding="utf-8", errors="replace")
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"  # the name of --out may hold bytes that are no UTF-8
        (staging / "result.json").write_text(text, encoding="utf-8", errors="backslashreplace")
        for name, page in _pages(model).items():
            (staging / name).write_text(page, encoding="utf-8")
        writing.result()
    return document


def _pages(model: Model) -> dict[str, str]:
    """The report and the model card; a warning and none: what is wrong with them must not cost the model."""
    from gradline.report.card import card
    from gradline.report.page import contents, render

    try:
        told = contents(model)
        return {REPORT: render(model, told), CARD: card(model, told)}
    except Exception as error:
        text = f"the report could not be made ({type(error).__name__}: {error}); the model and all else of the run are written."
        warnings.warn(GradlineWarning(text), stacklevel=2)
        return {}

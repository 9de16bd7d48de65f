"""The run directory: model, history, resolved settings, result, report; written whole or not at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gradline.storage import RUN_MARKER, atomic_directory

if TYPE_CHECKING:
    from pathlib import Path

    from gradline.model.model import Model
    from gradline.types import Json

REPORT = "report.html"


def write_run(model: Model, path: Path) -> Json:
    """Write a run directory and return the document of `train --json`. Raises StorageError, UsageError."""
    import pyarrow.parquet as pq
    import tomli_w

    from gradline.model.file import write_model
    from gradline.report.page import render

    document = {"model": str(path), **model.result}
    with atomic_directory(path) as staging:
        write_model(model, staging / RUN_MARKER)
        pq.write_table(model.history, staging / "history.parquet")
        (staging / "config.toml").write_text(tomli_w.dumps(model.config), encoding="utf-8")
        (staging / "result.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (staging / REPORT).write_text(render(model), encoding="utf-8")
    return document

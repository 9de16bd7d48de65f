"""The rows with the largest errors, with their columns as they were read: made safe for a JSON document."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gradline.types import finite_or_none

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.evaluation.kept_rows import Worst
    from gradline.types import Json, Role

LONGEST_TEXT = 200
MOST_COLUMNS = 200


def worst_rows(worst: Worst, role: Role, files: Sequence[str]) -> Json:
    """The entry `assessment.worst`: `role`, and `rows` with the largest error first. files: the names of the source's files."""
    columns = worst.table.column_names[:MOST_COLUMNS]
    values = {name: _values(worst, name) for name in columns}
    rows = []
    for i, (file, row) in enumerate(zip(worst.file.tolist(), worst.row.tolist(), strict=True)):
        actual, predicted = float(worst.actual[i]), float(worst.predicted[i])
        rows.append(
            {
                "file": files[file] if file < len(files) else None,
                "row": row,
                "actual": finite_or_none(actual),
                "predicted": finite_or_none(predicted),
                "error": finite_or_none(predicted - actual),
                "values": {name: column[i] for name, column in values.items()},
            }
        )
    return {"role": role.label, "rows": rows}


def _values(worst: Worst, name: str) -> list[Any]:
    column = worst.table.column(name)
    try:
        return [plain(value) for value in column.to_pylist()]
    except (UnicodeDecodeError, ValueError, OverflowError) as error:  # bytes that are no text, times that are none in Python
        return [f"({type(error).__name__})"] * len(column)


def plain(value: Any) -> Any:
    """A value as JSON has it: numbers that are none are null, times are ISO text, long texts are cut."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return str(value)
        case dt.date() | dt.time():
            return value.isoformat()
        case _:
            text = value if isinstance(value, str) else str(value)
            return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}… ({len(text):,} characters)"

"""Faults of the data that moments do not show: rows that decide a coefficient alone, columns that hardly vary, whole numbers that
float64 cannot hold, identifiers.

Each detector is a function of what the one read kept; what it knows from a sample of rows only, it says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradline.maths.summaries import CategorySummary, NumberSummary
from gradline.representation.features import IDENTIFIER_NAME
from gradline.types import Notice, Part, Role

if TYPE_CHECKING:
    from collections.abc import Collection

    from gradline.training.diagnostics.sampled import SampledRows
    from gradline.training.survey import Survey
    from gradline.types import IntArray

DECIDING = 0.5  # of a column's variance in one row, more than all others together: its leverage is that at least
DECIDING_ROWS = 20
HANDFUL = 5  # rows, up to which a column that is one value elsewhere hardly varies
NEARLY_ALL = 50  # rows, below which nothing hardly varies
LEAST_SAMPLED = 500
UNIQUE_ROWS = 100


def faults(found: Survey, sample: SampledRows | None, used: Collection[str], target: str, weight: str | None) -> list[Notice]:
    """All of them. used: the table's columns that became features."""
    integers = _integers(found, sample)
    notices = past_float64(found, integers)
    if sample is None:
        return notices
    notices += hardly_varying(found, sample, used)
    constant = {notice.column for notice in notices if notice.code == "nearly_constant"}
    if weight is None:
        notices += deciding_rows(found, target, used, constant)
    notices += identifiers(sample, used, integers)
    return notices


def _integers(found: Survey, sample: SampledRows | None) -> set[str]:
    """The numbers that are stored as whole ones: of a float64, the digits past 2^53 were gone before they were read."""
    import pyarrow as pa

    if sample is None:
        return set(found.summaries)
    whole = (pa.types.is_integer, pa.types.is_decimal)
    return {field.name for field in sample.table.schema if any(test(field.type) for test in whole)}


def past_float64(found: Survey, integers: Collection[str]) -> list[Notice]:
    """Whole numbers past 2^53."""
    if found.extremes is None:
        return []
    notices = []
    for i, name in enumerate(n for n, s in found.summaries.items() if isinstance(s, NumberSummary)):
        count, first = int(found.extremes.past[i]), int(found.extremes.first_past[i])
        if count and name in integers:
            text = (
                f"{name!r} holds whole numbers past 2^53 in {_rows(count)} (first at row {first:,}), where float64 no longer tells neighbours apart. "
                f"If it is an identifier, --drop {name}; else subtract an offset at the source."
            )
            notices.append(Notice("past_2_53", name, text))
    return notices


def deciding_rows(found: Survey, target: str, used: Collection[str], skip: Collection[str | None] = ()) -> list[Notice]:
    """Rows that hold much of a column's variance: the leverage of a row is at least 1/m + (x − mean)²/Σ(x − mean)²."""
    tally, extremes = found.tallies.get(Role.TRAINING), found.extremes
    if tally is None or extremes is None or tally.numbers.rows < DECIDING_ROWS:
        return []
    moments, q = tally.numbers, len(extremes.least)
    mean, square = moments.mean[:q], np.diag(moments.comoment)[:q]
    low, high = (extremes.least - mean) ** 2, (extremes.greatest - mean) ** 2
    notices = []
    for i in np.flatnonzero((np.fmax(low, high) >= DECIDING * square) & (square > 0.0)).tolist():
        column = moments.columns[i]
        name = column.column.removesuffix(".days")
        if name in skip or not (column.column == target if column.part is Part.TARGET else name in used):
            continue
        ends = (extremes.greatest, extremes.greatest_row) if high[i] >= low[i] else (extremes.least, extremes.least_row)
        value, row, share = float(ends[0][i]), int(ends[1][i]), min(float(max(low[i], high[i]) / square[i]), 1.0)
        where = f"row {row:,}" if row >= 0 else "one row"
        what = "the fit" if column.part is Part.TARGET else "its coefficient"
        text = (
            f"{where} ({name} = {value:.6g}) alone holds {100 * share:.3g}% of the variance of {name!r}, more than all other rows together, and has "
            f"as much of the say in {what}: is the value right? If not, filter the row out with SQL text; if it is, a logarithm of the column, or --loss huber for an odd target, may suit."
        )
        notices.append(Notice("row_decides", name, text))
    return notices


def hardly_varying(found: Survey, sample: SampledRows, used: Collection[str]) -> list[Notice]:
    """Columns that are one value in all but a handful of the training rows."""
    mine = np.flatnonzero(sample.roles == Role.TRAINING)
    notices = []
    for name, values in sample.numbers.items():
        if name.removesuffix(".days") in used and len(mine) >= NEARLY_ALL:
            notices += _one_number(name, values[mine], sample, mine, found)
    for name, category in sample.categories.items():
        summary = found.summaries.get(name)
        if not isinstance(summary, CategorySummary) or not summary.counts or not category.missing_is_level or name not in used:
            continue
        level = max(summary.counts, key=summary.counts.named.__getitem__)
        other = summary.rows - summary.counts[level]
        if 0 < other <= HANDFUL and summary.rows >= NEARLY_ALL:
            codes = category.codes[mine]
            odd = [r for r, c in zip(mine.tolist(), codes.tolist(), strict=True) if c < 0 or category.levels[c] != level]
            first = int(sample.row[odd[0]]) if sample.whole and odd else None
            notices.append(_hardly(name, repr(level[:40]), other, first))
    return notices


def _one_number(
    name: str, values: np.ndarray[tuple[int], np.dtype[np.float64]], sample: SampledRows, at: IntArray, found: Survey
) -> list[Notice]:
    present = ~np.isnan(values)
    values, at = values[present], at[present]
    if len(values) < NEARLY_ALL or len(np.unique(values[:NEARLY_ALL])) > HANDFUL + 1:
        return []
    middle = float(np.median(values))  # a value that nearly all rows have
    odd = np.flatnonzero(values != middle)
    if sample.whole:
        return [_hardly(name, f"{middle:g}", len(odd), int(sample.row[at[odd[0]]]))] if 0 < len(odd) <= HANDFUL else []
    if len(odd) > 1 or len(values) < LEAST_SAMPLED:
        return []
    # so few rows differ that one of them holds a share of the variance
    tally, extremes = found.tallies[Role.TRAINING].numbers, found.extremes
    i = next(i for i, column in enumerate(tally.columns) if column.column == name)
    if extremes is None or tally.comoment[i, i] <= 0.0:
        return []
    for value, row in ((extremes.greatest, extremes.greatest_row), (extremes.least, extremes.least_row)):
        if value[i] != middle and (value[i] - tally.mean[i]) ** 2 * HANDFUL >= 0.99 * tally.comoment[i, i]:
            return [_hardly(name, f"{middle:g}", None, int(row[i]) if row[i] >= 0 else None)]
    return []


def _hardly(name: str, value: str, count: int | None, first: int | None) -> Notice:
    name = name.removesuffix(".days")
    rows = "a handful of the training rows" if count is None else _rows(count)
    where = "" if first is None else f" (such as row {first:,})" if count is None else f" (first at row {first:,})"
    text = f"{name!r} is {value} in all but {rows}{where}: its coefficient says what these rows are, no more. Leave it out (--drop {name}), or get more such rows."
    return Notice("nearly_constant", name, text)


def identifiers(sample: SampledRows, used: Collection[str], integers: Collection[str]) -> list[Notice]:
    """Whole numbers that are named like an identifier and differ in every row."""
    notices = []
    for name in sample.numbers:
        values = sample.numbers[name]
        if name not in used or name not in integers or not IDENTIFIER_NAME.search(name) or np.isnan(values).any():
            continue
        if len(values) >= UNIQUE_ROWS and len(np.unique(values)) == len(values):
            text = (
                f"{name!r} is another whole number in each of {sample.described}, and is named like an identifier: its size says nothing, if it is one. "
                f"--drop {name}, or --key {name}."
            )
            notices.append(Notice("identifier_like", name, text))
    return notices


def _rows(count: int) -> str:
    return f"{count:,} row{'s' if count != 1 else ''}"

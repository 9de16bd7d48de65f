"""Text that is nearly a number: the odd values with their count and their first row, and two decimal marks in one column."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.maths.summaries import CategorySummary
from gradline.types import Notice

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from gradline.training.diagnostics.sampled import SampledRows
    from gradline.training.survey import Survey

PLAIN = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
POINT = re.compile(r"\s*[+-]?\d+\.\d+\s*")
COMMA = re.compile(r"\s*[+-]?(\d+,(\d{1,2}|\d{4,})|0,\d+)\s*")  # 1,500 may be one and a half thousand
DRESSED = re.compile(r"\s*[^\w\s]?\s*[+-]?\d[\d.,' ]*\s*[^\w\s]?\s*")
MOSTLY = 0.9  # of the levels
LEAST_LEVELS = 3
SHOWN = 30


class _Levels(NamedTuple):
    """rows of each level, where it stands first if that is known, and how to speak of the rows."""

    counts: Mapping[str, int]
    first: Mapping[str, int]
    described: str

    def where(self, chosen: Collection[str]) -> str:
        """How many rows have one of some levels, and the first of them."""
        count = sum(self.counts[level] for level in chosen)
        rows = [self.first[level] for level in chosen if level in self.first]
        first = f", first at row {min(rows):,}" if len(rows) == len(chosen) else ""
        return f"{count:,} row{'s' if count != 1 else ''}{self.described}{first}"


def doubtful_texts(found: Survey, sample: SampledRows | None, texts: Collection[str]) -> list[Notice]:
    """`texts`: the columns taken for categories because they are stored as text, not because the user said so."""
    notices = []
    for name, summary in found.summaries.items():
        if isinstance(summary, CategorySummary) and name in texts:
            levels = _levels(name, summary, sample)
            if len(levels.counts) >= LEAST_LEVELS:
                notices += _one(name, levels)
    return notices


def _levels(name: str, summary: CategorySummary, sample: SampledRows | None) -> _Levels:
    """Of the training rows; of more levels than were counted, those of the sample."""
    first = dict(summary.first or {})
    if summary.counts is not None and (first or sample is None or not sample.whole):
        return _Levels(summary.counts, first, "")
    if sample is None:
        return _Levels({}, {}, "")
    category = sample.categories[name]
    codes, at, counts = np.unique(category.codes, return_index=True, return_counts=True)
    present = codes >= 0
    named = [category.levels[code] for code in codes[present].tolist()]
    rows = dict(zip(named, sample.row[at[present]].tolist(), strict=True))
    counted = dict(zip(named, counts[present].tolist(), strict=True))
    return _Levels(counted, rows, "" if sample.whole else f" of {sample.described}")


def _one(name: str, levels: _Levels) -> list[Notice]:
    """A word on text whose values are nearly all numbers; it suggests only what works."""
    plain = {level for level in levels.counts if PLAIN.fullmatch(level)}
    if len(plain) == len(levels.counts):
        return [_told(name, f"its values are all numbers: to take it as one, --types {name}=number.")]
    comma = [level for level in levels.counts if COMMA.fullmatch(level)]
    point = [level for level in plain if POINT.fullmatch(level)]
    if comma and point and len(comma) + len(plain) >= MOSTLY * len(levels.counts):
        fewer, mark = (comma, "comma") if _rows(levels, comma) <= _rows(levels, point) else (point, "point")
        text = (
            f"{name!r} is text, and was not taken as a number: it has two decimal marks, a point as in {_shown(point, levels)} and a comma as in "
            f"{_shown(comma, levels)}; the {mark} is in {levels.where(fewer)}. Make them one with SQL text: cast(replace({name}, ',', '.') as double)."
        )
        return [Notice("mixed_decimals", name, text)]
    odd = [level for level in levels.counts if level not in plain]
    dressed = [level for level in odd if DRESSED.fullmatch(level)]
    if len(plain) + len(dressed) < MOSTLY * len(levels.counts):
        return []
    if len(plain) >= MOSTLY * len(levels.counts):
        what = (
            f"its values are numbers but in {levels.where(odd)}, like {_shown(odd, levels)}: make those null with SQL text, "
            f"try_cast(trim({name}) as double)."  # without trim, DuckDB 2.0 makes a strict cast of it while it reads a CSV file
        )
    else:
        what = (
            f"its values look like numbers with signs, like {_shown(odd, levels)} (not plain: {levels.where(odd)}): remove these with SQL text "
            "and cast the rest."
        )
    return [_told(name, what)]


def _rows(levels: _Levels, chosen: Collection[str]) -> int:
    return sum(levels.counts[level] for level in chosen)


def _shown(chosen: Collection[str], levels: _Levels) -> str:
    """The first of some levels, or the one with most rows."""
    first = min(chosen, key=lambda level: (levels.first.get(level, np.inf), -levels.counts[level], level))
    return repr(first[:SHOWN])


def _told(name: str, what: str) -> Notice:
    return Notice("text_numbers", name, f"{name!r} is text, and was not taken as a number. But {what}")

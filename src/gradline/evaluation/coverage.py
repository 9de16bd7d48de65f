"""How often intervals hold the truth, on rows that neither fitted nor calibrated them: overall, along the prediction, by category.

A row counts once, whatever its weight; rows of weight 0 do not count. Where rows come in groups, one of each is drawn by a hash: only
so are they exchangeable with those of other groups. (Dunn, Wasserman & Ramdas, JASA 2023, arXiv 1809.07441: subsampling once.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.maths.conformal import Band, binomial_band, coverage_band, decimal
from gradline.splits.roles import mix
from gradline.types import Notice, finite_or_none

if TYPE_CHECKING:
    from gradline.evaluation.kept_rows import KeptRows
    from gradline.maths.conformal import Bounds
    from gradline.splits.roles import Hashes
    from gradline.types import BoolArray, FloatArray, IntArray, Json

LEVEL = 0.99  # of the bands
PARTS = 10  # of the range of the predictions
LEAST_ROWS = 30  # of a segment
MOST_LEVELS = 20  # of a column
MOST_COLUMNS = 20
FAR = 0.1  # below the nominal coverage, where a segment is told of
SALT = 0xD0221E


class Coverage(NamedTuple):
    """covered: of `rows` that the band is for, how many.  band: where their share belongs."""

    rows: int
    covered: int
    band: Band

    @property
    def share(self) -> float:
        """Of them."""
        return self.covered / self.rows

    @property
    def low(self) -> bool:
        """Whether fewer are covered than chance explains."""
        return self.share < self.band.low

    def to_json(self) -> Json:
        """With what is to be expected."""
        return {"rows": self.rows, "coverage": self.share, "low": self.band.low, "high": self.band.high, "level": self.band.level}


def counted(rows: KeptRows, seed: int) -> IntArray:
    """The positions of rows that may count as exchangeable: those with a weight, of each group one."""
    at = np.arange(len(rows.y)) if rows.weight is None else np.flatnonzero(rows.weight > 0.0)
    if rows.group is None or not len(at):
        return at
    return np.asarray(np.sort(at[_one_of_each(rows.group[at], _draws(rows.file[at], rows.row[at], seed))]))


def _draws(file: IntArray, row: IntArray, seed: int) -> Hashes:
    """The draw of each row, (n,): a hash of (seed, file, row)."""
    salt = np.uint64((seed ^ SALT) & 0xFFFFFFFFFFFFFFFF)
    return mix(mix(file.astype(np.uint64) ^ salt) ^ row.astype(np.uint64))


def _one_of_each(group: Hashes, draw: Hashes) -> IntArray:
    """The positions of the rows with the smallest draw of each group."""
    order = np.lexsort((draw, group))
    _, first = np.unique(group[order], return_index=True)
    return np.asarray(order[first])


class OneOfEach:
    """Goes along with a read: whether the row that stands for its group is covered, for each group so far."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._group: Hashes = np.zeros(0, dtype=np.uint64)
        self._draw: Hashes = np.zeros(0, dtype=np.uint64)
        self._covered: BoolArray = np.zeros(0, dtype=np.bool_)

    def add(self, group: Hashes, file: int, row: IntArray, covered: BoolArray) -> None:
        """Some more rows of a file, (n,) each."""
        group = np.concatenate([self._group, group])
        draw = np.concatenate([self._draw, _draws(np.full(len(row), file), row, self._seed)])
        at = _one_of_each(group, draw)
        self._group, self._draw, self._covered = group[at], draw[at], np.concatenate([self._covered, covered])[at]

    @property
    def groups(self) -> int:
        """How many there are."""
        return len(self._covered)

    @property
    def covered(self) -> int:
        """Of how many the row is covered."""
        return int(np.count_nonzero(self._covered))


def judged(hits: int, rows: int, calibrated: int, coverage: float) -> Coverage:
    """Whether so many of the rows are covered as belongs, by intervals that so many others calibrated (of jackknife+ that law is near)."""
    return Coverage(rows, hits, coverage_band(rows, calibrated, decimal(coverage), LEVEL))


def along(predicted: FloatArray, covered: BoolArray, width: FloatArray) -> list[Json]:
    """By tenths of the prediction, or fewer parts of LEAST_ROWS: rows of one prediction stay together."""
    parts = int(np.clip(len(predicted) // LEAST_ROWS, 1, PARTS))
    edges = np.unique(np.quantile(predicted, np.linspace(0.0, 1.0, parts + 1)))
    part = np.clip(np.searchsorted(edges, predicted, side="right") - 1, 0, max(len(edges) - 2, 0))
    found = []
    for i in range(max(len(edges) - 1, 1)):
        at = np.flatnonzero(part == i)
        if len(at):
            low, high = float(predicted[at].min()), float(predicted[at].max())
            found.append({"from": low, "to": high, **_segment(at, covered, width)})
    return found


def by_level(rows: KeptRows, at: IntArray, covered: BoolArray, width: FloatArray) -> list[Json]:
    """By the levels of the category columns that have LEAST_ROWS of the rows `at`, the frequent ones first."""
    found = []
    for column in rows.decoded.categories[:MOST_COLUMNS]:
        codes = column.codes[at]
        kept = codes >= 0
        counts = np.bincount(codes[kept], minlength=len(column.levels))
        for code in np.argsort(-counts, kind="stable")[:MOST_LEVELS]:
            if counts[code] >= LEAST_ROWS and counts[code] < len(at):
                segment = _segment(np.flatnonzero(codes == code), covered, width)
                found.append({"column": column.name, "level": column.levels[code], **segment})
    return found


def _segment(at: IntArray, covered: BoolArray, width: FloatArray) -> Json:
    return {"rows": len(at), "coverage": float(covered[at].mean()), "width": finite_or_none(float(width[at].mean()))}


class Measured(NamedTuple):
    """document: the entry `test`.  own: the coverage that is judged.  worst: the segment that is served worst, None where chance may be."""

    document: Json
    own: Coverage
    worst: Json | None


def measure(rows: KeptRows, bounds: Bounds, normal: Bounds, calibrated: int, coverage: float, seed: int) -> Measured:
    """What the rows of a role say of their intervals, in the target's unit, beside those of normal errors."""
    at = np.arange(len(rows.y)) if rows.weight is None else np.flatnonzero(rows.weight > 0.0)
    covered, width = bounds.covers(rows.actual), bounds.high - bounds.low
    drawn = counted(rows, seed)
    own = judged(int(np.count_nonzero(covered[drawn])), len(drawn), calibrated, coverage)
    parts, levels = along(rows.predicted[at], covered[at], width[at]), by_level(rows, at, covered[at], width[at])
    share = float(covered[at].mean())
    worst = _worst([*parts, *levels], min(share, coverage))
    document = {
        "rows": len(at),
        "of": rows.of,
        "coverage": share,
        "width": finite_or_none(float(width[at].mean())),
        "expected": own.to_json(),
        "normal": {
            "coverage": float(normal.covers(rows.actual)[at].mean()),
            "width": finite_or_none(float((normal.high - normal.low)[at].mean())),
        },
        "by_prediction": parts,
        "by_level": levels,
        "uneven": None if worst is None else uneven(worst, coverage),
    }
    return Measured(document, own, worst)


def low_coverage(own: Coverage, coverage: float, where: str) -> list[Notice]:
    """Where fewer rows are covered than belongs."""
    if not own.low:
        return []
    text = (
        f"the intervals hold {own.share:.1%} of {where}, and {100 * coverage:g}% were to be expected (by chance {own.band.low:.1%} to {own.band.high:.1%}): these rows differ from those "
        "that the intervals were calibrated on. Train again on rows like these, or ask what has changed."
    )
    return [Notice("coverage_low", None, text)]


def _worst(segments: list[Json], coverage: float) -> Json | None:
    """The segment that holds the smallest share, if it is far below and chance does not explain it among so many."""
    odd = []
    for each in segments:
        if each["rows"] >= LEAST_ROWS and each["coverage"] < coverage - FAR:
            band = binomial_band(each["rows"], coverage, 1.0 - 2.0 * (1.0 - LEVEL) / len(segments))
            odd += [each] if each["coverage"] < band.low else []
    return min(odd, key=lambda each: each["coverage"]) if odd else None


def uneven(worst: Json, coverage: float) -> str:
    """What that means."""
    where = (
        f"{worst['column']}={worst['level']}"
        if "column" in worst
        else f"predictions from {worst['from']:.4g} to {worst['to']:.4g}"
    )
    return (
        f"the intervals are to hold {100 * coverage:g}% of the rows on average, and hold {worst['coverage']:.1%} of those with {where} ({worst['rows']:,} test rows): there they are too "
        "narrow, and too wide elsewhere. --interval quantile lets their width follow the features"
    )

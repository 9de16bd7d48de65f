"""Features that tell the target because they are made of it, or are known only after it.

Each detector is a function of what the one read kept: moments and level counts of all training rows, a sample of rows.
None can know when a column is known: they say what is conspicuous, and ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradline.kinds import kind_of
from gradline.splits.roles import TimeRoles
from gradline.training.diagnostics.sampled import rank_correlation
from gradline.types import Kind, Notice, Part, RawColumn, Role

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pyarrow as pa

    from gradline.maths.problem import Problem
    from gradline.training.diagnostics.sampled import SampledRows
    from gradline.training.rows import RowReader
    from gradline.training.survey import Survey
    from gradline.types import FloatArray, IntArray

COPY = 1e-11  # 1 − |r|, up to which a column is the target in another unit, rounded to five digits or more
NEAR_CORRELATION = 0.9999  # |r|, from which one column alone is suspiciously good
RANK_CORRELATION = 0.9995  # with the target's size or distance, from which a column is suspicious
RANKED_ROWS = 50
SURE_ROWS = 120  # in which the noise that leaves all ranks as they are leaves r > 0.9999
UNEVEN = 0.1  # |y − between its neighbours| to |its neighbours' difference|
STRAIGHT = 0.9995  # |r|
FIRST_RANKED = 100  # rows that tell of most columns that there is no such law
FIRST_CORRELATION = 0.98
EXPLAINED = 0.9995  # of the target's variance, by the means of a category's levels
ROWS_A_LEVEL = 5
MOST_BINS = 30
LEAST_BIN_ROWS = 5
BIN_ROWS = 100
BIN_GAP = 10.0  # mean spacings of the target, past which neighbouring bins do not touch: groups, not bins
LEAST_WITHOUT_TARGET = 10
MOST_BESIDE = 0.9  # of the rows without a target: in so many a column is null that is never null beside a target
PRESENT_BESIDE = 0.01  # of the rows without a target: so many rows with one may lack the column too
LATER = 0.9  # share of rows in which a time is past the time of the split


def leaks(
    problem: Problem, found: Survey, sample: SampledRows | None, reader: RowReader | None, sources: Mapping[str, str]
) -> list[Notice]:
    """All of them, a column in one notice only. sources: see `Collinearity`."""
    notices = linear_leaks(problem, sources)
    if sample is None or reader is None:
        return notices
    told = {notice.column for notice in notices}
    for more in (
        derived_categories(found, reader.target, told),
        binned_targets(sample, told),
        transformed_targets(sample, told),
        null_with_target(found, told),
        known_later(sample, reader),
    ):
        notices += [notice for notice in more if notice.column not in told]
        told |= {notice.column for notice in more}
    return notices


def linear_leaks(problem: Problem, sources: Mapping[str, str]) -> list[Notice]:
    """From the moments of all training rows."""
    names, moments = problem.names, problem.training
    variance = np.diag(moments.comoment)
    covariance = moments.comoment[:-1, -1]
    correlation = covariance / np.sqrt(variance[:-1]) / np.sqrt(variance[-1])
    mean = moments.mean + moments.mean_rest
    notices = []
    for j in np.flatnonzero(np.abs(correlation) > NEAR_CORRELATION).tolist():
        column = sources[names[j]]
        if 1.0 - abs(correlation[j]) <= COPY:
            slope = covariance[j] / variance[j]
            constant = mean[-1] - slope * mean[j]
            law = f"target = {slope:.6g}·{names[j]}" + (
                f" {'+' if constant > 0 else '−'} {abs(constant):.6g}" if constant else ""
            )
            text = f"{names[j]!r} is the target itself, in another unit at most ({law}): {_drop(column)}."
            notices.append(Notice("target_copy", column, text))
        else:
            text = (
                f"{names[j]!r} alone explains the target almost perfectly (r = {correlation[j]:.6f}): "
                f"is it known before the target is? If not, {_drop(column)}."
            )
            notices.append(Notice("near_target", column, text))
    return notices


def derived_categories(found: Survey, target: str, told: Collection[str | None] = ()) -> list[Notice]:
    """Categories of which the levels' means explain the target: Σ_l S_l²/W_l of M_yy, S the sums of the centred target by level."""
    tally = found.tallies.get(Role.TRAINING)
    if tally is None or not tally.levels:
        return []
    at = tally.numbers.index()[RawColumn(target, Part.TARGET)]
    square, rows = float(tally.numbers.comoment[at, at]), tally.numbers.rows
    notices = []
    for name, sums in tally.sums.items():
        counts = tally.counts[name]
        used = counts > 0.0
        levels = int(np.count_nonzero(used))
        if name in told or levels < 2 or rows < ROWS_A_LEVEL * levels:
            continue
        between = float(np.sum(sums[used, at] ** 2 / counts[used]))
        within = (1.0 - between / square) * (rows - 1) / (rows - levels)
        if within < 1.0 - EXPLAINED:
            text = (
                f"the {levels:,} levels of {name!r} explain {100 * (1 - within):.4g}% of the target's variance: are they made of the target, or "
                f"known only after it? If so, {_drop(name)}."
            )
            notices.append(Notice("target_category", name, text))
    return notices


def binned_targets(sample: SampledRows, told: Collection[str | None] = ()) -> list[Notice]:
    """Levels, or a few numbers, that cut the target's range into intervals that touch and do not overlap."""
    notices = []
    for name, category in sample.categories.items():
        if name not in told and 2 <= len(category.levels) <= MOST_BINS:
            notices += _bins(name, category.codes, sample)
    for name, values in sample.numbers.items():
        if name in told or len(np.unique(values[:FIRST_RANKED])) > MOST_BINS or np.isnan(values).any():
            continue
        different, codes = np.unique(values, return_inverse=True)
        if 2 <= len(different) <= MOST_BINS:
            notices += _bins(name, codes, sample)
    return notices


def _bins(name: str, codes: IntArray, sample: SampledRows) -> list[Notice]:
    y = sample.y[codes >= 0]
    codes = codes[codes >= 0]
    least, greatest, count = [], [], []
    for code in np.unique(codes).tolist():
        mine = y[codes == code]
        least.append(mine.min())
        greatest.append(mine.max())
        count.append(len(mine))
    different = len(np.unique(y))
    if len(count) < 2 or len(y) < BIN_ROWS or min(count) < LEAST_BIN_ROWS or different < 4 * len(count):
        return []
    order = np.argsort(least)
    gap = np.array(least)[order][1:] - np.array(greatest)[order][:-1]
    spacing = (y.max() - y.min()) / different
    if gap.min() <= 0.0 or gap.max() > BIN_GAP * spacing:
        return []
    text = (
        f"the {len(count)} values of {name!r} cut the target's range into {len(count)} intervals that do not overlap (in {sample.described}): "
        f"it is made of the target. {_drop(name).capitalize()}."
    )
    return [Notice("target_category", name, text)]


def transformed_targets(sample: SampledRows, told: Collection[str | None] = ()) -> list[Notice]:
    """Numbers that rise or fall with the target in nearly every pair of rows, or with its distance from zero or from its mean."""
    y = sample.y
    yardsticks = {"it": y, "its distance from its mean": np.abs(y - y.mean())}
    if y.min() < 0.0 < y.max():
        yardsticks["its size without the sign"] = np.abs(y)
    notices: list[Notice] = []
    if len(y) < RANKED_ROWS:
        return notices
    for name in _candidates(sample, list(yardsticks.values())):
        values = sample.numbers[name]
        present = ~np.isnan(values)
        x = values[present]
        if name in told or len(x) < RANKED_ROWS or len(np.unique(x)) < len(x) / 4:
            continue
        for what, yardstick in yardsticks.items():
            z = yardstick[present]
            rank = rank_correlation(x, z)
            if abs(rank) > (NEAR_CORRELATION if yardstick is y else RANK_CORRELATION) and (len(x) >= SURE_ROWS or _smooth(x, z)):
                text = (
                    f"{name!r} goes {'up' if rank > 0 else 'down'} with the target ({what}) in nearly every pair of rows (rank correlation {rank:.5f} "
                    f"in {sample.described}): is it a function of the target, its logarithm or square say? If so, "
                    f"{_drop(name.removesuffix('.days'))}."
                )
                notices.append(Notice("target_transformed", name.removesuffix(".days"), text))
                break
    return notices


def _smooth(x: FloatArray, y: FloatArray) -> bool:
    """Whether y is a curve in x: of a few rows, a line with little noise beside their distances ranks them as well."""
    if abs(np.corrcoef(x, y)[0, 1]) > STRAIGHT:
        return False
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    step = x[2:] - x[:-2]
    share = np.divide(x[1:-1] - x[:-2], step, out=np.full(len(step), 0.5), where=step > 0.0)
    across = y[2:] - y[:-2]
    return bool(np.median(np.abs(y[1:-1] - y[:-2] - share * across)) < UNEVEN * np.median(np.abs(across)))


def _candidates(sample: SampledRows, yardsticks: Sequence[FloatArray]) -> list[str]:
    """The numbers that go with a yardstick in the first rows (equal ones in any order), or lack some of these: few, as a rule."""
    names = list(sample.numbers)
    if not names:
        return []
    head = np.array([sample.numbers[name][:FIRST_RANKED] for name in names])
    rank = head.argsort(axis=1).argsort(axis=1) - (head.shape[1] - 1) / 2.0  # (columns, rows)
    marks = np.array([each[:FIRST_RANKED] for each in yardsticks])
    marks = marks.argsort(axis=1).argsort(axis=1) - (head.shape[1] - 1) / 2.0
    near = np.abs(rank @ marks.T).max(axis=1) >= FIRST_CORRELATION * (rank[0] @ rank[0])
    return [names[j] for j in np.flatnonzero(near | np.isnan(head).any(axis=1)).tolist()]


def null_with_target(found: Survey, told: Collection[str | None] = ()) -> list[Notice]:
    """Columns that are null where the target is, and only there: they become known together."""
    rows = found.without_target
    if rows < LEAST_WITHOUT_TARGET:
        return []
    both = {name: count for name, count in found.null_beside.items() if count >= MOST_BESIDE * rows}
    if len(both) == len(found.null_beside):  # empty rows
        return []
    notices = []
    for name, count in both.items():
        summary = found.summaries.get(name)
        if name in told or summary is None or summary.missing > (PRESENT_BESIDE * rows if count == rows else 0):
            continue
        column = name.removesuffix(".days")
        text = (
            f"{column!r} is null in {'all' if count == rows else f'{count:,} of'} {rows:,} rows without a target, and {'hardly ever' if summary.missing else 'never'} else: "
            "it seems to become known together with the target. "
            f"If it is not known before, {_drop(column)}."
        )
        notices.append(Notice("null_with_target", column, text))
    return notices


def known_later(sample: SampledRows, reader: RowReader) -> list[Notice]:
    """Dates and times past the time by which the rows are split."""
    roles = reader.roles
    if not isinstance(roles, TimeRoles) or roles.column not in sample.table.column_names:
        return []
    schema = sample.table.schema
    if kind_of(schema.field(roles.column).type) not in (Kind.DATE, Kind.TIMESTAMP):
        return []
    notices = []
    for name, kind in reader.decoder.kinds.items():
        stored = kind_of(schema.field(name).type)
        if name == roles.column or kind not in (Kind.DATE, Kind.TIMESTAMP) or stored not in (Kind.DATE, Kind.TIMESTAMP):
            continue
        days = Kind.DATE in (stored, kind_of(schema.field(roles.column).type))
        time, other = (_microseconds(sample.table, column) for column in (roles.column, name))
        if days:
            time, other = np.floor(time / 86_400e6), np.floor(other / 86_400e6)
        present = ~np.isnan(time) & ~np.isnan(other)
        later = (other > time)[present]
        if len(later) >= LEAST_WITHOUT_TARGET and np.mean(later) > LATER:
            text = (
                f"{name!r} is later than {roles.column!r} in {100 * np.mean(later):.3g}% of {sample.described}: is it known when the prediction is "
                f"needed? If not, {_drop(name)}."
            )
            notices.append(Notice("known_later", name, text))
    return notices


def _microseconds(table: pa.Table, name: str) -> FloatArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    from gradline.arrays import as_numpy, flat_column

    values = flat_column(table, name)
    zone = getattr(values.type, "tz", None)
    return as_numpy(
        pc.cast(pc.cast(pc.cast(values, pa.timestamp("us", zone), safe=False), pa.int64()), pa.float64()), null=np.nan
    )


def _drop(column: str) -> str:
    return f"leave it out: --drop {column}"

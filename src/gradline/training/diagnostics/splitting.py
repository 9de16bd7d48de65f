"""What makes the held-out rows easier than new ones: copies of training rows, groups that both share, times in disorder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradline.arrays import as_numpy, flat_column
from gradline.kinds import kind_of
from gradline.representation.features import IDENTIFIER_NAME
from gradline.splits.copies import coincidental, column_hashes, copies, row_hashes_of
from gradline.splits.roles import RowRoles, TimeRoles, value_hashes
from gradline.types import Kind, Notice, Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from gradline.splits.roles import Roles
    from gradline.training.config import TrainConfig
    from gradline.training.diagnostics.sampled import SampledRows
    from gradline.training.survey import Survey
    from gradline.types import BoolArray, FloatArray, IntArray

BACKWARDS = 0.05  # of the rows: past it the file is in another order, not in that of time with faults
OFF_SHARE = 0.5  # of the share asked for
SHARE_ROWS = 50
GROUP_PAIRS = 30  # of rows of one group, in the sample
GROUP_VALUES = 20
MOST_GROUP_ROWS = 50.0  # of one group: a category with more is one (m/Σ share², estimated by the pairs)
MOST_PROBED = 20  # columns, and the target: where no two rows are equal in these, none are in all
WITHIN = 0.1  # of the target's variance, within groups


def doubtful_split(
    found: Survey, sample: SampledRows, roles: Roles, config: TrainConfig, columns: Sequence[str], candidates: Sequence[str]
) -> list[Notice]:
    """columns: those that became features, and the target.  candidates: all that were read, which may be groups."""
    notices = repeated_rows(sample, columns)
    if isinstance(roles, TimeRoles):
        notices += disordered_times(roles) + uneven_times(found, roles, config) + empty_gap(found, roles)
    if isinstance(roles, RowRoles) and config.validation + config.test > 0.0:
        notices += shared_groups(sample, candidates)
    return notices


def repeated_rows(sample: SampledRows, columns: Sequence[str]) -> list[Notice]:
    """Rows that are equal in every feature and in the target, where that is no coincidence."""
    there = frozenset(sample.table.column_names)  # Arrow makes the list anew at each call
    names = list(dict.fromkeys(name for name in columns if name in there))
    probed = [names[-1], *names[:MOST_PROBED]]
    if not copies(row_hashes_of(column_hashes(sample.table, probed))).pairs:
        return []
    hashes = column_hashes(sample.table, names)
    found = copies(row_hashes_of(hashes))
    if not found.pairs or coincidental(sample.table, names, hashes, found.pairs):
        return []
    first, n, repeated = int(sample.row[found.later[0]]), len(sample.y), len(found.later)
    if sample.whole:
        rows = f"{_rows(repeated)} {'repeats' if repeated == 1 else 'repeat'} an earlier one in every column (first at row {first:,})"
    else:
        about = min(found.pairs * sample.of * (sample.of - 1) / (n * (n - 1)), sample.of - 1)
        rows = (
            f"about {about:,.0f} rows repeat another in every column (an estimate: {_rows(repeated)} of {sample.described}, such as row {first:,}; "
            "gradline evaluate counts them)"
        )
    training, held_out = _has(found.group, sample.roles == Role.TRAINING), _has(found.group, sample.roles != Role.TRAINING)
    across = int(np.count_nonzero((training & held_out)[found.group] & (sample.roles != Role.TRAINING)))
    leak = (
        f" {_rows(across)} held out of these {'is a copy' if across == 1 else 'are copies'} of training rows: the metrics are too good."
        if across
        else ""
    )
    text = f"{rows}.{leak} If they were copied by mistake, take them out: select distinct * from …. Each counts as often as it stands there."
    return [Notice("duplicate_rows", None, text)]


def _has(group: IntArray, chosen: BoolArray) -> BoolArray:
    """Of each group, whether one of its rows is chosen."""
    found: BoolArray = np.bincount(group, chosen) > 0
    return found


def disordered_times(roles: TimeRoles) -> list[Notice]:
    """A file in the order of time, but for a few rows."""
    if not 0 < roles.backwards <= BACKWARDS * roles.rows:
        return []
    text = (
        f"{roles.column!r} goes back in time at {_rows(roles.backwards)} (first at row {roles.first_backwards:,}), in a file that is in its order else: "
        "are the times right? Rows with a wrong time are trained on, or held out, by mistake."
    )
    return [Notice("time_backwards", roles.column, text)]


def uneven_times(found: Survey, roles: TimeRoles, config: TrainConfig) -> list[Notice]:
    """Rows of one time stay together, so that the shares held out can be far from those asked for."""
    total = found.read - found.dropped + found.gap
    shares = {Role.VALIDATION: config.validation, Role.TEST: config.test}
    off = {
        role: share for role, share in shares.items() if abs(found.rows(role) - share * total) > OFF_SHARE * share * total + 1.0
    }
    if not off or total < SHARE_ROWS:
        return []
    words = " and ".join(f"{found.rows(role):,} for {role.name.lower()}, not {100 * share:g}%" for role, share in off.items())
    gap = f", or {roles.gap_words} of gap hold many ({found.gap:,} rows are left out)" if found.gap else ""
    text = (
        f"of {total:,} rows there are {words}: many rows have one time at the border, or the last ones have no target{gap}. Use a finer time, or "
        "other shares."
    )
    return [Notice("time_ties", roles.column, text)]


def empty_gap(found: Survey, roles: TimeRoles) -> list[Notice]:
    """A gap in which no row lies keeps nothing apart."""
    if not roles.gap or found.gap or not found.rows(Role.VALIDATION) + found.rows(Role.TEST):
        return []
    text = (
        f"no row lies within the {roles.gap_words} before the held-out ones, so that --gap leaves none out: is it shorter than the steps of "
        f"{roles.column!r}?"
    )
    return [Notice("gap_empty", roles.column, text)]


def shared_groups(sample: SampledRows, candidates: Sequence[str]) -> list[Notice]:
    """Columns of which a value stands in a few rows whose targets are nearly the same, in training and held-out rows alike."""
    notices = []
    for name in candidates:
        values = sample.table.column(name)
        kind = kind_of(values.type)
        if kind is Kind.TEXT or (_is_whole(values.type) and IDENTIFIER_NAME.search(name)):
            notices += _shared(name, value_hashes(0, values), sample)
    return notices


def _is_whole(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind))


def _shared(name: str, hashes: np.ndarray[tuple[int], np.dtype[np.uint64]], sample: SampledRows) -> list[Notice]:
    present = ~as_numpy(flat_column(sample.table, name).is_null())
    y: FloatArray = sample.y[present]
    held_out = sample.roles[present] != Role.TRAINING
    _, group, counts = np.unique(hashes[present], return_inverse=True, return_counts=True)
    repeated = counts > 1
    pairs = int(np.sum(counts * (counts - 1) // 2))
    if pairs < GROUP_PAIRS or len(counts) < GROUP_VALUES or 2.0 * pairs * sample.of > MOST_GROUP_ROWS * len(y) ** 2:
        return []
    means = np.bincount(group, y) / counts
    inside = repeated[group]
    within = float(np.sum((y - means[group])[inside] ** 2)) / max(int(np.sum(counts[repeated] - 1)), 1)
    variance = float(np.var(y))
    both = (np.bincount(group, held_out) > 0) & (np.bincount(group, ~held_out) > 0)
    if variance <= 0.0 or within > WITHIN * variance or not both.any():
        return []
    text = (
        f"rows of one {name!r} have nearly the same target ({100 * within / variance:.2g}% of its variance is within them), and {np.count_nonzero(both):,} of "
        f"{len(counts):,} stand in training and in held-out rows ({sample.described}): the metrics are of those that training knew. For new ones: --group {name}."
    )
    return [Notice("shared_groups", name, text)]


def _rows(count: int) -> str:
    return f"{count:,} row{'s' if count != 1 else ''}"

"""What each trial of cross-validation learns from, and what it is judged on: the moments of some parts of the training rows, merged.

Of K folds a trial learns from all but one, and is judged on that one. Of rolling origins it learns from the rows before an origin and
its gap, and is judged on those from it to the next.
"""

from __future__ import annotations

from functools import reduce
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from gradline.errors import DataError, plural
from gradline.maths.moments import merge
from gradline.maths.ridge_path import others
from gradline.splits.divisions import RollingOrigins

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gradline.maths.moments import Moments
    from gradline.splits.divisions import Division
    from gradline.training.config import TrainConfig

LEAST_ROWS = 2  # to learn from, or to be judged on


class Trial(NamedTuple):
    """Moments of raw columns. judged: by the part before which those rows end; all of them at `stop`, fewer where the gap of a later
    origin takes some.
    """

    learned: Moments
    judged: Mapping[int, Moments]
    stop: int


def trials(division: Division, parts: Sequence[Moments], config: TrainConfig) -> Iterator[Trial]:
    """Those of one division. Raises DataError where one of them has no rows to learn from, or to be judged on."""
    if isinstance(division, RollingOrigins):
        return _rolling(division, parts)
    _check(parts, config)
    return (Trial(rest, {k: fold}, k) for k, (rest, fold) in enumerate(zip(others(parts), parts, strict=True)))


def _rolling(division: RollingOrigins, parts: Sequence[Moments]) -> Iterator[Trial]:
    upto = [*accumulate(parts, merge)]  # upto[k]: of part k and those before it
    count = len(division.origins)
    for k, origin in enumerate(division.origins, 1):
        learned = upto[origin.learned - 1]
        stops = {origin.stop, *(min(origin.stop, later.learned) for later in division.origins[k:])}
        judged = {stop: reduce(merge, parts[origin.start : stop]) for stop in sorted(stops) if stop > origin.start}
        judged = {stop: found for stop, found in judged.items() if _enough(found)}
        for name, found in (("to learn from", learned), ("to be judged on", judged.get(origin.stop))):
            if found is None or not _enough(found):
                raise DataError(
                    f"rolling origin {k} of {count} by {division.column!r} has fewer than {LEAST_ROWS} training rows {name}, with weight: rows "
                    "of one time stay together, and those in the gap are left out.",
                    "fewer --folds, a shorter --gap, or a finer time.",
                )
        yield Trial(learned, judged, origin.stop)


def _enough(moments: Moments) -> bool:
    return moments.rows >= LEAST_ROWS and moments.weight > 0.0


def _check(folds: Sequence[Moments], config: TrainConfig) -> None:
    for k, fold in enumerate(folds, 1):
        if _enough(fold):
            continue
        lacks = f"{plural(fold.rows, 'training row')}" + (", all of weight 0" if fold.rows >= LEAST_ROWS else "")
        column = config.key or config.group
        why = "" if column is None else f" (rows of one value of {column!r} stay in one fold)"
        raise DataError(
            f"fold {k} of {len(folds)} has {lacks}{why}; each needs at least {LEAST_ROWS}, with weight.",
            "divide into fewer: --folds K, or give more rows.",
        )

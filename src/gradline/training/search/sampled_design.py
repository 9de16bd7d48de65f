"""The sample on which representations are compared: the model's features on some training rows, divided into folds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.arrays import flat_column
from gradline.errors import DataError, UsageError, plural
from gradline.maths.selection import orthonormal, outer_pairs
from gradline.representation.features import Representation
from gradline.splits.divisions import Folds
from gradline.splits.gap import parsed_gap
from gradline.splits.roles import time_ordinals
from gradline.training.reading.drawn import draw
from gradline.training.rows import RowReader
from gradline.types import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.inputs.source import Source
    from gradline.maths.engine import Engine
    from gradline.training.config import TrainConfig
    from gradline.training.rows import Rows
    from gradline.training.trainer import Fit
    from gradline.types import FloatArray, IntArray

SEARCH_ROWS = 50_000  # training rows
SEARCH_FOLDS = 10
MOST_FEATURES = 300  # of the model that the search begins with
LEAST_FOLD_ROWS = 10
LEAST_JUDGED = 2  # folds that the selection has not seen: of one there is no noise to be known


class SampledDesign(NamedTuple):
    """The model's features on n of the training rows, and the numbers among them before missing ones were imputed.

    X: (n, p).  numbers: (n,) by name, NaN where missing.  y, weight, fold: (n,).  folds: how many.  of: how many training rows there are.
    before: of folds that follow each other in time, see `FoldGrams`.
    """

    X: FloatArray
    numbers: dict[str, FloatArray]
    y: FloatArray
    weight: FloatArray
    fold: IntArray
    folds: int
    of: int
    before: tuple[int, ...] | None = None

    @property
    def root(self) -> FloatArray:
        """√w, (n, 1)."""
        found: FloatArray = np.sqrt(self.weight)[:, None]
        return found

    def basis(self, *, intercept: bool) -> FloatArray:
        """An orthonormal basis of what every model here has, (n, r), rows times √w."""
        X = self.X
        if intercept:
            mean = self.weight @ X / self.weight.sum()
            X = np.column_stack([np.ones(len(X)), X - mean])
        return orthonormal(X * self.root, np.zeros((len(X), 0)))

    def added(self, columns: Sequence[FloatArray], basis: FloatArray) -> FloatArray:
        """What columns (n,) add to a basis, missing values at the mean of the present ones, (n, ≤ c)."""
        return orthonormal(np.column_stack([self._filled(column) for column in columns]) * self.root, basis)

    def _filled(self, values: FloatArray) -> FloatArray:
        present = ~np.isnan(values)
        if present.all():
            return values
        return np.where(present, values, np.average(values[present], weights=self.weight[present]) if present.any() else 0.0)


def sampled_design(found: Fit, source: Source, config: TrainConfig, engine: Engine, asked: str) -> SampledDesign:
    """The sample, by one more read. Raises InputError where there can be none."""
    representation, reader = found.representation, found.reader
    if not isinstance(reader, RowReader) or not isinstance(representation, Representation):
        raise UsageError(f"{asked} is for tables of columns, and {source.name} is sparse.", "leave it out.")
    if not source.repeatable and not source.files:
        raise UsageError(f"{asked} reads the rows again, and {source.name} can be read only once.", "write it to a file.")
    p = len(representation.features)
    if p > MOST_FEATURES:
        raise UsageError(
            f"{asked} begins with up to {MOST_FEATURES} features, and there are {p:,}.", "choose columns with --features."
        )
    folds = config.folds or SEARCH_FOLDS
    numbers = [f.column for f in representation.features if f.part is Part.VALUE]

    def values(rows: Rows, at: IntArray) -> FloatArray:
        decoded = rows.decoded.take(at)
        known = {number.name: number.values for number in decoded.numbers}
        times = [] if config.time is None else [time_ordinals(flat_column(rows.table, config.time), config.time)[rows.kept][at]]
        return np.column_stack([representation.design(decoded), *(known[name] for name in numbers), *times])

    reader = replace(reader, divisions=(Folds(folds, config.seed, by_row=config.stratify is not None),))
    drawn = draw(source, reader, engine, config.seed, SEARCH_ROWS, values)
    fold, before = drawn.fold.astype(np.intp), None
    if config.time is not None:
        kind = source.schema.field(config.time).type
        gap = 0.0 if config.gap is None else parsed_gap(config.gap).ordinals(kind, config.time)
        fold, before = _folds_by_time(drawn.values[:, -1], folds, gap)
    _check_folds(fold, folds, before, config)
    columns = dict(zip(numbers, drawn.values[:, p : p + len(numbers)].T, strict=True))
    return SampledDesign(drawn.values[:, :p], columns, drawn.y, drawn.weight, fold, folds, drawn.of, before)


def _folds_by_time(times: FloatArray, folds: int, gap: float) -> tuple[IntArray, tuple[int, ...]]:
    """The fold of each row, (n,), as many in each as can be while rows of one time stay together; and before each fold, how many end before it
    begins less the gap.
    """
    ordered = np.sort(times)
    starts = ordered[[k * len(times) // folds for k in range(1, folds)]] if len(times) else np.zeros(folds - 1)
    fold: IntArray = np.searchsorted(starts, times, side="right")
    # fold j ends where fold j + 1 starts: its rows are earlier
    before = (0, *(int(np.count_nonzero(starts <= start - gap)) for start in starts))
    return fold, before


def _check_folds(fold: IntArray, folds: int, before: tuple[int, ...] | None, config: TrainConfig) -> None:
    if len(outer_pairs(folds, before)) < LEAST_JUDGED:
        raise DataError(
            f"{folds} folds are too few for the search to judge itself"
            + (", with such a gap between them." if config.gap else "."),
            "divide into more: --folds 10.",
        )
    rows = np.bincount(fold, minlength=folds)
    if rows.min() >= LEAST_FOLD_ROWS:
        return
    column = config.key or config.group or config.time
    why = "" if column is None else f" (rows of one value of {column!r} stay in one fold)"
    raise DataError(
        f"fold {int(np.argmin(rows)) + 1} of {folds} has {plural(int(rows.min()), 'training row')}{why}; the search needs {LEAST_FOLD_ROWS} in each.",
        "divide into fewer: --folds 5, or give more rows.",
    )

"""A model of sparse columns: as any other, but for what a million columns ask for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gradline.errors import ContractError
from gradline.inputs.source import ReadOptions
from gradline.inputs.sparse import SparseSource
from gradline.model.model import Model, Predictions
from gradline.representation.sparse import SparseRepresentation
from gradline.types import Notice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradline.inputs.source import Source
    from gradline.inputs.sparse import SparseRows
    from gradline.types import BoolArray, FloatArray

MOST_NAMED = 3  # columns in a notice


@dataclass(frozen=True, repr=False)
class SparseModel(Model):
    """Predicts for SciPy's sparse matrices and for svmlight files."""

    @property
    def _columns(self) -> SparseRepresentation:
        assert isinstance(self.representation, SparseRepresentation)
        return self.representation

    @cached_property
    def coefficients(self) -> dict[str, float]:
        """See `Model`; made once, for there may be many."""
        values = self.coordinates.to_user(self.theta).coefficients
        return dict(zip(self.representation.names, values.tolist(), strict=True))

    def read_options(self, *, keep: tuple[str, ...] = (), **settings: Any) -> ReadOptions:
        """How files must be read to suit the contract."""
        return ReadOptions(label=self.contract.target)

    def predictions(self, source: Source, keep: tuple[str, ...] = (), *, intervals: bool = False) -> Iterator[Predictions]:
        """See `Model`; there are no intervals. Columns that training did not have, or values that it had not, are told."""
        import pyarrow as pa

        if not isinstance(source, SparseSource):
            raise ContractError(
                f"{source.name} is not sparse, and the model was trained on a sparse table.",
                "give a SciPy matrix or a svmlight file.",
            )
        if source.width is not None and source.width != self._columns.width:
            raise ContractError(
                f"{source.name} has {source.width:,} columns; the model was trained on {self._columns.width:,}.",
                "give the same columns in the same order.",
            )
        user = self.coordinates.to_user(self.theta)
        slopes = self._columns.slopes(user.coefficients)
        check = _Check(self, source.name)
        self._last_notices.clear()
        for rows in source.sparse_rows():
            known = check.apply(rows)
            row = np.repeat(np.arange(len(rows)), np.diff(rows.starts))[known]
            effect = slopes[rows.indices[known]] * rows.values[known]
            predicted: FloatArray = np.bincount(row, effect, len(rows)).astype(np.float64) + user.intercept
            table = pa.table({name: source.values_of(rows, name) for name in dict.fromkeys(keep)})
            yield Predictions(table, rows.first_row, predicted)
        self._last_notices.extend(check.notices())


class _Check:
    """Counts where the rows of a source hold what training had not."""

    def __init__(self, model: SparseModel, where: str) -> None:
        columns = model._columns
        self._decisions, self._where = model.contract.decisions, where
        self._width, self._low, self._high = columns.width, columns.minimum, columns.maximum
        self._feature: BoolArray = columns.slopes(np.ones(len(columns.features))) > 0.0
        self._never = ~self._feature & (self._low == self._high)  # varied in training: nothing is known of their effect
        self._zero_outside: BoolArray = self._feature & ((self._low > 0.0) | (self._high < 0.0))
        self._found: dict[str, Counter[int]] = {"unseen": Counter(), "out_of_range": Counter()}
        self._first: dict[str, int] = {}

    def apply(self, rows: SparseRows) -> BoolArray:
        """Which entries are of columns that training had. Raises ContractError where the decision is `error`."""
        known = rows.indices < self._width
        at = np.where(known, rows.indices, 0)
        strange = ~known | (self._never[at] & (rows.values != self._low[at]))
        outside = known & self._feature[at] & ((rows.values < self._low[at]) | (rows.values > self._high[at]))
        row = np.repeat(np.arange(len(rows)), np.diff(rows.starts))
        self._record("unseen", rows.indices[strange], row[strange], rows.first_row)
        self._record("out_of_range", rows.indices[outside], row[outside], rows.first_row)
        if self._zero_outside.any():
            for column in np.flatnonzero(self._zero_outside & (np.bincount(at[known], minlength=self._width) < len(rows))):
                absent = np.setdiff1d(np.arange(len(rows)), row[rows.indices == column])
                self._record("out_of_range", np.full(len(absent), column), absent, rows.first_row)
        return known

    def _record(self, what: str, columns: FloatArray | Any, row: Any, first_row: int) -> None:
        if not len(columns):
            return
        first = first_row + int(row[0])
        if getattr(self._decisions, what) == "error":
            raise ContractError(
                f"column 'x{columns[0]}' of {self._where} breaks the contract ({what}, first at row {first:,}).",
                "mend the data, or train with another decision for this case.",
            )
        self._first.setdefault(what, first)
        values, counts = np.unique(columns, return_counts=True)
        self._found[what].update(dict(zip(values.tolist(), counts.tolist(), strict=True)))

    def notices(self) -> list[Notice]:
        """A notice for each kind of breach, with the columns where it is most frequent."""
        words = {
            "unseen": "have values in columns that never varied in training, and count for nothing",
            "out_of_range": "are outside the training range of their columns: these predictions are extrapolations",
        }
        found = []
        for what, counts in self._found.items():
            if counts:
                most = counts.most_common(MOST_NAMED)
                named = ", ".join(f"x{column} ({count:,})" for column, count in most)
                more = f" and {len(counts) - len(most):,} more columns" if len(counts) > len(most) else ""
                text = f"{counts.total():,} entries (first in row {self._first[what]:,}; {named}{more}) {words[what]}."
                found.append(Notice(f"contract_{what}", f"x{most[0][0]}", text))
        return found

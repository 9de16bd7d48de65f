"""The validation curve over polynomial degree: for d = 1 … D the error of all powers up to d of every number, with the other features.

The error over the folds says where more powers stop to help, that on the rows trained on goes on to fall: the distance between the two is
what is learned of the noise. On a sample of the training rows, that of the representation search; each degree's columns are what its powers add
to those of the degrees below, so that one Gram matrix a fold answers for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradline.errors import UsageError
from gradline.maths.selection import divided, fold_grams, reduced, rmse, standard_error
from gradline.representation.features import Representation
from gradline.training.reading.columns import made_of
from gradline.training.reading.deriving import raised
from gradline.types import Part, finite_or_none

if TYPE_CHECKING:
    from gradline.training.config import TrainConfig
    from gradline.training.search.sampled_design import SampledDesign
    from gradline.training.trainer import Fit
    from gradline.types import FloatArray, Json


@dataclass(frozen=True, slots=True)
class DegreeCurve:
    """terms: (D,) without the intercept.  rmse, standard_error: (D,) the mean over the folds of each fold's RMSE, and of that mean.

    train_rmse: (D,) on all rows of the sample, trained on these.  columns: the numbers that are raised.  rows: of the sample, of `of` training rows.
    simplest: the lowest degree whose errors are above those of the best, fold by fold, by no more than one standard error of the differences.
    """

    rows: int
    of: int
    folds: int
    ordered: bool
    columns: tuple[str, ...]
    terms: tuple[int, ...]
    rmse: FloatArray
    standard_error: FloatArray
    train_rmse: FloatArray
    simplest: int

    @property
    def best(self) -> int:
        """The degree with the smallest error over the folds; of equal ones the lowest."""
        return int(np.argmin(self.rmse)) + 1

    def to_json(self) -> Json:
        """The entry `degree_curve` of the JSON documents."""
        return {
            "rows": self.rows,
            "of": self.of,
            "folds": self.folds,
            "ordered": self.ordered,
            "columns": list(self.columns),
            "degree": list(range(1, len(self.terms) + 1)),
            "terms": list(self.terms),
            "rmse": [finite_or_none(v) for v in self.rmse],
            "rmse_standard_error": [finite_or_none(v) for v in self.standard_error],
            "train_rmse": [finite_or_none(v) for v in self.train_rmse],
            "best": self.best,
            "simplest": self.simplest,
        }


def degree_curve(found: Fit, config: TrainConfig, design: SampledDesign) -> DegreeCurve:
    """The curve up to `config.degree_curve`. Raises UsageError where the model has no number to raise."""
    representation = found.representation
    assert isinstance(representation, Representation)
    derived = made_of(representation)
    features = [f.column for f in representation.features if f.part is Part.VALUE and f.column not in derived]
    kinds = {name: column.kind for name, column in found.contract.columns.items() if name in features}
    columns = raised(config, kinds)
    if not columns:
        raise UsageError("--degree-curve: the model has no number to raise to powers.", "leave it out.")
    basis = design.basis(intercept=config.intercept)
    added: list[FloatArray] = []
    for degree in range(2, config.degree_curve + 1):
        powers = [_power(design.numbers[name], degree, intercept=config.intercept) for name in columns]
        added.append(design.added(powers, np.column_stack([basis, *added])))
    grams = fold_grams(basis, added, design.y * design.root[:, 0], design.weight, design.fold, design.folds, design.before)
    pairs = reduced(grams, divided(range(design.folds), design.before))
    at = [np.zeros(0, dtype=np.intp)]
    for group in grams.groups:
        at.append(np.concatenate([at[-1], group]))
    errors = np.array([rmse(pairs, chosen) for chosen in at])  # (D, K)
    left = grams.grams[:, grams.base :, -1].sum(
        axis=0
    )  # of the orthonormal columns with what is left of y, then of that with itself
    squared = np.array([left[-1] - np.sum(left[chosen] ** 2) for chosen in at])
    base = len(representation.features)
    return DegreeCurve(
        rows=len(design.y),
        of=design.of,
        folds=design.folds,
        ordered=design.before is not None,
        columns=tuple(columns),
        terms=tuple(base + len(chosen) for chosen in at),
        rmse=errors.mean(axis=1),
        standard_error=errors.std(axis=1, ddof=1) / np.sqrt(errors.shape[1]),  # as for the path of penalties
        train_rmse=np.sqrt(np.maximum(squared, 0.0) / design.weight.sum()),
        simplest=_simplest(errors, pairs.share),
    )


def _simplest(errors: FloatArray, share: float) -> int:
    """Of errors (D, K)."""
    above = errors - errors[np.argmin(errors.mean(axis=1))]
    within = [float(each.mean()) <= standard_error(each, share) for each in above]
    return within.index(True) + 1


def _power(values: FloatArray, degree: int, *, intercept: bool) -> FloatArray:
    """What spans, with the powers below it, the power of a number: with an intercept Chebyshev's polynomial on its range, which is well
    conditioned, without one the power itself.
    """
    present = values[~np.isnan(values)]
    if not len(present) or present.min() == present.max():
        return np.zeros_like(values)
    low, high = float(present.min()), float(present.max())
    if not intercept:
        scaled: FloatArray = (values / max(abs(low), abs(high))) ** degree
        return scaled
    u = (values - (low + high) / 2.0) / ((high - low) / 2.0)
    found: FloatArray = np.cos(degree * np.arccos(np.clip(u, -1.0, 1.0)))
    return found

"""Cross-validation from the moments of one read: K folds, every λ, without reading or keeping a row.

Fold by fold, all is learned from the other folds alone: the mean that stands for a missing value, the means and deviations of
standard coordinates, the weights. What a feature is (which columns and levels, which are grouped, in what category a value is)
is decided on all training rows, the fold's own included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.errors import DataError, plural
from gradline.maths.ridge_path import RidgePath, others, penalties, ridge_path
from gradline.types import Notice, Part, RawColumn, finite_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gradline.maths.engine import Engine
    from gradline.maths.moments import Moments
    from gradline.representation.features import Representation
    from gradline.training.config import TrainConfig
    from gradline.types import FloatArray, Json

LEAST_ROWS = 2  # of a fold


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """What the folds say. l2: (n,) the values of λ, descending.  rmse: (n,) the mean over the folds of each fold's RMSE.

    standard_error: (n,) of that mean.  baseline_rmse: of always predicting the mean of the other folds.  best: where in `l2` the
    chosen λ is.  r2: of it, 1 − Σ squared errors/Σ those of the baseline, over all folds; None where the baseline has none.
    """

    folds: int
    l2: FloatArray
    rmse: FloatArray
    standard_error: FloatArray
    baseline_rmse: float
    best: int
    r2: float | None

    @property
    def chosen(self) -> float:
        """The λ with the smallest error; of equal ones the largest."""
        return float(self.l2[self.best])

    @property
    def one_standard_error(self) -> float:
        """The largest λ whose error is within one standard error of the smallest."""
        within = self.rmse <= self.rmse[self.best] + self.standard_error[self.best]
        return float(self.l2[np.argmax(within)])

    def to_json(self) -> Json:
        """The entry `cross_validation` of the JSON documents."""
        return {
            "folds": self.folds,
            "l2": self.l2.tolist(),
            "rmse": [finite_or_none(v) for v in self.rmse],
            "rmse_standard_error": [finite_or_none(v) for v in self.standard_error],
            "chosen": self.chosen,
            "one_standard_error": self.one_standard_error,
            "baseline_rmse": finite_or_none(self.baseline_rmse),
            "r2": finite_or_none(self.r2),
        }

    def doubts(self) -> list[Notice]:
        """A notice where the path ends at the λ that was chosen. 0 is no end: there is no smaller penalty."""
        last = len(self.l2) - 2  # the smallest λ that is not 0
        if last < 1 or self.best not in (0, last):
            return []
        end, beyond = ("largest", "larger") if self.best == 0 else ("smallest", "smaller")
        why = " The features may predict nothing beyond the mean." if self.best == 0 else ""
        text = (
            f"λ = {self.chosen:.3g}, which cross-validation chose, is the {end} of its path: a {beyond} one may be better.{why}"
        )
        return [Notice("l2_at_end", None, text + " Give one to try it: --l2 VALUE --folds K.")]


class _Fold(NamedTuple):
    """path: learned from the other folds.  held_out: the fold's own features, imputed by the others' means."""

    path: RidgePath
    held_out: Moments


class FoldErrors(NamedTuple):
    """l2: (n,) the values of λ, descending.  squared: (K, n) the mean squared error of each fold.  baseline: (K,) that of predicting the
    mean of the other folds.  variance: (K,) of the target in the fold.  weight: (K,) of its rows.
    """

    l2: FloatArray
    squared: FloatArray
    baseline: FloatArray
    variance: FloatArray
    weight: FloatArray


def cross_validate(
    folds: Sequence[Moments],
    representation: Representation,
    features: Callable[[Moments, Moments], Moments],
    config: TrainConfig,
    engine: Engine,
) -> CrossValidation:
    """The errors of the λ that the settings give, or of a whole path and the best λ of it.

    folds: moments of the raw columns.  features: of raw moments and of those of the rows learned from, the moments of the features
    and then the target, missing values imputed by the means of the latter.  Raises DataError for a fold without rows.
    """
    found = fold_errors(folds, representation, features, config, engine)
    rmse = np.sqrt(found.squared)
    mean = rmse.mean(axis=0)
    best = int(np.argmin(mean))
    total = float(found.weight @ found.baseline)
    return CrossValidation(
        folds=len(folds),
        l2=found.l2,
        rmse=mean,
        standard_error=rmse.std(axis=0, ddof=1) / np.sqrt(len(folds)),
        baseline_rmse=float(np.sqrt(found.baseline).mean()),
        best=best,
        r2=1.0 - float(found.weight @ found.squared[:, best]) / total if total > 0.0 else None,
    )


def fold_errors(
    folds: Sequence[Moments],
    representation: Representation,
    features: Callable[[Moments, Moments], Moments],
    config: TrainConfig,
    engine: Engine,
    l2: FloatArray | None = None,
) -> FoldErrors:
    """The errors fold by fold; see `cross_validate`. l2: the values of λ, (n,); as the settings say, where it is None."""
    _check(folds, config)
    folds = [_reduced(fold, representation, config.target) for fold in folds]
    return _errors(zip(others(folds), folds, strict=True), representation, features, config, engine, l2)


def split_errors(
    splits: Sequence[tuple[Moments, Moments]],
    representation: Representation,
    features: Callable[[Moments, Moments], Moments],
    config: TrainConfig,
    engine: Engine,
    l2: FloatArray | None = None,
) -> FoldErrors:
    """The same of any splits: moments of the rows learned from, and of those held out."""
    _check([held_out for _, held_out in splits], config)
    reduced = [tuple(_reduced(part, representation, config.target) for part in split) for split in splits]
    return _errors(((learned, held_out) for learned, held_out in reduced), representation, features, config, engine, l2)


def _errors(
    pairs: Iterable[tuple[Moments, Moments]],
    representation: Representation,
    features: Callable[[Moments, Moments], Moments],
    config: TrainConfig,
    engine: Engine,
    l2: FloatArray | None,
) -> FoldErrors:
    indicators = np.array([feature.part is not Part.VALUE for feature in representation.features])

    def fitted(pair: tuple[Moments, Moments]) -> tuple[_Fold, ...]:
        learned, held_out = pair
        path = ridge_path(features(learned, learned), indicators, config.scaling, intercept=config.intercept)
        return (_Fold(path, features(held_out, learned)),)

    found = engine.map_merge(pairs, fitted, lambda a, b: a + b) or ()
    if l2 is None:
        curvature_max = max(fold.path.curvature_max for fold in found)
        l2 = penalties(curvature_max, config.l2_path) if config.l2 is None else np.array([config.l2])
    weight = np.array([fold.held_out.weight for fold in found])
    return FoldErrors(
        l2,
        squared=np.array([fold.path.squared_errors(fold.held_out, l2) for fold in found]),
        baseline=np.array([fold.path.baseline_squared_error(fold.held_out) for fold in found]),
        variance=np.array([fold.held_out.comoment[-1, -1] for fold in found]) / weight,
        weight=weight,
    )


def _reduced(moments: Moments, representation: Representation, target: str) -> Moments:
    """The moments of the columns that features are made of, levels that share a feature as one, once for all merges. A number that
    is a feature keeps its missing indicator, by which its missing values are imputed anew.
    """
    columns = [RawColumn(f.column, f.part, f.level) for f in representation.features]
    missing = [RawColumn(column, Part.MISSING) for column, part, _ in columns if part is Part.VALUE]
    beside = [*(column for column in missing if column not in columns), RawColumn(target, Part.TARGET)]
    where = moments.index()
    groups = [*representation.groups(moments.columns), *([where[column]] if column in where else [] for column in beside)]
    return moments.aggregated(groups, (*columns, *beside))


def _check(folds: Sequence[Moments], config: TrainConfig) -> None:
    for k, fold in enumerate(folds, 1):
        if fold.rows >= LEAST_ROWS and fold.weight > 0.0:
            continue
        lacks = f"{plural(fold.rows, 'training row')}" + (", all of weight 0" if fold.rows >= LEAST_ROWS else "")
        column = config.key or config.group
        why = "" if column is None else f" (rows of one value of {column!r} stay in one fold)"
        raise DataError(
            f"fold {k} of {len(folds)} has {lacks}{why}; each needs at least {LEAST_ROWS}, with weight.",
            "divide into fewer: --folds K, or give more rows.",
        )

"""Cross-validation from the moments of one read: K folds or rolling origins, every λ, without reading or keeping a row.

Trial by trial, all is learned from the rows learned from alone: the mean that stands for a missing value, the means and deviations of
standard coordinates, the weights. What a feature is (which columns and levels, which are grouped, in what category a value is)
is decided on all training rows, those judged included.

With s² the variance of the RMSEs of the K·R folds of R repeats, n_test/n_train = 1/(K − 1), the standard error of their mean is

    s/√K   as if the folds were independent;   √(1/(KR) + n_test/n_train)·s   since they share the rows learned from

(Nadeau & Bengio, Machine Learning 52, 2003). The first would be s/√(KR) of repeats, which falls to zero though no row is new.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.maths.ridge_path import RidgePath, penalties, ridge_path
from gradline.splits.divisions import RollingOrigins
from gradline.training.validation.nested import Errors, Nested, affordable, nested_folds, nested_origins
from gradline.training.validation.trials import trials
from gradline.types import Notice, Part, RawColumn, finite_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gradline.maths.engine import Engine
    from gradline.maths.moments import Moments
    from gradline.representation.features import Representation
    from gradline.splits.divisions import Division
    from gradline.training.config import TrainConfig
    from gradline.training.validation.trials import Trial
    from gradline.types import FloatArray, Json


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """What the folds say. l2: (n,) the values of λ, descending.  each: (K·R, n) the RMSE of each fold, repeat by repeat.

    rolling: whether the folds are origins in time.  baseline_rmse: of always predicting the mean of the rows learned from.  r2: of the
    chosen λ, 1 − Σ squared errors/Σ those of the baseline, over all folds; None where the baseline has none.  nested: see its
    module; None where λ was given, or the folds are too few or the features too many.
    """

    folds: int
    repeats: int
    rolling: bool
    l2: FloatArray
    each: FloatArray
    baseline_rmse: float
    r2: float | None
    nested: Nested | None = None

    @property
    def rmse(self) -> FloatArray:
        """The mean over the folds, (n,)."""
        mean: FloatArray = self.each.mean(axis=0)
        return mean

    @property
    def best(self) -> int:
        """Where in `l2` the chosen λ is."""
        return int(np.argmin(self.rmse))

    @property
    def standard_error(self) -> FloatArray:
        """Of `rmse`, (n,): that of independent folds of one division, the corrected one of repeats."""
        if self.repeats > 1 and self.corrected is not None:
            return self.corrected
        return self.each.std(axis=0, ddof=1) / np.sqrt(self.folds) if self.folds > 1 else np.full(len(self.l2), np.nan)

    @property
    def corrected(self) -> FloatArray | None:
        """Nadeau & Bengio's, (n,); None for rolling origins, of which it is not known."""
        if self.rolling:
            return None
        factor = 1.0 / (self.folds * self.repeats) + 1.0 / (self.folds - 1)
        return np.asarray(np.sqrt(factor) * self.each.std(axis=0, ddof=1))

    @property
    def between_repeats(self) -> FloatArray | None:
        """How far `rmse` depends on which rows happen to share a fold: the standard error over the repeats' means, (n,)."""
        if self.repeats == 1:
            return None
        means = self.each.reshape(self.repeats, self.folds, -1).mean(axis=1)  # (R, n)
        return np.asarray(means.std(axis=0, ddof=1) / np.sqrt(self.repeats))

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
            "scheme": "rolling_origin" if self.rolling else "folds",
            "repeats": self.repeats,
            "rmse_standard_error_corrected": _finite(self.corrected),
            "rmse_standard_error_between_repeats": _finite(self.between_repeats),
            "fold_rmse": _finite(self.each[:, self.best]),
            "nested": None if self.nested is None else self.nested.to_json(),
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
    """path: learned from the other rows.  judged: moments of the features, imputed by the others' means, by where the rows end."""

    path: RidgePath
    judged: Mapping[int, Moments]
    stop: int


def cross_validate(
    divisions: Sequence[Division],
    parts: Sequence[Sequence[Moments]],
    representation: Representation,
    features: Callable[[Moments, Moments], Moments],
    config: TrainConfig,
    engine: Engine,
) -> CrossValidation:
    """The errors of the λ that the settings give, or of a whole path and the best λ of it.

    parts: moments of the raw columns, for each division.  features: of raw moments and of those of the rows learned from, the moments
    of the features and then the target, missing values imputed by the means of the latter.  Raises DataError for a fold without rows.
    """
    indicators = np.array([feature.part is not Part.VALUE for feature in representation.features])

    def fitted(trial: Trial) -> tuple[_Fold, ...]:
        learned = trial.learned
        path = ridge_path(features(learned, learned), indicators, config.scaling, intercept=config.intercept)
        return (_Fold(path, {stop: features(rows, learned) for stop, rows in trial.judged.items()}, trial.stop),)

    reduced = [[_reduced(part, representation, config.target) for part in each] for each in parts]
    found = [
        engine.map_merge(trials(division, each, config), fitted, lambda a, b: a + b) or ()
        for division, each in zip(divisions, reduced, strict=True)
    ]
    curvature_max = max(fold.path.curvature_max for folds in found for fold in folds)
    l2 = penalties(curvature_max, config.l2_path) if config.l2 is None else np.array([config.l2])
    errors = [_errors(folds, l2) for folds in found]
    squared = np.concatenate([each.squared for each in errors])  # (K·R, n)
    baseline, weight = (np.concatenate([getattr(each, name) for each in errors]) for name in ("baseline", "weight"))
    total = float(weight @ baseline)
    best = int(np.argmin(np.sqrt(squared).mean(axis=0)))
    first, nested = divisions[0], None
    if config.l2 is None and isinstance(first, RollingOrigins):
        nested = nested_origins(first, errors[0], l2)
    elif config.l2 is None and affordable(len(found[0]), len(indicators)):
        nested = nested_folds(reduced[0], errors[0], l2, indicators, features, config, engine)
    return CrossValidation(
        folds=len(found[0]),
        repeats=len(found),
        rolling=isinstance(first, RollingOrigins),
        l2=l2,
        each=np.sqrt(squared),
        baseline_rmse=float(np.sqrt(baseline).mean()),
        r2=1.0 - float(weight @ squared[:, best]) / total if total > 0.0 else None,
        nested=nested,
    )


def _errors(folds: Sequence[_Fold], l2: FloatArray) -> Errors:
    earlier = [{stop: fold.path.squared_errors(rows, l2) for stop, rows in fold.judged.items()} for fold in folds]
    return Errors(
        np.array([each[fold.stop] for each, fold in zip(earlier, folds, strict=True)]),
        np.array([fold.path.baseline_squared_error(fold.judged[fold.stop]) for fold in folds]),
        np.array([fold.judged[fold.stop].weight for fold in folds]),
        earlier,
    )


def _finite(values: FloatArray | None) -> list[float | None] | None:
    return None if values is None else [finite_or_none(v) for v in values]


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

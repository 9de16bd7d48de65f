"""Nested selection: the error of what cross-validation chooses, on rows that had no part in the choice.

The error of the best λ of a path is the smallest of many, and so too good. Here each fold is predicted with the λ that the others
choose among themselves:

    k folds           fold k with the λ of least mean RMSE over j ≠ k, fold j predicted from all but j and k: K(K − 1)/2 further paths,
                      since without j and k is without k and j
    rolling origins   origin k with the λ of least mean RMSE over the origins before it, without the rows in its gap: no further path
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.maths.ridge_path import ridge_path, without_two
from gradline.types import finite_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gradline.maths.engine import Engine
    from gradline.maths.moments import Moments
    from gradline.splits.divisions import RollingOrigins
    from gradline.training.config import TrainConfig
    from gradline.types import BoolArray, FloatArray, IntArray, Json

LEAST_FOLDS = 3  # one to predict, and two to choose by
MOST_FEATURES = 300
MOST_WORK = 45 * MOST_FEATURES**3  # of K(K − 1)/2 eigendecompositions of (p, p): a second


class Nested(NamedTuple):
    """l2: (K',) what was chosen for each fold that was predicted.  rmse: (K',) of each.  baseline_rmse: (K',) of the mean.

    r2: 1 − Σ squared errors/Σ those of the mean, over these folds.
    """

    l2: FloatArray
    rmse: FloatArray
    baseline_rmse: FloatArray
    r2: float | None

    def to_json(self) -> Json:
        """The entry `nested` of `cross_validation`."""
        return {
            "folds": len(self.rmse),
            "l2": self.l2.tolist(),
            "rmse": finite_or_none(self.rmse.mean()),
            "rmse_standard_error": finite_or_none(
                self.rmse.std(ddof=1) / np.sqrt(len(self.rmse)) if len(self.rmse) > 1 else None
            ),
            "baseline_rmse": finite_or_none(self.baseline_rmse.mean()),
            "r2": finite_or_none(self.r2),
        }


class Errors(NamedTuple):
    """Of the K trials of one division. squared: (K, n) mean squared errors for each λ; baseline: (K,) of the mean of the rows learned
    from; weight: (K,) of the rows judged.  earlier: of trial k, the squared errors (n,) on its rows that end before a part.
    """

    squared: FloatArray
    baseline: FloatArray
    weight: FloatArray
    earlier: Sequence[Mapping[int, FloatArray]]


def affordable(folds: int, features: int) -> bool:
    """Whether there are folds enough, and the further paths take no longer than the rest."""
    return folds >= LEAST_FOLDS and features <= MOST_FEATURES and folds * (folds - 1) // 2 * features**3 <= MOST_WORK


def nested_folds(
    folds: Sequence[Moments],
    errors: Errors,
    l2: FloatArray,
    indicators: BoolArray,
    features: Callable[[Moments, Moments], Moments],
    config: TrainConfig,
    engine: Engine,
) -> Nested:
    """See the module. folds: moments of the raw columns."""

    def inner(pair: tuple[int, int, Moments]) -> list[tuple[int, FloatArray]]:
        """For each of two outer folds the errors of the other."""
        first, second, rest = pair
        path = ridge_path(features(rest, rest), indicators, config.scaling, intercept=config.intercept)
        return [
            (outer, path.squared_errors(features(folds[judged], rest), l2))
            for outer, judged in ((first, second), (second, first))
        ]

    found = engine.map_merge(without_two(folds), inner, lambda a, b: a + b) or []
    sums = np.zeros_like(errors.squared)
    for outer, squared in found:
        sums[outer] += np.sqrt(squared)
    return _nested(errors, l2, np.arange(len(folds)), np.argmin(sums, axis=1))


def nested_origins(division: RollingOrigins, errors: Errors, l2: FloatArray) -> Nested | None:
    """See the module. None where no origin has an earlier one to choose by."""
    outer, best = [], []
    for k, origin in enumerate(division.origins):
        before = zip(errors.earlier[:k], division.origins[:k], strict=True)
        ends = [(found, min(each.stop, origin.learned)) for found, each in before]
        inner = [np.sqrt(found[end]) for found, end in ends if end in found]
        if inner:
            outer.append(k)
            best.append(int(np.argmin(np.mean(inner, axis=0))))
    return _nested(errors, l2, np.array(outer), np.array(best)) if outer else None


def _nested(errors: Errors, l2: FloatArray, outer: IntArray, best: IntArray) -> Nested:
    squared, baseline, weight = errors.squared[outer, best], errors.baseline[outer], errors.weight[outer]
    total = float(weight @ baseline)
    r2 = 1.0 - float(weight @ squared) / total if total > 0.0 else None
    return Nested(l2[best], np.sqrt(squared), np.sqrt(baseline), r2)

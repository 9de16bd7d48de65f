"""Every λ on every split, from moments: the rows are read once where the splits divide them into folds, else once a split.

The scores are those of `GridSearchCV` over the λ, without a fit for each.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.model_selection import check_cv

from gradline.maths.quadratic import EPSILON
from gradline.representation.features import Limits, represent
from gradline.sklearn.reads import read_parts
from gradline.sklearn.words import refused
from gradline.splits.given import GivenFolds
from gradline.training.config import MOST_FOLDS
from gradline.training.cross_validation import CrossValidation, fold_errors, split_errors
from gradline.training.trainer import feature_moments
from gradline.types import Notice, Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.inputs.source import Source
    from gradline.maths.engine import Engine
    from gradline.maths.moments import Moments
    from gradline.representation.features import Representation
    from gradline.sklearn.checks import Given
    from gradline.sklearn.tables import Part
    from gradline.training.config import TrainConfig
    from gradline.training.cross_validation import FoldErrors
    from gradline.training.trainer import Read
    from gradline.types import FloatArray, IntArray

    Splits = Sequence[tuple[IntArray, IntArray]]


ROUNDING = 64.0 * EPSILON  # of a squared error from moments, to that of the mean: below it, no λ is better than another


def _root_mean_squared(squared: FloatArray, variance: FloatArray) -> FloatArray:
    return -np.sqrt(squared)


def _mean_squared(squared: FloatArray, variance: FloatArray) -> FloatArray:
    return -squared


def _r2(squared: FloatArray, variance: FloatArray) -> FloatArray:
    """As `sklearn.metrics.r2_score`: of a constant target 1 where it is met, else 0."""
    constant = variance[:, None] == 0.0
    scores: FloatArray = np.where(
        constant, np.where(squared == 0.0, 1.0, 0.0), 1.0 - squared / np.where(constant, 1.0, variance[:, None])
    )
    return scores


SCORES = {  # of mean squared errors (K, n) and of the target's variance in each fold, (K,)
    "neg_root_mean_squared_error": _root_mean_squared,
    "neg_mean_squared_error": _mean_squared,
    "r2": _r2,
}


class Chosen(NamedTuple):
    """l2: the best λ.  score: its mean over the splits.  results: as `GridSearchCV.cv_results_`.  validated: by target, for the models.

    notices: what is doubtful about the choice.
    """

    l2: float
    score: float
    results: dict[str, Any]
    validated: tuple[CrossValidation, ...]
    notices: tuple[Notice, ...]


def splits_of(cv: Any, given: Given, groups: Any) -> Splits:
    """The rows of each split, learned from and held out."""
    rows = given.training.X.shape[0]
    y = np.column_stack([given.training.columns[target] for target in given.targets])
    try:
        chosen = check_cv(cv, y, classifier=False)
    except ValueError as error:
        raise refused(f"cv={cv!r} divides nothing: {error}", "a number of folds, a splitter, or a list of splits.") from error
    splits = list(chosen.split(np.zeros((rows, 1)), y[:, 0] if given.flat else y, groups))
    if not 2 <= len(splits) <= MOST_FOLDS:
        raise refused(f"cv makes {len(splits)} splits.", f"2 to {MOST_FOLDS} of them; GridSearchCV fits any number.")
    return [(np.asarray(learned), np.asarray(held_out)) for learned, held_out in splits]


def folds_of(splits: Splits, rows: int) -> GivenFolds | None:
    """The fold of each row, where every row is held out once and learned from in all other splits."""
    of_row = np.full(rows, len(splits), dtype=np.uint8)
    for k, (learned, held_out) in enumerate(splits):
        whole = len(learned) + len(held_out) == rows and len(np.union1d(learned, held_out)) == rows
        if not whole or (of_row[held_out] != len(splits)).any():
            return None
        of_row[held_out] = k
    return GivenFolds(len(splits), of_row) if (of_row != len(splits)).all() else None


def choose(
    given: Given, configs: Sequence[TrainConfig], splits: Splits, l2: FloatArray | None, scoring: str, engine: Engine
) -> tuple[Source, Read, Chosen | None]:
    """The read of all rows, and the λ with the best mean score, the largest of equal ones; None where no column varies.

    l2: the values to try, (n,); None: a path from 100 times the largest curvature down to nothing.
    """
    folds = folds_of(splits, given.training.X.shape[0])
    source, read = read_parts(given, configs, engine, folds)
    found = read.survey
    training = found.moments[Role.TRAINING]
    limits = Limits.of(training.rows, None, 2)
    representation, _ = represent(training, found.summaries, limits, frozenset(given.names))
    if not representation.features:
        return source, read, None
    tried = None if l2 is None else np.sort(l2)[::-1]
    if folds is None:
        pairs = [
            (_moments(given, learned, configs, engine), _moments(given, held_out, configs, engine))
            for learned, held_out in splits
        ]
        errors = [split_errors(pairs, representation, _features(representation, c), c, engine, tried) for c in configs]
    else:
        errors = [fold_errors(found.folds, representation, _features(representation, c), c, engine, tried) for c in configs]
    read = read._replace(survey=_whole(found))
    return source, read, _chosen(errors, l2, scoring)


def _features(representation: Representation, config: TrainConfig) -> Any:
    return partial(feature_moments, representation=representation, target=config.target)


def _whole(found: Any) -> Any:
    """The survey without its folds, which have been asked."""
    from dataclasses import replace

    return replace(found, fold_tallies=())


def _moments(given: Given, rows: IntArray, configs: Sequence[TrainConfig], engine: Engine) -> Moments:
    """Of some of the rows, by a read of them."""
    part: Part = given.training
    own = part._replace(X=part.X[rows], columns={name: values[rows] for name, values in part.columns.items()})
    return read_parts(given._replace(training=own, validation=None), configs, engine)[1].survey.moments[Role.TRAINING]


def _chosen(errors: Sequence[FoldErrors], asked: FloatArray | None, scoring: str) -> Chosen:
    score = SCORES[scoring]
    scores = np.mean([score(each.squared, each.variance) for each in errors], axis=0)  # (K, n), of λ descending
    mean = scores.mean(axis=0)
    told = [np.maximum(each.squared, ROUNDING * each.baseline[:, None]) for each in errors]
    apart = np.mean([score(squared, each.variance) for squared, each in zip(told, errors, strict=True)], axis=0).mean(axis=0)
    best = int(np.argmax(apart))
    tried = errors[0].l2
    order = np.arange(len(tried)) if asked is None else np.argsort(-asked, kind="stable").argsort(kind="stable")
    shown = scores[:, order]
    results: dict[str, Any] = {"param_l2": tried[order], "params": [{"l2": float(value)} for value in tried[order]]}
    results |= {f"split{k}_test_score": row for k, row in enumerate(shown)}
    results |= {"mean_test_score": shown.mean(axis=0), "std_test_score": shown.std(axis=0)}
    results["rank_test_score"] = 1 + np.sum(results["mean_test_score"][None, :] > results["mean_test_score"][:, None], axis=1)
    validated = tuple(_validated(each, best) for each in errors)
    notices = validated[0].doubts() if asked is None else _at_end(tried, best)
    return Chosen(float(tried[best]), float(mean[best]), results, validated, tuple(notices))


def _validated(errors: FoldErrors, best: int) -> CrossValidation:
    rmse = np.sqrt(errors.squared)
    total = float(errors.weight @ errors.baseline)
    return CrossValidation(
        folds=len(errors.weight),
        l2=errors.l2,
        rmse=rmse.mean(axis=0),
        standard_error=rmse.std(axis=0, ddof=1) / np.sqrt(len(errors.weight)),
        baseline_rmse=float(np.sqrt(errors.baseline).mean()),
        best=best,
        r2=1.0 - float(errors.weight @ errors.squared[:, best]) / total if total > 0.0 else None,
    )


def _at_end(tried: FloatArray, best: int) -> list[Notice]:
    """A word where the best of the values that were given is the first or the last of them; beyond 0 there is none."""
    if len(tried) < 2 or tried[best] == 0.0 or best not in (0, len(tried) - 1):
        return []
    end, beyond = ("largest", "larger") if best == 0 else ("smallest", "smaller")
    text = f"l2 = {tried[best]:.3g}, which cross-validation chose, is the {end} of l2s: a {beyond} one may be better. Give {beyond} ones."
    return [Notice("l2_at_end", None, text)]

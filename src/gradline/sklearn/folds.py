"""Every λ on every split, from moments: the rows are read once where the splits divide them into folds, else once a split.

The scores are those of `GridSearchCV` over the λ, without a fit for each.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.model_selection import check_cv

from gradline.maths.quadratic import EPSILON
from gradline.maths.ridge_path import others, penalties, ridge_path
from gradline.representation.features import Limits, represent
from gradline.sklearn.reads import read_parts
from gradline.sklearn.words import refused
from gradline.splits.given import GivenFolds
from gradline.training.checks import MOST_FOLDS
from gradline.training.optimality.wide import MOST_FEATURES
from gradline.training.trainer import feature_moments
from gradline.training.validation.cross_validation import CrossValidation
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
    from gradline.training.trainer import Read
    from gradline.types import FloatArray, IntArray, Json

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


class FoldErrors(NamedTuple):
    """Of one target. l2: (n,) the values of λ, descending.  squared: (K, n) the mean squared error of each fold.  baseline: (K,) that of
    the mean of the rows learned from.  variance: (K,) of the target in the fold.  weight: (K,) of its rows.
    """

    l2: FloatArray
    squared: FloatArray
    baseline: FloatArray
    variance: FloatArray
    weight: FloatArray


class Chosen(NamedTuple):
    """l2: the best λ.  score: its mean over the splits.  results: as `GridSearchCV.cv_results_`.  documents: `cross_validation` of each
    target's model.  notices: what is doubtful about the choice.
    """

    l2: float
    score: float
    results: dict[str, Any]
    documents: tuple[Json, ...]
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
    return [(_positions(learned), _positions(held_out)) for learned, held_out in splits]


def _positions(rows: Any) -> IntArray:
    """Of rows given by number, or by whether they are meant."""
    given = np.asarray(rows)
    return np.flatnonzero(given) if given.dtype == np.bool_ else given.astype(np.intp)


def folds_of(splits: Splits, rows: int) -> GivenFolds | None:
    """The fold of each row, where every row is held out once and learned from in all other splits."""
    of_row = np.full(rows, len(splits), dtype=np.uint8)
    for k, (learned, held_out) in enumerate(splits):
        seen = np.zeros(rows, dtype=np.bool_)
        seen[learned] = seen[held_out] = True
        whole = len(learned) + len(held_out) == rows and seen.all()
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
    if len(given.names) > MOST_FEATURES:
        raise refused(
            f"cross-validation is from moments, and {len(given.names):,} columns have none.",
            "GridSearchCV(LinearRegressor(), {'l2': l2s}) fits each.",
        )
    folds = folds_of(splits, given.training.X.shape[0])
    source, read = read_parts(given, configs, engine, folds)
    found = read.survey
    training = found.moments[Role.TRAINING]
    representation, _ = represent(training, found.summaries, Limits.of(training.rows, None, 2), frozenset(given.names))
    if not representation.features:
        return source, read, None
    trials = [*zip(others(found.parts[0]), found.parts[0], strict=True)] if folds is not None else None
    if trials is None:
        trials = [tuple(_moments(given, rows, configs, engine) for rows in split) for split in splits]  # type: ignore[misc]
    tried = None if l2 is None else np.sort(l2)[::-1]
    errors = [_errors(trials, representation, config, tried) for config in configs]
    read = read._replace(survey=replace(found, part_tallies=()))
    return source, read, _chosen(errors, l2, scoring)


def _errors(
    trials: Sequence[tuple[Moments, Moments]], representation: Representation, config: TrainConfig, l2: FloatArray | None
) -> FoldErrors:
    """Of one target. trials: moments of the rows learned from and of those held out."""
    for k, (learned, held_out) in enumerate(trials):
        if min(learned.weight, held_out.weight) == 0.0 or min(learned.rows, held_out.rows) < 1:
            raise refused(f"split {k} has no row with weight to learn from, or to be judged on.", "divide the rows otherwise.")
    features = partial(feature_moments, representation=representation, target=config.target)
    numbers = np.zeros(len(representation.features), dtype=np.bool_)  # none is an indicator
    paths = [ridge_path(features(a, a), numbers, config.scaling, intercept=config.intercept) for a, _ in trials]
    judged = [features(b, a) for a, b in trials]
    tried = penalties(max(path.curvature_max for path in paths), config.l2_path) if l2 is None else l2
    weight = np.array([rows.weight for rows in judged])
    return FoldErrors(
        tried,
        squared=np.array([path.squared_errors(rows, tried) for path, rows in zip(paths, judged, strict=True)]),
        baseline=np.array([path.baseline_squared_error(rows) for path, rows in zip(paths, judged, strict=True)]),
        variance=np.array([rows.comoment[-1, -1] for rows in judged]) / weight,
        weight=weight,
    )


def _moments(given: Given, rows: IntArray, configs: Sequence[TrainConfig], engine: Engine) -> Moments:
    """Of some of the rows, by a read of them."""
    part: Part = given.training
    own = part._replace(X=part.X[rows], columns={name: values[rows] for name, values in part.columns.items()})
    return read_parts(given._replace(training=own), configs, engine)[1].survey.moments[Role.TRAINING]


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
    notices = validated[0][0].doubts() if asked is None else _at_end(tried, best)
    documents = tuple(document for _, document in validated)
    return Chosen(float(tried[best]), float(mean[best]), results, documents, tuple(notices))


def _validated(errors: FoldErrors, best: int) -> tuple[CrossValidation, Json]:
    """As gradline tells it, and the document with the λ that the score chose."""
    total = float(errors.weight @ errors.baseline)
    found = CrossValidation(
        folds=len(errors.weight),
        repeats=1,
        rolling=False,
        l2=errors.l2,
        each=np.sqrt(errors.squared),
        baseline_rmse=float(np.sqrt(errors.baseline).mean()),
        r2=1.0 - float(errors.weight @ errors.squared[:, best]) / total if total > 0.0 else None,
    )
    chosen = {"chosen": float(errors.l2[best]), "fold_rmse": found.each[:, best].tolist()}
    return found, found.to_json() | chosen


def _at_end(tried: FloatArray, best: int) -> list[Notice]:
    """A word where the best of the values that were given is the first or the last of them; beyond 0 there is none."""
    if len(tried) < 2 or tried[best] == 0.0 or best not in (0, len(tried) - 1):
        return []
    end, beyond = ("largest", "larger") if best == 0 else ("smallest", "smaller")
    text = f"l2 = {tried[best]:.3g}, which cross-validation chose, is the {end} of l2s: a {beyond} one may be better. Give {beyond} ones."
    return [Notice("l2_at_end", None, text)]

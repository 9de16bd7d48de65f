"""`LinearRegressorCV`: λ by cross-validation, from the moments of one read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_array
from threadpoolctl import threadpool_limits

from gradline.engines.threads import ThreadEngine
from gradline.errors import did_you_mean
from gradline.sklearn.base import GradlineRegressor
from gradline.sklearn.callbacks import FitCallbacks, with_callbacks
from gradline.sklearn.checks import given as checked
from gradline.sklearn.fits import configs_of, trained
from gradline.sklearn.folds import SCORES, choose, splits_of
from gradline.sklearn.reads import of_target
from gradline.sklearn.words import estimator_errors, refused

if TYPE_CHECKING:
    from typing import Self

    from gradline.sklearn.checks import Given
    from gradline.sklearn.fits import Trained
    from gradline.sklearn.folds import Chosen
    from gradline.types import FloatArray, Json


class LinearRegressorCV(GradlineRegressor):
    """`LinearRegressor` with squared error, whose λ is the best of several by cross-validation: one read, and no fit but the last.

    It chooses as ``GridSearchCV(LinearRegressor(), {"l2": l2s}, cv=cv, scoring=scoring)`` does. What is learned of a fold's columns
    (means, deviations, weights) is learned from the other folds. Of several targets there is one λ, by the mean of their scores.

    Parameters
    ----------
    l2s : the values of λ; None: a path of 100 from 100 times the largest curvature down to 1e-10 of it, and 0.
    cv : folds (a number), a splitter, or an iterable of splits. Rows are not shuffled, as everywhere in scikit-learn.
    scoring : "neg_root_mean_squared_error", "neg_mean_squared_error" or "r2"; weights count in it.
    fit_intercept, scaling, optimizer, learning_rate, schedule, stop, tolerance, patience, max_steps, max_seconds, errors, interval, coverage,
    random_state, threads : as in `LinearRegressor`.

    Attributes
    ----------
    l2_ : the chosen λ.  best_score_ : its mean score.  cv_results_ : as ``GridSearchCV.cv_results_``.  n_splits_ : how many.
    The others : as in `LinearRegressor`.

    Examples
    --------
    >>> import numpy as np
    >>> from gradline.sklearn import LinearRegressorCV
    >>> X = np.random.default_rng(0).normal(size=(60, 30))
    >>> y = X[:, 0] + np.random.default_rng(1).normal(size=60)
    >>> LinearRegressorCV(l2s=[0.01, 0.1, 1.0, 10.0]).fit(X, y).l2_
    1.0
    """

    def __init__(
        self,
        *,
        l2s: Any = None,
        cv: Any = 5,
        scoring: str = "neg_root_mean_squared_error",
        fit_intercept: bool = True,
        scaling: str = "standard",
        optimizer: str = "auto",
        learning_rate: float | str = "auto",
        schedule: str = "constant",
        stop: Any = "certificate",
        tolerance: float = 1e-9,
        patience: int = 5,
        max_steps: int | None = None,
        max_seconds: float | None = None,
        on_divergence: str = "stop",
        force: bool = False,
        errors: str = "classical",
        interval: str = "none",
        coverage: float = 0.9,
        random_state: Any = 0,
        threads: int | None = None,
    ) -> None:
        self.l2s = l2s
        self.cv = cv
        self.scoring = scoring
        self.fit_intercept = fit_intercept
        self.scaling = scaling
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.stop = stop
        self.tolerance = tolerance
        self.patience = patience
        self.max_steps = max_steps
        self.max_seconds = max_seconds
        self.on_divergence = on_divergence
        self.force = force
        self.errors = errors
        self.interval = interval
        self.coverage = coverage
        self.random_state = random_state
        self.threads = threads

    @with_callbacks
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, groups: Any = None) -> Self:
        """Choose λ on the splits of these rows, and train on all of them. groups: (m,) for a splitter that keeps groups together.

        Raises EstimatorError (a ValueError).  Warns GradlineWarning for each doubt.
        """
        with estimator_errors():
            settings, tried = self._settings(), self._tried()
            configs_of(settings, None)
            given = checked(self, X, y, sample_weight)
            callbacks = FitCallbacks(self, given, X, y, {"sample_weight": sample_weight})
            configs = configs_of(settings | {"l2": "auto"}, given)
            splits = splits_of(self.cv, given, groups)
            engine = ThreadEngine(configs[0].threads)
            with threadpool_limits(limits=1):  # see `gradline.api.run`
                source, read, chosen = choose(given, configs, splits, tried, self.scoring, engine)
                l2 = 0.0 if chosen is None else chosen.l2
                found = []
                for i, config in enumerate(configs):
                    target = of_target(source, read, given, config.target)
                    progress = callbacks.progress(config.target, given.names)
                    one = trained(target, config.with_penalty(l2), None, progress)
                    found.append(one if chosen is None else _validated(one, chosen.documents[i], chosen if i == 0 else None))
        self._finish(found, given, l2, chosen, len(splits))
        callbacks.finish()
        return self

    def _finish(self, found: list[Trained], given: Given, l2: float, chosen: Chosen | None, splits: int) -> None:
        self.l2_, self.n_splits_ = l2, splits
        self.best_score_ = np.nan if chosen is None else chosen.score
        self.cv_results_: dict[str, Any] = {} if chosen is None else chosen.results
        self._keep(found, given)
        self._tell(found, given.targets, penalised=l2 > 0.0, stacklevel=4)

    def _tried(self) -> FloatArray | None:
        if self.scoring not in SCORES:
            raise refused(
                f"scoring={self.scoring!r} is not known.", f"{did_you_mean(str(self.scoring), SCORES)} GridSearchCV takes any."
            )
        if self.l2s is None:
            return None
        tried: FloatArray = check_array(self.l2s, ensure_2d=False, dtype=np.float64, input_name="l2s")
        if tried.ndim != 1 or (tried < 0.0).any():
            raise refused(f"l2s={self.l2s!r} is not a list of penalties.", "give numbers from 0.")
        return tried

    def _settings(self) -> dict[str, Any]:
        """The parameters by the names of gradline's settings."""
        values: dict[str, Any] = self.get_params(deep=False)
        values["intercept"] = values.pop("fit_intercept")
        values["seed"] = self._seed()
        for name in ("l2s", "cv", "scoring", "random_state"):
            del values[name]
        return values


def _validated(found: Trained, document: Json, chosen: Chosen | None) -> Trained:
    """The fit, whose model tells of the cross-validation too. chosen: whose doubts are told with it."""
    notices = (*(() if chosen is None else chosen.notices), *found.notices)
    if found.model is None:
        return found._replace(notices=notices)
    result = found.model.result | {
        "cross_validation": document,
        "warnings": [notice.to_json() for notice in notices],
    }
    return found._replace(notices=notices, model=replace(found.model, result=result, notices=notices))

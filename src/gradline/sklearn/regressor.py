"""`LinearRegressor`: linear regression by gradient descent, with its certificate, as a scikit-learn estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.metaestimators import available_if
from threadpoolctl import threadpool_limits

from gradline.engines.threads import ThreadEngine
from gradline.sklearn.base import GradlineRegressor
from gradline.sklearn.callbacks import FitCallbacks, with_callbacks
from gradline.sklearn.checks import given as checked
from gradline.sklearn.fits import beginning, configs_of, trained
from gradline.sklearn.reads import kept_as_rows, of_target, read_matrix, read_more, read_parts
from gradline.sklearn.words import estimator_errors, refused

if TYPE_CHECKING:
    from typing import Self

    from gradline.maths.engine import Engine
    from gradline.model.model import Model
    from gradline.sklearn.checks import Given
    from gradline.sklearn.fits import Trained
    from gradline.sklearn.reads import TargetRead
    from gradline.training.config import TrainConfig
    from gradline.training.prepared import Beginning
    from gradline.training.survey import Survey


def _adds_up(regressor: LinearRegressor) -> bool:
    """Whether a fit needs the moments of its rows alone; else there is no `partial_fit`."""
    wrong = [
        f"{name}={getattr(regressor, name)!r}"
        for name, fits in (
            ("loss", ("squared",)),
            ("oracle", ("auto", "moments")),
            ("errors", ("classical",)),
            ("interval", ("none",)),
        )
        if getattr(regressor, name) not in fits
    ]
    if wrong:
        raise refused(f"partial_fit adds up moments and keeps no rows, which {wrong[0]} needs.", "fit on all rows at once.")
    return True


class LinearRegressor(GradlineRegressor):
    """Linear regression trained by gradient descent, which proves how far it is from the global minimum.

        J(w, b) = (1/2m) Σ (w·x_i + b − y_i)² + (λ/2)‖w‖² + λ₁‖w‖₁        (with weights: Σ s_i(…)²/(2 Σ s_i); b is never penalised)

    The parameters are `gradline.train`'s, by its names. λ penalises the loop's coordinates: columns over their deviations with
    ``scaling="standard"``. ``Ridge(alpha)`` is ``LinearRegressor(l2=alpha / m, scaling="none")``.

    Parameters
    ----------
    loss : "squared", "huber" (linear beyond ``huber_delta``; None: 1.345 robust deviations of the residuals) or "pinball" (``quantile``).
    l2, l1 : λ and λ₁. ``LinearRegressorCV`` chooses λ.
    fit_intercept : whether there is a b.
    scaling : "standard" or "none": the coordinates of the loop, of α and of the penalty.
    oracle : "auto" (moments: one read of the rows), "moments", "streamed" or "minibatch" (``batch_size`` rows a step, by ``sampling``).
    optimizer : "auto", or the name of an update rule.
    learning_rate : α, or "auto". It is not scikit-learn's ``alpha``.
    schedule : "constant", "inverse_time", "cosine" or "backtracking".
    stop : "certificate" (at the minimum), "gap", "improvement", "gradient" or "validation" (needs ``X_val``), or a list of them; with
        ``tolerance`` and ``patience``.
    max_steps, max_epochs, max_seconds : budgets.
    on_divergence, force : what becomes of an unstable α.
    errors : of the coefficients, in ``model_.result["inference"]``: "classical", or robust ("HC0" … "HC3").
    interval, coverage : how prediction intervals are made, and what share of new rows they are to hold: "none", "jackknife+" (of the
        training rows), "conformal" or "quantile" (of ``X_val``), "auto" (conformal, if that can be).
    random_state : int, RandomState or None: of the order of mini-batches; all else is free of chance.
    warm_start : whether `fit` begins where the last one ended.
    threads : workers; None: one a core.

    Attributes
    ----------
    coef_ : (p,), or (t, p) of several targets.  intercept_ : a number, or (t,).
    n_iter_ : steps of the loop.  n_features_in_, feature_names_in_ : as everywhere.
    certificate_ : the proof: objective, minimum, gap, condition, trusted digits.
    history_ : the steps, a dict each.  warnings_ : the doubts.  model_, models_ : gradline's models.

    Examples
    --------
    >>> import numpy as np
    >>> from gradline.sklearn import LinearRegressor
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> y = X @ [3.0, -1.0] + 2.0 + np.random.default_rng(1).normal(size=200)
    >>> regressor = LinearRegressor().fit(X, y)
    >>> regressor.coef_.round(1), round(float(regressor.intercept_), 1)
    (array([ 2.9, -1. ]), 1.9)
    >>> regressor.certificate_.relative_gap < 1e-12
    True
    """

    def __init__(
        self,
        *,
        loss: str = "squared",
        huber_delta: float | None = None,
        quantile: float = 0.5,
        l2: float = 0.0,
        l1: float = 0.0,
        fit_intercept: bool = True,
        scaling: str = "standard",
        oracle: str = "auto",
        batch_size: int = 256,
        sampling: str = "shuffled",
        optimizer: str = "auto",
        learning_rate: float | str = "auto",
        schedule: str = "constant",
        stop: Any = "certificate",
        tolerance: float = 1e-9,
        patience: int = 5,
        max_steps: int | None = None,
        max_epochs: int | None = None,
        max_seconds: float | None = None,
        on_divergence: str = "stop",
        force: bool = False,
        errors: str = "classical",
        interval: str = "none",
        coverage: float = 0.9,
        random_state: Any = 0,
        warm_start: bool = False,
        threads: int | None = None,
    ) -> None:
        self.loss = loss
        self.huber_delta = huber_delta
        self.quantile = quantile
        self.l2 = l2
        self.l1 = l1
        self.fit_intercept = fit_intercept
        self.scaling = scaling
        self.oracle = oracle
        self.batch_size = batch_size
        self.sampling = sampling
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.stop = stop
        self.tolerance = tolerance
        self.patience = patience
        self.max_steps = max_steps
        self.max_epochs = max_epochs
        self.max_seconds = max_seconds
        self.on_divergence = on_divergence
        self.force = force
        self.errors = errors
        self.interval = interval
        self.coverage = coverage
        self.random_state = random_state
        self.warm_start = warm_start
        self.threads = threads

    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train on X (m, p), dense, sparse or a frame of numbers, and y (m,) or (m, t).

        sample_weight: (m,); a weight of 2 is a row twice.  X_val, y_val, sample_weight_val: rows for the loss of each step, by which
        ``stop="validation"`` stops.

        Raises EstimatorError (a ValueError).  Warns GradlineWarning for each doubt, as ConvergenceWarning too where the run did not
        converge.
        """
        with estimator_errors():
            settings = self._settings()
            configs_of(settings, None)
            before = self._last() if self.warm_start else None
            given = checked(self, X, y, sample_weight, X_val, y_val, sample_weight_val)
            callbacks = FitCallbacks(self, given, X, y, {"sample_weight": sample_weight})
            configs = configs_of(settings, given)
            engine = ThreadEngine(configs[0].threads)
            with threadpool_limits(limits=1):  # see `gradline.api.run`
                found, survey = self._fitted(given, settings, configs, engine, before, callbacks)
        self._finish(found, given, survey, stacklevel=3)
        callbacks.finish()
        return self

    def _fitted(
        self,
        given: Given,
        settings: dict[str, Any],
        configs: list[TrainConfig],
        engine: Engine,
        before: _Last | None,
        callbacks: FitCallbacks,
    ) -> tuple[list[Trained], Survey | None]:
        """The targets' fits, and the moments from which `partial_fit` can go on, if there are any."""
        if kept_as_rows(given, configs[0]):
            configs = configs_of(settings, given, as_rows=True)
            reads = (read_matrix(given, c) for c in configs)
            kept = [
                trained(read, config, self._begin(before, read, i), callbacks.progress(config.target, read.names))
                for i, (read, config) in enumerate(zip(reads, configs, strict=True))
            ]
            return kept, None
        source, read = read_parts(given, configs, engine)
        found = []
        for i, config in enumerate(configs):
            target = of_target(source, read, given, config.target)
            progress = callbacks.progress(config.target, target.names)
            found.append(trained(target, config, self._begin(before, target, i), progress))
        return found, read.survey if read.columns is None and given.validation is None else None

    @available_if(_adds_up)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on these rows and all that came before, in `fit` and `partial_fit`: their moments add up, and no row is kept.

        In whatever pieces the rows come, the result is that of one fit of all, to 1e-12; where the pieces are whole blocks, to the bits.
        """
        with estimator_errors():
            settings = self._settings()
            configs_of(settings, None)
            first = not hasattr(self, "coef_")
            before = None if first else self._earlier()
            given = checked(self, X, y, sample_weight, reset=first)
            if not first and list(given.targets) != list(self._trained):
                if len(given.targets) != len(self._trained):
                    raise refused(
                        f"y has {len(given.targets)} targets, and earlier rows had {len(self._trained)}.", "the same ones."
                    )
                renamed = dict(zip(given.targets, self._trained, strict=True))
                columns = {renamed.get(name, name): values for name, values in given.training.columns.items()}
                given = given._replace(targets=tuple(self._trained), training=given.training._replace(columns=columns))
            configs = configs_of(settings, given)
            last = self._last() if self.warm_start else None
            engine = ThreadEngine(configs[0].threads)
            with threadpool_limits(limits=1):
                source, read, given = read_more(before, given, configs, engine)
                configs = configs_of(settings, given)
                targets = [of_target(source, read, given, config.target) for config in configs]
                found = [trained(t, c, self._begin(last, t, i)) for i, (t, c) in enumerate(zip(targets, configs, strict=True))]
        self._finish(found, given, read.survey, stacklevel=2)
        return self

    def _earlier(self) -> Survey:
        survey: Survey | None = getattr(self, "_survey", None)
        if survey is None:
            raise refused(
                "the earlier rows are not there as moments: they were a wide or sparse table, had validation rows beside, or the "
                "estimator was made of a model.",
                "begin with partial_fit, or fit on all rows at once.",
            )
        return survey

    def _last(self) -> _Last | None:
        """Where the last fit ended, for a warm start."""
        if not hasattr(self, "coef_"):
            return None
        coefficients = np.asarray(self.coef_, dtype=np.float64)
        return _Last(np.atleast_2d(coefficients), np.atleast_1d(np.asarray(self.intercept_, dtype=np.float64)))

    @staticmethod
    def _begin(last: _Last | None, read: TargetRead, target: int) -> Beginning | None:
        if last is None:
            return None
        if last.coefficients.shape[1] != len(read.names) or target >= len(last.coefficients):
            raise refused(
                f"warm_start: the last fit had {last.coefficients.shape[1]} columns and {len(last.coefficients)} targets, which these rows do not.",
                "warm_start=False, or fit on such rows again.",
            )
        return beginning(read.names, last.coefficients[target], float(last.intercepts[target]))

    def _finish(self, found: list[Trained], given: Given, survey: Survey | None, *, stacklevel: int) -> None:
        self._survey = survey
        self._keep(found, given)
        penalised = self.l2 > 0.0 or self.l1 > 0.0
        self._tell(found, given.targets, penalised=penalised, stacklevel=stacklevel + 1)

    def _settings(self) -> dict[str, Any]:
        """The parameters by the names of gradline's settings."""
        if isinstance(self.l2, str) or self.l2 is None:
            raise refused(f"l2={self.l2!r} is not a penalty.", "give a number from 0; LinearRegressorCV chooses one.")
        values: dict[str, Any] = self.get_params(deep=False)
        values["intercept"] = values.pop("fit_intercept")
        values["seed"] = self._seed()
        del values["random_state"], values["warm_start"]
        return values

    @classmethod
    def from_model(cls, model: Model) -> Self:
        """An estimator that predicts as one of gradline's models does: of `gradline.load`, of `gradline.train`, of `model_`.

        Raises EstimatorError for a model with features that are not a column each (categories, dates, missing values), or of log(target).
        """
        from gradline.sklearn.models import from_model

        with estimator_errors():
            return from_model(cls, model)


class _Last:
    """Where a fit ended. coefficients: (t, p).  intercepts: (t,)."""

    def __init__(self, coefficients: Any, intercepts: Any) -> None:
        self.coefficients, self.intercepts = coefficients, intercepts

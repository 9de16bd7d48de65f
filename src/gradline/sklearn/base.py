"""What both estimators have: predictions, the attributes of a fit, tags, and the way to and from a gradline model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.validation import check_is_fitted

from gradline.arrays import as_arrow
from gradline.model.model import PredictedIntervals
from gradline.sklearn.callbacks import CallbackSupportMixin
from gradline.sklearn.checks import feature_names, predicted_from
from gradline.sklearn.words import estimator_errors, refused, tell
from gradline.training.stopping import StopReason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gradline.maths.certificate import Certificate
    from gradline.model.model import Model
    from gradline.sklearn.checks import Given
    from gradline.sklearn.fits import Trained
    from gradline.types import Json, Notice

SEEDS = 2**31 - 1
PENALISED = frozenset({"few_rows"})  # doubts whose remedy is a penalty


class GradlineRegressor(CallbackSupportMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):
    """The attributes that a fit leaves; the parameters and `fit` are the estimators' own."""

    def predict(self, X: Any, return_interval: bool = False) -> Any:
        """X·coef_ + intercept_, (n,) or (n, t).

        return_interval: also the ends of the prediction intervals that ``interval`` asked for, as `(prediction, low, high)`, (n,) each.
        """
        check_is_fitted(self, "coef_")
        with estimator_errors():
            X = predicted_from(self, X)
            if return_interval:
                return self._intervals(X)
        return self._line(X)

    def _line(self, X: Any) -> Any:
        return safe_sparse_dot(X, self.coef_.T, dense_output=True) + self.intercept_

    def _intervals(self, X: Any) -> PredictedIntervals:
        if len(self._trained) > 1:
            raise refused("return_interval is for one target, and here are several.", "a fit for each target.")
        if any(each.model is None or each.model.intervals is None for each in self._fits()):
            raise refused(
                "this fit has no prediction intervals.",
                'interval="jackknife+" makes them of the training rows, "conformal" of X_val and y_val.',
            )
        import pyarrow as pa

        columns = (X if isinstance(X, np.ndarray) else X.toarray()).astype(np.float64).T
        table = pa.table(dict(zip(feature_names(self), map(as_arrow, columns), strict=True)))
        found = self.model_.predict(table, return_interval=True)
        low, high = (end.astype(self.coef_.dtype) for end in (found.low, found.high))
        return PredictedIntervals(self._line(X), low, high)

    def _keep(self, found: Sequence[Trained], given: Given) -> None:
        """The attributes of a fit, in the width of X."""
        dtype = given.training.X.dtype
        coefficients = np.array([each.coefficients for each in found]).astype(dtype)  # (t, p)
        intercepts = np.array([each.intercept for each in found]).astype(dtype)  # (t,)
        steps = [each.steps for each in found]
        self.coef_ = coefficients[0] if given.flat else coefficients
        self.intercept_ = intercepts[0] if given.flat else intercepts
        self.n_iter_ = steps[0] if len(steps) == 1 else steps
        self._trained = dict(zip(given.targets, found, strict=True))

    def _tell(self, found: Sequence[Trained], targets: Sequence[str], *, penalised: bool, stacklevel: int) -> None:
        """A Python warning for each doubt, with the targets that it is about if these are not all.

        None that a penalty has settled, nor that a run was ended by a callback.
        """
        told: dict[Notice, list[str]] = {}
        for target, each in zip(targets, found, strict=True):
            asked = each.model is not None and each.model.stop_reason is StopReason.MONITOR
            quiet = (PENALISED if penalised else frozenset()) | ({"not_converged"} if asked else frozenset())
            for notice in each.notices:
                if notice.code not in quiet:
                    told.setdefault(notice, []).append(target)
        about = [(None if len(names) == len(targets) else ", ".join(names), notice) for notice, names in told.items()]
        tell(about, stacklevel=stacklevel + 1)

    def _seed(self) -> int:
        """random_state as gradline's seed."""
        state = self.random_state
        return int(state) if isinstance(state, int | np.integer) else int(check_random_state(state).randint(SEEDS))

    def _one_or_all(self, values: list[Any]) -> Any:
        return values[0] if len(values) == 1 else values

    @property
    def certificate_(self) -> Certificate | list[Certificate]:
        """How far the fit is from the global minimum: gradline's certificate; of several targets, a list of theirs."""
        certificate: Certificate | list[Certificate] = self._one_or_all([each.certificate for each in self._fits()])
        return certificate

    @property
    def history_(self) -> list[Json] | list[list[Json]]:
        """The steps, a dict each (`pandas.DataFrame(regressor.history_)`); of several targets, a list of theirs."""
        steps = [[] if each.model is None else each.model.history.to_pylist() for each in self._fits()]
        history: list[Json] | list[list[Json]] = self._one_or_all(steps)
        return history

    @property
    def warnings_(self) -> list[Json]:
        """What is doubtful about the fit: code, column and message, as in gradline's JSON; of several targets, all of them."""
        return [notice.to_json() for each in self._fits() for notice in each.notices]

    @property
    def models_(self) -> dict[str, Model]:
        """The models by target: they save, predict from files, and have metrics and standard errors."""
        self._fits()
        models = {name: each.model for name, each in self._trained.items()}
        if any(model is None for model in models.values()):
            raise AttributeError("there is no model: nothing varied, and nothing was trained (see warnings_).")
        return {name: model for name, model in models.items() if model is not None}

    @property
    def model_(self) -> Model:
        """The model, of one target."""
        models = self.models_
        if len(models) > 1:
            raise AttributeError(f"there is a model for each of {len(models)} targets: models_.")
        return next(iter(models.values()))

    def _fits(self) -> list[Trained]:
        if "_trained" not in vars(self):
            raise AttributeError(f"this {type(self).__name__} is not fitted yet.")
        return list(self._trained.values())

    def save(self, path: str | Path) -> None:
        """Write gradline's model file: data, never code. `LinearRegressor.from_model(gradline.load(path))` gives an estimator back."""
        check_is_fitted(self, "coef_")
        with estimator_errors():
            if len(self._trained) > 1:
                raise refused("a model file holds one target, and here are several.", "models_[target].save(path) for each.")
            if any(each.model is None for each in self._fits()):
                raise refused("nothing varied, and nothing was trained: there is no model to save.", "see warnings_.")
        self.model_.save(path)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

"""From one of gradline's models to an estimator."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from gradline.representation.features import Representation
from gradline.sklearn.fits import Trained
from gradline.sklearn.words import refused
from gradline.types import Part

if TYPE_CHECKING:
    from gradline.model.model import Model
    from gradline.sklearn.regressor import LinearRegressor

    Regressor = TypeVar("Regressor", bound=LinearRegressor)

RENAMED = {"intercept": "fit_intercept", "seed": "random_state"}


def from_model(kind: type[Regressor], model: Model) -> Regressor:
    """See `LinearRegressor.from_model`."""
    if model.retransformation is not None:
        raise refused("the model is of log(target), and an estimator's prediction is linear.", "model.predict(data).")
    columns = _columns(model)
    named = model.coefficients
    known = inspect.signature(kind).parameters
    settings = {RENAMED.get(name, name): value for name, value in model.config.items()}
    settings["l2"] = model.penalty
    if isinstance(settings.get("stop"), list) and len(settings["stop"]) == 1:
        settings["stop"] = settings["stop"][0]
    regressor = kind(**{name: value for name, value in settings.items() if name in known})
    regressor.n_features_in_ = len(columns)
    if not all(re.fullmatch(r"x\d+", name) for name in columns):
        regressor.feature_names_in_ = np.array(columns, dtype=object)
    coefficients = np.array([named.get(name, 0.0) for name in columns])
    regressor.coef_, regressor.intercept_ = coefficients, np.float64(model.intercept)
    steps = int(model.result["steps"])
    regressor.n_iter_ = steps
    found = Trained(coefficients, model.intercept, steps, model.certificate, model.notices, model)
    regressor._trained = {model.contract.target: found}
    return regressor


def _columns(model: Model) -> list[str]:
    """The columns of X, with those that were left out of the model, where it says which they were."""
    representation: Any = model.representation
    if not isinstance(representation, Representation):
        weight = model.config.get("weight")  # a column past the last: see `gradline.sklearn.tables`
        width = int(representation.width)
        return [f"x{j}" for j in range(width) if f"x{j}" != weight]
    strange = [
        feature.name for feature in representation.features if feature.part is not Part.VALUE or feature.name != feature.column
    ]
    if strange:
        raise refused(
            f"the model's feature {strange[0]!r} is not a column of numbers, and an estimator has one coefficient for each column.",
            "model.predict(data), which makes it.",
        )
    asked = model.config.get("features")
    return list(asked) if asked else list(model.contract.columns)

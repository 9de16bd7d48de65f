"""scikit-learn's own checks of an estimator, with no expected failure."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from gradline.sklearn import LinearRegressor, LinearRegressorCV

ESTIMATORS = [
    LinearRegressor(),
    LinearRegressorCV(),
    LinearRegressor(loss="huber", huber_delta=1.0),
]


@pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")
@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_accepts_the_estimator(estimator, check):
    check(estimator)

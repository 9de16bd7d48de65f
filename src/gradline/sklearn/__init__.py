"""The engine of `gradline.train` as scikit-learn estimators: `LinearRegressor`, and `LinearRegressorCV`, which chooses λ.

>>> import numpy as np
>>> from gradline.sklearn import LinearRegressor
>>> x = np.arange(100.0)
>>> regressor = LinearRegressor().fit(x[:, None], 3 * x + 2 + 9 * np.sin(x))
>>> regressor.coef_.round(1), regressor.certificate_.kind
(array([3.]), 'exact')
"""

from __future__ import annotations

try:
    import sklearn as _sklearn  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "gradline.sklearn needs scikit-learn, which is not installed: pip install gradline[sklearn]"
    ) from error

from gradline.sklearn.cross_validated import LinearRegressorCV
from gradline.sklearn.regressor import LinearRegressor

__all__ = ["LinearRegressor", "LinearRegressorCV"]

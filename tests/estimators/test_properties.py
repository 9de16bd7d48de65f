"""What scikit-learn's own tests state of LinearRegression, Ridge, ElasticNet and SGDRegressor, restated."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import ElasticNet, LinearRegression, QuantileRegressor, Ridge
from sklearn.metrics import mean_pinball_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gradline.sklearn import LinearRegressor, LinearRegressorCV

pytestmark = pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")


def table(rows=120, columns=5, seed=0, offset=2.0, targets=None):
    """Correlated columns of several sizes and a noisy target."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(rows, columns)) @ random.normal(size=(columns, columns)) * np.geomspace(0.1, 10, columns) + offset
    size = (columns,) if targets is None else (columns, targets)
    y = X @ random.normal(size=size) + 3.0 + random.normal(size=(rows,) if targets is None else (rows, targets))
    return X, y


def close(a, b, tolerance=1e-9):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max())


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scaling", ["standard", "none"])
@pytest.mark.parametrize("targets", [None, 3])
def test_least_squares_is_that_of_linear_regression(fit_intercept, weighted, scaling, targets):
    X, y = table(targets=targets)
    weight = np.random.default_rng(1).uniform(0.1, 3, len(X)) if weighted else None
    own = LinearRegressor(fit_intercept=fit_intercept, scaling=scaling).fit(X, y, weight)
    peer = LinearRegression(fit_intercept=fit_intercept).fit(X, y, weight)
    close(own.coef_, peer.coef_)
    close(np.atleast_1d(own.intercept_), np.broadcast_to(peer.intercept_, np.shape(np.atleast_1d(own.intercept_))))
    close(own.predict(X), peer.predict(X))


@pytest.mark.parametrize(
    "estimator",
    [LinearRegressor(), LinearRegressor(l2=0.1), LinearRegressor(loss="huber"), LinearRegressor(l1=0.1)],
)
def test_a_weight_of_two_is_a_row_twice_and_a_weight_of_zero_is_no_row(estimator):
    X, y = table()
    weight = np.random.default_rng(2).integers(0, 4, len(X))
    weighed = estimator.fit(X, y, sample_weight=weight)
    coefficients, intercept = weighed.coef_, weighed.intercept_
    estimator.fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    exact = estimator.loss == "squared" and estimator.l1 == 0.0
    close(coefficients, estimator.coef_, 1e-9 if exact else 1e-4)  # the others are within their proved gap
    close(intercept, estimator.intercept_, 1e-9 if exact else 1e-4)


def test_equal_weights_of_any_size_are_none():
    X, y = table()
    alone = LinearRegressor(l2=0.1).fit(X, y)
    for weight in (1.0, np.full(len(X), 7.5)):
        close(LinearRegressor(l2=0.1).fit(X, y, weight).coef_, alone.coef_, 1e-12)


@pytest.mark.parametrize("l2", [0.0, 0.1])
@pytest.mark.parametrize("sparse", [False, True])
def test_an_intercept_is_the_same_as_centring(l2, sparse):
    X, y = table()
    given = sp.csr_array(X) if sparse else X
    own = LinearRegressor(l2=l2, scaling="none").fit(given, y)
    centred = LinearRegressor(l2=l2, scaling="none", fit_intercept=False).fit(X - X.mean(axis=0), y - y.mean())
    close(own.coef_, centred.coef_)
    close(own.intercept_, y.mean() - X.mean(axis=0) @ own.coef_)


@pytest.mark.parametrize("scaling", ["standard", "none"])
def test_an_intercept_is_a_column_of_ones(scaling):
    X, y = table()
    own = LinearRegressor(scaling=scaling).fit(X, y)
    ones = LinearRegressor(scaling=scaling, fit_intercept=False).fit(np.column_stack([X, np.ones(len(X))]), y)
    close(ones.coef_[:-1], own.coef_)
    close(ones.coef_[-1], own.intercept_)
    assert ones.intercept_ == 0.0


def test_constant_columns_without_an_intercept_share_it_with_the_least_norm():
    X, y = table(columns=3)
    X = np.column_stack([X, np.full(len(X), 2.0), np.full(len(X), -1.0), np.zeros(len(X))])
    own = LinearRegressor(fit_intercept=False).fit(X, y)
    close(own.coef_, np.linalg.lstsq(X, y, rcond=None)[0])
    assert own.coef_[-1] == 0.0


def test_a_constant_column_has_the_coefficient_zero():
    X, y = table(columns=3)
    own = LinearRegressor().fit(np.insert(X, 1, 5.0, axis=1), y)
    assert own.coef_.shape == (4,)
    assert own.coef_[1] == 0.0
    close(np.delete(own.coef_, 1), LinearRegression().fit(X, y).coef_)


def test_a_column_that_counts_the_rows_is_a_column_like_others():
    """gradline.train leaves out identifiers, by their names and values; an estimator is given what it is to learn from."""
    import pandas as pd

    random = np.random.default_rng(0)
    frame = pd.DataFrame({"id": np.arange(50.0), "x": random.normal(size=50)})
    own = LinearRegressor().fit(frame, 2.0 * frame["id"] + random.normal(size=50))
    close(own.coef_, LinearRegression().fit(frame, 2.0 * frame["id"] + np.random.default_rng(0).normal(size=(2, 50))[1]).coef_)


def test_of_more_columns_than_rows_the_shortest_solution_is_found():
    X, y = table(rows=15, columns=40)
    centred, deviation = X - X.mean(axis=0), X.std(axis=0)
    own = LinearRegressor().fit(X, y)
    close(own.coef_ * deviation, np.linalg.pinv(centred / deviation) @ (y - y.mean()), 1e-8)
    close(own.predict(X), y, 1e-8)
    raw = LinearRegressor(fit_intercept=False, scaling="none").fit(centred, y)
    close(raw.coef_, LinearRegression(fit_intercept=False).fit(centred, y).coef_, 1e-8)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("rows", [120, 20])
@pytest.mark.parametrize("alpha", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_ridge_is_that_of_ridge_with_alpha_over_the_rows(fit_intercept, rows, alpha, weighted):
    X, y = table(rows=rows, columns=30)
    weight = np.random.default_rng(1).uniform(0.1, 3, rows) if weighted else None
    total = rows if weight is None else weight.sum()
    own = LinearRegressor(l2=alpha / total, scaling="none", fit_intercept=fit_intercept).fit(X, y, weight)
    peer = Ridge(alpha, fit_intercept=fit_intercept, solver="svd" if weight is None else "cholesky").fit(X, y, weight)
    close(own.coef_, peer.coef_, 1e-7)
    close(own.predict(X), peer.predict(X), 1e-8)


def test_ridge_in_standard_coordinates_is_a_scaler_before_ridge():
    X, y = table(targets=2)
    own = LinearRegressor(l2=0.3).fit(X, y)
    peer = make_pipeline(StandardScaler(), Ridge(0.3 * len(X))).fit(X, y)
    close(own.predict(X), peer.predict(X))


def test_ridge_meets_its_closed_form():
    X, y = table(columns=4)
    centred = X - X.mean(axis=0)
    closed = np.linalg.solve(centred.T @ centred / len(X) + 0.5 * np.eye(4), centred.T @ (y - y.mean()) / len(X))
    close(LinearRegressor(l2=0.5, scaling="none").fit(X, y).coef_, closed)


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_the_elastic_net_is_that_of_elastic_net(share):
    X, y = table()
    own = LinearRegressor(l1=0.5 * share, l2=0.5 * (1 - share), scaling="none").fit(X, y)
    peer = ElasticNet(0.5, l1_ratio=share, tol=1e-12, max_iter=1_000_000).fit(X, y)
    close(own.predict(X), peer.predict(X), 1e-4)


def test_the_median_is_within_its_proved_gap_of_the_linear_programme():
    X, y = table(columns=3)
    own = LinearRegressor(loss="pinball", quantile=0.7).fit(X, y)
    peer = QuantileRegressor(quantile=0.7, alpha=0.0, solver="highs").fit(X, y)
    gap = mean_pinball_loss(y, own.predict(X), alpha=0.7) - mean_pinball_loss(y, peer.predict(X), alpha=0.7)
    assert -1e-9 <= gap <= own.certificate_.gap + 1e-9


@pytest.mark.parametrize("estimator", [LinearRegressor(), LinearRegressor(l2=0.1, scaling="none"), LinearRegressor(l1=0.1)])
def test_several_targets_are_single_targets_to_the_bits(estimator):
    X, y = table(targets=3)
    together = estimator.fit(X, y)
    coefficients, intercepts = together.coef_, together.intercept_
    for t in range(3):
        estimator.fit(X, y[:, t])
        assert np.array_equal(coefficients[t], estimator.coef_)
        assert intercepts[t] == estimator.intercept_


@pytest.mark.parametrize(("shape", "coef", "intercept"), [((60,), (5,), ()), ((60, 1), (1, 5), (1,)), ((60, 2), (2, 5), (2,))])
@pytest.mark.parametrize("kind", [LinearRegressor, LinearRegressorCV])
def test_the_attributes_have_the_shapes_of_the_target(shape, coef, intercept, kind):
    X, _ = table(rows=60)
    y = np.random.default_rng(3).normal(size=shape)
    own = kind().fit(X, y)
    assert own.coef_.shape == coef
    assert np.shape(own.intercept_) == intercept
    assert own.predict(X).shape == shape
    assert own.n_features_in_ == 5
    assert isinstance(own.n_iter_, list) == (shape == (60, 2))


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csc_array, sp.coo_matrix, sp.csr_array])
def test_a_sparse_matrix_of_few_columns_has_the_bits_of_a_dense_one(form):
    X, y = table(offset=0.0)
    X[np.abs(X) < 0.5] = 0.0
    dense, sparse = LinearRegressor(l2=0.01).fit(X, y), LinearRegressor(l2=0.01).fit(form(X), y)
    assert np.array_equal(dense.coef_, sparse.coef_)
    assert dense.intercept_ == sparse.intercept_
    close(sparse.predict(form(X)), dense.predict(X))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_a_sparse_matrix_of_many_columns_has_the_answer_of_a_dense_one(weighted, fit_intercept):
    random = np.random.default_rng(5)
    X = random.normal(size=(400, 300)) * (random.uniform(size=(400, 300)) < 0.1)
    X[:, 7] = 0.0
    y = X @ random.normal(size=300) + random.normal(size=400)
    weight = random.uniform(0.1, 3, 400) if weighted else None
    settings = {"l2": 0.05, "scaling": "none", "fit_intercept": fit_intercept}
    dense, sparse = LinearRegressor(**settings).fit(X, y, weight), LinearRegressor(**settings).fit(sp.csr_array(X), y, weight)
    close(sparse.coef_, dense.coef_)
    close(sparse.intercept_, dense.intercept_)
    assert sparse.coef_.shape == (300,)
    assert sparse.coef_[7] == 0.0


@pytest.mark.parametrize("sparse", [False, True])
def test_several_targets_of_a_sparse_matrix_whose_rows_are_kept(sparse):
    X, y = table(targets=2)
    own = LinearRegressor(oracle="streamed").fit(sp.csr_array(X) if sparse else X, y)
    close(own.coef_, LinearRegression().fit(X, y).coef_)


@pytest.mark.parametrize("targets", [None, 2])
@pytest.mark.parametrize("sparse", [False, True])
def test_float32_is_kept_and_close_to_float64(targets, sparse):
    X, y = table(targets=targets)
    single = sp.csr_array(X.astype(np.float32)) if sparse else X.astype(np.float32)
    own, double = LinearRegressor().fit(single, y), LinearRegressor().fit(X, y)
    assert own.coef_.dtype == own.intercept_.dtype == own.predict(single).dtype == np.float32
    assert double.coef_.dtype == np.float64
    close(own.predict(single), double.predict(X), 1e-5)


def test_sums_of_float32_columns_are_float64():
    """A mean of 10,000 with deviations of one: single sums of squares would keep no digit of the slope."""
    random = np.random.default_rng(0)
    x = np.round(random.normal(size=20_000) * 16) / 16  # exact in float32, with the offset too
    X = np.column_stack([x + 4096, random.integers(0, 9, 20_000)]).astype(np.float32)
    y = (X.astype(np.float64) @ [2.0, 1.0] + random.normal(size=20_000)).astype(np.float64)
    own, peer = LinearRegressor().fit(X, y), LinearRegression().fit(X.astype(np.float64), y)
    close(own.coef_, peer.coef_.astype(np.float32), 1e-7)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int32, np.bool_])
def test_neither_x_nor_y_nor_the_weights_are_changed(order, kind):
    X, y = table()
    X, weight = np.asarray(X > 2 if kind is np.bool_ else X, dtype=kind, order=order), np.ones(len(X))
    before = X.copy(), y.copy(), weight.copy()
    for each in (X, y, weight):
        each.flags.writeable = False
    own = LinearRegressor(l2=0.01).fit(X, y, weight)
    own.predict(X)
    assert all(np.array_equal(a, b) for a, b in zip(before, (X, y, weight), strict=True))
    close(own.predict(X), LinearRegressor(l2=0.01).fit(before[0].astype(np.float64), y).predict(X), 1e-5)


def test_order_units_and_offsets_change_no_prediction():
    X, y = table()
    rows, columns = np.random.default_rng(0).permutation(len(X)), [3, 1, 4, 0, 2]
    own = LinearRegressor(l2=0.1).fit(X, y)
    close(LinearRegressor(l2=0.1).fit(X[rows], y[rows]).coef_, own.coef_)
    close(LinearRegressor(l2=0.1).fit(X[:, columns], y).coef_, own.coef_[columns])
    close(LinearRegressor(l2=0.1).fit(X * 1000 - 7, y).coef_ * 1000, own.coef_)
    close(LinearRegressor(l2=0.1).fit(X, 5 * y + 1).coef_, 5 * own.coef_)


def test_no_unit_drops_a_column():
    """The peer's default tolerance drops the first: its coefficient is 0, and R² a tenth."""
    random = np.random.default_rng(0)
    X = random.normal(size=(1000, 2))
    y = X @ [3.0, 1.0] + random.normal(size=1000)
    own = LinearRegressor().fit(X * [1.0, 1e7], y)
    close(own.coef_ * [1.0, 1e7], LinearRegression(tol=0.0).fit(X, y).coef_)


def test_mini_batches_come_near_to_least_squares():
    X, y = table(rows=2000)
    own = LinearRegressor(oracle="minibatch", batch_size=64, max_steps=4000, stop="gap", tolerance=1e-5).fit(X, y)
    assert own.score(X, y) > LinearRegression().fit(X, y).score(X, y) - 1e-4
    again = LinearRegressor(oracle="minibatch", batch_size=64, max_steps=4000, stop="gap", tolerance=1e-5, random_state=1).fit(
        X, y
    )
    assert not np.array_equal(own.coef_, again.coef_)


def test_of_more_columns_than_have_moments_the_rows_are_kept():
    random = np.random.default_rng(0)
    X = random.normal(size=(40, 5_100))
    y = X[:, 0] + random.normal(size=40)
    own, peer = LinearRegressor(l2=1.0, scaling="none").fit(X, y), Ridge(40.0).fit(X, y)
    close(own.predict(X), peer.predict(X), 1e-3)
    assert own.certificate_.kind == "duality_gap"
    sparse = LinearRegressor(l2=1.0, scaling="none").fit(sp.csr_array(X), y)
    close(sparse.predict(X), peer.predict(X), 1e-3)

"""partial_fit: whatever the pieces in which rows come, the answer is that of one fit."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse as sp

from gradline.sklearn import LinearRegressor
from gradline.training.reading.sample import SAMPLE_ROWS

pytestmark = pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")


def table(rows, columns=4, targets=None, seed=0):
    random = np.random.default_rng(seed)
    X = random.normal(size=(rows, columns)) * np.geomspace(0.01, 100, columns) + 3.0
    shape = (rows,) if targets is None else (rows, targets)
    return X, X @ random.normal(size=(columns, *shape[1:])) + 2.0 + random.normal(size=shape), random.uniform(0.1, 3, rows)


def in_pieces(regressor, X, y, weight=None, cuts=()):
    for rows in np.split(np.arange(X.shape[0]), cuts):
        regressor.partial_fit(X[rows], y[rows], None if weight is None else weight[rows])
    return regressor


def distance(a, b, X, y):
    """Of the coefficients in deviations of the target per deviation of the column, and of the predictions in deviations of the target."""
    of_slopes = np.abs(a.coef_ - b.coef_) * X.std(axis=0) / y.std()
    return max(of_slopes.max(), np.abs(a.predict(X) - b.predict(X)).max() / y.std())


CUTS = {"halves": [2500], "of one row": [1, 2, 3, 4], "uneven": [7, 500, 501, 1999, 2000, 4990], "a fit's first rows": [4999]}


@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("targets", [None, 2])
@pytest.mark.parametrize("settings", [{}, {"l2": 0.1, "scaling": "none"}, {"fit_intercept": False}], ids=str)
def test_any_pieces_give_the_fit_of_all(cuts, weighted, targets, settings):
    X, y, weight = table(5000, targets=targets)
    weight = weight if weighted else None
    whole = LinearRegressor(**settings).fit(X, y, weight)
    parts = in_pieces(LinearRegressor(**settings), X, y, weight, cuts)
    assert distance(parts, whole, X, y) <= 1e-12
    assert parts.certificate_ is not None


@pytest.mark.parametrize("weighted", [False, True])
def test_pieces_of_whole_blocks_give_the_bits_of_the_fit_of_all(weighted, monkeypatch):
    monkeypatch.setattr("gradline.sklearn.tables.block_rows", lambda columns: 512)
    X, y, weight = table(5000)
    weight = weight if weighted else None
    whole = LinearRegressor().fit(X, y, weight)
    parts = in_pieces(LinearRegressor(), X, y, weight, [512, 1536, 4608])
    assert np.array_equal(parts.coef_, whole.coef_)
    assert parts.intercept_ == whole.intercept_
    assert parts.certificate_ == whole.certificate_
    one, other = (each._survey.sample for each in (parts, whole))
    assert np.array_equal(one.hashes, other.hashes)
    assert one.table.equals(other.table)


def test_so_few_rows_that_all_are_kept_give_the_same_bits_in_any_pieces():
    """Their moments are exact: there is one answer."""
    X, y, _ = table(SAMPLE_ROWS)
    whole = LinearRegressor().fit(X, y)
    for cuts in CUTS.values():
        parts = in_pieces(LinearRegressor(), X, y, None, [cut for cut in cuts if cut < len(X)])
        assert np.array_equal(parts.coef_, whole.coef_)


def test_further_rows_go_on_from_a_fit():
    X, y, _ = table(5000)
    whole = LinearRegressor().fit(X, y)
    assert distance(LinearRegressor().fit(X[:3000], y[:3000]).partial_fit(X[3000:], y[3000:]), whole, X, y) <= 1e-12


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("rows", [900, 3000])
def test_pieces_with_weights_and_without_go_together(first, rows):
    X, y, weight = table(rows)
    begin, end = slice(None, rows // 3), slice(rows // 3, None)
    given = weight.copy()
    given[end if first else begin] = 1.0
    whole = LinearRegressor().fit(X, y, given)
    parts = LinearRegressor().partial_fit(X[begin], y[begin], weight[begin] if first else None)
    parts.partial_fit(X[end], y[end], None if first else weight[end])
    assert distance(parts, whole, X, y) <= 1e-12


def test_sparse_pieces_and_dense_ones_go_together():
    X, y, _ = table(3000)
    X[X < 2.5] = 0.0
    parts = LinearRegressor().partial_fit(sp.csr_array(X[:1000]), y[:1000]).partial_fit(X[1000:], y[1000:])
    assert distance(parts, LinearRegressor().fit(X, y), X, y) <= 1e-12


def test_what_is_kept_does_not_grow_with_the_rows():
    X, y, _ = table(60_000)
    regressor, sizes = LinearRegressor(), []
    for start in range(0, len(X), 10_000):
        regressor.partial_fit(X[start : start + 10_000], y[start : start + 10_000])
        sizes.append(len(pickle.dumps(regressor._survey)))
    assert max(sizes) < 1.1 * min(sizes)
    assert regressor._survey.read == len(X)


def test_a_piece_that_is_refused_leaves_everything_as_it_was():
    X, y, _ = table(500)
    regressor = LinearRegressor().partial_fit(X[:200], y[:200])
    before = regressor.coef_.copy()
    with pytest.raises(ValueError, match="NaN"):
        regressor.partial_fit(X[200:300] * np.nan, y[200:300])
    with pytest.raises(ValueError, match="overflow"):
        regressor.partial_fit(np.vstack([X[200:300], 1e300 * X[:1]]), y[200:301])
    with pytest.raises(ValueError, match="features"):
        regressor.partial_fit(X[:, :2], y)
    with pytest.raises(ValueError, match="targets"):
        regressor.partial_fit(X, np.column_stack([y, y]))
    assert np.array_equal(regressor.coef_, before)
    regressor.partial_fit(X[200:], y[200:])
    assert np.array_equal(regressor.coef_, LinearRegressor().fit(X, y).coef_)


def test_the_first_rows_may_not_vary():
    X, y, _ = table(500)
    X[:3], y[:3] = X[0], y[0]
    regressor = LinearRegressor().partial_fit(X[:1], y[:1])
    assert np.array_equal(regressor.predict(X[:2]), [y[0], y[0]])
    regressor.partial_fit(X[1:3], y[1:3]).partial_fit(X[3:], y[3:])
    assert np.array_equal(regressor.coef_, LinearRegressor().fit(X, y).coef_)


@pytest.mark.parametrize("settings", [{"loss": "huber"}, {"oracle": "streamed"}, {"errors": "HC1"}], ids=str)
def test_what_needs_the_rows_has_no_partial_fit(settings):
    X, y, _ = table(100)
    assert not hasattr(LinearRegressor(**settings), "partial_fit")
    regressor = LinearRegressor().partial_fit(X, y).set_params(**settings)
    with pytest.raises(AttributeError, match="partial_fit") as raised:
        regressor.partial_fit(X, y)
    assert next(iter(settings)) in str(raised.value.__cause__)


def test_rows_that_were_not_kept_as_moments_cannot_be_gone_on_from():
    X, y, _ = table(400)
    for fitted in (
        LinearRegressor().fit(X[:300], y[:300], X_val=X[300:], y_val=y[300:]),
        LinearRegressor.from_model(LinearRegressor().fit(X, y).model_),
    ):
        with pytest.raises(ValueError, match="earlier rows"):
            fitted.partial_fit(X, y)

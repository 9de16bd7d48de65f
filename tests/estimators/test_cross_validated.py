"""LinearRegressorCV: what GridSearchCV finds, from moments."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, ShuffleSplit, TimeSeriesSplit

import gradline as gl
from gradline.errors import GradlineWarning
from gradline.sklearn import LinearRegressor, LinearRegressorCV
from gradline.sklearn.folds import SCORES, folds_of, splits_of

GRID = [1.0, 0.001, 0.1, 0.0]
GROUPS = np.random.default_rng(9).integers(0, 8, 80)


def table(targets=None):
    random = np.random.default_rng(0)
    X = random.normal(size=(80, 6)) @ random.normal(size=(6, 6))
    size = () if targets is None else (targets,)
    return X, X @ random.normal(size=(6, *size)) + 3.0 + 3.0 * random.normal(size=(80, *size))


@pytest.mark.parametrize(
    ("cv", "groups"),
    [
        (3, None),
        (KFold(4, shuffle=True, random_state=1), None),
        (GroupKFold(3), GROUPS),
        (TimeSeriesSplit(3), None),
        (ShuffleSplit(3, random_state=0), None),
        (list(KFold(2).split(np.zeros(80))), None),
        ([(np.arange(80) < 50, np.arange(80) >= 60), (np.arange(80) >= 40, np.arange(80) < 40)], None),
    ],
    ids=["int", "shuffled", "groups", "time", "shares", "splits", "masks"],
)
def test_scores_and_choice_are_those_of_a_grid_search(cv, groups):
    X, y = table()
    peer = GridSearchCV(LinearRegressor(), {"l2": GRID}, cv=cv, scoring=list(SCORES), refit="r2").fit(X, y, groups=groups)
    for scoring in SCORES:
        own = LinearRegressorCV(l2s=GRID, cv=cv, scoring=scoring).fit(X, y, groups=groups)
        found = {name: scores for name, scores in peer.cv_results_.items() if f"test_{scoring}" in name}
        for name, scores in found.items():
            shown = name.replace(f"test_{scoring}", "test_score")
            np.testing.assert_allclose(own.cv_results_[shown], scores, rtol=1e-9, err_msg=name)
        assert own.l2_ == GRID[np.argmin(found[f"rank_test_{scoring}"])]
        assert own.best_score_ == pytest.approx(max(found[f"mean_test_{scoring}"]), rel=1e-9)
        assert own.cv_results_["params"] == peer.cv_results_["params"]
        assert own.n_splits_ == peer.n_splits_
    chosen = LinearRegressor(l2=own.l2_).fit(X, y)
    np.testing.assert_allclose(own.coef_, chosen.coef_, rtol=1e-9)


@pytest.mark.parametrize("settings", [{"scaling": "none"}, {"fit_intercept": False}], ids=str)
def test_of_several_targets_the_mean_of_their_scores_decides(settings):
    X, y = table(targets=2)
    own = LinearRegressorCV(l2s=GRID, cv=3, scoring="r2", **settings).fit(X, y)
    peer = GridSearchCV(LinearRegressor(**settings), {"l2": GRID}, cv=3).fit(X, y)
    np.testing.assert_allclose(own.cv_results_["mean_test_score"], peer.cv_results_["mean_test_score"], rtol=1e-9)
    assert own.l2_ == peer.best_params_["l2"]
    np.testing.assert_allclose(own.coef_, peer.best_estimator_.coef_, rtol=1e-9)


def test_a_sparse_matrix_has_the_bits_of_a_dense_one():
    X, y = table()
    X[np.abs(X) < 0.5] = 0.0
    dense, sparse = LinearRegressorCV(cv=3).fit(X, y), LinearRegressorCV(cv=3).fit(sp.csr_array(X), y)
    assert dense.l2_ == sparse.l2_
    assert np.array_equal(dense.coef_, sparse.coef_)


@pytest.mark.filterwarnings("ignore:.*repeat an earlier one")
def test_a_weight_of_two_is_a_row_twice_in_the_same_fold():
    X, y = table()
    weight = np.random.default_rng(2).integers(1, 4, len(X))
    fold = np.arange(len(X)) % 4
    cv = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(4)]
    again = np.repeat(fold, weight)
    repeated = [(np.flatnonzero(again != k), np.flatnonzero(again == k)) for k in range(4)]
    own = LinearRegressorCV(cv=cv).fit(X, y, weight)
    peer = LinearRegressorCV(cv=repeated).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert own.l2_ == pytest.approx(peer.l2_, rel=1e-9)
    np.testing.assert_allclose(own.cv_results_["mean_test_score"], peer.cv_results_["mean_test_score"], rtol=1e-9)


def test_splits_that_hold_out_every_row_once_are_folds_of_one_read():
    for cv, whole in ((KFold(3), True), (TimeSeriesSplit(3), False), (ShuffleSplit(3), False)):
        splits = [(a, b) for a, b in cv.split(np.zeros(30))]
        assert (folds_of(splits, 30) is not None) == whole
    rows = np.arange(10)
    assert folds_of([(rows[:4], rows[5:]), (rows[5:], rows[:5])], 10) is None  # row 4 is not learned from
    assert folds_of([(rows[5:], rows[:5]), (rows[5:], rows[:5])], 10) is None  # half of the rows are never held out


def test_the_automatic_path_is_that_of_gradline_train():
    X, y = table()
    own = LinearRegressorCV(cv=4).fit(X, y)
    path = own.cv_results_["param_l2"]
    assert len(path) == 101
    assert path[-1] == 0.0
    assert path[0] / path[-2] == pytest.approx(1e12)
    assert own.l2_ == path[np.argmax(own.cv_results_["mean_test_score"])]


def test_the_model_tells_of_the_folds(tmp_path):
    X, y = table()
    own = LinearRegressorCV(cv=4).fit(X, y)
    own.save(tmp_path / "model")
    model = gl.load(tmp_path / "model")
    told = model.result["cross_validation"]
    assert told["chosen"] == own.l2_ == model.penalty
    np.testing.assert_allclose(told["rmse"], -own.cv_results_["mean_test_score"], rtol=1e-12)
    assert np.array_equal(LinearRegressor.from_model(model).predict(X), own.predict(X))


def test_a_choice_at_the_end_of_the_values_is_doubted():
    X, y = table()
    with pytest.warns(GradlineWarning, match="largest of l2s"):
        LinearRegressorCV(l2s=[1e-6, 1e-5], cv=3).fit(X[:12], np.random.default_rng(3).normal(size=12))
    with pytest.warns(GradlineWarning, match="smallest of l2s"):
        LinearRegressorCV(l2s=[50.0, 100.0], cv=3).fit(X, y)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scoring": "f1"}, "scoring='f1'"),
        ({"l2s": [-1.0]}, "not a list of penalties"),
        ({"l2s": []}, "0 sample"),
        ({"l2s": [np.nan]}, "l2s contains NaN"),
        ({"cv": 1}, "cv=1"),
        ({"cv": 81}, "n_splits=81"),
        ({"cv": [(np.arange(5), np.arange(5, 9))]}, "1 splits"),
        ({"learning_rate": -1.0}, "learning_rate"),
    ],
    ids=str,
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        LinearRegressorCV(**settings).fit(*table())


def test_of_more_columns_than_have_moments_a_search_is_told_of():
    with pytest.raises(ValueError, match="GridSearchCV"):
        LinearRegressorCV(cv=2).fit(np.zeros((6, 5_001)), np.arange(6.0))


def test_a_split_without_weight_is_refused():
    X, y = table()
    with pytest.raises(ValueError, match="no row with weight"):
        LinearRegressorCV(cv=2).fit(X, y, np.repeat([1.0, 0.0], 40))


def test_where_no_column_varies_there_is_nothing_to_choose():
    with pytest.warns(GradlineWarning, match="no column varies"):
        own = LinearRegressorCV(cv=2).fit(np.ones((8, 2)), np.arange(8.0))
    assert own.l2_ == 0.0
    assert own.intercept_ == 3.5


def test_one_split_at_a_time_is_what_splitters_give():
    from gradline.sklearn.checks import given

    X, y = table()
    splits = splits_of(3, given(LinearRegressor(), X, y), None)
    assert [len(held_out) for _, held_out in splits] == [27, 27, 26]

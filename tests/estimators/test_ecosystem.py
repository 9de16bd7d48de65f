"""The estimators among scikit-learn's tools: pipelines, searches, inspection, routing, copies."""

from __future__ import annotations

import io
import pickle

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import VotingRegressor
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_predict, cross_val_score, cross_validate
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler

import gradline as gl
from gradline.sklearn import LinearRegressor, LinearRegressorCV

pytestmark = pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")


@pytest.fixture
def frame():
    random = np.random.default_rng(0)
    X = pd.DataFrame({"miles": random.uniform(100, 2500, 120), "hour": random.integers(5, 23, 120).astype(float)})
    X["carrier"] = random.choice(["AA", "UA", "DL"], 120)
    y = 18.0 + 0.12 * X["miles"] + 5.0 * (X["carrier"] == "UA") + random.normal(size=120)
    return X, y.rename("air_time")


@pytest.fixture
def table(frame):
    X, y = frame
    return X[["miles", "hour"]], y


def encoded(regressor):
    categories = ("carrier", OneHotEncoder(drop="first"), ["carrier"])
    return make_pipeline(ColumnTransformer([categories], remainder="passthrough"), regressor)


def test_a_column_transformer_encodes_what_the_estimator_refuses(frame):
    X, y = frame
    own, peer = encoded(LinearRegressor()).fit(X, y), encoded(LinearRegression()).fit(X, y)
    np.testing.assert_allclose(own.predict(X), peer.predict(X), rtol=1e-9)
    with pytest.raises(ValueError, match=r"'carrier' .* hold no numbers.*ColumnTransformer"):
        LinearRegressor().fit(X, y)


def test_a_pipeline_of_transformers_with_named_output(table):
    X, y = table
    own = make_pipeline(PolynomialFeatures(2, include_bias=True), StandardScaler(), LinearRegressor()).set_output(
        transform="pandas"
    )
    own.fit(X, y)
    assert list(own[-1].feature_names_in_) == list(own[:-1].get_feature_names_out())
    assert own[-1].coef_[0] == 0.0  # the constant column of the polynomial
    assert "miles^2" in own[-1].model_.coefficients


def test_a_grid_search_finds_what_it_finds_with_ridge(table):
    X, y = table
    grid = np.array([0.01, 1.0, 100.0])
    own = GridSearchCV(make_pipeline(StandardScaler(), LinearRegressor()), {"linearregressor__l2": grid / 90}, cv=KFold(4))
    peer = GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": grid}, cv=KFold(4))
    own, peer = own.fit(X, y), peer.fit(X, y)
    np.testing.assert_allclose(own.cv_results_["mean_test_score"], peer.cv_results_["mean_test_score"], rtol=1e-9)


def test_scores_predictions_and_votes_are_those_of_the_peer(table):
    X, y = table
    np.testing.assert_allclose(cross_val_score(LinearRegressor(), X, y), cross_val_score(LinearRegression(), X, y), rtol=1e-9)
    np.testing.assert_allclose(cross_val_predict(LinearRegressor(), X, y), cross_val_predict(LinearRegression(), X, y), rtol=1e-9)
    vote = VotingRegressor([("own", LinearRegressor()), ("peer", LinearRegression())]).fit(X, y)
    np.testing.assert_allclose(vote.predict(X), LinearRegression().fit(X, y).predict(X), rtol=1e-9)
    both = MultiOutputRegressor(LinearRegressor()).fit(X, np.column_stack([y, -y]))
    np.testing.assert_allclose(both.predict(X)[:, 1], -vote.predict(X), rtol=1e-9)
    logarithm = TransformedTargetRegressor(LinearRegressor(), func=np.log, inverse_func=np.exp).fit(X, y)
    assert logarithm.score(X, y) > 0.8


def test_inspection_finds_the_column_that_matters(table):
    X, y = table
    own = LinearRegressor().fit(X, y)
    importance = permutation_importance(own, X, y, n_repeats=3, random_state=0).importances_mean
    assert importance[0] > 100 * abs(importance[1])
    found = partial_dependence(own, X, ["miles"], kind="average", grid_resolution=5)
    slope = np.polyfit(found["grid_values"][0], found["average"][0], 1)[0]
    assert slope == pytest.approx(own.coef_[0])
    assert RFE(LinearRegressor(), n_features_to_select=1).fit(X, y).support_.tolist() == [True, False]
    assert SelectFromModel(LinearRegressor(l2=0.1), threshold=0.1).fit(X, y).get_support().tolist() == [True, False]


@pytest.mark.parametrize("kind", [LinearRegressor, LinearRegressorCV])
def test_parameters_are_read_set_and_cloned(kind):
    own = kind(fit_intercept=False, tolerance=1e-6).set_params(scaling="none")
    assert own.get_params()["scaling"] == "none"
    assert clone(own).get_params() == own.get_params()
    assert repr(own) == f"{kind.__name__}(fit_intercept=False, scaling='none', tolerance=1e-06)"
    assert kind.__name__ in own._repr_html_()
    with pytest.raises(ValueError, match="Invalid parameter"):
        own.set_params(alpha=1.0)


@pytest.mark.parametrize(
    "regressor", [LinearRegressor(l2=0.1), LinearRegressorCV(l2s=[0.1, 1.0], cv=3), LinearRegressor(loss="huber")]
)
def test_a_pickle_and_joblib_give_the_same_estimator_back(table, regressor):
    X, y = table
    own = clone(regressor).fit(X, y)
    file = io.BytesIO()
    joblib.dump(own, file)
    file.seek(0)
    for again in (pickle.loads(pickle.dumps(own)), joblib.load(file)):
        assert np.array_equal(again.predict(X), own.predict(X))
        assert again.certificate_ == own.certificate_
        assert again.history_ == own.history_
        assert again.model_.coefficients == own.model_.coefficients
        assert again.warnings_ == own.warnings_


def test_fits_at_the_same_time_give_the_same_scores(table):
    X, y = table
    alone = cross_val_score(LinearRegressor(), X, y, cv=4)
    with joblib.parallel_config(backend="threading", n_jobs=4):
        assert np.array_equal(alone, cross_val_score(LinearRegressor(), X, y, cv=4))


def test_a_model_file_is_the_safe_way(table, tmp_path):
    X, y = table
    X = X.assign(constant=7.0)
    own = LinearRegressor(l2=0.1).fit(X, y)
    own.save(tmp_path / "model")
    model = gl.load(tmp_path / "model")
    again = LinearRegressor.from_model(model)
    assert np.array_equal(again.predict(X), own.predict(X))
    assert list(again.feature_names_in_) == ["miles", "hour", "constant"]
    assert again.get_params() == own.get_params()
    np.testing.assert_allclose(model.predict(X.assign(other="text")), own.predict(X), rtol=1e-12)
    assert model.contract.target == "air_time"
    assert gl.evaluate(model, X.assign(air_time=y))["metrics"]["r2"] == pytest.approx(own.score(X, y))


def test_a_model_that_gradline_trained_becomes_an_estimator(frame, table):
    X, y = table
    model = gl.train(X.assign(y=y), "y", validation=0, test=0)
    np.testing.assert_allclose(LinearRegressor.from_model(model).predict(X), model.predict(X), rtol=1e-12)
    for made in (gl.train(frame[0].assign(y=y), "y"), gl.train(X.assign(y=y), "y", log_target=True)):
        with pytest.raises(ValueError, match=r"model\.predict"):
            LinearRegressor.from_model(made)


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_frames_give_their_names(table, kind):
    X, y = table
    own = LinearRegressor().fit(X if kind is pd.DataFrame else pl.from_pandas(X), y.to_numpy())
    assert list(own.feature_names_in_) == ["miles", "hour"]
    assert set(own.model_.coefficients) == {"miles", "hour"}
    with pytest.raises(ValueError, match="feature names"):
        own.predict((X if kind is pd.DataFrame else pl.from_pandas(X))[["hour", "miles"]])
    with pytest.warns(UserWarning, match="valid feature names"):
        own.predict(X.to_numpy())


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["a", "b"] * 60),
        pd.Series([1, 2] * 60, dtype="category"),
        pd.Series(pd.date_range("2020", periods=120)),
        pd.Series(pd.to_timedelta(range(120), unit="s")),
    ],
    ids=lambda column: str(column.dtype),
)
def test_columns_that_are_no_numbers_are_named(table, column):
    X, y = table
    given = X.assign(strange=column)
    for frame in [given] if column.dtype == "category" else [given, pl.from_pandas(given)]:
        with pytest.raises(ValueError, match=r"'strange'.*OneHotEncoder"):
            LinearRegressor().fit(frame, y)


def test_weights_and_held_out_rows_are_routed_through_a_pipeline(table):
    X, y = table
    X = X.to_numpy()
    weight = np.random.default_rng(1).uniform(0.1, 3, len(X))
    with sklearn.config_context(enable_metadata_routing=True):
        regressor = LinearRegressor().set_fit_request(sample_weight=True, X_val=True, y_val=True)
        pipeline = Pipeline(
            [("scaler", StandardScaler().set_fit_request(sample_weight=False)), ("own", regressor)], transform_input=["X_val"]
        )
        pipeline.fit(X[:80], y[:80], sample_weight=weight[:80], X_val=X[80:], y_val=y[80:])
        scores = cross_validate(regressor.set_score_request(sample_weight=True), X, y, params={"sample_weight": weight})
        groups = np.arange(len(X)) % 4
        chosen = LinearRegressorCV(l2s=[0.1], cv=GroupKFold(2)).set_fit_request(groups=True)
        voted = make_pipeline(StandardScaler(), chosen).fit(X, y, groups=groups)
    assert voted[-1].n_splits_ == 2
    peer = LinearRegression().fit(X[:80], y[:80], weight[:80])
    np.testing.assert_allclose(pipeline.predict(X), peer.predict(X), rtol=1e-9)
    validation = pipeline[-1].history_[-1]["validation"]
    assert validation == pytest.approx(0.5 * np.mean((pipeline.predict(X[80:]) - y[80:]) ** 2))
    assert np.all(scores["test_score"] > 0.9)

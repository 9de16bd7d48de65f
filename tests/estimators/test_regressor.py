"""LinearRegressor: what it leaves behind, how it warns and refuses, held-out rows, warm starts, intervals."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LinearRegression

import gradline as gl
from gradline.errors import GradlineWarning
from gradline.sklearn import LinearRegressor
from gradline.sklearn.words import EstimatorError, in_python


def table(rows=200, columns=3, seed=0, noise=1.0):
    random = np.random.default_rng(seed)
    X = random.normal(size=(rows, columns)) * np.geomspace(1, 30, columns)
    return X, X @ np.arange(1.0, columns + 1) + 2.0 + noise * random.normal(size=rows)


def test_the_fit_is_that_of_gradline_train_with_its_proof():
    X, y = table()
    own = LinearRegressor(l2=0.1).fit(X, y)
    with pytest.warns(GradlineWarning, match="held out"):
        model = gl.train(X, y, l2=0.1, validation=0, test=0, assess="no")
    assert list(model.coefficients.values()) == own.coef_.tolist()
    assert own.certificate_ == model.certificate
    assert own.certificate_.relative_gap <= 1e-12
    assert own.n_iter_ == model.result["steps"]
    assert own.model_.result["metrics"]["train"] == model.result["metrics"]["train"]


def test_the_history_is_a_frame_of_the_steps():
    X, y = table()
    own = LinearRegressor(optimizer="gradient_descent", learning_rate=0.5).fit(X, y)
    frame = pd.DataFrame(own.history_)
    assert frame["step"].tolist() == list(range(own.n_iter_ + 1))
    assert frame["objective"].is_monotonic_decreasing
    assert frame["validation"].isna().all()
    assert isinstance(LinearRegressor().fit(X, np.column_stack([y, y + X[:, 0]])).history_[1][0], dict)


@pytest.mark.parametrize("name", ["coef_", "certificate_", "history_", "warnings_", "model_", "models_", "n_iter_"])
def test_before_a_fit_there_is_nothing(name):
    assert not hasattr(LinearRegressor(), name)
    with pytest.raises(NotFittedError):
        LinearRegressor().predict([[1.0]])


def test_a_clean_fit_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        own = LinearRegressor().fit(*table())
    assert [each["code"] for each in own.warnings_] == ["nothing_held_out"]  # which the user of an estimator does himself


def test_a_doubt_is_a_warning_at_the_line_of_the_fit():
    X, y = table()
    with pytest.warns(GradlineWarning, match="leave out") as told:
        LinearRegressor().fit(np.column_stack([X, X[:, 0] - X[:, 1]]), y)
    assert told[0].filename == __file__
    assert not any("--" in str(each.message) for each in told)
    with pytest.warns(GradlineWarning) as told:
        LinearRegressor().partial_fit(np.column_stack([X, X[:, 0]]), y)
    assert told[0].filename == __file__


def test_a_doubt_of_all_targets_is_told_once():
    X, y = table()
    with pytest.warns(GradlineWarning) as told:
        LinearRegressor().fit(np.column_stack([X, X[:, 0]]), np.column_stack([y, -y, X[:, 1] + np.sin(y)]))
    assert len(told) == 1
    assert not str(told[0].message).startswith("y")


def test_a_run_that_does_not_converge_is_a_convergence_warning():
    with pytest.warns(ConvergenceWarning, match="max_steps") as told:
        own = LinearRegressor(max_steps=1).fit(*table())
    assert isinstance(told[0].message, GradlineWarning)
    assert own.n_iter_ == 1
    assert own.model_.stop_reason.word == "max_steps"


def test_few_rows_are_no_doubt_where_there_is_a_penalty():
    X, y = table(rows=4, columns=5)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        LinearRegressor().fit(X, y)
    assert any("4 training rows for 5 features" in str(each.message) for each in told)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LinearRegressor(l2=0.1).fit(X, y)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "absolute"}, "loss 'absolute' is not known"),
        ({"l2": -1.0}, "l2=-1.0 is not a penalty"),
        ({"l2": "auto"}, "LinearRegressorCV"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"learning_rate": 1e6}, 'not stable.*learning_rate="auto"'),
        ({"optimizer": "sgd"}, "averaged_sgd"),
        ({"scaling": "robust"}, "scaling 'robust'"),
        ({"stop": "validation"}, "X_val and y_val"),
        ({"interval": "conformal"}, "X_val and y_val"),
        ({"max_steps": 2.5}, "max_steps is 2.5"),
        ({"random_state": "seed"}, "seed"),
        ({"threads": 0}, "threads=0"),
        ({"quantile": 0.7}, 'loss="pinball"'),
    ],
    ids=str,
)
def test_wrong_settings_are_value_errors_in_python_words(settings, message):
    own = LinearRegressor(**settings)  # as scikit-learn has it, the constructor looks at nothing
    with pytest.raises(ValueError, match=message) as raised:
        own.fit(*table())
    assert "--" not in str(raised.value)


def test_flags_of_the_command_line_become_parameters():
    assert in_python("Use --scaling standard, or --l2.") == 'Use scaling="standard", or l2.'
    assert in_python("--interval jackknife+.") == 'interval="jackknife+".'
    assert in_python("drop it: --drop x1.") == "drop it: leave out x1."
    assert in_python("give a number: --learning-rate 0.5") == "give a number: learning_rate=0.5"


def test_an_error_survives_a_pickle():
    error = pickle.loads(pickle.dumps(EstimatorError("what", "hint")))
    assert isinstance(error, ValueError)
    assert str(error) == "what Hint: hint"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X, y: (X, y, -np.ones(len(y))), "sample_weight is -1 in row 0"),
        (lambda X, y: (X, y, np.ones(3)), "shape"),
        (lambda X, y: (X, y, np.ones((len(y), 2))), "sample_weight|shape"),
        (lambda X, y: (X, y, np.full(len(y), np.nan)), "sample_weight contains NaN"),
        (lambda X, y: (np.where(X > 2, np.inf, X), y), "infinity"),
        (lambda X, y: (X, np.where(y > 2, np.nan, y)), "NaN"),
        (lambda X, y: (1e200 * X, y), "overflow"),
        (lambda X, y: (X, sp.csr_array(y[:, None])), "y|Sparse"),
        (lambda X, y: (X[:5], y), "inconsistent"),
    ],
)
def test_what_cannot_be_trained_on_is_a_value_error(change, message):
    with pytest.raises((ValueError, TypeError), match=message):
        LinearRegressor().fit(*change(*table()))


def test_held_out_rows_are_told_of_and_stop_early():
    X, y = table(rows=60, columns=40, noise=30.0)
    settings = {"optimizer": "gradient_descent", "learning_rate": 0.1, "stop": "validation", "tolerance": 1e-4}
    own = LinearRegressor(**settings).fit(X[:45], y[:45], X_val=X[45:], y_val=y[45:])
    losses = [step["validation"] for step in own.history_]
    of_fit = 0.5 * np.mean((own.predict(X[45:]) - y[45:]) ** 2)
    assert of_fit == pytest.approx(min(losses))
    assert own.model_.stop_reason.word == "validation"
    assert own.score(X[45:], y[45:]) > LinearRegression().fit(X[:45], y[:45]).score(X[45:], y[45:])
    assert "nothing_held_out" not in [each["code"] for each in own.warnings_]
    assert own.model_.result["rows"]["validation"] == 15


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("kept", [False, True])
def test_held_out_rows_may_be_weighted_and_sparse(kept, same):
    X, y = table()
    weight = np.random.default_rng(3).uniform(0.1, 3, 50)
    settings = {"oracle": "streamed"} if kept else {}
    given = sp.csr_array(X[:150]), y[:150], None
    held_out = sp.csr_array(X[150:]) if same else X[150:]
    own = LinearRegressor(**settings).fit(*given, X_val=held_out, y_val=y[150:], sample_weight_val=weight)
    squared = (own.predict(X[150:]) - y[150:]) ** 2
    assert own.history_[-1]["validation"] == pytest.approx(0.5 * np.average(squared, weights=weight))
    np.testing.assert_allclose(own.coef_, LinearRegression().fit(X[:150], y[:150]).coef_, rtol=1e-9)


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        ({"y_val": [1.0]}, "without X_val"),
        ({"X_val": [[1.0, 2.0, 3.0]]}, "without y_val"),
        ({"X_val": [[1.0]], "y_val": [1.0]}, "features"),
    ],
)
def test_half_of_the_held_out_rows_is_refused(held_out, message):
    with pytest.raises(ValueError, match=message):
        LinearRegressor().fit(*table(), **held_out)


@pytest.mark.parametrize("scaling", ["standard", "none"])
@pytest.mark.parametrize("targets", [1, 2])
def test_a_warm_start_begins_where_the_last_fit_ended(scaling, targets):
    X, y = table(rows=3000)
    X /= [1, 5, 10]
    y = y if targets == 1 else np.column_stack([y, y + X[:, 0]])
    settings = {"optimizer": "gradient_descent", "scaling": scaling, "stop": "gap", "tolerance": 1e-10}
    own = LinearRegressor(warm_start=True, **settings).fit(X, y)
    cold = np.array(own.n_iter_)
    first = own.history_[0] if targets == 1 else own.history_[0][0]
    own.fit(X, y)
    again = own.history_[0] if targets == 1 else own.history_[0][0]
    assert first["relative_gap"] > 0.9
    assert again["relative_gap"] <= 1e-10
    assert np.all(np.array(own.n_iter_) == 0)
    own.fit(X[:2900], y[:2900])
    assert np.all((np.array(own.n_iter_) > 0) & (np.array(own.n_iter_) < cold))


def test_a_warm_start_goes_on_by_steps():
    """Two times five steps are ten: gradient descent has no memory."""
    X, y = table(rows=3000)
    settings = {"optimizer": "gradient_descent", "learning_rate": 0.3, "stop": "gap", "tolerance": 1e-14}
    own = LinearRegressor(max_steps=5, warm_start=True, **settings)
    with pytest.warns(ConvergenceWarning):
        own.fit(X, y)
    with pytest.warns(ConvergenceWarning):
        own.fit(X, y)
    with pytest.warns(ConvergenceWarning):
        ten = LinearRegressor(max_steps=10, **settings).fit(X, y)
    np.testing.assert_allclose(own.coef_, ten.coef_, rtol=1e-12)


def test_a_warm_start_with_other_columns_is_refused():
    X, y = table()
    own = LinearRegressor(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="warm_start"):
        own.fit(X[:, :2], y)


@pytest.mark.parametrize(
    ("X", "y", "coefficients", "intercept"),
    [
        ([[1.0, 2.0]], [3.0], [0.0, 0.0], 3.0),
        ([[1.0], [2.0], [3.0]], [4.0, 4.0, 4.0], [0.0], 4.0),
        ([[5.0], [5.0], [5.0]], [1.0, 2.0, 6.0], [0.0], 3.0),
    ],
)
def test_where_nothing_varies_the_mean_is_the_answer(X, y, coefficients, intercept):
    with pytest.warns(GradlineWarning, match="every coefficient is 0"):
        own = LinearRegressor().fit(X, y)
    assert own.coef_.tolist() == coefficients
    assert own.intercept_ == intercept
    assert own.certificate_.gap == 0.0
    assert own.certificate_.objective == pytest.approx(np.var(y) / 2)
    assert own.history_ == []
    assert not hasattr(own, "model_")
    with pytest.raises(ValueError, match="no model to save"):
        own.save("nowhere")


def test_a_target_that_does_not_vary_beside_one_that_does():
    X, y = table()
    with pytest.warns(GradlineWarning, match="y1: the target is 7"):
        own = LinearRegressor().fit(X, np.column_stack([y, np.full(len(y), 7.0)]))
    assert own.coef_[1].tolist() == [0.0, 0.0, 0.0]
    assert own.intercept_[1] == 7.0
    np.testing.assert_allclose(own.coef_[0], LinearRegression().fit(X, y).coef_, rtol=1e-9)


def test_a_constant_column_that_would_be_a_penalised_intercept_is_refused():
    X, y = table()
    X[:, 0] = 2.0
    with pytest.raises(ValueError, match="fit_intercept=False"):
        LinearRegressor(fit_intercept=False, l2=0.1, scaling="none").fit(X, y)


@pytest.mark.filterwarnings("ignore:.*outside the training range")
@pytest.mark.parametrize("method", ["jackknife+", "conformal", "quantile"])
@pytest.mark.parametrize("named", [False, True])
def test_intervals_hold_the_share_of_new_rows_that_was_asked_for(method, named):
    X, y = table(rows=1500)
    X = pd.DataFrame(X, columns=["a", "b", "c"]) if named else X
    held_out = {} if method == "jackknife+" else {"X_val": X[500:1000], "y_val": y[500:1000]}
    own = LinearRegressor(interval=method, coverage=0.8).fit(X[:500], y[:500], **held_out)
    predicted, low, high = own.predict(X[1000:], return_interval=True)
    assert np.array_equal(predicted, own.predict(X[1000:]))
    assert np.mean((low <= y[1000:]) & (y[1000:] <= high)) == pytest.approx(0.8, abs=0.06)


def test_without_intervals_there_are_none():
    X, y = table()
    with pytest.raises(ValueError, match="jackknife"):
        LinearRegressor().fit(X, y).predict(X, return_interval=True)


def test_robust_errors_are_in_the_model():
    X, y = table()
    robust, classical = (LinearRegressor(errors=kind).fit(X, y).model_.result["inference"] for kind in ("HC1", "classical"))
    assert robust["errors"] == "HC1"
    assert robust != classical


def test_names_that_gradline_uses_otherwise_are_not_the_model_s():
    X, y = table()
    own = LinearRegressor().fit(pd.DataFrame(X, columns=["day.month", "b", "c"]), y)
    assert list(own.model_.coefficients) == ["x0", "x1", "x2"]
    own = LinearRegressor().fit(pd.DataFrame(X, columns=["y", "sample_weight", "id"]), y, np.ones(len(y)))
    assert own.model_.contract.target == "y_"
    np.testing.assert_allclose(own.coef_, LinearRegression().fit(X, y).coef_, rtol=1e-9)


def test_gradline_alone_imports_no_scikit_learn():
    code = "import gradline, gradline.api, gradline.cli.main, sys; assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

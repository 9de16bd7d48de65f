"""scikit-learn's callbacks: each step of the loop is a task of the fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV

from gradline.sklearn import LinearRegressor

pytestmark = pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")
callbacks = pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks from version 1.9 on")


@pytest.fixture
def table():
    random = np.random.default_rng(0)
    X = pd.DataFrame({"miles": random.uniform(100, 2500, 120), "hour": random.integers(5, 23, 120).astype(float)})
    return X, 18.0 + 0.12 * X["miles"] + random.normal(size=120)


class Recorder:
    """A callback that sees every step, and ends the run at one of them."""

    def __init__(self, last=None):
        self.events, self.steps, self.last = [], [], last

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        if context.task_name == "fit":
            self.events.append("begin")

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        if context.task_name == "step":
            self.steps.append(None if fitted_estimator is None else fitted_estimator.score(X, y))
            return context.task_id == self.last
        if fitted_estimator is not None:
            self.events.append((context.task_name, fitted_estimator.score(X, y)))
        return False


def test_a_callback_sees_the_estimator_at_every_step(table):
    X, y = table
    recorder = Recorder()
    own = LinearRegressor(optimizer="gradient_descent", learning_rate=0.3).set_callbacks(recorder).fit(X, y)
    assert recorder.events[:2] == ["setup", "begin"]
    assert recorder.events[2:] == [("fit", own.score(X, y)), "teardown"]
    assert len(recorder.steps) == own.n_iter_ + 1
    assert recorder.steps[0] < recorder.steps[1] < recorder.steps[-1] == pytest.approx(own.score(X, y))
    assert np.array_equal(LinearRegressor(optimizer="gradient_descent", learning_rate=0.3).fit(X, y).coef_, own.coef_)


def test_a_callback_can_end_the_run(table):
    X, y = table
    own = LinearRegressor(optimizer="gradient_descent", learning_rate=0.3).set_callbacks(Recorder(last=3)).fit(X, y)
    assert own.n_iter_ == 3
    assert own.model_.stop_reason.word == "monitor"


def test_a_callback_sees_the_steps_of_each_of_several_targets(table):
    X, y = table
    recorder = Recorder()
    own = LinearRegressor().set_callbacks(recorder).fit(X, np.column_stack([y, -y]))
    assert len(recorder.steps) == sum(own.n_iter_) + 2
    assert recorder.steps[0] is None


def test_the_scoring_monitor_keeps_a_score_of_every_step(table):
    X, y = table
    monitor = callbacks.ScoringMonitor(scoring="r2")
    own = LinearRegressor().set_callbacks(monitor).fit(X, y)
    scores = [entry["r2"] for entry in monitor.get_logs().data]
    assert len(scores) == own.n_iter_ + 2  # and of the whole fit
    assert scores[-1] == pytest.approx(own.score(X, y))


def test_a_search_passes_its_callbacks_on(table):
    class Propagated(Recorder):
        max_propagation_depth = None

    X, y = table
    recorder = Propagated()
    search = GridSearchCV(LinearRegressor(), {"l2": [0.0, 0.1]}, cv=2).set_callbacks(recorder)
    search.fit(X, y)
    assert len(recorder.steps) > 4

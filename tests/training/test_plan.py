from __future__ import annotations

import json

import numpy as np
import pytest

from gradline.errors import StabilityError, UsageError
from gradline.training.config import TrainConfig
from gradline.training.plan import LEAST_BUDGET, MOST_BUDGET, make_plan, steepest_features
from gradline.updates.conjugate_gradient import ConjugateGradient
from gradline.updates.gradient_descent import GradientDescent
from reference import dense_problem, random_problem


def plan(problem, reads=1, **settings):
    config = TrainConfig(target="y", **settings)
    return make_plan(config, problem.posed, np.zeros(problem.coordinates.size), reads)


def ill_conditioned(seed=0, nearness=1e-2):
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=(3, 80))
    return dense_problem(np.column_stack([a, a + nearness * b, c]), a + c + rng.normal(size=80))


def test_few_steps_are_taken_by_gradient_descent_with_the_best_fixed_rate():
    problem = random_problem(0, p=2, m=300)
    found = plan(problem)
    values = np.linalg.eigvalsh(problem.Z.T @ problem.Z / 300)
    assert found.optimizer == "gradient_descent"
    assert found.learning_rate == pytest.approx(2 / (values[0] + values[-1]))
    assert found.learning_rate_limit == pytest.approx(2 / values[-1])
    assert found.rule == GradientDescent(found.learning_rate)
    assert found.oracle == "moments"
    assert found.coordinates == "standard"
    assert found.overflow_step is None


def test_many_steps_are_taken_by_conjugate_gradients_without_a_rate():
    found = plan(ill_conditioned())
    assert found.optimizer == "conjugate_gradient"
    assert found.learning_rate is None
    assert found.learning_rate_limit is None
    assert found.rule == ConjugateGradient()


def test_what_is_asked_for_is_done():
    assert plan(ill_conditioned(), optimizer="gradient_descent").optimizer == "gradient_descent"
    assert plan(random_problem(1), optimizer="conjugate_gradient").optimizer == "conjugate_gradient"
    given = plan(random_problem(1), learning_rate=0.01)
    assert (given.optimizer, given.learning_rate) == ("gradient_descent", 0.01)
    assert plan(random_problem(1), oracle="streamed").oracle == "streamed"
    with pytest.raises(UsageError, match="chooses its own step sizes"):
        plan(random_problem(1), optimizer="conjugate_gradient", learning_rate=0.1)


def test_where_every_step_is_a_read_fewer_are_afforded():
    problem = ill_conditioned(nearness=0.5)
    steps = plan(problem).predicted_steps
    assert 50 < steps < 1000
    assert plan(problem, oracle="streamed").optimizer == "conjugate_gradient"


@pytest.mark.parametrize("scaling", ["standard", "none"])
@pytest.mark.parametrize("share", [1.0, 1.001, 100.0])
def test_an_unstable_rate_is_refused_with_the_limit_and_the_steepest_features(scaling, share):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(60, 3)) * [1.0, 30.0, 1.0]
    X[:, 0] = 0.9 * X[:, 2] + 0.1 * X[:, 0]  # steepest in standard coordinates: x0 and x2; in raw ones: x1
    problem = dense_problem(X, X @ [1.0, 2.0, 3.0] + rng.normal(size=60), scaling=scaling)
    limit = 2 / np.linalg.eigvalsh(problem.Z.T @ problem.Z / 60)[-1]
    with pytest.raises(StabilityError, match=f"2/L = {limit:.6g}") as caught:
        plan(problem, learning_rate=share * problem.solution.curvature_max**-1 * 2)
    assert ("x1" in caught.value.message) == (scaling == "none")
    assert ("x0" in caught.value.message) == (scaling == "standard")
    assert ("x2" in caught.value.message) == (scaling == "standard")
    assert "--force" in caught.value.hint


def test_a_rate_just_below_the_limit_is_taken():
    problem = random_problem(3)
    found = plan(problem, learning_rate=1.999 / problem.solution.curvature_max)
    assert found.predicted_steps > 100


def test_by_force_an_unstable_rate_is_run_and_its_overflow_foretold():
    problem = random_problem(4)
    found = plan(problem, learning_rate=3 / problem.solution.curvature_max, force=True)
    assert found.predicted_steps is None
    # along the steepest direction J grows by 4 a step
    assert 300 < found.overflow_step < 1024 / 2 + 10


def test_the_intercept_can_be_the_steepest():
    rng = np.random.default_rng(5)
    problem = dense_problem(0.01 * rng.normal(size=(40, 2)), rng.normal(size=40), scaling="none")
    assert steepest_features(problem.solution, problem.posed.names) == ["the intercept"]


def test_budgets_leave_room_beside_the_prediction():
    found = plan(random_problem(0, p=2, m=300))
    assert found.budget(None) == max(LEAST_BUDGET, found.predicted_steps)
    assert found.budget(3) == 3
    assert found.budget(0) == 0
    slow = plan(ill_conditioned(nearness=4e-2), optimizer="gradient_descent")
    assert slow.predicted_steps > LEAST_BUDGET
    assert slow.predicted_steps * 1.1 < slow.budget(None) <= MOST_BUDGET
    never = plan(random_problem(4), learning_rate=3 / random_problem(4).solution.curvature_max, force=True)
    assert never.budget(None) == LEAST_BUDGET


def test_json_is_strict_and_complete():
    for found in (plan(random_problem(0)), plan(ill_conditioned())):
        document = json.loads(json.dumps(found.to_json(), allow_nan=False))
        names = {"oracle", "optimizer", "learning_rate", "learning_rate_limit", "coordinates", "predicted_steps", "stages"}
        assert set(document) >= names
        assert document["stages"] == list(found.stages)


def test_stages_tell_how_often_the_data_are_read():
    assert plan(random_problem(0), reads=1).stages[0] == "one read: moments"
    assert plan(random_problem(0), reads=2).stages[0] == "two reads: moments"


def test_raw_columns_that_float64_cannot_follow_are_refused():
    rng = np.random.default_rng(6)
    X = rng.normal(size=(50, 2)) + np.array([1e9, 0.0])
    problem = dense_problem(X, X @ [1.0, 1.0] + rng.normal(size=50), scaling="none")
    with pytest.raises(StabilityError, match="--scaling none"):
        plan(problem)

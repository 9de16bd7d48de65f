"""What becomes of a learning rate past its limit, and of a run stopped by its validation loss."""

import numpy as np
import pytest

import gradline as gl
from gradline.errors import StabilityError, UsageError
from gradline.maths.quadratic import quadratic_loss
from gradline.types import Role
from reference import fit

ALL = {"validation": 0.0, "test": 0.0}


def table(seed=0, m=300, p=5):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, p)) @ rng.normal(size=(p, p))
    return X, X @ rng.normal(size=p) + rng.normal(size=m)


@pytest.mark.parametrize("optimizer", ["gradient_descent", "momentum", "nesterov"])
def test_a_diverging_rate_is_halved_from_the_best_step_until_it_converges(optimizer):
    X, y = table()
    with pytest.raises(StabilityError, match="not stable"):
        fit(X, y, optimizer=optimizer, learning_rate=40.0, **ALL)
    model = fit(X, y, optimizer=optimizer, learning_rate=40.0, on_divergence="shrink", max_steps=500_000, **ALL)
    assert model.result["stopped"]["reason"] == "certified"
    rates = list(dict.fromkeys(model.history["learning_rate"].to_pylist()))
    assert rates == [40.0 / 2**i for i in range(len(rates))]
    assert rates[-1] < 40.0
    [notice] = [n for n in model.notices if n.code == "learning_rate_shrunk"]
    assert f"{rates[-1]:.6g}" in notice.message
    best = fit(X, y, **ALL)
    assert model.coefficients == pytest.approx(best.coefficients, rel=1e-8)


def test_divergence_is_seen_within_a_few_steps_and_leaves_finite_parameters():
    X, y = table()
    model = fit(X, y, learning_rate=40.0, force=True, **ALL)
    assert model.result["stopped"]["reason"] == "diverged"
    assert model.result["steps"] <= 5
    assert np.isfinite(list(model.coefficients.values())).all()
    assert not [n for n in model.notices if n.code == "few_digits"]
    [notice] = [n for n in model.notices if n.code == "not_converged"]
    assert "learning rate" in notice.message


def test_stopping_by_validation_keeps_the_parameters_of_its_best_step():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(120, 60))
    y = 2.0 * X[:, 0] - 2.0 * X[:, 1] + 2.0 * rng.normal(size=120)
    model = fit(X, y, optimizer="gradient_descent", stop="validation", patience=20, validation=0.4, test=0.0)
    assert model.result["stopped"]["reason"] == "validation"
    losses = np.array(model.history["validation"].to_pylist())
    best = int(np.argmin(losses))
    assert 0 < best < len(losses) - 1
    loss = quadratic_loss(model.moments[Role.VALIDATION], model.coordinates)
    assert loss.value(model.theta) == losses[best]
    converged = fit(X, y, validation=0.4, test=0.0)
    assert losses[best] < loss.value(converged.theta)


def test_stopping_by_validation_needs_validation_rows():
    X, y = table()
    with pytest.raises(UsageError, match="validation"):
        fit(X, y, stop="validation", **ALL)


@pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")
def test_stable_momentum_may_overshoot_by_more_than_a_million():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 2_000))
    X = np.column_stack([a, a + b * np.sqrt(4 / 1e7)])
    y = X @ [1.0, 2.0] + 0.1 * rng.normal(size=2_000)
    model = gl.train(X, y, optimizer="momentum", max_steps=8_000, validation=0.0, test=0.0)  # it converges after 50,000
    objective = np.array(model.history["objective"].to_pylist())
    assert objective.max() > 1e6 * objective[0]
    assert model.stop_reason is gl.StopReason.MAX_STEPS
    assert objective[-1] < 1e-2 * objective.max()


@pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")
@pytest.mark.parametrize("batch", [1, 32, 256])
def test_momentum_on_mini_batches_is_stable_below_its_limit_and_not_far_above(batch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2_000, 8))
    X[:, 1] = X[:, 0] + 0.1 * X[:, 1]
    y = X @ np.ones(8) + rng.normal(size=2_000)
    settings = {
        "oracle": "minibatch",
        "sampling": "replacement",
        "optimizer": "momentum",
        "batch_size": batch,
        "patience": 10_000,
    }
    settings |= {"max_steps": 3_000, "validation": 0.0, "test": 0.0}
    calm = gl.train(X, y, **settings)
    assert calm.certificate.relative_gap < 0.1
    near = gl.train(X, y, learning_rate=0.95 * calm.plan["learning_rate_limit"], **settings)
    assert near.stop_reason is not gl.StopReason.DIVERGED
    past = gl.train(X, y, learning_rate=1.5 * calm.plan["learning_rate_limit"], force=True, **settings)
    assert past.stop_reason is gl.StopReason.DIVERGED
    assert np.isfinite(past.theta).all()


@pytest.mark.parametrize("optimizer", ["momentum", "nesterov", "averaged_sgd"])
def test_a_schedule_that_a_rule_does_not_take_is_not_ignored(optimizer):
    X, y = table()
    with pytest.raises(UsageError, match="--schedule cosine needs a rule that takes one"):
        gl.train(X, y, oracle="minibatch", optimizer=optimizer, schedule="cosine", **ALL)

from __future__ import annotations

import numpy as np
import pytest

from gradline.maths.coordinates import Coordinates

EVERY = [(name, intercept) for name in ("standard", "none") for intercept in (True, False)]
every = pytest.mark.parametrize(("name", "intercept"), EVERY)

MEAN = np.array([3.0, -1000.0, 0.5])
DEVIATION = np.array([2.0, 0.01, 40.0])


def of(name, intercept):
    return Coordinates.of(name, MEAN, DEVIATION, intercept=intercept)


@every
def test_the_users_parameters_predict_what_the_loops_do(name, intercept):
    rng = np.random.default_rng(0)
    X = MEAN + DEVIATION * rng.normal(size=(20, 3))
    coordinates = of(name, intercept)
    theta = rng.normal(size=coordinates.size)
    w, b = coordinates.weights_and_bias(theta)
    user = coordinates.to_user(theta)
    assert X @ user.coefficients + user.intercept == pytest.approx(coordinates.transformed(X) @ w + b, rel=1e-10, abs=1e-9)


@every
def test_theta_is_found_again_from_the_users_parameters(name, intercept):
    coordinates = of(name, intercept)
    theta = np.arange(1.0, coordinates.size + 1)
    user = coordinates.to_user(theta)
    w = user.coefficients * coordinates.scale
    b = user.intercept + user.coefficients @ coordinates.centre
    assert np.append(w, b)[: coordinates.size] == pytest.approx(theta, rel=1e-10)
    assert coordinates.from_user(user.coefficients, user.intercept) == pytest.approx(theta, rel=1e-10)


@pytest.mark.parametrize("name", ["standard", "none"])
def test_without_an_intercept_there_is_none_in_the_users_units_either(name):
    coordinates = of(name, intercept=False)
    assert coordinates.size == 3
    assert coordinates.to_user(np.ones(3)).intercept == 0.0


def test_standard_coordinates_have_mean_zero_and_deviation_one():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(50, 2)) * [3.0, 0.1] + [7.0, -2.0]
    Z = Coordinates.of("standard", X.mean(axis=0), X.std(axis=0), intercept=True).transformed(X)
    assert Z.mean(axis=0) == pytest.approx([0.0, 0.0], abs=1e-12)
    assert Z.std(axis=0) == pytest.approx([1.0, 1.0], rel=1e-12)


def test_without_an_intercept_standard_only_scales():
    assert of("standard", intercept=False).transformed(DEVIATION[None, :]) == pytest.approx(np.ones((1, 3)))


@pytest.mark.parametrize("intercept", [True, False])
def test_none_leaves_the_columns_as_they_are(intercept):
    X = np.arange(6.0).reshape(2, 3)
    assert np.array_equal(of("none", intercept).transformed(X), X)


@every
def test_standard_coordinates_are_the_change_of_predictions_per_deviation_and_at_the_mean(name, intercept):
    coordinates = of(name, intercept)
    delta = np.random.default_rng(2).normal(size=coordinates.size)
    user = coordinates.to_user(delta)
    changes = coordinates.to_standard(delta)
    assert changes.shape == (coordinates.size,)
    assert changes[:3] == pytest.approx(user.coefficients * DEVIATION, rel=1e-12)
    if intercept:
        assert changes[3] == pytest.approx(user.intercept + user.coefficients @ MEAN, rel=1e-9, abs=1e-9)


@every
def test_standard_coordinates_mean_the_same_model(name, intercept):
    coordinates = of(name, intercept)
    theta = np.random.default_rng(3).normal(size=coordinates.size)
    standard = coordinates.standard()
    here, there = coordinates.to_user(theta), standard.to_user(coordinates.to_standard(theta))
    assert there.coefficients == pytest.approx(here.coefficients, rel=1e-12)
    assert there.intercept == pytest.approx(here.intercept, rel=1e-10, abs=1e-9)
    assert standard.to_standard(theta) == pytest.approx(theta, rel=1e-12)

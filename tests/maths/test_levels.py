"""A problem solved by its largest category is the problem solved by the eigendecomposition."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from gradline.maths import levels
from gradline.maths.block import block_moments
from gradline.maths.coordinates import Coordinates
from gradline.maths.levels import PROVED, Absorbed, Category, Excluding, solve_by_levels
from gradline.maths.quadratic import quadratic_loss, solve
from gradline.types import NumberColumn
from gradline.updates import rules
from reference import every_setting

LEVELS, ROWS = 120, 4_000


def table(seed=0, rows=ROWS, near=0.3, weighted=False):
    """(X, y, weight, at): numbers that depend on the levels and nearly on each other, a small category, and a large one."""
    rng = np.random.default_rng(seed)
    share = 1.0 / (np.arange(LEVELS + 1) + 3.0)
    large = np.concatenate([np.arange(LEVELS + 1), rng.choice(LEVELS + 1, size=rows - LEVELS - 1, p=share / share.sum())])
    small = rng.integers(0, 4, rows)
    z = rng.normal(size=(rows, 3)) + 0.1 * large[:, None] ** 0.5
    numbers = np.column_stack([5.0 + z[:, 0], 40.0 * z[:, 1], z[:, 0] - z[:, 1] + near * z[:, 2]])
    indicators = [(large == level).astype(float) for level in range(1, LEVELS + 1)]
    X = np.column_stack([numbers[:, :2], *indicators, numbers[:, 2], *[(small == level).astype(float) for level in (1, 2, 3)]])
    y = X @ rng.normal(size=X.shape[1]) + rng.normal(size=rows)
    return X, y, rng.integers(0, 4, rows) + 0.5 if weighted else None, np.arange(2, 2 + LEVELS)


def both(settings, **made):
    """The loss, and its solution by the levels and by the eigendecomposition."""
    return _both(tuple(settings.items()), **made)


@lru_cache
def _both(settings, **made):
    settings = dict(settings)
    X, y, weight, at = table(**made)
    moments = block_moments([NumberColumn(f"c{j}", x) for j, x in enumerate([*X.T, y])], [], len(y), weight)
    mean = moments.mean[:-1]
    deviation = np.sqrt(np.diag(moments.comoment)[:-1] / moments.weight)
    coordinates = Coordinates.of(settings["scaling"], mean, deviation, intercept=settings["intercept"])
    loss = quadratic_loss(moments, coordinates, settings["l2"])
    return loss, solve_by_levels(loss, Category(at, mean[at]), coordinates.scale), solve(loss)


@every_setting
@pytest.mark.parametrize("weighted", [False, True])
def test_minimiser_minimum_and_spectrum_are_those_of_the_eigendecomposition(settings, weighted):
    _, found, known = both(settings, weighted=weighted)
    assert found is not None
    assert (
        np.abs(found.minimiser - known.minimiser).max() <= 1e-13 * np.abs(known.minimiser).max() * np.log10(known.condition) ** 2
    )
    assert found.minimum == pytest.approx(known.minimum, rel=1e-12)
    assert found.rounding == pytest.approx(known.rounding, rel=1e-9)
    assert found.curvature_max == pytest.approx(known.curvature_max, rel=2 * PROVED)
    assert found.curvature_min == pytest.approx(known.curvature_min, rel=1e-8)


@every_setting
def test_gap_distance_and_inverse_are_those_of_the_eigendecomposition(settings):
    loss, found, known = both(settings)
    rng = np.random.default_rng(1)
    k = len(loss.linear)
    inverse, X = np.linalg.inv(loss.hessian), rng.normal(size=(k, 2))
    for size in (1.0, 1e-7):
        theta = known.minimiser + size * rng.normal(size=k)
        assert found.gap(theta) == pytest.approx(known.gap(theta), rel=1e-7)
        assert found.distance(theta) == pytest.approx(known.distance(theta), rel=1e-5, abs=1e-6 * size)
    assert found.inverse() == pytest.approx(inverse, rel=1e-6, abs=1e-8 * np.abs(inverse).max())
    assert found.inverse_diagonal() == pytest.approx(np.diag(inverse), rel=1e-8)
    assert found.inverse_times(X[:, 0]) == pytest.approx(inverse @ X[:, 0], rel=1e-6, abs=1e-7 * np.abs(inverse @ X[:, 0]).max())
    assert found.absolute_inverse_times(X) == pytest.approx(
        np.abs(inverse) @ X, rel=1e-6, abs=1e-7 * np.abs(np.abs(inverse) @ X).max()
    )


@pytest.mark.parametrize("near", [0.3, 0.01])
@pytest.mark.parametrize("name", rules.NAMES)
def test_a_forecast_from_what_the_steps_see_is_that_from_all_of_the_spectrum(name, near):
    loss, found, known = both({"scaling": "standard", "intercept": True, "l2": 0.0}, near=near)
    reached = reaching(known.gap(np.zeros(len(loss.linear))))
    theta = np.zeros(len(loss.linear))
    fast, slow = (rules.candidate(name, solution, theta, reached) for solution in (found, known))
    for one, other in ((fast.limit, slow.limit), (fast.rule.learning_rate, slow.rule.learning_rate)):
        assert (one is None) == (other is None)
        assert one is None or one == pytest.approx(other, rel=1e-8)
    if slow.steps is None and name == "adam":
        assert fast.steps is None
    elif name != "barzilai_borwein":  # whose steps are decided by rounding, after some dozens
        assert fast.steps == pytest.approx(slow.steps, rel=0.01, abs=2)


def test_a_learning_rate_past_the_limit_overflows_at_the_step_foretold_from_all_of_the_spectrum():
    loss, found, known = both({"scaling": "standard", "intercept": True, "l2": 0.0})
    theta, alpha = np.zeros(len(loss.linear)), 2.2 / known.curvature_max
    fast, slow = (
        rules.candidate("gradient_descent", solution, theta, reaching(1.0), learning_rate=alpha) for solution in (found, known)
    )
    assert not fast.stable
    assert fast.overflow == pytest.approx(slow.overflow, abs=1)


def reaching(first):
    """A tolerance of the gap and of each coefficient, relative to the first gap."""

    def reached(gap, distance):
        return gap <= 1e-12 * first and bool(np.abs(distance()).max() <= 1e-7 * first**0.5)

    return reached


@pytest.mark.parametrize("near", [0.0, 1e-7])
def test_a_flat_direction_is_left_to_the_eigendecomposition(near):
    _, found, _ = both({"scaling": "standard", "intercept": True, "l2": 0.0}, near=near)
    assert found is None


def test_indicators_that_overlap_are_no_category():
    X, y, _, at = table()
    X[0, at[:2]] = 1.0
    moments = block_moments([NumberColumn(f"c{j}", x) for j, x in enumerate([*X.T, y])], [], len(y))
    deviation = np.sqrt(np.diag(moments.comoment)[:-1] / moments.weight)
    coordinates = Coordinates.of("standard", moments.mean[:-1], deviation, intercept=True)
    category = Category(at, moments.mean[at])
    assert solve_by_levels(quadratic_loss(moments, coordinates, 0.0), category, coordinates.scale) is None


def test_every_row_in_some_level_leaves_no_reference_and_is_no_category():
    share = np.full(50, 1.0 / 50)
    assert Excluding.of(np.diag(share) - np.outer(share, share), share) is None
    assert Excluding.of(np.diag(share[1:]) - np.outer(share[1:], share[1:]), share[1:]) is not None


def test_an_eigenvalue_outside_of_what_is_claimed_shows():
    _, found, known = both({"scaling": "standard", "intercept": True, "l2": 0.0})
    factor = found.factor
    assert isinstance(factor, Absorbed)
    for values, proved, outward in (
        (known.eigenvalues[:3], factor._all_above, -1.0),
        (known.eigenvalues[-3:], factor._all_below, 1.0),
    ):
        outermost = values[0] if outward < 0 else values[-1]
        assert proved(outermost * (1.0 + outward * 1e-9))
        assert not proved(outermost * (1.0 - outward * 1e-9))
        assert not proved(values[1])  # past the second one two are outside


def test_energy_is_a_sum_of_squares_where_the_plain_product_would_cancel():
    share = np.full(60, 1.0 / 60)
    share[0] -= 1e-7  # what is left for the reference
    A = np.diag(share) - np.outer(share, share)
    x = np.ones(60)  # x'Ax = Σ share − (Σ share)², nearly nothing
    energy = Excluding.of(A, share).energy(x)
    left = 1.0 - share.sum()
    assert energy == pytest.approx(left * share.sum(), rel=1e-7)


def test_a_forecast_looks_further_where_the_steps_go_through_more_directions(monkeypatch):
    loss, found, known = both({"scaling": "standard", "intercept": True, "l2": 0.0})
    theta, asked = np.zeros(len(loss.linear)), []
    monkeypatch.setattr(levels, "SEEN", (4, 16, 64, 127))
    original = levels.krylov
    monkeypatch.setattr(levels, "krylov", lambda times, start, steps: asked.append(steps) or original(times, start, steps))
    reached = reaching(known.gap(theta))
    for name in ("gradient_descent", "conjugate_gradient"):
        fast, slow = (rules.candidate(name, solution, theta, reached) for solution in (found, known))
        assert fast.steps == slow.steps
    assert asked[:2] == [4, 16]  # four directions are not enough, and that is seen

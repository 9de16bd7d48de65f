from __future__ import annotations

import numpy as np
import pytest

from reference import random_problem

EVERY = [
    {"scaling": scaling, "intercept": intercept, "l2": l2}
    for scaling in ("standard", "none")
    for intercept in (True, False)
    for l2 in (0.0, 0.3)
]


@pytest.mark.parametrize("settings", EVERY, ids=str)
def test_gap_and_distance_are_the_same_in_the_loops_and_in_standard_coordinates(settings):
    problem = random_problem(0, **settings)
    theta = np.random.default_rng(1).normal(size=problem.coordinates.size)
    gap = problem.loss.value(theta) - problem.loss.value(problem.solution.minimiser)
    assert problem.posed.gap(theta) == pytest.approx(gap, rel=1e-8)
    assert problem.posed.gap(theta) == pytest.approx(problem.solution.gap(theta), rel=1e-8)
    expected = np.abs(problem.coordinates.to_standard(theta - problem.solution.minimiser))
    assert problem.posed.remaining(theta) == pytest.approx(expected, rel=1e-6)
    assert problem.posed.coefficient_error(theta) == pytest.approx(expected.max() / problem.y.std(), rel=1e-6)
    assert problem.posed.reference.minimum == pytest.approx(problem.solution.minimum, rel=1e-9)


@pytest.mark.parametrize("settings", EVERY, ids=str)
def test_the_reference_minimiser_is_the_loops_own(settings):
    problem = random_problem(2, **settings)
    found = problem.coordinates.to_standard(problem.solution.minimiser)
    assert problem.posed.reference.minimiser == pytest.approx(found, rel=1e-7, abs=1e-9)

"""Student's t and F beside SciPy's, over all that inference may ask."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gradline.maths.distributions import chi_squared_above, f_above, normal_two_sided, t_quantile, t_two_sided

FREEDOM = [1, 2, 3, 7, 30, 39, 40, 41, 1_000, 123_456, 8_000_000, 10**9]


@pytest.mark.parametrize("freedom", FREEDOM)
def test_the_tails_of_t(freedom):
    t = np.array([0.0, 1e-3, 0.1, -0.5, 1.0, 1.96, -3.0, 5.0, 10.0, 20.0, 37.0])
    expected = 2.0 * stats.t.sf(np.abs(t), freedom)
    assert t_two_sided(t, freedom) == pytest.approx(expected, rel=2e-11, abs=1e-300)


@pytest.mark.parametrize("freedom", FREEDOM)
@pytest.mark.parametrize("level", [0.01, 0.5, 0.8, 0.9, 0.95, 0.99, 0.9999])
def test_the_quantiles_of_t(freedom, level):
    assert t_quantile(level, freedom) == pytest.approx(stats.t.ppf(0.5 + level / 2, freedom), rel=1e-11)


def test_t_with_one_and_two_degrees_of_freedom_in_closed_form():
    t = np.array([1e-8, 0.3, 1.0, 12.0])
    assert t_two_sided(t, 1) == pytest.approx(1.0 - 2.0 / np.pi * np.arctan(t), rel=1e-13)
    assert t_two_sided(t, 2) == pytest.approx(1.0 - t / np.sqrt(2.0 + t * t), rel=1e-12)


@pytest.mark.parametrize("d1", [1, 2, 5, 120, 2_000])
@pytest.mark.parametrize("d2", [1, 4, 50, 10_000, 7_999_000])
def test_the_tails_of_f(d1, d2):
    for f in (1e-6, 0.3, 0.9, 1.0, 1.1, 2.0, 9.0):
        expected = stats.f.sf(f, d1, d2)
        if expected > 1e-290:
            assert f_above(f, d1, d2) == pytest.approx(expected, rel=1e-9)
    assert f_above(0.0, d1, d2) == 1.0
    assert f_above(np.inf, d1, d2) == 0.0


@pytest.mark.parametrize("d", [1, 2, 3, 4, 7, 20])
def test_the_tails_of_chi_squared(d):
    for x in (0.0, 0.01, 1.0, 3.84, 20.0, 200.0):
        assert chi_squared_above(x, d) == pytest.approx(stats.chi2.sf(x, d), rel=1e-12)


def test_the_tails_of_the_normal():
    for z in (0.0, 1.0, -1.96, 8.0):
        assert normal_two_sided(z) == pytest.approx(2.0 * stats.norm.sf(abs(z)), rel=1e-13)

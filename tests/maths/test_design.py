"""The sparse design is the dense one, without being formed; Lanczos' steps are those of the spectrum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from gradline.maths.coordinates import Coordinates
from gradline.maths.design import Frame, SparseDesign
from gradline.maths.lanczos import lanczos


def made(name, seed=0, n=60, width=12, offset=1e6):
    """A sparse design, and the same in dense NumPy; column 2 is dense with an offset, columns 0 and 7 are no features."""
    rng = np.random.default_rng(seed)
    X = np.where(rng.random((n, width)) < 0.3, rng.normal(size=(n, width)) * 10.0 ** rng.integers(-2, 3, width), 0.0)
    X[:, 2] = offset + rng.normal(size=n)
    columns = np.delete(np.arange(width), [0, 7])
    mean, deviation = X[:, columns].mean(axis=0), X[:, columns].std(axis=0)
    coordinates = Coordinates.of(name, mean, deviation, intercept=True)
    dense = columns == 2
    kept = (X[:, [2]] - mean[dense]) if dense.any() else np.zeros((n, 0))
    design = SparseDesign(sparse.csr_array(X), kept, Frame.of(columns, dense, mean, coordinates))
    return design, coordinates.transformed(X[:, columns])


@pytest.mark.parametrize("name", ["standard", "none"])
@pytest.mark.parametrize("rows", [slice(0, 60), slice(13, 40), np.array([5, 5, 59, 0])])
def test_it_is_the_dense_design(name, rows):
    design, Z = made(name)
    part, Z = design[rows], Z[rows]
    rng = np.random.default_rng(1)
    w, r = rng.normal(size=Z.shape[1]), rng.normal(size=len(Z))
    scale = np.abs(Z).max()
    np.testing.assert_allclose(part @ w, Z @ w, atol=1e-13 * scale)
    np.testing.assert_allclose(part.T @ r, Z.T @ r, rtol=1e-10, atol=1e-12 * scale)
    np.testing.assert_allclose(part.squared_norms(), (Z**2).sum(axis=1), rtol=1e-11)
    np.testing.assert_allclose(part.toarray(), Z, rtol=1e-11, atol=1e-13 * scale)
    assert len(part) == len(Z)


def test_lanczos_from_any_start_finds_the_whole_spectrum_in_k_steps():
    rng = np.random.default_rng(2)
    Q = np.linalg.qr(rng.normal(size=(20, 20)))[0]
    values = np.geomspace(1e-3, 10.0, 20)
    H, start = (Q * values) @ Q.T, rng.normal(size=20)
    ritz = lanczos(lambda v: H @ v, start, 50)
    np.testing.assert_allclose(ritz.values, values, rtol=1e-9)
    np.testing.assert_allclose(ritz.shares, (Q.T @ start / np.linalg.norm(start)) ** 2, rtol=1e-6, atol=1e-12)


def test_few_steps_bracket_the_largest_and_keep_the_gap_of_the_start():
    rng = np.random.default_rng(3)
    Q = np.linalg.qr(rng.normal(size=(300, 300)))[0]
    values = np.append(np.linspace(1.0, 2.0, 299), 9.0)
    H, start = (Q * values) @ Q.T, rng.normal(size=300)
    ritz = lanczos(lambda v: H @ v, start, 12)
    assert ritz.values[-1] <= 9.0 + 1e-12
    assert ritz.values[-1] + ritz.residuals[-1] >= 9.0 - 1e-12
    few = lanczos(lambda v: H @ v, start, 4)
    assert few.values[-1] < 9.0 - 1e-6
    assert few.solution(1.0).curvature_max >= 9.0
    size = float(np.linalg.norm(start))
    solution = ritz.solution(size)
    exact = 0.5 * start @ np.linalg.solve(H, start)  # J − J* at the start, whose gradient is −start
    assert solution.gap(np.zeros(12)) == pytest.approx(exact, rel=1e-6)


def test_a_start_in_few_directions_ends_early():
    H = np.diag([1.0, 4.0, 9.0, 16.0])
    ritz = lanczos(lambda v: H @ v, np.array([0.0, 3.0, 0.0, 4.0]), 4)
    np.testing.assert_allclose(ritz.values, [4.0, 16.0])
    np.testing.assert_allclose(ritz.shares, [0.36, 0.64])
    np.testing.assert_array_equal(ritz.residuals, [0.0, 0.0])

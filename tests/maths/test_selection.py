"""Selection from Gram matrices: every error is that of a refit on the rows, every choice that of a search written with least squares."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradline.maths.selection import divided, fold_grams, greedy, nested, orthonormal, reduced, rmse, standard_error
from refits import brute_errors, brute_greedy, brute_pairs

FOLDS = 5


def some_rows(seed, rows=240, p=3, *, weighted=False):
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(rows), rng.normal(50.0, 3.0, (rows, p))])
    groups = [X[:, [j]] ** 2 for j in range(1, p + 1)]
    groups += [np.log(X[:, [j]]) for j in range(1, p + 1)]
    groups += [
        np.column_stack([np.maximum(X[:, j] - 48.0, 0.0) ** 3, np.maximum(X[:, j] - 52.0, 0.0) ** 3]) for j in range(1, p + 1)
    ]
    groups += [X[:, [1]] * X[:, [2]], X[:, [1]] * X[:, [3]]]
    y = X[:, 1] - 0.4 * (X[:, 2] - 50.0) ** 2 + 0.3 * (X[:, 1] - 50.0) * (X[:, 3] - 50.0) + 4.0 * rng.normal(size=rows)
    weight = rng.integers(1, 4, rows).astype(float) if weighted else np.ones(rows)
    return X, groups, y, weight, rng.integers(0, FOLDS, rows)


def grams(X, groups, y, weight, fold, *, ordered=False):
    root = np.sqrt(weight)[:, None]
    basis = orthonormal(X * root, np.zeros((len(X), 0)))
    return fold_grams(
        basis,
        [orthonormal(g * root, basis) for g in groups],
        y * root[:, 0],
        weight,
        fold,
        FOLDS,
        tuple(range(FOLDS)) if ordered else None,
    )


@pytest.mark.parametrize("ordered", [False, True], ids=["others", "earlier"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("seed", range(2))
def test_selection_and_its_nested_errors_are_those_of_refits_on_the_rows(seed, weighted, ordered):
    data = some_rows(seed, weighted=weighted)
    found = nested(grams(*data, ordered=ordered), most=3)
    order, errors = brute_greedy(data, brute_pairs(range(FOLDS), ordered), 3)
    assert list(found.path.order) == order
    np.testing.assert_allclose(found.path.errors, errors, rtol=1e-9)
    assert order
    outer = [pair for pair in brute_pairs(range(FOLDS), ordered) if len(pair[0]) >= 3]
    assert len(outer) == (2 if ordered else FOLDS)
    for k, pair in enumerate(outer):
        own, _ = brute_greedy(data, brute_pairs(pair[0], ordered), 3)
        assert list(found.orders[k]) == own
        for step in range(len(order) + 1):
            assert found.errors[step, k] == pytest.approx(brute_errors(data, own[:step], [pair])[0], rel=1e-9)


def test_any_set_of_candidates_is_judged_as_its_refit():
    data = some_rows(7)
    found = grams(*data)
    pairs = reduced(found, divided(range(FOLDS), None))
    for order in ([], [0], [6], [0, 9], [3, 7, 10]):
        columns = np.concatenate([np.zeros(0, dtype=np.intp), *(found.groups[g] for g in order)])
        np.testing.assert_allclose(
            rmse(pairs, columns), brute_errors(data, order, brute_pairs(range(FOLDS), ordered=False)), rtol=1e-9
        )


def test_an_offset_of_the_target_and_units_of_the_columns_change_no_error():
    X, groups, y, weight, fold = some_rows(3)
    before = nested(grams(X, groups, y, weight, fold), most=3)
    scaled = [g * 10.0 ** (3 * i - 9) for i, g in enumerate(groups)]
    after = nested(grams(X * [1.0, 1e-6, 1e6, 7.0], scaled, y + 1e6, weight, fold), most=3)
    assert after.path.order == before.path.order
    np.testing.assert_allclose(after.errors, before.errors, rtol=1e-7)


def test_a_candidate_that_adds_nothing_is_never_taken():
    X, groups, y, weight, fold = some_rows(4)
    copies = [X[:, [2]] * 3.0 - 7.0, np.zeros((len(X), 1)), *groups]
    found = grams(X, copies, y, weight, fold)
    assert [len(group) for group in found.groups[:2]] == [0, 0]
    assert not {0, 1} & set(nested(found, most=4).path.order)


def test_the_greedy_search_stops_where_the_gain_is_noise():
    data = some_rows(5)
    pairs = reduced(grams(*data), divided(range(FOLDS), None))
    groups = grams(*data).groups
    assert greedy(pairs, groups, 9, 1e9).order == ()
    path = greedy(pairs, groups, 9, 1.0)
    assert path.best is not None
    gain = path.errors[-1] - path.best[1]
    assert gain.mean() <= standard_error(gain, pairs.share)
    assert len(greedy(pairs, groups, 1, 1.0).order) == 1


def test_the_standard_error_is_that_of_nadeau_and_bengio():
    differences = np.array([0.1, 0.3, -0.2, 0.4, 0.0])
    assert standard_error(differences, 0.25) == pytest.approx(np.sqrt((1 / 5 + 0.25) * differences.var(ddof=1)))
    assert standard_error(differences, 0.0) == pytest.approx(differences.std(ddof=1) / np.sqrt(5))


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(0, 3), st.booleans())
def test_an_orthonormal_basis_spans_what_the_columns_add(seed, columns, of_basis, dependent):
    rng = np.random.default_rng(seed)
    basis = orthonormal(rng.normal(size=(30, of_basis)), np.zeros((30, 0)))
    X = rng.normal(size=(30, columns)) * 10.0 ** rng.integers(-5, 6, columns) + 1e3
    if dependent:
        X = np.column_stack([X, X[:, 0] * 2.0, np.zeros(30), basis @ np.ones(of_basis)])
    Q = orthonormal(X, basis)
    both = np.column_stack([basis, Q])
    np.testing.assert_allclose(both.T @ both, np.eye(both.shape[1]), atol=1e-12)
    left = X - both @ (both.T @ X)
    assert np.all(np.linalg.norm(left, axis=0) <= 1e-7 * (1.0 + np.linalg.norm(X, axis=0)))
    assert Q.shape[1] <= columns

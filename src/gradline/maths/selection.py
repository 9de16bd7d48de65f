"""Greedy forward selection of groups of columns, judged by nested cross-validation from one Gram matrix a fold.

With Z = (Q, C, r): Q an orthonormal basis of the columns that every model has, C what the candidates add to it, r = y − QQ'y, and
A_k = Z'Z over the rows of fold k, what is learned on some folds L and judged on a fold h needs their Grams alone:

    B = L_QQ⁻¹ L_Q·,   R = L − L_·Q B,   E = H − B'H_Q· − H_·Q B + B'H_QQ B          (R: learned from, E: judged by, without Q)
    b = R_SS⁻¹ R_Sr,   mean squared error on h = (−b, 1)' E_(S,r) (−b, 1)/W_h          for every set S of candidates

The error of a procedure that selects is measured on folds that its selection has not seen: the outer folds of the nested one. Folds
share rows, so the variance of their mean difference is not s²/K but (1/K + n_test/n_train) s² (Nadeau & Bengio, Machine Learning 52,
2003).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.types import FloatArray, IntArray

DEPENDENT = 1e-9  # of a column's norm, below which what it adds to the others is rounding
LEAST_INNER = 2  # folds within those that are learned from, that judge each other: of fewer there is no noise to be known
SINGULAR = 1e-11  # of the largest eigenvalue


def orthonormal(X: FloatArray, basis: FloatArray) -> FloatArray:
    """An orthonormal basis of what the columns of X (n, c) add to the span of `basis` (n, r), (n, ≤ c)."""
    norm = np.linalg.norm(X, axis=0)
    X = X[:, norm > 0.0] / norm[norm > 0.0]
    for _ in range(2):  # the second time takes off what rounding left of the first
        X = X - basis @ (basis.T @ X)
    while X.shape[1]:
        Q, R = np.linalg.qr(X)
        kept = np.abs(np.diag(R)) > DEPENDENT
        if kept.all() and X.shape[1] <= X.shape[0]:
            Q = Q - basis @ (basis.T @ Q)
            clean: FloatArray = Q / np.linalg.norm(Q, axis=0)
            return clean
        X = X[:, : X.shape[0]][:, kept]
    return X


@dataclass(frozen=True, slots=True)
class FoldGrams:
    """A_k of each fold. grams: (K, c, c), of the base first and r last.  weight: (K,) Σ w of its rows.  base: how many columns all models have.

    groups: where each candidate's columns stand, counted from the base's end.  before: of folds that follow each other in time, how many are over before each
    begins: it is judged by these alone.
    """

    grams: FloatArray
    weight: FloatArray
    base: int
    groups: tuple[IntArray, ...]
    before: tuple[int, ...] | None = None

    @property
    def folds(self) -> int:
        """K."""
        return len(self.weight)


def fold_grams(
    basis: FloatArray,
    added: Sequence[FloatArray],
    y: FloatArray,
    weight: FloatArray,
    fold: IntArray,
    folds: int,
    before: tuple[int, ...] | None = None,
) -> FoldGrams:
    """Of rows times the root of their weight: `basis` (n, r), what each candidate adds (n, g), `y` (n,). weight, fold: (n,)."""
    left = y - basis @ (basis.T @ y)
    Z = np.column_stack([basis, *added, left])  # (n, c)
    grams = np.array([Z[fold == k].T @ Z[fold == k] for k in range(folds)])
    heavy = np.bincount(fold, weight, folds)
    sizes = [each.shape[1] for each in added]
    ends = np.cumsum([0, *sizes])
    groups = tuple(np.arange(ends[i], ends[i + 1]) for i in range(len(sizes)))
    return FoldGrams(grams, heavy.astype(np.float64), basis.shape[1], groups, before)


class Reduced(NamedTuple):
    """J pairs of rows learned from and rows judged on, base taken out. learned, judged: (J, c, c), r last.  weight: (J,) of the judged ones.
    share: n_test/n_train, the mean of the pairs.
    """

    learned: FloatArray
    judged: FloatArray
    weight: FloatArray
    share: float


class Pair(NamedTuple):
    """The folds that are learned from, and the one that is judged."""

    learned: tuple[int, ...]
    judged: int


def divided(folds: Sequence[int], before: Sequence[int] | None) -> list[Pair]:
    """Each fold judged by the others; or, where `before` says how many folds are over before each, by those, if there are any."""
    pairs = [Pair(tuple(j for j in folds if (j != k if before is None else j < before[k])), k) for k in folds]
    return [pair for pair in pairs if pair.learned]


def outer_pairs(folds: int, before: Sequence[int] | None) -> list[Pair]:
    """Those of the nested one: those that learn from enough folds that some judge each other."""
    return [pair for pair in divided(range(folds), before) if len(divided(pair.learned, before)) >= LEAST_INNER]


def reduced(found: FoldGrams, pairs: Sequence[Pair]) -> Reduced:
    """What is learned and judged by each pair."""
    learned, judged, share = [], [], []
    q = found.base
    for pair in pairs:
        L, H = found.grams[list(pair.learned)].sum(axis=0), found.grams[pair.judged]
        B = _solved(L[:q, :q], L[:q, q:])  # (q, rest)
        learned.append(L[q:, q:] - L[q:, :q] @ B)
        cross = H[q:, :q] @ B
        judged.append(H[q:, q:] - cross - cross.T + B.T @ H[:q, :q] @ B)
        share.append(found.weight[pair.judged] / found.weight[list(pair.learned)].sum())
    weight = found.weight[[pair.judged for pair in pairs]]
    return Reduced(np.array(learned), np.array(judged), weight, float(np.mean(share)))


def _solved(A: FloatArray, B: FloatArray) -> FloatArray:
    """A⁻¹B of a symmetric A without its flat directions."""
    if not len(A):
        return np.zeros_like(B)
    try:
        factor = np.linalg.cholesky(A)
        if np.diag(factor).min() ** 2 > SINGULAR * np.diag(A).max():
            return np.asarray(np.linalg.solve(A, B), dtype=np.float64)
    except np.linalg.LinAlgError:
        pass
    return np.asarray(np.linalg.pinv(A, rcond=SINGULAR, hermitian=True) @ B, dtype=np.float64)


def rmse(pairs: Reduced, columns: IntArray) -> FloatArray:
    """The error on the judged rows of each pair with the base and these columns of the candidates, (J,)."""
    inverse = np.linalg.pinv(pairs.learned[:, columns[:, None], columns], rcond=SINGULAR, hermitian=True)
    b = np.einsum("jst,jt->js", inverse, pairs.learned[:, columns, -1])  # (J, s)
    u = np.column_stack([-b, np.ones(len(b))])  # (J, s+1)
    at = np.append(columns, pairs.judged.shape[1] - 1).astype(np.intp)
    squared = np.einsum("js,jst,jt->j", u, pairs.judged[:, at[:, None], at], u)
    errors: FloatArray = np.sqrt(np.maximum(squared, 0.0) / pairs.weight)
    return errors


def standard_error(differences: FloatArray, share: float) -> float:
    """Of the mean of differences of folds that share rows, (K,): √((1/K + n_test/n_train) s²)."""
    return float(np.sqrt((1.0 / len(differences) + share) * np.var(differences, ddof=1)))


class Path(NamedTuple):
    """The groups in the order of their selection. errors: (steps + 1, J), with none of them first.  best: the first one that was not
    taken, with its errors (J,); None where all were.
    """

    order: tuple[int, ...]
    errors: FloatArray
    best: tuple[int, FloatArray] | None


def greedy(pairs: Reduced, groups: Sequence[IntArray], most: int, noise: float) -> Path:
    """At each step the group with the smallest mean error over the pairs, as long as it takes off more than `noise` standard errors."""
    order: list[int] = []
    chosen = np.zeros(0, dtype=np.intp)
    errors = [rmse(pairs, chosen)]
    best = None
    while len(order) < most:
        rest = [g for g in range(len(groups)) if g not in order and len(groups[g])]
        if not rest:
            break
        tried = [rmse(pairs, np.concatenate([chosen, groups[g]])) for g in rest]
        at = int(np.argmin([each.mean() for each in tried]))
        gain = errors[-1] - tried[at]
        if not gain.mean() > noise * standard_error(gain, pairs.share):
            best = rest[at], tried[at]
            break
        order.append(rest[at])
        errors.append(tried[at])
        chosen = np.concatenate([chosen, groups[rest[at]]])
    return Path(tuple(order), np.array(errors), best)


class Nested(NamedTuple):
    """path: selected on all folds.  errors: (steps + 1, J), on each outer fold the error of the first s groups that were selected without it.
    orders: (J) what was.  share: n_test/n_train of the outer folds.
    """

    path: Path
    errors: FloatArray
    orders: tuple[tuple[int, ...], ...]
    share: float


def nested(found: FoldGrams, most: int, noise: float = 1.0) -> Nested:
    """Selection on all folds, and the error of selecting so by outer folds, within each of which those that are learned from judge each other."""
    path = greedy(reduced(found, divided(range(found.folds), found.before)), found.groups, most, noise)
    outer = outer_pairs(found.folds, found.before)
    orders = []
    errors = np.empty((len(path.order) + 1, len(outer)))
    for k, pair in enumerate(outer):
        order = greedy(reduced(found, divided(pair.learned, found.before)), found.groups, most, noise).order
        alone = reduced(found, [pair])
        for step in range(len(path.order) + 1):
            columns = [found.groups[g] for g in order[:step]]
            errors[step, k] = rmse(alone, np.concatenate([np.zeros(0, dtype=np.intp), *columns]))[0]
        orders.append(order)
    return Nested(path, errors, tuple(orders), reduced(found, outer).share)

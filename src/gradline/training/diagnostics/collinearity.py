"""Which features are combinations of which others, and how much the others inflate the variance of each coefficient.

    R = the correlations of the training rows,   VIF_j = (R⁻¹)_jj = 1/(1 − R²_j on the others)

All of it is of scaled columns, so that units and offsets change none of it. Two levels:

- exact: a direction in which the loss is flat to rounding. Its coefficients are *not identifiable* (the ones of least norm are given).
- nearly: VIF > 10,000, where less than 1 % of a column's deviation is its own and its coefficient's standard error is over a hundred
  times what it would be alone. The usual limit of 10 would cry at every polynomial; Longley's data, the classic of the
  kind, have 1,788.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gradline.maths.quadratic import EPSILON
from gradline.types import Notice, finite_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gradline.maths.problem import Problem
    from gradline.maths.quadratic import Solution
    from gradline.types import FloatArray, Json

MOST_INFLATION = 1e4  # VIF, past which a column is nearly a combination of others
MOST_CUBED = 1_000  # features, past which nothing of p³ is computed for this alone
MOST_NAMED = 5  # combinations that are spelt out
MOST_TERMS = 4  # of an equation
MEMBER = 1e-6  # weight beside the largest one of a combination, below which a column is not in it
UNKNOWN: Json = {"not_identifiable": None, "variance_inflation": None}  # of so many features that have no (p, p) matrix
MINOR = 1e-3  # likewise of a near combination, whose weights are estimates


@dataclass(frozen=True, slots=True)
class Combination:
    """column ≈ constant + Σ weights·others, in the user's units. own: 1 − R², the share of the variance that is its own; 0 if exact."""

    column: str
    others: tuple[str, ...]
    weights: tuple[float, ...]
    constant: float
    own: float

    @property
    def equation(self) -> str | None:
        """`c = 2·a − b + 3`, or None where it would be long."""
        if len(self.others) > MOST_TERMS:
            return None
        digits = 4 if self.own else 6
        terms = [_term(w, name, digits) for w, name in zip(self.weights, self.others, strict=True)]
        if self.constant:
            terms.append(("−" if self.constant < 0 else "+", f"{abs(self.constant):.{digits}g}"))
        (sign, first), *rest = terms
        text = ("−" if sign == "−" else "") + first + "".join(f" {s} {t}" for s, t in rest)
        return f"{self.column} {'≈' if self.own else '='} {text}"


def _term(weight: float, name: str, digits: int) -> tuple[str, str]:
    size = f"{abs(weight):.{digits}g}"
    return ("−" if weight < 0 else "+", name if size == "1" else f"{size}·{name}")


@dataclass(frozen=True, slots=True)
class Collinearity:
    """sources: the column that each of the features `names` is made of.  exact, near: the combinations.  not_identifiable: the features of the exact ones, in their order.

    inflation: (p,) VIF, infinite where not identifiable; None where it was not computed.  made_of: of derived features, their columns.
    """

    names: tuple[str, ...]
    sources: Mapping[str, str]
    exact: tuple[Combination, ...]
    near: tuple[Combination, ...]
    not_identifiable: tuple[str, ...]
    inflation: FloatArray | None
    made_of: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def to_json(self) -> Json:
        """The keys `not_identifiable` and `variance_inflation` of `train --json`."""
        inflation = None
        if self.inflation is not None:
            inflation = {name: finite_or_none(v) for name, v in zip(self.names, self.inflation.tolist(), strict=True)}
        return {"not_identifiable": list(self.not_identifiable), "variance_inflation": inflation}

    def doubts(self) -> list[Notice]:
        """In words; the column of a notice is the one that the others make up."""
        notices = []
        for found in self.exact[:MOST_NAMED]:
            text = (
                f"{_members(found)} are linear combinations of each other{_in_words(found)}: their coefficients are not identifiable "
                f"(the ones of least norm are given); predictions are not affected. Drop one of them: --drop {self.sources[found.column]}."
            )
            notices.append(Notice("collinear", found.column, text))
        if len(self.exact) > MOST_NAMED:
            more = len(self.exact) - MOST_NAMED
            text = f"there are {more:,} more such combinations among the {len(self.names):,} features."
            notices.append(Notice("collinear", None, text))
        near = [found for found in self.near if not self._of_one_curve(found)]
        for found in near[:MOST_NAMED]:
            text = (
                f"{_members(found)} are nearly linear combinations of each other{_in_words(found)}: only {_share(found.own)} of the variance of "
                f"{found.column!r} is its own, and the standard errors of their coefficients are large ({found.own**-0.5:,.0f} times, for its "
                f"own); predictions are not affected. Drop one of them (--drop {self.sources[found.column]}), or add --l2."
            )
            notices.append(Notice("nearly_collinear", found.column, text))
        if len(near) > MOST_NAMED:
            text = f"there are {len(near) - MOST_NAMED:,} more near combinations among the {len(self.names):,} features."
            notices.append(Notice("nearly_collinear", None, text))
        return notices

    def _of_one_curve(self, found: Combination) -> bool:
        """Whether derived numbers nearly repeat each other and what they are made of, as the powers of one column do: no one wonders."""
        members = (found.column, *found.others)
        derived = frozenset[str]().union(*(self.made_of.get(name, frozenset()) for name in members))
        return all(self.made_of.get(name, frozenset({self.sources.get(name, name), name})) & derived for name in members)


def collinearity(
    problem: Problem, sources: Mapping[str, str], made_of: Mapping[str, frozenset[str]] | None = None
) -> Collinearity:
    """Of the training rows. With a penalty the coefficients are identified by it, and no combination is told of."""
    names, solution = problem.names, problem.reference
    penalised = bool(np.any(problem.loss.penalty))
    exact = [] if penalised else _exact(problem)
    inexact = np.zeros(len(names), dtype=np.bool_)
    for members, _ in exact:
        inexact[members] = True
    unidentified = tuple(name for name, is_one in zip(names, inexact, strict=True) if is_one)
    inflation = _inflation(problem, solution, inexact)
    near: list[Combination] = []
    if inflation is not None and not penalised:
        left_out = {found.column for _, found in exact}
        kept = [j for j, name in enumerate(names) if name not in left_out]
        if np.any(inflation[~inexact] > MOST_INFLATION) or left_out:
            near = _near(problem, kept)
    exactly = tuple(found for _, found in exact)
    return Collinearity(names, sources, exactly, tuple(near), unidentified, inflation, made_of or {})


def correlations(problem: Problem) -> FloatArray:
    """R of the features on the training rows, (p, p); without an intercept about zero instead of the means."""
    moments = problem.training
    second = moments.comoment[:-1, :-1]
    if not problem.coordinates.intercept:
        mean = (moments.mean + moments.mean_rest)[:-1]
        second = second + moments.weight * np.outer(mean, mean)
    scale = np.sqrt(np.diag(second))
    found: FloatArray = second / scale[:, None] / scale
    return found


def _exact(problem: Problem) -> list[tuple[list[int], Combination]]:
    """The flat directions, each with its members, most weight first."""
    if not problem.reference.null:
        return []
    R = correlations(problem)
    found: list[tuple[list[int], Combination]] = []
    for made, direction in _sparse_null_basis(problem.reference, len(problem.names)):
        weight = np.abs(direction[: len(problem.names)])
        members = [j for j in np.argsort(-weight, kind="stable").tolist() if weight[j] > MEMBER * weight.max()]
        main = [j for j in members if weight[j] > MINOR * weight.max()]
        if len(main) < len(members) and _left(R, made, main) <= 8.0 * len(R) * EPSILON:  # a near combination has leaked in
            members = main
        others = sorted(j for j in members if j != made)
        scaled = np.linalg.lstsq(R[np.ix_(others, others)], R[others, made], rcond=None)[0]
        found.append((members, _combination(problem, made, others, scaled.tolist(), 0.0)))
    return found


def _left(R: FloatArray, made: int, members: Sequence[int]) -> float:
    """1 − R² of a column on the other members."""
    others = [j for j in members if j != made]
    return float(R[made, made] - R[others, made] @ np.linalg.lstsq(R[np.ix_(others, others)], R[others, made], rcond=None)[0])


def _sparse_null_basis(solution: Solution, p: int) -> list[tuple[int, FloatArray]]:
    """A basis of the flat directions with many zeros (reduced row echelon form), so that each names few features; and the one of
    them that is in no other direction, the latest there is: the derived one, more likely than not.
    """
    basis = solution.vectors[:, : solution.null].T.copy()  # (null, k)
    pivots = []
    for i in range(len(basis)):
        weight = np.abs(basis[i, :p])
        pivot = int(np.flatnonzero(weight > 0.5 * weight.max())[-1])
        basis[i] /= basis[i, pivot]
        for other in range(len(basis)):
            if other != i:
                basis[other] -= basis[other, pivot] * basis[i]
        pivots.append(pivot)
    return list(zip(pivots, basis, strict=True))


def _inflation(problem: Problem, solution: Solution, inexact: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> FloatArray | None:
    """(R⁺)_jj, which is VIF_j of every column that is in no exact combination."""
    p = len(problem.names)
    if p > MOST_CUBED:
        return None
    null, values, vectors = solution.null, solution.eigenvalues, solution.vectors
    plain = problem.coordinates.intercept and not np.any(problem.loss.penalty)
    if not plain or values.shape != (p + 1,) or vectors.shape != (p + 1, p + 1):
        values, vectors = np.linalg.eigh(correlations(problem))
        null = int(np.count_nonzero(values <= 8.0 * p * EPSILON * values[-1]))
        inexact = inexact | (np.abs(vectors[:, :null]) > MEMBER).any(axis=1)
    values = np.maximum(values, EPSILON**2)  # a curvature that rounding made negative is a small one
    inflation: FloatArray = (vectors[:p, null:] ** 2 / values[null:]).sum(axis=1)
    return np.where(inexact, np.inf, np.maximum(inflation, 1.0))


def _near(problem: Problem, kept: Sequence[int]) -> list[Combination]:
    """Column by column, what those before it that are no combinations themselves leave of it; then by VIF, what that overlooked."""
    R = correlations(problem)
    S = R[np.ix_(kept, kept)].copy()  # what is left of the columns
    base: list[int] = []
    found: list[Combination] = []
    for i, j in enumerate(kept):
        if S[i, i] * MOST_INFLATION < 1.0:
            found.append(_regressed(problem, R, j, base) if len(found) < MOST_NAMED else _unnamed(problem, j))
            continue
        rest = S[i, i + 1 :]
        S[i + 1 :, i + 1 :] -= np.outer(rest, rest / S[i, i])
        base.append(j)
    while base:
        inflation = np.diag(np.linalg.inv(R[np.ix_(base, base)]))
        most = int(np.argmax(inflation))
        if inflation[most] <= MOST_INFLATION:
            break
        j = base.pop(most)
        found.append(_regressed(problem, R, j, base))
    return found


def _regressed(problem: Problem, R: FloatArray, made: int, base: Sequence[int]) -> Combination:
    """Of a column on others; those with hardly any weight are left out of the words, not of the share."""
    weights = np.linalg.solve(R[np.ix_(base, base)], R[base, made])
    own = max(float(R[made, made] - R[base, made] @ weights), EPSILON)
    members = [i for i in range(len(base)) if abs(weights[i]) > MINOR * np.abs(weights).max()]
    return _combination(problem, made, [base[i] for i in members], weights[members].tolist(), own)


def _unnamed(problem: Problem, made: int) -> Combination:
    return Combination(problem.names[made], (), (), 0.0, 0.0)


def _combination(problem: Problem, made: int, others: Sequence[int], scaled: Sequence[float], own: float) -> Combination:
    """From weights of scaled columns to the user's units."""
    deviation = np.sqrt(np.diag(problem.training.comoment) / problem.training.weight)
    mean = problem.training.mean + problem.training.mean_rest
    weights = [float(w * deviation[made] / deviation[j]) for w, j in zip(scaled, others, strict=True)]
    terms = [float(mean[made]), *(-w * float(mean[j]) for w, j in zip(weights, others, strict=True))]
    constant = sum(terms)
    small = max(1e-6, own**0.5) * float(deviation[made]) + 1e-9 * max(
        map(abs, terms)
    )  # beside what is not explained, or rounding
    if not problem.coordinates.intercept or abs(constant) <= small:
        constant = 0.0
    names = problem.names
    return Combination(names[made], tuple(names[j] for j in others), tuple(weights), constant, own)


def _members(found: Combination) -> str:
    names = [found.column, *found.others]
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _in_words(found: Combination) -> str:
    return "" if found.equation is None else f" ({found.equation})"


def _share(own: float) -> str:
    return f"{own:.0e}"

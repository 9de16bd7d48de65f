"""Means and deviations alone, of so many columns that their co-moments would be too many.

    δ = mean_B − mean_A;   mean = mean_A + δ·P_B/P;   S = S_A + S_B + δ²·P_A·P_B/P

by column, with P the weight of the rows in which it is not missing: the diagonal of `gradline.maths.moments`. A missing value
counts as the mean of the present ones, so that it adds nothing to S.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.types import CategoryColumn, Part, RawColumn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gradline.types import FloatArray


class Diagonal(NamedTuple):
    """Of some rows. numbers: names of the q numeric columns.  weight: of all rows.  present: (q,) of those with a value.

    mean, squares: (q,) over the present ones; squares are Σ w (x − mean)².  levels: by category, the weight of each level.
    """

    numbers: tuple[str, ...]
    weight: float
    present: FloatArray
    mean: FloatArray
    squares: FloatArray
    levels: Mapping[str, Mapping[RawColumn, float]]

    @property
    def columns(self) -> tuple[RawColumn, ...]:
        """The raw columns: numbers, the indicators of those with missing values, levels."""
        missing = [RawColumn(name, Part.MISSING) for name, p in zip(self.numbers, self.present, strict=True) if p < self.weight]
        levels = (raw for counts in self.levels.values() for raw in counts)
        return (*(RawColumn(name, Part.VALUE) for name in self.numbers), *missing, *levels)

    def spread(self, groups: Sequence[Sequence[int]]) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of the sums of the `columns` in each group, (g,) each; several are levels of one category."""
        absent = [1.0 - p / self.weight for p in self.present if p < self.weight]
        shares = [w / self.weight for counts in self.levels.values() for w in counts.values()]
        share, q = np.concatenate([absent, shares]), len(self.numbers)
        mean, variance = np.empty(len(groups)), np.empty(len(groups))
        for g, group in enumerate(groups):
            if len(group) == 1 and group[0] < q:
                mean[g], variance[g] = self.mean[group[0]], self.squares[group[0]] / self.weight
            else:  # at most one of them is 1 in a row
                mean[g] = share[np.asarray(group, dtype=np.intp) - q].sum()
                variance[g] = mean[g] * (1.0 - mean[g])
        return mean, np.maximum(variance, 0.0)

    @np.errstate(over="ignore", invalid="ignore")
    def plus(self, other: Diagonal) -> Diagonal:
        """Of these rows and the other ones."""
        present = self.present + other.present
        share = np.divide(other.present, present, out=np.zeros_like(present), where=present > 0.0)
        delta = other.mean - self.mean
        squares = self.squares + other.squares + delta**2 * (self.present * share)
        levels = {name: dict(counts) for name, counts in self.levels.items()}
        for name, counts in other.levels.items():
            mine = levels.setdefault(name, {})
            for raw, weight in counts.items():
                mine[raw] = mine.get(raw, 0.0) + weight
        return Diagonal(self.numbers, self.weight + other.weight, present, self.mean + delta * share, squares, levels)


@np.errstate(over="ignore", invalid="ignore")
def block_diagonal(
    names: tuple[str, ...], V: FloatArray, categories: Sequence[CategoryColumn], weight: FloatArray | None
) -> Diagonal:
    """Of one block. V: (q, n) the numbers, NaN where missing.  weight: (n,), ones where it is None."""
    n = V.shape[1]
    w = np.ones(n) if weight is None else weight
    total = float(w.sum())
    missing = np.isnan(V)
    some = bool(missing.any())
    present = total - missing @ w if some else np.full(len(V), total)
    there = present > 0.0
    first = (np.where(missing, 0.0, V) if some else V) @ w
    mean = np.divide(first, present, out=np.zeros(len(V)), where=there)
    off = V - mean[:, None]  # (q, n)
    if some:
        off[missing] = 0.0
    rest = np.divide(off @ w, present, out=np.zeros(len(V)), where=there)  # the corrected two-pass algorithm
    squares = np.maximum(np.square(off, out=off) @ w - present * rest**2, 0.0)
    levels = {category.name: _level_weights(category, weight) for category in categories}
    return Diagonal(names, total, present, mean + rest, squares, levels)


def _level_weights(category: CategoryColumn, weight: FloatArray | None) -> dict[RawColumn, float]:
    sums = np.bincount(category.codes + 1, weight, len(category.levels) + 1)
    found = {RawColumn(category.name, Part.LEVEL, v): float(s) for v, s in zip(category.levels, sums[1:], strict=True) if s > 0.0}
    if category.missing_is_level and sums[0] > 0.0:
        found[RawColumn(category.name, Part.MISSING)] = float(sums[0])
    return found

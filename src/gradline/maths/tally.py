"""Tally: what rows add up to, with the categories as counts: the moments of numbers and levels before they are one matrix.

Two thousand levels would be a matrix of four million co-moments for every block. What is counted is smaller: the weight of
each level, the sums of the centred numbers by level, and the joint weights of two categories' levels. Merging follows Chan's
formula, of which sums by level are a part: for a level l and a number x

    Σ w (1_l − share_l)(x − x̄) = Σ_l w (x − x̄),   Σ w (1_l − share_l)(1_k − share_k) = joint_lk − W share_l share_k
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from gradline.maths.moments import Moments, chan_sum, common_fills
from gradline.types import RawColumn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gradline.maths.moments import Fill
    from gradline.types import FloatArray

Levels = tuple[RawColumn, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """numbers: the moments of the q numbers and missing indicators.  levels: of each category, in order; those that the blocks have.

    counts: (levels,) the weight of each.  sums: (levels, q) Σ w (x − mean) over its rows.  joint: (levels of a, levels of b) the
    weight of each pair, for a before b.
    """

    numbers: Moments
    levels: Mapping[str, Levels] = field(default_factory=dict)
    counts: Mapping[str, FloatArray] = field(default_factory=dict)
    sums: Mapping[str, FloatArray] = field(default_factory=dict)
    joint: Mapping[tuple[str, str], FloatArray] = field(default_factory=dict)

    def without(self, names: set[str]) -> Tally:
        """Of the other categories only."""
        if not names & set(self.levels):
            return self
        kept = [name for name in self.levels if name not in names]
        return Tally(
            self.numbers,
            {name: self.levels[name] for name in kept},
            {name: self.counts[name] for name in kept},
            {name: self.sums[name] for name in kept},
            {(a, b): joint for (a, b), joint in self.joint.items() if a in kept and b in kept},
        )

    @np.errstate(over="ignore", invalid="ignore")  # infinities are told of after the read
    def plus(self, other: Tally, *, reuse: bool = False) -> Tally:
        """Of these rows and then the others. reuse: the result may take the memory of `self`, which is lost then."""
        if self.numbers.rows == 0:
            return other
        if other.numbers.rows == 0:
            return self
        columns = self.numbers.with_columns_of(other.numbers)
        names = [*self.levels, *(name for name in other.levels if name not in self.levels)]
        levels = {name: _union(self.levels.get(name, ()), other.levels.get(name, ())) for name in names}
        a, b = self._expanded(columns, levels), other._expanded(columns, levels)
        fills = common_fills(a.numbers, b.numbers)
        a, b = a._filled(fills), b._filled(fills)
        copied = a.numbers.comoment is not self.numbers.comoment
        numbers = chan_sum(a.numbers, b.numbers, reuse=reuse or copied)
        delta = (b.numbers.mean - a.numbers.mean) + (b.numbers.mean_rest - a.numbers.mean_rest)  # (q,)
        weight_a, weight_b = a.numbers.weight, b.numbers.weight
        sums = {}
        for name in names:
            apart = np.zeros(len(levels[name]))  # share_b − share_a
            if weight_a and weight_b:
                apart = b.counts[name] / weight_b - a.counts[name] / weight_a
            moved = np.outer(apart, delta * (weight_a * weight_b / (weight_a + weight_b))) if apart.any() else 0.0
            sums[name] = a.sums[name] + b.sums[name] + moved
        return Tally(
            numbers,
            levels,
            {name: a.counts[name] + b.counts[name] for name in names},
            sums,
            {pair: a.joint[pair] + b.joint[pair] for pair in a.joint},
        )

    def moments(self) -> Moments:
        """Of the numbers and the levels as columns of one matrix; a level that only other rows of its blocks have is left out."""
        if not self.levels:
            return self.numbers
        if not all(found.all() for found in self.counts.values()):
            return self._seen().moments()
        total, q = self.numbers.weight, len(self.numbers.columns)
        columns = [*self.numbers.columns, *(level for levels in self.levels.values() for level in levels)]
        mean, mean_rest = np.zeros(len(columns)), np.zeros(len(columns))
        comoment = np.zeros((len(columns), len(columns)))
        mean[:q], mean_rest[:q], comoment[:q, :q] = self.numbers.mean, self.numbers.mean_rest, self.numbers.comoment
        where, start = {}, q
        for name, levels in self.levels.items():
            mine = where[name] = slice(start, start + len(levels))
            start = mine.stop
            if total == 0.0:
                continue
            share = mean[mine] = self.counts[name] / total
            comoment[mine, :q], comoment[:q, mine] = self.sums[name], self.sums[name].T
            own = comoment[mine, mine]
            np.multiply(share[:, None], share, out=own)  # symmetric to the bit
            own *= -total
            own[np.diag_indices(len(levels))] += self.counts[name]
        for a, b in combinations(self.levels, 2):
            if total:
                block = comoment[where[a], where[b]]
                np.multiply(-total * mean[where[a]][:, None], mean[where[b]], out=block)
                block += self.joint[a, b]
                comoment[where[b], where[a]] = block.T
        return replace(self.numbers, columns=tuple(columns), mean=mean, comoment=comoment, mean_rest=mean_rest)

    def _seen(self) -> Tally:
        """Without the levels that weigh nothing."""
        at = {name: np.flatnonzero(found) for name, found in self.counts.items()}
        return Tally(
            self.numbers,
            {name: tuple(levels[i] for i in at[name]) for name, levels in self.levels.items()},
            {name: found[at[name]] for name, found in self.counts.items()},
            {name: found[at[name]] for name, found in self.sums.items()},
            {(a, b): found[np.ix_(at[a], at[b])] for (a, b), found in self.joint.items()},
        )

    def _expanded(self, columns: Levels, levels: Mapping[str, Levels]) -> Tally:
        """The same rows over more columns and levels, which are in none of them."""
        if columns == self.numbers.columns and all(self.levels.get(name) == found for name, found in levels.items()):
            return self
        place = {column: i for i, column in enumerate(columns)}
        across = [place[column] for column in self.numbers.columns]
        down: dict[str, list[int]] = {}
        for name, found in levels.items():
            at = {level: i for i, level in enumerate(found)}
            down[name] = [at[level] for level in self.levels.get(name, ())]
        counts, sums, joint = {}, {}, {}
        for name, found in levels.items():
            counts[name], sums[name] = np.zeros(len(found)), np.zeros((len(found), len(columns)))
            if name in self.levels:
                counts[name][down[name]] = self.counts[name]
                sums[name][np.ix_(down[name], across)] = self.sums[name]
        for a, b in combinations(levels, 2):
            joint[a, b] = np.zeros((len(levels[a]), len(levels[b])))
            if a in self.levels and b in self.levels:
                joint[a, b][np.ix_(down[a], down[b])] = self.joint[a, b]
        return Tally(self.numbers.expanded(columns), levels, counts, sums, joint)

    def _filled(self, fills: Sequence[Fill]) -> Tally:
        """See `Moments.filled`."""
        shifts = self.numbers.shifts(fills)
        if not shifts:
            return self
        sums = {name: found.copy() for name, found in self.sums.items()}
        for found in sums.values():
            for value, indicator, shift in shifts:
                found[:, value] += shift * found[:, indicator]
        return replace(self, numbers=self.numbers.filled(fills), sums=sums)


def _union(a: Levels, b: Levels) -> Levels:
    if a == b:
        return a
    known = set(a)
    return a if known.issuperset(b) else (*a, *(level for level in b if level not in known))

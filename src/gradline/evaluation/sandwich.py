"""The middle of the robust covariances, from one more read of the training rows.

    HC0  S = Σ w_i² e_i² x_i x_i'                    HC1  S n/(n − k)
    HC2  e_i²/(1 − h_i) for e_i²                     HC3  e_i²/(1 − h_i)²      h_i = w_i x_i'(X'WX)⁻¹x_i
    clustered  S = Σ_g s_g s_g',  s_g = Σ_{i in g} w_i e_i x_i,  times G/(G − 1) · (n − 1)/(n − k)

(MacKinnon & White, Journal of Econometrics 29, 1985; Liang & Zeger, Biometrika 73, 1986.) All in standard coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.errors import DataError
from gradline.evaluation.inference import Sandwich, bread
from gradline.splits.roles import value_hashes
from gradline.types import Role

if TYPE_CHECKING:
    from gradline.inputs.source import Source
    from gradline.maths.engine import Engine
    from gradline.maths.problem import Problem
    from gradline.representation.features import Representation
    from gradline.training.rows import RowReader, Rows
    from gradline.types import Block, FloatArray, IntArray

KINDS = ("HC0", "HC1", "HC2", "HC3", "clustered")
PART_VALUES = 1 << 21  # of features, made at once
MOST_CLUSTER_VALUES = 1 << 27  # a gigabyte of sums by cluster


class _Scores(NamedTuple):
    """Sums by cluster: their hashes, ascending, and (G, k)."""

    clusters: IntArray
    sums: FloatArray


@dataclass(frozen=True, slots=True)
class _Reading:
    """What makes a block's part of S. inverse: (X'WX)⁻¹, (k, k)."""

    kind: str
    reader: RowReader
    representation: Representation
    problem: Problem
    theta: FloatArray
    inverse: FloatArray

    def of(self, block: Block) -> FloatArray | _Scores:
        """(k, k), or the sums by cluster."""
        rows = self.reader.read(block)
        mine = np.flatnonzero(rows.roles == Role.TRAINING)
        k = self.problem.coordinates.size
        step = max(1, PART_VALUES // k)
        parts = [self._scores(rows, mine[start : start + step]) for start in range(0, len(mine), step)]
        if self.kind != "clustered":
            return sum((part.T @ part for part in parts), np.zeros((k, k)))
        hashes = value_hashes(0, rows.table.column(self.reader.roles.column))[rows.kept][mine]
        clusters, place = np.unique(hashes.view(np.int64), return_inverse=True)
        sums = np.zeros((len(clusters), k))
        for i, part in enumerate(parts):
            np.add.at(sums, place[i * step : i * step + len(part)], part)
        return _Scores(clusters, sums)

    def _scores(self, rows: Rows, at: IntArray) -> FloatArray:
        """w_i e_i x_i of some rows, (n, k), with the leverage's correction."""
        coordinates = self.problem.coordinates
        X = self.representation.design(rows.decoded.take(at))
        w, b = coordinates.weights_and_bias(self.theta)
        e = rows.y[at] - ((X - coordinates.centre) / coordinates.scale @ w + b)
        if coordinates.intercept:
            X = np.column_stack([(X - coordinates.mean) / coordinates.deviation, np.ones(len(X))])
        else:
            X = X / coordinates.deviation
        weight = None if rows.weight is None else rows.weight[at]
        if self.kind in ("HC2", "HC3"):
            h = np.einsum("ij,ij->i", X @ self.inverse, X)
            left = 1.0 - (h if weight is None else h * weight)
            left = np.where(left > 1e-12, left, np.inf)  # a row that decides its own fit has no residual
            e = e / (np.sqrt(left) if self.kind == "HC2" else left)
        scores: FloatArray = X * (e if weight is None else e * weight)[:, None]
        return scores


def sandwich(
    kind: str,
    source: Source,
    reader: RowReader,
    representation: Representation,
    problem: Problem,
    theta: FloatArray,
    engine: Engine,
) -> Sandwich:
    """S of these training rows at θ. Raises DataError for clusters that cannot be."""
    reading = _Reading(kind, reader, representation, problem, theta, bread(problem))
    found = engine.map_merge(source.blocks(reader.columns), reading.of, _plus)
    assert found is not None
    n, rank = problem.training.rows, len(theta) - problem.reference.null
    if isinstance(found, _Scores):
        groups = len(found.clusters)
        if groups < 2:
            raise DataError(f"--errors clustered: the training rows are all of one {reader.roles.column!r}.", "--errors HC3.")
        return Sandwich(kind, found.sums.T @ found.sums * (groups / (groups - 1.0) * (n - 1.0) / max(n - rank, 1)), groups)
    return Sandwich(kind, found * (n / max(n - rank, 1)) if kind == "HC1" else found)


def _plus(a: FloatArray | _Scores, b: FloatArray | _Scores) -> FloatArray | _Scores:
    if isinstance(a, _Scores) and isinstance(b, _Scores):
        clusters = np.union1d(a.clusters, b.clusters)
        k = a.sums.shape[1]
        if len(clusters) * k > MOST_CLUSTER_VALUES:
            raise DataError(
                f"--errors clustered: over {len(clusters):,} clusters are too many for {k:,} coefficients.", "--errors HC3."
            )
        sums = np.zeros((len(clusters), k))
        sums[np.searchsorted(clusters, a.clusters)] += a.sums
        sums[np.searchsorted(clusters, b.clusters)] += b.sums
        return _Scores(clusters, sums)
    assert not isinstance(a, _Scores)
    assert not isinstance(b, _Scores)
    return a + b

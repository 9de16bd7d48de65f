"""From log(target) back to the target: the smearing factor, and errors in the target's own unit.

One read: moments of (exp(score), exp(log y), exp(residual)) by role. For any factor c, the error c·exp(score) − y is a linear
combination of the first two, so its mean square is known from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradline.errors import DataError
from gradline.evaluation.metrics import Metrics, of_constant
from gradline.maths.block import block_moments
from gradline.maths.moments import merge
from gradline.types import NumberColumn, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gradline.maths.engine import Engine
    from gradline.maths.moments import Moments
    from gradline.training.rows import RowReader, Rows
    from gradline.types import Block, FloatArray

Retransformed = dict[Role, "Moments"]


def retransformed_moments(
    blocks: Iterable[Block], reader: RowReader, score: Callable[[Rows], FloatArray], engine: Engine
) -> Retransformed:
    """Moments of (exp(score), y, exp(log y − score)) by role, y in the target's unit."""

    def compute(block: Block) -> Retransformed:
        rows = reader.read(block)
        scores = score(rows)
        with np.errstate(over="ignore"):
            values = {"raised": np.exp(scores), "actual": np.exp(rows.y), "smear": np.exp(rows.y - scores)}
        if not all(np.isfinite(v).all() for v in values.values()):
            raise DataError("predictions of the log target overflow when raised to the target.", "train without --log-target.")
        found = {}
        for role in Role:
            mine = rows.roles == role
            if mine.any():
                columns = [NumberColumn(name, v[mine]) for name, v in values.items()]
                weight = None if rows.weight is None else rows.weight[mine]
                found[role] = block_moments(columns, [], int(np.count_nonzero(mine)), weight)
        return found

    def merged(a: Retransformed, b: Retransformed) -> Retransformed:
        return {role: merge(a[role], b[role]) if role in a and role in b else a.get(role) or b[role] for role in {**a, **b}}

    return engine.map_merge(blocks, compute, merged) or {}


def smearing_factor(moments: Retransformed) -> float:
    """Duan's smearing factor: the mean of exp(residual) over the training rows (JASA 78, 1983)."""
    return float(moments[Role.TRAINING].mean[2])


def in_target_units(moments: Moments, factor: float) -> Metrics:
    """The metrics of factor·exp(score) on some rows."""
    u = np.array([factor, -1.0, 0.0])
    bias = float(u @ moments.mean)
    square = float(u @ moments.comoment @ u) / moments.weight + bias**2
    variance = float(moments.comoment[1, 1]) / moments.weight
    return Metrics(moments.rows, float(np.sqrt(max(square, 0.0))), 1.0 - square / variance if variance > 0.0 else None, bias)


def baseline_in_target_units(moments: Moments, training_mean: float) -> Metrics:
    """The metrics of always predicting the training rows' mean."""
    return of_constant(moments, training_mean, 1)

"""The leave-one-out fits of a least-squares model, from its training rows and their leverages: no refit.

The penalty, the scales and what stands for missing values stay those of all rows; the fits differ by the row left out alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.evaluation.influence import PANEL_VALUES, whitening
from gradline.maths.jackknife import LeftOut, Whitened

if TYPE_CHECKING:
    from gradline.evaluation.kept_rows import KeptRows
    from gradline.maths.coordinates import Coordinates
    from gradline.maths.moments import Moments
    from gradline.representation.features import Representation

MOST_ROWS = 100_000
MOST_VALUES = 1 << 22  # of the rows' g: what the model file grows by is eight times that


class LeaveOneOut(NamedTuple):
    """What jackknife+ needs of the training rows, and how it finds the like of a new row."""

    whitened: Whitened
    left_out: LeftOut


def leave_one_out(
    rows: KeptRows, representation: Representation, coordinates: Coordinates, moments: Moments, l2: float
) -> LeaveOneOut:
    """Of all training rows (rows without weight are none); `l2` is λ in the loop's coordinates."""
    found = whitening(moments, coordinates, l2)
    scale = np.sqrt(found.weight)
    whitened = Whitened(found.root / scale, 1.0 / float(scale) if found.intercept else None)
    standard = coordinates.standard()
    counted = np.arange(len(rows.y)) if rows.weight is None else np.flatnonzero(rows.weight > 0.0)
    step = max(PANEL_VALUES // max(len(standard.mean), 1), 1)
    parts = []
    for start in range(0, len(counted), step):
        design = representation.design(rows.decoded.take(counted[start : start + step]))
        parts.append(whitened.of(standard.transformed(design)))
    error = (rows.y - rows.score)[counted]
    weight = None if rows.weight is None else rows.weight[counted]
    return LeaveOneOut(whitened, LeftOut.of(np.concatenate(parts), error, weight))


def too_large(rows: int, features: int) -> bool:
    """Whether so many rows of so many features are left to split conformal."""
    return rows > MOST_ROWS or rows * (features + 3) > MOST_VALUES

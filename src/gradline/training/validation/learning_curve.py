"""The learning curve: the error of models of a 64th of the training rows, a 32nd, … all of them, from the moments of one read.

The shares are nested: by the hash of what decides a row's role, or, where the roles are by time, the latest rows before the held-out
ones. Then a larger share reaches further into the past, and the curve says whether older rows help; with the earliest rows first, more
rows would also be nearer ones, and the two could not be told apart.

Whether the last doubling helped is judged by two models on the same rows, so their errors e₁ and e₂ vary together:

    var(e₁² − e₂²) = A·S + D²,   A = E(e₁ − e₂)²,  S = E(e₁ + e₂)²,  D = E(e₁² − e₂²)

for normal errors, and for any that do not depend on e₁ − e₂, the difference of two predictions. All three are quadratic forms of
the validation rows' moments. Where the model is wrong, errors do depend on it; so a gain counts only if it is also larger than the
standard error of the validation RMSE itself, RMSE/√(2n) for normal errors. A gain below that no one will see in use.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.errors import DataError
from gradline.maths.moments import merge
from gradline.maths.ridge_path import RidgePath, ridge_path
from gradline.splits.divisions import LatestShares
from gradline.types import Notice, Part, finite_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gradline.maths.engine import Engine
    from gradline.maths.moments import Moments
    from gradline.representation.features import Representation
    from gradline.splits.divisions import Division
    from gradline.training.config import TrainConfig
    from gradline.types import FloatArray, IntArray, Json

NOISE = 2.0  # standard errors of a gain, up to which it can be chance


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """rows: (n,) learned from, ascending, each share twice the one before it or about so.  train_rmse, validation_rmse: (n,).

    gain: (n − 1,) by how much a share's validation RMSE is below that of the share before it; standard_error: (n − 1,) of that.
    latest: whether the shares are the latest rows.  l2: λ of all models.
    """

    rows: IntArray
    train_rmse: FloatArray
    validation_rmse: FloatArray
    validation_rows: int
    gain: FloatArray
    standard_error: FloatArray
    latest: bool
    l2: float

    @property
    def validation_standard_error(self) -> FloatArray:
        """Of `validation_rmse` for normal errors, (n,)."""
        return np.asarray(self.validation_rmse / np.sqrt(2.0 * self.validation_rows))

    @property
    def verdict(self) -> str | None:
        """Of the last doubling: `learning` where it made the error smaller by more than its noise, `worse` where larger, else `flat`."""
        if not len(self.gain) or not np.isfinite(self.standard_error[-1]):
            return None
        gain, noise = self.gain[-1], max(NOISE * self.standard_error[-1], self.validation_standard_error[-1])
        return "learning" if gain > noise else "worse" if gain < -noise else "flat"

    def to_json(self) -> Json:
        """The entry `learning_curve` of the JSON documents."""
        return {
            "order": "latest" if self.latest else "hash",
            "l2": self.l2,
            "rows": [int(n) for n in self.rows],
            "train_rmse": [finite_or_none(v) for v in self.train_rmse],
            "validation_rmse": [finite_or_none(v) for v in self.validation_rmse],
            "validation_rmse_standard_error": [finite_or_none(v) for v in self.validation_standard_error],
            "validation_rows": self.validation_rows,
            "gain": [finite_or_none(v) for v in self.gain],
            "gain_standard_error": [finite_or_none(v) for v in self.standard_error],
            "verdict": self.verdict,
        }

    def doubts(self) -> list[Notice]:
        """A notice where the older half of the training rows makes the model worse."""
        if not self.latest or self.verdict != "worse":
            return []
        text = (
            f"trained on the latest {self.rows[-2]:,} of the {self.rows[-1]:,} training rows the model errs less on the validation rows, by "
            f"{-self.gain[-1]:.3g} ± {self.standard_error[-1]:.2g}: what the older rows show holds no longer. Leave them out with SQL text: "
            "select … where …."
        )
        return [Notice("older_rows_hurt", None, text)]


class _Point(NamedTuple):
    """A share. train, validation: mean squared errors on it and on the validation rows."""

    rows: int
    path: RidgePath
    train: float
    validation: float


def learning_curve(
    division: Division,
    parts: Sequence[Moments],
    training: Moments,
    validation: Moments | None,
    representation: Representation,
    features: Callable[[Moments, Moments], Moments],
    config: TrainConfig,
    engine: Engine,
) -> LearningCurve:
    """From the moments of raw columns: of the parts of the training rows, of all of them, and of the validation rows.

    features: see `cross_validate`.  Shares without more rows than parameters are left out, unless a penalty tells their weights apart.
    Raises DataError without validation rows.
    """
    if validation is None or validation.weight == 0.0:
        raise DataError("--learning-curve is judged on the validation rows, and there are none.", "--validation 0.1.")
    l2 = np.array([config.penalty])
    indicators = np.array([feature.part is not Part.VALUE for feature in representation.features])
    least = 2 if config.penalty > 0.0 else len(indicators) + 2
    shares = [*accumulate(parts[:0:-1], merge)]  # of the last 64th, 32nd, …, half
    each = {share.rows: share for share in [*shares, training]}  # of few groups or times some shares are the same
    shares = [share for share in each.values() if share.rows >= least and share.weight > 0.0]

    def point(share: Moments) -> tuple[_Point, ...]:
        own = features(share, share)
        path = ridge_path(own, indicators, config.scaling, intercept=config.intercept)
        errors = [float(path.squared_errors(rows, l2)[0]) for rows in (own, features(validation, share))]
        return (_Point(share.rows, path, *errors),)

    found = engine.map_merge(shares, point, lambda a, b: a + b) or ()
    held_out = features(
        validation, training
    )  # of all shares alike: their means for missing values differ by less than it matters here
    noise = [_standard_error(a, b, held_out, validation.rows, l2) for a, b in pairwise(found)]
    rmse = np.sqrt([each.validation for each in found])
    return LearningCurve(
        np.array([each.rows for each in found], dtype=np.intp),
        np.sqrt([each.train for each in found]),
        rmse,
        validation.rows,
        rmse[:-1] - rmse[1:],
        np.array(noise),
        isinstance(division, LatestShares),
        config.penalty,
    )


def _standard_error(a: _Point, b: _Point, held_out: Moments, rows: int, l2: FloatArray) -> float:
    """Of the difference of two models' RMSEs on the same rows."""
    apart, together = (a.path.mean_square(b.path, sign, held_out, l2) for sign in (-1.0, 1.0))
    both = float(np.sqrt(a.validation) + np.sqrt(b.validation))
    if both == 0.0:
        return float("nan")
    return float(np.sqrt((apart * together + (a.validation - b.validation) ** 2) / rows)) / both

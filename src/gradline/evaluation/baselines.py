"""What costs nothing to predict, beside the model: the mean, the last value, one column alone.

    difference = error of the model − error of the baseline,   on the same rows, with the interval of their difference

The error is the RMSE; of a quantile the mean pinball loss, and the mean is then the training rows' quantile. An interval that holds 0
or more says that the model is not better beyond noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.evaluation.bootstrap import Interval
from gradline.maths.levels import Excluding, block
from gradline.types import Notice, Role, finite_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gradline.evaluation.kept_rows import Assessed, KeptRows
    from gradline.evaluation.uncertainty import Judged
    from gradline.maths.moments import Moments
    from gradline.maths.problem import Problem
    from gradline.representation.features import Representation
    from gradline.types import FloatArray, IntArray, Json

MANY_JUDGING = 1_000  # of fewer, a model that is better as measured is not called no better
LEAST_JUDGING = 100  # rows, groups or stretches: of fewer, noise is told only where the model is surely worse
FLAT = 1e-10  # of a column's largest curvature, below which a direction of its features is left out
MANY_LEVELS = 32  # features of a column, from which it is asked whether they are the levels of one
WORDS = {"mean": "always predicting one number", "last_value": "the last value known", "best_column": "the best single column"}


@dataclass(frozen=True, slots=True)
class Measure:
    """What is compared. quantile: of the pinball loss; None is the squared error, compared as RMSE."""

    quantile: float | None = None

    @property
    def name(self) -> str:
        """As it stands in the JSON."""
        return "rmse" if self.quantile is None else "pinball"

    def losses(self, error: FloatArray) -> FloatArray:
        """Of predicted − actual, (n,)."""
        if self.quantile is None:
            with np.errstate(over="ignore"):
                return error * error
        return np.maximum(-self.quantile * error, (1.0 - self.quantile) * error)

    def of(self, mean_loss: FloatArray) -> FloatArray:
        """From mean losses."""
        return np.sqrt(mean_loss) if self.quantile is None else mean_loss


class OneColumn(NamedTuple):
    """Least squares on the features of one column. weights: (p,) in the features' units, 0 for all others.  tried: how many columns.

    rmse: on the rows that chose it, `chosen_on`, in the unit trained in.
    """

    column: str
    weights: FloatArray
    mean: FloatArray
    bias: float
    tried: int
    rmse: float
    chosen_on: Role

    def score(self, representation: Representation, rows: KeptRows) -> FloatArray:
        """In the unit trained in, (n,)."""
        return representation.scores(rows.decoded, self.weights, self.mean, np.ones(len(self.mean))) + self.bias


def best_column(problem: Problem, representation: Representation) -> OneColumn | None:
    """The column whose features alone predict the validation rows best (the training rows, where there are none), from the moments.

    A category is one column with all its levels; the parts of a date are one each. None where there is no second column.
    """
    groups: dict[str, list[int]] = {}
    for j, feature in enumerate(representation.features):
        groups.setdefault(feature.column, []).append(j)
    if len(groups) < 2:
        return None
    validation = problem.moments.get(Role.VALIDATION)
    role = Role.VALIDATION if validation is not None and validation.weight > 0.0 else Role.TRAINING
    training, judging = problem.training, problem.moments[role]
    mean, target = training.mean + training.mean_rest, len(representation.features)
    best: OneColumn | None = None
    for column, group in groups.items():
        at = np.array(group)
        slopes = _least_squares(training, at, target)
        weights = np.zeros(target)
        weights[at] = slopes
        gap = judging.mean + judging.mean_rest - mean
        off = float(gap[target] - gap[at] @ slopes)
        own, beside = block(judging.comoment, at), judging.comoment[at, target]
        squares = float(slopes @ (own @ slopes - beside) - beside @ slopes + judging.comoment[target, target])
        square = squares / judging.weight + off * off
        rmse = float(np.sqrt(max(square, 0.0)))
        if best is None or rmse < best.rmse:
            best = OneColumn(column, weights, mean[:target], float(mean[target]), len(groups), rmse, role)
    return best


def _least_squares(moments: Moments, at: IntArray, target: int) -> FloatArray:
    """The slopes of some features alone, from centred co-moments; flat directions are left out."""
    if len(at) >= MANY_LEVELS:
        share = (moments.mean + moments.mean_rest)[at]
        levels = Excluding.of(block(moments.comoment, at), np.sqrt(moments.weight) * share)
        if levels is not None:  # the means of the target by level, less that of the reference
            return levels.inverse_times(moments.comoment[at, target, None])[:, 0]
    scale = np.sqrt(np.diag(moments.comoment)[at])
    scale = np.where(scale > 0.0, scale, 1.0)
    values, vectors = np.linalg.eigh(moments.comoment[np.ix_(at, at)] / np.outer(scale, scale))
    kept = values > FLAT * max(float(values[-1]), FLAT)
    along = vectors[:, kept].T @ (moments.comoment[at, target] / scale)
    slopes: FloatArray = vectors[:, kept] @ (along / values[kept]) / scale
    return slopes


def last_values(
    time: FloatArray, actual: FloatArray, before_time: FloatArray, before_actual: FloatArray, gap: float = 0.0
) -> FloatArray:
    """For each row the target of the row before it in time, (n,): of the latest time before its own, the mean where several rows have it;
    NaN where there is none. before: the rows that came earlier, training and validation.  gap: how long after its time a target is known.
    """
    times = np.concatenate([before_time, time])
    values = np.concatenate([before_actual, actual])
    distinct, place = np.unique(times, return_inverse=True)
    mean = np.bincount(place, weights=values) / np.bincount(place)
    own = np.searchsorted(distinct, time - gap)
    found: FloatArray = np.where(own > 0, mean[own - 1], np.nan)
    return found


class Baseline(NamedTuple):
    """What a baseline predicts for the judged rows, (n,), or why it predicts nothing. column: of the best single column."""

    name: str
    predicted: FloatArray | None
    reason: str | None = None
    column: str | None = None


class Compared(NamedTuple):
    """A baseline's error, and the model's less it."""

    baseline: Baseline
    error: float | None
    difference: Interval

    @property
    def beaten(self) -> bool | None:
        """Whether the model is better beyond noise; None where that is not known."""
        return None if self.difference.high is None else self.difference.high < 0.0


@dataclass(frozen=True, slots=True)
class Baselines:
    """The model beside them, on the judged rows."""

    role: Role
    units: int
    measure: Measure
    model: Interval
    compared: Sequence[Compared]

    def to_json(self) -> Json:
        """The entry `assessment.baselines`."""
        found: Json = {"role": self.role.label, "measure": self.measure.name, "model": finite_or_none(self.model.value)}
        for each in self.compared:
            entry: Json = {"error": finite_or_none(each.error), "difference": each.difference.to_json(), "better": each.beaten}
            if each.baseline.name == "best_column":
                entry["column"] = each.baseline.column
            found[each.baseline.name] = entry
        return found

    def doubts(self, target: str) -> list[Notice]:
        """That the model is not better, told of the plainest baseline that it does not beat."""
        for each in self.compared:
            if each.beaten is not False or each.error is None or self.model.value is None:
                continue
            name, column = each.baseline.name, each.baseline.column
            low, value = each.difference.low or 0.0, each.difference.value or 0.0
            if self.units < LEAST_JUDGING and low <= 0.0:
                continue  # so few rows hardly tell
            if value < 0.0 and (name == "best_column" or self.units < MANY_JUDGING):
                continue  # better as measured: of so few rows often true, and not beyond their noise
            what = WORDS[name] + (f" ({column})" if column else "")
            difference = each.difference
            text = (
                f"on the {self.role.label} rows the model is {f'worse than {what}' if low > 0.0 else f'not better than {what}, beyond noise'}: "
                f"{self._figure(self.model.value)} against {self._figure(each.error)}, a difference between {difference.low:.4g} and "
                f"{difference.high:.4g}. "
            )
            hint = {
                "mean": "The columns say nothing of the target that new rows bear out: find others, or more rows.",
                "last_value": "Give the model what was known last as a column, or predict that.",
                "best_column": "What the other columns taught does not hold on these rows: leave out those that have changed since."
                if low > 0.0
                else "The other columns add nothing that can be told from noise: leave them out, or give more rows.",
            }
            return [Notice("no_better_than_baseline", column, text + hint[name])]
        return []

    def _figure(self, value: float) -> str:
        return f"{'RMSE' if self.measure.quantile is None else 'mean pinball loss'} {value:.4g}"


def compare_baselines(rows: Judged, baselines: Sequence[Baseline], measure: Measure) -> Baselines:
    """Each baseline beside the model, by the resamples that all figures of these rows share."""
    w, actual = rows.weight, rows.rows.actual
    model = measure.losses(rows.rows.error)
    with np.errstate(over="ignore", invalid="ignore"):
        of_model = rows.bootstrap.resampled(np.stack([w, w * model], axis=1))
        compared = []
        for baseline in baselines:
            if baseline.predicted is None:
                compared.append(Compared(baseline, None, Interval(None, reason=baseline.reason)))
                continue
            known = np.isfinite(baseline.predicted)
            weight = np.where(known, w, 0.0)  # the first row of all has no last value
            losses = measure.losses(np.where(known, baseline.predicted, actual) - actual)
            found = rows.bootstrap.resampled(np.stack([weight, weight * model, weight * losses], axis=1))
            error = found.interval(lambda s: measure.of(s[..., 2] / s[..., 0])).value
            difference = found.interval(lambda s: measure.of(s[..., 1] / s[..., 0]) - measure.of(s[..., 2] / s[..., 0]))
            compared.append(Compared(baseline, error, difference))
    return Baselines(
        rows.rows.role,
        rows.bootstrap.units.drawn,
        measure,
        of_model.interval(lambda s: measure.of(s[..., 1] / s[..., 0])),
        compared,
    )


def quantile_of(rows: Assessed, quantile: float) -> float:
    """The quantile of the actual values, by weight."""
    values, w = rows.rows.actual, rows.rows.weight
    order = np.argsort(values, kind="stable")
    up_to = np.cumsum(np.ones(len(values)) if w is None else w[order])
    return float(values[order[np.searchsorted(up_to, quantile * up_to[-1])]])


def known_before(by_role: Mapping[Role, Assessed]) -> list[Role] | None:
    """The roles whose rows tell the last value before each test row: of time roles the validation rows come just before; None where those
    that do are only sampled.
    """
    before = [role for role in (Role.VALIDATION, Role.TRAINING) if role in by_role]
    nearest = [Role.TEST, *before[:1]]
    return [role for role in before if by_role[role].rows.whole] if all(by_role[role].rows.whole for role in nearest) else None

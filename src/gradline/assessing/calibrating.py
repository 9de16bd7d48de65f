"""Prediction intervals after training: which method, calibrated on which rows, and what the test rows say of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.errors import plural
from gradline.evaluation.coverage import counted, low_coverage, measure, uneven
from gradline.evaluation.leave_one_out import MOST_ROWS, leave_one_out, too_large
from gradline.maths.conformal import Bounds, decimal, quantile, quantile_scores, rows_needed
from gradline.maths.distributions import t_quantile
from gradline.maths.problem import Problem
from gradline.model.intervals import CONFORMAL, JACKKNIFE, QUANTILE, Intervals
from gradline.representation.features import Representation
from gradline.training.reading.roles import Split
from gradline.training.rows import RowReader
from gradline.training.trainer import Read
from gradline.training.trainer import train as fit
from gradline.types import Notice, Role, finite_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gradline.evaluation.kept_rows import Assessed, KeptRows
    from gradline.inputs.source import Source
    from gradline.maths.engine import Engine
    from gradline.training.config import TrainConfig
    from gradline.training.trainer import Fit
    from gradline.types import Json

CLOSE = (
    1e-6  # deviations of the target, within which the loop must be of the minimum for leave-one-out fits to be those of its loss
)
IMPROVED = 1e-6  # of the pinball loss by a step, below which the fit of a quantile ends
SAME = (
    *(
        "target",
        "other_targets",
        "features",
        "drop",
        "derive",
        "degree",
        "types",
        "units",
        "validation",
        "test",
        "key",
        "time",
        "gap",
    ),
    *("group", "stratify", "weight", "scaling", "missing", "unseen", "out_of_range", "min_level_rows", "max_levels", "intercept"),
    *("max_seconds", "seed", "threads", "header", "delimiter", "decimal"),
)  # the settings that decide which rows and features there are
UNSETTLED = ("max_steps", "max_epochs", "max_seconds", "diverged", "monitor")


class Calibrated(NamedTuple):
    """intervals: None where there are none.  document: the entry `intervals`.  bounds: of the kept rows by role, in the target's unit."""

    intervals: Intervals | None
    document: Json
    notices: tuple[Notice, ...] = ()
    bounds: Mapping[Role, Bounds] = {}


class _Choice(NamedTuple):
    method: str | None
    reason: str | None = None
    notices: tuple[Notice, ...] = ()


def calibrate(
    found: Fit, source: Source, config: TrainConfig, engine: Engine, by_role: Mapping[Role, Assessed], l2: float
) -> Calibrated:
    """Make the intervals and measure their coverage. l2: λ, chosen or given."""
    asked: Json = {"method": None, "asked": config.interval, "coverage": config.coverage}
    choice = _chosen(found, config, by_role)
    if choice.method is None:
        return Calibrated(None, {**asked, "reason": choice.reason}, choice.notices)
    notices, held_out = list(choice.notices), by_role[Role.VALIDATION].rows if Role.VALIDATION in by_role else None
    if choice.method == JACKKNIFE:
        intervals = _left_out(found, by_role[Role.TRAINING].rows, config, l2)
    elif choice.method == QUANTILE:
        assert held_out is not None
        intervals, more = _quantiles(found, source, config, engine, held_out, l2)
        notices += more
    else:
        assert held_out is not None
        at = counted(held_out, config.seed)
        residual = np.abs(held_out.y - held_out.score)[at]
        intervals = Intervals(CONFORMAL, config.coverage, len(at), quantile(residual, decimal(config.coverage)))
    notices += _doubts(intervals, config, held_out)
    bounds: dict[Role, Bounds] = {
        role: _bounds(found, intervals, each.rows, log_target=config.log_target)
        for role, each in by_role.items()
        if role is not Role.TRAINING
    }
    test: Json | None = None
    rows = by_role[Role.TEST].rows if Role.TEST in by_role else None
    if rows is not None and len(counted(rows, config.seed)):
        tested = measure(rows, bounds[Role.TEST], _normal(found, rows, config), intervals.rows, config.coverage, config.seed)
        test = tested.document
        notices += low_coverage(tested.own, config.coverage, "the test rows")
        if tested.worst is not None and config.interval != "auto":  # whoever did not ask for intervals is told in the report
            column = tested.worst.get("column")
            notices.append(Notice("coverage_uneven", column, f"{uneven(tested.worst, config.coverage)}."))
    document = {
        **asked,
        "method": intervals.method,
        "reason": choice.reason,
        "guarantee": _guarantee(intervals, config),
        "rests_on": rests_on(intervals.method, config),
        "calibrated_on": "train" if intervals.method == JACKKNIFE else "validation",
        "rows": intervals.rows,
        "margin": None if intervals.method == JACKKNIFE else finite_or_none(intervals.margin),
        "test": test,
    }
    return Calibrated(intervals, document, tuple(notices), bounds)


def _chosen(found: Fit, config: TrainConfig, by_role: Mapping[Role, Assessed]) -> _Choice:
    """Which method can be had."""
    asked, n = config.interval, found.survey.rows(Role.TRAINING)
    if asked == "none":
        return _Choice(None, "not asked for")
    reason = None
    if asked == JACKKNIFE:
        reason = _not_left_out(found, config, n)
        if reason is None:
            return _Choice(JACKKNIFE)
    held_out = by_role[Role.VALIDATION].rows if Role.VALIDATION in by_role else None
    at = 0 if held_out is None else len(counted(held_out, config.seed))
    needed, level = rows_needed(decimal(config.coverage)), f"{100 * config.coverage:g}%"
    if at >= needed:
        text = f"jackknife+ cannot be had: {reason}. The intervals are split conformal instead."
        notices = () if reason is None else (Notice("interval_method", None, text),)
        return _Choice(QUANTILE if asked == QUANTILE else CONFORMAL, reason, notices)
    of = "groups" if held_out is not None and held_out.group is not None else "rows"
    few = f"{level} intervals need {needed:,} validation {of}, and there are {at:,}"
    if asked == "auto":
        return _Choice(None, few)
    if reason is not None:
        text = f"jackknife+ cannot be had: {reason}; and {few} for split conformal ones. Hold out more (--validation), or ask for less (--coverage)."
        return _Choice(None, f"{reason}; {few}", (Notice("interval_method", None, text),))
    text = f"{few}: no finite interval holds so much. Hold out more (--validation), ask for less (--coverage), or use --interval jackknife+."
    return _Choice(None, few, (Notice("interval_infinite", None, text),))


def _not_left_out(found: Fit, config: TrainConfig, n: int) -> str | None:
    """Why there are no leave-one-out fits, None where there are."""
    assert isinstance(found.problem, Problem)
    features = len(found.problem.names)
    if config.loss != "squared" or config.l1 > 0.0:
        return f"{'--l1' if config.l1 > 0.0 else '--loss ' + config.loss} has no leave-one-out fits in closed form"
    if config.group is not None:
        return "with --group whole groups would have to be left out"
    if too_large(n, features):
        return f"it keeps every training row, up to {MOST_ROWS:,} of few features, and these are {n:,} of {plural(features, 'feature')}"
    if found.problem.coefficient_error(found.descent.theta) > CLOSE:
        return "the run ended before the minimum, and leave-one-out fits are of the minimum"
    if n < rows_needed(decimal(config.coverage)):
        return f"{100 * config.coverage:g}% intervals need {rows_needed(decimal(config.coverage)):,} training rows, and there are {n:,}"
    return None


def _left_out(found: Fit, rows: KeptRows, config: TrainConfig, l2: float) -> Intervals:
    problem, representation = found.problem, found.representation
    assert isinstance(problem, Problem)
    assert isinstance(representation, Representation)
    fits = leave_one_out(rows, representation, problem.coordinates, problem.training, l2)
    return Intervals(JACKKNIFE, config.coverage, len(fits.left_out.residual), 0.0, None, fits.whitened, fits.left_out)


def _quantiles(
    found: Fit, source: Source, config: TrainConfig, engine: Engine, held_out: KeptRows, l2: float
) -> tuple[Intervals, list[Notice]]:
    """Two more fits, of the lower and the upper quantile, on the same rows; then moved apart on the validation rows."""
    assert isinstance(found.representation, Representation)
    assert isinstance(found.reader, RowReader)
    tail = (1 - decimal(config.coverage)) / 2
    fits = [
        fit(
            source,
            quantile_config(config, float(level), l2),
            engine,
            read=Read(found.survey, found.reader, 0.0, Split(found.reader.roles)),
        )
        for level in (tail, 1 - tail)
    ]
    notices = []
    unsettled = [
        each.descent.reason.to_json()["message"] for each in fits if each.descent.reason.to_json()["reason"] in UNSETTLED
    ]
    if unsettled:
        text = f"a fit of the quantiles ended early ({unsettled[0]}): the coverage is calibrated all the same, the intervals may be wider than they need be."
        notices.append(Notice("interval_fit", None, text))
    if any(each.representation.names != found.representation.names for each in fits):
        raise ValueError("the fits of the quantiles have other features than the model")
    thetas = np.stack([each.descent.theta for each in fits])
    intervals = Intervals(QUANTILE, config.coverage, 0, 0.0, thetas)
    at = counted(held_out, config.seed)
    own = intervals.bounds(held_out.decoded.take(at), held_out.score[at], found.representation, found.problem.coordinates)
    margin = quantile(quantile_scores(held_out.y[at], own.low, own.high), decimal(config.coverage))
    return replace(intervals, rows=len(at), margin=margin), notices


def quantile_config(config: TrainConfig, level: float, l2: float) -> TrainConfig:
    """The settings of the fit of a quantile: the same rows and features, and nothing else."""
    same: Json = {name: getattr(config, name) for name in SAME}
    return replace(
        type(config)(**same),
        loss="pinball",
        quantile=level,
        l2=l2,
        stop=(
            "certificate",
            "improvement",
        ),  # coverage is calibrated whatever the fit: its last digits would cost most of the time
        tolerance=IMPROVED,
        interval="none",
        assess="no",
    )


def _doubts(intervals: Intervals, config: TrainConfig, held_out: KeptRows | None) -> list[Notice]:
    if intervals.method != JACKKNIFE and "validation" in config.stop:
        text = (
            "the validation rows chose where the run stopped (--stop validation) and calibrated the intervals too: their coverage is measured on the test rows, and no longer promised. "
            "Another --stop leaves them unused until then."
        )
        return [Notice("interval_reused_rows", None, text)]
    return []


def _guarantee(intervals: Intervals, config: TrainConfig) -> float | None:
    """The coverage that exchangeability alone promises; None where it does not hold."""
    if config.time is not None or (intervals.method != JACKKNIFE and "validation" in config.stop):
        return None
    promised = decimal(config.coverage)
    return float(2 * promised - 1 if intervals.method == JACKKNIFE else promised)


def rests_on(method: str, config: TrainConfig) -> str:
    """What the coverage rests on, in words."""
    if config.time is not None:
        return "the latest rows being like those before them, which nothing promises: see the coverage of the test rows"
    if method != JACKKNIFE and "validation" in config.stop:
        return "validation rows that also chose where the run stopped: see the coverage of the test rows"
    if config.group is not None:
        return f"new values of {config.group} being like these: one row of each calibrates"
    return "new rows being like these, on average over all rows"


def _normal(found: Fit, rows: KeptRows, config: TrainConfig) -> Bounds:
    """What errors of one normal distribution would give: score ± t σ, without the coefficients' own error."""
    problem = found.problem
    assert isinstance(problem, Problem)
    moments, theta = problem.training, found.descent.theta
    mean, variance = problem.loss_of(Role.TRAINING).mean_and_variance(theta)
    freedom = max(moments.rows - problem.coordinates.size, 1)
    sigma = float(np.sqrt((variance + mean * mean) * moments.rows / freedom))
    half = t_quantile(config.coverage, freedom) * sigma
    return _raised(Bounds(rows.score - half, rows.score + half), log_target=config.log_target)


def _bounds(found: Fit, intervals: Intervals, rows: KeptRows, *, log_target: bool) -> Bounds:
    assert isinstance(found.representation, Representation)
    own = intervals.bounds(rows.decoded, rows.score, found.representation, found.problem.coordinates)
    return _raised(own, log_target=log_target)


def _raised(bounds: Bounds, *, log_target: bool) -> Bounds:
    """In the target's unit: the logarithm is monotone, so that what lay between still does."""
    if not log_target:
        return bounds
    with np.errstate(over="ignore"):
        return Bounds(np.exp(bounds.low), np.exp(bounds.high))

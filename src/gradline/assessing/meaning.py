"""What the errors mean: intervals of the metrics, baselines, cost, calibration, segments and the worst rows, of the rows read last."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.arrays import flat_column
from gradline.decisions.cost import parse_cost
from gradline.evaluation.baselines import (
    Baseline,
    Measure,
    best_column,
    compare_baselines,
    known_before,
    last_values,
    quantile_of,
)
from gradline.evaluation.calibration import calibration
from gradline.evaluation.expected_cost import expected_cost
from gradline.evaluation.segment_search import sides_of
from gradline.evaluation.segments import NO_SEARCH, segments
from gradline.evaluation.uncertainty import how, judged, metric_intervals
from gradline.evaluation.worst_rows import worst_rows
from gradline.maths.problem import Problem
from gradline.representation.decode import DATE_PARTS
from gradline.representation.features import Representation
from gradline.splits.roles import TimeRoles, time_ordinals
from gradline.training.rows import RowReader
from gradline.types import Notice, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gradline.evaluation.baselines import Baselines, OneColumn
    from gradline.evaluation.kept_rows import Assessed, KeptRows
    from gradline.evaluation.uncertainty import Judged
    from gradline.inputs.source import Source
    from gradline.training.config import TrainConfig
    from gradline.training.trainer import Fit
    from gradline.types import FloatArray, Json

NO_TEST = "there are no test rows"
OF_A_QUANTILE = "a quantile is predicted, not a mean"
NO_TIME = "the rows have no order in time (--time)"


class Meaning(NamedTuple):
    """Keys of `assessment`, and what is doubtful."""

    document: Json
    notices: list[Notice]


def meaning(found: Fit, source: Source, config: TrainConfig, by_role: Mapping[Role, Assessed]) -> Meaning:
    """Of a fit and the rows that were kept."""
    times = {role: _times(each.rows, config) for role, each in by_role.items()}
    held_out = {role: each for role, each in by_role.items() if role is not Role.TRAINING and len(each.rows.actual)}
    judging = {role: judged(each, times[role], config.seed) for role, each in held_out.items()}
    document: Json = {
        "metrics": {role.label: None for role in Role if role is not Role.TRAINING},
        "baselines": None,
        "cost": None,
        "calibration": None,
        "segments": None,
        "worst": _worst(by_role, source),
        "reasons": {},
    }
    for role, rows in judging.items():
        intervals = {name: interval.to_json() for name, interval in metric_intervals(rows).items()}
        document["metrics"][role.label] = intervals | {"resampling": how(rows)}
    test = judging.get(Role.TEST)
    if test is None:
        return Meaning(document | {"reasons": dict.fromkeys(("baselines", "cost", "calibration", "segments"), NO_TEST)}, [])
    validation = held_out[Role.VALIDATION].rows if Role.VALIDATION in held_out else None
    baselines = _baselines(found, config, by_role, times, test)
    document["baselines"] = baselines.to_json()
    notices = baselines.doubts(config.target)
    mean = _training_mean(by_role)
    if config.cost is not None:
        document["cost"] = expected_cost(parse_cost(config.cost), config.cost_unit, test, mean, validation).to_json()
    if config.loss != "pinball":  # of a quantile, actual values lie to one side of predictions, as they should
        line = calibration(test)
        document["calibration"] = line.to_json()
        notices += line.doubts() if config.loss == "squared" else []
    else:
        document["reasons"]["calibration"] = OF_A_QUANTILE
    searched = None if validation is None else _as_read(found, validation)
    sides = sides_of(searched, _as_read(found, test.rows), test.bootstrap.units)
    if sides is None:
        document["reasons"]["segments"] = NO_SEARCH
        return Meaning(document, notices)
    parts = segments(sides, _shown(found))
    document["segments"] = parts.to_json()
    return Meaning(document, notices + parts.doubts())


def _times(rows: KeptRows, config: TrainConfig) -> FloatArray | None:
    return None if config.time is None else time_ordinals(flat_column(rows.table, config.time), config.time)


def _training_mean(by_role: Mapping[Role, Assessed]) -> float:
    mean = by_role[Role.TRAINING].errors.actual_mean
    return float("nan") if mean is None else mean


def _worst(by_role: Mapping[Role, Assessed], source: Source) -> Json:
    role = next(role for role in (Role.TEST, Role.VALIDATION, Role.TRAINING) if role in by_role)
    return worst_rows(by_role[role].worst, role, [file.name for file in source.files])


def _as_read(found: Fit, rows: KeptRows) -> KeptRows:
    """Without the numbers that were derived of others: their values say nothing that those do not."""
    assert isinstance(found.reader, RowReader)
    read = {*found.reader.decoder.kinds, *(f"{name}.{part}" for name in found.reader.decoder.kinds for part in DATE_PARTS)}
    numbers = tuple(number for number in rows.decoded.numbers if number.name in read)
    return rows._replace(decoded=rows.decoded._replace(numbers=numbers))


def _shown(found: Fit) -> Callable[[str, float], str]:
    """A number of a column as it is read: the days of a date as a date."""
    columns = found.contract.columns

    def shown(name: str, value: float) -> str:
        column = columns.get(name.removesuffix(".days"))
        return f"{value:.6g}" if column is None or name in columns else column.shown(value)

    return shown


def _baselines(
    found: Fit, config: TrainConfig, by_role: Mapping[Role, Assessed], times: Mapping[Role, FloatArray | None], test: Judged
) -> Baselines:
    quantile = config.quantile if config.loss == "pinball" else None
    constant = _training_mean(by_role) if quantile is None else quantile_of(by_role[Role.TRAINING], quantile)
    rows = test.rows
    baselines = [Baseline("mean", np.full(len(rows.actual), constant))]
    roles = found.reader.roles
    baselines.append(_last_value(by_role, times, roles.gap if isinstance(roles, TimeRoles) else 0.0))
    assert isinstance(found.problem, Problem)
    assert isinstance(found.representation, Representation)
    best = best_column(found.problem, found.representation)
    if best is None or quantile is not None:
        why = "the model has one column" if best is None else "of a quantile there are no moments"
        baselines.append(Baseline("best_column", None, why))
    else:
        baselines.append(
            Baseline("best_column", _predicted(best, found.representation, config, by_role, rows), column=best.column)
        )
    return compare_baselines(test, baselines, Measure(quantile))


def _last_value(by_role: Mapping[Role, Assessed], times: Mapping[Role, FloatArray | None], gap: float) -> Baseline:
    own = times[Role.TEST]
    if own is None:
        return Baseline("last_value", None, NO_TIME)
    earlier = known_before(by_role)
    if earlier is None:
        return Baseline("last_value", None, "only a sample of the rows is kept, and the row before each is not known")
    before = np.concatenate([time for role in earlier if (time := times[role]) is not None])
    values = np.concatenate([by_role[role].rows.actual for role in earlier])
    return Baseline("last_value", last_values(own, by_role[Role.TEST].rows.actual, before, values, gap))


def _predicted(
    best: OneColumn, representation: Representation, config: TrainConfig, by_role: Mapping[Role, Assessed], rows: KeptRows
) -> FloatArray:
    """In the target's unit; of a log target with the smearing factor of its own residuals."""
    score = best.score(representation, rows)
    if not config.log_target:
        return score
    training = by_role[Role.TRAINING].rows
    smear = np.exp(training.y - best.score(representation, training))
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(score) * float(np.average(smear, weights=training.weight)))

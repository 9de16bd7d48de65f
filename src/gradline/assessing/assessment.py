"""What the errors mean, after training: one more read of the rows, and what each module of `evaluation` makes of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.arrays import flat_column
from gradline.assessing.calibrating import calibrate
from gradline.assessing.deciding import decide
from gradline.assessing.meaning import meaning
from gradline.decisions.cost import parse_cost
from gradline.errors import DataError, UsageError
from gradline.evaluation.assumptions import check_assumptions
from gradline.evaluation.kept_rows import read_kept
from gradline.inputs.sparse import SparseSource
from gradline.maths.problem import Problem
from gradline.representation.features import Representation
from gradline.splits.roles import TimeRoles, time_ordinals
from gradline.training.rows import RowReader
from gradline.types import Notice, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gradline.decisions.policy import Policy
    from gradline.evaluation.kept_rows import Assessed, KeptRows
    from gradline.inputs.source import Source
    from gradline.maths.engine import Engine
    from gradline.model.intervals import Intervals
    from gradline.model.model import Retransformation
    from gradline.training.config import TrainConfig
    from gradline.training.trainer import Fit
    from gradline.types import Decoded, FloatArray, Json

SMALL = 20_000_000  # rows times columns, up to which another read goes without saying


class Assessment(NamedTuple):
    """What the rows say of the model. document: the entry `assessment` of the JSON documents, None where it was not made.

    by_role: the rows themselves.  intervals, policy: what the model predicts beside, None where there is none.
    """

    document: Json | None
    notices: tuple[Notice, ...] = ()
    by_role: Mapping[Role, Assessed] = {}
    intervals: Intervals | None = None
    policy: Policy | None = None


def check_assessment(source: Source, config: TrainConfig) -> None:
    """Raise UsageError, before the first read, where the rows are to be assessed and cannot be read again."""
    if config.cost is not None:
        parse_cost(config.cost)
    asked = _asked(config)
    if asked and (isinstance(source, SparseSource) or not (source.repeatable or source.files)):
        why = "is sparse" if isinstance(source, SparseSource) else "can be read only once"
        raise UsageError(f"{asked[0]} needs the rows a second time, and {source.name} {why}.", f"leave {asked[0]} out.")


def _asked(config: TrainConfig) -> list[str]:
    """The settings for which the rows have to be assessed."""
    asked = ["--assess yes"] if config.assess == "yes" else []
    asked += [] if config.interval in ("auto", "none") else [f"--interval {config.interval}"]
    asked += [] if config.event is None else ["--event"]
    return asked if config.cost is None else [*asked, "--cost"]


def assess(
    found: Fit,
    source: Source,
    config: TrainConfig,
    engine: Engine,
    retransformation: Retransformation | None,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> Assessment:
    """Assess a fit by one more read, where that was asked for or costs little."""
    if not _wanted(found, source, config):
        return Assessment(None, _left_out(config))
    assert isinstance(found.reader, RowReader)
    counts = {role: found.survey.rows(role) for role in Role}
    to_target = partial(_to_target, factor=None if retransformation is None else retransformation.factor)
    try:
        by_role = read_kept(source, found.reader, partial(_score, found), to_target, counts, config.seed, engine, on_rows)
    except DataError as error:  # the rows are others by now: that must not cost the model
        return Assessment(
            None, (Notice("not_assessed", None, f"{error.message} The model is of the rows as they were first read."),)
        )
    document: Json = {
        "rows": {role.label: {"rows": each.rows.of, "kept": len(each.rows.actual)} for role, each in by_role.items()},
        "assumptions": _assumptions(found, source, config, by_role[Role.TRAINING].rows),
    }
    validated = found.cross_validation
    calibrated = calibrate(found, source, config, engine, by_role, config.penalty if validated is None else validated.chosen)
    decided = decide(config, by_role, calibrated)
    meant = meaning(found, source, config, by_role)
    document |= {"intervals": calibrated.document, "decision": decided.document, **meant.document}
    notices = (*meant.notices, *calibrated.notices, *decided.notices)
    return Assessment(document, notices, by_role, calibrated.intervals, decided.policy)


def _assumptions(found: Fit, source: Source, config: TrainConfig, rows: KeptRows) -> Json | None:
    """Of least squares: what the standard errors rest on."""
    problem, representation, reader = found.problem, found.representation, found.reader
    if config.loss != "squared" or config.l1 > 0.0:
        return None
    assert isinstance(problem, Problem)
    assert isinstance(representation, Representation)
    assert isinstance(reader, RowReader)
    time = None
    if isinstance(reader.roles, TimeRoles):
        time = time_ordinals(flat_column(rows.table, reader.roles.column), reader.roles.column)
    penalty = config.penalty if found.cross_validation is None else found.cross_validation.chosen
    return check_assumptions(
        rows,
        problem,
        representation,
        found.descent.theta,
        penalty,
        time=time,
        files=[file.name for file in source.files],
        log_target=config.log_target,
    )


def _left_out(config: TrainConfig) -> tuple[Notice, ...]:
    """What was asked for, of a table that is not assessed."""
    asked = _asked(config)
    if not asked:
        return ()
    text = f"{' and '.join(asked)} cannot be had: tables of so many features are not assessed. Choose fewer with --features."
    return (Notice("not_assessed", None, text),)


def _wanted(found: Fit, source: Source, config: TrainConfig) -> bool:
    if config.assess == "no" or not isinstance(found.problem, Problem) or found.stores:
        return False
    if isinstance(source, SparseSource) or not (source.repeatable or source.files):
        return False
    assert isinstance(found.reader, RowReader)
    return bool(_asked(config)) or found.survey.read * len(found.reader.columns) <= SMALL


def _score(found: Fit, decoded: Decoded) -> FloatArray:
    coordinates = found.problem.coordinates
    assert isinstance(found.representation, Representation)
    w, b = coordinates.weights_and_bias(found.descent.theta)
    return found.representation.scores(decoded, w, coordinates.centre, coordinates.scale) + b


def _to_target(score: FloatArray, factor: float | None) -> FloatArray:
    if factor is None:
        return score
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(score) * factor)

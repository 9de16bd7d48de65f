"""What the errors mean, after training: one more read of the rows, and what each module of `evaluation` makes of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.decisions.cost import parse_cost
from gradline.errors import UsageError
from gradline.evaluation.kept_rows import read_kept
from gradline.inputs.sparse import SparseSource
from gradline.maths.problem import Problem
from gradline.meaning import meaning
from gradline.representation.features import Representation
from gradline.training.rows import RowReader
from gradline.types import Notice, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gradline.evaluation.kept_rows import Assessed
    from gradline.inputs.source import Source
    from gradline.maths.engine import Engine
    from gradline.model.model import Retransformation
    from gradline.training.config import TrainConfig
    from gradline.training.trainer import Fit
    from gradline.types import Decoded, FloatArray, Json

SMALL = 20_000_000  # rows times columns, up to which another read goes without saying


class Assessment(NamedTuple):
    """What the rows say of the model. document: the entry `assessment` of the JSON documents, None where it was not made.

    by_role: the rows themselves.
    """

    document: Json | None
    notices: tuple[Notice, ...] = ()
    by_role: Mapping[Role, Assessed] = {}


def check_assessment(source: Source, config: TrainConfig) -> None:
    """Raise UsageError, before the first read, where the rows are to be assessed and cannot be read again."""
    if config.cost is not None:
        parse_cost(config.cost)
    if config.assess != "yes" and config.cost is None:
        return
    asked = "--assess yes" if config.cost is None else "--cost"
    if isinstance(source, SparseSource) or not (source.repeatable or source.files):
        why = "is sparse" if isinstance(source, SparseSource) else "can be read only once"
        raise UsageError(
            f"{asked} reads the rows again, and {source.name} {why}.", "--assess no." if config.cost is None else "leave it out."
        )


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
        return Assessment(None)
    assert isinstance(found.reader, RowReader)
    counts = {role: found.survey.rows(role) for role in Role}
    to_target = partial(_to_target, factor=None if retransformation is None else retransformation.factor)
    by_role = read_kept(source, found.reader, partial(_score, found), to_target, counts, config.seed, engine, on_rows)
    notices: list[Notice] = []
    document: Json = {
        "rows": {role.label: {"rows": each.rows.of, "kept": len(each.rows.actual)} for role, each in by_role.items()},
    }
    meant = meaning(found, source, config, by_role)
    document |= meant.document
    notices += meant.notices
    return Assessment(document, tuple(notices), by_role)


def _wanted(found: Fit, source: Source, config: TrainConfig) -> bool:
    if config.assess == "no" or not isinstance(found.problem, Problem) or found.stores:
        return False
    if isinstance(source, SparseSource) or not (source.repeatable or source.files):
        return False
    assert isinstance(found.reader, RowReader)
    return config.assess == "yes" or config.cost is not None or found.survey.read * len(found.reader.columns) <= SMALL


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

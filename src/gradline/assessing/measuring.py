"""How good a fit is: metrics by role beside the mean as baseline, and a sample of predictions for the pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.arrays import flat_column
from gradline.errors import DataError, UsageError
from gradline.evaluation import metrics as measured
from gradline.evaluation import retransformation as retransform
from gradline.evaluation.inference import infer
from gradline.inputs.sparse import SparseSource
from gradline.maths.problem import Problem
from gradline.model.model import Retransformation, Sampled
from gradline.representation.decode import as_numbers
from gradline.representation.features import Representation
from gradline.training.reading.sample import SAMPLE_ROWS
from gradline.training.rows import RowReader
from gradline.types import Block, Decoded, Notice, Role

if TYPE_CHECKING:
    from gradline.evaluation.inference import Inference
    from gradline.inputs.source import Source
    from gradline.maths.engine import Engine
    from gradline.training.config import TrainConfig
    from gradline.training.trainer import Fit
    from gradline.types import FloatArray, Json


class Measured(NamedTuple):
    """retransformation: the way back from a log target.  training_mean: of the target, in its unit, where that is known.
    metrics: by role, and the baseline's.  inference: of the coefficients, None where there is none.
    notices: why what was asked for is not known.
    """

    retransformation: Retransformation | None
    training_mean: float | None
    metrics: Json
    sampled: Sampled
    inference: Inference | None = None
    notices: tuple[Notice, ...] = ()


def measure(found: Fit, source: Source, config: TrainConfig, engine: Engine) -> Measured:
    """Measure a fit on the rows of every role."""
    notices: tuple[Notice, ...] = ()
    try:
        inference = _inferred(found, source, config, engine)
    except DataError as error:  # of the clusters: that must not cost the model
        inference, notices = None, (Notice("errors_not_known", config.group, f"{error.message} {error.hint or ''}".strip()),)
    if found.stores:
        return _from_rows(found)._replace(inference=inference, notices=notices)
    retransformation, training_mean, metrics = _from_moments(found, source, config, engine)
    return Measured(retransformation, training_mean, metrics, _sampled(found, config, retransformation), inference, notices)


def check_errors(source: Source, config: TrainConfig) -> None:
    """Raise UsageError, before the first read, where robust errors would find no rows to read at the end."""
    if config.errors == "classical":
        return
    if isinstance(source, SparseSource) or not (source.repeatable or source.files):
        why = "is sparse" if isinstance(source, SparseSource) else "can be read only once"
        raise UsageError(f"--errors {config.errors} reads the rows again, and {source.name} {why}.", "--errors classical.")


def _inferred(found: Fit, source: Source, config: TrainConfig, engine: Engine) -> Inference | None:
    """Standard errors of the coefficients, where the loss has them and the moments are known."""
    if config.loss != "squared" or config.l1 > 0.0 or not isinstance(found.problem, Problem):
        return None
    theta, robust = found.descent.theta, None
    if config.errors != "classical":
        from gradline.evaluation.sandwich import sandwich

        assert isinstance(found.reader, RowReader)
        assert isinstance(found.representation, Representation)
        robust = sandwich(config.errors, source, found.reader, found.representation, found.problem, theta, engine)
    unknown = () if found.collinear is None else found.collinear.not_identifiable
    return infer(
        found.problem,
        theta,
        robust,
        weighted=config.weight is not None,
        low=found.descent.theta_low,
        not_identifiable=unknown,
    )


def _score(found: Fit, decoded: Decoded) -> FloatArray:
    coordinates = found.problem.coordinates
    assert isinstance(found.representation, Representation)
    w, b = coordinates.weights_and_bias(found.descent.theta)
    return found.representation.scores(decoded, w, coordinates.centre, coordinates.scale) + b


def _from_moments(
    found: Fit, source: Source, config: TrainConfig, engine: Engine
) -> tuple[Retransformation | None, float | None, Json]:
    """All but the sample, from the moments; with a log target, in its own unit by one more read."""
    problem = found.problem
    assert isinstance(problem, Problem)  # what is wide or sparse has its rows
    training = problem.training
    by_role: Json = {role.label: None for role in Role}
    baseline: Json = {role.label: None for role in Role}
    for role, moments in problem.moments.items():
        if moments.weight > 0.0:
            by_role[role.label] = measured.from_loss(problem.loss_of(role), moments, found.descent.theta).to_json()
            baseline[role.label] = measured.of_constant(moments, float(training.mean[-1])).to_json()
    if not config.log_target:
        return None, float(training.mean[-1]), by_role | {"baseline": baseline}
    log_scale = by_role | {"baseline": baseline}
    if not source.repeatable and not source.files:
        variance = by_role["train"]["rmse"] ** 2
        return Retransformation("normal", float(np.exp(variance / 2.0))), None, log_scale | {"scale": "log"}
    assert isinstance(found.reader, RowReader)
    blocks = source.blocks(found.reader.columns)
    raised = retransform.retransformed_moments(blocks, found.reader, lambda rows: _score(found, rows.decoded), engine)
    factor = retransform.smearing_factor(raised)
    mean = float(raised[Role.TRAINING].mean[1])
    units: Json = {role.label: None for role in Role}
    units_baseline: Json = {role.label: None for role in Role}
    for role, moments in raised.items():
        units[role.label] = retransform.in_target_units(moments, factor).to_json()
        units_baseline[role.label] = retransform.baseline_in_target_units(moments, mean).to_json()
    return Retransformation("smearing", factor), mean, units | {"baseline": units_baseline, "log_scale": log_scale}


def _from_rows(found: Fit) -> Measured:
    """From the rows that are kept."""
    mean = float(found.problem.training.mean[-1])
    w, b = found.problem.coordinates.weights_and_bias(found.descent.theta)
    by_role: Json = {role.label: None for role in Role}
    baseline: Json = {role.label: None for role in Role}
    shown: list[FloatArray] = []
    for role, store in found.stores.items():
        errors = measured.ErrorSums()
        predicted = np.concatenate([store.examples(part).X @ w + b for part in store.parts()])
        errors.add(predicted, store.y, store.weight)
        if (metrics := errors.metrics()) is not None and (of_mean := errors.baseline(mean)) is not None:
            by_role[role.label], baseline[role.label] = metrics.to_json(), of_mean.to_json()
        share = SAMPLE_ROWS * len(store) // sum(map(len, found.stores.values()))
        at = np.unique(np.linspace(0, len(store) - 1, max(share, 1)).round().astype(np.intp))
        shown.append(np.stack([store.y[at], predicted[at], np.full(len(at), float(role))]))
    actual, predicted, roles = np.concatenate(shown, axis=1)
    return Measured(None, mean, by_role | {"baseline": baseline}, Sampled(actual, predicted, roles.astype(np.uint8)))


def _sampled(found: Fit, config: TrainConfig, retransformation: Retransformation | None) -> Sampled:
    sample = found.survey.sample
    assert isinstance(found.reader, RowReader)
    rows = found.reader.read(Block(0, 0, lambda: sample.table)) if found.reader.roles.column else None
    if rows is None:
        decoded = found.reader.decoder.decode(sample.table)
        actual = as_numbers(config.target, flat_column(sample.table, config.target), found.contract.target_kind)
    else:
        decoded, actual = rows.decoded, np.exp(rows.y) if config.log_target else rows.y
    score = _score(found, decoded)
    predicted = score if retransformation is None else np.exp(score) * retransformation.factor
    return Sampled(np.asarray(actual), predicted, sample.roles)

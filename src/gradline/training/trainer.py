"""A training run, from a source to a certified fit. Read top to bottom; each part stands in a module of its own.

read once → represent → plan → descend → certify: `prepare` is the first three, `train` all of them
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.errors import DataError, UsageError, plural
from gradline.inputs.sparse import SparseSource
from gradline.maths.compensated import LEAST_VARIANCE
from gradline.maths.coordinates import Coordinates
from gradline.maths.levels import LEAST_LEVELS, Category
from gradline.maths.moments import Fill, Moments, indicator_pairs
from gradline.maths.noise import measure
from gradline.maths.problem import Problem, pose
from gradline.representation.decode import Decoder
from gradline.representation.features import Limits, Representation, represent
from gradline.training.dense import is_wide, prepare_dense, read_dense, refuse_dense
from gradline.training.descending import batches_of, run_loop
from gradline.training.diagnostics.collinearity import Collinearity, collinearity
from gradline.training.diagnostics.doubts import bounded, data_doubts, run_doubts, table_doubts
from gradline.training.escalation import escalated, needed, refined, staged
from gradline.training.optimality.elastic import ElasticNet, elastic_plan
from gradline.training.optimality.general import GeneralProblem, general_plan, pose_general
from gradline.training.optimality.judge import Solved
from gradline.training.optimality.wide import WideProblem, wide_doubts
from gradline.training.plan import make_plan
from gradline.training.prepared import Prepared, Progress
from gradline.training.reading.columns import feature_kinds, made_of, make_contract, source_columns, table_columns, target_kind
from gradline.training.reading.deriving import derivations, pooled, resolved
from gradline.training.reading.examples import stored_examples
from gradline.training.reading.roles import Split, make_roles, make_split
from gradline.training.rows import RowReader, SparseReader
from gradline.training.sparse import SparseTable, prepare_sparse, read_sparse
from gradline.training.survey import survey
from gradline.training.validation.validated import validated
from gradline.types import Kind, Notice, Part, RawColumn, Role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gradline.inputs.contract import Contract
    from gradline.inputs.source import Source
    from gradline.maths.certificate import Certificate
    from gradline.maths.diagonal import Diagonal
    from gradline.maths.engine import Engine
    from gradline.oracles.minibatch import ExampleStore
    from gradline.oracles.sparse import SparseStore
    from gradline.representation.sparse import SparseRepresentation
    from gradline.training.checkpoint import Checkpoints
    from gradline.training.config import TrainConfig
    from gradline.training.loop import Descent
    from gradline.training.optimality.judge import Judge
    from gradline.training.plan import Plan
    from gradline.training.prepared import Beginning
    from gradline.training.survey import Survey
    from gradline.training.validation.cross_validation import CrossValidation
    from gradline.training.validation.learning_curve import LearningCurve


NOISE_ROWS = 8_192  # the sample from which the noise of mini-batches is measured


@dataclass(frozen=True, slots=True)
class Fit:
    """All that a training run found."""

    problem: Problem | WideProblem
    contract: Contract
    representation: Representation | SparseRepresentation
    plan: Plan
    descent: Descent
    certificate: Certificate
    survey: Survey
    reader: RowReader | SparseReader
    notices: tuple[Notice, ...]
    judge: Judge
    stores: Mapping[Role, ExampleStore] | Mapping[Role, SparseStore]
    cross_validation: CrossValidation | None = None
    collinear: Collinearity | None = None
    learning_curve: LearningCurve | None = None


class Read(NamedTuple):
    """What one read found for every target, how the later reads go, and how long it took.

    split: how the rows were divided.  columns: of the feature columns, where they are too many for the survey's moments.
    """

    survey: Survey
    reader: RowReader
    seconds: float
    split: Split
    columns: Diagonal | None = None


def train(
    source: Source,
    config: TrainConfig,
    engine: Engine,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
    read: Read | SparseTable | None = None,
    begin: Beginning | None = None,
) -> Fit:
    """Train on a source. Raises InputError for data and settings that cannot be trained on.

    read: the one read, where several targets share it or the caller has made it.  begin: where the loop begins, if not at its own place.
    """
    progress = progress or Progress()

    # 1. one read, the problem, the plan
    prepared = prepare(source, config, engine, progress, read)
    problem, plan, found = prepared.problem, prepared.plan, prepared.survey
    if prepared.cross_validation is not None:
        config = config.with_penalty(prepared.cross_validation.chosen)

    # 2. the loop
    if begin is not None:
        prepared = replace(prepared, start=begin.in_loop(problem.names, problem.coordinates))
    descent = run_loop(source, config, engine, prepared, progress, checkpoints)
    if checkpoints is not None:
        checkpoints.ended()

    # 3. the refinement, the certificate, and what is doubtful
    descent = refined(problem, plan, descent)
    certificate = prepared.judge.certify(descent.theta)
    texts = [name for name, kind in prepared.kinds.items() if kind is Kind.TEXT and name not in config.types]
    notices = run_doubts(descent, plan, certificate)
    collinear = None
    if isinstance(problem, WideProblem):
        notices += wide_doubts(problem, config)
    else:
        collinear = collinearity(problem, source_columns(prepared.representation), made_of(prepared.representation))
        notices += data_doubts(problem, certificate, descent, found, collinear)
        notices += table_doubts(problem, prepared.representation, found, prepared.reader, config, texts)
    return Fit(
        problem,
        prepared.contract or _contract(source, config, prepared),
        prepared.representation,
        plan,
        descent,
        certificate,
        found,
        prepared.reader,
        bounded([*needed(prepared.notices, certificate), *notices]),
        prepared.judge,
        prepared.stores,
        prepared.cross_validation,
        collinear,
        prepared.learning_curve,
    )


def _contract(source: Source, config: TrainConfig, prepared: Prepared) -> Contract:
    kinds = {name: prepared.kinds[name] for name in table_columns(prepared.representation, prepared.kinds)}
    return make_contract(kinds, prepared.survey, config, source)


def read_once(source: Source, configs: Sequence[TrainConfig], engine: Engine, progress: Progress) -> Read:
    """The one read, for the targets of all of `configs`. Raises InputError where one of them cannot be trained on."""
    import pyarrow as pa

    start, config = time.perf_counter(), configs[0]
    planned = derivations(source, config, feature_kinds(source, config)[0])
    decoder = Decoder(planned.kinds)
    wide = is_wide(decoder.kinds, planned.columns)
    for each in configs if wide else ():
        refuse_dense(source, each, decoder.kinds, planned.columns)
    split = make_split(source, config)
    others = {target: target_kind(source, config, target) for target in config.targets}
    kind = others.pop(config.target)
    reader = RowReader(decoder, split.roles, config.target, kind, config.weight, config.missing, config.log_target, others)
    if planned.expressions:
        reader = replace(reader, decoder=replace(decoder, derived=resolved(source, config, reader, engine, planned)))
    columns = None
    if wide:
        found, columns = read_dense(source, reader, engine, progress.rows)
    else:
        reader = replace(reader, divisions=split.divisions)
        found, reader = survey(source, reader, engine, config.seed, progress.rows)
        reader = replace(reader, divisions=())  # what is read later is not divided
    pa.default_memory_pool().release_unused()  # what the blocks were in: the solving needs it
    for each in configs:
        _check_training(found.of(each.target), source, each)
    return Read(found, reader, time.perf_counter() - start, split, columns)


def prepare(
    source: Source,
    config: TrainConfig,
    engine: Engine,
    progress: Progress,
    read: Read | SparseTable | None = None,
    *,
    spectrum: bool = False,
) -> Prepared:
    """Everything before the first step. spectrum: whether all of it is asked for, and not only what a plan needs."""
    if isinstance(source, SparseSource):
        return _prepare_sparse(source, config, engine, progress, read)
    assert not isinstance(read, SparseTable)  # which is of a sparse source
    shown, notices = feature_kinds(source, config)
    kinds, hidden, _ = derivations(source, config, shown)

    # one read: moments by role
    read = read or read_once(source, [config], engine, progress)
    found, reader = read.survey.of(config.target), read.reader.of(config.target)
    _check_training(found, source, config)
    training = found.tallies[Role.TRAINING].moments()

    # columns become features
    chosen = None if config.features is None else frozenset(config.features)
    limits = Limits.of(training.rows, config.min_level_rows, config.max_levels)
    representation, left_out = represent(
        read.columns or training, found.summaries, limits, chosen, reader.decoder.derived, hidden
    )
    notices += left_out + pooled(representation.derived, found.summaries)
    if not representation.features:
        why = " ".join(n.message for n in notices) or "choose columns with --features."
        raise DataError("there is no feature left to train on.", why)

    # every λ on every fold, and the learning curve, where they were asked for
    features = partial(feature_moments, representation=representation, target=config.target)
    judged = validated(config, read.split, found, representation, features, engine)
    config, notices = judged.config, [*notices, *judged.notices]

    # the loss, its minimum and its curvature, in the loop's coordinates
    coordinates = _coordinates(config, representation)
    if read.columns is not None:  # then the rows are kept, and tell it
        kept = {role: stored_examples(source, config, reader, representation, coordinates, engine, found, role) for role in Role}
        stores = {role: store for role, store in kept.items() if store is not None}
        return prepare_dense(config, engine, found, reader, representation, coordinates, stores, kinds, notices)
    moments = _moments_by_role(found, training, representation, config.target)
    del training  # of thousands of levels it is 36 MB
    whole = spectrum or config.oracle == "minibatch" or config.loss != "squared" or config.l1 > 0.0
    category = None if whole else largest_category(representation, moments[Role.TRAINING])
    posed = pose(representation.names, moments, coordinates, config.penalty, category)
    escalation = escalated(source, config, engine, reader, representation, posed, found, progress.rows)
    problem, notices = escalation.problem, [*notices, *escalation.notices]
    start = np.zeros(coordinates.size)
    store = noise = None
    judge: Judge = Solved(problem, loop=escalation.loop) if config.l1 == 0.0 else ElasticNet(problem, config.l1)
    if config.oracle == "minibatch" or config.loss != "squared":
        store = stored_examples(source, config, reader, representation, coordinates, engine, found, Role.TRAINING)
    if store is not None and config.loss != "squared":
        held_out = stored_examples(source, config, reader, representation, coordinates, engine, found, Role.VALIDATION)
        judge = pose_general(config, problem, store, held_out, engine)
        start = judge.start
    if store is not None and config.oracle == "minibatch":
        sample = batches_of(replace(config, sampling="shuffled"), store, NOISE_ROWS).at(0)
        noise = measure(store.X[sample], store.y[sample], problem.solution, start, intercept=config.intercept)
    if isinstance(judge, GeneralProblem):
        plan = general_plan(config, problem, judge.loss, noise, found.reads + 1 + (judge.held_out is not None))
    elif config.l1 > 0.0:
        plan = elastic_plan(config, problem, noise, found.reads + (store is not None))
    else:
        plan = staged(make_plan(config, escalation.loop, start, found.reads, noise), escalation)
    return Prepared(
        problem,
        representation,
        judged.staged(plan),
        found,
        reader,
        kinds,
        tuple(notices),
        start,
        judge,
        store,
        noise,
        cross_validation=judged.cross_validation,
        learning_curve=judged.learning_curve,
    )


def _prepare_sparse(
    source: SparseSource, config: TrainConfig, engine: Engine, progress: Progress, read: Read | SparseTable | None
) -> Prepared:
    if config.derive or config.degree > 1 or config.search or config.degree_curve:
        raise UsageError(f"{source.name} is sparse: numbers are derived of tables of columns.", "put the columns in before.")
    if config.fold_count or config.learning_curve:
        what, flag = ("cross-validation", "--folds") if config.fold_count else ("a learning curve", "--learning-curve")
        raise UsageError(
            f"{source.name} is sparse: {what} is from the moments of dense tables.",
            f"give --l2 a number, leave {flag} out, and judge by the validation rows.",
        )
    table = read
    if not isinstance(table, SparseTable):
        table = read_sparse(source, config, make_roles(source, config), progress.rows)
    _check_training(table.survey, source, config)
    return prepare_sparse(table, config, engine)


def _moments_by_role(found: Survey, training: Moments, representation: Representation, target: str) -> dict[Role, Moments]:
    """The features' and the target's, one role after the other; training: those of the raw columns."""
    moments = {}
    for role, tally in found.tallies.items():
        if tally.numbers.weight > 0.0:  # rows of no weight judge nothing
            raw = training if role is Role.TRAINING else tally.moments()
            moments[role] = feature_moments(raw, training, representation, target)
    return moments


def largest_category(representation: Representation, training: Moments) -> Category | None:
    """That by which the problem is solved: of many levels, and more than there are other features."""
    levels: dict[str, list[int]] = {}
    for j, feature in enumerate(representation.features):
        if feature.part in (Part.LEVEL, Part.OTHER, Part.MISSING):
            levels.setdefault(feature.column, []).append(j)
    at = np.array(max(levels.values(), key=len, default=[]), dtype=np.intp)
    if len(at) < LEAST_LEVELS or 2 * len(at) < len(representation.features):
        return None
    return Category(at, (training.mean + training.mean_rest)[at])


def _coordinates(config: TrainConfig, representation: Representation) -> Coordinates:
    """Those of the loop."""
    mean = np.array([f.mean for f in representation.features])
    deviation = np.array([f.deviation for f in representation.features])
    return Coordinates.of(config.scaling, mean, deviation, intercept=config.intercept)


def _check_training(found: Survey, source: Source, config: TrainConfig) -> None:
    """Raise DataError where the training rows and their target teach nothing."""
    rows = found.rows(Role.TRAINING)
    present = found.read - found.dropped
    if present > 1 and found.target.minimum == found.target.maximum:
        value = np.exp(found.target.minimum) if config.log_target else found.target.minimum
        raise DataError(
            f"the target {config.target!r} is {value:g} in every row: there is nothing to learn.", "choose another --target."
        )
    if rows < 2 or found.tallies[Role.TRAINING].numbers.weight == 0.0:
        raise DataError(
            f"{source.name} has {plural(present, 'row')} with a target, {rows} of them for training; at least 2 are needed.",
            "give more rows, or hold none out: --validation 0 --test 0.",
        )
    training = found.tallies[Role.TRAINING].numbers
    at = training.index()[RawColumn(config.target, Part.TARGET)]
    if training.comoment[at, at] < LEAST_VARIANCE * training.weight:
        if (found.target.maximum - found.target.minimum) ** 2 < LEAST_VARIANCE * present or training.comoment[at, at] > 0.0:
            raise DataError(
                f"the target {config.target!r} has values so small that their squares vanish in float64.",
                "choose a smaller unit for it.",
            )
        raise DataError(
            f"the target {config.target!r} is the same in all {rows:,} training rows.", "give more rows, or another --seed."
        )


def feature_moments(moments: Moments, training: Moments, representation: Representation, target: str) -> Moments:
    """The moments of the features, then the target; missing numbers imputed by the training mean, whatever the role."""
    where = training.index()
    fills = []
    for value, indicator in indicator_pairs(moments.columns):
        i = where[moments.columns[value]]
        fills.append(Fill(value, indicator, float(training.mean[i]), float(training.mean_rest[i])))
    moments = moments.filled(fills)
    at = moments.index()[RawColumn(target, Part.TARGET)]
    groups = representation.groups(moments.columns)
    names = tuple(RawColumn(name, Part.VALUE) for name in (*representation.names, target))
    return moments.aggregated([*groups, [at]], names)

"""The loop of a prepared run: its oracle, its criteria, its records. `trainer.train` runs it, and so does the lab, which shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradline.errors import UsageError
from gradline.maths.losses import SQUARED
from gradline.maths.problem import Problem, too_flat
from gradline.oracles.minibatch import Batches, ExampleStore, MiniBatchOracle
from gradline.oracles.moments import MomentsOracle
from gradline.oracles.sparse import SparseStore
from gradline.oracles.streamed import StreamedOracle
from gradline.representation.features import Representation
from gradline.training.cadence import EVERY_STEP, batch_cadence
from gradline.training.loop import descend
from gradline.training.optimality.general import GeneralProblem
from gradline.training.optimality.judge import Solved, observer
from gradline.training.reading.examples import streamed_oracle
from gradline.training.rows import RowReader
from gradline.training.stopping import Budget, stopping

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.inputs.source import Source
    from gradline.maths.coordinates import UserParameters
    from gradline.maths.engine import Engine
    from gradline.maths.oracle import Oracle
    from gradline.training.checkpoint import Checkpoints
    from gradline.training.config import TrainConfig
    from gradline.training.loop import Descent, Iterate, Position
    from gradline.training.optimality.wide import WideProblem
    from gradline.training.prepared import Prepared, Progress
    from gradline.training.stopping import Step, Stopping
    from gradline.types import FloatArray

FORCED_GROWTH = 1e3  # of the loss, at which a learning rate known to be unstable has shown it
HOPELESS_GROWTH = 1e6  # and any other has
OVERSHOOT = 10.0
MOST_RETRIES = 60  # halvings of the learning rate


def run_loop(
    source: Source,
    config: TrainConfig,
    engine: Engine,
    prepared: Prepared,
    progress: Progress,
    checkpoints: Checkpoints | None = None,
    watch: Callable[[Iterate, Step], None] | None = None,
) -> Descent:
    """Descend from `prepared.start`. watch: is shown every step with its θ; to watch a run does not change it."""
    oracle, epoch = oracle_of(source, config, engine, prepared)
    theta, judge, noisy = prepared.start, prepared.judge, prepared.plan.oracle == "minibatch"
    stop = stopping_of(config, prepared, epoch, progress)
    start: FloatArray | Position = theta
    spent = 0.0
    if checkpoints is not None:
        start, spent = checkpoints.begin(config, prepared.problem, prepared.plan.rule, theta, stop, judge)
    observe = observer(judge, exact=not noisy, epoch=epoch, spent=spent)
    if watch is not None:
        observe = _shown(observe, watch)
    if progress.parameters is not None:
        observe = _telling(progress.parameters, prepared.problem, observe)
    retries = MOST_RETRIES if config.on_divergence == "shrink" else 0
    with np.errstate(over="ignore", invalid="ignore"):  # a run that is let diverge may overflow: the stopping sees it
        return descend(
            oracle,
            prepared.plan.rule,
            start,
            observe,
            stop,
            retries,
            checkpoints,
            stop.recorded,
            watched=bool(progress.monitors) or watch is not None,
        )


def _shown(observe: Callable[[Iterate], Step], watch: Callable[[Iterate, Step], None]) -> Callable[[Iterate], Step]:
    def observed(iterate: Iterate) -> Step:
        step = observe(iterate)
        watch(iterate, step)
        return step

    return observed


def _telling(
    parameters: Callable[[tuple[str, ...], UserParameters], None],
    problem: Problem | WideProblem,
    observe: Callable[[Iterate], Step],
) -> Callable[[Iterate], Step]:
    """`observe`, and who is told of the parameters before."""

    def telling(iterate: Iterate) -> Step:
        parameters(problem.names, problem.coordinates.to_user(iterate.theta))
        return observe(iterate)

    return telling


def oracle_of(source: Source, config: TrainConfig, engine: Engine, prepared: Prepared) -> tuple[Oracle, int]:
    """The oracle that the plan names, and how many of its steps are an epoch."""
    l2 = config.penalty
    problem, general = prepared.problem, prepared.judge if isinstance(prepared.judge, GeneralProblem) else None
    if prepared.plan.oracle == "minibatch" and prepared.store is not None:
        loss = SQUARED if general is None else general.loss
        batches = batches_of(config, prepared.store, config.batch_size)
        return MiniBatchOracle(prepared.store, batches, intercept=config.intercept, l2=l2, loss=loss), batches.per_epoch
    if general is not None:
        return general.oracle(), 1
    if prepared.plan.oracle == "streamed" and isinstance(prepared.store, SparseStore):
        store = prepared.store
        return StreamedOracle(engine, store.parts, store.examples, intercept=config.intercept, l2=l2), 1
    assert isinstance(problem, Problem)  # what is sparse or wide keeps its rows
    if prepared.plan.oracle == "streamed":
        reader, representation = prepared.reader, prepared.representation
        assert isinstance(reader, RowReader)
        assert isinstance(representation, Representation)
        return streamed_oracle(source, reader, representation, problem.coordinates, engine, l2), 1
    return MomentsOracle(problem.loss, too_flat(problem)), 1


def batches_of(config: TrainConfig, store: ExampleStore | SparseStore, size: int) -> Batches:
    """Which rows each step's batch holds."""
    mixed = isinstance(store, ExampleStore) and store.mixed
    return Batches(config.seed, len(store), size, config.sampling, blocked=store.on_disk, mixed=mixed)


def stopping_of(config: TrainConfig, prepared: Prepared, epoch: int, progress: Progress) -> Stopping:
    """The criteria of a run, in the order in which they are asked."""
    plan, bounded = prepared.plan, prepared.judge.tolerance
    noisy = plan.oracle == "minibatch"
    if "validation" in config.stop and prepared.problem.validation is None:
        raise UsageError("--stop validation needs validation rows, and there are none.", "hold some out: --validation 0.1.")
    if "gradient" in config.stop and noisy:
        raise UsageError("--stop gradient asks the gradient of every step, and a mini-batch's is noise.", "--stop improvement.")
    steps = plan.budget(config.max_steps)
    if config.max_epochs is not None and config.max_steps is None:
        steps = max(steps, config.max_epochs * epoch)
    budget = Budget(steps, config.max_seconds, config.max_epochs, epoch)
    on = config.stop
    if isinstance(prepared.judge, GeneralProblem) and not prepared.judge.provable:  # then a small gradient has to do
        if "gap" in on:
            raise UsageError("--stop gap needs a bound of the minimum, and without a penalty there is none here.", "give --l2.")
        on = tuple(("improvement" if noisy else "gradient") if name == "certificate" else name for name in on)
    transient = OVERSHOOT * prepared.problem.solution.condition  # momentum that is stable overshoots by κ/7 on its way
    growth = FORCED_GROWTH if plan.unstable else HOPELESS_GROWTH if noisy else max(HOPELESS_GROWTH, transient)
    recorded = EVERY_STEP
    if noisy and isinstance(prepared.judge, Solved):  # of the others a record remembers the ones before, or is of the batch
        recorded = batch_cadence(len(prepared.start), config.batch_size, epoch)
        recorded = recorded.ending(steps, config.max_epochs and config.max_epochs * epoch)
    monitors = (*([] if progress.shown is None else [progress.shown]), *progress.monitors)
    return stopping(
        on, config.tolerance, config.patience, budget, growth, monitors, noisy=noisy, bounded=bounded, recorded=recorded
    )

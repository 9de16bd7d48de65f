"""What Python users call: `train`, `load`, `Model`; and how the layers are wired into a run."""

from __future__ import annotations

import time
import warnings
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from gradline.arrays import flat_column
from gradline.assessing.assessment import assess, check_assessment
from gradline.assessing.measuring import check_errors, measure
from gradline.assessing.reviewing import Beside, Review
from gradline.engines.threads import ThreadEngine
from gradline.errors import GradlineWarning, UsageError
from gradline.evaluation import metrics as measured
from gradline.inputs.memory import target_names
from gradline.inputs.opening import open_source
from gradline.inputs.source import ReadOptions
from gradline.inputs.sparse import SparseSource
from gradline.model.model import HISTORY_COLUMNS, Model
from gradline.model.sparse import SparseModel
from gradline.report.command import with_commands
from gradline.report.run import run_directories, write_run
from gradline.representation.sparse import SparseRepresentation
from gradline.training.checkpoint import Checkpoints, checkpoint_path
from gradline.training.config import TrainConfig
from gradline.training.diagnostics.collinearity import UNKNOWN
from gradline.training.prepared import Progress
from gradline.training.search.proposals import explore
from gradline.training.trainer import Read, read_once
from gradline.training.trainer import train as fit
from gradline.types import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gradline.inputs.source import Source
    from gradline.training.prepared import Beginning
    from gradline.training.sparse import SparseTable
    from gradline.training.stopping import Monitor
    from gradline.training.trainer import Fit
    from gradline.types import FloatArray, Json


@overload
def train(data: Any, target: str = "y", **settings: Any) -> Model: ...
@overload
def train(data: Any, target: list[str] | tuple[str, ...], **settings: Any) -> dict[str, Model]: ...
@overload
def train(data: Any, target: Any, **settings: Any) -> Any: ...
def train(
    data: Any,
    target: Any = "y",
    *,
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    types: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    learning_rate: float | str | None = "auto",
    out: str | Path | None = None,
    resume: bool = False,
    monitors: Sequence[Monitor] = (),
    **settings: Any,
) -> Model | dict[str, Model]:
    """Train linear regression by gradient descent, and certify the result.

    Parameters
    ----------
    data : path, glob, folder or several, SQL text, NumPy array or SciPy sparse matrix (m, p), pandas, Polars or Arrow table, or anything with
        ``__arrow_c_stream__``.
    target : the name of the target's column, or an array (m,) beside array data. Several: a list of names, or an array (m, t),
        whose columns are y0, y1, … One read of the data serves them all; each is a problem of its own. No target is a feature of
        another, and a row that lacks one of them is dropped for all.
    features, drop : columns to learn from, or to leave out.
    types, units : declared types ``{"zip": "text"}`` and units ``{"distance": "miles"}`` of columns.
    validation, test : shares of the rows held out.
    learning_rate : α, or "auto".
    out : a run directory to write (model, history, report); None writes nothing. Of several targets: the folder of their runs.
    resume : go on from the checkpoint that a killed run to ``out`` left.
    monitors : functions that see every `Step` and may return a `StopReason`.
    **settings : every other field of `gradline.training.config.TrainConfig`.

    Returns
    -------
    Model, or of several targets (a list of names, be it of one; an array of t > 1 columns) ``{name: Model}``, in their order.

    Raises
    ------
    InputError : for data and settings that cannot be trained on.

    Warns
    -----
    GradlineWarning : for each doubt about the answer; they are in ``model.warnings`` as well.

    Examples
    --------
    >>> import numpy as np, gradline as gl
    >>> x = np.arange(100.0)
    >>> model = gl.train(x[:, None], 3 * x + 2 + 9 * np.sin(x), validation=0, test=0.2)
    >>> round(model.coefficients["x0"], 1)
    3.0
    >>> models = gl.train(x[:, None], np.column_stack([3 * x + 9 * np.sin(x), 9 * np.cos(x) - x]), validation=0, test=0.2)
    >>> [(name, round(model.coefficients["x0"], 1)) for name, model in models.items()]
    [('y0', 3.0), ('y1', -1.0)]
    """
    listed = isinstance(target, list | tuple) and all(isinstance(name, str) for name in target)
    named = listed or isinstance(target, str)
    targets = list(target) if listed else [target] if named else target_names(np.shape(target))
    several = listed or len(targets) > 1
    if not targets:
        raise UsageError("no target given.", "say which column to predict.")
    configs = TrainConfig.for_targets(
        targets,
        {
            "features": features,
            "drop": drop,
            "types": dict(types or {}),
            "units": dict(units or {}),
            "validation": validation,
            "test": test,
            "learning_rate": learning_rate,
            **settings,
        },
    )
    source = open_source(data, read_options(configs[0]), None if named else target)
    words = [data] if isinstance(data, str | Path) else data if isinstance(data, list | tuple) else []
    names = [str(word) for word in words]
    if resume and out is None:
        raise UsageError("resume=True goes on from the checkpoint of a run directory, and none is given.", 'give out="RUN".')
    if resume and several:
        raise UsageError(
            "resume=True goes on with one run, and of several targets each has its own.", "gradline train --resume RUN/TARGET."
        )
    paths = [] if out is None else run_directories(Path(out), targets) if several else [Path(out)]
    checkpoints = [checkpoints_of(config, path, names, resume=resume) for config, path in zip(configs, paths, strict=False)]
    models: dict[str, Model] = {}
    for model in runs(source, configs, Progress(monitors=monitors), names, checkpoints):
        name, done = model.contract.target, len(models)
        for notice in model.notices:
            warnings.warn(f"{name}: {notice.message}" if several else notice.message, GradlineWarning, stacklevel=2)
        if out is not None:
            write_run(model, paths[done])
            checkpoints[done].finish(model.stop_reason)
        models[name] = model
    return models if several else models[targets[0]]


def checkpoints_of(config: TrainConfig, out: Path, words: Sequence[str] = (), *, resume: bool = False) -> Checkpoints:
    """The checkpoint beside a run directory."""
    settings = config.to_json() | {"data": list(words)}
    every, seconds = config.checkpoint_steps, config.checkpoint_seconds
    return Checkpoints(checkpoint_path(out), settings, resume, every, seconds, config.max_steps)


def read_options(config: TrainConfig) -> ReadOptions:
    """How text files are to be read for a training run."""
    expected = {
        *config.targets,
        config.key,
        config.time,
        config.group,
        config.stratify,
        config.weight,
        *(config.features or ()),
        *config.drop,
    }
    given = config.header, config.delimiter, config.decimal
    return ReadOptions(config.kinds(), frozenset(c for c in expected if c), *given, label=config.target, db=config.db)


def runs(
    source: Source,
    configs: Sequence[TrainConfig],
    progress: Progress | None = None,
    words: Sequence[str] = (),
    checkpoints: Sequence[Checkpoints] = (),
) -> Iterator[Model]:
    """`run` for one target after the other, from one read of the source."""
    from threadpoolctl import threadpool_limits

    for config in configs:
        check_errors(source, config)
        check_assessment(source, config)
    read = None
    if not isinstance(source, SparseSource):  # whose rows are kept, not its moments
        with threadpool_limits(limits=1):
            read = read_once(source, configs, ThreadEngine(configs[0].threads), progress or Progress())
    elif len(configs) > 1:
        raise UsageError(f"{source.name} is sparse, and has one target.", "train on one target after the other.")
    for config, mine in zip_longest(configs, checkpoints):
        yield run(source, config, progress, words, mine, read)


def run(
    source: Source,
    config: TrainConfig,
    progress: Progress | None = None,
    words: Sequence[str] = (),
    checkpoints: Checkpoints | None = None,
    read: Read | SparseTable | None = None,
    begin: Beginning | None = None,
) -> Model:
    """Train on a source, measure, and put the model together. `words`: what the user called the data, for the settings."""
    from threadpoolctl import threadpool_limits

    start = time.perf_counter() - (read.seconds if isinstance(read, Read) else 0.0)
    engine = ThreadEngine(config.threads)
    with threadpool_limits(limits=1):  # one BLAS thread a block: the bits must not depend on how many there are
        found = fit(source, config, engine, progress, checkpoints, read, begin)
        retransformation, training_mean, metrics, sampled, inference, unknown = measure(found, source, config, engine)
        assessment = assess(found, source, config, engine, retransformation, (progress or Progress()).rows)
        explored = explore(found, source, config, engine)
    notices = (*found.notices, *unknown, *assessment.notices, *explored.notices)
    settings = config.to_json() | {"data": list(words) or source.name}
    user = found.problem.coordinates.to_user(found.descent.theta, found.descent.theta_low)
    survey = found.survey
    result: Json = {
        "rows": {
            "read": survey.read,
            **{role.label: survey.rows(role) for role in Role},
            "dropped": survey.dropped - survey.gap,
            "gap": survey.gap,
        },
        "intercept": user.intercept,
        "coefficients": dict(zip(found.representation.names, map(float, user.coefficients), strict=True)),
        **(UNKNOWN if found.collinear is None else found.collinear.to_json()),
        "references": {name: scheme.reference for name, scheme in found.representation.schemes.items()},
        "split": found.reader.roles.description,
        "repeatable": source.repeatable or found.reader.roles.column is not None,
        "target": {
            "name": config.target,
            "unit": found.contract.target_unit,
            "transform": "log" if config.log_target else None,
            "training_mean": training_mean,
            "retransformation": None
            if retransformation is None
            else {"method": retransformation.method, "factor": retransformation.factor},
        },
        "loss": found.judge.to_json(found.descent.theta),
        "plan": found.plan.to_json(),
        "steps": found.descent.history[-1].step,
        "stopped": found.descent.reason.to_json(),
        "certificate": found.certificate.to_json(),
        "metrics": metrics,
        "inference": None if inference is None else inference.to_json(),
        "cross_validation": None if found.cross_validation is None else found.cross_validation.to_json(),
        "learning_curve": None if found.learning_curve is None else found.learning_curve.to_json(),
        "assessment": assessment.document,
        "representation_search": None if explored.search is None else with_commands(explored.search.to_json(), settings),
        "degree_curve": None if explored.degrees is None else explored.degrees.to_json(),
        "warnings": [notice.to_json() for notice in notices],
        "seconds": time.perf_counter() - start,
    }
    kind = SparseModel if isinstance(found.representation, SparseRepresentation) else Model
    return kind(
        found.contract,
        found.representation,
        found.problem.coordinates,
        found.descent.theta,
        found.certificate,
        retransformation,
        result,
        settings,
        tuple(source.files),
        found.survey.moments if kind is SparseModel else found.problem.moments,
        _history(found),
        sampled,
        notices,
        theta_low=found.descent.theta_low,
        intervals=assessment.intervals,
        policy=assessment.policy,
    )


def _history(found: Fit) -> FloatArray:
    rows = [[getattr(step, name) for name in HISTORY_COLUMNS] for step in found.descent.history]
    history = np.array([[np.nan if value is None else float(value) for value in row] for row in rows])
    return np.where(np.isfinite(history), history, np.nan)  # a gap that nothing bounds


def evaluate(model: Model, data: Any, **settings: Any) -> Json:
    """Errors of a model on data that hold the target: the document that `evaluate --json` prints.

    Rows without a target are counted and left out. Raises ContractError where the data break the contract.
    """
    from threadpoolctl import threadpool_limits

    from gradline.representation.decode import as_numbers

    source = open_source(data, model.read_options(**settings))
    target = model.contract.target
    if target not in source.schema.names:
        from gradline.errors import ContractError, did_you_mean

        raise ContractError(f"{source.name} has no column {target!r}, the target.", did_you_mean(target, source.schema.names))
    errors, review, beside = measured.ErrorSums(), Review(model, source), Beside(model, source)
    read = unpredicted = without = 0
    with threadpool_limits(limits=1):  # of such small products threads would wait for each other
        for block in model.predictions(source, tuple(dict.fromkeys([target, *review.columns, *beside.columns])), intervals=True):
            actual = as_numbers(target, flat_column(block.table, target), model.contract.target_kind, block.first_row)
            without += int(np.count_nonzero(~np.isfinite(actual)))
            unpredicted += int(np.count_nonzero(np.isfinite(actual) & np.isnan(block.predicted)))
            usable = np.isfinite(actual) & ~np.isnan(block.predicted)
            read += len(actual)
            errors.add(block.predicted[usable], actual[usable])
            review.add(block, actual, usable)
            beside.add(block, actual, usable)
    found = errors.metrics()
    if found is None:
        from gradline.errors import DataError

        raise DataError(
            f"{source.name} has no row with a target {target!r} to evaluate on.", "evaluate on data with known targets."
        )
    mean = model.result["target"]["training_mean"]
    baseline = None if mean is None else errors.baseline(mean)
    reviewed, doubts = review.to_json()
    found_beside, more = beside.to_json()
    notices = [*model.last_notices, *doubts, *more]
    if source.files and set(source.files) & {tuple(file) for file in model.files}:
        from gradline.types import Notice

        text = (
            f"{source.name} is the file that the model was trained on: errors on new rows will be larger. See the test metrics."
        )
        notices.append(Notice("same_data", None, text))
    return {
        "rows": {"read": read, "evaluated": found.rows, "without_target": without, "without_prediction": unpredicted},
        "metrics": found.to_json(),
        "baseline": None if baseline is None else baseline.to_json(),
        **reviewed,
        **found_beside,
        "warnings": [notice.to_json() for notice in notices],
    }

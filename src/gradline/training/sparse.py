"""Sparse tables: one read that keeps the rows by role, what their columns hold, and the problem they pose.

Up to `MOST_FEATURES` features the moments are computed from the kept rows, and everything is as for any table. Past them no
(p, p) matrix is formed: `gradline.training.optimality.wide`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.arrays import as_arrow
from gradline.errors import DataError, UsageError, plural
from gradline.inputs.contract import ColumnContract, Contract, Decisions
from gradline.inputs.sparse import column_index
from gradline.maths.block import block_moments
from gradline.maths.compensated import LEAST_VARIANCE, two_sum
from gradline.maths.coordinates import Coordinates
from gradline.maths.moments import Moments
from gradline.maths.noise import measure
from gradline.maths.problem import pose
from gradline.maths.summaries import number_summary
from gradline.maths.tally import Tally
from gradline.oracles.minibatch import Batches
from gradline.oracles.sparse import SparseStore
from gradline.oracles.streamed import StreamedOracle
from gradline.representation.sparse import SparseFeatures, SparseRepresentation
from gradline.splits.roles import LEFT_OUT
from gradline.training.optimality.elastic import ElasticNet, elastic_plan
from gradline.training.optimality.general import GeneralProblem, general_plan, pose_general
from gradline.training.optimality.judge import Solved
from gradline.training.optimality.wide import MOST_FEATURES, WideProblem, pose_wide, refuse_wide, wide_noise
from gradline.training.plan import make_plan
from gradline.training.prepared import Prepared
from gradline.training.reading.sample import Sample
from gradline.training.rows import SparseReader
from gradline.training.survey import Survey
from gradline.types import Kind, Notice, NumberColumn, Part, RawColumn, Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.inputs.sparse import SparseSource
    from gradline.maths.engine import Engine
    from gradline.maths.noise import GradientNoise
    from gradline.maths.problem import Problem
    from gradline.splits.roles import Roles
    from gradline.training.config import TrainConfig
    from gradline.training.optimality.judge import Judge
    from gradline.types import BoolArray, FloatArray, IntArray

DENSE = 0.5  # share of the weight with an entry, past which a column is kept dense: see `gradline.maths.design`
MOMENT_ROWS = 1 << 17
SAMPLE_VALUES = 1 << 24  # of the rows from which the noise of mini-batches is measured
WITHOUT_MEANING = ("types", "units", "log_target")


class SparseTable(NamedTuple):
    """The rows by role, and what the read found; width: how many columns there are."""

    stores: dict[Role, SparseStore]
    survey: Survey
    width: int
    reader: SparseReader


def read_sparse(source: SparseSource, config: TrainConfig, roles: Roles, on_rows: Callable[[int], None]) -> SparseTable:
    """One read of all rows. Raises InputError for settings that a sparse table has no use for, and for values that are no numbers."""
    _refuse(config)
    stores = {role: SparseStore(weighted=config.weight is not None) for role in Role}
    read = dropped = gap = 0
    width = source.width or 0
    for rows in source.sparse_rows():
        if rows.y is None:
            raise UsageError("a sparse matrix needs its target beside it.", "gradline.train(X, y).")
        given = None if roles.column is None else source.values_of(rows, roles.column)
        weight = None if config.weight is None else _weights(source.values_of(rows, config.weight), config.weight, rows.first_row)
        role = roles.assign(rows.file, rows.first_row, len(rows), None if given is None else as_arrow(given))
        if np.isinf(rows.y).any():
            at = rows.first_row + int(np.argmax(np.isinf(rows.y)))
            raise DataError(f"the target of {source.name} is infinite in row {at:,} (counted from 0).", "mend it.")
        present = ~np.isnan(rows.y)
        gap += int(np.count_nonzero(present & (role == LEFT_OUT)))
        present &= role != LEFT_OUT
        read, dropped = read + len(rows), dropped + int(np.count_nonzero(~present))
        width = max(width, int(rows.indices.max(initial=-1)) + 1)
        lengths = np.diff(rows.starts)
        for each, store in stores.items():
            mine = present & (role == each)
            entries = np.repeat(mine, lengths)
            own = None if weight is None else weight[mine]
            store.append(lengths[mine], rows.indices[entries], rows.values[entries], rows.y[mine], own)
        on_rows(read)
    for special in filter(None, (config.weight, config.key, config.group, config.time)):
        _check_there(special, "the settings", width, config)
    for store in stores.values():
        store.close(width)
    stores = {role: store for role, store in stores.items() if len(store)}
    if read == dropped:
        raise DataError(f"{source.name} has no row with a target.", "give each row one.")
    target = np.concatenate([store.y for store in stores.values()])
    column = NumberColumn(config.target, target, Part.TARGET)
    moments = {
        role: block_moments([NumberColumn(config.target, s.y, Part.TARGET)], [], len(s), s.weight) for role, s in stores.items()
    }
    if not all(np.isfinite(m.comoment).all() for m in moments.values()):
        raise DataError(
            f"the target of {source.name} has values so large that their squares overflow float64.",
            "choose a larger unit for it.",
        )
    nothing = np.zeros(0, dtype=np.intp)
    import pyarrow as pa

    sample = Sample(pa.table({}), np.zeros(0, dtype=np.uint8), nothing, nothing, np.zeros(0, dtype=np.uint64))
    tallies = {role: Tally(each) for role, each in moments.items()}
    found = Survey(tallies, {}, number_summary(column, column.values, 0), read, dropped, sample, gap=gap)
    return SparseTable(stores, found, width, SparseReader(roles))


def _refuse(config: TrainConfig) -> None:
    for name in WITHOUT_MEANING:
        if getattr(config, name):
            flag = "--" + name.replace("_", "-")
            raise UsageError(
                f"{flag} has no meaning for a sparse table, whose columns are numbers x0, x1, ….", f"leave {flag} out."
            )
    if config.out_of_range == "clip":
        raise UsageError("--out-of-range clip is not there for sparse tables.", "warn or error.")
    if config.missing != "impute":
        raise UsageError("--missing has no meaning for a sparse table: what is not there is zero.", "leave --missing out.")


def _weights(values: FloatArray, name: str, first_row: int) -> FloatArray:
    if (values < 0.0).any():
        at = int(np.argmax(values < 0.0))
        raise DataError(f"the weight {name!r} is {values[at]:g} in row {first_row + at:,}.", "weights are 0 or more.")
    return values


class Columns(NamedTuple):
    """What the columns hold in the training rows whose weight is not 0, (width,) each; deviation is 0 where one does not vary.
    share: of the weight, where there is an entry.
    """

    mean: FloatArray
    deviation: FloatArray
    minimum: FloatArray
    maximum: FloatArray
    share: FloatArray


def _check_there(name: str, flag: str, width: int, config: TrainConfig) -> int:
    index = column_index(name, config.target)
    if index >= width:
        raise UsageError(f"{flag}: there is no column {name!r}; the last one is 'x{width - 1}'.")
    return index


@np.errstate(over="ignore", invalid="ignore", under="ignore")
def column_summaries(store: SparseStore) -> Columns:
    """Two passes over the kept rows: the means, then the squares about them (the corrected two-pass algorithm)."""
    csr, weight = store.csr, np.ones(len(store)) if store.weight is None else store.weight
    width, total = csr.shape[1], float(weight.sum())
    sums, present, entries = np.zeros(width), np.zeros(width), np.zeros(width, dtype=np.intp)
    minimum, maximum = np.full(width, np.inf), np.full(width, -np.inf)
    for part in store.parts():
        own = csr[part.start : part.stop]
        w = np.repeat(weight[part.start : part.stop], np.diff(own.indptr))
        sums += np.bincount(own.indices, w * own.data, width)
        present += np.bincount(own.indices, w, width)
        there = w > 0.0  # a row without weight is not there
        entries += np.bincount(own.indices[there], minlength=width)
        np.minimum.at(minimum, own.indices[there], own.data[there])
        np.maximum.at(maximum, own.indices[there], own.data[there])
    holes = entries < np.count_nonzero(weight)
    minimum[holes], maximum[holes] = np.minimum(minimum[holes], 0.0), np.maximum(maximum[holes], 0.0)
    mean = sums / total
    squares, rest = (total - present) * mean**2, -(total - present) * mean
    for part in store.parts():
        own = csr[part.start : part.stop]
        w = np.repeat(weight[part.start : part.stop], np.diff(own.indptr))
        off = own.data - mean[own.indices]
        squares += np.bincount(own.indices, w * off**2, width)
        rest += np.bincount(own.indices, w * off, width)
    variance = np.maximum(squares - rest**2 / total, 0.0) / total
    varies = minimum < maximum
    _refuse_sizes(variance, varies)
    return Columns(mean + rest / total, np.where(varies, np.sqrt(variance), 0.0), minimum, maximum, present / total)


def _refuse_sizes(variance: FloatArray, varies: BoolArray) -> None:
    """Raise DataError for values whose squares are no float64."""
    for wrong, what, unit in (
        (~np.isfinite(variance), "so large that their squares overflow", "larger"),
        (varies & (variance < LEAST_VARIANCE), "so small that their squares vanish in", "smaller"),
    ):
        if wrong.any():
            raise DataError(
                f"column 'x{int(np.argmax(wrong))}' has values {what} float64.", f"choose a {unit} unit for it, or --drop it."
            )


def chosen_columns(found: Columns, config: TrainConfig) -> tuple[IntArray, list[Notice]]:
    """The columns that become features, (p,), and a word on those that do not. Raises UsageError, DataError."""
    width = len(found.mean)
    wanted = np.full(width, config.features is None)
    for flag, names, value in (("--features", config.features or (), True), ("--drop", config.drop, False)):
        for name in names:
            wanted[_check_there(name, flag, width, config)] = value
    for special in (config.weight, config.key, config.group, config.time):
        if special is not None:
            wanted[column_index(special, config.target)] = False
    varies: BoolArray = found.deviation > 0.0
    kept = np.flatnonzero(wanted & varies)
    notices = []
    left = int(np.count_nonzero(wanted & ~varies & ((found.share > 0.0) | (np.arange(width) > 0))))  # files may count from 1
    if left:
        text = f"{plural(left, 'column')} of {width:,} {'does' if left == 1 else 'do'} not vary in the training rows; left out."
        notices.append(Notice("left_out_constant", None, text))
    if not len(kept):
        raise DataError("there is no feature left to train on: no column varies in the training rows.", "give more rows.")
    return kept, notices


def prepare_sparse(table: SparseTable, config: TrainConfig, engine: Engine) -> Prepared:
    """Everything before the first step, from the rows that were kept."""
    stores, survey = table.stores, table.survey
    store, held_out = stores[Role.TRAINING], stores.get(Role.VALIDATION)
    found = column_summaries(store)
    at, notices = chosen_columns(found, config)
    features = SparseFeatures(at, found.mean[at], found.deviation[at])
    representation = SparseRepresentation(features, table.width, found.minimum, found.maximum)
    dense = found.share[at] > DENSE
    coordinates = Coordinates.of(config.scaling, features.mean, features.deviation, intercept=config.intercept)
    for each in stores.values():
        each.use(at, dense, features.mean, coordinates)
    names, start = representation.names, np.zeros(coordinates.size)
    wide = len(at) > MOST_FEATURES
    problem: Problem | WideProblem
    judge: Judge
    if wide:
        refuse_wide(config, len(at))
        oracle = StreamedOracle(engine, store.parts, store.examples, intercept=config.intercept, l2=config.penalty)
        problem = pose_wide(names, survey.moments, coordinates, oracle, config)
    else:
        moments = {role: sparse_moments(s, at, dense, features.mean, names, config.target) for role, s in stores.items()}
        problem = pose(names, moments, coordinates, config.penalty)
        judge = Solved(problem) if config.l1 == 0.0 else ElasticNet(problem, config.l1)
    if wide or config.loss != "squared":
        judge = pose_general(config, problem, store, held_out, engine)
        start = judge.start
    noise = _noise(problem, store, config, start) if config.oracle == "minibatch" else None
    if isinstance(judge, GeneralProblem) and config.loss != "squared":
        plan = general_plan(config, problem, judge.loss, noise, survey.reads)
    elif isinstance(problem, WideProblem):
        plan = make_plan(config, problem, np.zeros(len(problem.solution.minimiser)), survey.reads, noise)
    elif config.l1 > 0.0:
        plan = elastic_plan(config, problem, noise, survey.reads)
    else:
        plan = make_plan(config, problem, start, survey.reads, noise)
    contract = _contract(representation, config)
    reader = table.reader
    return Prepared(
        problem, representation, plan, survey, reader, {}, tuple(notices), start, judge, store, noise, contract, stores
    )


def _noise(problem: Problem | WideProblem, store: SparseStore, config: TrainConfig, start: FloatArray) -> GradientNoise:
    size = max(min(8_192, SAMPLE_VALUES // len(problem.names)), 256)
    rows = np.arange(len(store))[Batches(config.seed, len(store), size, "shuffled", blocked=store.on_disk).at(0)]
    rows.sort()
    if isinstance(problem, WideProblem):
        return wide_noise(store, rows, start, intercept=config.intercept)
    return measure(store.X[rows].toarray(), store.y[rows], problem.solution, start, intercept=config.intercept)


def sparse_moments(
    store: SparseStore, columns: IntArray, dense: BoolArray, mean: FloatArray, names: tuple[str, ...], target: str
) -> Moments:
    """The moments of some columns (p,) and then the target; columns that are `dense` (p,) are summed less their `mean`."""
    p, total = len(columns), 0.0
    pivot = np.append(np.where(dense, mean, 0.0), store.y.mean())
    sparse, full = np.flatnonzero(~dense), np.append(np.flatnonzero(dense), p)
    gram, sums = np.zeros((p + 1, p + 1)), np.zeros(p + 1)
    for first in range(0, len(store), MOMENT_ROWS):
        rows = slice(first, min(first + MOMENT_ROWS, len(store)))
        own = store.csr[rows]
        S = own[:, columns[sparse]]
        D = np.column_stack([own[:, columns[full[:-1]]].toarray(), store.y[rows]]) - pivot[full]
        weight = np.ones(len(D)) if store.weight is None else store.weight[rows]
        heavy = S.multiply(weight[:, None]).tocsr()
        gram[np.ix_(sparse, sparse)] += (S.T @ heavy).toarray()
        gram[np.ix_(sparse, full)] += S.T @ (D * weight[:, None])
        gram[np.ix_(full, full)] += D.T @ (D * weight[:, None])
        sums[sparse] += S.T @ weight
        sums[full] += D.T @ weight
        total += float(weight.sum())
    gram[np.ix_(full, sparse)] = gram[np.ix_(sparse, full)].T
    raw = tuple(RawColumn(name, Part.VALUE) for name in (*names, target))
    if total == 0.0:
        return Moments(raw, len(store), 0.0, pivot, gram)
    rest = sums / total
    comoment = gram - total * np.outer(rest, rest)
    mean_and_rest = two_sum(pivot, rest)
    return Moments(raw, len(store), total, mean_and_rest[0], (comoment + comoment.T) / 2.0, mean_and_rest[1])


def _contract(representation: SparseRepresentation, config: TrainConfig) -> Contract:
    """All columns as one: each one's range is in the representation."""
    low, high = representation.minimum, representation.maximum
    name = f"x0 … x{representation.width - 1}" if representation.width > 1 else "x0"
    column = ColumnContract(name, Kind.NUMBER, Kind.NUMBER, None, float(low.min()), float(high.max()))
    decisions = Decisions(unseen=config.unseen, out_of_range=config.out_of_range)
    return Contract(config.target, None, Kind.NUMBER, {name: column}, decisions)

"""Tables of columns with more features than have moments: means and deviations in one read, then the rows are kept.

The features are made, scaled and named as for any table; the problem is that of `gradline.training.optimality.wide`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.errors import DataError, UsageError
from gradline.maths.block import block_tally
from gradline.maths.diagonal import Diagonal, block_diagonal
from gradline.maths.summaries import CategorySummary, category_summary, number_summary
from gradline.oracles.minibatch import Batches
from gradline.oracles.streamed import StreamedOracle
from gradline.training.optimality.general import general_plan, pose_general
from gradline.training.optimality.wide import MOST_FEATURES, pose_wide, refuse_wide, wide_noise
from gradline.training.plan import make_plan
from gradline.training.prepared import Prepared
from gradline.training.reading.sample import Sample
from gradline.training.survey import Survey, checked
from gradline.types import Kind, NumberColumn, Part, RawColumn, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gradline.inputs.source import Source
    from gradline.maths.coordinates import Coordinates
    from gradline.maths.engine import Engine
    from gradline.maths.summaries import Summary
    from gradline.oracles.minibatch import ExampleStore
    from gradline.representation.features import Representation
    from gradline.training.config import TrainConfig
    from gradline.training.rows import RowReader, Rows
    from gradline.types import Block, Notice

NOISE_VALUES = 1 << 24  # of the rows from which the noise of mini-batches is measured


class _Found(NamedTuple):
    survey: Survey
    columns: Diagonal


def is_wide(kinds: Mapping[str, Kind], derived: int = 0) -> bool:
    """Whether so many columns are numbers that no (p, p) matrix is formed; levels of categories are bounded by their own limit."""
    return numbers_of(kinds) + derived > MOST_FEATURES


def numbers_of(kinds: Mapping[str, Kind]) -> int:
    """How many numbers these columns have; a date has one."""
    return sum(kind is not Kind.TEXT for kind in kinds.values())


def refuse_dense(source: Source, config: TrainConfig, kinds: Mapping[str, Kind], derived: int = 0) -> None:
    """Raise UsageError, before the read, for what such a table cannot have."""
    p = numbers_of(kinds) + derived
    if config.fold_count or config.learning_curve:
        what, flag = ("cross-validation", "--folds") if config.fold_count else ("a learning curve", "--learning-curve")
        raise UsageError(
            f"{what} is from moments, and {p:,} features have none.",
            f"give --l2 a number, leave {flag} out, and judge by the validation rows.",
        )
    refuse_wide(config, p)
    if config.log_target:
        raise UsageError(
            f"--log-target is not there for {p:,} features, which have no moments.",
            "take the logarithm with SQL text, or choose columns with --features.",
        )
    if not source.repeatable and not source.files:
        raise UsageError(
            f"{p:,} features have no moments: their rows are read again, and {source.name} can be read only once.",
            "write it to a file first.",
        )


def read_dense(
    source: Source, reader: RowReader, engine: Engine, on_rows: Callable[[int], None] = lambda rows: None
) -> tuple[Survey, Diagonal]:
    """One read. The survey's moments are of the targets alone. Raises DataError as `gradline.training.survey` does."""

    def compute(block: Block) -> _Found:
        return _block(reader.read(block), reader, block)

    def merged(a: _Found, b: _Found) -> _Found:
        on_rows(a.survey.read + b.survey.read)
        both = _merge(a.survey, b.survey)
        columns = a.columns.plus(b.columns)
        uncounted = {n for n, s in both.summaries.items() if isinstance(s, CategorySummary) and s.counts is None}
        levels = {name: {} if name in uncounted else counts for name, counts in columns.levels.items()}
        return _Found(both, columns._replace(levels=levels))

    found = engine.map_merge(source.blocks(reader.columns), compute, merged)
    survey = checked(None if found is None else found.survey, source, reader, on_rows)
    assert found is not None
    lost = np.flatnonzero(~np.isfinite(found.columns.squares))
    if len(lost):
        raise DataError(
            f"column {found.columns.numbers[int(lost[0])]!r} of {source.name} has values so large that their squares overflow float64 "
            "(training rows).",
            "choose a larger unit for it, or filter out the rows that are wrong.",
        )
    return survey, found.columns


def _block(rows: Rows, reader: RowReader, block: Block) -> _Found:
    used = rows.roles == Role.TRAINING
    if rows.weight is not None:
        used &= rows.weight > 0.0  # a row without weight is not there
    numbers = rows.decoded.numbers
    V = np.empty((len(numbers), int(np.count_nonzero(used))))
    summaries: dict[str, Summary] = {}
    for i, column in enumerate(numbers):
        V[i] = column.values[used]
        summary = number_summary(column, V[i], block.first_row)
        if summary.infinite:
            summary = summary._replace(first_infinite=int(rows.row[np.argmax(np.isinf(column.values))]))
        summaries[column.name] = summary
    categories = [category._replace(codes=category.codes[used]) for category in rows.decoded.categories]
    summaries |= {category.name: category_summary(category, category.codes) for category in categories}
    weight = None if rows.weight is None else rows.weight[used]
    columns = block_diagonal(tuple(column.name for column in numbers), V, categories, weight)
    target = NumberColumn(reader.target, rows.y, Part.TARGET)
    targets = sorted([target, *rows.others], key=lambda column: column.name)
    places = {role: np.flatnonzero(rows.roles == role) for role in Role}
    tallies = {role: block_tally(targets, [], len(rows.y), rows.weight, at).tally for role, at in places.items() if len(at)}
    others = {column.name: number_summary(column, column.values, block.first_row) for column in rows.others}
    ranges = number_summary(target, target.values, block.first_row)
    return _Found(Survey(tallies, summaries, ranges, rows.read, rows.dropped, _no_sample(), others=others, gap=rows.gap), columns)


def _no_sample() -> Sample:
    """The pictures are drawn from the rows that are kept."""
    import pyarrow as pa

    nothing = np.zeros(0, dtype=np.intp)
    return Sample(pa.table({}), np.zeros(0, dtype=np.uint8), nothing, nothing, np.zeros(0, dtype=np.uint64))


def _merge(a: Survey, b: Survey) -> Survey:
    tallies = {}
    for role in Role:
        parts = [survey.tallies[role] for survey in (a, b) if role in survey.tallies]
        if parts:
            tallies[role] = parts[0] if len(parts) == 1 else parts[0].plus(parts[1])
    summaries = {name: a.summaries[name].plus(b.summaries[name]) for name in a.summaries}  # type: ignore[arg-type]
    others = {name: a.others[name].plus(b.others[name]) for name in a.others}
    read, dropped = a.read + b.read, a.dropped + b.dropped
    return Survey(tallies, summaries, a.target.plus(b.target), read, dropped, a.sample, others=others, gap=a.gap + b.gap)


def prepare_dense(
    config: TrainConfig,
    engine: Engine,
    found: Survey,
    reader: RowReader,
    representation: Representation,
    coordinates: Coordinates,
    stores: Mapping[Role, ExampleStore],
    kinds: Mapping[str, Kind],
    notices: Sequence[Notice],
) -> Prepared:
    """Everything before the first step, from the rows that were kept."""
    store, held_out = stores[Role.TRAINING], stores.get(Role.VALIDATION)
    target = RawColumn(config.target, Part.TARGET)
    moments = {role: m.aggregated([[m.index()[target]]], (target,)) for role, m in found.moments.items()}
    oracle = StreamedOracle(engine, store.parts, store.examples, intercept=config.intercept, l2=config.penalty)
    problem = pose_wide(representation.names, moments, coordinates, oracle, config)
    judge = pose_general(config, problem, store, held_out, engine)
    noise = None
    if config.oracle == "minibatch":
        size = max(min(8_192, NOISE_VALUES // len(problem.names)), 256)
        rows = Batches(config.seed, len(store), size, blocked=store.on_disk, mixed=store.mixed).at(0)
        noise = wide_noise(store, rows, judge.start, intercept=config.intercept)
    reads = found.reads + len(stores)
    if config.loss == "squared":
        plan = make_plan(config, problem, np.zeros(len(problem.solution.minimiser)), reads, noise)
    else:
        plan = general_plan(config, problem, judge.loss, noise, reads)
    return Prepared(
        problem, representation, plan, found, reader, kinds, tuple(notices), judge.start, judge, store, noise, None, stores
    )

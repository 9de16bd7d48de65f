"""The one read that serves a fit: moments of what was given, those that go on from earlier rows, or those by fold.

A sparse matrix of few columns whose moments are all that a fit needs is read as a dense one, a block at a time: the same bits.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from gradline.arrays import as_arrow
from gradline.inputs.memory import StreamSource
from gradline.representation.decode import Decoder
from gradline.sklearn.tables import ArrayParts, MatrixParts
from gradline.sklearn.words import refused
from gradline.splits.given import PartRoles
from gradline.training.dense import is_wide, read_dense, refuse_dense
from gradline.training.reading.roles import Split
from gradline.training.rows import RowReader
from gradline.training.sparse import SparseTable, read_sparse
from gradline.training.survey import Survey, continued, survey
from gradline.training.trainer import Read
from gradline.types import Kind, Part, RawColumn, Role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gradline.inputs.source import Source
    from gradline.maths.engine import Engine
    from gradline.maths.summaries import Summary
    from gradline.sklearn.checks import Given
    from gradline.splits.given import GivenFolds
    from gradline.training.config import TrainConfig
    from gradline.types import FloatArray

DENSE_COLUMNS = 256  # of a sparse matrix, up to which its moments cost little more by dense blocks


class TargetRead(NamedTuple):
    """What is known of one target before it is trained on. source, read: for the trainer.  names: of the columns.  constants: (p,) the
    value of those that do not vary in the training rows, NaN of the others.  mean, variance: of the target there.  rows: how many.
    """

    source: Source
    read: Read | SparseTable
    names: tuple[str, ...]
    constants: FloatArray
    mean: float
    variance: float
    rows: int


def kept_as_rows(given: Given, config: TrainConfig) -> bool:
    """Whether a sparse matrix stays one, and its rows are kept."""
    if not given.sparse:
        return False
    moments_alone = config.loss == "squared" and config.oracle in ("auto", "moments")
    return not moments_alone or len(given.names) > DENSE_COLUMNS


def reader_of(given: Given, folds: GivenFolds | None = None) -> RowReader:
    """What is read of dense parts."""
    kinds = dict.fromkeys(given.names, Kind.NUMBER)
    first, *others = given.targets
    beside = dict.fromkeys(others, Kind.NUMBER)
    divisions = () if folds is None else (folds,)
    return RowReader(Decoder(kinds), PartRoles(), first, Kind.NUMBER, given.weight, others=beside, divisions=divisions)


def read_parts(
    given: Given, configs: Sequence[TrainConfig], engine: Engine, folds: GivenFolds | None = None
) -> tuple[Source, Read]:
    """One read of dense parts, for all targets."""
    start = time.perf_counter()
    source, reader = ArrayParts(given.names, given.parts), reader_of(given, folds)
    columns = None
    if is_wide(reader.decoder.kinds):
        for config in configs:
            refuse_dense(source, config, reader.decoder.kinds)
        found, columns = read_dense(source, reader, engine)
    else:
        found, reader = survey(source, reader, engine, configs[0].seed)
    return source, Read(found, replace(reader, divisions=()), time.perf_counter() - start, Split(reader.roles), columns)


def read_more(before: Survey | None, given: Given, configs: Sequence[TrainConfig], engine: Engine) -> tuple[Source, Read, Given]:
    """One read of further rows, added to what the earlier ones came to. The source cannot be read: its rows are gone.

    Also the table that was read, which has weights where the earlier rows had any.
    """
    start = time.perf_counter()
    if is_wide(dict.fromkeys(given.names, Kind.NUMBER)):
        raise refused(
            f"partial_fit adds up moments, and of {len(given.names):,} columns there are none.", "fit on all rows at once."
        )
    if before is not None:
        before, given = _weighted_alike(before, given)
    source, reader = ArrayParts(given.names, given.parts, 0 if before is None else before.read), reader_of(given)
    if before is None:
        found, reader = survey(source, reader, engine, configs[0].seed)
    else:
        found = continued(before, source, reader, engine, configs[0].seed)
    gone = StreamSource(pa.RecordBatchReader.from_batches(source.schema, []))
    return gone, Read(found, reader, time.perf_counter() - start, Split(reader.roles)), given


def _weighted_alike(before: Survey, given: Given) -> tuple[Survey, Given]:
    """Weights of one where only the earlier rows have some, or only the later ones: the sample of rows has them as a column."""
    table = before.sample.table
    others = {*given.names, *given.targets}
    had = next((name for name in table.column_names if name not in others), None)
    if had is not None and given.weight is None:
        rows = given.training.X.shape[0]
        columns = {**given.training.columns, had: np.ones(rows)}
        return before, given._replace(weight=had, training=given.training._replace(columns=columns))
    if had is None and given.weight is not None:
        table = table.append_column(given.weight, as_arrow(np.ones(table.num_rows)))
        return replace(before, sample=before.sample._replace(table=table)), given
    return before, given


def of_target(source: Source, read: Read, given: Given, target: str) -> TargetRead:
    """What the read says of one of the targets."""
    training = read.survey.moments[Role.TRAINING]
    at = training.index()[RawColumn(target, Part.TARGET)]
    variance = float(training.comoment[at, at]) / training.weight if training.weight else 0.0
    mean = float(training.mean[at] + training.mean_rest[at])
    return TargetRead(source, read, given.names, _constants(read.survey.summaries, given.names), mean, variance, training.rows)


def _constants(summaries: Mapping[str, Summary], names: Sequence[str]) -> FloatArray:
    ranges = np.array([(summaries[name].minimum, summaries[name].maximum) for name in names])  # type: ignore[union-attr]
    return np.where(ranges[:, 0] < ranges[:, 1], np.nan, ranges[:, 0])


def read_matrix(given: Given, config: TrainConfig) -> TargetRead:
    """The kept rows of a sparse matrix, for one target."""
    target, width = config.target, len(given.names)
    source = MatrixParts(given.parts, target, given.weight)
    table = read_sparse(source, config, PartRoles(), lambda rows: None)
    X, weight = given.training.X, None if given.weight is None else given.training.columns[given.weight]
    there = X if weight is None else X[weight > 0.0]
    least, greatest = (np.asarray(side.toarray(), dtype=np.float64).ravel() for side in (there.min(axis=0), there.max(axis=0)))
    training = table.survey.moments[Role.TRAINING]
    names = tuple(f"x{j}" for j in range(width))
    variance = float(training.comoment[0, 0]) / training.weight
    mean = float(training.mean[0] + training.mean_rest[0])
    return TargetRead(source, table, names, np.where(least < greatest, np.nan, least), mean, variance, training.rows)

"""The rows of a source as features in the loop's coordinates, by another read: at every step, or once to be kept."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from gradline.errors import UsageError
from gradline.oracles.minibatch import ExampleStore
from gradline.oracles.streamed import Examples, StreamedOracle
from gradline.types import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gradline.inputs.source import Source
    from gradline.maths.coordinates import Coordinates
    from gradline.maths.engine import Engine
    from gradline.representation.features import Representation
    from gradline.training.config import TrainConfig
    from gradline.training.rows import RowReader
    from gradline.training.survey import Survey
    from gradline.types import Block


def stored_examples(
    source: Source,
    config: TrainConfig,
    reader: RowReader,
    representation: Representation,
    coordinates: Coordinates,
    engine: Engine,
    found: Survey,
    role: Role,
) -> ExampleStore | None:
    """The rows of one role as features, by another read; None where there are none."""
    if role not in found.moments or found.moments[role].weight == 0.0:
        return None
    examples = example_reader(source, reader, representation, coordinates, role)
    batches = role is Role.TRAINING and config.oracle == "minibatch"
    store = ExampleStore(
        found.moments[role].rows,
        len(coordinates.mean),
        weighted=config.weight is not None,
        seed=config.seed if batches else None,
        ones=batches and coordinates.intercept,
    )

    def compute(item: Block | ExampleStore) -> Any:
        return item if isinstance(item, ExampleStore) else examples(item)

    def merge(store: Any, found: Examples) -> Any:
        store.add(found)
        return store

    items: Iterator[Block | ExampleStore] = chain([store], source.blocks(reader.columns))  # so that what comes is merged into it
    engine.map_merge(items, compute, merge)
    return store.complete()


def streamed_oracle(
    source: Source,
    reader: RowReader,
    representation: Representation,
    coordinates: Coordinates,
    engine: Engine,
    l2: float,
) -> StreamedOracle[Block]:
    """The oracle that reads the training rows of a source at every step."""
    examples = example_reader(source, reader, representation, coordinates)
    return StreamedOracle(engine, lambda: source.blocks(reader.columns), examples, intercept=coordinates.intercept, l2=l2)


def example_reader(
    source: Source, reader: RowReader, representation: Representation, coordinates: Coordinates, role: Role = Role.TRAINING
) -> Callable[[Block], Examples]:
    """What makes the rows of a role of a block, in the loop's coordinates."""
    if not source.repeatable and not source.files:
        raise UsageError(
            f"this loss or oracle reads the data again, and {source.name} can be read only once.",
            "give a file, a table, or a query with ORDER BY; squared error on --oracle moments needs one read.",
        )

    def examples(block: Block) -> Examples:
        rows = reader.read(block, as_it_lies=True)
        mine = rows.roles == role
        X = coordinates.transformed(representation.design(rows.decoded.take(mine)))
        return Examples(X, rows.y[mine], None if rows.weight is None else rows.weight[mine])

    return examples

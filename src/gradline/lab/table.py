"""The user's table, read once: its numeric columns, their moments, a sample of rows, and the small or altered tables made of it."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from gradline.arrays import as_arrow
from gradline.errors import DataError, UsageError, did_you_mean
from gradline.inputs.memory import TableSource
from gradline.inputs.opening import open_source
from gradline.inputs.source import ReadOptions
from gradline.inputs.sparse import SparseSource
from gradline.kinds import kind_of
from gradline.lab.alteration import Alteration, AlteredSource
from gradline.lab.settings import TableSettings
from gradline.representation.decode import Decoder
from gradline.training.config import TrainConfig
from gradline.training.diagnostics.sampled import SampledRows, sampled_rows
from gradline.training.prepared import Prepared, Progress
from gradline.training.trainer import Read, prepare, read_once
from gradline.types import Kind, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gradline.inputs.source import Source
    from gradline.maths.engine import Engine
    from gradline.types import Json

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

MOST_COLUMNS = 60  # offered as features: of more, a choice is made with --features
KEPT_TABLES = 12
KEPT_PROBLEMS = 24
SHIPPED = "flights.parquet"
SHIPPED_TARGET = "air_time"
SHIPPED_FEATURES = ("distance", "sched_dep_time", "hour", "dep_delay", "month")


class OneByOne:
    """The engine of small tables, and where none is handed in: block after block, with the bits of any other."""

    def map_merge(self, items: Iterable[Any], compute: Callable[[Any], Any], merge: Callable[[Any, Any], Any]) -> Any:
        """See `gradline.maths.engine.Engine`."""
        merged = None
        for item in items:
            merged = compute(item) if merged is None else merge(merged, compute(item))
        return merged


class Kept(Generic[Key, Value]):
    """The last things that were made, by their keys. Who asks for one that another thread is making waits for it, and for no other."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._values: OrderedDict[Key, tuple[Lock, list[Value]]] = OrderedDict()

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value of a key, made if it is not there. What `make` raises is not kept."""
        with self._lock:
            lock, found = self._values.setdefault(key, (Lock(), []))
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)
        with lock:
            if not found:
                found.append(make())
            return found[0]


@dataclass(frozen=True, slots=True)
class Opened:
    """A table as its settings make it. source: to be read again.  features: its columns.  read: the one read of it.

    points: the sample of its rows, for the pictures.
    """

    source: Source
    features: tuple[str, ...]
    read: Read
    points: SampledRows


class LabTable:
    """A table, opened and read once; what is made of it is kept for a while. Several threads may ask."""

    def __init__(
        self,
        source: Source,
        target: str,
        columns: Sequence[str],
        words: Sequence[str],
        engine: Engine,
        on_rows: Callable[[int], None],
    ) -> None:
        self.source, self.target, self.columns, self.words = source, target, tuple(columns), tuple(words)
        self._progress = Progress(on_rows)
        self._engine = engine
        self._opened: Kept[TableSettings, Opened] = Kept(KEPT_TABLES)
        self._prepared: Kept[tuple[TableSettings, str, float, str], Prepared] = Kept(KEPT_PROBLEMS)
        whole = TableSettings(self.columns)
        self._base = self._opened.get(whole, lambda: self._read(source, self.columns, whole))
        self._progress = Progress()
        self.target_deviation = float(np.nanstd(self._base.points.y))
        self.rows_read = self._base.read.survey.read

    @classmethod
    def open(
        cls,
        data: Any,
        target: str | None = None,
        features: Sequence[str] | None = None,
        engine: Engine | None = None,
        options: ReadOptions | None = None,
        on_rows: Callable[[int], None] = lambda rows: None,
        drop: Sequence[str] = (),
    ) -> LabTable:
        """Read a table; None for the flights that ship with gradline. Raises InputError where that cannot be.

        features: those that can be chosen.  drop: those that cannot.  on_rows: is told how many rows have been read.
        """
        words: list[str] = []
        if data is None or (isinstance(data, list | tuple) and not data):
            data, target, features = str(shipped_flights()), target or SHIPPED_TARGET, features or SHIPPED_FEATURES
        if isinstance(data, str | Path):
            words = [_near(str(data))]
        elif isinstance(data, list | tuple):
            words = [_near(str(word)) for word in data]
        expected = frozenset(name for name in (target, *(features or ())) if name)
        source = open_source(data, replace(options or ReadOptions(), expected=expected))
        if isinstance(source, SparseSource):
            raise UsageError(f"{source.name} is sparse; the lab shows dense tables.", "give a CSV or Parquet file.")
        if not source.repeatable and not source.files and source.name == "stream":
            raise UsageError("a stream can be read only once, and the lab reads again.", "give a file or a table.")
        numeric = [field.name for field in source.schema if kind_of(field.type) in (Kind.NUMBER, Kind.BOOLEAN)]
        if not numeric:
            raise DataError(
                f"{source.name} has no numeric column.",
                "the lab needs a target and a feature that are numbers; is it read right?",
            )
        if target is None:
            raise UsageError("no target given.", f"say which column to predict: --target {numeric[-1]}.")
        if target not in source.schema.names:
            raise UsageError(f"--target: {source.name} has no column {target!r}.", did_you_mean(target, numeric))
        if target not in numeric:
            raise DataError(f"the target {target!r} is no number.", f"numbers here are: {', '.join(numeric[:8])}.")
        for name in features or ():
            if name not in numeric:
                known = f"{name!r} is no number" if name in source.schema.names else f"{source.name} has no column {name!r}"
                raise UsageError(f"--features: {known}.", did_you_mean(name, numeric))
            if name == target:
                raise UsageError(f"--features: {name!r} is the target.", "a column cannot predict itself.")
        for name in drop:
            if name not in source.schema.names:
                raise UsageError(f"--drop: {source.name} has no column {name!r}.", did_you_mean(name, source.schema.names))
        offered = [name for name in features or numeric if name != target and name not in drop]
        columns = offered if features else offered[:MOST_COLUMNS]
        if not columns:
            raise DataError(f"{source.name} has no numeric column beside the target.", "the lab needs a feature.")
        return cls(source, target, columns, words, engine or OneByOne(), on_rows)

    def opened(self, settings: TableSettings) -> Opened:
        """The table of these settings: the whole one, or some rows of it, altered or as they are."""
        for name in settings.features:
            if name not in self.columns:
                raise UsageError(f"there is no feature {name!r}.", did_you_mean(name, self.columns))
        key = settings
        if self._plain(settings):
            key = replace(settings, features=self.columns)  # one read serves every choice of features

        def read() -> Opened:
            base, features = self.base(settings), key.features
            source: Source = base
            if not self._plain(settings):
                source = AlteredSource(base, self.target, features, self.alteration(settings), settings.seed)
                features = source.features
            return self._read(source, features, settings)

        found = self._opened.get(key, read)
        return replace(found, features=settings.features) if self._plain(settings) else found

    @property
    def name(self) -> str:
        """What the page calls the table: of a lone file its name, without the folders."""
        return self.source.files[0].name if len(self.source.files) == 1 else self.source.name

    @property
    def first(self) -> Json:
        """What the page begins with: the feature that goes with the target best, in a unit in which it is about 1."""
        points = self._base.points
        training = points.roles == Role.TRAINING

        def correlation(name: str) -> float:
            x, y = points.numbers[name], points.y
            fine = training & np.isfinite(x) & np.isfinite(y)
            if int(fine.sum()) < 3 or x[fine].std() == 0.0 or y[fine].std() == 0.0:
                return 0.0
            return abs(float(np.corrcoef(x[fine], y[fine])[0, 1]))

        best = max(self.columns, key=correlation)
        x = points.numbers[best]
        x = x[np.isfinite(x)] if np.isfinite(x).any() else np.ones(1)
        size = float(np.sqrt(np.mean(x**2)))
        divide = 10.0 ** round(math.log10(size)) if 0.0 < size < math.inf else 1.0
        low, high = np.quantile(x, [0.01, 0.99]).tolist()
        centred = {"shift": float(f"{(low + high) / 2.0:.2g}"), "divide": float(f"{(high - low) / 2.0:.2g}") or 1.0}
        return {"features": [best], "divide": divide, "centred": centred}

    @property
    def engine(self) -> Engine:
        """Who computes the blocks."""
        return self._engine

    def _plain(self, settings: TableSettings) -> bool:
        return self.alteration(settings).nothing

    def alteration(self, settings: TableSettings) -> Alteration:
        """What is altered; the noise in the target's unit."""
        return Alteration(
            settings.shift, settings.divide, settings.degree, settings.noise * self.target_deviation, settings.moved
        )

    def base(self, settings: TableSettings) -> Source:
        """The whole table, or `rows` of its sample: a table of its own, whose rows have numbers and roles of their own."""
        if not settings.rows:
            return self.source
        sample = self._base.read.survey.sample
        order = np.sort(np.argsort(sample.hashes, kind="stable")[: settings.rows])
        chosen = sample.table.take(as_arrow(order)).select([*self.columns, self.target])
        return TableSource(chosen, f"{len(order)} rows of {self.source.name}")

    def prepared(
        self, settings: TableSettings, scaling: str, l2: float, *, batches: bool
    ) -> tuple[Prepared, TrainConfig, Opened]:
        """The problem of a table, its minimum and its spectrum; with batches, its training rows as well."""
        opened = self.opened(settings)
        oracle = "minibatch" if batches else "moments"
        config = TrainConfig(
            target=self.target,
            features=opened.features,
            validation=settings.validation,
            test=settings.test,
            seed=settings.seed,
            scaling=scaling,
            l2=l2,
            oracle=oracle,
            force=True,  # the lab shows what happens past the limit, and says so
            assess="no",
        )
        key = (settings, scaling, l2, oracle)
        made = self._prepared.get(
            key, lambda: prepare(opened.source, config, self._engine, Progress(), _of_features(opened), spectrum=True)
        )
        return made, config, opened

    def _read(self, source: Source, features: Sequence[str], settings: TableSettings) -> Opened:
        config = TrainConfig(
            target=self.target,
            features=tuple(features),
            validation=settings.validation,
            test=settings.test,
            seed=settings.seed,
        )
        read = read_once(source, [config], self._engine, self._progress)
        if read.columns is not None:
            raise UsageError(f"{len(features):,} features are too many for the lab.", "choose some with --features.")
        return Opened(source, tuple(features), read, sampled_rows(read.survey, read.reader))


def _of_features(opened: Opened) -> Read:
    """The read as if these features alone had been read, in their order."""
    survey, reader, names = opened.read.survey, opened.read.reader, opened.features
    kinds = {name: reader.decoder.kinds[name] for name in names}
    summaries = {name: survey.summaries[name] for name in names}
    return opened.read._replace(survey=replace(survey, summaries=summaries), reader=replace(reader, decoder=Decoder(kinds)))


def shipped_flights() -> Path:
    """The flights that come with gradline: beside this module in an installed package, among the examples in the source tree."""
    for place in (Path(__file__).parent / SHIPPED, Path(__file__).parents[3] / "examples" / SHIPPED):
        if place.is_file():
            return place
    raise UsageError(
        "the flights that ship with gradline are not where they were installed.", "name a table: gradline lab DATA --target y."
    )


def _near(word: str) -> str:
    """A file's path as it is named from here, where it is below."""
    path = Path(word)
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else word

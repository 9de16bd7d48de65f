"""What can be set in the lab: of the table, which all runs share, and of each run. The page's state in the URL has these names."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from gradline.errors import UsageError, did_you_mean
from gradline.lab.alteration import MOST_DEGREE, Moved
from gradline.updates import averaged, rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gradline.types import Json

MOST_STEPS = 20_000  # of one play
MOST_ROWS = 2_000  # of a small table drawn from the whole one
MOST_BATCH = 1 << 16
RULES = (*rules.NAMES, averaged.NAME)
SCALINGS = ("standard", "none")


@dataclass(frozen=True, slots=True)
class TableSettings:
    """features: those to learn from.  rows: how many are drawn from the table, 0 for all.  shift, divide, degree, moved: see `Alteration`.

    noise: its deviation in deviations of the target.  validation, test: shares held out.  seed: of roles, batches and noise.
    """

    features: tuple[str, ...]
    rows: int = 0
    shift: float = 0.0
    divide: float = 1.0
    degree: int = 1
    noise: float = 0.0
    moved: tuple[Moved, ...] = ()
    validation: float = 0.1
    test: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        _within("rows", self.rows, 0, MOST_ROWS)
        _within("shift", self.shift, -1e300, 1e300)
        _within("divide", self.divide, 1e-9, 1e9)
        _within("degree", self.degree, 1, MOST_DEGREE)
        _within("noise", self.noise, 0.0, 100.0)
        _within("seed", self.seed, 0, 2**31)
        _within("validation", self.validation, 0.0, 0.9)
        _within("test", self.test, 0.0, 0.9)
        if not self.features:
            raise UsageError("no feature was chosen.", "choose at least one.")
        if len(self.moved) > 100:
            raise UsageError("too many points were moved.", "at most 100.")
        for point in self.moved:
            _within("x", point.x, -1e300, 1e300)
            _within("y", point.y, -1e300, 1e300)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> TableSettings:
        """From JSON. Raises UsageError for what cannot be."""
        values = _known(cls, document)
        features = values.get("features")
        if not isinstance(features, list | tuple) or not all(isinstance(name, str) for name in features):
            raise UsageError("features are a list of columns' names.")
        moved = values.get("moved", ())
        if not isinstance(moved, list | tuple) or not all(isinstance(point, list | tuple) and len(point) == 4 for point in moved):
            raise UsageError("a moved point is [file, row, x, y].")
        points = tuple(Moved(_whole("file", f), _whole("row", r), _real("x", x), _real("y", y)) for f, r, x, y in moved)
        numbers = {name: value for name, value in values.items() if name not in ("features", "moved")}
        return cls(features=tuple(features), moved=points, **_typed(cls, numbers))


@dataclass(frozen=True, slots=True)
class RunSettings:
    """rule: by its name.  rate: α in units of 1/L, None for the best one that is known; of Adam, in units of its usual α.

    batch: rows a step, 0 for all of them, from the moments.  scaling, l2: as in `TrainConfig`.  steps: the most there are.
    """

    rule: str = "gradient_descent"
    rate: float | None = None
    batch: int = 0
    scaling: str = "standard"
    l2: float = 0.0
    steps: int = 300

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise UsageError(f"there is no rule {self.rule!r}.", did_you_mean(self.rule, RULES))
        if self.scaling not in SCALINGS:
            raise UsageError(f"there is no scaling {self.scaling!r}.", did_you_mean(self.scaling, SCALINGS))
        if self.rate is not None:
            _within("rate", self.rate, 1e-9, 1e9)
        _within("batch", self.batch, 0, MOST_BATCH)
        _within("l2", self.l2, 0.0, 1e12)
        _within("steps", self.steps, 1, MOST_STEPS)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> RunSettings:
        """From JSON. Raises UsageError for what cannot be."""
        values = _known(cls, document)
        words: dict[str, Any] = {name: str(values.pop(name)) for name in ("rule", "scaling") if name in values}
        rate = values.pop("rate", None)
        return cls(**words, rate=None if rate is None else _real("rate", rate), **_typed(cls, values))

    def to_json(self) -> Json:
        """The settings by their names."""
        return asdict(self)


T = TypeVar("T", TableSettings, RunSettings)


def _known(cls: type[T], document: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise UsageError("settings are an object of names and values.")
    names = {field.name for field in fields(cls)}
    for name in document:
        if name not in names:
            raise UsageError(f"there is no setting {name!r}.", did_you_mean(name, names))
    return dict(document)


def _typed(cls: type[T], values: Mapping[str, Any]) -> dict[str, Any]:
    whole = {field.name for field in fields(cls) if field.type == "int"}
    return {name: _whole(name, value) if name in whole else _real(name, value) for name, value in values.items()}


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"{name} is {value!r}, which is no whole number.")
    return value


def _real(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"{name} is {value!r}, which is no number.")
    return float(value)


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise UsageError(f"{name} is {value!r}.", f"give {least:g} to {most:g}.")

"""What an error costs: as much per unit above and below, a table of errors and costs, or a function of Python.

    cost(e),   e = prediction − actual;   `under=3,over=1`: 3 a unit where the actual value is above the prediction, 1 where it is below

The constant that makes predictions cheapest, s* = argmin Σ w c(e + s), is found exactly of costs that are straight between points: the
sum is straight between the shifts at which a row's error passes a point. Of `under` and `over` it is the quantile
under/(under + over) of actual − predicted (Koenker & Bassett, Econometrica 46, 1978).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gradline.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.types import FloatArray, Json

SIDES = ("under", "over")
MOST_POINTS = 1_000
MOST_KINKS = 1 << 24  # points times rows
FUNCTION = "function "  # the setting of a run whose cost was a function; its code is not saved
TRIED = 201  # shifts of a function's cost at once
ROUNDS = 4  # each about the best of the last


class Cost(Protocol):
    """The cost of errors, (n,) → (n,)."""

    def of(self, error: FloatArray) -> FloatArray: ...

    def shift(self, error: FloatArray, weight: FloatArray) -> float | None:
        """The constant to add to every prediction for the least cost of these errors; None where none is best."""
        ...

    def to_json(self) -> Json: ...


@dataclass(frozen=True, slots=True)
class PiecewiseLinear:
    """Straight between the points (errors ascending), and on beyond them as before. two_sided: whether given as under and over."""

    errors: FloatArray
    costs: FloatArray
    two_sided: bool = False

    @property
    def slopes(self) -> FloatArray:
        """Of each stretch, (points − 1,)."""
        return np.diff(self.costs) / np.diff(self.errors)

    def of(self, error: FloatArray) -> FloatArray:
        """See `Cost`."""
        stretch = np.clip(np.searchsorted(self.errors, error, side="right") - 1, 0, len(self.errors) - 2)
        found: FloatArray = self.costs[stretch] + self.slopes[stretch] * (error - self.errors[stretch])
        return found

    def shift(self, error: FloatArray, weight: FloatArray) -> float | None:
        """See `Cost`: exact; of several best ones the nearest to 0. None where the cost falls without end."""
        slopes = self.slopes
        if slopes[0] > 0.0 or slopes[-1] < 0.0 or not len(error):
            return None
        bends = np.diff(slopes)
        at = np.flatnonzero(bends)
        if not len(at):
            return 0.0
        thinned = max(1, math.ceil(len(at) * len(error) / MOST_KINKS))
        error, weight = error[::thinned], weight[::thinned]
        kinks = (self.errors[1:-1][at][:, None] - error).ravel()
        change = (bends[at][:, None] * weight).ravel()
        order = np.argsort(kinks, kind="stable")
        kinks = kinks[order]
        slope = slopes[0] * weight.sum() + np.cumsum(change[order])  # to the right of each kink
        total = np.concatenate([[0.0], np.cumsum(slope[:-1] * np.diff(kinks))])  # up to a constant
        scale = float(np.abs(total).max(initial=0.0))
        best = kinks[total <= total.min() + 1e-13 * scale]
        if best[0] <= 0.0 <= best[-1] and np.all(bends >= 0.0):
            return 0.0  # of a convex sum, all between two best shifts is as good
        return float(best[np.argmin(np.abs(best))])

    @property
    def quantile(self) -> float | None:
        """Under/(under + over), the quantile that costs least; None of a table."""
        if not self.two_sided or self.slopes[-1] - self.slopes[0] <= 0.0:
            return None
        under, over = -float(self.slopes[0]), float(self.slopes[-1])
        return under / (under + over)

    def to_json(self) -> Json:
        """See `Cost`."""
        if self.two_sided:
            return {"kind": "linear", "under": -float(self.slopes[0]), "over": float(self.slopes[-1]), "least_at": 0.0}
        points = [[float(e), float(c)] for e, c in zip(self.errors, self.costs, strict=True)]
        return {"kind": "table", "points": points, "least_at": float(self.errors[np.argmin(self.costs)])}


@dataclass(frozen=True, slots=True)
class Function:
    """A cost of the user's: a function of an array of errors."""

    call: Callable[[FloatArray], Any]

    def of(self, error: FloatArray) -> FloatArray:
        """See `Cost`. Raises UsageError where it gives no number for an error."""
        try:
            found = np.asarray(self.call(error.copy()), dtype=np.float64)
        except Exception as problem:
            raise UsageError(
                f"cost: the function failed on an array of {len(error):,} errors: {type(problem).__name__}: {problem}.",
                "it takes a NumPy array of errors (prediction − actual) and returns their costs.",
            ) from problem
        if found.shape != error.shape:
            raise UsageError(
                f"cost: the function returned the shape {found.shape} for errors of the shape {error.shape}.",
                "return one cost an error: numpy.where(error < 0, −3*error, error).",
            )
        bad = ~np.isfinite(found) & np.isfinite(error)
        if bad.any():
            raise UsageError(
                f"cost: the function gives {found[bad][0]} for the error {error[bad][0]:g}.", "every error has a finite cost."
            )
        return found

    def shift(self, error: FloatArray, weight: FloatArray) -> float | None:
        """See `Cost`: the best of a grid over the errors, refined about the best; not proved to be the least of all."""
        if not len(error):
            return None
        grid = np.append(np.quantile(-error, np.linspace(0.0, 1.0, TRIED)), 0.0)
        best = 0.0
        for _ in range(ROUNDS):
            grid = np.unique(np.append(grid, best))
            totals = np.array([float(weight @ self.of(error + shift)) for shift in grid])
            at = int(np.argmin(totals))
            best = float(grid[at])
            grid = np.linspace(grid[max(at - 1, 0)], grid[min(at + 1, len(grid) - 1)], 11)
        return best

    def to_json(self) -> Json:
        """See `Cost`."""
        return {"kind": "function", "name": function_name(self.call)}


def function_name(call: Callable[..., Any]) -> str:
    """What a function is called."""
    return str(getattr(call, "__name__", type(call).__name__))


def checked_function(call: Callable[[FloatArray], Any]) -> Function:
    """A function that gives a finite cost for each of a few errors. Raises UsageError."""
    cost = Function(call)
    cost.of(np.array([-1e3, -1.0, -1e-3, 0.0, 1e-3, 1.0, 1e3]))
    return cost


def parse_cost(setting: str | Callable[[FloatArray], Any]) -> Cost:
    """The cost of a setting: `under=3,over=1`, the name of a CSV file with the columns error and cost, or a function.

    Raises UsageError where it is none.
    """
    if callable(setting):
        return checked_function(setting)
    if setting.startswith(FUNCTION):
        raise UsageError(
            f"the cost was the Python {setting}, whose code is not saved.", "give it again: gradline.train(…, cost=function)."
        )
    if Path(setting).suffix.lower() == ".csv" or "=" not in setting:
        return _table(setting)
    return _two_sided(setting)


def _two_sided(text: str) -> PiecewiseLinear:
    given: dict[str, float] = {}
    for word in text.split(","):
        name, _, value = (part.strip() for part in word.partition("="))
        if name not in SIDES or name in given:
            raise UsageError(
                f"--cost {text!r}: {name!r} is {'given twice' if name in given else 'not known'}.", did_you_mean(name, SIDES)
            )
        try:
            given[name] = float(value)
        except ValueError:
            raise UsageError(f"--cost {text!r}: {value!r} is not a number.", "--cost under=3,over=1") from None
        if not 0.0 <= given[name] < math.inf:
            raise UsageError(f"--cost {text!r}: {value} is not what a unit of error costs.", "give numbers from 0.")
    if set(given) != set(SIDES) or not any(given.values()):
        raise UsageError(
            f"--cost {text!r} needs both under and over, one of them above 0.",
            "under: the actual value is above the prediction; --cost under=3,over=1",
        )
    return PiecewiseLinear(np.array([-1.0, 0.0, 1.0]), np.array([given["under"], 0.0, given["over"]]), two_sided=True)


def _table(name: str) -> PiecewiseLinear:
    import csv

    try:
        with Path(name).open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(
            f"--cost {name!r} is not a file that can be read: {error}.",
            "give under=3,over=1, or a CSV file with the columns error and cost.",
        ) from error
    missing = [column for column in ("error", "cost") if rows and column not in rows[0]]
    if missing or len(rows) < 2:
        what = f"has no column {missing[0]!r}" if missing else f"has {len(rows)} rows; at least 2 are needed"
        raise UsageError(f"--cost {name}: the table {what}.", "its columns are error (prediction − actual) and cost.")
    if len(rows) > MOST_POINTS:
        raise UsageError(f"--cost {name}: {len(rows):,} points are too many.", f"give up to {MOST_POINTS:,}.")
    points = []
    for line, row in enumerate(rows, 2):
        try:
            point = float(row["error"]), float(row["cost"])
        except (TypeError, ValueError):
            point = math.nan, math.nan
        if not all(map(math.isfinite, point)):
            raise UsageError(
                f"--cost {name}, line {line}: {row['error']!r}, {row['cost']!r} are not two numbers.", "mend the line."
            )
        points.append(point)
    errors, costs = np.array(sorted(points)).T
    if np.any(np.diff(errors) <= 0.0):
        twice = errors[1:][np.diff(errors) <= 0.0][0]
        raise UsageError(f"--cost {name}: the error {twice:g} has two costs.", "give each error once.")
    return PiecewiseLinear(errors, costs)

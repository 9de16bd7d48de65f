"""What a category with many levels costs after the read: `python benchmarks/levels.py`, about 20 seconds.

Prints for some numbers of levels, beside 5 numbers and categories of 10 and 100 levels, what the solving takes by the eigendecomposition
of H and by the levels (decision 0040), in processor seconds of one thread and in the largest memory beside H itself; and the largest
difference of the minimisers.
"""

from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
from making import NUMERIC, shares
from threadpoolctl import threadpool_limits

from gradline.maths.block import block_moments
from gradline.maths.coordinates import Coordinates
from gradline.maths.levels import Category, solve_by_levels
from gradline.maths.quadratic import QuadraticLoss, quadratic_loss, solve
from gradline.types import CategoryColumn, NumberColumn, Part

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.maths.quadratic import Solution

ROWS = 200_000
BESIDE = (10, 100)
COUNTS = (300, 1_000, 2_000)
TIMES = 3


def posed(levels: int) -> tuple[QuadraticLoss, Category, Coordinates]:
    """The loss of a table with so many levels; the first one of each category is the reference."""
    rng = np.random.default_rng(levels)
    names, codes = ("c10", "c100", "large"), []
    for count in (*BESIDE, levels):
        codes.append(np.concatenate([np.arange(count), rng.choice(count, size=ROWS - count, p=shares(count))]))
    numbers = [NumberColumn(f"x{j}", rng.normal(size=ROWS)) for j in range(NUMERIC)]
    y = sum(column.values for column in numbers) + rng.normal(size=levels)[codes[2]] + rng.normal(size=ROWS)
    categories = [CategoryColumn(n, c, tuple(map(str, range(c.max() + 1)))) for n, c in zip(names, codes, strict=True)]
    raw = block_moments([*numbers, NumberColumn("y", y, Part.TARGET)], categories, ROWS)
    kept = [i for i, column in enumerate(raw.columns) if column.level != "0" and column.part is not Part.TARGET]
    target = next(i for i, column in enumerate(raw.columns) if column.part is Part.TARGET)
    moments = raw.aggregated([[i] for i in [*kept, target]], tuple(raw.columns[i] for i in [*kept, target]))
    deviation = np.sqrt(np.diag(moments.comoment)[:-1] / moments.weight)
    coordinates = Coordinates.of("standard", moments.mean[:-1], deviation, intercept=True)
    at = np.array([j for j, column in enumerate(moments.columns) if column.column == "large"])
    return quadratic_loss(moments, coordinates), Category(at, moments.mean[at]), coordinates


def measured(way: Callable[[], Solution | None]) -> tuple[Solution, float, float]:
    """What it finds, the least of some processor times, and the most memory that it takes, in MB."""
    taken = []
    for _ in range(TIMES):
        start = time.process_time()
        way()
        taken.append(time.process_time() - start)
    tracemalloc.start()
    found = way()
    most = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    assert found is not None
    return found, min(taken), most


def main() -> None:
    """See the module."""
    print("features   eigendecomposition      by the levels     largest difference of θ*")
    with threadpool_limits(limits=1):
        for levels in COUNTS:
            loss, category, coordinates = posed(levels)
            plain, seconds, memory = measured(lambda loss=loss: solve(loss))
            found, by_levels, beside = measured(lambda at=(loss, category, coordinates.scale): solve_by_levels(*at))
            apart = float(np.abs(found.minimiser - plain.minimiser).max() / np.abs(plain.minimiser).max())
            print(
                f"{len(loss.linear) - 1:8,} {seconds:10.2f} s {memory:5.0f} MB {by_levels:9.2f} s {beside:5.0f} MB     {apart:.0e}"
            )


if __name__ == "__main__":
    main()

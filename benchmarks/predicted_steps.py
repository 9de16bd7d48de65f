"""Predicted against actual steps: ten problems, each rule that foretells its steps, and the overflow of a rate too large.

    python benchmarks/predicted_steps.py

Prints a Markdown table. Nothing is timed.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import gradline as gl

if TYPE_CHECKING:
    from collections.abc import Iterator

FLIGHTS = Path(__file__).parents[1] / "examples" / "flights.parquet"
RULES = ("gradient_descent", "momentum", "nesterov", "conjugate_gradient", "lbfgs")
MOST_STEPS = 400_000


def problems() -> Iterator[tuple[str, object, dict[str, object]]]:
    """Name, data, settings."""
    real = {
        "flights: distance": ["distance"],
        "flights: five columns": ["carrier", "origin", "month", "hour", "distance"],
        "flights: with destinations": ["distance", "carrier", "origin", "dest", "month", "hour"],
        "flights: hour, month, day": ["hour", "month", "day"],
    }
    for name, features in real.items():
        yield name, FLIGHTS, {"target": "air_time", "features": features}
    yield "flights: late arrivals", FLIGHTS, {"target": "arr_delay", "features": ["dep_delay", "distance", "hour", "origin"]}
    rng = np.random.default_rng(0)
    for kappa in (1e1, 1e2, 1e3):
        X = (
            rng.normal(size=(5_000, 12))
            @ np.diag(np.geomspace(1.0, kappa**-0.5, 12))
            @ np.linalg.qr(rng.normal(size=(12, 12)))[0]
        )
        yield f"spread spectrum, {kappa:.0e}", X, {"target": X @ rng.normal(size=12) * kappa**0.5 + rng.normal(size=5_000)}
    x = rng.uniform(-1.0, 1.0, 2_000)
    yield (
        "polynomial of degree 5",
        np.column_stack([x**k for k in range(1, 6)]),
        {"target": np.sin(3 * x) + 0.1 * rng.normal(size=2_000)},
    )
    X = rng.normal(size=(3_000, 60))
    yield "sixty features, ridge", X, {"target": X @ rng.normal(size=60) + rng.normal(size=3_000), "l2": 0.1}


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore", gl.GradlineWarning)
    print("| problem | condition | " + " | ".join(rule.replace("_", " ") for rule in RULES) + " |")
    print("|---|---|" + "---|" * len(RULES))
    worst: dict[str, float] = dict.fromkeys(RULES, 0.0)
    for name, data, settings in problems():
        cells, condition = [], 0.0
        for rule in RULES:
            model = gl.train(data, **settings, optimizer=rule, max_steps=MOST_STEPS)  # type: ignore[arg-type]
            predicted, actual = model.plan["predicted_steps"], model.result["steps"]
            condition = model.certificate.condition or 0.0
            if predicted is None or predicted > MOST_STEPS:
                cells.append("not run" if predicted is None else f"{predicted:,} / not run")
                continue
            cells.append(f"{predicted:,} / {actual:,}")
            if abs(predicted - actual) > 1:
                worst[rule] = max(worst[rule], abs(predicted - actual) / actual)
        print(f"| {name} | {condition:,.3g} | " + " | ".join(cells) + " |", flush=True)
    print("\npredicted / actual steps; largest difference past one step: " + ", ".join(f"{r} {w:.1%}" for r, w in worst.items()))


if __name__ == "__main__":
    main()

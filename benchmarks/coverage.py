"""Coverage of whole training runs on simulated data sets, beside its exact law: `python benchmarks/coverage.py [sets]`.

Each set has 600 rows whose spread grows with a feature; a third calibrates where the method needs it, 40% measure. The share of the sets
outside their own 99% band is to be about 1%, and the mean coverage that of the law. Of jackknife+ the law is near, not exact.
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np

import gradline as gl

METHODS = ("conformal", "jackknife+", "quantile")


def rows(seed: int) -> dict[str, np.ndarray]:
    """Y = 3x − z + noise, whose deviation is 0.2 + x."""
    rng = np.random.default_rng(seed)
    x, z = rng.uniform(0.0, 4.0, 600), rng.normal(size=600)
    return {"X": np.column_stack([x, z]), "y": 3.0 * x - z + (0.2 + x) * rng.normal(size=600)}


def main(sets: int) -> None:
    """Print one line a method."""
    warnings.simplefilter("ignore")
    print(
        f"{'method':12} {'sets':>5} {'mean coverage':>14} {'by the law':>11} {'outside 99%':>12} {'mean width':>11} {'seconds':>8}"
    )
    for method in METHODS:
        start, found, means, widths, outside = time.perf_counter(), [], [], [], 0
        for seed in range(sets):
            data = rows(seed)
            model = gl.train(data["X"], data["y"], interval=method, validation=0.3, test=0.4, seed=seed)
            told = model.result["assessment"]["intervals"]
            expected = told["test"]["expected"]
            found.append(expected["coverage"])
            n = told["rows"]
            means.append(np.ceil(round(0.9 * (n + 1), 9)) / (n + 1))
            widths.append(told["test"]["width"])
            outside += not expected["low"] <= expected["coverage"] <= expected["high"]
        seconds = time.perf_counter() - start
        error = np.std(found) / np.sqrt(sets)
        print(
            f"{method:12} {sets:5} {np.mean(found):8.4f} ±{error:.4f} {np.mean(means):11.4f} {outside:12} {np.mean(widths):11.2f} {seconds:8.1f}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)

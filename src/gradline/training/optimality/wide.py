"""A problem whose p² moments are too many: its spectrum is known by Lanczos' steps, and its minimum is bounded, not solved for.

With λ > 0 the loss is λ-strongly convex once b has its best value, and the duality gap, ‖∇J‖²/2λ there, is a proof. With λ = 0
there is none: a direction in which the loss is all but flat cannot be told from one that is not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradline.errors import UsageError
from gradline.maths.design import squared_norms
from gradline.maths.lanczos import lanczos
from gradline.maths.noise import GradientNoise
from gradline.maths.quadratic import baseline_objective
from gradline.types import Notice, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gradline.maths.coordinates import Coordinates
    from gradline.maths.moments import Moments
    from gradline.maths.quadratic import Solution
    from gradline.oracles.minibatch import ExampleStore
    from gradline.oracles.sparse import SparseStore
    from gradline.oracles.streamed import StreamedOracle
    from gradline.training.config import TrainConfig
    from gradline.types import FloatArray, IntArray

MOST_FEATURES = 5_000  # past these a (p, p) matrix is not formed
LANCZOS_STEPS = 60
BASIS_VALUES = 1 << 25  # a quarter of a gigabyte
GAP_TOLERANCE = 1e-8  # of the relative duality gap


@dataclass(frozen=True, slots=True)
class WideProblem:
    """names: of the p features.  moments: of the target alone, by role.  solution: the minimum as Lanczos sees it from the start,
    in as many coordinates as it took steps.  gradient: (k,) at the start.  stop: the gradient norm at which the run can stop.
    """

    names: tuple[str, ...]
    moments: Mapping[Role, Moments]
    coordinates: Coordinates
    solution: Solution
    baseline: float
    gradient: FloatArray
    stop: float

    @property
    def training(self) -> Moments:
        """The moments of the training rows' target."""
        return self.moments[Role.TRAINING]

    @property
    def reference(self) -> Solution:
        """The solution itself: there is no other."""
        return self.solution

    @property
    def validation(self) -> Moments | None:
        """Those of the validation rows; None without such rows."""
        held_out = self.moments.get(Role.VALIDATION)
        return held_out if held_out is not None and held_out.weight > 0.0 else None

    @property
    def target_deviation(self) -> float:
        """The standard deviation of the target on the training rows."""
        return float(np.sqrt(2.0 * self.baseline))

    @property
    def identity(self) -> tuple[FloatArray, ...]:
        """Arrays that other data would not have."""
        return self.coordinates.mean, self.coordinates.deviation, self.gradient

    def reached(self, gap: float, distance: Callable[[], FloatArray]) -> bool:
        """Whether a distance θ − θ*, in the solution's coordinates, is within the tolerance at which the run stops."""
        return float(np.linalg.norm(self.solution.eigenvalues * distance())) <= self.stop


def pose_wide(
    names: tuple[str, ...],
    moments: Mapping[Role, Moments],
    coordinates: Coordinates,
    oracle: StreamedOracle[range],
    config: TrainConfig,
) -> WideProblem:
    """The problem of these rows, whose gradients the oracle gives; some products with H tell its spectrum."""
    start = np.zeros(coordinates.size)
    gradient = oracle.value_and_gradient(start).gradient
    size = float(np.linalg.norm(gradient))
    steps = max(min(LANCZOS_STEPS, BASIS_VALUES // len(start)), 8)
    ritz = lanczos(oracle.curvature_along, gradient, steps)
    baseline = baseline_objective(moments[Role.TRAINING])
    proof = np.sqrt(2.0 * config.penalty * GAP_TOLERANCE * baseline)
    stop = float(proof) if config.penalty > 0.0 else config.tolerance * size
    return WideProblem(names, moments, coordinates, ritz.solution(size), baseline, gradient, stop)


def refuse_wide(config: TrainConfig, p: int) -> None:
    """Raise UsageError for settings that need a (p, p) matrix."""
    many = f"{p:,} features are more than {MOST_FEATURES:,}, and no (p, p) matrix is formed for them:"
    if config.oracle == "moments":
        raise UsageError(f"{many} they have no moments.", "--oracle streamed or minibatch.")
    if config.l1 > 0.0:
        raise UsageError(f"{many} --l1 needs one for its proof.", "use --l2, or choose columns with --features.")
    if config.errors != "classical":
        raise UsageError(f"{many} --errors {config.errors} needs its inverse.", "leave it out.")
    if config.loss != "squared" and config.penalty == 0.0:
        raise UsageError(f"{many} --loss {config.loss} needs one for its proof, or a penalty.", "add --l2, say --l2 1e-3.")


def wide_noise(store: ExampleStore | SparseStore, rows: IntArray | slice, start: FloatArray, *, intercept: bool) -> GradientNoise:
    """Of mini-batches of so many features: R² is the largest ‖x‖² of all rows, a bound; the scale is that of a sample of rows."""
    norms = np.concatenate([squared_norms(store.examples(part).X) for part in store.parts()]) + float(intercept)
    X, y = store.X[rows], store.y[rows]
    residual = (X @ start[:-1] + start[-1] if intercept else X @ start) - y
    gradient = X.T @ residual / len(y)
    size = float(gradient @ gradient) + (float(residual.mean()) ** 2 if intercept else 0.0)
    spread = float(np.mean(residual**2 * norms[rows])) - size
    return GradientNoise(float(norms.max()), None, spread / size if size > 0.0 else np.inf)


def wide_doubts(problem: WideProblem, config: TrainConfig) -> list[Notice]:
    """What is not known of so many features."""
    p = len(problem.names)
    notices = []
    if config.penalty == 0.0:
        text = (
            f"with {p:,} features and no penalty the distance to the global minimum is not known: the run stopped by its gradient, "
            "and there may be directions in which the loss is all but flat. With --l2 it is proved."
        )
        notices.append(Notice("no_certificate", None, text))
        if problem.training.rows <= p + 1:
            text = (
                f"{problem.training.rows:,} training rows for {p:,} features: the fit can be perfect and mean nothing. Use --l2."
            )
            notices.append(Notice("few_rows", None, text))
    return notices

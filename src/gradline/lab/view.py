"""What the pictures show: J over a plane through its minimum, where a step is in that plane, and what it predicts.

With one feature the plane is that of (w, b). With more it is spanned by two directions d₁, d₂ through θ*: two eigenvectors of H, or
two parameters. There J is known exactly from the moments:

    J(θ* + u d₁ + v d₂) = J* + ½ (u, v) D'HD (u, v)',   D = (d₁, d₂)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.errors import UsageError, did_you_mean
from gradline.lab.alteration import powers
from gradline.lab.play import sampled_features
from gradline.types import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.lab.play import Play
    from gradline.maths.coordinates import Coordinates
    from gradline.types import FloatArray, Json

GRID = 49  # points along each side
MARGIN = 1.2
LIKE = 3.0  # sides that differ by less are made equal: then a gradient is at right angles to its contour
LEAST_SHARE = 0.02  # of the baseline: what the frame at least reaches up to
MOST_POINTS = 160  # of the sample, in the picture
CURVE_POINTS = 64
MOST_EIGEN_NAMES = 8


class Direction(NamedTuple):
    """key: in the state of the page.  label: for the axis.  vector: (k,)."""

    key: str
    label: str
    vector: FloatArray


@dataclass(frozen=True, slots=True)
class Plane:
    """The plane of a play. origin: (k,) the point (0, 0).  directions: (k, 2), orthonormal.  plain: whether it is that of (w, b)."""

    play: Play
    first: Direction
    second: Direction
    origin: FloatArray

    @property
    def directions(self) -> FloatArray:
        """D, (k, 2)."""
        return np.column_stack([self.first.vector, self.second.vector])

    @property
    def plain(self) -> bool:
        """Whether all of θ is in the plane."""
        return len(self.origin) == 2

    def at(self, theta: FloatArray, coordinates: Coordinates | None = None) -> FloatArray:
        """(u, v) of a θ (k,), of other coordinates where those are given."""
        mine = self.play.problem.coordinates
        if coordinates is not None and coordinates is not mine:
            theta = converted(theta, coordinates, mine)
        point: FloatArray = self.directions.T @ (theta - self.origin)
        return point

    def theta(self, point: Sequence[float] | FloatArray) -> FloatArray:
        """The θ (k,) at (u, v) that is as θ = 0 in all other directions."""
        zero = np.zeros_like(self.origin)
        moved: FloatArray = zero + self.directions @ (np.asarray(point, dtype=np.float64) - self.at(zero))
        return moved

    def frame(self, start: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The middle and the half sides, (2,) each, that hold the minimum, θ = 0, the start and a stable path from there."""
        solution, D = self.play.solution, self.directions
        middle = self.at(solution.minimiser)
        reach = np.zeros(2)
        for theta in (start, np.zeros_like(start)):
            error = np.abs(solution.along(theta))  # |c_i|, which a stable run does not pass
            reach = np.maximum(reach, np.abs(D.T @ solution.vectors) @ error)
        least = np.sqrt(2.0 * LEAST_SHARE * self.play.problem.baseline * np.diag(self._inverse()))
        half = MARGIN * np.maximum(reach, least)
        return middle, np.full(2, half.max()) if half.max() < LIKE * half.min() else half

    def _curvature(self) -> FloatArray:
        """D'HD, (2, 2)."""
        loss = self.play.problem.loss
        columns = [loss.curvature_along(direction.vector) for direction in (self.first, self.second)]
        curvature: FloatArray = self.directions.T @ np.column_stack(columns)
        return curvature

    def _inverse(self) -> FloatArray:
        """(D'HD)⁻¹, where it is singular with a curvature of at least 1e-12 of the steepest."""
        values, vectors = np.linalg.eigh(self._curvature())
        values = np.maximum(values, 1e-12 * self.play.solution.curvature_max)
        inverse: FloatArray = (vectors / values) @ vectors.T
        return inverse

    def surface(self, start: FloatArray) -> Json:
        """J − J* over the plane, at GRID × GRID points of its frame."""
        middle, half = self.frame(start)
        u, v = (np.linspace(-half[i], half[i], GRID) for i in range(2))
        (a, b), (_, c) = self._curvature()
        gap = 0.5 * (a * u[None, :] ** 2 + 2.0 * b * u[None, :] * v[:, None] + c * v[:, None] ** 2)  # (v, u)
        return {
            "x": (middle[0] + u).tolist(),
            "y": (middle[1] + v).tolist(),
            "gap": [[float(f"{value:.6g}") for value in row] for row in np.maximum(gap, 0.0)],
            "minimum": middle.tolist(),
            "labels": [self.first.label, self.second.label],
            "keys": [self.first.key, self.second.key],
            "plain": self.plain,
            "equal": bool(half[0] == half[1]),
        }


def directions_of(play: Play) -> list[Direction]:
    """All directions that can be chosen, the flattest and the steepest eigenvector first."""
    solution, names = play.solution, play.problem.names
    k = len(solution.minimiser)
    kept = list(range(solution.null, k))
    shown = kept if len(kept) <= MOST_EIGEN_NAMES else [*kept[: MOST_EIGEN_NAMES // 2], *kept[-MOST_EIGEN_NAMES // 2 :]]
    order = [shown[0], shown[-1], *shown[1:-1]] if len(shown) > 1 else shown
    found = []
    for i in order:
        which = "flattest" if i == kept[0] else "steepest" if i == kept[-1] else f"eigenvector {i + 1},"
        label = f"{which}{'' if which.endswith(',') else ' direction'} (λ = {solution.eigenvalues[i]:.3g})"
        found.append(Direction(f"q{i + 1}", label, _signed(solution.vectors[:, i])))
    eye = np.eye(k)
    found += [Direction(f"w:{name}", f"w of {name}", eye[j]) for j, name in enumerate(names)]
    return [*found, Direction("b", "b", eye[k - 1])]


def plane_of(play: Play, keys: Sequence[str] | None = None) -> Plane:
    """The plane of two directions by their keys. Raises UsageError for those that are not there."""
    names, k = play.problem.names, len(play.solution.minimiser)
    if k == 2:
        return Plane(play, Direction("w", f"w ({names[0]})", np.eye(2)[0]), Direction("b", "b", np.eye(2)[1]), np.zeros(2))
    known = {direction.key: direction for direction in directions_of(play)}
    chosen = list(keys) if keys else list(known)[:2]
    if len(chosen) != 2 or chosen[0] == chosen[1]:
        raise UsageError("a plane has two different directions.")
    for key in chosen:
        if key not in known:
            raise UsageError(f"there is no direction {key!r}.", did_you_mean(key, known))
    first, second = (known[key] for key in chosen)
    rest = second.vector - first.vector * float(first.vector @ second.vector)
    size = float(np.linalg.norm(rest))
    if size < 1e-9:
        raise UsageError("the two directions are one.", "choose another.")
    parameters = not any(re.fullmatch(r"q\d+", key) for key in chosen)  # then the axes show their values
    origin = np.zeros(k) if parameters else play.solution.minimiser
    return Plane(play, first, second._replace(vector=rest / size), origin)


def _signed(vector: FloatArray) -> FloatArray:
    """With its largest component positive: LAPACK's sign means nothing."""
    return vector if vector[np.argmax(np.abs(vector))] > 0.0 else -vector


def converted(theta: FloatArray, before: Coordinates, after: Coordinates) -> FloatArray:
    """The same function's θ in other coordinates of the same columns."""
    user = before.to_user(theta)
    w = user.coefficients * after.scale
    return np.append(w, user.intercept + float(user.coefficients @ after.centre))


@dataclass(frozen=True, slots=True)
class Picture:
    """The data as they are shown. line: whether y is over x (one feature, or powers of it), else the prediction over the target.

    x: (n,) where predictions are drawn: of a line its ends, of a curve some points.  Z: (n, p) the features there, in the loop's
    coordinates.
    """

    line: bool
    x: FloatArray
    Z: FloatArray
    points: Json

    def predicted(self, w: FloatArray, b: float) -> FloatArray:
        """F at each x, (n,)."""
        return self.Z @ w + b


def picture_of(play: Play) -> Picture:
    """The sample of rows, thinned, and where predictions are wanted."""
    points, names = play.opened.points, play.problem.names
    line = len(play.settings.features) == 1
    X = sampled_features(play)  # (n, p)
    finite = np.isfinite(points.y) & (points.roles != Role.TEST) & np.isfinite(X).all(axis=1)
    if line:
        finite &= np.isfinite(points.numbers[play.settings.features[0]])  # what is missing has no place over x
    chosen = np.flatnonzero(finite)
    if len(chosen) > MOST_POINTS:
        chosen = chosen[np.linspace(0, len(chosen) - 1, MOST_POINTS).astype(int)]
    y, coordinates = points.y[chosen], play.problem.coordinates
    document: Json = {
        "y": y.tolist(),
        "role": ["train" if role == Role.TRAINING else "validation" for role in points.roles[chosen]],
        "place": [[int(points.file[i]), int(points.row[i])] for i in chosen],
    }
    if not line:
        return Picture(False, y, coordinates.transformed(X[chosen]), document)
    x = points.numbers[play.settings.features[0]][chosen]
    document["x"] = x.tolist()
    low, high = (float(x.min()), float(x.max())) if len(x) else (0.0, 1.0)
    degree = play.settings.degree
    at = np.linspace(low, high, 2 if degree == 1 else CURVE_POINTS)
    made = dict(zip(play.opened.features, powers(at, degree), strict=True))
    present = np.zeros_like(at)  # of an indicator of missing values
    Z = coordinates.transformed(np.column_stack([made.get(name, present) for name in names]))
    return Picture(True, at, Z, document)

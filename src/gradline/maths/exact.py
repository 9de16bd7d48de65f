"""Least squares from exact sums: moments, loss and minimum in whole numbers, rounded once, at the end.

Everything is a whole number of 2^−320, of the columns in standard coordinates. H = LDL' by
elimination, the largest remaining pivot first; a condition κ of H costs log2 κ of the 320 bits, and there are no others to
lose: of the float64 columns the answer has every digit. What the columns themselves have lost is another matter: a pivot that
their own rounding would account for is none, its column is a combination of the others, and not identifiable.

    R = D^½L',  H = R'R:  the singular values of R are the square roots of H's eigenvalues, with half the digits at stake

(Higham, Accuracy and Stability of Numerical Algorithms, 10.3 on pivoting, 20.1 on the sensitivity of least squares.)
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gradline.maths.moments import Moments
from gradline.maths.quadratic import EPSILON, LowParts, QuadraticLoss, Solution

if TYPE_CHECKING:
    from gradline.maths.coordinates import Coordinates
    from gradline.maths.slices import ExactSums, Integers
    from gradline.types import FloatArray, RawColumn

BITS = 320
SUSPECT = 1e-11  # of a pivot to its column's square, below which the rounding of the columns is asked about
NOTHING = BITS - 100  # bits below its column's square at which a pivot is zero

_over = np.frompyfunc(lambda a, b: a // b, 2, 1)
_up = np.frompyfunc(lambda a, bits: a << bits if bits >= 0 else a >> -bits, 2, 1)
_integers = np.frompyfunc(int, 1, 1)


@dataclass(frozen=True)
class ExactMoments:
    """sums: of p features and then the target, about `shift` (p+1,).  unit: a power of two near the target's deviation, so that its
    size, like that of a feature, takes none of the bits.
    """

    sums: ExactSums
    shift: FloatArray
    unit: float = 1.0

    @cached_property
    def weight(self) -> Fraction:
        """Σ w."""
        return _value(self.sums.numerators[-1, -1], 2 * int(self.sums.exponents[-1]) + self.sums.unit)

    @cached_property
    def mean(self) -> list[Fraction]:
        """(p+1) of the columns."""
        total, one = self.sums.numerators[-1, -1], int(self.sums.exponents[-1])
        return [
            Fraction(s) + _value(n, int(e) - one) / total
            for s, n, e in zip(self.shift.tolist(), self.sums.numerators[:-1, -1], self.sums.exponents[:-1], strict=True)
        ]

    def moments(self, columns: tuple[RawColumn, ...]) -> Moments:
        """Rounded to float64, the means to twice that."""
        high = [float(mean) for mean in self.mean]
        low = [float(mean - Fraction(h)) for mean, h in zip(self.mean, high, strict=True)]
        scale = np.ldexp(1.0, self.sums.exponents[:-1])
        comoment = _floats(self.spread(scale, BITS), BITS) * float(self.weight) * scale[:, None] * scale
        return Moments(columns, self.sums.rows, float(self.weight), np.array(high), comoment, np.array(low))

    def spread(self, scale: FloatArray, bits: int) -> Integers:
        """Σ w (x − mean)(x − mean)' / (W scale scale'), (p+1, p+1), in units of 2^−bits."""
        total, first = self.sums.numerators[-1, -1], self.sums.numerators[:-1, -1]
        centred = self.sums.numerators[:-1, :-1] * total - first[:, None] * first
        fraction, exponent = np.frexp(scale)
        whole = np.asarray(_integers(np.ldexp(fraction, 53)), dtype=object)
        power = self.sums.exponents[:-1] - self.sums.exponents[-1] - exponent + 53
        over: Integers = (np.multiply.outer(whole, whole) * (total * total)) << 60
        spread: Integers = _over(_up(centred, _integers(power[:, None] + power + bits + 60)), over)
        return spread

    def offsets(self, centre: FloatArray, scale: FloatArray) -> list[Fraction]:
        """(mean − centre)/scale, (p+1)."""
        return [(m - Fraction(c)) / Fraction(s) for m, c, s in zip(self.mean, centre.tolist(), scale.tolist(), strict=True)]

    def loss(self, coordinates: Coordinates, penalty: FloatArray) -> QuadraticLoss:
        """J in some coordinates, each number as the sum of two float64; penalty: (p,) λ of each weight."""
        p = len(coordinates.mean)
        scale, centre, bits = np.append(coordinates.scale, self.unit), np.append(coordinates.centre, 0.0), BITS
        spread = self.spread(scale, bits)
        offset = np.array([_fixed(o, bits) for o in self.offsets(centre, scale)], dtype=object)
        product: Integers = (offset[:, None] * offset) >> bits
        second = spread + product
        hessian = second[:p, :p].copy()
        for j in range(p):
            hessian[j, j] += _fixed(Fraction(float(penalty[j])), bits)
        linear = second[:p, p]
        if coordinates.intercept:
            one = 1 << bits
            hessian = np.vstack([np.column_stack([hessian, offset[:p]]), np.append(offset[:p], one)])
            linear = np.append(linear, offset[p])
        exact = spread, offset, hessian, linear
        high = LowParts(*(_floats(a, bits) for a in exact))
        low = LowParts(*(_floats(a - _fixed_floats(h, bits), bits) for a, h in zip(exact, high, strict=True)))
        for part in (high, low):  # in the target's own unit
            np.multiply(part.linear, self.unit, out=part.linear)
            part.offset[p] *= self.unit
            part.spread[p] *= self.unit
            part.spread[:, p] *= self.unit
        return QuadraticLoss(high.spread, high.offset, high.hessian, high.linear, penalty, coordinates.intercept, low)


class ExactMinimum(NamedTuple):
    """Of J, in the user's units.

    coefficients: (p), intercept: exact where all are identifiable; where not, those of least norm, to float64.  minimum: J*.
    root: (k, k) R of H = R'R in standard coordinates; rows of zeros last, as many as there are directions without curvature.
    """

    coefficients: list[Fraction]
    intercept: Fraction
    minimum: float
    root: FloatArray
    null: int

    def theta(self, coordinates: Coordinates) -> list[Fraction]:
        """θ* in some coordinates, (k)."""
        w = [c * Fraction(s) for c, s in zip(self.coefficients, coordinates.scale.tolist(), strict=True)]
        if not coordinates.intercept:
            return w
        moved = (c * Fraction(m) for c, m in zip(self.coefficients, coordinates.centre.tolist(), strict=True))
        return [*w, self.intercept + sum(moved, Fraction(0))]

    def solution(self, coordinates: Coordinates) -> Solution:
        """The minimum and the spectrum in standard coordinates."""
        _, values, rows = np.linalg.svd(self.root)
        eigenvalues, vectors = values[::-1] ** 2, rows[::-1].T
        eigenvalues[: self.null] = 0.0
        minimiser = np.array([float(t) for t in self.theta(coordinates)])
        return Solution(eigenvalues, vectors, self.null, minimiser, self.minimum, EPSILON * self.minimum)


def minimise(moments: ExactMoments, coordinates: Coordinates, penalty: FloatArray, perturbation: FloatArray) -> ExactMinimum:
    """The minimum of J in standard coordinates; penalty: (p,) λ of each weight.  perturbation: (p,) how far each column may
    have been rounded, the root of a mean square.
    """
    p, one = len(coordinates.mean), 1 << BITS
    second, offset = _second(moments, coordinates)
    hessian, linear = second[:p, :p].copy(), second[:p, p]
    for j in range(p):
        hessian[j, j] += _fixed(Fraction(float(penalty[j])), BITS)
    free = np.zeros(p) if penalty.any() else perturbation
    w, explained, rows, left_out = _eliminate(hessian, linear, free)
    k = coordinates.size
    root = np.zeros((k, k))
    root[: len(rows), :p] = rows
    if coordinates.intercept:
        root[len(rows), :p], root[len(rows), p] = _floats(offset[:p], BITS), 1.0
    slopes = [Fraction(v, one) for v in w]
    if left_out:  # of all that fit alike, those of least norm
        basis = np.linalg.svd(root[:, :p])[2][p - left_out :]
        basic = np.array([float(v) for v in slopes])
        slopes = [Fraction(float(v)) for v in basic - basis.T @ (basis @ basic)]
    unit = Fraction(moments.unit)
    coefficients = [v * unit / Fraction(s) for v, s in zip(slopes, coordinates.scale.tolist(), strict=True)]
    intercept = Fraction(0)
    if coordinates.intercept:
        intercept = moments.mean[p] - sum((c * m for c, m in zip(coefficients, moments.mean, strict=False)), Fraction(0))
    left = second[p, p] - explained
    minimum = 0.0 if _nothing(left, second[p, p]) else left / (2 << BITS) * moments.unit**2
    return ExactMinimum(coefficients, intercept, minimum, root, left_out)


def combinations(moments: ExactMoments, coordinates: Coordinates, perturbation: FloatArray) -> int:
    """How many columns are combinations of the others; constant ones are not counted. perturbation: as in `minimise`."""
    second, _ = _second(moments, coordinates)
    varying = [j for j in range(len(perturbation)) if second[j, j] > 0]
    nothing = np.zeros(len(varying), dtype=object)
    return _eliminate(second[np.ix_(varying, varying)], nothing, perturbation[varying])[3]


def _second(moments: ExactMoments, coordinates: Coordinates) -> tuple[Integers, Integers]:
    """The second moments of the columns and the target, (p+1, p+1), about the means where there is an intercept, and the offsets."""
    scale = np.append(coordinates.scale, moments.unit)
    offset = np.array([_fixed(o, BITS) for o in moments.offsets(np.append(coordinates.centre, 0.0), scale)], dtype=object)
    spread = moments.spread(scale, BITS)
    return (spread if coordinates.intercept else spread + ((offset[:, None] * offset) >> BITS)), offset


def _eliminate(hessian: Integers, linear: Integers, perturbation: FloatArray) -> tuple[list[Any], Any, FloatArray, int]:
    """The w of Hw = c (0 for columns that are combinations of others), c'w, the rows of R, and how many columns are combinations."""
    p, A, c = len(linear), hessian.copy(), linear.copy()
    diagonal = hessian.diagonal()
    todo, kept, pivots = list(range(p)), list[int](), list[int]()
    rows: list[FloatArray] = []
    left_out: list[int] = []
    for _ in range(p):
        j = max(todo, key=lambda i: (A[i, i] << 64) // diagonal[i])
        todo.remove(j)
        pivot = A[j, j]
        if _nothing(pivot, diagonal[j]) or (pivot / diagonal[j] < SUSPECT and _rounding(pivot, j, kept, rows, perturbation)):
            left_out.append(j)
            continue
        row = np.zeros(p, dtype=object)
        rest = [*todo, *left_out]
        row[[j, *rest]] = A[j, [j, *rest]]
        if todo:
            factor = (row[todo] << BITS) // pivot
            A[np.ix_(todo, rest)] -= (factor[:, None] * row[rest]) >> BITS
            c[todo] -= (factor * c[j]) >> BITS
        kept.append(j)
        pivots.append(pivot)
        rows.append(_floats(row, BITS) / np.sqrt(pivot / (1 << BITS)))
        A[j] = row  # for the way back
    w = [0] * p
    explained = 0
    for at, (j, pivot) in enumerate(reversed(list(zip(kept, pivots, strict=True)))):
        later = kept[len(kept) - at :]
        known = sum(A[j, i] * w[i] for i in later) >> BITS
        w[j] = ((c[j] - known) << BITS) // pivot
        explained += (c[j] * c[j]) // pivot
    return w, explained, np.array(rows).reshape(-1, p), len(left_out)


def _nothing(pivot: int, square: int) -> bool:
    return pivot <= 0 or pivot << NOTHING < square


def _rounding(pivot: int, j: int, kept: list[int], rows: list[FloatArray], perturbation: FloatArray) -> bool:
    """Whether what is left of a column beside the others is of the size of their rounding: then it is a combination of them."""
    size = perturbation[j]
    if kept:
        triangle = np.array(rows)[:, [*kept, j]]
        combination = np.linalg.solve(triangle[:, :-1], triangle[:, -1])
        size += float(np.abs(combination) @ perturbation[kept])
    return bool(np.sqrt(pivot / (1 << BITS)) <= size)


def _value(numerator: int, exponent: int) -> Fraction:
    return Fraction(numerator << exponent) if exponent >= 0 else Fraction(numerator, 1 << -exponent)


def _fixed(value: Fraction, bits: int) -> int:
    return (value.numerator << bits) // value.denominator


def _floats(values: Integers, bits: int) -> FloatArray:
    """Each rounded once."""
    one = 1 << bits
    floats: FloatArray = np.array([v / one for v in values.ravel()], dtype=np.float64).reshape(values.shape)
    return floats


def _fixed_floats(values: FloatArray, bits: int) -> Integers:
    fixed = np.empty(values.size, dtype=object)
    fixed[:] = [_fixed(Fraction(v), bits) for v in values.ravel().tolist()]
    return fixed.reshape(values.shape)

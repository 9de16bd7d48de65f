"""Whether `trusted_digits` promises too much, or too little: `python benchmarks/trusted_digits.py [PROBLEMS] [SEED]`.

Each problem is made of exact numbers (up to 8 columns, 60 rows, columns that repeat others up to 1e-15 of a deviation, offsets
to 1e9, any units, noise from none to much of the target, some columns of whole numbers) and rounded to float64, as data are.
The coefficients that gradline finds are compared with exact least squares on the numbers *before* the rounding, which is what
`trusted_digits` speaks of, and on those after it, which is what no program can surpass.
"""

from __future__ import annotations

import math
import sys
import warnings
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import gradline as gl

if TYPE_CHECKING:
    from collections.abc import Sequence

Matrix = list[list[Fraction]]
FULL = 16.0


class Made(NamedTuple):
    """A problem. exact, rounded: the target and then the columns, row by row.  intercept: whether it has one."""

    exact: Matrix
    rounded: Matrix
    intercept: bool


class Outcome(NamedTuple):
    """promised: `trusted_digits`, None where gradline says that a coefficient is not identifiable.  actual: against the exact
    answer of the unrounded data.  computed: against that of the float64 columns.  ceiling: of the exact answer on the float64
    columns, against that of the unrounded data.  kappa: of X, standardised.
    """

    promised: float | None
    actual: float
    computed: float
    ceiling: float
    kappa: float


def make(rng: np.random.Generator) -> Made:
    """A random problem."""
    p = int(rng.integers(1, 9))
    m = int(rng.integers(p + 2, 61))
    nearness = 10.0 ** -rng.uniform(0.0, 15.0)
    base = rng.normal(size=(m, p))
    whole = rng.random(p) < 0.15
    columns: list[list[Fraction]] = []
    for j in range(p):
        own = [Fraction(v) for v in base[:, j].tolist()]
        if whole[j]:
            own = [Fraction(round(10 * v)) for v in own]
        elif columns and rng.random() < 0.6:  # nearly a combination of those before
            parts = [Fraction(v) for v in rng.normal(size=len(columns)).tolist()]
            apart = Fraction(nearness)
            own = [sum((a * c[i] for a, c in zip(parts, columns, strict=True)), apart * v) for i, v in enumerate(own)]
        columns.append(own)
    w = [Fraction(v) for v in rng.normal(size=p).tolist()]
    noise = Fraction(10.0 ** rng.uniform(-16.0, 1.0)) * (rng.random() < 0.9)
    errors = [noise * Fraction(v) for v in rng.normal(size=m).tolist()]
    y = [sum((a * c[i] for a, c in zip(w, columns, strict=True)), errors[i]) for i in range(m)]
    for j in range(p):
        unit, offset = Fraction(1), Fraction(0)
        if rng.random() < 0.5:
            offset = Fraction(round(10.0 ** rng.uniform(0.0, 9.0)))
        if not whole[j] and rng.random() < 0.5:
            unit = Fraction(10.0 ** rng.uniform(-9.0, 9.0))
        columns[j] = [unit * (v + offset) for v in columns[j]]
    if rng.random() < 0.3:
        y = [v + Fraction(10.0 ** rng.uniform(0.0, 9.0)) for v in y]
    exact = [list(row) for row in zip(y, *columns, strict=True)]
    return Made(exact, [[Fraction(float(v)) for v in row] for row in exact], bool(rng.random() < 0.85))


def solve(rows: Matrix, *, intercept: bool) -> tuple[list[Fraction], list[float]] | None:
    """Exact least squares: the coefficients, and the deviations of the columns; None where the columns are dependent."""
    shared = math.lcm(*(v.denominator for row in rows for v in row))
    whole = [[v.numerator * (shared // v.denominator) for v in row] for row in rows]
    m, q = len(rows), len(rows[0])
    sums = [sum(row[j] for row in whole) for j in range(q)]
    products = [[sum(row[j] * row[k] for row in whole) for k in range(q)] for j in range(q)]
    centred = [[m * products[j][k] - sums[j] * sums[k] for k in range(q)] for j in range(q)]
    gram = centred if intercept else [[m * v for v in row] for row in products]
    w = _gauss([row[1:] for row in gram[1:]], [row[0] for row in gram[1:]])
    return None if w is None else (w, [math.sqrt(Fraction(centred[j][j], (m * shared) ** 2)) for j in range(1, q)])


def _gauss(A: list[list[int]], b: list[int]) -> list[Fraction] | None:
    """Without fractions on the way down (Bareiss)."""
    rows, before, n = [[*row, c] for row, c in zip(A, b, strict=True)], 1, len(b)
    for i in range(n):
        pivot = next((r for r in range(i, n) if rows[r][i]), None)
        if pivot is None:
            return None
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(i + 1, n):
            rows[r] = [(rows[i][i] * u - rows[r][i] * v) // before for u, v in zip(rows[r], rows[i], strict=True)]
        before = rows[i][i]
    found: list[Fraction] = [Fraction(0)] * n
    for i in reversed(range(n)):
        known = sum((rows[i][j] * found[j] for j in range(i + 1, n)), Fraction(0))
        found[i] = (rows[i][n] - known) / rows[i][i]
    return found


def digits(found: Sequence[float | Fraction], exact: list[Fraction], deviation: list[float]) -> float:
    """As `trusted_digits` is defined: of the largest |error of w_j| s_j, relative to the largest |w_k| s_k."""
    scale = [Fraction(s) for s in deviation]
    largest = max(abs(w) * s for w, s in zip(exact, scale, strict=True))
    error = max(abs(Fraction(f) - w) * s for f, w, s in zip(found, exact, scale, strict=True))
    if not error or not largest:
        return FULL if not error else 0.0
    share = error / largest
    return float(np.clip((math.log(share.denominator) - math.log(share.numerator)) / math.log(10.0), 0.0, FULL))


def outcome(made: Made) -> Outcome | None:
    """What gradline makes of it; None where the exact answer does not exist."""
    true, held = solve(made.exact, intercept=made.intercept), solve(made.rounded, intercept=made.intercept)
    if true is None or held is None:
        return None
    data = np.array([[float(v) for v in row] for row in made.rounded])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gl.GradlineWarning)
        model = gl.train(data[:, 1:], data[:, 0], validation=0.0, test=0.0, intercept=made.intercept)
    found = [model.coefficients.get(f"x{j}", 0.0) for j in range(data.shape[1] - 1)]
    condition = model.certificate.condition
    kappa = math.sqrt(condition) if condition is not None else math.inf
    promised = model.certificate.trusted_digits
    return Outcome(promised, digits(found, *true), digits(found, *held), digits(held[0], *true), kappa)


def outcomes(problems: int, seed: int) -> list[Outcome]:
    """Of so many problems."""
    rng = np.random.default_rng(seed)
    found: list[Outcome] = []
    while len(found) < problems:
        one = outcome(make(rng))
        if one is not None:
            found.append(one)
    return found


def main(problems: int = 2_000, seed: int = 0) -> None:
    """Print the distribution."""
    found = outcomes(problems, seed)
    said = [o for o in found if o.promised is not None]
    too_much = np.array([o.promised - o.actual for o in said if o.promised is not None])
    print(f"{len(found):,} problems, κ of X from {min(o.kappa for o in said):.1g} to {max(o.kappa for o in said):.1g}")
    unsaid = np.array([o.ceiling for o in found if o.promised is None])
    print(f"{len(unsaid):,} said to be not identifiable; the exact answer on their float64 columns has one digit or more in")
    print(f"   {np.count_nonzero(unsaid >= 1.0):,} of them, two or more in {np.count_nonzero(unsaid >= 2.0):,}")
    print(
        f"promised more than there are: by up to {max(too_much.max(), 0.0):.2f} digits, in {np.mean(too_much > 0.0):.1%} of them"
    )
    print(f"more than one digit too many: {np.count_nonzero(too_much > 1.0)}")
    print("promised less than there are, in digits (quantiles of 5, 25, 50, 75, 95%):")
    print("   all       " + _quantiles(-too_much))
    for low, high in ((0.0, 2.0), (2.0, 5.0), (5.0, 8.0), (8.0, 11.0), (11.0, 16.0)):
        chosen = np.array([10.0**low <= o.kappa < 10.0**high for o in said])
        if chosen.any():
            print(f"   κ to 1e{high:02.0f} " + _quantiles(-too_much[chosen]) + f"   ({np.count_nonzero(chosen):,} problems)")
    computed = np.array([o.computed for o in said])
    print("digits of the exact answer on the float64 columns (5, 25, 50, 75, 95%): " + _quantiles(computed))
    print(f"worst: {computed.min():.1f}")


def _quantiles(values: np.ndarray) -> str:
    return "  ".join(f"{v:5.1f}" for v in np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95]))


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:3]))

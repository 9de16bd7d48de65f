"""Least-squares problems on which an answer is easily wrong, with their exact answers: Longley, NoInt, Pontius, Wampler, and our own.

`solution` is exact least squares on the float64 columns in rational arithmetic: no better answer can be had from the table.
Longley 1967, Pontius, Wampler 1970 and NoInt are those of the NIST Statistical Reference Datasets, whose formulas are public.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from reference import gauss

LONGLEY = """
60323 83.0 234289 2356 1590 107608 1947
61122 88.5 259426 2325 1456 108632 1948
60171 88.2 258054 3682 1616 109773 1949
61187 89.5 284599 3351 1650 110929 1950
63221 96.2 328975 2099 3099 112075 1951
63639 98.1 346999 1932 3594 113270 1952
64989 99.0 365385 1870 3547 115094 1953
63761 100.0 363112 3578 3350 116219 1954
66019 101.2 397469 2904 3048 117388 1955
67857 104.6 419180 2822 2857 118734 1956
68169 108.4 442769 2936 2798 120445 1957
66513 110.8 444546 4681 2637 121950 1958
68655 112.6 482704 3813 2552 123366 1959
69564 114.2 502601 3931 2514 125368 1960
69331 115.7 518173 4806 2572 127852 1961
70551 116.9 554894 4007 2827 130081 1962
"""
PONTIUS = """
.11019 .21956 .32949 .43899 .54803 .65694 .76562 .87487 .98292 1.09146
1.20001 1.30822 1.41599 1.52399 1.63194 1.73947 1.84646 1.95392 2.06128 2.16844
.11052 .22018 .32939 .43886 .54798 .65739 .76596 .87474 .98300 1.09150
1.20004 1.30818 1.41613 1.52408 1.63159 1.73965 1.84696 1.95445 2.06177 2.16829
"""  # of loads of 150,000, 300,000 … 3,000,000, twice
CERTIFIED = {
    "Pontius": ("0.673565789473684e-3", "0.732059160401003e-6", "-0.316081871345029e-14"),
    "Longley": ("-3482258.63459582", "15.0618722713733", "-0.0358191792925910", "-2.02022980381683", "-1.03322686717359",
                "-0.0511041056535807", "1829.15146461355"),
}  # fmt: skip
DEVIATIONS = (759, -2048, 2048, -2048, 2523, -2048, 2048, -2048, 1838, -2048)  # orthogonal to 1 … x⁵ on 0 … 20
FULL = 16.0  # digits of an answer that is the exact one, rounded


class ReferenceSet(NamedTuple):
    """X (m, p), y (m,).  certified: the answer of the problem as it is stated, with the intercept first, where it is known."""

    name: str
    X: np.ndarray
    y: np.ndarray
    intercept: bool = True
    certified: tuple[Fraction, ...] | None = None

    def solution(self) -> list[Fraction]:
        """The exact answer on the float64 columns, the intercept first."""
        ones = [[Fraction(1)] for _ in self.y] if self.intercept else [[] for _ in self.y]
        rows = [one + [Fraction(v) for v in row] for one, row in zip(ones, self.X.tolist(), strict=True)]
        y, k = [Fraction(v) for v in self.y.tolist()], len(rows[0])
        gram = [[sum(r[i] * r[j] for r in rows) for j in range(k)] for i in range(k)]
        return gauss(gram, [sum(r[i] * t for r, t in zip(rows, y, strict=True)) for i in range(k)])


def digits(found, exact):
    """Correct digits of the worst coefficient: −log10 of its relative error; where the exact one is 0, of its size to the largest."""
    largest = max(abs(e) for e in exact)
    worst = FULL
    for value, e in zip(found, exact, strict=True):
        if not math.isfinite(value):
            return 0.0
        error = abs(Fraction(value) - e) / (abs(e) if e else largest)
        if error:
            worst = min(worst, max(0.0, (math.log(error.denominator) - math.log(error.numerator)) / math.log(10)))
    return worst


def powers(x, degree):
    """x, x², … in float64."""
    return np.column_stack([x**k for k in range(1, degree + 1)])


def _wampler(number):
    x = np.arange(21.0)
    X, ones = powers(x, 5), (Fraction(1),) * 6
    exact = X.sum(axis=1) + 1.0
    if number == 2:
        return ReferenceSet("Wampler2", X, np.array([sum((v / 10) ** k for k in range(6)) for v in x]), True,
                            tuple(Fraction(1, 10**k) for k in range(6)))  # fmt: skip
    size = {1: 0, 3: 1, 4: 100, 5: 10_000}[number]
    apart = np.array([*DEVIATIONS, 2048, *DEVIATIONS[::-1]], dtype=float)
    return ReferenceSet(f"Wampler{number}", X, exact + size * apart, True, ones)


def classical_sets():
    """The published ones."""
    longley = np.array([[float(v) for v in line.split()] for line in LONGLEY.split("\n") if line])
    load = np.tile(150_000.0 * np.arange(1.0, 21.0), 2)
    deflection = np.array([float(v) for v in PONTIUS.split()])
    return [
        ReferenceSet("Pontius", powers(load, 2), deflection, True, tuple(map(Fraction, CERTIFIED["Pontius"]))),
        ReferenceSet("Longley", longley[:, 1:], longley[:, 0], True, tuple(map(Fraction, CERTIFIED["Longley"]))),
        ReferenceSet("NoInt1", np.arange(60.0, 71.0)[:, None], np.arange(130.0, 141.0), False),
        ReferenceSet("NoInt2", np.array([[4.0], [5.0], [6.0]]), np.array([3.0, 4.0, 4.0]), False),
        *(_wampler(number) for number in range(1, 6)),
    ]


def own_sets():
    """Ours: polynomials, offsets, columns that nearly repeat others, one row that dominates, as many rows as coefficients."""
    rng = np.random.default_rng(20261124)
    x = np.linspace(1.0, 3.0, 40)
    sets = [
        ReferenceSet(f"polynomial of degree {degree}", powers(x, degree), np.cos(x) + 0.01 * rng.normal(size=40))
        for degree in range(3, 11)
    ]
    whole = np.arange(1.0, 26.0)
    sets.append(ReferenceSet("powers of whole numbers to 8", powers(whole, 8), np.round(100 * rng.normal(size=25))))
    a, b, c, noise = rng.normal(size=(4, 30))
    for offset in (1e6, 1e9):
        X = np.column_stack([a + offset, b - offset, c])
        sets.append(ReferenceSet(f"offsets of {offset:g}", X, a + 2 * b + c + 0.1 * noise))
    sets.append(ReferenceSet("offset of the target 1e9", np.column_stack([a, b]), a - b + 0.1 * noise + 1e9))
    sets.append(ReferenceSet("offset, no intercept", np.column_stack([a + 1e6, b]), a - b + 0.1 * noise, False))
    for nearness in (1e-3, 1e-6, 1e-9, 1e-12):
        X = np.column_stack([a, a + nearness * b, c])
        sets.append(ReferenceSet(f"pair apart by {nearness:g}", X, a + b + c + 0.1 * noise))
    far = np.column_stack([a, b, c])
    far[7] *= 1e8
    sets.append(ReferenceSet("one row dominates", far, a + b + c + 0.1 * noise))
    lone = np.column_stack([a, b])
    lone[3, 1] = 1e12
    sets.append(ReferenceSet("one value dominates", lone, a + 0.1 * noise))
    units = np.column_stack([1e-12 * a, 1e12 * b, c + 0.001 * a])
    sets.append(ReferenceSet("units of 1e-12 and 1e12", units, a + b + c + 0.1 * noise))
    square = rng.normal(size=(6, 6))
    sets.append(ReferenceSet("as many rows as coefficients", square[:, :5], square[:, 5]))
    hilbert = np.array([[1.0 / (i + j + 1) for j in range(6)] for i in range(8)])
    sets.append(ReferenceSet("Hilbert", hilbert, hilbert.sum(axis=1)))
    return sets


def all_sets():
    """All of them."""
    return classical_sets() + own_sets()

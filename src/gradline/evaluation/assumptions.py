"""What standard errors, tests and intervals take for granted, checked on the training rows; and what a violation means.

    linearity     RESET: F of ŷ², ŷ³ added to the features; and the means of the errors along each number
    variance      Breusch & Pagan's test in Koenker's form: n R² of e² on the features; and HC1's standard errors to the classical ones
    normality     Jarque & Bera's n/6 (S² + K²/4), S the skewness and K the excess kurtosis of e
    independence  r, the correlation of e with the next row's (by time, else in the file's order); of rows in groups, ICC
    influence     the largest Cook's distance

With many rows any small departure is significant. So an assumption counts as violated where it is that, and the departure is so
large that it matters; both figures are given. Nearly every real table violates one: it is said where intervals are shown, and is no
warning (decision 0021). (Ramsey, JRSS B 31, 1969; Koenker, J. Econometrics 17, 1981; Jarque & Bera,
Economics Letters 6, 1980; ICC: Donner, Int. Stat. Review 54, 1986.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.evaluation.influence import Influences, influence_doubts
from gradline.evaluation.violations import ALIKE, CURVED, HEAVY, SIGNIFICANT, SKEWED, SPREAD, TOO_SMALL, violations
from gradline.maths.distributions import chi_squared_above, f_above, normal_two_sided
from gradline.types import finite_or_none

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.evaluation.kept_rows import KeptRows
    from gradline.maths.moments import Moments
    from gradline.maths.problem import Problem
    from gradline.representation.features import Representation
    from gradline.splits.roles import Hashes
    from gradline.types import FloatArray, Json

MOST_FEATURES = 300  # the cost is n p²
PANEL_VALUES = 1 << 20  # of the design at once
TENTHS = 10
LEAST_ROWS = 30
EXACT = 1e-12  # of the target: smaller errors are rounding


class _Gram(NamedTuple):
    """Sums of products of the features (k of them) and what was put beside them; meat: Σ w² e² x x'."""

    features: FloatArray  # (k, k)
    cross: FloatArray  # (k, a)
    beside: FloatArray  # (a, a)
    meat: FloatArray  # (k, k)


def check_assumptions(
    rows: KeptRows,
    problem: Problem,
    representation: Representation,
    theta: FloatArray,
    l2: float,
    *,
    time: FloatArray | None = None,
    files: Sequence[str] = (),
    log_target: bool = False,
) -> Json | None:
    """The entry `assessment.assumptions`, of the training rows; None where there are too few rows, too many features, or no errors. time: (n,) of the column of times, None without one."""
    k = problem.coordinates.size
    if len(rows.y) < max(LEAST_ROWS, 2 * k) or k > MOST_FEATURES:
        return None
    e = rows.y - rows.score
    u = e if rows.weight is None else e * np.sqrt(rows.weight)  # of one variance, if the weights are right
    square = float(u @ u)
    if np.sqrt(square / len(u)) <= EXACT * float(np.abs(rows.y).max()):
        return None
    deviation = float(np.sqrt(square / len(u)))
    u = u / deviation
    powers = _powers(rows.score, centred=problem.coordinates.intercept)
    gram = _gram(rows, problem, representation, u, powers)
    linearity = _linearity(rows, u, gram, k, deviation)
    variance = _variance(rows, u, gram, problem, deviation)
    normality = _normality(u)
    independence = _independence(rows, u, time)
    influence = _influence(rows, problem.training, representation, problem, theta, l2, log_target, files)
    document: Json = {
        "rows": len(u),
        "of": rows.of,
        "linearity": linearity,
        "variance": variance,
        "normality": normality,
        "independence": independence,
        "influence": influence,
    }
    said = violations(document)
    for name in ("linearity", "variance", "normality", "independence"):
        document[name] |= {"finding": None, "message": None} if name not in said else said[name]._asdict()
    return document


def _powers(score: FloatArray, *, centred: bool) -> FloatArray:
    """ŷ² and ŷ³ in deviations, (n, 2): with an intercept among the features their centre is of no account."""
    deviation = float(score.std()) or 1.0
    z = (score - score.mean() if centred else score) / deviation
    return np.column_stack([z**2, z**3])


def _gram(
    rows: KeptRows, problem: Problem, representation: Representation, u: FloatArray, powers: FloatArray
) -> tuple[_Gram, _Gram]:
    """Of the weighted features beside ŷ², ŷ³ and u; and of the plain ones beside u² (the same without weights)."""
    k, n = problem.coordinates.size, len(u)
    step = max(1, PANEL_VALUES // k)
    root = None if rows.weight is None else np.sqrt(rows.weight)
    weighted = np.zeros((k + 4, k + 4))
    plain, meat = np.zeros((k + 1, k + 1)), np.zeros((k, k))
    coordinates = problem.coordinates.standard()
    for start in range(0, n, step):
        at = np.arange(start, min(start + step, n))
        X = coordinates.transformed(representation.design(rows.decoded.take(at)))
        if coordinates.intercept:
            X = np.column_stack([X, np.ones(len(X))])
        heavy = np.ones(len(at)) if root is None else root[at]
        whole = np.column_stack([X * heavy[:, None], powers[at] * heavy[:, None], u[at], u[at] ** 2])
        weighted += whole.T @ whole
        scores = whole[:, :k] * u[at, None]
        meat += scores.T @ scores
        if root is not None:
            beside = np.column_stack([X, u[at] ** 2])
            plain += beside.T @ beside
    if root is None:
        keep = [*range(k), k + 3]
        plain = weighted[np.ix_(keep, keep)]
    first = _Gram(weighted[:k, :k], weighted[:k, k : k + 3], weighted[k : k + 3, k : k + 3], meat)
    return first, _Gram(plain[:k, :k], plain[:k, k:], plain[k:, k:], meat)


def _left(gram: _Gram) -> FloatArray:
    """The products of what stands beside the features, after these are taken out of it, (a, a)."""
    return np.asarray(gram.beside - gram.cross.T @ np.linalg.pinv(gram.features, hermitian=True) @ gram.cross)


def _linearity(rows: KeptRows, u: FloatArray, grams: tuple[_Gram, _Gram], k: int, unit: float) -> Json:
    n, left = len(u), _left(grams[0])
    explained = max(float(left[:2, 2] @ np.linalg.pinv(left[:2, :2], hermitian=True) @ left[:2, 2]), 0.0)
    freedom = n - k - 2
    whole = float(left[2, 2])  # 0 where the line leaves nothing of the residuals
    rest = max(whole - explained, 0.0)
    f = explained / 2.0 / (rest / freedom) if rest > 0.0 else np.inf if whole > 0.0 else 0.0
    columns = {c.name: found for c in rows.decoded.numbers if (found := _along(c.values, u, rows.weight, unit)) is not None}
    worst = max(columns, key=lambda name: columns[name]["share"], default=None)
    curve = None if worst is None else {"column": worst, **columns[worst]}
    if curve is not None:
        curve["p"] = min(1.0, float(curve["p"]) * len(columns))
    bent = curve is not None and curve["p"] < SIGNIFICANT and curve["share"] >= CURVED
    p, share = f_above(f, 2, freedom), explained / whole if whole > 0.0 else 0.0
    return {
        "holds": not (bent or (p < SIGNIFICANT and share >= CURVED)),
        "reset": {"f": finite_or_none(f), "degrees_of_freedom": [2, freedom], "p": p, "share": share},
        "curve": curve,
    }


def _along(x: FloatArray, u: FloatArray, weight: FloatArray | None, unit: float) -> Json | None:
    """The means of the errors in the tenths of a number, and the share of their variance that these explain; None where it has fewer
    than three values to tell them apart.
    """
    known = np.flatnonzero(~np.isnan(x))
    edges = np.unique(np.quantile(x[known], np.arange(1, TENTHS) / TENTHS)) if len(known) else np.zeros(0)
    which = np.searchsorted(edges, x[known], side="left")
    _, which = np.unique(which, return_inverse=True)
    bins = int(which.max()) + 1 if len(known) else 0
    if bins < 3 or len(known) < 5 * bins:
        return None
    w = np.ones(len(known)) if weight is None else weight[known]
    e = u[known] if weight is None else np.where(w > 0.0, u[known] / np.sqrt(np.where(w > 0.0, w, 1.0)), 0.0)
    heavy = np.bincount(which, w)
    mean = np.bincount(which, w * e) / np.where(heavy > 0.0, heavy, 1.0)
    overall = float(w @ e) / float(w.sum())
    total = float(w @ (e - overall) ** 2)
    between = float(heavy @ (mean - overall) ** 2)
    if total <= 0.0:
        return None
    f = between / (bins - 1) / (max(total - between, 0.0) / (len(known) - bins)) if total > between else np.inf
    order = np.argsort(which, kind="stable")
    ends = np.searchsorted(which[order], np.arange(bins + 1))
    ranges = [(float(part.min()), float(part.max())) for part in np.split(x[known][order], ends[1:-1])]
    return {
        "share": between / total,
        "p": f_above(f, bins - 1, len(known) - bins),
        "tenths": [
            {"low": low, "high": high, "mean_error": unit * float(m)} for (low, high), m in zip(ranges, mean, strict=True)
        ],
    }


def _variance(rows: KeptRows, u: FloatArray, grams: tuple[_Gram, _Gram], problem: Problem, unit: float) -> Json:
    n, k = len(u), problem.coordinates.size
    gram = grams[1]
    total = float(gram.beside[0, 0]) - float((u**2).sum()) ** 2 / n
    slopes = k - int(problem.coordinates.intercept)
    r2 = min(max(1.0 - float(_left(gram)[0, 0]) / total, 0.0), 1.0) if total > 0.0 else 0.0
    inverse = np.linalg.pinv(grams[0].features, hermitian=True)
    classical = np.sqrt(np.maximum(np.diag(inverse), 0.0) * n / (n - k))[:slopes]
    robust = np.sqrt(np.maximum(np.diag(inverse @ gram.meat @ inverse), 0.0) * n / (n - k))[:slopes]
    ratio = np.divide(robust, classical, out=np.ones(slopes), where=classical > 0.0)
    worst = int(np.argmax(ratio))
    tenth = np.minimum(np.argsort(np.argsort(rows.score, kind="stable"), kind="stable") * TENTHS // n, TENTHS - 1)
    count = np.bincount(tenth, minlength=TENTHS)
    deviation = np.sqrt(np.bincount(tenth, u**2, minlength=TENTHS) / np.maximum(count, 1))
    spread = float(deviation.max() / deviation.min()) if deviation.min() > 0.0 else np.inf
    p = chi_squared_above(n * r2, slopes)
    return {
        "holds": not (p < SIGNIFICANT and (ratio[worst] >= TOO_SMALL or spread >= SPREAD)),
        "breusch_pagan": {"lm": n * r2, "degrees_of_freedom": slopes, "p": p},
        "feature": problem.names[worst],
        "robust_to_classical": float(ratio[worst]),
        "spread": finite_or_none(spread),
        "deviation_by_tenth": (unit * deviation).tolist(),
    }


def _normality(u: FloatArray) -> Json:
    d = u - u.mean()
    second = float(np.mean(d**2))
    skewness = float(np.mean(d**3)) / second**1.5
    excess = float(np.mean(d**4)) / second**2 - 3.0
    statistic = len(u) / 6.0 * (skewness**2 + excess**2 / 4.0)
    p = chi_squared_above(statistic, 2)
    return {
        "holds": not (p < SIGNIFICANT and (abs(skewness) >= SKEWED or abs(excess) >= HEAVY)),
        "jarque_bera": {"statistic": statistic, "p": p},
        "skewness": skewness,
        "excess_kurtosis": excess,
    }


def _independence(rows: KeptRows, u: FloatArray, time: FloatArray | None) -> Json:
    order = np.lexsort((rows.row, rows.file)) if time is None else np.lexsort((rows.row, rows.file, time))
    e, row, file = u[order], rows.row[order], rows.file[order]
    next_to = np.ones(len(e) - 1, dtype=np.bool_) if rows.whole else (file[1:] == file[:-1]) & (row[1:] - row[:-1] <= 2)
    if time is None:
        next_to &= file[1:] == file[:-1]
    pairs = np.flatnonzero(next_to)
    r = z = watson = None
    if len(pairs) >= LEAST_ROWS:
        r = float(e[pairs] @ e[pairs + 1]) / float((e[pairs] @ e[pairs] + e[pairs + 1] @ e[pairs + 1]) / 2.0)
        z = r * np.sqrt(len(pairs))
        watson = float(np.sum((e[1:] - e[:-1]) ** 2)) / float(e @ e) if rows.whole else None
    p = None if z is None else normal_two_sided(z)
    groups = None if rows.group is None else _groups(u, rows.group)
    alike = r is not None and p is not None and p < SIGNIFICANT and abs(r) >= ALIKE
    return {
        "holds": not (alike or (groups is not None and groups["p"] < SIGNIFICANT and groups["inflation"] >= TOO_SMALL)),
        "order": "row" if time is None else "time",
        "correlation": r,
        "p": p,
        "durbin_watson": watson,
        "inflation": None if r is None else float(np.sqrt((1.0 + r) / (1.0 - r))) if abs(r) < 1.0 else None,
        "groups": groups,
    }


def _groups(u: FloatArray, group: Hashes) -> Json | None:
    """How alike the errors in a group are: the intraclass correlation by the analysis of variance."""
    _, which, size = np.unique(group, return_inverse=True, return_counts=True)
    n, count = len(u), len(size)
    if count < 2 or count == n:
        return None
    mean = np.bincount(which, u) / size
    between = float(size @ (mean - u.mean()) ** 2) / (count - 1)
    within = float(np.sum((u - mean[which]) ** 2)) / (n - count)
    usual = (n - float(size @ size) / n) / (count - 1)  # n₀
    icc = (between - within) / (between + (usual - 1.0) * within) if within > 0.0 else 1.0
    heavy = float(size @ size) / n  # the size of the group that a row is in, on average
    return {
        "groups": count,
        "correlation": icc,
        "p": f_above(between / within, count - 1, n - count) if within > 0.0 else 0.0,
        "inflation": float(np.sqrt(max(1.0 + (heavy - 1.0) * max(icc, 0.0), 0.0))),
    }


def _influence(
    rows: KeptRows,
    moments: Moments,
    representation: Representation,
    problem: Problem,
    theta: FloatArray,
    l2: float,
    log_target: bool,
    files: Sequence[str],
) -> Json | None:
    if not rows.whole:
        return None
    influences = Influences(representation, problem.coordinates, theta, moments, l2, log_target)
    for file in np.unique(rows.file).tolist():
        at = np.flatnonzero(rows.file == file)
        weight = None if rows.weight is None else rows.weight[at]
        influences.add(rows.decoded.take(at), rows.actual[at], weight, file, rows.row[at])
    found = influences.to_json(files)
    if found is None:
        return None
    said = influence_doubts(found, several_files=len(files) > 1)
    return {
        "holds": not said,
        "finding": f"no row that decides alone (row {found['rows'][0]['row']:,})" if said else None,
        "message": said[0].message if said else None,
        "largest_leverage": found["largest_leverage"],
        "rows": found["rows"],
    }

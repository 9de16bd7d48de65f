"""The checks of the assumptions: their figures by hand (and statsmodels' where it is installed), and what is said on planted violations."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gradline.maths.distributions import chi_squared_above, f_above
from reference import fit

ALL = {"validation": 0.0, "test": 0.0}
N = 400


def table(seed=0, n=N, kind="clean"):
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(50, 10, n), rng.exponential(2, n), rng.choice(["u", "v", "w"], n)
    e = rng.normal(size=n)
    group = rng.integers(0, n // 20, n)
    match kind:
        case "curved":
            e = e + 0.01 * (a - 50) ** 2
        case "uneven":
            e = e * (0.2 + b)
        case "skewed":
            e = rng.exponential(1, n) ** 2
        case "in a row":
            for i in range(1, n):
                e[i] += 0.8 * e[i - 1]
        case "grouped":
            e = e + 2.0 * rng.normal(size=n // 20)[group]
        case "odd row":
            b[7], e[7] = 200.0, 300.0
    y = 3 + 0.5 * a - b + (c == "v") + e
    return pa.table({"a": a, "b": b, "c": pa.array(c.tolist()), "y": y, "group": group, "w": rng.uniform(0.5, 2.0, n)})


def checked(data, **settings):
    drop = [name for name in ("group", "w") if name not in settings.values()]
    model = fit(data, "y", **{"drop": drop, **ALL, **settings})
    return model.result["assessment"]["assumptions"]


def design(data):
    c = np.array(data["c"].to_pylist())
    reference = max("uvw", key=lambda level: np.count_nonzero(c == level))
    levels = [(c == level).astype(float) for level in "uvw" if level != reference]
    return np.column_stack([data["a"], data["b"], *levels, np.ones(len(c))])


def residuals(X, y):
    return y - X @ np.linalg.lstsq(X, y, rcond=None)[0]


@pytest.mark.parametrize("kind", ["clean", "curved", "uneven", "skewed"])
@pytest.mark.parametrize("weight", [None, "w"])
def test_the_figures_are_those_of_the_formulas(kind, weight):
    data = table(1, kind=kind)
    found = checked(data, **({"weight": weight} if weight else {}))
    X, y, n = design(data), data["y"].to_numpy(), N
    root = np.sqrt(data["w"].to_numpy()) if weight else np.ones(n)
    A, t = X * root[:, None], y * root
    e = residuals(A, t)
    fitted = (t - e) / root

    with_powers = np.column_stack([A, fitted**2 * root, fitted**3 * root])
    scale = np.linalg.norm(with_powers, axis=0)
    rss, less = e @ e, np.sum(residuals(with_powers / scale, t) ** 2)
    f = (rss - less) / 2 / (less / (n - 7))
    assert found["linearity"]["reset"]["f"] == pytest.approx(f, rel=1e-6)
    assert found["linearity"]["reset"]["p"] == pytest.approx(f_above(f, 2, n - 7), rel=1e-5, abs=1e-300)

    square = e**2
    lm = n * (1 - np.sum(residuals(X, square) ** 2) / np.sum((square - square.mean()) ** 2))
    assert found["variance"]["breusch_pagan"]["lm"] == pytest.approx(lm, rel=1e-8)
    assert found["variance"]["breusch_pagan"]["p"] == pytest.approx(chi_squared_above(lm, 4), rel=1e-7)

    inverse = np.linalg.inv(A.T @ A)
    meat = (A * e[:, None]).T @ (A * e[:, None])
    ratio = np.sqrt(np.diag(inverse @ meat @ inverse) * n / (n - 5) / (np.diag(inverse) * (e @ e) / (n - 5)))[:-1]
    assert found["variance"]["robust_to_classical"] == pytest.approx(ratio.max(), rel=1e-9)

    d = e - e.mean()
    skewness, excess = np.mean(d**3) / np.mean(d**2) ** 1.5, np.mean(d**4) / np.mean(d**2) ** 2 - 3
    assert found["normality"]["skewness"] == pytest.approx(skewness, rel=1e-8)
    assert found["normality"]["excess_kurtosis"] == pytest.approx(excess, rel=1e-8)
    assert found["normality"]["jarque_bera"]["statistic"] == pytest.approx(n / 6 * (skewness**2 + excess**2 / 4), rel=1e-8)
    assert found["independence"]["durbin_watson"] == pytest.approx(np.sum(np.diff(e) ** 2) / (e @ e), rel=1e-9)


@pytest.mark.parametrize("kind", ["clean", "curved", "uneven", "skewed", "in a row"])
def test_they_agree_with_statsmodels(kind):
    api = pytest.importorskip("statsmodels.api")
    from statsmodels.stats import diagnostic, stattools

    data = table(2, kind=kind)
    found = checked(data)
    result = api.OLS(data["y"].to_numpy(), design(data)).fit()
    reset = diagnostic.linear_reset(result, power=3, use_f=True)
    assert found["linearity"]["reset"]["f"] == pytest.approx(float(reset.fvalue), rel=1e-8)
    lm, p, *_ = diagnostic.het_breuschpagan(result.resid, design(data))
    assert [found["variance"]["breusch_pagan"][name] for name in ("lm", "p")] == pytest.approx([lm, p], rel=1e-8)
    statistic, p, skewness, kurtosis = stattools.jarque_bera(result.resid)
    assert found["normality"]["jarque_bera"]["statistic"] == pytest.approx(statistic, rel=1e-8)
    assert found["normality"]["jarque_bera"]["p"] == pytest.approx(p, rel=1e-7)
    assert [found["normality"]["skewness"], found["normality"]["excess_kurtosis"] + 3] == pytest.approx(
        [skewness, kurtosis], rel=1e-8
    )
    assert found["independence"]["durbin_watson"] == pytest.approx(stattools.durbin_watson(result.resid), rel=1e-8)


VIOLATED = {
    "curved": ("linearity", "curve along a "),
    "uneven": ("variance", "standard error of b is"),
    "skewed": ("normality", "skewness"),
    "in a row": ("independence", "next to each other in the file err alike"),
}


@pytest.mark.parametrize("kind", VIOLATED)
@pytest.mark.parametrize("seed", range(3))
def test_a_planted_violation_is_found_and_named(kind, seed):
    part, words = VIOLATED[kind]
    found = checked(table(10 + seed, 2_000, kind))
    assert found[part]["holds"] is False
    assert words in found[part]["message"]


def test_a_row_that_decides_the_fit_is_named():
    found = checked(table(10, 2_000, "odd row"))["influence"]
    assert not found["holds"]
    assert found["rows"][0]["row"] == 7
    assert "row 7 " in found["message"]


@pytest.mark.parametrize("seed", range(30))
def test_on_clean_data_every_assumption_holds(seed):
    found = checked(table(100 + seed, 300))
    assert [
        part for part in ("linearity", "variance", "normality", "independence", "influence") if not found[part]["holds"]
    ] == []
    assert [part for part in VIOLATED.values() if found[part[0]]["message"] is not None] == []


def test_rows_of_a_group_that_err_alike_are_found_():
    data = table(5, 2_000, "grouped")
    found = checked(data, group="group")
    groups = found["independence"]["groups"]
    assert groups["groups"] == 100
    assert groups["correlation"] == pytest.approx(0.8, abs=0.1)  # 4/(4 + 1)
    assert "--errors clustered" in found["independence"]["message"]


def test_by_time_neighbours_are_those_in_time():
    data = table(12, 2_000, "in a row")
    when = np.arange(2_000)
    shuffled = data.append_column("t", pa.array(when)).take(np.random.default_rng(0).permutation(2_000))
    assert checked(shuffled, drop=["group", "w", "t"])["independence"]["holds"]
    found = checked(shuffled, time="t")
    assert found["independence"]["order"] == "time"
    assert found["independence"]["correlation"] == pytest.approx(0.8, abs=0.05)
    assert "follow each other in time" in found["independence"]["message"]


def test_errors_along_a_number_are_in_the_targets_unit():
    data = table(13, 2_000, "curved")
    found = checked(data)
    curve = found["linearity"]["curve"]
    e, a = residuals(design(data), data["y"].to_numpy()), data["a"].to_numpy()
    for tenth in curve["tenths"]:
        inside = (a >= tenth["low"]) & (a <= tenth["high"])
        assert tenth["mean_error"] == pytest.approx(e[inside].mean(), rel=1e-6, abs=1e-9)
    assert sum(((a >= t["low"]) & (a <= t["high"])).sum() for t in curve["tenths"]) == 2_000


def test_too_few_rows_are_not_checked():
    data = table(0, 20)
    model = fit(data, "y", drop=["group", "w"], **ALL)
    assert model.result["assessment"]["assumptions"] is None

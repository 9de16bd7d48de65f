"""Standard errors, tests and intervals: statsmodels' where it is installed, closed forms and brute force where not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

import gradline as gl
from gradline.errors import UsageError
from gradline.maths.distributions import t_quantile

pytestmark = pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")  # that no row was held out

ALL = {"validation": 0.0, "test": 0.0}
KINDS = ("classical", "HC0", "HC1", "HC2", "HC3", "clustered")


def made(seed, n=300, weighted=False, offset=0.0):
    """A table with a category, missing numbers, groups, and errors that grow with x0."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)) * [1.0, 50.0, 1e-3] + [offset, 0.0, 0.0]
    group = rng.integers(0, 25, n)
    kind = rng.choice(["a", "b", "c"], n)
    effect = rng.normal(size=25)[group]
    y = 2.0 + X @ [1.0, 0.02, 300.0] + (kind == "b") + effect + rng.normal(size=n) * (0.3 + np.abs(X[:, 0] - offset))
    table = {f"x{j}": X[:, j] for j in range(3)} | {"kind": kind, "group": group, "y": y}
    return pa.table(table | ({"w": rng.uniform(0.2, 3.0, n)} if weighted else {}))


def trained(table, errors="classical", **settings):
    weight = {"weight": "w"} if "w" in table.column_names else {}
    clusters = {"group": "group"} if errors == "clustered" else {"drop": ["group"]}
    return gl.train(table, "y", errors=errors, **{**ALL, **weight, **clusters, **settings})


def design(table):
    """The features as gradline has them, with the level left out that it leaves out."""
    kind = np.array(table["kind"].to_pylist())
    levels = sorted(set(kind))
    reference = max(levels, key=lambda level: ((kind == level).sum(), [-ord(c) for c in level]))
    columns = {f"x{j}": table[f"x{j}"].to_numpy() for j in range(3)}
    columns |= {f"kind={level}": (kind == level).astype(float) for level in levels if level != reference}
    return columns


def by_hand(table, errors, intercept=True):
    """(X'WX)⁻¹ S (X'WX)⁻¹ row by row, in the user's units: what the formulas say, without any of gradline."""
    columns = design(table)
    X = np.column_stack([*columns.values(), *([np.ones(len(table))] if intercept else [])])
    y = table["y"].to_numpy()
    w = table["w"].to_numpy() if "w" in table.column_names else np.ones(len(y))
    inverse = np.linalg.inv(X.T @ (w[:, None] * X))
    e = y - X @ (inverse @ (X.T @ (w * y)))
    n, k = X.shape
    h = w * np.einsum("ij,jk,ik->i", X, inverse, X)
    if errors == "classical":
        return np.sqrt(np.diag(inverse) * (w @ e**2 / (n - k)))
    scale = {"HC2": 1.0 / (1.0 - h), "HC3": 1.0 / (1.0 - h) ** 2}.get(errors, np.ones(n))
    scores = (w * e * np.sqrt(scale))[:, None] * X
    factor = n / (n - k) if errors == "HC1" else 1.0
    if errors == "clustered":
        group = table["group"].to_numpy()
        scores = np.array([scores[group == g].sum(axis=0) for g in np.unique(group)])
        factor = len(scores) / (len(scores) - 1) * (n - 1) / (n - k)
    return np.sqrt(np.diag(inverse @ (scores.T @ scores) @ inverse) * factor)


def errors_of(model):
    found = model.result["inference"]
    values = [entry["standard_error"] for entry in found["coefficients"].values()]
    return np.array([*values, *([found["intercept"]["standard_error"]] if found["intercept"] else [])])


@pytest.mark.parametrize("errors", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("settings", [{}, {"scaling": "none"}, {"intercept": False}], ids=str)
def test_standard_errors_are_those_of_the_formulas(errors, weighted, settings):
    table = made(1, weighted=weighted)
    model = trained(table, errors, **settings)
    expected = by_hand(table, errors, settings.get("intercept", True))
    assert list(model.coefficients) == list(design(table))
    assert errors_of(model) == pytest.approx(expected, rel=1e-8)
    assert model.result["inference"]["errors"] == errors


@pytest.mark.parametrize("errors", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_everything_agrees_with_statsmodels(errors, seed):
    statsmodels = pytest.importorskip("statsmodels.api")
    table = made(seed, n=80 + 200 * seed, offset=[0.0, 1.0, 100.0, -300.0, 3.0][seed], weighted=seed == 4)
    columns = design(table)
    X = np.column_stack([*columns.values(), np.ones(len(table))])
    y = table["y"].to_numpy()
    of = statsmodels.WLS(y, X, weights=table["w"].to_numpy()) if seed == 4 else statsmodels.OLS(y, X)
    fit = of.fit()
    if errors == "clustered":
        fit = fit.get_robustcov_results("cluster", groups=table["group"].to_numpy(), use_t=True)
    elif errors != "classical":
        fit = fit.get_robustcov_results(errors, use_t=True)
    found = trained(table, errors).result["inference"]
    entries = [*found["coefficients"].values(), found["intercept"]]
    for name, theirs in (
        ("standard_error", fit.bse),
        ("t", fit.tvalues),
        ("low", fit.conf_int()[:, 0]),
        ("high", fit.conf_int()[:, 1]),
    ):
        unit = np.ones(len(entries)) if name == "t" else fit.bse  # an end of an interval may be near zero
        assert np.array([entry[name] for entry in entries]) / unit == pytest.approx(theirs / unit, rel=1e-8, abs=1e-8), name
    assert [entry["p"] for entry in entries] == pytest.approx(fit.pvalues, rel=1e-6, abs=1e-14)
    assert found["residual_standard_error"] == pytest.approx(np.sqrt(fit.scale), rel=1e-8)
    slopes = np.eye(X.shape[1])[:-1]
    wald = fit.f_test(slopes)
    assert found["f"]["statistic"] == pytest.approx(float(np.squeeze(wald.fvalue)), rel=1e-8)
    assert found["f"]["degrees_of_freedom"] == [wald.df_num, wald.df_denom]
    if seed != 4 and errors == "classical":
        assert found["log_likelihood"] == pytest.approx(fit.llf, rel=1e-10)
        assert (found["aic"], found["bic"]) == pytest.approx((fit.aic, fit.bic), rel=1e-10)


def test_one_feature_in_closed_form():
    x = np.arange(12.0)
    y = 3.0 + 2.0 * x + np.array([1, -1, 0, 2, -2, 0, 0, 1, -1, -1, 1, 0.0])
    model = gl.train(x[:, None], y, **ALL)
    found = model.result["inference"]
    e = y - model.predict(x[:, None])
    error = np.sqrt(e @ e / 10 / ((x - x.mean()) ** 2).sum())
    entry = found["coefficients"]["x0"]
    assert entry["standard_error"] == pytest.approx(error, rel=1e-10)
    half = t_quantile(0.95, 10) * error
    slope = model.coefficients["x0"]
    assert (entry["low"], entry["high"]) == pytest.approx((slope - half, slope + half), rel=1e-12)
    assert found["f"]["statistic"] == pytest.approx(entry["t"] ** 2, rel=1e-10)  # with one feature they are the same test
    assert found["f"]["p"] == pytest.approx(entry["p"], rel=1e-9)
    assert entry["standardised"] == pytest.approx(np.corrcoef(x, y)[0, 1], rel=1e-10)


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Of 200 tables the 95% interval holds the slope in 95%: within the binomial law's own 99.9% band."""
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(200):
        X = rng.normal(size=(15, 2))
        y = X @ [1.0, -2.0] + rng.normal(size=15)
        entry = gl.train(X, y, **ALL).result["inference"]["coefficients"]["x1"]
        held += entry["low"] <= -2.0 <= entry["high"]
    assert 179 <= held <= 198


@pytest.mark.parametrize(
    "settings", [{"l2": 0.1}, {"l1": 0.01}, {"loss": "huber"}, {"max_steps": 1, "optimizer": "gradient_descent"}], ids=str
)
def test_where_the_formulas_do_not_hold_nothing_is_said(settings):
    assert trained(made(2), **settings).result["inference"] is None


def test_a_perfect_fit_and_too_few_rows_have_no_standard_errors():
    X = np.random.default_rng(0).normal(size=(20, 3))
    assert gl.train(X, X @ [1.0, 2.0, 3.0], **ALL).result["inference"] is None
    assert gl.train(X[:4], X[:4, 0] ** 2, **ALL).result["inference"] is None


def test_coefficients_that_are_not_identifiable_have_none_and_the_others_keep_theirs():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(60, 3))
    y = X @ [1.0, 2.0, 3.0] + rng.normal(size=60)
    found = gl.train(np.column_stack([X, X[:, 0] + X[:, 1]]), y, **ALL).result["inference"]["coefficients"]
    alone = gl.train(X, y, **ALL).result["inference"]["coefficients"]
    assert [found[name]["standard_error"] for name in ("x0", "x1", "x3")] == [None] * 3
    assert found["x2"]["standard_error"] == pytest.approx(alone["x2"]["standard_error"], rel=1e-8)
    assert found["x2"]["p"] is not None


@pytest.mark.parametrize("errors", ["HC3", "clustered"])
def test_robust_errors_do_not_depend_on_blocks_nor_on_the_format(errors, tmp_path, monkeypatch):
    table = made(4, n=4_000)
    whole = errors_of(trained(table, errors))
    import pyarrow.csv as csv

    csv.write_csv(table, tmp_path / "t.csv")
    settings = {"group": "group"} if errors == "clustered" else {"drop": ["group"]}
    model = gl.train(tmp_path / "t.csv", "y", errors=errors, **ALL, **settings)
    assert errors_of(model) == pytest.approx(whole, rel=1e-9)
    monkeypatch.setattr("gradline.evaluation.sandwich.PART_VALUES", 100)
    assert errors_of(trained(table, errors)) == pytest.approx(whole, rel=1e-12)


def test_what_cannot_be_is_refused_before_the_read():
    table = made(5)
    for settings, what in (
        ({"l2": 1.0}, "--l2"),
        ({"l1": 1.0}, "--l1"),
        ({"loss": "huber"}, "--loss huber"),
    ):
        with pytest.raises(UsageError, match=what):
            trained(table, "HC3", **settings)
    with pytest.raises(UsageError, match="--group"):
        gl.train(table, "y", errors="clustered", **ALL)
    with pytest.raises(UsageError, match="only once"):
        gl.train(pa.RecordBatchReader.from_batches(table.schema, table.to_batches()), "y", errors="HC1", **ALL)


def test_clusters_that_cannot_be_cost_no_model():
    table = made(6)
    one = table.set_column(table.column_names.index("group"), "group", pa.array([1] * len(table)))
    model = trained(one, "clustered")
    assert model.result["inference"] is None
    assert [w["column"] for w in model.warnings if w["code"] == "errors_not_known"] == ["group"]

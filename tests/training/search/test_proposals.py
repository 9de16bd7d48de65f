"""The search for a representation: what was planted is proposed, what is linear is left alone, and every figure is that of refits."""

import json
import shlex

import numpy as np
import pyarrow as pa
import pytest

import gradline as gl
from gradline.api import run
from gradline.errors import UsageError
from gradline.inputs.memory import TableSource
from gradline.splits.divisions import Folds
from gradline.splits.roles import RowRoles, ValueRoles
from gradline.training.config import TrainConfig
from gradline.training.search import sampled_design
from gradline.types import Role
from reference import fit
from refits import brute_errors, brute_greedy, brute_noise, brute_pairs
from tables import ChunkedSource, gradline, write_csv, write_parquet

FALSE_PROPOSALS = 0.05  # of linear tables, at most
MOST_OF_40 = 7  # P(more of 40 | 0.05) = 0.0008


def a_table(seed, rows=800, *, planted="", noise=1.0):
    rng = np.random.default_rng(seed)
    a, b, d = rng.normal(3.0, 1.0, rows), rng.gamma(2.0, 2.0, rows) + 0.05, rng.normal(size=rows)
    c = rng.choice(["u", "v", "w"], rows)
    y = 2.0 * a - b + d + 1.5 * (c == "v")
    match planted:
        case "square":
            y = y + 0.8 * (a - 3.0) ** 2
        case "log":
            y = y + 3.0 * np.log(b)
        case "product":
            y = y + 0.8 * (a - 3.0) * d
        case "slope of a level":
            y = y + 1.2 * (c == "w") * d
        case "wave":
            y = y + 2.0 * np.sin(3.0 * d)
    return pa.table({"a": a, "b": b, "d": d, "c": c.tolist(), "y": y + noise * rng.normal(size=rows)})


def searched(table, **settings):
    return fit(table, search=True, **{"assess": "no", **settings}).result["representation_search"]


# ------------------------------------------------------------------------------------------------- what it proposes

PLANTED = {
    "square": ("a^2", "a"),
    "log": ("log(b)", "b"),
    "product": ("a*d", "a"),
    "slope of a level": ("c*d", "d"),
    "wave": ("spline(d,4)", "d"),
}


@pytest.mark.parametrize(("planted", "change", "column"), [(p, *rest) for p, rest in PLANTED.items()], ids=PLANTED)
def test_what_was_planted_is_proposed_first(planted, change, column):
    table = a_table(1, planted=planted)
    found = searched(table)
    first = found["proposals"][0]
    assert set(first["change"].split("*")) == set(change.split("*"))
    assert first["derive"] == [first["change"]]
    assert column in first["made_of"]
    assert first["difference"] > first["standard_error"] > 0.0
    assert first["difference"] == pytest.approx(found["base"]["rmse"] - first["rmse"])
    assert first["selected_in_folds"] >= 9
    model = fit(table, derive=first["derive"])
    assert first["terms"] == len(model.coefficients)
    assert model.metrics["test"]["rmse"] < fit(table).metrics["test"]["rmse"]


def test_linear_tables_are_left_alone_but_for_one_in_twenty():
    found = [searched(a_table(seed, rows=500)) for seed in range(40)]
    assert sum(bool(each["proposals"]) for each in found) <= MOST_OF_40
    refused = [each["refused"] for each in found if not each["proposals"]]
    assert all(each["gain"] <= each["gain_error"] for each in refused)
    selected = sum(each["selected_in_folds"] is not None for each in refused)
    assert 3 <= selected <= 15  # the folds select of noise now and then, and the outer ones refuse it


def test_heavy_tails_are_no_curve():
    rng = np.random.default_rng(0)
    cried = 0
    for _ in range(10):
        x = rng.standard_t(3, (600, 2))
        found = searched(pa.table({"a": x[:, 0], "b": x[:, 1], "y": x @ [1.0, 2.0] + rng.standard_t(3, 600)}))
        cried += bool(found["proposals"])
    assert cried <= 3


def test_what_is_not_proposed_is_said():
    found = searched(a_table(0))
    assert found["proposals"] == []
    refused = found["refused"]
    assert refused["gain"] <= refused["gain_error"]
    assert refused["change"] in refused["derive"]


def test_several_changes_build_on_each_other():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3000))
    table = pa.table({"a": a, "b": b, "y": a + a**2 + b - 2.0 * b**2 + 0.5 * rng.normal(size=3000)})
    found = searched(table)
    assert [set(p["derive"]) for p in found["proposals"][:2]] == [{"b^2"}, {"a^2", "b^2"}]
    assert found["proposals"][1]["rmse"] < found["proposals"][0]["rmse"] < found["base"]["rmse"]
    assert found["proposals"][1]["gain"] == pytest.approx(found["proposals"][0]["rmse"] - found["proposals"][1]["rmse"])
    again = searched(table, derive=["a^2"])  # the search begins with the model as it is
    assert again["base"]["terms"] == 3
    assert again["proposals"][0]["derive"] == ["a^2", "b^2"]
    assert again["base"]["columns"] == ["a", "b"]


def test_far_from_zero_a_square_is_proposed_about_a_round_number():
    rng = np.random.default_rng(0)
    year = rng.integers(1950, 2021, 1500)
    table = pa.table({"year": year, "x": rng.normal(size=1500), "y": 0.01 * (year - 1985.0) ** 2 + rng.normal(size=1500)})
    first = searched(table)["proposals"][0]
    assert first["change"] in {"(year-1980)^2", "(year-1990)^2"}
    model = fit(table, derive=first["derive"])
    assert model.metrics["test"]["rmse"] == pytest.approx(1.0, abs=0.15)


# ------------------------------------------------------------------------------------------------- what its figures are


def sample_of(table, seed=0, folds=10, roles=None):
    """The training rows and their folds."""
    rows = len(table)
    used = (RowRoles(seed, 0.1, 0.1) if roles is None else roles).assign(0, 0, rows, None) == Role.TRAINING
    return used, Folds(folds, seed).assign(0, 0, rows, None)[used].astype(int)


@pytest.mark.parametrize("settings", [{}, {"weight": "w"}, {"folds": 4, "seed": 3}, {"intercept": False}], ids=str)
def test_the_nested_error_is_that_of_refits_on_the_rows(settings):
    table = a_table(2, rows=400, planted="square").append_column("w", pa.array(np.arange(400) % 3 + 1.0))
    found = searched(table, features=["a", "b"], **settings)
    used, fold = sample_of(table, settings.get("seed", 0), settings.get("folds", 10))
    a, b, y, w = (table[name].to_numpy()[used] for name in ("a", "b", "y", "w"))
    weight = w if "weight" in settings else np.ones(len(y))
    X = np.column_stack([np.ones(len(y)), a, b])

    def spline(x):
        from gradline.representation.derive import natural_spline

        return np.column_stack(natural_spline(x, np.quantile(x, [0.05, 0.35, 0.65, 0.95])))

    tried = {"a^2": a**2, "spline(a,4)": spline(a), "b^2": b**2, "log(b)": np.log(b), "spline(b,4)": spline(b), "a*b": a * b}
    if a.min() > 0.0:
        tried["log(a)"] = np.log(a)
    assert found["candidates"] == len(tried)
    count = settings.get("folds", 10)
    data = (X, [np.atleast_2d(v.T).T for v in tried.values()], y, weight, fold)
    if settings.get("intercept", True):
        pairs = brute_pairs(range(count), ordered=False)
        order, _ = brute_greedy(data, pairs, 6)
        names = [list(tried)[g] for g in order]
        assert found["proposals"]
        for step, proposal in enumerate(found["proposals"], 1):
            assert set(proposal["derive"]) <= {*names[:step], "b*a"}
        own = [brute_greedy(data, brute_pairs(learned, ordered=False), 1)[0] for learned, _ in pairs]
        errors = np.array([brute_errors(data, mine, [pair])[0] for mine, pair in zip(own, pairs, strict=True)])
        assert found["proposals"][0]["rmse"] == pytest.approx(errors.mean(), rel=1e-9)
        base = brute_errors(data, [], pairs)
        assert found["base"]["rmse"] == pytest.approx(base.mean(), rel=1e-9)
        noise = brute_noise(base - errors, data, pairs)
        assert found["proposals"][0]["standard_error"] == pytest.approx(noise, rel=1e-7)
    else:
        errors = []
        for k in range(count):
            w_hat = np.linalg.lstsq(X[fold != k, 1:], y[fold != k], rcond=None)[0]
            errors.append(np.sqrt(np.mean((y[fold == k] - X[fold == k, 1:] @ w_hat) ** 2)))
        assert found["base"]["rmse"] == pytest.approx(np.mean(errors), rel=1e-9)


def test_no_row_that_is_held_out_has_a_say():
    table = a_table(3, planted="square")
    training, _ = sample_of(table)
    rng = np.random.default_rng(0)
    columns = {name: table[name].to_pylist() for name in table.column_names}
    for name in ("a", "b", "d", "y"):
        columns[name] = np.where(training, table[name].to_numpy(), 5.0 + rng.random(len(table)) * 1e3)
    assert searched(pa.table(columns))["proposals"] == searched(table)["proposals"]


def test_the_sample_is_a_function_of_the_rows_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(sampled_design, "SEARCH_ROWS", 300)
    table = a_table(4, rows=1500, planted="log")
    whole = searched(table)
    assert (whole["rows"], whole["of"]) == (300, sample_of(table)[0].sum())
    config = TrainConfig.from_mapping({"target": "y", "search": True})
    for rows in (64, 500):
        found = run(ChunkedSource(table, range(0, 1500, rows)), config).result["representation_search"]
        assert found["base"]["rmse"] == pytest.approx(whole["base"]["rmse"], rel=1e-9)
        assert [p["derive"] for p in found["proposals"]] == [p["derive"] for p in whole["proposals"]]
    for path in (write_csv(table, tmp_path / "t.csv"), write_parquet(table, tmp_path / "t.parquet")):
        found = searched(str(path))
        assert (
            json.dumps({**found, "proposals": []}).split('"penalty"')[0]
            == json.dumps({**whole, "proposals": []}).split('"penalty"')[0]
        )


def test_rows_of_one_group_stay_in_one_fold():
    """Rows come in copies: divided by row, a copy of what is judged would be learned from."""
    table = a_table(5, rows=150)
    copies = pa.concat_tables([table.append_column("g", pa.array(np.arange(150)))] * 6)
    found = searched(copies, group="g", folds=5)
    values = copies["g"]
    training = ValueRoles("g", 0, 0.1, 0.1).assign(0, 0, 900, values) == Role.TRAINING
    fold = Folds(5, 0).assign(0, 0, 900, values)[training].astype(int)
    numbers = [copies[name].to_numpy()[training] for name in "abd"]
    c = np.array(copies["c"].to_pylist())[training]
    X = np.column_stack([np.ones(len(c)), *numbers, c == "v", c == "w"])
    base = brute_errors(
        (X, [], copies["y"].to_numpy()[training], np.ones(len(c)), fold), [], brute_pairs(range(5), ordered=False)
    )
    assert found["base"]["rmse"] == pytest.approx(base.mean(), rel=1e-9)


def test_with_times_a_fold_is_judged_by_earlier_ones_alone():
    table = a_table(7, rows=900, planted="square")
    time = np.random.default_rng(0).permutation(np.arange(900) // 2)  # two rows of each time, in any order
    found = searched(table.append_column("t", pa.array(time)), time="t", features=["a", "b", "d", "c"])
    assert found["ordered"]
    assert (found["folds"], found["judged"]) == (10, 7)
    assert found["proposals"][0]["change"] == "a^2"
    training = time < np.sort(time)[round(900 * 0.8)]
    own, c = time[training], np.array(table["c"].to_pylist())[training]
    starts = np.sort(own)[[k * len(own) // 10 for k in range(1, 10)]]
    fold = np.array([np.count_nonzero(t >= starts) for t in own])
    numbers = [table[name].to_numpy()[training] for name in "abd"]
    levels = [level == c for level in np.unique(c) if level != max(np.unique(c), key=lambda v: np.sum(c == v))]
    data = (np.column_stack([np.ones(len(c)), *numbers, *levels]), [], table["y"].to_numpy()[training], np.ones(len(c)), fold)
    judged = [pair for pair in brute_pairs(range(10), ordered=True) if len(pair[0]) >= 3]
    assert found["base"]["rmse"] == pytest.approx(brute_errors(data, [], judged).mean(), rel=1e-9)


def test_a_gap_keeps_the_folds_before_a_judged_one_apart_from_it():
    table = a_table(7, rows=900).append_column("t", pa.array(np.arange(900.0)))
    plain = searched(table, time="t", features=["a", "b", "d", "c"])
    gapped = searched(table, time="t", gap="80", features=["a", "b", "d", "c"])  # folds of 64 rows: two are skipped
    assert (plain["judged"], gapped["judged"]) == (7, 3)
    used = np.arange(900) < 720 - 80
    own, c = np.arange(900.0)[used], np.array(table["c"].to_pylist())[used]
    starts = own[[k * len(own) // 10 for k in range(1, 10)]]
    fold = np.searchsorted(starts, own, side="right")
    pairs = [([j for j in range(k) if starts[j] <= starts[k - 1] - 80.0], k) for k in range(1, 10)]
    learns = {k: learned for learned, k in pairs}
    judged = [(learned, k) for learned, k in pairs if sum(bool(learns.get(j)) for j in learned) >= 2]
    levels = [level == c for level in np.unique(c) if level != max(np.unique(c), key=lambda v: np.sum(c == v))]
    numbers = [table[name].to_numpy()[used] for name in "abd"]
    data = (np.column_stack([np.ones(len(c)), *numbers, *levels]), [], table["y"].to_numpy()[used], np.ones(len(c)), fold)
    assert len(judged) == gapped["judged"]
    assert gapped["base"]["rmse"] == pytest.approx(brute_errors(data, [], judged).mean(), rel=1e-9)


def test_folds_that_are_too_few_are_told_of():
    model = fit(a_table(0), search=True, folds=2)
    assert "2 folds are too few" in next(w["message"] for w in model.warnings if w["code"] == "not_searched")


def test_missing_values_and_a_log_target_are_searched():
    table = a_table(6, planted="square")
    hole = np.random.default_rng(0).random(800) < 0.1
    a = pa.array(np.where(hole, np.nan, table["a"].to_numpy()), from_pandas=True)
    found = searched(table.set_column(0, "a", a))
    assert found["proposals"][0]["change"] == "a^2"
    y = np.exp(table["y"].to_numpy() / 5.0)
    logged = searched(table.set_column(4, "y", pa.array(y)), log_target=True)
    assert logged["proposals"][0]["change"] == "a^2"


def test_a_penalty_is_proposed_where_columns_are_many_for_the_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(250, 90))
    many = pa.table({f"x{j}": X[:, j] for j in range(90)} | {"y": X[:, 0] + 3.0 * rng.normal(size=250)})
    found = searched(many)["penalty"]
    assert found["proposed"]
    assert found["difference"] > found["standard_error"]
    assert not searched(a_table(0))["penalty"]["proposed"]
    with_it, without = (fit(many, l2=l2).metrics["test"]["rmse"] for l2 in ("auto", 0.0))
    assert with_it < without


# ----------------------------------------------------------------------------------------------- what it leaves alone


def test_the_model_is_that_without_a_search():
    table = a_table(1, planted="square")
    plain, found = fit(table), fit(table, search=True, degree_curve=3)
    assert found.coefficients == plain.coefficients
    assert found.result["certificate"] == plain.result["certificate"]
    assert plain.result["representation_search"] is None
    assert plain.result["degree_curve"] is None


def test_what_stands_against_a_search_costs_no_model():
    table = a_table(0, rows=60)
    model = fit(table, search=True)
    assert model.result["representation_search"] is None
    (told,) = [w for w in model.warnings if w["code"] == "not_searched"]
    assert "the search needs 10 in each" in told["message"]
    assert "--folds" in told["message"]

    class Once(TableSource):
        repeatable = False

    once = run(Once(a_table(0)), TrainConfig.from_mapping({"target": "y", "search": True}))
    assert [w["code"] for w in once.warnings] == ["not_searched"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"l2": 0.1}, "--search compares least-squares fits; --l2"),
        ({"l1": 0.1}, "--l1"),
        ({"loss": "huber"}, "--loss huber"),
    ],
)
def test_what_is_no_least_squares_is_refused_before_the_read(settings, says):
    with pytest.raises(UsageError, match=says):
        fit(a_table(0), search=True, **settings)
    with pytest.raises(UsageError, match=says.replace("--search", "--degree-curve")):
        fit(a_table(0), degree_curve=3, **settings)


# ----------------------------------------------------------------------------------------------------- degree curve


def brute_curve(numbers, others, y, weight, fold, degrees, folds):
    """RMSE of each fold and training RMSE by degree, by least squares on scaled, centred powers."""
    found = []
    for degree in range(1, degrees + 1):
        columns = [np.ones(len(y))]
        for x in numbers:
            u = (x - np.nanmean(x)) / np.nanstd(x)
            powers = [u**d for d in range(1, degree + 1)]
            columns += [np.where(np.isnan(x), np.average(p[~np.isnan(x)], weights=weight[~np.isnan(x)]), p) for p in powers]
        X = np.column_stack([*columns, *others])
        data = (X, [], y, weight, fold)
        errors = brute_errors(data, [], brute_pairs(range(folds), ordered=False))
        b = np.linalg.lstsq(X * np.sqrt(weight)[:, None], y * np.sqrt(weight), rcond=None)[0]
        found.append((errors, np.sqrt(np.average((y - X @ b) ** 2, weights=weight))))
    return found


@pytest.mark.parametrize("settings", [{}, {"weight": "w", "folds": 5}, {"holes": True}], ids=str)
def test_the_degree_curve_is_that_of_refits_on_the_rows(settings):
    settings = dict(settings)
    table = a_table(8, rows=600, planted="wave").append_column("w", pa.array(np.arange(600) % 3 + 1.0))
    if settings.pop("holes", False):
        a = table["a"].to_numpy().copy()
        a[np.random.default_rng(0).choice(600, 80, replace=False)] = np.nan
        table = table.set_column(0, "a", pa.array(a, from_pandas=True))
    folds = settings.get("folds", 10)
    model = fit(table, features=["a", "d", "c"], degree_curve=6, **settings)
    found = model.result["degree_curve"]
    used, fold = sample_of(table, folds=folds)
    a, d = (np.array(table[name].to_pylist(), dtype=float)[used] for name in ("a", "d"))
    c, y = np.array(table["c"].to_pylist())[used], table["y"].to_numpy()[used]
    others = [level == c for level in np.unique(c) if f"c={level}" in model.coefficients]
    others += [np.isnan(a)] if np.isnan(a).any() else []
    weight = table["w"].to_numpy()[used] if "weight" in settings else np.ones(len(y))
    wanted = brute_curve([a, d], others, y, weight, fold, 6, folds)
    np.testing.assert_allclose(found["rmse"], [errors.mean() for errors, _ in wanted], rtol=1e-9)
    errors = [each.std(ddof=1) / np.sqrt(folds) for each, _ in wanted]
    np.testing.assert_allclose(found["rmse_standard_error"], errors, rtol=1e-6)
    np.testing.assert_allclose(found["train_rmse"], [train for _, train in wanted], rtol=1e-9)
    assert found["degree"] == [1, 2, 3, 4, 5, 6]
    assert found["terms"] == [len(others) + 2 * degree for degree in found["degree"]]
    assert found["best"] == int(np.argmin(found["rmse"])) + 1
    heavy = np.array([weight[fold == k].sum() for k in range(folds)])
    noise = 1 / folds + np.mean(heavy / (heavy.sum() - heavy))
    above = [each - wanted[found["best"] - 1][0] for each, _ in wanted]
    within = [each.mean() <= np.sqrt(noise * each.var(ddof=1)) for each in above]
    assert found["simplest"] == within.index(True) + 1
    assert found["train_rmse"] == sorted(found["train_rmse"], reverse=True)


def test_each_degree_has_the_error_of_a_model_of_that_degree():
    table = a_table(9, rows=500, planted="square")
    found = fit(table, features=["a", "b"], degree_curve=3).result["degree_curve"]
    for degree in (1, 2, 3):
        model = fit(table, features=["a", "b"], degree=degree, folds=10)
        assert found["rmse"][degree - 1] == pytest.approx(model.result["cross_validation"]["rmse"][0], rel=1e-7)
        assert found["train_rmse"][degree - 1] == pytest.approx(model.metrics["train"]["rmse"], rel=1e-9)
        assert found["terms"][degree - 1] == len(model.coefficients)


def test_a_curve_without_numbers_is_told_of_and_costs_no_model():
    table = a_table(0)
    model = fit(table, features=["c"], degree_curve=3)
    assert model.result["degree_curve"] is None
    assert "no number to raise" in next(w["message"] for w in model.warnings if w["code"] == "not_searched")


# ------------------------------------------------------------------------------------------------------- command line


def test_the_command_of_a_proposal_trains_it(capsys, tmp_path):
    path = write_csv(a_table(1, planted="square"), tmp_path / "t.csv")
    answer = gradline(
        capsys, "train", path, "--target", "y", "--search", "--degree-curve", "3", "--out", tmp_path / "run", "--json"
    )
    assert answer.code == 0
    first = answer.json["representation_search"]["proposals"][0]
    words = shlex.split(first["command"].replace("\\\n", " "))
    assert words[:2] == ["gradline", "train"]
    assert "--search" not in words
    again = gradline(capsys, *words[1:], "--out", tmp_path / "again", "--json")
    assert "a^2" in again.json["coefficients"]
    assert len(again.json["coefficients"]) == first["terms"]
    loaded = gl.load(tmp_path / "run")
    assert loaded.result["representation_search"] == answer.json["representation_search"]
    shown = gradline(capsys, "show", tmp_path / "run", "--json")
    assert shown.json["degree_curve"]["degree"] == [1, 2, 3]

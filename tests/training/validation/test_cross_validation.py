"""Cross-validation from moments: equal to refits on the rows, fold by fold, written with NumPy."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gradline as gl
from gradline.engines.threads import ThreadEngine
from gradline.errors import DataError, UsageError
from gradline.inputs.memory import TableSource
from gradline.representation.decode import Decoder
from gradline.splits.divisions import Folds
from gradline.splits.roles import RowRoles, ValueRoles
from gradline.training.rows import RowReader
from gradline.training.survey import survey
from gradline.types import Kind, Part, RawColumn, Role
from reference import SerialEngine, ShuffledEngine, fit
from tables import ChunkedSource
from tables import weighted as a_table

SEED = 3


def features_of(table):
    """The design that training decides on for `a_table`, (m, p), NaN where a number is missing; and which columns are numbers."""
    columns = {name: np.array(table[name].to_pylist(), dtype=float) for name in ("a", "b", "near")}
    c = table["c"].to_pylist()
    dummies = [np.array([v is not None and v == level for v in c], dtype=float) for level in ("v", "w")]
    dummies.append(np.array([v == "rare" for v in c], dtype=float))
    dummies.append(np.array([v is None for v in c], dtype=float))
    design = np.column_stack([columns["a"], columns["b"], np.isnan(columns["b"]), columns["near"], *dummies])
    return design.astype(float)


def refit(X, y, weight, l2, *, scaling, intercept):
    """(w, b) of ridge regression on rows without missing values, by least squares on the rows and √(mλ) more."""
    total = weight.sum()
    mean = weight @ X / total
    deviation = np.sqrt(weight @ (X - mean) ** 2 / total)
    scale = np.where(deviation > 1e-7, deviation, 1.0) if scaling == "standard" else np.ones(X.shape[1])
    centre = mean if intercept else np.zeros(X.shape[1])
    shift = weight @ y / total if intercept else 0.0
    Z = (X - centre) / scale * np.sqrt(weight)[:, None]
    Z = np.vstack([Z, np.sqrt(total * l2) * np.eye(X.shape[1])])
    target = np.append((y - shift) * np.sqrt(weight), np.zeros(X.shape[1]))
    w = np.linalg.lstsq(Z, target, rcond=1e-12)[0] / scale
    return w, shift - w @ centre


def brute_rmse(X, y, weight, folds, l2, **settings):
    """The RMSE of each fold for each λ, (K, n), and of the other folds' mean, (K,)."""
    found, baseline = [], []
    for k in np.unique(folds):
        own, rest = folds == k, folds != k
        fill = np.array([np.average(x[rest & ~np.isnan(x)], weights=weight[rest & ~np.isnan(x)]) for x in X.T])
        full = np.where(np.isnan(X), fill, X)
        errors = []
        for each in l2:
            w, b = refit(full[rest], y[rest], weight[rest], each, **settings)
            errors.append(np.sqrt(np.average((y[own] - full[own] @ w - b) ** 2, weights=weight[own])))
        found.append(errors)
        baseline.append(np.sqrt(np.average((y[own] - np.average(y[rest], weights=weight[rest])) ** 2, weights=weight[own])))
    return np.array(found), np.array(baseline)


def training_rows(table, count, validation=0.1, test=0.1):
    """Which rows are trained on, and their folds."""
    roles = RowRoles(SEED, validation, test).assign(0, 0, len(table), None)
    folds = Folds(count, SEED).assign(0, 0, len(table), None)
    used = roles == Role.TRAINING
    return used, folds[used]


FEATURES = ["a", "b", "near", "c"]
WAYS = {
    "default": {},
    "weights": {"weight": "weight"},
    "no intercept": {"intercept": False},
    "raw": {"scaling": "none"},
    "raw, no intercept, weights": {"scaling": "none", "intercept": False, "weight": "weight"},
    "three folds, a short path": {"folds": 3, "l2_path": 7},
}


@pytest.mark.parametrize("settings", WAYS.values(), ids=WAYS)
def test_the_error_of_every_penalty_is_that_of_refits_on_the_rows(settings):
    table = a_table()
    settings = {"scaling": "standard", "intercept": True, **settings}
    model = fit(table, features=FEATURES, l2="auto", seed=SEED, **settings)
    found = model.result["cross_validation"]
    count, path = settings.get("folds", 5), settings.get("l2_path", 100)
    l2 = np.array(found["l2"])
    assert (found["folds"], len(l2), l2[-1]) == (count, path + 1, 0.0)
    assert np.all(np.diff(l2) < 0.0)
    assert np.allclose(np.diff(np.log(l2[:-1])), np.log(1e-12) / (path - 1))

    used, folds = training_rows(table, count)
    weight = table["weight"].to_numpy()[used] if "weight" in settings else np.ones(used.sum())
    y = table["y"].to_numpy()[used]
    how = {name: settings[name] for name in ("scaling", "intercept")}
    wanted, baseline = brute_rmse(features_of(table)[used], y, weight, folds, l2, **how)
    assert np.allclose(found["rmse"], wanted.mean(axis=0), rtol=1e-9, atol=0.0)
    assert np.allclose(found["rmse_standard_error"], wanted.std(axis=0, ddof=1) / np.sqrt(count), rtol=1e-7, atol=0.0)
    assert found["baseline_rmse"] == pytest.approx(baseline.mean(), rel=1e-12)

    best = int(np.argmin(found["rmse"]))
    assert found["chosen"] == l2[best]
    assert found["one_standard_error"] == max(
        v for v, e in zip(l2, found["rmse"], strict=True) if e <= found["rmse"][best] + found["rmse_standard_error"][best]
    )
    shares = np.array([weight[folds == k].sum() for k in range(count)])
    assert found["r2"] == pytest.approx(1.0 - shares @ wanted[:, best] ** 2 / (shares @ baseline**2), rel=1e-9)


@pytest.mark.parametrize("settings", list(WAYS.values())[:5], ids=list(WAYS)[:5])
def test_what_is_trained_is_ridge_regression_at_the_chosen_penalty(settings):
    table = a_table()
    model = fit(table, features=FEATURES, l2="auto", seed=SEED, **settings)
    used, _ = training_rows(table, 5)
    X, y = features_of(table)[used], table["y"].to_numpy()[used]
    weight = table["weight"].to_numpy()[used] if "weight" in settings else np.ones(used.sum())
    seen = ~np.isnan(X)
    fill = np.array([np.average(x[s], weights=weight[s]) for x, s in zip(X.T, seen.T, strict=True)])
    how = {"scaling": "standard", "intercept": True} | {k: v for k, v in settings.items() if k != "weight"}
    w, b = refit(np.where(seen, X, fill), y, weight, model.result["cross_validation"]["chosen"], **how)
    assert list(model.coefficients) == ["a", "b", "b=(missing)", "near", "c=v", "c=w", "c=(other)", "c=(missing)"]
    assert np.allclose(list(model.coefficients.values()), w, rtol=1e-7, atol=1e-8)
    assert model.intercept == pytest.approx(b, rel=1e-7, abs=1e-8)
    assert model.certificate.kind == "exact"
    assert model.certificate.relative_gap <= 1e-12
    assert model.config["l2"] == "auto"


def test_a_given_penalty_is_judged_and_trained_as_without_folds():
    table = a_table()
    plain = fit(table, features=FEATURES, l2=0.3, seed=SEED)
    model = fit(table, features=FEATURES, l2=0.3, folds=4, seed=SEED)
    found = model.result["cross_validation"]
    assert plain.result["cross_validation"] is None
    assert (found["l2"], found["chosen"], found["one_standard_error"]) == ([0.3], 0.3, 0.3)
    used, folds = training_rows(table, 4)
    wanted, _ = brute_rmse(
        features_of(table)[used],
        table["y"].to_numpy()[used],
        np.ones(used.sum()),
        folds,
        [0.3],
        scaling="standard",
        intercept=True,
    )
    assert found["rmse"] == pytest.approx(wanted.mean(axis=0), rel=1e-10)
    for name, value in plain.coefficients.items():  # the training moments are merged in another order
        assert model.coefficients[name] == pytest.approx(value, rel=1e-11)


def test_folds_without_a_category_or_a_value_leave_its_column_out():
    rng = np.random.default_rng(5)
    rows = 80
    folds = Folds(4, 0).assign(0, 0, rows, None)
    X = rng.normal(size=(rows, 3))
    X[:, 1] = 1e6 + np.where(folds == 2, X[:, 1], 0.0)  # constant in the other folds
    c = np.where((folds == 1) & (rng.random(rows) < 0.6), "only here", "elsewhere")
    y = X[:, 0] + rng.normal(size=rows)
    table = pa.table({"x0": X[:, 0], "x1": X[:, 1], "x2": X[:, 2], "c": c.tolist(), "y": y})
    found = fit(table, l2="auto", folds=4, validation=0, test=0, l2_path=20).result["cross_validation"]
    design = np.column_stack([X, c == "only here"]).astype(float)
    wanted, _ = brute_rmse(design, y, np.ones(rows), folds, np.array(found["l2"]), scaling="standard", intercept=True)
    assert np.allclose(found["rmse"], wanted.mean(axis=0), rtol=1e-9)


def test_fewer_rows_than_columns():
    rng = np.random.default_rng(6)
    X, folds = rng.normal(size=(40, 60)), Folds(5, 0).assign(0, 0, 40, None)
    y = X[:, 0] + 0.1 * rng.normal(size=40)
    found = fit(X, y, l2="auto", validation=0, test=0, l2_path=30).result["cross_validation"]
    wanted, _ = brute_rmse(X, y, np.ones(40), folds, np.array(found["l2"]), scaling="standard", intercept=True)
    assert np.allclose(found["rmse"], wanted.mean(axis=0), rtol=1e-8)
    assert 0.0 < found["chosen"] < found["l2"][0]


def test_a_perfect_fit_has_errors_of_zero_or_more():
    x = np.arange(60.0)
    found = fit(np.column_stack([x, x**2]), 3 * x + 1, folds=3).result["cross_validation"]
    assert 0.0 <= found["rmse"][0] < 1e-6
    assert found["r2"] > 1 - 1e-12
    json.dumps(found, allow_nan=False)


# ------------------------------------------------------------------------------------------------ which row is in which fold


def test_folds_are_even_and_say_nothing_of_roles():
    roles = RowRoles(0, 0.5, 0.0).assign(0, 0, 100_000, None)
    folds = Folds(7, 0).assign(0, 0, 100_000, None)
    table = np.array([[np.sum((folds == k) & (roles == r)) for r in (Role.TRAINING, Role.VALIDATION)] for k in range(7)])
    assert np.all(np.abs(table - 100_000 / 14) < 5 * np.sqrt(100_000 / 14))


def folds_of(table, engine=None, cuts=(), key=None):
    kinds = {"a": Kind.NUMBER, "b": Kind.NUMBER, "c": Kind.TEXT}
    roles = RowRoles(SEED, 0.2, 0.1) if key is None else ValueRoles(key, SEED, 0.2, 0.1)
    reader = RowReader(Decoder(kinds), roles, "y", Kind.NUMBER, divisions=(Folds(5, SEED),))
    found, _ = survey(ChunkedSource(table, cuts), reader, engine or SerialEngine(), 0)
    return found


def test_the_folds_divide_the_training_rows():
    table = a_table()
    found = folds_of(table)
    used, folds = training_rows(table, 5, 0.2, 0.1)
    assert [fold.rows for fold in found.parts[0]] == [np.sum(folds == k) for k in range(5)]
    assert sum(fold.rows for fold in found.parts[0]) == found.rows(Role.TRAINING) == used.sum()
    at = RawColumn("y", Part.TARGET)
    for k, fold in enumerate(found.parts[0]):
        y = table["y"].to_numpy()[used][folds == k]
        assert fold.mean[fold.index()[at]] == pytest.approx(y.mean(), rel=1e-13)
        assert fold.comoment[fold.index()[at], fold.index()[at]] == pytest.approx(y.var() * len(y), rel=1e-12)


def test_rows_without_a_target_move_no_other_row_to_another_fold():
    table = a_table()
    used, folds = training_rows(table, 5, 0.2, 0.1)
    holes = np.arange(600) % 3 == 0
    y = np.where(holes, np.nan, table["y"].to_numpy())
    found = folds_of(table.set_column(table.column_names.index("y"), "y", pa.array(y)))
    for k, fold in enumerate(found.parts[0]):
        own = y[used][(folds == k) & ~holes[used]]
        assert fold.rows == len(own)
        assert fold.mean[fold.index()[RawColumn("y", Part.TARGET)]] == pytest.approx(own.mean(), rel=1e-13)


@pytest.mark.parametrize("cuts", [(), (1,), (250,), tuple(range(0, 600, 13)), tuple(range(1, 600))], ids=len)
def test_the_folds_do_not_depend_on_blocks_but_for_rounding(cuts):
    whole, cut = folds_of(a_table()), folds_of(a_table(), cuts=cuts)
    for a, b in zip((*whole.parts[0], whole.moments[Role.TEST]), (*cut.parts[0], cut.moments[Role.TEST]), strict=True):
        assert (a.rows, set(a.columns)) == (b.rows, set(b.columns))
        other = b.expanded(a.columns).comoment
        scale = np.sqrt(np.diag(a.comoment))
        assert np.all(np.abs(a.comoment - other) <= 1e-12 * np.outer(scale, scale))


def test_any_engine_gives_the_same_bits():
    table, cuts = a_table(), (100, 300, 350)
    found = [folds_of(table, engine, cuts) for engine in (SerialEngine(), ShuffledEngine(1), ThreadEngine(3))]
    for other in found[1:]:
        for a, b in zip(found[0].parts[0], other.parts[0], strict=True):
            assert a.columns == b.columns
            assert np.array_equal(a.comoment, b.comoment)
    models = [fit(table, features=FEATURES, l2="auto", threads=n) for n in (1, 2, 5)]
    assert all(m.result["cross_validation"] == models[0].result["cross_validation"] for m in models)
    assert all(m.coefficients == models[0].coefficients for m in models)


def test_with_a_key_the_order_of_rows_changes_rounding_alone():
    table = a_table()
    shuffled = table.take(np.random.default_rng(1).permutation(len(table)))
    a, b = (fit(t, features=FEATURES, key="key", l2="auto", l2_path=25).result["cross_validation"] for t in (table, shuffled))
    assert np.allclose(a["rmse"], b["rmse"], rtol=1e-10)
    assert a["chosen"] == pytest.approx(b["chosen"], rel=1e-10)
    assert [f.rows for f in folds_of(table, key="key").parts[0]] == [f.rows for f in folds_of(shuffled, key="key").parts[0]]


@pytest.mark.parametrize("name", ["key", "group"])
def test_rows_of_one_value_are_in_one_fold(name):
    values = pa.array([f"customer {i % 40}" for i in range(800)])
    folds = Folds(5, SEED).assign(0, 0, 800, values)
    assert all(len(np.unique(folds[i::40])) == 1 for i in range(40))
    assert len(np.unique(folds)) == 5
    # a target that is one number for each customer is learned by heart across rows, and not across customers
    rng = np.random.default_rng(2)
    effect = rng.normal(size=40)
    dummies = {f"d{i}": (np.arange(800) % 40 == i).astype(float) for i in range(40)}
    table = pa.table({**dummies, name: values, "y": np.tile(effect, 20) + 0.01 * rng.normal(size=800)})
    apart = fit(table, **{name: name}, folds=5).result["cross_validation"]
    together = fit(table.drop_columns([name]), folds=5).result["cross_validation"]
    assert together["r2"] > 0.99
    assert apart["r2"] < 0.5


def test_several_targets_have_each_a_path_of_its_own():
    table = a_table()
    table = table.append_column("z", pa.array(np.random.default_rng(4).normal(size=len(table))))
    both = fit(table, ["y", "z"], features=FEATURES, l2="auto", l2_path=30)
    for name in ("y", "z"):
        alone = fit(table, name, features=FEATURES, l2="auto", l2_path=30).result["cross_validation"]
        assert np.allclose(both[name].result["cross_validation"]["rmse"], alone["rmse"], rtol=1e-11)
    assert both["y"].result["cross_validation"]["chosen"] < both["z"].result["cross_validation"]["chosen"]


# --------------------------------------------------------------------------------------------------------- what is said, refused


def codes(model):
    return [notice.code for notice in model.notices]


def test_the_end_of_the_path_is_told_of():
    rng = np.random.default_rng(2)
    noise = fit(rng.normal(size=(60, 30)), rng.normal(size=60), l2="auto", seed=1)
    assert noise.result["cross_validation"]["chosen"] == noise.result["cross_validation"]["l2"][0]
    assert "l2_at_end" in codes(noise)
    assert "l2_at_end" not in codes(fit(a_table(), features=FEATURES, l2="auto"))
    assert "l2_at_end" not in codes(fit(a_table(), features=FEATURES, l2=5.0, folds=5))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"l2": "auto", "l1": 0.1}, "--l2 auto cross-validates squared error.*leave --l1 out"),
        ({"folds": 5, "loss": "huber"}, "--folds cross-validates.*--loss huber"),
        ({"folds": 1}, "--folds 1 cannot be.*2 to 100"),
        ({"folds": 101}, "--folds 101 cannot be"),
        ({"folds": -1}, "--folds -1 is too small"),
        ({"l2_path": 50}, "--l2-path is for --l2 auto"),
        ({"l2": "auto", "l2_path": 1}, "--l2-path 1 is too small"),
        ({"l2": "best"}, "l2 is 'best', which is not a number"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        gl.train(a_table(), features=FEATURES, **settings)


def test_a_sparse_table_is_refused():
    from scipy import sparse

    X = sparse.random_array((50, 4), density=0.5, rng=np.random.default_rng(0)).tocsr()
    for settings in ({"folds": 3}, {"l2": "auto"}):
        with pytest.raises(UsageError, match="is sparse: cross-validation"):
            gl.train(X, np.arange(50.0), **settings)


def test_a_fold_without_rows_is_an_error():
    table = a_table(40).append_column("who", pa.array(["p", "q"] * 20))
    with pytest.raises(DataError, match=r"fold \d of 5 has 0 training rows \(rows of one value of 'who' stay in one fold\)"):
        fit(table, features=["a"], group="who", validation=0, test=0, folds=5)
    weight = np.where(Folds(4, 0).assign(0, 0, 40, None) == 1, 0.0, 1.0)
    table = a_table(40).set_column(5, "weight", pa.array(weight))
    with pytest.raises(DataError, match=r"fold 2 of 4 has .*, all of weight 0"):
        fit(table, features=["a"], weight="weight", validation=0, test=0, folds=4)


def test_a_target_that_is_constant_in_the_other_folds_has_an_error_all_the_same():
    folds = Folds(2, 0).assign(0, 0, 60, None)
    y = np.where(folds == 0, 5.0, np.arange(60.0))
    x = np.random.default_rng(0).normal(size=60)
    found = fit(x[:, None], y, folds=2, validation=0, test=0).result["cross_validation"]
    wanted, _ = brute_rmse(x[:, None], y, np.ones(60), folds, [0.0], scaling="standard", intercept=True)
    assert found["rmse"] == pytest.approx(wanted.mean(axis=0), rel=1e-12)


# ----------------------------------------------------------------------------------------------------------- what is kept of it


def test_it_is_kept_with_the_model_and_its_settings_train_the_same_again(tmp_path):
    pq.write_table(a_table(), tmp_path / "t.parquet")
    model = fit(tmp_path / "t.parquet", features=FEATURES, l2="auto", l2_path=12, out=tmp_path / "run")
    loaded = gl.load(tmp_path / "run")
    assert loaded.result["cross_validation"] == model.result["cross_validation"]
    assert "12 values" not in str(loaded.plan["stages"])
    assert loaded.plan["stages"][1] == "5 folds × 13 values of λ"
    import tomllib

    settings = tomllib.loads((tmp_path / "run" / "config.toml").read_text(encoding="utf-8"))
    assert (settings["l2"], settings["l2_path"]) == ("auto", 12)
    data = settings.pop("data")
    again = fit(data[0], settings.pop("target"), **settings)
    assert again.coefficients == model.coefficients


def test_without_folds_no_row_is_divided():
    source = TableSource(a_table())
    reader = RowReader(Decoder({"a": Kind.NUMBER}), RowRoles(0, 0.1, 0.1), "y", Kind.NUMBER)
    found, _ = survey(source, reader, SerialEngine(), 0)
    assert found.parts == ()

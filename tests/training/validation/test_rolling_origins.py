"""Rolling origins, repeats and nested selection: equal to refits on the rows, written with NumPy; and all from one read."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from test_cross_validation import FEATURES, SEED, features_of, refit, training_rows
from threadpoolctl import threadpool_limits

from gradline.api import read_options, run
from gradline.errors import DataError
from gradline.inputs.memory import TableSource
from gradline.inputs.opening import open_source
from gradline.splits.divisions import Folds
from gradline.training.config import TrainConfig
from gradline.training.prepared import Progress
from gradline.training.trainer import prepare
from reference import SerialEngine
from reference import fit as fit_and_assess
from tables import weighted as a_table

fit = partial(fit_and_assess, assess="no")  # the read after training is of no interest here


def judged(X, y, weight, learn, judge, l2, *, scaling="standard", intercept=True):
    """The mean squared error for each λ on some rows of refits on others, (n,), and that of the others' mean."""
    fill = np.array([np.average(x[learn & ~np.isnan(x)], weights=weight[learn & ~np.isnan(x)]) for x in X.T])
    full = np.where(np.isnan(X), fill, X)
    errors = []
    for each in l2:
        w, b = refit(full[learn], y[learn], weight[learn], each, scaling=scaling, intercept=intercept)
        errors.append(np.average((y[judge] - full[judge] @ w - b) ** 2, weights=weight[judge]))
    mean = np.average(y[learn], weights=weight[learn])
    return np.array(errors), np.average((y[judge] - mean) ** 2, weights=weight[judge])


def rows_of(table, *, weighted=False):
    """(X, y, weight) of all rows, NaN where a number is missing."""
    y = table["y"].to_numpy()
    return features_of(table), y, table["weight"].to_numpy() if weighted else np.ones(len(y))


# -------------------------------------------------------------------------------------------------------------- by time


def a_series(rows=700, seed=0):
    """`a_table` with days in no order, ties among them, ever more rows a day, and a drift in the target."""
    table = a_table(rows, seed)
    day = (120.0 * np.sqrt(np.random.default_rng(seed + 9).random(rows))).astype(int)
    y = table["y"].to_numpy() + 0.02 * day
    return table.set_column(table.column_names.index("y"), "y", pa.array(y)).append_column("day", pa.array(day))


def by_time(day, count, gap, held_out=0.2):
    """By their definition: which rows are trained on, and (learned, judged) of each origin."""
    first = np.sort(day)[round(len(day) * (1.0 - held_out))]
    used = day < first - gap
    ordered = np.sort(day[used])
    cuts = [ordered[len(ordered) * k // (count + 1)] for k in range(1, count + 1)]
    pairs = [(day < a - gap, (day >= a) & (day < b) & used) for a, b in pairwise([*cuts, np.inf])]
    return used, pairs, cuts


WAYS = {
    "default": {},
    "no gap": {"gap": None},
    "weights": {"weight": "weight"},
    "raw, no intercept": {"scaling": "none", "intercept": False},
    "a gap longer than a stretch": {"gap": "20", "folds": 6},
}


@pytest.mark.parametrize("settings", WAYS.values(), ids=WAYS)
def test_the_errors_at_rolling_origins_are_those_of_refits_on_earlier_rows(settings):
    table = a_series()
    settings = {"gap": "3", "folds": 4, "scaling": "standard", "intercept": True, **settings}
    model = fit(table, features=FEATURES, l2="auto", l2_path=12, time="day", **settings)
    found = model.result["cross_validation"]
    count, gap, l2 = settings["folds"], float(settings["gap"] or 0), np.array(found["l2"])
    X, y, weight = rows_of(table, weighted="weight" in settings)
    day = table["day"].to_numpy()
    used, pairs, _ = by_time(day, count, gap)
    assert (found["scheme"], found["folds"], found["repeats"]) == ("rolling_origin", count, 1)
    assert model.result["rows"]["train"] == used.sum()
    how = {name: settings[name] for name in ("scaling", "intercept")}
    wanted = [judged(X, y, weight, learn, judge, l2, **how) for learn, judge in pairs]
    squared, baseline = np.array([each for each, _ in wanted]), np.array([each for _, each in wanted])
    rmse = np.sqrt(squared)
    assert np.allclose(found["rmse"], rmse.mean(axis=0), rtol=1e-9, atol=0.0)
    assert np.allclose(found["rmse_standard_error"], rmse.std(axis=0, ddof=1) / np.sqrt(count), rtol=1e-7)
    assert found["baseline_rmse"] == pytest.approx(np.sqrt(baseline).mean(), rel=1e-9)
    best = int(np.argmin(found["rmse"]))
    assert found["chosen"] == l2[best]
    assert np.allclose(found["fold_rmse"], rmse[:, best], rtol=1e-9)
    heavy = np.array([weight[judge].sum() for _, judge in pairs])
    assert found["r2"] == pytest.approx(1.0 - heavy @ squared[:, best] / (heavy @ baseline), rel=1e-9)
    assert found["rmse_standard_error_corrected"] is None

    # nested: λ of an origin by those before it, whose judged rows are not in its gap
    chosen, errors = [], []
    for k in range(1, count):
        learn, _ = pairs[k]
        inner = [judged(X, y, weight, a, b & learn, l2, **how)[0] for a, b in pairs[:k] if np.count_nonzero(b & learn) >= 2]
        if inner:
            pick = int(np.argmin(np.sqrt(inner).mean(axis=0)))
            chosen.append(l2[pick])
            errors.append(rmse[k, pick])
    assert found["nested"]["l2"] == chosen
    assert found["nested"]["folds"] == len(chosen)
    assert found["nested"]["rmse"] == pytest.approx(np.mean(errors), rel=1e-9)


def test_no_later_row_changes_what_an_origin_says():
    """The first origins' errors are bit for bit those of a table that ends after them, but for rounding of other merges."""
    table = a_series()
    day = table["day"].to_numpy()
    _, _, cuts = by_time(day, 4, 3.0)
    a = fit(table, features=["a"], folds=4, time="day", gap="3")
    y = np.where(day >= cuts[2], 1e3 + table["y"].to_numpy() ** 3, table["y"].to_numpy())
    b = fit(table.set_column(table.column_names.index("y"), "y", pa.array(y)), features=["a"], folds=4, time="day", gap="3")
    first, second = (model.result["cross_validation"]["fold_rmse"] for model in (a, b))
    assert np.allclose(first[:2], second[:2], rtol=1e-11)
    assert not np.allclose(first[2:], second[2:], rtol=1e-2)


def test_a_gap_that_leaves_an_origin_without_rows_is_an_error():
    with pytest.raises(DataError, match=r"rolling origin 1 of 10 by 'day' has fewer than 2 training rows to learn from"):
        fit(a_series(), features=["a"], time="day", folds=10, gap="40")
    table = a_series(60).set_column(7, "day", pa.array(np.minimum(np.arange(60), 40)))
    with pytest.raises(DataError, match=r"rolling origin 6 of 8 by 'day'.* to be judged on, .*rows of one time stay together"):
        fit(table, features=["a"], time="day", folds=8, validation=0, test=0)
    with pytest.raises(DataError, match="0 of them for training"):
        fit(a_series(), features=["a"], time="day", gap="500")


def test_rows_of_the_gap_are_counted_and_add_up():
    table = a_series()
    day = table["day"].to_numpy()
    y = np.where(np.arange(700) % 10 == 0, np.nan, table["y"].to_numpy())
    holed = table.set_column(table.column_names.index("y"), "y", pa.array(y, from_pandas=True))
    for given, missing in ((table, 0), (holed, 70)):
        rows = fit(given, features=["a"], time="day", gap="5").result["rows"]
        assert rows["dropped"] == missing
        assert sum(rows[name] for name in ("train", "validation", "test", "dropped", "gap")) == rows["read"] == 700
        validation, test = (np.sort(day)[round(700 * share)] for share in (0.8, 0.9))
        within = ((day >= validation - 5) & (day < validation)) | ((day >= test - 5) & (day < test))
        assert rows["gap"] == np.count_nonzero(within & ~(np.isnan(y) if missing else False))


# ------------------------------------------------------------------------------------------------------------- repeated


@pytest.mark.parametrize("settings", [{}, {"weight": "weight"}, {"scaling": "none", "intercept": False}], ids=str)
def test_repeated_folds_are_as_many_divisions_of_one_read(settings):
    table = a_table()
    model = fit(table, features=FEATURES, l2="auto", l2_path=12, folds=4, repeats=3, seed=SEED, **settings)
    found = model.result["cross_validation"]
    used, _ = training_rows(table, 4)
    X, y, weight = (each[used] for each in rows_of(table, weighted="weight" in settings))
    how = {name: settings[name] for name in ("scaling", "intercept") if name in settings}
    l2, squared, baseline, heavy = np.array(found["l2"]), [], [], []
    for repeat in range(3):
        folds = Folds(4, SEED, repeat).assign(0, 0, len(table), None)[used]
        for k in range(4):
            own, mean = judged(X, y, weight, folds != k, folds == k, l2, **how)
            squared.append(own)
            baseline.append(mean)
            heavy.append(weight[folds == k].sum())
    rmse = np.sqrt(squared)
    assert np.allclose(found["rmse"], rmse.mean(axis=0), rtol=1e-9, atol=0.0)
    best = int(np.argmin(found["rmse"]))
    assert np.allclose(found["fold_rmse"], rmse[:, best], rtol=1e-9)
    means = rmse.reshape(3, 4, -1).mean(axis=1)
    spread = rmse.std(axis=0, ddof=1)
    assert np.allclose(found["rmse_standard_error_between_repeats"], means.std(axis=0, ddof=1) / np.sqrt(3), rtol=1e-6)
    assert np.allclose(found["rmse_standard_error_corrected"], spread * np.sqrt(1 / 12 + 1 / 3), rtol=1e-7)
    assert found["rmse_standard_error"] == found["rmse_standard_error_corrected"]
    assert found["r2"] == pytest.approx(1.0 - np.dot(heavy, np.array(squared)[:, best]) / np.dot(heavy, baseline), rel=1e-9)


def cross_validation_of(X, y, **settings):
    """What comes before the first step, without the steps."""
    config = TrainConfig.from_mapping({"target": "y", "validation": 0, "test": 0, **settings})
    source = open_source(X, read_options(config), y)
    with threadpool_limits(limits=1):
        return prepare(source, config, SerialEngine(), Progress()).cross_validation


def test_the_standard_error_of_repeats_is_that_of_other_data_sets():
    """That of independent folds falls to zero with the repeats, though no row is new; that between repeats is of the division alone."""
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(80, 8))
        each = cross_validation_of(X, X[:, 0] + rng.normal(size=80), folds=5, repeats=10, seed=seed)
        found.append([each.rmse[0], each.standard_error[0], each.between_repeats[0], each.each.std(ddof=1) / np.sqrt(50)])
    rmse, corrected, between, independent = np.array(found).T
    spread = rmse.std(ddof=1)
    assert 0.75 * spread < np.sqrt(np.mean(corrected**2)) < 1.35 * spread
    assert max(np.sqrt(np.mean(between**2)), np.sqrt(np.mean(independent**2))) < 0.4 * spread


def test_the_first_of_several_repeats_is_the_only_one_of_one():
    table = a_table()
    once, twice = (fit(table, features=FEATURES, l2=0.1, folds=5, repeats=r).result["cross_validation"] for r in (1, 2))
    assert once["fold_rmse"] == twice["fold_rmse"][:5]
    assert once["rmse_standard_error_between_repeats"] is None


# --------------------------------------------------------------------------------------------------------------- nested


@pytest.mark.parametrize("settings", [{}, {"weight": "weight"}, {"scaling": "none", "intercept": False}], ids=str)
def test_nested_selection_is_that_of_refits_without_the_fold(settings):
    table = a_table()
    model = fit(table, features=FEATURES, l2="auto", l2_path=12, folds=4, seed=SEED, **settings)
    found = model.result["cross_validation"]
    used, folds = training_rows(table, 4)
    X, y, weight = (each[used] for each in rows_of(table, weighted="weight" in settings))
    how = {name: settings[name] for name in ("scaling", "intercept") if name in settings}
    l2, chosen, squared, baseline, heavy = np.array(found["l2"]), [], [], [], []
    for k in range(4):
        inner = [judged(X, y, weight, (folds != k) & (folds != j), folds == j, l2, **how)[0] for j in range(4) if j != k]
        pick = int(np.argmin(np.sqrt(inner).mean(axis=0)))
        own, mean = judged(X, y, weight, folds != k, folds == k, l2[pick : pick + 1], **how)
        chosen.append(l2[pick])
        squared.append(own[0])
        baseline.append(mean)
        heavy.append(weight[folds == k].sum())
    nested = found["nested"]
    assert nested["l2"] == chosen
    assert nested["rmse"] == pytest.approx(np.sqrt(squared).mean(), rel=1e-9)
    assert nested["baseline_rmse"] == pytest.approx(np.sqrt(baseline).mean(), rel=1e-9)
    assert nested["r2"] == pytest.approx(1.0 - np.dot(heavy, squared) / np.dot(heavy, baseline), rel=1e-9)


def test_what_was_chosen_on_is_too_good_and_nested_selection_is_not():
    """Where nothing can be learned, the best of a hundred penalties seems to beat the mean; the nested figure does not."""
    chosen, nested = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        found = cross_validation_of(rng.normal(size=(60, 20)), rng.normal(size=60), l2="auto", folds=5, seed=seed).to_json()
        chosen.append(found["rmse"][found["l2"].index(found["chosen"])] / found["baseline_rmse"])
        nested.append(found["nested"]["rmse"] / found["nested"]["baseline_rmse"])
    assert np.mean(chosen) < 1.0
    assert np.mean(nested) > 1.0


def test_nested_selection_is_null_where_nothing_is_chosen_or_it_would_cost_too_much():
    table = a_table()
    assert fit(table, features=FEATURES, l2=0.1, folds=5).result["cross_validation"]["nested"] is None
    assert fit(table, features=FEATURES, l2="auto", folds=2).result["cross_validation"]["nested"] is None
    rng = np.random.default_rng(0)
    wide = fit(rng.normal(size=(400, 301)), rng.normal(size=400), l2="auto", l2_path=2, folds=3).result["cross_validation"]
    assert wide["nested"] is None


# ------------------------------------------------------------------------------------------------------------- one read


class CountingSource(TableSource):
    """Counts the blocks that are loaded, by the columns that were asked for."""

    def __init__(self, table):
        super().__init__(table)
        self.loaded = []

    def blocks(self, columns):
        for block in super().blocks(columns):

            def load(block=block):
                self.loaded.append(tuple(columns))
                return block.load()

            yield block._replace(load=load)


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        ({"folds": 5, "l2": "auto"}, None),
        ({"folds": 4, "repeats": 10, "l2": "auto", "learning_curve": True}, None),
        ({"learning_curve": True}, None),
        ({"time": "day", "gap": "3", "folds": 4, "l2": "auto", "learning_curve": True}, "day"),
        ({"stratify": "c", "folds": 4, "learning_curve": True}, "c"),
        ({"group": "day", "folds": 4, "learning_curve": True}, None),
    ],
    ids=str,
)
def test_all_of_it_is_from_one_read(settings, first):
    """Beside the column of times or strata, which is read before; each block once."""
    table = pa.concat_tables([a_series(70_000, seed) for seed in range(4)])
    source = CountingSource(table)
    blocks = sum(1 for _ in source.blocks(["a"]))
    assert blocks > 1
    config = TrainConfig.from_mapping({"target": "y", "features": FEATURES, "assess": "no", **settings})
    run(source, config)
    before = [columns for columns in source.loaded if columns == (first,)]
    assert len(before) == (blocks if first else 0)
    assert len(source.loaded) - len(before) == blocks

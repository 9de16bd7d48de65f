"""Units: with the rows' roles fixed, the fit does not depend on how the same table is written.

A power of two changes no bit. Any other factor, a shift, another order of rows, columns or blocks, each row twice or with
weight 2, changes nothing past the digits that the rounded data hold, which `trusted_digits` counts. The bound, from its
definition: standardised coefficients of either fit are within E = 10^−digits · max_k |w_k|s_k of those of the exact data, so that

    |f_a(x) − f_b(x)| ≤ (E_a + E_b) Σ_j |z_j| + (c_a + c_b) s_y + rounding of f itself,     z_j = (x_j − mean_j)/s_j

with c the certified distance of the coefficients (b's among them) in deviations s_y of the target.
"""

from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import gradline as gl
from gradline.errors import DataError
from tables import fit, predicted, write_parquet

EPSILON = np.finfo(float).eps
HERE = settings(deadline=None, max_examples=20, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
ALL = {"validation": 0.0, "test": 0.0}  # every row trains: the order decides no role
KEYED = {"key": "id", "validation": 0.2, "test": 0.2}
CATEGORY = "c"


@st.composite
def problems(draw, most_kappa=1e5):
    """A table of 2 to 5 numbers with condition of X up to `most_kappa`, offsets up to 1e6 deviations, a category, a key and y."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    p, rows = draw(st.integers(2, 5)), draw(st.integers(60, 400))
    Z = rng.normal(size=(rows, p))
    if draw(st.booleans()):
        Z[:, 1] = Z[:, 0] + Z[:, 1] / draw(st.sampled_from([1e1, 1e3, most_kappa]))
    X = Z + np.where(rng.random(p) < 0.4, 10.0 ** rng.integers(0, 7, p), 0.0)
    level = rng.choice(["a", "b", "c"], rows)
    y = Z @ rng.normal(size=p) + 2.0 * (level == "b") + draw(st.sampled_from([0.01, 1.0, 10.0])) * rng.normal(size=rows)
    y += draw(st.sampled_from([0.0, 1e3]))
    columns = {f"x{j}": X[:, j] for j in range(p)}
    return pa.table({**columns, CATEGORY: level.tolist(), "id": rng.permutation(rows).astype(np.int64), "y": y})


def numbers(table):
    return [name for name in table.column_names if name.startswith("x")]


def changed(table, columns):
    """The table with some columns replaced."""
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    return table


def scaled(table, factors, shift=None):
    shift = shift or {}
    return changed(table, {n: table[n].to_numpy() * f + shift.get(n, 0.0) for n, f in factors.items()})


def allowed(model, table):
    """What predictions may be off on each row by this fit's own account, (n,)."""
    assume(model.certificate.trusted_digits is not None)
    features = model.representation.features
    slopes = np.array([model.coefficients[f.name] for f in features])
    deviation, mean = (np.array([getattr(f, what) for f in features]) for what in ("deviation", "mean"))
    X = np.empty((table.num_rows, len(features)))
    for j, feature in enumerate(features):
        X[:, j] = np.array(table[CATEGORY]) == feature.level if feature.column == CATEGORY else table[feature.column].to_numpy()
    y = table["y"].to_numpy()
    effects = np.abs(slopes) * deviation
    error = 10.0**-model.certificate.trusted_digits * effects.max()
    rounding = 4.0 * EPSILON * ((np.abs(X) + np.abs(mean)) @ np.abs(slopes) + abs(y.mean()) + np.ptp(y))
    coefficient = (model.certificate.coefficient_error or 0.0) * y.std()
    return error * (np.abs(X - mean) / deviation).sum(axis=1) + coefficient + len(features) * rounding


def assert_equal_predictions(a, table_a, b, table_b, order=None):
    """Of two fits on the same rows: within what both allow."""
    order = np.arange(table_a.num_rows) if order is None else order
    difference = np.abs(predicted(a, table_a)[order] - predicted(b, table_b))
    bound = allowed(a, table_a)[order] + allowed(b, table_b)
    assert np.all(difference <= bound), (difference / bound).max()
    assert a.result["rows"]["train"] > 2


# ------------------------------------------------------------------------------------------------------- powers of two

RULES = {
    "moments": {},
    "no intercept": {"intercept": False},
    "l2": {"l2": 0.3},
    "lasso": {"l1": 0.1},
    "cross-validation": {"l2": "auto", "folds": 3},
    "streamed": {"oracle": "streamed", "max_steps": 5},
    "mini-batches": {"oracle": "minibatch", "max_steps": 50},
    "huber": {"loss": "huber"},
    "pinball": {"loss": "pinball", "l2": 0.1},
    "weights": {"weight": "id"},
    "gradient descent": {"optimizer": "gradient_descent", "max_steps": 200},
    "l-bfgs": {"optimizer": "lbfgs", "max_steps": 50},
    "adam": {"optimizer": "adam", "max_steps": 50},
    "keyed": KEYED,
}


@pytest.mark.parametrize("how", RULES)
@given(data=st.data())
@settings(HERE, max_examples=4)
def test_a_power_of_two_changes_no_bit_of_the_predictions(how, data):
    table = data.draw(problems(1e2))
    config = {**ALL, "drop": () if how in ("weights", "keyed") else ("id",), **RULES[how]}
    powers = {name: data.draw(st.integers(-400, 400), label=name) for name in numbers(table)}
    other = scaled(table, {name: 2.0**k for name, k in powers.items()})
    a, b = fit(table, **config), fit(other, **config)
    assert np.array_equal(predicted(a, table), predicted(b, other))
    assert a.intercept == b.intercept
    for name, value in a.coefficients.items():
        assert b.coefficients[name] == value / 2.0 ** powers.get(name, 0)
    assert a.result["certificate"] == b.result["certificate"]
    assert a.result["metrics"] == b.result["metrics"]


@pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")
@pytest.mark.parametrize("way", ["sparse", "wide"])
def test_a_power_of_two_changes_no_bit_where_the_rows_are_kept(way, monkeypatch):
    """Of a sparse matrix, and of a table with too many columns for moments."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(80, 6)) * (rng.random((80, 6)) < 0.5)
    y = X.sum(axis=1) + rng.normal(size=80)
    factors = 2.0 ** np.array([-300, 0, 17, 300, -1, 60])
    found = []
    for values in (X, X * factors):
        if way == "sparse":
            model = gl.train(scipy.sparse.csr_array(values), y, **ALL)
            found.append((model.predict(scipy.sparse.csr_array(values)), list(model.coefficients.values())))
        else:
            monkeypatch.setattr("gradline.training.dense.MOST_FEATURES", 5)
            model = gl.train(values, y, l2=0.1, **ALL)
            assert model.certificate.kind != "exact"
            found.append((model.predict(values), list(model.coefficients.values())))
    assert np.array_equal(found[0][0], found[1][0])
    assert np.array_equal(found[0][1], np.array(found[1][1]) * factors)


@given(table=problems(), k=st.integers(-400, 400))
@HERE
def test_a_power_of_two_of_the_target_scales_the_predictions_by_it(table, k):
    a, b = fit(table, **KEYED), fit(scaled(table, {"y": 2.0**k}), **KEYED)
    assert np.array_equal(predicted(a, table) * 2.0**k, predicted(b, table))
    assert a.certificate.trusted_digits == b.certificate.trusted_digits
    assert a.certificate.relative_gap == pytest.approx(b.certificate.relative_gap)


@pytest.mark.parametrize("k", [-1000, -540, -520, -480, 520, 1000])
@pytest.mark.parametrize("column", ["x1", "y"])
def test_where_the_squares_are_no_float64_the_column_is_refused(column, k):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 2))
    table = pa.table({"x0": X[:, 0], "x1": X[:, 1], "y": X @ [1.0, 2.0] + rng.normal(size=50)})
    other = scaled(table, {column: 2.0**k})
    with pytest.raises(DataError, match=rf"'{column}'.* squares (vanish in|overflow) float64.*unit"):
        fit(other, **ALL)


# ---------------------------------------------------------------------------------------------- other units and offsets


@given(table=problems(), data=st.data())
@HERE
def test_other_units_change_nothing_past_the_trusted_digits(table, data):
    factor = st.floats(-12, 12).map(lambda e: 10.0**e)
    other = scaled(table, {name: data.draw(factor) for name in numbers(table)})
    assert_equal_predictions(fit(table, **KEYED), table, fit(other, **KEYED), other)


@given(table=problems(), sign=st.lists(st.sampled_from([-1.0, 1.0]), min_size=5, max_size=5))
@HERE
def test_the_other_sign_changes_nothing_past_the_trusted_digits(table, sign):
    other = scaled(table, dict(zip(numbers(table), sign, strict=False)))
    assert_equal_predictions(fit(table, **KEYED), table, fit(other, **KEYED), other)


@given(table=problems(1e3), data=st.data())
@HERE
def test_a_shift_changes_nothing_past_the_trusted_digits(table, data):
    names = numbers(table)
    shift = {name: data.draw(st.sampled_from([0.0, 1.0, -32.5, 1e4, -1e6, 1e9])) for name in names}
    other = scaled(table, dict.fromkeys(names, 1.0), shift)
    assert_equal_predictions(fit(table, **KEYED), table, fit(other, **KEYED), other)


@given(table=problems(), factor=st.floats(-12, 12).map(lambda e: 10.0**e))
@HERE
def test_another_unit_of_the_target_scales_the_predictions(table, factor):
    other = scaled(table, {"y": factor})
    a, b = fit(table, **KEYED), fit(other, **KEYED)
    difference = np.abs(predicted(a, table) - predicted(b, other) / factor)
    assert np.all(difference <= allowed(a, table) + allowed(b, other) / factor)


# ------------------------------------------------------------------------------------------------- order and repetition


@given(table=problems(), seed=st.integers(0, 2**32 - 1))
@HERE
def test_the_order_of_the_rows_changes_nothing_past_the_trusted_digits(table, seed):
    order = np.random.default_rng(seed).permutation(table.num_rows)
    other = table.take(pa.array(order))
    a, b = fit(table, **KEYED), fit(other, **KEYED)
    assert a.result["rows"] == b.result["rows"]
    assert_equal_predictions(a, table, b, other, order)


@given(table=problems(), random=st.randoms(use_true_random=False))
@HERE
def test_the_order_of_the_columns_changes_nothing_past_the_trusted_digits(table, random):
    names = list(table.column_names)
    random.shuffle(names)
    other = table.select(names)
    assert_equal_predictions(fit(table, **KEYED), table, fit(other, **KEYED), other)


@given(table=problems(), rows=st.integers(1, 100))
@HERE
def test_the_height_of_the_blocks_changes_nothing_past_the_trusted_digits(table, rows):
    a = fit(table, **ALL)
    with mock.patch("gradline.inputs.memory.block_rows", return_value=rows):
        b = fit(table, **ALL)
    assert_equal_predictions(a, table, b, table)


@given(table=problems(), cut=st.floats(0.05, 0.95))
@settings(HERE, max_examples=8)
def test_the_order_of_the_files_changes_nothing_past_the_trusted_digits(table, cut, tmp_path):
    at = int(cut * table.num_rows)
    parts = [table.slice(0, at), table.slice(at)]
    models = []
    for folder, order in (("ab", parts), ("ba", parts[::-1])):
        for name, part in zip("ab", order, strict=True):
            write_parquet(part, tmp_path / folder / f"{name}.parquet")
        models.append(fit(tmp_path / folder, **KEYED))
    assert models[0].result["rows"] == models[1].result["rows"]
    assert_equal_predictions(models[0], table, models[1], table)


@given(table=problems(), times=st.sampled_from([2, 3]))
@HERE
def test_each_row_repeated_is_its_weight_and_changes_nothing_past_the_trusted_digits(table, times):
    repeated = table.take(pa.array(np.repeat(np.arange(table.num_rows), times)))
    weighted = table.append_column("w", [np.full(table.num_rows, float(times))])
    plain, more, heavy = fit(table, **KEYED), fit(repeated, **KEYED), fit(weighted, weight="w", **KEYED)
    assert more.result["rows"]["train"] == times * plain.result["rows"]["train"]
    assert_equal_predictions(plain, table, more, table)
    assert_equal_predictions(plain, table, heavy, table)


# -------------------------------------------------------------------------------------------------------- collinear columns


@given(seed=st.integers(0, 2**32 - 1), factors=st.lists(st.floats(-12, 12), min_size=3, max_size=3))
@HERE
def test_collinear_columns_are_collinear_in_any_unit_and_predict_the_same(seed, factors):
    """x2 = x0 + x1. What is left of the condition is that of two independent columns, so that a rounding of the data moves
    the predictions by a few of their last bits only; the loop may stop 1e-10 deviations of the target off in each coefficient.
    """
    rng = np.random.default_rng(seed)
    X = rng.integers(-50, 50, size=(80, 2)).astype(float)
    y = X @ [1.0, -2.0] + rng.normal(size=80)
    table = pa.table({"x0": X[:, 0], "x1": X[:, 1], "x2": X.sum(axis=1), "y": y})
    other = scaled(table, {f"x{j}": 10.0**e for j, e in enumerate(factors)})
    a, b = fit(table, **ALL), fit(other, **ALL)
    for model in (a, b):
        assert model.certificate.trusted_digits is None
        assert "collinear" in {notice.code for notice in model.notices}
    distance = np.abs(predicted(a, table) - predicted(b, other)).max()
    largest = (np.abs(X - X.mean(axis=0)) / X.std(axis=0)).sum(axis=1).max()
    assert distance <= 2 * 2e-10 * y.std() * 2 * largest

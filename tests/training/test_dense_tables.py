"""Tables of columns with more features than have moments: the same rows and features, and a proof by the penalty."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gradline
import gradline.api
from gradline.errors import DataError, UsageError
from gradline.oracles import minibatch as kept
from gradline.planning import plan
from gradline.training import dense
from gradline.training.stopping import StopReason
from gradline.types import Role
from reference import SerialEngine, ShuffledEngine

pytestmark = pytest.mark.filterwarnings("ignore::gradline.GradlineWarning")


@pytest.fixture
def wide(monkeypatch):
    """Every table is wide."""
    monkeypatch.setattr(dense, "MOST_FEATURES", 1)


def table(seed=0, m=900, p=20):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, p)) * rng.uniform(0.1, 10.0, p) + rng.normal(size=p) * 5.0
    return X, X @ rng.normal(size=p) + rng.normal(size=m)


def mixed(seed=0, m=900):
    """Numbers with missing values, a category with rare and missing levels, a date, a weight, a key."""
    X, y = table(seed, m, 6)
    rng = np.random.default_rng(seed + 1)
    columns = {f"x{j}": X[:, j] for j in range(6)}
    columns["x1"] = [None if r < 0.2 else v for v, r in zip(X[:, 1], rng.random(m), strict=True)]
    columns["k"] = [None if r == 0 else f"level {r}" for r in np.minimum(rng.geometric(0.3, m) - 1, 9)]
    columns["day"] = np.datetime64("2024-01-01") + rng.integers(0, 300, m)
    columns["w"] = rng.integers(0, 4, m).astype(float)
    columns["id"] = np.arange(m) // 3
    columns["y"] = [None if r < 0.05 else v for v, r in zip(y, rng.random(m), strict=True)]
    return pa.table(columns)


def values(model):
    return np.array(list(model.coefficients.values()))


def both(monkeypatch, data, *args, **settings):
    """The model of the moments, and that of the kept rows."""
    exact = gradline.train(data, *args, **settings)
    with monkeypatch.context() as patch:
        patch.setattr(dense, "MOST_FEATURES", 1)
        return exact, gradline.train(data, *args, **settings)


SETTINGS = [
    {},
    {"scaling": "none", "drop": ("w", "id", "day")},
    {"intercept": False},
    {"weight": "w"},
    {"weight": "w", "group": "id"},
    {"missing": "drop"},
    {"time": "day"},
    {"features": ("x1", "k", "day")},
    {"max_levels": 3},
    {"optimizer": "gradient_descent"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_same_model_as_of_the_moments(monkeypatch, settings):
    exact, model = both(monkeypatch, mixed(), "y", l2=0.05, max_steps=4_000, **settings)
    assert list(model.coefficients) == list(exact.coefficients)
    assert model.result["rows"] == exact.result["rows"]
    assert model.plan["oracle"] == "streamed"
    assert model.plan["coordinates"] == exact.plan["coordinates"]
    assert "too many for moments" in model.plan["reasons"][0]
    assert "means and deviations" in model.plan["stages"][0]
    np.testing.assert_allclose(model.coordinates.mean, exact.coordinates.mean, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(model.coordinates.deviation, exact.coordinates.deviation, rtol=1e-9)
    assert model.stop_reason is StopReason.GAP
    certificate = model.certificate
    assert certificate.kind == "duality_gap"
    assert certificate.relative_gap <= 1e-8
    missing = certificate.objective - exact.certificate.minimum
    assert -1e-12 * exact.certificate.objective <= missing <= certificate.gap * (1.0 + 1e-6)
    effect = model.coordinates.deviation * np.abs(values(model) - values(exact))
    assert effect.max() <= 1e-3 * (model.coordinates.deviation * np.abs(values(exact))).max()
    for role in ("train", "validation", "test"):
        assert model.metrics[role]["rmse"] == pytest.approx(exact.metrics[role]["rmse"], rel=1e-4)
        assert model.metrics["baseline"][role]["rmse"] == pytest.approx(exact.metrics["baseline"][role]["rmse"], rel=1e-12)
    assert list(model.contract.columns) == list(exact.contract.columns)
    assert model.contract.to_json() == exact.contract.to_json()
    assert model.representation.schemes == exact.representation.schemes
    told = {notice.message for notice in exact.notices if notice.code.startswith(("left_out", "grouped"))}
    assert told <= {notice.message for notice in model.notices}


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [True, False])
def test_the_coefficients_are_those_of_ridge(intercept, weighted):
    X, y = table()
    X = np.abs(X) if weighted else X
    settings = {"weight": "x0"} if weighted else {"drop": ("x0",)}
    model = gradline.train(
        X, y, l2=0.02, scaling="none", intercept=intercept, validation=0, test=0, tolerance=1e-14, stop="gradient", **settings
    )
    weight = X[:, 0] if weighted else np.ones(len(y))
    A = np.column_stack([X[:, 1:], np.ones(len(y))]) if intercept else X[:, 1:]
    penalty = 0.02 * np.append(np.ones(19), np.zeros(int(intercept))) * weight.sum()
    expected = np.linalg.solve((A * weight[:, None]).T @ A + np.diag(penalty), A.T @ (weight * y))
    np.testing.assert_allclose(values(model), expected[:19], rtol=1e-6)
    if intercept:
        assert model.intercept == pytest.approx(expected[19], rel=1e-6)
    residual = A @ expected - y
    minimum = 0.5 * np.average(residual**2, weights=weight) + 0.01 * float(expected[:19] @ expected[:19])
    assert model.certificate.minimum <= minimum * (1.0 + 1e-12)
    assert model.certificate.objective == pytest.approx(minimum, rel=1e-9)


@pytest.mark.usefixtures("wide")
def test_without_a_penalty_it_is_least_squares_and_nothing_is_proved():
    X, y = table()
    model = gradline.train(X, y, validation=0, test=0)
    expected = np.linalg.lstsq(np.column_stack([X, np.ones(len(y))]), y, rcond=None)[0]
    np.testing.assert_allclose(values(model), expected[:-1], rtol=1e-6)
    assert model.certificate.kind == "none"
    assert "no_certificate" in [notice.code for notice in model.notices]


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize(
    "settings", [{"oracle": "minibatch", "max_epochs": 30}, {"loss": "huber"}, {"loss": "pinball", "quantile": 0.7}], ids=str
)
def test_mini_batches_and_other_losses(settings):
    X, y = table()
    model = gradline.train(X, y, l2=0.05, **settings)
    history = model.history.to_pydict()
    assert model.certificate.kind == "duality_gap"
    assert model.certificate.relative_gap < 0.05 * history["relative_gap"][0]
    assert "means and deviations" in model.plan["stages"][0]


@pytest.mark.usefixtures("wide")
def test_threads_formats_and_blocks_of_the_rows_do_not_change_a_bit(monkeypatch, tmp_path):
    X, y = table(m=3_000)
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 128)
    monkeypatch.setattr(kept, "PART_ROWS", 256)
    data = pa.table({**{f"x{j}": X[:, j] for j in range(20)}, "y": y})
    pq.write_table(data, tmp_path / "t.parquet", row_group_size=700)
    found = [gradline.train(X, y, l2=0.1), gradline.train(tmp_path / "t.parquet", "y", l2=0.1, threads=3)]
    for engine in (SerialEngine(), ShuffledEngine(0)):
        monkeypatch.setattr(gradline.api, "ThreadEngine", lambda _, engine=engine: engine)
        found.append(gradline.train(data, "y", l2=0.1))
    for model in found[1:]:
        np.testing.assert_array_equal(model.theta, found[0].theta)
        assert model.certificate == found[0].certificate
        assert model.metrics == found[0].metrics


@pytest.mark.usefixtures("wide")
def test_rows_that_are_kept_in_files_are_the_same(monkeypatch):
    X, y = table()
    memory = gradline.train(X, y, l2=0.1)
    monkeypatch.setattr(kept, "MOST_IN_MEMORY", 600)
    np.testing.assert_array_equal(gradline.train(X, y, l2=0.1).theta, memory.theta)


@pytest.mark.usefixtures("wide")
def test_several_targets_share_the_first_read():
    X, y = table()
    Y = np.column_stack([y, X[:, 3] - 0.1 * y])
    models = gradline.train(X, Y, l2=0.1)
    alone = gradline.train(X, y, l2=0.1)
    np.testing.assert_allclose(values(models["y0"]), values(alone), rtol=1e-9)
    assert models["y1"].metrics["train"]["r2"] > 0.5


@pytest.mark.usefixtures("wide")
def test_a_saved_model_predicts_evaluates_and_reports(tmp_path):
    data = mixed()
    model = gradline.train(data, "y", l2=0.05, weight="w", out=tmp_path / "run")
    again = gradline.load(tmp_path / "run")
    np.testing.assert_array_equal(model.predict(data), again.predict(data))
    assert again.coefficients == model.coefficients
    assert again.moments[Role.TRAINING].rows == model.result["rows"]["train"]
    assert again.moments[Role.TRAINING].comoment.shape == (1, 1)
    found = gradline.api.evaluate(again, data)
    assert found["metrics"]["rmse"] == pytest.approx(model.metrics["train"]["rmse"], rel=0.1)
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    assert len(model.sampled.actual) > 100


@pytest.mark.usefixtures("wide")
def test_the_plan_alone_is_that_of_the_run():
    X, y = table()
    data = pa.table({**{f"x{j}": X[:, j] for j in range(20)}, "y": y})
    document = plan(data, "y", l2=0.05)
    assert document["plan"] == gradline.train(data, "y", l2=0.05).plan
    assert all(row["predicted_seconds"] is None or row["predicted_seconds"] >= 0.0 for row in document["candidates"])


@pytest.mark.usefixtures("wide")
def test_an_interrupted_run_goes_on_with_the_same_bits(tmp_path):
    X, y = table()
    whole = gradline.train(X, y, l2=0.05, max_steps=9)
    gradline.train(X, y, l2=0.05, max_steps=4, out=tmp_path / "run", checkpoint_steps=1)
    resumed = gradline.train(X, y, l2=0.05, max_steps=9, out=tmp_path / "run", checkpoint_steps=1, resume=True)
    np.testing.assert_array_equal(whole.theta, resumed.theta)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"oracle": "moments"}, r"no \(p, p\) matrix"),
        ({"l1": 0.1}, r"no \(p, p\) matrix"),
        ({"loss": "huber"}, r"no \(p, p\) matrix"),
        ({"log_target": True}, "--log-target"),
        ({"folds": 3}, "cross-validation is from moments"),
        ({"l2": "auto"}, "cross-validation is from moments"),
    ],
)
def test_what_needs_moments_is_refused_before_the_read(settings, match):
    X, y = table()
    with pytest.raises(UsageError, match=match):
        gradline.train(X, np.exp(y / 100.0), **settings)


@pytest.mark.usefixtures("wide")
def test_what_can_be_read_only_once_is_refused():
    data = mixed()
    with pytest.raises(UsageError, match="read only once"):
        gradline.train(data.to_reader(), "y")


@pytest.mark.usefixtures("wide")
def test_values_that_no_model_can_have_are_refused():
    X, y = table()
    for wrong, match in ((np.inf, "infinite"), (1e200, "overflow"), (np.nan, "null in every training row")):
        Z = X.copy()
        Z[:, 4] = wrong if np.isnan(wrong) else np.where(np.arange(len(y)) == 7, wrong, X[:, 4])
        with pytest.raises(DataError, match=match):
            gradline.train(Z, y, validation=0, test=0)
    with pytest.raises(DataError, match="no rows"):
        gradline.train(X[:0], y[:0])
    with pytest.raises(DataError, match="all 900 rows were dropped"):
        gradline.train(X, np.full(900, np.nan))


def test_nothing_of_p_by_p_is_allocated(monkeypatch):
    monkeypatch.setattr(dense, "MOST_FEATURES", 100)
    p = 3_000
    X, y = table(m=400, p=p)
    tracemalloc.start()
    model = gradline.train(X, y, l2=1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert model.certificate.relative_gap <= 1e-8
    assert peak < 8 * p * p


def test_parts_of_many_columns_are_smaller():
    y = np.zeros(5_000)
    store = kept.ExampleStore.of([kept.Examples(np.zeros((5_000, 2_000)), y, None)], 5_000, 2_000, weighted=False)
    parts = store.parts()
    assert len(parts) == 3
    assert [row for part in parts for row in part] == list(range(5_000))

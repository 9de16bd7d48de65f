"""Several targets: one read of the data, and of each target the model that a table without the others gives."""

import warnings

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import gradline as gl
from gradline.errors import DataError, SourceError, UsageError
from gradline.inputs.memory import ArraySource, TableSource
from gradline.training import survey as surveys
from tables import OTHER_BLOCKS, assert_same_model, leftovers, mixed, simple, write_csv, write_ndjson, write_parquet
from tables import fit as fit_one

TARGETS = ["y", "a_z"]  # in this order, which is not that of their names
PLAIN = ["id", "count", "flag"]


def fit(data, target, **settings):
    """`gradline.train` without the Python warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gl.GradlineWarning)
        return gl.train(data, target, **settings)


def two_targets(rows=500, seed=0):
    """Columns of every kind, and two targets that are missing in other rows; both are positive."""
    table, rng = mixed(rows, seed), np.random.default_rng(seed + 100)
    z = 30.0 + 0.2 * np.asarray(table["count"]) + np.asarray(table["id"]) / 500 + rng.normal(size=rows)
    holes = rng.random(rows) < 0.07
    table = table.append_column("a_z", pa.array(np.where(holes, np.nan, z)))
    return table.set_column(table.column_names.index("y"), "y", pc.add(table["y"], 150.0))


def alone(table, target, other):
    """The table without the other target: the target is missing where the other was."""
    y = np.where(np.isnan(table[other].to_numpy()), np.nan, table[target].to_numpy())
    table = table.drop_columns([other])
    return table.set_column(table.column_names.index(target), target, pa.array(y))


def shared(models):
    """Whether the models are of the same rows in the same roles."""
    first, *rest = models.values()
    return all(np.array_equal(m.sampled.roles, first.sampled.roles) and m.result["rows"] == first.result["rows"] for m in rest)


# ------------------------------------------------------------------------------------------- equal to one at a time

ROUNDING = 1e-12  # a matrix product's bits depend on its size
WAYS = {
    "default": {},
    "drop": {"missing": "drop"},
    "key": {"key": "id"},
    "time": {"time": "moment"},
    "weight": {"weight": "id"},
    "l2, raw": {"features": PLAIN, "scaling": "none", "l2": 0.1},
    "no intercept": {"intercept": False, "features": PLAIN},
    "log": {"log_target": True},
    "l1": {"l1": 0.05},
    "huber": {"loss": "huber"},
    "pinball": {"loss": "pinball", "quantile": 0.8, "features": PLAIN},
    "streamed": {"oracle": "streamed", "features": PLAIN},
    "minibatch": {"oracle": "minibatch", "max_steps": 60, "weight": "id"},
    "validation": {"stop": ["validation"], "optimizer": "gradient_descent", "max_steps": 50},
}


@pytest.mark.parametrize("settings", WAYS.values(), ids=WAYS)
def test_each_model_is_that_of_the_table_without_the_other_targets(settings):
    table = two_targets()
    models = fit(table, TARGETS, **settings)
    assert list(models) == TARGETS
    assert shared(models)
    for target, other in zip(TARGETS, reversed(TARGETS), strict=True):
        expected = fit_one(alone(table, target, other), target, **settings)
        assert expected.result["rows"]["dropped"] > 40
        found = models[target]
        assert_same_model(found, expected, 1e-11 if settings.get("loss") == "huber" else ROUNDING)
        assert other not in found.contract.columns
        assert found.certificate.kind == expected.certificate.kind
        for name in ("objective", "minimum", "curvature_max", "condition"):
            value = expected.result["certificate"][name]
            assert found.result["certificate"][name] == (value if value is None else pytest.approx(value, rel=1e-9))
        assert found.result["plan"]["reasons"] == expected.result["plan"]["reasons"]
        assert found.stop_reason is expected.stop_reason
        assert found.metrics["train"]["rmse"] == pytest.approx(expected.metrics["train"]["rmse"], rel=1e-9)
        assert [w["code"] for w in found.warnings] == [w["code"] for w in expected.warnings]


def test_each_is_the_least_squares_of_the_rows_that_have_all_targets():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(300, 4)) + np.array([0.0, 1.0, -3.0, 100.0])
    Y = X @ rng.normal(size=(4, 3)) + rng.normal(size=(300, 3)) * [0.1, 1.0, 10.0]
    Y[rng.random(Y.shape) < 0.05] = np.nan
    models = fit(X, Y, validation=0, test=0)
    whole = np.isfinite(Y).all(axis=1)
    expected, *_ = np.linalg.lstsq(np.column_stack([X[whole], np.ones(whole.sum())]), Y[whole], rcond=None)
    assert list(models) == ["y0", "y1", "y2"]
    for model, theta in zip(models.values(), expected.T, strict=True):
        assert list(model.coefficients.values()) == pytest.approx(theta[:-1], rel=1e-8)
        assert model.intercept == pytest.approx(theta[-1], rel=1e-6)
        assert model.result["rows"] == {
            "read": 300,
            "train": whole.sum(),
            "validation": 0,
            "test": 0,
            "dropped": (~whole).sum(),
            "gap": 0,
        }
        assert model.certificate.relative_gap <= 1e-12


def test_one_of_them_by_itself_has_the_bits_of_the_run_of_all():
    rng = np.random.default_rng(6)  # of ten features and three targets: there the order of the columns decides the bits
    X, Y, weight = rng.normal(size=(700, 10)), rng.normal(size=(700, 3)), rng.random(700)
    table = pa.table([*X.T, *Y.T, weight], names=[*(f"x{j}" for j in range(10)), "b", "a", "c", "w"])
    together, turned = fit(table, ["b", "a", "c"], weight="w"), fit(table, ["c", "a", "b"], weight="w")
    for target, others in {"a": ["c", "b"], "b": ["a", "c"], "c": ["b", "a"]}.items():
        one = fit_one(table, target, other_targets=others, weight="w")
        assert np.array_equal(one.theta, together[target].theta)
        assert np.array_equal(one.theta, turned[target].theta)
        assert one.certificate == together[target].certificate
        assert one.metrics == together[target].metrics


def test_a_crowded_category_is_grouped_for_all_of_them(monkeypatch):
    monkeypatch.setattr(surveys, "MOST_RAW_LEVELS", 50)
    rng = np.random.default_rng(15)
    codes, x = rng.permutation(np.repeat(np.arange(80), 20)), rng.normal(size=1600)
    y, z = x + codes / 10 + rng.normal(size=1600), x - codes / 20 + rng.normal(size=1600)
    table = pa.table({"c": [f"k{v:03d}" for v in codes], "x": x, "y": y, "z": z})
    for target, model in fit(table, ["y", "z"]).items():
        assert_same_model(model, fit_one(table.select(["c", "x", target]), target))
        assert model.result["plan"]["stages"][0].startswith("two reads")


@pytest.mark.parametrize("write", [write_csv, write_ndjson, write_parquet])
def test_files_are_as_tables(write, tmp_path):
    table = two_targets()
    path = write(table, tmp_path / f"t.{write.__name__.removeprefix('write_')}")
    expected = fit(table, TARGETS, drop=["id", "day", "moment"])
    for target, model in fit(path, TARGETS, drop=["id", "day", "moment"]).items():
        assert_same_model(model, expected[target], OTHER_BLOCKS)


# ------------------------------------------------------------------------------------------- one read


@pytest.fixture
def reads(monkeypatch):
    """How often a table was read, and for which columns."""
    seen, blocks = [], TableSource.blocks
    monkeypatch.setattr(TableSource, "blocks", lambda self, columns: seen.append(set(columns)) or blocks(self, columns))
    return seen


def test_the_data_are_read_once_for_all_targets(reads):
    table = two_targets()
    fit(table, TARGETS, assess="no")
    assert reads == [set(table.column_names)]


def test_a_stream_that_can_be_read_once_is_enough():
    table = two_targets()
    expected = fit(table, TARGETS)
    for target, model in fit(table.to_reader(), TARGETS).items():
        assert np.array_equal(model.theta, expected[target].theta)


def test_each_targets_own_oracle_reads_again(reads):
    fit(two_targets(), TARGETS, loss="huber", validation=0, assess="no")
    assert len(reads) == 1 + 2


def test_a_step_for_all_rows_in_many_blocks_gives_the_same_model(tmp_path):
    table = two_targets()
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=60)
    expected = fit(table, TARGETS)
    for target, model in fit(tmp_path / "t.parquet", TARGETS).items():
        assert_same_model(model, expected[target], OTHER_BLOCKS)


# ------------------------------------------------------------------------------------------- how it is asked for


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    return X, X @ np.array([[1.0, -2.0, 0.0], [0.5, 3.0, 1.0]]) + 0.1 * rng.normal(size=(200, 3))


def test_an_array_of_targets_is_y0_y1_beside_an_array_or_a_table(arrays):
    X, Y = arrays
    models = gl.train(X, Y)
    beside = gl.train(pa.table({"x0": X[:, 0], "x1": X[:, 1]}), Y)
    named = gl.train(pa.table({"x0": X[:, 0], "x1": X[:, 1], **{f"y{j}": Y[:, j] for j in range(3)}}), ["y0", "y1", "y2"])
    assert list(models) == list(beside) == list(named) == ["y0", "y1", "y2"]
    for j, (name, model) in enumerate(models.items()):
        assert model.contract.target == name
        assert list(model.coefficients) == ["x0", "x1"]
        assert np.array_equal(model.theta, beside[name].theta)
        assert np.array_equal(model.theta, named[name].theta)
        assert_same_model(model, gl.train(X, Y[:, j]))


def test_one_column_of_targets_is_one_target_and_a_list_of_one_name_is_a_dict(arrays):
    X, Y = arrays
    one = gl.train(X, Y[:, 0])
    assert np.array_equal(gl.train(X, Y[:, :1]).theta, one.theta)
    assert np.array_equal(gl.train(pa.table({"x0": X[:, 0], "x1": X[:, 1]}), Y[:, :1]).theta, one.theta)
    table = simple()
    listed = gl.train(table, ["y"])
    assert list(listed) == ["y"]
    assert np.array_equal(listed["y"].theta, gl.train(table, "y").theta)
    assert "other_targets" not in listed["y"].config


def test_each_model_predicts_evaluates_saves_and_loads_by_itself(arrays, tmp_path):
    X, Y = arrays
    for j, (name, model) in enumerate(gl.train(X, Y).items()):
        model.save(tmp_path / name)
        inside = 0.5 * X + 0.5 * X.mean(axis=0)
        assert np.array_equal(gl.load(tmp_path / name).predict(inside), model.predict(inside))
        new = pa.table({"x0": X[:, 0], "x1": X[:, 1], name: Y[:, j]})  # the other targets are not needed
        assert gl.evaluate(model, new)["metrics"]["rmse"] < 0.2


def test_doubts_say_which_target_they_are_of(arrays):
    X, Y = arrays
    with pytest.warns(gl.GradlineWarning) as told:
        models = gl.train(np.column_stack([X, X[:, 0]]), Y)
    assert [str(w.message) for w in told] == [f"{n}: {w['message']}" for n, m in models.items() for w in m.warnings]
    assert all(w.filename == __file__ for w in told)


def test_runs_are_written_each_to_its_own_directory(arrays, tmp_path, monkeypatch):
    X, Y = arrays
    monkeypatch.chdir(tmp_path)
    settings = {"out": "out", "optimizer": "gradient_descent", "checkpoint_steps": 1}
    models = gl.train(X, Y, **settings)
    for _ in range(2):  # again over the old ones
        assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["y0", "y1", "y2"]
        for name, model in models.items():
            assert np.array_equal(gl.load(f"out/{name}").theta, model.theta)
            assert gl.load(f"out/{name}").config["other_targets"] == [n for n in models if n != name]
        gl.train(X, Y, **settings)
    assert leftovers(tmp_path) == []


def test_types_units_and_logs_are_of_every_target():
    table = two_targets().drop_columns(["word"])
    text = table.set_column(table.column_names.index("a_z"), "a_z", pc.cast(table["a_z"], pa.string()))
    models = fit(text, TARGETS, types={"a_z": "number"}, units={"y": "m", "a_z": "kg"}, log_target=True)
    assert {name: model.contract.target_unit for name, model in models.items()} == {"y": "m", "a_z": "kg"}
    assert all(model.result["target"]["transform"] == "log" for model in models.values())
    assert_same_model(models["a_z"], fit(table, TARGETS, log_target=True)["a_z"], ROUNDING)


def test_a_target_named_as_a_part_of_a_date_is_no_feature_of_another():
    table = two_targets().rename_columns([{"a_z": "day.days"}.get(n, n) for n in two_targets().column_names])
    models = fit(table, ["y", "day.days"])
    assert_same_model(models["y"], fit(two_targets(), TARGETS)["y"], ROUNDING)
    assert "day.days" in models["y"].coefficients


# ------------------------------------------------------------------------------------------- going on


class Killed(BaseException):
    """Nothing below may catch it."""


def test_a_killed_run_of_one_of_them_goes_on_with_the_same_bits(tmp_path):
    table, settings = two_targets(), {"optimizer": "gradient_descent", "max_steps": 30, "checkpoint_steps": 1}
    whole = fit(table, TARGETS, **settings)
    starts = []

    def monitor(step):
        starts.extend([step.step] if step.step == 0 else [])
        if len(starts) == 2 and step.step == 20:  # of the second target
            raise Killed

    with pytest.raises(Killed):
        fit(table, TARGETS, **settings, out=tmp_path, monitors=[monitor])
    assert np.array_equal(gl.load(tmp_path / "y").theta, whole["y"].theta)
    assert not (tmp_path / "a_z").exists()
    with pytest.raises(UsageError, match="--resume RUN/TARGET"):
        fit(table, TARGETS, **settings, out=tmp_path, resume=True)
    seen = []
    again = fit(
        table, "a_z", other_targets=["y"], **settings, out=tmp_path / "a_z", resume=True, monitors=[lambda s: seen.append(s.step)]
    )
    assert seen[0] == 20
    assert np.array_equal(again.theta, whole["a_z"].theta)


# ------------------------------------------------------------------------------------------- what is refused

X, Y = np.random.default_rng(1).normal(size=(50, 2)), np.random.default_rng(2).normal(size=(50, 2))
CONSTANT, HOLE, INFINITE = Y * [1.0, 0.0] + 2.0, Y * [1.0, np.nan], np.where(np.arange(100).reshape(50, 2) == 15, np.inf, Y)
REFUSED = {
    "twice": (simple(), ["y", "y"], {}, UsageError, "'y' is named twice"),
    "none": (simple(), [], {}, UsageError, "no target given"),
    "not there": (simple(), ["y", "z0"], {}, UsageError, r"--target: .* no column 'z0'"),
    "text": (simple(), ["y", "c"], {}, DataError, "'c' is text; linear regression needs a number"),
    "feature": (simple(), ["y", "x1"], {"features": ["x0", "x1"]}, UsageError, "'x1' is among the features.*no target is"),
    "no feature left": (simple().select(["x0", "y"]), ["y", "x0"], {}, UsageError, "no column beside the target"),
    "rows": (X, Y[:-1], {}, SourceError, r"shape \(49, 2\), the data have 50 rows"),
    "turned": (X, Y.T, {}, SourceError, r"shape \(2, 50\), the data have 50 rows"),
    "taken": (pa.table({"y1": X[:, 0]}), Y, {}, UsageError, "a column 'y1' already"),
    "files": ("t.csv", Y, {}, UsageError, "goes with data in memory"),
    "constant": (X, CONSTANT, {}, DataError, "'y1' is 2 in every row"),
    "hole": (X, HOLE, {}, DataError, "all 50 rows were dropped: none has all of the targets 'y0', 'y1'"),
    "infinite": (X, INFINITE, {}, DataError, r"'y1': 1 row is infinite \(first at row 7"),
    "logarithm": (X, np.abs(Y) * [1, -1], {"log_target": True}, DataError, "'y1': 50 rows are zero or negative"),
    "resume": (X, Y, {"resume": True, "out": "run"}, UsageError, "of several targets each has its own"),
}


@pytest.mark.parametrize(("data", "target", "settings", "error", "says"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_trained_on_is_refused_before_the_first_step(data, target, settings, error, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=says):
        gl.train(data, target, **{"out": "run", "monitors": [lambda step: pytest.fail("a step was made")], **settings})
    assert list(tmp_path.iterdir()) == []


def test_directories_that_cannot_be_are_refused_before_the_read(tmp_path, monkeypatch):
    monkeypatch.setattr(ArraySource, "blocks", lambda self, columns: pytest.fail("the data were read"))
    table = pa.table({"x": X[:, 0], "a b": Y[:, 0], "a_b": Y[:, 1]})
    with pytest.raises(UsageError, match="'a b' and 'a_b' would both be written to"):
        gl.train(table, ["a b", "a_b"], out=tmp_path / "run")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        gl.train(X, Y, out=tmp_path / "file")
    (tmp_path / "run" / "y1").mkdir(parents=True)
    (tmp_path / "run" / "y1" / "mine.txt").touch()
    with pytest.raises(UsageError, match=r"not a gradline run's \(mine.txt\)"):
        gl.train(X, Y, out=tmp_path / "run")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "model.gradline").touch()
    with pytest.raises(UsageError, match="is the run of one target"):
        gl.train(X, Y, out=tmp_path / "one")

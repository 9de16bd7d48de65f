"""Derived numbers in a run: the same as columns that were computed beforehand, wherever the gradient comes from; and what is refused."""

import datetime as dt
import io
import json
import zipfile

import numpy as np
import pyarrow as pa
import pytest

import gradline as gl
from gradline.errors import ContractError, DataError, ModelFileError, UsageError
from gradline.inputs.memory import TableSource
from gradline.model.file import read_model
from gradline.representation.derive import natural_spline
from gradline.representation.expressions import QUANTILES
from gradline.splits.roles import RowRoles
from gradline.training.config import TrainConfig
from gradline.training.reading.deriving import derivations
from gradline.types import Kind, Role
from reference import fit
from tables import gradline, predicted, simple, write_csv, write_parquet

EXPRESSIONS = ["a^2", "a*b", "log(b)", "(a-3)^2*b", "b^3"]


def a_table(rows=700, seed=0, *, holes=0):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(2.0, 1.5, rows), rng.gamma(2.0, 2.0, rows) + 0.1
    c = rng.choice(["u", "v", "w"], rows, p=[0.5, 0.3, 0.2])
    y = a**2 - 0.5 * a * b + 2.0 * np.log(b) + (c == "v") * a + rng.normal(size=rows)
    hole = np.arange(rows) < holes
    return pa.table(
        {
            "a": pa.array(np.where(rng.permutation(hole), np.nan, a), from_pandas=True),
            "b": pa.array(np.where(rng.permutation(hole), np.nan, b), from_pandas=True),
            "c": c.tolist(),
            "k": np.arange(rows) * 13 + 5,
            "w": rng.integers(1, 4, rows).astype(float),
            "y": np.exp(y / 10.0),
        }
    )


def by_hand(table):
    """The same table with the columns of EXPRESSIONS, computed with NumPy, under their names."""
    a, b = (np.array(table[name].to_pylist(), dtype=float) for name in ("a", "b"))
    shifted = a - 3
    columns = {"a^2": a * a, "a*b": a * b, "log(b)": np.log(b), "(a-3)^2*b": shifted * shifted * b, "b^3": b * b * b}
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values, from_pandas=True))
    return table


BASE = ["a", "b", "c"]
WAYS = {
    "moments": {},
    "conjugate gradients, raw": {"scaling": "none", "optimizer": "conjugate_gradient", "max_steps": 30},
    "streamed": {"oracle": "streamed", "optimizer": "conjugate_gradient", "max_steps": 40},
    "mini-batches": {"oracle": "minibatch", "max_epochs": 3},
    "huber": {"loss": "huber", "oracle": "streamed", "max_steps": 40},
    "weights, robust errors": {"weight": "w", "errors": "HC3"},
    "no intercept": {"intercept": False},
    "log target": {"log_target": True},
    "penalty by folds": {"l2": "auto", "l2_path": 5},
    "lasso": {"l1": 0.01, "max_steps": 200},
    "keyed": {"key": "k"},
    "a few missing": {"holes": 9, "min_level_rows": 60},
    "dropped where missing": {"holes": 40, "missing": "drop"},
}


@pytest.mark.parametrize("settings", WAYS.values(), ids=WAYS)
def test_a_derived_number_is_the_column_made_beforehand(settings):
    settings = dict(settings)
    table = a_table(holes=settings.pop("holes", 0))
    hand = by_hand(table)
    derived = fit(table, features=BASE, derive=EXPRESSIONS, **settings)
    made = fit(hand, features=["a", "b", *EXPRESSIONS, "c"], **settings)
    assert list(derived.coefficients) == list(made.coefficients)
    for name, value in made.coefficients.items():
        assert derived.coefficients[name] == pytest.approx(value, rel=1e-12), name
    assert derived.intercept == pytest.approx(made.intercept, rel=1e-12)
    for role in ("train", "validation", "test"):
        assert derived.metrics[role] == pytest.approx(made.metrics[role], rel=1e-12, abs=1e-14)
    np.testing.assert_allclose(predicted(derived, table), predicted(made, hand), rtol=1e-12)
    assert gl.evaluate(derived, table)["metrics"] == pytest.approx(gl.evaluate(made, hand)["metrics"], rel=1e-12)
    if "errors" in settings:
        found, wanted = (m.result["inference"]["coefficients"]["a*b"]["standard_error"] for m in (derived, made))
        assert found == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("write", [write_csv, write_parquet], ids=["csv", "parquet"])
def test_a_file_gives_the_bits_of_the_table(write, tmp_path):
    table = a_table(holes=30)
    path = write(table, tmp_path / ("t.csv" if write is write_csv else "t.parquet"))
    settings = {"features": BASE, "derive": [*EXPRESSIONS, "spline(a,4)", "c*b"]}
    from_file, from_memory = fit(str(path), "y", **settings), fit(table, "y", **settings)
    assert from_file.coefficients == from_memory.coefficients
    np.testing.assert_array_equal(predicted(from_file, str(path)), predicted(from_memory, table))


def test_missing_values_have_one_indicator_that_of_their_column():
    table = a_table(holes=60)
    derived = fit(table, features=BASE, derive=["a^2", "a*b"])
    assert list(derived.coefficients) == ["a", "a=(missing)", "b", "b=(missing)", "a^2", "a*b", "c=v", "c=w"]
    hand = by_hand(table)
    made = fit(hand, features=["a", "b", "a^2", "a*b", "c"])  # whose a^2=(missing) repeats a=(missing)
    assert "a^2=(missing)" in made.coefficients
    assert made.result["not_identifiable"]
    assert derived.result["not_identifiable"] == []
    both = np.isnan(np.array(table["a"].to_pylist(), dtype=float)) & np.isnan(np.array(table["b"].to_pylist(), dtype=float))
    assert np.isfinite(predicted(derived, table)).all()
    assert derived.metrics["train"]["rmse"] == pytest.approx(made.metrics["train"]["rmse"], rel=0.02 if both.any() else 1e-2)


def test_a_category_times_a_number_is_the_number_in_the_rows_of_each_level():
    table = a_table()
    b, c = table["b"].to_numpy(), np.array(table["c"].to_pylist())
    hand = table.append_column("c=v*b", pa.array(b * (c == "v"))).append_column("c=w*b", pa.array(b * (c == "w")))
    derived = fit(table, features=BASE, derive=["c*b"])
    made = fit(hand, features=["a", "b", "c=v*b", "c=w*b", "c"])
    assert derived.coefficients == pytest.approx(made.coefficients, rel=1e-12)
    np.testing.assert_allclose(predicted(derived, table), predicted(made, hand), rtol=1e-12)


def test_levels_too_rare_for_a_slope_have_that_of_the_reference_and_are_told_of():
    table = a_table()
    c = np.array(table["c"].to_pylist(), dtype=object)
    c[[3, 40, 77, 100]] = "rare"
    table = table.set_column(2, "c", pa.array(c.tolist()))
    model = fit(table, features=BASE, derive=["c*b"], validation=0, test=0)
    assert [name for name in model.coefficients if name.endswith("*b")] == ["c=v*b", "c=w*b"]
    (told,) = [w for w in model.warnings if w["message"].startswith("c*b: ")]
    assert (told["code"], told["column"]) == ("grouped_levels", "c")
    assert "1 rare value of 'c' (4 training rows) has the slope of 'u'" in told["message"]
    one = pa.table({"a": [1.0, 1.0], "b": [1.0, 2.0], "c": ["rare", "rare"]})
    rare = np.diff(predicted(model, one))
    assert rare == pytest.approx(model.coefficients["b"], rel=1e-9)


def test_a_spline_has_its_knots_at_the_quantiles_of_the_training_rows():
    table = a_table(rows=900)
    model = fit(table, features=["a", "c"], derive=["spline(b,5)"], seed=4)
    (derived,) = model.representation.derived
    b = table["b"].to_numpy()
    training = b[RowRoles(4, 0.1, 0.1).assign(0, 0, len(b), None) == Role.TRAINING]
    assert derived.knots == tuple(np.quantile(training, QUANTILES[5]))
    assert list(model.coefficients) == ["a", "b", *(f"spline(b,5)[{j}]" for j in (1, 2, 3)), "c=v", "c=w"]  # b is its linear term
    hand = table
    for j, term in enumerate(natural_spline(b, np.array(derived.knots)), 1):
        hand = hand.append_column(f"spline(b,5)[{j}]", pa.array(term))
    made = fit(hand, features=["a", "b", *derived.names, "c"], seed=4)
    assert model.coefficients == pytest.approx(made.coefficients, rel=1e-12)


def test_knots_are_of_the_distinct_values_where_quantiles_coincide():
    rng = np.random.default_rng(0)
    x = np.where(rng.random(500) < 0.9, 0.0, rng.integers(1, 20, 500))
    (derived,) = fit(pa.table({"x": x, "y": x + rng.normal(size=500)}), derive=["spline(x,4)"]).representation.derived
    assert len(set(derived.knots)) == 4
    with pytest.raises(UsageError, match=r"'x' has too few different values in the training rows for 4 knots\. Hint: take fewer"):
        fit(pa.table({"x": np.minimum(x, 2.0), "y": x + rng.normal(size=500)}), derive=["spline(x,4)"])


def test_every_power_up_to_the_degree_of_every_number():
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "x": rng.normal(size=300),
            "flag": rng.random(300) < 0.5,
            "row_id": rng.integers(0, 10**6, 300),
            "c": rng.choice(["u", "v"], 300).tolist(),
            "y": rng.normal(size=300),
        }
    )
    degree = fit(table, degree=3)
    assert list(degree.coefficients) == [
        "x",
        "flag",
        "row_id",
        "x^2",
        "x^3",
        "c=v",
    ]  # a flag is its square, an identifier no number
    listed = fit(table, derive=["x^2", "x^3"])
    assert degree.coefficients == listed.coefficients
    assert list(fit(table, degree=3, drop=["x^2"]).coefficients) == ["x", "flag", "row_id", "x^3", "c=v"]
    assert list(fit(table, degree=2, derive=["x*x*x"]).coefficients) == ["x", "flag", "row_id", "x^3", "x^2", "c=v"]
    assert "row_id^2" in fit(table, features=["x", "row_id"], degree=2).coefficients


def test_a_column_that_is_no_feature_can_be_derived_from():
    table = a_table(holes=60)
    model = fit(table, features=["a"], derive=["log(b)"])
    assert list(model.coefficients) == ["a", "a=(missing)", "b=(missing)", "log(b)"]
    assert list(model.contract.columns) == ["a", "b"]  # the raw columns are what new data must have
    dropped = fit(table, drop=["b", "k", "w", "c"], derive=["log(b)"])
    assert dropped.coefficients == model.coefficients


def test_the_contract_is_of_the_raw_columns():
    table = a_table()
    model = fit(table, features=["a", "b"], derive=["a*b", "b^2"], out_of_range="clip")
    assert list(model.contract.columns) == ["a", "b"]
    far = pa.table({"a": [1.0], "b": [1e9]})
    edge = pa.table({"a": [1.0], "b": [model.contract.columns["b"].maximum]})
    assert predicted(model, far) == predicted(model, edge)  # clipped before it is squared
    with pytest.raises(ContractError, match="no column 'b'"):
        model.predict(pa.table({"a": [1.0]}))


def test_the_parts_of_a_date_can_be_derived_from():
    rng = np.random.default_rng(0)
    days = rng.integers(0, 400, 500)
    table = pa.table(
        {
            "day": [dt.date(2024, 1, 1) + dt.timedelta(days=int(d)) for d in days],
            "x": rng.normal(size=500),
            "y": days + rng.normal(size=500),
        }
    )
    model = fit(table, features=["x"], derive=["(day.days-19700)^2", "day.weekday*x"])
    assert list(model.contract.columns) == ["x", "day"]
    assert [name for name in model.coefficients if "*" not in name] == ["x", "(day.days-19700)^2"]
    assert sum(name.startswith("day.weekday=") for name in model.coefficients) == 6
    with pytest.raises(UsageError, match=r"'day' is a date\. Hint: its number of days is day\.days"):
        fit(table, derive=["day^2"])
    assert "row" not in str(predicted(model, table))


def test_a_logarithm_asks_the_rows_that_are_used_and_names_the_first_without_one():
    table = a_table()
    b = table["b"].to_numpy().copy()
    b[[7, 500]] = -1.0
    bad = table.set_column(1, "b", pa.array(b))
    with pytest.raises(DataError, match=r"column 'b' has .* log\(b\) needs .* \(first at row 7, counted from 0: -1\)"):
        fit(bad, features=["a"], derive=["log(b)"])
    y = table["y"].to_pylist()
    y[7] = y[500] = None
    model = fit(bad.set_column(5, "y", pa.array(y)), features=["a"], derive=["log(b)"])  # rows that are not used are not asked
    with pytest.raises(DataError, match="first at row 7"):
        predicted(model, bad)


REFUSED = {
    "unknown": ({"derive": ["distanc^2"]}, r"no column 'distanc'\. Hint: did you mean 'distance'"),
    "target": ({"derive": ["y*distance"]}, "'y' is the target"),
    "text squared": ({"derive": ["c^2"]}, "'c' is a category, and has no power"),
    "text logged": ({"derive": ["log(c)"]}, "only numbers have a logarithm"),
    "text splined": ({"derive": ["spline(c,4)"]}, "only numbers have a spline"),
    "two categories": ({"derive": ["c*d*distance"]}, "one category at most"),
    "only a category": ({"derive": ["c*d"]}, "one category at most"),
    "twice": ({"derive": ["distance*z", "z*distance"]}, r"'z\*distance' is there twice"),
    "no part": ({"derive": ["distance.days^2"]}, "has no days"),
    "grammar": ({"derive": ["distance^"]}, "whole power"),
    "degree": ({"degree": 0}, "--degree 0 is too small"),
    "high degree": ({"degree": 13}, "past 12"),
    "drop": ({"drop": ["distance^2"]}, r"--drop: .* has no column 'distance\^2'"),
}


@pytest.mark.parametrize(("settings", "says"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_derived_is_refused_before_the_read(settings, says):
    table = pa.table(
        {"distance": [1.0, 2.0, 3.0] * 20, "z": [1.0, 4.0] * 30, "c": ["u", "v"] * 30, "d": ["u", "v"] * 30, "y": [1.0, 2.0] * 30}
    )
    with pytest.raises(UsageError, match=says):
        fit(table, **settings)


def test_a_column_of_the_name_of_a_derived_one_is_refused():
    table = simple().append_column("x0^2", pa.array(np.arange(300.0)))
    with pytest.raises(DataError, match=r"two features would both be named 'x0\^2'"):
        fit(table, derive=["x0^2"])


def test_a_power_past_float64_is_an_error_with_its_name():
    table = pa.table({"x": np.linspace(1e50, 2e50, 100), "y": np.arange(100.0)})
    with pytest.raises(DataError, match=r"column 'x\^7' .* infinite"):
        fit(table, derive=["x^7"])


def test_knots_need_a_second_read():
    class Once(TableSource):
        repeatable = False

    table = simple()
    config = TrainConfig.from_mapping({"target": "y", "derive": ["spline(x0,4)"]})
    from gradline.api import run

    with pytest.raises(UsageError, match="can be read only once"):
        run(Once(table), config)
    powers = TrainConfig.from_mapping({"target": "y", "derive": ["x0^2"]})
    assert "x0^2" in run(Once(table), powers).coefficients


def test_a_sparse_table_is_refused():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(UsageError, match="numbers are derived of tables of columns"):
        fit(sparse.eye(30, format="csr"), np.arange(30.0), degree=2)


def test_a_wide_table_counts_its_powers():
    source = TableSource(pa.table({f"x{j}": [0.0] for j in range(40)} | {"y": [0.0]}))
    config = TrainConfig.from_mapping({"target": "y", "degree": 3, "derive": ["spline(x0,7)"]})
    assert derivations(source, config, {f"x{j}": Kind.NUMBER for j in range(40)}).columns == 80 + 5


def test_powers_of_a_column_are_no_near_collinearity_and_other_columns_still_are():
    rng = np.random.default_rng(0)
    x = rng.uniform(1000.0, 1010.0, 3000)
    table = pa.table({"x": x, "y": (x - 1005.0) ** 2 + rng.normal(size=3000)})
    model = fit(table, degree=2)
    assert model.result["variance_inflation"]["x^2"] > 1e4
    assert [w["code"] for w in model.warnings if "collinear" in w["code"]] == []
    twin = table.append_column("z", pa.array(x + 1e-4 * rng.normal(size=3000)))
    assert "nearly_collinear" in [w["code"] for w in fit(twin, degree=2).warnings]
    flag = pa.table({"x": (x > 1005.0).astype(float), "y": x})
    (told,) = [w for w in fit(flag, derive=["x^2"]).warnings if w["code"] == "collinear"]
    assert told["message"].endswith("Drop one of them: --drop x^2.")
    assert list(fit(flag, derive=["x^2"], drop=["x^2"]).coefficients) == ["x"]


def test_coefficients_of_offset_powers_are_exact_and_the_certificate_counts_their_rounding():
    """2·x² − 3·x + 5 of whole numbers near a million: the moments escalate, and the digits that are promised are there."""
    x = 10**6 + np.arange(4000) % 97
    y = 2 * x.astype(object) ** 2 - 3 * x.astype(object) + 5
    table = pa.table({"x": x, "y": pa.array([float(v) for v in y])})
    model = fit(table, derive=["x^2"], validation=0.0, test=0.0)
    digits = model.certificate.trusted_digits
    deviation = {f.name: f.deviation for f in model.representation.features}
    errors = {n: abs(model.coefficients[n] - true) * deviation[n] for n, true in {"x": -3.0, "x^2": 2.0}.items()}
    largest = max(abs(v) * deviation[n] for n, v in {"x": -3.0, "x^2": 2.0}.items())
    assert max(errors.values()) / largest <= 10.0**-digits
    assert digits > 6


def test_several_targets_share_the_derived_numbers():
    table = a_table()
    both = fit(table, ["y", "w"], features=["a", "b"], derive=["a*b"])
    assert both["y"].coefficients == pytest.approx(fit(table, "y", features=["a", "b"], derive=["a*b"]).coefficients, rel=1e-9)
    assert list(both["w"].coefficients) == ["a", "b", "a*b"]


# --------------------------------------------------------------------------------------------------------- model file


def test_a_saved_model_derives_the_same_numbers(tmp_path):
    table = a_table(holes=20)
    model = fit(table, features=BASE, derive=[*EXPRESSIONS, "spline(a,4)", "c*b"])
    model.save(tmp_path / "m")
    loaded = gl.load(tmp_path / "m")
    assert loaded.representation.derived == model.representation.derived
    np.testing.assert_array_equal(predicted(loaded, table), predicted(model, table))


def edited(path, change):
    """A model file whose document `change` has gone through, with fresh checksums: as if it had been written so."""
    import hashlib

    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    document = json.loads(members["model.json"])
    change(document)
    members["model.json"] = json.dumps(document).encode()
    manifest = json.loads(members.pop("manifest.json"))
    manifest["members"] = {n: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in members.items()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        for name, data in members.items():
            archive.writestr(name, data)
    path.write_bytes(out.getvalue())
    return path


def test_a_file_from_before_derived_numbers_is_read(tmp_path):
    table = a_table()
    model = fit(table, features=BASE)
    model.save(tmp_path / "m")

    def older(document):
        del document["representation"]["derived"]
        for name in ("derive", "degree", "search", "degree_curve"):
            document["config"].pop(name, None)

    loaded = read_model(edited(tmp_path / "m", older))
    assert loaded.representation.derived == ()
    np.testing.assert_array_equal(predicted(loaded, table), predicted(model, table))


@pytest.mark.parametrize(
    "change",
    [
        {"expression": "q^2"},
        {"expression": "c^2"},
        {"expression": "a.days^2"},
        {"expression": "a^"},
        {"expression": "log(a)", "knots": [1.0]},
        {"expression": "a*b", "category": "a", "levels": ["u"]},
        {"expression": 3},
        {"knots": ["x"]},
    ],
    ids=str,
)
def test_a_file_that_derives_from_what_is_not_there_is_refused(change, tmp_path):
    fit(a_table(), features=BASE, derive=["a^2"]).save(tmp_path / "m")
    with pytest.raises(ModelFileError):
        read_model(edited(tmp_path / "m", lambda document: document["representation"]["derived"][0].update(change)))


# ------------------------------------------------------------------------------------------------------- command line


def test_the_command_derives_and_the_report_says_how_to_repeat_it(capsys, tmp_path):
    path = write_csv(a_table(), tmp_path / "t.csv")
    run = tmp_path / "run"
    words = ["--target", "y", "--features", "a,b", "--derive", "spline(a,4)", "--derive", "a*b", "--degree", "2"]
    answer = gradline(capsys, "train", path, *words, "--out", run, "--json")
    assert answer.code == 0
    assert list(answer.json["coefficients"]) == ["a", "b", "spline(a,4)[1]", "spline(a,4)[2]", "a*b", "a^2", "b^2"]
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "--derive &#39;spline(a,4)&#39;" in page
    again = gradline(capsys, "train", path, "--config", run / "config.toml", "--out", tmp_path / "again", "--json")
    assert again.json["coefficients"] == answer.json["coefficients"]
    new = gradline(capsys, "predict", run, path, "--out", tmp_path / "p.csv", "--json")
    assert (new.code, new.json["rows"]) == (0, 700)
    wrong = gradline(capsys, "train", path, "--target", "y", "--derive", "a^")
    assert (wrong.code, wrong.out) == (2, "")
    assert "whole power" in wrong.said
    assert "Traceback" not in wrong.err

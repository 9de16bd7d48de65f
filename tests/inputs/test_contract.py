"""The contract: what happens when data are not as they were in training."""

import json
import re
import warnings

import numpy as np
import pyarrow as pa
import pytest

import gradline as gl
from gradline.api import evaluate
from gradline.errors import ContractError, InputError
from gradline.inputs.contract import ContractCheck
from gradline.representation.decode import Decoder
from tables import fit, mixed, predicted, simple, write_csv, write_parquet


@pytest.fixture(scope="module")
def table():
    return simple()


@pytest.fixture(scope="module")
def model(table):
    return fit(table)


def changed(table, column, values):
    return table.set_column(table.column_names.index(column), column, pa.array(values))


def with_value(table, column, row, *values):
    cells = table[column].to_pylist()
    cells[row : row + len(values)] = values
    return changed(table, column, cells)


def notices(model):
    return [(n.code, n.column) for n in model.last_notices]


def test_data_like_the_training_data_break_nothing(model, table):
    predicted(model, table)
    assert model.last_notices == ()


def test_order_of_columns_and_additional_columns_do_not_matter(model, table, tmp_path):
    expected = predicted(model, table)
    other = table.select(["y", "c", "x1", "x0"]).append_column("extra", pa.array([[1]] * 300)).append_column("x2", table["x0"])
    assert np.array_equal(predicted(model, other), expected)
    assert np.array_equal(predicted(model, write_parquet(other, tmp_path / "t.parquet")), expected)
    assert np.array_equal(predicted(model, write_csv(table.select(["c", "x1", "x0"]), tmp_path / "t.csv")), expected)
    assert np.array_equal(predicted(model, table.drop_columns(["y"])), expected)
    assert model.last_notices == ()


def test_a_missing_column_is_an_error_with_the_nearest_name(model, table):
    lacking = table.rename_columns(["xO", "x1", "c", "y"])
    with pytest.raises(ContractError, match=r"has no column 'x0', which the model needs.*did you mean 'xO'"):
        predicted(model, lacking)
    with pytest.raises(ContractError, match="has no column 'x0', 'c', which the model needs"):
        evaluate(model, table.select(["x1", "y"]))
    with pytest.raises(ContractError, match=r"'c', which the model needs.*gradline show MODEL lists the columns"):
        predicted(model, table.select(["x0", "x1"]))  # nothing that could be meant


@pytest.mark.parametrize(
    ("column", "values", "found", "wanted"),
    [
        ("x0", ["a"] * 300, "text", "number"),
        ("x0", [True] * 300, "boolean", "number"),
        ("c", [1.0] * 300, "number", "text"),
        ("c", [True] * 300, "boolean", "text"),
        ("x0", [[1.0]] * 300, "unsupported", "number"),
    ],
)
def test_another_type_is_an_error_that_names_both(model, table, column, values, found, wanted):
    for run in (predicted, evaluate):
        with pytest.raises(ContractError, match=f"column '{column}' of .* is {found}; the model was trained on {wanted}"):
            run(model, changed(table, column, values))


def test_another_width_of_the_same_type_is_no_change(model, table):
    narrow = table.set_column(0, "x0", table["x0"].cast(pa.float32())).set_column(2, "c", table["c"].dictionary_encode())
    assert np.allclose(predicted(model, narrow), predicted(model, table), rtol=1e-6, atol=1e-6)
    assert model.last_notices == ()


def test_a_number_column_of_a_csv_that_now_holds_text_is_an_error_with_its_line(model, table, tmp_path):
    path = write_csv(table, tmp_path / "t.csv")
    lines = path.read_text().splitlines()
    lines[41] = "many" + lines[41][lines[41].index(",") :]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"line 42: column 'x0' is number so far, but here stands 'many'"):
        predicted(model, path)


def test_an_unseen_category_counts_as_the_reference_and_is_told_with_count_and_first_row(model, table):
    reference = model.result["references"]["c"]
    odd = with_value(table, "c", 17, "new", "newer", "new")
    assert np.array_equal(predicted(model, odd), predicted(model, with_value(table, "c", 17, *[reference] * 3)))
    predicted(model, odd)
    assert notices(model) == [("contract_unseen", "c")]
    assert re.search(r"'c' .* in 3 rows \(first at row 17: 'new'\)", model.last_notices[0].message)


def test_an_unseen_category_counts_as_the_rare_ones_where_there_are_such():
    rng = np.random.default_rng(0)
    c = np.array(["a", "b", "rare1", "rare2"])[np.r_[rng.integers(0, 2, 396), 2, 2, 3, 3]]
    rows = pa.table({"c": c, "y": (c == "a") + 5.0 * np.char.startswith(c, "rare") + 0.1 * rng.normal(size=400)})
    model = fit(rows, validation=0.0, test=0.0, min_level_rows=3)
    assert "c=(other)" in model.coefficients
    found = predicted(model, pa.table({"c": ["unheard of", "rare1"]}))
    assert found[0] == found[1]
    assert notices(model) == [("contract_unseen", "c")]
    assert "1 row (first at row 0: 'unheard of')" in model.last_notices[0].message


def test_an_unseen_category_is_an_error_where_the_contract_says_so(table):
    strict = fit(table, unseen="error")
    with pytest.raises(ContractError, match=r"column 'c' of .*: 2 rows break the contract \(unseen, first at row 9: 'new'\)"):
        predicted(strict, with_value(table, "c", 9, "new", "newer"))
    with pytest.raises(ContractError, match="unseen, first at row 9"):
        evaluate(strict, with_value(table, "c", 9, "new", "newer"))
    with pytest.raises(ContractError, match=r": 1 row breaks the contract \(unseen, first at row 9: 'new'\)"):
        predicted(strict, with_value(table, "c", 9, "new"))


def test_out_of_range_is_told_and_extrapolated(model, table):
    far = with_value(table, "x0", 5, 1e3, -1e3)
    found, near = predicted(model, far), predicted(model, table)
    predicted(model, far)
    assert notices(model) == [("contract_out_of_range", "x0")]
    message = model.last_notices[0].message
    contract = model.contract.columns["x0"]
    assert f"2 rows (first at row 5: 1000, training had {contract.minimum:g} to {contract.maximum:g})" in message
    assert found[5] - near[5] == pytest.approx(model.coefficients["x0"] * (1e3 - table["x0"][5].as_py()))
    assert np.array_equal(np.delete(found, [5, 6]), np.delete(near, [5, 6]))


def test_out_of_range_is_clipped_where_the_contract_says_so(table):
    clipping = fit(table, out_of_range="clip")
    column = clipping.contract.columns["x0"]
    found = predicted(clipping, with_value(table, "x0", 5, 1e3, -1e3))
    assert notices(clipping) == [("contract_out_of_range", "x0")]
    assert "clipped" in clipping.last_notices[0].message
    assert np.array_equal(found, predicted(clipping, with_value(table, "x0", 5, column.maximum, column.minimum)))


def test_infinity_is_out_of_range_too(table, model):
    strict, clipping = fit(table, out_of_range="error"), fit(table, out_of_range="clip")
    far = with_value(table, "x0", 5, float("inf"))
    with pytest.raises(ContractError, match="out_of_range, first at row 5: inf"):
        predicted(strict, far)
    assert np.isfinite(predicted(clipping, far)).all()
    predicted(model, far)
    assert notices(model) == [("contract_out_of_range", "x0")]


def test_null_where_training_had_none_is_imputed_and_told(model, table):
    feature = next(f for f in model.representation.features if f.name == "x0")
    found = predicted(model, with_value(table, "x0", 30, None, float("nan")))
    assert notices(model) == [("contract_null", "x0")]
    assert "'x0' is null in 2 rows (first at row 30: null)" in model.last_notices[0].message
    assert np.allclose(found, predicted(model, with_value(table, "x0", 30, feature.mean, feature.mean)), rtol=1e-14)


def test_a_null_category_where_training_had_none_is_the_reference_and_told(model, table):
    reference = model.result["references"]["c"]
    found = predicted(model, with_value(table, "c", 30, None))
    assert notices(model) == [("contract_null", "c")]
    assert np.array_equal(found, predicted(model, with_value(table, "c", 30, reference)))


def test_null_gets_no_prediction_where_the_contract_says_drop(table):
    dropping = fit(table, missing="drop")
    whole = predicted(dropping, table)
    found = predicted(dropping, with_value(with_value(table, "x0", 30, None), "c", 40, None))
    assert np.flatnonzero(np.isnan(found)).tolist() == [30, 40]
    kept = ~np.isnan(found)
    assert np.array_equal(found[kept], whole[kept])
    assert notices(dropping) == [("contract_null", "x0"), ("contract_null", "c")]
    assert "no prediction is given" in dropping.last_notices[0].message
    document = evaluate(dropping, with_value(table, "x0", 30, None))
    assert document["rows"] == {"read": 300, "evaluated": 299, "without_target": 0, "without_prediction": 1}


def test_null_is_an_error_where_the_contract_says_so(table):
    strict = fit(table, missing="error")
    for column in ("x0", "c"):
        with pytest.raises(
            ContractError, match=rf"column '{column}' of .*: 1 rows? breaks? the contract \(null, first at row 30"
        ):
            predicted(strict, with_value(table, column, 30, None))


def test_null_where_training_had_nulls_is_no_breach():
    rows = mixed()
    model = fit(rows, drop=("id",))
    predicted(model, rows)
    assert not [n for n in model.last_notices if n.code == "contract_null"]


def test_a_column_that_is_null_altogether_is_imputed_whatever_its_type(model, table):
    found = predicted(model, table.set_column(0, "x0", pa.nulls(300)).set_column(2, "c", pa.nulls(300)))
    assert sorted(notices(model)) == [("contract_null", "c"), ("contract_null", "x0")]
    assert np.isfinite(found).all()
    assert "300 rows (first at row 0" in model.last_notices[0].message


def test_counts_and_first_rows_run_over_all_blocks(model, table, monkeypatch):
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 64)
    odd = table
    for row in (70, 71, 200, 299):
        odd = with_value(odd, "c", row, f"new{row}")
    odd = with_value(with_value(odd, "x1", 130, 1e6), "x1", 290, 1e6)
    predicted(model, odd)
    messages = {n.code: n.message for n in model.last_notices}
    assert "4 rows (first at row 70: 'new70')" in messages["contract_unseen"]
    assert "2 rows (first at row 130: 1e+06" in messages["contract_out_of_range"]


def test_predict_warns_in_python_and_evaluate_lists_the_same(model, table):
    odd = with_value(with_value(table, "c", 3, "new"), "x0", 8, 99.0)
    with pytest.warns(gl.GradlineWarning) as told:
        model.predict(odd)
    listed = evaluate(model, odd)["warnings"]
    assert [str(w.message) for w in told] == [n["message"] for n in listed]
    assert [(n["code"], n["column"]) for n in listed] == [("contract_out_of_range", "x0"), ("contract_unseen", "c")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(table)


def test_evaluate_counts_rows_without_a_target(model, table):
    document = evaluate(model, with_value(table, "y", 4, None, float("nan")))
    assert document["rows"] == {"read": 300, "evaluated": 298, "without_target": 2, "without_prediction": 0}


def test_evaluate_needs_the_target(model, table):
    with pytest.raises(ContractError, match=r"has no column 'y', the target.*did you mean 'yy'"):
        evaluate(model, table.rename_columns(["x0", "x1", "c", "yy"]))
    with pytest.raises(InputError, match="no row with a target 'y'"):
        evaluate(model, with_value(table, "y", 0, *[None] * 300))


def test_a_number_beyond_its_range_in_a_date_is_told_by_the_columns_own_name():
    rows = mixed()
    model = fit(rows, drop=("id",))
    later = rows.slice(0, 5).set_column(7, "day", pa.array([30_000] * 5, pa.int32()).cast(pa.date32()))
    predicted(model, later)
    assert ("contract_out_of_range", "day") in notices(model)


@pytest.mark.parametrize(
    "types",
    [
        {"zip": "text"},
        {"num": "number"},
        {"when": "timestamp"},
        {"flag": "number"},
        {"flag": "text"},
        {"yes": "boolean"},
        {"iso": "date"},
        {"moment": "timestamp"},
        {"when": "text"},
    ],
    ids=lambda types: "=".join(*types.items()),
)
def test_a_model_predicts_on_the_data_it_was_trained_on_whatever_was_declared(types, tmp_path):
    rng = np.random.default_rng(0)
    n = 300
    rows = pa.table(
        {
            "zip": rng.integers(1, 5, n),
            "num": [str(x) for x in rng.integers(0, 50, n)],
            "when": pa.array(rng.integers(19_000, 19_400, n).astype(np.int32)).cast(pa.date32()),
            "flag": rng.random(n) < 0.5,
            "yes": rng.choice(["true", "false"], n).tolist(),
            "iso": [f"2024-{m:02d}-01" for m in rng.integers(1, 13, n)],
            "moment": [f"2024-{m:02d}-01T05:00:00Z" for m in rng.integers(1, 13, n)],
            "y": rng.normal(size=n),
        }
    )
    sources = [rows, write_parquet(rows, tmp_path / "t.parquet")]
    if types != {"flag": "number"}:  # true and false are no numbers in a text file
        sources.append(write_csv(rows, tmp_path / "t.csv"))
    for data in sources:
        model = fit(data, types=types, features=list(types))
        found = predicted(model, data)
        assert np.array_equal(found, predicted(fit(rows, types=types, features=list(types)), rows))
        assert np.isfinite(found).all()
        assert np.allclose(found, model.sampled.predicted, rtol=1e-12, atol=1e-12)


def test_a_contract_survives_json():
    for settings in ({}, {"missing": "drop", "unseen": "error", "out_of_range": "clip"}):
        contract = fit(mixed(), drop=("id",), units={"size": "miles", "y": "minutes"}, **settings).contract
        assert type(contract).from_json(json.loads(json.dumps(contract.to_json(), allow_nan=False))) == contract


def test_the_contract_is_of_the_training_rows():
    rows = mixed()
    model = fit(rows, drop=("id",))
    mine = [
        i
        for i, role in zip([i for i, y in enumerate(rows["y"].to_pylist()) if y is not None], model.sampled.roles, strict=True)
        if role == 0
    ]
    training = rows.take(mine)
    size, word = model.contract.columns["size"], model.contract.columns["word"]
    sizes, words = [v for v in training["size"].to_pylist() if v is not None], training["word"].to_pylist()
    assert (size.minimum, size.maximum) == (min(sizes), max(sizes))
    assert size.null_share == training["size"].null_count / len(mine)
    assert word.levels == {w: words.count(w) for w in set(words) - {None}}
    assert word.distinct == len(word.levels)
    assert model.contract.columns["count"].null_share == 0.0
    kinds = {name: str(column.kind) for name, column in model.contract.columns.items()}
    assert kinds == {
        "count": "number",
        "size": "number",
        "ratio": "number",
        "few": "number",
        "word": "text",
        "flag": "boolean",
        "day": "date",
        "moment": "timestamp",
    }


def test_checking_leaves_the_decoded_block_unchanged(model, table):
    decoded = Decoder({"x0": model.contract.columns["x0"].kind}).decode(pa.table({"x0": [1e9, -1e9, 0.0]}))
    before = decoded.numbers[0].values.copy()
    clipping = fit(table, out_of_range="clip")
    ContractCheck(clipping.contract, "t").apply(decoded, 0)
    assert np.array_equal(decoded.numbers[0].values, before)

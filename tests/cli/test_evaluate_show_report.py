"""`gradline evaluate`, `show` and `report`."""

import numpy as np
import pyarrow as pa
import pytest

from gradline.report.run import write_run
from tables import fit, gradline, predicted, simple, write_csv, write_parquet


@pytest.fixture(scope="module")
def table():
    return simple()


@pytest.fixture(scope="module")
def model(table):
    return fit(table, units={"x0": "miles", "y": "minutes"})


@pytest.fixture
def folder(model, table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(model, tmp_path / "run")
    model.save("m.gradline")
    write_csv(simple(seed=9), tmp_path / "new.csv")
    return tmp_path


def test_evaluate_measures_what_the_predictions_miss(folder, model, capsys):
    answer = gradline(capsys, "evaluate", "run", "new.csv", "--json")
    assert answer.code == 0, answer.err
    new = simple(seed=9)
    y = new["y"].to_numpy()
    error = predicted(model, new) - y
    found = answer.json
    assert found["model"] == "run"
    assert found["rows"] == {"read": 300, "evaluated": 300, "without_target": 0, "without_prediction": 0}
    metrics = found["metrics"]
    assert metrics["rows"] == 300
    assert metrics["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-12)
    assert metrics["mae"] == pytest.approx(np.mean(np.abs(error)), rel=1e-12)
    assert metrics["bias"] == pytest.approx(np.mean(error), rel=1e-9)
    assert metrics["largest"] == pytest.approx(np.max(np.abs(error)), rel=1e-12)
    assert metrics["r2"] == pytest.approx(1 - np.sum(error**2) / np.sum((y - y.mean()) ** 2), rel=1e-12)
    mean = np.mean(model.sampled.actual[model.sampled.roles == 0])
    assert found["baseline"]["rmse"] == pytest.approx(np.sqrt(np.mean((y - mean) ** 2)), rel=1e-12)


def test_evaluate_on_the_test_rows_agrees_with_the_metrics_of_training(model, table, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model.save("m")
    for role, name in ((0, "train"), (1, "validation"), (2, "test")):
        write_parquet(table.filter(pa.array(model.sampled.roles == role)), tmp_path / "part.parquet")
        found = gradline(capsys, "evaluate", "m", "part.parquet", "--json").json
        for key in ("rmse", "r2", "rows"):
            assert found["metrics"][key] == pytest.approx(model.metrics[name][key], rel=1e-9)
            assert found["baseline"][key] == pytest.approx(model.metrics["baseline"][name][key], rel=1e-9, abs=1e-9)


def test_evaluate_shows_the_model_beside_the_mean(folder, capsys):
    answer = gradline(capsys, "evaluate", "m.gradline", "new.csv")
    assert answer.code == 0
    for words in ("300 of 300 rows evaluated", "always the mean", "RMSE minutes", "R²"):
        assert words in answer.out


def test_evaluate_tells_what_breaks_the_contract_on_stderr_and_in_the_document(folder, table, capsys):
    odd = table.set_column(2, "c", pa.array(["new", *table["c"].to_pylist()[1:]]))
    write_csv(odd, folder / "odd.csv")
    answer = gradline(capsys, "evaluate", "run", "odd.csv", "--json")
    assert answer.code == 0
    assert [(w["code"], w["column"]) for w in answer.json["warnings"]] == [("contract_unseen", "c")]
    assert "[contract_unseen]" in answer.err


def test_evaluate_on_the_training_file_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_csv(simple(), tmp_path / "t.csv")
    assert gradline(capsys, "train", path, "--target", "y").code == 0
    codes = [w["code"] for w in gradline(capsys, "evaluate", "runs/y", path, "--json").json["warnings"]]
    assert "same_data" in codes


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x0,x1,c\n1,2,a\n", "no column 'y', the target"),
        ("x0,x1,c,y\n1,2,a,\n", "no row with a target 'y'"),
        ("x0,c,y\n1,a,3\n", "no column 'x1'"),
        ("x0,x1,c,y\n", "y"),
        ("x0,x1,c,y\n1,2,a,many\n2,3,b,few\n", "'y'"),
    ],
)
def test_data_that_cannot_be_evaluated_are_exit_code_2(text, says, folder, capsys):
    (folder / "bad.csv").write_text(text)
    answer = gradline(capsys, "evaluate", "run", "bad.csv")
    assert answer.code == 2, answer.err
    assert says in answer.said
    assert "Traceback" not in answer.err


def test_evaluate_reads_the_target_as_training_did(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = simple()
    odd = rows.set_column(3, "y", pa.array([f"{v:.6f}" for v in rows["y"].to_pylist()]))
    path = write_parquet(odd, tmp_path / "t.parquet")
    assert gradline(capsys, "train", path, "--target", "y", "--types", "y=number").code == 0
    answer = gradline(capsys, "evaluate", "runs/y", path, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["metrics"]["r2"] > 0.9


def test_show_prints_the_result_the_contract_and_the_settings(folder, model, capsys):
    for where in ("run", "m.gradline", "run/model.gradline"):
        document = gradline(capsys, "show", where, "--json").json
        assert document["model"] == where
        assert {key: document[key] for key in model.result} == model.result
        assert document["contract"] == model.contract.to_json()
        assert document["config"] == model.config
    answer = gradline(capsys, "show", "run")
    assert answer.code == 0
    for words in ("Learned", "How good", "Trust", "Contract", "x0", "miles", "3 levels", "unseen category: warn"):
        assert words in answer.out
    for name in model.coefficients:
        assert name in answer.out


def test_show_of_what_is_no_model_is_exit_code_2(folder, capsys):
    for what in ("new.csv", "missing", "."):
        answer = gradline(capsys, "show", what)
        assert answer.code == 2, answer.err
        assert "Traceback" not in answer.err


def test_report_writes_the_page_again(folder, capsys):
    page = folder / "run" / "report.html"
    before = page.read_text()
    page.unlink()
    assert gradline(capsys, "report", "run", "--json").json == {"report": "run/report.html"}
    assert page.read_text() == before
    assert "report written to run/report.html" in gradline(capsys, "report", "run").out
    assert gradline(capsys, "report", "m.gradline").code == 0
    assert (folder / "m.html").read_text()
    assert gradline(capsys, "report", "run", "--out", "deep/x.html", "--json").json == {"report": "deep/x.html"}
    assert (folder / "deep" / "x.html").exists()


def test_a_report_needs_nothing_from_the_network(folder):
    import re

    page = (folder / "run" / "report.html").read_text()
    assert not re.search(r"""<(script|link|img|iframe)[^>]*\s(src|href)\s*=\s*["']?(https?:)?//""", page)
    assert "@import" not in page


def test_a_models_report_never_replaces_the_model(folder, capsys):
    (folder / "m.html").write_bytes((folder / "m.gradline").read_bytes())
    answer = gradline(capsys, "report", "m.html")
    assert answer.code == 2 or (folder / "m.html").read_bytes()[:2] == b"PK"

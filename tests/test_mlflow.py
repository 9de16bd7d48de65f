"""A model as a flavour of MLflow's: what it loads and serves predicts what the model predicts."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import gradline as gl
from gradline.errors import UsageError
from servers import free_port
from tables import fit, gradline, mixed, predicted, simple, write_csv

pytestmark = [
    pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred:UserWarning"),  # MLflow warns of its own code
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """MLflow with a store of its own, where it is installed."""
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.chdir(folder)
        warnings.simplefilter("ignore")
        mlflow = pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
        mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
        mlflow.set_experiment("first")
        yield mlflow
        mlflow.set_tracking_uri(None)


@pytest.fixture(scope="module")
def table():
    return mixed()


@pytest.fixture(scope="module")
def logged(store, table):
    """A model and where MLflow has it."""
    import gradline.mlflow

    model = fit(table, drop=("id",))
    with store.start_run():
        return model, gradline.mlflow.log_model(model).model_uri


def test_the_model_comes_back_as_it_was(logged):
    import gradline.mlflow

    model, uri = logged
    found = gradline.mlflow.load_model(uri)
    assert found.coefficients == model.coefficients
    assert found.certificate == model.certificate


def test_pyfunc_predicts_a_data_frame_as_the_model_predicts_the_table(store, logged, table):
    model, uri = logged
    loaded = store.pyfunc.load_model(uri)
    found = loaded.predict(table.drop_columns(["id", "y"]).to_pandas())
    np.testing.assert_array_equal(found["prediction"], predicted(model, table))
    assert [spec.name for spec in loaded.metadata.signature.inputs.inputs] == list(model.contract.columns)


def test_a_row_that_the_contract_drops_has_no_prediction_and_is_no_nan(store, table):
    import gradline.mlflow

    model = fit(table, drop=("id",), missing="drop")
    with store.start_run():
        loaded = store.pyfunc.load_model(gradline.mlflow.log_model(model).model_uri)
    found = loaded.predict(table.to_pandas()[list(model.contract.columns)])["prediction"].tolist()
    expected = predicted(model, table)
    assert [value is None for value in found] == np.isnan(expected).tolist()
    assert any(value is None for value in found)


def test_a_folder_that_save_model_wrote_is_loaded(store, logged, table, tmp_path):
    import gradline.mlflow

    gradline.mlflow.save_model(logged[0], tmp_path / "saved")
    assert (tmp_path / "saved/MLmodel").exists()
    assert (tmp_path / "saved/requirements.txt").read_text().startswith("gradline==")
    found = store.pyfunc.load_model(str(tmp_path / "saved")).predict(table.to_pandas()[list(logged[0].contract.columns)])
    np.testing.assert_array_equal(found["prediction"], predicted(logged[0], table))


def test_a_column_that_is_missing_is_named(store, logged):
    with pytest.raises(Exception, match="has no column 'size'"):
        store.pyfunc.load_model(logged[1]).predict(pa.table({"count": [1]}).to_pandas())


def test_a_model_of_a_sparse_table_is_refused(store, tmp_path):
    scipy = pytest.importorskip("scipy.sparse")
    import gradline.mlflow

    rng = np.random.default_rng(0)
    model = gl.train(scipy.csr_array(rng.normal(size=(60, 3))), rng.normal(size=60))
    with pytest.raises(UsageError, match="sparse"):
        gradline.mlflow.save_model(model, tmp_path / "saved")


def test_the_command_logs_settings_metrics_files_and_the_model(store, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_csv(simple(), tmp_path / "t.csv")
    answer = gradline(capsys, "train", "t.csv", "--target", "y", "--out", "run", "--mlflow", "second", "--json")
    assert answer.code == 0, answer.err
    client = store.MlflowClient()
    run = client.search_runs([store.get_experiment_by_name("second").experiment_id])[0]
    assert run.data.params["target"] == "y"
    assert run.data.params["data"] == "['t.csv']"
    assert run.data.metrics["test_rmse"] == answer.json["metrics"]["test"]["rmse"]
    assert run.data.metrics["certificate_relative_gap"] == answer.json["certificate"]["relative_gap"]
    assert run.data.tags["gradline.stopped"] == answer.json["stopped"]["reason"]
    assert {Path(each.path).name for each in client.list_artifacts(run.info.run_id, "run")} == {
        p.name for p in (tmp_path / "run").iterdir()
    }
    (about,) = store.search_logged_models([run.info.experiment_id], output_format="list")
    found = store.pyfunc.load_model(f"models:/{about.model_id}").predict(simple().to_pandas()[["x0", "x1", "c"]])
    np.testing.assert_array_equal(found["prediction"], predicted(gl.load("run"), simple()))


def test_a_store_that_cannot_be_written_costs_no_model(store, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_csv(simple(), tmp_path / "t.csv")

    def full(*arguments, **named):
        raise OSError("no space left")

    monkeypatch.setattr(store.MlflowClient, "log_artifacts", full)
    answer = gradline(capsys, "train", "t.csv", "--target", "y", "--out", "run", "--mlflow", "third", "--json")
    assert answer.code == 1
    assert "could not all be logged to MLflow: no space left" in answer.said
    assert answer.json["rows"]["read"] == 300
    assert gl.load("run").coefficients == answer.json["coefficients"]


@pytest.mark.integration
def test_the_server_of_mlflow_predicts_what_the_model_predicts(store, logged, table):
    model, uri = logged
    port = free_port()
    here = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "MLFLOW_TRACKING_URI": store.get_tracking_uri()}
    words = ["models", "serve", "-m", uri, "-h", "127.0.0.1", "-p", str(port), "--env-manager", "local"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen([sys.executable, "-m", "mlflow", *words], env=os.environ | here, start_new_session=True, **quiet)
    try:
        rows = json.loads(table.drop_columns(["id", "y"]).to_pandas().to_json(orient="split", date_format="iso"))
        asked = json.dumps({"dataframe_split": {"columns": rows["columns"], "data": rows["data"]}}).encode()
        answer = _answer(f"http://127.0.0.1:{port}/invocations", asked, server)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, 15)
        server.wait(20)
    found = np.array([row["prediction"] for row in answer["predictions"]])
    print(f"largest difference of 500 served predictions: {np.max(np.abs(found - predicted(model, table))):.1e}")
    np.testing.assert_allclose(found, predicted(model, table), rtol=1e-12)


def _answer(url, body, server):
    for _ in range(120):
        assert server.poll() is None
        try:
            request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.5)
    raise AssertionError("no answer in a minute")

"""What TensorBoard and MLflow are told is the history, thinned out; and their failures cost no model."""

import errno
import struct
import sys
import warnings
from dataclasses import fields

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter

import gradline as gl
from gradline.errors import StorageError, UsageError
from gradline.monitors import CURVES, Curves, MLflow, TensorBoard
from tables import gradline, simple, write_csv

LONG = {"optimizer": "gradient_descent", "learning_rate": 1e-5, "max_steps": 12_345}
SHORT = LONG | {"max_steps": 345}  # written in four parts


def quiet(data, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gl.GradlineWarning)
        return gl.train(data, target="y", **settings)


def a_step(n, **values):
    numbers = dict.fromkeys(CURVES, 1.0) | values
    return gl.Step(step=n, at_rounding=False, seconds=0.0, **numbers)


def events(path):
    """The events of a file of TensorBoard's: records of length, checksum, bytes, checksum."""
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        found.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    return found


def files(directory):
    return sorted(directory.glob("events.out.tfevents.*"))


def curves(directory):
    """(step, name): value, of all files in a directory, in their order."""
    return {(e.step, v.tag): v.simple_value for path in files(directory) for e in events(path) for v in e.summary.value}


def of_history(model, steps=None):
    """(step, name): value, of the history; without what was not computed."""
    rows = [row for row in model.history.to_pylist() if steps is None or row["step"] in steps]
    return {(row["step"], name): row[name] for row in rows for name in CURVES if row[name] is not None}


def thinned(last):
    return {*range(1_000), *range(1_000, min(last, 10_000), 10), *range(10_000, last, 100), last}


def rounded(values):
    return {key: float(np.float32(value)) for key, value in values.items()}


def test_the_curves_are_all_numbers_of_a_step():
    assert {f.name for f in fields(gl.Step)} - set(CURVES) == {"step", "at_rounding", "seconds"}


@pytest.mark.parametrize("validation", [0.1, 0.0])
def test_tensorboard_is_told_the_history(tmp_path, validation):
    with TensorBoard(tmp_path / "new" / "curves") as monitor:
        model = quiet(simple(), validation=validation, optimizer="gradient_descent", learning_rate=0.5, monitors=[monitor])
    found = curves(tmp_path / "new" / "curves")
    assert found == rounded(of_history(model))
    names = {name for _, name in found}
    assert names == set(CURVES) - ({"validation"} if validation == 0.0 else set())


def test_a_long_run_is_thinned_out_and_its_last_step_is_there(tmp_path):
    with TensorBoard(tmp_path) as monitor:
        model = quiet(simple(), **LONG, monitors=[monitor])
    found = curves(tmp_path)
    assert {step for step, _ in found} == thinned(12_345)
    assert found == rounded(of_history(model, thinned(12_345)))
    assert len({step for step, _ in found}) < 2_000


def test_steps_are_written_while_the_run_goes_on(tmp_path, monkeypatch):
    monitor = TensorBoard(tmp_path)
    for n in range(150):
        monitor(a_step(n))
    assert {step for step, _ in curves(tmp_path)} == set(range(100))
    monkeypatch.setattr("gradline.monitors.SECONDS", -1.0)
    monitor(a_step(150))
    assert {step for step, _ in curves(tmp_path)} == set(range(151))
    monitor(a_step(1_001))
    assert {step for step, _ in curves(tmp_path)} == set(range(151))
    monitor.close()
    monitor.close()
    assert {step for step, _ in curves(tmp_path)} == {*range(151), 1_001}


def test_what_is_not_finite_is_left_out(tmp_path):
    with TensorBoard(tmp_path) as monitor:
        monitor(a_step(0, gap=np.nan, relative_gap=np.inf, validation=None, objective=-np.inf, update_norm=1e39))
    left_out = {"gap", "relative_gap", "validation", "objective", "update_norm"}
    assert {name for _, name in curves(tmp_path)} == set(CURVES) - left_out


def test_a_resumed_run_goes_on_at_its_step(tmp_path):
    class Killed(BaseException):
        pass

    def killer(step):
        if step.step == 37:
            raise Killed

    settings = {"optimizer": "gradient_descent", "learning_rate": 0.5, "out": tmp_path / "run", "checkpoint_steps": 10}
    with pytest.raises(Killed), TensorBoard(tmp_path / "curves") as monitor:
        quiet(simple(), **settings, monitors=[monitor, killer])
    assert max(step for step, _ in curves(tmp_path / "curves")) == 37
    with TensorBoard(tmp_path / "curves") as monitor:
        model = quiet(simple(), **settings, resume=True, monitors=[monitor])
    first, second = (events(path) for path in files(tmp_path / "curves"))
    assert [(e.step, e.session_log.status) for e in first if e.HasField("session_log")] == [(0, SessionLog.START)]
    assert [(e.step, e.session_log.status) for e in second if e.HasField("session_log")] == [(30, SessionLog.START)]
    assert min(e.step for e in second if e.HasField("summary")) == 30
    assert curves(tmp_path / "curves") == rounded(of_history(model))


@pytest.mark.parametrize(
    ("monitor", "library", "extra"), [(TensorBoard, "tensorboardX", "tensorboard"), (MLflow, "mlflow", "mlflow")]
)
def test_a_library_that_is_missing_is_named_with_its_extra(monitor, library, extra, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UsageError, match=library) as caught:
        monitor(tmp_path)
    assert caught.value.hint == f"pip install 'gradline[{extra}]'"


def test_a_place_that_cannot_be_written_to_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot be written to .*file"):
        TensorBoard(tmp_path / "file")


@pytest.fixture
def full_disk(monkeypatch):
    """The first steps are written, then the disk is full."""
    written = []

    def flush(self):
        written.append(self)
        if len(written) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RecordWriter, "flush", flush)
    return written


def test_a_full_disk_ends_the_curves_and_not_the_training(tmp_path, full_disk):
    model = None
    with pytest.raises(StorageError, match="No space left on device"), TensorBoard(tmp_path) as monitor:
        model = quiet(simple(), **SHORT, monitors=[monitor])
    assert model.result["steps"] == 345
    assert len(full_disk) == 2  # nothing is tried again


def test_an_error_in_the_block_is_not_hidden_by_one_of_the_curves(tmp_path, full_disk):
    with pytest.raises(gl.InputError, match="nothing"), TensorBoard(tmp_path) as monitor:  # noqa: PT012
        quiet(simple(), **SHORT, monitors=[monitor])
        quiet(simple(), features=["nothing"])
    assert len(full_disk) == 2


def test_what_a_library_prints_at_the_end_is_not_on_stdout(capsys):
    class Talking(Curves):
        def _write(self, steps):
            self._open.callback(print, "a link to", len(steps), "steps")

    with Talking("nowhere") as monitor:
        monitor(a_step(0))
    assert capsys.readouterr() == ("", "a link to 1 steps\n")


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return str(write_csv(simple(), tmp_path / "t.csv"))


def test_the_command_writes_curves_and_a_model(data, tmp_path, capsys):
    answer = gradline(capsys, "train", data, "--target", "y", "--out", "run", "--tensorboard", "curves", "--json")
    assert answer.code == 0, answer.err
    assert curves(tmp_path / "curves") == rounded(of_history(gl.load(tmp_path / "run")))


def test_the_command_saves_its_model_when_the_curves_fail(data, tmp_path, capsys, full_disk):
    words = ("--optimizer", "gradient_descent", "--alpha", "1e-5", "--max-steps", "500")
    answer = gradline(capsys, "train", data, "--target", "y", *words, "--out", "run", "--tensorboard", "curves", "--json")
    assert answer.code == 1
    assert "could not all be written to curves: [Errno 28]" in answer.err
    assert answer.json["steps"] == 500
    assert gl.load(tmp_path / "run").result["steps"] == 500


def test_a_resumed_command_may_be_watched_otherwise(data, tmp_path, capsys):
    words = ("--optimizer", "gradient_descent", "--alpha", "1e-3", "--max-steps", "25", "--checkpoint-steps", "10")
    assert gradline(capsys, "train", data, "--target", "y", *words, "--out", "run").code == 3
    answer = gradline(capsys, "train", "--resume", "run", "--max-steps", "40", "--tensorboard", "curves")
    assert answer.code == 3, answer.err
    assert {step for step, _ in curves(tmp_path / "curves")} == set(range(25, 41))


def test_curves_in_the_run_directory_are_refused(data, capsys):
    answer = gradline(capsys, "train", data, "--target", "y", "--out", "run", "--tensorboard", "run/curves")
    assert answer.code == 2
    assert "which is replaced as a whole" in answer.err


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """MLflow with a store of its own, where it is installed."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.chdir(tmp_path_factory.mktemp("artifacts"))  # where MLflow keeps files
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy", DeprecationWarning)  # of MLflow's in SQLAlchemy
        mlflow = pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
        mlflow.set_tracking_uri(f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}")
        mlflow.set_experiment("first")
        yield mlflow
        mlflow.set_tracking_uri(None)


def logged(store, run):
    client = store.MlflowClient()
    return {(m.step, name): m.value for name in CURVES for m in client.get_metric_history(run, name)}


def latest(store, experiment):
    found = store.get_experiment_by_name(experiment)
    return store.MlflowClient().search_runs([found.experiment_id])[0]


def test_mlflow_is_told_the_history_in_batches(store, monkeypatch):
    batches, log_batch = [], store.MlflowClient.log_batch

    def counted(self, run, metrics):
        batches.append(len(metrics))
        log_batch(self, run, metrics)

    monkeypatch.setattr(store.MlflowClient, "log_batch", counted)
    monkeypatch.setattr("gradline.monitors.SECONDS", np.inf)
    with MLflow("history") as monitor:
        model = quiet(simple(), **(LONG | {"max_steps": 1_234}), monitors=[monitor])
        assert store.active_run().info.run_id == monitor.run_id
    assert logged(store, monitor.run_id) == of_history(model, thinned(1_234))
    assert max(batches) <= 1_000
    assert len(batches) == 11
    run = latest(store, "history")
    assert (run.info.run_id, run.info.status) == (monitor.run_id, "FINISHED")
    assert store.active_run() is None


def test_mlflow_goes_on_in_an_active_run_and_leaves_it_open(store):
    with store.start_run() as run:
        with MLflow() as monitor:
            model = quiet(simple(), monitors=[monitor])
        assert store.active_run().info.run_id == run.info.run_id
    assert logged(store, run.info.run_id) == of_history(model)


def test_a_run_that_fails_is_a_failed_run_of_mlflow(store):
    with pytest.raises(gl.InputError), MLflow("failed") as monitor:
        quiet(simple(), features=["nothing"], monitors=[monitor])
    assert latest(store, "failed").info.status == "FAILED"


def test_the_command_logs_to_mlflow(store, data, tmp_path, capsys):
    answer = gradline(capsys, "train", data, "--target", "y", "--out", "run", "--mlflow", "flights", "--json")
    assert answer.code == 0, answer.err
    model = gl.load(tmp_path / "run")
    assert logged(store, latest(store, "flights").info.run_id) == of_history(model)


def test_mlflow_that_fails_ends_the_curves_and_not_the_training(store, monkeypatch):
    def fail(self, run, metrics):
        raise store.MlflowException("the server is gone")

    monkeypatch.setattr(store.MlflowClient, "log_batch", fail)
    model = None
    with pytest.raises(StorageError, match="the server is gone"), MLflow("gone") as monitor:
        model = quiet(simple(), monitors=[monitor])
    assert model.stop_reason.converged
    assert store.active_run() is None


def test_a_tracking_server_that_is_not_there_is_said_at_once(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = store.get_tracking_uri()
    store.set_tracking_uri("http://127.0.0.1:9")
    try:
        with pytest.raises(StorageError, match="curves cannot be written to MLflow"):
            MLflow("nowhere")
    finally:
        store.set_tracking_uri(uri)

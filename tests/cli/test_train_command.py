"""`gradline train`: its document, its exit codes, its settings, its run directory."""

import json
import os
import re
import tomllib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gradline.model.model import load
from tables import HOSTILE, gradline, gradline_process, leftovers, mixed, simple, write_csv, write_ndjson, write_parquet


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder to work in that holds t.csv."""
    monkeypatch.chdir(tmp_path)
    return write_csv(simple(), tmp_path / "t.csv")


def trained(capsys, *words):
    answer = gradline(capsys, "train", *words, "--json")
    assert answer.code == 0, answer.err
    return answer.json


NUMBER, MAYBE, TEXT = (int, float), (int, float, type(None)), str
METRICS = {"rows": int, "rmse": NUMBER, "r2": MAYBE, "bias": NUMBER}
DOCUMENT = {
    "model": TEXT,
    "rows": {"read": int, "train": int, "validation": int, "test": int, "dropped": int, "gap": int},
    "intercept": NUMBER,
    "coefficients": dict,
    "plan": {
        "oracle": TEXT,
        "optimizer": TEXT,
        "learning_rate": MAYBE,
        "learning_rate_limit": MAYBE,
        "coordinates": TEXT,
        "predicted_steps": (int, type(None)),
        "stages": list,
    },
    "steps": int,
    "stopped": {"reason": TEXT, "message": TEXT},
    "certificate": {
        "kind": TEXT,
        "objective": NUMBER,
        "minimum": MAYBE,
        "gap": MAYBE,
        "relative_gap": MAYBE,
        "curvature_max": MAYBE,
        "curvature_min": MAYBE,
        "condition": MAYBE,
        "trusted_digits": MAYBE,
    },
    "metrics": {
        "train": METRICS,
        "validation": METRICS,
        "test": METRICS,
        "baseline": {"train": METRICS, "validation": METRICS, "test": METRICS},
    },
    "warnings": list,
    "seconds": NUMBER,
}


def assert_shape(document, shape, where=""):
    for key, kind in shape.items():
        assert key in document, f"{where}{key}"
        if isinstance(kind, dict):
            assert_shape(document[key], kind, f"{where}{key}.")
        else:
            assert isinstance(document[key], kind), f"{where}{key} is {document[key]!r}"
            assert not isinstance(document[key], bool), f"{where}{key}"


def test_the_document_has_the_keys_and_types_of_the_design(data, capsys):
    document = trained(capsys, data, "--target", "y")
    assert_shape(document, DOCUMENT)
    assert all(isinstance(v, float) for v in document["coefficients"].values())
    assert all(isinstance(v, str) for v in document["plan"]["stages"])
    assert document["certificate"]["kind"] == "exact"
    assert document["certificate"]["relative_gap"] <= 1e-12
    assert document["certificate"]["condition"] == pytest.approx(
        document["certificate"]["curvature_max"] / document["certificate"]["curvature_min"]
    )
    assert document["model"] == "runs/y"


def test_the_document_of_a_hard_run_is_json_without_nan_too(data, capsys):
    for words in (
        ["--max-steps", "0"],
        ["--validation", "0", "--test", "0"],
        ["--alpha", "50", "--force"],
        ["--optimizer", "cg"],
        ["--log-target", "--features", "x0"],
        ["--no-intercept"],
        ["--oracle", "streamed"],
        ["--stop", "improvement"],
    ):
        if "--log-target" in words:
            rows = simple()
            write_csv(rows.set_column(3, "y", pa.array(np.exp(rows["y"].to_numpy() / 9))), data)
        answer = gradline(capsys, "train", data, "--target", "y", "--json", *words)
        assert answer.code in (0, 3), answer.err
        shape = {key: kind for key, kind in DOCUMENT.items() if key != "metrics"}
        assert_shape(answer.json, shape)
        assert {"code", "column", "message"} <= set().union(*map(set, answer.json["warnings"]), {"code", "column", "message"})


def test_cross_validation_is_one_entry_of_the_document(data, capsys):
    assert trained(capsys, data, "--target", "y")["cross_validation"] is None
    document = trained(capsys, data, "--target", "y", "--folds", "4", "--l2", "auto", "--l2-path", "9")
    found = document["cross_validation"]
    first = ["folds", "l2", "rmse", "rmse_standard_error", "chosen", "one_standard_error", "baseline_rmse", "r2"]
    more = ["rmse_standard_error_corrected", "rmse_standard_error_between_repeats", "fold_rmse", "nested"]
    assert list(found) == [*first, "scheme", "repeats", *more]
    assert (found["folds"], len(found["l2"]), len(found["rmse"]), len(found["rmse_standard_error"])) == (4, 10, 10, 10)
    assert found["chosen"] in found["l2"]
    assert "4 folds × 10 values of λ" in document["plan"]["stages"]
    assert trained(capsys, data, "--target", "y", "--l2", "auto")["cross_validation"]["folds"] == 5
    fixed = trained(capsys, data, "--target", "y", "--l2", "0.5", "--folds", "3")["cross_validation"]
    assert (fixed["folds"], fixed["l2"], fixed["chosen"]) == (3, [0.5], 0.5)


def test_cross_validation_is_in_the_summary_and_in_show(data, capsys):
    answer = gradline(capsys, "train", data, "--target", "y", "--l2", "auto")
    shown = gradline(capsys, "show", "runs/y")
    for text in (answer.out, shown.out):
        assert re.search(r"Folds +RMSE [\d.e-]+ ± [\d.e-]+ over 5 folds \(always the mean [\d.]+\), R² 0\.9", text)
        assert re.search(r"λ = \S+ chosen of 101 values: ", text)
    assert "at λ = 0.5" in gradline(capsys, "train", data, "--target", "y", "--l2", "0.5", "--folds", "3").out
    assert "Folds" not in gradline(capsys, "train", data, "--target", "y").out


def test_a_configuration_file_may_leave_the_penalty_to_folds(data, capsys):
    Path("c.toml").write_text('target = "y"\nl2 = "auto"\nfolds = 3\nl2-path = 5\n', encoding="utf-8")
    found = trained(capsys, data, "--config", "c.toml")["cross_validation"]
    assert (found["folds"], len(found["l2"])) == (3, 6)
    again = trained(capsys, "--config", "runs/y/config.toml", "--out", "again")
    assert again["cross_validation"] == found
    over = trained(capsys, data, "--config", "c.toml", "--l2", "0.25", "--l2-path", "100")["cross_validation"]
    assert over["l2"] == [0.25]


def test_stdout_is_one_document_and_warnings_go_to_stderr(data, capsys):
    answer = gradline(capsys, "train", data, "--target", "y", "--validation", "0", "--test", "0", "--json")
    assert [w["code"] for w in answer.json["warnings"]] == ["nothing_held_out"]
    assert all(set(w) == {"code", "column", "message"} for w in answer.json["warnings"])
    assert "[nothing_held_out]" in answer.err
    assert "nothing_held_out" not in gradline(capsys, "train", data, "--target", "y").err


def test_a_real_process_prints_one_document_and_exits_with_0(data):
    answer = gradline_process("train", data, "--target", "y", "--json")
    assert (answer.code, answer.err) == (0, "")
    assert answer.json["coefficients"]["x0"] == pytest.approx(3, abs=0.1)


def test_the_summary_says_what_was_learned_how_good_whether_to_trust_it_and_what_is_next(data, capsys):
    answer = gradline(capsys, "train", data, "--target", "y", "--features", "x0", "--units", "x0=miles,y=minutes")
    assert answer.code == 0
    for words in (
        "y from x0",
        "Learned",
        "minutes per mile",
        "How good",
        "always the mean",
        "Trust",
        "relative gap",
        "gradline predict runs/y",
    ):
        assert words in answer.out


# -------------------------------------------------------------------------------------------------------- exit codes


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        ([], 0, "certified"),
        (["--stop", "improvement", "--tolerance", "1e-3"], 0, "improvement"),
        (["--max-steps", "2"], 3, "max_steps"),
        (["--max-seconds", "0"], 3, "max_seconds"),
        (["--alpha", "50", "--force"], 3, "diverged"),
    ],
    ids=["done", "improvement", "steps", "seconds", "diverged"],
)
def test_the_exit_code_tells_whether_the_tolerance_was_reached_and_the_model_is_saved_and_marked(
    words, code, reason, data, capsys
):
    answer = gradline(capsys, "train", data, "--target", "y", "--json", *words)
    assert answer.code == code
    assert answer.json["stopped"]["reason"] == reason
    saved = load("runs/y")
    assert saved.result["stopped"]["reason"] == reason
    assert ("not_converged" in {n.code for n in saved.notices}) == (code == 3)
    assert np.isfinite(list(saved.coefficients.values())).all()


def test_a_full_disk_is_exit_code_1_with_a_message_and_nothing_half_written(data, capsys, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    answer = gradline(capsys, "train", data, "--target", "y")
    assert answer.code == 1
    assert "cannot write runs/y: No space left on device" in answer.err
    assert "Traceback" not in answer.err
    assert not (data.parent / "runs" / "y").exists()
    assert leftovers(data.parent) == []


def test_a_bug_is_exit_code_1_with_the_place_of_its_log(data, capsys, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("gradline.api.run", broken)
    answer = gradline(capsys, "train", data, "--target", "y")
    assert answer.code == 1
    assert "this is a bug; the log is" in answer.err
    assert "Traceback" not in answer.err
    log = Path(answer.err.split("the log is ")[1].strip().rstrip("."))
    assert "ZeroDivisionError" in log.read_text()
    log.unlink()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["tarin"], "did you mean 'train'"),
        (["train", "t.csv"], "no target given"),
        (["train", "--target", "y"], "no data given"),
        (["train", "t.csv", "--target", "y", "--optimiser", "gd"], "--optimiser"),
        (["train", "t.csv", "--target", "y", "--validation", "half"], "half"),
        (["train", "t.csv", "--target", "y", "--types", "x0"], "COLUMN=WORD"),
        (["train", "t.csv", "--target", "y", "--types", "x0=txt"], "did you mean 'text'"),
        (["train", "t.csv", "--target", "y", "--optimizer", "adma"], "adma"),
        (["train", "t.csv", "--target", "y", "--key", "x0", "--time", "x1"], "only one can"),
        (["train", "t.csv", "--target", "y", "--features", "y"], "cannot predict itself"),
        (["train", "t.csv", "--target", "y", "--alpha", "fast"], "not a number, nor auto"),
        (["train", "t.csv", "--target", "y", "--alpha", "-1"], "not a learning rate"),
        (["train", "t.csv", "--target", "y", "--alpha", "1", "--optimizer", "cg"], "--learning-rate has no meaning"),
        (["train", "t.csv", "--target", "y", "--tolerance", "nan"], "--tolerance"),
        (["train", "t.csv", "--target", "y", "--tolerance", "inf"], "--tolerance"),
        (["train", "t.csv", "--target", "y", "--tolerance", "-1"], "--tolerance"),
        (["train", "t.csv", "--target", "y", "--max-seconds", "nan"], "--max-seconds"),
        (["train", "t.csv", "--target", "y", "--l2", "-0.5"], "--l2"),
        (["train", "t.csv", "--target", "y", "--l2", "nan"], "--l2"),
        (["train", "t.csv", "--target", "y", "--l2", "best"], "'best' is not a number, nor auto"),
        (["train", "t.csv", "--target", "y", "--folds", "1"], "--folds 1"),
        (["train", "t.csv", "--target", "y", "--repeats", "3"], "there are no folds"),
        (["train", "t.csv", "--target", "y", "--gap", "7d"], "--time, which is not given"),
        (["train", "t.csv", "--target", "y", "--time", "x0", "--gap", "a week"], "'a week' is no length of time"),
        (["train", "t.csv", "--target", "y", "--time", "x0", "--gap", "7d"], "a number without that unit"),
        (["train", "t.csv", "--target", "y", "--stratify", "x0", "--key", "x1"], "--stratify and --key do not go together"),
        (["train", "t.csv", "--target", "y", "--stratify", "x9"], "no column 'x9'"),
        (["train", "t.csv", "--target", "y", "--learning-curve", "--validation", "0"], "none are held out"),
        (["train", "t.csv", "--target", "y", "--max-steps", "-1"], "--max-steps"),
        (["train", "t.csv", "--target", "y", "--validation", "0.5", "--test", "0.5"], "leave no row to train on"),
    ],
    ids=lambda v: " ".join(v[-2:]) if isinstance(v, list) else "",
)
def test_bad_usage_is_exit_code_2_with_a_message(words, says, data, capsys):
    answer = gradline(capsys, *words)
    assert answer.code == 2, answer.err
    assert "Traceback" not in answer.err
    assert answer.out == ""
    if says:
        assert says in answer.said
    assert [p.name for p in data.parent.iterdir()] == ["t.csv"]


def test_help_and_version_answer_with_0_and_no_command_with_2(capsys):
    assert gradline(capsys, "--help").code == 0
    assert gradline(capsys, "train", "--help").code == 0
    assert gradline(capsys, "--version").out.startswith("gradline, version")
    assert gradline(capsys).code == 2


# ---------------------------------------------------------------------------------------------------------- settings


def test_flags_are_the_settings_of_a_configuration_file(data, capsys):
    (data.parent / "c.toml").write_text(
        'data = "t.csv"\ntarget = "y"\nfeatures = ["x0", "c"]\nvalidation = 0.2\ntest = 0.05\nseed = 7\nl2 = 0.01\n'
        'optimizer = "gradient_descent"\nlearning-rate = 0.5\nintercept = false\nunits = { x0 = "miles" }\nmax-steps = 500\nout = "from-file"\n'
    )
    words = "--target y --features x0,c --validation 0.2 --test 0.05 --seed 7 --l2 0.01 --optimizer gd --alpha 0.5 --no-intercept --units x0=miles --max-steps 500 --out from-flags"
    by_file = trained(capsys, "--config", "c.toml")
    by_flags = trained(capsys, "t.csv", *words.split())
    assert by_file.pop("model") == "from-file"
    assert by_flags.pop("model") == "from-flags"
    assert by_file.pop("seconds") > 0
    assert by_flags.pop("seconds") > 0
    assert by_file == by_flags
    assert load("from-file").config == load("from-flags").config


def test_flags_win_over_the_file(data, capsys):
    (data.parent / "c.toml").write_text(
        'data = "missing.csv"\ntarget = "x1"\nseed = 7\nlearning_rate = 0.5\nl2 = 1.0\nout = "a"\nforce = true\nvalidation = 0.3\n'
    )
    trained(
        capsys,
        "t.csv",
        "--config",
        "c.toml",
        "--target",
        "y",
        "--seed",
        "3",
        "--learning-rate",
        "auto",
        "--out",
        "b",
        "--validation",
        "0.1",
    )
    config = load("b").config
    assert (config["target"], config["seed"], config["l2"], config["force"], config["validation"]) == ("y", 3, 1.0, True, 0.1)
    assert "learning_rate" not in config
    assert not (data.parent / "a").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('target = "y"\nlerning_rate = 1', "there is no setting 'lerning_rate'.*did you mean 'learning_rate'"),
        ('target = "y"\nlearning_rate = "fast"', "learning_rate is 'fast', which is not a number"),
        ('target = "y"\nseed = 1.5', "seed is 1.5, which is not a whole number"),
        ('target = "y"\nintercept = "no"', "intercept is 'no', which is not true or false"),
        ('target = "y"\ndrop = [1]', "drop is .*which is not a list of column names"),
        ("target = 5", "target is 5, which is not text"),
        ('target = "y"\noptimizer = "adma"', "--optimizer 'adma' is not known"),
        ('target = "y"\nvalidation = nan', "--validation nan"),
        ('target = "y"\ntypes = "text"', "types is 'text', which is not names and words"),
        ("target: y", "is not a configuration file"),
        ("\x00\x01", "is not a configuration file"),
    ],
)
def test_a_bad_configuration_file_is_exit_code_2_with_the_setting(text, says, data, capsys):
    import re

    (data.parent / "c.toml").write_text(text)
    answer = gradline(capsys, "train", "t.csv", "--config", "c.toml")
    assert answer.code == 2, answer.err
    assert re.search(says, answer.said), answer.err
    assert "Traceback" not in answer.err


def test_a_configuration_file_that_is_not_there_is_exit_code_2(data, capsys):
    answer = gradline(capsys, "train", "t.csv", "--config", "none.toml")
    assert answer.code == 2
    assert "there is no configuration file none.toml" in answer.err


@pytest.mark.parametrize(
    "words",
    [["t.csv"], ["t.csv", "t2.csv"], ["select * from 't.csv' order by x0"], ["*.csv"]],
    ids=["file", "files", "sql", "glob"],
)
def test_a_runs_own_configuration_gives_the_same_bits_again(words, data, capsys):
    write_csv(simple(seed=5), data.parent / "t2.csv")
    settings = ["--target", "y", "--drop", "x1", "--seed", "3", "--l2", "0.001", "--types", "c=text", "--test", "0.3"]
    first = trained(capsys, *words, *settings, "--out", "first")
    again = trained(capsys, "--config", "first/config.toml", "--out", "again")
    assert again["coefficients"] == first["coefficients"]
    assert again["intercept"] == first["intercept"]
    assert again["rows"] == first["rows"]
    configs = [tomllib.loads(Path(run, "config.toml").read_text()) for run in ("first", "again")]
    assert configs[0] == configs[1]


def test_threads_do_not_change_a_bit(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 200)
    path = write_parquet(mixed(3_000), tmp_path / "t.parquet", row_group_size=130)
    a = trained(capsys, path, "--target", "y", "--drop", "id", "--threads", 1)
    b = trained(capsys, path, "--target", "y", "--drop", "id", "--threads", 4)
    assert a["coefficients"] == b["coefficients"]
    assert a["certificate"] == b["certificate"]


def test_csv_parquet_and_ndjson_through_the_command_give_the_same_coefficients(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = mixed()
    documents = [
        trained(capsys, path, "--target", "y", "--drop", "id")
        for path in (
            write_csv(rows, tmp_path / "t.csv"),
            write_parquet(rows, tmp_path / "t.parquet"),
            write_ndjson(rows, tmp_path / "t.ndjson"),
        )
    ]
    for document in documents[1:]:
        assert document["rows"] == documents[0]["rows"]
        assert document["coefficients"] == pytest.approx(documents[0]["coefficients"], rel=1e-12, abs=1e-12)


def test_drop_and_features_choose_columns(data, capsys):
    assert set(trained(capsys, data, "--target", "y", "--drop", "c,x1")["coefficients"]) == {"x0"}
    assert set(trained(capsys, data, "--target", "y", "--drop", "c", "--drop", "x1")["coefficients"]) == {"x0"}
    assert set(trained(capsys, data, "--target", "y", "--features", "x1")["coefficients"]) == {"x1"}


def test_types_decide_what_a_column_is(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = simple().append_column("zip", pa.array([10115 + i % 3 for i in range(300)]))
    for path in (write_csv(rows, tmp_path / "t.csv"), write_parquet(rows, tmp_path / "t.parquet")):
        assert "zip" in trained(capsys, path, "--target", "y")["coefficients"]
        document = trained(capsys, path, "--target", "y", "--types", "zip=text")
        assert {"zip=10115", "zip=10116", "zip=10117"} - set(document["coefficients"]) == {f"zip={document['references']['zip']}"}


def test_a_log_target_is_said_and_its_errors_are_in_the_targets_unit(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.normal(size=1_000)
    path = write_csv(pa.table({"x": x, "y": np.exp(1 + 0.5 * x + 0.3 * rng.normal(size=1_000))}), tmp_path / "t.csv")
    document = trained(capsys, path, "--target", "y", "--log-target")
    assert document["coefficients"]["x"] == pytest.approx(0.5, abs=0.05)
    assert document["target"]["transform"] == "log"
    assert document["target"]["retransformation"]["factor"] == pytest.approx(np.exp(0.045), rel=0.02)
    assert_shape(document, DOCUMENT)
    assert document["metrics"]["train"]["rmse"] < document["metrics"]["baseline"]["train"]["rmse"]
    path.write_text("x,y\n1,2\n2,0\n3,4\n")
    answer = gradline(capsys, "train", path, "--target", "y", "--log-target")
    assert answer.code == 2
    assert "first at row 1" in answer.err


def test_a_weight_counts_as_repeated_rows(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = simple(200)
    weight = np.arange(200) % 4
    weighted = trained(
        capsys,
        write_csv(rows.append_column("w", pa.array(weight)), tmp_path / "w.csv"),
        "--target",
        "y",
        "--weight",
        "w",
        "--validation",
        0,
        "--test",
        0,
    )
    repeated = trained(
        capsys,
        write_csv(rows.take(np.repeat(np.arange(200), weight)), tmp_path / "r.csv"),
        "--target",
        "y",
        "--validation",
        0,
        "--test",
        0,
    )
    assert "w" not in weighted["coefficients"]
    assert weighted["coefficients"] == pytest.approx(repeated["coefficients"], rel=1e-9)


def test_time_holds_out_the_latest_rows(data, capsys):
    rows = simple().append_column("t", pa.array(np.random.default_rng(0).permutation(300)).cast(pa.int32()).cast(pa.date32()))
    write_csv(rows, data)
    document = trained(capsys, data, "--target", "y", "--time", "t", "--validation", 0.1, "--test", 0.2)
    assert document["rows"] == {"read": 300, "train": 210, "validation": 30, "test": 60, "dropped": 0, "gap": 0}
    assert "by time" in document["split"]
    roles = load("runs/y").sampled.roles
    day = rows["t"].cast(pa.int32()).to_numpy()
    assert day[roles == 0].max() < day[roles == 1].min() < day[roles == 2].min()


@pytest.mark.parametrize("flag", ["--group", "--key"])
def test_rows_of_one_group_have_one_role_in_every_format(flag, data, capsys):
    rows = simple().append_column("g", pa.array([f"g{i % 40}" for i in range(300)]))
    found = []
    for path in (write_csv(rows, data), write_parquet(rows, data.parent / "t.parquet")):
        document = trained(capsys, path, "--target", "y", flag, "g", "--test", 0.3)
        roles = load("runs/y").sampled.roles
        assert all(len(set(roles[i::40])) == 1 for i in range(40))
        assert "g" not in document["coefficients"]
        found.append(roles.tolist())
    assert found[0] == found[1]


# ----------------------------------------------------------------------------------------------------- run directory


def test_the_run_directory_holds_model_history_settings_result_and_report(data, capsys):
    document = trained(capsys, data, "--target", "y", "--out", "my/run")
    run = data.parent / "my" / "run"
    assert sorted(p.name for p in run.iterdir()) == [
        "config.toml",
        "history.parquet",
        "model-card.md",
        "model.gradline",
        "report.html",
        "result.json",
    ]
    assert json.loads((run / "result.json").read_text()) == document
    assert pq.read_table(run / "history.parquet").num_rows == document["steps"] + 1
    assert load(run).coefficients == document["coefficients"]
    assert "<html" in (run / "report.html").read_text()
    assert tomllib.loads((run / "config.toml").read_text())["target"] == "y"
    assert leftovers(data.parent) == []


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("y", "y"),
        ("air time", "air_time"),
        ("../../etc/passwd", "etc_passwd"),
        ("größe", "größe"),
        ("..", "run"),
        ("a/b", "a_b"),
        ("x" * 200, "x" * 80),
    ],
)
def test_the_default_run_directory_is_the_targets_name_made_safe(target, name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_parquet(simple().rename_columns(["x0", "x1", "c", target]), tmp_path / "t.parquet")
    assert trained(capsys, path, "--target", target)["model"] == f"runs/{name}"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["runs", "t.parquet"]
    assert [p.name for p in (tmp_path / "runs").iterdir()] == [name]


def test_an_existing_run_is_replaced_by_success_only(data, capsys):
    first = trained(capsys, data, "--target", "y")
    before = {p.name: p.read_bytes() for p in (data.parent / "runs" / "y").iterdir()}
    assert gradline(capsys, "train", data, "--target", "y", "--alpha", "50").code == 2
    assert gradline(capsys, "train", data, "--target", "y", "--features", "nope").code == 2
    assert {p.name: p.read_bytes() for p in (data.parent / "runs" / "y").iterdir()} == before
    second = trained(capsys, data, "--target", "y", "--seed", "9")
    assert second["coefficients"] != first["coefficients"]
    assert load("runs/y").coefficients == second["coefficients"]
    assert leftovers(data.parent) == []


def test_a_directory_with_other_files_is_refused_before_the_data_are_read(data, capsys):
    (data.parent / "thesis").mkdir()
    (data.parent / "thesis" / "chapter.txt").write_text("work")
    answer = gradline(capsys, "train", "missing.csv", "--target", "y", "--out", "thesis")
    assert answer.code == 2
    assert "thesis holds files that are not a gradline run" in answer.err
    assert [p.name for p in (data.parent / "thesis").iterdir()] == ["chapter.txt"]
    answer = gradline(capsys, "train", data, "--target", "y", "--out", "t.csv")
    assert answer.code == 2
    assert "t.csv is a file; a run is a directory" in answer.err


def test_the_current_directory_can_be_the_run_directory_when_it_is_empty(data, capsys, monkeypatch):
    (data.parent / "here").mkdir()
    monkeypatch.chdir(data.parent / "here")
    answer = gradline(capsys, "train", data, "--target", "y", "--out", ".")
    assert answer.code in (0, 2), answer.err


def test_a_file_name_that_is_not_utf_8_is_read_or_refused_but_no_bug(data, capsys):
    odd = os.fsdecode(os.fsencode(str(data.parent)) + b"/b\xff.csv")
    data.rename(odd)
    answer = gradline(capsys, "train", odd, "--target", "y")
    assert answer.code in (0, 2), answer.err


# ----------------------------------------------------------------------------------------------------- hostile names


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_hostile_names_go_through_train_predict_show_and_report(suffix, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, len(HOSTILE)))
    columns = {name: X[:, i] for i, name in enumerate(HOSTILE.values())}
    target = 'y"; drop\x1b[31m<b>'
    rows = pa.table(columns | {target: X.sum(axis=1) + 0.1 * rng.normal(size=300)})
    path = (write_csv if suffix == "csv" else write_parquet)(rows, tmp_path / f"t.{suffix}")
    document = trained(capsys, path, "--target", target, "--out", "run")
    assert list(document["coefficients"]) == list(HOSTILE.values())
    keep = [word for name in HOSTILE.values() for word in ("--keep", '"' + name.replace('"', '""') + '"')]
    answer = gradline(capsys, "predict", "run", path, "--out", "p.parquet", *keep)
    assert answer.code == 0, answer.err
    found = pq.read_table("p.parquet")
    assert found.column_names == ["row", *HOSTILE.values(), "prediction", "low", "high"]
    assert np.allclose(found["prediction"].to_numpy(), rows[target].to_numpy(), atol=1)
    shown = gradline(capsys, "show", "run")
    assert shown.code == 0
    assert "\x1b" not in shown.out + shown.err + answer.out + answer.err
    assert gradline(capsys, "show", "run", "--json").json["coefficients"] == document["coefficients"]
    assert gradline(capsys, "report", "run").code == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<script>alert(1)</script>" not in page
    assert "\x1b" not in page


def test_an_error_about_a_hostile_name_sends_no_control_characters(data, capsys, monkeypatch):
    write_parquet(pa.table({"\x1b[2Jx\x07": ["a"] * 9, "y": [1.0] * 9}), data.parent / "t.parquet")
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *args: False)  # as on a terminal
    monkeypatch.setattr("click._compat.should_strip_ansi", lambda *args: False)
    answer = gradline(capsys, "train", "t.parquet", "--target", "\x1b[2Jx\x07")
    assert answer.code == 2
    assert "\x1b" not in answer.err
    assert "\x07" not in answer.err

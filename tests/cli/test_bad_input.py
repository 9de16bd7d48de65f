"""Each bad input: exit code 2, a message that says what and where, no traceback, nothing half-written."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gradline as gl
from tables import gradline, gradline_process, simple, write_csv, write_ndjson, write_parquet


def text(name, content, encoding="utf-8"):
    def make(folder):
        (folder / name).write_bytes(content.encode(encoding))

    return make


def table(columns, write=write_csv, name="t.csv"):
    return lambda folder: write(pa.table(columns), folder / name)


def cut_parquet(folder):
    path = write_parquet(simple(5_000), folder / "t.parquet")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def doubled_parquet(folder):
    batch = pa.RecordBatch.from_arrays([pa.array(np.arange(9.0))] * 3, names=["a", "y", "a"])
    pq.write_table(pa.Table.from_batches([batch]), folder / "t.parquet")


def late_text(folder):
    rows = [f"{i % 97},{i % 89}.5" for i in range(60_000)]
    rows[50_000] = "unknown,3.5"
    (folder / "t.csv").write_text("x,y\n" + "\n".join(rows) + "\n")


def late_fields(folder):
    rows = [f"{i % 97},{i % 89}.5" for i in range(60_000)]
    rows[50_000] = "1,2,3"
    (folder / "t.csv").write_text("x,y\n" + "\n".join(rows) + "\n")


def late_json(folder):
    (folder / "t.ndjson").write_text('{"x": 1, "y": 2}\n{"x": 2, "y": 3}\n' * 30_000 + "{broken\n")


def nothing(folder):
    pass


def folder_without_data(folder):
    (folder / "t").mkdir()
    (folder / "t" / "readme.md").write_text("none")


def good(folder):
    write_csv(simple(), folder / "t.csv")


X = np.arange(60.0)
Y = X * 2 + np.sin(X)
HALF = np.where(X == 7, np.inf, X)

CASES = {
    "no such file": (good, ["tt.csv"], r"there is no file tt\.csv\. Hint: did you mean 't\.csv'\?"),
    "no such folder": (nothing, ["no/where.csv"], r"there is no folder no either"),
    "glob without a match": (nothing, ["*.csv"], r"no file matches \*\.csv"),
    "empty file": (text("t.csv", ""), ["t.csv"], r"t\.csv is empty"),
    "blank file": (text("t.csv", "\n\n  \n"), ["t.csv"], r"t\.csv is empty"),
    "empty parquet": (text("t.parquet", ""), ["t.parquet"], r"t\.parquet cannot be read as Parquet"),
    "empty ndjson": (text("t.ndjson", ""), ["t.ndjson"], r"t\.ndjson is empty"),
    "header only": (text("t.csv", "x,y\n"), ["t.csv"], r"t\.csv has a header and no rows"),
    "header only, no newline": (text("t.csv", "x,y"), ["t.csv"], r"t\.csv has a header and no rows"),
    "header only parquet": (
        table({"x": X[:0], "y": X[:0]}, write_parquet, "t.parquet"),
        ["t.parquet"],
        r"t\.parquet has .*no rows",
    ),
    "target not there": (good, ["t.csv", "--target", "yy"], r"t\.csv has no column 'yy'\. Hint: did you mean 'y'"),
    "feature not there": (good, ["t.csv", "--features", "x9"], r"--features: t\.csv has no column 'x9'\. Hint: did you mean 'x"),
    "dropped column not there": (good, ["t.csv", "--drop", "cc"], r"--drop: t\.csv has no column 'cc'"),
    "target text": (
        good,
        ["t.csv", "--target", "c"],
        r"the target 'c' is text; linear regression needs a number\. Hint: numbers here are: x0, x1, y",
    ),
    "target dates": (table({"x": X, "y": pa.array(X.astype("i4")).cast(pa.date32())}), ["t.csv"], r"the target 'y' is date"),
    "target constant": (table({"x": X, "y": X * 0 + 3}), ["t.csv"], r"the target 'y' is 3 in every row"),
    "all rows without target": (
        table({"x": X, "y": pa.array([None] * 60, pa.float64())}),
        ["t.csv"],
        r"all 60 rows were dropped: none has a target 'y'",
    ),
    "all rows without target, parquet": (
        table({"x": X, "y": pa.nulls(60)}, write_parquet, "t.parquet"),
        ["t.parquet"],
        r"the target 'y' is null in every row",
    ),
    "one row": (text("t.csv", "x,y\n1,2\n"), ["t.csv"], r"t\.csv has 1 row with a target"),
    "one training row": (
        text("t.csv", "x,y\n1,2\n2,5\n3,4\n"),
        ["t.csv", "--validation", "0.5", "--test", "0.49"],
        r"rows? with a target, [01] of them for training",
    ),
    "too many fields": (text("t.csv", "x,y\n1,2\n3,4,5\n"), ["t.csv"], r"t\.csv, line 3: 3 fields, expected 2"),
    "too many fields at row 50,000": (late_fields, ["t.csv"], r"t\.csv, line 50,002: 3 fields, expected 2"),
    "too few fields": (text("t.csv", "x,z,y\n1,2,3\n3,4\n"), ["t.csv"], r"t\.csv, line 3: 2 fields, expected 3"),
    "truncated parquet": (cut_parquet, ["t.parquet"], r"t\.parquet cannot be read as Parquet.*cut off"),
    "inf in a column": (table({"x": HALF, "y": Y}), ["t.csv"], r"column 'x' of t\.csv: 1 value is infinite \(first at row 7"),
    "inf in the target": (
        table({"x": X, "y": HALF}, write_parquet, "t.parquet"),
        ["t.parquet"],
        r"column 'y': 1 row is infinite \(first at row 7",
    ),
    "minus inf": (
        table({"x": -HALF, "y": Y}, write_parquet, "t.parquet"),
        ["t.parquet"],
        r"column 'x' .* infinite \(first at row 7",
    ),
    "squares overflow": (table({"x": X * 1e200, "y": Y}, write_parquet, "t.parquet"), ["t.parquet"], r"column 'x' .* overflow"),
    "column all null": (
        table({"x": X, "z": pa.array([None] * 60, pa.float64()), "y": Y}),
        ["t.csv"],
        r"column 'z' is null in every .*--drop z",
    ),
    "column of type null": (
        table({"x": X, "z": pa.nulls(60), "y": Y}, write_parquet, "t.parquet"),
        ["t.parquet"],
        r"column 'z' is null in every .*--drop z",
    ),
    "column all nan": (
        table({"x": X, "z": X * np.nan, "y": Y}, write_parquet, "t.parquet"),
        ["t.parquet"],
        r"column 'z' is null in every .*--drop z",
    ),
    "text all null": (
        table({"x": X, "z": pa.array([None] * 60, pa.string()), "y": Y}, write_parquet, "t.parquet"),
        ["t.parquet"],
        r"column 'z' is null in every .*--drop z",
    ),
    "date all null": (
        table({"x": X, "z": pa.array([None] * 60, pa.date32()), "y": Y}, write_parquet, "t.parquet"),
        ["t.parquet"],
        r"column 'z' is null in every .*--drop z",
    ),
    "two columns of one name": (text("t.csv", "a,y,a\n1,2,3\n4,5,6\n"), ["t.csv"], r"columns 1 and 3 are both named 'a'"),
    "two columns of one name, parquet": (doubled_parquet, ["t.parquet"], r"columns 1 and 3 are both named 'a'"),
    "only the target": (table({"y": Y}), ["t.csv"], r"t\.csv has no column beside the target"),
    "only constants": (table({"x": X * 0, "y": Y}), ["t.csv"], r"no feature left.*'x' is 0 in every training row"),
    "only nested columns": (
        table({"x": pa.array([[1]] * 60), "y": Y}, write_parquet, "t.parquet"),
        ["t.parquet"],
        r"no column beside the target|no feature left",
    ),
    "text in numbers at row 50,000": (
        late_text,
        ["t.csv"],
        r"t\.csv, line 50,002: column 'x' is number so far, but here stands 'unknown'",
    ),
    "latin-1": (text("t.csv", "größe,y\n1,2\n", "latin-1"), ["t.csv"], r"t\.csv is not UTF-8 text \(byte 2\)"),
    "utf-16": (text("t.csv", "x,y\n1,2\n", "utf-16"), ["t.csv"], r"t\.csv is not UTF-8 text"),
    "folder without data": (folder_without_data, ["t"], r"the folder t holds no data file"),
    "excel": (text("t.xlsx", "PK"), ["t.xlsx"], r"t\.xlsx: gradline does not know files of the type \.xlsx"),
    "malformed ndjson": (
        text("t.ndjson", '{"x": 1, "y": 2}\n{"x": \n'),
        ["t.ndjson"],
        r"t\.ndjson cannot be read as newline-delimited JSON",
    ),
    "malformed ndjson at row 60,000": (late_json, ["t.ndjson"], r"t\.ndjson cannot be read as newline-delimited JSON"),
    "malformed sql": (good, ["select * form 't.csv'"], r"the SQL text cannot be run: .*syntax error"),
    "sql of no table": (nothing, ["select * from nowhere"], r"the SQL text cannot be run: .*nowhere"),
    "sql without rows": (good, ["select * from 't.csv' where x0 > 1e9"], r"no rows|0 rows"),
    "negative weights": (
        table({"x": X, "w": X - 3, "y": Y}),
        ["t.csv", "--weight", "w"],
        r"column 'w': 3 rows are negative.*first at row 0",
    ),
    "weights of zero": (table({"x": X, "w": X * 0, "y": Y}), ["t.csv", "--weight", "w"], r"weight|at least 2 are needed"),
    "nan learning rate": (good, ["t.csv", "--learning-rate", "nan"], r"--learning-rate nan is not a learning rate"),
    "learning rate past 2/L": (
        good,
        ["t.csv", "--learning-rate", "9"],
        r"the learning rate 9 is not stable: gradient descent needs less than 2/L = .*would overflow at step \d.*--force",
    ),
    "validation 1.5": (good, ["t.csv", "--validation", "1.5"], r"--validation 1\.5 is not a share of the rows"),
    "configuration that is no toml": (
        lambda f: (good(f), (f / "c.toml").write_text("a: b")),
        ["t.csv", "--config", "c.toml"],
        r"c\.toml is not a configuration file",
    ),
    "configuration that is a folder": (
        lambda f: (good(f), (f / "c.toml").mkdir()),
        ["t.csv", "--config", "c.toml"],
        r"c\.toml is not a configuration file",
    ),
    "unclosed quote": (text("t.csv", 'x,y\n1,2\n"3,4\n5,6\n'), ["t.csv"], r"t\.csv.*quote"),
    "mixed decimal marks": (text("t.csv", "a;b;y\n1,5;2.5;1\n2,5;3.5;2\n"), ["t.csv"], r"mixes decimal marks"),
    "time that is none": (good, ["t.csv", "--time", "c"], r"column 'c' .*is not a time"),
    "time with nulls": (
        table({"x": X, "t": pa.array([None, *X[1:]]), "y": Y}),
        ["t.csv", "--time", "t"],
        r"column 't': 1 rows? .*no time \(first at row 0",
    ),
    "null features with --missing error": (
        table({"x": pa.array([*X[:9], None, *X[10:]]), "z": Y, "y": Y}),
        ["t.csv", "--missing", "error"],
        r"column 'x': 1 row is null.*first at row 9",
    ),
    "declared number that is text": (good, ["t.csv", "--types", "c=number"], r"column 'c'"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_training_data_are_refused(case, tmp_path, capsys, monkeypatch):
    make, words, says = CASES[case]
    make(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    answer = gradline(capsys, "train", *words, *([] if "--target" in words else ["--target", "y"]))
    assert answer.code == 2, answer.err
    assert re.search(says, answer.said), answer.err
    assert "Traceback" not in answer.out + answer.err
    assert answer.out == ""
    assert len(answer.err) < 1_000
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def model(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_csv(simple(), tmp_path / "t.csv")
    assert gradline(capsys, "train", "t.csv", "--target", "y", "--out", "run").code == 0
    return tmp_path / "run" / "model.gradline"


def damage_half(data):
    return data[: len(data) // 2]


def damage_edit(data):
    at = len(data) // 3
    return data[:at] + bytes([data[at] ^ 0x5A]) + data[at + 1 :]


@pytest.mark.parametrize(
    "verb",
    [["predict", "run", "t.csv", "--out", "p.csv"], ["evaluate", "run", "t.csv"], ["show", "run"], ["report", "run"]],
    ids=lambda w: w[0],
)
@pytest.mark.parametrize("damage", [damage_half, damage_edit, lambda data: b""], ids=["cut in half", "edited", "empty"])
def test_a_damaged_model_is_refused_by_every_verb(damage, verb, model, capsys):
    model.write_bytes(damage(model.read_bytes()))
    before = sorted(model.parents[1].rglob("*"))
    answer = gradline(capsys, *verb)
    assert answer.code == 2, answer.err
    assert "model.gradline" in answer.err
    assert "Traceback" not in answer.err
    assert answer.out == ""
    assert sorted(model.parents[1].rglob("*")) == before


def test_a_damaged_earlier_run_can_be_trained_over(model, capsys):
    model.write_bytes(b"damaged")
    assert gradline(capsys, "train", "t.csv", "--target", "y", "--out", "run").code == 0
    assert gradline(capsys, "show", "run").code == 0


def test_predict_without_a_needed_column_is_refused_with_the_nearest_name(model, capsys):
    folder = model.parents[1]
    write_csv(simple().rename_columns(["xO", "x1", "c", "y"]), folder / "n.csv")
    write_ndjson(simple().drop_columns(["c"]), folder / "n.ndjson")
    answer = gradline(capsys, "predict", "run", "n.csv", "--out", "p.csv")
    assert answer.code == 2
    assert "n.csv has no column 'x0', which the model needs. Hint: did you mean 'xO'" in answer.said
    answer = gradline(capsys, "predict", "run", "n.ndjson", "--out", "p.csv")
    assert answer.code == 2
    assert "n.ndjson has no column 'c', which the model needs" in answer.said
    assert not (folder / "p.csv").exists()


def test_a_data_frame_with_two_columns_of_one_name_is_refused_in_python():
    frame = pd.DataFrame(np.arange(30.0).reshape(10, 3), columns=["a", "y", "a"])
    with pytest.raises(gl.InputError, match="columns 1 and 3 are both named 'a'"):
        gl.train(frame, "y")


@pytest.mark.parametrize("case", ["no such file", "too many fields", "truncated parquet", "text in numbers at row 50,000"])
def test_a_real_process_exits_with_2_and_shows_no_traceback(case, tmp_path):
    make, words, says = CASES[case]
    make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    answer = gradline_process("train", *words, "--target", "y", "--json", cwd=tmp_path)
    assert (answer.code, answer.out) == (2, "")
    assert re.search(says, answer.said), answer.err
    assert "Traceback" not in answer.err
    assert sorted(tmp_path.rglob("*")) == before

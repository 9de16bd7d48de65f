"""Hostile names and values: nothing of them acts, in the terminal, in SQL, in the report, in file names, in what is written."""

import csv
import json
import os
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gradline.errors import SourceError, UsageError, printable
from gradline.inputs.opening import open_source
from gradline.report.page import render
from gradline.report.run import directory_name
from tables import HOSTILE, fit, gradline, simple, write_csv, write_ndjson, write_parquet

ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
NASTY = (
    "\x1b]0;title\x07",
    "\x9b2J",
    "a\u202eb",
    "\r\roverwritten",
    "x\x00y",
    "\u200bhidden",
    "<img src=x onerror=alert(1)>",
    "'; drop table t; --",
)


@pytest.fixture
def rows():
    """Names and levels that all want to do something, and a target that does."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, len(NASTY)))
    columns = {name: X[:, i] for i, name in enumerate(NASTY)}
    level = rng.choice(NASTY, 240)
    columns["level\x1b[5m"] = level.tolist()
    return pa.table(columns | {"y\x9b31m": X.sum(axis=1) + (level == NASTY[0]) + 0.1 * rng.normal(size=240)})


@pytest.fixture
def terminal(monkeypatch):
    """As on a terminal, where click takes nothing out."""
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *arguments: False)
    monkeypatch.setattr("click._compat.should_strip_ansi", lambda *arguments: False)


def test_no_verb_sends_a_character_that_a_terminal_acts_on(rows, tmp_path, capsys, monkeypatch, terminal):
    monkeypatch.chdir(tmp_path)
    write_parquet(rows, tmp_path / "t\x1b[2J.parquet")
    data = "t\x1b[2J.parquet"
    for words in (
        ["train", data, "--target", "y\x9b31m", "--out", "run\x1b[1m", "--units", f"{NASTY[5]}=\u202emiles"],
        ["train", data, "--target", "y\x9b31m", "--out", "run", "--json"],
        ["plan", data, "--target", "y\x9b31m"],
        ["plan", data, "--target", "y\x9b31m", "--json"],
        ["show", "run"],
        ["show", "run", "--json"],
        ["evaluate", "run", data],
        ["evaluate", "run", data, "--json"],
        ["predict", "run", data, "--out", "p\x1b[7m.csv"],
        ["predict", "run", data, "--out", "p\x1b[7m.csv", "--json"],
        ["report", "run", "--out", "r\x1b[7m.html"],
        ["report", "run", "--out", "r\x1b[7m.html", "--json"],
        ["export", "run", "--to", "json", "--out", "e\x1b[7m.json"],
        ["export", "run", "--to", "json", "--out", "e\x1b[7m.json", "--json"],
        ["runs", "."],
        ["runs", ".", "--json"],
    ):
        answer = gradline(capsys, *words)
        assert answer.code == 0, answer.err
        assert not ACTS.search(answer.out + answer.err), (words, ACTS.search(answer.out + answer.err))
    for words in (
        ["train", data, "--target", "\x1b[2J"],
        ["train", "none\x1b[2J.csv", "--target", "y"],
        ["train", data, "--target", "y\x9b31m", "--drop", "\x9bx"],
        ["train", data, "--target", "y\x9b31m", "--features", "\udcff"],
        ["train", "select '\x1b[2J' from", "--target", "y"],
        ["show", "run\x9b"],
        ["\x1b[2J"],
        ["train", data, "--\x1b[2J"],
    ):
        answer = gradline(capsys, *words)
        assert answer.code == 2, answer.err
        assert not ACTS.search(answer.out + answer.err), (words, ACTS.search(answer.out + answer.err))


def test_what_json_escapes_is_read_back_as_it_was(rows, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_parquet(rows, tmp_path / "t.parquet")
    document = gradline(capsys, "train", "t.parquet", "--target", "y\x9b31m", "--out", "run", "--json").json
    assert set(NASTY) <= set(document["coefficients"])
    assert document["target"]["name"] == "y\x9b31m"
    assert document == json.loads((tmp_path / "run" / "result.json").read_text())


def test_a_run_may_be_written_to_a_name_that_is_no_utf_8(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_csv(simple(), tmp_path / "t.csv")
    out = os.fsdecode(b"run\xff")
    answer = gradline(capsys, "train", "t.csv", "--target", "y", "--out", out, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["model"] == out
    assert json.loads((tmp_path / out / "result.json").read_text())["model"] == out
    assert gradline(capsys, "show", out).code == 0
    for suffix in (".csv", ".parquet", ".ndjson"):
        assert gradline(capsys, "predict", out, "t.csv", "--out", out + suffix).code == 0
        assert (tmp_path / (out + suffix)).stat().st_size > 0


# ------------------------------------------------------------------------------------------------------- file names, SQL

PATTERNS = {
    "a*": "ab",
    "b[1]": "b1",
    "c?": "cX",
    "**": "ab",
    "[!x]": "b",
    "it's": "its",
    'say "x"': "x",
    "semi;": "y",
    "two\nlines": "z",
    "{d,e}": "d",
}


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("kind", ["csv", "ndjson", "parquet"])
def test_a_file_is_read_by_its_name_and_never_by_a_pattern(kind, name, tmp_path):
    write = {"csv": write_csv, "ndjson": write_ndjson, "parquet": write_parquet}[kind]
    mine, others = simple(40, seed=1), simple(55, seed=2)
    write(others, tmp_path / f"{PATTERNS[name]}.{kind}")
    write(mine, tmp_path / f"{name}.{kind}")
    source = open_source(tmp_path / f"{name}.{kind}")
    read = pa.concat_tables([pa.table(block.load()) for block in source.blocks(["x0", "y"])])
    assert read["y"].to_pylist() == mine["y"].to_pylist()


def test_a_name_or_a_level_is_never_sql(tmp_path):
    write_csv(simple(), tmp_path / "keep.csv")
    name = f"x'; copy (select 1) to '{tmp_path}/owned.csv'; --"
    rows = simple().rename_columns([name, '"; drop table sample; --', "c", "y"])
    for write, kind in ((write_csv, "csv"), (write_ndjson, "ndjson")):
        found = fit(write(rows, tmp_path / f"t'; drop.{kind}"))
        assert name in found.coefficients
    assert sorted(p.name for p in tmp_path.iterdir()) == ["keep.csv", "t'; drop.csv", "t'; drop.ndjson"]


@pytest.mark.parametrize(
    "target", ["../../etc/passwd", "/root/x", "a/b", "..", ".", "", "\x00", "con\n", "x" * 5_000, "\u202ey", "~"]
)
def test_a_target_cannot_lead_the_run_elsewhere(target):
    name = directory_name(target)
    assert re.fullmatch(r"[\w-]{1,80}", name)
    assert not name.startswith(".")


# -------------------------------------------------------------------------------------------------- what predict writes


@pytest.mark.parametrize("suffix", ["csv", "parquet", "ndjson"])
def test_kept_columns_are_written_so_that_they_are_read_back_as_they_were(suffix, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [*HOSTILE.values(), 'quote"comma,', "tab\t", " space "]
    values = ["plain", 'q"q', "a,b", "two\nlines", "\r", "=1+1", "\x1b[2J", "<b>", "a\u202eb", "🙂"]
    rng = np.random.default_rng(1)
    x = rng.normal(size=60)
    rows = pa.table(
        {name: [values[(i + j) % len(values)] for i in range(60)] for j, name in enumerate(names)} | {"x": x, "y": 2 * x}
    )
    write_parquet(rows, tmp_path / "t.parquet")
    assert gradline(capsys, "train", "t.parquet", "--target", "y", "--features", "x", "--out", "run").code == 0
    keep = [word for name in names for word in ("--keep", '"' + name.replace('"', '""') + '"')]
    answer = gradline(capsys, "predict", "run", "t.parquet", "--out", f"p.{suffix}", *keep)
    assert answer.code == 0, answer.err
    if suffix == "parquet":
        found = pq.read_table("p.parquet").to_pylist()
    elif suffix == "ndjson":
        found = [json.loads(line) for line in (tmp_path / "p.ndjson").read_text().split("\n") if line]
    else:
        with (tmp_path / "p.csv").open(newline="", encoding="utf-8") as file:
            found = list(csv.DictReader(file))
    assert len(found) == 60
    for written, row in zip(found, rows.to_pylist(), strict=True):
        assert {name: written[name] for name in names} == {name: row[name] for name in names}
        assert float(written["prediction"]) == pytest.approx(row["y"], abs=1e-9)


# ------------------------------------------------------------------------------------------------------ very long texts

LONG = "z" * 10_000_000


def test_a_level_of_a_million_characters_does_not_fill_terminal_or_report(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    level = LONG[:1_000_000]
    rng = np.random.default_rng(0)
    rows = pa.table({"x": rng.normal(size=60), "c": ["a", "b", "a", "b", level] * 12, "y": rng.normal(size=60)})
    write_parquet(rows, tmp_path / "t.parquet")
    answer = gradline(capsys, "train", "t.parquet", "--target", "y", "--out", "run")
    assert answer.code == 0, answer.err
    assert len(answer.out + answer.err) < 100_000
    assert "1,000,002 characters" in answer.out
    assert f"c={level}" in json.loads((tmp_path / "run" / "result.json").read_text())["coefficients"]
    empty = len(render(fit(simple())))
    assert (tmp_path / "run" / "report.html").stat().st_size < empty + 500_000


@pytest.mark.parametrize("where", ["cell of text", "cell of numbers", "header"])
def test_a_cell_of_ten_million_characters_in_a_csv_is_an_answer_or_a_short_error(where, tmp_path):
    x = [str(v) for v in np.random.default_rng(0).normal(size=60)]
    lines = [f"{v},{'ab'[i % 2]},{i % 7}" for i, v in enumerate(x)]
    header = "x,c,y"
    if where == "header":
        header = f"x,{LONG},y"
    else:
        lines[30] = f"1,{LONG},2" if where == "cell of text" else f"{LONG},a,2"
    (tmp_path / "t.csv").write_text("\n".join([header, *lines]) + "\n")
    with pytest.raises(SourceError) as raised:
        fit(tmp_path / "t.csv")
    assert len(str(raised.value)) < 1_500
    assert "t.csv" in str(raised.value)


def test_look_alikes_are_two_columns_and_a_wrong_one_is_told(tmp_path):
    rows = simple().append_column("х0", simple(seed=9)["x0"])  # a Cyrillic х
    found = fit(write_csv(rows, tmp_path / "t.csv"))
    assert {"x0", "х0"} <= set(found.coefficients)
    assert found.coefficients["x0"] == pytest.approx(3, abs=0.1)
    assert found.coefficients["х0"] == pytest.approx(0, abs=0.1)


def test_printable_texts_stay_as_they_are():
    assert printable("Größe 🙂 аge, 価格") == "Größe 🙂 аge, 価格"
    assert printable("a\x1bb\u202ec\u200bd\ud800") == "a�b�c�d�"
    assert len(printable(LONG)) < 5_000


def test_a_key_with_a_nul_is_refused_and_not_taken_for_the_key_before_it(tmp_path):
    lines = [json.dumps({"a\0b": i, "a": -i, "y": i}) for i in range(9)]
    (tmp_path / "t.ndjson").write_text("\n".join(lines) + "\n")
    with pytest.raises(SourceError, match=r"the key 'a\\x00b' holds a NUL"):
        fit(tmp_path / "t.ndjson")


def test_the_names_that_an_error_suggests_are_short(tmp_path):
    write_csv(simple().rename_columns(["x" * 3_000, "z" * 3_000, "c", "why"]), tmp_path / "t.csv")
    with pytest.raises(UsageError) as raised:
        fit(tmp_path / "t.csv")
    assert len(str(raised.value)) < 1_000

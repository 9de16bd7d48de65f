"""The model card says what the page says, as Markdown in which the user's names and values are text."""

from __future__ import annotations

import pyarrow as pa
import pytest
from markdown_it import MarkdownIt

from gradline.report.card import card, text
from gradline.report.cells import Table
from gradline.report.numerals import visible
from gradline.report.page import contents
from reference import fit
from tables import HOSTILE, gradline, mixed

MARKDOWN = MarkdownIt("commonmark").enable("table")
NASTY = [
    "<script>alert(1)</script>",
    "a | b",
    "*x* _y_",
    "# no heading",
    "- no item",
    "1. none",
    "`code`",
    "[a](http://b)",
    "~~s~~",
    "$x$",
    "&lt;",
]


def tokens(document):
    return [token for block in MARKDOWN.parse(document) for token in (block, *(block.children or ()))]


def words(inline):
    """What a reader sees of an inline token."""
    return "".join(child.content for child in inline.children or () if child.type in ("text", "code_inline", "text_special"))


def all_sections(model):
    told = contents(model)
    return [*told["meaning_sections"], *told["sections"]]


@pytest.fixture(scope="module")
def model():
    return fit(mixed(400), "y", drop=["id"])


def test_every_table_of_the_report_is_a_table_of_the_card_cell_by_cell(model):
    found, rows = [], None
    for token in MARKDOWN.parse(card(model)):
        if token.type == "tbody_open":
            rows = []
        elif token.type == "tbody_close":
            found.append(rows)
            rows = None
        elif token.type == "tr_open" and rows is not None:
            rows.append([])
        elif token.type == "inline" and rows:
            rows[-1].append(words(token))
    tables = [part for section in all_sections(model) for part in section.parts if isinstance(part, Table)]
    assert len(tables) >= 7
    expected = [[[visible(cell.text) for cell in row] for row in table.rows] for table in tables]
    assert [[[c.strip() for c in row] for row in t] for t in found] == [[[c.strip() for c in row] for row in t] for t in expected]


def test_headings_and_sentences_are_those_of_the_report(model):
    parsed = MARKDOWN.parse(card(model))
    headings = [words(parsed[i + 1]) for i, token in enumerate(parsed) if token.type == "heading_open"]
    told = contents(model)
    assert headings[0] == told["title"]
    for section in told["sections"]:
        assert section.title in headings
    seen = " ".join(words(token) for token in parsed if token.type == "inline")
    for sentence in (told["verdict"].text, *told["words"]["How good it is"], told["charts"][0].label):
        assert sentence in seen
    code = [token.content for token in parsed if token.type == "fence"]
    assert code == [told["command"] + "\n"]


@pytest.mark.parametrize("words_", NASTY)
def test_text_is_text(words_):
    (inline,) = (token for token in MARKDOWN.parse(text(words_)) if token.type == "inline")
    assert words(inline) == words_


def test_hostile_names_and_values_bring_no_markup_in():
    names = list(HOSTILE.values())
    columns = {name: [float((i * 7 + j) % 11) for i in range(60)] for j, name in enumerate(names)}
    levels = [NASTY[i % len(NASTY)] for i in range(60)]
    made = card(fit(pa.table({**columns, "c": levels, "y": [float(i % 13) for i in range(60)]}), "y"))
    kinds = {token.type for token in tokens(made)}
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "bullet_list_open_"}
    assert "\x1b" not in made


def test_a_run_has_its_card_and_the_command_writes_it_again(tmp_path, capsys):
    import pyarrow.parquet as pq

    pq.write_table(mixed(200), tmp_path / "t.parquet")
    run = tmp_path / "run"
    assert gradline(capsys, "train", tmp_path / "t.parquet", "--target", "y", "--drop", "id", "--out", run).code == 0
    first = (run / "model-card.md").read_text(encoding="utf-8")
    assert first.startswith("# y from ")
    (run / "model-card.md").unlink()
    assert gradline(capsys, "report", run).code == 0
    assert (run / "model-card.md").read_text(encoding="utf-8") == first
    assert gradline(capsys, "report", run, "--out", tmp_path / "other.md").code == 0
    assert (tmp_path / "other.md").read_text(encoding="utf-8") == first

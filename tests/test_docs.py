"""What the documents show is run, their links lead somewhere, and the site is built of all of them."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections import Counter
from dataclasses import fields
from itertools import pairwise

import pytest

import gradline as gl
from documents import KINDS, PAGES, PARSED, ROOT, RUN, Reader, blocks, difference, tokens
from gradline import sklearn as estimators
from gradline.cli.main import VERBS, cli
from gradline.training.config import TrainConfig
from readme_tables import write_tables

DIRECTIVES = ("docs/changelog.md", "docs/reference/")  # pages that the site makes of what is written elsewhere
COMMANDS = re.compile(r"^(\$ |\.venv/|gradline |pip |python3? |mlflow |import |from \w+ import |gl\.|model = )")


def name(page):
    return str(page.relative_to(ROOT))


def text(page):
    return page.read_text(encoding="utf-8")


RUNNING = [page for page in PAGES if any(block.language in (*RUN, *PARSED) for block in blocks(text(page)))]


@pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")
@pytest.mark.parametrize("page", RUNNING, ids=name)
def test_a_page_does_what_it_says(page, tmp_path):
    if name(page) == "README.md":
        write_tables(tmp_path)
    Reader(tmp_path).read(text(page), name(page))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_of_a_page_has_a_language_that_is_run_or_a_reason_why_it_is_not(page):
    for block in blocks(text(page)):
        where = f"{name(page)}:{block.line}"
        if block.language.startswith("{"):
            assert name(page).startswith(DIRECTIVES), f"{where}: a directive, which GitHub does not know"
            continue
        assert block.language in (*RUN, *PARSED, "text"), f"{where}: {block.language or 'no language'}"
        if reason := block.comments.get("not run"):
            assert re.match(rf"({'|'.join(KINDS)}|extra:\w+)\b", reason), f"{where}: {reason}"
    for token in tokens(text(page)):
        if token.type == "code_block":
            commands = [line for line in token.content.splitlines() if COMMANDS.match(line)]
            assert not commands, f"{name(page)}:{token.map[0] + 1}: a command in a block that is not run: {commands[0]}"


def test_the_reader_sees_what_is_wrong_in_a_page(tmp_path):
    def wrong(page):
        place = tmp_path / str(len(list(tmp_path.iterdir())))
        place.mkdir()
        try:
            Reader(place).read(page, "a page")
        except (AssertionError, ValueError, NameError) as error:
            return type(error)
        return None

    assert wrong("```python\nx = 1\n```\n\nand\n\n```python\nprint(x)\n```\n\n```text\n1\n```\n") is None
    assert wrong("```python\nx = 1\nprint(x)\n```\n\n```text\n2\n```\n") is AssertionError
    assert wrong("```python\nprint(y)\n```\n") is NameError
    assert wrong("```python\n>>> 1 + 1\n3\n```\n") is AssertionError
    assert wrong("```sh\nfalse\ntrue\n```\n") is AssertionError
    assert wrong("```sh\nfalse | true\n```\n") is AssertionError
    assert wrong("```sh\nls examples; gradline --version >&2\n```\n```text\nREADME.md\n…\ngradline, version …\n```\n") is None
    assert wrong("<!-- exit: 2 -->\n```sh\n.venv/bin/gradline train\n```\n```text\n…no data given…\nHint: …\n```\n") is None
    assert wrong("<!-- not run: server, and of no use -->\n```sh\nfalse\n```\n```text\nnothing\n```\n") is None
    assert wrong('```json\n{"a": 1,}\n```\n') is not None


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("rows 336,776", "rows    336,776\n\n", True),
        ("rows 336,776", "rows 336,777", False),
        ("R² 0.9814", "R² 0.9815", True),
        ("R² 0.9814", "R² 0.9834", False),
        ("R² 0.98", "R² 0.9814", True),
        ("α = 0.1", "α = 0.30", False),
        ("gap 9.2e-10", "gap 9.3e-10", True),
        ("gap 9.2e-10", "gap 9.2e-11", False),
        ("gap 9.2e-32", "gap 1.5e-30", True),
        ("gap 9.2e-32", "gap 1.5e-3", False),
        ("w 0.126104857", "w 0.126104991", True),
        ("w 0.126104857", "w 0.127104857", False),
        ("w 0.5", "w -0.5", False),
        ("x0 1", "x1 1", False),
        ("… 12.78 …", "training 93 12.78 5", True),
        ("… 12.78", "training 12.78 5", False),
        ("gap 1.…e-06", "gap 1.43e-06", True),
        ("gap 1.…e-06", "gap 1.43e-07", False),
        ("a\n…\nd", "a\nb\nc\nd", True),
        ("a\n…\nd", "a\nd", True),
        ("a\n…\nd", "a\nb\nc", False),
        ("a\nc", "a\nb\nc", False),
        ("a\nb", "b\na", False),
        ("…", "", True),
        ("", "a", False),
    ],
)
def test_an_output_is_as_shown_where_its_words_whole_numbers_and_three_digits_are(shown, printed, same):
    assert (difference(shown, printed) is None) is same


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    found, parsed = [], tokens(text(page))
    for heading, inline in pairwise(parsed):
        if heading.type == "heading_open":
            words = "".join(child.content for child in inline.children if child.type in ("text", "code_inline"))
            slug = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            found.append(slug + (f"-{found.count(slug)}" if slug in found else ""))
    return found


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md", ROOT / "examples/README.md"], ids=name)
def test_links_lead_to_files_and_headings_that_are_there(page):
    for token in tokens(text(page)):
        for child in token.children or ():
            target = child.attrs.get("href") or child.attrs.get("src")
            if target is None or re.match(r"https?:|mailto:", target):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), f"{name(page)}: there is no {target}"
            if "docs/" in name(page):
                assert not file.is_dir(), f"{name(page)}: {target} is a folder, which no page of the site is"
            assert not anchor or anchor in anchors(file), f"{name(page)}: there is no heading {target}"


def test_every_page_is_in_one_list_of_pages():
    pages = [page for page in PAGES if page.is_relative_to(ROOT / "docs")]
    listed = [
        (index.parent / entry).resolve()
        for index in pages
        if index.name in ("index.md", "README.md")
        for entry in re.findall(r"^- \[[^\]]*\]\(([^)#:]+\.md)\)", text(index), re.MULTILINE)
    ]
    for page in pages:
        wanted = 0 if page == ROOT / "docs/index.md" else 1
        assert listed.count(page) == wanted, (
            f"{name(page)} is in {listed.count(page)} lists of docs/index.md or a folder's README.md"
        )


@pytest.fixture
def converted(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs/_extensions"))
    return importlib.import_module("docstrings").converted


def test_the_site_is_built_without_a_warning_and_needs_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("sphinx", reason="the site needs the extra `site`")
    pytest.importorskip("furo", reason="the site needs the extra `site`")
    pytest.importorskip("myst_parser", reason="the site needs the extra `site`")
    words = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        "-d",
        "doctrees",
        str(ROOT / "docs"),
        "site",
    ]
    built = subprocess.run(words, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(PAGES) - 1
    for page in pages:
        html = text(page)
        fetched = re.findall(
            r"<(?:script|img|iframe|source|video)\b[^>]*\bsrc=\"([^\"]*)\"|<link\b[^>]*\bhref=\"([^\"]*)\"", html
        )
        outside = [a or b for a, b in fetched if re.match(r"\w+:|//", a or b) and not (a or b).startswith("data:")]
        assert not outside, f"{page.name}: {outside}"
    for style in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", text(style)), style
    reference = "".join(text(page) for page in (tmp_path / "site/reference").glob("*.html"))
    for public in (*(f"gradline.{each}" for each in gl.__all__), *(f"gradline.sklearn.{each}" for each in estimators.__all__)):
        home = public if f'id="{public}"' in reference else public.replace("gradline.", "gradline.errors.")
        assert f'id="{home}"' in reference, f"{public} is not in the reference"
    for setting in fields(TrainConfig):
        assert re.search(rf">{setting.name}\b", reference), f"the setting {setting.name} is not in the reference"
    for verb in VERBS:
        for option in cli.get_command(None, verb).params:
            assert (
                option.param_type_name == "argument" or f'id="cmdoption-gradline-{verb}-{option.opts[0].strip("-")}"' in reference
            )


def test_a_docstring_in_the_short_form_becomes_a_list_of_names_and_what_they_are(converted):
    def draw(x, width=1, *, colour="red"):
        """Draw a_line."""

    lines = converted("Draw a_line.\n\nx: where.  width, colour: how\nit looks.  Raises `Trouble`.\n\n    y = x_i", draw)
    assert [line for line in lines if line] == [
        "Draw a_line.",
        "``x``",
        "    where.",
        "``width`` = ``1``, ``colour`` = ``'red'``",
        "    how",
        "    it looks.",
        "Raises ``Trouble``.",
        "::",
        "    y = x_i",
    ]
    assert converted("Note: this is no name.", draw)[0] == "Note: this is no name."


@pytest.mark.parametrize(
    "thing", [gl.train, TrainConfig, gl.Model, gl.Step, gl.compare, gl.export_model, estimators.LinearRegressor]
)
def test_a_docstring_keeps_all_its_words(converted, thing):
    words = re.findall(r"\w+", inspect.getdoc(thing))
    kept = re.findall(r"\w+", " ".join(converted(inspect.getdoc(thing), thing)))
    assert not Counter(words) - Counter(kept)


def test_every_code_of_a_warning_is_in_the_table_of_faults():
    page = (ROOT / "docs/faults.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`([a-z0-9_]+)`", "".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE))))
    used = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="Notice"), args=[ast.Constant(value=code), *_]):
                    used.add(code)
    assert listed - {"contract_null", "contract_unseen", "contract_out_of_range"} == used

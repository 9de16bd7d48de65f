"""The page on how gradient descent finds the line: its numbers are those of the data, its pictures are there, its code runs."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "how-gradient-descent-finds-the-line.md"
MOST_BYTES = 150_000


def words(text):
    """A text with each run of white space as one space."""
    return " ".join(text.split())


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def lecture():
    """The modules that find the numbers and draw the pictures; Matplotlib is imported only to draw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield importlib.import_module("lecture_pictures")


@pytest.fixture(scope="module")
def found(lecture):
    """The module of the numbers."""
    return importlib.import_module("lecture_numbers")


def missing(facts, page):
    text = words(page)
    return {name: stated for name, stated in facts.items() if words(stated) not in text}


@pytest.mark.parametrize("part", ["line", "path", "scaling"])
def test_the_page_states_the_numbers_of_the_data(part, found, page):
    assert missing(getattr(found, f"{part}_numbers")(), page) == {}


@pytest.mark.parametrize("part", ["momentum", "noise", "certificate"])
def test_the_page_states_the_numbers_of_the_data_that_are_quick_to_find(part, found, page):
    assert missing(getattr(found, f"{part}_numbers")(every=False), page) == {}


@pytest.mark.bench
def test_the_page_states_every_number_and_no_other(found, page):
    facts = found.numbers()
    assert missing(facts, page) == {}
    prose = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    figures = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d+"  # thousands and decimals: small whole numbers are words of the prose
    stated = set(re.findall(figures, " ".join(facts.values())))
    assert set(re.findall(figures, prose)) <= stated


@pytest.mark.bench
def test_the_pictures_can_be_drawn_and_are_the_same_again(lecture, tmp_path):
    pytest.importorskip("matplotlib")
    once, again = (lecture.draw(tmp_path / folder) for folder in ("once", "again"))
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]
    assert {path.name for path in once} == {path.name for path in lecture.PICTURES.glob("*.svg")}


def test_the_pictures_of_the_page_are_there_small_and_described(page):
    pictures = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", page)
    assert {ROOT / "docs" / target for _, target in pictures} == set((ROOT / "docs" / "pictures").glob("*.svg"))
    for described, target in pictures:
        assert len(described) > 20
        assert 1_000 < (ROOT / "docs" / target).stat().st_size < MOST_BYTES


def test_the_code_of_the_page_runs(page, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), {})
    assert capsys.readouterr().out.split()[1:3] == ["127", "127"]


def test_the_page_is_linked():
    for other in ("README.md", "docs/optimisation.md"):
        assert PAGE.name in (ROOT / other).read_text(encoding="utf-8")

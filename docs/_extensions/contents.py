"""The tree of pages: each list of links in an index is a toctree, so that an index is plain Markdown and there is no second list to keep.

An index is `index.md` or the `README.md` of a folder. The link that begins an item of its lists names the page. In the first one
the headings above the lists head the navigation.

A link to a file outside docs/ is no page of the site: the file is copied into it.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HEADING = re.compile(r"^## (.+)$")
ENTRY = re.compile(r"^- \[([^\]]*)\]\(([^)#:]+)\.md\)")


def sections(text: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """The heading and the entries of each section of an index: text and path, without its suffix."""
    found: list[tuple[str, list[tuple[str, str]]]] = [("", [])]
    for line in text.splitlines():
        if heading := HEADING.match(line):
            found.append((heading[1], []))
        elif entry := ENTRY.match(line):
            found[-1][1].append((entry[1], entry[2]))
    return [(heading, entries) for heading, entries in found if entries]


def _with_toctrees(app: Sphinx, docname: str, source: list[str]) -> None:
    if PurePosixPath(docname).name not in ("index", "README"):
        return
    for heading, entries in sections(source[0]):
        caption = [f":caption: {heading}"] if docname == app.config.root_doc else []
        source[0] += "\n".join(
            ["", "", "```{toctree}", ":hidden:", *caption, "", *(f"{text} <{page}>" for text, page in entries), "```", ""]
        )


def _with_copies(app: Sphinx, docname: str, source: list[str]) -> None:
    above = "../" * (docname.count("/") + 1)
    source[0] = source[0].replace(f"]({above}", f"](path:{above}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", _with_toctrees)
    app.connect("source-read", _with_copies)
    return {"parallel_read_safe": True}

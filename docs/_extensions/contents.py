"""The tree of pages: each list of links in an index is a toctree, so that an index is plain Markdown and there is no second list to keep.

An index is `index.md` or the `README.md` of a folder. The link that begins an item of its lists names the page. In the first one
the headings above the lists head the navigation.
"""

import re
from pathlib import PurePosixPath

HEADING = re.compile(r"^## (.+)$")
ENTRY = re.compile(r"^- \[([^\]]*)\]\(([^)#:]+)\.md\)")


def sections(text):
    """The heading and the entries of each section of an index: text and path, without its suffix."""
    found = [("", [])]
    for line in text.splitlines():
        if heading := HEADING.match(line):
            found.append((heading[1], []))
        elif entry := ENTRY.match(line):
            found[-1][1].append((entry[1], entry[2]))
    return [(heading, entries) for heading, entries in found if entries]


def _with_toctrees(app, docname, source):
    if PurePosixPath(docname).name not in ("index", "README"):
        return
    for heading, entries in sections(source[0]):
        caption = [f":caption: {heading}"] if docname == app.config.root_doc else []
        source[0] += "\n".join(["", "", "```{toctree}", ":hidden:", *caption, "", *(f"{text} <{page}>" for text, page in entries), "```", ""])


def setup(app):
    """Called by Sphinx."""
    app.connect("source-read", _with_toctrees)
    return {"parallel_read_safe": True}

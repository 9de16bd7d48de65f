"""The documentation site: `make site` builds it into build/site with Sphinx (decision 0039).

The pages are plain Markdown that is read on GitHub too; what is of this site alone is in `_extensions`.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE / "_extensions")]

from gradline.version import __version__  # noqa: E402

project = "gradline"
author = "the gradline developers"
project_copyright = "the gradline developers, Apache 2.0"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "contents", "docstrings", "command_line"]
exclude_patterns = ["_extensions", "_static"]
root_doc = "index"
language = "en"
smartquotes = False  # an option begins with two hyphens
highlight_language = "text"
nitpicky = True
nitpick_ignore_regex = [("py:class", r".*")]  # of signatures: Path, Json

myst_heading_anchors = 4  # links to #headings, as GitHub makes them
suppress_warnings = ["myst.header"]  # benchmarks.md is of sections that a script writes

autodoc_typehints = "none"  # what a parameter can be is said in words
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 100

html_theme = "furo"
html_title = "gradline"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/favicon.svg"
html_show_sourcelink = False
html_copy_source = False
templates_path: list[str] = []

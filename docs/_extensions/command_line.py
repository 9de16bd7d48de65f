"""The directive `command-line`: every verb of `gradline` with its options, from click's own commands, in the sections of `--help`.

sphinx-click lists the options of a command in one row; `gradline train` has eighty (decision 0039).
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import click
from docstrings import escaped
from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.util.nodes import nested_parse_with_titles

from gradline.cli.main import VERBS, cli
from gradline.cli.teaching import OTHERS, SECTIONS, Teaching

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def _usage(command: click.Command, name: str) -> str:
    words = [a.make_metavar(click.Context(command)) for a in command.params if isinstance(a, click.Argument)]
    return " ".join(["gradline", name, "[OPTIONS]", *words])


def _sections(command: click.Command) -> list[tuple[str, list[click.Option]]]:
    """The options of a command by the headings of its help."""
    of = {name: title for title, names in SECTIONS.items() for name in names} if isinstance(command, Teaching) else {}
    found: dict[str, list[click.Option]] = {title: [] for title in (*SECTIONS, OTHERS)}
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            found[of.get(parameter.name, OTHERS)].append(parameter)
    return [(title, options) for title, options in found.items() if options]


def _option(option: click.Option, context: click.Context) -> list[str]:
    written, words = option.get_help_record(context)
    return [f".. option:: {written}", "", f"    {escaped(' '.join(words.split()))}", ""]


def lines(name: str) -> list[str]:
    """A verb as reStructuredText."""
    command = cli.get_command(click.Context(cli), name)
    context = click.Context(command, info_name=name)
    out = [f".. program:: gradline {name}", "", "::", "", f"    {_usage(command, name)}", ""]
    out += [*escaped(inspect.cleandoc(command.help or "").replace("\b\n", "")).splitlines(), ""]
    sections = _sections(command)
    for title, options in sections:
        if len(sections) > 1:
            out += [f".. rubric:: {title}", ""]
        for option in options:
            out += _option(option, context)
    if getattr(command, "examples", ""):
        out += [".. rubric:: Examples", "", "::", "", *("    " + line for line in command.examples.splitlines()), ""]
    return out


class CommandLine(Directive):
    """`.. command-line::`, of all verbs."""

    def run(self) -> list[nodes.Node]:
        """A section for each verb."""
        text = [line for name in VERBS for line in (f"gradline {name}", "-" * 40, "", *lines(name))]
        holder = nodes.section()
        holder.document = self.state.document
        nested_parse_with_titles(self.state, StringList(text, source="gradline --help"), holder)
        return holder.children


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True}

"""The directive `command-line`: every verb of `gradline` with its options, from click's own commands, in the sections of `--help`.

sphinx-click lists the options of a command in one row; `gradline train` has eighty (decision 0039).
"""

import inspect

import click
from docstrings import escaped
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

from gradline.cli.main import VERBS, cli
from gradline.cli.teaching import OTHERS, SECTIONS, Teaching


def _usage(command, name):
    words = [a.make_metavar(click.Context(command)) for a in command.params if isinstance(a, click.Argument)]
    return " ".join(["gradline", name, "[OPTIONS]", *words])


def _sections(command):
    """The options of a command by the headings of its help."""
    of = {name: title for title, names in SECTIONS.items() for name in names} if isinstance(command, Teaching) else {}
    found = {title: [] for title in (*SECTIONS, OTHERS)}
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            found[of.get(parameter.name, OTHERS)].append(parameter)
    return [(title, options) for title, options in found.items() if options]


def _option(option, context):
    written, words = option.get_help_record(context)
    return [f".. option:: {written}", "", f"    {escaped(' '.join(words.split()))}", ""]


def lines(name):
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

    def run(self):
        """The nodes: a section for each verb."""
        out = []
        for name in VERBS:
            out += [f"gradline {name}", "-" * 40, "", *lines(name)]
        return self._parsed(out)

    def _parsed(self, text):
        from docutils import nodes

        holder = nodes.section()
        holder.document = self.state.document
        from sphinx.util.nodes import nested_parse_with_titles

        nested_parse_with_titles(self.state, StringList(text, source="gradline --help"), holder)
        return holder.children


def setup(app):
    """Called by Sphinx."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True}

"""`gradline completion`: the line that lets a shell complete commands, options, their values and, of files named before, column names."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

VARIABLE = "_GRADLINE_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> int:
    """Print what lets SHELL complete gradline's words.

    \b
    bash, in ~/.bashrc:    eval "$(gradline completion bash)"
    zsh, in ~/.zshrc:      eval "$(gradline completion zsh)"
    fish:   gradline completion fish > ~/.config/fish/completions/gradline.fish
    """
    from gradline.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind.source_template % kind(cli, {}, "gradline", VARIABLE).source_vars())
    return 0


def columns(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The columns of the files named so far, for the last of names with commas between; none where they cannot be read."""
    words = [str(word) for word in ctx.params.get("data") or ctx.args]  # the latter before an option whose value is not there yet
    before, comma, begun = incomplete.rpartition(",")
    try:
        return [CompletionItem(before + comma + name) for name in _names(words) if name.startswith(begun)]
    except Exception:  # a shell that completes must not print what is wrong
        return []


def _names(words: list[str]) -> list[str]:
    from gradline.inputs.opening import open_source

    if not words or not all(
        Path(word).exists() for word in words
    ):  # no query is run, and no store asked, for a word that is not finished
        return []
    names: list[str] = open_source(words).schema.names
    return names

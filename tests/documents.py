"""The documents as the tests see them: their blocks, how these are run, and when an output is the one that is shown.

A fenced block of README.md or docs/ is run by its language, the blocks of a page in their order and in one folder:

- python: in one namespace a page. Lines that begin with `>>>` are a doctest.
- sh: by `bash -euo pipefail`; `gradline` and `python` are those under test, also as `.venv/bin/gradline`.
- text: right after one of these (blank lines between) it is what the block printed: standard output, of sh standard error as well.
  Elsewhere it is a picture in letters, and nothing is done with it.
- json, toml, yaml, csv, sql: parsed.

A comment on the line before the fence says what is otherwise:

    <!-- not run: KIND words -->    of the kinds server, network, size, install, extra:NAME; the last runs where the extra is installed
    <!-- exit: 2 -->                the block ends with this exit code

An output is compared line by line. `…` stands for anything: in a line for any characters, alone on a line for any lines. White space is
one space, blank lines are none. A whole number is the same number. Any other number may be off by a thousandth of itself or by one in
its last digit shown, whichever is more: three digits hold. Numbers below 1e-12 agree with each other: that is rounding, and other
machines round otherwise.
"""

from __future__ import annotations

import contextlib
import csv
import doctest
import importlib.metadata
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt

import gradline

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
RUN = ("python", "sh")
PARSED = ("json", "toml", "yaml", "csv", "sql")
KINDS = ("server", "network", "size", "install")
COMMENT = re.compile(r"^\s*<!-- (not run|exit): (.+?) -->\s*$")
SECONDS = 120
NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])|(?s:.)")
ANYTHING = "…"
ROUNDING = 1e-12


@dataclass(frozen=True)
class Block:
    """A fenced block. line: of its fence, from 1.  output: of the block before it.  comments: what is said before the fence."""

    language: str
    content: str
    line: int
    output: bool
    comments: dict[str, str]

    @property
    def not_run(self) -> str | None:
        """Why it is not run; None where it is."""
        reason = self.comments.get("not run")
        if reason is None:
            return None
        extra = re.match(r"extra:(\w+)", reason)
        return None if extra and installed(extra[1]) else reason


def tokens(text: str) -> list[Any]:
    """The Markdown of a document."""
    return MarkdownIt("commonmark").enable("table").parse(text)


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a document, in their order."""
    lines, found, end = text.splitlines(), [], 0
    for token in tokens(text):
        if token.type != "fence":
            continue
        start = token.map[0]
        after = bool(found) and not any(line.strip() for line in lines[end:start])
        said = COMMENT.match(lines[start - 1]) if start else None
        comments = {said[1]: said[2]} if said else {}
        language = token.info.strip()
        found.append(
            Block(language, token.content, start + 1, after and language == "text" and found[-1].language in RUN, comments)
        )
        end = token.map[1]
    return found


def installed(extra: str) -> bool:
    """Whether all that an extra of gradline asks for is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.match(r"[\w.-]+", each)[0] for each in project["optional-dependencies"][extra]]
    try:
        return all(importlib.metadata.version(name) for name in names)
    except importlib.metadata.PackageNotFoundError:
        return False


class Reader:
    """One who does what a page says: in a folder of its own, with `examples/` and the commands under test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, Any] = {"__name__": "__main__"}
        (folder / "examples").symlink_to(ROOT / "examples")
        commands = folder / ".venv/bin"
        commands.mkdir(parents=True)
        for name, words in (("gradline", "-m gradline"), ("python", ""), ("python3", "")):
            (commands / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {words} "$@"\n')
            (commands / name).chmod(0o755)
        paths = (str(Path(gradline.__file__).parents[1]), os.environ.get("PYTHONPATH", ""))
        self.environment = {
            **os.environ,
            "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "PYTHONUNBUFFERED": "1",  # so that standard error and standard output are in their order
        }

    def read(self, text: str, name: str) -> None:
        """Do all of it. Raises AssertionError where an output is another one, and whatever a block raises."""
        printed = None
        for block in blocks(text):
            where = f"{name}:{block.line}"
            if block.output:
                if printed is not None:
                    wrong = difference(block.content, printed)
                    assert wrong is None, f"{where}: {wrong}\nprinted was:\n{printed}"
                continue
            printed = None
            if block.language in PARSED:
                parse(block.language, block.content)
            elif block.language in RUN and block.not_run is None:
                run = self._python if block.language == "python" else self._sh
                printed = run(block, where)

    def _sh(self, block: Block, where: str) -> str:
        shell = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", block.content],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        try:
            printed, _ = shell.communicate(timeout=SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)  # what the block has left running as well
        expected = int(block.comments.get("exit", 0))
        assert shell.returncode == expected, f"{where}: exit code {shell.returncode}, not {expected}\n{printed}"
        return printed

    def _python(self, block: Block, where: str) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.chdir(self.folder):
            if not block.content.lstrip().startswith(">>>"):
                exec(compile(block.content, where, "exec"), self.names)
                return printed.getvalue()
            test = doctest.DocTestParser().get_doctest(block.content, {}, where, where, 0)
            test.globs = self.names
            flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            failed = doctest.DocTestRunner(optionflags=flags, verbose=False).run(test, clear_globs=False).failed
        assert not failed, printed.getvalue()
        return ""


def parse(language: str, content: str) -> None:
    """Raise what is raised by a parser where a block is no JSON, TOML, …"""
    match language:
        case "json":
            json.loads(content)
        case "toml":
            tomllib.loads(content)
        case "csv":
            widths = {len(row) for row in csv.reader(io.StringIO(content), strict=True)}
            assert len(widths) == 1, f"rows of {sorted(widths)} columns"
        case "sql":
            import duckdb

            duckdb.extract_statements(content)
        case "yaml":
            import yaml

            yaml.safe_load(content)


def difference(shown: str, printed: str) -> str | None:
    """What of an output is not as it is shown; None where all is."""
    expected, lines = (
        [line for line in (re.sub(r"\s+", " ", line).strip() for line in text.splitlines()) if line] for text in (shown, printed)
    )
    taken, at = _taken(expected, lines, _same_line)
    if len(lines) in at and taken == len(expected):
        return None
    if taken == len(expected):
        return f"more is printed than is shown, from the line:\n  {lines[max(at)]}"
    follow = f"after the line\n  {expected[taken - 1]}\n" if taken else ""
    return f"{follow}is shown, and not printed there:\n  {expected[taken]}"


def _same_line(shown: str, printed: str) -> bool:
    pattern, items = NUMBER.findall(shown), NUMBER.findall(printed)
    taken, at = _taken(pattern, items, _same)
    if taken == len(pattern) and len(items) in at:
        return True
    return re.fullmatch(re.escape(shown).replace(ANYTHING, ".*"), printed) is not None  # … within a number


def _same(shown: str, printed: str) -> bool:
    """Two numbers that agree, or the same character."""
    if shown == printed or not (shown[0].isdigit() and printed[0].isdigit()):
        return shown == printed
    if shown.replace(",", "").isdigit():
        return False
    expected, found = (float(text.replace(",", "")) for text in (shown, printed))
    if max(expected, found) < ROUNDING:
        return True
    mantissa, _, exponent = shown.partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    return abs(found - expected) <= 1.0001 * max(unit, abs(expected) / 1_000)


def _taken(pattern: Sequence[str], items: Sequence[str], same: Callable[[str, str], bool]) -> tuple[int, set[int]]:
    """How much of a pattern, in which ANYTHING stands for any number of items, can be followed; and how many items it may have taken."""
    at = {0}
    for k, each in enumerate(pattern):
        if each == ANYTHING:
            then = set(range(min(at), len(items) + 1))
        else:
            then = {i + 1 for i in at if i < len(items) and same(each, items[i])}
        if not then:
            return k, at
        at = then
    return len(pattern), at

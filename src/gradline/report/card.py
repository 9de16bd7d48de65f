"""The model card: what the report says, as Markdown, for a repository or a registry of models."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gradline.report.cells import Table
from gradline.report.numerals import visible
from gradline.report.page import contents

if TYPE_CHECKING:
    from gradline.model.model import Model
    from gradline.report.cells import Section
    from gradline.report.page import Contents

MARKS = re.compile(r"([\\`*_{}\[\]<>#|~$&])")  # what Markdown, or HTML inside it, would take for more than text
LISTS = re.compile(r"^(\s*)([-+]|\d+[.)])(?=\s)")


def card(model: Model, told: Contents | None = None) -> str:
    """The Markdown document of a model. Names and values of the user's are text in it, whatever they hold. told: its `contents`."""
    told = told or contents(model)
    verdict = told["verdict"]
    lines = [f"# {text(told['title'])}", "", text(told["data"]), "", " · ".join(map(text, told["rows"])), ""]
    lines += [f"> **{text(verdict.headline)}**", f"> {text(verdict.text)}", ""]
    if told["warnings"]:
        lines += ["## Warnings", ""]
        for warning in told["warnings"]:
            column = "" if warning["column"] is None else f"**{text(warning['column'])}**: "
            lines.append(f"- {column}{text(warning['message'])} `{warning['code']}`")
        lines.append("")
    lines += ["## Summary", ""]
    if told["formula"] is not None:
        lines += [f"**{text(told['formula'])}**", ""]
    lines += [f"- {text(name)}: **{text(value)}**, {text(beside)}" for name, value, beside in told["tiles"]]
    for heading, sentences in told["words"].items():
        if sentences:
            lines += ["", f"### {text(heading)}", "", "  \n".join(map(text, sentences))]
    if told["meaning_sections"]:
        lines += ["", "## What the errors mean", "", "  \n".join(map(text, told["meaning"]))]
        lines += _folds(told["meaning_sections"], "###")
    lines += ["", "## What the charts show", ""]
    lines += [f"- {text(chart.title)}: {text(chart.label)}" for chart in told["charts"]]
    lines += _folds(told["sections"], "##")
    fence = _fence(told["command"])
    lines += ["", "## How to reproduce this", "", f"{fence}sh", told["command"], fence, "", "Made by gradline."]
    document = "\n".join(lines) + "\n"
    return document.encode("utf-8", "replace").decode()  # a file's name may hold bytes that are no UTF-8


def _folds(sections: list[Section], level: str) -> list[str]:
    lines = []
    for section in sections:
        lines += ["", f"{level} {text(section.title)}"]
        for part in section.parts:
            lines += ["", *(table(part) if isinstance(part, Table) else [text(part)])]
    return lines


def table(it: Table) -> list[str]:
    """A table's lines, its caption first."""
    head = "| " + " | ".join(text(name) for name, _ in it.head) + " |"
    rule = "|" + "|".join("---:" if numeric else "---" for _, numeric in it.head) + "|"
    rows = ["| " + " | ".join(text(cell.text) for cell in row) + " |" for row in it.rows]
    return [f"{text(it.caption)}:", "", head, rule, *rows]


def text(words: str) -> str:
    """Words as they are: on one line, and nothing in them is a mark."""
    plain = MARKS.sub(r"\\\1", visible(words))
    return LISTS.sub(
        lambda found: f"{found[1]}\\{found[2]}" if found[2] in "-+" else f"{found[1]}{found[2][:-1]}\\{found[2][-1]}", plain
    )


def _fence(code: str) -> str:
    """Longer than any run of backticks in the code."""
    longest = max((len(run) for run in re.findall("`+", code)), default=0)
    return "`" * max(3, longest + 1)

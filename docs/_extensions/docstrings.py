"""Docstrings in the house's form, as reStructuredText: numpydoc's sections, and its short form of them.

    name : text, and further lines                 under a heading such as Parameters
    name: text.  other, another: text.             a paragraph whose names are the object's own

    name: text.  Raises SomeError where …          what comes after two spaces and is no name stands for itself

become definition lists, with the default of each name from the signature. Indented paragraphs are formulas: literal blocks. Stars,
bars and underscores mean themselves.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from itertools import pairwise
from typing import TYPE_CHECKING

import gradline
from gradline import errors
from gradline import sklearn as estimators

if TYPE_CHECKING:
    from sphinx.application import Sphinx

SECTIONS = ("Parameters", "Attributes", "Returns", "Raises", "Warns", "Examples")
NAMES = r"\*{0,2}[A-Za-z]\w*(?:, \*{0,2}[A-Za-z]\w*)*"
PUBLIC = {name: f"gradline.{name}" for name in gradline.__all__} | {
    name: f"gradline.sklearn.{name}" for name in estimators.__all__
}
PUBLIC |= {"Certificate": "gradline.maths.certificate.Certificate", "TrainConfig": "gradline.training.config.TrainConfig"}
PUBLIC |= {name: f"gradline.errors.{name}" for name, thing in vars(errors).items() if isinstance(thing, type)}
LINKED = PUBLIC | {name: name for name in PUBLIC.values()}
Defaults = dict[str, str | None]
MOST = 60  # characters of a default that is shown


def escaped(text: str) -> str:
    """Text of which nothing but `code` and ``code`` is markup, and public names are links."""
    pieces = re.split(r"``(.+?)``|`([^`]+)`", text)
    words, twice, once = pieces[::3], pieces[1::3], pieces[2::3]
    out = [re.sub(r"([*|\\]|_(?=\W|$))", r"\\\1", word) for word in words]
    for i, code in enumerate(a or b for a, b in zip(twice, once, strict=True)):
        out[i] += f":py:obj:`{LINKED[code]}`" if code in LINKED else f"``{code}``"
    return "".join(out)


def defaults(thing: object) -> dict[str, str | None]:
    """The names of a signature, and what each is unless it is given; None where it has to be."""
    try:
        parameters = inspect.signature(thing).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return {}
    made = {f.name: f.default_factory for f in dataclasses.fields(thing)} if dataclasses.is_dataclass(thing) else {}
    found = {}
    for parameter in parameters:
        factory = made.get(parameter.name, dataclasses.MISSING)
        value = parameter.default if factory is dataclasses.MISSING else factory()
        found[parameter.name] = None if value is parameter.empty else repr(value)
    return found


def _known(thing: object) -> set[str]:
    """The names that a short entry can be of."""
    return {*defaults(thing), *getattr(thing, "__annotations__", {}), *(dir(thing) if inspect.isclass(thing) else ())}


def _definition(names: str, text: str, default: Defaults) -> list[str]:
    """An entry of a definition list."""
    terms = []
    for name in names.split(", "):
        value = default.get(name.lstrip("*"))
        terms.append(f"``{name}``" + (f" = ``{value}``" if value is not None and len(value) <= MOST else ""))
    return [", ".join(terms), *textwrap.indent(escaped(text.strip()), "    ").splitlines(), ""]


def _listed(entries: list[tuple[str, str]], default: Defaults) -> list[str]:
    """A definition list, each entry with what stands for itself after it."""
    out = []
    for names, text in entries:
        words, *rest = re.split(r"(?<=[.)])  (?=[A-Z])", text.strip())
        if len(names.split(", ")) == 1 and names in PUBLIC:
            out += [f":py:obj:`{names} <{PUBLIC[names]}>`", *textwrap.indent(escaped(words), "    ").splitlines(), ""]
        else:
            out += _definition(names, words, default)
        for each in rest:
            out += [*escaped(each).splitlines(), ""]
    return out


def _section(title: str, lines: list[str], default: Defaults) -> list[str]:
    """A numpydoc section."""
    body = textwrap.dedent("\n".join(lines)).strip("\n")
    out = [f".. rubric:: {title}", ""]
    if title == "Examples":
        return [*out, *body.splitlines(), ""]
    for entry in [body] if title == "Returns" else re.split(r"\n(?=\S)", body):
        head, _, rest = entry.partition("\n")
        whole = head + "\n" + textwrap.dedent(rest) if rest else head
        entries = None if title == "Returns" else _entries(whole, None, r" ?: ")
        out += _listed(entries, default) if entries else [*escaped(whole).splitlines(), ""]
    return out


def _entries(paragraph: str, known: set[str] | None, colon: str = ": ") -> list[tuple[str, str]] | None:
    """Names and texts of a paragraph in the short form, or None. known: the names that count; None: all of them."""
    found = [
        match
        for match in re.finditer(rf"(?:^|(?<=[.)])(?:  |\n))({NAMES}){colon}", paragraph)
        if known is None or all(name.lstrip("*") in known for name in match[1].split(", "))
    ]
    if not found or found[0].start() != 0:
        return None
    begins = [*(match.start() for match in found), len(paragraph)]
    return [(match[1], paragraph[match.end() : end]) for match, end in zip(found, begins[1:], strict=True)]


def converted(text: str, thing: object) -> list[str]:
    """A docstring as reStructuredText, in lines."""
    lines, known, default = text.splitlines(), _known(thing), defaults(thing)
    starts = [i for i, line in enumerate(lines[:-1]) if line.strip() in SECTIONS and set(lines[i + 1].strip()) == {"-"}]
    body = lines[: starts[0]] if starts else lines
    out = []
    for paragraph in re.split(r"\n\s*\n", "\n".join(body).strip("\n")):
        entries = _entries(paragraph, known)
        if paragraph.startswith("    "):
            out += ["::", "", *paragraph.splitlines(), ""]
        elif paragraph.startswith(">>>"):
            out += [*paragraph.splitlines(), ""]
        elif entries:
            out += _listed(entries, default)
        else:
            out += [*escaped(paragraph).splitlines(), ""]
    for start, end in pairwise([*starts, len(lines)]):
        out += _section(lines[start].strip(), lines[start + 2 : end], default)
    return out


def _convert(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    lines[:] = converted("\n".join(lines), obj)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _convert)
    return {"parallel_read_safe": True}

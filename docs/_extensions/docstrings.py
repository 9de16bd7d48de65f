"""Docstrings in the house's form, as reStructuredText: numpydoc's sections, and its short form of them.

    name : text, and further lines                 under a heading such as Parameters
    name: text.  other, another: text.             a paragraph whose names are the object's own

    name: text.  Raises SomeError where …          what comes after two spaces and is no name stands for itself

become definition lists, with the default of each name from the signature. Indented paragraphs are formulas: literal blocks. Stars,
bars and underscores mean themselves.
"""

import dataclasses
import inspect
import re
import textwrap
from itertools import pairwise

import gradline
from gradline import errors
from gradline import sklearn as estimators

SECTIONS = ("Parameters", "Attributes", "Returns", "Raises", "Warns", "Examples")
NAMES = r"\*{0,2}[A-Za-z]\w*(?:, \*{0,2}[A-Za-z]\w*)*"
PUBLIC = {name: f"gradline.{name}" for name in gradline.__all__} | {name: f"gradline.sklearn.{name}" for name in estimators.__all__}
PUBLIC |= {"Certificate": "gradline.maths.certificate.Certificate", "TrainConfig": "gradline.training.config.TrainConfig"}
PUBLIC |= {name: f"gradline.errors.{name}" for name, thing in vars(errors).items() if isinstance(thing, type)}
LINKED = PUBLIC | {name: name for name in PUBLIC.values()}
MOST = 60  # characters of a default that is shown


def escaped(text):
    """Text of which nothing but `code` and ``code`` is markup, and public names are links."""
    pieces = re.split(r"``(.+?)``|`([^`]+)`", text)
    words, twice, once = pieces[::3], pieces[1::3], pieces[2::3]
    out = [re.sub(r"([*|\\]|_(?=\W|$))", r"\\\1", word) for word in words]
    for i, code in enumerate(a or b for a, b in zip(twice, once, strict=True)):
        out[i] += f":py:obj:`{LINKED[code]}`" if code in LINKED else f"``{code}``"
    return "".join(out)


def defaults(thing):
    """What a name is unless it is given, as text; names without a default are there with None."""
    try:
        parameters = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return {}
    shown = {p.name: None if p.default is p.empty else p.default for p in parameters}
    factories = {f.name: f.default_factory for f in getattr(thing, "__dataclass_fields__", {}).values()}
    for name, factory in factories.items():
        if factory is not dataclasses.MISSING and name in shown:
            shown[name] = factory()
    required = {p.name for p in parameters if p.default is p.empty} - {n for n, f in factories.items() if f is not dataclasses.MISSING}
    return {name: None if name in required else repr(value) for name, value in shown.items()}


def _known(thing):
    """The names that a short entry can be of."""
    return {*defaults(thing), *getattr(thing, "__annotations__", {}), *(dir(thing) if inspect.isclass(thing) else ())}


def _definition(names, text, default):
    """An entry of a definition list."""
    terms = []
    for name in names.split(", "):
        value = default.get(name.lstrip("*"))
        terms.append(f"``{name}``" + (f" = ``{value}``" if value is not None and len(value) <= MOST else ""))
    return [", ".join(terms), *textwrap.indent(escaped(text.strip()), "    ").splitlines(), ""]


def _listed(entries, default):
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


def _section(title, lines, default):
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


def _entries(paragraph, known, colon=": "):
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


def converted(text, thing):
    """A docstring as reStructuredText, in lines."""
    lines, known, default = text.splitlines(), _known(thing), defaults(thing)
    starts = [
        i
        for i, line in enumerate(lines[:-1])
        if line.strip() in SECTIONS and set(lines[i + 1].strip()) == {"-"}
    ]
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


def _convert(app, what, name, obj, options, lines):
    lines[:] = converted("\n".join(lines), obj)


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _convert)
    return {"parallel_read_safe": True}

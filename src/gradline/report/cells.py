"""The tables of the report: cells with what is shown and, to be looked up, the number in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gradline.report.numerals import UNKNOWN, count, number

if TYPE_CHECKING:
    from collections.abc import Callable


class Cell(NamedTuple):
    """exact: the value in full, for the title attribute.  numeric: to be aligned right."""

    text: str
    exact: str | None = None
    numeric: bool = False


class Table(NamedTuple):
    """caption: what the rows are.  head: (text, whether numeric) of each column.  rows: of cells, the first one naming the row.  folded:
    whether only the caption is seen at first.
    """

    caption: str
    head: list[tuple[str, bool]]
    rows: list[list[Cell]]
    folded: bool = False


def cell(value: float | None, write: Callable[[float | None], str] = number) -> Cell:
    """A number."""
    text = write(value)
    return Cell(text, None if value is None or text == UNKNOWN else repr(float(value)), numeric=True)


def counted(value: int | None) -> Cell:
    """A whole number."""
    return Cell(count(value), numeric=True)


class Section(NamedTuple):
    """parts: tables and paragraphs, in their order.  open: whether it is unfolded at first."""

    title: str
    parts: list[Table | str]
    open: bool = False

"""What all output to the terminal has in common: the console, numbers to be read, words that cannot act."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from gradline.errors import printable

PLAIN_WIDTH = 1_000  # where the output is no terminal nothing is wrapped


def console() -> Console:
    """Of standard output."""
    found = Console(highlight=False, soft_wrap=False)
    return found if found.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


def number(value: float | None, digits: int = 4) -> str:
    """A number to be read: some significant digits, thousands separated."""
    if value is None:
        return "–"
    if value != 0.0 and not 1e-4 <= abs(value) < 1e7:
        return f"{value:.{digits - 1}e}"
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])
    return f"{value:,.{max(digits - 1 - exponent, 0)}f}"


def text(words: str, style: str = "") -> Text:
    """Words in which no name can hold a control character."""
    return Text(printable(words), style=style)

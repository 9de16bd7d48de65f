"""What can go wrong, as one tree. Every message says what, got, expected, where, and ends in a hint where there is one.

    GradlineError                exit code 1
    ├── StorageError             1  the machine: disk full, read-only directory
    ├── ParityError              1  an export that does not predict what the model predicts
    └── InputError               2  the user's words or data; no traceback is shown
        ├── UsageError           2  options that cannot be, or do not go together
        ├── SourceError          2  a file, query or object that cannot be read as a table
        ├── DataError            2  values that cannot be trained on
        ├── ContractError        2  data that break the contract of a model
        ├── ModelFileError       2  a model file that is damaged, edited, or of a later version
        └── StabilityError       2  a learning rate that would diverge
    GradlineWarning              a doubt about an answer, as a Python warning

Stopping is a status, never an exception.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


LONGEST_NAME = 200  # that is suggested
LONGEST_TEXT = 4_000  # that is printed: a level can have ten million characters


class GradlineError(Exception):
    """A failure of the machine or of gradline."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message} Hint: {hint}")
        self.message = message
        self.hint = hint


class StorageError(GradlineError):
    """The disk refuses: full, read-only, not permitted."""


class ParityError(GradlineError):
    """An export that does not predict what the model predicts; it is not kept."""


class InputError(GradlineError):
    """Bad usage or bad input: the user can mend it."""

    exit_code = 2


class UsageError(InputError):
    """Options that cannot be, or that do not go together."""


class SourceError(InputError):
    """Something that cannot be read as a table."""


class DataError(InputError):
    """Values that cannot be trained on."""


class ContractError(InputError):
    """Data that break the contract of a model."""


class ModelFileError(InputError):
    """A model file that cannot be believed."""


class StabilityError(InputError):
    """A learning rate at or past the limit of its update rule."""


class GradlineWarning(UserWarning):
    """A doubt about an answer. The text ends with what to do."""


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """The hint for a misspelt name, with the names there are."""
    names = [name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "…" for name in candidates]
    close = get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(str(c)) for c in close) + "?"
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"there are: {shown}." if names else "there are none."


def printable(text: str) -> str:
    """A text without control characters, not too long: a column's name cannot move the cursor, clear the screen or fill it."""
    shown = text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}… ({len(text):,} characters)"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in shown)


def plural(count: int, noun: str) -> str:
    """`1 row`, `2,000 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"

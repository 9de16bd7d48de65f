"""Errors and warnings in scikit-learn's classes, and in the words of its users: parameters, not flags of a command line."""

from __future__ import annotations

import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sklearn.exceptions import ConvergenceWarning

from gradline.errors import GradlineWarning, InputError
from gradline.training.checks import CHOICES, STOPS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gradline.types import Notice

QUIET = frozenset({"nothing_held_out", "left_out_constant"})  # the user holds out; a constant column has the coefficient 0
NAMES = {"seed": "random_state", "alpha": "learning_rate", "validation": "X_val"}
WHOLE = {"--no-intercept": "fit_intercept=False", "--validation 0.1": "X_val and y_val"}
VALUES = frozenset({"auto", *STOPS, *(choice for choices in CHOICES.values() for choice in choices)})
FLAG = re.compile(r"--([a-z][a-z0-9-]*)(?: ([\w.+-]*[\w+]))?")


class EstimatorError(InputError, ValueError):
    """What cannot be fitted or predicted: gradline's error, and the ValueError that scikit-learn's tools expect."""


class NotConvergedWarning(GradlineWarning, ConvergenceWarning):
    """A run that ended before its tolerance: gradline's doubt, and scikit-learn's ConvergenceWarning."""


@contextmanager
def estimator_errors() -> Iterator[None]:
    """InputErrors become EstimatorErrors."""
    try:
        yield
    except EstimatorError:
        raise
    except InputError as error:
        raise EstimatorError(in_python(error.message), None if error.hint is None else in_python(error.hint)) from error


def refused(message: str, hint: str | None = None) -> EstimatorError:
    """The error of a combination that cannot be."""
    return EstimatorError(message, hint)


def in_python(text: str) -> str:
    """`--scaling standard` is `scaling="standard"`, `--l2` is `l2`."""
    for flag, name in WHOLE.items():
        text = text.replace(flag, name)
    return FLAG.sub(_parameter, text)


def _parameter(found: re.Match[str]) -> str:
    flag, value = found[1], found[2]
    if flag in ("drop", "features"):
        return f"leave out {value}" if flag == "drop" and value else "choose columns"
    name = NAMES.get(flag, flag.replace("-", "_"))
    if value is None:
        return name
    if value in VALUES:
        return f'{name}="{value}"'
    return f"{name}={value}" if re.fullmatch(r"[\d.e+-]+", value) else f"{name} {value}"


def tell(notices: Sequence[tuple[str | None, Notice]], *, stacklevel: int) -> None:
    """A Python warning for each doubt, with the names of the targets that it is about; None where these are all."""
    for target, notice in notices:
        if notice.code not in QUIET:
            kind = NotConvergedWarning if notice.code == "not_converged" else GradlineWarning
            text = in_python(notice.message)
            warnings.warn(text if target is None else f"{target}: {text}", kind, stacklevel=stacklevel + 1)


def plain(value: Any) -> Any:
    """NumPy's numbers as Python's own: a grid search gives those."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", None) == 0 else value

"""How many digits of the coefficients are right: gradline beside the peers, on the reference sets of the tests.

    python benchmarks/accuracy.py [docs/accuracy.md]          two minutes

Prints the page, or writes it. Needs scikit-learn, statsmodels and scikit-learn-intelex; one that is missing has no column.
Every program is asked as its users ask it, with its own defaults, on float64 arrays.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
import warnings
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import trusted_digits

import gradline as gl

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from reference_sets import ReferenceSet, all_sets, digits

if TYPE_CHECKING:
    from collections.abc import Callable

Fitted = list[float]  # the intercept first, if there is one


class Program(NamedTuple):
    """name: with its setting.  package: whose version is told.  fit: what it finds."""

    name: str
    package: str
    fit: Callable[[ReferenceSet], Fitted]


def gradline(case: ReferenceSet) -> gl.Model:
    """Its default, with all rows to train on."""
    return gl.train(case.X, case.y, validation=0.0, test=0.0, intercept=case.intercept)


def with_ones(case: ReferenceSet) -> np.ndarray[Any, Any]:
    """The columns, after one of ones where there is an intercept."""
    return np.column_stack([np.ones(len(case.y)), case.X]) if case.intercept else case.X


def _numpy(case: ReferenceSet) -> Fitted:
    return np.linalg.lstsq(with_ones(case), case.y)[0].tolist()


def _estimator(module: str) -> Callable[[ReferenceSet], Fitted]:
    def fit(case: ReferenceSet) -> Fitted:
        model = importlib.import_module(module).LinearRegression(fit_intercept=case.intercept).fit(case.X, case.y)
        return [float(model.intercept_)] * case.intercept + np.ravel(model.coef_).tolist()

    return fit


def _statsmodels(method: str) -> Callable[[ReferenceSet], Fitted]:
    def fit(case: ReferenceSet) -> Fitted:
        api = importlib.import_module("statsmodels.api")
        return np.asarray(api.OLS(case.y, with_ones(case)).fit(method=method).params).tolist()

    return fit


PEERS = (
    Program("scikit-learn LinearRegression", "scikit-learn", _estimator("sklearn.linear_model")),
    Program("sklearnex LinearRegression", "scikit-learn-intelex", _estimator("sklearnex.linear_model")),
    Program("statsmodels OLS, pinv", "statsmodels", _statsmodels("pinv")),
    Program("statsmodels OLS, qr", "statsmodels", _statsmodels("qr")),
    Program("NumPy lstsq", "numpy", _numpy),
)


def page() -> str:
    """The page."""
    peers = [peer for peer in PEERS if _version(peer.package) is not None]
    versions = dict.fromkeys(f"{peer.package} {_version(peer.package)}" for peer in peers)
    lines = [
        "# Digits",
        "",
        "Correct digits of the worst coefficient (the intercept is one of them) on problems on which an answer is easily wrong:",
        "−log10 of its relative error, against exact least squares on the same float64 columns in rational arithmetic; 16 is the",
        "exact answer rounded to float64, and no program can do better. `tests/reference_sets.py` has the data, and",
        f"`benchmarks/accuracy.py` makes this page ({', '.join(versions)}; every program with its defaults).",
        "",
        "| problem | " + " | ".join(["gradline", *(peer.name for peer in peers)]) + " | gradline promises |",
        "|---|" + "---|" * (len(peers) + 2),
    ]
    for case in all_sets():
        exact = case.solution()
        model = gradline(case)
        ours = [model.intercept] * case.intercept + [model.coefficients[f"x{j}"] for j in range(case.X.shape[1])]
        found = [ours, *(_quietly(peer, case) for peer in peers)]
        promised = model.certificate.trusted_digits
        cells = ["none" if each is None else f"{digits(each, exact):.1f}" for each in found]
        lines.append(f"| {case.name} | " + " | ".join(cells) + f" | {'none' if promised is None else f'{promised:.1f}'} |")
    kept = StringIO()
    with redirect_stdout(kept):
        trusted_digits.main()
    return "\n".join([*lines, "", *NOTES, "", "```text", kept.getvalue().rstrip(), "```", ""])


NOTES = (
    "The last column is `trusted_digits`. It promises something else, and less: the digits, relative to the largest effect, by which the",
    "coefficients can be known *before* the columns were rounded to float64. Two columns that are apart by 1e-12 of a deviation have exact",
    "coefficients, once they are float64; but the numbers that were rounded to these could have had others from the fourth digit on.",
    "Whole numbers have not been rounded, and keep all their digits.",
    "",
    "How well the promise is kept, by `benchmarks/trusted_digits.py`, on random problems made of exact numbers and then rounded:",
)


def _quietly(peer: Program, case: ReferenceSet) -> Fitted | None:
    try:
        return peer.fit(case)
    except (ValueError, RuntimeError, np.linalg.LinAlgError):
        return None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def main() -> None:
    """Print or write the page."""
    warnings.simplefilter("ignore")
    text = page()
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()

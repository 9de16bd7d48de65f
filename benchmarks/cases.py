"""The tables on which gradline and its peers are timed, and which ways go over each; what has to agree before a time counts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from making import LEVELS, NUMERIC, excess, level_names
from measuring import Run, in_turn, process
from ways import ABSENT, centred

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
EXACT = ("sklearn_linear", "sklearn_ridge", "sklearnex_linear", "sklearnex_incremental", "glum", "statsmodels")
SINGLE = ("sklearnex_linear", "sklearn_ridge")  # of those that keep float32, the quick ones
FLOORS = ("duckdb_sum", "polars_scan")
BY_LOSS = {"sgd": 1e-2, "vowpal_wabbit": 1e-2, "vowpal_wabbit_5_passes": 1e-2}  # (J − J*)/J(w = 0) at most
FLOAT32_LOSS = 1e-6
COEFFICIENTS = 1e-6  # of an exact way, in units of the largest
HEAVY = {"sklearn_linear": 2e9, "statsmodels": 1.2e9, "sgd": 2.1e9, "glum": 2.1e9}  # bytes of X past which it is left out


class Case(NamedTuple):
    """A table, and the ways to go over it. reference: what ratios are to.  twins: the same rows in other formats (making.py)."""

    name: str
    rows: int
    columns: int
    kind: str
    ways: tuple[str, ...]
    reference: str
    twins: tuple[str, ...] = ()

    @property
    def in_memory(self) -> bool:
        """Whether the table is made of arrays."""
        return self.kind.startswith("float")

    @property
    def features(self) -> str:
        """In words."""
        if self.kind != "categories":
            return f"{self.columns} features"
        return f"{NUMERIC} numbers and categories of {', '.join(map(str, LEVELS.values()))} levels"


TABLES = ("sklearnex_linear", "sklearn_ridge", "sklearn_linear", "sgd")
VW = ("vowpal_wabbit", "vowpal_wabbit_5_passes")
CASES = (
    Case("parquet", 10_000_000, 20, "parquet", ("gradline", *FLOORS, *TABLES, "spark"), "duckdb_sum", ("roles",)),
    Case("csv", 2_000_000, 20, "csv", ("gradline", *FLOORS, "sklearnex_linear", "sklearn_ridge", *VW), "duckdb_sum", ("vw",)),
    Case("categories", 10_000_000, NUMERIC + len(LEVELS), "categories", ("gradline", "glum_categories"), "glum_categories"),
    Case("memory-1Mx100", 1_000_000, 100, "float64", ("gradline", *EXACT, "sgd"), "sklearnex_linear"),
    Case("memory-10Mx5", 10_000_000, 5, "float64", ("gradline", *EXACT), "sklearnex_linear"),
    Case("memory-200kx500", 200_000, 500, "float64", ("gradline", *EXACT), "sklearnex_linear"),
    Case("memory-1Mx100-float32", 1_000_000, 100, "float32", ("gradline", *SINGLE), "sklearnex_linear"),
    Case("memory-10Mx5-float32", 10_000_000, 5, "float32", ("gradline", *SINGLE), "sklearnex_linear"),
    Case("memory-200kx500-float32", 200_000, 500, "float32", ("gradline", *SINGLE), "sklearnex_linear"),
)


class Result(NamedTuple):
    """The runs of each way of a case. apart: of each way with an answer, its largest coefficient's distance from gradline's.

    excess: its loss above the least one, relative to that of the mean; none for the categories.  left_out: ways, and why.
    """

    case: Case
    roles: bool
    found: dict[str, list[Run]]
    apart: dict[str, float]
    excess: dict[str, float]
    left_out: dict[str, str]


def measured(case: Case, *, roles: bool, rounds: int, folder: Path) -> Result:
    """All ways in turn, after the file was read once for the system to keep it."""
    data = folder / (case.name if case.in_memory else f"{case.name}.{'csv' if case.kind == 'csv' else 'parquet'}")
    split = str(folder / f"{case.name}.npy") if roles else ""
    twins = ",".join(twin for twin in case.twins if roles or twin != "roles")
    arguments = [str(data), str(case.rows), str(case.columns), split, case.kind, twins]
    subprocess.run([sys.executable, str(HERE / "making.py"), *arguments], check=True)
    size = case.rows * case.columns * (4 if case.kind == "float32" else 8)
    ways = [way for way in case.ways if size <= HEAVY.get(way, np.inf)]
    if not case.in_memory:
        for file in folder.glob(f"{case.name}.*"):
            with file.open("rb") as stream:
                while stream.read(1 << 24):
                    pass
    found = in_turn(ways, lambda way: once(way, case, data, split, folder), rounds, f"{case.name}{', split' if roles else ''}")
    left_out = {way: runs[0].answer[ABSENT] for way, runs in found.items() if ABSENT in runs[0].answer}
    found = {way: runs for way, runs in found.items() if way not in left_out}
    products = data / "products.npy" if case.in_memory else data.with_suffix(".products.npy")
    apart, above = compared(case, found, np.load(products) if products.exists() else None)
    for file in folder.glob(f"{case.name}*"):
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    return Result(case, roles, found, apart, above, left_out)


def once(way: str, case: Case, data: Path, split: str, folder: Path) -> Run:
    """One way in a process of its own."""
    if way != "gradline" or case.in_memory:
        command = [sys.executable, str(HERE / "ways.py"), way, str(data), *([split] if split else [])]
        return process(command, own_clock=case.in_memory)
    run = train(data, folder / "run", [] if split else ["--validation", "0", "--test", "0"], case)
    answer = run.answer
    return run._replace(answer={"coefficients": vector(answer["coefficients"], case), "intercept": answer["intercept"]})


def train(data: Path, out: Path, options: Sequence[str], case: Case | None = None) -> Run:
    """`gradline train`, cold; all levels of a category are kept."""
    shutil.rmtree(out, ignore_errors=True)
    levels = ["--max-levels", str(max(LEVELS.values()))] if case is not None and case.kind == "categories" else []
    return process(
        [sys.executable, "-m", "gradline", "train", str(data), "--target", "y", "--out", str(out), "--json", *levels, *options]
    )


def vector(coefficients: dict[str, float], case: Case) -> list[float]:
    """The coefficients in the order of `ways.py`. Of a category, those of all levels but its reference are there."""
    if case.kind != "categories":
        return list(coefficients.values())
    kept = sum("=" in name for name in coefficients)
    if kept != sum(LEVELS.values()) - len(LEVELS):
        raise SystemExit(f"{case.name}: gradline has coefficients of {kept} levels")
    numeric = [coefficients[f"x{j}"] for j in range(NUMERIC)]
    effects = [[coefficients.get(f"{column}={level}", 0.0) for level in level_names(n)] for column, n in LEVELS.items()]
    return [*numeric, *centred(effects)]


def compared(
    case: Case, found: dict[str, list[Run]], products: np.ndarray[Any, Any] | None
) -> tuple[dict[str, float], dict[str, float]]:
    """Distances and losses of the answers; stops where one is not that of the others, within what its way promises."""
    ours = np.array(found["gradline"][0].answer["coefficients"])
    apart, above = {}, {}
    for way in (way for way in found if way not in FLOORS):
        answer = found[way][0].answer
        theirs = np.array(answer["coefficients"])
        if theirs.shape != ours.shape:
            raise SystemExit(f"{case.name}: {way} has {len(theirs)} coefficients, gradline {len(ours)}")
        apart[way] = float(np.max(np.abs(theirs - ours)) / np.max(np.abs(ours)))
        if products is not None:
            above[way] = excess(products, theirs, answer["intercept"])
        single = case.kind == "float32" and way != "gradline"
        by_loss = BY_LOSS.get(way, FLOAT32_LOSS if single else np.inf)
        if (way not in BY_LOSS and not single and apart[way] > COEFFICIENTS) or above.get(way, 0.0) > by_loss:
            raise SystemExit(f"{case.name}: {way}: coefficients {apart[way]:.1e} apart, loss {above.get(way)} above: no times")
    if above.get("gradline", 0.0) > 1e-12:
        raise SystemExit(f"{case.name}: gradline's loss is {above['gradline']:.1e} above the least one: no times")
    return apart, above

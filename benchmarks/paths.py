"""5 folds × 100 values of λ: what they add to a training command, and what they take elsewhere.

    python benchmarks/paths.py                       10M rows of 20 features: the commands; 200,000 rows for scikit-learn
    python benchmarks/paths.py --rows 1000000 --peer-rows 50000 --rounds 3

The commands are whole cold processes on a Parquet file, in turn, after one round that is not counted. scikit-learn refits for each
fold and λ, on arrays that it is given, so that its time counts no reading; it has fewer rows, or this would take hours. Before a
time is printed the answers have to agree: GridSearchCV on the same folds, standardising within each, has the errors of gradline to
1e-9 at every λ. λ is per row in gradline and of the sum in scikit-learn (alpha = rows·λ), so that the estimator scales it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
FOLDS = 5
WANTED = 1.3  # times the plain command
AGREE = 1e-9
COMMANDS = {"plain": [], "folds and path": ["--folds", str(FOLDS), "--l2", "auto"]}


def command(data: Path, words: list[str], out: Path) -> float:
    """The seconds of a training command in a process of its own."""
    shutil.rmtree(out, ignore_errors=True)
    start = time.perf_counter()
    arguments = ["train", str(data), "--target", "y", "--out", str(out), "--json", *words]
    subprocess.run([sys.executable, "-m", "gradline", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return time.perf_counter() - start


def commands(rows: int, columns: int, rounds: int, folder: Path) -> dict[str, list[float]]:
    """Both commands in turn."""
    data, out = folder / "t.parquet", folder / "run"
    subprocess.run([sys.executable, str(HERE / "making.py"), str(data), str(rows), str(columns), ""], check=True)
    found: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(rounds + 1):
        for name, words in COMMANDS.items():
            seconds = command(data, words, out)
            if number:
                found[name].append(seconds)
    data.unlink()
    return found


def gradline_way(X: np.ndarray, y: np.ndarray, l2: list[float]) -> dict[str, Any]:
    """Training on arrays, with the path."""
    import gradline as gl

    warnings.simplefilter("ignore")
    settings: dict[str, Any] = {"validation": 0.0, "test": 0.0, "l2": "auto", "folds": FOLDS}
    gl.train(X[:1_000], y[:1_000], **settings)
    start = time.perf_counter()
    model = gl.train(X, y, **settings)
    return {"seconds": time.perf_counter() - start, **model.result["cross_validation"]}


def grid_search(X: np.ndarray, y: np.ndarray, l2: list[float]) -> dict[str, Any]:
    """scikit-learn's search over folds and λ, each a fit of standardised rows; then the fit at the best one."""
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV, PredefinedSplit
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from gradline.splits.divisions import Folds

    class RidgePerRow(Ridge):
        """Whose penalty is that of the mean of the squares: alpha is λ until the rows are known."""

        def fit(self, X: np.ndarray, y: np.ndarray) -> RidgePerRow:
            l2, self.alpha = self.alpha, self.alpha * len(y)
            super().fit(X, y)
            self.alpha = l2
            return self

    split = PredefinedSplit(Folds(FOLDS, 0).assign(0, 0, len(y), None))
    estimator = make_pipeline(StandardScaler(), RidgePerRow(solver="cholesky"))
    start = time.perf_counter()
    search = GridSearchCV(estimator, {"ridgeperrow__alpha": l2}, cv=split, scoring="neg_root_mean_squared_error").fit(X, y)
    seconds = time.perf_counter() - start
    rmse = list(map(float, -search.cv_results_["mean_test_score"]))
    return {"seconds": seconds, "rmse": rmse, "chosen": search.best_params_["ridgeperrow__alpha"]}


def ridge_cv(X: np.ndarray, y: np.ndarray, l2: list[float]) -> dict[str, Any]:
    """scikit-learn's RidgeCV on columns standardised once, with folds of its own: the quickest call that does about the same."""
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import StandardScaler

    start = time.perf_counter()
    alphas = [each * len(y) for each in l2]  # of all rows: each fold has 4/5 of them
    model = RidgeCV(alphas=alphas, cv=FOLDS, scoring="neg_mean_squared_error").fit(StandardScaler().fit_transform(X), y)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "best": float(np.sqrt(-model.best_score_)), "chosen": float(model.alpha_) / len(y)}


WAYS = {"gradline": gradline_way, "GridSearchCV(Ridge(cholesky))": grid_search, "RidgeCV(cv=5)": ridge_cv}


def in_memory(way: str, rows: int, columns: int, folder: Path) -> dict[str, Any]:
    """A way in a process of its own; the values of λ are those that gradline had, but for 0, which is no ridge regression."""
    words = ["--way", way, "--peer-rows", str(rows), "--columns", str(columns), "--l2", str(folder / "l2.json")]
    done = subprocess.run([sys.executable, __file__, *words], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    if way == "gradline":
        (folder / "l2.json").write_text(json.dumps(found["l2"][:-1]), encoding="utf-8")
    return found


def check(found: dict[str, dict[str, Any]]) -> float:
    """How far the errors of the grid search are from gradline's, relative. Stops where the answers are not the same."""
    ours = np.array(found["gradline"]["rmse"][:-1])
    theirs = np.array(found["GridSearchCV(Ridge(cholesky))"]["rmse"])
    apart = float(np.max(np.abs(theirs / ours - 1.0)))
    if apart > AGREE:
        raise SystemExit(f"the errors of GridSearchCV and gradline are {apart:.1e} apart: no times")
    best = found["RidgeCV(cv=5)"]["best"]
    if abs(best / ours.min() - 1.0) > 0.05:
        raise SystemExit(f"RidgeCV errs by {best:.4g} and gradline by {ours.min():.4g}: no times")
    return apart


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the file that the commands read")
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--peer-rows", type=int, default=200_000, help="of the arrays")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--l2", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way is not None:
        from making import made

        X, y = made(given.peer_rows, given.columns)
        l2 = json.loads(given.l2.read_text(encoding="utf-8")) if given.way != "gradline" else []
        print(json.dumps(WAYS[given.way](X, y, l2)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {way: in_memory(way, given.peer_rows, given.columns, folder) for way in WAYS}
        apart = check(found)
        times = commands(given.rows, given.columns, given.rounds, folder)
    print(
        f"{given.rows:,} rows, {given.columns} features, a Parquet file; seconds of the whole cold process, median (least to most)"
    )
    median = {way: statistics.median(seconds) for way, seconds in times.items()}
    for way, seconds in times.items():
        print(f"  gradline train, {way:15}  {median[way]:8.2f}  ({min(seconds):.2f} to {max(seconds):.2f})")
    ratio = median["folds and path"] / median["plain"]
    print(f"  ratio {ratio:.2f}, wanted: at most {WANTED}")
    print(f"{given.peer_rows:,} rows, {given.columns} features in memory, {FOLDS} folds × 100 values of λ; seconds of the call")
    for way, one in found.items():
        print(f"  {way:30}  {one['seconds']:8.3f}  (λ chosen: {one['chosen']:.3g})")
    print(f"  errors at every λ: {apart:.1e} apart (GridSearchCV, the same folds)")


if __name__ == "__main__":
    main()

"""A model written for another engine, and checked there before it has its name."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gradline import __version__
from gradline.errors import ContractError, InputError, ParityError, UsageError, did_you_mean, plural
from gradline.export import engines
from gradline.export.differences import differences
from gradline.export.document import json_text
from gradline.export.of_model import formula_of
from gradline.export.parity import checked_rows, compared
from gradline.export.python import python_text
from gradline.export.sql import beside, dialect_of, sql_text
from gradline.inputs.memory import TableSource
from gradline.inputs.opening import open_source, paths_of
from gradline.report.run import directory_name
from gradline.storage import atomic_file
from gradline.types import Notice

if TYPE_CHECKING:
    from gradline.export.engines import Found
    from gradline.export.formula import Formula
    from gradline.export.parity import CheckedRows
    from gradline.model.model import Model
    from gradline.types import FloatArray, Json

SUFFIXES = {"sql": ".sql", "python": ".py", "json": ".json", "onnx": ".onnx"}
PARITY = ".parity.json"


class _Rows(NamedTuple):
    """What an export is checked on. rows: None where it is not, for a `reason`."""

    data: str | None
    rows: CheckedRows | None
    reason: str | None = None


def export_model(
    model: Model,
    to: str,
    out: str | Path | None = None,
    *,
    dialect: str = "duckdb",
    check: Any = None,
    server: str | None = None,
    **settings: Any,
) -> Json:
    """Write a model as SQL, a Python function, JSON or ONNX, and check that it predicts the same.

    Parameters
    ----------
    model : a model of columns with names.
    to : `sql`, `python`, `json` or `onnx`.
    out : the file; `<out>.parity.json` is written beside it. Default: the target's name in the current directory.
    dialect : of SQL: `duckdb` or `postgres`.
    check : rows to check it on, whatever `gradline.train` takes; False for no check. Default: the data that the model was trained on.
    server : an address of PostgreSQL, to check its dialect there.
    **settings : how `check` is to be read: `header`, `delimiter`, `decimal`, `db`.

    Returns
    -------
    The document that ``gradline export --json`` prints (docs/json.md).

    Raises
    ------
    ParityError : where it predicts otherwise; then nothing is written, and what was there stays.

    Examples
    --------
    >>> import gradline as gl, numpy as np
    >>> x = np.arange(100.0)
    >>> model = gl.train(x[:, None], 3 * x + 2 + 9 * np.sin(x), validation=0, test=0.2)
    >>> found = gl.export_model(model, "sql", "/tmp/line.sql", check=x[:, None])  # doctest: +SKIP
    """
    if to not in SUFFIXES:
        raise UsageError(f"there is no export to {to!r}.", did_you_mean(to, SUFFIXES))
    dialect_of(dialect)
    formula = replace(formula_of(model), made_by=f"gradline {__version__}")
    path = _path(model, to, out)
    engine = dialect if to == "sql" else to
    content = _content(formula, engine)
    rows = _rows(model, check, path, settings)
    parity_path = path.with_name(path.name + PARITY)
    with atomic_file(path) as staging, atomic_file(parity_path) as parity_staging:
        staging.write_bytes(content)
        parity = _parity(model, formula, engine, content, staging, rows, server)
        document: Json = {
            "format": "gradline parity",
            "version": 1,
            "file": path.name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "to": to,
            "dialect": dialect if to == "sql" else None,
            "target": formula.target,
            "outputs": list(formula.outputs),
            **parity,
            "differences": differences(formula, engine),
        }
        parity_staging.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    notices = []
    if not parity["checked"]:
        text = f"{path} was not checked against the model: {parity['reason']}"
        notices.append(Notice("export_not_checked", None, text))
    return {
        "out": str(path),
        "parity_file": str(parity_path),
        **{name: value for name, value in document.items() if name not in ("format", "version", "file")},
        "warnings": [notice.to_json() for notice in notices],
    }


def _content(formula: Formula, engine: str) -> bytes:
    match engine:
        case "python":
            return python_text(formula).encode()
        case "json":
            return json_text(formula).encode()
        case "onnx":
            from gradline.export.onnx import onnx_bytes

            return onnx_bytes(formula)
        case _:
            return sql_text(formula, engine, differences(formula, engine)).encode()


def _path(model: Model, to: str, out: str | Path | None) -> Path:
    """Where to write. A file that nobody named is not replaced, unless it is an export of before."""
    if out is not None:
        return Path(out)
    path = Path(directory_name(model.contract.target) + SUFFIXES[to])
    if path.exists() and not path.with_name(path.name + PARITY).exists():
        raise UsageError(f"there is a file {path} that no export wrote.", "say where to write with --out.")
    return path


def _rows(model: Model, check: Any, out: Path, settings: Json) -> _Rows:
    """The rows to check on: as given, or of the data trained on where they are still there."""
    trained = check is None
    words = model.config.get("data") if trained else check
    if check is False:
        return _Rows(None, None, "that was not asked for.")
    if trained and not isinstance(words, list):
        return _Rows(None, None, "the model was trained on a table in memory; give rows with --check DATA.")
    if isinstance(words, str | Path):
        words = [words]
    for file in _files(words):
        if out.exists() and file.exists() and out.samefile(file):
            raise UsageError(f"--out {out} is among the rows to check on; it would be replaced.", "give another name.")
    if trained and model.config.get("db") is not None:
        settings = {"db": model.config["db"]} | settings
    try:
        source = open_source(words, model.read_options(**settings))
        model.contract.check_schema(source.schema, source.name)
        return _Rows(source.name, checked_rows(source, model.contract.columns))
    except InputError as error:
        if not trained:
            raise
        return _Rows(
            None, None, f"the data that the model was trained on cannot be read ({error.message}); give rows with --check DATA."
        )


def _files(words: Any) -> list[Path]:
    """The files that words mean, where they mean any that are there."""
    if isinstance(words, list | tuple) and all(isinstance(word, str | Path) for word in words):
        with suppress(InputError):
            return paths_of(words)
    return []


def _parity(model: Model, formula: Formula, engine: str, content: bytes, path: Path, rows: _Rows, server: str | None) -> Json:
    """Both predictions compared. Raises ParityError."""
    unknown = {
        "checked": False,
        "engine": None,
        "data": rows.data,
        "reason": rows.reason,
        "rows": None,
        "of": None,
        "rows_sha256": None,
    }
    empty = dict.fromkeys(("rows_without_prediction", "max_absolute_difference", "max_relative_difference", "tolerance"))
    if rows.rows is None:
        return unknown | empty
    table = rows.rows.table
    expected = _expected(model, formula, table)  # first: what gradline refuses is no row to check on
    found = _found(formula, engine, content, path, table, server)
    if found.said is None:
        return unknown | empty | {"engine": found.engine, "reason": found.reason}
    parity = compared(expected, found.said, formula.decision)
    if parity.mistaken:
        raise ParityError(
            f"the export does not predict what the model predicts: {plural(parity.mistaken, 'row')} of {parity.rows:,} differ in "
            f"{found.engine}, by up to {parity.absolute:.3g} (the first is row {parity.first:,} of those checked). Nothing was written.",
            "this is a bug; predict with gradline predict until it is mended.",
        )
    return {
        "checked": True,
        "reason": None,
        "engine": found.engine,
        "data": rows.data,
        "rows": parity.rows,
        "of": rows.rows.of,
        "rows_sha256": rows.rows.sha256,
        **parity.to_json(),
    }


def _found(formula: Formula, engine: str, content: bytes, path: Path, table: Any, server: str | None) -> Found:
    match engine:
        case "duckdb":
            return engines.in_duckdb(content.decode(), table, beside(formula, dialect_of(engine)))
        case "postgres":
            return engines.in_postgres(content.decode(), table, server, beside(formula, dialect_of(engine)))
        case "python":
            return engines.in_python(path, table)
        case "json":
            return engines.in_reader(content.decode(), table)
        case _:
            return engines.in_onnxruntime(content, formula, table)


def _expected(model: Model, formula: Formula, table: Any) -> dict[str, FloatArray]:
    """What the model says of some rows, by output."""
    said: dict[str, list[FloatArray]] = {name: [np.zeros(0)] for name in formula.outputs}
    try:
        for block in model.predictions(TableSource(table, "the rows to check on"), intervals=formula.interval is not None):
            said["prediction"].append(block.predicted)
            if block.bounds is not None:
                said["low"].append(block.bounds.low)
                said["high"].append(block.bounds.high)
            if formula.decision is not None and model.policy is not None:
                acted = np.asarray(model.policy.acts(block.acted_on(model.policy.act_on)), dtype=np.float64)
                said["decision"].append(np.where(np.isnan(block.predicted), np.nan, acted))
    except ContractError as error:
        raise ContractError(
            error.message, "give rows that keep the contract with --check DATA, or none with --no-check."
        ) from error
    return {name: np.concatenate(each) for name, each in said.items()}

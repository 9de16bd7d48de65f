"""The engines that exports are for, as the check of an export uses them: each computes the predictions of some rows."""

from __future__ import annotations

import platform
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gradline.arrays import as_arrow, as_numpy
from gradline.errors import GradlineError, UsageError
from gradline.export.sql import PREDICTION, quoted
from gradline.inputs.address import scheme_of
from gradline.inputs.query import connect, first_lines

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pyarrow as pa

    from gradline.export.formula import Formula
    from gradline.types import FloatArray

INSTALL_POSTGRES = "pip install 'gradline[databases]'"


class Found(NamedTuple):
    """What an engine says of some rows, by output, (n,) each, NaN where it says nothing and a decision as 0 or 1; `engine` with its
    version. None where the engine is not to be had, for a `reason`.
    """

    engine: str
    said: Mapping[str, FloatArray] | None
    reason: str | None = None

    @property
    def predicted(self) -> FloatArray:
        """The predictions."""
        assert self.said is not None
        return self.said["prediction"]


def in_duckdb(expression: str, table: pa.Table, besides: Mapping[str, str] | None = None) -> Found:
    """An SQL expression in DuckDB. besides: expressions of it, as `sql.beside` gives them."""
    import duckdb

    order = _free("row", table)
    with connect() as connection:
        connection.register("rows", table.append_column(order, as_arrow(np.arange(table.num_rows))))
        try:
            found = connection.sql(_query(expression, "rows", order, besides or {})).to_arrow_table()
        except duckdb.Error as error:
            raise GradlineError(f"DuckDB refuses the expression: {first_lines(error)}") from error
    return Found(f"DuckDB {duckdb.__version__}", _columns(found))


def in_postgres(expression: str, table: pa.Table, server: str | None, besides: Mapping[str, str] | None = None) -> Found:
    """An SQL expression in PostgreSQL: the rows are put into a temporary table of that session."""
    if server is None:
        return Found("PostgreSQL", None, "no database was given: --server postgresql://…")
    if scheme_of(server) != "postgresql":
        raise UsageError("--server is not the address of a PostgreSQL server.", "write postgresql://user@host/name.")
    try:
        import adbc_driver_postgresql.dbapi as adbc
    except ImportError:
        return Found("PostgreSQL", None, f"its driver is not installed: {INSTALL_POSTGRES}")
    order, name = _free("row", table), f"gradline_{secrets.token_hex(8)}"
    numbered = table.append_column(order, as_arrow(np.arange(table.num_rows)))
    try:
        with adbc.connect(server) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest(name, numbered, mode="create", temporary=True)
            cursor.execute(_query(expression, name, order, besides or {}))
            found = _columns(cursor.fetch_arrow_table())
            cursor.execute("SELECT current_setting('server_version')")
            version = cursor.fetchone()
    except adbc.Error as error:
        raise UsageError(
            f"PostgreSQL: {str(error).splitlines()[0]}", "is --server the address of a server that is up?"
        ) from error
    return Found(f"PostgreSQL {version[0] if version else ''}".strip(), found)


def _query(expression: str, table: str, order: str, besides: Mapping[str, str]) -> str:
    columns = "".join(f", {each} AS {name}" for name, each in besides.items())
    inner = f"SELECT {expression} AS {PREDICTION}, {quoted(order)} AS in_order FROM {table}"
    return f"SELECT {PREDICTION} AS prediction{columns} FROM ({inner}) AS predicted ORDER BY in_order"


def _columns(table: pa.Table) -> dict[str, FloatArray]:
    import pyarrow as pa

    return {name: as_numpy(table.column(name).cast(pa.float64()), null=np.nan) for name in table.column_names}


def in_python(path: Path, table: pa.Table) -> Found:
    """A module's `predict` in this Python."""
    from gradline.export.python import values_of

    return Found(f"Python {platform.python_version()}", _outputs(values_of(path, table.to_pylist())))


def in_reader(text: str, table: pa.Table) -> Found:
    """A JSON document, by the reader of this package."""
    from gradline.export.document import values_of

    return Found("gradline.export.runtime", _outputs(values_of(text, table.to_pylist())))


def in_onnxruntime(model: bytes, formula: Formula, table: pa.Table) -> Found:
    """An ONNX model in onnxruntime."""
    from gradline.export.onnx import INSTALL
    from gradline.export.onnx_rows import values_of

    try:
        import onnxruntime
    except ImportError:
        return Found("onnxruntime", None, f"it is not installed: {INSTALL}")
    return Found(f"onnxruntime {onnxruntime.__version__}", values_of(model, formula, table))


def _outputs(rows: list[tuple[Any, ...]]) -> dict[str, FloatArray]:
    values = np.array([[np.nan if value is None else value for value in row] for row in rows], dtype=np.float64).reshape(-1, 4)
    return dict(zip(("prediction", "low", "high", "decision"), values.T, strict=True))


def _free(name: str, table: pa.Table) -> str:
    """A name that no column has, however it is written."""
    taken = {column.casefold() for column in table.column_names}
    while name in taken:
        name += "_"
    return name

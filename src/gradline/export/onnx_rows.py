"""Rows as the inputs of an ONNX model, and what it says of them in onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gradline.arrays import as_numpy, flat_column
from gradline.export.formula import plain_number
from gradline.export.onnx import LEAST, input_forms
from gradline.representation.decode import as_numbers
from gradline.types import Kind

if TYPE_CHECKING:
    from gradline.export.formula import Column, Formula
    from gradline.types import FloatArray


def feeds(table: pa.Table, formula: Formula) -> dict[str, Any]:
    """The inputs for some rows, as the graph takes them."""
    forms, found = input_forms(formula), {}
    for name, column in formula.columns.items():
        values = flat_column(table, name)
        match forms[name]:
            case {"type": "double"}:
                found[name] = as_numbers(name, values, column.kind)
            case {"type": "string", "missing": word}:
                texts = _texts(values, column)
                found[name] = np.array([word if text is None else text for text in texts], dtype=object)
            case {"unit": unit}:
                if column.source is Kind.TEXT:
                    values = pc.cast(values, pa.date32() if column.kind is Kind.DATE else pa.timestamp("us"))
                if unit.startswith("days"):
                    whole = pc.cast(pc.cast(pc.cast(values, pa.date32()), pa.int32()), pa.int64())
                else:
                    whole = pc.cast(pc.cast(values, pa.timestamp("us", getattr(values.type, "tz", None)), safe=False), pa.int64())
                found[name] = as_numpy(whole, null=LEAST)
    return found


def _texts(values: pa.Array, column: Column) -> list[str | None]:
    texts: list[str | None] = pc.cast(values, pa.large_string()).to_pylist()
    if not column.compares_numbers:
        return texts
    return [None if text is None else plain_number(text) or text for text in texts]


def values_of(model: bytes, formula: Formula, table: pa.Table) -> dict[str, FloatArray]:
    """What an export to ONNX says of some rows in onnxruntime, (rows,) each. Raises ImportError where that is not installed."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    said = session.run(None, feeds(table, formula))
    return {
        name: np.broadcast_to(values.astype(np.float64), (table.num_rows,))
        for name, values in zip(formula.outputs, said, strict=True)
    }

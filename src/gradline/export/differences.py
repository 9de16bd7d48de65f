"""What an export does otherwise than the model, in sentences that it carries along."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradline.export.formula import Logarithm, NumberTerm

if TYPE_CHECKING:
    from gradline.export.formula import Formula

NO_PREDICTION = {"duckdb": "NULL", "postgres": "NULL", "python": "a ValueError", "json": "an error", "onnx": "NaN"}


def differences(formula: Formula, engine: str) -> list[str]:
    """Of an engine (`duckdb`, `postgres`, `python`, `json`, `onnx`) and a model's contract."""
    found = [f"Left out: {what}." for what in formula.left_out]
    decisions = formula.decisions
    refused = [
        words
        for word, words in (
            (decisions.null, "a missing value"),
            (decisions.out_of_range, "a value outside the training range"),
            (decisions.unseen, "a level that training had not"),
        )
        if word == "error"
    ]
    if refused:
        found.append(f"Where gradline refuses the data ({', '.join(refused)}), the row is {NO_PREDICTION[engine]} here.")
    if decisions.null == "drop":
        nothing = {"python": "None", "json": "null", "onnx": "NaN"}.get(engine, "NULL")
        found.append(f"A row with a missing value has no prediction, as in gradline: {nothing}.")
    told = [
        words
        for word, words in ((decisions.out_of_range, "outside the training range"), (decisions.unseen, "of unseen levels"))
        if word == "warn"
    ]
    if told:
        found.append(f"Values {' or '.join(told)} are predicted as in gradline, without its warning.")
    if any(isinstance(term, NumberTerm) and isinstance(term.number, Logarithm) for term in formula.terms):
        found.append(f"Where gradline refuses the data (a number without a logarithm), the row is {NO_PREDICTION[engine]} here.")
    match engine:
        case "duckdb":
            found.append("DuckDB does not tell names apart by case: give it no table with two columns that differ in it alone.")
            found.append("A column of another type is cast, or ends the query; gradline refuses it.")
        case "postgres":
            found.append("A column of another type is cast, or ends the query; gradline refuses it. Past float64 the query ends.")
        case "onnx":
            found.append("The metadata of the model say how each column is given, and what stands for a missing value.")
    return found

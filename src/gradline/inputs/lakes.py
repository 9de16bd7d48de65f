"""Folders that are tables of a lake: their Parquet files are those of every version, deleted rows included, and a log says which count.

To read them as a folder would be to train on rows that are no longer there. gradline reads no such log (decision 0038): it says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradline.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import PurePath

LOGS = ("_delta_log/*", "metadata/*.metadata.json", ".hoodie/*")
HOW = {
    "Delta": "DeltaTable(PLACE).to_pyarrow_table(), of the package deltalake",
    "Iceberg": "StaticTable.from_metadata(FILE).scan().to_arrow(), of the package pyiceberg",
    "Hudi": "the table's own reader, as Arrow",
}


def lakes(files: Iterable[PurePath]) -> dict[PurePath, str]:
    """The folders that are such tables, by the files of their logs, and their formats."""
    found = {}
    for file in files:
        if file.name.endswith(".metadata.json") and file.parent.name == "metadata":
            found[file.parent.parent] = "Iceberg"
        for folder in file.parents:
            if folder.name in ("_delta_log", ".hoodie"):
                found[folder.parent] = "Delta" if folder.name == "_delta_log" else "Hudi"
    return found


def refuse_lake(place: object, files: Iterable[PurePath], everything: Iterable[PurePath]) -> None:
    """Raise SourceError where one of the files to be read is part of such a table. everything: that is there, the logs included."""
    tables = lakes(everything)
    formats = {tables[folder] for file in files for folder in file.parents if folder in tables} if tables else set()
    for found in formats:
        raise SourceError(
            f"{place} is a table of {found}: its Parquet files hold rows of earlier versions too, and its log says which count.",
            f"give gradline.train the version that you mean, as Arrow: {HOW[found]}.",
        )

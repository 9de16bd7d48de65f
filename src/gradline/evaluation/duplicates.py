"""How many rows of a table repeat an earlier one: by a hash of each row, exact up to 16 million rows, past these by a share of the hashes.

A share of the *hashes*, not of the rows: whatever rows are equal are kept or left out together, so the count is right on average.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gradline.splits.copies import coincidental, column_hashes, copies, row_hashes_of
from gradline.types import Notice

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from gradline.splits.roles import Hashes
    from gradline.types import IntArray, Json

MOST_HASHES = 1 << 24
HEAD_ROWS = 5_000  # in which coincidences are looked for


class Duplicates:
    """Block by block, in the order of the rows."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = list(columns)
        self._hashes: list[Hashes] = []
        self._files: list[IntArray] = []
        self._rows: list[IntArray] = []
        self._kept = 0
        self._share = np.uint64(1)  # of the hashes, one in so many is kept
        self._chance: bool | None = None

    def add(self, table: pa.Table | pa.RecordBatch, file: int, first_row: int) -> None:
        """Some more rows."""
        import pyarrow as pa

        hashes = row_hashes_of(column_hashes(table, self._columns))
        if self._chance is None:
            head = (table if isinstance(table, pa.Table) else pa.Table.from_batches([table])).slice(0, HEAD_ROWS)
            own = column_hashes(head, self._columns)
            pairs = copies(row_hashes_of(own)).pairs
            self._chance = pairs > 0 and coincidental(head, self._columns, own, pairs)
        self._keep(hashes, np.full(len(hashes), file, dtype=np.int32), np.arange(first_row, first_row + len(hashes)))
        while self._kept > MOST_HASHES:
            self._share *= np.uint64(2)
            parts = list(zip(self._hashes, self._files, self._rows, strict=True))
            self._hashes, self._files, self._rows, self._kept = [], [], [], 0
            for part in parts:
                self._keep(*part)

    def _keep(self, hashes: Hashes, files: IntArray, rows: IntArray) -> None:
        if self._share > 1:
            chosen = hashes % self._share == 0
            hashes, files, rows = hashes[chosen], files[chosen], rows[chosen]
        self._hashes.append(hashes)
        self._files.append(files)
        self._rows.append(rows)
        self._kept += len(hashes)

    def to_json(self, files: Sequence[str]) -> Json:
        """The key `duplicates` of `evaluate --json`."""
        if not self._kept:
            return {"rows": 0, "first": None, "estimate": False}
        later = copies(np.concatenate(self._hashes)).later
        first = None
        if len(later):
            file, row = int(np.concatenate(self._files)[later[0]]), int(np.concatenate(self._rows)[later[0]])
            first = {"file": files[file] if file < len(files) else None, "row": row}
        return {"rows": len(later) * int(self._share), "first": first, "estimate": bool(self._share > 1)}

    def doubts(self, found: Json) -> list[Notice]:
        """Where equal rows are no coincidence of columns with few values."""
        if not found["rows"] or self._chance:
            return []
        about = "about " if found["estimate"] else ""
        count = found["rows"]
        text = (
            f"{about}{count:,} row{'s repeat' if count != 1 else ' repeats'} an earlier one in every column (first at row {found['first']['row']:,}). If they "
            "were copied by mistake, take them out: select distinct * from …. Each counts as often as it stands there."
        )
        return [Notice("duplicate_rows", None, text)]

"""Roles and folds that the caller has given, row by row: nothing is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gradline.types import Role

if TYPE_CHECKING:
    import pyarrow as pa

    from gradline.splits.roles import RoleArray


@dataclass(frozen=True, slots=True)
class PartRoles:
    """Roles by part: the rows of the first part (file 0) are trained on, those of the others are validation rows."""

    column: None = None
    description: str = "as given: rows to train on, and validation rows"

    def assign(self, file: int, first_row: int, rows: int, values: pa.Array | None) -> RoleArray:
        """See `Roles`."""
        return np.full(rows, Role.TRAINING if file == 0 else Role.VALIDATION, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class GivenFolds:
    """The fold of each row, 0 to `count` − 1, as a `Division`. of_row: (m,) by row number, of one file."""

    count: int
    of_row: RoleArray
    whole: bool = True

    def assign(self, file: int, first_row: int, rows: int, values: pa.Array | None) -> RoleArray:
        """See `Division`."""
        return self.of_row[first_row : first_row + rows]

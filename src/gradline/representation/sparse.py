"""Sparse columns as features: those that vary in the training rows, each a feature of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from gradline.representation.features import Feature
from gradline.types import Part

if TYPE_CHECKING:
    from gradline.representation.derive import Derived
    from gradline.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class SparseFeatures(Sequence[Feature]):
    """The features `x0`, `x7`, …, made when asked for: there may be a million. columns, mean, deviation: (p,)."""

    columns: IntArray
    mean: FloatArray
    deviation: FloatArray

    def __len__(self) -> int:
        return len(self.columns)

    @overload
    def __getitem__(self, at: int) -> Feature: ...
    @overload
    def __getitem__(self, at: slice) -> SparseFeatures: ...
    def __getitem__(self, at: int | slice) -> Feature | SparseFeatures:
        if isinstance(at, slice):
            return SparseFeatures(self.columns[at], self.mean[at], self.deviation[at])
        name = f"x{self.columns[at]}"
        return Feature(name, name, Part.VALUE, "", float(self.mean[at]), float(self.deviation[at]))


@dataclass(frozen=True, slots=True)
class SparseRepresentation:
    """The columns that vary in the training rows. width: of the table.  minimum, maximum: (width,) of the training rows, zeros
    counted.
    """

    features: SparseFeatures
    width: int
    minimum: FloatArray
    maximum: FloatArray

    @property
    def schemes(self) -> dict[str, Any]:
        """No category."""
        return {}

    @property
    def derived(self) -> tuple[Derived, ...]:
        """Nothing is derived of sparse columns."""
        return ()

    @property
    def names(self) -> tuple[str, ...]:
        """The features' names."""
        return tuple(f"x{j}" for j in self.features.columns.tolist())

    def to_json(self) -> None:
        """Nothing: a model keeps the arrays themselves."""

    def slopes(self, coefficients: FloatArray) -> FloatArray:
        """Coefficients (p,) as those of all columns, (width,): 0 for what is no feature."""
        slopes = np.zeros(self.width)
        slopes[self.features.columns] = coefficients
        return slopes

"""Roles and folds as the caller gives them."""

from __future__ import annotations

import numpy as np

from gradline.splits.given import GivenFolds, PartRoles
from gradline.types import Role


def test_the_first_part_is_trained_on_and_the_others_validate():
    assert PartRoles().assign(0, 100, 3, None).tolist() == [Role.TRAINING] * 3
    assert PartRoles().assign(1, 0, 2, None).tolist() == [Role.VALIDATION] * 2
    assert PartRoles().column is None


def test_folds_are_by_row_number():
    folds = GivenFolds(3, np.array([2, 0, 1, 1, 0], dtype=np.uint8))
    assert folds.assign(0, 0, 5, None).tolist() == [2, 0, 1, 1, 0]
    assert folds.assign(0, 3, 2, None).tolist() == [1, 0]

"""Every fault that a generator plants is named, with its column, its count and its first row; a sound table has none."""

from __future__ import annotations

import numpy as np
import pytest

from faults import FAULTS, as_table, sound
from reference import fit

EXPECTED = {"grouped_levels", "left_out_identifier"}  # facts about the representation, not doubts


def told(columns, **settings):
    return [n for n in fit(as_table(columns), "y", **settings).notices if n.code not in EXPECTED]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("plant", FAULTS, ids=lambda f: f.__name__)
def test_a_planted_fault_is_named(plant, seed):
    planted = plant(np.random.default_rng([seed, 97]))
    found = told(planted.table, **(planted.settings or {}))
    mine = [n for n in found if (n.code, n.column) == (planted.code, planted.column)]
    assert len(mine) == 1, [(n.code, n.column, n.message) for n in found]
    for words in planted.words:
        assert words in mine[0].message


@pytest.mark.parametrize("seed", range(40))
def test_a_sound_table_has_no_notice(seed):
    assert told(sound(np.random.default_rng([seed, 11]))) == []

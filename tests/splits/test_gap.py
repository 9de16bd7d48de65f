"""The gap before held-out rows: no row that is trained on is within it."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradline.errors import UsageError
from gradline.splits.gap import parsed_gap
from gradline.splits.roles import LEFT_OUT, time_ordinals, time_roles
from gradline.types import Role

TIMES = st.lists(st.integers(0, 60), min_size=1, max_size=80)
SHARES = st.sampled_from([(0.1, 0.1), (0.0, 0.2), (0.3, 0.0), (0.25, 0.25), (0.0, 0.0)])


@given(TIMES, SHARES, st.integers(0, 30))
def test_rows_are_left_out_if_and_only_if_they_are_within_the_gap_before_held_out_ones(times, shares, gap):
    values = np.array(times, dtype=float)
    plain = time_roles("t", values, *shares).assign(0, 0, len(values), pa.array(values))
    roles = time_roles("t", values, *shares, gap=gap).assign(0, 0, len(values), pa.array(values))
    firsts = [values[plain == role].min() for role in (Role.VALIDATION, Role.TEST) if (plain == role).any()]
    for time, before, after in zip(values, plain, roles, strict=True):
        within = any(0 < first - time <= gap for first in firsts)
        assert after == (LEFT_OUT if within else before)
    held_out = values[(roles == Role.VALIDATION) | (roles == Role.TEST)]
    if (roles == Role.TRAINING).any() and len(held_out) and any(shares):
        assert held_out.min() - values[roles == Role.TRAINING].max() > gap or not gap


def test_without_a_gap_no_row_is_left_out():
    values = np.arange(100.0)
    roles = time_roles("t", values, 0.1, 0.1, gap=0.0).assign(0, 0, 100, pa.array(values))
    assert np.count_nonzero(roles == LEFT_OUT) == 0


DAYS = [dt.date(2024, 2, 20) + dt.timedelta(days=i) for i in range(40)]
MOMENTS = [dt.datetime.fromisoformat("2024-02-20") + dt.timedelta(hours=i) for i in range(40 * 24)]


@pytest.mark.parametrize(
    ("values", "gap", "left"),
    [
        (pa.array(DAYS), "7d", 7),
        (pa.array(DAYS), "1w", 7),
        (pa.array(DAYS, pa.date64()), "7d", 7),
        (pa.array(DAYS), "12h", 0),
        (pa.array([str(day) for day in DAYS]), "7d", 7),
        *((pa.array(MOMENTS, pa.timestamp(unit)), "12h", 12) for unit in ("s", "ms", "us", "ns")),
        (pa.array(MOMENTS, pa.timestamp("us", "UTC")), "2d", 48),
        (pa.array([each.isoformat() for each in MOMENTS]), "90m", 1),
        (pa.array([str(day) for day in DAYS]).dictionary_encode(), "7d", 7),
        (pa.array(range(100)), "7", 7),
        (pa.array(np.arange(100) / 10.0), "0.75", 7),
    ],
    ids=lambda v: str(getattr(v, "type", v)),
)
def test_the_gap_is_in_the_unit_of_the_column(values, gap, left):
    ordinals = parsed_gap(gap).ordinals(values.type, "t")
    roles = time_roles("t", time_ordinals(values, "t"), 0.2, 0.0, gap=ordinals).assign(0, 0, len(values), values)
    assert np.count_nonzero(roles == LEFT_OUT) == left
    assert np.count_nonzero(roles == Role.VALIDATION) == round(0.2 * len(values))


@pytest.mark.parametrize("text", ["", "d", "7 days", "-7d", "7y", "1h30m", "nan", "inf", "７d"])
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(UsageError, match="is no length of time"):
        parsed_gap(text)


@pytest.mark.parametrize(
    ("gap", "kind", "says"),
    [("7d", pa.int64(), "a number without that unit"), ("7", pa.date32(), "the gap has no unit"), ("7", pa.string(), "no unit")],
)
def test_a_unit_that_the_column_has_not_is_refused(gap, kind, says):
    with pytest.raises(UsageError, match=says):
        parsed_gap(gap).ordinals(kind, "t")

"""Ten clean tables get no notice; real tables that are not clean get those that are true of them."""

import importlib.util
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "false_alarms.py"
SPEC = importlib.util.spec_from_file_location("false_alarms", PATH)
false_alarms = importlib.util.module_from_spec(SPEC)
sys.modules["false_alarms"] = false_alarms
SPEC.loader.exec_module(false_alarms)


def told(case):
    found = false_alarms.alarms(case)
    if found is None:
        pytest.skip("comes with a package that is not installed")
    return found


@pytest.mark.parametrize("case", false_alarms.CLEAN, ids=lambda case: case.name)
def test_a_clean_table_gets_no_notice(case):
    assert [f"{n.code}: {n.message}" for n in told(case)] == []


@pytest.mark.parametrize("case", false_alarms.NOT_CLEAN[1:], ids=lambda case: case.name)
def test_what_is_told_of_other_real_tables_is_true(case):
    assert {n.code for n in told(case)} == set(case.expected)


@pytest.mark.parametrize("seed", range(100, 106))
@pytest.mark.parametrize(
    "make", [false_alarms.heavy_tails, false_alarms.skewed, false_alarms.categories, false_alarms.dates], ids=lambda f: f.__name__
)
def test_nor_do_others_of_the_same_shapes(make, seed):
    assert told(false_alarms.Case("", lambda: make(seed, 3_000), "y")) == []

from __future__ import annotations

import numpy as np
import pytest

from gradline.decisions.cost import parse_cost
from gradline.evaluation.expected_cost import NOT_CHOSEN, expected_cost
from gradline.types import Role
from kept import judge, kept


def rows(n, seed, role=Role.TEST, weight=None):
    rng = np.random.default_rng(seed)
    actual = rng.normal(20.0, 6.0, n)
    return kept(rng.normal(1.0, 2.0, n), actual=actual, role=role, weight=weight)


@pytest.mark.parametrize("weighted", [False, True])
def test_costs_a_row_and_in_all_are_their_sums(weighted):
    weight = np.random.default_rng(1).integers(0, 3, 500).astype(float) if weighted else None
    test, validation = rows(500, 2, weight=weight), rows(400, 3, Role.VALIDATION)
    found = expected_cost(parse_cost("under=3,over=1"), "EUR", judge(test), 20.0, validation).to_json()
    w = np.ones(500) if weight is None else weight

    def cost(e):
        return w * np.where(e < 0, -3.0 * e, e)

    own, mean = cost(test.error), cost(20.0 - test.actual)
    assert found["model"]["total"] == pytest.approx(own.sum())
    assert found["model"]["per_row"]["value"] == pytest.approx(own.sum() / w.sum())
    assert found["mean"]["total"] == pytest.approx(mean.sum())
    assert found["mean"]["saved"]["value"] == pytest.approx((mean - own).sum() / w.sum())
    shift = found["shifted"]["shift"]
    assert shift == pytest.approx(np.quantile(-validation.error, 0.75), abs=0.05)  # chosen on the validation rows
    moved = cost(test.error + shift)
    assert found["shifted"]["total"] == pytest.approx(moved.sum())
    assert found["shifted"]["saved"]["value"] == pytest.approx((own - moved).sum() / w.sum())
    constant = found["best_constant"]["value"]
    assert constant == pytest.approx(np.quantile(validation.actual, 0.75), abs=0.1)
    assert found["best_constant"]["total"] == pytest.approx(cost(constant - test.actual).sum())
    assert found["best_constant"]["saved"]["value"] == pytest.approx((cost(constant - test.actual) - own).sum() / w.sum())
    for entry in (found["model"]["per_row"], found["mean"]["saved"], found["shifted"]["saved"]):
        assert entry["low"] < entry["value"] < entry["high"]
    assert found["quantile"] == 0.75


def test_without_validation_rows_no_shift_is_chosen():
    found = expected_cost(parse_cost("under=3,over=1"), None, judge(rows(100, 4)), 20.0, None).to_json()
    assert found["shifted"] is None
    assert found["reason"] == NOT_CHOSEN


def test_the_total_of_a_sample_is_that_of_all_rows():
    sample = rows(100, 5)._replace(of=1_000)
    found = expected_cost(parse_cost("under=1,over=1"), None, judge(sample), 20.0, None).to_json()
    assert found["model"]["total"] == pytest.approx(1_000 * np.mean(np.abs(sample.error)))

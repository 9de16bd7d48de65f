"""The threshold is the best of all cuts, in exact arithmetic and with ties; what is measured is a count."""

from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradline.decisions.policy import (
    MOST_POINTS,
    Costs,
    Event,
    Policy,
    cheapest,
    check_settings,
    cuts,
    most_precision,
    most_recall,
    shown,
)
from gradline.errors import UsageError

TENTHS = st.integers(0, 60).map(lambda tenths: tenths / 10)
ROWS = st.lists(st.tuples(st.integers(-4, 4), st.booleans(), st.integers(0, 3)), min_size=1, max_size=25)


def brute_force(rows, above):
    """(hits, alarms) of every set of rows that a threshold can act on, the fewest rows first."""
    scores = sorted({score for score, _, _ in rows}, reverse=above)
    found = []
    for acted in [[], *(scores[: i + 1] for i in range(len(scores)))]:
        on = [(event, weight) for score, event, weight in rows if score in acted]
        found.append((sum(w for e, w in on if e), sum(w for e, w in on if not e)))
    return found


def arrays(rows):
    score, event, weight = zip(*rows, strict=True)
    return np.array(event), np.array(score, dtype=float), np.array(weight, dtype=float)


@given(ROWS, st.booleans(), TENTHS, TENTHS, TENTHS)
def test_the_cheapest_cut_is_that_of_brute_force_over_all(rows, above, false_alarm, miss, hit):
    event = Event(">" if above else "<=", 0.0)
    happened, scores, weight = arrays(rows)
    found, costs = cuts(event, happened, scores, weight), Costs(false_alarm, miss, hit)
    c_f, c_m, c_h = (Fraction(repr(cost)) for cost in costs)
    events = sum(w for _, e, w in rows if e)
    expected = brute_force(rows, above)
    assert list(zip(found.hits.tolist(), found.alarms.tolist(), strict=True)) == expected
    each = [c_f * alarms + c_m * (events - hits) + c_h * hits for hits, alarms in expected]
    assert cheapest(found, costs) == each.index(min(each))


@given(ROWS, st.booleans(), st.integers(1, 10))
def test_required_precision_and_recall_are_those_of_brute_force(rows, above, tenths):
    event, required = Event(">" if above else "<", 0.0), Fraction(tenths, 10)
    happened, scores, weight = arrays(rows)
    found, expected = cuts(event, happened, scores, weight), brute_force(rows, above)
    events = sum(w for _, e, w in rows if e)
    kept = [(hits, -i) for i, (hits, alarms) in enumerate(expected) if hits and hits >= required * (hits + alarms)]
    assert most_recall(found, tenths / 10) == (-max(kept)[1] if kept else None)
    kept = [
        (Fraction(hits, hits + alarms), hits, -i)
        for i, (hits, alarms) in enumerate(expected)
        if hits and hits >= required * events
    ]
    assert most_precision(found, tenths / 10) == (-max(kept)[2] if kept else None)


@given(ROWS, st.booleans())
def test_every_cut_acts_on_the_rows_that_it_counted_and_on_none_between(rows, above):
    event = Event(">" if above else "<", 0.0)
    happened, scores, weight = arrays(rows)
    found = cuts(event, happened, scores, weight)
    for i, threshold in enumerate(found.threshold):
        policy = Policy(event, "prediction", float(threshold), Costs(1, 1))
        acted = policy.acts(scores)
        assert weight[acted & happened].sum() == found.hits[i]
        assert weight[acted & ~happened].sum() == found.alarms[i]
        assert policy.rule == ("never" if i == 0 else "always" if i == len(found.threshold) - 1 else "threshold")


def test_without_weights_a_million_rows_and_costs_of_many_digits_stay_exact():
    rng = np.random.default_rng(0)
    scores, happened = np.round(rng.normal(size=2_000), 2), rng.random(2_000) < 0.3
    found = cuts(Event(">", 1.0), happened, scores)
    for costs in (Costs(1.1, 3.3), Costs(123456789.123456789, 9.87654321e17), Costs(1e-17, 1.0, 1e-5)):
        exact = [
            Fraction(repr(costs.false_alarm)) * a
            + Fraction(repr(costs.miss)) * (int(found.events) - h)
            + Fraction(repr(costs.hit)) * h
            for h, a in zip(found.hits.tolist(), found.alarms.tolist(), strict=True)
        ]
        assert cheapest(found, costs) == exact.index(min(exact))


def test_a_threshold_stands_between_two_scores_and_neighbours_in_floating_point_are_told_apart():
    event, scores = Event(">", 0.0), np.array([1.0, 3.0, np.nextafter(3.0, 4.0)])
    found = cuts(event, np.array([False, True, True]), scores)
    assert found.threshold.tolist() == [np.inf, np.nextafter(3.0, 4.0), 2.0, -np.inf]
    assert cuts(Event("<", 0.0), np.array([True, False]), np.array([1.0, 2.0])).threshold.tolist() == [-np.inf, 1.5, np.inf]


def test_infinite_bounds_are_cut_too_and_rows_without_a_score_never_acted_on():
    scores = np.array([np.inf, 5.0, -np.inf, np.nan])
    found = cuts(Event(">", 0.0), np.array([True, True, False, True]), scores)
    assert (found.hits.tolist(), found.alarms.tolist(), found.events) == ([0, 1, 2, 2], [0, 0, 0, 1], 3)
    best = Policy(Event(">", 0.0), "low", float(found.threshold[cheapest(found, Costs(1, 1))]), Costs(1, 1))
    assert best.acts(scores).tolist() == [True, True, False, False]


@pytest.mark.parametrize(("text", "expected"), [
    (">15", (">", 15.0)), ("  <= -2.5 ", ("<=", -2.5)), (">=1e3", (">=", 1000.0)), ("<.5", ("<", 0.5)),
])  # fmt: skip
def test_an_event_is_a_comparison(text, expected):
    assert Event.parsed(text) == expected


@pytest.mark.parametrize("text", ["15", "=15", ">", "> fifteen", ">1e999", "x>3", ">1 2", ""])
def test_anything_else_is_refused(text):
    with pytest.raises(UsageError, match="is no event"):
        Event.parsed(text)


@pytest.mark.parametrize(("relation", "expected"), [(">", [False, False, True]), (">=", [False, True, True]), ("<", [True, False, False]), ("<=", [True, True, False])])  # fmt: skip
def test_the_event_itself_may_or_may_not_count(relation, expected):
    assert Event(relation, 2.0).happens(np.array([1.0, 2.0, 3.0])).tolist() == expected


@pytest.mark.parametrize("threshold", [2.5, np.inf, -np.inf])
@pytest.mark.parametrize("relation", [">", "<="])
def test_a_policy_comes_back_from_its_document(threshold, relation):
    policy = Policy(Event(relation, 7.5), "high", threshold, Costs(1.0, 5.0, 0.5), "recall", 0.9)
    assert Policy.read(policy.to_json()) == policy


@pytest.mark.parametrize(
    "change",
    [{"threshold": None}, {"rule": "never"}, {"rule": "often"}, {"act_on": "middle"}, {"event": {"relation": "≥", "value": 1.0}}],
)
def test_a_document_that_contradicts_itself_is_no_policy(change):
    document = Policy(Event(">", 7.5), "low", 3.0, Costs(1.0, 5.0)).to_json() | change
    with pytest.raises(ValueError, match="polic"):
        Policy.read(document)


def test_a_curve_has_few_points_its_ends_and_the_chosen_one():
    rng = np.random.default_rng(1)
    found = cuts(Event(">", 0.0), rng.random(5_000) < 0.5, rng.normal(size=5_000))
    at = shown(found, 1_234)
    assert len(at) <= MOST_POINTS
    assert {0, 1_234, 5_000} <= set(at.tolist())
    assert np.all(np.diff(at) > 0)


def settings(**given):
    plain = {
        "event": None,
        "act_on": "prediction",
        "false_alarm_cost": 1.0,
        "miss_cost": 1.0,
        "hit_cost": 0.0,
        "precision": None,
        "recall": None,
    }
    return SimpleNamespace(**plain | {"interval": "auto", "assess": "auto", "validation": 0.1} | given)


@pytest.mark.parametrize(("given", "words"), [
    ({"precision": 0.8}, "without an event"), ({"miss_cost": 5.0}, "without an event"), ({"act_on": "low"}, "without an event"),
    ({"event": ">1", "precision": 1.2}, "not a share"), ({"event": ">1", "recall": 0.0}, "not a share"),
    ({"event": ">1", "precision": 0.5, "recall": 0.5}, "both"), ({"event": ">1", "miss_cost": -1.0}, "no costs"),
    ({"event": ">1", "miss_cost": 0.0, "false_alarm_cost": 0.0}, "no costs"), ({"event": ">1", "miss_cost": float("nan")}, "no costs"),
    ({"event": ">1", "hit_cost": 2.0}, "never pay"), ({"event": ">1", "act_on": "low", "interval": "none"}, "needs intervals"),
    ({"event": ">1", "assess": "no"}, "leaves out"), ({"event": ">1", "validation": 0.0}, "validation rows"),
])  # fmt: skip
def test_settings_that_cannot_be_are_refused(given, words):
    with pytest.raises(UsageError, match=words):
        check_settings(settings(**given))
    check_settings(settings(event=">1", recall=0.9, hit_cost=0.5))

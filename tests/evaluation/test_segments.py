from __future__ import annotations

import numpy as np
import pytest

from gradline.evaluation.bootstrap import units_of
from gradline.evaluation.segment_search import LEAST_ROWS, sides_of
from gradline.evaluation.segments import RATE, holm, segments
from gradline.types import Role
from kept import binomial_band, kept

LEVELS = tuple("abcdef")


def table(seed, n, role, change=lambda e, c: e, *, tails=False, weight=None):
    """Two numbers (one whole, with missing values), two categories; errors of any size, changed where a test wants it."""
    rng = np.random.default_rng([seed, int(role)])
    c = {
        "x": rng.normal(size=n),
        "hour": np.where(rng.random(n) < 0.1, np.nan, rng.integers(0, 24, n)),
        "origin": rng.integers(0, 3, n),
        "shop": np.where(rng.random(n) < 0.1, -1, rng.integers(0, 6, n)),
    }
    e = rng.standard_t(2.5, size=n) if tails else rng.normal(size=n)
    numbers, categories = {k: c[k] for k in ("x", "hour")}, {"origin": (c["origin"], LEVELS[:3]), "shop": (c["shop"], LEVELS)}
    return kept(change(e, c), numbers=numbers, categories=categories, role=role, weight=weight)


def searched(seed, n, change=lambda e, c: e, **more):
    test = table(seed, n, Role.TEST, change, **more)
    return segments(sides_of(table(seed, n, Role.VALIDATION, change, **more), test, units_of(n)))


def test_clean_tables_have_none_at_the_stated_rate():
    cried = 0
    for seed in range(200):
        found = searched(seed, 300, tails=bool(seed % 2))
        cried += bool(found.worse or found.biased)
    assert cried <= binomial_band(200, RATE)[1]


def test_planted_segments_are_found_and_named():
    found = searched(1, 2_000, lambda e, c: np.where((c["origin"] == 1) & (c["shop"] == 2), 3.0, 1.0) * e)
    assert found.worse[0].condition in ("origin = b and shop = c", "shop = c and origin = b")
    assert found.worse[0].ratio > 2.0
    assert found.worse[0].p <= RATE
    assert [n.code for n in found.doubts()] == ["worse_segment"]
    found = searched(2, 2_000, lambda e, c: e + np.where(c["hour"] >= 20, 0.9, 0.0))
    assert found.biased[0].condition == "hour > 19"  # the uppermost fifth
    assert found.biased[0].bias == pytest.approx(0.9, abs=0.2)
    assert all("hour" in each.condition for each in found.biased)
    found = searched(3, 2_000, lambda e, c: np.where(np.isnan(c["hour"]), 4.0, 1.0) * e)
    assert [each.condition for each in found.worse] == ["hour is missing"]
    found = searched(4, 2_000, lambda e, c: np.where(c["shop"] == -1, 4.0, 1.0) * e)
    assert [each.condition for each in found.worse] == ["shop is missing"]


def test_the_figures_are_those_of_the_confirming_rows():
    change = lambda e, c: np.where(c["origin"] == 1, 3.0, 1.0) * e + np.where(c["origin"] == 1, 0.7, 0.0)  # noqa: E731
    found = searched(5, 1_000, change)
    test = table(5, 1_000, Role.TEST, change)
    e = test.error[test.decoded.categories[0].codes == 1]
    mine = next(each for each in found.worse if each.condition == "origin = b")
    assert mine.rows == len(e)
    assert (mine.rmse, mine.mae, mine.bias) == pytest.approx((np.sqrt(np.mean(e**2)), np.mean(np.abs(e)), e.mean()))
    assert mine.ratio == pytest.approx(np.mean(np.abs(e)) / np.mean(np.abs(test.error)))
    assert found.mae == pytest.approx(np.mean(np.abs(test.error)))


def test_a_segment_that_another_one_explains_is_not_listed():
    rng = np.random.default_rng(13)
    n = 3_000
    both = []
    for role in (Role.VALIDATION, Role.TEST):
        hour = rng.integers(0, 24, n)
        clock = 100.0 * hour + rng.integers(0, 60, n)  # the same in another form
        e = rng.normal(size=n) * np.where(hour >= 20, 3.0, 1.0)
        both.append(kept(e, numbers={"hour": hour, "clock": clock}, role=role))
    assert len(segments(sides_of(*both, units_of(n))).worse) == 1


def test_one_wild_row_makes_no_segment():
    def wild(e, c):
        e = e.copy()
        e[np.flatnonzero(c["origin"] == 1)[0]] = 1e6
        return e

    found = searched(6, 600, wild)
    assert not found.worse
    assert not found.biased
    found = searched(6, 600, lambda e, c: wild(e, c) * np.where(c["shop"] == 2, 4.0, 1.0))
    assert [each.condition for each in found.worse] == ["shop = c"]  # nor does it hide one


def test_levels_are_matched_by_their_text_not_their_code():
    rng = np.random.default_rng(7)
    codes = rng.integers(0, 3, 800)
    e = rng.normal(size=800) * np.where(codes == 2, 4.0, 1.0)
    validation = kept(e, categories={"c": (codes, "pqr")}, role=Role.VALIDATION)
    test = kept(e[::-1], categories={"c": (np.array([2, 1, 0])[codes[::-1]], "rqp")})  # the same texts under other codes
    found = segments(sides_of(validation, test, units_of(800)))
    assert [each.condition for each in found.worse] == ["c = r"]
    unknown = test._replace(decoded=kept(e, categories={"c": (np.zeros(800, dtype=int), "z")}).decoded)
    assert not segments(sides_of(validation, unknown, units_of(800))).worse


def test_rows_of_one_group_confirm_less_than_rows_of_many():
    rng = np.random.default_rng(8)
    cried = {"rows": 0, "groups": 0}
    for _ in range(60):
        # a few groups err more, whatever their segment, and half of a group's rows share it
        sides = {}
        for role in (Role.VALIDATION, Role.TEST):
            of = np.repeat(np.arange(60), 10)
            segment = np.repeat(rng.integers(0, 2, 60), 10)
            e = rng.normal(size=600) * np.repeat(rng.choice([0.3, 3.0], 60), 10)
            sides[role] = kept(e, categories={"c": (segment, "pq")}, role=role), of
        validation, (test, of) = sides[Role.VALIDATION][0], sides[Role.TEST]
        for by, units in (("rows", units_of(600)), ("groups", units_of(600, group=of.astype(np.uint64)))):
            cried[by] += bool(segments(sides_of(validation, test, units)).worse)
    assert cried["groups"] <= binomial_band(60, RATE)[1]
    assert cried["rows"] > cried["groups"]


def test_without_validation_rows_two_halves_of_the_test_rows_serve():
    change = lambda e, c: np.where(c["origin"] == 1, 3.0, 1.0) * e  # noqa: E731
    test = table(9, 1_000, Role.TEST, change)
    sides = sides_of(None, test, units_of(1_000))
    assert not set(sides.at) & set(sides.on)
    assert len(sides.at) + len(sides.on) == 1_000
    found = segments(sides)
    assert found.searched == ("test", 500)
    assert found.worse[0].condition == "origin = b"
    group = np.repeat(np.arange(100), 10).astype(np.uint64)
    units = units_of(1_000, group=group)
    sides = sides_of(None, test, units)
    assert not set(units.of[sides.at]) & set(units.of[sides.on])
    assert sides_of(None, table(9, 3 * LEAST_ROWS, Role.TEST), units_of(3 * LEAST_ROWS)) is None


def test_weights_are_honoured():
    n = 1_000
    weight = np.random.default_rng(10).integers(0, 3, n).astype(np.float64)
    test = table(10, n, Role.TEST, lambda e, c: np.where(c["origin"] == 1, 3.0, 1.0) * e, weight=weight)
    validation = table(10, n, Role.VALIDATION, lambda e, c: np.where(c["origin"] == 1, 3.0, 1.0) * e, weight=weight)
    found = segments(sides_of(validation, test, units_of(n)))
    inside = test.decoded.categories[0].codes == 1
    assert found.worse[0].condition == "origin = b"
    assert found.worse[0].mae == pytest.approx(np.average(np.abs(test.error[inside]), weights=weight[inside]))


def test_holm_corrects_as_it_is_defined():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_dates_are_shown_as_dates():
    days = np.random.default_rng(11).integers(20_000, 20_400, 800).astype(float)
    e = np.random.default_rng(12).normal(size=800) * np.where(days > 20_330, 4.0, 1.0)
    both = [kept(e, numbers={"day.days": days}, role=role) for role in (Role.VALIDATION, Role.TEST)]
    found = segments(sides_of(*both, units_of(800)), lambda name, value: f"<{value:.0f}>")
    assert found.worse[0].condition.startswith("day.days > <20")

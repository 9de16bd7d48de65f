"""What a policy comes to is a direct count of rows, and its intervals hold the truth as often as they say."""

import numpy as np
import pytest

from gradline.decisions.outcome import Outcome, compared, wilson
from gradline.decisions.policy import Costs, Event, Policy

COSTS = Costs(1.0, 5.0, 0.25)


def rows(n, seed, weighted=False):
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n)
    happened = score + rng.normal(size=n) > 1.0
    return score, happened, rng.integers(0, 4, n).astype(float) if weighted else None


@pytest.mark.parametrize("weighted", [False, True])
def test_every_figure_is_a_direct_count(weighted):
    score, happened, weight = rows(400, 3, weighted)
    policy = Policy(Event(">", 1.0), "prediction", 0.4, COSTS)
    found = compared(COSTS, Outcome.of(policy.acts(score), happened, weight), Outcome.of(score > 1.0, happened, weight))
    heavy = np.ones(400) if weight is None else weight
    counts, cost = (
        {"hits": 0, "false_alarms": 0, "misses": 0, "rests": 0},
        dict.fromkeys(("own", "always", "never", "at_event"), 0.0),
    )
    for s, event, w in zip(score, happened, heavy, strict=True):
        acted = s >= 0.4
        counts["hits" if acted and event else "false_alarms" if acted else "misses" if event else "rests"] += w
        for name, does in {"own": acted, "always": True, "never": False, "at_event": s > 1.0}.items():
            cost[name] += w * (0.25 if does and event else 1.0 if does else 5.0 if event else 0.0)
    assert {name: found[name] for name in counts} == counts
    mean = {name: total / heavy.sum() for name, total in cost.items()}
    assert found["cost"]["value"] == pytest.approx(mean["own"])
    assert all(found[name]["cost"]["value"] == pytest.approx(mean[name]) for name in ("always", "never", "at_event"))
    assert found["saving"]["always"]["value"] == pytest.approx(mean["always"] - mean["own"])
    assert found["saving"]["never"]["value"] == pytest.approx(mean["never"] - mean["own"])
    assert found["precision"]["value"] == pytest.approx(counts["hits"] / (counts["hits"] + counts["false_alarms"]))
    assert found["recall"]["value"] == pytest.approx(counts["hits"] / (counts["hits"] + counts["misses"]))


def test_parts_add_up_to_the_whole():
    score, happened, _ = rows(300, 5)
    acted = score > 0.0
    parts = Outcome.of(acted[:100], happened[:100]).plus(Outcome.of(acted[100:], happened[100:]))
    assert parts.to_json(COSTS) == Outcome.of(acted, happened).to_json(COSTS)


def test_the_cost_has_the_interval_of_a_mean_of_the_rows():
    score, happened, _ = rows(500, 7)
    acted = score > 0.3
    cost = np.where(acted, np.where(happened, 0.25, 1.0), np.where(happened, 5.0, 0.0))
    found = Outcome.of(acted, happened).cost(COSTS)
    half = 1.959963984540054 * cost.std(ddof=1) / np.sqrt(500)
    assert (found.low, found.high) == pytest.approx((cost.mean() - half, cost.mean() + half))


@pytest.mark.parametrize(
    ("hits", "rows_", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_that_of_the_literature(hits, rows_, low, high):
    # Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3
    found = wilson(hits / rows_, rows_)
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)


def test_what_cannot_be_known_is_null():
    nothing = Outcome.of(np.zeros(5, dtype=bool), np.zeros(5, dtype=bool)).to_json(COSTS)
    assert nothing["precision"] == nothing["recall"] == {"value": None, "low": None, "high": None}
    assert Outcome.none().to_json(COSTS)["cost"]["value"] is None


def test_always_and_never_acting_are_what_they_say_with_their_intervals():
    score, happened, weight = rows(300, 4, weighted=True)
    unit = np.arange(300) // 7
    own = Outcome.of(score > 0.0, happened, weight, unit)
    for always in (True, False):
        direct = Outcome.of(np.full(300, always), happened, weight, unit)
        np.testing.assert_allclose(own.acting(always=always).gram, direct.gram)
        assert own.acting(always=always).to_json(COSTS)["cost"]["low"] == pytest.approx(direct.cost(COSTS).low)


def test_units_of_one_row_each_are_rows():
    score, happened, weight = rows(300, 6, weighted=True)
    alone, numbered = Outcome.of(score > 0.0, happened, weight), Outcome.of(score > 0.0, happened, weight, np.arange(300))
    np.testing.assert_allclose(alone.gram, numbered.gram)
    assert (alone.units, numbered.units) == (300, 300)


def test_rows_that_all_stand_five_times_in_their_group_know_no_more_than_the_groups():
    score, happened, _ = rows(200, 8)
    once = Outcome.of(score > 0.5, happened)
    five = Outcome.of(np.repeat(score > 0.5, 5), np.repeat(happened, 5), None, np.repeat(np.arange(200), 5))
    for name in ("precision", "recall"):
        assert getattr(five, name) == pytest.approx(getattr(once, name))
    assert five.cost(COSTS) == pytest.approx(once.cost(COSTS))
    assert five.saving(COSTS, always=True) == pytest.approx(once.saving(COSTS, always=True))


def test_wilsons_rows_are_the_rows_that_count():
    score, happened, _ = rows(400, 2)
    acted = score > 0.8
    own = Outcome.of(acted, happened)
    assert own.precision == pytest.approx(wilson(happened[acted].mean(), np.count_nonzero(acted)))
    assert own.recall == pytest.approx(wilson(acted[happened].mean(), np.count_nonzero(happened)))
    sure = Outcome.of(acted, acted | happened)
    assert sure.precision == pytest.approx(wilson(1.0, np.count_nonzero(acted)))


@pytest.mark.parametrize("grouped", [False, True])
def test_intervals_hold_the_truth_as_often_as_they_say(grouped):
    rng = np.random.default_rng(0)
    held = {"cost": 0, "precision": 0, "recall": 0, "saving": 0}

    def drawn(groups):
        of = np.repeat(np.arange(groups), 4) if grouped else np.arange(4 * groups)
        common = rng.normal(size=groups)[of] if grouped else rng.normal(size=len(of))
        score = common + 0.5 * rng.normal(size=len(of))
        return score > 0.5, score + 0.7 * common * grouped + rng.normal(size=len(of)) > 1.0, of

    acted, happened, _ = drawn(400_000)
    truth = Outcome.of(acted, happened)
    for _ in range(400):
        acted, happened, of = drawn(100)
        own = Outcome.of(acted, happened, None, of if grouped else None)
        for name in held:
            found, true = (
                (
                    each.saving(COSTS, always=False)
                    if name == "saving"
                    else each.cost(COSTS)
                    if name == "cost"
                    else getattr(each, name)
                )
                for each in (own, truth)
            )
            held[name] += found.low <= true.value <= found.high
    assert all(364 <= count <= 394 for count in held.values()), held  # 380 ± 3.5 standard errors, and a little for 100 groups

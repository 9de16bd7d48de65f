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
    assert parts == Outcome.of(acted, happened)


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
    assert Outcome(0.0, 0.0, 0.0, 0.0, 0.0).to_json(COSTS)["cost"]["value"] is None


def test_rows_of_few_groups_are_worth_no_more_than_these():
    score, happened, _ = rows(1_000, 9)
    wide, narrow = Outcome.of(score > 0, happened, None, 10).cost(COSTS), Outcome.of(score > 0, happened).cost(COSTS)
    assert wide.high - wide.low == pytest.approx((narrow.high - narrow.low) * np.sqrt(999 / 9))

"""When to act on a score: a threshold, chosen for least cost or for a precision or recall, over every cut of the rows at hand.

    act where score ≥ t (of an event above a value; ≤ t of one below),    cost = c_f·false alarms + c_m·misses + c_h·hits

Counts are whole numbers and costs the decimals that were typed, so that what is compared is exact. Of cuts that are equally good the
one that acts on the fewest rows is chosen. A threshold stands half way between two scores: rounding moves no row across it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from math import inf, isfinite, lcm
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.errors import UsageError

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from gradline.types import BoolArray, FloatArray, IntArray, Json

EVENT = re.compile(r"\s*(>=|<=|>|<)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*")
MOST_POINTS = 200  # of a curve
LARGEST = float(np.finfo(np.float64).max)


class Event(NamedTuple):
    """What is to be foreseen of the target: `relation` (>, >=, <, <=) and `value`."""

    relation: str
    value: float

    @classmethod
    def parsed(cls, text: str) -> Event:
        """From ">15". Raises UsageError."""
        found = EVENT.fullmatch(text)
        if found is None or not isfinite(float(found[2])):
            raise UsageError(f"--event {text!r} is no event.", 'give a comparison with a number, quoted: --event ">15".')
        return cls(found[1], float(found[2]))

    @property
    def above(self) -> bool:
        """Whether large values are the event."""
        return self.relation.startswith(">")

    def happens(self, values: FloatArray) -> BoolArray:
        """Of each value, (n,)."""
        compare: dict[str, Any] = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}
        found: BoolArray = compare[self.relation](values, self.value)
        return found

    def __str__(self) -> str:
        return f"{self.relation} {self.value:g}"


class Costs(NamedTuple):
    """Of acting without the event, of not acting before it, and of acting before it; of rightly not acting: nothing."""

    false_alarm: float
    miss: float
    hit: float = 0.0

    def whole(self) -> tuple[int, int, int]:
        """In the same proportions as whole numbers."""
        exact = [Fraction(repr(float(cost))) for cost in self]
        common = lcm(*(cost.denominator for cost in exact))
        false_alarm, miss, hit = (int(cost * common) for cost in exact)
        return false_alarm, miss, hit


@dataclass(frozen=True, slots=True)
class Policy:
    """Act where what is looked at (`prediction`, or a bound `low`, `high` of its interval) passes `threshold`.

    threshold: ±∞ for a policy that always or never acts.  chosen_by: `cost`, `precision` or `recall`.  required: the precision or recall
    that was asked for.
    """

    event: Event
    act_on: str
    threshold: float
    costs: Costs
    chosen_by: str = "cost"
    required: float | None = None

    def acts(self, scores: FloatArray) -> BoolArray:
        """On each row, (n,); never where there is no score."""
        with np.errstate(invalid="ignore"):
            found: BoolArray = (scores >= self.threshold) if self.event.above else (scores <= self.threshold)
        return found & ~np.isnan(scores)

    @property
    def rule(self) -> str:
        """`threshold`, `always` or `never`."""
        if isfinite(self.threshold):
            return "threshold"
        return "never" if (self.threshold > 0.0) == self.event.above else "always"

    def __str__(self) -> str:
        if self.rule != "threshold":
            return f"{self.rule} act"
        bound = self.act_on if self.act_on == "prediction" else f"interval's {self.act_on} bound"
        return f"act where the {bound} is {'≥' if self.event.above else '≤'} {self.threshold:.4g}"

    def to_json(self) -> Json:
        """What a model keeps of it."""
        return {
            "event": {"relation": self.event.relation, "value": self.event.value},
            "act_on": self.act_on,
            "rule": self.rule,
            "threshold": self.threshold if isfinite(self.threshold) else None,
            "costs": self.costs._asdict(),
            "chosen_by": self.chosen_by,
            "required": self.required,
        }

    @classmethod
    def read(cls, document: Json) -> Policy:
        """From a model file. Raises ValueError where it contradicts itself."""
        event = Event(document["event"]["relation"], float(document["event"]["value"]))
        if event.relation not in (">", ">=", "<", "<=") or document["act_on"] not in ("prediction", "low", "high"):
            raise ValueError(f"there is no policy for {event} on {document['act_on']!r}")
        upwards = inf if event.above else -inf
        ends = {"never": upwards, "always": -upwards}
        if (document["threshold"] is None) != (document["rule"] in ends) or document["rule"] not in (*ends, "threshold"):
            raise ValueError(f"the policy {document['rule']!r} has the threshold {document['threshold']}")
        threshold = ends[document["rule"]] if document["threshold"] is None else float(document["threshold"])
        costs = Costs(**{name: float(cost) for name, cost in document["costs"].items()})
        return cls(event, document["act_on"], threshold, costs, document["chosen_by"], document["required"])


class Cuts(NamedTuple):
    """Every way to cut some rows by their score, from acting on none to acting on all: (c,) each.

    threshold: in the score's unit.  hits, alarms: the weight of the rows acted on with and without the event (their number, without
    weights).  events, others: of all rows.
    """

    threshold: FloatArray
    hits: NDArray[Any]
    alarms: NDArray[Any]
    events: float
    others: float

    def cost(self, costs: Costs) -> NDArray[Any]:
        """Of each cut, (c,): in whole numbers, in proportion to the cost; exact without weights, and with whole ones."""
        false_alarm, miss, hit = costs.whole()
        if self.hits.dtype.kind == "f" or (self.events + self.others) * max(false_alarm, miss, hit, 1) < 2**62:
            kind: Any = self.hits.dtype if self.hits.dtype.kind == "f" else np.int64
        else:
            kind = object
        hits, alarms = self.hits.astype(kind), self.alarms.astype(kind)
        return np.asarray(false_alarm * alarms + miss * (self.events - hits) + hit * hits)

    def precision(self) -> FloatArray:
        """(c,), NaN where nothing is acted on."""
        acted = self.hits + self.alarms
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.hits / np.where(acted > 0, acted, np.nan))

    def recall(self) -> FloatArray:
        """(c,), NaN without an event."""
        return np.asarray(self.hits / self.events) if self.events else np.full(len(self.hits), np.nan)


def cuts(event: Event, happened: BoolArray, scores: FloatArray, weight: FloatArray | None = None) -> Cuts:
    """All of them: as many as there are different scores, and one more. Rows without a score are never acted on."""
    sign = 1.0 if event.above else -1.0
    scores = np.clip(scores, -LARGEST, LARGEST)  # a bound may be infinite
    order = np.argsort(-sign * scores, kind="stable")
    order = order[: len(order) - int(np.count_nonzero(np.isnan(scores)))]  # NaN stands last
    ranked = scores[order]
    heavy: NDArray[Any] = np.ones(len(scores), dtype=np.int64) if weight is None else weight
    if weight is not None and np.all(weight == np.rint(weight)) and float(weight.sum()) < 2**53:
        heavy = weight.astype(np.int64)
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.zeros(0, dtype=np.intp)
    with_event = np.where(happened, heavy, 0)
    zero = np.zeros(1, dtype=heavy.dtype)
    hits = np.concatenate([zero, np.cumsum(with_event[order])[last]])
    acted = np.concatenate([zero, np.cumsum(heavy[order])[last]])
    inner, beyond = ranked[last[:-1]], ranked[np.minimum(last[:-1] + 1, max(len(ranked) - 1, 0))]
    with np.errstate(over="ignore"):
        middle = beyond + (inner - beyond) / 2.0
    middle = np.where(np.isfinite(middle) & (sign * middle > sign * beyond), middle, inner)
    ends = [np.array([sign * inf]), middle, np.array([-sign * inf] if len(ranked) else [])]
    events = with_event.sum().item()
    return Cuts(np.concatenate(ends), hits, acted - hits, events, heavy.sum().item() - events)


def cheapest(found: Cuts, costs: Costs) -> int:
    """The position of the cut of least cost."""
    return int(np.argmin(found.cost(costs)))


def most_recall(found: Cuts, precision: float) -> int | None:
    """The position of the cut of the largest recall whose precision is at least so much; None where none has it."""
    least = Fraction(repr(float(precision)))
    acted = found.hits + found.alarms
    if found.hits.dtype.kind == "f":
        kept = found.hits >= precision * acted
    else:
        kept = found.hits.astype(object) * least.denominator >= acted.astype(object) * least.numerator
    kept = np.flatnonzero(kept.astype(np.bool_) & (found.hits > 0))
    return int(kept[np.argmax(found.hits[kept])]) if len(kept) else None


def most_precision(found: Cuts, recall: float) -> int | None:
    """The position of the cut of the largest precision whose recall is at least so much, of those the one with the most; None without
    an event to recall.
    """
    least = Fraction(repr(float(recall)))
    if not found.events:
        return None
    if found.hits.dtype.kind == "f":
        kept = found.hits >= recall * found.events
    else:
        kept = found.hits.astype(object) * least.denominator >= int(found.events) * least.numerator
    at = np.flatnonzero(kept.astype(np.bool_) & (found.hits > 0))
    if not len(at):
        return None
    precision = found.precision()[at]  # of counts below 2²⁶ different ones round to different numbers
    best = at[precision == precision.max()]
    return int(best[np.argmax(found.hits[best])])


def shown(found: Cuts, chosen: int | None) -> IntArray:
    """The positions of at most MOST_POINTS cuts, evenly, with the ends and the chosen one."""
    n = len(found.threshold)
    at = np.unique(np.linspace(0, n - 1, min(n, MOST_POINTS - 1)).round().astype(np.intp))
    return at if chosen is None else np.unique(np.append(at, chosen))


def check_settings(config: Any) -> None:
    """Raise UsageError for settings of a policy that cannot be. config: a `TrainConfig`."""
    given = {"--precision": config.precision, "--recall": config.recall}
    costs = Costs(config.false_alarm_cost, config.miss_cost, config.hit_cost)
    if config.event is None:
        stray = [name for name, value in given.items() if value is not None]
        stray += ["--act-on"] if config.act_on != "prediction" else []
        stray += ["the costs of decisions"] if costs != Costs(1.0, 1.0) else []
        if stray:
            raise UsageError(f"{stray[0]} without an event to decide on.", 'name it: --event ">15".')
        return
    Event.parsed(config.event)
    for name, value in given.items():
        if value is not None and not 0.0 < value <= 1.0:
            raise UsageError(f"{name} {value} is not a share.", "give a number above 0, up to 1.")
    if None not in given.values():
        raise UsageError("--precision and --recall both choose the threshold.", "give one of them.")
    if not all(isfinite(cost) and cost >= 0.0 for cost in costs) or costs.false_alarm + costs.miss == 0.0:
        raise UsageError(
            f"costs of {', '.join(f'{cost:g}' for cost in costs)} are no costs of errors.", "give numbers from 0, not all 0."
        )
    if costs.hit > costs.miss:
        raise UsageError(
            f"a hit costs {costs.hit:g} and a miss {costs.miss:g}: acting before the event would never pay.",
            "let --miss-cost be the larger.",
        )
    if config.act_on != "prediction" and config.interval == "none":
        raise UsageError(f"--act-on {config.act_on} needs intervals, and --interval none makes none.", "leave one of them out.")
    if config.assess == "no":
        raise UsageError("--event chooses a threshold by the read that --assess no leaves out.", "leave one of them out.")
    if config.validation == 0.0:
        raise UsageError(
            "--event chooses a threshold on validation rows, and --validation 0 holds out none.", "--validation 0.1."
        )

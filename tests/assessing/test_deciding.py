"""Policies of whole training runs: chosen on validation rows, measured on test rows, kept and applied as they were chosen."""

import numpy as np
import pyarrow as pa
import pytest

import gradline as gl
from gradline.api import evaluate
from gradline.errors import UsageError
from gradline.splits.roles import RowRoles
from gradline.types import Role
from tables import fit, gradline, write_csv

SHARES = {"validation": 0.3, "test": 0.3}


def rows(n=1_200, seed=0, noise=1.0, ties=False):
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=n), rng.normal(size=n)
    x = np.round(x) if ties else x
    return pa.table({"x": x, "z": np.round(z) if ties else z, "y": 10.0 + 3.0 * x + z + noise * rng.normal(size=n)})


def told(model):
    return model.result["assessment"]["decision"]


def codes(model):
    return [notice.code for notice in model.notices]


def by_role(model, data, role, what="prediction"):
    """Scores and targets of the rows of a role."""
    at = RowRoles(0, 0.3, 0.3).assign(0, 0, data.num_rows, None) == role
    found = model.predict(data, return_interval=True)
    return getattr(found, what)[at], data["y"].to_numpy()[at]


def cost_of(acted, happened, false_alarm, miss):
    return false_alarm * np.count_nonzero(acted & ~happened) + miss * np.count_nonzero(~acted & happened)


pytestmark = pytest.mark.filterwarnings("ignore:'[xz]' is outside the training range")


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("event", "what"), [(">12", "prediction"), ("<=9", "prediction"), (">=12", "low"), ("<8", "high")])
def test_no_other_threshold_is_cheaper_on_the_validation_rows(event, what, ties):
    data = rows(ties=ties)
    model = fit(data, event=event, act_on=what, false_alarm_cost=1.5, miss_cost=4, **SHARES)
    scores, y = by_role(model, data, Role.VALIDATION, what)
    happened = model.policy.event.happens(y)
    own = cost_of(model.policy.acts(scores), happened, 1.5, 4)
    for cut in np.concatenate([np.sort(scores), [-np.inf, np.inf]]):
        for acted in (scores >= cut, scores > cut) if event[0] == ">" else (scores <= cut, scores < cut):
            assert own <= cost_of(acted, happened, 1.5, 4)
    assert told(model)["validation"]["cost"]["value"] * len(y) == pytest.approx(own)


def test_what_is_measured_on_the_test_rows_is_a_direct_count():
    data = rows()
    model = fit(data, event=">12", miss_cost=3, **SHARES)
    scores, y = by_role(model, data, Role.TEST)
    acted, happened, found = scores >= model.policy.threshold, y > 12, told(model)["test"]
    assert (found["hits"], found["false_alarms"]) == (np.count_nonzero(acted & happened), np.count_nonzero(acted & ~happened))
    assert (found["misses"], found["rests"]) == (np.count_nonzero(~acted & happened), np.count_nonzero(~acted & ~happened))
    assert found["cost"]["value"] == pytest.approx(cost_of(acted, happened, 1, 3) / len(y))
    assert found["at_event"]["cost"]["value"] == pytest.approx(cost_of(scores > 12, happened, 1, 3) / len(y))
    assert found["never"]["cost"]["value"] == pytest.approx(3 * happened.mean())
    assert found["always"]["cost"]["value"] == pytest.approx((~happened).mean())
    assert "decision_no_better" not in codes(model)


@pytest.mark.parametrize("criterion", ["precision", "recall"])
def test_a_required_share_is_kept_on_the_validation_rows_and_no_cut_does_better(criterion):
    data = rows()
    model = fit(data, event=">12", **{criterion: 0.8}, **SHARES)
    scores, y = by_role(model, data, Role.VALIDATION)
    happened = y > 12

    def shares(acted):
        hits = np.count_nonzero(acted & happened)
        return {"precision": hits / max(np.count_nonzero(acted), 1), "recall": hits / happened.sum()}

    own, other = shares(model.policy.acts(scores)), "recall" if criterion == "precision" else "precision"
    assert own[criterion] >= 0.8
    assert all(shares(scores >= cut)[other] <= own[other] for cut in scores if shares(scores >= cut)[criterion] >= 0.8)
    assert told(model)["required"] == 0.8


def test_a_precision_that_cannot_be_reached_is_told_and_no_policy_made():
    model = fit(rows(noise=30.0), event=">60", precision=0.999, **SHARES)
    assert model.policy is None
    notice = next(notice for notice in model.notices if notice.code == "no_decision")
    assert "no threshold has a precision of 0.999" in notice.message
    assert told(model)["curve"]["precision"]
    with pytest.raises(UsageError, match="no policy"):
        model.decide(rows())


@pytest.mark.parametrize(
    ("event", "words"), [(">1000", "no validation row has the event"), (">-1000", "every validation row has the event")]
)
def test_an_event_that_never_or_always_happens_has_no_policy(event, words):
    model = fit(rows(), event=event, **SHARES)
    assert model.policy is None
    assert words in told(model)["reason"]


def test_without_intervals_nothing_acts_on_their_bounds():
    model = fit(rows(40), event=">12", act_on="low", validation=0.1, test=0.1, coverage=0.99)
    assert "there are no intervals to act on" in told(model)["reason"]


def test_a_model_that_knows_nothing_of_the_event_has_no_better_policy():
    rng = np.random.default_rng(3)
    data = pa.table({"x": rng.normal(size=2_000), "z": rng.normal(size=2_000), "y": rng.normal(size=2_000)})
    for settings in ({}, {"miss_cost": 5.0}, {"precision": 0.05}, {"recall": 0.5}):
        assert "decision_no_better" in codes(fit(data, event=">1", **SHARES, **settings)), settings


def test_a_precision_that_the_test_rows_do_not_keep_is_told():
    told_of = [fit(rows(400, seed, noise=6.0), event=">12", precision=0.9, **SHARES) for seed in range(12)]
    for model in told_of:
        if model.policy is not None and told(model)["test"]["precision"]["high"] is not None:
            short = told(model)["test"]["precision"]["high"] < 0.9
            assert ("decision_short" in codes(model)) == short
    assert any("decision_short" in codes(model) for model in told_of)


def test_evaluate_measures_the_policy_on_new_rows():
    model, new = fit(rows(), event=">12", miss_cost=3, **SHARES), rows(700, seed=5)
    found = evaluate(model, new)["decision"]
    acted, happened = model.predict(new) >= model.policy.threshold, new["y"].to_numpy() > 12
    assert found["rows"] == 700
    assert found["cost"]["value"] == pytest.approx(cost_of(acted, happened, 1, 3) / 700)
    assert found["hits"] == np.count_nonzero(acted & happened)
    assert evaluate(fit(rows()), new)["decision"] is None


def test_decisions_are_those_of_the_threshold():
    data = rows()
    for event, what in ((">12", "low"), ("<8", "prediction")):
        model = fit(data, event=event, act_on=what, **SHARES)
        scores = getattr(model.predict(data, return_interval=True), what)
        expected = scores >= model.policy.threshold if event[0] == ">" else scores <= model.policy.threshold
        assert model.decide(data).to_pylist() == expected.tolist()


def test_of_a_log_target_the_event_is_in_the_targets_unit():
    data = rows()
    data = data.set_column(2, "y", pa.array(np.exp(data["y"].to_numpy() / 5)))
    model = fit(data, event=">11", log_target=True, **SHARES)
    scores, y = by_role(model, data, Role.TEST)
    assert told(model)["test"]["hits"] == np.count_nonzero((scores >= model.policy.threshold) & (y > 11))


def test_weights_count_as_repeated_rows():
    data = rows()
    weight = np.random.default_rng(1).integers(0, 4, 1_200)
    model = fit(data.append_column("w", pa.array(weight.astype(float))), event=">12", weight="w", miss_cost=3, **SHARES)
    at = RowRoles(0, 0.3, 0.3).assign(0, 0, 1_200, None) == Role.TEST
    acted, happened, w = model.predict(data)[at] >= model.policy.threshold, data["y"].to_numpy()[at] > 12, weight[at]
    assert told(model)["test"]["hits"] == w[acted & happened].sum()
    assert told(model)["test"]["misses"] == w[~acted & happened].sum()


def test_the_curve_of_the_document_is_short_has_no_nan_and_holds_the_chosen_threshold():
    curve = told(model := fit(rows(), event=">12", miss_cost=3, **SHARES))["curve"]
    assert len({len(values) for values in curve.values()}) == 1
    assert len(curve["threshold"]) <= 200
    at = curve["threshold"].index(model.policy.threshold)
    assert curve["cost"][at] == pytest.approx(min(curve["cost"]))
    assert curve["cost"][at] == pytest.approx(told(model)["validation"]["cost"]["value"])
    assert curve["acted"][0] == 0.0
    assert curve["acted"][-1] == 1.0
    assert curve["precision"][0] is None


def test_the_way_from_a_row_to_a_decision_is_in_summary_show_and_report(tmp_path, capsys):
    path = write_csv(rows(), tmp_path / "t.csv")
    words = ("--event", ">12", "--miss-cost", "3", "--validation", "0.3", "--test", "0.3", "--out", tmp_path / "m")
    answer = gradline(capsys, "train", path, "--target", "y", *words)
    assert answer.code == 0, answer.err
    model = gl.load(tmp_path / "m")
    for text in (answer.out, gradline(capsys, "show", tmp_path / "m").out):
        assert "act where the prediction is ≥" in text
        assert "Intervals" in text
    shown = gradline(capsys, "show", tmp_path / "m").out
    assert all(name in shown for name in ("Inputs", "Features", "Score", "Interval", "Decision"))
    evaluated = gradline(capsys, "evaluate", tmp_path / "m", path).out
    assert "Intervals" in evaluated
    assert "Decision" in evaluated
    page = (tmp_path / "m" / "report.html").read_text()
    assert "chart-coverage" in page
    assert "chart-decision" in page
    assert "What becomes of a row" in page
    card = (tmp_path / "m" / "model-card.md").read_text()
    assert "From data to decision" in card
    assert f"{model.policy.threshold:.4g}" in page


def test_settings_are_named_where_they_cannot_be(tmp_path, capsys):
    path = write_csv(rows(), tmp_path / "t.csv")
    answer = gradline(capsys, "train", path, "--target", "y", "--event", "12")
    assert answer.code == 2
    assert "is no event" in answer.said
    assert gradline(capsys, "train", path, "--target", "y", "--precision", "0.8").code == 2

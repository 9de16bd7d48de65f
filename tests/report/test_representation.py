"""What the report says of the search and of the degree curve: each sentence is true of its figures, and names act nowhere."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from test_page import HOSTILE, Page

from gradline.report.degree_chart import degree_chart
from gradline.report.page import render
from gradline.report.printed import print_contract
from gradline.report.representation import degrees, proposals, searched
from gradline.report.summary import print_summary
from reference import fit


def planted(names=("x", "z", "y")):
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(2, 900))
    return pa.table(dict(zip(names, (x, z, 2.0 * x + x**2 + z + rng.normal(size=900)), strict=True)))


@pytest.fixture(scope="module")
def model():
    return fit(planted(), search=True, degree_curve=5, units={"y": "minutes"})


def saying(model, key, **changes):
    """The model with another result."""
    return dataclasses.replace(model, result={**model.result, key: {**model.result[key], **changes}})


def curve(rmse, train, simplest):
    count = len(rmse)
    return {
        "degree": list(range(1, count + 1)),
        "terms": [2 * d for d in range(1, count + 1)],
        "rmse": rmse,
        "rmse_standard_error": [0.1] * count,
        "train_rmse": train,
        "best": int(np.argmin(rmse)) + 1,
        "simplest": simplest,
    }


def test_what_is_proposed_is_said_with_its_cost(model):
    found = model.result["representation_search"]
    last = found["proposals"][-1]
    text = " ".join(searched(model))
    assert f"Proposed: {', then '.join(p['change'] for p in found['proposals'])}." in text
    assert f"{found['candidates']} changes of the features were tried on the {found['rows']} training rows" in text
    assert f"{last['terms']} terms to read instead of {found['base']['terms']}" in text
    assert "depends on 2 columns as before" in text
    assert "minutes" in text
    assert "Nothing was changed" in text


def test_where_nothing_is_proposed_the_best_is_named_with_its_noise(model):
    refused = {**model.result["representation_search"]["proposals"][0], "gain": 0.01, "gain_error": 0.02}
    none = saying(model, "representation_search", proposals=[], refused=refused, rows=50_000, of=10**6)
    text = " ".join(searched(none))
    assert "on 50,000 of the 1,000,000 training rows" in text
    assert "none lowers the error beyond its noise" in text
    assert f"{refused['change']}, takes off 0.01 ± 0.02 minutes" in text
    assert proposals(none) is None
    assert " ".join(searched(saying(none, "representation_search", refused=None))).endswith("noise.")


def test_a_penalty_is_told_of_only_where_it_is_proposed(model):
    it = model.result["representation_search"]["penalty"]
    assert not it["proposed"]
    assert "--l2 auto" not in " ".join(searched(model))
    proposed = saying(model, "representation_search", penalty={**it, "proposed": True, "difference": 0.5, "standard_error": 0.1})
    assert "takes off 0.5 ± 0.1 minutes" in " ".join(searched(proposed))
    assert proposals(proposed).rows[-1][0].text == "as it is, with a penalty"


CURVES = {
    "a line": (curve([1.0, 1.1, 1.2], [0.99, 0.98, 0.97], 1), "More powers only add"),
    "one degree": (
        curve([2.0, 1.0, 1.01], [1.99, 0.99, 0.98], 2),
        "Degree 2 has the smallest error on rows not trained on, 1 minutes instead of 2",
    ),
    "a simpler one": (
        curve([1.02, 1.01, 1.0], [1.0, 1.0, 1.0], 1),
        "a straight line (1.02) is no worse beyond the noise, with 2 terms",
    ),
    "a lower one": (curve([2.0, 1.01, 1.0], [1.0, 1.0, 1.0], 2), "degree 2 (1.01) is no worse beyond the noise, with 4 terms"),
    "noise": (
        curve([1.0, 1.2, 3.0], [0.9, 0.8, 0.5], 1),
        "At degree 3 that error is 500% larger than on the rows trained on: there the model learns noise",
    ),
    "still falling": (curve([3.0, 2.0, 1.0], [3.0, 2.0, 1.0], 3), "still falls at the last degree"),
}


@pytest.mark.parametrize(("changes", "says"), CURVES.values(), ids=CURVES)
def test_the_sentence_says_what_the_curve_shows(model, changes, says):
    text = " ".join(degrees(saying(model, "degree_curve", **changes)))
    assert says in text
    others = {rest for name, (_, rest) in CURVES.items() if rest != says and name in ("a line", "noise", "still falling")}
    allowed = {"More powers only add"} if "noise" in says else set()
    assert not [other for other in others - allowed if other in text]


def test_the_chart_is_the_curve(model):
    found = model.result["degree_curve"]
    chart = degree_chart(model)
    lines = {trace["name"]: trace for trace in chart.data}
    assert lines["rows not trained on"]["y"] == found["rmse"]
    assert lines["rows trained on"]["y"] == found["train_rmse"]
    assert (lines["smallest"]["x"], lines["smallest"]["y"]) == ([found["best"]], [found["rmse"][found["best"] - 1]])
    assert " ".join(degrees(model)[1:]) in chart.label


def test_the_page_holds_chart_table_and_sentences(model):
    page = Page(render(model))
    assert page.chart("degrees")["data"]
    for sentence in (*searched(model), *degrees(model)):
        assert sentence in page.text
    for proposal in model.result["representation_search"]["proposals"]:
        assert proposal["change"] in page.text
    assert "What could be added" in page.text
    plain = Page(render(fit(planted())))
    assert "What could be added" not in plain.text


def test_hostile_names_act_nowhere(capsys, tmp_path):
    table = planted((HOSTILE, "[red]z[/red]", "y"))
    model = fit(table, search=True, degree_curve=2, derive=['"' + HOSTILE.replace('"', '""') + '"^3'])
    assert model.result["representation_search"]["proposals"]
    page = Page(render(model))
    assert not [attributes for tag, attributes in page.tags if tag == "img" or "onerror" in attributes]
    assert len([tag for tag, _ in page.tags if tag == "script"]) == 3
    print_summary(model, tmp_path)
    out = capsys.readouterr().out
    assert "\u202e" not in out
    assert "Search " in out
    assert "[red]z[/red]" in out


def test_what_is_derived_stands_beside_the_contract_and_on_the_way_of_a_row(capsys):
    model = fit(planted(), derive=["spline(x,4)", "x*z"])
    (spline, _) = model.representation.derived
    knots = ", ".join(f"{knot:g}" for knot in spline.knots)
    page = Page(render(model))
    assert f"spline(x,4) (knots {knots})" in page.text
    assert f"; derived: spline(x,4) (knots {knots}), x*z" in page.text
    print_contract(model)
    assert f"derived of these: spline(x,4) (knots {knots}) · x*z" in capsys.readouterr().out


def test_the_summary_names_proposals_and_degrees(model, capsys, tmp_path):
    print_summary(model, tmp_path)
    out = capsys.readouterr().out
    assert "nothing is changed; to train with" in out
    assert f"--derive '{model.result['representation_search']['proposals'][0]['change']}'" in out
    assert f"smallest at {model.result['degree_curve']['best']}" in out
    none = saying(model, "representation_search", proposals=[])
    print_summary(none, tmp_path)
    assert "nothing proposed" in capsys.readouterr().out

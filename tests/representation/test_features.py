from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gradline.maths.block import block_moments
from gradline.maths.summaries import category_summary, number_summary
from gradline.representation.decode import Decoder
from gradline.representation.features import CategoryScheme, Feature, Limits, Representation, represent
from gradline.types import Kind, Part, RawColumn

KINDS = {float: Kind.NUMBER, int: Kind.NUMBER, str: Kind.TEXT}


def kinds_of(columns):
    return {name: KINDS[type(next(v for v in values if v is not None))] for name, values in columns.items()}


def decode(columns, kinds=None):
    return Decoder(kinds or kinds_of(columns)).decode(pa.table(columns))


def represented(columns, least_rows=2, most_levels=1000, chosen=None, kinds=None):
    """The representation that all rows of some columns suggest, with their raw moments."""
    found = decode(columns, kinds)
    summaries = {n.name: number_summary(n, n.values, 0) for n in found.numbers}
    summaries |= {c.name: category_summary(c, c.codes) for c in found.categories}
    moments = block_moments(found.numbers, found.categories, found.rows)
    representation, notices = represent(moments, summaries, Limits(least_rows, most_levels), chosen)
    return representation, notices, found, moments


def sample(m=200, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "x": [None if rng.random() < 0.1 else float(v) for v in rng.normal(5, 2, m)],
        "city": [None if rng.random() < 0.1 else str(v) for v in rng.choice(["Oslo", "Rome", "Lima"], m, p=[0.6, 0.3, 0.1])],
        "code": [str(v) for v in rng.integers(1, 12, m)],
        "rare": ["common"] * (m - 3) + ["one", "two", "three"],
    }


def test_the_most_frequent_level_is_the_reference_and_the_rest_have_a_feature_each():
    representation, *_ = represented({"c": ["b"] * 5 + ["a"] * 4 + ["z"] * 3})
    assert representation.names == ("c=a", "c=z")
    assert representation.schemes["c"].reference == "b"


def test_of_two_levels_as_frequent_the_first_in_the_alphabet_is_the_reference():
    representation, *_ = represented({"c": ["b", "a", "b", "a", "c", "c", "b", "a"]})
    assert representation.schemes["c"].reference == "a"


def test_levels_that_are_whole_numbers_stand_in_their_order():
    representation, *_ = represented({"c": ["10", "9", "1", "-2", "x", "1"] * 2})
    assert representation.names == ("c=-2", "c=9", "c=10", "c=x")


def test_rare_levels_are_one_feature_with_a_notice():
    representation, notices, found, _ = represented(sample(), least_rows=2)
    assert "rare=(other)" in representation.names
    X = representation.design(found)
    column = X[:, representation.names.index("rare=(other)")]
    assert column.tolist() == [0.0] * 197 + [1.0] * 3
    (notice,) = (n for n in notices if n.code == "grouped_levels")
    assert notice.column == "rare"
    assert "3 rare values" in notice.message


def test_a_single_rare_level_is_told_of_in_the_singular():
    _, notices, *_ = represented({"c": ["a", "b"] * 5 + ["x"], "d": ["a", "b"] * 5 + ["a"]}, least_rows=2)
    (notice,) = (n for n in notices if n.code == "grouped_levels")
    assert notice.message == "1 rare value of 'c' (1 training row) is grouped as 'c=(other)'."


def test_at_most_so_many_levels_are_kept():
    levels = [str(v) for v in range(20) for _ in range(v + 2)]
    representation, *_ = represented({"c": levels}, most_levels=4)
    assert representation.names == ("c=16", "c=17", "c=18", "c=(other)")
    assert representation.schemes["c"].grouped == 16


def test_missing_values_of_a_category_are_a_level_if_frequent():
    frequent, *_ = represented({"c": ["a", "b", "a", "b", None, None]})
    assert frequent.names == ("c=b", "c=(missing)")
    seldom, *_ = represented({"c": ["a", "b", "a", "b", "a", None]})
    assert seldom.names == ("c=b",)
    assert seldom.schemes["c"].missing == "reference"
    beside_rare, _, found, _ = represented({"c": ["a", "b", "a", "b", "a", "z", None]})
    assert beside_rare.names == ("c=b", "c=(other)")
    assert beside_rare.design(found)[:, 1].tolist() == [0, 0, 0, 0, 0, 1, 1]


def test_missing_numbers_are_the_training_mean_and_an_indicator_if_frequent():
    representation, _, found, _ = represented({"x": [1.0, None, 3.0, None, 8.0]})
    assert representation.names == ("x", "x=(missing)")
    assert representation.design(found).tolist() == [[1, 0], [4, 1], [3, 0], [4, 1], [8, 0]]
    seldom, *_ = represented({"x": [1.0, None, 3.0]})
    assert seldom.names == ("x",)


def test_what_does_not_vary_is_left_out_with_a_notice_that_names_it():
    columns = {"x": [1.0, 2.0, 3.0], "flat": [7.0] * 3, "word": ["a"] * 3}
    representation, notices, *_ = represented(columns)
    assert representation.names == ("x",)
    assert {(n.code, n.column) for n in notices} == {("left_out_constant", "flat"), ("left_out_constant", "word")}
    assert all(repr(n.column) in n.message for n in notices)


def test_a_constant_text_column_with_a_dot_in_its_name_is_told_of_as_well():
    _, notices, *_ = represented({"x": [1.0, 2.0, 3.0], "house.kind": ["a"] * 3})
    assert [n.column for n in notices] == ["house.kind"]


def test_identifiers_are_left_out_with_a_notice_that_names_them():
    columns = {"id": list(range(30)), "name": [f"n{i}" for i in range(30)], "x": [float(i % 7) for i in range(30)]}
    representation, notices, *_ = represented(columns)
    assert representation.names == ("x",)
    assert {(n.code, n.column) for n in notices} == {("left_out_identifier", "id"), ("left_out_identifier", "name")}
    kept, *_ = represented(columns, chosen=frozenset(columns))
    assert "id" in kept.names


def test_parts_of_a_date_that_is_sometimes_missing_bring_no_notice_of_their_own():
    import datetime as dt

    days = [None if i % 5 == 0 else dt.date(2020, 1, 1) + dt.timedelta(days=9 * i) for i in range(60)]
    columns = {"d": days}
    representation, notices, *_ = represented(columns, kinds={"d": Kind.DATE})
    assert "d.days=(missing)" in representation.names
    assert not [n for n in notices if "(missing)" in n.message]


@pytest.mark.parametrize("seed", range(5))
def test_the_features_moments_come_from_the_raw_moments(seed):
    representation, _, found, moments = represented(sample(seed=seed))
    X = representation.design(found)
    names = tuple(RawColumn(name, Part.VALUE) for name in representation.names)
    grouped = moments.aggregated(representation.groups(moments.columns), names)
    centred = X - X.mean(axis=0)
    assert grouped.mean == pytest.approx(X.mean(axis=0), abs=1e-12)
    assert grouped.comoment == pytest.approx(centred.T @ centred, abs=1e-9)
    assert [f.mean for f in representation.features] == pytest.approx(X.mean(axis=0), abs=1e-12)
    assert [f.deviation for f in representation.features] == pytest.approx(X.std(axis=0), rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_scores_without_a_design_matrix_are_those_of_the_design_matrix(seed):
    rng = np.random.default_rng(seed)
    representation, *_ = represented(sample(seed=seed))
    later = sample(50, seed=seed + 100)
    later["city"][:3] = ["Paris", None, "Oslo"]
    later["code"][:2] = ["999", "1"]
    later["x"][:2] = [None, 1e6]
    found = decode(later)
    w, centre, scale = rng.normal(size=(2, len(representation.names))), rng.normal(size=len(representation.names)), rng.random(len(representation.names)) + 0.5  # fmt: skip
    expected = ((representation.design(found) - centre) / scale) @ w[0]
    assert representation.scores(found, w[0], centre, scale) == pytest.approx(expected, rel=1e-10, abs=1e-10)


def test_a_level_never_seen_is_a_rare_one_or_the_reference():
    with_rare, *_ = represented({"c": ["a"] * 5 + ["b"] * 3 + ["z"]})
    assert with_rare.design(decode({"c": ["new"]})).tolist() == [[0.0, 1.0]]
    without, *_ = represented({"c": ["a"] * 5 + ["b"] * 3})
    assert without.design(decode({"c": ["new"]})).tolist() == [[0.0]]


def test_limits_grow_with_the_rows_from_two_to_ten():
    assert [Limits.of(rows, None, 9).least_rows for rows in (1, 199, 300, 999, 1000, 10**9)] == [2, 2, 3, 9, 10, 10]
    assert Limits.of(10**6, 1, 9) == Limits(1, 9)


def test_json_keeps_everything():
    representation, *_ = represented(sample())
    again = Representation.from_json(representation.to_json())
    assert again.features == representation.features
    assert again.schemes == representation.schemes
    assert again.groups([RawColumn("c", Part.LEVEL, "b"), RawColumn("city", Part.MISSING)]) == representation.groups(
        [RawColumn("c", Part.LEVEL, "b"), RawColumn("city", Part.MISSING)]
    )


def test_every_raw_column_of_a_category_goes_to_one_feature_or_the_reference():
    features = [Feature("c=b", "c", Part.LEVEL, "b", 0, 1), Feature("c=(other)", "c", Part.OTHER, "", 0, 1)]
    for missing, expected in (("other", [1]), ("reference", [])):
        representation = Representation(features, {"c": CategoryScheme("a", missing, True, 2)})
        raws = [RawColumn("c", Part.LEVEL, v) for v in "abz"] + [RawColumn("c", Part.OTHER), RawColumn("c", Part.MISSING)]
        assert representation.groups(raws) == [[1], [2, 3] + [4] * len(expected)]

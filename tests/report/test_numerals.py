from __future__ import annotations

import math

import pytest

from gradline.report.numerals import number, percent, plural, r_squared, shortened, signed, visible


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (0.0, "0"),
        (1.0, "1"),
        (0.1, "0.1"),
        (12.8043, "12.80"),
        (0.126106, "0.1261"),
        (-15757.9, "−15,758"),
        (99999.6, "100,000"),
        (2.295e-32, "2.295 × 10⁻³²"),
        (0.00001, "1 × 10⁻⁵"),
        (3.4e12, "3.4 × 10¹²"),
        (1e-320, "1 × 10⁻³²⁰"),
        (5e-324, "4.941 × 10⁻³²⁴"),
    ],
)
def test_a_number_has_four_digits_and_no_meaningless_zeros(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.98104, "0.9810"), (0.99999987, "0.99999987"), (1.0, "1.0000"), (-1e-6, "0.0000"), (-2.5, "−2.5000"), (None, "–")],
)
def test_r_squared_is_never_rounded_up_to_1(value, text):
    assert r_squared(value) == text


def test_signs_shares_and_plurals():
    assert [signed(2.0), signed(-2.0), signed(0.0)] == ["+2", "−2", "0"]
    assert [percent(0.0280001), percent(0.0), percent(1e-7), percent(None)] == ["2.80%", "0%", "1.00 × 10⁻⁵%", "–"]
    assert [plural(1, "row"), plural(1200, "row")] == ["1 row", "1,200 rows"]


def test_a_shortened_name_keeps_its_beginning_and_its_end():
    name = "a_very_long_column_name=LEVEL"
    short = shortened(name, 20)
    assert len(short) == 20
    assert short.startswith("a_very")
    assert short.endswith("=LEVEL")
    assert shortened("short", 20) == "short"


def test_control_characters_are_made_visible():
    assert visible("a\u202eb\x00c\nd") == "a\ufffdb\ufffdc d"
    assert visible("Ünïcode 東京 👩‍👩‍👧") == "Ünïcode 東京 👩‍👩‍👧"

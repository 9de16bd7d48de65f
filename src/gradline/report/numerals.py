"""Numbers and names as the report writes them: four significant digits, thousands apart, – for what is not known."""

from __future__ import annotations

import math
import re

UNKNOWN = "–"
LONGEST_TEXT = 20_000  # of one; a level can have ten million characters
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# controls, line ends, changes of direction
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
SMALLEST_PLAIN, LARGEST_PLAIN = -4, 9  # powers of ten between which a number is written out


def number(value: float | None, digits: int = 4) -> str:
    """`digits` significant digits, whole numbers in full: 0.1261, 15,758, 2.3 × 10⁻³²."""
    if value is None or math.isnan(value):
        return UNKNOWN
    sign, size = "−" if value < 0.0 else "", abs(value)
    if math.isinf(size):
        return sign + "∞"
    if size == 0.0:
        return "0"
    mantissa, _, power = f"{size:.{digits - 1}e}".partition("e")
    exponent = int(power)
    if SMALLEST_PLAIN <= exponent < LARGEST_PLAIN:
        text = f"{size:,.{max(digits - 1 - exponent, 0)}f}"
        return sign + _shortened(text, size)
    return f"{sign}{_shortened(mantissa, size, exponent)} × 10{str(exponent).translate(SUPERSCRIPTS)}"


def _shortened(text: str, value: float, exponent: int = 0) -> str:
    """Without the zeros at the end where nothing was rounded: 1 for 1.000, but 12.80 for 12.8043."""
    short = text.rstrip("0").rstrip(".") if "." in text else text
    return short if float(f"{short.replace(',', '')}e{exponent}") == value else text


def signed(value: float, digits: int = 4) -> str:
    """A number with its sign, also if it is positive."""
    return number(value, digits) if value < 0.0 or value == 0.0 else "+" + number(value, digits)


def count(value: int | None) -> str:
    """A whole number in full."""
    return UNKNOWN if value is None else f"{value:,}".replace("-", "−")


def percent(value: float | None) -> str:
    """A share as a percentage; a small one is not rounded to nothing."""
    if value is None or math.isnan(value):
        return UNKNOWN
    return "0%" if value == 0.0 else f"{number(100.0 * value, 3)}%"


def r_squared(value: float | None) -> str:
    """R² with four decimals, and with more where 1 is near: there, the digits after the nines are what counts."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    decimals = 4
    if 0.9995 < value < 1.0:
        decimals = min(math.ceil(-math.log10(1.0 - value)) + 1, 15)
    text = f"{value:,.{decimals}f}".replace("-", "−")
    return text.removeprefix("−") if text.strip("−0.") == "" else text


def plural(value: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{count(value)} {noun}{'' if value == 1 else 's'}"


def shortened(text: str, most: int) -> str:
    """A long name in `most` characters; the end stays, for there stands the level of a category."""
    tail = most // 2 - 1
    return text if len(text) <= most else text[: most - 1 - tail] + "…" + text[-tail:]


def visible(text: str) -> str:
    """A text in which each control character is to be seen: a name cannot turn the text around it to run backwards. One that would
    fill the page is cut.
    """
    shown = text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}… ({len(text):,} characters)"
    return UNSEEN.sub(lambda found: " " if found[0] in "\t\n\r\u2028\u2029" else "\ufffd", shown)

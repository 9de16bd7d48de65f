# ruff: noqa: DTZ001 (times without a zone are what files hold)
from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradline.errors import DataError
from gradline.representation.decode import HOURS, MONTHS, WEEKDAYS, Decoder, as_numbers, text_codes
from gradline.types import Kind


def decoded(values, kind, **settings):
    return Decoder({"v": kind}, **settings).decode(pa.table({"v": values}))


NUMBERS = [
    pa.int8(),
    pa.int16(),
    pa.int32(),
    pa.int64(),
    pa.uint8(),
    pa.uint64(),
    pa.float32(),
    pa.float64(),
    pa.decimal128(21, 2),
]


@pytest.mark.parametrize("kind", NUMBERS, ids=str)
def test_every_numeric_type_is_the_same_number(kind):
    values = pa.array([1, 0, None, 100]).cast(kind)
    assert np.array_equal(as_numbers("v", values, Kind.NUMBER), [1.0, 0.0, np.nan, 100.0], equal_nan=True)


def test_decimals_and_large_integers_are_the_nearest_float():
    assert as_numbers("v", pa.array([Decimal("12.34"), None]), Kind.NUMBER)[0] == 12.34
    assert as_numbers("v", pa.array([2**62 + 1]), Kind.NUMBER)[0] == float(2**62 + 1)


def test_booleans_are_zero_and_one():
    assert np.array_equal(as_numbers("v", pa.array([True, None, False]), Kind.BOOLEAN), [1, np.nan, 0], equal_nan=True)
    texts = pa.array(["true", None, "0", " FALSE "])
    assert np.array_equal(as_numbers("v", texts, Kind.BOOLEAN), [1, np.nan, 0, 0], equal_nan=True)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_day_and_durations_are_seconds(unit):
    time = pa.array([3661, None], pa.int32()).cast(pa.time32("s"))
    kind = pa.time32(unit) if unit in ("s", "ms") else pa.time64(unit)
    assert np.array_equal(as_numbers("v", time.cast(kind), Kind.TIME), [3661.0, np.nan], equal_nan=True)
    duration = pa.array([dt.timedelta(days=-1, seconds=2), None], pa.duration(unit))
    assert np.array_equal(as_numbers("v", duration, Kind.DURATION), [-86398.0, np.nan], equal_nan=True)


def test_texts_of_numbers_are_read_and_what_is_none_is_named_with_its_row():
    assert np.array_equal(as_numbers("v", pa.array(["1.5", " 2 ", None]), Kind.NUMBER), [1.5, 2.0, np.nan], equal_nan=True)
    with pytest.raises(DataError, match=r"'v': 2 values are no number \(first at row 1,001: 'abc'\)"):
        as_numbers("v", pa.array(["1", "abc", "def"]), Kind.NUMBER, 1000)


def test_a_column_without_type_is_missing_throughout():
    assert np.isnan(as_numbers("v", pa.nulls(3), Kind.NUMBER)).all()
    (number,) = decoded(pa.nulls(2), Kind.DATE).numbers
    assert np.isnan(number.values).all()


@given(st.lists(st.one_of(st.none(), st.text(max_size=3))))
@settings(max_examples=50, deadline=None)
def test_codes_stand_for_the_sorted_texts(texts):
    levels, codes = text_codes(pa.array(texts, pa.string()))
    assert [None if code < 0 else levels[code] for code in codes] == texts
    assert list(levels) == sorted({t for t in texts if t is not None})


def test_texts_of_every_storage_have_the_same_codes():
    texts = ["b", None, "a", "b", ""]
    plain = text_codes(pa.array(texts))
    for other in (pa.array(texts, pa.large_string()), pa.array(texts, pa.string_view()), pa.array(texts).dictionary_encode()):
        levels, codes = text_codes(other)
        assert levels == plain[0]
        assert np.array_equal(codes, plain[1])


@pytest.mark.parametrize("indices", [pa.int8(), pa.uint8(), pa.uint32(), pa.int64()], ids=str)
def test_a_dictionary_may_hold_texts_that_no_row_has_or_one_twice_or_null(indices):
    def coded(texts, rows):
        return text_codes(pa.DictionaryArray.from_arrays(pa.array(rows, indices), pa.array(texts)))

    for texts, rows in [
        (["unused", "b", "a"], [2, None, 1, 2]),
        (["b", "a", "b"], [1, None, 2, 1]),
        (["a", None, "b"], [0, 1, 2, 0]),
    ]:
        levels, codes = coded(texts, rows)
        assert levels == ("a", "b")
        assert codes.tolist() == [0, -1, 1, 0]
    assert coded(["a"], [None, None])[0] == ()


def test_a_dictionary_of_numbers_is_a_category_of_their_texts():
    assert text_codes(pa.array([10, 7, 10]).dictionary_encode())[0] == ("10", "7")


def test_numbers_declared_text_are_categories():
    (category,) = decoded(pa.array([94107, 10001, None, 94107]), Kind.TEXT).categories
    assert category.levels == ("10001", "94107")
    assert category.codes.tolist() == [1, 0, -1, 1]
    assert category.missing_is_level


def test_levels_not_listed_are_the_rest():
    (category,) = decoded(pa.array(["a", "z", None, "b", "y"]), Kind.TEXT, listed={"v": ("b", "a")}).categories
    assert category.codes.tolist() == [1, 2, -1, 0, 2]
    assert category.levels[:2] == ("b", "a")
    assert category.rest == 2


DATES = [dt.date(1970, 1, 1), dt.date(1969, 12, 31), None, dt.date(2000, 2, 29), dt.date(2013, 7, 4), dt.date(1900, 1, 1)]


def check_parts(found, instants):
    number, *_ = found.numbers
    assert number.name == "v.days"
    epoch = dt.datetime(1970, 1, 1)
    parts = {c.name: c for c in found.categories}
    for row, instant in enumerate(instants):
        codes = {name: column.codes[row] for name, column in parts.items()}
        if instant is None:
            assert np.isnan(number.values[row])
            assert set(codes.values()) == {-1}
            continue
        full = instant if isinstance(instant, dt.datetime) else dt.datetime.combine(instant, dt.time())
        assert number.values[row] == pytest.approx((full - epoch) / dt.timedelta(days=1), rel=1e-15)
        assert MONTHS[codes["v.month"]] == str(instant.month)
        assert WEEKDAYS[codes["v.weekday"]] == instant.strftime("%a")
        if "v.hour" in codes:
            assert HOURS[codes["v.hour"]] == str(instant.hour)
    assert not any(c.missing_is_level for c in parts.values())
    return set(parts)


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()], ids=str)
def test_dates_are_days_month_and_weekday(kind):
    assert check_parts(decoded(pa.array(DATES, kind), Kind.DATE), DATES) == {"v.month", "v.weekday"}


@given(st.lists(st.one_of(st.none(), st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_have_the_hour_as_well(unit, instants):
    whole = [None if t is None else t.replace(microsecond=0) for t in instants]
    found = decoded(pa.array(whole, pa.timestamp(unit)), Kind.TIMESTAMP)
    assert check_parts(found, whole) == {"v.month", "v.weekday", "v.hour"}


def test_a_zoned_time_is_taken_in_utc():
    values = pa.array([dt.datetime(2020, 1, 1, 0, 30)], pa.timestamp("us", "UTC")).cast(pa.timestamp("us", "America/New_York"))
    check_parts(decoded(values, Kind.TIMESTAMP), [dt.datetime(2020, 1, 1, 0, 30)])


def test_texts_declared_dates_are_read():
    texts = ["2013-07-04", None, " 1969-12-31"]
    check_parts(decoded(pa.array(texts), Kind.DATE), [dt.date(2013, 7, 4), None, dt.date(1969, 12, 31)])
    texts = ["2013-07-04T05:06:07Z", "2013-07-04 05:06:07"]
    check_parts(decoded(pa.array(texts), Kind.TIMESTAMP), [dt.datetime(2013, 7, 4, 5, 6, 7)] * 2)
    with pytest.raises(DataError, match=r"1 values are no date \(first at row 1: 'soon'\)"):
        decoded(pa.array(["2013-07-04", "soon"]), Kind.DATE)


def test_take_keeps_the_rows_named():
    found = Decoder({"x": Kind.NUMBER, "c": Kind.TEXT}).decode(pa.table({"x": [1.0, 2.0, 3.0], "c": ["a", "b", None]}))
    kept = found.take(np.array([True, False, True]))
    assert (kept.rows, kept.numbers[0].values.tolist(), kept.categories[0].codes.tolist()) == (2, [1.0, 3.0], [0, -1])
    assert found.take(np.array([2, 0])).numbers[0].values.tolist() == [3.0, 1.0]


def test_chunks_make_no_difference():
    chunked = pa.table({"v": pa.chunked_array([["a"], ["b", None], [], ["a"]], pa.string())})
    (category,) = Decoder({"v": Kind.TEXT}).decode(chunked).categories
    assert category.codes.tolist() == [0, 1, -1, 0]

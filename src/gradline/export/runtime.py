"""The arithmetic of a formula, with the standard library alone: the export to Python is this module and a formula's document.

It reads the document of `gradline.export.document`; nothing here may import anything else than the standard library.
"""

from __future__ import annotations

import datetime
import decimal
import math
import numbers
from typing import Any

DAY = 86_400_000_000  # microseconds
EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def score(formula: dict[str, Any], row: Any) -> float | None:
    """The prediction for a row, a mapping of columns to values; None where the contract gives none.

    Raises ValueError where the row lacks a column, holds a value of another type, or breaks the contract and its decision is `error`.
    """
    decisions = formula["decisions"]
    columns = {column["name"]: column for column in formula["columns"]}
    values = {name: _value(column, row) for name, column in columns.items()}
    for name, value in values.items():
        if value is not None:
            _check(columns[name], value, decisions)
        elif decisions["null"] == "error":
            raise ValueError(f"column {name!r} is null")
    if decisions["null"] == "drop" and None in values.values():
        return None
    clip = decisions["out_of_range"] == "clip"
    total: float = formula["intercept"]
    for term in formula["terms"]:
        total += _effect(term, columns, values, clip)
    output = formula["output"]
    if output["transform"] is None:
        return total
    try:
        raised: float = math.exp(total) * output["factor"]
    except OverflowError:
        return math.inf
    return raised


def bounds(formula: dict[str, Any], prediction: float | None) -> tuple[float, float] | None:
    """The interval of a prediction; None where there is none."""
    interval = formula["interval"]
    if prediction is None or interval is None:
        return None
    low, high = interval["low"], interval["high"]
    return (prediction * low, prediction * high) if interval["relative"] else (prediction + low, prediction + high)


def decided(formula: dict[str, Any], prediction: float | None) -> bool | None:
    """Whether to act; None where there is no prediction, or no policy."""
    decision = formula["decision"]
    if prediction is None or decision is None:
        return None
    if decision["rule"] != "threshold":
        return bool(decision["rule"] == "always")
    low, high = bounds(formula, prediction) or (math.nan, math.nan)
    looked_at = {"prediction": prediction, "low": low, "high": high}[decision["of"]]
    return bool(looked_at >= decision["threshold"] if decision["above"] else looked_at <= decision["threshold"])


def _check(column: dict[str, Any], value: Any, decisions: dict[str, str]) -> None:
    """Raise ValueError where a value breaks the contract and its decision is `error`."""
    within = column["minimum"] is None or column["minimum"] <= _number(column, value) <= column["maximum"]
    if decisions["out_of_range"] == "error" and not within:
        raise ValueError(f"column {column['name']!r} is {value!r}, outside the training range")
    if column["levels"] is not None and value not in column["levels"]:
        raise ValueError(f"column {column['name']!r} is {value!r}, which training had not")


def _effect(term: dict[str, Any], columns: dict[str, Any], values: dict[str, Any], clip: bool) -> float:
    found: float
    if term["type"] == "category":
        read = term["category"]
        value = values[read["column"]]
        if value is None:
            found = term["missing"]
        else:
            found = term["effects"].get(_level(value, read["part"]), term["otherwise"])
        return found
    number = _computed(term["number"], columns, values, clip)
    found = term["missing"] if number is None else term["slope"] * (number - term["centre"])
    return found


def _computed(number: dict[str, Any], columns: dict[str, Any], values: dict[str, Any], clip: bool) -> float | None:
    """A number of a row, None where it is missing."""
    kind = number["type"]
    if kind == "read":
        return _read(number, columns, values, clip)
    if kind == "product":
        return _product(number, columns, values, clip)
    x = _read(number["of"], columns, values, clip)
    if x is None:
        return None
    if kind == "spline":
        return _spline(x, number["knots"], number["term"])
    if x <= 0.0:
        raise ValueError(f"column {number['of']['column']!r} is {x!r}, which has no logarithm")
    return math.log(x)


def _product(number: dict[str, Any], columns: dict[str, Any], values: dict[str, Any], clip: bool) -> float | None:
    product = 1.0
    for factor in number["factors"]:
        x = _read(factor["of"], columns, values, clip)
        if x is None:
            return None
        for _ in range(factor["power"]):
            product *= x - factor["shift"]
    level = number["level"]
    if level is None:
        return product
    value = values[level["of"]["column"]]
    return product if value is not None and _level(value, level["of"]["part"]) == level["level"] else 0.0


def _spline(x: float, knots: list[float], term: int) -> float:
    first, before, last, t = knots[0], knots[-2], knots[-1], knots[term]
    size = (last - first) ** 2
    if x >= last:
        return (last - t) * (before - t) * ((x - t) + (x - before) + (x - last)) / size
    return (_cube(x - t) - _cube(x - before) * ((last - t) / (last - before))) / size


def _cube(x: float) -> float:
    return x * x * x if x > 0.0 else 0.0


def _read(read: dict[str, Any], columns: dict[str, Any], values: dict[str, Any], clip: bool) -> float | None:
    column, value = columns[read["column"]], values[read["column"]]
    if value is None:
        return None
    number = _number(column, value)
    if clip and column["minimum"] is not None:
        number = min(max(number, column["minimum"]), column["maximum"])
    return number


def _number(column: dict[str, Any], value: Any) -> float:
    number: float = value / DAY if column["kind"] in ("date", "timestamp") else value
    return number


def _level(value: Any, part: str) -> str:
    """A category: a text as it is, or a part of an instant in microseconds since 1970."""
    if part == "text":
        return str(value)
    days, rest = divmod(value, DAY)
    if part == "weekday":
        return WEEKDAYS[(days + 3) % 7]  # 1970-01-01 was a Thursday
    if part == "hour":
        return str(rest // (DAY // 24))
    return str((EPOCH + datetime.timedelta(days=days)).month)


def _value(column: dict[str, Any], row: Any) -> Any:
    """A row's value: a float, a text, an instant in microseconds since 1970, or None where it is missing (None, NaN, NaT)."""
    name, kind = column["name"], column["kind"]
    if name not in row:
        raise ValueError(f"the row has no column {name!r}")
    given = row[name]
    try:
        if given is None or given != given:  # noqa: PLR0124
            return None
        if kind == "text":
            return _text(given, column["stored"])
        if kind in ("date", "timestamp"):
            return _instant(given, column["stored"])
        number = _float(given, kind, column["stored"] == "text")
    except (TypeError, ValueError, AttributeError, KeyError, OverflowError, decimal.InvalidOperation):
        raise ValueError(f"column {name!r} is {given!r}, which is no {kind}") from None
    return None if math.isnan(number) else number


def _text(given: Any, stored: str) -> str:
    if stored == "number":  # numbers that were declared text
        number = float(given)
        return str(int(number)) if number.is_integer() else repr(number)
    if stored == "boolean" and isinstance(given, bool):
        return "true" if given else "false"
    if stored == "date" and type(given) is datetime.date:
        return given.isoformat()
    if not isinstance(given, str):
        raise TypeError
    return given


def _float(given: Any, kind: str, as_text: bool) -> float:
    if kind == "time":
        time = datetime.time.fromisoformat(given.strip()) if isinstance(given, str) else given
        whole: int = time.hour * 3600 + time.minute * 60 + time.second
        return whole + time.microsecond / 1e6
    if kind == "duration":
        seconds: float = given / datetime.timedelta(seconds=1)
        return seconds
    if isinstance(given, str):
        if not as_text:
            raise TypeError
        return float({"true": 1, "false": 0, "1": 1, "0": 0}[given.strip().lower()] if kind == "boolean" else given)
    if not isinstance(given, numbers.Real | decimal.Decimal) and type(given).__name__ not in ("bool", "bool_"):
        raise TypeError
    return float(given)


def _instant(given: Any, stored: str) -> int:
    if isinstance(given, str):
        given = datetime.datetime.fromisoformat(given.strip())
    elif not isinstance(given, datetime.datetime):
        given = datetime.datetime(given.year, given.month, given.day)  # noqa: DTZ001
    if given.tzinfo is not None:
        given = given.astimezone(datetime.UTC).replace(tzinfo=None)
    instant: int = (given - EPOCH) // datetime.timedelta(microseconds=1)
    if stored == "date" and instant % DAY:
        raise ValueError
    return instant

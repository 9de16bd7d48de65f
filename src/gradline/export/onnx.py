"""The export to ONNX: a graph of standard operators in float64, from the columns to the prediction.

One input a column, of shape (rows,): numbers, booleans, times and durations float64 with NaN where missing; text a string, the
noncharacter U+FFFF where missing; dates int64 days and timestamps int64 microseconds since 1970 in UTC, with the
least int64 where missing (what NumPy's datetime64 are). The model's metadata say it by column.

A category is a LabelEncoder (of the standard's domain ai.onnx.ml) from texts to positions, and a Gather of its effect. A row that the
contract drops or refuses is NaN. The checker and the runtime: onnx 1.16 or later, onnxruntime 1.18 or later.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from gradline.errors import UsageError
from gradline.export.formula import (
    DATES,
    HOUR,
    MONTH,
    TEXT,
    CategoryTerm,
    Logarithm,
    Product,
    Read,
    Spline,
    number_of,
)
from gradline.representation.decode import HOURS, MONTHS, WEEKDAYS
from gradline.types import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.export.formula import Column, Formula, NumberTerm, Term
    from gradline.types import Json

OPSET, ML_OPSET, IR_VERSION = 19, 2, 9
DAY = 86_400_000_000
LEAST = -(2**63)
OUTPUTS = [prefix + name for name in ("prediction", "low", "high", "decision") for prefix in ("", "gradline_")]
NO_TEXT = "\uffff"  # Unicode promises that it is no character
INSTALL = "pip install 'gradline[onnx]'"


def onnx_bytes(formula: Formula) -> bytes:
    """The model. Raises UsageError where the package onnx is not installed, or a name is no text."""
    try:
        import onnx
    except ImportError as error:
        raise UsageError("the export to ONNX needs the package onnx.", INSTALL) from error
    for name in formula.columns:
        if name.encode(errors="replace").decode() != name:
            raise UsageError(f"no input of ONNX can be named {name!a}.", "rename the column and train again.")
    graph = _Graph(formula)
    outputs = graph.outputs()
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            "gradline",
            graph.inputs(),
            [_value_info(name, "BOOL" if said == "decision" else "DOUBLE") for said, name in outputs.items()],
            graph.constants,
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=IR_VERSION,
        producer_name=formula.made_by,
    )
    onnx.helper.set_model_props(model, {"gradline": json.dumps({"outputs": outputs, "inputs": input_forms(formula)})})
    onnx.checker.check_model(model, full_check=True)
    found: bytes = model.SerializeToString(deterministic=True)
    return found


def input_forms(formula: Formula) -> Json:
    """How each column is given: `type`, and what stands for a missing value."""
    return {column.name: _form(column, formula) for column in formula.columns.values()}


def _form(column: Column, formula: Formula) -> Json:
    if column.kind is Kind.TEXT:
        return {"type": "string", "missing": _missing_word(column, formula)}
    if column.kind is Kind.DATE and column.source in (Kind.DATE, Kind.TEXT):
        return {"type": "int64", "unit": "days since 1970-01-01", "missing": LEAST}
    if column.kind in DATES:
        return {"type": "int64", "unit": "microseconds since 1970-01-01 in UTC", "missing": LEAST}
    return {"type": "double", "missing": "NaN"}


def _missing_word(column: Column, formula: Formula) -> str:
    """A text that no column has: the empty one may be a level that training had not."""
    levels = set(column.levels or ())
    for term in formula.terms:
        match term:
            case CategoryTerm(category, effects) if category == Read(column.name, TEXT):
                levels |= set(effects)
            case CategoryTerm():
                pass
            case _:
                if (
                    isinstance(term.number, Product)
                    and term.number.level is not None
                    and term.number.level.of.column == column.name
                ):
                    levels.add(term.number.level.level)
    word = NO_TEXT
    while word in levels:
        word += NO_TEXT
    return word


def _value_info(name: str, kind: str) -> Any:
    import onnx

    return onnx.helper.make_tensor_value_info(name, getattr(onnx.TensorProto, kind), ["rows"])


class _Graph:
    """Nodes and constants as they are made. Each method gives the name of what it computes, of shape (rows,) or a constant's."""

    def __init__(self, formula: Formula) -> None:
        self._formula = formula
        self._forms = input_forms(formula)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._known: dict[Any, str] = {}

    def inputs(self) -> list[Any]:
        """The columns."""
        return [_value_info(name, form["type"].upper()) for name, form in self._forms.items()]

    def outputs(self) -> dict[str, str]:
        """All of it: what is said of a row, and the name of each."""
        formula = self._formula
        found = {"prediction": self._prediction()}
        if formula.interval is not None:
            operator = "Mul" if formula.interval.relative else "Add"
            for name in ("low", "high"):
                found[name] = self._node(operator, found["prediction"], self._constant(getattr(formula.interval, name)))
        if formula.decision is not None:
            compare = "GreaterOrEqual" if formula.decision.above else "LessOrEqual"
            found["decision"] = self._node(compare, found[formula.decision.of], self._constant(formula.decision.threshold))
        names = {said: said if said not in formula.columns else f"gradline_{said}" for said in found}
        return {said: self._node("Identity", found[said], output=name) for said, name in names.items()}

    def _prediction(self) -> str:
        formula = self._formula
        parts = [self._term(term) for term in formula.terms]
        total = self._constant(formula.intercept)
        total = self._node("Sum", total, *parts) if parts else total
        if formula.factor is not None:
            total = self._node("Mul", self._node("Exp", total), self._constant(formula.factor))
        for broken in self._broken():
            total = self._node("Where", broken, self._constant(np.nan), total)
        if not parts:  # of the shape of the rows, all the same
            missing = self._missing(next(iter(formula.columns))) if formula.columns else None
            total = total if missing is None else self._node("Where", missing, total, total)
        return total

    def _node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """A node; the same one again is not made again."""
        import onnx

        key = (operator, inputs, tuple(sorted((k, str(v)) for k, v in attributes.items())))
        if output is None and key in self._known:
            return self._known[key]
        name = output or self._name()
        domain = "ai.onnx.ml" if operator == "LabelEncoder" else ""
        self.nodes.append(onnx.helper.make_node(operator, list(inputs), [name], domain=domain, **attributes))
        self._known[key] = name
        return name

    def _name(self) -> str:
        number = len(self.nodes) + len(self.constants)
        name = f"v{number}"
        while name in self._formula.columns or name in OUTPUTS:
            name = f"_{name}"
        return name

    def _constant(self, value: float | Sequence[float]) -> str:
        """float64, one or several."""
        return self._tensor("DOUBLE", value)

    def _whole(self, value: int) -> str:
        return self._tensor("INT64", value)

    def _tensor(self, kind: str, value: Any) -> str:
        import onnx

        several = isinstance(value, list | tuple)
        key = (kind, repr(value))
        if key not in self._known:
            name = self._name()
            data = list(value) if several else [value]
            shape = [len(data)] if several else []
            self.constants.append(onnx.helper.make_tensor(name, getattr(onnx.TensorProto, kind), shape, data))
            self._known[key] = name
        return self._known[key]

    def _missing(self, column: str) -> str:
        """Whether a column's value is missing."""
        form = self._forms[column]
        match form["type"]:
            case "double":
                return self._node("IsNaN", column)
            case "string":
                return self._node("Equal", column, self._tensor("STRING", form["missing"].encode()))
            case _:
                return self._node("Equal", column, self._whole(LEAST))

    def _term(self, term: Term) -> str:
        if isinstance(term, CategoryTerm):
            return self._category(term)
        return self._number_term(term)

    def _category(self, term: CategoryTerm) -> str:
        read = term.category
        if read.part == TEXT:
            levels = list(term.effects)
            at = self._node(
                "LabelEncoder",
                read.column,
                keys_strings=[level.encode(errors="backslashreplace") for level in levels],
                values_int64s=list(range(len(levels))),
                default_int64=len(levels),
            )
            effect = self._node("Gather", self._constant([*term.effects.values(), term.otherwise]), at)
        else:
            words = {MONTH: MONTHS, HOUR: HOURS}.get(read.part, WEEKDAYS)
            effects = [term.effects.get(word, term.otherwise) for word in words]
            effect = self._node("Gather", self._constant(effects), self._part(read))
        return self._node("Where", self._missing(read.column), self._constant(term.missing), effect)

    def _number_term(self, term: NumberTerm) -> str:
        centred = self._node("Sub", self._number(term), self._constant(term.centre))
        value = self._node("Mul", self._constant(term.slope), centred)
        missing = [self._missing(read.column) for read in term.reads]
        any_missing = missing[0]
        for one in missing[1:]:
            any_missing = self._node("Or", any_missing, one)
        return self._node("Where", any_missing, self._constant(term.missing), value)

    def _number(self, term: NumberTerm) -> str:
        match term.number:
            case Read():
                return self._read(term.number)
            case Logarithm(of):
                x = self._read(of)
                none = self._node("LessOrEqual", x, self._constant(0.0))
                return self._node("Log", self._node("Where", none, self._constant(np.nan), x))
            case Spline(of, knots, at):
                return self._spline(self._read(of), knots, at)
            case Product(factors, level):
                product = ""
                for factor in factors:
                    x = self._read(factor.of)
                    x = self._node("Sub", x, self._constant(factor.shift)) if factor.shift else x
                    for _ in range(factor.power):
                        product = self._node("Mul", product, x) if product else x
                if level is None:
                    return product
                return self._node("Where", self._has(level.of, level.level), product, self._constant(0.0))

    def _has(self, read: Read, level: str) -> str:
        """Whether a category is a level."""
        if read.part == TEXT:
            return self._node("Equal", read.column, self._tensor("STRING", level.encode(errors="backslashreplace")))
        words = {MONTH: MONTHS, HOUR: HOURS}.get(read.part, WEEKDAYS)
        equal = self._node("Equal", self._part(read), self._whole(words.index(level)))
        return self._node("And", equal, self._node("Not", self._missing(read.column)))

    def _spline(self, x: str, knots: Sequence[float], term: int) -> str:
        first, before, last, t = knots[0], knots[-2], knots[-1], knots[term]

        def above(knot: float) -> str:
            return self._node("Sub", x, self._constant(knot))

        def cube(knot: float) -> str:
            u = self._node("Max", above(knot), self._constant(0.0))
            return self._node("Mul", self._node("Mul", u, u), u)

        line = self._node(
            "Mul", self._constant((last - t) * (before - t)), self._node("Sum", above(t), above(before), above(last))
        )
        bent = self._node("Mul", cube(before), self._constant((last - t) / (last - before)))
        beyond = self._node("GreaterOrEqual", x, self._constant(last))
        value = self._node("Where", beyond, line, self._node("Sub", cube(t), bent))
        return self._node("Div", value, self._constant((last - first) ** 2))

    def _read(self, read: Read, *, clipped: bool = True) -> str:
        """A number of a column, NaN where missing; of an instant any number."""
        column = self._formula.columns[read.column]
        value = read.column
        if column.kind in DATES:
            whole = self._filled(column.name)
            value = self._node("Cast", whole, to=_double())
            if not self._in_days(column):
                value = self._node("Div", value, self._constant(float(DAY)))
        bounds = self._formula.clip(read) if clipped else None
        return value if bounds is None else self._node("Clip", value, *map(self._constant, bounds))

    def _in_days(self, column: Column) -> bool:
        return bool(self._forms[column.name].get("unit", "").startswith("days"))

    def _filled(self, column: str) -> str:
        """An instant, 0 where missing: nothing computed of it is out of range."""
        return self._node("Where", self._missing(column), self._whole(0), column)

    def _part(self, read: Read) -> str:
        """The position of an instant's month, weekday or hour, int64."""
        column = self._formula.columns[read.column]
        instant = self._filled(column.name)
        if read.part == HOUR:
            return self._node("Div", self._node("Mod", instant, self._whole(DAY)), self._whole(DAY // 24))
        days = instant
        if not self._in_days(column):  # Mod has the sign of the divisor, so that this is the floor
            rest = self._node("Mod", instant, self._whole(DAY))
            days = self._node("Div", self._node("Sub", instant, rest), self._whole(DAY))
        if read.part == MONTH:
            return self._month(days)
        return self._node("Mod", self._node("Add", days, self._whole(3)), self._whole(7))  # 1970-01-01 was a Thursday

    def _month(self, days: str) -> str:
        """0 to 11, in whole numbers: years that begin in March, of eras of 400 (Hinnant, chrono-Compatible Low-Level Date Algorithms)."""

        def over(a: str, by: int) -> str:
            return self._node("Div", a, self._whole(by))

        shifted = self._node("Add", days, self._whole(719_468))
        of_era = self._node("Mod", shifted, self._whole(146_097))
        leap = self._node("Sub", over(of_era, 36_524), over(of_era, 146_096))
        year = over(self._node("Add", self._node("Sub", of_era, over(of_era, 1_460)), leap), 365)
        began = self._node("Mul", self._whole(365), year)
        leaps = self._node("Sub", over(year, 4), over(year, 100))
        of_year = self._node("Sub", of_era, self._node("Add", began, leaps))
        march = over(self._node("Add", self._node("Mul", self._whole(5), of_year), self._whole(2)), 153)
        return self._node("Mod", self._node("Add", march, self._whole(2)), self._whole(12))

    def _broken(self) -> list[str]:
        """The conditions of which each leaves a row without a prediction."""
        found = [self._missing(column.name) for column in self._formula.required]
        for column in self._formula.bounded:
            assert column.minimum is not None
            assert column.maximum is not None
            x = self._read(number_of(column), clipped=False)
            below = self._node("Less", x, self._constant(column.minimum))
            outside = self._node("Or", below, self._node("Greater", x, self._constant(column.maximum)))
            found.append(self._node("And", outside, self._node("Not", self._missing(column.name))))
        for column in self._formula.listed:
            levels = [level.encode(errors="backslashreplace") for level in column.levels or ()]
            one = self._node("LabelEncoder", column.name, keys_strings=levels, values_int64s=[1] * len(levels), default_int64=0)
            unknown = self._node("Equal", one, self._whole(0))
            found.append(self._node("And", unknown, self._node("Not", self._missing(column.name))))
        return found


def _double() -> int:
    import onnx

    return int(onnx.TensorProto.DOUBLE)

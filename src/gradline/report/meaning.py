"""What the errors mean, in words, tables and a chart: cost, baselines, calibration, segments, the worst rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradline.report.cells import Cell, Section, Table, cell, counted
from gradline.report.charts import Chart, layout_of, target_label
from gradline.report.coefficients import probability
from gradline.report.numerals import UNKNOWN, count, number, percent, plural, r_squared, shortened, signed

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.model.model import Model
    from gradline.types import Json

ROLES = {"validation": "validation", "test": "test"}
METRICS = {
    "rmse": "typical error (RMSE)",
    "mae": "mean |error|",
    "median_absolute_error": "median |error|",
    "mape": "mean |error| in percent of the actual value",
    "bias": "bias: mean of predicted − actual",
    "largest": "largest |error|",
    "r2": "R²",
}
MOST_SHOWN = 12  # segments
LONGEST = 60  # of a value of a worst row
MOST_COLUMNS = 24
BASELINES = {"mean": "always predicting one number", "last_value": "the last value known", "best_column": "one column alone"}


def assessment(model: Model) -> Json:
    """What was found by the read after training; empty where it was not made."""
    found: Json | None = model.result.get("assessment")
    return found or {}


def unit_of(model: Model) -> str:
    """` minutes`, or nothing."""
    return f" {model.contract.target_unit}" if model.contract.target_unit else ""


def between(found: Json | None, write: Callable[[float | None], str] = number) -> str:
    """An interval: `17.5 to 18.0`."""
    if found is None or found["low"] is None or found["high"] is None:
        return UNKNOWN
    return f"{write(found['low'])} to {write(found['high'])}"


# ---- sentences


def sentences(model: Model) -> list[str]:
    """The few that a person who decides should read."""
    found = (_sure(model), _beside(model), cost_sentence(model), calibration_sentence(model), segment_sentence(model))
    return [sentence for sentence in found if sentence]


def _sure(model: Model) -> str | None:
    found = (assessment(model).get("metrics") or {}).get("test")
    if not found or found["rmse"]["low"] is None:
        return None
    how = found["resampling"]
    of = "a sample of " if how["sample"] else ""
    return (
        f"On all rows of the same kind the typical error (RMSE) lies between {between(found['rmse']).replace(' to ', ' and ')}"
        f"{unit_of(model)} ({percent(how['level'])} interval, from {of}{plural(how['rows'], 'test row')}, resampled by {how['by']})."
    )


def _beside(model: Model) -> str | None:
    found = assessment(model).get("baselines")
    if not found:
        return None
    known = [name for name in BASELINES if found.get(name) and found[name]["error"] is not None]
    if not known:
        return None
    best = min(known, key=lambda name: found[name]["error"])
    entry, name = found[best], baseline_name(best, found[best])
    measure = "RMSE" if found["measure"] == "rmse" else "mean pinball loss"
    model_has, other_has = number(found["model"]), number(entry["error"])
    than = f"The model's {measure} is {model_has}{unit_of(model)}; the best simple prediction, {name}, has {other_has}"
    if entry["better"] is None:
        return f"{than}; the rows are too few to say more."
    between_them = f"the difference is {number(entry['difference']['value'])} ({between(entry['difference'])})"
    if entry["better"]:
        return f"{than}: {between_them}."
    worse = entry["difference"]["low"] > 0.0
    return f"{than}: {between_them}, so the model is {'worse' if worse else 'not better beyond noise'}."


def baseline_name(name: str, entry: Json) -> str:
    """In words."""
    return f"{shortened(str(entry['column']), LONGEST)} alone" if name == "best_column" else BASELINES[name]


def cost_sentence(model: Model) -> str | None:
    """What an error costs, in the user's money."""
    found = assessment(model).get("cost")
    if not found or found["model"]["per_row"]["value"] is None:
        return None
    unit = f" {found['unit']}" if found["unit"] else ""
    own, mean, shifted = found["model"], found["mean"], found["shifted"]
    text = (
        f"The errors cost {number(own['per_row']['value'])}{unit} a row ({between(own['per_row'])}) on {plural(found['rows'], 'test row')}, "
        f"{number(own['total'])}{unit} in all; always predicting the mean {number(mean['per_row']['value'])}"
    )
    if (constant := found["best_constant"]) is not None:
        text += f", the best constant ({number(constant.get('value'))}) {number(constant['per_row']['value'])}"
    text += "."
    if shifted is not None and shifted["shift"] != 0.0:
        move = "more" if shifted["shift"] > 0.0 else "less"
        saved = shifted["saved"]
        text += (
            f" Predicting {number(abs(shifted['shift']), 3)}{unit_of(model)} {move} for every row (chosen on the validation rows) would cost "
            f"{number(shifted['per_row']['value'])}: {number(saved['value'], 3)} less a row ({between(saved, _three)})."
        )
    if found["quantile"] is not None and found["quantile"] not in (0.0, 0.5, 1.0):
        text += f" --loss pinball --quantile {found['quantile']:.4g} learns the prediction that costs least."
    return text


def calibration_sentence(model: Model) -> str | None:
    """Whether predictions mean what they say."""
    found = assessment(model).get("calibration")
    if not found or found["slope"]["low"] is None:
        return None
    slope = found["slope"]
    fits = slope["low"] <= 1.0 <= slope["high"]
    return f"One unit more of the prediction is {number(slope['value'], 3)} of the actual value ({between(slope, _three)}); " + (
        "1 is what it should be, and within that." if fits else "it should be 1."
    )


def segment_sentence(model: Model) -> str | None:
    """Where the model is worse than on average."""
    found = assessment(model).get("segments")
    if not found:
        return None
    tried = f"{count(found['conditions'])} conditions tried, {percent(found['rate'])} risk of a false one in all"
    if not found["worse"]:
        return f"No part of the rows was found where the model errs more than on average ({tried})."
    worst = found["worse"][0]
    return (
        f"Errors are largest where {shortened(worst['condition'], 120)}: {number(worst['ratio'], 2)} times as large as on average, "
        f"{plural(worst['rows'], 'test row')} ({tried})."
    )


def _three(value: float | None) -> str:
    return number(value, 3)


# ---- tables


def sections(model: Model) -> list[Section]:
    """The folds of the page, in the order of what is asked first."""
    found = (_metrics(model), _baselines(model), _cost(model), _calibration(model), _segments(model), _worst(model))
    return [section for section in found if section is not None]


def _metrics(model: Model) -> Section | None:
    by_role = {role: each for role, each in (assessment(model).get("metrics") or {}).items() if each}
    if not by_role:
        return None
    head = [("metric", False)]
    for role in by_role:
        head += [(f"{role} rows", True), ("95% interval", True)]
    rows, reasons = [], {}
    for name, words in METRICS.items():
        row = [Cell(words)]
        for each in by_role.values():
            row += [_figure(name, each[name]["value"]), Cell(between(each[name], _writer(name)), numeric=True)]
            if "reason" in each[name]:
                reasons[words] = each[name]["reason"]
        rows.append(row)
    how = next(iter(by_role.values()))["resampling"]
    stretch = f" of {plural(how['stretch_rows'], 'row')}" if how["stretch_rows"] else ""
    lines = [
        f"Intervals: {count(how['resamples'])} resamples of {how['by']}{stretch}, BCa. They say how far a figure would move with other rows of the "
        "same kind; the model stays as it is."
    ]
    lines += [f"{words.capitalize() if words[0].islower() else words}: {reason}." for words, reason in reasons.items()]
    unit = unit_of(model).strip()
    return Section("How sure the metrics are", [*lines, Table(f"Errors{f', in {unit}' if unit else ''}", head, rows)])


def _figure(name: str, value: float | None) -> Cell:
    return cell(value, _writer(name))


def _writer(name: str) -> Callable[[float | None], str]:
    return {"r2": r_squared, "mape": percent}.get(name, number)


def _baselines(model: Model) -> Section | None:
    found = assessment(model).get("baselines")
    if not found:
        return None
    measure = "RMSE" if found["measure"] == "rmse" else "mean pinball loss"
    rows = [[Cell("the model"), cell(found["model"]), Cell("", numeric=True), Cell("", numeric=True), Cell("")]]
    for name, words in BASELINES.items():
        entry = found.get(name)
        if entry is None:
            continue
        better = {True: "yes", False: "no", None: entry["difference"].get("reason", UNKNOWN)}[entry["better"]]
        words = words if entry["error"] is None else baseline_name(name, entry)  # noqa: PLW2901
        difference = entry["difference"]
        numbers = [cell(entry["error"]), cell(difference["value"]), Cell(between(difference), numeric=True)]
        rows.append([Cell(words), *numbers, Cell(better)])
    head = [("prediction", False), (measure, True), ("model less this", True), ("95% interval", True), ("model better", False)]
    return Section("Beside simple predictions", [Table(f"On the {found['role']} rows{_unit_comma(model)}", head, rows)])


def _unit_comma(model: Model) -> str:
    return f", in{unit_of(model)}" if unit_of(model) else ""


def _cost(model: Model) -> Section | None:
    found = assessment(model).get("cost")
    if not found:
        return None
    unit = f" {found['unit']}" if found["unit"] else ""
    rows = []
    for words, entry in (("the model", found["model"]), ("always the mean", found["mean"])):
        rows.append([Cell(words), *_cost_cells(entry)])
    if (constant := found["best_constant"]) is not None:
        rows.append([Cell(f"always {number(constant.get('value'))}, the best constant"), *_cost_cells(constant)])
    if (shifted := found["shifted"]) is not None:
        rows.append([Cell(f"the model, {signed(shifted['shift'], 3)}{unit_of(model)} for every row"), *_cost_cells(shifted)])
    lines = [_of_what(found, model, unit)]
    if found["reason"]:
        lines.append(f"No shift of the predictions was tried: {found['reason']}.")
    head = [("prediction", False), ("a row", True), ("95% interval", True), ("all test rows", True)]
    return Section("What an error costs", [*lines, Table(f"Cost{f', in{unit}' if unit else ''}", head, rows)], open=True)


def _of_what(found: Json, model: Model, unit: str) -> str:
    match found["kind"]:
        case "linear":
            per = f"unit ({unit_of(model).strip()})" if unit_of(model) else "unit"
            under, over = number(found.get("under")), number(found.get("over"))
            return f"An error costs {under}{unit} a {per} where the prediction is too low, {over}{unit} where it is too high."
        case "table":
            return (
                f"The cost of an error is straight between {plural(len(found.get('points') or ()), 'point')}, and least at the error "
                f"{number(found.get('least_at'))}."
            )
        case _:
            return f"The cost of an error is that of the Python function {found.get('name')}; its code is not in the model."


def _cost_cells(entry: Json) -> list[Cell]:
    per_row = entry["per_row"]
    return [cell(per_row["value"]), Cell(between(per_row), numeric=True), cell(entry["total"])]


def _calibration(model: Model) -> Section | None:
    found = assessment(model).get("calibration")
    if not found or not found["tenths"]:
        return None
    head = [
        ("tenth of the predictions", False),
        ("rows", True),
        ("mean predicted", True),
        ("mean actual", True),
        ("95% interval", True),
    ]
    rows = [
        [
            Cell(str(i)),
            counted(tenth["rows"]),
            cell(tenth["predicted"]),
            cell(tenth["actual"]["value"]),
            Cell(between(tenth["actual"]), numeric=True),
        ]
        for i, tenth in enumerate(found["tenths"], 1)
    ]
    slope, intercept = found["slope"], found["intercept"]
    lines = [
        f"The line of actual on predicted has the slope {number(slope['value'])} (standard error {number(slope['standard_error'], 2)}) and the "
        f"intercept {number(intercept['value'])} ({number(intercept['standard_error'], 2)}); of a calibrated model they are 1 and 0."
    ]
    table = Table(f"Predicted and actual {target_label(model)} on the {found['role']} rows", head, rows)
    return Section("Calibration over the range", [*lines, table])


def _segments(model: Model) -> Section | None:
    found = assessment(model).get("segments")
    if not found:
        reason = (assessment(model).get("reasons") or {}).get("segments")
        return Section("Where the model is worse", [f"Not searched: {reason}."]) if reason else None
    lines = [
        f"{plural(found['conditions'], 'condition')} searched on {plural(found['searched']['rows'], found['searched']['role'] + ' row')}; the most "
        f"striking {count(found['tested'])} tested on {plural(found['confirmed']['rows'], found['confirmed']['role'] + ' row')}, and corrected for "
        f"their number ({found['correction']}): if there were none, one would be listed in {percent(found['rate'])} of such tables."
    ]
    tables = []
    for key, caption in (
        ("worse", "Errors larger than in the rest"),
        ("biased", "Errors to one side (bias: predicted − actual)"),
    ):
        some = found[key]
        if not some:
            lines.append(f"{caption.partition(' (')[0]}: none found.")
            continue
        tables.append(_segments_table(found, some, caption))
    return Section("Where the model is worse", [*lines, *tables], open=True)


def _segments_table(found: Json, some: list[Json], caption: str) -> Table:
    head = [
        ("where", False),
        ("rows", True),
        ("mean |error|", True),
        ("times the average", True),
        ("RMSE", True),
        ("bias", True),
        ("p", True),
    ]
    everywhere = found["overall"]
    rows = [
        [
            Cell("all rows"),
            counted(found["confirmed"]["rows"]),
            cell(everywhere["mae"]),
            Cell("1", numeric=True),
            cell(everywhere["rmse"]),
            cell(everywhere["bias"], _three),
            Cell("", numeric=True),
        ]
    ]
    for each in some[:MOST_SHOWN]:
        figures = [cell(each["mae"]), cell(each["ratio"], _three), cell(each["rmse"]), cell(each["bias"], _three)]
        rows.append([Cell(each["condition"]), counted(each["rows"]), *figures, cell(each["p"], probability)])
    more = f"; {len(some) - MOST_SHOWN} more in result.json" if len(some) > MOST_SHOWN else ""
    return Table(caption + more, head, rows)


def _worst(model: Model) -> Section | None:
    found = assessment(model).get("worst")
    if not found or not found["rows"]:
        return None
    names = list(found["rows"][0]["values"])[:MOST_COLUMNS]
    head = [("row", True), ("error", True), ("actual", True), ("predicted", True), *((name, False) for name in names)]
    several = len({each["file"] for each in found["rows"]}) > 1
    rows = []
    for each in found["rows"]:
        where = f"{count(each['row'])}{' of ' + each['file'] if several and each['file'] else ''}"
        figures = [cell(each["error"], _signed), cell(each["actual"]), cell(each["predicted"])]
        values = [Cell(_value(each["values"].get(name))) for name in names]
        rows.append([Cell(where, numeric=True), *figures, *values])
    role = {"train": "training"}.get(found["role"], found["role"])
    lines = ["Rows are numbered from 0. One wrong value, or one column that is not there, often explains several of them."]
    caption = f"The {plural(len(rows), role + ' row')} with the largest errors"
    return Section("The worst rows", [*lines, Table(caption, head, rows)])


def _value(value: object) -> str:
    return UNKNOWN if value is None else shortened(str(value), LONGEST)


def _signed(value: float | None) -> str:
    return number(value) if value is None else signed(value)


# ---- the chart


def calibration_chart(model: Model) -> Chart | None:
    """Mean actual against mean predicted by tenths; None where there are none."""
    found = assessment(model).get("calibration")
    tenths = [
        each for each in (found or {}).get("tenths", []) if each["predicted"] is not None and each["actual"]["value"] is not None
    ]
    if found is None or len(tenths) < 2:
        return None
    x, y = [each["predicted"] for each in tenths], [each["actual"]["value"] for each in tenths]
    above, below = ([abs((each["actual"][side] or v) - v) for each, v in zip(tenths, y, strict=True)] for side in ("high", "low"))
    off = max(range(len(x)), key=lambda i: abs(y[i] - x[i]))
    label = (
        f"Mean actual against mean predicted {target_label(model)} by tenths of the predictions, {found['role']} rows, with 95% intervals: the largest "
        f"distance from the diagonal is {number(abs(y[off] - x[off]), 3)}, at {number(x[off])}."
    )
    ends = [min(*x, *y), max(*x, *y)]
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "x": x,
            "y": y,
            "error_y": {"type": "data", "array": above, "arrayminus": below, "color": "--series-1", "thickness": 1.5},
            "marker": {"color": "--series-1", "size": 8},
            "hovertemplate": "predicted %{x:.6~g}<br>actual %{y:.6~g}<extra></extra>",
        },
        {
            "type": "scatter",
            "mode": "lines",
            "x": ends,
            "y": ends,
            "line": {"color": "--series-2", "width": 1.5, "dash": "dash"},
            "hoverinfo": "skip",
        },
    ]
    layout = layout_of(f"mean predicted {target_label(model)}", f"mean actual {target_label(model)}")
    return Chart("calibration", "Calibration by tenths", label, data, layout)

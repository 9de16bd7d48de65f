"""What the errors mean, in tables: how sure the metrics are, baselines, cost, calibration, segments, the worst rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradline.report.cells import Cell, Section, Table, cell, counted
from gradline.report.charts import target_label
from gradline.report.coefficients import probability
from gradline.report.meaning import BASELINES, assessment, baseline_name, between, three, unit_of
from gradline.report.numerals import UNKNOWN, count, number, percent, plural, r_squared, shortened, signed

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.model.model import Model
    from gradline.types import Json

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
            cell(everywhere["bias"], three),
            Cell("", numeric=True),
        ]
    ]
    for each in some[:MOST_SHOWN]:
        figures = [cell(each["mae"]), cell(each["ratio"], three), cell(each["rmse"]), cell(each["bias"], three)]
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

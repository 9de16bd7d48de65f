"""What the report and the summary say of the representation search and of the degree curve."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from gradline.report.cells import Cell, Table, cell, counted
from gradline.report.numerals import UNKNOWN, count, number, percent, plural
from gradline.report.sentences import errors_unit, is_log

if TYPE_CHECKING:
    from gradline.model.model import Model
    from gradline.types import Json

OVERFIT = 1.1  # error on rows not trained on, to that on the rows trained on


def derived(model: Model) -> list[str]:
    """The numbers that are derived of the contract's columns, with what was learned for them."""
    found = []
    for each in model.representation.derived:
        learned = f" (knots {', '.join(f'{knot:g}' for knot in each.knots)})" if each.knots else ""
        found.append(f"{each.expression}{learned}")
    return found


def searched(model: Model) -> list[str]:
    """What the search proposes, what it costs to read and to watch, and that nothing was changed."""
    found = model.result.get("representation_search")
    if found is None:
        return []
    unit = _unit(model)
    on = f"{plural(found['candidates'], 'change')} of the features were tried on {_sample(found)}, by nested cross-validation over {_folds(found)}"
    if not found["proposals"]:
        sentences = [f"{on}: none lowers the error beyond its noise.", *_refused(found["refused"], unit)]
    else:
        last = found["proposals"][-1]
        names = ", then ".join(each["change"] for each in found["proposals"])
        sentences = [
            f"{on}. Proposed: {names}.",
            f"With {'it' if len(found['proposals']) == 1 else 'all of them'} the typical error (RMSE) is {number(last['rmse'])}{unit} instead of "
            f"{number(found['base']['rmse'])}, {_less(last, found)} less (± {number(last['standard_error'], 2)}).",
            f"What it costs: {plural(last['terms'], 'term')} to read instead of {count(found['base']['terms'])}; "
            f"{_watched(found)}",
            "Nothing was changed: the table says what to add to the command.",
        ]
    penalty = found["penalty"]
    if penalty["proposed"]:
        sentences.append(
            f"A penalty (--l2 auto) on the features as they are takes off {number(penalty['difference'], 2)} ± {number(penalty['standard_error'], 2)}{unit}."
        )
    return sentences


def _less(change: Json, found: Json) -> str:
    size = number(change["difference"], 2)
    return f"{size} ({percent(change['difference'] / found['base']['rmse'])})" if found["base"]["rmse"] else size


def _watched(found: Json) -> str:
    """The columns on whose shape, and not on whose size alone, the model would depend."""
    columns = list(dict.fromkeys(column for each in found["proposals"] for column in each["made_of"]))
    return (
        f"the model depends on {plural(len(found['base']['columns']), 'column')} as before, and on how {', '.join(columns)} bend: watch that these stay "
        "in their training range."
    )


def _refused(refused: Json | None, unit: str) -> list[str]:
    if refused is None or refused["gain"] is None or refused["gain_error"] is None:
        return []
    gain = number(refused["gain"], 2)
    return [f"The best of them, {refused['change']}, takes off {gain} ± {number(refused['gain_error'], 2)}{unit}."]


def _sample(found: Json) -> str:
    if found["rows"] == found["of"]:
        return f"the {count(found['rows'])} training rows"
    return f"{count(found['rows'])} of the {count(found['of'])} training rows"


def _folds(found: Json) -> str:
    return f"{found['folds']} folds" + (" in the order of time, each judged by those before it" if found["ordered"] else "")


def _unit(model: Model) -> str:
    return " (log scale)" if is_log(model) else errors_unit(model)


def degrees(model: Model) -> list[str]:
    """What the curve over polynomial degree shows: how much more powers fit, where they overfit, how many terms they are."""
    found = model.result.get("degree_curve")
    if found is None:
        return []
    rmse, train, terms = found["rmse"], found["train_rmse"], found["terms"]
    best, simplest, last = found["best"], found["simplest"], found["degree"][-1]
    unit = _unit(model)
    sentences = [
        f"Powers of {', '.join(found['columns'])} up to degree {last} were tried on {_sample(found)}, over {_folds(found)}."
    ]
    if best == 1:
        sentences.append(
            f"More powers only add to the error on rows not trained on: a straight line ({number(rmse[0])}{unit}) is best."
        )
    elif simplest == best:
        sentences.append(
            f"Degree {best} has the smallest error on rows not trained on, {number(rmse[best - 1])}{unit} instead of {number(rmse[0])}, for {count(terms[best - 1])} "
            f"terms instead of {count(terms[0])}."
        )
    else:
        fewer = "a straight line" if simplest == 1 else f"degree {simplest}"
        sentences.append(
            f"Degree {best} has the smallest error on rows not trained on, {number(rmse[best - 1])}{unit}; {fewer} ({number(rmse[simplest - 1])}) is no worse "
            f"beyond the noise, with {count(terms[simplest - 1])} terms to read instead of {count(terms[best - 1])}."
        )
    if train[-1] and rmse[-1] > OVERFIT * train[-1] and rmse[-1] > rmse[best - 1]:
        more = percent(rmse[-1] / train[-1] - 1.0)
        sentences.append(
            f"At degree {last} that error is {more} larger than on the rows trained on: there the model learns noise."
        )
    elif simplest == last:
        sentences.append(
            "The error still falls at the last degree: a spline may follow the curve with fewer terms (--derive 'spline(COLUMN,5)')."
        )
    return sentences


def proposals(model: Model) -> Table | None:
    """The proposals, one a row, with what each costs and what to add to the command."""
    found = model.result.get("representation_search")
    if found is None or not (found["proposals"] or found["penalty"]["proposed"]):
        return None
    unit = _unit(model).strip().strip("()")
    head = [
        "change",
        "RMSE" + (f", {unit}" if unit else ""),
        "less by",
        "± (standard error)",
        "terms",
        "made of",
        "folds that chose it",
        "add to the command",
    ]
    base = found["base"]
    rows = [
        [
            Cell("as it is"),
            cell(base["rmse"]),
            *_nothing(2),
            counted(base["terms"]),
            Cell(", ".join(base["columns"])),
            *_nothing(1),
            Cell(UNKNOWN),
        ]
    ]
    for i, each in enumerate(found["proposals"]):
        figures = [cell(each["rmse"]), cell(each["gain"], _two), cell(each["gain_error"], _two), counted(each["terms"])]
        chosen = Cell(f"{count(each['selected_in_folds'])} of {count(found['judged'])}", numeric=True)
        name = ("and " if i else "") + each["change"]
        rows.append(
            [Cell(name), *figures, Cell(", ".join(each["made_of"])), chosen, Cell(f"--derive {shlex.quote(each['change'])}")]
        )
    if found["penalty"]["proposed"]:
        it = found["penalty"]
        figures = [cell(it["rmse"]), cell(it["difference"], _two), cell(it["standard_error"], _two), counted(base["terms"])]
        rows.append([Cell("as it is, with a penalty"), *figures, Cell(UNKNOWN), *_nothing(1), Cell("--l2 auto")])
    numeric = {1, 2, 3, 4, 6}
    return Table("Proposals, each with those before it", [(text, i in numeric) for i, text in enumerate(head)], rows)


def _nothing(cells: int) -> list[Cell]:
    return [Cell(UNKNOWN, numeric=True)] * cells


def _two(value: float | None) -> str:
    return number(value, 2)

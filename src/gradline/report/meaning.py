"""What the errors mean, in sentences and a chart: cost, baselines, calibration, segments. Its tables are in `gradline.report.meaning_tables`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradline.report.charts import Chart, layout_of, target_label
from gradline.report.numerals import UNKNOWN, count, number, percent, plural, shortened

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.model.model import Model
    from gradline.types import Json

LONGEST = 60  # of a column's name in a sentence
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
            f"{number(shifted['per_row']['value'])}: {number(saved['value'], 3)} less a row ({between(saved, three)})."
        )
    learned = model.config["quantile"] if model.config["loss"] == "pinball" else None
    if found["quantile"] not in (None, 0.0, 0.5, 1.0, learned):
        text += f" --loss pinball --quantile {found['quantile']:.4g} learns the prediction that costs least."
    return text


def calibration_sentence(model: Model) -> str | None:
    """Whether predictions mean what they say."""
    found = assessment(model).get("calibration")
    if not found or found["slope"]["low"] is None:
        return None
    slope = found["slope"]
    fits = slope["low"] <= 1.0 <= slope["high"]
    return f"One unit more of the prediction is {number(slope['value'], 3)} of the actual value ({between(slope, three)}); " + (
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


def three(value: float | None) -> str:
    """Three digits."""
    return number(value, 3)


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

"""The learning curve in the report: what the last doubling of the training rows brought, as a sentence and as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradline.report.charts import Chart, layout_of, score_label
from gradline.report.numerals import count, number, percent

if TYPE_CHECKING:
    from gradline.model.model import Model
    from gradline.types import Json

LEAST_POINTS = 2  # that make a curve
FAR = 1.5  # the validation error to the training error: past it the model has more freedom than its rows can fill


def curve_of(model: Model) -> Json | None:
    """The curve, where it has points enough."""
    found: Json | None = model.result.get("learning_curve")
    return found if found is not None and len(found["rows"]) >= LEAST_POINTS else None


def learned_from_rows(model: Model) -> list[str]:
    """Whether more rows would help."""
    found = curve_of(model)
    if found is None or found["verdict"] is None:
        return []
    rows, error = found["rows"], found["validation_rmse"]
    gain, noise = found["gain"][-1], found["gain_standard_error"][-1]
    latest = "latest " if found["order"] == "latest" else ""
    change = f"{number(abs(gain), 3)} ± {number(noise, 2)} ({percent(abs(gain) / error[-2]) if error[-2] else '–'})"
    doubling = f"From the {latest}{count(rows[-2])} training rows to all {count(rows[-1])}"
    if found["verdict"] == "learning":
        text = f"{doubling} the validation error falls by {change}, more than its noise"
        if latest:
            return [f"{text}: the older rows still teach what the later ones do not."]
        return [f"{text}: it still learns from more rows. Twice as many would bring about half of that again."]
    if found["verdict"] == "worse":
        why = "what the older rows show holds no longer" if latest else "by so much chance alone seldom does"
        return [f"{doubling} the validation error grows by {change}: {why}."]
    apart = found["train_rmse"][-1] and error[-1] / found["train_rmse"][-1] > FAR
    then = (
        "The training error is far below it: fewer columns, or a penalty (--l2 auto), may help."
        if apart
        else "It is at its bias: what may help are other columns or another form, not more rows."
    )
    return [f"{doubling} the validation error changes by {change}, no more than its noise. {then}"]


def curve_chart(model: Model) -> Chart | None:
    """The errors on training and validation rows by the number of training rows."""
    found = curve_of(model)
    if found is None:
        return None
    rows, train, validation = found["rows"], found["train_rmse"], found["validation_rmse"]
    data = [_line("training rows", rows, train, 1), _line("validation rows", rows, validation, 2)]
    which = "the latest of the training rows" if found["order"] == "latest" else "nested shares of the training rows"
    label = (
        f"Error of {score_label(model)} by how many rows are learned from ({which}): on {count(found['validation_rows'])} validation rows "
        f"{number(validation[0])} with {count(rows[0])} and {number(validation[-1])} with {count(rows[-1])}; on the rows learned from "
        f"{number(train[0])} and {number(train[-1])}. {' '.join(learned_from_rows(model))}"
    )
    layout = layout_of("training rows", f"RMSE of {score_label(model)}", legend=True)
    layout["xaxis"] |= {"type": "log", "tickvals": rows, "ticktext": [_short(n) for n in rows]}
    return Chart("learning", "Error by number of training rows", label.rstrip(), data, layout)


def _line(name: str, rows: list[int], values: list[float | None], series: int) -> Json:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": rows,
        "y": values,
        "line": {"color": f"--series-{series}", "width": 2, "dash": ("solid", "dot")[series - 1]},
        "marker": {"color": f"--series-{series}", "size": 8, "symbol": ("circle", "diamond")[series - 1]},
        "hovertemplate": f"%{{x:,}} rows: %{{y:.6g}}<extra>{name}</extra>",
    }


def _short(rows: int) -> str:
    """4,023 as 4.0k: seven of them stand below a narrow chart."""
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if rows >= size:
            return f"{rows / size:.3g}{letter}"
    return str(rows)

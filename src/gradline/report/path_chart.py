"""The chart of cross-validation: the error of every λ of the path, with its standard error as a band."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradline.report.charts import Chart, band, layout_of, score_label
from gradline.report.numerals import number
from gradline.report.sentences import folds_of

if TYPE_CHECKING:
    from gradline.model.model import Model
    from gradline.types import Json

LEAST_VALUES = 3  # of λ that make a curve


def path_chart(model: Model) -> Chart | None:
    """None where λ was given, and nothing is to be compared."""
    found = model.result.get("cross_validation")
    if found is None or len(found["l2"]) < LEAST_VALUES:
        return None
    l2, rmse, error = found["l2"][:-1], found["rmse"][:-1], found["rmse_standard_error"][:-1]  # the last λ is 0
    at = {
        value: (mean, width) for value, mean, width in zip(found["l2"], found["rmse"], found["rmse_standard_error"], strict=True)
    }
    free, best = at[0.0][0], at[found["chosen"]]
    marks = {"chosen": (found["chosen"], 2, "circle"), "strongest within one error": (found["one_standard_error"], 3, "diamond")}
    data: list[Json] = [
        band(l2, rmse, error),
        {
            "type": "scatter",
            "mode": "lines",
            "name": "RMSE over the folds",
            "x": l2,
            "y": rmse,
            "line": {"color": "--series-1", "width": 2},
            "hovertemplate": "λ %{x:.3g}: %{y:.6g}<extra></extra>",
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": "no penalty",
            "x": [l2[-1], l2[0]],
            "y": [free, free],
            "line": {"color": "--muted", "width": 1.5, "dash": "dash"},
            "hovertemplate": "λ 0: %{y:.6g}<extra></extra>",
        },
        *(_mark(name, value, at[value][0], series, symbol) for name, (value, series, symbol) in marks.items() if value > 0.0),
    ]
    label = (
        f"Error of {score_label(model)} over {folds_of(found)} for {len(l2)} values of λ from {number(l2[-1], 2)} to {number(l2[0], 2)}, and "
        f"for none: smallest at λ = {number(found['chosen'], 3)}, {number(best[0])} ± {number(best[1], 2)}; without a penalty {number(free)}; "
        f"the strongest penalty within one standard error is λ = {number(found['one_standard_error'], 3)}."
    )
    layout = layout_of("λ", f"RMSE of {score_label(model)}", legend=True)
    layout["xaxis"] |= {"type": "log", "dtick": 3}
    return Chart("path", "Error by penalty", label, data, layout)


def _mark(name: str, l2: float, rmse: float, series: int, symbol: str) -> Json:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [l2],
        "y": [rmse],
        "marker": {"color": f"--series-{series}", "size": 11, "symbol": symbol},
        "hovertemplate": f"{name}: λ %{{x:.3g}}, %{{y:.6g}}<extra></extra>",
    }

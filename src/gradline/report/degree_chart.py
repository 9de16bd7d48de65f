"""The chart of the degree curve: the error over the folds by polynomial degree, beside that on the rows trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradline.report.charts import Chart, band, layout_of, score_label
from gradline.report.numerals import number
from gradline.report.representation import degrees

if TYPE_CHECKING:
    from gradline.model.model import Model
    from gradline.types import Json


def degree_chart(model: Model) -> Chart | None:
    """None where no curve was asked for."""
    found = model.result.get("degree_curve")
    if found is None or None in (*found["rmse"], *found["rmse_standard_error"], *found["train_rmse"]):
        return None
    degree, rmse, error = found["degree"], found["rmse"], found["rmse_standard_error"]
    terms = [f"{count} terms" for count in found["terms"]]
    best, simplest = found["best"], found["simplest"]
    data: list[Json] = [
        band(degree, rmse, error),
        _line("rows not trained on", degree, rmse, terms, {"color": "--series-1", "width": 2}),
        _line("rows trained on", degree, found["train_rmse"], terms, {"color": "--muted", "width": 1.5, "dash": "dash"}),
        _mark("smallest", best, rmse[best - 1], 2, "circle"),
        *([_mark("lowest within the noise", simplest, rmse[simplest - 1], 3, "diamond")] if simplest != best else []),
    ]
    label = (
        f"Error of {score_label(model)} over {found['folds']} folds for the degrees 1 to {degree[-1]}, beside that on the rows trained on: "
        f"{number(rmse[0])} and {number(found['train_rmse'][0])} at degree 1, {number(rmse[-1])} and {number(found['train_rmse'][-1])} at degree "
        f"{degree[-1]}. {' '.join(degrees(model)[1:])}"
    )
    layout = layout_of("degree of the polynomials", f"RMSE of {score_label(model)}", legend=True)
    layout["xaxis"] |= {"dtick": 1}
    return Chart("degrees", "Error by polynomial degree", label, data, layout)


def _line(name: str, degree: list[int], rmse: list[float], terms: list[str], line: Json) -> Json:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": degree,
        "y": rmse,
        "text": terms,
        "line": line,
        "marker": {"color": line["color"], "size": 6},
        "hovertemplate": "degree %{x}, %{text}: %{y:.6g}<extra></extra>",
    }


def _mark(name: str, degree: int, rmse: float, series: int, symbol: str) -> Json:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [degree],
        "y": [rmse],
        "marker": {"color": f"--series-{series}", "size": 11, "symbol": symbol},
        "hovertemplate": f"{name}: degree %{{x}}, %{{y:.6g}}<extra></extra>",
    }

"""The charts of the report as Plotly figures: plain dicts, so that neither Plotly nor a data frame is imported to make them.

Colours are names of CSS properties of the page ("--series-1"): the page puts in those of the light, dark or printed palette.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gradline.maths.quadratic import baseline_objective
from gradline.model.model import HISTORY_COLUMNS
from gradline.report.numerals import count, number, plural, shortened, signed, visible
from gradline.training.stopping import GAP_TOLERANCE
from gradline.types import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.model.model import Model
    from gradline.types import FloatArray, IntArray, Json

MOST_POINTS = 1_000  # of a curve; more are not seen, and the page grows
MOST_BARS = 20
FEW_STEPS = 30  # up to so many, each step is a marker
BIG_MARKS = 5  # and up to so many a large one
LINEAR_BELOW = 3.0  # a logarithmic axis over a smaller factor has no tick
LABEL_LENGTH = 22
HEIGHT = 340


class Chart(NamedTuple):
    """label: what it shows, in one sentence with the key numbers.  data, layout: the figure."""

    id: str
    title: str
    label: str
    data: list[Json]
    layout: Json

    def figure(self) -> Json:
        """What the page's script draws."""
        return {"id": self.id, "data": self.data, "layout": self.layout}


class Sample(NamedTuple):
    """The sampled rows that are shown. of: what they are, in words."""

    actual: FloatArray
    predicted: FloatArray
    of: str


def charts(model: Model) -> list[Chart]:
    """All charts that the model has the data for."""
    found = [_loss(model), _gap(model), _norms(model)]
    sample = shown_sample(model)
    if len(sample.actual):
        found += [_predicted(model, sample), _residuals(model, sample), _histogram(model, sample)]
    if model.representation.features:
        found.append(_effects(model))
    return [chart for chart in found if chart is not None]


def shown_sample(model: Model) -> Sample:
    """The held-out rows of the sample; the training rows where none is held out."""
    actual, predicted = model.sampled.actual, model.sampled.predicted
    finite = np.isfinite(actual) & np.isfinite(predicted)
    held_out = finite & (model.sampled.roles != Role.TRAINING)
    shown, of = (held_out, "held-out row") if held_out.any() else (finite, "training row")
    return Sample(actual[shown], predicted[shown], f"sampled {of}{'' if int(shown.sum()) == 1 else 's'}")


def target_label(model: Model) -> str:
    """The target with its unit."""
    unit = model.contract.target_unit
    return f"{model.contract.target} ({unit})" if unit else model.contract.target


def score_label(model: Model) -> str:
    """What the coefficients are of: the target, or its logarithm, which has no unit."""
    return target_label(model) if model.config.get("log_target") is not True else f"log({model.contract.target})"


def effects(model: Model) -> FloatArray:
    """Coefficient times deviation of each feature, (p,): the change of the prediction for a typical change of the feature."""
    deviation = np.array([feature.deviation for feature in model.representation.features])
    return np.asarray(np.array(list(model.coefficients.values())) * deviation)


# ---- curves over the steps


def _loss(model: Model) -> Chart | None:
    training, validation = _column(model, "objective"), _column(model, "validation")
    curves = [_curve(model, "training", training, 1)]
    if np.isfinite(validation).any():
        curves.append(_curve(model, "validation", validation, 2))
    label = f"Loss J on the training rows: {number(training[0])} at step 0, {number(training[-1])} at step {_last(model)}"
    if np.isfinite(validation).any():
        label += f"; on the validation rows {number(validation[0])} and {number(validation[-1])}"
    if model.penalty > 0.0:
        label += " (the training loss counts the penalty, the validation loss does not)"
    return _steps_chart(model, "loss", "Loss by step", label, curves, "J")


def _gap(model: Model) -> Chart | None:
    gap = _column(model, "gap")
    exact = model.certificate.kind == "exact"
    name = "J − J*" if exact else "J − a proved bound of J*"
    curves = [_curve(model, name, gap, 1)]
    if not _visible(curves):
        return None
    label = f"Gap between the loss and {'its' if exact else 'what is proved of its'} global minimum: {number(gap[0], 2)} at step 0, {number(gap[-1], 2)} at step {_last(model)}"
    if model.config.get("stop", "certificate") == "certificate":
        tolerance = GAP_TOLERANCE * baseline_objective(model.moments[Role.TRAINING])
        label += f"; the tolerance is {number(tolerance, 2)}"
        steps = curves[0]["x"]
        curves.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "tolerance",
                "x": [steps[0], steps[-1]],
                "y": [tolerance, tolerance],
                "line": {"color": "--muted", "dash": "dash", "width": 1.5},
                "hovertemplate": "tolerance %{y:.3g}<extra></extra>",
            }
        )
    return _steps_chart(model, "gap", "Gap to the global minimum by step", label, curves, name)


def _norms(model: Model) -> Chart | None:
    names = {"parameter_norm": "parameters", "gradient_norm": "gradient", "update_norm": "update"}
    curves = [_curve(model, word, _column(model, name), i) for i, (name, word) in enumerate(names.items(), 1)]
    last = ", ".join(f"{word} {number(_column(model, name)[-1], 2)}" for name, word in names.items())
    label = (
        f"Norms by step in the loop's coordinates ({model.coordinates.name}); at step {_last(model)}: {last}; zeros are left out"
    )
    return _steps_chart(model, "norms", "Norms by step", label, [c for c in curves if _visible([c])], "norm")


def _column(model: Model, name: str) -> FloatArray:
    return model.history_array[:, HISTORY_COLUMNS.index(name)]


def _last(model: Model) -> str:
    return count(int(_column(model, "step")[-1]))


def shown_steps(steps: int) -> IntArray:
    """The positions of the steps that a curve shows: all, or the first ones and some of the later ones, evenly."""
    if steps <= MOST_POINTS:
        return np.arange(steps)
    early = MOST_POINTS // 4
    later = np.linspace(early, steps - 1, MOST_POINTS - early).round().astype(np.intp)
    return np.unique(np.concatenate([np.arange(early), later]))


def _curve(model: Model, name: str, values: FloatArray, series: int) -> Json:
    """A line over the steps; what a logarithmic axis cannot show is null, a gap in the line."""
    steps = _column(model, "step")
    shown = shown_steps(len(steps))
    few = len(steps) <= FEW_STEPS
    return {
        "type": "scatter",
        "mode": "lines+markers" if few else "lines",
        "name": name,
        "x": [int(step) for step in steps[shown]],
        "y": [float(v) if np.isfinite(v) and v > 0.0 else None for v in values[shown]],
        "line": {"color": f"--series-{series}", "width": 2, "dash": ("solid", "dot", "dashdot")[series - 1]},
        "marker": {
            "color": f"--series-{series}",
            # of curves that coincide, the open marks stay visible around the full one
            "size": (8, 12, 16)[series - 1] * (1.0 if len(steps) <= BIG_MARKS else 0.7),
            "line": {"width": 2},
            "symbol": ("circle", "diamond-open", "square-open")[series - 1],
        },
        "hovertemplate": "step %{x}: %{y:.6g}<extra>%{fullData.name}</extra>",
    }


def _visible(curves: Sequence[Json]) -> bool:
    return any(value is not None for curve in curves for value in curve["y"])


def _steps_chart(model: Model, id_: str, title: str, label: str, curves: list[Json], axis: str) -> Chart | None:
    if not _visible(curves):
        return None
    layout = layout_of("step", axis, legend=True)
    layout["yaxis"] |= _log_axis([value for curve in curves for value in curve["y"] if value is not None])
    layout["xaxis"]["tickformat"] = ",d"
    last = int(_column(model, "step")[-1])
    if last <= 10:
        layout["xaxis"] |= {"dtick": 1, "range": [-0.05 * max(last, 1), max(last, 1) * 1.05]}
    shown = len(shown_steps(len(model.history_array)))
    if shown < len(model.history_array):
        label += f" ({count(shown)} of {count(len(model.history_array))} recorded steps drawn)"
    return Chart(id_, title, label + ".", curves, layout)


def _log_axis(values: Sequence[float]) -> Json:
    """A logarithmic axis with ticks at powers of ten, at most about seven; linear where the values are close together."""
    low, high = min(values), max(values)
    if high < LINEAR_BELOW * low:
        return {}
    decades = float(np.log10(high) - np.log10(low))
    pad = 0.05 * decades
    axis: Json = {"type": "log", "range": [np.log10(low) - pad, np.log10(high) + pad]}
    return axis | ({"dtick": int(np.ceil(decades / 7.0))} if decades >= 2.0 else {"dtick": "D2", "tickformat": "~g"})


# ---- predictions


def _predicted(model: Model, sample: Sample) -> Chart:
    low = float(min(sample.actual.min(), sample.predicted.min()))
    high = float(max(sample.actual.max(), sample.predicted.max()))
    error = float(np.sqrt(np.mean((sample.predicted - sample.actual) ** 2)))
    label = (
        f"Predicted against actual {target_label(model)} of {count(len(sample.actual))} {sample.of}: values from {number(low)} to "
        f"{number(high)}, typical distance from the diagonal (RMSE) {number(error)}."
    )
    points = _points(sample.actual, sample.predicted, "actual %{x:.6~g}<br>predicted %{y:.6~g}<extra></extra>")
    data = [points, _line([low, high], [low, high], "predicted = actual")]
    layout = layout_of(f"actual {target_label(model)}", f"predicted {target_label(model)}")
    return Chart("predicted", "Predicted against actual", label, data, layout)


def _residuals(model: Model, sample: Sample) -> Chart:
    residual = sample.predicted - sample.actual
    label = (
        f"Residuals (predicted − actual) against predictions of {count(len(residual))} {sample.of}: mean {number(float(residual.mean()), 3)}, "
        f"from {number(float(residual.min()))} to {number(float(residual.max()))}; a slope, a bend or a funnel means that the "
        "straight line misses something."
    )
    points = _points(sample.predicted, residual, "predicted %{x:.6~g}<br>residual %{y:.6~g}<extra></extra>")
    data = [points, _line([float(sample.predicted.min()), float(sample.predicted.max())], [0.0, 0.0], "no error")]
    layout = layout_of(f"predicted {target_label(model)}", "predicted − actual")
    return Chart("residuals", "Residuals against predictions", label, data, layout)


def _histogram(model: Model, sample: Sample) -> Chart:
    residual = sample.predicted - sample.actual
    counts, edges = bins(residual)
    outside = len(residual) - int(counts.sum())
    low, high = (float(v) for v in np.quantile(residual, [0.05, 0.95]))
    beyond = f"; {plural(outside, 'row')} further out not drawn" if outside else ""
    label = (
        f"Histogram of the residuals of {count(len(residual))} {sample.of}: 90% lie between {number(low)} and {number(high)}, "
        f"the median is {number(float(np.median(residual)), 3)}{beyond}."
    )
    bars = {
        "type": "bar",
        "x": [float(v) for v in (edges[:-1] + edges[1:]) / 2.0],
        "y": [int(c) for c in counts],
        "width": [float(v) for v in np.diff(edges)],
        "customdata": [[float(low), float(high)] for low, high in pairwise(edges)],
        "marker": {"color": "--series-1", "line": {"color": "--paper", "width": 1}},
        "hovertemplate": "%{customdata[0]:.4~g} to %{customdata[1]:.4~g}: %{y} rows<extra></extra>",
    }
    layout = layout_of(f"predicted − actual {target_label(model)}", "rows")
    return Chart("histogram", "How large the residuals are", label, [bars], layout | {"bargap": 0})


def bins(values: FloatArray) -> tuple[IntArray, FloatArray]:
    """Counts and edges of a histogram over all but the outermost values, which would leave one bar beside much emptiness."""
    low, high = (float(v) for v in np.quantile(values, [0.005, 0.995]))
    spread = high - low
    low, high = max(float(values.min()), low - 0.25 * spread), min(float(values.max()), high + 0.25 * spread)
    if not high > low:
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    quarter, three_quarters = np.quantile(values, [0.25, 0.75])
    width = 2.0 * float(three_quarters - quarter) / len(values) ** (1.0 / 3.0)  # Freedman and Diaconis 1981
    number_of_bins = int(np.clip(np.ceil((high - low) / width) if width > 0.0 else 10, 5, 60))
    counts, edges = np.histogram(values, bins=number_of_bins, range=(low, high))
    return counts, edges


def _points(x: FloatArray, y: FloatArray, hover: str) -> Json:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [float(v) for v in x],
        "y": [float(v) for v in y],
        "marker": {"color": "--series-1", "size": 5, "opacity": 0.45},
        "hovertemplate": hover,
    }


def _line(x: list[float], y: list[float], name: str) -> Json:
    line = {"color": "--series-2", "width": 1.5, "dash": "dash"}
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": line, "hoverinfo": "skip"}


# ---- coefficients


def _effects(model: Model) -> Chart:
    names, values = model.representation.names, effects(model)
    order = np.argsort(-np.abs(values), kind="stable")[:MOST_BARS]
    largest = ", ".join(f"{names[j]} {signed(float(values[j]))}" for j in order[:3])
    which = f"the {len(order)} largest of {count(len(names))}" if len(order) < len(names) else plural(len(names), "feature")
    label = f"Change of {score_label(model)} for one deviation of each feature, {which}: {largest}{'' if len(order) <= 3 else ' first'}."
    colours = ["--series-1" if values[j] >= 0.0 else "--series-2" for j in order]
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "x": [float(values[j]) for j in order],
            "y": list(range(len(order))),
            "customdata": [harmless(names[j]) for j in order],
            "marker": {"color": colours},
            "hovertemplate": "%{customdata}: %{x:.6~g}<extra></extra>",
        }
    ]
    layout = layout_of(f"change of {score_label(model)}", "")
    layout["height"] = 90 + 24 * max(len(order), 3)
    layout["yaxis"] |= {
        "tickvals": list(range(len(order))),
        "ticktext": [harmless(shortened(names[j], LABEL_LENGTH)) for j in order],
        "range": [max(len(order), 2) - 0.4, -0.6],
        "showgrid": False,
        "zeroline": False,
    }
    return Chart("effects", "What moves the prediction", label, data, layout)


# ---- what all have in common


def harmless(text: str) -> str:
    """Plotly reads labels as a small HTML (links, bold): a column's name must not be taken for it."""
    return visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def layout_of(x: str, y: str, *, legend: bool = False) -> Json:
    """A layout with these titles of its axes, in the palette of the page."""

    def axis(title: str) -> Json:
        return {
            "title": {"text": harmless(shortened(title, 48)), "standoff": 8},
            "automargin": True,
            "gridcolor": "--grid",
            "linecolor": "--grid",
            "zerolinecolor": "--grid",
            "exponentformat": "power",
        }

    layout: dict[str, Any] = {
        "height": HEIGHT,
        "margin": {"l": 48, "r": 16, "t": 34 if legend else 12, "b": 44},
        "showlegend": legend,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "--ink"},
        "hoverlabel": {"bgcolor": "--paper", "bordercolor": "--muted", "font": {"color": "--ink"}},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        "xaxis": axis(x),
        "yaxis": axis(y),
    }
    return layout


def band(x: Sequence[float], mean: Sequence[float], error: Sequence[float]) -> Json:
    """The trace of one standard error about a mean, above and below."""
    above = [m + e for m, e in zip(mean, error, strict=True)]
    below = [m - e for m, e in zip(mean, error, strict=True)]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "± one standard error",
        "x": [*x, *reversed(x)],
        "y": [*above, *reversed(below)],
        "fill": "toself",
        "fillcolor": "--series-1",
        "opacity": 0.2,
        "line": {"width": 0, "color": "--series-1"},
        "hoverinfo": "skip",
    }

"""The report: one HTML file that opens offline, for the person who decides; details are folded."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from gradline.report import charts, decisions, intervals, meaning, sentences
from gradline.report.command import command
from gradline.report.degree_chart import degree_chart
from gradline.report.learning_curve import curve_chart, learned_from_rows
from gradline.report.numerals import count, visible
from gradline.report.path_chart import path_chart
from gradline.report.sections import ROLES, meaning_sections, sections

if TYPE_CHECKING:
    from jinja2 import Template

    from gradline.model.model import Model
    from gradline.types import Json

    Contents = dict[str, Any]

PLOTLY_CONFIG = {"responsive": True, "displaylogo": False, "displayModeBar": False}  # its buttons would cover the legend


def render(model: Model, told: Contents | None = None) -> str:
    """The page of a model. told: its `contents`."""
    from markupsafe import Markup, escape

    told = told or contents(model)
    figures = {"charts": [chart.figure() for chart in told["charts"]], "config": PLOTLY_CONFIG}
    page = _template().render(
        **told | {"command": escape(told["command"])},  # whose lines are no control characters
        figures=Markup(embedded(figures)),  # noqa: S704
        plotly=Markup(_plotly()),  # noqa: S704
    )
    return page.encode("utf-8", "replace").decode()  # a file's name may hold bytes that are no UTF-8


def contents(model: Model) -> Contents:
    """What the report says, whether as a page or as a model card."""
    further = (meaning.calibration_chart(model), path_chart(model), curve_chart(model), degree_chart(model))
    return {
        "title": sentences.title(model),
        "data": model.data_name,
        "rows": _rows(model),
        "verdict": sentences.verdict(model),
        "formula": sentences.formula(model),
        "words": {
            "What was learned": sentences.learned(model),
            "How good it is": [*sentences.quality(model), *sentences.cross_validated(model), *learned_from_rows(model)],
            "Whether to trust it": sentences.trust(model),
        },
        "tiles": sentences.tiles(model),
        "warnings": model.warnings,
        "meaning": meaning.sentences(model),
        "meaning_sections": meaning_sections(model),
        "charts": [
            *charts.charts(model),
            *(chart for chart in further if chart is not None),
            *intervals.charts(model),
            *decisions.charts(model),
        ],
        "sections": sections(model),
        "command": "\n".join(visible(line) for line in command(model.config).split("\n")),
    }


def prepare() -> None:
    """What `render` needs and a model does not change: so that it can be done while the data are read."""
    _template()
    _plotly()


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    code: str = get_plotlyjs()
    return code.replace("</script", "<\\/script")


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("gradline.report", "")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, finalize=_shown, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2")


def _shown(value: Any) -> Any:
    """What the template prints: text with its control characters made visible, markup as it is."""
    return visible(value) if type(value) is str else value


def embedded(document: Json) -> str:
    """JSON that no value in it can end, or begin a comment in: < > & and everything beyond ASCII are written as escapes."""
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _rows(model: Model) -> list[str]:
    rows = model.result["rows"]
    parts = [f"{count(rows['read'])} rows read"] + [f"{count(rows[role])} {word}" for role, word in ROLES.items()]
    split = model.result.get("split")
    held_out = [f"split {split}"] if split and rows["validation"] + rows["test"] else []
    gap = [f"{count(rows['gap'])} left out (in the gap)"] if rows.get("gap") else []
    return [*parts, f"{count(rows['dropped'])} dropped", *gap, *held_out]

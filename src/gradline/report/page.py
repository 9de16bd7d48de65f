"""The report: one HTML file that opens offline, for the person who decides; details are folded."""

from __future__ import annotations

import json
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from gradline.model.model import HISTORY_COLUMNS
from gradline.report import charts, coefficients, representation, sentences
from gradline.report.cells import Cell, Table, cell, counted
from gradline.report.command import command, default_settings
from gradline.report.degree_chart import degree_chart
from gradline.report.numerals import UNKNOWN, count, number, percent, plural, r_squared, visible
from gradline.report.path_chart import path_chart
from gradline.types import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Template

    from gradline.inputs.contract import ColumnContract
    from gradline.model.model import Model
    from gradline.types import Json

SHOWN_STEPS = 6  # first and last ones of the history
NO_BIAS = 1e-9  # of the RMSE
ROLES = {"train": "training", "validation": "validation", "test": "test"}
PLOTLY_CONFIG = {"responsive": True, "displaylogo": False, "displayModeBar": False}  # its buttons would cover the legend
EPOCH = date(1970, 1, 1)

CERTIFICATE = {
    "kind": "how the distance to the minimum is known; exact: from the moments of all training rows",
    "objective": "the loss J of the model on the training rows: half the mean squared error, and the penalty if there is one",
    "minimum": "J*, the smallest value that J can have, solved for directly",
    "gap": "J − J*: what is left to gain",
    "relative_gap": "the gap as a share of the loss of the mean alone: how much R² is left on the table",
    "coefficient_error": "the largest distance of a coefficient from its best value, in deviations",
    "rounding": "how exactly J* is known: the rounding of the arithmetic moves it by no more than this",
    "curvature_max": "L, the steepest curvature of J; gradient descent is stable below α = 2/L",
    "curvature_min": "μ, the flattest curvature of J, which sets how slow the last digits are",
    "condition": "κ = L/μ: 1 is a round bowl, large numbers a narrow valley in which gradient descent needs many steps",
    "trusted_digits": "digits of the coefficients that rounding of the data and the remaining gap leave, of about 16",
}

BOUNDED = {
    "kind": "how the distance to the minimum is known; duality gap: no parameters can have a loss below the bound",
    "objective": "the loss J of the model on the training rows, with the penalties if there are any",
    "minimum": "a lower bound of J*, the smallest value that J can have, proved by duality",
    "gap": "J less the bound: at most so much is left to gain",
    "relative_gap": "the gap as a share of the loss of the best constant",
}


def render(model: Model) -> str:
    """The page of a model."""
    from markupsafe import Markup, escape

    path = path_chart(model)
    shown = [*charts.charts(model), *(each for each in (path, degree_chart(model)) if each is not None)]
    page = _template().render(
        title=sentences.title(model),
        data=model.data_name,
        rows=_rows(model),
        verdict=sentences.verdict(model),
        formula=sentences.formula(model),
        words={
            "What was learned": sentences.learned(model),
            "How good it is": [*sentences.quality(model), *sentences.cross_validated(model)],
            "Whether to trust it": sentences.trust(model),
            "What else could be learned": [*representation.searched(model), *representation.degrees(model)],
        },
        tiles=sentences.tiles(model),
        warnings=model.warnings,
        charts=shown,
        metrics=_metrics(model),
        coefficients=coefficients.tables(model),
        uncertain=coefficients.uncertain(model),
        references=_references(model),
        proposals=representation.proposals(model),
        derived=representation.derived(model),
        certificate=_certificate(model),
        plan=_plan(model),
        contract=_contract(model),
        decisions=[(what.replace("_", " "), done) for what, done in model.contract.to_json()["decisions"].items()],
        history=_history(model),
        settings=_settings(model),
        command=escape("\n".join(visible(line) for line in command(model.config).split("\n"))),
        figures=Markup(embedded({"charts": [chart.figure() for chart in shown], "config": PLOTLY_CONFIG})),  # noqa: S704
        plotly=Markup(_plotly()),  # noqa: S704
    )
    return page.encode("utf-8", "replace").decode()  # a file's name may hold bytes that are no UTF-8


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
    return [*parts, f"{count(rows['dropped'])} dropped", *held_out]


def _metrics(model: Model) -> list[Table]:
    unit = sentences.errors_unit(model).strip().strip("()")
    tables = [_metrics_table("Errors" + (f", in {unit}" if unit else ""), model.metrics)]
    log_scale = model.metrics.get("log_scale")
    return [*tables, _metrics_table(f"Errors of log({model.contract.target})", log_scale)] if log_scale else tables


def _metrics_table(caption: str, metrics: Json) -> Table:
    baseline = metrics["baseline"]
    present = [role for role in ROLES if metrics.get(role)]
    extra = {"mae": "mean |error|", "largest": "largest |error|"}
    known = {key: word for key, word in extra.items() if any(metrics[role].get(key) is not None for role in present)}
    head = ["rows", "count", "RMSE", "RMSE of the mean alone", "R²", "bias", *known.values()]
    rows = []
    for role in present:
        found, mean = metrics[role], baseline.get(role) or {}
        numbers = [
            cell(found["rmse"]),
            cell(mean.get("rmse")),
            cell(found["r2"], r_squared),
            _bias(found),
        ]
        rows.append([Cell(ROLES[role]), counted(found["rows"]), *numbers, *(cell(found.get(key)) for key in known)])
    return Table(caption, [(text, i > 0) for i, text in enumerate(head)], rows)


def _bias(metrics: Json) -> Cell:
    """The bias; what is rounding beside the errors is 0, as it is for training rows with an intercept."""
    bias = cell(metrics["bias"], _rough)
    return bias._replace(text="0") if abs(metrics["bias"]) < NO_BIAS * metrics["rmse"] else bias


def _rough(value: float | None) -> str:
    return number(value, 2)


def _three(value: float | None) -> str:
    return number(value, 3)


def _references(model: Model) -> list[str]:
    found = []
    for name, scheme in model.representation.schemes.items():
        grouped = f" ({plural(scheme.grouped, 'rare level')} grouped)" if scheme.grouped else ""
        found.append(f"{name}={scheme.reference}{grouped}")
    return found


def _certificate(model: Model) -> Table:
    values = model.certificate.to_json()
    bounded = values["kind"] == "duality_gap"
    meanings = CERTIFICATE | BOUNDED if bounded else CERTIFICATE
    if bounded:
        values = {name: value for name, value in values.items() if value is not None}
    rows = []
    for name, value in values.items():
        figure = Cell(value, numeric=True) if isinstance(value, str) else cell(value, _certificate_digits(name))
        rows.append([Cell(name.replace("_", " ")), figure, Cell(meanings.get(name, ""))])
    return Table("The certificate, on the training rows", [("figure", False), ("value", True), ("meaning", False)], rows)


def _certificate_digits(name: str) -> Callable[[float | None], str]:
    """A gap or an error is known by its size; other figures by their digits."""
    if name == "trusted_digits":
        return _three
    return _rough if name in ("gap", "relative_gap", "coefficient_error", "rounding") else number


def _plan(model: Model) -> Table:
    plan = model.plan
    limit = plan["learning_rate_limit"]
    rate = "the rule chooses its own step sizes" if plan["learning_rate"] is None else number(plan["learning_rate"])
    if plan["learning_rate"] is not None and limit is not None:
        rate += f" (stable below {number(limit)})"
    named = {
        "oracle": plan["oracle"],
        "optimizer": plan["optimizer"].replace("_", " "),
        "learning rate": rate,
        "coordinates": plan["coordinates"],
        "predicted steps": "not reached" if plan["predicted_steps"] is None else count(plan["predicted_steps"]),
        "steps taken": count(model.result["steps"]),
        "stopped": model.result["stopped"]["message"],
        "stages": "; ".join(plan["stages"]),
        "reasons": "; ".join(plan["reasons"]),
        "seconds": number(model.result.get("seconds"), 3),
    }
    if plan.get("overflow_step") is not None:
        named["loss would overflow at step"] = count(plan["overflow_step"])
    return Table(
        "The plan, made before the first step, and what came of it",
        [("what", False), ("value", False)],
        [[Cell(name), Cell(value)] for name, value in named.items()],
    )


def _contract(model: Model) -> Table:
    contract = model.contract
    head = [("column", False), ("kind", False), ("unit", False), ("training range", False), ("null", True), ("levels", True)]
    target = [Cell(contract.target + " (target)"), Cell(str(contract.target_kind)), Cell(contract.target_unit or UNKNOWN)]
    rows = [[*target, Cell(UNKNOWN), Cell(UNKNOWN, numeric=True), Cell(UNKNOWN, numeric=True)]]
    for column in contract.columns.values():
        levels = column.distinct if column.distinct is not None else len(column.levels) if column.levels is not None else None
        described = [Cell(column.name), Cell(str(column.kind)), Cell(column.unit or UNKNOWN), Cell(_range(column))]
        rows.append([*described, Cell(percent(column.null_share), repr(column.null_share), numeric=True), counted(levels)])
    return Table("What the model expects of data", head, rows)


def _range(column: ColumnContract) -> str:
    low, high = column.minimum, column.maximum
    if low is None or high is None:
        return UNKNOWN
    if column.kind in (Kind.DATE, Kind.TIMESTAMP):
        return f"{_day(low)} to {_day(high)}"
    return f"{number(low, 6)} to {number(high, 6)}" + (" s" if column.kind in (Kind.TIME, Kind.DURATION) else "")


def _day(days: float) -> str:
    try:
        return str(EPOCH + timedelta(days=days))
    except (OverflowError, ValueError):
        return f"day {number(days)}"


def _history(model: Model) -> Table:
    names = {
        "step": "step",
        "objective": "loss J",
        "validation": "validation J",
        "gap": "gap",
        "relative_gap": "relative gap",
        "parameter_norm": "‖parameters‖",
        "gradient_norm": "‖gradient‖",
        "update_norm": "‖update‖",
    }
    columns = [HISTORY_COLUMNS.index(name) for name in names]
    steps = len(model.history_array)
    shown = list(range(steps))
    if steps > 2 * SHOWN_STEPS + 1:
        shown = [*range(SHOWN_STEPS), *range(steps - SHOWN_STEPS, steps)]
    rows = []
    for i in shown:
        if i and i - 1 not in shown:
            rows.append([Cell("…", numeric=True) for _ in columns])
        values = [float(model.history_array[i, j]) for j in columns]
        writers = [number if name in ("step", "objective", "validation") else _rough for name in names]
        rows.append([cell(v, write) for v, write in zip(values, writers, strict=True)])
        rows[-1][0] = counted(int(values[0]))
    all_steps = "" if len(shown) == steps else f", the first and last of {count(steps)} recorded; history.parquet has all"
    return Table(
        f"Steps{all_steps}. Norms are in the loop's coordinates ({model.coordinates.name})",
        [(n, True) for n in names.values()],
        rows,
    )


def _settings(model: Model) -> Table:
    defaults = default_settings()
    rows = []
    for name, value in model.config.items():
        origin = "default" if name in defaults and value == defaults[name] else "given"
        rows.append([Cell(name.replace("_", " ")), Cell(_words(value)), Cell(origin)])
    return Table("Settings of the run", [("setting", False), ("value", False), ("from", False)], rows)


def _words(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(str, value)) or UNKNOWN
        case dict():
            return ", ".join(f"{key}={word}" for key, word in value.items()) or UNKNOWN
        case _:
            return str(value)

"""The details of the report, section by section: what the page and the model card both show."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from gradline.model.model import HISTORY_COLUMNS
from gradline.report import assumptions, coefficients, dataflow, intervals, meaning_tables, representation, sentences
from gradline.report import decisions as decisions_made
from gradline.report.cells import Cell, Section, Table, cell, counted
from gradline.report.numerals import UNKNOWN, count, number, percent, plural, r_squared
from gradline.report.settings import settings
from gradline.types import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from gradline.inputs.contract import ColumnContract
    from gradline.model.model import Model
    from gradline.types import Json

SHOWN_STEPS = 6  # first and last ones of the history
NO_BIAS = 1e-9  # of the RMSE
ROLES = {"train": "training", "validation": "validation", "test": "test"}
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


def sections(model: Model) -> list[Section]:
    """All of them, those without anything to say left out."""
    assumed = assumptions.table(model)
    decisions = [f"{what.replace('_', ' ')}: {done}" for what, done in model.contract.to_json()["decisions"].items()]
    found = [
        Section(
            "Errors",
            [
                *_metrics(model),
                "RMSE: the root of the mean squared error. Bias: the mean of prediction − actual. R² is measured against the mean of the same rows.",
            ],
            open=True,
        ),
        Section("Coefficients", [*coefficients.tables(model), *_of_coefficients(model)], open=True),
        Section("What could be added", _could_be_added(model), open=True),
        Section("Assumptions", [] if assumed is None else [assumed]),
        Section("Certificate", [_certificate(model)]),
        Section("Plan", [_plan(model)]),
        Section("Contract", [_contract(model), *_derived(model), f"When new data break it: {', '.join(decisions)}."]),
        Section("History", [_history(model)]),
        Section("Settings", [settings(model)]),
    ]
    return [section for section in found if section.parts]


def meaning_sections(model: Model) -> list[Section]:
    """What the errors mean: of what was found by the read after training."""
    found = [
        Section("From data to decision", dataflow.parts(model), open=True),
        Section("Decisions", decisions_made.parts(model), open=True),
        Section("Intervals", intervals.parts(model)),
        *meaning_tables.sections(model),
    ]
    return [section for section in found if section.parts]


def _could_be_added(model: Model) -> list[Table | str]:
    """What the search for a representation found."""
    proposals = representation.proposals(model)
    return [
        *representation.searched(model),
        *([] if proposals is None else [proposals]),
        *representation.degrees(model),
    ]


def _derived(model: Model) -> list[str]:
    derived = representation.derived(model)
    return [f"Derived of these columns when they are read: {', '.join(derived)}."] if derived else []


def _of_coefficients(model: Model) -> list[str]:
    lines = [
        "A coefficient is the change of the prediction for one more of the feature, in your units; its effect is the coefficient times the "
        "feature's deviation in the training rows. The mean of a category's feature is its share of the rows."
    ]
    uncertain, references = coefficients.uncertain(model), _references(model)
    lines += [] if uncertain is None else [uncertain]
    if references:
        lines.append(f"Categories compare with their reference level, whose coefficient is 0: {', '.join(references)}.")
    return lines


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

"""Two models side by side: their settings, coefficients and certificates; and on data their errors on the same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gradline.arrays import flat_column
from gradline.errors import ContractError, DataError, UsageError, did_you_mean, plural
from gradline.evaluation.bootstrap import units_of
from gradline.evaluation.comparison import compare_predictions
from gradline.inputs.opening import open_source
from gradline.model.model import Model, load
from gradline.representation.decode import as_numbers
from gradline.splits.roles import time_ordinals, value_hashes
from gradline.types import Notice

if TYPE_CHECKING:
    from pathlib import Path

    from gradline.evaluation.comparison import Comparison
    from gradline.inputs.source import Source
    from gradline.splits.roles import Hashes
    from gradline.types import FloatArray, Json

NO_SETTINGS = ("data", "threads", "checkpoint_steps", "checkpoint_seconds")  # of the run, not of the model


def compare(a: Model | str | Path, b: Model | str | Path, data: Any = None, **settings: Any) -> Json:
    """Two models of one target side by side: the document that `compare --json` prints.

    Parameters
    ----------
    a, b : models, or where they are saved.
    data : whatever `gradline.train` takes, with the target and the columns of both; None compares what is stored in the models.
    **settings : how CSV is written: `header`, `delimiter`, `decimal`.

    Returns
    -------
    The document. With data `difference` holds the error of A less that of B with its interval, over the rows that both can predict, and
    `better` says `a`, `b`, or None where the difference is within noise.

    Raises
    ------
    UsageError : where the models predict different targets, or in different units.
    """
    one = a if isinstance(a, Model) else load(a)
    two = b if isinstance(b, Model) else load(b)
    _check_targets(one, two)
    document: Json = {
        "target": one.contract.target,
        "unit": one.contract.target_unit or two.contract.target_unit,
        "models": {"a": _described(one), "b": _described(two)},
        "settings": _differing(_settings(one), _settings(two)),
        "coefficients": _coefficients(one, two),
    }
    if data is None:
        return document | {"warnings": [notice.to_json() for notice in _other_rows(one, two)]}
    measured, rows, notices = _measured(one, two, data, settings)
    return document | {"rows": rows, **measured.to_json(), "warnings": [notice.to_json() for notice in notices]}


def _check_targets(a: Model, b: Model) -> None:
    if a.contract.target != b.contract.target:
        raise UsageError(
            f"the models predict different targets: {a.contract.target!r} and {b.contract.target!r}.",
            "errors of different things are not compared.",
        )
    units = a.contract.target_unit, b.contract.target_unit
    if None not in units and units[0] != units[1]:
        raise UsageError(f"the models predict {a.contract.target!r} in different units: {units[0]} and {units[1]}.")


def _described(model: Model) -> Json:
    """What a model says of itself."""
    return {
        "intercept": model.intercept,
        "features": len(model.representation.names),
        "columns": list(model.contract.columns),
        "steps": model.result["steps"],
        "stopped": model.result["stopped"],
        "rows": model.result["rows"],
        "split": model.result["split"],
        "certificate": model.certificate.to_json(),
        "metrics": model.metrics,
        "log_target": model.retransformation is not None,
        "warnings": len(model.notices),
    }


def _settings(model: Model) -> Json:
    return {name: value for name, value in model.config.items() if name not in NO_SETTINGS}


def _differing(a: Json, b: Json) -> Json:
    """{name: [of A, of B]}, null where it is unset."""
    return {name: [a.get(name), b.get(name)] for name in {**a, **b} if a.get(name) != b.get(name)}


def _coefficients(a: Model, b: Model) -> Json:
    of_a, of_b = a.coefficients, b.coefficients
    return {name: [of_a.get(name), of_b.get(name)] for name in {**of_a, **of_b}}


def _other_rows(a: Model, b: Model) -> list[Notice]:
    """That the stored metrics are of other rows."""
    same = a.result["split"] == b.result["split"] and a.result["rows"] == b.result["rows"] and a.files == b.files
    if same:
        return []
    text = (
        "the models were trained and tested on other rows: the metrics beside each other are not of the same. "
        "gradline compare A B DATA measures both on one table."
    )
    return [Notice("other_rows", None, text)]


class _Predicted(NamedTuple):
    """Of one model and all rows of the data, (n,) each; NaN where there is no prediction, or no target."""

    predicted: FloatArray
    actual: FloatArray
    group: Hashes | None
    time: FloatArray | None


def _measured(a: Model, b: Model, data: Any, settings: Json) -> tuple[Comparison, Json, list[Notice]]:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        source, of_a = _predictions(a, data, settings)
        notices = list(a.last_notices)
        _, of_b = _predictions(b, data, settings)
    notices += [notice for notice in b.last_notices if notice not in notices]
    if len(of_a.actual) != len(of_b.actual):
        raise DataError(f"{source.name} had {len(of_a.actual):,} rows at first and {len(of_b.actual):,} then.", "let it be.")
    target = ~np.isnan(of_a.actual) & ~np.isnan(of_b.actual)
    can_a, can_b = ~np.isnan(of_a.predicted), ~np.isnan(of_b.predicted)
    both = target & can_a & can_b
    rows = {
        "read": len(target),
        "compared": int(np.count_nonzero(both)),
        "without_target": int(np.count_nonzero(~target)),
        "without_prediction": {"a": int(np.count_nonzero(target & ~can_a)), "b": int(np.count_nonzero(target & ~can_b))},
    }
    if not rows["compared"]:
        raise DataError(
            f"{source.name} has no row with a target {a.contract.target!r} that both models can predict.",
            "compare on data with known targets.",
        )
    group = next((each.group[both] for each in (of_a, of_b) if each.group is not None), None)
    time = next((each.time[both] for each in (of_a, of_b) if each.time is not None), None)
    actual, one, two = of_a.actual[both], of_a.predicted[both], of_b.predicted[both]
    seed = int(a.config.get("seed", 0))
    units = units_of(len(actual), seed, group=group, time=time, error=(one - actual) ** 2 - (two - actual) ** 2)
    notices += _seen(source, a, b)
    return compare_predictions(actual, one, two, units, seed), rows, notices


def _seen(source: Source, a: Model, b: Model) -> list[Notice]:
    """That a model was trained on these very data."""
    trained = [name for name, model in (("A", a), ("B", b)) if set(source.files) & {tuple(file) for file in model.files}]
    if not trained:
        return []
    who = " and ".join(trained)
    text = (
        f"{source.name} is the file that {who} {'was' if len(trained) == 1 else 'were'} trained on: on new rows errors are larger, and the "
        "more so the more columns a model has. Compare on rows that neither has seen."
    )
    return [Notice("same_data", None, text)]


def _predictions(model: Model, data: Any, settings: Json) -> tuple[Source, _Predicted]:
    source = open_source(data, model.read_options(**settings))
    target = model.contract.target
    if target not in source.schema.names:
        raise ContractError(f"{source.name} has no column {target!r}, the target.", did_you_mean(target, source.schema.names))
    group, time = (
        name if name in source.schema.names else None for name in (model.config.get("group"), model.config.get("time"))
    )
    keep = tuple(dict.fromkeys(name for name in (target, group, time) if name is not None))
    predicted, actual, groups, times = [], [], [], []
    for block in model.predictions(source, keep):
        values = as_numbers(target, flat_column(block.table, target), model.contract.target_kind, block.first_row)
        predicted.append(block.predicted)
        actual.append(np.where(np.isfinite(values), values, np.nan))
        if group is not None:
            groups.append(value_hashes(0, flat_column(block.table, group)))
        if time is not None:
            times.append(time_ordinals(flat_column(block.table, time), time))
    if not predicted:
        raise DataError(f"{source.name} has {plural(0, 'row')}.", "give a table with rows.")
    order = np.concatenate(times) if times else None
    if order is not None and np.isnan(order).any():
        order = None  # rows without a time have no place in it
    return source, _Predicted(
        np.concatenate(predicted), np.concatenate(actual), np.concatenate(groups) if groups else None, order
    )

"""From a read to the coefficients of a target, one for each column, whatever the engine leaves out.

A column that does not vary has the coefficient 0. Without an intercept such columns are one: of an intercept b, v = b·c/‖c‖² is the
shortest v with v·c = b. A target that does not vary is its mean, and there is nothing to train.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.api import run
from gradline.assessing.assessment import check_assessment
from gradline.assessing.measuring import check_errors
from gradline.maths.certificate import Certificate
from gradline.sklearn.tables import weight_column
from gradline.sklearn.words import plain, refused
from gradline.training.config import TrainConfig
from gradline.training.prepared import Beginning, Progress
from gradline.types import Notice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from gradline.model.model import Model
    from gradline.sklearn.checks import Given
    from gradline.sklearn.reads import TargetRead
    from gradline.types import FloatArray


CALIBRATED = ("conformal", "quantile")  # intervals, on validation rows


class Trained(NamedTuple):
    """One target's fit. coefficients: (p,), intercept: in the user's units.  steps: of the loop.  model: None where nothing was trained."""

    coefficients: FloatArray
    intercept: float
    steps: int
    certificate: Certificate
    notices: tuple[Notice, ...]
    model: Model | None


def configs_of(settings: Mapping[str, Any], given: Given | None, *, as_rows: bool = False) -> list[TrainConfig]:
    """The settings of each target's run; without data, of a target to come. as_rows: the rows of a sparse matrix are kept."""
    values = {name: plain(value) for name, value in settings.items()} | {"validation": 0.0, "test": 0.0, "assess": "no"}
    if values["interval"] != "none":
        values["assess"] = "auto"  # intervals are made by that read
    if given is None:
        return TrainConfig.for_targets(["y"], values | {"validation": 0.1})
    if given.validation is not None:  # which rows they are `PartRoles` says; the share is for the record
        held_out, rows = given.validation.X.shape[0], given.training.X.shape[0]
        values["validation"] = held_out / (held_out + rows)
    elif values["interval"] in CALIBRATED:
        raise refused(
            f"interval={values['interval']!r} is calibrated on held-out rows, and there are none.",
            'give X_val and y_val to fit, or interval="jackknife+".',
        )
    if not as_rows:
        return TrainConfig.for_targets(given.targets, values | {"features": list(given.names), "weight": given.weight})
    weight = None if given.weight is None else weight_column(len(given.names))
    return [TrainConfig.from_mapping(values | {"target": target, "weight": weight}) for target in given.targets]


def trained(read: TargetRead, config: TrainConfig, begin: Beginning | None = None, progress: Progress | None = None) -> Trained:
    """Train on one target of a read."""
    constant = np.isfinite(read.constants)
    offsets = np.where(constant, read.constants, 0.0)  # columns that are an intercept
    stands_in = not config.intercept and bool(offsets.any())
    if stands_in:
        _refuse_penalised_offset(config)
    intercept = config.intercept or stands_in
    if read.rows < 2 or read.variance == 0.0 or constant.all():
        trivial = _trivial(read, config, intercept=intercept, all_constant=bool(constant.all()))
        return _shared_out(trivial, offsets) if stands_in else trivial
    check_errors(read.source, config)
    check_assessment(read.source, config)
    model = run(read.source, replace(config, intercept=intercept), progress, read=read.read, begin=begin)
    named = model.coefficients
    found = Trained(
        np.array([named.get(name, 0.0) for name in read.names]),
        model.intercept,
        int(model.result["steps"]),
        model.certificate,
        model.notices,
        model,
    )
    return _shared_out(found, offsets) if stands_in else found


def _shared_out(found: Trained, offsets: FloatArray) -> Trained:
    """The intercept as coefficients of the columns that are constant."""
    share = offsets * (found.intercept / float(offsets @ offsets))
    return found._replace(coefficients=found.coefficients + share, intercept=0.0)


def _refuse_penalised_offset(config: TrainConfig) -> None:
    if config.l1 > 0.0 or (config.l2 != 0.0 and config.scaling == "none"):
        raise refused(
            "fit_intercept=False, and a column is the same number in every row: it would be an intercept with a penalty.",
            "fit_intercept=True, which penalises none; or leave the column out.",
        )


def _trivial(read: TargetRead, config: TrainConfig, *, intercept: bool, all_constant: bool) -> Trained:
    """Nothing varies: the mean is the minimum of squared error, and a constant target's value that of every loss."""
    if not intercept and (read.mean != 0.0 or read.variance != 0.0):
        where = "n_samples=1, one sample" if read.rows < 2 else "no column varies" if all_constant else "the target is constant"
        raise refused(
            f"{where}, and fit_intercept=False: there is nothing that gradient descent could be measured by.",
            "fit_intercept=True, or give rows that vary.",
        )
    if config.loss != "squared" and read.variance != 0.0:
        raise refused(f"no column varies, and loss={config.loss!r} has nothing to learn from.", "give a column that varies.")
    why = (
        f"there is one training row, with the target {read.mean:g}"
        if read.rows < 2
        else f"the target is {read.mean:g} in every training row"
        if read.variance == 0.0
        else "no column varies in the training rows"
    )
    notice = Notice(
        "nothing_to_learn", None, f"{why}: every coefficient is 0, and every prediction the same. Give rows that vary."
    )
    objective = 0.5 * read.variance
    certificate = Certificate("exact", objective, objective, 0.0, 0.0, 0.0, 0.0, None, None, None, None)
    return Trained(np.zeros(len(read.names)), read.mean if intercept else 0.0, 0, certificate, (notice,), None)


def beginning(names: Sequence[str], coefficients: FloatArray, intercept: float) -> Beginning:
    """Where an earlier fit ended."""
    return Beginning(dict(zip(names, np.asarray(coefficients, dtype=np.float64).tolist(), strict=True)), float(intercept))

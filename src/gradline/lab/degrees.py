"""Training and validation loss at the minimum, for each degree of a polynomial: what overfitting is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gradline.errors import InputError
from gradline.lab.alteration import MOST_DEGREE
from gradline.lab.play import set_up
from gradline.types import Role, finite_or_none

if TYPE_CHECKING:
    from gradline.lab.settings import RunSettings, TableSettings
    from gradline.lab.table import LabTable
    from gradline.types import Json


def by_degree(table: LabTable, settings: TableSettings, run: RunSettings) -> Json:
    """J without the penalty at the minimum, on the training and on the validation rows; null where a degree cannot be had."""
    found: Json = {"degree": [], "train": [], "validation": [], "condition": []}
    for degree in range(1, MOST_DEGREE + 1):
        try:
            play = set_up(table, replace(settings, degree=degree), replace(run, batch=0, rule="conjugate_gradient", rate=None))
        except InputError:
            continue
        theta = play.solution.minimiser
        problem = play.problem
        found["degree"].append(degree)
        found["train"].append(finite_or_none(problem.loss_of(Role.TRAINING).value(theta)))
        found["validation"].append(None if problem.validation is None else finite_or_none(problem.validation.value(theta)))
        found["condition"].append(finite_or_none(play.solution.condition))
    return found

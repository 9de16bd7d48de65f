"""What the settings can be, and which of them cannot be together: every refusal of a setting, before anything is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gradline.decisions.policy import check_settings
from gradline.errors import UsageError, did_you_mean
from gradline.representation.expressions import MOST_POWER, parse
from gradline.splits.gap import parsed_gap

if TYPE_CHECKING:
    from gradline.training.config import TrainConfig

AUTO = "auto"
CHOICES = {
    "scaling": ("standard", "none"),
    "missing": ("impute", "drop", "error"),
    "unseen": ("warn", "error"),
    "out_of_range": ("warn", "clip", "error"),
    "loss": ("squared", "huber", "pinball"),
    "oracle": ("auto", "moments", "streamed", "minibatch"),
    "sampling": ("shuffled", "replacement"),
    "optimizer": (
        "auto",
        "gradient_descent",
        "momentum",
        "nesterov",
        "barzilai_borwein",
        "conjugate_gradient",
        "lbfgs",
        "adam",
        "averaged_sgd",
    ),
    "schedule": ("constant", "inverse_time", "cosine", "backtracking"),
    "on_divergence": ("stop", "shrink"),
    "errors": ("classical", "HC0", "HC1", "HC2", "HC3", "clustered"),
    "assess": ("auto", "yes", "no"),
    "interval": ("auto", "conformal", "jackknife+", "quantile", "none"),
    "act_on": ("prediction", "low", "high"),
}
FOLDS = 5  # where λ is to be chosen and nothing is said
MOST_FOLDS = 100  # of all repeats together: each has moments of its own
L2_PATH = 100
STOPS = ("certificate", "gap", "improvement", "validation", "gradient")
CHOSEN = ("learning_rate", "l2")  # None is a value of theirs: to be chosen
LISTS = ("other_targets", "features", "drop", "derive", "stop")
_NUMBERS = (
    "validation",
    "test",
    "learning_rate",
    "huber_delta",
    "quantile",
    "l2",
    "l1",
    "tolerance",
    "max_seconds",
    "checkpoint_seconds",
    "coverage",
    "false_alarm_cost",
    "miss_cost",
    "hit_cost",
    "precision",
    "recall",
)
_INTEGERS = (
    "batch_size",
    "min_level_rows",
    "max_levels",
    "patience",
    "max_steps",
    "max_epochs",
    "checkpoint_steps",
    "seed",
    "threads",
    "l2_path",
    "folds",
    "repeats",
    "degree",
    "degree_curve",
)
_FLAGS = ("log_target", "intercept", "force", "header", "learning_curve", "search")
_MAPPINGS = ("types", "units")
_EXCLUDES = {  # why a share cannot hold within strata
    "key": "rows of one value have one role, in whatever stratum they are.",
    "group": "rows of one value have one role, in whatever stratum they are.",
    "time": "the latest rows are held out, in whatever stratum they are.",
}


def check(config: TrainConfig) -> None:
    """Raise UsageError where a setting cannot be, or two of them cannot be together."""
    for name, choices in CHOICES.items():
        value = getattr(config, name)
        if value not in choices:
            raise UsageError(f"{_flag(name)} {value!r} is not known.", did_you_mean(str(value), choices))
    for name in config.stop:
        if name not in STOPS:
            raise UsageError(f"--stop {name!r} is not known.", did_you_mean(name, STOPS))
    if not config.stop:
        raise UsageError("--stop names nothing.", f"choose of {', '.join(STOPS)}.")
    for name in ("validation", "test"):
        if not 0.0 <= getattr(config, name) < 1.0:
            raise UsageError(
                f"{_flag(name)} {getattr(config, name)} is not a share of the rows.", "give a number from 0 to below 1."
            )
    if config.validation + config.test >= 1.0:
        raise UsageError("--validation and --test together leave no row to train on.", "let them add up to less than 1.")
    _check_loss(config)
    if not 0.0 < config.tolerance < 1.0:
        raise UsageError(f"--tolerance {config.tolerance} is not a relative tolerance.", "give a number between 0 and 1.")
    if not 0.0 <= config.checkpoint_seconds < float("inf"):
        raise UsageError(f"--checkpoint-seconds {config.checkpoint_seconds} is not a time.", "give a number of seconds.")
    if config.max_seconds is not None and not math.isfinite(config.max_seconds):
        raise UsageError(f"--max-seconds {config.max_seconds} is not a time.", "give a number of seconds.")
    rate = config.learning_rate
    if rate is not None and not 0.0 < rate < float("inf"):
        raise UsageError(f"--learning-rate {rate} is not a learning rate.", "give a positive number, or auto.")
    for name, least in {
        "max_steps": 0,
        "max_seconds": 0,
        "max_epochs": 0,
        "checkpoint_steps": 1,
        "patience": 1,
        "max_levels": 2,
        "batch_size": 1,
        "min_level_rows": 1,
        "threads": 1,
        "l2_path": 2,
        "folds": 0,
        "repeats": 1,
        "degree": 1,
        "degree_curve": 0,
    }.items():
        value = getattr(config, name)
        if value is not None and value < least:
            raise UsageError(f"{_flag(name)} {value} is too small.", f"give {least} or more.")
    if config.decimal not in (None, ".", ","):
        raise UsageError(f"--decimal {config.decimal!r} is no decimal mark.", "give . or ,")
    if sum(column is not None for column in (config.key, config.time, config.group)) > 1:
        raise UsageError("--key, --time and --group each decide the rows' roles; only one can.")
    _check_split(config)
    _check_errors(config)
    _check_intervals(config)
    _check_cost(config)
    _check_folds(config)
    _check_targets(config)
    _check_derived(config)
    config.kinds()


def _check_loss(config: TrainConfig) -> None:
    if config.l2 is not None and not 0.0 <= config.l2 < float("inf"):
        raise UsageError(f"--l2 {config.l2} is not a penalty.", "give a number from 0, or auto.")
    if not 0.0 <= config.l1 < float("inf"):
        raise UsageError(f"--l1 {config.l1} is not a penalty.", "give a number from 0.")
    if config.l1 > 0.0 and config.loss != "squared":
        raise UsageError(f"--l1 goes with squared error only, not with --loss {config.loss}.", "use --l2.")
    if config.huber_delta is not None and not 0.0 < config.huber_delta < float("inf"):
        raise UsageError(f"--huber-delta {config.huber_delta} is not a distance.", "give a positive number of target units.")
    if config.huber_delta is not None and config.loss != "huber":
        raise UsageError(f"--huber-delta has no meaning for --loss {config.loss}.", "--loss huber, or leave it out.")
    if config.quantile != 0.5 and config.loss != "pinball":
        raise UsageError(f"--quantile has no meaning for --loss {config.loss}.", "--loss pinball, or leave it out.")
    if not 0.0 < config.quantile < 1.0:
        raise UsageError(f"--quantile {config.quantile} is not between 0 and 1.", "0.5 is the median.")
    if config.loss != "squared" and config.oracle == "moments":
        raise UsageError(f"--loss {config.loss} has no moments: its gradient needs the rows.", "--oracle streamed or minibatch.")
    if config.loss == "pinball" and config.log_target:
        raise UsageError("--loss pinball and --log-target do not go together.", "a quantile needs no logarithm.")


def _check_split(config: TrainConfig) -> None:
    if config.gap is not None:
        parsed_gap(config.gap)
        if config.time is None:
            raise UsageError("--gap is a time before the rows held out by --time, which is not given.", "--time COLUMN.")
    if config.stratify is None:
        return
    for name in ("key", "time", "group"):
        if getattr(config, name) is not None:
            raise UsageError(
                f"--stratify and --{name} do not go together: {_EXCLUDES[name]}", f"leave --stratify or --{name} out."
            )


def _check_errors(config: TrainConfig) -> None:
    if config.errors == "classical":
        return
    if config.loss != "squared" or config.l1 > 0.0 or config.l2 != 0.0:
        other = f"--loss {config.loss}" if config.loss != "squared" else "--l1" if config.l1 > 0.0 else "--l2"
        raise UsageError(
            f"--errors {config.errors} is the covariance of least squares without a penalty; {other} has another.",
            f"leave {other} or --errors out.",
        )
    if config.errors == "clustered" and config.group is None:
        raise UsageError("--errors clustered does not know the clusters.", "name their column: --group.")


def _check_intervals(config: TrainConfig) -> None:
    asked = config.interval not in (AUTO, "none")
    if not 0.0 < config.coverage < 1.0:
        raise UsageError(f"--coverage {config.coverage} is not a share of the rows.", "give a number between 0 and 1, as 0.9.")
    if asked and config.assess == "no":
        raise UsageError(
            f"--interval {config.interval} is made by the read that --assess no leaves out.", "leave one of them out."
        )
    if config.interval in ("conformal", "quantile") and config.validation == 0.0:
        raise UsageError(
            f"--interval {config.interval} is calibrated on validation rows, and --validation 0 holds out none.",
            "--validation 0.1, or --interval jackknife+.",
        )
    if config.interval == "quantile" and config.log_target:
        raise UsageError("--interval quantile and --log-target do not go together.", "--interval conformal.")
    check_settings(config)


def _check_cost(config: TrainConfig) -> None:
    if config.cost is None and config.cost_unit is not None:
        raise UsageError("--cost-unit is the unit of --cost, and none is given.", "--cost under=3,over=1")
    if config.cost is not None and config.assess == "no":
        raise UsageError("--cost is measured on the rows, and --assess no does not read them.", "leave one of them out.")


def _check_folds(config: TrainConfig) -> None:
    if config.l2_path != L2_PATH and config.l2 is not None:
        raise UsageError("--l2-path is for --l2 auto, and λ is given.", "--l2 auto, or leave it out.")
    if config.folds == 1 or config.folds > MOST_FOLDS:
        raise UsageError(f"--folds {config.folds} cannot be.", f"give 2 to {MOST_FOLDS}, or 0 for no cross-validation.")
    if config.repeats > 1:
        _check_repeats(config)
    if not config.fold_count and not config.learning_curve:
        return
    if config.learning_curve and not config.validation:
        raise UsageError("--learning-curve is judged on the validation rows, and none are held out.", "--validation 0.1.")
    asked = "--l2 auto" if config.l2 is None else "--folds" if config.fold_count else "--learning-curve"
    does = "cross-validates squared error" if config.fold_count else "is of squared error"
    if config.loss != "squared" or config.l1 > 0.0:
        other = "--l1" if config.l1 > 0.0 else f"--loss {config.loss}"
        raise UsageError(
            f"{asked} {does} with the penalty (λ/2)‖w‖² from the moments; {other} has no such path.",
            f"leave {other} out, or {asked} and judge by the validation rows.",
        )


def _check_repeats(config: TrainConfig) -> None:
    if not config.fold_count:
        raise UsageError("--repeats repeats cross-validation, and there are no folds.", "--folds 5.")
    if config.time is not None:
        raise UsageError("--repeats divides the rows anew by a hash; by time they have one order.", "leave --repeats out.")
    if config.fold_count * config.repeats > MOST_FOLDS:
        raise UsageError(
            f"--folds {config.fold_count} --repeats {config.repeats} are {config.fold_count * config.repeats} folds, and each has moments of its own.",
            f"give at most {MOST_FOLDS} in all.",
        )


def _check_derived(config: TrainConfig) -> None:
    for name in ("degree", "degree_curve"):
        if getattr(config, name) > MOST_POWER:
            raise UsageError(
                f"{_flag(name)} {getattr(config, name)} is past {MOST_POWER}.",
                "a spline bends as much: --derive 'spline(column,5)'.",
            )
    if config.degree_curve == 1:
        raise UsageError("--degree-curve 1 compares nothing.", "give the largest degree to try: --degree-curve 4.")
    if len(config.expressions()) < len(config.derive):
        keys = [parse(text).key for text in config.derive]
        twice = next(text for i, text in enumerate(config.derive) if keys[i] in keys[:i])
        raise UsageError(f"--derive {twice!r} is there twice.", "name it once; a*b is b*a.")
    if (config.search or config.degree_curve) and (config.loss != "squared" or config.l1 > 0.0 or config.l2 != 0.0):
        asked = "--search" if config.search else "--degree-curve"
        other = f"--loss {config.loss}" if config.loss != "squared" else "--l1" if config.l1 > 0.0 else "--l2"
        raise UsageError(f"{asked} compares least-squares fits; {other} is another.", f"leave {other} out of the search.")


def _check_targets(config: TrainConfig) -> None:
    for target in config.targets:
        if config.targets.count(target) > 1:
            raise UsageError(f"the target {target!r} is named twice.", "name each target once.")
        if target in (config.features or ()):
            why = "a column cannot predict itself." if len(config.targets) == 1 else "no target is a feature of another."
            raise UsageError(f"the target {target!r} is among the features.", why)


def check_types(values: Mapping[str, Any]) -> None:
    """Raise UsageError for a value of the wrong type: a configuration file can hold anything."""
    for name, value in values.items():
        if value is None or name in LISTS:
            fits, wanted = (
                value is None or (isinstance(value, tuple) and all(isinstance(v, str) for v in value)),
                f"a list of {'names' if name == 'stop' else 'expressions' if name == 'derive' else 'column names'}",
            )
        elif name in _NUMBERS:
            fits, wanted = isinstance(value, int | float) and not isinstance(value, bool), "a number"
        elif name in _INTEGERS:
            fits, wanted = isinstance(value, int) and not isinstance(value, bool), "a whole number"
        elif name in _FLAGS:
            fits, wanted = isinstance(value, bool), "true or false"
        elif name in _MAPPINGS:
            fits, wanted = isinstance(value, Mapping) and all(isinstance(v, str) for v in value.values()), "names and words"
        elif name == "cost":
            fits, wanted = isinstance(value, str) or callable(value), "text or a function"
        else:
            fits, wanted = isinstance(value, str), "text"
        if not fits:
            raise UsageError(f"the setting {name} is {value!r}, which is not {wanted}.")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")

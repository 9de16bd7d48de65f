"""Every setting of a training run, once: the command line, the configuration file and `gradline.train` use these names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from gradline.decisions.cost import FUNCTION, function_name
from gradline.decisions.policy import check_settings
from gradline.errors import UsageError, did_you_mean
from gradline.inputs.address import without_password
from gradline.kinds import declared_kinds
from gradline.representation.expressions import MOST_POWER, parse
from gradline.splits.gap import parsed_gap

if TYPE_CHECKING:
    from gradline.representation.expressions import Expression
    from gradline.types import Json, Kind

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


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """The settings of one run.

    target: the column to predict.  other_targets: those that share its rows in a run of several: no feature, and where one of them
    is missing the row is left out.  features, drop: columns to use, or to leave out (default: all but the special ones).
    derive: numbers computed from columns, see `gradline.representation.expressions`.  degree: all powers up to it of every number.
    types: declared kinds, {"zip": "text"}.  units: {"distance": "miles"}.
    validation, test: shares of the rows held out.  key, group: columns whose values decide a row's role.  time: the latest
    rows are held out.  gap: rows of so long a time before them are used for nothing, in units of `time` or as `7d`, `12h`, `30m`.
    stratify: the shares hold within each level or tenth of this column.  weight: column of weights.
    scaling: `standard` or `none`.  missing, unseen, out_of_range: decisions of the contract.
    min_level_rows, max_levels: when levels of a category are grouped.  log_target: train on log(target).
    loss: `squared`, `huber` (linear beyond `huber_delta` target units; None: 1.345 robust deviations of the residuals) or `pinball` (the
    conditional `quantile`).
    oracle, optimizer, learning_rate: `auto` or as named.
    batch_size, sampling: of the mini-batch oracle: rows a step; `shuffled` epochs or `replacement`.
    schedule: how α changes with the steps, to `max_steps`; `backtracking`: by a line search, and `learning_rate` is its first trial.
    l2, l1: λ and λ₁ of (λ/2)‖w‖² and λ₁‖w‖₁ in the loop's coordinates; l2 None (`auto`): chosen by cross-validation from
    `l2_path` values and 0.
    folds: into how many the training rows are divided for cross-validation; 0: none, or FOLDS where λ is to be chosen; with `time`
    how many origins there are, each judged on the rows that follow it.  repeats: how many such divisions.
    learning_curve: the errors of models of a 64th of the training rows, a 32nd, … all of them.
    search: look for derived numbers that lower the cross-validated error, and propose them.  degree_curve: the error of each polynomial
    degree up to it; 0: none.
    stop: `certificate` (relative gap ≤ 1e-12 and coefficients within 1e-10) or `gap` (relative gap ≤ `tolerance`) or
    `improvement` (relative improvement of J below `tolerance` for `patience` steps) or `validation` (the validation loss likewise, and its best step kept) or `gradient` (its norm
    at most `tolerance` of the first); several: whichever comes first.  max_steps, max_epochs, max_seconds: budgets.
    checkpoint_steps, checkpoint_seconds: how often where the loop stands is written beside the run directory.
    errors: of the coefficients: `classical`, or robust by another read: `HC0` … `HC3`, `clustered` by `group`.
    assess: whether what the errors mean is found out by one more read of the rows: `yes`, `no`, or `auto`, where there are few.
    interval: how prediction intervals of `coverage` are made: `conformal` and `quantile` on the validation rows, `jackknife+` on the training
    rows; `auto`: conformal, where the rows are assessed and suffice.
    event: what is to be foreseen of the target, as ">15"; then a threshold for `act_on` (the prediction, or a bound of its interval) is
    chosen on the validation rows: for least cost of a false alarm, a miss and a hit, or for a `precision` or a `recall`.
    cost: of an error (predicted − actual): `under=3,over=1` a unit, a CSV file with the columns error and cost, or a function of an array of
    errors.  cost_unit: what it is counted in.
    on_divergence: `stop`, or `shrink`: back to the best step and on with half the learning rate.
    force: run a learning rate past its limit.  threads: workers (None: one a core).
    header, delimiter, decimal: how CSV is written, where that is not to be found out.  db: the address of the database that the SQL text is
    for; `to_json` has it without its password.
    """

    target: str
    other_targets: tuple[str, ...] | None = None
    features: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    derive: tuple[str, ...] = ()
    degree: int = 1
    types: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    validation: float = 0.1
    test: float = 0.1
    key: str | None = None
    time: str | None = None
    gap: str | None = None
    group: str | None = None
    stratify: str | None = None
    weight: str | None = None
    scaling: str = "standard"
    missing: str = "impute"
    unseen: str = "warn"
    out_of_range: str = "warn"
    min_level_rows: int | None = None
    max_levels: int = 1_000
    log_target: bool = False
    loss: str = "squared"
    huber_delta: float | None = None
    quantile: float = 0.5
    oracle: str = "auto"
    batch_size: int = 256
    sampling: str = "shuffled"
    optimizer: str = "auto"
    learning_rate: float | None = None
    schedule: str = "constant"
    l2: float | None = 0.0
    l2_path: int = L2_PATH
    l1: float = 0.0
    folds: int = 0
    repeats: int = 1
    learning_curve: bool = False
    search: bool = False
    degree_curve: int = 0
    intercept: bool = True
    stop: tuple[str, ...] = ("certificate",)
    tolerance: float = 1e-9
    patience: int = 5
    max_steps: int | None = None
    max_epochs: int | None = None
    max_seconds: float | None = None
    checkpoint_steps: int | None = None
    checkpoint_seconds: float = 60.0
    seed: int = 0
    errors: str = "classical"
    assess: str = "auto"
    interval: str = "auto"
    coverage: float = 0.9
    event: str | None = None
    act_on: str = "prediction"
    false_alarm_cost: float = 1.0
    miss_cost: float = 1.0
    hit_cost: float = 0.0
    precision: float | None = None
    recall: float | None = None
    cost: str | Callable[..., Any] | None = None
    cost_unit: str | None = None
    on_divergence: str = "stop"
    force: bool = False
    threads: int | None = None
    header: bool | None = None
    delimiter: str | None = None
    decimal: str | None = None
    db: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise UsageError(f"{_flag(name)} {value!r} is not known.", did_you_mean(str(value), choices))
        for name in self.stop:
            if name not in STOPS:
                raise UsageError(f"--stop {name!r} is not known.", did_you_mean(name, STOPS))
        if not self.stop:
            raise UsageError("--stop names nothing.", f"choose of {', '.join(STOPS)}.")
        for name in ("validation", "test"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise UsageError(
                    f"{_flag(name)} {getattr(self, name)} is not a share of the rows.", "give a number from 0 to below 1."
                )
        if self.validation + self.test >= 1.0:
            raise UsageError("--validation and --test together leave no row to train on.", "let them add up to less than 1.")
        self._check_loss()
        if not 0.0 < self.tolerance < 1.0:
            raise UsageError(f"--tolerance {self.tolerance} is not a relative tolerance.", "give a number between 0 and 1.")
        if not 0.0 <= self.checkpoint_seconds < float("inf"):
            raise UsageError(f"--checkpoint-seconds {self.checkpoint_seconds} is not a time.", "give a number of seconds.")
        if self.max_seconds is not None and not math.isfinite(self.max_seconds):
            raise UsageError(f"--max-seconds {self.max_seconds} is not a time.", "give a number of seconds.")
        rate = self.learning_rate
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
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{_flag(name)} {value} is too small.", f"give {least} or more.")
        if self.decimal not in (None, ".", ","):
            raise UsageError(f"--decimal {self.decimal!r} is no decimal mark.", "give . or ,")
        if sum(column is not None for column in (self.key, self.time, self.group)) > 1:
            raise UsageError("--key, --time and --group each decide the rows' roles; only one can.")
        self._check_split()
        self._check_errors()
        self._check_intervals()
        self._check_cost()
        self._check_folds()
        self._check_targets()
        self._check_derived()
        self.kinds()

    def _check_loss(self) -> None:
        if self.l2 is not None and not 0.0 <= self.l2 < float("inf"):
            raise UsageError(f"--l2 {self.l2} is not a penalty.", "give a number from 0, or auto.")
        if not 0.0 <= self.l1 < float("inf"):
            raise UsageError(f"--l1 {self.l1} is not a penalty.", "give a number from 0.")
        if self.l1 > 0.0 and self.loss != "squared":
            raise UsageError(f"--l1 goes with squared error only, not with --loss {self.loss}.", "use --l2.")
        if self.huber_delta is not None and not 0.0 < self.huber_delta < float("inf"):
            raise UsageError(f"--huber-delta {self.huber_delta} is not a distance.", "give a positive number of target units.")
        if self.huber_delta is not None and self.loss != "huber":
            raise UsageError(f"--huber-delta has no meaning for --loss {self.loss}.", "--loss huber, or leave it out.")
        if self.quantile != 0.5 and self.loss != "pinball":
            raise UsageError(f"--quantile has no meaning for --loss {self.loss}.", "--loss pinball, or leave it out.")
        if not 0.0 < self.quantile < 1.0:
            raise UsageError(f"--quantile {self.quantile} is not between 0 and 1.", "0.5 is the median.")
        if self.loss != "squared" and self.oracle == "moments":
            raise UsageError(
                f"--loss {self.loss} has no moments: its gradient needs the rows.", "--oracle streamed or minibatch."
            )
        if self.loss == "pinball" and self.log_target:
            raise UsageError("--loss pinball and --log-target do not go together.", "a quantile needs no logarithm.")

    def _check_split(self) -> None:
        if self.gap is not None:
            parsed_gap(self.gap)
            if self.time is None:
                raise UsageError("--gap is a time before the rows held out by --time, which is not given.", "--time COLUMN.")
        if self.stratify is None:
            return
        for name in ("key", "time", "group"):
            if getattr(self, name) is not None:
                raise UsageError(
                    f"--stratify and --{name} do not go together: {_EXCLUDES[name]}", f"leave --stratify or --{name} out."
                )

    def _check_errors(self) -> None:
        if self.errors == "classical":
            return
        if self.loss != "squared" or self.l1 > 0.0 or self.l2 != 0.0:
            other = f"--loss {self.loss}" if self.loss != "squared" else "--l1" if self.l1 > 0.0 else "--l2"
            raise UsageError(
                f"--errors {self.errors} is the covariance of least squares without a penalty; {other} has another.",
                f"leave {other} or --errors out.",
            )
        if self.errors == "clustered" and self.group is None:
            raise UsageError("--errors clustered does not know the clusters.", "name their column: --group.")

    def _check_intervals(self) -> None:
        asked = self.interval not in (AUTO, "none")
        if not 0.0 < self.coverage < 1.0:
            raise UsageError(f"--coverage {self.coverage} is not a share of the rows.", "give a number between 0 and 1, as 0.9.")
        if asked and self.assess == "no":
            raise UsageError(
                f"--interval {self.interval} is made by the read that --assess no leaves out.", "leave one of them out."
            )
        if self.interval in ("conformal", "quantile") and self.validation == 0.0:
            raise UsageError(
                f"--interval {self.interval} is calibrated on validation rows, and --validation 0 holds out none.",
                "--validation 0.1, or --interval jackknife+.",
            )
        if self.interval == "quantile" and self.log_target:
            raise UsageError("--interval quantile and --log-target do not go together.", "--interval conformal.")
        check_settings(self)

    def _check_cost(self) -> None:
        if self.cost is None and self.cost_unit is not None:
            raise UsageError("--cost-unit is the unit of --cost, and none is given.", "--cost under=3,over=1")
        if self.cost is not None and self.assess == "no":
            raise UsageError("--cost is measured on the rows, and --assess no does not read them.", "leave one of them out.")

    def _check_folds(self) -> None:
        if self.l2_path != L2_PATH and self.l2 is not None:
            raise UsageError("--l2-path is for --l2 auto, and λ is given.", "--l2 auto, or leave it out.")
        if self.folds == 1 or self.folds > MOST_FOLDS:
            raise UsageError(f"--folds {self.folds} cannot be.", f"give 2 to {MOST_FOLDS}, or 0 for no cross-validation.")
        if self.repeats > 1:
            self._check_repeats()
        if not self.fold_count and not self.learning_curve:
            return
        if self.learning_curve and not self.validation:
            raise UsageError("--learning-curve is judged on the validation rows, and none are held out.", "--validation 0.1.")
        asked = "--l2 auto" if self.l2 is None else "--folds" if self.fold_count else "--learning-curve"
        does = "cross-validates squared error" if self.fold_count else "is of squared error"
        if self.loss != "squared" or self.l1 > 0.0:
            other = "--l1" if self.l1 > 0.0 else f"--loss {self.loss}"
            raise UsageError(
                f"{asked} {does} with the penalty (λ/2)‖w‖² from the moments; {other} has no such path.",
                f"leave {other} out, or {asked} and judge by the validation rows.",
            )

    def _check_repeats(self) -> None:
        if not self.fold_count:
            raise UsageError("--repeats repeats cross-validation, and there are no folds.", "--folds 5.")
        if self.time is not None:
            raise UsageError("--repeats divides the rows anew by a hash; by time they have one order.", "leave --repeats out.")
        if self.fold_count * self.repeats > MOST_FOLDS:
            raise UsageError(
                f"--folds {self.fold_count} --repeats {self.repeats} are {self.fold_count * self.repeats} folds, and each has moments of its own.",
                f"give at most {MOST_FOLDS} in all.",
            )

    def _check_derived(self) -> None:
        for name in ("degree", "degree_curve"):
            if getattr(self, name) > MOST_POWER:
                raise UsageError(
                    f"{_flag(name)} {getattr(self, name)} is past {MOST_POWER}.",
                    "a spline bends as much: --derive 'spline(column,5)'.",
                )
        if self.degree_curve == 1:
            raise UsageError("--degree-curve 1 compares nothing.", "give the largest degree to try: --degree-curve 4.")
        if len(self.expressions()) < len(self.derive):
            keys = [parse(text).key for text in self.derive]
            twice = next(text for i, text in enumerate(self.derive) if keys[i] in keys[:i])
            raise UsageError(f"--derive {twice!r} is there twice.", "name it once; a*b is b*a.")
        if (self.search or self.degree_curve) and (self.loss != "squared" or self.l1 > 0.0 or self.l2 != 0.0):
            asked = "--search" if self.search else "--degree-curve"
            other = f"--loss {self.loss}" if self.loss != "squared" else "--l1" if self.l1 > 0.0 else "--l2"
            raise UsageError(f"{asked} compares least-squares fits; {other} is another.", f"leave {other} out of the search.")

    def expressions(self) -> dict[object, Expression]:
        """The derived numbers by what makes two of them the same. Raises UsageError."""
        found = [parse(text) for text in self.derive]
        return {expression.key: expression for expression in found}

    @property
    def fold_count(self) -> int:
        """Into how many folds the training rows are divided; 0 without cross-validation."""
        return self.folds or (FOLDS if self.l2 is None else 0)

    @property
    def penalty(self) -> float:
        """λ, once it is known."""
        if self.l2 is None:
            raise ValueError("λ is chosen by cross-validation before it is used")
        return self.l2

    def with_penalty(self, l2: float) -> TrainConfig:
        """The same settings, λ having been chosen."""
        return replace(self, l2=l2, l2_path=L2_PATH, folds=self.fold_count)

    def _check_targets(self) -> None:
        for target in self.targets:
            if self.targets.count(target) > 1:
                raise UsageError(f"the target {target!r} is named twice.", "name each target once.")
            if target in (self.features or ()):
                why = "a column cannot predict itself." if len(self.targets) == 1 else "no target is a feature of another."
                raise UsageError(f"the target {target!r} is among the features.", why)

    @property
    def targets(self) -> tuple[str, ...]:
        """The target, then those that share its rows."""
        return (self.target, *(self.other_targets or ()))

    def kinds(self) -> dict[str, Kind]:
        """The declared kinds."""
        return declared_kinds(self.types)

    def to_json(self) -> Json:
        """All settings, for the model and the configuration file; those that are unset are left out."""
        document = {name: value for name, value in asdict(self).items() if value is not None}
        document = document if self.l2 is not None else document | {"l2": AUTO}
        if callable(self.cost):
            document["cost"] = FUNCTION + function_name(self.cost)  # its code is not saved
        document = document if self.db is None else document | {"db": without_password(self.db)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in document.items()}

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> TrainConfig:
        """From names and values, with lists for tuples and `auto` for a learning rate or λ that is to be chosen."""
        known = {f.name for f in fields(cls)}
        values = dict(settings)
        if isinstance(values.get("gap"), int | float) and not isinstance(values["gap"], bool):
            values["gap"] = f"{values['gap']}"
        for name in values:
            if name not in known:
                raise UsageError(f"there is no setting {name!r}.", did_you_mean(name, known))
        for name in _CHOSEN:
            if values.get(name) == AUTO:
                values[name] = None
        for name in _LISTS:
            if isinstance(values.get(name), str):
                values[name] = (values[name],)
            elif isinstance(values.get(name), Sequence):
                values[name] = tuple(values[name])
        _check_types(values)
        return cls(**{name: value for name, value in values.items() if value is not None or name in _CHOSEN})

    @classmethod
    def for_targets(cls, targets: Sequence[str], settings: Mapping[str, Any]) -> list[TrainConfig]:
        """The settings of each target's run; where there are several, each has the rest as `other_targets`."""
        configs = []
        for i, target in enumerate(targets):
            others = {"other_targets": [*targets[:i], *targets[i + 1 :]]} if len(targets) > 1 else {}
            configs.append(cls.from_mapping({**settings, **others, "target": target}))
        return configs


_EXCLUDES = {  # why a share cannot hold within strata
    "key": "rows of one value have one role, in whatever stratum they are.",
    "group": "rows of one value have one role, in whatever stratum they are.",
    "time": "the latest rows are held out, in whatever stratum they are.",
}
_CHOSEN = ("learning_rate", "l2")  # None is a value of theirs: to be chosen
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
_LISTS = ("other_targets", "features", "drop", "derive", "stop")
_FLAGS = ("log_target", "intercept", "force", "header", "learning_curve", "search")
_MAPPINGS = ("types", "units")


def _check_types(values: Mapping[str, Any]) -> None:
    """Raise UsageError for a value of the wrong type: a configuration file can hold anything."""
    for name, value in values.items():
        if value is None or name in _LISTS:
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

"""Every setting of a training run, once: the command line, the configuration file and `gradline.train` use these names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from gradline.decisions.cost import FUNCTION, function_name
from gradline.errors import UsageError, did_you_mean
from gradline.inputs.address import without_password
from gradline.kinds import declared_kinds
from gradline.representation.expressions import parse
from gradline.training.checks import AUTO, CHOSEN, FOLDS, L2_PATH, LISTS, check, check_types

if TYPE_CHECKING:
    from gradline.representation.expressions import Expression
    from gradline.types import Json, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """The settings of one run.

    target: the column to predict.  other_targets: those that share its rows in a run of several: no feature, and where one of them
    is missing the row is left out.  features, drop: columns to use, or to leave out (default: all but the special ones).
    derive: numbers computed from columns, as in docs/representation.md.  degree: all powers up to it of every number.
    types: declared kinds, {"zip": "text"}.  units: {"distance": "miles"}.
    validation, test: shares of the rows held out.  key, group: columns whose values decide a row's role.  time: the latest
    rows are held out.  gap: rows of so long a time before them are used for nothing, in units of `time` or as `7d`, `12h`, `30m`.
    stratify: the shares hold within each level or tenth of this column.  weight: column of weights.
    seed: of the rows' roles and of mini-batches.  scaling: the loop's coordinates, `standard` or `none`.
    missing: what the contract decides of a null feature: `impute` (mean and indicator), `drop` or `error`.  unseen: of a level that training has
    not seen: `warn` or `error`.  out_of_range: of a value outside the training range: `warn`, `clip` or `error`.
    min_level_rows, max_levels: when levels of a category are grouped.  log_target: train on log(target).  intercept: whether there is a b.
    loss: `squared`, `huber` (linear beyond `huber_delta` target units; None: 1.345 robust deviations of the residuals) or `pinball` (the
    conditional `quantile`).
    oracle: where gradients come from: `auto`, `moments`, `streamed` or `minibatch`.  optimizer: `auto`, or an update rule by its name.
    learning_rate: α, or `auto`.
    batch_size, sampling: of the mini-batch oracle: rows a step; `shuffled` epochs or `replacement`.
    schedule: how α changes with the steps, to `max_steps`: `constant`, `inverse_time`, `cosine`; `backtracking`: by a line search, and
    `learning_rate` is its first trial.
    l2, l1: λ and λ₁ of (λ/2)‖w‖² and λ₁‖w‖₁ in the loop's coordinates; l2 None (`auto`): chosen by cross-validation from
    `l2_path` values and 0.
    folds: into how many the training rows are divided for cross-validation; 0: none, or 5 where λ is to be chosen; with `time`
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
    chosen on the validation rows: for least cost, or for a `precision` or a `recall`.  false_alarm_cost, miss_cost, hit_cost: of acting without
    the event, of not acting before it, of acting before it.
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
        check(self)

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
        for name in CHOSEN:
            if values.get(name) == AUTO:
                values[name] = None
        for name in LISTS:
            if isinstance(values.get(name), str):
                values[name] = (values[name],)
            elif isinstance(values.get(name), Sequence):
                values[name] = tuple(values[name])
        check_types(values)
        return cls(**{name: value for name, value in values.items() if value is not None or name in CHOSEN})

    @classmethod
    def for_targets(cls, targets: Sequence[str], settings: Mapping[str, Any]) -> list[TrainConfig]:
        """The settings of each target's run; where there are several, each has the rest as `other_targets`."""
        configs = []
        for i, target in enumerate(targets):
            others = {"other_targets": [*targets[:i], *targets[i + 1 :]]} if len(targets) > 1 else {}
            configs.append(cls.from_mapping({**settings, **others, "target": target}))
        return configs

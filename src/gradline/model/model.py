"""The model: everything that a training run leaves behind, and predictions from it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

import numpy as np

from gradline.arrays import as_arrow
from gradline.errors import ModelFileError, UsageError, plural, printable
from gradline.inputs.contract import ContractCheck
from gradline.inputs.opening import open_source
from gradline.inputs.source import ReadOptions
from gradline.maths.conformal import Bounds
from gradline.representation.decode import Decoder
from gradline.representation.features import Representation
from gradline.training.stopping import Step, StopReason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

    from gradline.decisions.policy import Policy
    from gradline.inputs.contract import Contract
    from gradline.inputs.source import Source
    from gradline.maths.certificate import Certificate
    from gradline.maths.coordinates import Coordinates
    from gradline.maths.moments import Moments
    from gradline.model.intervals import Intervals
    from gradline.representation.sparse import SparseRepresentation
    from gradline.types import Decoded, FloatArray, Json, Notice, Role

HISTORY_COLUMNS = tuple(f.name for f in fields(Step))


@dataclass(frozen=True, slots=True)
class Retransformation:
    """From log(target) back to the target: prediction = exp(score)·factor.

    exp(mean of a log) lies below the mean; the factor mends that. method: `smearing`, the mean of exp(residual) over the
    training rows (Duan, JASA 1983), or `normal`, exp(σ²/2), where the data cannot be read a second time.
    """

    method: str
    factor: float


@dataclass(frozen=True, slots=True)
class Sampled:
    """A uniform sample of the rows, for pictures: actual and predicted (n,) in the target's unit, roles (n,)."""

    actual: FloatArray
    predicted: FloatArray
    roles: np.ndarray[tuple[int], np.dtype[np.uint8]]


@dataclass(frozen=True, slots=True)
class Predictions:
    """A block of predictions. table: the block as read; first_row: its first row's number; predicted: (n,), NaN where the
    contract gives none.  file: which of the source's files; decoded: the features, None of a sparse table.
    bounds: of the intervals in the target's unit, NaN likewise; None where there are none, or they were not asked for.
    """

    table: pa.RecordBatch | pa.Table
    first_row: int
    predicted: FloatArray
    file: int = 0
    decoded: Decoded | None = None
    bounds: Bounds | None = None

    def acted_on(self, what: str) -> FloatArray:
        """The `prediction`, or the bound `low` or `high` of its interval, (n,)."""
        if what == "prediction":
            return self.predicted
        if self.bounds is None:
            raise UsageError(f"the policy acts on the {what} bound of an interval, and there is none.", "train again.")
        return self.bounds.low if what == "low" else self.bounds.high


class PredictedIntervals(NamedTuple):
    """Predictions and the bounds of their intervals in the target's unit, (rows,) each; NaN for rows that the contract drops."""

    prediction: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, repr=False)
class Model:
    """A trained model. Parameters are θ in the loop's coordinates; `coefficients` and `intercept` are in the user's units.

    certificate: how far it is from the global minimum.  contract: what it expects of new data.
    result: the document that `train --json` prints, without the model's path.  config: the run's settings.
    history_array: (steps, columns of HISTORY_COLUMNS), NaN where a value was not computed.  moments: of the features and the
    target, by role.  theta_low: what is to be added to θ, where it was refined to twice the precision.
    intervals, policy: what is predicted beside the prediction, None where there is none.
    """

    contract: Contract
    representation: Representation | SparseRepresentation
    coordinates: Coordinates
    theta: FloatArray
    certificate: Certificate
    retransformation: Retransformation | None
    result: Json
    config: Json
    files: tuple[tuple[str, int], ...]
    moments: Mapping[Role, Moments]
    history_array: FloatArray
    sampled: Sampled
    notices: tuple[Notice, ...] = ()
    theta_low: FloatArray | None = None
    intervals: Intervals | None = None
    policy: Policy | None = None
    _last_notices: list[Notice] = field(default_factory=list)

    def __repr__(self) -> str:
        """What was learned from how much, in one line; `coefficients`, `metrics` and `certificate` have the numbers."""
        features = plural(len(self.representation.names), "feature")
        learned = f"{printable(self.contract.target)} from {features}, {plural(self.result['rows']['train'], 'training row')}"
        return f"<gradline model of {learned}; {self.stop_reason.value.partition(':')[0]}>"

    @property
    def coefficients(self) -> dict[str, float]:
        """Change of the target (of log(target), if trained on it) per unit of each feature."""
        values = self.coordinates.to_user(self.theta, self.theta_low).coefficients
        return dict(zip(self.representation.names, map(float, values), strict=True))

    @property
    def intercept(self) -> float:
        """The prediction where every feature is 0 and every category at its reference, in the target's unit (of log(target), if
        trained on it).
        """
        return self.coordinates.to_user(self.theta, self.theta_low).intercept

    @property
    def metrics(self) -> Json:
        """Errors on training, validation and test rows, and those of the baseline."""
        metrics: Json = self.result["metrics"]
        return metrics

    @property
    def warnings(self) -> list[Json]:
        """What is doubtful about the fit."""
        return [notice.to_json() for notice in self.notices]

    @property
    def penalty(self) -> float:
        """λ of the penalty (λ/2)‖w‖²: as given, or as cross-validation chose it."""
        validated = self.result.get("cross_validation")
        return float(validated["chosen"] if validated is not None else self.config.get("l2", 0.0))

    @property
    def plan(self) -> Json:
        """What was planned before the first step."""
        plan: Json = self.result["plan"]
        return plan

    @property
    def stop_reason(self) -> StopReason:
        """Why the loop ended."""
        return StopReason[self.result["stopped"]["reason"].upper()]

    @property
    def data_name(self) -> str:
        """What the training data were called."""
        data = self.config.get("data", "")
        return ", ".join(data) if isinstance(data, list) else str(data)

    @property
    def history(self) -> pa.Table:
        """The steps, one a row, as an Arrow table."""
        import pyarrow as pa

        arrays: dict[str, pa.Array] = {}
        for j, name in enumerate(HISTORY_COLUMNS):
            values = self.history_array[:, j]
            match name:
                case "step":
                    arrays[name] = as_arrow(values.astype(np.int64))
                case "at_rounding":
                    arrays[name] = as_arrow(values == 1.0)
                case _:
                    arrays[name] = as_arrow(values, nan_is_null=True)
        return pa.table(arrays)

    @property
    def last_notices(self) -> tuple[Notice, ...]:
        """What the last prediction's data broke of the contract."""
        return tuple(self._last_notices)

    @overload
    def predict(self, data: Any, *, return_interval: Literal[False] = False, db: str | None = None) -> FloatArray: ...
    @overload
    def predict(self, data: Any, *, return_interval: Literal[True], db: str | None = None) -> PredictedIntervals: ...
    def predict(self, data: Any, *, return_interval: bool = False, db: str | None = None) -> FloatArray | PredictedIntervals:
        """Predictions in the target's unit, (rows,); NaN for rows that the contract drops.

        data: whatever `gradline.train` takes.  return_interval: the bounds of their intervals as well, infinite where too few rows
        calibrated them.  db: the database that SQL text is for.  Raises ContractError where the data break the contract and its
        decision is `error`; other breaches are told as GradlineWarning.
        """
        if return_interval and self.intervals is None:
            raise UsageError("this model has no prediction intervals.", "train with --interval conformal or jackknife+.")
        blocks = list(self.predictions(open_source(data, self.read_options(db=db)), intervals=return_interval))
        self._warn()
        predicted = np.concatenate([block.predicted for block in blocks]) if blocks else np.zeros(0)
        if not return_interval:
            return predicted
        bounds = [block.bounds for block in blocks if block.bounds is not None]
        low, high = (
            (np.concatenate(each) if each else np.zeros(0) for each in zip(*bounds, strict=True)) if bounds else (predicted,) * 2
        )
        return PredictedIntervals(predicted, low, high)

    def decide(self, data: Any) -> pa.BooleanArray:
        """Whether to act on each row, by the model's policy, (rows,); null for rows that the contract drops."""
        import pyarrow as pa

        if self.policy is None:
            raise UsageError("this model has no policy.", 'train with --event, as --event ">15".')
        blocks = self.predictions(open_source(data, self.read_options()), intervals=True)
        decided = [self.decided(block, self.policy) for block in blocks]
        self._warn()
        return pa.concat_arrays(decided) if decided else pa.array([], pa.bool_())

    @staticmethod
    def decided(block: Predictions, policy: Policy) -> pa.BooleanArray:
        """Whether to act on each row of a block that was predicted with its bounds; null where there is no prediction."""
        import pyarrow as pa

        acted = policy.acts(block.acted_on(policy.act_on))
        present = as_arrow(~np.isnan(block.predicted)).buffers()[1]
        return pa.Array.from_buffers(pa.bool_(), len(acted), [present, as_arrow(acted).buffers()[1]])

    def _warn(self) -> None:
        import warnings

        from gradline.errors import GradlineWarning

        for notice in self._last_notices:
            warnings.warn(notice.message, GradlineWarning, stacklevel=3)

    def read_options(self, *, keep: tuple[str, ...] = (), **settings: Any) -> ReadOptions:
        """How text files must be read to suit the contract; `keep`: further columns, read as they are written."""
        from gradline.types import Kind

        kinds = {name: column.kind for name, column in self.contract.columns.items() if column.kind is not Kind.DURATION}
        kinds |= {name: Kind.TEXT for name in keep if name not in kinds and name != self.contract.target}
        saved: Json = {name: self.config.get(name) for name in ("header", "delimiter", "decimal")}
        return ReadOptions(kinds=kinds, expected=frozenset(self.contract.columns), **(saved | settings))

    def decoder(self) -> Decoder:
        """What decodes the contract's columns, and derives what the representation derives of them."""
        kinds = {name: column.kind for name, column in self.contract.columns.items()}
        return Decoder(kinds, derived=self.representation.derived)

    def predictions(self, source: Source, keep: tuple[str, ...] = (), *, intervals: bool = False) -> Iterator[Predictions]:
        """Predictions block by block, with the columns `keep` beside, and the bounds of their `intervals`; the contract is checked on
        the way.
        """
        self.contract.check_schema(source.schema, source.name)
        check = ContractCheck(self.contract, source.name)
        decoder = self.decoder()
        self._last_notices.clear()
        for block in source.blocks(list(dict.fromkeys([*decoder.kinds, *keep]))):
            table = block.load()
            decoded, unpredicted = check.apply(decoder.columns(table, block.first_row), block.first_row)
            decoded = decoder.derive(decoded, np.arange(block.first_row, block.first_row + table.num_rows))
            score = self._score(decoded)
            predicted, bounds = self._raised(score), self._bounds(decoded, score) if intervals else None
            if unpredicted is not None:
                for values in (predicted, *(bounds or ())):
                    values[unpredicted] = np.nan
            yield Predictions(table, block.first_row, predicted, block.file, decoded, bounds)
        self._last_notices.extend(check.notices())

    def _score(self, decoded: Decoded) -> FloatArray:
        w, b = self.coordinates.weights_and_bias(self.theta)
        assert isinstance(self.representation, Representation)
        return self.representation.scores(decoded, w, self.coordinates.centre, self.coordinates.scale) + b

    def _raised(self, score: FloatArray) -> FloatArray:
        if self.retransformation is None:
            return score
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(score) * self.retransformation.factor)

    def _bounds(self, decoded: Decoded, score: FloatArray) -> Bounds | None:
        if self.intervals is None:
            return None
        assert isinstance(self.representation, Representation)
        bounds = self.intervals.bounds(decoded, score, self.representation, self.coordinates)
        if self.retransformation is None:
            return bounds
        with np.errstate(over="ignore"):  # no factor: it is of the mean, and these are quantiles
            return Bounds(np.exp(bounds.low), np.exp(bounds.high))

    def save(self, path: str | Path) -> None:
        """Write the model to one file, atomically. Raises StorageError."""
        from pathlib import Path

        from gradline.model.file import write_model
        from gradline.storage import atomic_file

        with atomic_file(Path(path)) as staging:
            write_model(self, staging)


def load(path: str | Path) -> Model:
    """The model of a file or of a run directory. Raises ModelFileError where it cannot be believed."""
    from pathlib import Path

    from gradline.model.file import read_model
    from gradline.storage import RUN_MARKER

    file = Path(path).expanduser()
    if file.is_dir():
        if not (file / RUN_MARKER).is_file():
            raise ModelFileError(
                f"{file} is not a run directory: it holds no {RUN_MARKER}.", "give the directory that train wrote."
            )
        file = file / RUN_MARKER
    if not file.is_file():
        raise ModelFileError(f"there is no model {file}.", "give the directory or the file that train wrote.")
    return read_model(file)

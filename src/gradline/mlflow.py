"""A model as a flavour of MLflow's, and a run as its artifacts: what `mlflow models serve` and `mlflow.pyfunc` load is gradline's own file.

    import gradline.mlflow
    gradline.mlflow.log_model(model, name="flights")        # in the run that is active
    gradline.mlflow.load_model("models:/m-…")               # the Model; mlflow.pyfunc.load_model predicts data frames

The module is named as MLflow's own flavours are; `import mlflow` in it is the library.
"""

from __future__ import annotations

import math
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradline.errors import StorageError, UsageError
from gradline.model.model import Model, load
from gradline.types import Kind
from gradline.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

FLAVOR_NAME = "gradline"
FILE = "model.gradline"
LONGEST_PARAMETER = 6_000  # that MLflow keeps


def save_model(
    gradline_model: Model,
    path: str | Path,
    *,
    mlflow_model: Any = None,
    pip_requirements: list[str] | None = None,
    **described: Any,
) -> None:
    """Write a model in MLflow's format to a new folder. described: fields of its MLmodel file: `metadata`, `input_example`, …

    Raises UsageError for a sparse model, which takes no table of columns, and where MLflow is missing.
    """
    if type(gradline_model) is not Model:
        raise UsageError(
            "a model of a sparse table takes no data frame, which is all that MLflow gives.", "load it with gradline.load."
        )
    with _library():
        from mlflow.models import Model as Described
        from mlflow.pyfunc import add_to_model
        from mlflow.utils.environment import _PythonEnv

    folder = Path(path)
    folder.mkdir(parents=True)
    gradline_model.save(folder / FILE)
    about = mlflow_model if mlflow_model is not None else Described()
    about.signature = described.get("signature") or signature(gradline_model)
    about.metadata = described.get("metadata") or about.metadata
    _untyped(add_to_model)(about, loader_module="gradline.mlflow", data=FILE, python_env="python_env.yaml")
    about.add_flavor(FLAVOR_NAME, gradline_version=__version__, data=FILE)
    about.save(str(folder / "MLmodel"))
    needs = pip_requirements or [f"gradline=={__version__}", "pandas", "mlflow-skinny"]
    (folder / "requirements.txt").write_text("\n".join(needs) + "\n", encoding="utf-8")
    _untyped(_PythonEnv.current)().to_yaml(str(folder / "python_env.yaml"))


def _untyped(function: Any) -> Any:
    """A function of MLflow's that says nothing of its types."""
    return function


def log_model(gradline_model: Model, name: str = "model", **described: Any) -> Any:
    """Log a model to the run that is active. Returns MLflow's `ModelInfo`, whose `model_uri` loads it."""
    with _library():
        from mlflow.models import Model as Described

    return Described.log(artifact_path=None, name=name, flavor=sys.modules[__name__], gradline_model=gradline_model, **described)


def load_model(model_uri: str) -> Model:
    """The model that `log_model` or `save_model` left."""
    with _library():
        from mlflow.tracking.artifact_utils import _download_artifact_from_uri

    return load(Path(_download_artifact_from_uri(artifact_uri=model_uri)) / FILE)


def signature(model: Model) -> Any:
    """What the model takes and gives. The columns are of any type to MLflow, which would take no whole number for a number, and no
    null for a boolean: the contract in the model's own file checks them.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    anything = _untyped(AnyType)()
    columns: list[Any] = [ColSpec(anything, name, required=False) for name in model.contract.columns]
    return ModelSignature(Schema(columns), Schema([ColSpec("double", "prediction", required=False)]))


class _Predictor:
    """What mlflow.pyfunc calls."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, model_input: Any, params: Any = None) -> Any:
        """Predictions of a data frame; None, which is JSON's null, for rows that the contract drops."""
        import pandas as pd

        frame = model_input.copy(deep=False) if isinstance(model_input, pd.DataFrame) else pd.DataFrame(model_input)
        for name, column in self.model.contract.columns.items():
            if name not in frame:
                continue
            if column.kind is Kind.DATE:
                frame[name] = _dates(frame[name])
            if column.kind is Kind.DURATION and pd.api.types.is_numeric_dtype(frame[name]):
                frame[name] = pd.to_timedelta(frame[name], unit="s")
        values = [None if math.isnan(value) else value for value in self.model.predict(frame).tolist()]
        return pd.DataFrame({"prediction": pd.Series(values, index=frame.index, dtype=object if None in values else float)})


def _dates(values: Any) -> Any:
    """Days, where they came as times at midnight: data frames hold them so, and write them so in JSON. Else as they are."""
    import pandas as pd

    days = values if pd.api.types.is_datetime64_any_dtype(values) else pd.to_datetime(values, format="ISO8601", errors="coerce")
    midnight = days.isna() if days is values else values.isna()
    whole = bool((midnight | (days == days.dt.normalize())).all())
    return days.dt.date.where(days.notna(), None) if whole else values


def _load_pyfunc(data_path: str) -> _Predictor:
    """The name by which MLflow loads a flavour."""
    return _Predictor(load(data_path))


def log_run(model: Model, directory: Path, run_id: str) -> None:
    """Log a run directory to a run of MLflow's: settings, metrics and certificate, all its files, and the model. Raises StorageError."""
    with _library():
        import mlflow
        from mlflow.entities import Metric, Param, RunTag

    try:
        client = mlflow.MlflowClient()
        settings = [Param(name, str(value)[:LONGEST_PARAMETER]) for name, value in model.config.items()]
        measured = [Metric(name, value, 0, 0) for name, value in _measured(model).items()]
        tags = [RunTag("gradline.stopped", model.stop_reason.name.lower()), RunTag("gradline.warnings", str(len(model.notices)))]
        client.log_batch(run_id, measured, settings, tags)
        client.log_artifacts(run_id, str(directory), "run")
        if type(model) is Model:
            log_model(model)
    except UsageError:
        raise
    except Exception as error:
        raise StorageError(f"the run could not all be logged to MLflow: {error}.", f"it is complete in {directory}.") from error


def _measured(model: Model) -> dict[str, float]:
    """What is known at the end of a run, as names and numbers: test_rmse, certificate_relative_gap, …"""
    found: dict[str, Any] = {"steps_taken": model.result["steps"]}
    for role in ("train", "validation", "test"):
        found |= {f"{role}_{name}": value for name, value in (model.metrics.get(role) or {}).items()}
    found |= {f"certificate_{name}": value for name, value in model.result["certificate"].items()}
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float) and math.isfinite(value)}


@contextmanager
def _library() -> Iterator[None]:
    """An import of MLflow, which warns of its own code, and may be missing."""
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImportError as error:
        raise UsageError(f"a library is missing: {error}.", "pip install 'gradline[mlflow]'") from error

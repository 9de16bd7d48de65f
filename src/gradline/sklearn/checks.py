"""What `fit` and `predict` are given, looked at: arrays, frames and matrices become floats of one width; names, weights, held-out rows."""

from __future__ import annotations

from numbers import Number
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import validate_data

from gradline.representation.decode import DATE_PARTS
from gradline.sklearn.tables import Part
from gradline.sklearn.words import refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.types import FloatArray

FLOATS = (np.float64, np.float32)
WEIGHT = "sample_weight"
MOST_NAMED = 5  # columns, in an error


class Given(NamedTuple):
    """What `fit` was given. names: of the features.  targets: their names.  flat: whether y was (n,).  training, validation: the rows;
    a part of weighted rows has the column `weight`.
    """

    names: tuple[str, ...]
    targets: tuple[str, ...]
    flat: bool
    training: Part
    validation: Part | None = None
    weight: str | None = None

    @property
    def sparse(self) -> bool:
        """Whether the training rows are a sparse matrix."""
        return not isinstance(self.training.X, np.ndarray)

    @property
    def parts(self) -> list[Part]:
        """The training rows, then the validation rows."""
        return [self.training] if self.validation is None else [self.training, self.validation]


def given(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    X_val: Any = None,
    y_val: Any = None,
    sample_weight_val: Any = None,
    *,
    reset: bool = True,
) -> Given:
    """What is given, checked. reset: whether the estimator learns the features' names and number from it."""
    _refuse_columns(X)
    X_checked, y_checked = validate_data(
        estimator, X, y, reset=reset, accept_sparse="csr", dtype=FLOATS, multi_output=True, y_numeric=True
    )
    names = feature_names(estimator)
    values = _target_values(y_checked)
    targets = _target_names(y, values.shape[1], names)
    weight = None if sample_weight is None else _weights(sample_weight, len(values), WEIGHT)
    if X_val is None and (y_val is not None or sample_weight_val is not None):
        raise refused("y_val or sample_weight_val is given without X_val.", "give X_val and y_val together.")
    held_out = None if X_val is None else _held_out(estimator, X_val, y_val, sample_weight_val, values.shape[1])
    weighted = weight is not None or (held_out is not None and held_out.weight is not None)
    name = _free(WEIGHT, (*names, *targets)) if weighted else None
    training = _part(_Rows(X_checked, values, weight), targets, name)
    if held_out is not None and not isinstance(X_checked, np.ndarray) and isinstance(held_out.X, np.ndarray):
        held_out = held_out._replace(X=type(X_checked)(held_out.X))  # the parts of a matrix are matrices
    return Given(
        names,
        targets,
        np.ndim(y_checked) == 1,
        training,
        None if held_out is None else _part(held_out, targets, name),
        name,
    )


class _Rows(NamedTuple):
    X: Any
    values: FloatArray  # (n, t)
    weight: FloatArray | None


def _held_out(estimator: Any, X: Any, y: Any, weight: Any, width: int) -> _Rows:
    if y is None:
        raise refused("X_val is given without y_val.", "give both.")
    _refuse_columns(X)
    X = validate_data(estimator, X, reset=False, accept_sparse="csr", dtype=FLOATS)
    y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y_val")
    check_consistent_length(X, y)
    values = _target_values(y)
    if values.shape[1] != width:
        raise refused(f"y_val has {values.shape[1]} targets, and y has {width}.", "the same ones in both.")
    return _Rows(X, values, None if weight is None else _weights(weight, len(values), "sample_weight_val"))


def _part(rows: _Rows, targets: Sequence[str], weight: str | None) -> Part:
    columns = dict(zip(targets, np.ascontiguousarray(rows.values.T), strict=True))
    if weight is not None:
        columns[weight] = np.ones(len(rows.values)) if rows.weight is None else rows.weight
    return Part(rows.X, columns)


def predicted_from(estimator: Any, X: Any) -> Any:
    """X to predict from, of the names and the number of columns that the estimator has learned."""
    _refuse_columns(X)
    return validate_data(estimator, X, reset=False, accept_sparse=("csr", "csc", "coo"), dtype=FLOATS)


def feature_names(estimator: Any) -> tuple[str, ...]:
    """The columns' names: the frame's own where they can serve, else x0, x1, …"""
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None and len(set(names)) == len(names) and all(_serves(name) for name in names):
        return tuple(map(str, names))
    return tuple(f"x{j}" for j in range(estimator.n_features_in_))


def _serves(name: str) -> bool:
    """Not empty, and not what gradline calls the parts of a date."""
    return bool(name) and not name.endswith(tuple(f".{part}" for part in DATE_PARTS))


def _target_values(y: Any) -> FloatArray:
    if not isinstance(y, np.ndarray):
        raise refused("y is a sparse matrix.", "give it dense: y.toarray().")
    values = y[:, None] if y.ndim == 1 else y
    return np.asarray(values, dtype=np.float64)


def _target_names(y: Any, width: int, names: Sequence[str]) -> tuple[str, ...]:
    """The frame's or series' own, where they can serve, else y, or y0, y1, …"""
    own: list[Any] = [getattr(y, "name", None)] if width == 1 else list(getattr(y, "columns", []))
    if len(own) != width or not all(isinstance(name, str) and _serves(name) for name in own) or len(set(own)) < width:
        own = ["y"] if width == 1 else [f"y{j}" for j in range(width)]
    return tuple(_free(name, names) for name in own)


def _free(name: str, taken: Sequence[str]) -> str:
    """The name, or one like it that no column has."""
    known = set(taken)
    while name in known:
        name += "_"
    return name


def _weights(weight: Any, rows: int, what: str) -> FloatArray:
    if isinstance(weight, Number):
        weight = np.full(rows, weight, dtype=np.float64)
    weight = check_array(weight, ensure_2d=False, dtype=np.float64, input_name=what)
    if weight.shape != (rows,):
        raise refused(f"{what} has shape {weight.shape}, and there are {rows:,} rows.", "one weight a row.")
    if (weight < 0.0).any():
        at = int(np.argmax(weight < 0.0))
        raise refused(f"{what} is {weight[at]:g} in row {at:,}.", "a weight is a number from 0.")
    if not weight.any():
        raise refused(f"{what} must have a number that is not zero: all weights are zero.", "leave it out, or weigh a row.")
    return np.ascontiguousarray(weight)


def _refuse_columns(X: Any) -> None:
    """Raise for a frame with columns that are no numbers; `coef_` has an entry for each number, and they would be several features."""
    names, dtypes = getattr(X, "columns", None), getattr(X, "dtypes", None)
    if names is None or dtypes is None or not hasattr(dtypes, "__len__"):
        return
    wrong = [
        f"{str(name)!r} ({dtype})"
        for j, (name, dtype) in enumerate(zip(names, dtypes, strict=False))
        if not _numeric(X, j, name, dtype)
    ]
    if wrong:
        shown = ", ".join(wrong[:MOST_NAMED]) + (", …" if len(wrong) > MOST_NAMED else "")
        raise refused(
            f"{'column' if len(wrong) == 1 else 'columns'} {shown} of X hold no numbers, and coef_ has one entry for each column.",
            "encode them first, with a ColumnTransformer of OneHotEncoder(drop='first') in a Pipeline; "
            "gradline.train encodes text, categories and dates by itself.",
        )


def _numeric(X: Any, position: int, name: Any, dtype: Any) -> bool:
    """Whether a column of a pandas or Polars frame holds numbers. Of objects the first value tells; scikit-learn sees the others."""
    if hasattr(dtype, "is_numeric"):  # Polars
        return bool(dtype.is_numeric()) or str(dtype) in ("Boolean", "Null", "Object")
    kind = getattr(dtype, "kind", "f")
    if kind != "O":
        return kind in "biufc"
    if str(dtype) != "object":
        return False
    column = X.iloc[:, position]
    first = next((value for value in column if value is not None), 0.0)
    return not isinstance(first, str | bytes)

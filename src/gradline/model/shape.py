"""What a model file may hold: the shape of its document and the form of its arrays, looked at before anything is made of them.

The checksums show damage; these checks keep an edited file from being half believed: it is refused when it is read, not met
by the first command that stumbles over it.
"""

from __future__ import annotations

import io
import json
from math import isfinite, prod
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from gradline.errors import UsageError
from gradline.training.config import TrainConfig
from gradline.training.stopping import StopReason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gradline.types import Json

Shape = (
    Any  # a type, a tuple of shapes of which one must fit, {key: shape}, [shape of each], or Each(shape) of a mapping's values
)


class Each:
    """A mapping of text to values of one shape."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape


class Maybe:
    """A key that may be left out."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape


LARGEST = 2**1000  # of a whole number: it must fit into a float64
NUMBER = (float, int)
GIVEN = (*NUMBER, None)  # a number, or null
WORD = (str, None)
METRICS = (None, {"rows": int, "rmse": GIVEN, "r2": GIVEN, "bias": GIVEN, "mae": Maybe(GIVEN), "largest": Maybe(GIVEN)})
BY_ROLE = {"train": METRICS, "validation": METRICS, "test": METRICS}
NOTICE = {"code": str, "column": WORD, "message": str}
RETRANSFORMATION = (None, {"method": str, "factor": NUMBER})
CERTIFICATE = {
    "kind": str,
    **dict.fromkeys((
        "objective", "minimum", "gap", "relative_gap", "coefficient_error", "rounding", "curvature_max", "curvature_min", "condition",
        "trusted_digits",
    ), GIVEN),
}  # fmt: skip
PLAN = {
    "oracle": str,
    "optimizer": str,
    "learning_rate": GIVEN,
    "learning_rate_limit": GIVEN,
    "coordinates": str,
    "predicted_steps": (int, None),
    "overflow_step": (int, None),
    "stages": [str],
    "reasons": [str],
    "noise_scale": GIVEN,
    "noise_floor": GIVEN,
}
LOSS = {
    "name": str,
    **{name: Maybe(GIVEN) for name in ("l1", "zero", "of", "delta", "quantile", "smoothing", "baseline")},
    "mean": Maybe(Each(GIVEN)),
    "share_below": Maybe(Each(GIVEN)),
}
NESTED = {
    "folds": int,
    "l2": [NUMBER],
    "rmse": GIVEN,
    "rmse_standard_error": GIVEN,
    "baseline_rmse": GIVEN,
    "r2": GIVEN,
}
LEARNING_CURVE = {
    "order": str,
    "l2": NUMBER,
    "rows": [int],
    **{
        name: [GIVEN]
        for name in ("train_rmse", "validation_rmse", "validation_rmse_standard_error", "gain", "gain_standard_error")
    },
    "validation_rows": int,
    "verdict": WORD,
}
VALIDATED = {
    "folds": int,
    "l2": [NUMBER],
    "rmse": [GIVEN],
    "rmse_standard_error": [GIVEN],
    **{
        name: Maybe((None, [GIVEN]))
        for name in ("rmse_standard_error_corrected", "rmse_standard_error_between_repeats", "fold_rmse")
    },
    "repeats": Maybe(int),
    "scheme": Maybe(str),
    "nested": Maybe((None, NESTED)),
    "chosen": NUMBER,
    "one_standard_error": NUMBER,
    "baseline_rmse": GIVEN,
    "r2": GIVEN,
}
INTERVAL = {"value": GIVEN, "low": GIVEN, "high": GIVEN, "reason": Maybe(str)}
RESAMPLING = {
    "by": str,
    "units": int,
    "stretch_rows": (int, None),
    "resamples": int,
    "level": NUMBER,
    "rows": int,
    "sample": bool,
}
FIGURES = ("r2", "rmse", "mae", "median_absolute_error", "mape", "bias", "largest")
SURE = (None, {**dict.fromkeys(FIGURES, INTERVAL), "resampling": RESAMPLING})
COSTING = {"per_row": INTERVAL, "total": GIVEN, "saved": Maybe(INTERVAL), "shift": Maybe(NUMBER), "value": Maybe(NUMBER)}
BESIDE = {"error": GIVEN, "difference": INTERVAL, "better": (bool, None), "column": Maybe(WORD)}
PART_OF_ROWS = {"condition": str, "rows": int, "rmse": GIVEN, "mae": GIVEN, "bias": GIVEN, "ratio": GIVEN, "p": GIVEN}
PART = {"role": str, "rows": int}
MEANING = {
    "metrics": Maybe({"validation": SURE, "test": SURE}),
    "baselines": Maybe((None, {"role": str, "measure": str, "model": GIVEN, "mean": BESIDE, "last_value": BESIDE, "best_column": BESIDE})),
    "cost": Maybe((
        None,
        {
            "kind": str,
            **{name: Maybe(NUMBER) for name in ("under", "over", "least_at")},
            "points": Maybe([[NUMBER]]),
            "name": Maybe(str),
            "unit": WORD,
            "rows": int,
            "model": COSTING,
            "mean": COSTING,
            "shifted": (None, COSTING),
            "best_constant": (None, COSTING),
            "reason": WORD,
            "quantile": GIVEN,
        },
    )),
    "calibration": Maybe((
        None,
        {
            "role": str,
            "tenths": [{"rows": int, "predicted": GIVEN, "actual": INTERVAL}],
            "slope": {"value": GIVEN, "standard_error": GIVEN, "low": GIVEN, "high": GIVEN},
            "intercept": {"value": GIVEN, "standard_error": GIVEN},
        },
    )),
    "segments": Maybe((
        None,
        {
            "searched": PART,
            "confirmed": PART,
            **dict.fromkeys(("conditions", "tested", "least_rows"), int),
            "correction": str,
            "rate": NUMBER,
            "overall": {"rmse": GIVEN, "mae": GIVEN, "bias": GIVEN},
            "worse": [PART_OF_ROWS],
            "biased": [PART_OF_ROWS],
        },
    )),
    "reasons": Maybe(Each(str)),
    "worst": Maybe((
        None,
        {"role": str, "rows": [{"file": WORD, "row": int, "actual": GIVEN, "predicted": GIVEN, "error": GIVEN, "values": dict}]},
    )),
}  # fmt: skip
GIVEN_LIST = [GIVEN]
ESTIMATE = dict.fromkeys(("value", "low", "high"), GIVEN)
SEGMENT = {"rows": int, "coverage": NUMBER, "width": GIVEN}
COVERED = {
    "rows": int,
    "of": int,
    "coverage": NUMBER,
    "width": GIVEN,
    "expected": {"rows": int, **dict.fromkeys(("coverage", "low", "high", "level"), NUMBER)},
    "normal": {"coverage": NUMBER, "width": GIVEN},
    "by_prediction": [{"from": NUMBER, "to": NUMBER, **SEGMENT}],
    "by_level": [{"column": str, "level": str, **SEGMENT}],
    "uneven": WORD,
}
MADE = {
    "method": WORD,
    "asked": str,
    "coverage": NUMBER,
    "reason": WORD,
    "guarantee": Maybe(GIVEN),
    "rests_on": Maybe(str),
    "calibrated_on": Maybe(str),
    "rows": Maybe(int),
    "margin": Maybe(GIVEN),
    "test": Maybe((None, COVERED)),
}
OUTCOME = {
    **dict.fromkeys(("hits", "false_alarms", "misses", "rests"), NUMBER),
    **dict.fromkeys(("cost", "precision", "recall"), ESTIMATE),
}
POLICY = {
    "event": {"relation": str, "value": NUMBER},
    "act_on": str,
    "rule": WORD,
    "threshold": GIVEN,
    "costs": dict.fromkeys(("false_alarm", "miss", "hit"), NUMBER),
    "chosen_by": str,
    "required": GIVEN,
}
DECISION = {
    **POLICY,
    "reason": WORD,
    "validation": (None, {"rows": int, "of": int, **OUTCOME}),
    "curve": (None, dict.fromkeys(("threshold", "acted", "cost", "precision", "recall"), GIVEN_LIST)),
    "test": (
        None,
        {
            "rows": int,
            "of": int,
            "units": {"number": int, "by": str},
            **OUTCOME,
            **dict.fromkeys(("always", "never", "at_event"), OUTCOME),
            "saving": dict.fromkeys(("always", "never"), ESTIMATE),
        },
    ),
}
INTERVALS = {"method": str, "coverage": NUMBER, "rows": int, "margin": GIVEN, "constant": GIVEN}
ASSESSMENT = {"rows": Each({"rows": int, "kept": int}), "intervals": Maybe(MADE), "decision": Maybe((None, DECISION)), **MEANING}
CHANGE = {
    "change": str,
    "derive": [str],
    **dict.fromkeys(("rmse", "difference", "standard_error", "gain", "gain_error"), GIVEN),
    "terms": int,
    "made_of": [str],
    "selected_in_folds": (int, None),
    "command": Maybe(str),
}
SEARCHED = {
    **dict.fromkeys(("rows", "of", "folds", "judged", "candidates"), int),
    "ordered": bool,
    "base": {"rmse": GIVEN, "terms": int, "columns": [str]},
    "proposals": [CHANGE],
    "refused": (None, CHANGE),
    "penalty": {"l2": str, **dict.fromkeys(("rmse", "difference", "standard_error"), GIVEN), "proposed": bool, "command": str},
}
DEGREES = {
    **dict.fromkeys(("rows", "of", "folds", "best", "simplest"), int),
    "ordered": bool,
    "columns": [str],
    **{key: [int] for key in ("degree", "terms")},
    **{key: [GIVEN] for key in ("rmse", "rmse_standard_error", "train_rmse")},
}
RESULT = {
    "rows": {"read": int, "train": int, "validation": int, "test": int, "dropped": int, "gap": Maybe(int)},
    "intercept": NUMBER,
    "coefficients": Each(NUMBER),
    "references": Each(str),
    "split": str,
    "repeatable": bool,
    "target": {"name": str, "unit": WORD, "transform": WORD, "training_mean": GIVEN, "retransformation": RETRANSFORMATION},
    "loss": LOSS,
    "plan": PLAN,
    "steps": int,
    "stopped": {"reason": str, "message": str},
    "certificate": CERTIFICATE,
    "metrics": {**BY_ROLE, "baseline": BY_ROLE, "scale": Maybe(str), "log_scale": Maybe({**BY_ROLE, "baseline": BY_ROLE})},
    "cross_validation": (None, VALIDATED),
    "learning_curve": Maybe((None, LEARNING_CURVE)),
    "assessment": Maybe((None, ASSESSMENT)),
    "representation_search": Maybe((None, SEARCHED)),
    "degree_curve": Maybe((None, DEGREES)),
    "warnings": [NOTICE],
    "seconds": NUMBER,
}
CONTRACT = {
    "target": {"name": str, "kind": str, "unit": WORD},
    "columns": [
        {
            "name": str,
            "kind": str,
            "stored": str,
            "unit": WORD,
            "minimum": GIVEN,
            "maximum": GIVEN,
            "null_share": NUMBER,
            "levels": (None, Each(int)),
            "distinct": (int, None),
        }
    ],
    "decisions": Each(str),
}
FEATURE = {"name": str, "column": str, "part": str, "level": str, "mean": NUMBER, "deviation": NUMBER}
SCHEME = {"reference": str, "missing": str, "other": bool, "grouped": int}
DERIVED = {"expression": str, "knots": [NUMBER], "category": WORD, "levels": [str]}
DOCUMENT = {
    "contract": CONTRACT,
    "representation": (None, {"features": [FEATURE], "categories": Each(SCHEME), "derived": Maybe([DERIVED])}),
    "coordinates": {"name": str, "intercept": bool},
    "theta": [NUMBER],
    "theta_low": Maybe((None, [NUMBER])),
    "certificate": CERTIFICATE,
    "retransformation": RETRANSFORMATION,
    "result": RESULT,
    "config": dict,
    "files": [list],
    "moments": Each({"rows": int, "weight": NUMBER}),
    "notices": [NOTICE],
    "intervals": Maybe((None, INTERVALS)),
    "policy": Maybe((None, POLICY)),
}


def parsed(data: bytes) -> Json:
    """A document. Raises ValueError for what is none, and for numbers that are no numbers."""
    document: Json = json.loads(data, parse_constant=_no_number, parse_float=_finite)
    return document


def check_document(document: Json) -> None:
    """Raise ValueError where a model's document has another shape than training writes, or contradicts itself."""
    _check(document, DOCUMENT, "model")
    result = document["result"]
    StopReason[result["stopped"]["reason"].upper()]
    try:
        TrainConfig.from_mapping({name: value for name, value in document["config"].items() if name != "data"})
    except UsageError as error:
        raise ValueError(error.message) from error
    _check(document["config"].get("data", ""), (str, [str]), "config.data")
    _check_assessment(result.get("assessment") or {}, document)


def _check_assessment(found: Json, document: Json) -> None:
    """Raise ValueError where what is told of intervals and policy is half of it, or of none that the model has."""
    made, policy = found.get("intervals"), found.get("decision")
    if made is not None and made["method"] is not None:
        if document.get("intervals") is None or made["method"] != document["intervals"]["method"]:
            raise ValueError(f"there are no intervals {made['method']!r}")
        for name in MADE:
            if name not in made:
                raise ValueError(f"model.result.assessment.intervals.{name} is not there")
        if made["calibrated_on"] not in ("train", "validation") or made["rests_on"] is None:
            raise ValueError(f"intervals are calibrated on {made['calibrated_on']!r}")
    if document.get("policy") is not None and (policy is None or policy["validation"] is None):
        raise ValueError("the policy was chosen on no rows")


def float_array(data: bytes, name: str, *, finite: bool = True) -> np.ndarray[Any, Any]:
    """An array of float64 from the bytes of a .npy file, whose header must claim exactly the bytes that follow it."""
    file = io.BytesIO(data)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError(f"{name} is of another version")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    rest = data[file.tell() :]
    if dtype != np.dtype("<f8") or any(size < 0 for size in shape) or 8 * prod(shape) != len(rest):
        raise ValueError(f"{name} claims {shape} of {dtype}, and {len(rest):,} bytes follow")
    values = np.frombuffer(rest, dtype="<f8").astype(np.float64).reshape(shape, order="F" if fortran else "C")
    if finite and not np.all(np.isfinite(values)):
        raise ValueError(f"{name} holds values that are no numbers")
    return values


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _finite(text: str) -> float:
    value = float(text)
    return value if isfinite(value) else _no_number(text)


def _check(value: Any, shape: Shape, where: str) -> None:
    match shape:
        case Each():
            _check(value, dict, where)
            if not _all_floats(value.values(), shape.shape):
                for key, part in value.items():
                    _check(part, shape.shape, f"{where}.{key}")
        case dict():
            _check(value, dict, where)
            for key, part in shape.items():
                if key in value:
                    _check(value[key], part.shape if isinstance(part, Maybe) else part, f"{where}.{key}")
                elif not isinstance(part, Maybe):
                    raise ValueError(f"{where}.{key} is not there")
        case list():
            _check(value, list, where)
            if not _all_floats(value, shape[0]):
                for i, part in enumerate(value):
                    _check(part, shape[0], f"{where}.{i}")
        case tuple():
            if any(_fits(value, each) for each in shape):
                return
            deep = [each for each in shape if isinstance(each, dict | list | Each) and isinstance(value, dict | list)]
            if not deep:
                raise ValueError(f"{where} is {str(value)[:40]!r}")
            _check(value, deep[0], where)
        case _:
            if not _fits(value, shape):
                raise ValueError(f"{where} is {str(value)[:40]!r}")


def _all_floats(values: Iterable[Any], shape: Shape) -> bool:
    """The common case, of which there may be a million."""
    return shape in (NUMBER, GIVEN) and set(map(type, values)) <= {float}


def _fits(value: Any, shape: Shape) -> bool:
    """Whether a value is of a plain type: True is no number, and 10^400 no float64."""
    if not isinstance(shape, type):
        return shape is None and value is None
    if shape is int:
        return type(value) is int and abs(value) < LARGEST
    return isinstance(value, shape)

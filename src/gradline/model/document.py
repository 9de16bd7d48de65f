"""What the document of a model file may hold: the shape of what training writes, and that it does not contradict itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradline.errors import UsageError
from gradline.model.shape import GIVEN, NUMBER, WORD, Each, Maybe, check
from gradline.training.config import TrainConfig
from gradline.training.stopping import StopReason

if TYPE_CHECKING:
    from gradline.types import Json

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


def check_document(document: Json) -> None:
    """Raise ValueError where a model's document has another shape than training writes, or contradicts itself."""
    check(document, DOCUMENT, "model")
    result = document["result"]
    StopReason[result["stopped"]["reason"].upper()]
    try:
        TrainConfig.from_mapping({name: value for name, value in document["config"].items() if name != "data"})
    except UsageError as error:
        raise ValueError(error.message) from error
    check(document["config"].get("data", ""), (str, [str]), "config.data")
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

"""What the report says in words: the verdict, what was learned, how good it is, whether to trust it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.report.charts import effects, score_label
from gradline.report.numerals import count, number, percent, plural, r_squared, signed
from gradline.training.stopping import GAP_TOLERANCE, StopReason
from gradline.types import Part

if TYPE_CHECKING:
    from gradline.model.model import Model
    from gradline.types import Json

NAMES = {"train": "training"}
MOST_TERMS = 3  # of a formula; more are a table
MOST_EFFECTS = 3
MUCH_WORSE = 1.1  # held-out error to training error
HELD_OUT = {
    "test": "that training never saw",
    "validation": "that training did not learn from",
    "train": "that it was trained on (none is held out: expect larger errors on new rows)",
}
RESTS_ON = {
    "classical": "if the rows are independent and their errors have one variance",
    "HC0": "if the rows are independent, whatever the variance of each error (HC0, for many rows)",
    "HC1": "if the rows are independent, whatever the variance of each error (HC1)",
    "HC2": "if the rows are independent, whatever the variance of each error (HC2)",
    "HC3": "if the rows are independent, whatever the variance of each error (HC3)",
    "clustered": "if the groups are independent of each other, whatever happens within them",
}


def violated(model: Model) -> list[Json]:
    """Those of the assumptions that the intervals of the coefficients rest on that do not hold."""
    inference, assessment = model.result.get("inference"), model.result.get("assessment")
    if inference is None or assessment is None or assessment["assumptions"] is None:
        return []
    errors, found = inference["errors"], assessment["assumptions"]
    rests_on = [
        "linearity",
        *(["variance"] if errors == "classical" else []),
        *(["independence"] if errors != "clustered" else []),
    ]
    return [found[name] for name in rests_on if not found[name]["holds"]]


class Verdict(NamedTuple):
    """kind: `good`, `doubt` or `bad`."""

    kind: str
    headline: str
    text: str


def verdict(model: Model) -> Verdict:
    """The one thing to know first."""
    stopped = model.result["stopped"]
    reason, gap = StopReason[stopped["reason"].upper()], model.certificate.relative_gap
    left = "" if gap is None else f" The relative gap left is {number(gap, 2)}."
    if reason is StopReason.DIVERGED:
        rate, limit = model.plan["learning_rate"], model.plan["learning_rate_limit"]
        cause = "" if rate is None or limit is None else f" The learning rate {number(rate)} is past its limit {number(limit)}."
        return Verdict("bad", "Diverged: do not use this model", _sentence(stopped["message"]) + cause + left)
    if not reason.converged:
        return Verdict("bad", "Not converged: the coefficients are not final", _sentence(stopped["message"]) + left)
    if reason is StopReason.GAP:
        return Verdict("good", "Converged to the global minimum", _sentence(stopped["message"]) + left)
    if gap is None or gap > GAP_TOLERANCE:
        return Verdict("doubt", "Stopped before the proved minimum", _sentence(stopped["message"]) + left)
    text = "No other coefficients fit the training rows better, as far as double precision can tell."
    if model.penalty or model.config.get("l1"):
        text = "No other coefficients give a smaller penalised loss on the training rows, as far as double precision can tell."
    return Verdict("good", "Converged to the global minimum", text)


def _sentence(message: str) -> str:
    return message[:1].upper() + message[1:].rstrip(".") + "."


def diverged(model: Model) -> bool:
    """Whether the loss grew without bound."""
    return bool(model.result["stopped"]["reason"] == StopReason.DIVERGED.word)


def title(model: Model) -> str:
    """`air_time from distance`, `air_time from 6 columns`."""
    columns = list(model.contract.columns)
    return f"{model.contract.target} from {columns[0] if len(columns) == 1 else plural(len(columns), 'column')}"


def formula(model: Model) -> str | None:
    """The prediction as a formula; None where it has too many terms to be read, or the run diverged."""
    features, coefficients = model.representation.features, model.coefficients
    if len(features) > MOST_TERMS or diverged(model):
        return None
    text = number(model.intercept) if model.config.get("intercept", True) or not features else ""
    for feature in features:
        value = coefficients[feature.name]
        sign = "−" if value < 0.0 else "+"
        term = feature.name if feature.part is Part.VALUE else f"[{feature.name}]"
        text += f" {sign} {number(abs(value))} · {term}" if text else f"{number(value)} · {term}"
    return f"{score_name(model)} ≈ {text}"


def score_name(model: Model) -> str:
    """What the formula gives: the target or its logarithm."""
    return f"log({model.contract.target})" if is_log(model) else model.contract.target


def is_log(model: Model) -> bool:
    """Whether the model is of log(target)."""
    return model.retransformation is not None


def learned(model: Model) -> list[str]:
    """What the coefficients mean."""
    if diverged(model):
        return ["Nothing: the loss grew without bound. The figures here are of the best parameters seen on the way."]
    sentences = []
    features = model.representation.features
    if len(features) == 1 and features[0].part is Part.VALUE:
        sentences.append(_slope(model))
    elif len(features) > MOST_TERMS:
        start = f"{number(model.intercept)} plus " if model.config.get("intercept", True) else ""
        sentences.append(
            f"{score_name(model)} is predicted as {start}the sum of {count(len(features))} coefficients times features."
        )
    if len(features) > 1:
        values = effects(model)
        order = np.argsort(-np.abs(values), kind="stable")[:MOST_EFFECTS]
        shown = ", ".join(f"{features[j].name} ({signed(float(values[j]))})" for j in order)
        sentences.append(f"The largest effects on {score_label(model)} of one deviation of a feature: {shown}.")
    if any(f.part is not Part.VALUE for f in features) and len(features) <= MOST_TERMS:
        sentences.append("A term in brackets is 1 for the rows of that category, otherwise 0.")
    if model.retransformation is not None:
        method, factor = model.retransformation.method, number(model.retransformation.factor, 5)
        sentences.append(
            f"The model is of the logarithm: a coefficient of 0.01 is about 1% of {model.contract.target}. Predictions are "
            f"exp(sum) · {factor}, in the unit of {model.contract.target}; the factor ({method}) mends the bias of going back."
        )
    return sentences


def _slope(model: Model) -> str:
    feature = model.representation.features[0]
    value, column = model.coefficients[feature.name], model.contract.columns.get(feature.column)
    unit = f" ({column.unit})" if column is not None and column.unit else ""
    if is_log(model):
        factor = float(np.expm1(np.clip(value, -700.0, 700.0)))
        return f"Each further unit of {feature.name}{unit} changes the predicted {model.contract.target} by {'+' * (factor > 0)}{percent(factor)}."
    does = "adds" if value >= 0.0 else "takes"
    way = "to" if value >= 0.0 else "from"
    size = number(abs(value)) + _unit(model)
    return f"Each further unit of {feature.name}{unit} {does} {size} {way} the predicted {model.contract.target}."


def judged_role(model: Model) -> str:
    """The rows by which the model is judged: test, else validation, else training."""
    return next((role for role in ("test", "validation") if model.metrics.get(role)), "train")


def errors_unit(model: Model) -> str:
    """The unit of the metrics, with a space before it; errors of a log target may be known on the log scale alone."""
    return " (log scale)" if model.metrics.get("scale") == "log" else _unit(model)


def _unit(model: Model) -> str:
    return f" {model.contract.target_unit}" if model.contract.target_unit else ""


def quality(model: Model) -> list[str]:
    """How good the predictions are, beside the mean."""
    role = judged_role(model)
    found, baseline, unit = model.metrics[role], model.metrics["baseline"][role], errors_unit(model)
    rows = f"{plural(found['rows'], {'train': 'training'}.get(role, role) + ' row')} {HELD_OUT[role]}"
    loss = model.result["loss"]
    if loss["name"] == "pinball":
        shares = [(name, share) for name, share in loss["share_below"].items() if share is not None]
        below = ", ".join(f"{100.0 * share:.1f}% of the {NAMES.get(name, name)} rows" for name, share in shares)
        mean = loss["mean"]["validation" if loss["mean"]["validation"] is not None else "train"]
        return [
            f"The quantile {loss['quantile']:g} of {score_name(model)} is predicted: {below} lie at or below it.",
            f"The mean pinball loss is {number(mean)}{unit}; the best constant has {number(loss['baseline'])}{unit}.",
            "RMSE, R² and bias judge a prediction of the mean, which this is not.",
        ]
    first = f"On {rows}, the typical error (RMSE) is {number(found['rmse'])}{unit}"
    if baseline is None or not baseline["rmse"]:
        return [first + "."]
    ratio = baseline["rmse"] / found["rmse"] if found["rmse"] else None
    mean = f"always predicting the training mean would err by {number(baseline['rmse'])}{unit}"
    if ratio is None:
        sentences = [f"{first}; {mean}."]
    elif ratio > 1.0:
        sentences = [f"{first}; {mean}, {number(ratio, 3)} times as much."]
    else:
        sentences = [f"{first}; {mean}: the model is no better than that."]
    if found["r2"] is not None:
        if found["r2"] > 0.0:
            explained = "of the variance is explained" if found["r2"] < 1.0 else "of the variance: the fit is perfect"
            sentences.append(f"R² = {r_squared(found['r2'])}: {_explained(found['r2'])} {explained}.")
        else:
            sentences.append(f"R² = {r_squared(found['r2'])}: these predictions explain nothing.")
    training = model.metrics.get("train")
    if role != "train" and training and training["rmse"] and found["rmse"] > MUCH_WORSE * training["rmse"]:
        more = percent(found["rmse"] / training["rmse"] - 1.0)
        why = "the later rows follow another law, or the model overfits" if model.config.get("time") else "the model overfits"
        sentences.append(f"That error is {more} larger than on training rows ({number(training['rmse'])}{unit}): {why}.")
    return sentences


def cross_validated(model: Model) -> list[str]:
    """What the folds say of the error, and of the penalty where it was chosen by them."""
    found = model.result.get("cross_validation")
    if found is None:
        return []
    unit = " (log scale)" if is_log(model) else _unit(model)
    best = found["l2"].index(found["chosen"])
    rmse, error = number(found["rmse"][best]), number(found["rmse_standard_error"][best], 2)
    rolling = found.get("scheme") == "rolling_origin"
    rest = "earlier rows" if rolling else "other folds"
    sentences = [
        f"Cross-validation over {folds_of(found)}: the typical error (RMSE) is {rmse} ± {error}{unit}; "
        f"the mean of the {rest} errs by {number(found['baseline_rmse'])}{unit}."
    ]
    if len(found["l2"]) > 1:
        sentences.append(_penalty_chosen(found))
    if (nested := found.get("nested")) is not None:
        by = "origin by those before it" if rolling else "fold by the others"
        which = f" (of {nested['folds']} of them)" if nested["folds"] != found["folds"] * found.get("repeats", 1) else ""
        sentences.append(
            f"With λ chosen anew for each {by} alone{which}, so that no figure is of rows that it was chosen on, the error is "
            f"{number(nested['rmse'])}{unit}" + (f" (R² {r_squared(nested['r2'])})." if nested["r2"] is not None else ".")
        )
    return sentences


def folds_of(found: Json) -> str:
    """`5 folds of the training rows`, `3 × 5 folds …`, `5 rolling origins …`."""
    if found.get("scheme") == "rolling_origin":
        return f"{found['folds']} rolling origins in the training rows"
    times = f"{found['repeats']} × " if found.get("repeats", 1) > 1 else ""
    return f"{times}{found['folds']} folds of the training rows"


def _penalty_chosen(found: Json) -> str:
    of = f"of {count(len(found['l2']))} values tried"
    if found["chosen"] == 0.0:
        return f"No penalty (λ = 0) has the smallest error {of}."
    near = "no penalty (λ = 0) is as good, within one standard error" if free_is_near(found) else "without a penalty it is more"
    return f"λ = {number(found['chosen'], 3)} has the smallest error {of}; {near}."


def free_is_near(found: Json) -> bool:
    """Whether the error without a penalty is within one standard error of the smallest."""
    best = found["l2"].index(found["chosen"])
    free = found["rmse"][found["l2"].index(0.0)]
    return bool(free <= found["rmse"][best] + found["rmse_standard_error"][best])


def _explained(r2: float) -> str:
    """R² as a percentage that is not rounded up to 100%."""
    return "100%" if r2 == 1.0 else f"{100.0 * r2:.2f}%" if r2 <= 0.9999 else "more than 99.99%"


def trust(model: Model) -> list[str]:
    """How far the answer is from the minimum, and whether training went as predicted."""
    found = model.certificate
    sentences = []
    if found.relative_gap is None or found.gap is None:
        return ["The distance to the global minimum is not known: there is no certificate.", _steps(model)]
    gap = number(found.relative_gap, 2)
    if found.kind == "duality_gap":
        name = model.result["loss"]["name"]
        sentences.append(f"The {name} loss is at most {gap} of the best constant's loss above its global minimum (duality gap).")
        width = model.result["loss"].get("smoothing")
        if width is not None:
            sentences.append(
                f"The steps and their curves are of the loss smoothed over {number(width)}; this gap is of the loss itself."
            )
        return [*sentences, _steps(model)]
    text = f"At most {gap} of the R² on the training rows is left to gain (relative gap)"
    if found.relative_gap > GAP_TOLERANCE:
        text = f"R² on the training rows could still rise by {gap} (relative gap)"
    below = found.rounding is not None and found.gap < found.rounding
    sentences.append(text + ("; that is less than rounding lets one tell." if below else "."))
    if found.trusted_digits is None:
        sentences.append("The coefficients are not identifiable one by one; predictions are not affected.")
    else:
        sentences.append(f"{plural(int(found.trusted_digits), 'digit')} of the coefficients can be trusted, of about 16.")
    sentences.append(_steps(model))
    return sentences


def _steps(model: Model) -> str:
    taken, predicted = model.result["steps"], model.plan["predicted_steps"]
    if predicted is None and model.certificate.kind == "duality_gap":
        planned = "none were foretold for this loss"
    elif predicted is None:
        planned = "no number of steps was predicted to reach the minimum"
    else:
        planned = f"{count(predicted)} {'was' if predicted == 1 else 'were'} predicted"
    return f"{plural(taken, 'step')} taken; {planned}. {_sentence(model.result['stopped']['message'])}"


def tiles(model: Model) -> list[tuple[str, str, str]]:
    """The key figures: name, value, what it is beside."""
    role, found = judged_role(model), model.certificate
    metrics: Json = model.metrics[role]
    baseline = model.metrics["baseline"][role]
    on = {"train": "training"}.get(role, role) + " rows"
    digits = found.trusted_digits
    bounded = found.kind != "exact"
    left = "of the best constant's loss, at most" if bounded else "share of R² left to gain"
    digits_tile = [] if bounded else [("Trusted digits", number(None) if digits is None else str(int(digits)), "of about 16")]
    return [
        (f"Typical error, {on}", number(metrics["rmse"]) + errors_unit(model), f"the mean alone: {number(baseline['rmse'])}"),
        (f"R², {on}", r_squared(metrics["r2"]), "1 is perfect, 0 the mean alone"),
        ("Relative gap", number(found.relative_gap, 2), left),
        *digits_tile,
        ("Steps", count(model.result["steps"]), f"predicted: {count(model.plan['predicted_steps'])}"),
    ]

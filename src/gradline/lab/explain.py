"""What is on the screen, in words and formulas with the numbers of the moment."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gradline.errors import plural
from gradline.lab.play import rate_of, sampled_features, steps_foretold
from gradline.maths.noise import measure
from gradline.training.plan import LIMITS, steepest_features
from gradline.types import Role, finite_or_none
from gradline.updates import adam, conjugate_gradient, gradient_descent, heavy_ball, lbfgs, nesterov, rules
from gradline.updates.forecast import spectral_radius

if TYPE_CHECKING:
    from gradline.lab.play import Play
    from gradline.maths.noise import GradientNoise
    from gradline.types import FloatArray, Json

MOST_DIRECTIONS = 4  # in the table of factors
WORKED_ROWS = 4
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
UPDATES = {
    gradient_descent.NAME: "θ ← θ − α ∇J(θ)",
    heavy_ball.NAME: "θ ← θ − α ∇J(θ) + β (θ − θ₋)",
    nesterov.NAME: "θ ← φ − α ∇J(φ),  φ = θ + β (θ − θ₋)",
    adam.NAME: "θ ← θ − α m̂/(√v̂ + ε), coordinate by coordinate",
    conjugate_gradient.NAME: "θ ← θ + α d,  d conjugate to all directions before",
    lbfgs.NAME: "θ ← θ − α B ∇J(θ),  B built from the last steps",
    "barzilai_borwein": "θ ← θ − α ∇J(θ),  α from the last step",
    "averaged_sgd": "v ← v − α g_B(v),  θ the average of the v",
}


def number(value: float | None, digits: int = 4) -> str:
    """0.1261, 15,758, 2.3 × 10⁻³²; – for what is not known."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0.0:
        return "0"
    mantissa, _, power = f"{abs(value):.{digits - 1}e}".partition("e")
    exponent, sign = int(power), "−" if value < 0.0 else ""
    if -4 <= exponent < 9:
        text = f"{abs(value):,.{max(digits - 1 - exponent, 0)}f}"
        return sign + (text.rstrip("0").rstrip(".") if "." in text else text)
    return f"{sign}{mantissa.rstrip('0').rstrip('.')} × 10{str(exponent).translate(SUPERSCRIPTS)}"


def noise_of(play: Play) -> GradientNoise | None:
    """The noise of single rows' gradients, from the sample of the rows."""
    if play.prepared.noise is not None:
        return play.prepared.noise
    points = play.opened.points
    X, training = sampled_features(play), points.roles == Role.TRAINING
    keep = training & np.isfinite(points.y) & np.isfinite(X).all(axis=1)
    if int(keep.sum()) < 3:
        return None
    return measure(play.problem.coordinates.transformed(X[keep]), points.y[keep], play.solution, play.start, intercept=True)


def marks(play: Play) -> Json:
    """What is marked on the scales of α (in units of 1/L) and of the batch size."""
    solution, limit = play.solution, play.plan.learning_rate_limit
    found = noise_of(play)
    scale = play.run.rule == adam.NAME
    curvature = solution.curvature_max
    return {
        "one": None if scale else 1.0,
        "best": None if scale else 2.0 * curvature / (solution.curvature_min + curvature),
        "two": None if scale else 2.0,
        "limit": None if scale or limit is None else limit * curvature,
        "noise_scale": None if found is None else finite_or_none(found.scale),
        "self_paced": play.run.rule in rules.SELF_PACED,
    }


def factors(play: Play) -> FloatArray | None:
    """By what each eigen-direction's error is multiplied a step, in the long run, (k,); None where the rule has no such factor."""
    rule, alpha = play.plan.rule, play.plan.learning_rate
    if alpha is None or play.run.batch > 0:
        return None
    if rule.name == gradient_descent.NAME:
        return 1.0 - alpha * play.solution.eigenvalues
    if isinstance(rule, heavy_ball.HeavyBall | nesterov.Nesterov):
        found: FloatArray = spectral_radius(rule.transition(play.solution.eigenvalues))
        return found
    return None


def words_of(play: Play) -> list[Json]:
    """The explanation of the settings, as headed paragraphs: [{"title", "lines", "kind"}]."""
    return [section for section in (_model(play), _rate(play), _factors(play), _steps(play), _noise(play)) if section]


def _model(play: Play) -> Json:
    problem, solution = play.problem, play.solution
    user = problem.coordinates.to_user(solution.minimiser)
    terms = " ".join(
        f"{'−' if w < 0 else '+'} {number(abs(w))}·{name}"
        for name, w in list(zip(problem.names, user.coefficients, strict=True))[:5]
    )
    more = " …" if len(problem.names) > 5 else ""
    penalty = f" + (λ/2)‖w‖², λ = {number(play.run.l2)}" if play.run.l2 else ""
    m = play.prepared.survey.rows(Role.TRAINING)
    lines = [
        f"J(w, b) = (1/2m) Σ (w·x + b − y)²{penalty}, m = {m:,} training rows",
        f"J(0, ȳ) = {number(problem.baseline)}: the mean alone.  J* = {number(solution.minimum)}: no choice of w and b does better.",
        f"At the minimum {play.config.target} ≈ {number(user.intercept)} {terms}{more}",
    ]
    if problem.baseline > 0.0 and not play.run.l2:
        lines.append(f"R² = 1 − J*/J(0, ȳ) = {number(1.0 - solution.minimum / problem.baseline)}")
    return {"title": "The loss", "kind": "plain", "lines": lines}


def _rate(play: Play) -> Json:
    plan, solution, rule = play.plan, play.solution, play.run.rule
    lines = [f"{rule.replace('_', ' ')}: {UPDATES[rule]}"]
    if solution.curvature_max > 0.0:
        lines.append(
            f"Curvature of J: μ = {number(solution.curvature_min)} to L = {number(solution.curvature_max)}, κ = L/μ = {number(solution.condition)}"
            f" (the valley is √κ = {number(math.sqrt(solution.condition), 3)} times as long as wide)"
        )
    flat = solution.null - play.prepared.problem.reference.null
    if flat > 0:
        lines.append(
            f"{plural(flat, 'direction')} {'is' if flat == 1 else 'are'} too flat for steps in float64: the loop leaves {'it' if flat == 1 else 'them'} out, and J comes to rest "
            "above J*; gradline train solves for what is left after the loop."
        )
    if plan.learning_rate is not None:
        lines.append(f"α = {number(plan.learning_rate, 6)}" + _momentum(play))
        if rule != adam.NAME:
            low, high = solution.curvature_min, solution.curvature_max
            lines.append(f"1/L = {number(1 / high)},  2/(μ+L) = {number(2 / (low + high))},  2/L = {number(2 / high)}")
    unstable = plan.unstable
    if plan.learning_rate_limit is not None and plan.learning_rate is not None:
        limit = (
            LIMITS.get(rule, "the limit") if play.run.batch == 0 else f"the mean-square limit for batches of {play.run.batch:,}"
        )
        side = "past" if unstable else "below"
        lines.append(
            f"This is {side} {limit} = {number(plan.learning_rate_limit)}: {'it diverges' if unstable else 'it is stable'}."
        )
    return {"title": "The learning rate", "kind": "bad" if unstable else "plain", "lines": lines}


def _momentum(play: Play) -> str:
    rule = play.plan.rule
    return f",  β = {number(rule.momentum)}" if isinstance(rule, heavy_ball.HeavyBall | nesterov.Nesterov) else ""


def _factors(play: Play) -> Json | None:
    found = factors(play)
    if found is None:
        return None
    solution, plan = play.solution, play.plan
    along = np.abs(solution.along(play.start))
    grows = np.flatnonzero((np.abs(found) > 1.0) & (along > 0.0))
    where = " and ".join(steepest_features(solution, play.problem.names))
    lines: list[str] = []
    plain = plan.rule.name == gradient_descent.NAME
    alpha = number(plan.learning_rate)

    def put_in(values: FloatArray, i: int) -> str:
        """The factor's formula with the numbers put in."""
        value = number(float(values[i]))
        return f"1 − αλ = 1 − {alpha} · {number(solution.eigenvalues[i])} = {value}" if plain else f"the long-run factor {value}"

    if len(grows):
        worst = int(grows[np.argmax(np.abs(found[grows]))])
        size = abs(float(found[worst]))
        lines.append(
            f"The error along the steepest direction (λ = L = {number(solution.eigenvalues[worst])}, mostly {where}) is multiplied by "
            f"{put_in(found, worst)} a step: it {'changes sign and ' if found[worst] < 0 else ''}grows {number(size)}-fold."
        )
        lines.append(
            f"J has its square: {number(size**2)}-fold a step, once this direction outweighs the others"
            + (f"; it overflows float64 at step {plan.overflow_step:,}." if plan.overflow_step is not None else ".")
        )
        rest = int(np.count_nonzero((np.abs(found) < 1.0) & (along > 0.0)))
        if rest:
            others = "The other direction still shrinks" if rest == 1 else f"The other {rest} directions still shrink"
            lines.append(f"{others}: one direction past its limit is enough.")
        lines.append(
            f"What to do: α below {number(plan.learning_rate_limit)}; {number(2.0 / (solution.curvature_min + solution.curvature_max))} is the best fixed one for gradient descent."
        )
    elif plan.unstable:
        lines.append(
            "The start has no error along the directions past their limit, so that in exact arithmetic nothing grows; rounding will."
        )
    kept = list(range(solution.null, len(found)))
    picked = kept if len(kept) <= MOST_DIRECTIONS else [kept[0], kept[1], kept[-2], kept[-1]]
    for i in picked:
        value = float(found[i])
        if plain:
            what = (
                "grows"
                if abs(value) > 1.0
                else "stays"
                if abs(value) == 1.0
                else "is gone in one step"
                if value == 0.0
                else "shrinks, changing sign"
                if value < 0.0
                else "shrinks"
            )
            lines.append(f"λ = {number(solution.eigenvalues[i])}: {put_in(found, i)} a step, {what}")
        else:
            lines.append(f"λ = {number(solution.eigenvalues[i])}: error × {number(value)} a step in the long run")
    title = "Why it diverges" if len(grows) else "How each direction shrinks"
    return {"title": title, "kind": "bad" if len(grows) else "plain", "lines": lines}


def _steps(play: Play) -> Json | None:
    plan, solution = play.plan, play.solution
    if play.run.batch:
        return None
    lines = []
    if plan.predicted_steps is not None:
        lines.append(
            f"Foretold from the spectrum and the start, without a step: {plural(plan.predicted_steps, 'step')} to the tolerance."
        )
        if plan.predicted_steps > play.run.steps:
            lines.append(f"That is more than the {play.run.steps:,} that are played: the run ends before.")
    if plan.rule.name == gradient_descent.NAME:
        best = 2.0 / (solution.curvature_min + solution.curvature_max)
        steps = steps_foretold(play, best)
        if steps is not None:
            lines.append(
                f"At the best fixed α = 2/(μ+L) = {number(best)}: {plural(steps, 'step')}. About (κ/4) ln F to make the gap F times smaller."
            )
    if not lines:
        lines.append("No number of steps is foretold for this rule and rate.")
    return {"title": "How many steps", "kind": "plain", "lines": lines}


def _noise(play: Play) -> Json | None:
    if not play.run.batch:
        return None
    plan, lines = play.plan, []
    lines.append(f"Each step sees B = {play.run.batch:,} rows: a gradient that is right on average, with variance Σ/B.")
    if plan.noise_scale is not None:
        lines.append(
            f"Noise scale tr Σ/‖∇J‖² = {number(plan.noise_scale, 3)} rows at the start; beyond it a larger batch hardly makes a better first step. It grows towards the minimum."
        )
    if plan.noise_floor is not None:
        lines.append(
            f"With a constant α the gap ends at about {number(plan.noise_floor, 3)} ({number(plan.noise_floor / play.problem.baseline, 2)} of J(0, ȳ)); half of α or twice B halves it."
        )
    return {"title": "Batches", "kind": "plain", "lines": lines}


def worked_step(play: Play, theta: FloatArray, step: int) -> Json:
    """One step worked through: residuals of some rows, the gradients, the update; from moments, so for all rows."""
    coordinates, names, points = play.problem.coordinates, play.problem.names, play.opened.points
    w, b = coordinates.weights_and_bias(theta)
    columns = sampled_features(play)
    keep = np.flatnonzero(np.isfinite(columns).all(axis=1) & np.isfinite(points.y) & (points.roles == Role.TRAINING))[
        :WORKED_ROWS
    ]
    Z = coordinates.transformed(columns[keep])  # (n, p)
    with np.errstate(over="ignore", invalid="ignore"):
        predicted = Z @ w + b
        residual = predicted - points.y[keep]
        gradient = play.problem.loss.gradient(theta)
        value = play.problem.loss.value(theta)
    first = names[0]
    inside = "z" if coordinates.name == "standard" else "x"
    rows = [
        {
            "x": number(float(Z[i, 0])),
            "y": number(float(points.y[at])),
            "f": number(float(predicted[i])),
            "residual": number(float(residual[i])),
            "product": number(float(residual[i] * Z[i, 0])),
        }
        for i, at in enumerate(keep.tolist())
    ]
    lines = [
        f"∂J/∂w = (1/m) Σ r·{inside} = {number(float(gradient[0]))}  ({first})",
        f"∂J/∂b = (1/m) Σ r = {number(float(gradient[-1]))}",
    ]
    if play.run.l2:
        lines[0] = f"∂J/∂w = (1/m) Σ r·{inside} + λw = {number(float(gradient[0]))}  ({first})"
    alpha, plain = play.plan.learning_rate, play.plan.rule.name == gradient_descent.NAME and not play.run.batch
    if plain and alpha is not None:
        after = theta - alpha * gradient
        lines += [
            f"w ← {number(float(theta[0]))} − {number(alpha)} · ({number(float(gradient[0]))}) = {number(float(after[0]))}",
            f"b ← {number(float(theta[-1]))} − {number(alpha)} · ({number(float(gradient[-1]))}) = {number(float(after[-1]))}",
            f"J: {number(value)} → {number(play.problem.loss.value(after))}",
        ]
    else:
        lines.append(f"J = {number(value)}. The rule makes of it: {UPDATES[play.run.rule]}")
        if play.run.batch:
            lines.append(f"These are the gradients of all rows; the step itself has {play.run.batch:,} of them.")
    return {"step": step, "feature": first, "inside": inside, "rows": rows, "lines": lines}


def rate_name(play: Play) -> str:
    """α and its multiple of 1/L, for a label."""
    rate = rate_of(play)
    return f"α = {number(play.plan.learning_rate)}" + ("" if rate is None else f" = {number(rate, 3)}/L")

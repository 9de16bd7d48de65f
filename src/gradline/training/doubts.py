"""What is doubtful about a fit, said with the column and what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from gradline.maths.summaries import CategorySummary, NumberSummary
from gradline.training.stopping import StopReason
from gradline.types import Notice, Role

if TYPE_CHECKING:
    from collections.abc import Collection

    from gradline.maths.certificate import Certificate
    from gradline.maths.moments import Moments
    from gradline.maths.problem import Problem
    from gradline.representation.features import Representation
    from gradline.representation.sparse import SparseRepresentation
    from gradline.training.collinearity import Collinearity
    from gradline.training.loop import Descent
    from gradline.training.plan import Plan
    from gradline.training.survey import Survey

FEW_DIGITS = 6.0
FAR_FROM_MINIMUM = 1e-3  # relative gap
LEAKING_CORRELATION = 0.9999
PERFECT = 1e-14  # J* relative to the baseline, below which it is the rounding of the moments
ILL = 1e6  # condition in standard coordinates
OFFSETS = "columns that vary little beside their size have lost digits before they were read; subtract the offset at the source."
EXACT_INTEGERS = 2.0**53
ADVICE = {
    StopReason.DIVERGED: "Leave the learning rate to gradline (--learning-rate auto), or take a smaller one.",
    StopReason.MAX_STEPS: "Leave optimizer and learning rate to gradline, or raise --max-steps.",
    StopReason.MAX_EPOCHS: "Leave optimizer and learning rate to gradline, or raise --max-epochs.",
    StopReason.MAX_SECONDS: "Leave optimizer and learning rate to gradline, or raise --max-seconds.",
    StopReason.MONITOR: "Let it go on: --resume, or without that monitor.",
}


def run_doubts(descent: Descent, plan: Plan, certificate: Certificate) -> list[Notice]:
    """Notices of how the run ended, in the order in which a user should read them; those of the data follow."""
    return _not_converged(descent, plan, certificate) + _not_at_minimum(descent, certificate) + _shrunk(descent, plan)


def data_doubts(
    problem: Problem,
    representation: Representation | SparseRepresentation,
    certificate: Certificate,
    descent: Descent,
    found: Survey,
    texts: Collection[str],
    collinear: Collinearity,
) -> list[Notice]:
    """What is doubtful about the data.

    `texts`: the columns taken for categories because they are stored as text, not because the user said so.
    """
    names, moments = problem.names, problem.training
    notices = collinear.doubts()
    notices += _leaks(names, moments, representation)
    notices += _columns(found, texts)
    digits = certificate.trusted_digits
    at_minimum = descent.reason in (StopReason.CERTIFIED, StopReason.ROUNDING)
    if digits is not None and digits < FEW_DIGITS and at_minimum:
        text = (
            f"only about {digits:.1f} digits of the coefficients can be trusted (condition {problem.reference.condition:.3g}): "
            + ("drop a column that nearly repeats others, or add --l2." if problem.reference.condition > ILL else OFFSETS)
        )
        notices.append(Notice("few_digits", None, text))
    if certificate.kind == "exact" and certificate.minimum is not None and certificate.minimum <= PERFECT * problem.baseline:
        text = (
            "the fit is perfect to rounding: the loss and the errors shown are rounding themselves, right in size only. "
            "Is the target computed from the features?"
        )
        notices.append(Notice("perfect_fit", None, text))
    if moments.rows <= len(names) + 1:
        text = f"{moments.rows:,} training rows for {len(names):,} features: the fit can be perfect and mean nothing. Use fewer features, or --l2."
        notices.append(Notice("few_rows", None, text))
    if not found.rows(Role.TEST) and not found.rows(Role.VALIDATION):
        notices.append(Notice("nothing_held_out", None, "no row was held out: how good the model is on new rows is not known."))
    return notices


def _not_converged(descent: Descent, plan: Plan, certificate: Certificate) -> list[Notice]:
    if descent.reason.converged:
        return []
    needed = f"; it was predicted to need {plan.predicted_steps:,} steps" if plan.predicted_steps else ""
    gap = certificate.relative_gap
    left = "How far the minimum is is not known" if gap is None else f"The relative gap left is {gap:.2g}"
    text = f"{descent.reason.value}. {left}{needed}. " + ADVICE[descent.reason]
    return [Notice("not_converged", None, text)]


def _not_at_minimum(descent: Descent, certificate: Certificate) -> list[Notice]:
    """The classic rule can stop far from the minimum: the loss falls slowly there too."""
    gap = certificate.relative_gap
    if descent.reason is not StopReason.IMPROVEMENT or gap is None or gap <= FAR_FROM_MINIMUM:
        return []
    most = "" if certificate.kind == "exact" else "at most "
    text = (
        f"the run stopped because the loss fell slowly, not at the minimum: {most}{gap:.2g} of the target's variance is left to gain. "
        "Use --stop certificate, a larger learning rate, or a smaller --tolerance."
    )
    return [Notice("not_at_minimum", None, text)]


def _shrunk(descent: Descent, plan: Plan) -> list[Notice]:
    last = descent.history[-1].learning_rate
    if plan.learning_rate is None or last is None or not plan.unstable or last >= plan.learning_rate:
        return []
    text = (
        f"the learning rate {plan.learning_rate:.6g} diverged (it needs less than {plan.learning_rate_limit:.6g}); the run went back to "
        f"its best step and ended with {last:.6g}. Take that, or leave it to gradline: --learning-rate auto."
    )
    return [Notice("learning_rate_shrunk", None, text)]


def _leaks(names: tuple[str, ...], moments: Moments, representation: Representation | SparseRepresentation) -> list[Notice]:
    deviation = np.sqrt(np.diag(moments.comoment))
    correlation = moments.comoment[:-1, -1] / (deviation[:-1] * deviation[-1])
    return [
        Notice(
            "near_target",
            representation.features[j].column,
            f"{names[j]!r} alone explains the target almost perfectly (r = {correlation[j]:.6f}): "
            f"is it known before the target is? If not, --drop {_source_column(representation.features[j].column)}.",
        )
        for j in np.flatnonzero(np.abs(correlation) > LEAKING_CORRELATION).tolist()
    ]


def _source_column(name: str) -> str:
    """`sold_on` of its part `sold_on.days`."""
    return name.removesuffix(".days")


def _columns(found: Survey, texts: Collection[str]) -> list[Notice]:
    notices = []
    for name, summary in found.summaries.items():
        if isinstance(summary, NumberSummary) and max(abs(summary.minimum), abs(summary.maximum)) > EXACT_INTEGERS:
            text = f"{name!r} holds numbers past 2^53, where float64 no longer tells neighbouring whole numbers apart."
            notices.append(Notice("past_2_53", name, text))
        if isinstance(summary, CategorySummary) and name in texts and summary.counts and len(summary.counts) > 2:
            notices += _numbers_as_text(name, list(summary.counts))
    return notices


def _numbers_as_text(name: str, levels: list[str]) -> list[Notice]:
    """A word on text whose values are nearly all numbers; it suggests only what works."""
    plain = [bool(re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", level)) for level in levels]
    if all(plain):
        return [_text_numbers(name, f"its values are all numbers: to take it as one, --types {name}=number.")]
    dressed = [
        p or bool(re.fullmatch(r"\s*[^\w\s]?\s*[+-]?\d[\d.,' ]*\s*[^\w\s]?\s*", level))
        for p, level in zip(plain, levels, strict=True)
    ]
    if sum(dressed) < 0.9 * len(levels):
        return []
    odd = next(level for level, p in zip(levels, plain, strict=True) if not p)
    if sum(plain) >= 0.9 * len(levels):
        return [
            _text_numbers(
                name,
                f"its values are numbers but for a few like {odd[:30]!r}: make those null with SQL text, try_cast({name} as double).",
            )
        ]
    return [
        _text_numbers(
            name, f"its values look like numbers with signs, like {odd[:30]!r}: remove these with SQL text and cast the rest."
        )
    ]


def _text_numbers(name: str, what: str) -> Notice:
    return Notice("text_numbers", name, f"{name!r} is text, and was not taken as a number. But {what}")

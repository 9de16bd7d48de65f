"""What is doubtful about a fit, said with the column and what to do."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from gradline.errors import plural
from gradline.maths.certificate import rounding_of_fit
from gradline.training.diagnostics.faults import faults
from gradline.training.diagnostics.leaks import leaks, linear_leaks
from gradline.training.diagnostics.sampled import sampled_rows
from gradline.training.diagnostics.splitting import doubtful_split
from gradline.training.diagnostics.texts import doubtful_texts
from gradline.training.escalation import FEW_DIGITS
from gradline.training.reading.columns import source_columns, table_columns
from gradline.training.rows import SparseReader
from gradline.training.stopping import StopReason
from gradline.types import Notice, Role

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from gradline.maths.certificate import Certificate
    from gradline.maths.problem import Problem
    from gradline.representation.features import Representation
    from gradline.representation.sparse import SparseRepresentation
    from gradline.training.config import TrainConfig
    from gradline.training.diagnostics.collinearity import Collinearity
    from gradline.training.loop import Descent
    from gradline.training.plan import Plan
    from gradline.training.rows import RowReader
    from gradline.training.survey import Survey

FAR_FROM_MINIMUM = 1e-3  # relative gap
MOST_OF_A_CODE = 5  # notices, and one that counts the others
MOST_LISTED = 50
PERFECT = 1e-14  # J* relative to the baseline, below which it is the rounding of the moments
ILL = 1e6  # condition in standard coordinates
OFFSETS = "columns that vary little beside their size have lost digits before they were read; subtract the offset at the source."
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
    problem: Problem, certificate: Certificate, descent: Descent, found: Survey, collinear: Collinearity
) -> list[Notice]:
    """What is doubtful about the fit by its data."""
    names, moments = problem.names, problem.training
    notices = collinear.doubts()
    digits = certificate.trusted_digits
    at_minimum = descent.reason in (StopReason.CERTIFIED, StopReason.ROUNDING)
    if digits is not None and digits < FEW_DIGITS and at_minimum:
        text = (
            f"only about {digits:.1f} digits of the coefficients can be trusted (condition {problem.reference.condition:.3g}): "
            + ("drop a column that nearly repeats others, or add --l2." if problem.reference.condition > ILL else OFFSETS)
        )
        notices.append(Notice("few_digits", None, text))
    notices += _perfect(problem, certificate)
    if moments.rows <= len(names) + 1:
        text = f"{moments.rows:,} training rows for {len(names):,} features: the fit can be perfect and mean nothing. Use fewer features, or --l2."
        notices.append(Notice("few_rows", None, text))
    if not found.rows(Role.TEST) and not found.rows(Role.VALIDATION):
        notices.append(Notice("nothing_held_out", None, "no row was held out: how good the model is on new rows is not known."))
    return notices


def _perfect(problem: Problem, certificate: Certificate) -> list[Notice]:
    """A word on a minimum that is the rounding of the moments or, where these are exact, of the data."""
    if certificate.kind != "exact" or certificate.minimum is None:
        return []
    if problem.exact is not None:
        rounding = rounding_of_fit(problem, np.abs(problem.reference.minimiser[: len(problem.names)]))
        if certificate.minimum > 0.5 * rounding**2:
            return []
        text = "the fit is perfect to the rounding of the data: the errors shown are no larger. Is the target computed from the features?"
        return [Notice("perfect_fit", None, text)]
    if certificate.minimum > PERFECT * problem.baseline:
        return []
    text = (
        "the fit is perfect to rounding: the loss and the errors shown are rounding themselves, right in size only. "
        "Is the target computed from the features?"
    )
    return [Notice("perfect_fit", None, text)]


def table_doubts(
    problem: Problem,
    representation: Representation | SparseRepresentation,
    found: Survey,
    reader: RowReader | SparseReader,
    config: TrainConfig,
    texts: Collection[str],
) -> list[Notice]:
    """What is doubtful about the table: leaks, faults, how it is divided.

    `texts`: the columns taken for categories because they are stored as text, not because the user said so.
    """
    sources = source_columns(representation)
    if isinstance(reader, SparseReader):
        return linear_leaks(problem, sources)
    sample, used = sampled_rows(found, reader), list(dict.fromkeys(sources.values()))
    columns = table_columns(representation, reader.decoder.kinds)
    notices = leaks(problem, found, sample, reader, sources)
    notices += faults(found, sample, frozenset(used), config.target, config.weight)
    notices += doubtful_texts(found, sample, texts)
    told = {notice.column for notice in notices}
    groups = [name for name in reader.decoder.kinds if name not in told]
    return notices + doubtful_split(found, sample, reader.roles, config, [*columns, config.target], groups)


def bounded(notices: Sequence[Notice], most: int = MOST_OF_A_CODE) -> tuple[Notice, ...]:
    """The first few of each code, and a word on the others of it."""
    kept: list[Notice] = []
    more: dict[str, list[Notice]] = {}
    counts = Counter(notice.code for notice in notices)
    for notice in notices:
        if counts[notice.code] <= most + 1 or sum(each.code == notice.code for each in kept) < most:
            kept.append(notice)
        else:
            more.setdefault(notice.code, []).append(notice)
    for code, others in more.items():
        names = [repr(each.column) for each in others if each.column is not None]
        listed = f": {', '.join(names[:MOST_LISTED])}" + (", …" if len(names) > MOST_LISTED else "") if names else ""
        text = f"and {plural(len(others), 'more notice')} of the kind [{code}]{listed}."
        last = max(i for i, each in enumerate(kept) if each.code == code)
        kept.insert(last + 1, Notice(code, None, text))
    return tuple(kept)


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

"""Where float64 moments hold too few digits: a second read, exact sums, the problem posed anew, and a refined answer.

    second read: exact moments    the rows of the first, as features; sums of products without rounding
    the loop                      as ever, on the exact problem: its gradient is Hθ − c to twice the precision
    refinement                    once the loop has converged, θ ← θ*, to twice the precision

The stages are in the plan. Of up to 2,000 rows the first read has kept all, as its sample: their moments are always exact, and where
the loop is left to gradline the answer has all the digits that the columns hold.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.errors import DataError, plural
from gradline.inputs.memory import StreamSource
from gradline.maths.certificate import moment_digits
from gradline.maths.exact import ExactMoments
from gradline.maths.problem import combined, confirmed, followed, pose_exact
from gradline.maths.slices import exact_sums
from gradline.training.optimality.wide import WideProblem
from gradline.training.stopping import StopReason
from gradline.types import Block, Notice, Part, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gradline.inputs.source import Source
    from gradline.maths.certificate import Certificate
    from gradline.maths.engine import Engine
    from gradline.maths.problem import Problem
    from gradline.maths.slices import ExactSums
    from gradline.representation.features import Representation
    from gradline.splits.roles import RoleArray
    from gradline.training.config import TrainConfig
    from gradline.training.loop import Descent
    from gradline.training.plan import Plan
    from gradline.training.rows import RowReader
    from gradline.training.survey import Survey
    from gradline.types import FloatArray, IntArray

FEW_DIGITS = 6.0  # that are to be trusted, below which there is a warning
LEAST_DIGITS = 10.0  # of the coefficients, that the rounding of the moments must leave; the loop's own tolerance
FEW_FEATURES = 32  # whose exact moments take a moment
MOST_FEATURES = 256  # the elimination in whole numbers takes (features / 100)³ tenths of a second
MOST_PRODUCTS = 1e11  # of rows and columns: minutes
SHIFT_BITS = 3  # of a shift below the deviation: few, so that a difference to it has no more bits than the number
FAR = 1e-6  # deviations between the means of two reads,
SAME = 1e-12  # beside their rounding
KEPT = "exact moments of the rows, kept from the first read"
READ = "second read: exact moments"
REFINEMENT = "refinement to the solved minimum, once the loop has converged"


class Escalation(NamedTuple):
    """The problem to train on.  loop: the one that the steps are judged by.  stages: before and, with a refinement, after the loop's; none
    where the moments of the first read do.  reason: for the plan.  notices: why exact moments are not to be had, where they are needed.
    """

    problem: Problem
    loop: Problem
    stages: tuple[str, ...] = ()
    reason: str = ""
    notices: tuple[Notice, ...] = ()


def escalated(
    source: Source,
    config: TrainConfig,
    engine: Engine,
    reader: RowReader,
    representation: Representation,
    problem: Problem,
    found: Survey,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> Escalation:
    """The problem from exact moments, where those of the first read do not do. on_rows: is told how many rows a second read has read."""
    moments_alone = config.oracle not in ("streamed", "minibatch") and config.loss == "squared" and config.l1 == 0.0
    if not moments_alone or config.scaling != "standard":
        return Escalation(problem, problem)
    p = len(problem.names)
    digits = _certain(problem, representation)
    kept = len(found.sample.hashes) == found.read - found.dropped  # the sample of the first read is all rows
    if digits >= LEAST_DIGITS and not (kept and p <= FEW_FEATURES):
        return Escalation(problem, problem)
    among = combined(problem)
    if not kept and 0 < len(among) <= MOST_FEATURES:
        sampled = _exact_moments(engine, _sampled(found), found.sample.roles, reader, representation, problem, among)
        if Role.TRAINING in sampled and confirmed(problem, among, sampled[Role.TRAINING]):
            return Escalation(problem, problem)  # no further read would make these coefficients identifiable
    why = None if kept else _why_not(source, problem)
    if why is None:
        blocks = _sampled(found) if kept else source.blocks(reader.columns)
        exact = _exact_moments(
            engine, blocks, found.sample.roles if kept else None, reader, representation, problem, on_rows=on_rows
        )
        other = _other_rows(problem, exact)
        if other is None:
            refine = digits < LEAST_DIGITS or _left_to_us(config)
            return _posed(pose_exact(problem, exact, config.penalty), digits, KEPT if kept else READ, refine=refine)
        if source.files:
            raise DataError(
                f"{source.name} changed while it was read: a second read gave other {other.label} rows.", "train again."
            )
        why = f"{source.name} gave other {other.label} rows the second time: order them, or write them to a file."
    text = f"the moments of one read in float64 leave {plural(int(digits), 'digit')} of the coefficients, and {why}"
    if problem.reference.null:
        text = f"float64 moments cannot tell columns that nearly repeat others from those that do, and {why}"
    return Escalation(problem, problem, notices=(Notice("not_escalated", None, text),))


def _why_not(source: Source, problem: Problem) -> str | None:
    """What stands against a second read."""
    if isinstance(source, StreamSource):
        return f"{source.name} cannot be read a second time for exact moments: write it to a file."
    if len(problem.names) > MOST_FEATURES:
        return f"exact moments are computed of up to {MOST_FEATURES} features: leave some out, or add --l2."
    if float(problem.training.rows) * (len(problem.names) + 2) ** 2 > MOST_PRODUCTS:
        return "exact moments of so many rows and features would take many minutes: sample the rows, or leave features out."
    return None


def _posed(problem: Problem, digits: float, read: str, *, refine: bool) -> Escalation:
    loop = followed(problem)
    flat = loop.solution.null - problem.solution.null
    along = f", along {plural(flat, 'direction')} too flat for steps in float64 as well" if flat else ""
    reason = (
        "the table is small: exact moments take a moment, and hold all the digits of its columns"
        if digits >= LEAST_DIGITS
        else f"float64 moments leave {plural(int(digits), 'digit')} of the coefficients, fewer than {LEAST_DIGITS:.0f}: exact ones are computed"
    )
    return Escalation(problem, loop, (read, REFINEMENT + along) if refine else (read,), reason)


def _sampled(found: Survey) -> list[Block]:
    """The sample as the only block."""
    return [Block(0, 0, lambda: found.sample.table)]


def staged(plan: Plan, escalation: Escalation) -> Plan:
    """The plan with the stages of an escalation, if there was one."""
    if not escalation.stages:
        return plan
    first, *rest = plan.stages
    before, *after = escalation.stages
    return replace(plan, stages=(first, before, *rest, *after), reasons=(escalation.reason, *plan.reasons))


def refined(problem: Problem | WideProblem, plan: Plan, descent: Descent) -> Descent:
    """The solved minimum in place of the loop's last iterate, where the plan says so and the loop came within tolerance of it."""
    if isinstance(problem, WideProblem) or problem.exact is None or not plan.stages[-1].startswith(REFINEMENT):
        return descent
    if descent.reason not in (StopReason.CERTIFIED, StopReason.ROUNDING):
        return descent
    if problem.solution.null:  # along the flat directions the loop's own
        return descent._replace(theta=descent.theta - problem.solution.distance(descent.theta))
    return descent._replace(theta=problem.exact.theta, theta_low=problem.exact.theta_low)


def needed(notices: Sequence[Notice], certificate: Certificate) -> list[Notice]:
    """Those notices without the word that exact moments are not to be had, where the certificate finds enough digits all the same."""
    digits = certificate.trusted_digits
    enough = digits is not None and digits >= FEW_DIGITS
    return [notice for notice in notices if notice.code != "not_escalated" or not enough]


def _left_to_us(config: TrainConfig) -> bool:
    plain = config.optimizer == "auto" and config.learning_rate is None and config.schedule == "constant"
    return plain and config.stop == ("certificate",)


def _certain(problem: Problem, representation: Representation) -> float:
    """`moment_digits`; combinations of indicators alone are whole numbers' and certain in float64 too."""
    null = problem.reference.vectors[: len(problem.names), : problem.reference.null]
    numbers = [j for j, feature in enumerate(representation.features) if feature.part is Part.VALUE]
    if problem.reference.null and not np.any(np.abs(null[numbers]) > 1e-6):
        return LEAST_DIGITS
    return moment_digits(problem)


def _exact_moments(
    engine: Engine,
    blocks: Iterable[Block],
    roles: RoleArray | None,
    reader: RowReader,
    representation: Representation,
    problem: Problem,
    features: IntArray | None = None,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> dict[Role, ExactMoments]:
    """Exact moments by role. roles: of the rows of the only block, where its row numbers do not tell.  features: only of these."""
    chosen = np.arange(len(problem.names)) if features is None else features
    shift = _shift(problem)[[*chosen, len(problem.names)]]

    def compute(block: Block) -> dict[Role, ExactSums]:
        rows = reader.read(block)
        found = {}
        for role in problem.moments:
            mine = (rows.roles if roles is None else roles) == role
            if rows.weight is not None:
                mine &= rows.weight > 0.0
            if mine.any():
                columns = np.vstack([representation.design(rows.decoded.take(mine)).T[chosen], rows.y[mine]])
                found[role] = exact_sums(columns, shift, None if rows.weight is None else rows.weight[mine])
        return found

    def merge(a: dict[Role, ExactSums], b: dict[Role, ExactSums]) -> dict[Role, ExactSums]:
        both = {role: a[role].plus(b[role]) if role in a and role in b else {**a, **b}[role] for role in {**a, **b}}
        on_rows(sum(each.rows for each in both.values()))
        return both

    sums = engine.map_merge(blocks, compute, merge) or {}
    unit = float(np.ldexp(1.0, np.frexp(problem.target_deviation)[1]))
    return {role: ExactMoments(each, shift, unit) for role, each in sums.items()}


def _other_rows(problem: Problem, exact: dict[Role, ExactMoments]) -> Role | None:
    """The first role whose rows are not those of the first read."""
    unit = np.append(problem.coordinates.deviation, problem.target_deviation)  # sums about a far row keep no less than that
    for role, before in problem.moments.items():
        if (role in exact) != (before.weight > 0.0):
            return role
        if role in exact:
            apart = np.abs(np.array([float(mean) for mean in exact[role].mean]) - before.mean)
            near = bool(np.all(apart <= FAR * unit + SAME * np.abs(before.mean)))
            if not near or abs(float(exact[role].weight) / before.weight - 1.0) > SAME:
                return role
    return None


def _shift(problem: Problem) -> FloatArray:
    """Near the means of the training rows, (p+1,), with few bits."""
    deviation = np.append(problem.coordinates.deviation, problem.target_deviation)
    step = np.ldexp(1.0, np.frexp(deviation)[1] - SHIFT_BITS)
    shift: FloatArray = np.rint(problem.training.mean / step) * step
    return shift

"""The search for a representation: derived numbers, and a penalty, that lower the cross-validated error beyond its noise.

It changes nothing: what it finds is a proposal. On a sample of the training rows the candidates (the square, the logarithm and a
spline of each number, products of the most important pairs) are added one by one to the model's own features, the best first, for as long
as the error of the folds falls by more than its standard error; and a change is proposed only if the error of *selecting so*, measured on
outer folds that the selection has not seen, falls by more than its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.arrays import flat_column
from gradline.errors import DataError, InputError, UsageError, plural
from gradline.maths.block import block_moments
from gradline.maths.moments import merge
from gradline.maths.ridge_path import penalties, ridge_path
from gradline.maths.selection import divided, fold_grams, nested, orthonormal, outer_pairs, standard_error
from gradline.representation.derive import Derived
from gradline.representation.expressions import QUANTILES, Factor, Logarithm, Product, Spline
from gradline.representation.features import Representation
from gradline.splits.divisions import Folds
from gradline.splits.gap import parsed_gap
from gradline.splits.roles import time_ordinals
from gradline.training.columns import made_of, source_columns
from gradline.training.degrees import degree_curve
from gradline.training.drawn import draw
from gradline.training.rows import RowReader
from gradline.types import Notice, NumberColumn, Part, finite_or_none

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.inputs.source import Source
    from gradline.maths.engine import Engine
    from gradline.maths.ridge_path import RidgePath
    from gradline.maths.selection import Nested, Pair
    from gradline.representation.expressions import Expression
    from gradline.representation.features import Feature
    from gradline.training.config import TrainConfig
    from gradline.training.degrees import DegreeCurve
    from gradline.training.rows import Rows
    from gradline.training.trainer import Fit
    from gradline.types import FloatArray, IntArray, Json

SEARCH_ROWS = 50_000  # training rows
SEARCH_FOLDS = 10
MOST_FEATURES = 300  # of the model that the search begins with
MOST_NUMBERS = 20  # whose squares, logarithms and splines are tried: those with the largest effects
MOST_PAIRED = 6  # of which each pair's product is tried
MOST_CROSSED = 3  # categories, and numbers, of which each pair's product is tried
MOST_CROSSED_LEVELS = 10
MOST_CHANGES = 6
LEAST_FOLD_ROWS = 10
LEAST_JUDGED = 2  # folds that the selection has not seen: of one there is no noise to be known
SPLINE_KNOTS = 4
PENALTIES = 50  # values of λ
LEAST_OF_PENALTY = 1e-3  # of the error, that a penalty has to take off
DIFFERENT = {"square": 3, "logarithm": 5, "spline": 10}  # values that a column must have
FAR = 10.0  # deviations of the mean from zero, past which powers are proposed about a round number near it


class SampledDesign(NamedTuple):
    """The model's features on n of the training rows, and the numbers among them before missing ones were imputed.

    X: (n, p).  numbers: (n,) by name, NaN where missing.  y, weight, fold: (n,).  folds: how many.  of: how many training rows there are.
    before: of folds that follow each other in time, see `FoldGrams`.
    """

    X: FloatArray
    numbers: dict[str, FloatArray]
    y: FloatArray
    weight: FloatArray
    fold: IntArray
    folds: int
    of: int
    before: tuple[int, ...] | None = None

    @property
    def root(self) -> FloatArray:
        """√w, (n, 1)."""
        found: FloatArray = np.sqrt(self.weight)[:, None]
        return found

    def basis(self, *, intercept: bool) -> FloatArray:
        """An orthonormal basis of what every model here has, (n, r), rows times √w."""
        X = self.X
        if intercept:
            mean = self.weight @ X / self.weight.sum()
            X = np.column_stack([np.ones(len(X)), X - mean])
        return orthonormal(X * self.root, np.zeros((len(X), 0)))

    def added(self, columns: Sequence[FloatArray], basis: FloatArray) -> FloatArray:
        """What columns (n,) add to a basis, missing values at the mean of the present ones, (n, ≤ c)."""
        return orthonormal(np.column_stack([self._filled(column) for column in columns]) * self.root, basis)

    def _filled(self, values: FloatArray) -> FloatArray:
        present = ~np.isnan(values)
        if present.all():
            return values
        return np.where(present, values, np.average(values[present], weights=self.weight[present]) if present.any() else 0.0)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change, and what the nested cross-validation says of it and all before it. change: the expression that is new, or `l2`.

    settings: what to train with.  rmse: the mean over the outer folds.  difference, standard_error: how much less than the base's.
    gain, gain_error: how much less than without this change alone.  terms: features of the model then.  made_of: the table's columns of the change.
    selected: in how many of the outer folds the search itself came to these changes.
    """

    change: str
    settings: Json
    rmse: float
    difference: float
    standard_error: float
    gain: float
    gain_error: float
    terms: int
    made_of: tuple[str, ...]
    selected: int | None

    def to_json(self) -> Json:
        """An entry of `representation_search.proposals`, without the command."""
        figures = {name: finite_or_none(getattr(self, name)) for name in _FIGURES}
        return {
            "change": self.change,
            **self.settings,
            **figures,
            "terms": self.terms,
            "made_of": list(self.made_of),
            "selected_in_folds": self.selected,
        }


_FIGURES = ("rmse", "difference", "standard_error", "gain", "gain_error")


class Penalty(NamedTuple):
    """What λ, chosen by cross-validation, does for the model as it is. rmse, difference, standard_error: see `Proposal`; base_rmse without it."""

    rmse: float
    difference: float
    standard_error: float
    base_rmse: float

    @property
    def proposed(self) -> bool:
        """Some shrinking helps nearly always, by very little: that is no reason for a penalty."""
        return self.difference > self.standard_error and self.difference > LEAST_OF_PENALTY * self.base_rmse

    def to_json(self) -> Json:
        """The entry `representation_search.penalty`, without the command."""
        figures = {name: finite_or_none(getattr(self, name)) for name in ("rmse", "difference", "standard_error")}
        return {"l2": "auto", **figures, "proposed": self.proposed}


@dataclass(frozen=True, slots=True)
class RepresentationSearch:
    """rows: of the sample, of `of` training rows.  base_rmse, base_terms: of the model as it is.  columns: of the table, that it depends on.

    ordered: whether the folds follow each other in time.  judged: how many of them the nested errors are of: all, but of ordered ones those with
    enough others before them.  candidates: how many were tried.  proposals: each with all before it.  refused: the best that is not proposed.  penalty: on the model as it is.
    """

    rows: int
    of: int
    folds: int
    ordered: bool
    judged: int
    candidates: int
    base_rmse: float
    base_terms: int
    columns: tuple[str, ...]
    proposals: tuple[Proposal, ...]
    refused: Proposal | None
    penalty: Penalty

    def to_json(self) -> Json:
        """The entry `representation_search` of the JSON documents; the commands are added where they are known."""
        return {
            "rows": self.rows,
            "of": self.of,
            "folds": self.folds,
            "ordered": self.ordered,
            "judged": self.judged,
            "candidates": self.candidates,
            "base": {"rmse": finite_or_none(self.base_rmse), "terms": self.base_terms, "columns": list(self.columns)},
            "proposals": [each.to_json() for each in self.proposals],
            "refused": None if self.refused is None else self.refused.to_json(),
            "penalty": self.penalty.to_json(),
        }


def sampled_design(found: Fit, source: Source, config: TrainConfig, engine: Engine, asked: str) -> SampledDesign:
    """The sample, by one more read. Raises InputError where there can be none."""
    representation, reader = found.representation, found.reader
    if not isinstance(reader, RowReader) or not isinstance(representation, Representation):
        raise UsageError(f"{asked} is for tables of columns, and {source.name} is sparse.", "leave it out.")
    if not source.repeatable and not source.files:
        raise UsageError(f"{asked} reads the rows again, and {source.name} can be read only once.", "write it to a file.")
    p = len(representation.features)
    if p > MOST_FEATURES:
        raise UsageError(
            f"{asked} begins with up to {MOST_FEATURES} features, and there are {p:,}.", "choose columns with --features."
        )
    folds = config.folds or SEARCH_FOLDS
    numbers = [f.column for f in representation.features if f.part is Part.VALUE]

    def values(rows: Rows, at: IntArray) -> FloatArray:
        decoded = rows.decoded.take(at)
        known = {number.name: number.values for number in decoded.numbers}
        times = [] if config.time is None else [time_ordinals(flat_column(rows.table, config.time), config.time)[rows.kept][at]]
        return np.column_stack([representation.design(decoded), *(known[name] for name in numbers), *times])

    reader = replace(reader, divisions=(Folds(folds, config.seed, by_row=config.stratify is not None),))
    drawn = draw(source, reader, engine, config.seed, SEARCH_ROWS, values)
    fold, before = drawn.fold.astype(np.intp), None
    if config.time is not None:
        kind = source.schema.field(config.time).type
        gap = 0.0 if config.gap is None else parsed_gap(config.gap).ordinals(kind, config.time)
        fold, before = _folds_by_time(drawn.values[:, -1], folds, gap)
    _check_folds(fold, folds, before, config)
    columns = dict(zip(numbers, drawn.values[:, p : p + len(numbers)].T, strict=True))
    return SampledDesign(drawn.values[:, :p], columns, drawn.y, drawn.weight, fold, folds, drawn.of, before)


def _folds_by_time(times: FloatArray, folds: int, gap: float) -> tuple[IntArray, tuple[int, ...]]:
    """The fold of each row, (n,), as many in each as can be while rows of one time stay together; and before each fold, how many end before it
    begins less the gap.
    """
    ordered = np.sort(times)
    starts = ordered[[k * len(times) // folds for k in range(1, folds)]] if len(times) else np.zeros(folds - 1)
    fold: IntArray = np.searchsorted(starts, times, side="right")
    # fold j ends where fold j + 1 starts: its rows are earlier
    before = (0, *(int(np.count_nonzero(starts <= start - gap)) for start in starts))
    return fold, before


def _check_folds(fold: IntArray, folds: int, before: tuple[int, ...] | None, config: TrainConfig) -> None:
    if len(outer_pairs(folds, before)) < LEAST_JUDGED:
        raise DataError(
            f"{folds} folds are too few for the search to judge itself"
            + (", with such a gap between them." if config.gap else "."),
            "divide into more: --folds 10.",
        )
    rows = np.bincount(fold, minlength=folds)
    if rows.min() >= LEAST_FOLD_ROWS:
        return
    column = config.key or config.group or config.time
    why = "" if column is None else f" (rows of one value of {column!r} stay in one fold)"
    raise DataError(
        f"fold {int(np.argmin(rows)) + 1} of {folds} has {plural(int(rows.min()), 'training row')}{why}; the search needs {LEAST_FOLD_ROWS} in each.",
        "divide into fewer: --folds 5, or give more rows.",
    )


class Candidate(NamedTuple):
    """An expression and its columns on the sampled rows, (n,) each."""

    expression: Expression
    columns: list[FloatArray]


def search(found: Fit, config: TrainConfig, design: SampledDesign) -> RepresentationSearch:
    """What could be added to a model's features."""
    representation = found.representation
    assert isinstance(representation, Representation)
    tried = _candidates(found, representation, design)
    basis = design.basis(intercept=config.intercept)
    added = [design.added(each.columns, basis) for each in tried]
    grams = fold_grams(basis, added, design.y * design.root[:, 0], design.weight, design.fold, design.folds, design.before)
    result = nested(grams, MOST_CHANGES)
    sources, beneath = source_columns(representation), made_of(representation)
    outcome = _Outcome(result, tried, [each.shape[1] for each in added], config, len(representation.features), sources)
    proposals: list[Proposal] = []
    refused = None
    for step in range(1, len(result.path.order) + 1):
        proposal = outcome.proposal(step)
        if proposal.gain <= proposal.gain_error:
            refused = proposal
            break
        proposals.append(proposal)
    columns = dict.fromkeys(base for column in sources.values() for base in sorted(beneath.get(column, {column})))
    return RepresentationSearch(
        rows=len(design.y),
        of=design.of,
        folds=design.folds,
        ordered=design.before is not None,
        judged=len(result.orders),
        candidates=len(tried),
        base_rmse=float(result.errors[0].mean()),
        base_terms=len(representation.features),
        columns=tuple(columns),
        proposals=tuple(proposals),
        refused=outcome.not_selected() if refused is None else refused,
        penalty=search_penalty(representation, config, design),
    )


class _Outcome(NamedTuple):
    """What the selection came to, and what its numbers stand for. width: of each candidate, the terms that it adds."""

    result: Nested
    tried: Sequence[Candidate]
    width: Sequence[int]
    config: TrainConfig
    terms: int
    sources: dict[str, str]

    def proposal(self, step: int) -> Proposal:
        """The first so many changes, with their nested errors."""
        order = self.result.path.order[:step]
        selected = sum(set(order) == set(other[:step]) for other in self.result.orders)
        return self._of(order, self.result.errors[[0, step - 1, step]], selected)

    def not_selected(self) -> Proposal | None:
        """The best of those that the folds themselves do not take: its errors are those of the K folds, not nested."""
        path = self.result.path
        if path.best is None:
            return None
        at, errors = path.best
        return self._of((*path.order, at), np.array([path.errors[0], path.errors[-1], errors]), None)

    def _of(self, order: tuple[int, ...], errors: FloatArray, selected: int | None) -> Proposal:
        base, before, after = errors  # (K,) each
        last = self.tried[order[-1]].expression
        return Proposal(
            change=str(last),
            settings={"derive": [*self.config.derive, *(str(self.tried[g].expression) for g in order)]},
            rmse=float(after.mean()),
            difference=float((base - after).mean()),
            standard_error=standard_error(base - after, self.result.share),
            gain=float((before - after).mean()),
            gain_error=standard_error(before - after, self.result.share),
            terms=self.terms + sum(self.width[g] for g in order),
            made_of=_table_columns(last, self.sources),
            selected=selected,
        )


def _table_columns(expression: Expression, sources: dict[str, str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(sources.get(column, column.removesuffix(".days")) for column in expression.columns))


def _candidates(found: Fit, representation: Representation, design: SampledDesign) -> list[Candidate]:
    """At most 3·MOST_NUMBERS + C(MOST_PAIRED, 2) + MOST_CROSSED², those of the largest effects first."""
    effects = np.abs(found.problem.coordinates.to_standard(found.descent.theta)[: len(representation.features)])
    derived = made_of(representation)
    ordered = [representation.features[j] for j in np.argsort(-effects, kind="stable")]
    numbers = [f for f in ordered if f.part is Part.VALUE and f.column not in derived and _varied(design.numbers[f.column]) > 1]
    known = {each.expression.key for each in representation.derived}
    wanted: list[Expression] = []
    curved = [f for f in numbers if _varied(design.numbers[f.column]) > 2]  # a 0/1 column is its square; its products are slopes
    for feature in curved[:MOST_NUMBERS]:
        values = design.numbers[feature.column]
        different, column = _varied(values), feature.column
        if different >= DIFFERENT["square"]:
            wanted.append(Product((Factor(column, 2, _shift(feature)),)))
        if different >= DIFFERENT["logarithm"] and np.nanmin(values) > 0.0:
            wanted.append(Logarithm(column))
        if different >= DIFFERENT["spline"]:
            wanted.append(Spline(column, SPLINE_KNOTS))
    for a, b in combinations(numbers[:MOST_PAIRED], 2):
        wanted.append(Product((Factor(a.column, 1, _shift(a)), Factor(b.column, 1, _shift(b)))))
    made = [Candidate(e, _columns(e, design)) for e in wanted if e.key not in known]
    made += [each for each in _crossed(ordered, numbers, representation, design) if each.expression.key not in known]
    return [each for each in made if each.columns]


def _varied(values: FloatArray) -> int:
    return len(np.unique(values[~np.isnan(values)]))


def _shift(feature: Feature) -> float:
    """0, or where the column lies far from it for its spread the mean, to a digit of the deviation: it has the same span, and keeps its digits."""
    if abs(feature.mean) <= FAR * feature.deviation:
        return 0.0
    unit = 10.0 ** np.floor(np.log10(feature.deviation))
    return float(np.rint(feature.mean / unit) * unit)


def _columns(expression: Expression, design: SampledDesign) -> list[FloatArray]:
    """On the sampled rows; none where a spline finds no knots, or a power is past float64."""
    knots: tuple[float, ...] = ()
    if isinstance(expression, Spline):
        values = design.numbers[expression.column]
        different = np.unique(np.quantile(values[~np.isnan(values)], QUANTILES[expression.knots]))
        if len(different) < expression.knots:
            return []
        knots = tuple(different.tolist())
    made = Derived(expression, knots).values(design.numbers, {}, np.arange(len(design.y)))
    return made if not any(np.isinf(column).any() for column in made) else []


def _crossed(
    ordered: Sequence[Feature], numbers: Sequence[Feature], representation: Representation, design: SampledDesign
) -> list[Candidate]:
    """Products of the most important categories of few levels with the most important numbers."""
    made = []
    categories = list(dict.fromkeys(f.column for f in ordered if f.part is Part.LEVEL))[:MOST_CROSSED]
    for name in categories:
        parts = {f.part for f in representation.features if f.column == name}
        at = [j for j, f in enumerate(representation.features) if f.column == name and f.part is Part.LEVEL]
        rows = design.X[:, at].sum(axis=0)
        if Part.OTHER in parts or len(at) >= MOST_CROSSED_LEVELS or rows.min() < LEAST_FOLD_ROWS:
            continue
        for number in numbers[:MOST_CROSSED]:
            values = design.numbers[number.column]
            shift = _shift(number)
            expression = Product((Factor(name), Factor(number.column, 1, shift)))
            made.append(Candidate(expression, [design.X[:, j] * (values - shift) for j in at]))
    return made


def search_penalty(representation: Representation, config: TrainConfig, design: SampledDesign) -> Penalty:
    """Ridge regression on the model's own features, λ chosen within each outer fold by the others, judged on it."""
    names = representation.names
    folds = []
    for k in range(design.folds):
        mine = design.fold == k
        columns = [NumberColumn(name, design.X[mine, j]) for j, name in enumerate(names)]
        target = NumberColumn(config.target, design.y[mine], Part.TARGET)
        folds.append(block_moments([*columns, target], [], int(mine.sum()), design.weight[mine]))
    indicators = np.array([feature.part is not Part.VALUE for feature in representation.features])

    def learned(pair: Pair) -> RidgePath:
        moments = reduce(merge, (folds[j] for j in pair.learned))
        return ridge_path(moments, indicators, config.scaling, intercept=config.intercept)

    outer = outer_pairs(design.folds, design.before)
    paths = [learned(pair) for pair in outer]
    l2 = penalties(max(path.curvature_max for path in paths), PENALTIES)
    free, chosen = [], []
    for pair, path in zip(outer, paths, strict=True):
        within = divided(pair.learned, design.before)
        inner = np.sqrt([learned(each).squared_errors(folds[each.judged], l2) for each in within])  # (K − 1, λ)
        errors = np.sqrt(path.squared_errors(folds[pair.judged], l2))
        free.append(errors[-1])
        chosen.append(errors[int(np.argmin(inner.mean(axis=0)))])
    gain = np.array(free) - np.array(chosen)
    share = float(np.mean([folds[h].weight / sum(folds[j].weight for j in rest) for rest, h in outer]))
    return Penalty(float(np.mean(chosen)), float(gain.mean()), standard_error(gain, share), float(np.mean(free)))


class Explored(NamedTuple):
    """What was asked for beside the model. search: of the representation.  notices: why there is none."""

    search: RepresentationSearch | None = None
    degrees: DegreeCurve | None = None
    notices: tuple[Notice, ...] = ()


def explore(found: Fit, source: Source, config: TrainConfig, engine: Engine) -> Explored:
    """The search and the curve, where they were asked for, on one sample. What stands against them costs no model: it is told."""
    if not config.search and not config.degree_curve:
        return Explored()
    asked = "--search" if config.search else "--degree-curve"
    searched = None
    try:
        design = sampled_design(found, source, config, engine, asked)
        searched = search(found, config, design) if config.search else None
        return Explored(searched, degree_curve(found, config, design) if config.degree_curve else None)
    except InputError as error:
        return Explored(searched, None, (Notice("not_searched", None, str(error)),))

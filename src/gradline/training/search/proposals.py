"""The search for a representation: derived numbers, and a penalty, that lower the cross-validated error beyond its noise.

It changes nothing: what it finds is a proposal. On a sample of the training rows the candidates (the square, the logarithm and a
spline of each number, products of the most important pairs) are added one by one to the model's own features, the best first, for as long
as the error of the folds falls by more than its standard error; and a change is proposed only if the error of *selecting so*, measured on
outer folds that the selection has not seen, falls by more than its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradline.errors import InputError
from gradline.maths.block import block_moments
from gradline.maths.moments import merge
from gradline.maths.ridge_path import penalties, ridge_path
from gradline.maths.selection import divided, fold_grams, nested, outer_pairs, standard_error
from gradline.representation.features import Representation
from gradline.training.reading.columns import made_of, source_columns
from gradline.training.search.candidates import candidates
from gradline.training.search.degrees import degree_curve
from gradline.training.search.sampled_design import sampled_design
from gradline.types import Notice, NumberColumn, Part, finite_or_none

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.inputs.source import Source
    from gradline.maths.engine import Engine
    from gradline.maths.ridge_path import RidgePath
    from gradline.maths.selection import Nested, Pair
    from gradline.representation.expressions import Expression
    from gradline.training.config import TrainConfig
    from gradline.training.search.candidates import Candidate
    from gradline.training.search.degrees import DegreeCurve
    from gradline.training.search.sampled_design import SampledDesign
    from gradline.training.trainer import Fit
    from gradline.types import FloatArray, Json

MOST_CHANGES = 6
PENALTIES = 50  # values of λ
LEAST_OF_PENALTY = 1e-3  # of the error, that a penalty has to take off


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


def search(found: Fit, config: TrainConfig, design: SampledDesign) -> RepresentationSearch:
    """What could be added to a model's features."""
    representation = found.representation
    assert isinstance(representation, Representation)
    tried = candidates(found, representation, design)
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

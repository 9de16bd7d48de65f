"""From columns to features: which levels a category keeps, which is its reference, what is missing, what is left out.

Every feature is a linear function of raw columns, so the features' moments come from the raw columns' moments and the data
are not read again. Names: `distance`, `dep_time=(missing)`, `carrier=UA`, `carrier=(other)`, `day.month=7`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gradline.errors import DataError, plural
from gradline.maths.compensated import LEAST_VARIANCE
from gradline.maths.summaries import CategorySummary, NumberSummary
from gradline.representation.derive import Derived
from gradline.types import Notice, Part, RawColumn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gradline.maths.summaries import Summary
    from gradline.types import Decoded, FloatArray, Json

IDENTIFIER_SHARE = 0.9  # distinct values to rows, from which a text column is an identifier
IDENTIFIER_ROWS = 20  # below so many rows nothing is called one
COUNTER_DENSITY = 0.3  # training rows to the span of a column that counts them
IDENTIFIER_NAME = re.compile(
    r"(^|_|\b)(id|index|idx|key|row|rownum|row_number|unnamed: 0|column0|__index_level_\d+__)$|^$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the design. mean, deviation: of the training rows, in the column's unit (1 for categories)."""

    name: str
    column: str
    part: Part
    level: str
    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class CategoryScheme:
    """How a category becomes features.

    reference: the level without a feature, to which the others' coefficients compare.  missing: where missing values go:
    `level` (their own feature), `other` or `reference`.  other: whether rare levels have a feature together; a level never
    seen goes there too, or to the reference.  grouped: how many levels are in it.
    """

    reference: str
    missing: str
    other: bool
    grouped: int


class Representation:
    """The features in their order, how each category was cut, and the derived numbers that are among them."""

    def __init__(
        self, features: Sequence[Feature], schemes: Mapping[str, CategoryScheme], derived: Sequence[Derived] = ()
    ) -> None:
        self.features = tuple(features)
        self.schemes = dict(schemes)
        used = {feature.column for feature in self.features}
        self.derived = tuple(each for each in derived if used.intersection(each.names))
        self._position = {(f.column, f.part, f.level): j for j, f in enumerate(self.features)}

    @property
    def names(self) -> tuple[str, ...]:
        """The features' names."""
        return tuple(feature.name for feature in self.features)

    def groups(self, columns: Sequence[RawColumn]) -> list[list[int]]:
        """For each feature, the raw columns whose sum it is."""
        groups: list[list[int]] = [[] for _ in self.features]
        for i, raw in enumerate(columns):
            j = self._feature_of(raw)
            if j is not None:
                groups[j].append(i)
        return groups

    def _feature_of(self, raw: RawColumn) -> int | None:
        exact = self._position.get((raw.column, raw.part, raw.level))
        scheme = self.schemes.get(raw.column)
        if exact is not None or scheme is None:
            return exact
        other = self._position.get((raw.column, Part.OTHER, ""))
        if raw.part is Part.MISSING:
            return other if scheme.missing == "other" else None
        return None if raw.level == scheme.reference and raw.part is Part.LEVEL else other

    def design(self, decoded: Decoded) -> FloatArray:
        """The features of some rows in their own units, (n, p); a missing number is the training mean."""
        if decoded.matrix is not None and [*self._position] == [(n.name, Part.VALUE, "") for n in decoded.numbers]:
            X = np.array(decoded.matrix, dtype=np.float64, order="C")
            missing = np.isnan(X)
            if missing.any():
                np.copyto(X, [feature.mean for feature in self.features], where=missing)
            return X
        X = np.zeros((decoded.rows, len(self.features)))
        for number in decoded.numbers:
            missing = np.isnan(number.values)
            value = self._position.get((number.name, Part.VALUE, ""))
            if value is not None:
                X[:, value] = np.where(missing, self.features[value].mean, number.values) if missing.any() else number.values
            indicator = self._position.get((number.name, Part.MISSING, ""))
            if indicator is not None:
                X[:, indicator] = missing
        for category in decoded.categories:
            feature = self._feature_by_code(category.name, category.levels, category.rest, category.missing_is_level)
            rows = np.flatnonzero(feature[category.codes] >= 0)
            X[rows, feature[category.codes[rows]]] = 1.0
        return X

    def scores(self, decoded: Decoded, weights: FloatArray, centre: FloatArray, scale: FloatArray) -> FloatArray:
        """Σ_j w_j (x_j − centre_j)/scale_j for some rows, (n,), without a design matrix."""
        slopes = weights / scale  # (p,)
        score = np.zeros(decoded.rows)
        for number in decoded.numbers:
            missing = np.isnan(number.values)
            for part in (Part.VALUE, Part.MISSING):
                j = self._position.get((number.name, part, ""))
                if j is not None:
                    filled = np.where(missing, self.features[j].mean, number.values) if part is Part.VALUE else missing
                    score += slopes[j] * (filled - centre[j])
        for category in decoded.categories:
            feature = self._feature_by_code(category.name, category.levels, category.rest, category.missing_is_level)
            own = [j for j, f in enumerate(self.features) if f.column == category.name]
            effect = np.where(feature >= 0, slopes[feature], 0.0) - float(slopes[own] @ centre[own])
            score += effect[category.codes]
        return score

    def _feature_by_code(
        self, name: str, levels: tuple[str, ...], rest: int | None, missing_is_level: bool
    ) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        """For each code, and last for missing (code −1), the feature that is 1; −1 where none is."""
        raws = [
            RawColumn(name, Part.OTHER if code == rest else Part.LEVEL, "" if code == rest else level)
            for code, level in enumerate(levels)
        ]
        found = [self._feature_of(raw) if name in self.schemes else None for raw in raws]
        missing = self._feature_of(RawColumn(name, Part.MISSING)) if missing_is_level and name in self.schemes else None
        return np.array([-1 if j is None else j for j in (*found, missing)], dtype=np.intp)

    def to_json(self) -> Json:
        """The entry `representation` of the model."""
        return {
            "features": [
                {
                    "name": f.name,
                    "column": f.column,
                    "part": str(f.part),
                    "level": f.level,
                    "mean": f.mean,
                    "deviation": f.deviation,
                }
                for f in self.features
            ],
            "categories": {
                name: {"reference": s.reference, "missing": s.missing, "other": s.other, "grouped": s.grouped}
                for name, s in self.schemes.items()
            },
            "derived": [each.to_json() for each in self.derived],
        }

    @classmethod
    def from_json(cls, document: Json) -> Representation:
        """The inverse of `to_json`."""
        features = [Feature(**(f | {"part": Part(f["part"])})) for f in document["features"]]
        derived = [Derived.from_json(each) for each in document.get("derived", ())]  # older files have none
        return cls(features, {name: CategoryScheme(**s) for name, s in document["categories"].items()}, derived)


@dataclass(frozen=True, slots=True)
class Limits:
    """When a level is too rare to stand alone. least_rows: in training; most_levels: kept of one category."""

    least_rows: int
    most_levels: int

    @classmethod
    def of(cls, rows: int, least_rows: int | None, most_levels: int) -> Limits:
        """As asked for, or a hundredth of the training rows, at least 2 and at most 10."""
        return cls(min(max(rows // 100, 2), 10) if least_rows is None else least_rows, most_levels)


class RawColumns(Protocol):
    """What the training rows hold of each raw column: `gradline.maths.moments.Moments`, or `gradline.maths.diagonal.Diagonal`."""

    @property
    def columns(self) -> tuple[RawColumn, ...]: ...

    def spread(self, groups: Sequence[Sequence[int]]) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of the sums of the columns in each group, (g,) each."""
        ...


def represent(
    raw: RawColumns,
    summaries: Mapping[str, Summary],
    limits: Limits,
    chosen: frozenset[str] | None,
    derived: Sequence[Derived] = (),
    hidden: frozenset[str] = frozenset(),
) -> tuple[Representation, list[Notice]]:
    """The features of the training rows' raw columns, and what was left out or grouped.

    `chosen`: the columns that the user named as features, which are not taken for identifiers by their name alone.  `hidden`:
    decoded columns that are read for the derived numbers alone; of these the missing indicator of a number is a feature.
    """
    made_of = {name: each for each in derived for name in each.names}
    columns = raw.columns
    known = frozenset(columns)
    features: list[Feature] = []
    schemes: dict[str, CategoryScheme] = {}
    notices: list[Notice] = []
    for name, summary in summaries.items():
        if isinstance(summary, NumberSummary):
            found = _number_features(name, summary, limits, known, notices, chosen)
            # a derived number is missing where its columns are, and they have the indicator
            unwanted = Part.VALUE if name in hidden else Part.MISSING if name in made_of else None
            features += [feature for feature in found if feature.part is not unwanted]
        elif name not in hidden:
            made = _category_features(name, summary, limits, known, notices)
            if made is not None:
                schemes[name], levels = made
                features += levels
    representation = Representation(features, schemes)
    mean, variance = raw.spread(representation.groups(columns))
    measured = [
        Feature(f.name, f.column, f.part, f.level, float(m), float(np.sqrt(v)))
        for f, m, v in zip(features, mean, variance, strict=True)
    ]
    for feature in measured:
        if feature.part is Part.VALUE and feature.deviation**2 < LEAST_VARIANCE:  # it varies, or it would not be here
            raise DataError(
                f"column {feature.column!r} has values so close together, or so small, that their squares vanish in float64.",
                f"choose a smaller unit for it, or --drop {feature.column}.",
            )
        if feature.deviation == 0.0:
            notices.append(
                Notice("left_out_constant", feature.column, f"{feature.name!r} does not vary in the training rows; left out.")
            )
    _check_names(measured)
    return Representation([f for f in measured if f.deviation > 0.0], schemes, derived), notices


def _number_features(
    name: str,
    summary: NumberSummary,
    limits: Limits,
    known: frozenset[RawColumn],
    notices: list[Notice],
    chosen: frozenset[str] | None,
) -> list[Feature]:
    # the values of rows without a target are not seen, so that a counter may have gaps
    counts = summary.consecutive and summary.rows >= COUNTER_DENSITY * (summary.last - summary.first + 1.0)
    if counts and summary.rows >= IDENTIFIER_ROWS and IDENTIFIER_NAME.search(name) and chosen is None:
        text = f"{name!r} counts the rows ({summary.first:,.0f} to {summary.last:,.0f}): an identifier; left out. Name it in --features to keep it."
        notices.append(Notice("left_out_identifier", name, text))
        return []
    features = []
    if summary.minimum < summary.maximum:
        features.append(Feature(name, name, Part.VALUE, "", 0.0, 0.0))
    else:
        notices.append(Notice("left_out_constant", name, f"{name!r} is {summary.minimum:g} in every training row; left out."))
    if summary.missing >= limits.least_rows and RawColumn(name, Part.MISSING) in known:
        features.append(Feature(f"{name}=(missing)", name, Part.MISSING, "", 0.0, 0.0))
    return features


def _category_features(
    name: str, summary: CategorySummary, limits: Limits, known: frozenset[RawColumn], notices: list[Notice]
) -> tuple[CategoryScheme, list[Feature]] | None:
    present = summary.rows - summary.missing
    counts = summary.counts
    if counts is None or (len(counts) >= IDENTIFIER_SHARE * present and present >= IDENTIFIER_ROWS):
        distinct = f"{summary.distinct:,} values" if counts is not None else f"over {summary.distinct:,} values"
        text = f"{name!r} has {distinct} in {present:,} rows: an identifier cannot be a feature; left out."
        notices.append(Notice("left_out_identifier", name, text))
        return None
    common = (level for level in counts if counts[level] >= limits.least_rows and RawColumn(name, Part.LEVEL, level) in known)
    frequent = sorted(common, key=lambda v: (-counts[v], v))
    kept = frequent[: limits.most_levels]
    rare = len(counts) - len(kept)
    few_missing = 0 < summary.missing < limits.least_rows
    own_missing = summary.missing >= limits.least_rows
    if not kept:
        text = f"{name!r} has no value in {limits.least_rows} training rows or more; left out."
        notices.append(Notice("left_out_rare", name, text))
        return None
    if len(kept) == 1 and not rare and not summary.missing:
        if summary.missing_is_level:
            notices.append(Notice("left_out_constant", name, f"{name!r} is {kept[0]!r} in every training row; left out."))
        return None
    reference, *others = kept
    features = [Feature(f"{name}={level}", name, Part.LEVEL, level, 0.0, 0.0) for level in sorted(others, key=_natural)]
    if rare:
        features.append(Feature(f"{name}=(other)", name, Part.OTHER, "", 0.0, 0.0))
        rows = sum(counts.values()) - sum(counts[level] for level in kept)
        are = "is" if rare == 1 else "are"
        text = f"{plural(rare, 'rare value')} of {name!r} ({plural(rows, 'training row')}) {are} grouped as '{name}=(other)'."
        notices.append(Notice("grouped_levels", name, text))
    if own_missing:
        features.append(Feature(f"{name}=(missing)", name, Part.MISSING, "", 0.0, 0.0))
    missing = "level" if own_missing else "other" if few_missing and rare else "reference"
    return CategoryScheme(reference, missing, bool(rare), rare), features


def _natural(level: str) -> tuple[int, float, str]:
    """Whole numbers by value, before text by its characters."""
    return (0, float(level), level) if re.fullmatch(r"-?\d{1,15}", level) else (1, 0.0, level)


def _check_names(features: Sequence[Feature]) -> None:
    doubled = [name for name, count in Counter(f.name for f in features).items() if count > 1]
    if doubled:
        raise DataError(f"two features would both be named {doubled[0]!r}.", "rename one of the columns with SQL text.")

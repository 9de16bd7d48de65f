"""When an assumption counts as violated, and what a violation means for the user's question."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gradline.types import Json

SIGNIFICANT = 1e-3
CURVED = 0.02  # of the errors' variance: what the tenths of a number, or powers of the prediction, explain
TOO_SMALL = 1.1  # HC1's standard error to the classical one
SPREAD = 1.5  # the errors' deviation in the widest tenth of the predictions to the narrowest
SKEWED, HEAVY = 0.5, 1.0
ALIKE = 0.1  # r


class Said(NamedTuple):
    """Of an assumption that is violated. finding: in a few words.  message: what it means, and what to do."""

    finding: str
    message: str


def violations(document: Json) -> dict[str, Said]:
    """By assumption, of those that do not hold."""
    made = {
        "linearity": _said_of_linearity(document["linearity"]),
        "variance": _said_of_variance(document["variance"], sampled=document["rows"] < document["of"]),
        "normality": Said(
            f"normal errors (skewness {document['normality']['skewness']:.1f})",
            f"the errors are not normal (skewness {document['normality']['skewness']:.1f}, excess kurtosis {document['normality']['excess_kurtosis']:.1f}). Of "
            f"{document['rows']:,} rows the coefficients' intervals hardly depend on it; an interval for a single row does, and is taken from the errors "
            "themselves.",
        ),
        "independence": _said_of_independence(document["independence"]),
    }
    return {name: said for name, said in made.items() if not document[name]["holds"]}


def _said_of_linearity(found: Json) -> Said:
    curve = found["curve"]
    if curve is not None and curve["p"] < SIGNIFICANT and curve["share"] >= CURVED:
        return Said(
            f"linear along {curve['column']}",
            f"the errors run in a curve along {curve['column']} ({100 * curve['share']:.0f}% of their variance): its coefficient is the slope of a line "
            "through a curve, right on average and wrong at the ends. A square, a logarithm or a spline of it may follow.",
        )
    return Said(
        "linear along the prediction",
        f"the errors run in a curve along the prediction ({100 * found['reset']['share']:.0f}% of their variance): the effects of the features may not be "
        "straight, or not add up. A logarithm of the target or products of features may follow.",
    )


def _said_of_variance(found: Json, *, sampled: bool) -> Said:
    """Of few rows of a level a sample tells little: it is called one."""
    ratio, spread = found["robust_to_classical"], found["spread"]
    wide = "infinitely" if spread is None else f"{spread:.1f} times as"
    among, by = (" in a sample of the rows", ", by a sample") if sampled else ("", "")
    parts = []
    if ratio >= TOO_SMALL:
        parts.append(f"the standard error of {found['feature']} is {ratio:.1f} times as large by HC1{among} (--errors HC3)")
    if spread is None or spread >= SPREAD:
        parts.append(
            f"they are {wide} large in one tenth of the predictions as in another: one width of interval does not fit all"
        )
    short = (
        f"--errors HC3: {found['feature']} × {ratio:.1f}{by}"
        if ratio >= TOO_SMALL
        else f"{wide} large in one tenth as in another"
    )
    return Said(f"one variance ({short})", f"the errors are not of one variance: {'; '.join(parts)}.")


def _said_of_independence(found: Json) -> Said:
    groups = found["groups"]
    if groups is not None and groups["p"] < SIGNIFICANT and groups["inflation"] >= TOO_SMALL:
        return Said(
            f"independent rows (--errors clustered: × {groups['inflation']:.1f})",
            f"rows of one group err alike (correlation {groups['correlation']:.2f}): standard errors may be {groups['inflation']:.1f} times as large (--errors "
            "clustered).",
        )
    where = "follow each other in time" if found["order"] == "time" else "stand next to each other in the file"
    r = 0.0 if found["correlation"] is None else found["correlation"]
    return Said(
        f"independent rows (neighbours: correlation {r:.2f})",
        f"rows that {where} err alike (correlation {r:.2f}): they tell less than as many independent ones, and standard errors may be too small. What do they "
        "share? --group COLUMN --errors clustered.",
    )

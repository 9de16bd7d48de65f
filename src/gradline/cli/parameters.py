"""How the values of options are read: lists of names, pairs, a rate or `auto`."""

from __future__ import annotations

import click


def pairs(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """`a=x,b=y` and repeated options as a mapping."""
    found: dict[str, str] = {}
    for word in (word for value in values for word in value.split(",")):
        name, equals, what = word.partition("=")
        if not equals or not name or not what:
            raise click.BadParameter(f"{word!r} is not COLUMN=WORD.", ctx, parameter)
        found[name.strip()] = what.strip()
    return found


def names(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """`a,b` and repeated options as names; a name that holds a comma is given in an option of its own, quoted."""
    import csv

    try:
        return tuple(name for row in csv.reader(values, skipinitialspace=True) for name in row if name)
    except csv.Error as error:
        raise click.BadParameter(str(error), ctx, parameter) from error


def targets(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> str | tuple[str, ...] | None:
    """`names`, where there are several; a name without a comma is as it stands."""
    found = tuple(name for value in values for name in (names(ctx, parameter, (value,)) if "," in value else (value,)))
    return found if len(found) > 1 else found[0] if found else None


def rate(ctx: click.Context, parameter: click.Parameter, value: str) -> float | None:
    """A number, or None for `auto`."""
    if value == "auto":
        return None
    try:
        return float(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a number, nor auto.", ctx, parameter) from None


def penalty(ctx: click.Context, parameter: click.Parameter, value: str) -> float | str:
    """A number, or `auto`."""
    found = rate(ctx, parameter, value)
    return "auto" if found is None else found

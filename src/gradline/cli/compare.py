"""`gradline compare`: two models side by side."""

from __future__ import annotations

from typing import Any

import click

from gradline.cli.use import csv_options, csv_settings


@click.command()
@click.argument("a")
@click.argument("b")
@click.argument("data", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@csv_options
def compare(a: str, b: str, data: tuple[str, ...], as_json: bool, **given: Any) -> int:
    """Compare the models A and B (run directories or model files): what they learned and how; with DATA, which errs less on these rows,
    with the interval of the difference.

    \b
    gradline compare runs/plain runs/with_carrier
    gradline compare runs/plain runs/with_carrier later.csv
    """
    from gradline.assessing.comparing import compare as compared
    from gradline.cli.terminal import print_json, print_notices
    from gradline.report.comparison import print_comparison
    from gradline.types import Notice

    document = {"a": a, "b": b, **compared(a, b, list(data) or None, **csv_settings(given))}
    print_notices(Notice(**notice) for notice in document["warnings"])
    if as_json:
        print_json(document)
    else:
        print_comparison(document)
    return 0

"""`gradline export`: a model as SQL, a Python function, JSON or ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gradline.cli.use import csv_options, csv_settings

FORMATS = ("sql", "python", "json", "onnx")


@click.command()
@click.argument("model")
@click.option("--to", type=click.Choice(FORMATS), required=True, help="What to write.")
@click.option("--dialect", type=click.Choice(("duckdb", "postgres")), default="duckdb", show_default=True, help="Of --to sql.")
@click.option("--out", type=click.Path(path_type=Path), metavar="F", help="The file. Default: the target's name, in this folder.")
@click.option("--check", multiple=True, metavar="DATA", help="Rows to check it on. Default: those the model was trained on.")
@click.option("--no-check", is_flag=True, help="Write it unchecked.")
@click.option("--server", metavar="URL", help="A PostgreSQL server to check --dialect postgres on, in a temporary table.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@csv_options
def export(
    model: str,
    to: str,
    dialect: str,
    out: Path | None,
    check: tuple[str, ...],
    no_check: bool,
    server: str | None,
    as_json: bool,
    **given: Any,
) -> int:
    """Write MODEL for another engine, and check there that it predicts the same.

    \b
    gradline export runs/air_time --to sql --out air_time.sql
    duckdb -c "SELECT *, $(cat air_time.sql) AS prediction FROM 'flights.parquet'"

    Up to 100,000 rows are predicted by both; what they differ by is printed and stands in F.parity.json. An export that predicts
    otherwise is not kept, and the command ends with 1.
    """
    from gradline.cli.terminal import print_json, print_notices
    from gradline.errors import UsageError, printable
    from gradline.exporting import export_model
    from gradline.model.model import load
    from gradline.storage import RUN_MARKER
    from gradline.types import Notice

    if no_check and check:
        raise UsageError("--check and --no-check exclude each other.", "give one of them.")
    if server is not None and (to, dialect) != ("sql", "postgres"):
        raise UsageError("--server is where --to sql --dialect postgres is checked.", "leave it out.")
    trained = load(model)
    for file in (Path(model), Path(model) / RUN_MARKER):
        if out is not None and out.exists() and file.exists() and out.samefile(file):
            raise UsageError(f"--out {out} is the model itself; it would be replaced.", "give the name of a new file.")
    rows: Any = False if no_check else list(check) or None
    found = export_model(trained, to, out, dialect=dialect, check=rows, server=server, **csv_settings(given))
    print_notices(Notice(**notice) for notice in found["warnings"])
    if as_json:
        print_json({"model": model, **found})
        return 0
    click.echo(printable(f"{trained.contract.target} written to {found['out']}"))
    if found["checked"]:
        part = f"{found['rows']:,} of {found['of']:,} rows" if found["rows"] < found["of"] else f"{found['rows']:,} rows"
        text = (
            f"parity on {part} of {found['data']} in {found['engine']}: largest difference {found['max_absolute_difference']:.3g} "
            f"({found['max_relative_difference']:.1e} relative)"
        )
        click.echo(printable(text))
    for sentence in found["differences"]:
        click.echo(printable(f"  {sentence}"))
    return 0

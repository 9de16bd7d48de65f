"""`gradline lab`: gradient descent at work on a table, in the browser."""

from __future__ import annotations

import click

from gradline.cli import parameters


@click.command()
@click.argument("data", nargs=-1)
@click.option("--target", metavar="COLUMN", help="The column to predict. Needed with DATA.")
@click.option(
    "--features",
    multiple=True,
    callback=parameters.names,
    metavar="A,B",
    help="Columns that can be learned from. Default: all numbers.",
)
@click.option("--drop", multiple=True, callback=parameters.names, metavar="A,B", help="Columns to leave out.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Where to listen. Default: a free port.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--header/--no-header", default=None, help="Whether a CSV's first line names the columns. Default: found out.")
@click.option("--delimiter", metavar="C", help="Of a CSV. Default: found out.")
@click.option("--decimal", metavar="C", help="Decimal mark of a CSV. Default: found out.")
@click.option("--threads", type=int, metavar="N", help="Workers of the read. Default: one a core.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document with the address.")
def lab(
    data: tuple[str, ...],
    target: str | None,
    features: tuple[str, ...],
    drop: tuple[str, ...],
    port: int,
    no_browser: bool,
    header: bool | None,
    delimiter: str | None,
    decimal: str | None,
    threads: int | None,
    as_json: bool,
) -> int:
    """See gradient descent at work on DATA, or on the flights that ship with gradline.

    One page in the browser, served by this machine to itself alone, until Ctrl-C. The table is read once; every step is the trainer's own.

    \b
    gradline lab
    gradline lab flights.parquet --target air_time
    """
    from threadpoolctl import threadpool_limits

    from gradline.cli.terminal import TerminalProgress, print_json
    from gradline.engines.threads import ThreadEngine
    from gradline.errors import printable
    from gradline.inputs.source import ReadOptions
    from gradline.lab.server import LabServer
    from gradline.lab.table import LabTable

    options = ReadOptions(header=header, delimiter=delimiter, decimal=decimal)
    with threadpool_limits(limits=1):
        with TerminalProgress(None) as progress:
            table = LabTable.open(list(data), target, features or None, ThreadEngine(threads), options, progress.rows, drop)
        server = LabServer(table, port)
        if as_json:
            read = table.rows_read
            print_json({"url": server.url, "port": server.port, "data": table.source.name, "target": table.target, "rows": read})
        else:
            click.echo(
                f"gradline lab: {printable(table.source.name)}, {printable(table.target)} from {len(table.columns)} columns"
            )
            click.echo(f"{server.url}\nCtrl-C ends it.")
        if not no_browser:
            import webbrowser

            webbrowser.open(server.url)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            click.echo("gradline lab: ended.", err=True)
        finally:
            server.server_close()
    return 0

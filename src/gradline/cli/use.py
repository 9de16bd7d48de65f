"""`gradline predict`, `evaluate`, `show` and `report`: what is done with a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradline.cli import parameters

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from gradline.types import Json

CSV_OPTIONS = (
    click.option("--header/--no-header", default=None, help="Whether a CSV's first line names the columns."),
    click.option("--delimiter", metavar="C", help="Of a CSV. Default: found out."),
    click.option("--decimal", metavar="C", help="Decimal mark of a CSV. Default: found out."),
    click.option("--db", metavar="URL", help="The database that DATA, a query, is for."),
)


def csv_options(command: Any) -> Any:
    """How CSV is written, for the verbs that read data."""
    for option in reversed(CSV_OPTIONS):
        command = option(command)
    return command


def csv_settings(given: dict[str, Any]) -> dict[str, Any]:
    """Those that were given."""
    return {name: given[name] for name in ("header", "delimiter", "decimal", "db") if given[name] is not None}


@click.command()
@click.argument("model")
@click.argument("data", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="F", help="csv, parquet or ndjson file to write.")
@click.option(
    "--keep", multiple=True, callback=parameters.names, metavar="A,B", help="Columns of the data to keep beside the prediction."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@csv_options
def predict(model: str, data: tuple[str, ...], out: Path, keep: tuple[str, ...], as_json: bool, **given: Any) -> int:
    """Predict with MODEL (a run directory or model file) on DATA, into a file.

    The output has the rows' order, the key the model was trained with (else the row number), the kept columns, and
    `prediction` in the target's unit; `low` and `high` of its interval, if the model has intervals; `decision`, if it has a policy.
    """
    from gradline.cli.terminal import print_json, print_notices
    from gradline.errors import UsageError, did_you_mean, plural, printable
    from gradline.inputs.opening import open_source, paths_of
    from gradline.model.model import load
    from gradline.storage import RUN_MARKER

    trained = load(model)
    for file in (*paths_of(data), Path(model), Path(model) / RUN_MARKER):
        if out.exists() and file.exists() and out.samefile(file):
            raise UsageError(f"--out {out} is read by this command itself; it would be replaced.", "give the name of a new file.")
    key: str | None = trained.config.get("key")
    source = open_source(list(data), trained.read_options(keep=(*keep, *([key] if key else [])), **csv_settings(given)))
    for name in keep:
        if name not in source.schema.names:
            raise UsageError(f"--keep: {source.name} has no column {name!r}.", did_you_mean(name, source.schema.names))
    keyed = key is not None and key in source.schema.names
    kept = tuple(dict.fromkeys([*([key] if key is not None and keyed else []), *keep]))
    result = _written(trained, source, kept, out, numbered=not keyed)
    print_notices(trained.last_notices)
    document = {"out": str(out), **result, "warnings": [notice.to_json() for notice in trained.last_notices]}
    if as_json:
        print_json(document)
    else:
        lost = f" ({result['rows_without_prediction']:,} without)" if result["rows_without_prediction"] else ""
        text = f"{plural(result['rows'], 'prediction')}{lost} of {trained.contract.target} written to {out}"
        click.echo(printable(text))
    return 0


def _written(trained: Any, source: Any, kept: tuple[str, ...], out: Path, *, numbered: bool) -> Json:
    """Write the predictions block by block; the file appears when all are there."""
    import numpy as np
    import pyarrow as pa

    from gradline.arrays import as_arrow
    from gradline.storage import atomic_file

    rows = without = 0
    kinds = {"prediction": pa.float64()}
    kinds |= {"low": pa.float64(), "high": pa.float64()} if trained.intervals is not None else {}
    kinds |= {"decision": pa.bool_()} if trained.policy is not None else {}
    columns = {name: name if name not in kept else f"gradline_{name}" for name in kinds}
    with atomic_file(out) as staging, _writer(out.suffix, staging) as writer:
        for block in trained.predictions(source, kept, intervals=True):
            size = len(block.predicted)
            arrays = {"row": as_arrow(np.arange(rows, rows + size))} if numbered and "row" not in kept else {}
            arrays |= {name: block.table.column(name).cast(source.schema.field(name).type) for name in kept}
            said = {"prediction": as_arrow(block.predicted, nan_is_null=True)}
            if block.bounds is not None:
                finite = [np.where(np.isfinite(each), each, np.nan) for each in block.bounds]
                said |= {name: as_arrow(each, nan_is_null=True) for name, each in zip(("low", "high"), finite, strict=True)}
            if trained.policy is not None:
                said["decision"] = trained.decided(block, trained.policy)
            arrays |= {columns[name]: values for name, values in said.items()}
            writer.write(pa.table(arrays))
            rows += size
            without += int(np.count_nonzero(np.isnan(block.predicted)))
        if rows == 0:
            arrays = {"row": pa.array([], pa.int64())} if numbered and "row" not in kept else {}
            arrays |= {name: pa.nulls(0, source.schema.field(name).type) for name in kept}
            writer.write(pa.table(arrays | {columns[name]: pa.array([], kind) for name, kind in kinds.items()}))
    return {"rows": rows, "rows_without_prediction": without}


class _writer:  # noqa: N801
    """Writes tables of one schema to a csv, parquet or ndjson file."""

    def __init__(self, suffix: str, path: Path) -> None:
        from gradline.errors import UsageError

        if suffix not in (".csv", ".parquet", ".ndjson", ".jsonl"):
            raise UsageError(
                f"--out: gradline does not write files of the type {suffix or '(none)'}.", "use .csv, .parquet or .ndjson."
            )
        self._suffix, self._path = suffix, path
        self._file: Any = None
        self._sink: Any = None

    def __enter__(self) -> _writer:
        return self

    def write(self, table: pa.Table) -> None:
        """Some more rows."""
        import pyarrow as pa
        import pyarrow.csv
        import pyarrow.parquet

        if self._suffix in (".ndjson", ".jsonl"):
            self._file = self._file or self._path.open("w", encoding="utf-8")
            self._file.writelines(_json_lines(table))
            return
        if self._file is None:
            make = pa.csv.CSVWriter if self._suffix == ".csv" else pa.parquet.ParquetWriter
            self._sink = self._path.open("wb")  # Arrow takes no name that is not UTF-8
            self._file = make(self._sink, table.schema)
        self._file.write_table(table)

    def __exit__(self, *error: object) -> None:
        try:
            if self._file is not None:
                self._file.close()
        finally:
            if self._sink is not None:
                self._sink.close()


def _json_lines(table: pa.Table) -> Iterable[str]:
    import json

    return (json.dumps(row, default=str, ensure_ascii=False) + "\n" for row in table.to_pylist())


@click.command()
@click.argument("model")
@click.argument("data", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@csv_options
def evaluate(model: str, data: tuple[str, ...], as_json: bool, **given: Any) -> int:
    """Measure the errors of MODEL on DATA that hold the target, beside the baseline that always says the training mean."""
    from gradline.api import evaluate as measure
    from gradline.cli.terminal import print_json, print_notices
    from gradline.model.model import load
    from gradline.report.printed import print_evaluation
    from gradline.types import Notice

    trained = load(model)
    document = {"model": model, **measure(trained, list(data), **csv_settings(given))}
    print_notices(Notice(**notice) for notice in document["warnings"])
    if as_json:
        print_json(document)
    else:
        print_evaluation(trained, document)
    return 0


@click.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(model: str, as_json: bool) -> int:
    """Show MODEL: what it learned, how good it is, whether to trust it, and what it expects of new data."""
    from gradline.cli.terminal import print_json, print_notices
    from gradline.model.model import load
    from gradline.report.printed import print_contract
    from gradline.report.summary import print_summary

    trained = load(model)
    if as_json:
        print_json({"model": model, **trained.result, "contract": trained.contract.to_json(), "config": trained.config})
        return 0
    print_notices(trained.notices)
    print_summary(trained, Path(model), every=True)
    print_contract(trained)
    return 0


@click.command()
@click.argument("run")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="F",
    help="An .html page, or .md for a model card. Default: both, in the run directory.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def report(run: str, out: Path | None, as_json: bool) -> int:
    """Write the report of RUN (a run directory or model file) again."""
    from gradline.cli.terminal import print_json
    from gradline.errors import UsageError, printable
    from gradline.model.model import load
    from gradline.report.card import card
    from gradline.report.page import render
    from gradline.report.run import CARD, REPORT
    from gradline.storage import RUN_MARKER, atomic_file

    trained = load(run)
    path = out or (Path(run) / REPORT if Path(run).is_dir() else Path(run).with_suffix(".html"))
    model_file = Path(run) / RUN_MARKER if Path(run).is_dir() else Path(run)
    if path.exists() and path.samefile(model_file):
        raise UsageError(f"the report would replace the model {path}.", "choose another place with --out.")
    made = {path: card(trained) if path.suffix == ".md" else render(trained)}
    if out is None and Path(run).is_dir():
        made[path.with_name(CARD)] = card(trained)
    for place, text in made.items():
        with atomic_file(place) as staging:
            staging.write_text(text, encoding="utf-8")
    if as_json:
        print_json({"report": str(path)})
    else:
        click.echo(printable(f"report written to {path}"))
    return 0

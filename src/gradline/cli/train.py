"""`gradline train`."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradline.cli.options import SHORT, options
from gradline.cli.teaching import Teaching, TeachingTrain
from gradline.errors import StorageError, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gradline.model.model import Model
    from gradline.monitors import Curves
    from gradline.training.config import TrainConfig
    from gradline.training.stopping import Monitor
    from gradline.types import Json

WATCHING = ("as_json", "steps_table", "tensorboard", "mlflow")  # how a run is watched: a resumed one may be watched otherwise
NOT_SETTINGS = ("data", "out", "config", "learning_rate", "resume", *WATCHING)


def _prepare_report() -> None:
    """While the data are read, which waits for the disk and for Arrow's own threads."""
    with suppress(Exception):  # it is told where the report is written
        from gradline.report.page import prepare

        prepare()


@click.command(cls=TeachingTrain)
@options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="The run directory (of several targets, their folder). Default: runs/TARGET.",
)
@click.option("--resume", type=click.Path(path_type=Path), metavar="RUN", help="Go on with a killed run, by its checkpoint.")
@click.option("--steps-table", is_flag=True, help="Print loss and norms of the steps on stderr.")
@click.option("--tensorboard", metavar="DIR", help="Write the curves of the steps there, for tensorboard --logdir DIR.")
@click.option(
    "--mlflow",
    metavar="EXPERIMENT",
    help="Log them to MLflow, as a run of this experiment, with settings, metrics, report and model.",
)
@click.pass_context
def train(ctx: click.Context, /, **given: Any) -> int:
    """Train a model on DATA: csv, parquet, ndjson or svmlight files, globs, folders, the same in an object store (s3://…), or SQL text
    ("select …"). Nothing but DATA and --target is needed; examples are at the end.
    """
    from gradline.api import checkpoints_of, read_options, runs
    from gradline.cli.terminal import StepsTable, TerminalProgress, print_json, print_notices
    from gradline.inputs.opening import open_source
    from gradline.report.run import directory_name, run_directories, write_run
    from gradline.storage import check_replaceable
    from gradline.training.prepared import Progress

    resume: Path | None = given["resume"]
    settings, data, out = _settings(ctx, given) if resume is None else _resumed(ctx, given, resume)
    configs = _configs(settings, data)
    targets = [config.target for config in configs]
    several = len(targets) > 1
    if several:
        paths = run_directories(Path(out or "runs"), targets)
    else:
        paths = [resume or (Path(out) if out is not None else Path("runs") / directory_name(targets[0]))]
        check_replaceable(paths[0])
    source = open_source(data, read_options(configs[0]))
    checkpoints = [
        checkpoints_of(config, path, data, resume=resume is not None) for config, path in zip(configs, paths, strict=True)
    ]
    threading.Thread(target=_prepare_report, daemon=True).start()
    models: list[Model] = []
    documents: Json = {}
    with ExitStack() as ends:  # the curves end when the models are written: their failure costs no model
        curves = [ends.enter_context(each) for each in _curves(given, paths)]
        try:
            with TerminalProgress(source.rows) as shown:
                monitors: list[Monitor] = [*([StepsTable()] if given["steps_table"] else []), *curves]
                found = runs(source, configs, Progress(shown.rows, monitors, shown.step), data, checkpoints)
                for model, path, checkpoint in zip(found, paths, checkpoints, strict=True):
                    try:
                        documents[model.contract.target] = write_run(model, path)
                    except StorageError as error:
                        raise _rescued(model, error) from error
                    checkpoint.finish(model.stop_reason)
                    models.append(model)
                    _log(ends, curves, model, path)
        except KeyboardInterrupt:
            rest = zip(paths[len(models) :], checkpoints[len(models) :], strict=True)
            going_on = [path for path, checkpoint in rest if checkpoint.written]
            if not models and not going_on:
                raise
            done = f"; done and kept: {', '.join(map(str, paths[: len(models)]))}" if models else ""
            click.echo(printable(f"gradline: interrupted{done}."), err=True)
            for path in going_on:
                click.echo(
                    printable(f"gradline: a checkpoint is kept: gradline train --resume {path} goes on from there."), err=True
                )
            return 130
        for model in models:
            of = f"{model.contract.target}: " if several else ""
            print_notices(replace(notice, message=of + notice.message) for notice in model.notices)
        if given["as_json"]:
            print_json({"targets": documents} if several else documents[targets[0]])
        else:
            from gradline.report.summary import print_summary

            for model, path in zip(models, paths, strict=True):
                print_summary(model, path)
    return 0 if all(model.stop_reason.converged for model in models) else 3


def _rescued(model: Model, error: StorageError) -> StorageError:
    """The failure to write a run, with the place where its model is kept instead, if there is one."""
    import tempfile

    try:
        place = Path(tempfile.gettempdir()) / f"gradline-rescued-{time.time_ns()}.gradline"
        model.save(place)
    except (StorageError, OSError):  # there is no room anywhere
        return error
    return StorageError(f"{error.message} The trained model is kept in {place}.", "move it to where there is room.")


def _log(ends: ExitStack, curves: list[Curves], model: Model, path: Path) -> None:
    """The run to MLflow as well, once its model is written and shown, where its curves go there."""
    from gradline.monitors import MLflow

    for each in curves:
        if isinstance(each, MLflow):
            from gradline.mlflow import log_run

            ends.callback(log_run, model, path, each.run_id)


def _curves(given: dict[str, Any], runs: list[Path]) -> Iterator[Curves]:
    """The monitors that write the curves of the steps where they were asked for."""
    from gradline.errors import UsageError

    if len(runs) > 1 and (given["tensorboard"] or given["mlflow"]):
        raise UsageError("--tensorboard and --mlflow show the steps of one target, and several are named.", "train one by one.")
    if given["tensorboard"] is not None:
        from gradline.monitors import TensorBoard

        if Path(given["tensorboard"]).resolve().is_relative_to(runs[0].resolve()):
            raise UsageError(
                f"--tensorboard is in the run directory {runs[0]}, which is replaced as a whole.", "name another place."
            )
        yield TensorBoard(given["tensorboard"])
    if given["mlflow"] is not None:
        from gradline.monitors import MLflow

        yield MLflow(given["mlflow"])


def _resumed(ctx: click.Context, given: dict[str, Any], run: Path) -> tuple[dict[str, Any], list[str], str | None]:
    """The settings and the data of a checkpoint; budgets may be given anew."""
    from click.core import ParameterSource

    from gradline.errors import UsageError
    from gradline.training.checkpoint import FREE, checkpoint_path, saved_settings

    settings = saved_settings(checkpoint_path(run))
    data = list(settings.pop("data"))
    for name, value in given.items():
        if ctx.get_parameter_source(name) is not ParameterSource.COMMANDLINE or name in ("resume", *WATCHING):
            continue
        if name == "data":
            data = list(value)
        elif name in FREE:
            settings[name] = value
        else:
            flag = "--" + name.replace("_", "-")
            raise UsageError(
                f"{flag} cannot change on the way: --resume goes on with the settings of {run}.", f"leave {flag} out."
            )
    return settings, data, None


@click.command(cls=Teaching)
@options
@click.pass_context
def plan(ctx: click.Context, /, **given: Any) -> int:
    """Say what training on DATA would do: every rule at its best, with the steps it would take, and none taken."""
    from gradline.api import read_options
    from gradline.cli.terminal import TerminalProgress, print_json, print_notices
    from gradline.errors import UsageError
    from gradline.inputs.opening import open_source
    from gradline.planning import planned
    from gradline.report.printed import print_plan
    from gradline.training.prepared import Progress
    from gradline.types import Notice

    settings, data, _ = _settings(ctx, given | {"out": None})
    config, *more = _configs(settings, data)
    if more:
        raise UsageError(f"plan is of one target, and {1 + len(more)} are named.", "plan them one by one.")
    source = open_source(data, read_options(config))
    with TerminalProgress(source.rows) as shown:
        document = planned(source, config, Progress(shown.rows))
    print_notices(Notice(**notice) for notice in document["warnings"])
    if given["as_json"]:
        print_json(document)
    else:
        print_plan(document, config.target)
    return 0


def _settings(ctx: click.Context, given: dict[str, Any]) -> tuple[dict[str, Any], list[str], str | None]:
    """Flags over the configuration file over defaults; the data and the run directory apart."""
    from click.core import ParameterSource

    from gradline.errors import UsageError

    file = _config_file(given["config"]) if given["config"] is not None else {}
    by_hand = {name for name in given if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    settings = {name: value for name, value in given.items() if name not in NOT_SETTINGS and value is not None}
    settings |= {name: value for name, value in file.items() if name not in ("data", "out") and name not in by_hand}
    if "learning_rate" in by_hand or "learning_rate" not in file:
        settings["learning_rate"] = given["learning_rate"]
    settings["optimizer"] = SHORT.get(str(settings["optimizer"]), settings["optimizer"])
    if settings.get("features") == ():
        settings["features"] = None
    data = list(given["data"]) or file.get("data", [])
    data = [data] if isinstance(data, str) else data
    out = given["out"] or file.get("out")
    for name, fits, wanted in (
        ("data", isinstance(data, list) and all(isinstance(word, str) for word in data), "text, or a list of texts"),
        ("out", out is None or isinstance(out, str | Path), "text"),
    ):
        if not fits:
            raise UsageError(f"the setting {name} is {file[name]!r}, which is not {wanted}.")
    if not data:
        raise UsageError(
            "no data given.", 'gradline train DATA --target COLUMN; DATA is a file, a folder, a glob, or "select …".'
        )
    return settings, data, out


def _configs(settings: dict[str, Any], data: list[str]) -> list[TrainConfig]:
    """The settings of each target's run."""
    from gradline.errors import UsageError
    from gradline.inputs.opening import names_no_target
    from gradline.training.config import TrainConfig

    target: Any = settings.get("target") or (["y"] if names_no_target(data) else None)
    targets: list[Any] = list(target) if isinstance(target, list | tuple) else [target]
    if not targets or not all(targets):
        raise UsageError("no target given.", "say which column to predict: --target COLUMN.")
    return TrainConfig.for_targets(targets, settings)


def _config_file(path: Path) -> dict[str, Any]:
    import tomllib

    from gradline.errors import UsageError

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"there is no configuration file {path}.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} is not a configuration file: {error}.", "it is TOML, with the flags' names.") from error
    return {name.replace("-", "_"): value for name, value in document.items()}

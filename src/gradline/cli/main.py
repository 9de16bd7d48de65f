"""The command `gradline`: its verbs, and what becomes of errors.

Exit codes: 0 done; 1 a failure of the machine or of gradline; 2 bad usage or input; 3 budget spent or diverged before the
tolerance (the model is saved, and marked); 130 interrupted.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

import click

from gradline import __version__
from gradline.errors import GradlineError, printable

VERBS = {
    "train": ("gradline.cli.train", "Train a model on a table, and certify it."),
    "plan": ("gradline.cli.train", "Say what training would do: every rule, its steps and its learning rate."),
    "predict": ("gradline.cli.use", "Predict with a model."),
    "evaluate": ("gradline.cli.use", "Measure a model's errors on data that hold the target."),
    "compare": ("gradline.cli.compare", "Two models side by side; on data, which errs less beyond noise."),
    "show": ("gradline.cli.use", "Show a model: what it learned, how good it is, whether to trust it."),
    "lab": ("gradline.cli.lab", "See gradient descent at work on a table, in the browser."),
    "report": ("gradline.cli.use", "Write a run's report and model card again."),
    "export": ("gradline.cli.export", "Write a model as SQL, a Python function, JSON or ONNX, and check it there."),
    "runs": ("gradline.cli.runs", "List the runs in a folder, side by side."),
    "completion": ("gradline.cli.completion", "Let the shell complete commands, options and columns."),
}


class _Verbs(click.Group):
    """Imports a verb's module when the verb is used: --help answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = getattr(import_module(VERBS[cmd_name][0]), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args[0] not in VERBS and not args[0].startswith("-"):
            from gradline.errors import UsageError, did_you_mean

            raise UsageError(f"there is no command {args[0]!r}.", did_you_mean(args[0], VERBS))
        return super().resolve_command(ctx, args)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="gradline")
def cli() -> None:
    """Linear regression by gradient descent, with proof of convergence.

    \b
    gradline train flights.parquet --target air_time --features distance
    gradline predict runs/air_time new.csv --out predictions.csv
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its code."""

    def end(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)  # so that what was begun is removed
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        code = cli.main(args=arguments, prog_name="gradline", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except GradlineError as error:
        _say(f"gradline: {error.message}", error.hint)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        _say(f"gradline: {error.format_message()}", "gradline --help, or gradline COMMAND --help, lists the options.")
        return 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("gradline: interrupted; nothing was written, and what was there before is untouched.", err=True)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except MemoryError:
        _say("gradline: there is not enough memory.", "take fewer columns with --features, or fewer levels with --max-levels.")
        return 1
    except Exception as error:
        return _bug(error)


def _say(message: str, hint: str | None) -> None:
    message = "\n".join(printable(line) for line in message.splitlines())
    click.echo(click.style(message, fg="red") if sys.stderr.isatty() else message, err=True)
    if hint:
        click.echo(f"Hint: {printable(hint)}", err=True)


def _bug(error: Exception) -> int:
    import tempfile
    import traceback

    where = "could not be written"
    with suppress(OSError), tempfile.NamedTemporaryFile("w", prefix="gradline-", suffix=".log", delete=False) as log:
        traceback.print_exc(file=log)
        where = f"is {log.name}"
    _say(f"gradline: failed: {type(error).__name__}: {error}", f"this is a bug; the log {where}.")
    return 1

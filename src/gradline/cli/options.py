"""The options of `gradline train` and `plan`: one for each setting, by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gradline.cli import parameters
from gradline.cli.completion import columns
from gradline.training.checks import CHOICES, STOPS

SHORT = {"gd": "gradient_descent", "cg": "conjugate_gradient"}
DB_HELP = "The database that DATA, a query, is for: postgresql://user@host/name, sqlite:///file.db, duckdb:///file.duckdb."


def _choice(name: str) -> click.Choice[str]:
    return click.Choice(CHOICES[name], case_sensitive=False)


OPTIONS = (
    click.argument("data", nargs=-1),
    click.option(
        "--target",
        multiple=True,
        shell_complete=columns,
        callback=parameters.targets,
        metavar="A,B",
        help="The column to predict; several: a model each, from one read of the rows that have them all.",
    ),
    click.option(
        "--features",
        multiple=True,
        shell_complete=columns,
        callback=parameters.names,
        metavar="A,B",
        help="Columns to learn from. Default: all others.",
    ),
    click.option(
        "--drop",
        multiple=True,
        shell_complete=columns,
        callback=parameters.names,
        metavar="A,B",
        help="Columns to leave out (what is not known in time).",
    ),
    click.option(
        "--derive",
        multiple=True,
        metavar="EXPR",
        help="A number computed from columns: distance^2, a*b, (a-1000)^2, log(a), spline(a,4); one each.",
    ),
    click.option("--degree", type=int, default=1, show_default=True, metavar="N", help="All powers up to N of every number."),
    click.option(
        "--types",
        multiple=True,
        callback=parameters.pairs,
        metavar="A=text",
        help="Declare a type: number, text, boolean, date, timestamp, time.",
    ),
    click.option("--units", multiple=True, callback=parameters.pairs, metavar="A=miles", help="Units, for summary and report."),
    click.option("--validation", type=float, default=0.1, show_default=True, help="Share of the rows watched while training."),
    click.option("--test", type=float, default=0.1, show_default=True, help="Share of the rows held out to the end."),
    click.option(
        "--key", metavar="COLUMN", shell_complete=columns, help="Roles by the hash of this column, not of the row number."
    ),
    click.option("--time", metavar="COLUMN", shell_complete=columns, help="Hold out the latest rows by this column."),
    click.option(
        "--gap", metavar="G", help="With --time: leave out so much before the rows held out: 7d, 12h, 30m, or a number."
    ),
    click.option("--group", metavar="COLUMN", shell_complete=columns, help="Keep rows of one value together (a customer)."),
    click.option(
        "--stratify",
        metavar="COLUMN",
        shell_complete=columns,
        help="The shares held out hold within each level, or tenth, of this column.",
    ),
    click.option("--weight", metavar="COLUMN", shell_complete=columns, help="Weights; 2 counts as the row twice."),
    click.option("--scaling", type=_choice("scaling"), default="standard", show_default=True, help="The loop's coordinates."),
    click.option(
        "--missing",
        type=_choice("missing"),
        default="impute",
        show_default=True,
        help="Null features: mean and indicator, drop the row, or error.",
    ),
    click.option("--unseen", type=_choice("unseen"), default="warn", show_default=True, help="New categories at predict."),
    click.option(
        "--out-of-range",
        type=_choice("out_of_range"),
        default="warn",
        show_default=True,
        help="Values outside the training range at predict.",
    ),
    click.option(
        "--min-level-rows", type=int, metavar="N", help="Rarer categories are grouped. Default: a hundredth of the rows, 2 to 10."
    ),
    click.option("--max-levels", type=int, default=1000, show_default=True, metavar="N", help="Categories kept of one column."),
    click.option("--log-target", is_flag=True, help="Learn log(target); predictions are in its unit, bias mended."),
    click.option(
        "--loss",
        type=_choice("loss"),
        default="squared",
        show_default=True,
        help="Squared error; Huber for outliers; pinball for a quantile.",
    ),
    click.option(
        "--huber-delta", type=float, metavar="D", help="Huber: linear beyond D target units. Default: from the residuals."
    ),
    click.option("--quantile", type=float, default=0.5, show_default=True, metavar="Q", help="Pinball: which quantile."),
    click.option("--oracle", type=_choice("oracle"), default="auto", show_default=True, help="Where gradients come from."),
    click.option(
        "--batch-size", type=int, default=256, show_default=True, metavar="B", help="Rows a step, for --oracle minibatch."
    ),
    click.option(
        "--sampling", type=_choice("sampling"), default="shuffled", show_default=True, help="Of mini-batches: epochs, or anew."
    ),
    click.option(
        "--optimizer",
        type=click.Choice([*CHOICES["optimizer"], *SHORT]),
        metavar="RULE",
        default="auto",
        show_default=True,
        help=f"The update rule: {', '.join(CHOICES['optimizer'])}.",
    ),
    click.option(
        "--schedule",
        type=_choice("schedule"),
        default="constant",
        show_default=True,
        help="How α changes with the steps; backtracking: a line search.",
    ),
    click.option(
        "--learning-rate",
        "--alpha",
        callback=parameters.rate,
        default="auto",
        show_default=True,
        help="The step size α, or the first.",
    ),
    click.option(
        "--l2",
        callback=parameters.penalty,
        default="0",
        show_default=True,
        metavar="λ",
        help="λ of the penalty (λ/2)‖w‖², in the loop's coordinates; auto: the best by cross-validation.",
    ),
    click.option("--l2-path", type=int, default=100, show_default=True, metavar="N", help="Values of λ that --l2 auto tries."),
    click.option(
        "--folds",
        type=int,
        default=0,
        metavar="K",
        help="Cross-validate on K folds, with --time at K rolling origins. Default: none; 5 for --l2 auto.",
    ),
    click.option("--repeats", type=int, default=1, show_default=True, metavar="R", help="Divide into folds R times."),
    click.option("--learning-curve", is_flag=True, help="The error by the number of training rows, from the same read."),
    click.option("--search", is_flag=True, help="Propose derived numbers that lower the cross-validated error beyond its noise."),
    click.option("--degree-curve", type=int, default=0, metavar="N", help="The cross-validated error of each degree up to N."),
    click.option("--l1", type=float, default=0.0, show_default=True, help="λ₁ of the penalty λ₁‖w‖₁: sets coefficients to zero."),
    click.option("--intercept/--no-intercept", default=True, help="Whether to fit b."),
    click.option(
        "--stop",
        multiple=True,
        callback=parameters.names,
        default=("certificate",),
        show_default=True,
        metavar="RULE,RULE",
        help=f"The first of: {', '.join(STOPS)}. On the certificate; on a relative gap; when the loss, or the validation loss, no longer improves; on a small gradient.",
    ),
    click.option(
        "--tolerance",
        type=float,
        default=1e-9,
        show_default=True,
        help="Relative, for --stop gap, improvement, validation or gradient.",
    ),
    click.option("--patience", type=int, default=5, show_default=True, help="Steps without it."),
    click.option("--max-steps", type=int, metavar="N", help="Budget of steps."),
    click.option("--max-epochs", type=int, metavar="N", help="Budget of times through all rows."),
    click.option("--max-seconds", type=float, metavar="S", help="Budget of time for the loop."),
    click.option("--checkpoint-steps", type=int, metavar="N", help="Write where the loop stands every N steps."),
    click.option(
        "--checkpoint-seconds", type=float, default=60.0, show_default=True, metavar="S", help="And every S seconds of steps."
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Of the rows' roles."),
    click.option(
        "--errors",
        type=_choice("errors"),
        default="classical",
        show_default=True,
        help="Standard errors of the coefficients; the robust ones read the data once more.",
    ),
    click.option(
        "--assess",
        type=_choice("assess"),
        default="auto",
        show_default=True,
        help="What the errors mean, by one more read of the rows; auto: where there are few.",
    ),
    click.option(
        "--interval",
        type=_choice("interval"),
        default="auto",
        show_default=True,
        help="Prediction intervals: calibrated on the validation rows, by leaving out each training row, or around two fitted quantiles.",
    ),
    click.option(
        "--coverage", type=float, default=0.9, show_default=True, help="Share of the rows that the intervals are to hold."
    ),
    click.option(
        "--event", metavar='">15"', help="What to foresee of the target; a threshold is chosen to act on. Also <, >=, <=."
    ),
    click.option(
        "--act-on",
        type=_choice("act_on"),
        default="prediction",
        show_default=True,
        help="What has to pass the threshold: the prediction, or a bound of its interval.",
    ),
    click.option("--false-alarm-cost", type=float, default=1.0, show_default=True, help="Of acting without the event."),
    click.option("--miss-cost", type=float, default=1.0, show_default=True, help="Of not acting before the event."),
    click.option("--hit-cost", type=float, default=0.0, show_default=True, help="Of acting before the event."),
    click.option("--precision", type=float, metavar="P", help="Choose the threshold for this precision, not for least cost."),
    click.option("--recall", type=float, metavar="R", help="Choose the threshold for this recall, not for least cost."),
    click.option(
        "--cost",
        metavar="under=A,over=B",
        help="Of an error a unit, the actual value above or below; or a CSV of error and cost.",
    ),
    click.option("--cost-unit", metavar="EUR", help="What --cost is counted in."),
    click.option(
        "--on-divergence",
        type=_choice("on_divergence"),
        default="stop",
        show_default=True,
        help="Stop, or go back to the best step and on with half the learning rate.",
    ),
    click.option("--force", is_flag=True, help="Run a learning rate past its limit, to see it diverge."),
    click.option("--threads", type=int, metavar="N", help="Workers. Default: one a core. The result is the same."),
    click.option("--header/--no-header", default=None, help="Whether a CSV's first line names the columns. Default: found out."),
    click.option("--delimiter", metavar="C", help="Of a CSV. Default: found out."),
    click.option("--decimal", metavar="C", help="Decimal mark of a CSV. Default: found out."),
    click.option("--db", metavar="URL", help=DB_HELP),
    click.option("--config", type=click.Path(path_type=Path), metavar="F.toml", help="Settings by these names; flags win."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
)


def options(command: Any) -> Any:
    """The settings that `train` and `plan` share."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command

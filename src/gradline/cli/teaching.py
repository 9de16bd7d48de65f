"""Help that teaches: options by what they are for, and examples by what one wants to do, last, where the eye is when the text has run by."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, ClassVar

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

OTHERS = "Others"
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "What to learn": ("target", "features", "drop", "types", "units", "log_target", "derive", "degree", "search", "degree_curve"),
    "How the data are read": ("db", "header", "delimiter", "decimal"),
    "Which rows are held out": ("validation", "test", "key", "time", "gap", "group", "stratify", "weight", "seed"),
    "Nulls, rare and new values": ("missing", "unseen", "out_of_range", "min_level_rows", "max_levels"),
    "Loss and penalty": ("loss", "huber_delta", "quantile", "l2", "l2_path", "folds", "repeats", "l1", "intercept"),
    "The descent": (
        "optimizer", "learning_rate", "schedule", "oracle", "batch_size", "sampling", "scaling", "on_divergence", "force",
    ),
    "When it stops": ("stop", "tolerance", "patience", "max_steps", "max_epochs", "max_seconds"),
    "What the errors mean": ("errors", "assess", "learning_curve", "interval", "coverage", "cost", "cost_unit"),
    "When to act": ("event", "act_on", "false_alarm_cost", "miss_cost", "hit_cost", "precision", "recall"),
    "The run": (
        "out", "json", "as_json", "config", "threads", "steps_table", "tensorboard", "mlflow", "checkpoint_steps", "checkpoint_seconds",
        "resume", "help",
    ),
}  # fmt: skip
TRAIN = """\
a first model: every other column is a feature
  gradline train sales.csv --target price
leave out what is not known in time; a code is no number
  gradline train sales.csv --target price --drop invoice --types zip=text
judge it on the latest rows, or on customers that it has not seen
  gradline train sales.csv --target price --time sold_on
  gradline train sales.csv --target price --group customer
choose rows by SQL, from files or in a database
  gradline train "select * from 'a.parquet' where y > 0 order by id" \\
      --target y
  gradline train "select * from sales order by id" --target price \\
      --db postgresql://me@host/shop
files in an object store
  gradline train "s3://bucket/sales/*.parquet" --target price
many features, few rows: the penalty by cross-validation
  gradline train genes.csv --target dose --l2 auto
outliers; a quantile; a target over powers of ten
  gradline train sales.csv --target price --loss huber
  gradline train sales.csv --target price --loss pinball --quantile 0.9
  gradline train sales.csv --target price --log-target
what it would do, and then every step of it
  gradline plan sales.csv --target price
  gradline train sales.csv --target price --optimizer gd --steps-table
"""


class Teaching(click.Command):
    """A command whose help has sections and examples."""

    examples: ClassVar[str] = ""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options by section; those of none come last."""
        of = {name: title for title, names in SECTIONS.items() for name in names}
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in (*SECTIONS, OTHERS)}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                sections["The run" if "--help" in parameter.opts else of.get(parameter.name or "", OTHERS)].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records, col_max=28)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, as they stand."""
        if self.examples:
            formatter.write("\nExamples:\n" + textwrap.indent(self.examples, "  "))


class TeachingTrain(Teaching):
    """Of `gradline train`."""

    examples = TRAIN

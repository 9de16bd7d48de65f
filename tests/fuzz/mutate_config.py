"""Configuration files: unknown names, values of other types, huge ones, broken TOML; on a small table that is sound."""

import contextlib

import numpy as np
import tomli_w
from outcomes import check, command

from gradline.training.checks import CHOICES
from tables import simple, write_csv

NAMES = (
    "target", "features", "drop", "types", "units", "validation", "test", "key", "time", "group", "weight", "scaling", "missing", "unseen",
    "out_of_range", "min_level_rows", "max_levels", "log_target", "loss", "huber_delta", "quantile", "oracle", "batch_size", "sampling",
    "optimizer", "learning_rate", "schedule", "l2", "l2_path", "l1", "folds", "intercept", "stop", "tolerance", "patience", "max_steps",
    "max_epochs", "max_seconds", "checkpoint_steps", "checkpoint_seconds", "seed", "on_divergence", "force", "threads", "header", "delimiter",
    "decimal", "data", "out", "other_targets", "learning-rate", "config", "json", "resume", "colour", "",
)  # fmt: skip
WORDS = (
    "y", "x0", "x1", "c", "auto", "standard", "none", "impute", "drop", "error", "huber", "pinball", "minibatch", "streamed", "moments", "adam",
    "nesterov", "momentum", "lbfgs", "gradient_descent", "barzilai_borwein", "averaged_sgd", "cosine", "backtracking", "shrink", "clip",
    "replacement", "validation", "improvement", "gradient", "gap", ",", ".", ";", "", "y\nx", "<b>", "'; drop table t; --", "\x1b[2J", "/dev/null", "..",
)  # fmt: skip
NUMBERS = (
    0,
    1,
    2,
    3,
    -1,
    10**6,
    2**31,
    2**63 - 1,
    -(2**63),
    0.0,
    -0.0,
    0.5,
    1.0,
    1e-300,
    1e300,
    -1e-9,
    float("inf"),
    float("-inf"),
    float("nan"),
)
PLAIN = {
    "validation",
    "test",
    "target",
    "seed",
    "threads",
    "tolerance",
    "patience",
    "data",
    "units",
    "unseen",
    "out_of_range",
    "max_levels",
}


def case(rng, folder):
    """Train by a configuration file, and check what comes of it."""
    table = simple(int(rng.integers(12, 60)), int(rng.integers(1_000)))
    write_csv(table, folder / "t.csv")
    config = {"target": "y", "validation": 0.0, "test": 0.0}
    for _ in range(int(rng.choice([0, 1, 1, 2, 3]))):
        name = NAMES[rng.integers(len(NAMES))]
        config[name] = fitting(rng, name) if rng.random() < 0.5 else value(rng)
    if rng.random() < 0.1:
        config |= {"data": value(rng) if rng.random() < 0.5 else "t.csv", "out": value(rng)}
    text = tomli_w.dumps(config).encode()
    if rng.random() < 0.2:
        at = int(rng.integers(len(text)))
        text = [text[:at], text[:at] + rng.bytes(2) + text[at:], text[:at] + text[at + 1 :], text + text, b"[" * 2_000 + text][
            rng.integers(5)
        ]
    (folder / "c.toml").write_bytes(text)
    before = sorted(folder.iterdir())
    out = folder / "run"
    budget = ["--max-seconds", 0.2] if "max_seconds" not in config else []
    words = [folder / "t.csv", "--out", out] if rng.random() < 0.9 else []
    with contextlib.chdir(folder):  # where `out` may be relative to
        code, document = command(folder, out, "train", *words, "--config", folder / "c.toml", "--json", *budget)
    if document is None:
        check(sorted(folder.iterdir()) == before, f"left: {sorted(folder.iterdir())}")
        return f"exit {code}"
    if "targets" in document:
        return "several"
    if (
        code == 0
        and set(config) <= PLAIN
        and document["stopped"]["reason"] == "certified"
        and document["rows"]["train"] == table.num_rows
    ):
        right(document, table)
        return "answer"
    return f"exit {code}"


def fitting(rng, name):
    """A value that the setting may have, where it is one of words or a number."""
    if name in CHOICES:
        return str(rng.choice(CHOICES[name]))
    if name in ("features", "drop"):
        return ["x0", "c"][: int(rng.integers(3))]
    return [True, 2, 0.25, "x1"][rng.integers(4)]


def value(rng):
    """A value of any type."""
    match int(rng.integers(7)):
        case 0 | 1:
            return WORDS[rng.integers(len(WORDS))]
        case 2 | 3:
            return NUMBERS[rng.integers(len(NUMBERS))]
        case 4:
            return bool(rng.random() < 0.5)
        case 5:
            return [value(rng) for _ in range(int(rng.integers(3)))]
        case _:
            return {WORDS[rng.integers(len(WORDS))]: value(rng) for _ in range(int(rng.integers(3)))}


def right(document, table):
    """Check the coefficients by least squares."""
    c = np.array(table["c"])
    names = list(document["coefficients"])
    columns = [c == n.partition("=")[2] if n.startswith("c=") else table[n].to_numpy() for n in names]
    design = np.column_stack([*columns, np.ones(len(c))]).astype(float)
    best = np.linalg.lstsq(design, table[document["target"]["name"]].to_numpy(), rcond=None)[0]
    if not any("=(other)" in n for n in names):
        found = [*document["coefficients"].values(), document["intercept"]]
        check(np.allclose(found, best, rtol=1e-6, atol=1e-8), f"{found} for {best.tolist()}")

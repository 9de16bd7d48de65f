"""The tables that the README's commands name, as a user of those commands would have them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

import gradline as gl
from documents import ROOT

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 2_000


def write_tables(folder: Path) -> None:
    """All of them, and a run that was killed."""
    random = np.random.default_rng(0)
    area = random.uniform(30, 200, ROWS)
    sales = pd.DataFrame(
        {
            "id": np.arange(ROWS),
            "customer": random.integers(0, 300, ROWS),
            "zip": random.choice(["01067", "10115", "80331"], ROWS),
            "area": area,
            "sold_on": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.sort(random.integers(0, 366, ROWS)), "D"),
            "demand": 50 - 0.1 * area + random.normal(size=ROWS),
            "price": 40 + 3 * area + random.normal(scale=20, size=ROWS),
        }
    )
    sales.to_csv(folder / "sales.csv", index=False)
    measured = sales.rename(columns={"price": "y"}).drop(columns="zip")
    measured.to_parquet(folder / "a.parquet")
    for month, rows in measured.groupby(measured.sold_on.dt.month):
        rows.to_parquet(folder / f"2024-{month:02}.parquet")
        part = folder / "lake" / f"month={month}"
        part.mkdir(parents=True)
        rows.to_parquet(part / "rows.parquet")
    measured.drop(columns="sold_on").to_parquet(folder / "large.parquet")
    X = random.normal(size=(300, 40))
    wide = pd.DataFrame(X, columns=[f"x{i}" for i in range(40)])
    wide.assign(y=X[:, 0] + random.normal(size=300)).to_csv(folder / "wide.csv", index=False)
    texts = [
        f"{random.normal():.3f} " + " ".join(f"{j}:1" for j in np.sort(random.choice(500, 9, False)) + 1) for _ in range(200)
    ]
    (folder / "words.svm").write_text("\n".join(texts) + "\n")
    (folder / "run.toml").write_text('data = "sales.csv"\ntarget = "price"\ndrop = ["id"]\n')
    flights = pd.read_parquet(ROOT / "examples/flights.parquet")
    flights.sample(5_000, random_state=0).to_parquet(folder / "flights.parquet")
    flights[flights.month == 3].to_parquet(folder / "march.parquet")
    flights.assign(flight=flights.index)[["flight", "distance"]].head(1_000).to_csv(folder / "new.csv", index=False)
    _kill(folder)


def _kill(folder: Path) -> None:
    """A run that died at its thirtieth step, with its checkpoint."""

    def die(step: gl.Step) -> None:
        if step.step == 30:
            raise InterruptedError

    settings = {"optimizer": "gradient_descent", "checkpoint_steps": 10, "monitors": [die]}
    with contextlib.chdir(folder), contextlib.suppress(InterruptedError):
        gl.train("wide.csv", "y", out="runs/killed", **settings)

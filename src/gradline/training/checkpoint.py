"""Checkpoints: where the loop stands, written whole from time to time, so that a killed run can go on.

What is before the loop is a function of the data and the settings and is done again on resuming; a fingerprint of both says
whether they are still the same. From there on the run has the bits of an undisturbed one: the parameters, the rule's state, the
step (which decides the batch, its rows and every random number), the criteria's and the judge's memory and the
history are in the file.

    position.npz      arrays and one JSON document; read without pickle: data, never code
"""

from __future__ import annotations

import hashlib
import io
import json
import time
import zipfile
import zlib
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from gradline.errors import ModelFileError, UsageError
from gradline.storage import atomic_file
from gradline.training.loop import Position, beginning
from gradline.training.stopping import Step

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gradline.maths.problem import Problem
    from gradline.training.config import TrainConfig
    from gradline.training.optimality.judge import Judge
    from gradline.training.optimality.wide import WideProblem
    from gradline.training.stopping import Stopping, StopReason
    from gradline.types import FloatArray, Json
    from gradline.updates.base import UpdateRule

FORMAT = "gradline checkpoint 2"
FREE = ("max_steps", "max_epochs", "max_seconds", "threads", "checkpoint_steps", "checkpoint_seconds", "data", "db")  # may change
WORTH_KEEPING = 5.0  # seconds of steps
ROW = attrgetter(*(f.name for f in fields(Step)))


def checkpoint_path(run: Path) -> Path:
    """Where the checkpoint of a run directory is: beside it, for the run itself appears whole or not at all."""
    return run.with_name(run.name + ".checkpoint")


@dataclass
class Checkpoints:
    """The checkpoint of one run: when to write it, and how to go on from it.

    path: the file.  settings: the run's, to be kept in it.  resume: whether to begin where the file says.
    """

    path: Path
    settings: Json
    resume: bool = False
    steps: int | None = None
    seconds: float = 60.0
    max_steps: int | None = None
    written: bool = False
    _fingerprint: str = ""
    _stopping: Stopping | None = None
    _judge: Judge | None = None
    _began: float = 0.0
    _last: float = 0.0
    _first_step: int = 0

    def begin(
        self,
        config: TrainConfig,
        problem: Problem | WideProblem,
        rule: UpdateRule[Any],
        theta: FloatArray,
        stopping: Stopping,
        judge: Judge,
    ) -> tuple[Position, float]:
        """The position to start from, and the seconds spent before it. Raises UsageError where data or settings are others."""
        self._fingerprint, self._stopping, self._judge = fingerprint(config, problem), stopping, judge
        position, spent = beginning(rule, theta), 0.0
        if self.resume:
            saved, arrays = _read(self.path)
            if saved["fingerprint"] != self._fingerprint:
                raise UsageError(
                    f"the data or the settings are not those of {self.path}: it cannot go on with others.",
                    "only --max-steps, --max-epochs, --max-seconds and --threads may change; or start again without --resume.",
                )
            position, spent = _position(saved, arrays, position.state), saved["seconds"]
            stopping.remember(saved["memory"])
            judge.remember(saved["judge"])
        self._last = time.perf_counter()
        self._began, self._first_step = self._last - spent, position.step
        return position, spent

    def __call__(self, position: Position) -> None:
        """Write the file if it is time."""
        now = time.perf_counter()
        due = now - self._last >= self.seconds
        if self.steps is not None:
            due = due or (position.step % self.steps == 0 and position.step > self._first_step)
        if position.step == self.max_steps and (self.steps is not None or now - self._began >= WORTH_KEEPING):
            due = True
        if due and self._stopping is not None:
            self._write(position, now - self._began)
            self._last = time.perf_counter()
            self.written = True

    def ended(self) -> None:
        """The loop has ended: what it was judged by, which may be large, is let go."""
        self._stopping = self._judge = None

    def finish(self, reason: StopReason) -> None:
        """The run is written: its checkpoint is of use only if it could go on, and another run's is of none."""
        if not (reason.budget and (self.written or self.resume)):
            self.path.unlink(missing_ok=True)

    def _write(self, position: Position, seconds: float) -> None:
        assert self._stopping is not None
        assert self._judge is not None
        document = {
            "format": FORMAT,
            "fingerprint": self._fingerprint,
            "settings": self.settings,
            "seconds": seconds,
            "memory": [_plain(memory) for memory in self._stopping.memory()],
            "judge": _plain(self._judge.memory),
            "step": position.step,
            "slowed": position.slowed,
            "best": position.best[0],
            "validated": position.validated[0],
        }
        history = [[np.nan if value is None else value for value in ROW(step)] for step in position.history]
        arrays = {
            "theta": position.theta,
            "before": position.before,
            "best": position.best[1],
            "validated": position.validated[1],
            "history": np.array(history, dtype=np.float64).reshape(-1, len(fields(Step))),
            **{f"state{i}": np.asarray(leaf) for i, leaf in enumerate(_leaves(position.state))},
            "document": np.frombuffer(json.dumps(document).encode(), dtype=np.uint8),
        }
        with atomic_file(self.path) as staging, staging.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)


def fingerprint(config: TrainConfig, problem: Problem | WideProblem) -> str:
    """SHA-256 of the settings that decide the steps and of the training rows' moments: other data have others."""
    settings = {name: value for name, value in config.to_json().items() if name not in FREE}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=list).encode())
    for array in problem.identity:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def saved_settings(path: Path) -> Json:
    """The settings of the run that left a checkpoint. Raises UsageError, ModelFileError."""
    settings: Json = _read(path)[0]["settings"]
    return settings


def _read(path: Path) -> tuple[Json, dict[str, np.ndarray[Any, Any]]]:
    if not path.is_file():
        raise UsageError(
            f"there is no checkpoint {path} to go on from: the run ended, or was stopped before its first one.",
            "start it again without --resume; --checkpoint-seconds says how often one is written.",
        )
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        document = json.loads(arrays.pop("document").tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(path) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _unreadable(path)
    return document, arrays


def _unreadable(path: Path) -> ModelFileError:
    return ModelFileError(f"{path} is not a whole checkpoint of this gradline's.", "start the run again without --resume.")


def _position(saved: Json, arrays: dict[str, np.ndarray[Any, Any]], state: Any) -> Position:
    leaves = iter(arrays[f"state{i}"] for i in range(len(arrays)) if f"state{i}" in arrays)
    return Position(
        saved["step"],
        arrays["theta"],
        _filled(state, leaves),
        arrays["before"],
        (saved["best"], arrays["best"]),
        (saved["validated"], arrays["validated"]),
        saved["slowed"],
        [_step(row) for row in arrays["history"]],
    )


def _step(row: FloatArray) -> Step:
    values: Json = dict(zip((f.name for f in fields(Step)), row.tolist(), strict=True))
    for name in ("validation", "learning_rate", "coefficient_error"):
        values[name] = None if np.isnan(values[name]) else values[name]
    return Step(**values | {"step": int(values["step"]), "at_rounding": bool(values["at_rounding"])})


def _leaves(state: Any) -> Iterable[Any]:
    """The numbers and arrays in a rule's state, depth first."""
    if isinstance(state, tuple):
        for part in state:
            yield from _leaves(part)
    else:
        yield state


def _filled(state: Any, leaves: Iterable[Any]) -> Any:
    """A state of the same structure from its leaves."""
    values = iter(leaves)
    if isinstance(state, tuple):
        parts = [_filled(part, values) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)
    value = next(values)
    return value if isinstance(state, np.ndarray) else type(state)(value.item())


def _plain(memory: Json) -> Json:
    """Python's own numbers, which JSON can hold; infinity is written as Infinity and read back by Python alone."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in memory.items()}

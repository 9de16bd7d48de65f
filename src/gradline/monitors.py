"""Monitors that write a run's curves where they are watched: TensorBoard and MLflow.

Each is a context manager: what is left is written when its block ends. Of a long run it writes every step up to 1,000, every
tenth up to 10,000, every hundredth up to 100,000 and so on, and the last one. Values that are None or not finite are left out.
A failure to write ends the writing and not the training: it is raised when the block ends.
"""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import fields
from math import inf
from typing import TYPE_CHECKING

from gradline.errors import StorageError, UsageError
from gradline.training.stopping import Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

CURVES = tuple(f.name for f in fields(Step) if f.name not in ("step", "at_rounding", "seconds"))
MOST_WAITING = 100  # steps are written together, so many at most,
SECONDS = 5.0  # and none waits longer than so while steps come
LARGEST = 3.4e38  # TensorBoard's curves are float32


class Curves(ABC):
    """A monitor that writes the steps somewhere: see the module. `_open` holds what is to be closed at the end."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._open = ExitStack()
        self._waiting: list[tuple[float, Step]] = []
        self._last: list[tuple[float, Step]] = []  # the latest step, if it is thinned out unless it stays the last
        self._written = time.monotonic()
        self._failure: Exception | None = None

    @abstractmethod
    def _write(self, steps: Sequence[tuple[float, Step]]) -> None:
        """Write steps, each with the seconds since 1970 at which it was taken."""

    def __call__(self, step: Step) -> None:
        """See `gradline.training.stopping.Monitor`."""
        self._last = [(time.time(), step)]
        if step.step % 10 ** max(len(str(step.step)) - 3, 0):
            return
        self._waiting, self._last = self._waiting + self._last, []
        if len(self._waiting) >= MOST_WAITING or time.monotonic() - self._written > SECONDS:
            self._flush()

    def _flush(self) -> None:
        try:
            if self._waiting and self._failure is None:
                self._write(self._waiting)
        except Exception as error:
            self._failure = error
        self._waiting, self._written = [], time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._waiting, self._last = self._waiting + self._last, []
        self._flush()
        try:
            with redirect_stdout(sys.stderr):  # MLflow prints a link; stdout is the caller's
                self._open.__exit__(kind, error, trace)
        except Exception as failure:
            self._failure = self._failure or failure
        if self._failure is not None and error is None:
            text = f"the curves could not all be written to {self.where}: {self._failure}."
            raise StorageError(text, "the trained model is not affected.") from self._failure

    def close(self) -> None:
        """Write what is left. The end of a `with` block does this."""
        self.__exit__(None, None, None)


class TensorBoard(Curves):
    """Writes the curves to an event file in `directory`, for `tensorboard --logdir directory`."""

    def __init__(self, directory: str | Path) -> None:
        super().__init__(str(directory))
        with _starting("tensorboard", self.where):
            from tensorboardX.proto.event_pb2 import Event
            from tensorboardX.record_writer import RecordWriter, directory_check

            directory_check(self.where)  # not SummaryWriter: its thread dies of a full disk, and the training waits for ever
            self._file = RecordWriter(f"{self.where}/events.out.tfevents.{time.time():.6f}")  # a later file's name sorts later
            self._open.callback(self._file.close)
            self._file.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
        self._begun = False

    def _write(self, steps: Sequence[tuple[float, Step]]) -> None:
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.proto.summary_pb2 import Summary

        events = []
        if not self._begun:  # TensorBoard forgets what an earlier file in the directory says of this step and later ones
            events.append(Event(wall_time=steps[0][0], step=steps[0][1].step, session_log=SessionLog(status=SessionLog.START)))
        for wall, step in steps:
            values = [Summary.Value(tag=name, simple_value=value) for name, value in _numbers(step, LARGEST)]
            events.append(Event(wall_time=wall, step=step.step, summary=Summary(value=values)))
        for event in events:
            self._file.write(event.SerializeToString())
        self._file.flush()
        self._begun = True


class MLflow(Curves):
    """Logs the curves to MLflow's tracking URI: as a new run of `experiment`, or to the run that is active if there is one."""

    def __init__(self, experiment: str | None = None) -> None:
        super().__init__("MLflow")
        with _starting("mlflow", self.where):
            import mlflow

            if experiment is not None:
                mlflow.set_experiment(experiment)
            run = mlflow.active_run() if experiment is None else None
            self.run_id: str = (run or self._open.enter_context(mlflow.start_run())).info.run_id
            self._client = mlflow.MlflowClient()

    def _write(self, steps: Sequence[tuple[float, Step]]) -> None:
        from mlflow.entities import Metric

        self._client.log_batch(self.run_id, [Metric(k, v, int(1000 * at), s.step) for at, s in steps for k, v in _numbers(s)])


def _numbers(step: Step, limit: float = inf) -> Iterator[tuple[str, float]]:
    for name in CURVES:
        value = getattr(step, name)
        if value is not None and abs(value) < limit:  # neither NaN nor infinity is
            yield name, float(value)


@contextmanager
def _starting(extra: str, where: str) -> Iterator[None]:
    """A library that is missing, and a place that cannot be written to, in words."""
    try:
        yield
    except ImportError as error:
        raise UsageError(f"a library is missing: {error}.", f"pip install 'gradline[{extra}]'") from error
    except Exception as error:
        raise StorageError(f"curves cannot be written to {where}: {error}.") from error

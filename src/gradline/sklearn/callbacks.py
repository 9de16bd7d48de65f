"""scikit-learn's callback protocol (from version 1.9 on): each step of the loop is a task of the fit.

A callback sees the estimator as it would be if the fit had ended at that step, and may end it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gradline.training.prepared import Progress
from gradline.training.stopping import StopReason

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9 has no callbacks

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to support."""

    def with_callbacks(method: Any) -> Any:
        """The method itself."""
        return method


if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradline.maths.coordinates import UserParameters
    from gradline.sklearn.checks import Given
    from gradline.training.stopping import Step

__all__ = ["CallbackSupportMixin", "FitCallbacks", "with_callbacks"]


class FitCallbacks:
    """The callbacks of one fit: it begins when this is made, and ends with `finish`."""

    def __init__(self, estimator: Any, given: Given, X: Any, y: Any, metadata: dict[str, Any]) -> None:
        self._estimator, self._given = estimator, given
        self._context = None
        if not hasattr(estimator, "_init_callback_context"):
            return
        self._passed = {"X": X, "y": y, "metadata": {k: v for k, v in metadata.items() if v is not None}}
        several = len(given.targets) > 1
        self._context = estimator._init_callback_context(max_subtasks=len(given.targets) if several else None)
        self._context.call_on_fit_task_begin(estimator=estimator, **self._passed)

    def progress(self, target: str, columns: Sequence[str]) -> Progress:
        """What tells the callbacks of each step of a target's run, in which X's columns have these names; nothing where there is none."""
        if self._context is None or not getattr(self._estimator, "_skl_callbacks", None):
            return Progress()
        several = len(self._given.targets) > 1
        context = self._context.subcontext(task_name=target, max_subtasks=None) if several else self._context
        told = _Steps(self, context, None if several else columns)
        return Progress(monitors=(told.step,), parameters=told.parameters)

    def finish(self) -> None:
        """The fit is at its end."""
        if self._context is not None:
            self._context.call_on_fit_task_end(
                estimator=self._estimator,
                reconstruction_attributes=lambda: {k: v for k, v in vars(self._estimator).items() if k.endswith("_")},
                **self._passed,
            )

    def fitted_at(self, columns: Sequence[str], names: Sequence[str], found: UserParameters) -> dict[str, Any]:
        """The attributes that the estimator would have at a step, whose features have these names."""
        named = dict(zip(names, found.coefficients.tolist(), strict=True))
        dtype = self._given.training.X.dtype
        coefficients = np.array([named.get(column, 0.0) for column in columns], dtype)
        if self._given.flat:
            return {"coef_": coefficients, "intercept_": dtype.type(found.intercept)}
        return {"coef_": coefficients[None], "intercept_": np.array([found.intercept], dtype)}

    def told(self, context: Any, attributes: Any) -> bool:
        """A step: whether a callback ends the run."""
        step = context.subcontext(task_name="step")
        step.call_on_fit_task_begin(estimator=self._estimator, **self._passed)
        return bool(step.call_on_fit_task_end(estimator=self._estimator, reconstruction_attributes=attributes, **self._passed))


class _Steps:
    """The steps of one target. columns: of X; None where the estimator has other targets, which are not known yet."""

    def __init__(self, callbacks: FitCallbacks, context: Any, columns: Sequence[str] | None) -> None:
        self._callbacks, self._context, self._columns = callbacks, context, columns
        self._at: tuple[Sequence[str], UserParameters] | None = None

    def parameters(self, names: tuple[str, ...], found: UserParameters) -> None:
        """See `Progress`."""
        self._at = names, found

    def step(self, step: Step) -> StopReason | None:
        """A monitor."""
        ended = self._callbacks.told(self._context, None if self._columns is None else self._attributes)
        return StopReason.MONITOR if ended and step.step > 0 else None

    def _attributes(self) -> dict[str, Any]:
        assert self._at is not None
        assert self._columns is not None
        return self._callbacks.fitted_at(self._columns, *self._at)

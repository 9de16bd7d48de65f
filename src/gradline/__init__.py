"""Linear regression trained by gradient descent, on tables of any size, with proof of how far it is from the minimum.

>>> import gradline as gl
>>> model = gl.train("examples/flights.parquet", target="air_time", features=["distance"])  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradline.version import __version__ as __version__

if TYPE_CHECKING:
    from gradline.api import evaluate, train
    from gradline.assessing.comparing import compare
    from gradline.errors import GradlineError, GradlineWarning, InputError
    from gradline.exporting import export_model
    from gradline.model.model import Model, load
    from gradline.training.stopping import Step, StopReason

__all__ = [
    "GradlineError",
    "GradlineWarning",
    "InputError",
    "Model",
    "Step",
    "StopReason",
    "compare",
    "evaluate",
    "export_model",
    "load",
    "train",
]

_HOMES = {
    "GradlineError": "gradline.errors",
    "GradlineWarning": "gradline.errors",
    "InputError": "gradline.errors",
    "Model": "gradline.model.model",
    "Step": "gradline.training.stopping",
    "StopReason": "gradline.training.stopping",
    "compare": "gradline.assessing.comparing",
    "evaluate": "gradline.api",
    "export_model": "gradline.exporting",
    "load": "gradline.model.model",
    "train": "gradline.api",
}


def __getattr__(name: str) -> Any:
    """Each public name is imported when it is first used: `import gradline` costs nothing."""
    from importlib import import_module

    if name == "lab":
        return import_module("gradline.lab")
    if name not in _HOMES:
        raise AttributeError(f"module 'gradline' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

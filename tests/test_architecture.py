"""The layer table of docs and design: imports point down to smaller numbers only."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gradline

ROOT = Path(gradline.__file__).parent

LAYERS = [
    {"types", "errors", "storage", "arrays", "kinds", "version"},
    {"maths"},
    {"inputs", "representation", "splits", "decisions"},
    {"oracles", "updates"},
    {"training"},
    {"evaluation", "model"},
    {"report", "export", "serving", "monitors", "lab", "engines"},
    {
        "api",
        "assessing",
        "planning",
        "exporting",
        "cli",
        "sklearn",
        "mlflow",
        "__main__",
        "",
    },
]
LAYER = {package: number for number, packages in enumerate(LAYERS) for package in packages}
FOUNDATIONS = LAYERS[0]  # one small package in several modules
ENTRANCES = LAYERS[-1]  # the wiring: the command line and the estimator stand on the Python API
MODULES = sorted(ROOT.rglob("*.py"))


def package_of(module: str) -> str:
    """`gradline.maths.moments` → `maths`; gradline itself → ``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports(path: Path) -> list[tuple[str, int]]:
    """The gradline modules that a file imports, wherever in it: in functions and under TYPE_CHECKING as well."""
    here = ["gradline", *path.relative_to(ROOT).with_suffix("").parts]
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                module = ".".join([*here[: -node.level], *([module] if module else [])])
            if module == "gradline":
                found += [(f"gradline.{alias.name}", node.lineno) for alias in node.names]
            else:
                found.append((module, node.lineno))
    known = {"gradline." + name for name in LAYER if name}
    return [
        (name if ".".join(name.split(".")[:2]) in known else "gradline", line)
        for name, line in found
        if name == "gradline" or name.startswith("gradline.")
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down_the_layer_table(path):
    relative = path.relative_to(ROOT).with_suffix("")
    own = "" if relative.parts == ("__init__",) else relative.parts[0]
    assert own in LAYER, f"{own} has no layer"
    for module, line in imports(path):
        other = package_of(module)
        if other == own or {own, other} <= FOUNDATIONS or {own, other} <= ENTRANCES:
            continue
        assert LAYER[other] < LAYER[own], f"{relative}:{line} (layer {LAYER[own]}) imports {module} (layer {LAYER[other]})"


def test_the_parts_of_training_build_on_what_is_read_and_not_on_each_other():
    parts = {path.parent.name for path in (ROOT / "training").glob("*/__init__.py")}
    assert "reading" in parts
    for path in (ROOT / "training").glob("*/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (module := node.module or "").startswith("gradline.training."):
                other = module.split(".")[2]
                assert other in {path.parent.name, "reading"} or other not in parts, f"{path}:{node.lineno} imports {module}"


def test_the_engine_reaches_the_lower_layers_as_an_argument_only():
    for path in MODULES:
        own = path.relative_to(ROOT).parts[0]
        if LAYER.get(own.removesuffix(".py"), 7) < 6:
            assert not any(package_of(module) == "engines" for module, _ in imports(path))


def test_maths_reads_and_writes_nothing():
    for path in (ROOT / "maths").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""] if isinstance(node, ast.ImportFrom) else []  # fmt: skip
            for name in names:
                assert name.split(".")[0] in {"__future__", "collections", "dataclasses", "fractions", "functools", "itertools", "typing", "math", "numpy", "threading", "gradline"}, (path, name)  # fmt: skip


HEAVY = ("numpy", "scipy", "pandas", "polars", "pyarrow", "duckdb", "plotly", "jinja2", "sklearn", "click", "rich")


def modules_after(code: str) -> set[str]:
    text = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(' '.join(sys.modules))"], capture_output=True, text=True, check=True
    ).stdout
    return {name.split(".")[0] for name in text.split()}


def test_importing_gradline_imports_nothing_heavy():
    assert not modules_after("import gradline") & set(HEAVY)


def test_training_imports_no_library_that_it_does_not_use():
    used = modules_after(
        "import numpy, gradline as gl\nx = numpy.arange(40.0)\ngl.train(x[:, None] % 7, x, validation=0, test=0.3)"
    )
    assert not used & {"scipy", "polars", "plotly", "jinja2", "sklearn", "duckdb", "rich", "click"}  # pyarrow takes pandas


def test_every_public_name_is_there():
    assert len(set(gradline.__all__)) == len(gradline.__all__)
    for name in gradline.__all__:
        assert getattr(gradline, name) is not None
        assert name in dir(gradline)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        gradline.nothing  # noqa: B018

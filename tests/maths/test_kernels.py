"""What is compiled comes to what NumPy comes to, and whole numbers to the exact ones."""

import importlib.util
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from gradline import train
from gradline.maths import kernels

with_kernels = pytest.mark.skipif(not kernels.compiled(), reason="gradline was installed without a C compiler")


@pytest.mark.skipif(os.environ.get("GRADLINE_COMPILE") == "0" or sys.platform == "win32", reason="not to be compiled")
def test_where_there_is_a_compiler_the_kernels_of_this_source_are_compiled():
    if not any(shutil.which(name) for name in ("cc", "gcc", "clang")):
        pytest.skip("there is no C compiler")
    assert kernels.compiled(), "kernels.c has changed since gradline was installed: run ./check"


def whole(rng, *shape):
    return rng.integers(-50, 50, shape).astype(float)


@with_kernels
@pytest.mark.parametrize("rows", [1, 127, 128, 129, 1_500])
@pytest.mark.parametrize("by_rows", [0, 1, 11, 12, 13, 30])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("chosen", [False, True])
def test_sums_and_products_of_whole_numbers_are_exact(rows, by_rows, weighted, chosen):
    rng = np.random.default_rng(rows + by_rows)
    total = 2 * rows if chosen else rows
    values, beside = whole(rng, total, by_rows), [whole(rng, total) for _ in range(3)]
    matrix = values.astype(np.float32) if by_rows % 2 else values
    at = rng.permutation(total)[:rows] if chosen else None
    weight = rng.integers(0, 4, rows).astype(float) if weighted else None
    codes = rng.integers(0, 6, rows), rng.integers(0, 400, rows)
    shift = whole(rng, by_rows + 3)
    found = kernels.tally(
        rows,
        [*matrix.T, *beside],
        shift,
        at,
        weight,
        matrix if by_rows else None,
        [(codes[0], 5), (codes[1], 400)],  # the last level of the first one counts nowhere
    )
    assert found is not None
    gram, sums, least, greatest = found
    x = np.column_stack([values, *beside])
    x = x if at is None else x[at]
    z = np.column_stack([x - shift, np.ones(rows)]).astype(np.int64)
    w = np.ones(rows, dtype=np.int64) if weight is None else weight.astype(np.int64)
    assert np.array_equal(gram, (z * w[:, None]).T @ z)
    assert np.array_equal(least, x.min(axis=0))
    assert np.array_equal(greatest, x.max(axis=0))
    for mine, these, levels in zip(sums, codes, (5, 400), strict=True):
        expected = np.zeros((max(levels, these.max() + 1), z.shape[1]), dtype=np.int64)
        np.add.at(expected, these, z * w[:, None])
        assert np.array_equal(mine, expected[:levels])


@with_kernels
@pytest.mark.parametrize("place", ["matrix", "beside"])
def test_a_missing_number_is_left_to_numpy_and_an_infinite_one_is_seen(place):
    rng = np.random.default_rng(0)
    matrix, beside = rng.standard_normal((300, 14)), rng.standard_normal(300)
    changed = matrix[:, 13] if place == "matrix" else beside

    def tally():
        return kernels.tally(300, [*matrix.T, beside], np.zeros(15), None, None, matrix, [])

    changed[299] = -np.inf
    least = tally()[2]
    assert least[13 if place == "matrix" else 14] == -np.inf
    changed[299] = np.nan
    assert tally() is None


@with_kernels
def test_long_sums_of_few_levels_keep_their_digits():
    rows = 200_000
    x, codes = np.full(rows, 0.1), np.zeros(rows, dtype=np.intp)
    gram, (by_level,), _, _ = kernels.tally(rows, [x], np.zeros(1), None, None, None, [(codes, 1)])
    exact = math.fsum(x)
    assert by_level[0, 0] == pytest.approx(exact, rel=1e-13)  # one running sum: 1e-12
    assert gram[0, 1] == pytest.approx(exact, rel=1e-13)
    assert gram[0, 0] == pytest.approx(math.fsum(x * x), rel=1e-13)


@with_kernels
@pytest.mark.parametrize("weighted", [False, True])
def test_joint_counts_are_those_of_every_pair(weighted):
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 4, 5_000), rng.integers(0, 9, 5_000)
    weight = rng.integers(0, 4, 5_000).astype(float) if weighted else None
    expected = np.zeros((4, 9))
    np.add.at(expected, (a, b), 1.0 if weight is None else weight)
    assert np.array_equal(kernels.joint(a, b, (3, 8), weight), expected[:3, :8])


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(2)
    X = rng.standard_normal((1_003, 7)) * 3.0 + 1.0
    return X, X @ np.arange(7.0) + rng.standard_normal(1_003), rng.integers(0, 3, 1_003).astype(float)


def by_numpy(monkeypatch, work):
    with monkeypatch.context() as patch:
        patch.setenv(kernels.SWITCH, "numpy")
        assert not kernels.compiled()
        return work()


@with_kernels
@pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")
@pytest.mark.parametrize("optimizer", ["averaged_sgd", "gradient_descent", "adam"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("settings", [{}, {"l2": 0.1}, {"intercept": False}, {"sampling": "replacement"}, {"loss": "huber"}])
def test_steps_together_come_to_where_steps_one_by_one_come(table, optimizer, weighted, settings, monkeypatch):
    X, y, weight = table
    frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(7)]).assign(y=y, w=weight)
    if optimizer == "averaged_sgd" and settings.get("loss"):
        optimizer = "nesterov"
    if optimizer == "gradient_descent" and not settings.get("loss"):
        settings = {**settings, "schedule": "inverse_time"}

    def run():
        return train(
            frame if weighted else frame.drop(columns="w"),
            target="y",
            weight="w" if weighted else None,
            oracle="minibatch",
            batch_size=16,
            optimizer=optimizer,
            max_epochs=3,
            stop=["improvement"],
            tolerance=1e-300,
            **settings,
        )

    together, apart = run(), by_numpy(monkeypatch, run)
    assert together.history["step"].to_pylist() == apart.history["step"].to_pylist()
    for column in ("objective", "gradient_norm", "update_norm"):
        one, other = (model.history[column].to_numpy() for model in (together, apart))
        assert np.allclose(one, other, rtol=1e-9, atol=1e-12), column
    for name, value in together.coefficients.items():
        assert value == pytest.approx(apart.coefficients[name], rel=1e-10, abs=1e-10)


@pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")
@pytest.mark.parametrize("lying", ["strided", "backwards", "big-endian", "float16", "by columns", "repeated"])
def test_an_array_that_lies_otherwise_trains_to_what_its_copy_does(table, lying):
    X, y, _ = table
    matrix = {
        "strided": np.repeat(X, 2, axis=1)[:, ::2],
        "backwards": X[::-1],
        "big-endian": X.astype(">f8"),
        "float16": X.astype(np.float16),
        "by columns": np.asfortranarray(X),
        "repeated": np.broadcast_to(X[:1], X.shape) + np.arange(len(X))[:, None] % 5,
    }[lying]
    if lying == "repeated":
        matrix = np.concatenate([np.broadcast_to(matrix[k], (200, 7)) for k in range(5)])
        y = y[:1_000]
        matrix = matrix + np.random.default_rng(0).standard_normal(matrix.shape)
    first, other = train(matrix, y), train(np.ascontiguousarray(matrix, dtype=np.float64), y)
    assert list(first.coefficients.values()) == pytest.approx(list(other.coefficients.values()), rel=1e-12)


@pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")
def test_without_the_kernels_training_comes_to_the_same_digits(table, monkeypatch):
    X, y, _ = table
    one, other = train(X, y), by_numpy(monkeypatch, lambda: train(X, y))
    assert list(one.coefficients.values()) == pytest.approx(list(other.coefficients.values()), rel=1e-12)


def test_without_a_compiler_the_wheel_is_built_without_the_kernels(tmp_path, monkeypatch):
    """The hook says so and goes on; asked to compile, it fails."""
    interface = ModuleType("hatchling.builders.hooks.plugin.interface")
    interface.BuildHookInterface = object
    monkeypatch.setitem(sys.modules, interface.__name__, interface)
    root = Path(__file__).parents[2]
    spec = importlib.util.spec_from_file_location("hatch_build", root / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("CC", "no-such-compiler")
    problem = module.compiled(root / "src/gradline/maths/kernels/kernels.c", tmp_path / "kernels-0.so")
    assert "no-such-compiler" in problem
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_the_source_compiles_without_a_warning(tmp_path):
    source = kernels.__file__.replace("__init__.py", "kernels.c")
    command = ["cc", "-std=gnu99", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-psabi", "-shared", "-fPIC"]
    subprocess.run([*command, "-o", str(tmp_path / "k.so"), source], check=True)

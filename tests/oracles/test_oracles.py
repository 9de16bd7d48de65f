from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from gradline.inputs.memory import TableSource
from gradline.oracles.moments import MomentsOracle
from gradline.oracles.streamed import Examples, StreamedOracle
from gradline.training.config import TrainConfig
from gradline.training.reading.examples import streamed_oracle
from gradline.training.trainer import train as fit
from gradline.types import Block, Role
from gradline.updates.conjugate_gradient import ConjugateGradient
from gradline.updates.gradient_descent import GradientDescent, best_learning_rate
from reference import SerialEngine, ShuffledEngine, dense_problem
from tables import ChunkedSource


def numeric_with_offsets(rng, m=400):
    X = rng.normal(size=(m, 3)) * [1.0, 50.0, 0.01] + [1000.0, -300.0, 5.0]
    y = X @ [2.0, -0.1, 70.0] + 400.0 + rng.normal(size=m)
    return pa.table({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "y": y}), {}


def categories_and_missing_values(rng, m=500):
    city = rng.choice(["Oslo", "Rome", "Lima", "Bern"], m, p=[0.5, 0.3, 0.15, 0.05])
    x = rng.normal(size=m) + 3.0
    y = 2.0 * x + np.where(city == "Rome", 5.0, 0.0) + rng.normal(size=m)
    names = [None if rng.random() < 0.1 else str(c) for c in city]
    values = [None if rng.random() < 0.2 else float(v) for v in x]
    return pa.table({"city": names, "x": values, "z": rng.integers(0, 9, m), "y": y}), {}


def weights_and_penalty(rng, m=300):
    X = rng.normal(size=(m, 2)) + np.array([0.0, 10.0])
    y = X @ [1.0, -1.0] + 20.0 + rng.normal(size=m)
    weight = rng.integers(0, 5, m).astype(float) / 2
    return pa.table({"a": X[:, 0], "b": X[:, 1], "w": weight, "y": y}), {"weight": "w", "l2": 0.25}


PROBLEMS = [numeric_with_offsets, categories_and_missing_values, weights_and_penalty]
every_problem = pytest.mark.parametrize("problem", PROBLEMS, ids=lambda f: f.__name__)


class Both(NamedTuple):
    fit: object
    moments: MomentsOracle
    streamed: StreamedOracle
    solution: object


def oracles(source, engine=None, **settings):
    """Both oracles of one training run, in the same coordinates."""
    engine = engine or SerialEngine()
    config = TrainConfig(target="y", **settings)
    found = fit(source, config, engine)
    coordinates = found.problem.coordinates
    streamed = streamed_oracle(source, found.reader, found.representation, coordinates, engine, config.l2)
    return Both(found, MomentsOracle(found.problem.loss), streamed, found.problem.solution)


def iterates(oracle, rule, size, steps):
    theta = np.zeros(size)
    state = rule.init(theta)
    for _ in range(steps):
        found = oracle.value_and_gradient(theta)
        yield theta, found.value, found.gradient
        theta, state = rule.update(theta, found.gradient, state, oracle)


@every_problem
@pytest.mark.parametrize("scaling", ["standard", "none"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("optimizer", ["gradient_descent", "conjugate_gradient"])
def test_streamed_and_moments_take_the_same_steps(problem, scaling, intercept, optimizer):
    table, settings = problem(np.random.default_rng(0))
    both = oracles(ChunkedSource(table, [64, 128, 200]), scaling=scaling, intercept=intercept, **settings)
    steps = 12 if optimizer == "gradient_descent" else both.fit.problem.coordinates.size - 1
    rule = ConjugateGradient() if optimizer == "conjugate_gradient" else GradientDescent(best_learning_rate(both.solution))
    # raw columns with offsets have condition 1e9: conjugate directions differ by its rounding, not by the oracle
    room = 1e-9 if optimizer == "gradient_descent" or scaling == "standard" else 1e-5
    pairs = zip(
        iterates(both.moments, rule, both.fit.problem.coordinates.size, steps),
        iterates(both.streamed, rule, both.fit.problem.coordinates.size, steps),
        strict=True,
    )
    _, start = both.moments.value_and_gradient(np.zeros(both.fit.problem.coordinates.size))
    for (theta, value, gradient), (theta_, value_, gradient_) in pairs:
        assert np.linalg.norm(theta - theta_) <= room * max(np.linalg.norm(theta), 1e-12)
        assert value_ == pytest.approx(value, rel=room)
        assert np.linalg.norm(gradient - gradient_) <= room * np.linalg.norm(start)


@every_problem
@pytest.mark.parametrize("oracle", ["moments", "streamed"])
def test_the_gradient_is_the_numerical_derivative(problem, oracle):
    rng = np.random.default_rng(1)
    table, settings = problem(rng)
    both = oracles(TableSource(table), **settings)
    chosen = getattr(both, oracle)
    theta = rng.normal(size=both.fit.problem.coordinates.size)
    h = 1e-2  # exact for a quadratic, but for rounding
    numerical = np.array(
        [
            (chosen.value_and_gradient(theta + h * e).value - chosen.value_and_gradient(theta - h * e).value) / (2 * h)
            for e in np.eye(len(theta))
        ]
    )
    gradient = chosen.value_and_gradient(theta).gradient
    assert np.linalg.norm(gradient - numerical) <= 1e-8 * np.linalg.norm(gradient)


@every_problem
@pytest.mark.parametrize("oracle", ["moments", "streamed"])
def test_the_curvature_along_a_direction_is_the_change_of_the_gradient(problem, oracle):
    rng = np.random.default_rng(2)
    table, settings = problem(rng)
    both = oracles(TableSource(table), **settings)
    chosen = getattr(both, oracle)
    theta, direction = rng.normal(size=(2, both.fit.problem.coordinates.size))
    change = chosen.value_and_gradient(theta + direction).gradient - chosen.value_and_gradient(theta).gradient
    assert chosen.curvature_along(direction) == pytest.approx(change, rel=1e-9, abs=1e-9 * np.abs(change).max())


@every_problem
@pytest.mark.parametrize("cuts", [[1, 2, 3], [50], list(range(0, 300, 7))], ids=["tiny", "two", "many"])
def test_chunking_does_not_matter(problem, cuts):
    table, settings = problem(np.random.default_rng(3))
    whole, cut = oracles(TableSource(table), **settings), oracles(ChunkedSource(table, cuts), **settings)
    assert cut.fit.representation.names == whole.fit.representation.names
    assert cut.fit.descent.theta == pytest.approx(whole.fit.descent.theta, rel=1e-11, abs=1e-11)
    theta = np.linspace(-1, 1, whole.fit.problem.coordinates.size)
    _, start = whole.moments.value_and_gradient(0 * theta)
    for oracle in ("moments", "streamed"):
        a, b = (getattr(o, oracle).value_and_gradient(theta) for o in (whole, cut))
        assert b.value == pytest.approx(a.value, rel=1e-12)
        assert np.abs(a.gradient - b.gradient).max() <= 1e-12 * np.abs(start).max()


@every_problem
def test_the_order_of_rows_does_not_matter(problem):
    rng = np.random.default_rng(4)
    table, settings = problem(rng)
    settings = settings | {"validation": 0.0, "test": 0.0}  # roles go by the row's number
    shuffled = table.take(rng.permutation(table.num_rows))
    a, b = oracles(ChunkedSource(table, [100, 250]), **settings), oracles(ChunkedSource(shuffled, [100, 250]), **settings)
    assert a.fit.representation.names == b.fit.representation.names
    theta = np.linspace(-1, 1, a.fit.problem.coordinates.size)
    _, start = a.moments.value_and_gradient(0 * theta)
    for oracle in ("moments", "streamed"):
        one, other = (getattr(o, oracle).value_and_gradient(theta) for o in (a, b))
        assert other.value == pytest.approx(one.value, rel=1e-12)
        assert np.abs(one.gradient - other.gradient).max() <= 1e-12 * np.abs(start).max()


@every_problem
def test_the_order_in_which_blocks_are_computed_changes_no_bit(problem):
    table, settings = problem(np.random.default_rng(5))
    source = ChunkedSource(table, range(0, 300, 11))
    a, b = oracles(source, SerialEngine(), **settings), oracles(source, ShuffledEngine(7), **settings)
    assert np.array_equal(a.fit.descent.theta, b.fit.descent.theta)
    theta = np.linspace(-1, 1, a.fit.problem.coordinates.size)
    assert np.array_equal(a.streamed.value_and_gradient(theta).gradient, b.streamed.value_and_gradient(theta).gradient)


@pytest.mark.parametrize("oracle", ["moments", "streamed"])
def test_weights_are_repeated_rows(oracle):
    rng = np.random.default_rng(6)
    m = 120
    weight = rng.integers(0, 4, m)
    columns = {"a": rng.normal(size=m), "c": rng.choice(list("uv"), m), "y": rng.normal(size=m)}
    columns["a"][::9] = np.nan
    whole = {"validation": 0.0, "test": 0.0, "min_level_rows": 1}
    weighted = oracles(TableSource(pa.table(columns | {"w": weight})), weight="w", **whole)
    repeated = oracles(TableSource(pa.table({k: np.repeat(v, weight) for k, v in columns.items()})), **whole)
    by_name = dict(zip(weighted.fit.representation.names, range(9), strict=False))
    order = [by_name[name] for name in repeated.fit.representation.names]
    assert len(order) == len(by_name)
    theta = rng.normal(size=len(order) + 1)
    moved = np.append(theta[:-1][np.argsort(order)], theta[-1])
    a, b = getattr(repeated, oracle).value_and_gradient(theta), getattr(weighted, oracle).value_and_gradient(moved)
    assert b.value == pytest.approx(a.value, rel=1e-11)
    assert np.append(b.gradient[order], b.gradient[-1]) == pytest.approx(a.gradient, rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_the_streamed_oracle_is_the_formula(intercept, weighted):
    rng = np.random.default_rng(7)
    X, y, weight = rng.normal(size=(40, 3)), rng.normal(size=40), rng.random(40) if weighted else None
    blocks = [Block(0, a, lambda: None) for a in range(0, 40, 8)]

    def examples(block):
        mine = slice(block.first_row, block.first_row + 8)
        return Examples(X[mine], y[mine], None if weight is None else weight[mine])

    oracle = StreamedOracle(ShuffledEngine(1), lambda: blocks, examples, intercept=intercept, l2=0.5)
    problem = dense_problem(X, y, weight, scaling="none", intercept=intercept, l2=0.5)
    theta = rng.normal(size=3 + intercept)
    found = oracle.value_and_gradient(theta)
    assert found.value == pytest.approx(problem.loss.value(theta), rel=1e-12)
    assert found.gradient == pytest.approx(problem.loss.gradient(theta), rel=1e-11, abs=1e-13)
    assert oracle.curvature_along(theta) == pytest.approx(problem.loss.hessian @ theta, rel=1e-11, abs=1e-13)


def test_the_streamed_oracle_refuses_an_empty_read():
    oracle = StreamedOracle(SerialEngine(), list, lambda block: None, intercept=True)
    with pytest.raises(ValueError, match="no training row"):
        oracle.value_and_gradient(np.zeros(2))


def test_the_streamed_oracle_reads_the_training_rows_only():
    table, _ = numeric_with_offsets(np.random.default_rng(8))
    both = oracles(ChunkedSource(table, [37, 99]), validation=0.3, test=0.3)
    poisoned = table.to_pydict()
    for row in range(table.num_rows):
        if both.fit.reader.roles.assign(0, row, 1, None)[0] != Role.TRAINING:
            poisoned["y"][row] = poisoned["a"][row] = 1e12
    again = streamed_oracle(
        TableSource(pa.table(poisoned)),
        both.fit.reader,
        both.fit.representation,
        both.fit.problem.coordinates,
        SerialEngine(),
        0.0,
    )
    theta = np.ones(both.fit.problem.coordinates.size)
    assert again.value_and_gradient(theta).value == pytest.approx(both.streamed.value_and_gradient(theta).value, rel=1e-12)


def test_values_do_not_change_theta():
    problem = dense_problem(np.arange(12.0).reshape(6, 2) ** 2, np.arange(6.0))
    theta = np.ones(3)
    MomentsOracle(problem.loss).value_and_gradient(theta)
    MomentsOracle(problem.loss).curvature_along(theta)
    assert theta.tolist() == [1.0, 1.0, 1.0]

"""Rows that lie row by row are gone through as they lie, to the bits of the same rows column by column."""

import numpy as np
import pytest

from gradline import train
from gradline.maths import kernels
from gradline.maths.block import MissingInMatrixError, block_tally, encoded
from gradline.types import CategoryColumn, NumberColumn, Part

ROWS = 5_000  # of several tiles' panels, and some left over


def bits(tally):
    numbers = tally.tally.numbers
    arrays = [numbers.mean, numbers.mean_rest, numbers.comoment, tally.least, tally.greatest, *tally.tally.sums.values()]
    return [array.tobytes() for array in arrays]


@pytest.fixture(autouse=True, params=["compiled", "numpy"])
def way(request, monkeypatch):
    if request.param == "numpy":
        monkeypatch.setenv(kernels.SWITCH, "numpy")
    elif not kernels.compiled():
        pytest.skip("gradline was installed without a C compiler")


@pytest.fixture(params=[np.float64, np.float32])
def matrix(request):
    rng = np.random.default_rng(3)
    return (rng.standard_normal((ROWS, 7)) * 10.0 ** rng.uniform(-3, 3, 7) + 5.0).astype(request.param)


@pytest.mark.parametrize("chosen", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("categorical", [False, True])
def test_a_matrix_has_the_bits_of_its_columns(matrix, chosen, weighted, categorical, monkeypatch):
    monkeypatch.setattr("gradline.maths.block.TILE_VALUES", 1 << 14)  # several tiles
    rng = np.random.default_rng(4)
    target = NumberColumn("y", rng.standard_normal(ROWS), Part.TARGET)
    weight = rng.integers(0, 3, ROWS).astype(float) if weighted else None
    at = np.flatnonzero(rng.random(ROWS) < 0.7) if chosen else None
    categories = [encoded(CategoryColumn("c", rng.integers(0, 5, ROWS), tuple("abcde")))] if categorical else []
    by_rows = [NumberColumn(f"x{j}", column) for j, column in enumerate(matrix.T)]
    by_columns = [column._replace(values=column.values.astype(np.float64)) for column in by_rows]
    lying = block_tally([*by_rows, target], categories, ROWS, weight, at, matrix)
    turned = block_tally([*by_columns, target], categories, ROWS, weight, at)
    assert bits(lying) == bits(turned)
    assert lying.plain.all()


def test_a_matrix_whose_column_is_far_from_its_median_goes_through_twice_as_its_columns_do():
    values = np.concatenate([np.zeros(ROWS - 5), np.full(5, 1e9)])
    matrix = np.column_stack([values, np.arange(ROWS, dtype=float)])
    columns = [NumberColumn(f"x{j}", column.copy()) for j, column in enumerate(matrix.T)]
    assert bits(block_tally(columns, [], ROWS, None, None, matrix)) == bits(block_tally(columns, [], ROWS))


def test_a_matrix_with_a_missing_number_is_refused(matrix):
    matrix[ROWS - 1, 3] = np.nan
    columns = [NumberColumn(f"x{j}", column) for j, column in enumerate(matrix.T)]
    with pytest.raises(MissingInMatrixError):
        block_tally(columns, [], ROWS, None, None, matrix)
    block_tally(columns, [], ROWS, None, np.arange(ROWS - 1), matrix)  # not of these rows


@pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")
@pytest.mark.parametrize("missing", ["nowhere", "in x", "in y", "in a later block"])
def test_an_array_by_rows_trains_to_the_bits_of_the_same_array_by_columns(matrix, missing, monkeypatch):
    monkeypatch.setattr("gradline.inputs.source.MOST_BLOCK_ROWS", 1024)
    monkeypatch.setattr("gradline.inputs.memory.LEAST_BY_ROWS", 2)
    y = matrix @ np.arange(7.0) + np.random.default_rng(5).standard_normal(ROWS)
    if missing == "in y":
        y[::7] = np.nan
    elif missing != "nowhere":
        matrix[4_000 if "later" in missing else 10, 2] = np.nan
    models = [train(X, y) for X in (np.ascontiguousarray(matrix), np.asfortranarray(matrix, dtype=np.float64))]
    rows, columns = ([*model.coefficients.values(), model.intercept, model.metrics["test"]["rmse"]] for model in models)
    assert rows == columns

"""NumPy to Arrow and back without pandas, which Arrow would import wherever it is installed."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gradline.arrays import as_arrow, as_numpy


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "i4", "u1", "?", ">f8", "i2"])
@pytest.mark.parametrize("stride", [1, 2, -1])
def test_values_survive_the_way_to_arrow_and_back(dtype, stride):
    values = np.array([0, 1, 3, 0, 5, 1], dtype=dtype)[::stride]
    found = as_arrow(values)
    assert found.equals(pa.array(values.astype(values.dtype.newbyteorder("="))))
    np.testing.assert_array_equal(as_numpy(found), values)


def test_nan_is_null_only_where_that_is_asked_for():
    values = np.array([1.0, np.nan, 3.0])
    assert as_arrow(values, nan_is_null=True).to_pylist() == [1.0, None, 3.0]
    assert as_arrow(values).null_count == 0


def test_a_column_in_pieces_is_one_array():
    np.testing.assert_array_equal(as_numpy(pa.chunked_array([[1.5], [], [2.5, 3.5]])), [1.5, 2.5, 3.5])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_training_run_does_not_import_pandas(kind, tmp_path):
    rows = [(i, "ab"[i % 2], 2 * i + i % 3) for i in range(5_000)]
    (tmp_path / "t.csv").write_text("x,c,y\n" + "".join(f"{x},{c},{y}\n" for x, c, y in rows))
    pq.write_table(pa.table(dict(zip("xcy", map(list, zip(*rows, strict=True)), strict=True))), tmp_path / "t.parquet")
    code = f"""
import sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        assert name != "pandas"

sys.meta_path.insert(0, Watch())
from gradline.cli.main import main
sys.argv = ["gradline", "train", {str(tmp_path / f"t.{kind}")!r}, "--target", "y", "--out", {str(tmp_path / "run")!r}]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
assert "pandas" not in sys.modules
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("cut", [slice(None), slice(1, None), slice(2, 5), slice(3, 3)])
def test_nulls_become_what_is_asked_for(cut):
    numbers = pa.array([None, 1.5, None, 2.5, -1.0, None])[cut]
    np.testing.assert_array_equal(as_numpy(numbers, null=np.nan), [np.nan if v is None else v for v in numbers.to_pylist()])
    codes = pa.array([None, 3, None, 2, 0, None], pa.int32())[cut]
    found = as_numpy(codes, null=-1)
    assert found.dtype == np.int32
    assert found.tolist() == [-1 if v is None else v for v in codes.to_pylist()]
    flags = pa.array([None, True, False, True, None, True])[cut]
    assert as_numpy(flags).tolist() == [bool(v) for v in flags.to_pylist()]

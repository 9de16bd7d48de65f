"""Sparse tables: SciPy's matrices and svmlight files as rows of entries."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from gradline.errors import DataError, SourceError, UsageError
from gradline.inputs import sparse as module
from gradline.inputs.opening import open_source
from gradline.inputs.source import ReadOptions
from gradline.inputs.sparse import MatrixSource, SvmlightSource, column_index, parsed

WHERE = Path("a.svm")


def dense(source, width):
    """What a source holds, as NumPy sees it, entry by entry."""
    X, y = [], []
    for rows in source.sparse_rows():
        for i in range(len(rows)):
            row = np.zeros(width)
            for at in range(rows.starts[i], rows.starts[i + 1]):
                row[rows.indices[at]] = rows.values[at]
            X.append(row)
        y += [] if rows.y is None else list(rows.y)
    return np.array(X).reshape(-1, width), np.array(y)


def slowly_parsed(text, width):
    """The format's definition, word by word."""
    X, y = [], []
    for line in text.splitlines():
        words = [word for word in line.partition("#")[0].split() if not word.startswith("qid:")]
        if words:
            row = np.zeros(width)
            for word in words[1:]:
                index, value = word.split(":")
                row[int(index)] = float(value)
            X.append(row)
            y.append(float(words[0]))
    return np.array(X), np.array(y)


def random_text(seed, rows=200, width=30):
    rng = np.random.default_rng(seed)
    lines = []
    for _ in range(rows):
        columns = rng.permutation(width)[: rng.integers(0, 8)]  # in any order, and some rows without any
        words = [f"{c}:{rng.normal() * 10.0 ** rng.integers(-300, 300)!r}" for c in columns]
        space = " " * int(rng.integers(1, 3))
        line = space.join([f"{rng.normal()!r}", *(["qid:3"] if rng.random() < 0.2 else []), *words])
        lines.append(line + (" # 5:x" if rng.random() < 0.2 else "") + ("\r" if rng.random() < 0.1 else ""))
        lines += [""] if rng.random() < 0.1 else []
    return "\n".join(lines).replace("np.float64(", "").replace(")", "")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("end", ["", "\n"])
def test_svmlight_is_read_as_the_format_says_in_chunks_of_any_size(tmp_path, monkeypatch, seed, end):
    text = random_text(seed)
    (tmp_path / "a.svm").write_bytes((text + end).encode())
    X, y = slowly_parsed(text, 30)
    for size in (1 << 23, 97, 4_000):
        monkeypatch.setattr(module, "CHUNK_BYTES", size)
        found, target = dense(SvmlightSource("a", [tmp_path / "a.svm"]), 30)
        np.testing.assert_array_equal(found, X)
        np.testing.assert_array_equal(target, y)


def test_compressed_and_several_files_number_their_rows(tmp_path):
    (tmp_path / "b.svm.gz").write_bytes(gzip.compress(b"1 2:3\n4 5:6\n"))
    (tmp_path / "c.libsvm").write_text("7 8:9\n")
    source = open_source([tmp_path / "b.svm.gz", tmp_path / "c.libsvm"], ReadOptions(label="price"))
    assert [(rows.file, rows.first_row, len(rows)) for rows in source.sparse_rows()] == [(0, 0, 2), (1, 0, 1)]
    assert source.schema.names == ["price"]
    table = [block.load() for block in source.blocks(["price", "x5"])]
    assert [t.to_pydict() for t in table] == [{"price": [1.0, 4.0], "x5": [0.0, 6.0]}, {"price": [7.0], "x5": [0.0]}]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("1 2:3\n1 2 3:4\n", 2),
        ("1 2:3:4 5\n", 1),
        ("1 2:3\n\n# c\na 2:3\n", 4),
        ("1 2:\n", 1),
        ("1 :3\n", 1),
        ("1 2:3\n3:4\n", 2),
        ("1 -1:2\n", 1),
        ("1 1.5:2\n", 1),
        ("1 99999999999:2\n", 1),
        ("1,2 3:4\n", 1),
        ("1 2: 3\n", 1),
        ("1 2:3\n1 2:0x1\n", 2),
        ("1 \xff:3\n", 1),
    ],
)
def test_a_line_that_is_not_svmlight_is_named(text, line):
    with pytest.raises(SourceError, match=f"a.svm, line {line} is not svmlight"):
        parsed(text.encode("latin-1"), WHERE)


def test_a_column_that_stands_twice_is_refused():
    with pytest.raises(SourceError, match="line 8: column 5 stands twice"):
        parsed(b"1 2:3\n1 5:1 2:3 5:4\n", WHERE, line=7)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
def test_values_that_are_not_finite_are_refused_with_column_and_row(tmp_path, value):
    (tmp_path / "a.svm").write_text(f"1 2:3\n1 7:{value}\n")
    with pytest.raises(DataError, match=r"column 'x7' .* row 1"):
        list(SvmlightSource("a", [tmp_path / "a.svm"]).sparse_rows())


def test_a_truncated_gzip_is_refused(tmp_path):
    whole = gzip.compress(random_text(1).encode())
    (tmp_path / "a.svm.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match="cannot be read"):
        list(SvmlightSource("a", [tmp_path / "a.svm.gz"]).sparse_rows())


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_matrix, sparse.coo_array, sparse.csr_array])
@pytest.mark.parametrize("dtype", [np.float32, np.int16, bool])
def test_any_sparse_matrix_of_numbers(monkeypatch, kind, dtype):
    monkeypatch.setattr(module, "BLOCK_ROWS", 7)
    rng = np.random.default_rng(0)
    X = (rng.random((50, 9)) < 0.3).astype(dtype)
    found, y = dense(MatrixSource(kind(X), np.arange(50)), 9)
    np.testing.assert_array_equal(found, X.astype(float))
    np.testing.assert_array_equal(y, np.arange(50.0))


def test_entries_of_one_place_are_added_and_the_callers_matrix_is_left_as_it_is():
    doubled = sparse.csr_matrix((np.array([1.0, 2.0, 4.0]), np.array([3, 3, 0]), np.array([0, 3])), shape=(1, 4))
    found, _ = dense(MatrixSource(doubled, np.zeros(1)), 4)
    np.testing.assert_array_equal(found, [[4.0, 0.0, 0.0, 3.0]])
    assert doubled.nnz == 3


def test_bad_matrices_and_targets():
    X = sparse.eye(4, format="csr")
    with pytest.raises(SourceError, match=r"target has shape \(3,\)"):
        MatrixSource(X, np.zeros(3))
    with pytest.raises(SourceError, match="not a number"):
        MatrixSource(X, np.array(list("abcd")))
    with pytest.raises(SourceError, match="complex128"):
        MatrixSource(X.astype(complex), np.zeros(4))
    with pytest.raises(SourceError, match="wider than"):
        MatrixSource(sparse.csr_array((2, 1 << 40)), np.zeros(2))
    with pytest.raises(UsageError, match="'x3' has the name of a column"):
        MatrixSource(X, np.zeros(4), "x3")


def test_names_of_columns():
    assert column_index("x12", "y") == 12
    for name in ("12", "x", "x-1", "x99999999999", "z3"):
        with pytest.raises(UsageError, match="sparse columns are named x0"):
            column_index(name, "y")

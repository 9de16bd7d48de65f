"""The tables of the benchmarks, by their seeds: `python benchmarks/making.py DATA ROWS COLUMNS [ROLES [KIND [TWINS]]]`.

DATA is the file to write, or a folder for a table in memory (KIND float32 or float64), which its ways load as NumPy arrays; KIND
`categories` has columns of text as well. ROLES is where the role that gradline gives each row goes, for the peers; empty for none. TWINS are the same rows in another format, of `vw`
(text for Vowpal Wabbit, the training rows and the rest apart) and `roles` (Parquet with the roles as a column, for Spark). Beside
DATA goes the sum of squares and products of the training rows, by which `excess` says how far an answer is from the least loss.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS_A_GROUP = 250_000
LEVELS = {"c10": 10, "c100": 100, "c2000": 2_000}
NUMERIC = 5  # columns beside the categories


def made(rows: int, columns: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A table from its seed: normal features, a linear target and as much noise."""
    generator = np.random.default_rng(seed)
    weights = np.random.default_rng(7).normal(size=columns)
    X = generator.standard_normal((rows, columns))
    return X, X @ weights + 3.0 + generator.standard_normal(rows)


def blocks(rows: int, columns: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The table in blocks, each from a seed of its own."""
    for group, start in enumerate(range(0, rows, ROWS_A_GROUP)):
        yield made(min(ROWS_A_GROUP, rows - start), columns, seed=group)


def level_names(levels: int) -> list[str]:
    """l0000, l0001, …: in the order of their effects' seed and of the alphabet."""
    return [f"l{i:04d}" for i in range(levels)]


def shares(levels: int) -> np.ndarray:
    """The share of each level, (levels,): the commonest has five times the rows of the rarest."""
    share = 1.0 / (np.arange(levels) + levels / 4)
    return share / share.sum()


def roles_of(rows: int) -> np.ndarray:
    """The role of each row as gradline assigns it, (rows,)."""
    from gradline.splits.roles import RowRoles

    return RowRoles(0, 0.1, 0.1).assign(0, 0, rows, None)


def add_products(total: np.ndarray, X: np.ndarray, y: np.ndarray) -> None:
    """Add the products of [X, 1, y] to theirs, (p + 2, p + 2)."""
    A = np.column_stack([X, np.ones(len(y)), y])
    total += A.T @ A


def excess(products: np.ndarray, coefficients: np.ndarray, intercept: float) -> float:
    """(J − J*)/J(w = 0, b = mean y) of an answer, from the products of [X, 1, y]: ½ dᵀHd with d from the minimiser."""
    m = products[-2, -2]
    H, g = products[:-1, :-1] / m, products[:-1, -1] / m  # (p + 1, p + 1), (p + 1,)
    apart = np.append(coefficients, intercept) - np.linalg.solve(H, g)
    return float(apart @ H @ apart / (products[-1, -1] / m - g[-1] ** 2))


def text_of(X: np.ndarray, y: np.ndarray) -> Any:
    """Rows as Vowpal Wabbit reads them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts: list[Any] = [pc.cast(pa.array(y), pa.string()), pa.scalar(" |")]
    for j, column in enumerate(np.ascontiguousarray(X.T)):
        parts += [pa.scalar(f" x{j}:"), pc.cast(pa.array(column), pa.string())]
    return pa.table({"row": pc.binary_join_element_wise(*parts, "")})


def write_numbers(path: Path, rows: int, columns: int, roles: np.ndarray | None, twins: list[str]) -> None:
    """A Parquet or CSV file with the columns x0 … and y, and its twins."""
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.float64()) for name in (*(f"x{j}" for j in range(columns)), "y")])
    products = np.zeros((columns + 2, columns + 2))
    with ExitStack() as stack:
        writer = stack.enter_context(
            pq.ParquetWriter(path, schema) if path.suffix == ".parquet" else pc.CSVWriter(str(path), schema)
        )
        beside, texts = None, []
        if "roles" in twins:
            with_roles = schema.append(pa.field("role", pa.uint8()))
            beside = stack.enter_context(pq.ParquetWriter(path.with_suffix(".roles.parquet"), with_roles))
        if "vw" in twins:
            plain = pc.WriteOptions(include_header=False, quoting_style="none")
            line = pa.schema([("row", pa.string())])
            texts = [
                stack.enter_context(pc.CSVWriter(str(path.with_suffix(end)), line, write_options=plain))
                for end in (".vw", ".rest.vw")
            ]
        start = 0
        for X, y in blocks(rows, columns):
            table = pa.table([*np.ascontiguousarray(X.T), y], schema=schema)
            role = np.zeros(len(y), dtype=np.uint8) if roles is None else roles[start : start + len(y)]
            training = role == 0
            writer.write_table(table)
            if beside is not None:
                beside.write_table(table.append_column("role", pa.array(role)))
            for text, these in zip(texts, (training, ~training), strict=False):
                if these.any():
                    text.write_table(text_of(X[these], y[these]))
            add_products(products, X[training], y[training])
            start += len(y)
    np.save(path.with_suffix(".products.npy"), products)


def write_categories(path: Path, rows: int, roles: np.ndarray | None) -> None:
    """A Parquet file with x0 … x4, three columns of text stored by dictionary, and y."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    effects = {name: np.random.default_rng(levels).normal(size=levels) for name, levels in LEVELS.items()}
    seen = {name: np.zeros((3, levels), dtype=bool) for name, levels in LEVELS.items()}
    texts = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema(
        [
            *((f"x{j}", pa.float64()) for j in range(NUMERIC)),
            *((name, texts) for name in LEVELS),
            ("y", pa.float64()),
        ]
    )
    start = 0
    with pq.ParquetWriter(path, schema) as writer:
        for group, (X, line) in enumerate(blocks(rows, NUMERIC)):
            y = line.copy()
            generator = np.random.default_rng([1, group])
            role = np.zeros(len(y), dtype=np.uint8) if roles is None else roles[start : start + len(y)]
            columns: list[Any] = list(np.ascontiguousarray(X.T))
            for name, levels in LEVELS.items():
                codes = generator.choice(levels, size=len(y), p=shares(levels)).astype(np.int32)
                y += effects[name][codes]
                seen[name][role, codes] = True
                columns.append(pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(level_names(levels))))
            writer.write_table(pa.table([*columns, y], schema=schema))
            start += len(y)
    needed = [0] if roles is None else [0, 1, 2]
    missing = {name: int((~found[needed]).any(axis=0).sum()) for name, found in seen.items()}
    if any(missing.values()):
        raise SystemExit(f"levels that do not occur in every role: {missing}; take more rows")


def write_arrays(folder: Path, rows: int, columns: int, dtype: str, roles: np.ndarray | None) -> None:
    """X (m, p) and y (m,) as NumPy files; the products are those of the values as stored."""
    folder.mkdir(exist_ok=True)
    X, y = made(rows, columns)
    X, y = X.astype(dtype, copy=False), y.astype(dtype, copy=False)
    np.save(folder / "X.npy", X)
    np.save(folder / "y.npy", y)
    products = np.zeros((columns + 2, columns + 2))
    for start in range(0, rows, ROWS_A_GROUP):
        these = slice(start, start + ROWS_A_GROUP)
        training = slice(None) if roles is None else roles[these] == 0
        add_products(products, X[these][training].astype(np.float64), y[these][training].astype(np.float64))
    np.save(folder / "products.npy", products)


def main(data: str, rows: str, columns: str, roles: str = "", kind: str = "", twins: str = "") -> None:
    """See the module."""
    path, count = Path(data), int(rows)
    assigned = roles_of(count) if roles else None
    if assigned is not None:
        np.save(roles, assigned)
    if kind == "categories":
        write_categories(path, count, assigned)
    elif kind.startswith("float"):
        write_arrays(path, count, int(columns), kind, assigned)
    else:
        write_numbers(path, count, int(columns), assigned, twins.split(","))


if __name__ == "__main__":
    main(*sys.argv[1:])

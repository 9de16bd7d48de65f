"""The tables of benchmarks/speed.py, by their seeds: `python benchmarks/making.py DATA ROWS COLUMNS ROLES`."""

from __future__ import annotations

import sys

import numpy as np

ROWS_A_GROUP = 250_000


def made(rows: int, columns: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A table from its seed: normal features, a linear target and as much noise."""
    generator = np.random.default_rng(seed)
    weights = np.random.default_rng(7).normal(size=columns)
    X = generator.standard_normal((rows, columns))
    return X, X @ weights + 3.0 + generator.standard_normal(rows)


def write_table(path: str, rows: int, columns: int) -> None:
    """A Parquet or CSV file with the columns x0 … and y."""
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.float64()) for name in (*(f"x{j}" for j in range(columns)), "y")])
    with pq.ParquetWriter(path, schema) if path.endswith(".parquet") else pc.CSVWriter(path, schema) as writer:
        for group, start in enumerate(range(0, rows, ROWS_A_GROUP)):
            X, y = made(min(ROWS_A_GROUP, rows - start), columns, seed=group)
            writer.write_table(pa.table([*np.ascontiguousarray(X.T), y], schema=schema))


def main(data: str, rows: str, columns: str, roles: str) -> None:
    """Write the table, if it is a file, and the roles that gradline gives its rows, for the peers."""
    if not data.startswith("memory:"):
        write_table(data, int(rows), int(columns))
    if roles:
        from gradline.splits.roles import RowRoles

        np.save(roles, RowRoles(0, 0.1, 0.1).assign(0, 0, int(rows), None))


if __name__ == "__main__":
    main(*sys.argv[1:])

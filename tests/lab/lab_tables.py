"""Tables and a server for the tests of the lab."""

import json
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gradline.lab.server import LabServer
from gradline.lab.table import LabTable

FLIGHTS = Path(__file__).parents[2] / "examples/flights.parquet"


def rows(m=400, seed=3):
    """y of x and z, which go together; x has an offset; a few nulls, and a text."""
    rng = np.random.default_rng(seed)
    x = rng.normal(3.0, 2.0, m)
    z = 0.6 * x + rng.normal(size=m)
    y = 4.0 * x - 2.0 * z + 7.0 + rng.normal(size=m)
    y[5] = np.nan
    z[11] = np.nan
    return pa.table({"x": x, "z": z, "word": ["a"] * m, "y": y})


@cache
def small():
    """The lab on these rows."""
    return LabTable.open(rows(), "y")


@cache
def flights():
    """The lab on the flights."""
    return LabTable.open(None)


@contextmanager
def served(table, port=0):
    """A server of a table, while it is used."""
    server = LabServer(table, port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def asked(server, path, document=None, headers=None):
    """(status, body) of a request; a document is posted as JSON."""
    url = f"http://127.0.0.1:{server.port}/{path}"
    data = None if document is None else json.dumps(document).encode()
    given = {"Content-Type": "application/json"} if document is not None else {}
    request = urllib.request.Request(url, data, given | (headers or {}))
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def answer(server, name, document):
    """The answer to a question."""
    status, body = asked(server, f"{server.token}/api/{name}", document)
    assert status == 200, body
    return json.loads(body)


def streamed(server, document):
    """The lines of a run."""
    status, body = asked(server, f"{server.token}/api/run", document)
    assert status == 200, body
    return [json.loads(line) for line in body.splitlines()]


def written(folder, table=None):
    """The rows as a file."""
    pq.write_table(rows() if table is None else table, folder / "rows.parquet")
    return folder / "rows.parquet"

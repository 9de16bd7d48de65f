"""Model files: cut, with bytes changed, and edited by someone who mends the checksums."""

import functools
import hashlib
import io
import json
import zipfile

import numpy as np
import pyarrow as pa
import scipy.sparse
from outcomes import ALL, check, command, tried

import gradline as gl
from gradline.model.model import load
from tables import fit, predicted, simple, write_parquet

VALUES = (
    None,
    True,
    -1,
    0,
    1.5,
    1e308,
    10**30,
    float("nan"),
    float("inf"),
    "",
    "text",
    "nan",
    [],
    [1.0],
    [None],
    {},
    {"a": 1},
    "\x1b[2J",
    "<b>",
)
SHAPES = ((0,), (), (1,), (3, 3), (10**12,), (10**6, 10**6), (2, 0), (-1,))


@functools.cache
def originals():
    """A model of a table and one of a sparse table: the bytes, the table, and what it predicts."""
    table = simple(60)
    dense = fit(table, **ALL)
    X = scipy.sparse.random_array((50, 8), density=0.4, rng=np.random.default_rng(0), format="csr")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sparse = gl.train(X, X.sum(axis=1) + np.arange(50) % 3, **ALL)
    return [(_bytes(dense), table, predicted(dense, table)), (_bytes(sparse), X, sparse.predict(X))]


def _bytes(model):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "m")
        return (Path(folder) / "m").read_bytes()


def case(rng, folder):
    """Write a model file that is not what it was, and use it."""
    which = int(rng.random() < 0.25)
    whole, table, expected = originals()[which]
    edited = rng.random() < 0.6
    path = folder / "m.gradline"
    path.write_bytes(edit(rng, whole) if edited else damage(rng, whole))
    found = tried(load, path)
    if found.model is None:
        check(found.word == "ModelFileError", f"{found.word} from a model file")
        if rng.random() < 0.05:
            check(command(folder, folder / "none", "show", path)[0] == 2, "show takes what load refuses")
        return found.word
    said = tried(_predicted, found.model, table)
    if not edited:
        check(said.word == "answer" and np.array_equal(said.model, expected), "damage changed the predictions")
        return "the same"
    if said.model is not None:
        check(np.all(np.isfinite(said.model)), "predictions that are no numbers")
    if which == 0 and rng.random() < 0.5:
        write_parquet(table, folder / "t.parquet")
        words = [
            ["show", path, "--json"],
            ["evaluate", path, folder / "t.parquet", "--json"],
            ["report", path, "--out", folder / "o", "--json"],
            ["predict", path, folder / "t.parquet", "--out", folder / "o.csv", "--json"],
        ][rng.integers(4)]
        command(folder, folder / ("o.csv" if words[0] == "predict" else "o"), *words)
    return "edited, " + said.word


def _predicted(model, table):
    if isinstance(table, pa.Table):
        return predicted(model, table)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.predict(table)


def damage(rng, whole):
    """Other bytes; what they were is not mended."""
    at = int(rng.integers(len(whole)))
    match int(rng.integers(6)):
        case 0:
            return whole[:at]
        case 1:
            return whole[:at] + whole[at + 1 :]
        case 2:
            return whole[:at] + rng.bytes(4) + whole[at + 4 :]
        case 3:
            return whole + rng.bytes(int(rng.integers(1, 100)))
        case 4:
            foot = whole.index(b"PK\x01\x02") + int(rng.integers(len(whole) - whole.index(b"PK\x01\x02")))
            return whole[:foot] + bytes([whole[foot] ^ int(rng.integers(1, 256))]) + whole[foot + 1 :]
        case _:
            return whole[:at] + bytes([whole[at] ^ (1 << int(rng.integers(8)))]) + whole[at + 1 :]


def edit(rng, whole):
    """Other contents, with sizes and checksums that fit them, most of the time."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    arrays = [name for name in members if name.endswith(".npy")]
    name = arrays[int(rng.integers(len(arrays)))]
    match int(rng.integers(8)):
        case 0 | 1 | 2:
            document = json.loads(members["model.json"])
            replace(rng, document)
            members["model.json"] = json.dumps(document).encode()
        case 3:
            array = np.load(io.BytesIO(members[name]))
            array.flat[int(rng.integers(array.size))] = [np.nan, np.inf, -1e100, 0.0][rng.integers(4)]
            members[name] = npy(array)
        case 4:  # a header that claims what is not there
            shape = SHAPES[rng.integers(len(SHAPES))]
            head = {"descr": str(rng.choice(["<f8", "<f4", "|O", "<U9", "<c16", "|V8"])), "fortran_order": False, "shape": shape}
            buffer = io.BytesIO()
            np.lib.format.write_array_header_1_0(buffer, head)
            members[name] = buffer.getvalue() + members[name][-64:]
        case 5:
            members[name] = [b"", b"\x93NUMPY", members[name][:90], npy(np.array(["a"])), npy(np.zeros(3, dtype=complex))][
                rng.integers(5)
            ]
        case 6:
            members.pop(name) if rng.random() < 0.5 else members.update({f"../{name}": b"x", "/etc/passwd": b"x"})
        case _:
            manifest["version"] = VALUES[rng.integers(len(VALUES))]
    manifest["members"] = {n: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in members.items()}
    if rng.random() < 0.1:
        replace(rng, manifest)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in {"manifest.json": json.dumps(manifest).encode(), **members}.items():
            archive.writestr(member, data)
        if rng.random() < 0.01:
            archive.writestr("bomb.npy", b"\0" * 20_000_000)
    return out.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def replace(rng, document):
    """Another value somewhere in a document, or none."""
    while True:
        keys = list(document) if isinstance(document, dict) else list(range(len(document)))
        key = keys[int(rng.integers(len(keys)))]
        inside = document[key]
        if isinstance(inside, dict | list) and inside and rng.random() < 0.85:
            document = inside
            continue
        if rng.random() < 0.2:
            del document[key]
        else:
            document[key] = VALUES[rng.integers(len(VALUES))]
        return

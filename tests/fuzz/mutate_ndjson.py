"""Newline-delimited JSON: objects with keys missing, values of every kind, and damage to the bytes."""

import json

import numpy as np
import pyarrow as pa
from outcomes import ALL, Outcome, check, command, same_answer, tried

from tables import fit

VALUES = (
    None, True, "text", "1.5", "", "NaN", [], [1, 2], {}, {"a": 1}, {"a": {"b": [1]}}, 0, -0.0, 1e308, -1e300, 1e-320, 2**53 + 1, 2**63, 2**64,
    2**200, 10**400, "2024-01-01", "12:30:00", "2024-01-01T00:00:00Z", "\x00", "\ud800", "\x1b[2J", "'; drop table t; --", "\u202e12", "x" * 5_000,
    float("nan"), float("inf"),
)  # fmt: skip
KEYS = ("", "x0 ", "Y", "у", "a\x00b", "c0", "'", '"', "two\nlines", "x" * 3_000, "filename", "rowid")


def case(rng, folder):
    """Write an NDJSON file, read it, and check what comes of it."""
    objects = rows(rng)
    for _ in range(int(rng.choice([0, 1, 2, 4]))):
        mutate_object(rng, objects[int(rng.integers(len(objects)))])
    if rng.random() < 0.08:
        key = KEYS[rng.integers(len(KEYS))]
        objects = [{key if name == "x0" else name: value for name, value in each.items()} for each in objects]
    lines = [json.dumps(each, ensure_ascii=bool(rng.random() < 0.5)) for each in objects]
    data = ("\r\n" if rng.random() < 0.1 else "\n").join(lines).encode("utf-8", "surrogatepass")
    if rng.random() < 0.4:
        data = mutate_bytes(rng, data)
    path = folder / "t.ndjson"
    path.write_bytes(data)
    if rng.random() < 0.05:
        out = folder / "run"
        code, _ = command(folder, out, "train", path, "--target", "y", "--validation", 0, "--test", 0, "--out", out, "--json")
        return f"exit {code}"
    found = tried(fit, path, **ALL)
    return found.word if found.model is None else compared(found, data).word


def rows(rng):
    count, p = int(rng.integers(3, 40)), int(rng.integers(1, 4))
    X = rng.normal(size=(count, p)) * 10.0 ** rng.integers(-3, 4, p)
    y = X @ rng.normal(size=p) + rng.normal(size=count)
    word = rng.choice(["a", "b", 'with "quotes"'], count) if rng.random() < 0.3 else None
    beside = [{} if word is None else {"c": str(w)} for w in (word if word is not None else y)]
    return [
        {f"x{j}": float(v) for j, v in enumerate(x)} | more | {"y": float(t)} for x, more, t in zip(X, beside, y, strict=True)
    ]


def mutate_object(rng, each):
    if not each:
        return
    names = list(each)
    name = names[int(rng.integers(len(names) - (rng.random() < 0.6 and len(names) > 1)))]
    match int(rng.integers(4)):
        case 0:
            del each[name]
        case 1:
            each[KEYS[rng.integers(len(KEYS))]] = 1.0
        case _:
            each[name] = VALUES[rng.integers(len(VALUES))]


def mutate_bytes(rng, data):
    at = int(rng.integers(len(data)))
    lines = data.split(b"\n")
    line = int(rng.integers(len(lines)))
    match int(rng.integers(12)):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + bytes([data[at] ^ int(rng.integers(1, 256))]) + data[at + 1 :]
        case 2:
            return data[:at] + b"\x00" + data[at:]
        case 3:
            return data[:at] + data[at + 1 :]
        case 4:
            return b"\xef\xbb\xbf" + data
        case 5:
            lines[line] = b""
        case 6:
            lines[line] = [b"[1, 2]", b"3", b"null", b'"text"', b"{}", b"}{", b"[" * 500][int(rng.integers(7))]
        case 7:
            lines[line] += lines[line]
        case 8:
            return b'{"a":' * int(rng.choice([30, 3_000])) + b"1" + b"}" * 30 + b"\n" + data
        case 9:
            return data.decode("utf-8", "replace").encode("utf-16")
        case 10:
            lines[line] = lines[line][:-1] + b', "x0": 7}'  # a key twice
        case _:
            lines[line] = lines[line].replace(b": ", b": 0", 1)
    return b"\n".join(lines)


def compared(found, data):
    """An answer against Python's reading of the same lines; `unchecked` where JSON leaves open what is meant."""
    doubled = []

    def pairs(items):
        doubled.extend([True] if len({k for k, _ in items}) < len(items) else [])
        return dict(items)

    model = found.model
    objects = []
    for line in data.decode("utf-8-sig", "replace").split("\n"):
        if line.strip():
            try:
                objects.append(json.loads(line, object_pairs_hook=pairs) or {})  # null is a row without values
            except ValueError as error:
                check(False, f"an answer from a line that is no JSON ({error}): {line[:80]!r}")
    check(all(isinstance(each, dict) for each in objects), "an answer from a line that is no object")
    if doubled:
        return Outcome("unchecked")
    columns = {}
    for name in [*model.contract.columns, "y"]:
        values = [each.get(name) for each in objects]
        kind = "number" if name == "y" else str(model.contract.columns[name].kind)
        if kind == "number" and all(v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in values):
            columns[name] = pa.array([None if v is None else as_float(v) for v in values], pa.float64())
        elif kind == "text" and all(v is None or isinstance(v, str) for v in values):
            columns[name] = pa.array(values, pa.string())
        else:
            return Outcome("unchecked")
    same_answer(model, pa.table(columns))
    return found


def as_float(value):
    """A number of any size as float64."""
    try:
        return float(value)
    except OverflowError:
        return np.inf

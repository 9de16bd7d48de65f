"""CSV text, written in any dialect and then damaged: in its cells, its header, its lines, its bytes."""

import csv
import io
import re

import numpy as np
import pyarrow as pa
from outcomes import ALL, NULLS, Outcome, check, command, same_answer, tried

from tables import fit

CELLS = (
    *NULLS, "inf", "-Infinity", "1e400", "-1e309", "1e-400", "0x1F", "1_000", "1 000", "1.5", "-0", "+3", ".5", "5.", "--3", "1e", "1e5",
    "٣", "１２", "−5", "½", "true", "FALSE", "2024-01-01", "2024-02-30", "12:30", "$5", "5%", "(5)", "\x00", "a\x00b", "'; drop table t; --",
    "=1+1", "\u202e12", " 12 ", "12\u00a0", "\ufeff7", "9007199254740993", "1e308", "-1e300", "1" * 400, "0." + "3" * 400, "nan(1)", "N/A ",
    "<b>x</b>", "two\nlines", 'a "b" c', "1,5", "1;5", "tab\tbed", "x" * 5_000, "\x1b[2J", "🙂", "#5", "1d", "1f", "1L", "0b1", "infinity", "+inf",
)  # fmt: skip
HEADERS = (
    "",
    " ",
    "x0",
    "y ",
    "у",
    "Y",
    "x0\u200b",
    "1",
    "2.5",
    "nan",
    "a\x00b",
    "'",
    "c0",
    "select",
    "a,b",
    "two\nlines",
    "y" * 3_000,
)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def case(rng, folder):
    """Write a CSV file, read it, and check what comes of it."""
    names, cells = grid(rng)
    delimiter = str(rng.choice([",", ";", "\t", "|"]))
    mutate_cells(rng, names, cells)
    data = written(rng, [names, *cells], delimiter)
    if rng.random() < 0.5:
        data = mutate_bytes(rng, data, delimiter)
    path = folder / "t.csv"
    path.write_bytes(data)
    if rng.random() < 0.05:
        out = folder / "run"
        code, _ = command(folder, out, "train", path, "--target", "y", "--validation", 0, "--test", 0, "--out", out, "--json")
        return f"exit {code}"
    found = tried(fit, path, **ALL)
    return found.word if found.model is None else compared(found, data, delimiter).word


def grid(rng):
    """Names, and rows of cells as text: numbers of many magnitudes, sometimes a category, and y."""
    rows, p = int(rng.integers(3, 40)), int(rng.integers(1, 4))
    X = rng.normal(size=(rows, p)) * 10.0 ** rng.integers(-3, 4, p)
    if rng.random() < 0.3:
        X = np.round(X)
    y = X @ rng.normal(size=p) + rng.normal(size=rows)
    columns = [[repr(float(v)) for v in X[:, j]] for j in range(p)]
    names = [f"x{j}" for j in range(p)]
    if rng.random() < 0.3:
        names.append("c")
        columns.append([str(v) for v in rng.choice(["a", "b", "with, comma", 'q"q'], rows)])
    columns.append([repr(float(v)) for v in y])
    return [*names, "y"], [list(row) for row in zip(*columns, strict=True)]


def mutate_cells(rng, names, cells):
    """Replace some cells, or a name."""
    for _ in range(int(rng.choice([0, 1, 1, 2, 5]))):
        row, column = int(rng.integers(len(cells))), int(rng.integers(len(names) - (rng.random() < 0.7)))  # rather not of y
        cells[row][column] = CELLS[rng.integers(len(CELLS))]
    if rng.random() < 0.1:
        cells[int(rng.integers(len(cells)))] = list(cells[0])
    if rng.random() < 0.15:
        names[int(rng.integers(len(names)))] = HEADERS[rng.integers(len(HEADERS))]
    if rng.random() < 0.01:
        cells[0][0] = "z" * 1_000_000


def written(rng, records, delimiter):
    out = io.StringIO()
    quoting = csv.QUOTE_ALL if rng.random() < 0.2 else csv.QUOTE_MINIMAL
    csv.writer(out, delimiter=delimiter, lineterminator=str(rng.choice(["\n", "\n", "\r\n"])), quoting=quoting).writerows(records)
    text = out.getvalue()
    text = text.rstrip("\r\n") if rng.random() < 0.1 else text
    return (b"\xef\xbb\xbf" if rng.random() < 0.1 else b"") + text.encode("utf-8", "replace")


def mutate_bytes(rng, data, delimiter):
    """Damage of one kind."""
    at = int(rng.integers(len(data)))
    lines = data.split(b"\n")
    line = int(rng.integers(len(lines)))
    mark = delimiter.encode()
    match int(rng.integers(14)):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + bytes([data[at] ^ int(rng.integers(1, 256))]) + data[at + 1 :]
        case 2:
            return data[:at] + b"\x00" * int(rng.integers(1, 4)) + data[at:]
        case 3:
            return data[:at] + data[at + 1 :]
        case 4:
            return data[:at] + b'"' + data[at:]
        case 5:
            lines[line] += mark + b"7"
        case 6:
            lines[line] = lines[line].rpartition(mark)[0]
        case 7:
            lines[line] = b""
        case 8:
            return data[:at] + b"\xe9" + data[at:]
        case 9:
            return data.decode("utf-8").encode("utf-16")
        case 10:
            lines[line] = lines[line].replace(mark, b",;|\t"[int(rng.integers(4)) :][:1])
        case 11:
            lines[line] = b"# " + lines[line]
        case 12:
            return data[:at] + b"\r" + data[at:]
        case _:
            return data + data[: int(rng.integers(len(data)))]
    return b"\n".join(lines)


def compared(found, data, delimiter):
    """An answer against Python's reading of the same bytes; `unchecked` where the two dialects may part."""
    model = found.model
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        check(False, "an answer from what is not UTF-8")
    unusual = (
        re.search(r'[^,;|\t\r\n]"[^,;|\t\r\n"]', text.replace('""', "")) or "\r" in text.replace("\r\n", "") or "\x00" in text
    )
    if unusual:
        return Outcome("unchecked")
    try:
        records = [record for record in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if record]
    except csv.Error:
        return Outcome("unchecked")
    names = [cell.strip() or f"column{i}" for i, cell in enumerate(records[0])]
    if "y" not in names or len(set(names)) < len(names):
        return Outcome("unchecked")  # another dialect was found than the one written
    cells = [record for record in records[1:] if record != [""] * 1 or len(names) == 1]
    ragged = [record for record in cells if len(record) != len(names)]
    check(not ragged, f"an answer, and {len(ragged)} lines have another number of fields: {ragged[:1]}")
    columns = {}
    for name, values in zip(names, zip(*cells, strict=True), strict=True):
        column = model.contract.columns.get(name)
        kind = "number" if name == "y" else None if column is None else str(column.kind)
        if kind == "number":
            numbers = [as_number(value) for value in values]
            if "odd" in numbers:
                return Outcome("unchecked")
            columns[name] = pa.array(numbers, pa.float64())
        elif kind in ("text", None):
            columns[name] = pa.array([None if v in NULLS else v for v in values], pa.string())
            if kind is None:
                del columns[name]  # not used: an identifier, a constant
        else:
            return Outcome("unchecked")
    same_answer(model, pa.table(columns), types={n: "text" for n in columns if pa.types.is_string(columns[n].type)})
    return found


def as_number(cell):
    """A cell of a column of numbers; `odd` for a spelling that the decimal mark decides."""
    text = cell.strip()
    if text in NULLS or re.fullmatch(r"[+-]?nan(\(\w*\))?", text, re.IGNORECASE):
        return None
    if NUMBER.fullmatch(text):
        return float(text)
    check("," in text or "_" in text, f"{cell!r} was taken for a number")
    return "odd"

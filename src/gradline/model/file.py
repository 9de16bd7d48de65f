"""The model file: a zip of one JSON document and a few arrays. Data, never code.

    manifest.json     format, version, and for each other member its size and SHA-256
    model.json        contract, representation, parameters, certificate, result, settings
    *.npy             moments by role, history, sample, what intervals need
    (comment)         the SHA-256 of all bytes before it: any changed byte shows

A file is believed only after its sizes and checksums are; a later version is refused, not guessed at.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from gradline.decisions.policy import Policy
from gradline.errors import ModelFileError
from gradline.inputs.contract import Contract
from gradline.maths.certificate import Certificate
from gradline.maths.coordinates import Coordinates
from gradline.maths.moments import Moments
from gradline.model.document import check_document
from gradline.model.intervals import Intervals
from gradline.model.model import HISTORY_COLUMNS, Model, Retransformation, Sampled
from gradline.model.shape import float_array, parsed
from gradline.model.sparse import SparseModel
from gradline.representation.features import Representation
from gradline.representation.sparse import SparseFeatures, SparseRepresentation
from gradline.types import Kind, Notice, Part, RawColumn, Role

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gradline.types import Json

FORMAT = "gradline model"
VERSION = 1
MOST_BYTES = 4 << 30
SEAL = 64  # characters of a SHA-256
DATE = (1980, 1, 1, 0, 0, 0)  # the same model is the same file


def write_model(model: Model, path: Path) -> None:
    """Write `model` to `path`. The caller sees to it that the file appears whole."""
    document: Json = {
        "contract": model.contract.to_json(),
        "representation": model.representation.to_json(),
        "coordinates": {"name": model.coordinates.name, "intercept": model.coordinates.intercept},
        "theta": model.theta.tolist(),
        "theta_low": None if model.theta_low is None else model.theta_low.tolist(),
        "certificate": asdict(model.certificate),
        "retransformation": None if model.retransformation is None else asdict(model.retransformation),
        "result": model.result,
        "config": model.config,
        "files": [list(file) for file in model.files],
        "moments": {role.label: {"rows": m.rows, "weight": m.weight} for role, m in model.moments.items()},
        "notices": [notice.to_json() for notice in model.notices],
        "intervals": None if model.intervals is None else model.intervals.to_json(),
        "policy": None if model.policy is None else model.policy.to_json(),
    }
    manifest: Json = {"format": FORMAT, "version": VERSION, "members": {}}
    packed = io.BytesIO()  # a zip that the disk refuses half way would complain once more when it is thrown away
    with zipfile.ZipFile(packed, "w") as archive:

        def add(name: str, data: bytes) -> None:  # digits of floats hardly shrink, and with thousands of levels it takes seconds
            kind = zipfile.ZIP_STORED if name.endswith(".npy") else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name, DATE), data, kind, 1)

        text = json.dumps(document, ensure_ascii=False, allow_nan=False)
        for name, data in _members_of(model, text.encode(errors="backslashreplace")):  # one at a time: with thousands of levels
            manifest["members"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}  # they are large
            add(name, data)
        add("manifest.json", json.dumps(manifest).encode())
        archive.comment = b"0" * SEAL
    body = packed.getbuffer()[:-SEAL]  # the seal: the checksum of all bytes before it, where the archive's comment stands
    with path.open("wb") as file:
        file.write(body)
        file.write(hashlib.sha256(body).hexdigest().encode())


def _members_of(model: Model, document: bytes) -> Iterator[tuple[str, bytes]]:
    """The members of the archive but for the manifest."""
    yield "model.json", document
    for role, moments in model.moments.items():
        yield f"moments-{role.label}-mean.npy", _npy(np.stack([moments.mean, moments.mean_rest]))
        upper = [row[i:] for i, row in enumerate(moments.comoment)]
        yield f"moments-{role.label}-comoment.npy", _npy(np.concatenate([np.zeros(0), *upper]))
    if isinstance(model.representation, SparseRepresentation):
        features = model.representation.features
        yield "features.npy", _npy(np.stack([features.columns.astype(np.float64), features.mean, features.deviation]))
        yield "ranges.npy", _npy(np.stack([model.representation.minimum, model.representation.maximum]))
    if model.intervals is not None:
        for name, values in model.intervals.arrays().items():
            yield name, _npy(values)
    yield "history.npy", _npy(model.history_array)
    yield "sample.npy", _npy(np.stack([model.sampled.actual, model.sampled.predicted, model.sampled.roles.astype(float)]))


def _npy(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def read_model(path: Path) -> Model:
    """The model in `path`. Raises ModelFileError where the file is damaged, edited, or not a model of a known version."""
    try:
        members = _members(path)
        document = parsed(members["model.json"])
        check_document(document)
        return _model(document, members)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ModelFileError(
            f"{path} is not a whole model file: {error}.", "it was cut off or damaged; copy it again, or train again."
        ) from error
    except (KeyError, ValueError, TypeError, AttributeError, NotImplementedError, RuntimeError) as error:
        raise ModelFileError(f"{path} is not a model that this gradline can read: {error!r}.", "train again.") from error
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}.") from error


def _members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        if archive.comment:  # an archive that was unpacked and packed again has none; its members have their own checksums
            whole = path.read_bytes() if path.stat().st_size <= MOST_BYTES else b""
            if hashlib.sha256(whole[:-SEAL]).hexdigest().encode() != whole[-SEAL:]:
                raise _edited(path)
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        if "manifest.json" not in sizes or sizes["manifest.json"] > 1 << 20:
            raise ModelFileError(f"{path} is not a gradline model.", "give the directory or the file that train wrote.")
        manifest = parsed(archive.read("manifest.json"))
        if manifest.get("format") != FORMAT:
            raise ModelFileError(f"{path} is not a gradline model.", "give the directory or the file that train wrote.")
        if manifest["version"] != VERSION:
            raise ModelFileError(
                f"{path} is a model of version {manifest['version']}; this gradline reads version {VERSION}.",
                "install a newer gradline.",
            )
        stated = {name: entry["bytes"] for name, entry in manifest["members"].items()}
        if stated != {name: size for name, size in sizes.items() if name != "manifest.json"} or sum(stated.values()) > MOST_BYTES:
            raise _edited(path)
        members = {name: archive.read(name) for name in stated}
    for name, data in members.items():
        if hashlib.sha256(data).hexdigest() != manifest["members"][name]["sha256"]:
            raise _edited(path)
    return members


def _edited(path: Path) -> ModelFileError:
    return ModelFileError(
        f"{path} was edited or damaged: its contents do not match their checksums.", "copy it again, or train again."
    )


def _model(document: Json, members: dict[str, bytes]) -> Model:
    def array(name: str, *shape: int, finite: bool = True) -> np.ndarray[Any, Any]:
        values = float_array(members[name], name, finite=finite)
        if shape and values.shape != shape:
            raise ValueError(f"{name} has shape {values.shape}, not {shape}")
        return values

    contract = Contract.from_json(document["contract"])
    place = document["coordinates"]
    representation: Representation | SparseRepresentation
    if document["representation"] is None:
        representation = _sparse(array("features.npy"), array("ranges.npy"))
        mean, deviation = representation.features.mean, representation.features.deviation
        measured: tuple[str, ...] = ()  # the moments are of the target alone
    else:
        representation = Representation.from_json(document["representation"])
        _check_derived(representation, contract, len(document["representation"].get("derived", ())))
        mean = np.array([f.mean for f in representation.features])
        deviation = np.array([f.deviation for f in representation.features])
        measured = representation.names
    coordinates = Coordinates.of(place["name"], mean, deviation, intercept=place["intercept"])
    theta = np.array(document["theta"], dtype=np.float64)
    if theta.shape != (coordinates.size,):
        raise ValueError(f"theta has shape {theta.shape}, not {(coordinates.size,)}")
    low = document.get("theta_low")  # None where θ was not refined, and in older files
    theta_low = None if low is None else np.array(low, dtype=np.float64)
    if theta_low is not None and theta_low.shape != theta.shape:
        raise ValueError(f"theta_low has shape {theta_low.shape}, not {theta.shape}")
    _check_parameters(theta, theta_low, coordinates, representation.names, document["result"])
    if any(array(f"moments-{label}-mean.npy").shape[1] == 1 for label in document["moments"]):
        measured = ()  # of more features than have moments
    raw = tuple(RawColumn(name, Part.VALUE) for name in (*measured, contract.target))
    moments = {}
    for role in Role:
        if role.label in document["moments"]:
            stated = document["moments"][role.label]
            q, start = len(raw), 0
            upper = array(f"moments-{role.label}-comoment.npy", q * (q + 1) // 2)
            comoment = np.empty((q, q))
            for i in range(q):  # row by row: the indices of all would take twice the memory of the matrix
                comoment[i, i:] = comoment[i:, i] = upper[start : start + q - i]
                start += q - i
            mean, rest = array(f"moments-{role.label}-mean.npy", 2, len(raw))
            moments[role] = Moments(raw, stated["rows"], stated["weight"], mean, comoment, rest)
    actual, predicted, roles = array("sample.npy", finite=False)
    if not np.isin(roles, list(Role)).all():
        raise ValueError("the sample holds rows of no role")
    history = array("history.npy", finite=False)
    if history.ndim != 2 or history.shape[1] != len(HISTORY_COLUMNS) or not np.all(np.isfinite(history[:, 0])):
        raise ValueError(f"the history has shape {history.shape}")
    retransformation, policy = document["retransformation"], document.get("policy")  # None in older files too
    intervals = document.get("intervals")
    kind = Model if document["representation"] is not None else SparseModel
    return kind(
        contract,
        representation,
        coordinates,
        theta,
        Certificate(**document["certificate"]),
        None if retransformation is None else Retransformation(**retransformation),
        document["result"],
        document["config"],
        tuple((str(name), int(size)) for name, size in document["files"]),
        moments,
        history,
        Sampled(actual, predicted, roles.astype(np.uint8)),
        tuple(Notice(**notice) for notice in document["notices"]),
        theta_low=theta_low,
        intervals=None if intervals is None else Intervals.read(intervals, array, coordinates),
        policy=None if policy is None else Policy.read(policy),
    )


def _sparse(features: np.ndarray[Any, Any], ranges: np.ndarray[Any, Any]) -> SparseRepresentation:
    columns, mean, deviation = features
    minimum, maximum = ranges
    if not np.array_equal(np.unique(columns), columns) or not np.all((columns == np.rint(columns)) & (columns >= 0.0)):
        raise ValueError("the sparse columns are not counted upwards")
    if columns.size and columns[-1] >= len(minimum):
        raise ValueError(f"there is no sparse column {columns[-1]:.0f}")
    return SparseRepresentation(SparseFeatures(columns.astype(np.intp), mean, deviation), len(minimum), minimum, maximum)


def _check_derived(representation: Representation, contract: Contract, stated: int) -> None:
    """Raise ValueError where a number is derived of what the contract does not hold, or is no feature, or a feature is of no column."""
    known = {name for each in representation.derived for name in each.names}
    known |= {f"{name}.days" if column.kind in (Kind.DATE, Kind.TIMESTAMP) else name for name, column in contract.columns.items()}
    strange = [f.name for f in representation.features if f.part is Part.VALUE and f.column not in known]
    if strange or len(representation.derived) != stated:
        raise ValueError(f"what the features are derived of is not what they are: {strange[:1]}")
    for each in representation.derived:
        for operand in each.expression.columns:
            column = contract.columns.get(operand) or contract.columns.get(operand.rpartition(".")[0])
            if column is None or (column.kind is Kind.TEXT) != (operand == each.category and operand == column.name):
                raise ValueError(f"{each.expression} is made of {operand!r}, which the contract does not have as such")
            if operand != column.name and column.kind not in (Kind.DATE, Kind.TIMESTAMP):
                raise ValueError(f"{each.expression} is made of a part of {column.name!r}, which is {column.kind}")


def _check_parameters(
    theta: np.ndarray[Any, Any],
    low: np.ndarray[Any, Any] | None,
    coordinates: Coordinates,
    names: tuple[str, ...],
    result: Json,
) -> None:
    """Raise ValueError where the coefficients that are shown are not those that predict."""
    if not np.all(coordinates.deviation > 0.0):
        raise ValueError("there are features without a deviation")
    try:
        user = coordinates.to_user(theta, low)
    except OverflowError as error:
        raise ValueError("the coefficients are past float64") from error
    with np.errstate(all="ignore"):
        made = user.coefficients * coordinates.deviation
        stated = np.array(list(result["coefficients"].values())) * coordinates.deviation
    if tuple(result["coefficients"]) != names or not np.allclose(stated, made, rtol=1e-9, atol=1e-9 * np.abs(made).max()):
        raise ValueError("the coefficients are not those of theta")

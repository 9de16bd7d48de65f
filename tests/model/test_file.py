"""The model file: the same bits back, or an error; never a guess, never code."""

import io
import json
import pickle
import zipfile

import numpy as np
import pyarrow as pa
import pytest

import gradline as gl
from gradline.errors import ModelFileError
from gradline.model.file import VERSION, read_model
from gradline.model.model import load
from gradline.report.run import write_run
from tables import HOSTILE, fit, mixed, predicted


@pytest.fixture(scope="module")
def table():
    return mixed()


@pytest.fixture(scope="module")
def model(table):
    return fit(table, drop=("id",), units={"size": "miles"})


@pytest.fixture(scope="module")
def whole(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.gradline"
    model.save(path)
    return path.read_bytes()


def assert_identical(found, model, table):
    assert found.result == model.result
    assert found.config == model.config
    assert found.contract == model.contract
    assert found.certificate == model.certificate
    assert found.coefficients == model.coefficients
    assert found.intercept == model.intercept
    assert found.notices == model.notices
    assert np.array_equal(found.theta, model.theta)
    assert np.array_equal(found.history_array, model.history_array, equal_nan=True)
    for name in ("actual", "predicted", "roles"):
        assert np.array_equal(getattr(found.sampled, name), getattr(model.sampled, name))
    assert found.moments.keys() == model.moments.keys()
    for role, moments in model.moments.items():
        assert np.array_equal(found.moments[role].comoment, moments.comoment)
        assert np.array_equal(found.moments[role].mean, moments.mean)
        assert (found.moments[role].rows, found.moments[role].weight) == (moments.rows, moments.weight)
    assert np.array_equal(predicted(found, table), predicted(model, table), equal_nan=True)
    assert found.last_notices == model.last_notices


def test_a_loaded_model_is_the_saved_one_bit_by_bit(model, whole, table, tmp_path):
    path = tmp_path / "m.gradline"
    path.write_bytes(whole)
    assert_identical(load(path), model, table)
    assert_identical(load(str(path)), model, table)


@pytest.mark.parametrize(
    "how",
    [
        {"log_target": True},
        {"intercept": False, "features": ("count", "few", "word")},
        {"scaling": "none", "features": ("count", "few", "word")},
        {"validation": 0.0, "test": 0.0},
        {"missing": "drop"},
        {"l2": 0.1},
    ],
    ids=lambda how: next(iter(how)),
)
def test_every_kind_of_model_survives_the_file(how, tmp_path):
    rows = mixed(300)
    rows = rows.set_column(9, "y", pa.array(np.exp(rows["count"].to_numpy() / 20 + np.random.default_rng(0).normal(size=300))))
    trained = fit(rows, **{"drop": ("id",)} | how)
    trained.save(tmp_path / "m")
    assert_identical(load(tmp_path / "m"), trained, rows)


def test_hostile_names_survive_the_file(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, len(HOSTILE)))
    rows = pa.table({name: X[:, i] for i, name in enumerate(HOSTILE.values())} | {"y": X.sum(axis=1) + rng.normal(size=200)})
    trained = fit(rows)
    trained.save(tmp_path / "m")
    assert_identical(load(tmp_path / "m"), trained, rows)
    assert list(load(tmp_path / "m").coefficients) == list(HOSTILE.values())


def test_the_same_model_is_the_same_file(model, whole, tmp_path):
    model.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == whole
    load(tmp_path / "again").save(tmp_path / "and again")
    assert (tmp_path / "and again").read_bytes() == whole


def test_a_run_directory_and_its_file_both_load(model, table, tmp_path):
    write_run(model, tmp_path / "run")
    assert_identical(load(tmp_path / "run"), model, table)
    assert_identical(load(tmp_path / "run" / "model.gradline"), model, table)


def test_saving_replaces_the_old_file_and_leaves_nothing_else(model, tmp_path):
    (tmp_path / "m").write_text("old")
    model.save(tmp_path / "m")
    assert [p.name for p in tmp_path.iterdir()] == ["m"]
    load(tmp_path / "m")


@pytest.mark.parametrize("share", np.linspace(0.0, 1.0, 32, endpoint=False))
def test_a_file_cut_anywhere_is_refused(share, whole, tmp_path):
    path = tmp_path / "m.gradline"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ModelFileError, match=r"m\.gradline"):
        load(path)


def test_a_file_that_lacks_its_last_byte_is_refused(whole, tmp_path):
    (tmp_path / "m").write_bytes(whole[:-1])
    with pytest.raises(ModelFileError):
        load(tmp_path / "m")


def test_a_changed_byte_is_an_error_or_changes_nothing(whole, model, table, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "m.gradline"
    for at in np.linspace(0, len(whole) - 1, 150).astype(int):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ int(rng.integers(1, 256))]) + whole[at + 1 :])
        try:
            found = load(path)
        except ModelFileError:
            continue
        assert_identical(found, model, table)


@pytest.mark.parametrize("region", ["first header", "central directory"])
def test_every_changed_byte_of_the_zips_own_records_is_an_error_or_changes_nothing(region, whole, model, tmp_path):
    start = 0 if region == "first header" else whole.index(b"PK\x01\x02")
    path = tmp_path / "m.gradline"
    for at in range(start, min(start + 64, len(whole))):
        for mask in (0x01, 0x80, 0xFF):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
            try:
                found = load(path)
            except ModelFileError:
                continue
            assert found.result == model.result
            assert np.array_equal(found.theta, model.theta)


def members_of(whole):
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def signed(members):
    """The members with a manifest that fits them: what an editor with knowledge of the format would write."""
    import hashlib

    manifest = json.loads(members["manifest.json"])
    manifest["members"] = {
        n: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in members.items() if n != "manifest.json"
    }
    return members | {"manifest.json": json.dumps(manifest).encode()}


def test_zipping_again_changes_nothing(whole, model, table, tmp_path):
    (tmp_path / "m").write_bytes(zipped(members_of(whole)))
    assert_identical(load(tmp_path / "m"), model, table)


def test_an_edited_document_is_refused(whole, model, tmp_path):
    members = members_of(whole)
    document = json.loads(members["model.json"])
    document["theta"][0] *= 1.0001
    members["model.json"] = json.dumps(document, ensure_ascii=False).encode()
    (tmp_path / "m").write_bytes(zipped(members))
    with pytest.raises(ModelFileError, match="edited or damaged"):
        load(tmp_path / "m")


@pytest.mark.parametrize("change", ["removed", "added", "renamed", "no manifest"])
def test_members_that_do_not_fit_the_manifest_are_refused(change, whole, tmp_path):
    members = members_of(whole)
    match change:
        case "removed":
            del members["history.npy"]
        case "added":
            members["extra.npy"] = b"x"
        case "renamed":
            members["history2.npy"] = members.pop("history.npy")
        case "no manifest":
            del members["manifest.json"]
    (tmp_path / "m").write_bytes(zipped(members))
    with pytest.raises(ModelFileError):
        load(tmp_path / "m")


def test_a_later_version_is_refused_with_what_to_do(whole, tmp_path):
    members = members_of(whole)
    manifest = json.loads(members["manifest.json"])
    manifest["version"] = VERSION + 1
    (tmp_path / "m").write_bytes(zipped(members | {"manifest.json": json.dumps(manifest).encode()}))
    with pytest.raises(ModelFileError, match=rf"version {VERSION + 1}; this gradline reads version {VERSION}.*newer gradline"):
        load(tmp_path / "m")


def edit(document, path, value):
    *steps, last = path
    for step in steps:
        document = document[step]
    if value is None:
        del document[last]
    else:
        document[last] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("theta",), [1.0]),
        (("theta",), ["a"]),
        (("theta",), None),
        (("contract",), []),
        (("contract", "columns", 0, "kind"), "colour"),
        (("contract", "decisions", "extra"), 1),
        (("representation", "features", 0, "part"), "nose"),
        (("representation", "features", 0), None),
        (("coordinates", "name"), "polar"),
        (("certificate", "colour"), 1),
        (("moments", "train"), "all"),
        (("moments", "train", "rows"), None),
        (("retransformation",), {"factor": 1}),
        (("notices",), [1]),
        (("files",), [["a"]]),
        (("result",), None),
        (("config",), None),
    ],
    ids=lambda v: ".".join(map(str, v)) if isinstance(v, tuple) else None,
)
def test_a_document_of_another_shape_is_refused_even_when_its_checksums_fit(path, value, whole, tmp_path):
    members = members_of(whole)
    document = json.loads(members["model.json"])
    edit(document, path, value)
    members["model.json"] = json.dumps(document, ensure_ascii=False).encode()
    (tmp_path / "m").write_bytes(zipped(signed(members)))
    with pytest.raises(ModelFileError, match="not a model that this gradline can read"):
        load(tmp_path / "m")


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{", b"\xff\xfe", b'"text"', b"{}", b"[" * 100_000], ids=range(8))
@pytest.mark.parametrize("member", ["model.json", "manifest.json"])
def test_json_that_is_no_document_is_refused(member, text, whole, tmp_path):
    members = members_of(whole) | {member: text}
    (tmp_path / "m").write_bytes(zipped(signed(members) if member == "model.json" else members))
    with pytest.raises(ModelFileError):
        load(tmp_path / "m")


class Bomb:
    """Says when it is unpickled."""

    exploded = False

    def __reduce__(self):
        return (setattr, (Bomb, "exploded", True))


def test_a_pickle_is_never_loaded(whole, tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb()], dtype=object), allow_pickle=True)
    for data in (buffer.getvalue(), pickle.dumps(Bomb())):
        for name in ("history.npy", "sample.npy", "moments-train-mean.npy"):
            (tmp_path / "m").write_bytes(zipped(signed(members_of(whole) | {name: data})))
            with pytest.raises(ModelFileError):
                load(tmp_path / "m")
    (tmp_path / "m").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelFileError):
        load(tmp_path / "m")
    assert not Bomb.exploded


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"PK\x05\x06" + b"\0" * 18, b"hello", b"\0" * 5_000, zipped({"a.txt": b"x"})], ids=range(6)
)
def test_what_is_no_model_is_refused(data, tmp_path):
    (tmp_path / "m.gradline").write_bytes(data)
    with pytest.raises(ModelFileError, match=r"m\.gradline"):
        load(tmp_path / "m.gradline")


def test_a_zip_that_unpacks_to_more_than_it_states_is_refused_before_it_fills_the_memory(whole, tmp_path):
    members = members_of(whole) | {"history.npy": b"\0" * 50_000_000}
    (tmp_path / "m").write_bytes(zipped(members))
    with pytest.raises(ModelFileError):
        read_model(tmp_path / "m")


def test_an_encrypted_member_is_refused(whole, tmp_path):
    at = whole.index(b"PK\x01\x02")
    (tmp_path / "m").write_bytes(whole[:6] + b"\x01" + whole[7 : at + 8] + b"\x01" + whole[at + 9 :])
    with pytest.raises(ModelFileError):
        load(tmp_path / "m")


@pytest.mark.filterwarnings("ignore::gradline.errors.GradlineWarning")
@pytest.mark.parametrize("edit", [1e-3, 1e308])
def test_a_signed_file_whose_refined_digits_are_not_those_of_its_coefficients_is_refused(edit, tmp_path):
    x = np.array([[1.0, 2.0], [2.0, 1.0], [4.0, 3.0], [7.0, 5.0], [9.0, 1e-3], [3.0, 8.0]])
    gl.train(x, x @ [1.0, 3.0] + [1.0, -1.0, 0.5, 0.0, 2.0, 1.0], validation=0.0, test=0.0).save(tmp_path / "m")
    members = members_of((tmp_path / "m").read_bytes())
    document = json.loads(members["model.json"])
    assert len(document["theta_low"]) == 3
    document["theta_low"][0] = edit
    members["model.json"] = json.dumps(document, ensure_ascii=False).encode()
    (tmp_path / "m").write_bytes(zipped(signed(members)))
    with pytest.raises(ModelFileError):
        load(tmp_path / "m")

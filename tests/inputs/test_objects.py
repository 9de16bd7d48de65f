"""Object stores: the same rows as from a disk, found by address, folder and glob, read by ranges, and watched.

Without a server, a folder stands for the store; `make integration` has a server that speaks S3's protocol.
"""

import gzip
import re
import threading

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from gradline.errors import DataError, SourceError, UsageError
from gradline.inputs import objects
from gradline.inputs.object_files import READ_AHEAD, _Bytes, named
from gradline.inputs.objects import StoredObject, is_stored, listed
from gradline.inputs.opening import open_source, paths_of
from servers import PASSWORD, object_store
from tables import assert_same_model, csv_text, fit, gradline, mixed, simple, write_ndjson


@pytest.fixture(scope="module")
def server():
    with pytest.MonkeyPatch.context() as environment, object_store(environment) as store:
        store.create_dir("shop")
        yield "s3://shop", store


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder that stands for the store."""
    (tmp_path / "shop").mkdir()
    store = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    monkeypatch.setattr(objects, "filesystem", lambda scheme: store)
    return "gs://shop", store


@pytest.fixture(params=["folder", pytest.param("server", marks=pytest.mark.integration)])
def store(request):
    """The address of an empty bucket, and its file system."""
    address, found = request.getfixturevalue(request.param)
    found.delete_dir_contents("shop")
    return address, found


@pytest.fixture(scope="module")
def table():
    return mixed()


@pytest.fixture(scope="module")
def expected(table):
    return fit(table, drop=("id",))


def put(store, key, data, row_group_size=97):
    """An object of these bytes, or of a table as Parquet."""
    address, where = store
    if isinstance(data, pa.Table):
        sink = pa.BufferOutputStream()
        pq.write_table(data, sink, row_group_size=row_group_size)
        data = sink.getvalue().to_pybytes()
    where.create_dir(("shop/" + key).rpartition("/")[0])
    with where.open_output_stream("shop/" + key, compression=None) as out:  # a name that ends in .gz would compress it
        out.write(data if isinstance(data, bytes) else data.encode())
    return f"{address}/{key}"


def read(source, columns=None):
    return pa.concat_tables([pa.table(block.load()) for block in source.blocks(columns or source.schema.names)])


def test_each_format_gives_the_model_of_the_table(store, table, expected, tmp_path):
    assert_same_model(fit(put(store, "a/t.parquet", table), drop=("id",)), expected)
    pytest.importorskip("fsspec", reason="fsspec, which CSV in an object store needs, is not installed")
    text = csv_text(table)
    assert_same_model(fit(put(store, "b/t.csv", text), drop=("id",)), expected)
    assert_same_model(fit(put(store, "b/t.csv.gz", gzip.compress(text.encode())), drop=("id",)), expected)
    ndjson = write_ndjson(table, tmp_path / "t.ndjson").read_bytes()
    assert_same_model(fit(put(store, "c/t.ndjson", ndjson), drop=("id",)), expected)


def test_a_table_cut_into_objects_is_the_table_cut_into_files(store, table, tmp_path):
    cuts = [(0, 200), (200, 123), (323, 177)]
    for i, cut in enumerate(cuts):
        put(store, f"parts/{i}.parquet", table.slice(*cut))
        pq.write_table(table.slice(*cut), tmp_path / f"{i}.parquet")
    expected = fit([tmp_path / f"{i}.parquet" for i in range(3)], drop=("id",))
    address = store[0]
    for data in (f"{address}/parts", f"{address}/parts/", f"{address}/parts/*.parquet", f"{address}/p*/[0-2].parquet"):
        assert_same_model(fit(data, drop=("id",)), expected)
    assert [file.name for file in open_source(f"{address}/parts").files] == ["0.parquet", "1.parquet", "2.parquet"]
    assert open_source(f"{address}/parts").rows == 500


def test_the_partitions_of_a_folder_are_columns(store):
    rows = simple(90)
    for i, where in enumerate(("year=2023/place=a%2Fb", "year=2024/place=c", "year=2025/place=__HIVE_DEFAULT_PARTITION__")):
        put(store, f"sales/{where}/x.parquet", rows.slice(30 * i, 30))
    found = read(open_source(f"{store[0]}/sales"))
    assert found["year"].to_pylist() == [2023] * 30 + [2024] * 30 + [2025] * 30
    assert found["place"].to_pylist() == ["a/b"] * 30 + ["c"] * 30 + [None] * 30


KEYS = (
    "a.csv",
    "b1.csv",
    "b2.csv",
    "B3.csv",
    "_hidden.csv",
    ".dot.csv",
    "deep/c.csv",
    "deep/down/d.csv",
    "deep/.git/e.csv",
    "x[1].csv",
    "x1.csv",
    "notes.md",
)
GLOBS = (
    "*.csv",
    "b?.csv",
    "b[12].csv",
    "b[!1].csv",
    "**/*.csv",
    "deep/*/*.csv",
    "deep/**/*.csv",
    "*/c.csv",
    "x*.csv",
    "?[1-2].csv",
    "*1*.csv",
)


@pytest.mark.parametrize("pattern", GLOBS)
def test_a_glob_means_what_it_means_on_a_disk(store, pattern, tmp_path):
    for key in KEYS:
        put(store, key, "x,y\n1,2\n")
        (tmp_path / "d" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / key).write_text("x,y\n1,2\n")
    here = sorted(str(path.relative_to(tmp_path / "d")) for path in paths_of([str(tmp_path / "d" / pattern)]))
    found, root, _ = listed(f"{store[0]}/{pattern}")
    assert [str(path.relative_to(StoredObject("", "shop"))) for path in found] == here
    assert root is None
    assert here


def test_a_query_reads_objects(store, table, expected):
    pytest.importorskip("fsspec")
    address = put(store, "q/t.parquet", table)
    put(store, "q/more/a.csv", csv_text(simple(30)))
    put(store, "q/more/b.csv", csv_text(simple(40)))
    assert_same_model(fit(f"select * exclude (id) from '{address}'"), expected)
    assert read(open_source(f"select count(*) as n from '{store[0]}/q/more/*.csv'"))["n"].to_pylist() == [70]
    with pytest.raises(SourceError, match="no object"):
        open_source(f"select * from '{store[0]}/q/none.csv'")


def test_an_object_whose_name_is_like_a_pattern_is_read_by_its_name(store):
    pytest.importorskip("fsspec")
    for key, x in (("x[1].csv", 5), ("x1.csv", 6), ("50% of #1?, *new*.csv", 7)):
        address = put(store, key, f"x,y\n{x},2\n{x},3\n")
        if key != "x1.csv":
            assert read(open_source(address))["x"].to_pylist() == [x, x]


@pytest.mark.parametrize("change", ["grown", "same size", "gone"])
@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_an_object_that_changes_is_an_error(store, change, name, monkeypatch):
    if name == "t.csv":
        pytest.importorskip("fsspec")
    first, other = simple(60), simple(60, seed=5)
    larger = pa.concat_tables([first, first])
    data = {
        key: rows if name == "t.parquet" else csv_text(rows)
        for key, rows in {"first": first, "grown": larger, "same size": other}.items()
    }
    if name == "t.csv" and change == "same size":
        data["same size"] = data["first"].replace("1", "2")
    address = put(store, name, data["first"])
    source = open_source(address)
    assert read(source).num_rows == 60
    if change == "gone":
        store[1].delete_file("shop/" + name)
    else:
        put(store, name, data[change])
    with pytest.raises(DataError, match=r"shop/t\.\w+ was (changed|removed) while it was read"):
        read(source)


@pytest.mark.parametrize("log", ["_delta_log/00000.json", "metadata/v1.metadata.json", ".hoodie/hoodie.properties"])
def test_a_table_of_a_lake_is_no_folder_of_files(store, log, tmp_path):
    """Its files hold deleted rows as well; in an object store and on a disk."""
    put(store, "lake/part.parquet", simple(60))
    put(store, "lake/" + log, "{}")
    pq.write_table(simple(60), tmp_path / "part.parquet")
    (tmp_path / "lake").mkdir()
    (tmp_path / "part.parquet").rename(tmp_path / "lake/part.parquet")
    (tmp_path / "lake" / log).parent.mkdir()
    (tmp_path / "lake" / log).write_text("{}")
    for place in (f"{store[0]}/lake", f"{store[0]}/lake/*.parquet", tmp_path / "lake", str(tmp_path / "lake/*.parquet")):
        with pytest.raises(SourceError, match=r"is a table of \w+: .* earlier versions"):
            open_source(place)
    assert open_source(tmp_path / "lake/part.parquet").rows == 60
    assert open_source(put(store, "beside.parquet", simple(60))).rows == 60
    assert open_source(f"{store[0]}/*.parquet").rows == 60


def test_what_is_not_there_is_named(store):
    put(store, "a/t.csv", "x,y\n1,2\n")
    address = store[0]
    for word, said in {
        f"{address}/none.csv": "there is no object",
        f"{address}/none/*.csv": "no object matches",
        f"{address}/a/*.parquet": "no object matches",
        address.replace("shop", "nowhere") + "/t.csv": "there is no object",
    }.items():
        with pytest.raises(SourceError, match=f"{said}.*{re.escape(word)}"):
            open_source(word)
    put(store, "notes/n.md", "no data")
    with pytest.raises(SourceError, match="holds no data file"):
        open_source(f"{address}/notes")
    with pytest.raises(UsageError, match="names no bucket"):
        open_source(address.replace("shop", "*"))
    put(store, "s/t.svm", "1 1:2\n")
    with pytest.raises(UsageError, match="svmlight"):
        open_source(f"{address}/s/t.svm")


def test_a_secret_in_an_address_is_refused_and_not_shown():
    with pytest.raises(UsageError, match="no key and no secret") as refused:
        open_source("s3://somebody:hidden@shop/t.csv")
    assert "hidden" not in str(refused.value)


def test_words_of_the_command_line_that_name_objects():
    assert is_stored("s3://a/b.csv")
    assert is_stored("GS://a")
    assert not is_stored("s3/a/b.csv")
    assert not is_stored("postgresql://a/b")
    assert paths_of(["s3://a/b.csv"]) == []


def test_every_verb_reads_an_object_store(store, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    address = put(store, "a/t.parquet", simple())
    assert gradline(capsys, "train", address, "--target", "y", "--json", "--out", "run").json["rows"]["read"] == 300
    assert gradline(capsys, "plan", address, "--target", "y", "--json").code == 0
    assert gradline(capsys, "evaluate", "run", address, "--json").json["rows"]["read"] == 300
    assert gradline(capsys, "predict", "run", address, "--out", "p.csv").code == 0
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 301


def test_threads_that_share_an_object_read_what_they_sought(folder):
    """As DuckDB's do: a seek and a read by one thread, between those of others; a read without a seek goes on where the last one ended."""
    data = np.random.default_rng(0).integers(0, 256, 3 * READ_AHEAD, dtype=np.uint8).tobytes()
    put(folder, "b.bin", data)
    shared, wrong = _Bytes(StoredObject("gs", "shop/b.bin")), []

    def reader(seed):
        rng = np.random.default_rng(seed)
        for _ in range(40):
            start, size = int(rng.integers(0, len(data))), int(rng.choice([10, 5_000, 2 * READ_AHEAD]))
            shared.seek(start)
            if shared.read(size) != data[start : start + size]:
                wrong.append((start, size))

    threads = [threading.Thread(target=reader, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    shared.seek(len(data) - 5)
    assert (shared.read(3), shared.read(3), shared.read(3), shared.read(-1)) == (data[-5:-2], data[-2:], b"", b"")
    shared.seek(0)
    assert shared.read(-1) == data


def test_a_name_for_duckdb_is_no_pattern():
    assert not set(named(StoredObject("s3", "shop/50% *?[1]{a}'.csv"))) & set("*?[]{}'")


def test_no_key_is_saved_or_shown(server, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(server, "k/t.parquet", simple())
    answer = gradline(capsys, "train", "s3://shop/k/t.parquet", "--target", "y", "--json", "--out", "run")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    other = gradline(capsys, "train", "s3://shop/k/t.parquet", "--target", "y", "--out", "other")
    assert other.code == 2
    assert "AWS_ENDPOINT_URL" in other.said
    said = (
        answer.out
        + answer.err
        + other.out
        + other.err
        + "".join(p.read_text(errors="replace") for p in (tmp_path / "run").iterdir())
    )
    assert PASSWORD not in said


class Counted:
    """A file that counts what is read of it."""

    def __init__(self, file, counts):
        self.file, self.counts, self.closed = file, counts, False

    def read(self, size=-1):
        data = self.file.read(size)
        self.counts.append(len(data))
        return data

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_of_a_parquet_object_only_the_columns_asked_for_are_fetched(folder, monkeypatch):
    rng = np.random.default_rng(0)
    rows = pa.table({f"x{i}": rng.normal(size=100_000) for i in range(10)})
    address, counts = put(folder, "t.parquet", rows, row_group_size=50_000), []
    opened = StoredObject.open
    monkeypatch.setattr(StoredObject, "open", lambda path: pa.PythonFile(Counted(opened(path), counts), "r"))
    source = open_source(address)
    counts.clear()
    found = pa.concat_tables([pa.table(block.load()) for block in source.blocks(["x3"])])
    assert found["x3"].to_pylist() == rows["x3"].to_pylist()
    assert 800_000 <= sum(counts) < 1_000_000  # of 8 MB
    assert len(counts) <= 8

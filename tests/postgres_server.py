"""A PostgreSQL server of a test's own: in a folder of its own, on a socket there, without a network address; gone when the test is."""

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest


def _programs():
    """The folder of initdb and postgres."""
    places = [Path(p).parent for p in [shutil.which("initdb")] if p] + sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), reverse=True
    )
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


@contextmanager
def postgres_server():
    """The address of a server that runs while the block does; the test is skipped where there is none to start."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed: apt-get install postgresql")
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    if user is not None and user not in {entry.pw_name for entry in pwd.getpwall()}:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    folder = Path(tempfile.mkdtemp(prefix="gradline-postgres-"))
    if user is not None:
        shutil.chown(folder, user)

    def run(*words):
        with (folder / "log").open("ab") as log:  # a pipe would stay open as long as the server has it
            subprocess.run(
                [str(programs / words[0]), *words[1:]], check=True, user=user, cwd=folder, stdout=log, stderr=log, timeout=60
            )

    data = str(folder / "data")
    try:
        (folder / "log").touch()
        run("initdb", "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        run("pg_ctl", "-D", data, "-o", options, "-w", "start")
        try:
            yield f"postgresql:///postgres?host={quote(str(folder), safe='')}&user=tester"
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)

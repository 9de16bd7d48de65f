"""The address of a database, `postgresql://user:password@host/name`: what is kept and shown of it holds no password."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from gradline.errors import UsageError

SERVERS = ("postgresql", "postgres")
FILES = ("sqlite", "duckdb")
EXAMPLES = "postgresql://user@host/name, sqlite:///file.db or duckdb:///file.duckdb"
SECRET = re.compile("pass|secret|token", re.IGNORECASE)  # the name of a parameter whose value is not to be seen
HIDDEN = "…"
LEAST_SECRET = 4  # characters: a shorter one would be found inside other words


class _Parts(NamedTuple):
    scheme: str
    user: str
    password: str | None
    place: str
    query: list[str]


def _parts(url: str) -> _Parts | None:
    """None where it cannot be told which part is the password."""
    scheme, found, rest = url.partition("://")
    main, _, query = rest.partition("?")
    if not found or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme) or "@" in query:
        return None
    userinfo, at, place = main.rpartition("@")
    user, colon, password = userinfo.partition(":")
    return _Parts(scheme.lower(), user + at, password if colon else None, place, [pair for pair in query.split("&") if pair])


def without_password(url: str) -> str:
    """The address as it may be saved and shown: without the password and parameters like one."""
    scheme = url.partition("://")[0].lower()
    if scheme in FILES:
        return url
    parts = _parts(url)
    if parts is None:
        return f"{scheme}://{HIDDEN}" if scheme in SERVERS else HIDDEN
    shown = [pair for pair in parts.query if not SECRET.search(unquote(pair.partition("=")[0]))]
    return f"{parts.scheme}://{parts.user}{parts.place}" + ("?" + "&".join(shown) if shown else "")


def secrets(url: str) -> list[str]:
    """What must not be found in a message: the password, as it is written and as it is meant."""
    parts = _parts(url)
    if parts is None or parts.scheme in FILES:
        return []
    values = [pair.partition("=")[2] for pair in parts.query if SECRET.search(unquote(pair.partition("=")[0]))]
    found = {text for value in (parts.password or "", *values) for text in (value, unquote(value))}
    return sorted((text for text in found if len(text) >= LEAST_SECRET), key=len, reverse=True)


def scheme_of(url: str) -> str:
    """Which kind of database it is. Raises UsageError where it is none that gradline reads, or not written as an address."""
    scheme, found, rest = url.partition("://")
    scheme = scheme.lower()
    if not found or scheme not in (*SERVERS, *FILES):
        said = f"{scheme}://{HIDDEN}" if found and scheme.isalnum() else "what is given"
        raise UsageError(f"--db: {said} is no database that gradline reads.", f"write {EXAMPLES}.")
    if scheme in FILES:
        if not rest.startswith("/") or len(rest) < 2:
            raise UsageError(
                f"--db {scheme}://{HIDDEN} names no file.",
                f"three slashes and a path: {scheme}:///file.db, or {scheme}:////folder/file.db.",
            )
        return scheme
    parts = _parts(url)
    if parts is None or re.search(r"[/@:\[\]\s]", parts.password or "") or "/" in parts.user:
        raise UsageError(
            f"--db {without_password(url)}: a character of the user, the password or a parameter has a meaning in an address.",
            "write it by its code (@ %40, / %2F, : %3A, ? %3F, # %23), or leave the password out and set PGPASSWORD.",
        )
    return SERVERS[0]


def file_of(url: str) -> str:
    """The path in the address of a database file."""
    return url.partition("://")[2][1:]

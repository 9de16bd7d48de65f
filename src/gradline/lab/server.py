"""The lab's server: this machine alone, one page, and the trainer's loop streamed step by step.

Every address begins with a token that is made anew for each process, so that no other page and no other user of the machine can ask.
The server keeps no state of a browser: each request says all of its settings, so that any number of them are independent.

    GET  /TOKEN/                the page and its files, by a fixed list of names
    GET  /TOKEN/api/table       what was read
    POST /TOKEN/api/problem     settings -> what is known before the first step
    POST /TOKEN/api/run         settings -> one JSON document a line: each step as it is made, then the end
    POST /TOKEN/api/…           see `gradline.lab.requests`

A browser that goes away in the middle breaks its own connection, and with it its own run.
"""

from __future__ import annotations

import errno
import json
import secrets
import sys
import time
from functools import cache, partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from gradline.errors import GradlineError, InputError, UsageError
from gradline.lab import requests

if TYPE_CHECKING:
    from gradline.lab.table import LabTable
    from gradline.types import Json

ADDRESS = "127.0.0.1"
MOST_BYTES = 1 << 20  # of a request
TIMEOUT = 60.0  # seconds in which a browser has to take what it asked for
FLUSH_SECONDS = 0.02  # steps that come faster are sent together
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Page(NamedTuple):
    """A file of the page."""

    name: str
    type: str


PAGES = {
    "": Page("index.html", "text/html; charset=utf-8"),
    "lab.css": Page("lab.css", "text/css; charset=utf-8"),
    "icon.svg": Page("icon.svg", "image/svg+xml"),
    **{
        name: Page(name, "text/javascript; charset=utf-8")
        for name in (
            "lab.js",
            "state.js",
            "charts.js",
            "controls.js",
            "lessons.js",
            "server.js",
            "handles.js",
            "overlay.js",
            "words.js",
        )
    },
    "plotly.min.js": Page("plotly.min.js", "text/javascript; charset=utf-8"),
}


@cache
def page_bytes(name: str) -> bytes:
    """The bytes of one of the page's files; the plotting library is the installed Plotly's own."""
    if name == "plotly.min.js":
        return files("plotly").joinpath("package_data", name).read_bytes()
    return files("gradline.lab").joinpath("page", name).read_bytes()


class LabServer(ThreadingHTTPServer):
    """Serves one table to this machine."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, table: LabTable, port: int = 0) -> None:
        self.table, self.token = table, secrets.token_urlsafe(18)
        try:
            super().__init__((ADDRESS, port), Handler)
        except (OSError, OverflowError) as error:
            if isinstance(error, OSError) and error.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EPERM):
                raise
            why = "is in use" if isinstance(error, OSError) and error.errno == errno.EADDRINUSE else "cannot be used"
            raise UsageError(f"--port {port} {why}.", "give another one, or leave it out: a free one is found.") from error

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """What to open; it holds the token."""
        return f"http://{ADDRESS}:{self.port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: LabServer
    protocol_version = "HTTP/1.1"
    timeout = TIMEOUT
    server_version = "gradline"
    sys_version = ""
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """The page, or what was read."""
        path = self._asked()
        if path is None:
            return
        if path == "api/table":
            self._answer(partial(requests.table_document, self.server.table))
        elif path in PAGES:
            page = PAGES[path]
            self._send(HTTPStatus.OK, page_bytes(page.name), page.type)
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here.")

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        """A question in JSON."""
        path = self._asked()
        if path is None:
            return
        document = self._document()
        if document is None:
            return
        name = path.removeprefix("api/")
        if path == "api/run":
            self._stream(document)
        elif path.startswith("api/") and name in requests.ANSWERS:
            self._answer(partial(requests.ANSWERS[name], self.server.table, document))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is nothing here.")

    def _asked(self) -> str | None:
        """The path behind the token; None, and an answer, for whoever must not ask."""
        hosts = {f"{name}:{self.server.port}" for name in (ADDRESS, "localhost")}
        origin = self.headers.get("Origin")
        if self.headers.get("Host") not in hosts:  # a name that was made to point here (DNS rebinding)
            self._refuse(HTTPStatus.FORBIDDEN, "this server answers to its own address only.")
            return None
        if origin is not None and origin not in {f"http://{host}" for host in hosts}:
            self._refuse(HTTPStatus.FORBIDDEN, "another site may not ask here.")
            return None
        token, slash, path = self.path.split("?")[0].removeprefix("/").partition("/")
        if not slash or not secrets.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.FORBIDDEN, "the address lacks this lab's token: open the one that gradline lab printed.")
            return None
        return path

    def _document(self) -> Json | None:
        if self.headers.get("Content-Type", "").split(";")[0] != "application/json":  # a form of another site cannot send this
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "questions are JSON.")
            return None
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > MOST_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a question has at most {MOST_BYTES:,} bytes.")
            return None
        try:
            document = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            self._refuse(HTTPStatus.BAD_REQUEST, "that is no JSON.")
            return None
        if not isinstance(document, dict):
            self._refuse(HTTPStatus.BAD_REQUEST, "a question is an object.")
            return None
        return document

    def _answer(self, compute: Any) -> None:
        try:
            document = compute()
        except InputError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, error.message, error.hint)
        except GradlineError as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, error.message, error.hint)
        except Exception as error:  # the other requests go on
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"{type(error).__name__}: {error}", "this is a bug of gradline.")
            raise
        else:
            self._send(HTTPStatus.OK, _line(document), "application/json")

    def _stream(self, document: Json) -> None:
        """A run, line by line, in chunks."""
        try:
            prepared = requests.prepared_run(self.server.table, document)
        except GradlineError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, error.message, error.hint)
            return
        self._head(HTTPStatus.OK, "application/x-ndjson", {"Transfer-Encoding": "chunked"})
        waiting: list[bytes] = []
        sent = 0.0

        def flush() -> None:
            nonlocal sent
            if waiting:
                body = b"".join(waiting)
                waiting.clear()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
            sent = time.monotonic()

        def send(line: Json) -> None:
            waiting.append(_line(line))
            if time.monotonic() - sent >= FLUSH_SECONDS:
                flush()

        try:
            prepared(send)
        except GradlineError as error:
            send({"kind": "error", "message": error.message, "hint": error.hint})
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:
            send({"kind": "error", "message": f"{type(error).__name__}: {error}", "hint": "this is a bug of gradline."})
            flush()
            raise
        flush()
        self.wfile.write(b"0\r\n\r\n")

    def _refuse(self, status: HTTPStatus, message: str, hint: str | None = None) -> None:
        self.close_connection = True  # what else was sent is not read
        self._send(status, _line({"error": message, "hint": hint}), "application/json")

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self._head(status, kind, {"Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: HTTPStatus, kind: str, more: dict[str, str]) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Cache-Control": "no-store" if kind != PAGES["plotly.min.js"].type else "private, max-age=3600",
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            **more,
        }
        if self.close_connection:
            headers["Connection"] = "close"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: the terminal is the user's."""


def _line(document: Json) -> bytes:
    return json.dumps(document, allow_nan=False, separators=(",", ":")).encode() + b"\n"

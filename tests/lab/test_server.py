"""The server answers this machine's own page, and nobody else; and whoever goes away harms nobody."""

import http.client
import json
import socket
import threading
import time

import pytest
from lab_tables import answer, asked, served, small, streamed

from gradline.errors import UsageError
from gradline.lab import requests
from gradline.lab.server import MOST_BYTES, PAGES, LabServer

QUESTION = {"table": {"features": ["x"]}, "run": {"scaling": "none", "rate": 0.8}}


@pytest.fixture(scope="module")
def server():
    with served(small()) as found:
        yield found


def test_it_listens_on_this_machine_alone(server):
    assert server.server_address[0] == "127.0.0.1"


def test_every_file_of_the_page_is_there(server):
    for name, page in PAGES.items():
        status, body = asked(server, f"{server.token}/{name}")
        assert status == 200, name
        assert len(body) > 100, page


def test_every_file_that_the_page_asks_for_is_one_of_its_own():
    import re

    from gradline.lab.server import page_bytes

    for name in (
        "index.html",
        "lab.js",
        "charts.js",
        "controls.js",
        "lessons.js",
        "state.js",
        "server.js",
        "handles.js",
        "overlay.js",
        "words.js",
        "lab.css",
    ):
        text = page_bytes(name).decode()
        wanted = re.findall(r"""(?:src=|href=|from |url\()["']([^"'#]+)["']""", text)
        assert {word.removeprefix("./") for word in wanted} <= set(PAGES), name
        assert not re.search(r"https?://(?!127)(?!www\.w3\.org)", text), name


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", "localhost.evil.example:{port}"]
)
def test_another_host_name_is_refused(server, host):
    for path, document in ((f"{server.token}/", None), (f"{server.token}/api/run", QUESTION)):
        assert asked(server, path, document, {"Host": host.format(port=server.port)})[0] == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1", "http://127.0.0.1"]
)
def test_another_origin_is_refused(server, origin):
    for path, document in ((f"{server.token}/api/table", None), (f"{server.token}/api/problem", QUESTION)):
        assert asked(server, path, document, {"Origin": origin.format(port=server.port)})[0] == 403


def test_its_own_origin_is_not(server):
    for name in ("127.0.0.1", "localhost"):
        headers = {"Origin": f"http://{name}:{server.port}", "Host": f"{name}:{server.port}"}
        assert asked(server, f"{server.token}/api/problem", QUESTION, headers)[0] == 200


@pytest.mark.parametrize("path", ["", "x", "{token}", "{wrong}/", "{wrong}/api/table", "{short}/lab.js", "%00/", "%c3%a9/"])
def test_without_the_token_nothing_is_answered(server, path):
    token = server.token
    path = path.format(token=token, wrong=token[:-1] + ("a" if token[-1] != "a" else "b"), short=token[:5])
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.putrequest("GET", "/" + path)
    connection.endheaders()
    with connection.getresponse() as response:
        assert response.status == 403
        assert token.encode() not in response.read()
    connection.close()


def test_tokens_are_new_each_time():
    with served(small()) as one, served(small()) as other:
        assert one.token != other.token
        assert len(one.token) > 20
        assert asked(other, f"{one.token}/")[0] == 403


@pytest.mark.parametrize("path", ["../server.py", "..%2fserver.py", "%2e%2e/table.py", "....//table.py", "/etc/passwd", "page/lab.js", "index.html", "lab.js/", "plotly.min.js/../../x", "lab.css\\..\\..", "api/../lab.js", "api/__class__", "api/nothing"])  # fmt: skip
def test_no_other_file_is_served(server, path):
    assert asked(server, f"{server.token}/{path}")[0] == 404
    assert asked(server, f"{server.token}/{path}", {})[0] == 404


def test_only_json_is_a_question(server):
    assert asked(server, f"{server.token}/api/problem", QUESTION, {"Content-Type": "text/plain"})[0] == 415
    assert asked(server, f"{server.token}/api/problem", QUESTION, {"Content-Type": "application/x-www-form-urlencoded"})[0] == 415


@pytest.mark.parametrize(("length", "body", "status"), [(str(MOST_BYTES + 1), b"", 413), ("-1", b"", 413), ("x", b"", 413), ("²", b"", 413), ("3", b"{x}", 400), ("2", b"[]", 400), ("2", b"\xff\xfe", 400), ("8", b'{"a":NaN', 400)])  # fmt: skip
def test_what_is_no_question_is_refused(server, length, body, status):
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        head = f"POST /{server.token}/api/problem HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        connection.sendall(head.encode("latin-1") + body)
        assert connection.makefile("rb").readline().split()[1] == str(status).encode()


BAD = [
    {"table": {}},
    {"table": {"features": []}},
    {"table": {"features": ["nothing"]}},
    {"table": {"features": "x"}},
    {"table": {"features": ["x"], "degree": 99}},
    {"table": {"features": ["x"], "rows": -1}},
    {"table": {"features": ["x"], "rows": 1.5}},
    {"table": {"features": ["x"], "moved": [[0, 1]]}},
    {"table": {"features": ["x"], "divide": 0}},
    {"table": {"features": ["x"], "validation": 0.9, "test": 0.9}},
    {"table": {"features": ["x"]}, "run": {"rule": "magic"}},
    {"table": {"features": ["x"]}, "run": {"rate": -1}},
    {"table": {"features": ["x"]}, "run": {"rate": True}},
    {"table": {"features": ["x"]}, "run": {"steps": 10**9}},
    {"table": {"features": ["x"]}, "run": {"batch": 8, "rule": "conjugate_gradient"}},
    {"table": {"features": ["x"]}, "run": []},
    {"table": {"features": ["x"]}, "start": [1]},
    {"table": {"features": ["x"]}, "start": ["a", 1]},
    {"table": {"features": ["x", "z"]}, "axes": ["q1", "q1"]},
    {"table": {"features": ["x"]}, "axes": "q1"},
    {"table": {"features": ["x"]}, "nothing": 1},
    {"table": {"features": ["x", "z"], "degree": 3}},
]


@pytest.mark.parametrize("question", BAD, ids=[json.dumps(q) for q in BAD])
def test_settings_that_cannot_be_get_a_sentence(server, question):
    for name in ("problem", "run", "starts", "check"):
        status, body = asked(server, f"{server.token}/api/{name}", question)
        assert status == 400, body
        assert json.loads(body)["error"].endswith(".")


def test_policies_forbid_what_the_page_does_not_need(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("GET", f"/{server.token}/")
    with connection.getresponse() as response:
        headers = response.headers
        response.read()
    connection.close()
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe-eval" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"  # the address holds the token
    assert headers["Access-Control-Allow-Origin"] is None


def test_a_port_in_use_is_said_so():
    with served(small()) as one, pytest.raises(UsageError, match=rf"--port {one.port} is in use"):
        LabServer(small(), one.port)


def test_two_browsers_at_once_are_two_runs(server):
    questions = [QUESTION | {"run": {"scaling": "none", "rate": rate, "steps": 200}} for rate in (0.3, 0.9, 1.4, 1.9)]
    alone = [streamed(server, question) for question in questions]
    together = [None] * 4
    threads = [threading.Thread(target=lambda i=i: together.__setitem__(i, streamed(server, questions[i]))) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert together == alone


def test_a_tab_that_is_closed_ends_its_run_and_no_other(server, monkeypatch):
    steps, record = [], requests.step_document

    def counted(*arguments):
        steps.append(time.monotonic())
        time.sleep(0.001)
        return record(*arguments)

    monkeypatch.setattr(requests, "step_document", counted)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    long = QUESTION | {"run": {"scaling": "none", "rate": 1e-4, "steps": 20_000}}
    connection.request("POST", f"/{server.token}/api/run", json.dumps(long), {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert json.loads(response.fp.readline() and response.fp.readline())["step"] == 0
    response.close()
    connection.close()
    time.sleep(0.5)
    seen = len(steps)
    time.sleep(0.3)
    assert len(steps) == seen < 1_000
    monkeypatch.undo()
    assert answer(server, "problem", QUESTION)["features"] == ["x"]


def test_a_step_is_sent_as_it_is_made(server, monkeypatch):
    """The first step is there before the second is computed."""
    record, held = requests.step_document, threading.Event()

    def slow(*arguments):
        if arguments[-1].step == 1:
            held.wait(5)
        return record(*arguments)

    monkeypatch.setattr(requests, "step_document", slow)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("POST", f"/{server.token}/api/run", json.dumps(QUESTION), {"Content-Type": "application/json"})
    with connection.getresponse() as response:
        first = response.read1(20_000)
        held.set()
        response.read()
    connection.close()
    assert json.loads(first.splitlines()[0])["step"] == 0

"""Test the exporter's HTTP server with clients of all manners, over real sockets."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import threading
from collections.abc import Iterator

import pytest

from messaging.exporter import serving
from messaging.exporter.serving import Answer, Server

LIMIT_S = 30.0


def _fail(query: str) -> Answer:
    raise ZeroDivisionError


@pytest.fixture
def server() -> Iterator[Server]:
    routes = {
        "/metrics": lambda query: Answer(f"asked {query}\n".encode()),
        "/broken": _fail,
    }
    opened = Server("127.0.0.1", 0, routes)
    opened.start()
    yield opened
    opened.close()


def ask(server: Server, method: str, path: str, **more: object) -> tuple[int, bytes, str | None]:
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT_S)
    ) as connection:
        connection.request(method, path, **more)  # type: ignore[arg-type]
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.getheader("Content-Length")


def send(server: Server, *parts: bytes) -> bytes:
    """Send these bytes, and return all that comes back."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as client:
        for part in parts:
            client.sendall(part)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65_536), b""))


def test_answers_get_and_head(server: Server) -> None:
    assert ask(server, "GET", "/metrics?a=1") == (200, b"asked a=1\n", "10")
    assert ask(server, "HEAD", "/metrics?a=1") == (200, b"", "10")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/metrics", b"", 501),
        ("POST", "/metrics", b"x" * 100, 501),
        ("DELETE", "/metrics", None, 501),
        ("GET", "/metrics", b"x", 400),
        ("GET", "/", None, 404),
        ("GET", "/metrics/", None, 404),
    ],
)
def test_refuses_all_else(
    server: Server, method: str, path: str, body: bytes | None, status: int
) -> None:
    assert ask(server, method, path, body=body)[0] == status


def test_tells_the_paths_that_there_are(server: Server) -> None:
    assert ask(server, "GET", "/metric")[1] == b"not here; try /metrics /broken\n"


@pytest.mark.parametrize(
    "request_bytes",
    [b"\r\n\r\n", b"GET\r\n\r\n", b"GET metrics HTTP/1.1\r\n\r\n", b"GET /metrics SPDY/1\r\n\r\n",
     b"\xff\xfe\x00\r\n\r\n", b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000],
)  # fmt: skip
def test_refuses_what_is_no_request(server: Server, request_bytes: bytes) -> None:
    answer = send(server, request_bytes)
    assert re.match(rb"HTTP/1.0 4\d\d |.*Error code: 4\d\d|$", answer, re.DOTALL), answer
    assert ask(server, "GET", "/metrics")[0] == 200


def test_a_fault_is_answered_and_logged(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    assert ask(server, "GET", "/broken")[0] == 500
    assert caplog.records[-1].__dict__["action"] == "exporter.answer_failed"
    assert ask(server, "GET", "/metrics")[0] == 200


def test_a_silent_client_loses_its_connection(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving._Handler, "timeout", 0.2)
    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as client:
        client.sendall(b"GET /metrics")
        assert client.recv(100) == b""


def test_silent_clients_hold_up_the_others_for_a_bounded_time(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving._Handler, "timeout", 0.5)
    with contextlib.ExitStack() as silent:
        for _ in range(3 * serving.MOST_CONNECTIONS):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S)
            silent.enter_context(client)
        assert threading.active_count() < 3 * serving.MOST_CONNECTIONS
        assert ask(server, "GET", "/metrics")[0] == 200


def test_a_taken_port_is_refused(server: Server) -> None:
    with pytest.raises(OSError, match="in use"):
        Server("127.0.0.1", server.port, {})

"""Check how the terminal client calls a server: tokens, refusals, and a server that is away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from messaging.terminal.api import Api, Away, Refused
from tests.support.serving import serving

Answer = tuple[int, dict[str, Any]]


@dataclass
class Server:
    """Answer calls as scripted, and keep what was asked: path, token and body."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, str | None, Any]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            made.asked.append((self.path, self.headers["Authorization"], json.loads(body)))
            self._answer()

        def do_GET(self) -> None:
            made.asked.append((self.path, self.headers["Authorization"], None))
            self._answer()

        def _answer(self) -> None:
            status, answer = made.answers.pop(0)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        made.url = f"http://127.0.0.1:{port}/"
        yield made


def good(**data: object) -> Answer:
    return 200, {"code": 200, "message": "success", "data": data}


def bad(status: int, code: int, data: object = None) -> Answer:
    return status, {"code": code, "message": "No.", "data": data}


def test_calls_with_its_token(server: Server) -> None:
    server.answers = [good(a=1), good(b=2)]
    api = Api(server.url, "mine")
    assert api.get("/user/find", username="b b") == {"a": 1}
    assert api.post("/sync", cursor=None) == {"b": 2}
    assert server.asked == [
        ("/api/user/find?username=b+b", "Bearer mine", None),
        ("/api/sync", "Bearer mine", {"cursor": None}),
    ]


def test_renews_a_token_that_has_expired(server: Server) -> None:
    server.answers = [
        good(token="first", refresh="r1", userId="1"),
        bad(401, 1004),
        good(access="second", refresh="r2"),
        good(a=1),
    ]
    api = Api(server.url)
    api.log_in("alice", "secret")
    assert api.get("/user/me") == {"a": 1}
    assert [token for _, token, _ in server.asked] == [None, "Bearer first", None, "Bearer second"]
    assert server.asked[2] == ("/api/token/refresh", None, {"refresh": "r1"})


def test_tells_what_the_server_refuses(server: Server) -> None:
    server.answers = [bad(400, 400, {"errors": {"name": ["Too long."]}}), bad(401, 1004)]
    api = Api(server.url, "mine")
    with pytest.raises(Refused, match=r"No\.; name: Too long\.") as refused:
        api.post("/group/create", name="x")
    assert refused.value.code == 400
    with pytest.raises(Refused):  # a token from outside cannot be renewed
        api.get("/user/me")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_cannot_answer_now_is_away(server: Server, status: int) -> None:
    server.answers = [bad(status, 5030)]
    with pytest.raises(Away):
        Api(server.url, "mine").get("/user/me")


def test_a_server_that_is_not_there_is_away(server: Server) -> None:
    server.answers = []
    with pytest.raises(Away):
        Api("http://127.0.0.1:1", "mine").get("/user/me")

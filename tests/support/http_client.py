"""Call the API over HTTP in tests, and run the site in this process behind the client.

The client knows the outer shape of the contract and checks every answer against that shape. Calls
go through an `Exchange`, so the same tests can run at any door.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlencode

Application = Callable[[Any, Any, Any], Coroutine[Any, Any, None]]

TIMEOUT_S = 30.0
ENVELOPE = ["code", "message", "data", "timestamp"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold one HTTP answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> dict[str, Any]:
        body = json.loads(self.content)
        assert isinstance(body, dict)
        return body

    @property
    def code(self) -> int:
        return int(self.body["code"])

    @property
    def data(self) -> Any:
        return self.body["data"]

    @property
    def wrong(self) -> set[str]:
        """Return the fields that a 400 names."""
        assert (self.status, self.code) == (400, 400), self.content
        errors = self.data["errors"]
        assert all(texts and all(isinstance(t, str) for t in texts) for texts in errors.values())
        return set(errors)


Exchange = Callable[[str, str, Mapping[str, str], Sequence[bytes]], Answer]


@dataclass(frozen=True, slots=True)
class Client:
    """Call the API as an anonymous client or, with a token, as its user."""

    exchange: Exchange
    token: str | None = None

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content: bytes | Sequence[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Answer:
        """Send `body` as JSON, or `content` as it is (a list of bytes arrives in pieces)."""
        sent = {"Content-Type": "application/json"} | dict(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        if content is None:
            content = b"" if body is None else json.dumps(body).encode()
        pieces = [content] if isinstance(content, bytes) else content
        if isinstance(content, bytes):
            sent.setdefault("Content-Length", str(len(content)))
        target = path + (f"?{urlencode(query)}" if query else "")
        answer = self.exchange(method, target, sent, pieces)
        if method != "HEAD":
            check_envelope(answer)
        return answer

    def get(self, path: str, **query: object) -> Answer:
        return self.call("GET", path, query=query)

    def post(self, path: str, body: object = None, **options: Any) -> Answer:
        return self.call("POST", path, body, **options)

    def delete(self, path: str) -> Answer:
        return self.call("DELETE", path)


def check_envelope(answer: Answer) -> None:
    """Check the shape that each answer of the API has: one JSON object, which no cache may keep."""
    assert answer.headers["content-type"] == "application/json", answer.content[:200]
    assert answer.headers["cache-control"] == "no-store"
    body = answer.body
    assert list(body) == ENVELOPE
    assert isinstance(body["message"], str)
    assert body["message"]
    assert abs(body["timestamp"] - time.time() * 1000) < 60_000
    if answer.status == 200:
        assert (body["code"], body["message"]) == (200, "success")
    else:
        assert body["code"] == answer.status or 1000 <= body["code"] < 10_000
    if answer.status in (429, 503):
        assert int(answer.headers["retry-after"]) >= 1
    if answer.status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")


@dataclass(slots=True)
class AsgiServer:
    """Run an ASGI application as a web server does: on a loop of its own, within its lifespan."""

    application: Application
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _thread: threading.Thread | None = None
    _events: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    _replies: asyncio.Queue[MutableMapping[str, Any]] = field(default_factory=asyncio.Queue)
    _lifespan: asyncio.Task[None] | None = None

    def __enter__(self) -> AsgiServer:
        self._thread = threading.Thread(target=self._loop.run_forever, name="test-server")
        self._thread.start()
        try:
            reply = self._run(self._live("lifespan.startup"))
            if reply["type"] != "lifespan.startup.complete":
                raise RuntimeError(reply.get("message"))
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            assert (
                self._run(self._live("lifespan.shutdown"))["type"] == "lifespan.shutdown.complete"
            )
        finally:
            self._end()

    def exchange(
        self, method: str, target: str, headers: Mapping[str, str], pieces: Sequence[bytes]
    ) -> Answer:
        call = exchange(self.application, method, target, headers, pieces)
        answer: Answer = self._run(call)
        return answer

    def _run(self, call: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(TIMEOUT_S)

    async def _live(self, event: str) -> MutableMapping[str, Any]:
        if self._lifespan is None:
            scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
            self._lifespan = asyncio.ensure_future(
                self.application(scope, self._events.get, self._replies.put)
            )
        await self._events.put({"type": event})
        reply = asyncio.ensure_future(self._replies.get())
        await asyncio.wait({reply, self._lifespan}, return_when=asyncio.FIRST_COMPLETED)
        return await asyncio.wait_for(reply, 1)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        assert self._thread is not None
        self._thread.join(TIMEOUT_S)
        self._loop.close()


async def exchange(
    application: Application,
    method: str,
    target: str,
    headers: Mapping[str, str],
    pieces: Sequence[bytes],
) -> Answer:
    """Make one HTTP request and return its answer, as an ASGI server would carry them."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in ({"Host": "testserver"} | dict(headers)).items()
        ],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8082),
        "state": {},
    }
    waiting = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces, 1)
    ]
    sent: list[Mapping[str, Any]] = []

    async def receive() -> Mapping[str, Any]:
        if waiting:
            return waiting.pop(0)
        await asyncio.Event().wait()  # the client stays connected until the answer has come
        raise AssertionError

    async def send(event: Mapping[str, Any]) -> None:
        sent.append(event)

    await application(scope, receive, send)
    start, *bodies = sent
    return Answer(
        status=start["status"],
        headers={name.decode().lower(): value.decode() for name, value in start["headers"]},
        content=b"".join(event.get("body", b"") for event in bodies),
    )

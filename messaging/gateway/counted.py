"""Count each request: its call, the outcome of its answer, and the time that the answer took."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from time import perf_counter
from typing import Any

from messaging.gateway.answering import Send
from messaging.metrics.catalogue import TIMED_CALLS, request_seconds, requests

_CALLS = {
    ("POST", "/api/message/send"): "send",
    ("GET", "/api/message/history"): "history",
    ("GET", "/api/conversation/list"): "list",
    ("POST", "/api/sync"): "sync",
    ("POST", "/api/conversation/receipts"): "mark",
    ("POST", "/api/message/recall"): "recall",
    ("POST", "/api/message/delete"): "delete",
}
_CALLS_BY_ID = {"GET": "fetch", "DELETE": "delete"}
_BY_ID = "/api/message/"
_GROUPS = "/api/group/"
_OUTCOMES = {429: "limited", 503: "unavailable"}


def call_of(method: str, path: str) -> str:
    """Return the call that a request is counted under, one of `catalogue.CALLS`."""
    if (call := _CALLS.get((method, path))) is not None:
        return call
    if path.startswith(_GROUPS):
        return "group"
    message_id = path.removeprefix(_BY_ID)
    if message_id != path and message_id.isascii() and message_id.isdigit():
        return _CALLS_BY_ID.get(method, "other")
    return "other"


def outcome_of(status: int) -> str:
    """Return the outcome that an HTTP status is counted under, one of `catalogue.OUTCOMES`."""
    if status < 400:
        return "ok"
    return _OUTCOMES.get(status) or ("client" if status < 500 else "error")


class CountedAnswer:
    """Pass an answer on to `send`, and count its request when `count` is called.

    A request that got no answer, because its client has gone, counts as the client's outcome.
    """

    __slots__ = ("_began_s", "_send", "_status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._status = 499
        self._began_s = perf_counter()

    def __call__(self, event: Mapping[str, Any]) -> Awaitable[None]:
        if event["type"] == "http.response.start":
            self._status = event["status"]
        return self._send(event)

    def count(self, door: str, method: str, path: str) -> None:
        """Count the request as answered by a door, one of `catalogue.DOORS`."""
        call = call_of(method, path)
        requests.add(door, call, outcome_of(self._status))
        timed = call if call in TIMED_CALLS else "other"
        request_seconds.observe(perf_counter() - self._began_s, door, timed)

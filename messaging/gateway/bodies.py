"""Request bodies, within their bounds. Used by the gateway and by the front door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from messaging.limits import MAX_BODY_BYTES

Receive = Callable[[], Awaitable[dict[str, Any]]]


async def read_body(receive: Receive, *, length: bytes = b"") -> bytes | None:
    """The body up to one byte over the limit, which its judge behind tells; None: nobody waits.

    `length` is the Content-Length, where there is one: a body of so many bytes is whole, and the
    server need not be asked for its end.
    """
    event = await receive()
    if event["type"] == "http.disconnect":
        return None
    body: bytes = event.get("body", b"")
    if event.get("more_body", False) and length != str(len(body)).encode():
        return await _read_on(bytearray(body), receive)
    return body[: MAX_BODY_BYTES + 1]


async def _read_on(body: bytearray, receive: Receive) -> bytes | None:
    while len(body) <= MAX_BODY_BYTES:
        event = await receive()
        if event["type"] == "http.disconnect":
            return None
        body += event.get("body", b"")
        if not event.get("more_body", False):
            break
    return bytes(body[: MAX_BODY_BYTES + 1])

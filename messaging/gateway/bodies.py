"""Request bodies, within their bounds. Used by the gateway and by the front door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from messaging.conf import MAX_BODY_BYTES

Receive = Callable[[], Awaitable[dict[str, Any]]]


async def read_body(receive: Receive) -> bytes | None:
    """The body up to one byte over the limit, which its judge behind tells; None: nobody waits."""
    event = await receive()
    if event["type"] == "http.disconnect":
        return None
    body: bytes = event.get("body", b"")
    if event.get("more_body", False):
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

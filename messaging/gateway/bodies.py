"""Read request bodies, within their bounds.

The gateway and the front door use this module.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from messaging.domain.errors import BodyTooLarge

Receive = Callable[[], Awaitable[dict[str, Any]]]


async def read_body(receive: Receive, *, most: int, length: bytes = b"") -> bytes | None:
    """Return the whole body, or None when the client disconnected.

    `length` is the Content-Length, where there is one. A body of exactly that many bytes is whole,
    and the server is not asked for its end. Nothing is read of a body whose Content-Length is too
    large.

    Raises: BodyTooLarge past `most` bytes.
    """
    if _says_more_than(most, length):
        raise BodyTooLarge
    event = await receive()
    if event["type"] == "http.disconnect":
        return None
    body: bytes = event.get("body", b"")
    if event.get("more_body", False) and length != str(len(body)).encode():
        return await _read_on(bytearray(body), receive, most)
    if len(body) > most:
        raise BodyTooLarge
    return body


async def _read_on(body: bytearray, receive: Receive, most: int) -> bytes | None:
    more = True
    while more and len(body) <= most:
        event = await receive()
        if event["type"] == "http.disconnect":
            return None
        body += event.get("body", b"")
        more = event.get("more_body", False)
    if len(body) > most:
        raise BodyTooLarge
    return bytes(body)


def _says_more_than(most: int, length: bytes) -> bool:
    digits = len(str(most))
    return length.isdigit() and (len(length) > digits or int(length) > most)

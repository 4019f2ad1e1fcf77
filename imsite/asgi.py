"""The front door: the one ASGI application that the web server runs.

It starts and stops the message service on the server's loop, bounds every request body, and hands
HTTP to Django. A faster way in for the hot calls belongs in `_serve`, before Django.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from string import printable as PRINTABLE
from typing import Any
from urllib.parse import quote

from a2wsgi import WSGIMiddleware
from django.core.management.base import BaseCommand, SystemCheckError
from django.http import HttpRequest
from django.utils import translation

from imsite import wsgi  # sets Django up, which the models behind `wiring` need
from messaging import wiring
from messaging.api import answers
from messaging.conf import MAX_BODY_BYTES, settings
from messaging.errors import ApiError, RequestTimeout

DJANGO_THREADS = 16  # each with a database connection of its own
_django: Any = WSGIMiddleware(wsgi.application, workers=DJANGO_THREADS)
logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Event = dict[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _live(receive, send)
    elif scope["type"] == "http":
        await _serve(scope, receive, send)
    else:  # a WebSocket: nothing speaks it
        await receive()
        await send({"type": "websocket.close"})


async def _live(receive: Receive, send: Send) -> None:
    """Refuse to start with settings that the system checks refuse; else start, wait and stop."""
    await receive()
    try:
        await asyncio.to_thread(BaseCommand(no_color=True).check)
        await wiring.start()
    except SystemCheckError as refused:
        await send({"type": "lifespan.startup.failed", "message": str(refused)})
        return
    except Exception:
        logger.exception("the service cannot start", extra={"action": "front_door.start_failed"})
        await send({"type": "lifespan.startup.failed", "message": "see the log"})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()
    try:
        await wiring.stop()
    except Exception:
        logger.exception(
            "the service did not stop well", extra={"action": "front_door.stop_failed"}
        )
    await send({"type": "lifespan.shutdown.complete"})


async def _serve(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        async with asyncio.timeout(settings().request_timeout_s):
            body = await _read_body(receive)
    except TimeoutError:
        await _refuse(RequestTimeout(), scope, send)
        return
    if body is not None:
        await _django(_for_django(scope, len(body)), _replay(body, receive), send)


async def _read_body(receive: Receive) -> bytes | None:
    """The body up to one byte over the limit, which its judge behind tells; None: nobody waits."""
    body = bytearray()
    while len(body) <= MAX_BODY_BYTES:
        event = await receive()
        if event["type"] == "http.disconnect":
            return None
        body += event.get("body", b"")
        if not event.get("more_body", False):
            break
    return bytes(body[: MAX_BODY_BYTES + 1])


def _for_django(scope: Scope, length: int) -> Scope:
    """The scope with the length of what is handed on, which a chunked body comes without, without
    headers that WSGI would take for another one, and with a query of ASCII as it should have come.
    """
    headers = [
        (name, value)
        for name, value in scope["headers"]
        if name != b"content-length" and b"_" not in name
    ]
    query = scope["query_string"]
    return {
        **scope,
        "headers": [*headers, (b"content-length", str(length).encode())],
        "query_string": query if query.isascii() else quote(query, safe=PRINTABLE).encode(),
    }


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body as one event, then only the end of the connection; the rest of the body is lost."""
    unread = [body]

    async def replay() -> Event:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        while (event := await receive())["type"] != "http.disconnect":
            pass
        return event

    return replay


async def _refuse(error: ApiError, scope: Scope, send: Send) -> None:
    asked = HttpRequest()
    asked.META["HTTP_ACCEPT_LANGUAGE"] = (
        dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1")
    )
    with translation.override(translation.get_language_from_request(asked)):
        body = answers.encode(answers.failure(error))
    headers = {"Content-Type": answers.CONTENT_TYPE, **answers.headers_of(error)}
    await send(
        {
            "type": "http.response.start",
            "status": error.http_status,
            "headers": [(name.lower().encode(), text.encode()) for name, text in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})

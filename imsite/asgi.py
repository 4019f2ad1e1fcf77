"""The front door: the one ASGI application that the web server runs.

It starts and stops the message service on the server's loop, bounds every request body, and hands
the hot calls to the gateway (unless IM_GATEWAY is off) and all other HTTP to Django.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable, Mapping
from string import printable as PRINTABLE
from typing import Any
from urllib.parse import quote

from a2wsgi import WSGIMiddleware
from django.core.management.base import BaseCommand, SystemCheckError

from imsite import wsgi  # sets Django up, which the models behind `wiring` need
from imsite.settings import DJANGO_THREADS
from messaging import database_connections, wiring
from messaging.conf import settings
from messaging.errors import RequestTimeout
from messaging.gateway.answering import send_error
from messaging.gateway.application import Gateway
from messaging.gateway.bodies import read_body

COLLECT_EVERY = 20_000  # objects made and not yet gone; Python's own number is 700
_django: Any = WSGIMiddleware(wsgi.application, workers=DJANGO_THREADS)
_gateway: Gateway | None = None
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
    global _gateway
    await receive()
    try:
        await asyncio.to_thread(BaseCommand(no_color=True).check)
        await wiring.start()
        _gateway = Gateway(wiring.backends()) if settings().gateway else None
    except SystemCheckError as refused:
        await send({"type": "lifespan.startup.failed", "message": str(refused)})
        return
    except Exception:
        logger.exception("the service cannot start", extra={"action": "front_door.start_failed"})
        await send({"type": "lifespan.startup.failed", "message": "see the log"})
        return
    logger.info(
        "database connections at most",
        extra={"action": "front_door.connections", "sum": database_connections.account()},
    )
    await send({"type": "lifespan.startup.complete"})
    _spare_the_collector()
    await receive()
    _gateway = None
    gc.unfreeze()
    try:
        await wiring.stop()
    except Exception:
        logger.exception(
            "the service did not stop well", extra={"action": "front_door.stop_failed"}
        )
    await send({"type": "lifespan.shutdown.complete"})


def _spare_the_collector() -> None:
    """Leave out what stays for ever, and look less often: a tenth of a send was spent on it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY, *gc.get_threshold()[1:])


async def _serve(scope: Scope, receive: Receive, send: Send) -> None:
    if _gateway is not None and (asked := _gateway.recognise(scope)) is not None:
        await _gateway.serve(asked, receive, send)
        return
    try:
        async with asyncio.timeout(settings().request_timeout_s):
            body = await read_body(receive)
    except TimeoutError:
        languages = [text for name, text in scope["headers"] if name == b"accept-language"]
        await send_error(RequestTimeout(), b"".join(languages), send)
        return
    if body is not None:
        await _django(_for_django(scope, len(body)), _replay(body, receive), send)


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

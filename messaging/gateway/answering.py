"""Send answers and errors of the API as ASGI events.

The gateway and the front door use this module.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.utils import translation

from messaging.addresses import client_address
from messaging.domain.errors import ApiError
from messaging.gateway.untaken import Untaken
from messaging.http import envelope as answers
from messaging.languages import language_of
from messaging.limits import ANSWER_PIECE_BYTES, UNTAKEN_TIMEOUT_S

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Scope = Mapping[str, Any]

_untaken = Untaken()
logger = logging.getLogger(__name__)


async def send_success(data: object, scope: Scope, send: Send) -> None:
    """Send data in the envelope of a success.

    Raises: TooManyRequests, before anything is sent, as `send_answer` does.
    """
    content = answers.encode(answers.success(data))
    await send_answer(200, _success_headers(), content, scope, send)


async def send_error(error: ApiError, accept_language: bytes, send: Send) -> None:
    """Send an error in the client's language."""
    with translation.override(language_of(accept_language)):
        content = answers.encode(answers.failure(error))
    await _send(error.http_status, _headers(answers.headers_of(error).items()), content, send)


async def send_plain(status: int, data: answers.Answer, send: Send) -> None:
    """Send small data as JSON without the envelope."""
    await _send(status, _success_headers(), answers.encode(data), send)


async def send_answer(
    status: int, headers: Headers, content: bytes, scope: Scope, send: Send
) -> None:
    """Send an answer; a large one goes piece by piece, as its client takes the pieces.

    So a client that does not read costs what the server's socket holds. A client that takes nothing
    for UNTAKEN_TIMEOUT_S seconds loses the rest, and its connection.

    Raises: TooManyRequests when too much waits for clients already; nothing is sent then.
    """
    if len(content) <= ANSWER_PIECE_BYTES:
        await _send(status, headers, content, send)
        return
    with _untaken.hold(client_address(scope), len(content)):
        sized = [each for each in headers if each[0] != b"content-length"]
        sized.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": sized})
        try:
            for at in range(0, len(content), ANSWER_PIECE_BYTES):
                piece = content[at : at + ANSWER_PIECE_BYTES]
                async with asyncio.timeout(UNTAKEN_TIMEOUT_S):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError:
            logger.info(
                "a client did not receive its answer; connection given up",
                extra={"action": "answer.not_taken"},
            )
            return
    await send({"type": "http.response.body", "body": b""})


async def _send(status: int, headers: Headers, content: bytes, send: Send) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _headers(named: Iterable[tuple[str, str]]) -> Headers:
    """Return the headers, with those that Django's SecurityMiddleware adds at the other door."""
    sent = [("Content-Type", answers.CONTENT_TYPE), ("X-Content-Type-Options", "nosniff"), *named]
    if settings.SECURE_HSTS_SECONDS:  # browsers heed this header over HTTPS alone
        sent.append(("Strict-Transport-Security", _hsts()))
    return [(name.lower().encode(), text.encode()) for name, text in sent]


def _hsts() -> str:
    """Return the same value as SecurityMiddleware sends.

    A browser that gets two values keeps the last one.
    """
    value = f"max-age={settings.SECURE_HSTS_SECONDS}"
    if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS:
        value += "; includeSubDomains"
    return f"{value}; preload" if settings.SECURE_HSTS_PRELOAD else value


@lru_cache(maxsize=1)
def _success_headers() -> Headers:
    return _headers(answers.HEADERS.items())

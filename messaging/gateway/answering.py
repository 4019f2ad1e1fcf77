"""Answers and errors of the API as ASGI events. Used by the gateway and by the front door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import translation

from messaging.api import answers
from messaging.errors import ApiError

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


async def send_success(data: object, send: Send) -> None:
    await _send(200, _success_headers(), answers.encode(answers.success(data)), send)


async def send_error(error: ApiError, accept_language: bytes, send: Send) -> None:
    """Tell the error in the client's language."""
    with translation.override(_language(accept_language)):
        content = answers.encode(answers.failure(error))
    await _send(error.http_status, _headers(answers.headers_of(error).items()), content, send)


async def _send(status: int, headers: Headers, content: bytes, send: Send) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _headers(named: Iterable[tuple[str, str]]) -> Headers:
    """With what Django's SecurityMiddleware adds at the other door."""
    sent = [("Content-Type", answers.CONTENT_TYPE), ("X-Content-Type-Options", "nosniff"), *named]
    if settings.SECURE_HSTS_SECONDS:  # a browser heeds it over HTTPS alone
        sent.append(("Strict-Transport-Security", f"max-age={settings.SECURE_HSTS_SECONDS}"))
    return [(name.lower().encode(), text.encode()) for name, text in sent]


@lru_cache(maxsize=1)
def _success_headers() -> Headers:
    return _headers(answers.HEADERS.items())


@lru_cache(maxsize=1_024)
def _language(accept_language: bytes) -> str:
    asked = HttpRequest()
    asked.META["HTTP_ACCEPT_LANGUAGE"] = accept_language.decode("latin-1")
    return translation.get_language_from_request(asked)

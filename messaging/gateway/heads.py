"""Bound the head of a request, and remove what Django would misread or take too long over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import printable as PRINTABLE
from typing import Any
from urllib.parse import quote

from messaging.languages import language_of
from messaging.limits import (
    MAX_COOKIE_BYTES,
    MAX_HEADER_BYTES,
    MAX_HOST_BYTES,
    MAX_PARSED_HEADER_BYTES,
    MAX_TARGET_BYTES,
)

UNREADABLE_HOST = b"?"
_LONGEST = {**MAX_PARSED_HEADER_BYTES, b"cookie": MAX_COOKIE_BYTES}
_MADE_ANEW = (b"content-length", b"accept-language")

Scope = dict[str, Any]
Header = tuple[bytes, bytes]


def is_too_large(scope: Scope) -> bool:
    """Tell whether the address or the headers of a request are past their limits."""
    if len(scope["path"]) + len(scope["query_string"]) > MAX_TARGET_BYTES:
        return True
    return sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES


def values_of(scope: Mapping[str, Any], wanted: bytes) -> bytes:
    """Return the values of a header, joined by commas as HTTP reads a repeated one."""
    return b",".join(value for name, value in scope["headers"] if name == wanted)


def for_django(scope: Scope, length: int) -> Scope:
    """Return the scope as Django may see it.

    Content-Length is the length of the body that is handed on, because a chunked request has none.
    Headers that WSGI would take for another header are left out. A query that is not ASCII is
    escaped, as it should have come. Django keeps texts of headers in caches or takes quadratic time
    over them, so only the one language that counts is handed on, and some headers only if short.
    """
    query = scope["query_string"]
    headers = list(_readable(scope["headers"]))
    headers.append((b"accept-language", language_of(values_of(scope, b"accept-language")).encode()))
    headers.append((b"content-length", str(length).encode()))
    return {
        **scope,
        "headers": headers,
        "query_string": query if query.isascii() else quote(query, safe=PRINTABLE).encode(),
    }


def _readable(headers: list[Header]) -> Iterator[Header]:
    for name, value in headers:
        if b"_" in name or name in _MADE_ANEW:
            continue
        if name == b"host" and len(value) > MAX_HOST_BYTES:
            yield name, UNREADABLE_HOST
        elif len(value) > _LONGEST.get(name, len(value)):
            continue
        elif name == b"cookie" and b"\\" in value:
            yield name, _without_escapes(value)
        else:
            yield name, value


def _without_escapes(cookies: bytes) -> bytes:
    """Leave out the cookies with a backslash: ours have none, and to read many is quadratic."""
    return b";".join(cookie for cookie in cookies.split(b";") if b"\\" not in cookie)

"""Test the head of a request: its largest size, and the headers that Django sees of it."""

from __future__ import annotations

from typing import Any

import pytest

from messaging.gateway.heads import for_django, is_too_large
from messaging.limits import (
    MAX_COOKIE_BYTES,
    MAX_HEADER_BYTES,
    MAX_HOST_BYTES,
    MAX_PARSED_HEADER_BYTES,
    MAX_TARGET_BYTES,
)


def scope(*headers: tuple[bytes, bytes], path: str = "/", query: bytes = b"") -> dict[str, Any]:
    return {"path": path, "query_string": query, "headers": list(headers)}


def seen(*headers: tuple[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the headers that Django sees, and check that each appears once."""
    told = for_django(scope(*headers), 5)["headers"]
    assert len(dict(told)) == len(told)
    return dict(told)


def test_is_bounded_to_the_byte() -> None:
    largest = (b"x-any", b"x" * (MAX_HEADER_BYTES - 5))
    assert not is_too_large(scope(largest, path="/" * MAX_TARGET_BYTES))
    assert is_too_large(scope(largest, (b"a", b"")))
    assert is_too_large(scope(path="/" * MAX_TARGET_BYTES, query=b"x"))


def test_has_one_language_and_the_length_of_what_is_handed_on() -> None:
    told = seen(
        (b"accept-language", b"fr"), (b"accept-language", b"zh-CN;q=0.5"), (b"content-length", b"9")
    )
    assert told == {b"accept-language": b"zh-hans", b"content-length": b"5"}


@pytest.mark.parametrize("name", [*MAX_PARSED_HEADER_BYTES, b"cookie"])
def test_lacks_a_header_that_is_long(name: bytes) -> None:
    longest = MAX_PARSED_HEADER_BYTES.get(name, MAX_COOKIE_BYTES)
    assert seen((name, b"x" * longest))[name] == b"x" * longest
    assert name not in seen((name, b"x" * (longest + 1)))


def test_has_a_host_that_nobody_allows_for_a_long_one() -> None:
    assert seen((b"host", b"x" * MAX_HOST_BYTES))[b"host"] == b"x" * MAX_HOST_BYTES
    assert seen((b"host", b"x" * (MAX_HOST_BYTES + 1)))[b"host"] == b"?"


def test_lacks_cookies_with_escapes() -> None:
    cookies = b'a=1; b="' + b"\\1" * 500 + b'"; sessionid=x'
    assert seen((b"cookie", cookies))[b"cookie"] == b"a=1; sessionid=x"

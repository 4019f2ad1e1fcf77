"""Answer as a bare no-op, to measure what this machine's web server can do under the same load.

The no-op reads a body and answers with as many bytes as the answer of a send has. The benchmark
serves it as `scripts/run` serves the web.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

BODY = (
    b'{"code":200,"message":"success","data":{"messageId":"647894356465213440",'
    b'"conversationId":"1001_1002","sendTime":1795465251876,"persistStatus":"PENDING",'
    b'"durability":"log","clientMsgId":"0123456789abcdef-000001-000000001"},'
    b'"timestamp":1795465251886}'
)
HEADERS = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(BODY)).encode()),
    (b"cache-control", b"no-store"),
]


async def application(
    scope: Mapping[str, Any],
    receive: Callable[[], Awaitable[Mapping[str, Any]]],
    send: Callable[[Mapping[str, Any]], Awaitable[None]],
) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})

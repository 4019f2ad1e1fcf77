"""Answer the calls of `calls`, from the ASGI request to the ASGI answer.

The front door runs the gateway.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from messaging.domain.errors import (
    ApiError,
    RequestTimeout,
    ServerError,
    TemporarilyUnavailable,
    TooManyRequests,
)
from messaging.gateway import calls
from messaging.gateway.answering import Send, send_error, send_success
from messaging.gateway.bodies import Receive, read_body
from messaging.gateway.calls import Asked, Call
from messaging.gateway.deadlines import Deadlines
from messaging.gateway.tokens import TokenCache
from messaging.http.representation import Json
from messaging.limits import MAX_BODY_BYTES, MAX_HOST_BYTES, MAX_SYNC_BODY_BYTES
from messaging.service.backends import Backends

logger = logging.getLogger(__name__)

Scope = dict[str, Any]

_CALLS: dict[tuple[str, str], Call] = {
    ("POST", "/api/message/send"): calls.send_message,
    ("POST", "/api/message/recall"): calls.recall_message,
    ("POST", "/api/message/delete"): calls.delete_named_message,
    ("GET", "/api/message/history"): calls.get_history,
    ("GET", "/api/conversation/list"): calls.get_conversations,
    ("POST", "/api/conversation/receipts"): calls.mark_conversations,
    ("POST", "/api/sync"): calls.sync_client,
}
_CALLS_BY_ID: dict[str, Call] = {"GET": calls.get_message, "DELETE": calls.delete_message}
_BY_ID = "/api/message/"
_READ_HEADERS = frozenset({b"host", b"authorization", b"accept-language", b"content-length"})
_PLAIN_QUERY = re.compile(rb"[A-Za-z]+=[A-Za-z0-9]+(?:&[A-Za-z]+=[A-Za-z0-9]+)*")


class Gateway:
    """Answer the requests for the gateway's calls.

    A gateway belongs to one event loop.
    """

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self._tokens = TokenCache()
        self._deadlines = Deadlines(backends.settings.request_timeout_s)
        self._allowed_hosts = tuple(settings.ALLOWED_HOSTS)

    def recognise(self, scope: Scope) -> Asked | None:
        """Return the call that a request asks for, or None for a request that Django is to answer.

        A request is recognised if it is for one of the gateway's calls and of a plain form. Django
        judges everything unusual about the path, the query or the headers.
        """
        method, path, query = scope["method"], scope["path"], scope["query_string"]
        path_id = ""
        call = _CALLS.get((method, path))
        if call is None:
            path_id = path.removeprefix(_BY_ID)
            call = _CALLS_BY_ID.get(method)
            if call is None or not (path_id != path and path_id.isascii() and path_id.isdigit()):
                return None
        if query and not _PLAIN_QUERY.fullmatch(query):
            return None
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in _READ_HEADERS:
                if name in headers:
                    return None
                headers[name] = value
        host = headers.get(b"host", b"")
        if len(host) > MAX_HOST_BYTES or not _is_allowed(host, self._allowed_hosts):
            return None
        return Asked(call, headers, path, path_id, query.decode(), scope)

    async def serve(self, asked: Asked, receive: Receive, send: Send) -> None:
        """Authenticate a recognised request, read its body, run its call and send the outcome."""
        languages = asked.headers.get(b"accept-language", b"")
        try:
            data = await self._deadlines.bound(self._call(asked, receive))
        except ApiError as error:
            await send_error(error, languages, send)
        except TimeoutError:
            is_arriving = asked.user_id and asked.body is None
            late = RequestTimeout() if is_arriving else TemporarilyUnavailable()
            await send_error(late, languages, send)
        except Exception:
            logger.exception(
                "a request failed",
                extra={"action": "request.failed", "path": asked.path},
            )
            await send_error(ServerError(), languages, send)
        else:
            if data is not None:
                await self._respond(data, asked, send)

    async def _respond(self, data: Json, asked: Asked, send: Send) -> None:
        try:
            await send_success(data, asked.scope, send)
        except TooManyRequests as error:
            await send_error(error, asked.headers.get(b"accept-language", b""), send)

    async def _call(self, asked: Asked, receive: Receive) -> Json | None:
        """Return the call's result, or None when the client disconnected before its body arrived.

        The body of a request whose sender is unknown is not read.
        """
        headers = asked.headers
        authorization = headers.get(b"authorization", b"")
        asked.user_id = await self._tokens.user_of(authorization, self._backends.directory)
        length = headers.get(b"content-length", b"")
        most = MAX_SYNC_BODY_BYTES if asked.call is calls.sync_client else MAX_BODY_BYTES
        asked.body = await read_body(receive, most=most, length=length)
        if asked.body is None:
            return None
        return await asked.call(self._backends, asked)


@lru_cache(maxsize=16)
def _is_allowed(host: bytes, allowed_hosts: Sequence[str]) -> bool:
    """Tell whether Django would allow this host, apart from its default hosts for development."""
    domain, _port = split_domain_port(host.decode("latin-1"))
    return bool(domain) and validate_host(domain, allowed_hosts)

"""Answer with Django the requests that the gateway leaves, in a bounded number of threads.

Bounded are the body before its sender is known, the queue in front of the threads, and the time
that a client waits. A slow client holds no thread: the answer is made whole before it is sent.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from a2wsgi.wsgi import build_environ
from django.conf import settings as django_settings
from rest_framework_simplejwt.tokens import AccessToken

from imsite.settings import DJANGO_THREADS
from imsite.threads import Threads
from messaging.addresses import client_address
from messaging.conf import Settings, settings
from messaging.domain.errors import (
    ApiError,
    BodyTooLarge,
    RequestTimeout,
    ServerError,
    TemporarilyUnavailable,
    TokenExpired,
    TooManyRequests,
)
from messaging.domain.rates import Rates
from messaging.domain.turns import Turns
from messaging.gateway.answering import Headers, Send, send_answer, send_error
from messaging.gateway.bodies import Receive, read_body
from messaging.gateway.heads import Scope, for_django, values_of
from messaging.http.tokens import bearer_token, open_token
from messaging.limits import (
    MAX_BODY_BYTES,
    MAX_FORM_BODY_BYTES,
    MAX_SYNC_BODY_BYTES,
    MAX_UNKNOWN_BODY_BYTES,
    STRANGERS_AT_A_TIME,
)

SYNC_PATH = "/api/sync"

T = TypeVar("T")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    status: int
    headers: Headers
    content: bytes


class DjangoDoor:
    """Serve HTTP with a WSGI application."""

    def __init__(self, application: Any) -> None:
        self._strangers = Rates(rate=0, burst=0)
        self._turns = Turns(STRANGERS_AT_A_TIME)
        self._application = application
        self._threads = Threads(DJANGO_THREADS, name="django")

    def begin(self, current: Settings) -> None:
        """Count the requests of strangers from now on, on this event loop."""
        self._strangers = Rates(rate=current.stranger_rate, burst=current.stranger_burst)
        self._turns = Turns(STRANGERS_AT_A_TIME)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, let Django answer, and send the answer or the error."""
        try:
            is_signed = _is_signed(values_of(scope, b"authorization").decode("latin-1"))
            address = None if is_signed else client_address(scope)
            if address is not None:
                self._strangers.spend(address)
            handed_on = await _take_body(scope, receive, is_signed=is_signed)
            if handed_on is not None:
                answer = await _unless_gone(self._ask_in_turn(*handed_on, address), receive)
                if answer is not None:
                    headers, content = answer.headers, answer.content
                    await send_answer(answer.status, headers, content, scope, send)
        except ApiError as error:
            await send_error(error, values_of(scope, b"accept-language"), send)
        except Exception:
            logger.exception(
                "a request failed", extra={"action": "request.failed", "path": scope["path"]}
            )
            await send_error(ServerError(), values_of(scope, b"accept-language"), send)

    async def _ask_in_turn(self, scope: Scope, body: bytes, address: str | None) -> WholeAnswer:
        """Ask Django, with a bound on the calls of one address without a good token.

        Such calls have `STRANGERS_AT_A_TIME` threads at a time, so that no address has all threads.

        Raises: TooManyRequests after `django_wait_s` without a turn, and as `_ask` does;
        TemporarilyUnavailable past the deadline.
        """
        if address is None:
            return await self._ask(scope, body)
        try:
            async with self._turns.turn(address, wait_s=settings().django_wait_s):
                return await self._ask(scope, body)
        except TimeoutError as error:
            raise TooManyRequests from error

    async def _ask(self, scope: Scope, body: bytes) -> WholeAnswer:
        """Return Django's answer, made in a thread.

        Raises: TooManyRequests where the queue is full or no thread is free after `django_wait_s`;
        TemporarilyUnavailable after `request_timeout_s`.
        """
        current = settings()
        call = partial(_respond, self._application, build_environ(scope, io.BytesIO(body)))  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(current.request_timeout_s):
                return await self._threads.run(
                    call, queue=current.django_queue, wait_s=current.django_wait_s
                )
        except TimeoutError as error:
            raise TemporarilyUnavailable from error


async def _take_body(
    scope: Scope, receive: Receive, *, is_signed: bool
) -> tuple[Scope, bytes] | None:
    """Return the scope for Django and the body, or None when the client has disconnected.

    A body that is too large is replaced by an empty one with a length past the limit: Django may
    find first that the sender is unknown, or that nothing is at the address.

    Raises: RequestTimeout when the body has not arrived within `request_timeout_s`.
    """
    length = values_of(scope, b"content-length")
    try:
        async with asyncio.timeout(settings().request_timeout_s):
            most = _most(scope, length, is_signed=is_signed)
            body = await read_body(receive, most=most, length=length)
    except TimeoutError as error:
        raise RequestTimeout from error
    except BodyTooLarge:
        return for_django(scope, MAX_SYNC_BODY_BYTES + 1), b""
    return None if body is None else (for_django(scope, len(body)), body)


def _most(scope: Scope, length: bytes, *, is_signed: bool) -> int:
    """Return the most bytes that the body may have: few while the sender is not known."""
    if len(length) < 4 and length.isdigit():
        return MAX_UNKNOWN_BODY_BYTES  # more than any length of three digits
    if scope["path"].startswith("/api/"):
        known = MAX_SYNC_BODY_BYTES if scope["path"] == SYNC_PATH else MAX_BODY_BYTES
        return known if is_signed else MAX_UNKNOWN_BODY_BYTES
    session = f"{django_settings.SESSION_COOKIE_NAME}=".encode()
    has_session = session in values_of(scope, b"cookie")
    return MAX_FORM_BODY_BYTES if has_session else MAX_UNKNOWN_BODY_BYTES


def _is_signed(authorization: str) -> bool:
    encoded = bearer_token(authorization)
    try:
        return encoded is not None and bool(open_token(AccessToken, encoded))
    except TokenExpired:
        return False


async def _unless_gone(call: Awaitable[T], receive: Receive) -> T | None:
    """Return the call's result; stop waiting and return None when the client has disconnected."""
    called = asyncio.ensure_future(call)
    gone = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait((called, gone), return_when=asyncio.FIRST_COMPLETED)
        return await called if called.done() else None
    finally:
        gone.cancel()
        called.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _respond(application: Any, environ: Mapping[str, Any]) -> WholeAnswer:
    """Return the whole answer of a WSGI application; runs in a thread."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], _error: object = None
    ) -> Callable[[bytes], None]:
        started.append((status, headers))
        return _refuse_to_write

    parts = application(environ, start_response)
    try:
        content = b"".join(parts)
    finally:
        getattr(parts, "close", lambda: None)()
    status, headers = started[-1]
    told = [(name.lower().encode("latin-1"), text.encode("latin-1")) for name, text in headers]
    return WholeAnswer(int(status.partition(" ")[0]), told, content)


def _refuse_to_write(_content: bytes) -> None:
    raise NotImplementedError("Django returns what it has to say")

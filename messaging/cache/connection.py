"""Pipeline all concurrent commands of a process over one connection to Redis.

A pool gives each command a connection, a write and a wait of its own, which costs more CPU than
Redis needs to answer. Here the commands of one turn of the event loop are written together, and the
answers are handed out in the order of the commands.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import hiredis
from redis._parsers import BaseParser
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, InvalidResponse, RedisError, TimeoutError

from messaging.domain.deadline_queue import DeadlineQueue
from messaging.links import reason

logger = logging.getLogger(__name__)

MOST_WAITING = 10_000
_NOT_YET = object()  # a reply that has not arrived whole


def options(timeout_s: float) -> dict[str, Any]:
    """Return the options of redis-py that bound the connecting and each answer by this time."""
    timeouts = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
    return {**timeouts, "protocol": 2, "driver_info": None}


class SharedConnection:
    """Send commands over one connection, made at the first call and again after a loss.

    The object belongs to one event loop. A command that is not answered within `timeout_s` ends the
    connection, and fails every other command that waits for an answer: the outcomes of these
    commands are unknown. No command is sent twice. A caller may be cancelled; the answer is read
    and dropped then.

    `on_lost`: called when a connection ends that `close` has not ended.
    """

    def __init__(
        self, url: str, *, timeout_s: float, on_lost: Callable[[], None] | None = None
    ) -> None:
        self._pool = ConnectionPool.from_url(  # serves only to make connections from a URL
            url, retry=Retry(NoBackoff(), 0), **options(timeout_s)
        )
        self._timeout_s = timeout_s
        self._on_lost = on_lost
        self._connecting: asyncio.Task[_Line] | None = None
        self._line: _Line | None = None
        self._logged = ""  # why the last attempt failed

    async def call(self, *command: str | bytes | int) -> Any:
        """Send one command and return Redis' answer.

        Raises: redis-py's ResponseError when Redis refuses the command; redis-py's ConnectionError
        or TimeoutError, or OSError, when the outcome of the command is unknown.
        """
        line = self._line
        if line is None or line.lost:
            line = await self._connect()
        return await line.ask(hiredis.pack_command(command))  # type: ignore[arg-type]

    async def close(self) -> None:
        """End the connection and fail the waiting commands; the next call connects again.

        Safe to repeat.
        """
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        line, self._line = self._line, None
        if line is not None:
            await line.close()

    async def _connect(self) -> _Line:
        """Connect, in one attempt that all concurrent callers share."""
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._open())
        return await asyncio.shield(self._connecting)

    async def _open(self) -> _Line:
        connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()
        except asyncio.CancelledError:
            await connection.disconnect(nowait=True)
            raise
        except (RedisError, OSError) as error:
            self._log_once(reason(error))
            raise
        self._logged = ""
        connection.socket_timeout = None  # from here on the line's deadlines bound the answers
        self._line = _Line(connection, self._timeout_s, self._on_lost)
        return self._line

    def _log_once(self, why: str) -> None:
        """Log the reason for a failed connection, each reason once until an attempt succeeds."""
        if why != self._logged:
            self._logged = why
            logger.warning(
                "cannot connect to Redis; trying again",
                extra={"action": "cache.not_connected", "reason": why},
            )


class _Line(asyncio.Protocol):
    """Pipeline commands over one established connection until the connection is lost.

    Redis answers in the order of the commands: each answer goes to the oldest waiting command. The
    commands of one turn of the event loop are written together.

    redis-py has connected and signed in. The line then takes over the transport, because redis-py's
    own writes and reads cost several times as much as Redis needs to answer.
    """

    def __init__(
        self,
        connection: AbstractConnection,
        timeout_s: float,
        on_lost: Callable[[], None] | None,
    ) -> None:
        self._connection = connection
        self._on_lost = on_lost
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._replies = hiredis.Reader(
            protocolError=InvalidResponse,
            replyError=BaseParser.parse_error,
            notEnoughData=_NOT_YET,
        )
        self._unsent: list[bytes] = []
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._deadlines = DeadlineQueue(self._give_up)
        self._ended = self._loop.create_future()
        self.lost = False
        self._transport = _transport_of(connection)
        self._transport.set_protocol(self)

    def ask(self, packed: bytes) -> asyncio.Future[Any]:
        if self.lost:
            raise ConnectionError("lost at once")
        if len(self._waiting) >= MOST_WAITING:
            raise ConnectionError("too many commands wait for Redis")
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(answer)
        self._deadlines.add(answer, self._loop.time() + self._timeout_s)
        if not self._unsent:
            self._loop.call_soon(self._write)
        self._unsent.append(packed)
        return answer

    async def close(self) -> None:
        self._on_lost = None
        self._lose(ConnectionError("closed"))
        await self._ended

    def _write(self) -> None:
        packed, self._unsent = self._unsent, []
        if not self.lost:
            self._transport.write(b"".join(packed))

    def data_received(self, data: bytes) -> None:
        try:
            self._replies.feed(data)
            while (answer := self._replies.gets()) is not _NOT_YET:
                self._give(answer)
        except RedisError as error:
            self._lose(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(exc or ConnectionError("Redis has closed the connection"))
        self._connection._close()  # type: ignore[no-untyped-call]
        if not self._ended.done():
            self._ended.set_result(None)

    def _give(self, answer: Any) -> None:
        """End the oldest waiting command with this answer or error.

        Raises: redis-py's ConnectionError for an answer that says that Redis cannot serve at all.
        """
        if isinstance(answer, ConnectionError):  # for example, while Redis loads its data
            raise answer
        waiting = self._waiting.popleft()
        self._deadlines.discard(waiting)
        if waiting.done():  # its caller went away
            return
        if isinstance(answer, Exception):
            waiting.set_exception(answer)
        else:
            waiting.set_result(answer)

    def _give_up(self, overdue: asyncio.Future[Any]) -> None:
        self._lose(TimeoutError("Redis did not answer in time"))

    def _lose(self, error: Exception) -> None:
        """Mark the connection as lost, and fail every waiting command with this error."""
        if not self.lost and self._on_lost is not None:
            self._on_lost()
        self.lost = True
        self._deadlines.drain()
        self._transport.abort()
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(error)
        self._waiting.clear()


def _transport_of(connection: AbstractConnection) -> asyncio.WriteTransport:
    """Return the transport below a connection of redis-py, which has no public name for it."""
    writer = connection._writer
    assert writer is not None, "not connected"
    return writer.transport

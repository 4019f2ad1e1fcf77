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
from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisError, ResponseError, TimeoutError

from messaging.domain.deadline_queue import DeadlineQueue
from messaging.links import reason

logger = logging.getLogger(__name__)

MOST_WAITING = 10_000


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


class _Line:
    """Pipeline commands over one established connection until the connection is lost.

    Redis answers in the order of the commands: each answer goes to the oldest waiting command.
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
        self._unsent: list[bytes] = []
        self._has_unsent = asyncio.Event()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._deadlines = DeadlineQueue(self._give_up)
        self._tasks = [self._loop.create_task(self._write()), self._loop.create_task(self._read())]
        self.lost = False

    def ask(self, packed: bytes) -> asyncio.Future[Any]:
        if self.lost:
            raise ConnectionError("lost at once")
        if len(self._waiting) >= MOST_WAITING:
            raise ConnectionError("too many commands wait for Redis")
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(answer)
        self._deadlines.add(answer, self._loop.time() + self._timeout_s)
        self._unsent.append(packed)
        self._has_unsent.set()
        return answer

    async def close(self) -> None:
        self._on_lost = None
        self._lose(ConnectionError("closed"))
        await asyncio.wait(self._tasks)

    async def _write(self) -> None:
        try:
            while True:
                await self._has_unsent.wait()
                self._has_unsent.clear()
                packed, self._unsent = self._unsent, []
                await self._connection.send_packed_command(packed, check_health=False)
        except (RedisError, OSError) as error:
            self._lose(error)
        except Exception:  # the next call makes another connection
            logger.exception("a write failed", extra={"action": "cache.line_fault"})
            self._lose(ConnectionError("a fault"))

    async def _read(self) -> None:
        try:
            while True:
                try:
                    answer = await self._connection.read_response(disconnect_on_error=False)
                except ResponseError as refusal:
                    self._give(error=refusal)
                else:
                    self._give(answer)
        except (RedisError, OSError) as error:
            self._lose(error)
        except Exception:  # the next call makes another connection
            logger.exception("a read failed", extra={"action": "cache.line_fault"})
            self._lose(ConnectionError("a fault"))
        finally:
            await self._connection.disconnect(nowait=True)

    def _give(self, answer: Any = None, *, error: Exception | None = None) -> None:
        waiting = self._waiting.popleft()
        self._deadlines.discard(waiting)
        if waiting.done():  # its caller went away
            return
        if error is None:
            waiting.set_result(answer)
        else:
            waiting.set_exception(error)

    def _give_up(self, overdue: asyncio.Future[Any]) -> None:
        self._lose(TimeoutError("Redis did not answer in time"))

    def _lose(self, error: Exception) -> None:
        """Mark the connection as lost, and fail every waiting command with this error."""
        if not self.lost and self._on_lost is not None:
            self._on_lost()
        self.lost = True
        self._deadlines.drain()
        while self._waiting:
            self._give(error=error)
        for task in self._tasks:
            if task is not asyncio.current_task(self._loop):  # the current task ends by itself
                task.cancel()

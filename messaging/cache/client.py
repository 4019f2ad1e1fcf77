"""Connect one process to Redis, and turn Redis' failures into CacheUnavailable.

The client is the base class of every role of the message cache. The client connects at the first
call, and a forked child makes a connection of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from messaging.cache.connection import SharedConnection
from messaging.cache.lua import Script
from messaging.conf import Settings
from messaging.domain.backend_errors import CacheUnavailable


class RedisClient:
    """Run commands and scripts, each in one round trip and never twice.

    Connecting and the answer may take `redis_timeout_s` each.

    `on_lost`: called when a connection is lost, even if no command waits for an answer.

    Raises: CacheUnavailable, from every call, when Redis or the network fails to answer or Redis
    refuses the call: down, slow, loading, read-only, out of memory.
    """

    on_lost: Callable[[], None] | None = None

    def __init__(self, settings: Settings) -> None:
        self._url = settings.redis_url
        self._timeout_s = settings.redis_timeout_s
        self._connection: SharedConnection | None = None
        self._pid = 0
        self._inherited: list[SharedConnection] = []

    async def ping(self) -> None:
        """Return when Redis answers."""
        await self._command("PING")

    async def close(self) -> None:
        """Close the connection; the next call makes a new one.

        Safe to repeat.
        """
        connection, self._connection = self._connection, None
        if connection is not None and self._pid == os.getpid():
            await connection.close()

    async def _command(self, *command: str | bytes | int) -> Any:
        try:
            return await self._shared().call(*command)
        except (RedisError, OSError) as error:
            raise CacheUnavailable from error

    async def _run(self, script: Script, names: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run a script with these KEYS (`names`) and ARGV (`arguments`), and return the reply.

        The script's text is sent only where Redis has no script of this digest.
        """
        connection = self._shared()
        rest = (len(names), *names, *arguments)
        try:
            try:
                return await connection.call("EVALSHA", script.sha, *rest)
            except NoScriptError:
                return await connection.call("EVAL", script.text, *rest)
        except (RedisError, OSError) as error:
            raise CacheUnavailable from error

    def _shared(self) -> SharedConnection:
        """Return this process's connection, made anew in a forked child."""
        if self._connection is None or self._pid != os.getpid():
            if self._connection is not None:
                # The inherited connection is kept open: closing it in the child would take the
                # socket out of the parent's event loop.
                self._inherited.append(self._connection)
            self._connection = SharedConnection(
                self._url, timeout_s=self._timeout_s, on_lost=self.on_lost
            )
            self._pid = os.getpid()
        return self._connection

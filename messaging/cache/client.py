"""The connections of one process to Redis, and how its failures are told.

The base of every role of the message cache. Nothing connects before the first call, and a forked
child makes connections of its own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import hiredis
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from messaging.cache.lua import Script
from messaging.conf import Settings
from messaging.errors import CacheUnavailable

CONNECTIONS = 32


class _PackedInC:
    """A connection that packs commands in C, as redis-py's synchronous connections do."""

    def pack_command(self, *command: str | bytes | int) -> list[bytes]:
        return [hiredis.pack_command(command)]  # type: ignore[arg-type]  # it takes any length


class RedisClient:
    """Runs commands and scripts, each in one round trip and never twice.

    Waiting for a free connection, connecting, sending and the answer may take `redis_timeout_s`
    each. Raises CacheUnavailable for whatever Redis or the network does instead of answering: down,
    slow, loading, read-only, out of memory.
    """

    def __init__(self, settings: Settings) -> None:
        self._url = settings.redis_url
        self._timeout_s = settings.redis_timeout_s
        self._client: Redis | None = None
        self._pid = 0
        self._inherited: list[Redis] = []

    async def ping(self) -> None:
        """Return when Redis answers."""
        await self._command("PING")

    async def close(self) -> None:
        """Let go of the connections; the next call makes new ones. Idempotent."""
        client, self._client = self._client, None
        if client is not None and self._pid == os.getpid():
            await client.aclose(close_connection_pool=True)

    async def _command(self, *command: str | int) -> Any:
        try:
            return await self._connected().execute_command(*command)
        except (RedisError, OSError, TimeoutError) as error:
            raise CacheUnavailable from error

    async def _run(self, script: Script, names: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run a script with these KEYS and ARGV; its text is sent only where Redis lacks it."""
        client = self._connected()
        rest = (len(names), *names, *arguments)
        try:
            try:
                return await client.execute_command("EVALSHA", script.sha, *rest)
            except NoScriptError:
                return await client.execute_command("EVAL", script.text, *rest)
        except (RedisError, OSError, TimeoutError) as error:
            raise CacheUnavailable from error

    def _connected(self) -> Any:
        """This process's client; Any, because the library's commands carry no types."""
        if self._client is None or self._pid != os.getpid():
            if self._client is not None:
                # Kept, for closing it here would take the sockets out of the parent's event loop.
                self._inherited.append(self._client)
            self._client, self._pid = Redis(connection_pool=self._pool()), os.getpid()
        return self._client

    def _pool(self) -> BlockingConnectionPool:
        pool = BlockingConnectionPool.from_url(
            self._url,
            max_connections=CONNECTIONS,
            timeout=self._timeout_s,
            socket_timeout=self._timeout_s,
            socket_connect_timeout=self._timeout_s,
            retry=Retry(NoBackoff(), 0),  # the library's own retries would run a write again
            protocol=2,
            driver_info=None,
        )
        kind = pool.connection_class  # depends on the scheme
        pool.connection_class = type(f"Packed{kind.__name__}", (_PackedInC, kind), {})
        return pool

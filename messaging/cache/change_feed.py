"""Changes about people, carried from the process that made one to all others, by Redis pub/sub.

`wiring` publishes, the listener of each process tells its directory. Whoever does not listen at the
moment misses what is published, hence `on_gap`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import redis
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from messaging.cache import keys
from messaging.conf import Settings
from messaging.domain.changes import AnythingChanged, Change, Notice, decode_notice, encode_notice
from messaging.domain.errors import CacheUnavailable, PoisonRecord
from messaging.links import reason

logger = logging.getLogger(__name__)

SILENCE_S = 5.0  # after so long the listener asks whether Redis is there; twice that is an end
CLOSE_AGAIN_S = 0.5
FIRST_WAIT_S = 0.1
LAST_WAIT_S = 2.0


def publish(settings: Settings, notice: Notice) -> None:
    """Tell every process that listens now. Blocks, on a connection of its own.

    Raises CacheUnavailable when Redis does not take it within `redis_timeout_s`.
    """
    timeout_s = settings.redis_timeout_s
    try:
        with redis.Redis.from_url(
            settings.redis_url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,
        ) as client:
            client.publish(keys.CHANGES, encode_notice(notice))
    except (RedisError, OSError) as error:
        raise CacheUnavailable from error


class ChangeListener:
    """Hears every change in order while it is connected, and connects again until it is closed.

    `on_change` is called for each change, but those of its own `origin`; `on_gap` whenever the
    connection is new, since changes may have passed before. Both on the event loop.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        on_change: Callable[[Change], None],
        on_gap: Callable[[], None],
        silence_s: float = SILENCE_S,
    ) -> None:
        self._settings = settings
        self._on_change = on_change
        self._on_gap = on_gap
        self._silence_s = silence_s
        self.origin = secrets.token_hex(8)
        self._wait_s = FIRST_WAIT_S
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen on the running loop; returns when it does, or when Redis cannot be reached."""
        self._task = asyncio.create_task(self._listen(), name="changes")
        await self._tried.wait()

    def take(self, changes: Iterable[Change]) -> None:
        """Pass these on, as if they had been heard."""
        for change in changes:
            self._on_change(change)

    async def close(self) -> None:
        """End the connection. Idempotent."""
        task, self._task = self._task, None
        while task is not None and not task.done():
            task.cancel()  # lost where redis-py takes it for the end of its own wait
            await asyncio.wait([task], timeout=CLOSE_AGAIN_S)

    async def _listen(self) -> None:
        while True:
            try:
                async with self._client() as client, client.pubsub() as pubsub:
                    await pubsub.subscribe(keys.CHANGES)
                    await self._hear(pubsub)
            except (RedisError, OSError, TimeoutError) as error:
                if self._wait_s == FIRST_WAIT_S:
                    logger.warning(
                        "not listening to changes",
                        extra={"action": "changes.lost", "reason": reason(error)},
                    )
            except Exception:  # a process that listens no more would know blocked users for ever
                logger.exception("the listener failed", extra={"action": "changes.fault"})
            self._tried.set()
            await asyncio.sleep(self._wait_s)
            self._wait_s = min(self._wait_s * 2, LAST_WAIT_S)

    async def _hear(self, pubsub: PubSub) -> None:
        """Until the connection fails, or Redis does not answer within `silence_s`."""
        asked = False
        while True:
            message = await pubsub.get_message(timeout=self._silence_s)
            if message is not None:
                asked = False
                self._note(message)
            elif asked:
                raise TimeoutError("no answer to a ping")
            else:
                await pubsub.ping()
                asked = True

    def _note(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "subscribe":
            self._wait_s = FIRST_WAIT_S
            self._on_gap()
            self._tried.set()
        elif message["type"] == "message":
            notice = _read(message["data"])
            if notice.origin != self.origin:
                self.take(notice.changes)

    def _client(self) -> Redis:
        timeout_s = self._settings.redis_timeout_s
        return Redis.from_url(
            self._settings.redis_url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=AsyncRetry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,
        )


def _read(text: bytes) -> Notice:
    try:
        return decode_notice(text)
    except PoisonRecord as error:
        logger.error(
            "unreadable change", extra={"action": "changes.unreadable", "reason": str(error)}
        )
        return Notice("", (AnythingChanged(),))

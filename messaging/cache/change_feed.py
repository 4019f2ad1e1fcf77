"""Carry changes about people from the process that made a change to all others, by Redis pub/sub.

`wiring` publishes the changes, and the listener of each process passes each change to the
directory of its process. A process misses the changes that are published while its listener is not
connected, hence `on_gap`.
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
from messaging.cache.connection import options
from messaging.conf import Settings
from messaging.domain.backend_errors import CacheUnavailable, PoisonRecord
from messaging.domain.backoff import Backoff
from messaging.domain.changes import AnythingChanged, Change, Notice, decode_notice, encode_notice
from messaging.links import reason

logger = logging.getLogger(__name__)

PING_AFTER_S = 5.0  # of silence; the listener reconnects after twice as much
CLOSE_EVERY_S = 0.5
FIRST_WAIT_S = 0.1
LAST_WAIT_S = 2.0


def publish(settings: Settings, notice: Notice) -> None:
    """Publish the notice to every process whose listener is connected now.

    The call blocks, on a connection of its own.

    Raises: CacheUnavailable when Redis does not take the notice within `redis_timeout_s`.
    """
    retry = Retry(NoBackoff(), 0)
    given = options(settings.redis_timeout_s)
    try:
        with redis.Redis.from_url(settings.redis_url, retry=retry, **given) as client:
            client.publish(keys.CHANGES, encode_notice(notice))
    except (RedisError, OSError) as error:
        raise CacheUnavailable from error


class ChangeListener:
    """Receive every change in order while connected, and reconnect until the listener is closed.

    `on_change`: called for each change, except for published changes with the listener's own
    `origin`.
    `on_gap`: called whenever the connection is new, since changes may have been missed before.

    Both run on the event loop.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        on_change: Callable[[Change], None],
        on_gap: Callable[[], None],
        silence_s: float = PING_AFTER_S,
    ) -> None:
        self._settings = settings
        self._on_change = on_change
        self._on_gap = on_gap
        self._silence_s = silence_s
        self.origin = secrets.token_hex(8)
        self._backoff = Backoff(FIRST_WAIT_S, LAST_WAIT_S)
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start to listen on the running loop; return when subscribed, or when Redis is away.

        The listener goes on trying to connect where Redis cannot be reached.
        """
        self._task = asyncio.create_task(self._listen(), name="changes")
        await self._tried.wait()

    def take(self, changes: Iterable[Change]) -> None:
        """Call `on_change` for each of these changes, as if Redis had delivered them."""
        for change in changes:
            self._on_change(change)

    async def close(self) -> None:
        """End the listener and its connection.

        Safe to repeat.
        """
        task, self._task = self._task, None
        while task is not None and not task.done():
            # A cancellation is lost where redis-py takes it for the end of redis-py's own wait.
            task.cancel()
            await asyncio.wait([task], timeout=CLOSE_EVERY_S)

    async def _listen(self) -> None:
        while True:
            try:
                async with self._client() as client, client.pubsub() as pubsub:
                    await pubsub.subscribe(keys.CHANGES)
                    await self._hear(pubsub)
            except (RedisError, OSError, TimeoutError) as error:
                if self._backoff.is_fresh:
                    logger.warning(
                        "cannot listen to changes on Redis; trying again",
                        extra={"action": "changes.lost", "reason": reason(error)},
                    )
            except Exception:  # a process without a listener would keep stale facts for ever
                logger.exception(
                    "the listener to changes failed; trying again",
                    extra={"action": "changes.fault"},
                )
            self._tried.set()
            await asyncio.sleep(self._backoff.next_s())

    async def _hear(self, pubsub: PubSub) -> None:
        """Handle messages until the connection fails, or Redis leaves a ping unanswered.

        Raises: TimeoutError when no answer comes within `silence_s` after the ping.
        """
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
            self._backoff.reset()
            self._on_gap()
            self._tried.set()
        elif message["type"] == "message":
            notice = _read(message["data"])
            if notice.origin != self.origin:
                self.take(notice.changes)

    def _client(self) -> Redis:
        retry = AsyncRetry(NoBackoff(), 0)
        given = options(self._settings.redis_timeout_s)
        return Redis.from_url(self._settings.redis_url, retry=retry, **given)


def _read(text: bytes) -> Notice:
    try:
        return decode_notice(text)
    except PoisonRecord as error:
        logger.error(
            "unreadable change", extra={"action": "changes.unreadable", "reason": str(error)}
        )
        return Notice("", (AnythingChanged(),))

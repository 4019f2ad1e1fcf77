"""Open a cache on a Redis, and read what the cache keeps there."""

from __future__ import annotations

import pytest
import redis
from msgspec.structs import replace

from messaging.cache import keys
from messaging.cache.redis_cache import RedisMessageCache
from messaging.conf import Settings
from messaging.domain.message import Message
from messaging.ports.cached import CachedTail
from tests.support.messages import make_message

HALF_AN_HOUR = pytest.approx(1_800, abs=5)
NO_END = -1
TIMEOUT_S = 0.3


def open_cache(url: str, *, timeout_s: float = 5.0) -> RedisMessageCache:
    settings = Settings(
        redis_url=url, event_log_url=url, redis_timeout_s=timeout_s, datacenter_id=1, send_rate=0
    )
    return RedisMessageCache(settings)


def names(server: redis.Redis) -> list[str]:
    """Return all keys but `INCARNATION`, which is always there."""
    return [name for name in server.scan_iter() if name != keys.INCARNATION]


def row(number: int, seq: int = 1) -> Message:
    return replace(make_message(number), seq=seq)


async def tail(cache: RedisMessageCache) -> CachedTail:
    return await cache.cached_tail("1_2", reader_id=1, before=None, limit=100)


async def load(cache: RedisMessageCache, *rows: Message) -> None:
    token = await cache.begin_fill("1_2")
    assert token is not None
    await cache.fill("1_2", token, rows, floor=0, base=0)

"""Open each message cache: in memory, on a redis-server of our own, on the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import redis

from messaging.cache import RedisMessageCache, keys
from messaging.conf import Settings
from messaging.domain.events import encode_message
from messaging.domain.rates import Rates
from messaging.ports.cache import MessageCache
from messaging.testing.cache import MemoryCache
from tests.support.messages import make_message
from tests.support.real_services import call_whole, empty_database


@pytest.fixture(
    params=["memory", "embedded", pytest.param("connected", marks=pytest.mark.connected)]
)
def url(request: pytest.FixtureRequest) -> str | None:
    """The address of an empty Redis; None for the cache in memory."""
    if request.param == "memory":
        return None
    if request.param == "embedded":
        return str(request.getfixturevalue("redis_url"))
    address = empty_database()
    with redis.Redis.from_url(address) as client:
        call_whole(client)
    return address


@pytest.fixture
async def cache(url: str | None) -> AsyncIterator[MessageCache]:
    if url is None:
        yield MemoryCache()
        return
    opened = RedisMessageCache(
        Settings(redis_url=url, event_log_url=url, redis_timeout_s=5.0, send_rate=0)
    )
    yield opened
    await opened.close()


@pytest.fixture
def run_out(cache: MessageCache, url: str | None) -> Callable[[], None]:
    """Makes half an hour pass in which nobody comes."""
    if isinstance(cache, MemoryCache):
        return cache.run_out
    assert url is not None

    def delete_what_ages() -> None:
        with redis.Redis.from_url(url) as client:
            for name in client.scan_iter("msg:*"):
                if 0 <= client.ttl(name) <= 30 * 60:
                    client.delete(name)

    return delete_what_ages


@pytest.fixture
def restart(cache: MessageCache, url: str | None) -> Callable[[], Awaitable[None]]:
    """Starts the server of the cache again, with all its data, and waits until it is noticed."""

    async def start_again() -> None:
        if isinstance(cache, MemoryCache):
            cache.restart(cache.file())
        else:
            assert url is not None
            with redis.Redis.from_url(url) as client:
                client.hset(keys.INCARNATION, "id", "an earlier start")
            await asyncio.sleep(0.01)  # a real start takes longer than the clock's millisecond
        await cache.heartbeat()
        await asyncio.sleep(0.02)  # a copy of the same millisecond may be hidden, too

    return start_again


@pytest.fixture
async def limiting_cache(url: str | None) -> AsyncIterator[MessageCache]:
    """Lets a sender send three messages at once, and ten a second."""
    if url is None:
        yield MemoryCache(rates=Rates(rate=10, burst=3))
        return
    settings = Settings(redis_url=url, event_log_url=url, send_rate=10, send_burst=3)
    opened = RedisMessageCache(settings)
    yield opened
    await opened.close()


@pytest.fixture
async def small_cache(url: str | None) -> AsyncIterator[MessageCache]:
    """Lets three of `make_message` be pending, and no fourth one."""
    most = 7 * len(encode_message(make_message(1))) // 2
    if url is None:
        yield MemoryCache(most_pending_bytes=most)
        return
    settings = Settings(redis_url=url, event_log_url=url, send_rate=0, pending_bytes=most)
    opened = RedisMessageCache(settings)
    yield opened
    await opened.close()

"""Open each message cache: in memory, on a redis-server of our own, on the real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import redis

from messaging.cache import keys
from messaging.cache.redis_cache import RedisMessageCache
from messaging.conf import Settings
from messaging.domain.events import encode_message
from messaging.domain.rates import Rates
from messaging.ports.cache import MessageCache
from messaging.testing.cache import MemoryCache
from tests.contract.cache.events import Events, events_of
from tests.support.messages import make_message
from tests.support.real_services import call_whole, empty_database


@pytest.fixture(
    params=["memory", "embedded", pytest.param("connected", marks=pytest.mark.connected)]
)
def url(request: pytest.FixtureRequest) -> str | None:
    """Return the address of an empty Redis, or None for the cache in memory."""
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
def events(cache: MessageCache, url: str | None) -> Iterator[Events]:
    """Return the events that may happen to the lists in this cache."""
    if url is None:
        yield events_of(cache, None)
        return
    with redis.Redis.from_url(url, decode_responses=True) as server:
        yield events_of(cache, server)


@pytest.fixture
def run_out(cache: MessageCache, url: str | None) -> Callable[[], None]:
    """Return a function that lets half an hour pass for the cache without any reader."""
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
    """Return a function that restarts the cache's server with its data, and awaits the notice."""

    async def start_again() -> None:
        if isinstance(cache, MemoryCache):
            cache.restart(cache.file())
        else:
            assert url is not None
            with redis.Redis.from_url(url) as client:
                client.hset(keys.INCARNATION, "id", "an earlier start")
            await asyncio.sleep(0.01)  # a real restart takes longer than the clock's millisecond
        await cache.heartbeat()
        # A copy made in the same millisecond as the restart may be hidden, too.
        await asyncio.sleep(0.02)

    return start_again


@pytest.fixture
async def limiting_cache(url: str | None) -> AsyncIterator[MessageCache]:
    """Open a cache that lets a sender send three messages at once, and ten a second."""
    if url is None:
        yield MemoryCache(rates=Rates(rate=10, burst=3))
        return
    settings = Settings(redis_url=url, event_log_url=url, send_rate=10, send_burst=3)
    opened = RedisMessageCache(settings)
    yield opened
    await opened.close()


@pytest.fixture
async def small_cache(url: str | None) -> AsyncIterator[MessageCache]:
    """Open a cache with room for three pending messages of `make_message`, and for no fourth."""
    most = 7 * len(encode_message(make_message(1))) // 2
    if url is None:
        yield MemoryCache(most_pending_bytes=most)
        return
    settings = Settings(redis_url=url, event_log_url=url, send_rate=0, pending_bytes=most)
    opened = RedisMessageCache(settings)
    yield opened
    await opened.close()

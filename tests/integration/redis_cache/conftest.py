"""Open one cache on the redis-server of this test run, and a client of the same server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from messaging.cache.redis_cache import RedisMessageCache
from tests.integration.redis_cache.opened import open_cache


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[RedisMessageCache]:
    opened = open_cache(redis_url)
    yield opened
    await opened.close()


@pytest.fixture
def server(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client

"""Test the processes that share one Redis: forked children, and owners of worker ids."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
import warnings

import pytest
import redis
from msgspec.structs import replace

from messaging.cache.redis_cache import RedisMessageCache
from messaging.conf import Settings
from messaging.domain.backend_errors import LeaseLost
from messaging.domain.ids import SnowflakeIdGenerator
from messaging.runtime.worker_lease import WorkerLeaseKeeper
from messaging.testing.store import MemoryStore
from tests.integration.redis_cache.opened import open_cache
from tests.support.messages import make_message


def in_child(check: str, url: str) -> bool:
    """Run one of the coroutines below in a forked child."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of a fork beside threads
        child = os.fork()
    if child == 0:
        code = 1
        try:
            asyncio.run(CHILDREN[check](url))
            code = 0
        finally:
            os._exit(code)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


_inherited: list[object] = []


async def use_the_parents_cache(url: str) -> None:
    (cache,) = _inherited
    assert isinstance(cache, RedisMessageCache)
    for n in range(100, 120):
        await cache.accept([make_message(n)], None)
    await cache.close()


async def use_the_parents_keeper(url: str) -> None:
    ids, keeper = _inherited
    assert isinstance(ids, SnowflakeIdGenerator)
    assert isinstance(keeper, WorkerLeaseKeeper)
    assert ids.lease is None
    await keeper.ensure()
    node = (ids.next_id("1_2") >> 12) & 1023
    with redis.Redis.from_url(url) as server:
        server.set("the child's node", node)
    await keeper.close()


CHILDREN = {"cache": use_the_parents_cache, "keeper": use_the_parents_keeper}


def open_keeper(cache: RedisMessageCache) -> tuple[SnowflakeIdGenerator, WorkerLeaseKeeper]:
    ids = SnowflakeIdGenerator()
    settings = Settings(redis_url="", event_log_url="", datacenter_id=1, worker_lease_s=600)
    return ids, WorkerLeaseKeeper(ids=ids, cache=cache, store=MemoryStore(), settings=settings)


class TestForkedChild:
    async def test_makes_connections_of_its_own(
        self, cache: RedisMessageCache, redis_url: str
    ) -> None:
        await asyncio.gather(*(cache.accept([make_message(n)], None) for n in range(8)))
        _inherited[:] = [cache]

        assert in_child("cache", redis_url)

        await asyncio.gather(*(cache.accept([make_message(n)], None) for n in range(8, 16)))
        assert await cache.pending_count() == 36

    async def test_never_gives_ids_under_its_parents_worker_id(
        self, cache: RedisMessageCache, redis_url: str, server: redis.Redis
    ) -> None:
        ids, keeper = open_keeper(cache)
        await keeper.ensure()
        assert ids.lease is not None
        node = ids.lease.node
        _inherited[:] = [ids, keeper]

        assert in_child("keeper", redis_url)

        assert int(server.get("the child's node")) != node
        assert server.get(f"msg:worker:{node}") == ids.lease.owner
        assert (ids.next_id("1_2") >> 12) & 1023 == node
        await keeper.close()


class TestWorkerLease:
    async def test_is_fenced_when_redis_forgets_it(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        ids, keeper = open_keeper(cache)
        await keeper.ensure()
        lease = ids.lease
        assert lease is not None
        server.flushall()
        server.set(f"msg:worker:{lease.node}", "another")  # another process was quicker

        with pytest.raises(LeaseLost):
            await cache.accept([replace(make_message(1), id=ids.next_id("1_2"))], lease)
        ids.use(None)
        await keeper.ensure()

        assert ids.lease is not None
        assert ids.lease.node != lease.node
        message = replace(make_message(1), id=ids.next_id("1_2"))
        assert await cache.accept([message], ids.lease) == [None]
        await keeper.close()

    async def test_is_shared_by_nobody(self, redis_url: str) -> None:
        caches = [open_cache(redis_url) for _ in range(32)]
        kept = [open_keeper(cache) for cache in caches[:24]]

        await asyncio.gather(*(keeper.ensure() for _, keeper in kept))

        nodes = {ids.lease.node for ids, _ in kept if ids.lease is not None}
        assert nodes == set(range(32, 56))
        for (_, keeper), cache in itertools.zip_longest(kept, caches, fillvalue=(None, None)):
            if keeper is not None:
                await keeper.close()
            await cache.close()

    async def test_rests_after_it_was_given_back(
        self, cache: RedisMessageCache, server: redis.Redis
    ) -> None:
        ids, keeper = open_keeper(cache)
        await keeper.ensure()
        assert ids.lease is not None
        name = f"msg:worker:{ids.lease.node}"

        await keeper.close()

        assert server.ttl(name) == pytest.approx(60, abs=2)

"""Test the leases of names and of worker ids."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from messaging.domain.backend_errors import LeaseLost
from messaging.ports.cache import MessageCache
from messaging.ports.cache_service import LeaseRequest
from tests.contract.cache.conversation import LEASE
from tests.support.messages import make_message


class TestLeases:
    async def test_is_one_owners_at_a_time(self, cache: MessageCache) -> None:
        assert await cache.take_lease("lease:compensation", "a", 60)
        assert await cache.take_lease("lease:compensation", "a", 60)
        assert not await cache.take_lease("lease:compensation", "b", 60)
        assert await cache.take_lease("worker:1", "b", 60)

    async def test_anybody_may_ask_whether_it_is_held(self, cache: MessageCache) -> None:
        assert not await cache.is_leased("swept")
        await cache.take_lease("swept", "a", 0.05)
        assert not await cache.is_leased("worker:1")
        async with asyncio.timeout(5):
            while await cache.is_leased("swept"):
                await asyncio.sleep(0.01)
        await cache.take_lease("swept", "a", 60)
        assert await cache.is_leased("swept")

    async def test_is_free_when_its_time_is_over(self, cache: MessageCache) -> None:
        await cache.take_lease("worker:1", "a", 0.05)
        assert not await cache.take_lease("worker:1", "b", 60)

        async with asyncio.timeout(5):
            while not await cache.take_lease("worker:1", "b", 60):
                await asyncio.sleep(0.01)


class TestWorkerIds:
    NOW, UNTIL = 1_800_000_000_000, 1_800_000_600_000

    async def take(self, port: MessageCache, node: int, owner: str, now_ms: int) -> int | None:
        until_ms = now_ms + self.UNTIL - self.NOW
        return await port.take_worker(LeaseRequest(node, owner, 60, now_ms, until_ms))

    async def test_are_leased_to_one_owner_at_a_time(self, cache: MessageCache) -> None:
        assert await self.take(cache, 5, "a", self.NOW) == 0
        assert await self.take(cache, 5, "a", self.NOW - 9) == 0
        assert await self.take(cache, 5, "b", self.UNTIL) is None
        assert await self.take(cache, 6, "b", self.NOW) == 0
        other = replace(LEASE, owner="c")
        with pytest.raises(LeaseLost):
            await cache.accept([make_message(1)], other)

    async def test_are_not_used_again_for_the_same_times(self, cache: MessageCache) -> None:
        await cache.take_worker(LeaseRequest(5, "a", 0.05, self.NOW, self.UNTIL))
        async with asyncio.timeout(5):
            while not await cache.take_lease("worker:5", "nobody", 0.05):
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)

        assert await self.take(cache, 5, "b", self.UNTIL - 1) is None
        # The refused call did not take the lease either.
        assert await cache.take_lease("worker:5", "nobody", 0.001)
        await asyncio.sleep(0.05)
        assert await self.take(cache, 5, "b", self.UNTIL) == self.UNTIL
        assert await self.take(cache, 5, "b", self.UNTIL) == 0

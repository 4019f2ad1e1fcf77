"""Test what a process believes of a cache that it has lost and found again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from messaging.domain.backend_errors import CacheUnavailable
from messaging.domain.breakers import Breaker
from messaging.domain.message import Message
from messaging.pipeline.guarded_cache import guarded
from messaging.testing.cache import MemoryCache
from tests.support.memory import MemoryService


@pytest.mark.parametrize("is_restarted", [True, False])
async def test_an_answer_of_an_earlier_start_counts_for_nothing_after_the_loss(
    monkeypatch: pytest.MonkeyPatch, is_restarted: bool
) -> None:
    asked, answered, get = asyncio.Event(), asyncio.Event(), MemoryCache.get

    async def get_late(cache: MemoryCache, message_ids: Sequence[int]) -> dict[int, Message]:
        asked.set()
        await answered.wait()
        return await get(cache, message_ids)

    monkeypatch.setattr(MemoryCache, "get", get_late)
    cache = MemoryService().cache
    breaker = Breaker("cache", cache.pending_count)  # answers at once: the cache is well
    incarnation = "first"
    known = guarded(cache, breaker, lambda: incarnation)
    call = asyncio.create_task(known.get([1]))
    await asked.wait()
    breaker.trip()
    assert await breaker.try_now()
    assert breaker.is_closed
    if is_restarted:
        incarnation = "second"
    answered.set()

    if is_restarted:
        with pytest.raises(CacheUnavailable):
            await call
    else:
        assert await call == {}
    assert await known.get([1]) == {}
    await breaker.close()

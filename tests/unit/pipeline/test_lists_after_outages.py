"""Check that no cached conversation list outlives a change that its process could not tell.

The cache itself drops nothing then: every list counts as one of before the loss.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from messaging.domain.groups import JoinMode
from messaging.ports.cache_service import RECOVERS_S
from messaging.service import groups
from messaging.service.group_rules import Actor
from messaging.service.send import send
from messaging.testing.cache import MemoryCache
from tests.support.memory import ALICE, BOB, MALLORY, MemoryService, to_bob
from tests.unit.pipeline.outages import Link

LOOK_EVERY_S = 0.05
OWNER, GUEST = Actor(user_id=ALICE), Actor(user_id=MALLORY)


async def cache_list(cache: MemoryCache, user_id: int) -> None:
    token = (await cache.listing(user_id)).token
    assert token is not None
    await cache.fill_listing(user_id, token, [])


async def is_cached(cache: MemoryCache, user_id: int) -> bool:
    return (await cache.listing(user_id)).entries is not None


@pytest.fixture
async def service() -> AsyncIterator[MemoryService]:
    service = MemoryService()
    await service.hints.recover()
    yield service
    await service.hints.leave()


async def made(service: MemoryService) -> int:
    fields = {"name": "club", "join_mode": JoinMode.OPEN}
    return (await groups.create_group(service.backends, fields, actor=OWNER)).changed.group.id


async def test_a_list_is_read_anew_after_a_change_that_the_cache_was_not_told(
    service: MemoryService,
) -> None:
    group_id = await made(service)
    await cache_list(service.cache, MALLORY)
    service.cache.down = True
    await groups.join(service.backends, group_id, "", actor=GUEST)
    service.cache.down = False
    assert await service.hints.breaker.try_now()
    assert not await is_cached(service.cache, MALLORY)
    service.cache.complete_from_s -= RECOVERS_S
    assert not await is_cached(service.cache, MALLORY)


async def test_a_list_that_others_read_ends_with_the_loss_of_one_process(
    service: MemoryService,
) -> None:
    link = Link(service.cache)
    one = MemoryService(cache=link, store=service.store)  # type: ignore[arg-type]
    await one.hints.recover()
    service.hints.loss.watch(every_s=LOOK_EVERY_S)
    group_id = await made(one)
    await cache_list(service.cache, MALLORY)
    link.is_cut = True
    await groups.join(one.backends, group_id, "", actor=GUEST)
    async with asyncio.timeout(2):
        while await is_cached(service.cache, MALLORY):
            await asyncio.sleep(LOOK_EVERY_S)
    link.is_cut = False
    assert await one.hints.breaker.try_now()
    service.cache.complete_from_s -= RECOVERS_S
    assert not await is_cached(service.cache, MALLORY)
    await one.hints.leave()


async def test_a_list_gets_a_chat_that_was_stored_past_the_cache(service: MemoryService) -> None:
    await cache_list(service.cache, BOB)
    service.cache.down = service.broker.down = True
    await send(service.backends, to_bob("hello"), sender_id=ALICE)
    service.cache.down = False
    assert await service.hints.breaker.try_now()
    service.cache.complete_from_s -= RECOVERS_S
    assert not await is_cached(service.cache, BOB)

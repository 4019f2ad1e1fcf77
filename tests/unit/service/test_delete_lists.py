"""Test that a delete drops the cached conversation list of its user, and nobody else's.

A list that stays would have an older `rev` of the user's participant, under which a number of
unread messages counts that has the deleted one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from messaging.domain.backend_errors import CacheUnavailable
from messaging.pipeline.hint_delivery import HintDelivery
from messaging.pipeline.write_through import WriteThrough
from messaging.ports.store import CacheHint
from messaging.service.delete import delete
from messaging.service.send import send
from tests.support.memory import ALICE, BOB, MemoryService, to_bob
from tests.unit.pipeline.outages import Replaced


@pytest.fixture
def service() -> MemoryService:
    return MemoryService()


async def sent(service: MemoryService, **given: Any) -> int:
    receipt = await send(service.backends, to_bob(**given), sender_id=ALICE)
    return receipt.message_id


async def cache_lists(service: MemoryService) -> None:
    for user_id in (ALICE, BOB):
        token = (await service.cache.listing(user_id)).token
        assert token is not None
        await service.cache.fill_listing(user_id, token, [])
    assert await cached(service) == {ALICE, BOB}


async def cached(service: MemoryService) -> set[int]:
    users = (ALICE, BOB)
    return {i for i in users if (await service.cache.listing(i)).entries is not None}


@pytest.mark.parametrize("is_stored", [True, False])
async def test_a_delete_drops_the_list_of_its_user(service: MemoryService, is_stored: bool) -> None:
    message_id = await sent(service)
    if is_stored:
        await service.consume()
    await cache_lists(service)

    await delete(service.backends, message_id, user_id=BOB)

    assert await cached(service) == {ALICE}


async def test_a_delete_that_is_handed_over_drops_the_list_of_its_user(
    service: MemoryService,
) -> None:
    await sent(service)
    await service.consume()  # the first message of a conversation drops lists by itself
    attempts = []
    for _ in range(2):
        service.cache.idempotency_records.clear()
        attempts.append(service.cache.details[await sent(service, client_msg_id="k")])
    await service.store.delete_for_user(BOB, [attempts[1].id], attempts[1].conversation_id)
    await cache_lists(service)

    await WriteThrough(service.cache, service.store).write(attempts)

    assert await cached(service) == {ALICE}


async def test_a_delete_that_a_hint_tells_of_drops_the_list_of_its_user(
    service: MemoryService,
) -> None:
    await sent(service)
    message_id = await sent(service)
    await service.consume()
    await service.store.delete_for_user(BOB, [message_id], f"{ALICE}_{BOB}")
    await service.store.record_hints([CacheHint(message_id, BOB)])
    await cache_lists(service)

    await HintDelivery(service.cache, service.store).deliver_recorded()

    assert await cached(service) == {ALICE}


async def test_a_delete_succeeds_where_the_list_cannot_be_dropped(service: MemoryService) -> None:
    message_id = await sent(service)

    async def forget_listings(user_ids: object) -> None:
        raise CacheUnavailable

    cache = Replaced(service.cache, forget_listings=forget_listings)
    writes = replace(service.backends.writes, cache=cache)
    backends = replace(service.backends, cache=cache, writes=writes)
    await delete(backends, message_id, user_id=BOB)

    assert message_id in service.cache.deletes[BOB]

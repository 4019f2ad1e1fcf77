"""Check that after a store outage its rows are not believed until they hold the log's events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from messaging.domain.errors import TemporarilyUnavailable
from messaging.pipeline import catch_up
from messaging.service.fetch import fetch
from messaging.service.recall import recall
from messaging.service.send import send
from tests.support.memory import ALICE, BOB, MemoryService, to_bob

CHECK_EVERY_S = 0.01


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MemoryService]:
    """Open a service whose catch-up looks often."""
    monkeypatch.setattr(catch_up, "CHECK_EVERY_S", CHECK_EVERY_S)
    service = MemoryService()
    watched = service.backends.catch_up
    watched._all_back_s = 0.0
    watched.watch()
    assert not watched.is_behind
    yield service
    await watched.close()


async def until_known(service: MemoryService) -> None:
    async with asyncio.timeout(2):
        while service.backends.catch_up.is_behind:
            await asyncio.sleep(CHECK_EVERY_S)


def lose_store(service: MemoryService) -> None:
    service.store.down = True
    service.store.breaker.trip()


async def regain_store(service: MemoryService) -> None:
    service.store.down = False
    assert await service.store.breaker.try_now()


async def stays_behind(service: MemoryService) -> bool:
    for _ in range(10):
        await asyncio.sleep(CHECK_EVERY_S)
        if not service.backends.catch_up.is_behind:
            return False
    return True


async def test_a_recall_of_an_outage_is_waited_for(service: MemoryService) -> None:
    sent = await send(service.backends, to_bob("secret"), sender_id=ALICE)
    await service.consume()
    lose_store(service)
    await recall(service.backends, sent.message_id, user_id=ALICE)
    await regain_store(service)
    assert await stays_behind(service)

    service.cache.down = True
    service.hints.breaker.trip()
    with pytest.raises(TemporarilyUnavailable):
        await fetch(service.backends, sent.message_id, reader_id=BOB)
    service.cache.down = False
    assert await service.hints.breaker.try_now()
    await service.consume()
    await until_known(service)
    service.cache.down = True
    service.hints.breaker.trip()
    assert (await fetch(service.backends, sent.message_id, reader_id=BOB)).content == ""


async def test_later_sends_are_not_waited_for(service: MemoryService) -> None:
    lose_store(service)
    await send(service.backends, to_bob("first"), sender_id=ALICE)
    await regain_store(service)
    assert await stays_behind(service)
    await service.consumer.step()
    await send(service.backends, to_bob("second"), sender_id=ALICE)
    await until_known(service)


async def test_nothing_is_believed_while_the_log_is_away(service: MemoryService) -> None:
    lose_store(service)
    service.broker.down = True
    await regain_store(service)
    assert await stays_behind(service)
    service.broker.down = False
    await until_known(service)


async def test_a_second_outage_begins_anew(service: MemoryService) -> None:
    lose_store(service)
    await send(service.backends, to_bob("first"), sender_id=ALICE)
    await regain_store(service)
    assert await stays_behind(service)
    lose_store(service)
    assert await stays_behind(service)
    await regain_store(service)
    await service.consume()
    await until_known(service)

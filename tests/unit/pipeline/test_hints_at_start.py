"""Check that a process that cannot read the hints at its start does not believe Redis alone."""

from __future__ import annotations

import pytest

from messaging.domain.errors import TemporarilyUnavailable
from messaging.ports.cache_service import RECOVERS_S
from messaging.service.delete import delete
from messaging.service.history import history
from messaging.service.send import send
from messaging.testing.cache import MemoryCache
from tests.support.memory import ALICE, MemoryService, to_bob, with_bob


async def contents(service: MemoryService) -> list[str]:
    page = await history(service.backends, with_bob(), reader_id=ALICE)
    return [message.content for message in page.messages]


@pytest.fixture
async def started() -> MemoryService:
    """A process that starts while the store is away, after a delete that Redis lacks.

    The process that deleted the message has ended.
    """
    earlier = MemoryService()
    await earlier.hints.recover()
    receipt = await send(earlier.backends, to_bob("deleted"), sender_id=ALICE)
    await earlier.consume()
    assert await contents(earlier) == ["deleted"]
    earlier.cache.down = True
    earlier.hints.breaker.trip()
    await delete(earlier.backends, receipt.message_id, user_id=ALICE)
    await earlier.hints.breaker.close()
    earlier.cache.down = False
    earlier.store.down = True
    started = earlier.restarted_with()
    started.store.breaker.trip()
    return started


async def test_shows_nothing_until_the_store_is_back(started: MemoryService) -> None:
    await started.node.begin(name="started")
    started.cache.complete_from_s -= RECOVERS_S
    with pytest.raises(TemporarilyUnavailable):
        await contents(started)
    assert not await started.hints.breaker.try_now()
    started.store.down = False
    assert await started.store.breaker.try_now()
    assert await started.hints.breaker.try_now()
    started.cache.complete_from_s -= RECOVERS_S  # the recovery begins these seconds anew
    assert await contents(started) == []
    await started.hints.leave()


async def test_follows_a_process_that_believes_the_cache(started: MemoryService) -> None:
    await started.cache.heartbeat("another")
    await started.node.begin(name="started")
    assert await started.hints.breaker.try_now()
    started.cache.complete_from_s -= RECOVERS_S
    assert await contents(started) == ["deleted"]  # as the other process shows it
    await started.hints.leave()


async def test_knows_that_idempotency_records_were_lost_before_it_started() -> None:
    """Redis comes back empty, another process repairs it, and then this process starts."""
    earlier = MemoryService()
    wanted = to_bob("hello", client_msg_id="c")
    first = await send(earlier.backends, wanted, sender_id=ALICE)
    await earlier.consume()
    earlier.cache.restart(MemoryCache().file())
    assert await earlier.hints.breaker.try_now()
    await earlier.hints.breaker.close()
    started = earlier.restarted_with()
    started.clock.now_ms += 1_000  # so that a new message would get another id
    await started.node.begin(name="started")
    retried = await send(started.backends, wanted, sender_id=ALICE)
    assert retried.message_id == first.message_id
    await started.hints.leave()

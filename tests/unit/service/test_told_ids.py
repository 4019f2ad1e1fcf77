"""Check that every id that a client was told leads to the one message for ever."""

from __future__ import annotations

import asyncio

import pytest

from messaging.domain.errors import (
    ClientMsgIdReused,
    MessageNotFound,
    SendFailed,
    TemporarilyUnavailable,
)
from messaging.domain.ids import WorkerLease
from messaging.domain.requests import Ack
from messaging.service.delete import delete
from messaging.service.fetch import fetch
from messaging.service.history import history
from messaging.service.recall import recall
from messaging.service.send import send
from messaging.testing.cache import MemoryCache
from tests.support.memory import ALICE, BOB, MemoryService, to_bob, with_bob

OTHER = WorkerLease(node=1, owner="other", valid_until_s=float("inf"), fenced=True)


@pytest.fixture
def service() -> MemoryService:
    return MemoryService()


def beside(service: MemoryService) -> MemoryService:
    """Return a second process over the same parts."""
    other = MemoryService(
        service.settings, service.clock, service.broker, service.cache, service.store
    )
    other.ids.use(OTHER)
    return other


async def told_twice(service: MemoryService) -> list[int]:
    """Send and retry with the record evicted in between; return the two ids, both pending."""
    first = await send(service.backends, to_bob("secret", client_msg_id="k"), sender_id=ALICE)
    service.cache.idempotency_records.clear()
    again = await send(service.backends, to_bob("secret", client_msg_id="k"), sender_id=ALICE)
    assert first.message_id != again.message_id
    return [first.message_id, again.message_id]


async def contents(service: MemoryService, reader: int) -> list[str]:
    page = await history(
        service.backends, with_bob(target_id=ALICE + BOB - reader), reader_id=reader
    )
    return [m.content for m in page.messages if m.content]


@pytest.mark.parametrize("aged", [False, True])
async def test_ids_told_past_the_cache_lead_to_one_message(
    service: MemoryService, aged: bool
) -> None:
    """Redis and the store are away, so that nobody knows of the first attempt."""
    other = beside(service)
    service.cache.down = service.store.down = True
    first = await send(service.backends, to_bob("secret", client_msg_id="k"), sender_id=ALICE)
    again = await send(other.backends, to_bob("secret", client_msg_id="k"), sender_id=ALICE)
    assert first.message_id != again.message_id
    service.cache.down = service.store.down = False
    await asyncio.sleep(1.5)
    for told in (first, again):
        assert (await fetch(service.backends, told.message_id, reader_id=BOB)).content == "secret"
    await service.consume()
    if aged:
        service.cache.run_out()
    seen = [await fetch(service.backends, t.message_id, reader_id=BOB) for t in (first, again)]
    assert {m.id for m in seen} == set(service.store.rows)
    await recall(service.backends, again.message_id, user_id=ALICE)
    for told in (first, again):
        assert (await fetch(service.backends, told.message_id, reader_id=BOB)).content == ""
    assert await contents(service, BOB) == []


@pytest.mark.parametrize("stored", [0, 1, 2])
@pytest.mark.parametrize("by", [0, 1])
async def test_a_recall_by_either_id_hides_both(
    service: MemoryService, by: int, stored: int
) -> None:
    ids = await told_twice(service)
    await store_some(service, stored)
    tombstone = await recall(service.backends, ids[by], user_id=ALICE)
    for message_id in ids:
        seen = await fetch(service.backends, message_id, reader_id=BOB)
        assert (seen.content, seen.recall_time) == ("", tombstone.recall_time)
    assert await contents(service, BOB) == []
    await service.consume()
    assert await contents(service, BOB) == []
    (row,) = service.store.rows.values()
    assert row.recall_time == tombstone.recall_time
    assert not service.cache.marks
    assert not service.cache.pending_set.times


@pytest.mark.parametrize("by", [0, 1])
async def test_a_recall_that_only_the_log_has_hides_both(service: MemoryService, by: int) -> None:
    ids = await told_twice(service)
    await contents(service, BOB)  # bob's deletes are cached from now on
    service.store.down = True
    await recall(service.backends, ids[by], user_id=ALICE)
    for message_id in ids:
        assert (await fetch(service.backends, message_id, reader_id=BOB)).content == ""
    service.store.down = False
    await service.consume()
    assert await contents(service, BOB) == []


@pytest.mark.parametrize("stored", [0, 1, 2])
@pytest.mark.parametrize("by", [0, 1])
async def test_a_delete_by_either_id_hides_both(
    service: MemoryService, by: int, stored: int
) -> None:
    ids = await told_twice(service)
    await store_some(service, stored)
    await delete(service.backends, ids[by], user_id=BOB)
    for _ in range(2):
        assert await contents(service, BOB) == []
        assert "secret" in await contents(service, ALICE)
        for message_id in ids:
            with pytest.raises(MessageNotFound):
                await fetch(service.backends, message_id, reader_id=BOB)
        await service.consume()


async def store_some(service: MemoryService, count: int) -> None:
    """Store the first `count` attempts, as a consumer that lags behind."""
    states = sorted(service.cache.details.values(), key=lambda m: m.id)[:count]
    if count == 2:
        await service.consume()
    elif states:
        await service.cache.mark_stored((await service.store.apply(states)).rows)


async def test_waiting_for_the_store_ends_with_the_id_that_stays(service: MemoryService) -> None:
    first = await send(service.backends, to_bob("x", client_msg_id="k"), sender_id=ALICE)
    await service.consume()
    service.cache.idempotency_records.clear()
    again = to_bob("x", client_msg_id="k", ack=Ack.STORE)
    waiting = asyncio.create_task(send(service.backends, again, sender_id=ALICE))
    await asyncio.sleep(0.05)
    await service.consume()
    receipt = await waiting
    assert (receipt.message_id, receipt.durability) == (first.message_id, "store")
    assert receipt.send_time == first.send_time


async def test_a_pending_mark_of_what_was_deduplicated_is_dropped(service: MemoryService) -> None:
    ids = await told_twice(service)
    await service.consume()
    service.cache.pending_set.times[ids[1]] = service.clock.now_ms - 60_000
    assert (await service.sweep()).confirmed == 1
    assert not service.cache.pending_set.times


async def test_a_retry_at_another_process_gets_the_first_id_without_the_cache(
    service: MemoryService,
) -> None:
    other = beside(service)
    service.cache.down = True
    request = to_bob("secret", client_msg_id="k")
    receipts = [await send(each.backends, request, sender_id=ALICE) for each in (service, other)]
    assert len({receipt.message_id for receipt in receipts}) == 1
    with pytest.raises(ClientMsgIdReused):
        await service.consume()
        await send(other.backends, to_bob("else", client_msg_id="k"), sender_id=ALICE)
    assert list(service.store.rows) == [receipts[0].message_id]


async def test_a_retry_of_what_failed_is_accepted_under_the_id_that_has_the_key(
    service: MemoryService,
) -> None:
    """The key is reserved although no part has the message, so the retry must not rely on it."""
    other = beside(service)
    service.cache.down = True
    request = to_bob("secret", client_msg_id="k")
    service.store.refuses = lambda _: True
    service.broker.down = True
    with pytest.raises(SendFailed):
        await send(service.backends, request, sender_id=ALICE)
    ((reserved,),) = [[record.message_id for record in service.store.idempotency_records.values()]]
    service.store.refuses = lambda _: False
    service.broker.down = False
    await asyncio.sleep(1.2)  # until the log's breaker closes
    receipt = await send(other.backends, request, sender_id=ALICE)
    assert (receipt.message_id, receipt.durability) == (reserved, "log")
    service.cache.down = False
    await service.consume()
    assert list(service.store.rows) == [reserved]


async def test_a_retry_after_the_cache_was_lost_gets_the_first_id(service: MemoryService) -> None:
    first = await send(service.backends, to_bob("x", client_msg_id="k"), sender_id=ALICE)
    await service.consume()
    service.cache.down = True
    await send(service.backends, to_bob("y"), sender_id=ALICE)
    service.cache.down = False
    service.cache.restart(MemoryCache().file())  # the restart loses the last writes
    await asyncio.sleep(1.5)
    assert service.hints.breaker.is_closed
    again = await send(service.backends, to_bob("x", client_msg_id="k"), sender_id=ALICE)
    assert again.message_id == first.message_id
    with pytest.raises(ClientMsgIdReused):
        await send(service.backends, to_bob("z", client_msg_id="k"), sender_id=ALICE)


async def test_a_cache_that_was_started_again_unseen_is_doubted_too(service: MemoryService) -> None:
    await service.hints.heartbeat()
    assert not service.hints.idempotency_records_may_be_lost
    service.cache.restart(service.cache.file())
    # Another process has written what the restart lost.
    service.cache.recovered_run = service.cache.run
    await service.hints.heartbeat()
    assert service.hints.idempotency_records_may_be_lost


async def test_what_another_process_owes_the_cache_is_not_called_absent(
    service: MemoryService,
) -> None:
    other = beside(service)
    service.cache.down = True
    first = await send(service.backends, to_bob("secret"), sender_id=ALICE)
    other.backends.hints.breaker.trip()
    service.cache.down = False
    assert await other.backends.hints.breaker.try_now()
    assert not service.cache.details  # the first process has not delivered its hints yet

    for act in (recall, delete):
        with pytest.raises(TemporarilyUnavailable):
            await act(other.backends, first.message_id, user_id=ALICE)

    await asyncio.sleep(1.5)
    await recall(other.backends, first.message_id, user_id=ALICE)
    await delete(other.backends, first.message_id, user_id=ALICE)

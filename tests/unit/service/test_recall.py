"""Check that nobody reads a message's content after its recall is acknowledged."""

from __future__ import annotations

import pytest

from messaging.domain.errors import (
    AlreadyRecalled,
    MessageNotFound,
    NotTheSender,
    RecallWindowPassed,
    TemporarilyUnavailable,
)
from messaging.service.fetch import fetch
from messaging.service.history import history
from messaging.service.recall import recall
from messaging.service.send import send
from tests.support.memory import ALICE, BOB, MALLORY, MemoryService, to_bob, to_group, with_bob


@pytest.fixture
def service() -> MemoryService:
    return MemoryService()


async def sent(service: MemoryService) -> int:
    return (await send(service.backends, to_bob("secret"), sender_id=ALICE)).message_id


async def assert_gone(service: MemoryService, message_id: int) -> None:
    """Check that no reader and no store has the content."""
    for reader in (ALICE, BOB):
        assert (await fetch(service.backends, message_id, reader_id=reader)).content == ""
    page = await history(service.backends, with_bob(), reader_id=ALICE)
    assert [(m.id, m.is_recalled, m.content) for m in page.messages] == [(message_id, True, "")]


@pytest.mark.parametrize("persisted", [False, True])
async def test_a_recalled_message_stays_as_a_placeholder(
    service: MemoryService, persisted: bool
) -> None:
    message_id = await sent(service)
    if persisted:
        await service.consume()
    tombstone = await recall(service.backends, message_id, user_id=ALICE)
    assert tombstone.recall_time == service.clock.now_ms
    await assert_gone(service, message_id)
    await service.consume()
    await assert_gone(service, message_id)
    row = (await service.store.get([message_id]))[message_id]
    assert (row.seq, row.content, row.recall_time) == (1, "", tombstone.recall_time)
    assert await service.cache.recall_marks([message_id]) == {}


async def test_the_recall_event_alone_makes_the_tombstone(service: MemoryService) -> None:
    message_id = await sent(service)
    await recall(service.backends, message_id, user_id=ALICE)
    (records,) = service.broker.records.values()
    records.pop(0)  # the PERSIST event never arrives
    await service.consume()
    row = (await service.store.get([message_id]))[message_id]
    assert (row.is_recalled, row.content, row.seq) == (True, "", 1)


async def test_the_window_is_five_minutes_to_the_second(service: MemoryService) -> None:
    message_id = await sent(service)
    service.clock.now_ms += 300_000
    await recall(service.backends, message_id, user_id=ALICE)
    late = await sent(service)
    service.clock.now_ms += 300_001
    with pytest.raises(RecallWindowPassed):
        await recall(service.backends, late, user_id=ALICE)


async def test_a_second_recall_is_refused(service: MemoryService) -> None:
    message_id = await sent(service)
    await recall(service.backends, message_id, user_id=ALICE)
    with pytest.raises(AlreadyRecalled):
        await recall(service.backends, message_id, user_id=ALICE)


async def test_only_the_sender_recalls_and_a_stranger_finds_nothing(service: MemoryService) -> None:
    message_id = await sent(service)
    # The refusal must not tell others whether the recall window is over.
    service.clock.now_ms += 400_000
    with pytest.raises(NotTheSender):
        await recall(service.backends, message_id, user_id=BOB)
    with pytest.raises(MessageNotFound):
        await recall(service.backends, message_id, user_id=MALLORY)
    with pytest.raises(MessageNotFound):
        await recall(service.backends, message_id + 1, user_id=ALICE)


async def test_without_the_log_the_store_is_told_at_once(service: MemoryService) -> None:
    message_id = await sent(service)
    await service.consume()
    service.broker.down = True
    await recall(service.backends, message_id, user_id=ALICE)
    assert (await service.store.get([message_id]))[message_id].is_recalled
    await assert_gone(service, message_id)


async def test_without_log_and_store_nothing_changes(service: MemoryService) -> None:
    message_id = await sent(service)
    service.broker.down = service.store.down = True
    with pytest.raises(TemporarilyUnavailable):
        await recall(service.backends, message_id, user_id=ALICE)
    assert (await service.cache.get([message_id]))[message_id].content == "secret"
    assert await service.cache.recall_marks([message_id]) == {}


async def test_without_the_cache_the_store_is_told_at_once(service: MemoryService) -> None:
    message_id = await sent(service)
    await service.consume()
    service.cache.down = True
    await recall(service.backends, message_id, user_id=ALICE)
    assert (await service.store.get([message_id]))[message_id].is_recalled


async def test_a_group_message_is_recalled_alike(service: MemoryService) -> None:
    receipt = await send(service.backends, to_group("secret"), sender_id=ALICE)
    await recall(service.backends, receipt.message_id, user_id=ALICE)
    assert (await fetch(service.backends, receipt.message_id, reader_id=BOB)).content == ""
    await service.consume()
    assert (await service.store.get([receipt.message_id]))[receipt.message_id].is_recalled

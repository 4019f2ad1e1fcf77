"""Test that nothing shows a user again what the user has cleared, however it is read."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from messaging.domain.backend_errors import CacheUnavailable, StoreUnavailable
from messaging.domain.conversations import Participant
from messaging.domain.errors import ConversationNotFound, MessageNotFound, TemporarilyUnavailable
from messaging.domain.groups import OutReason
from messaging.domain.ids import first_id_at
from messaging.ports.cache_service import RECOVERS_S
from messaging.ports.store import Deletes
from messaging.service import conversation_settings, history_pages
from messaging.service.conversation_settings import clear
from messaging.service.delete import delete
from messaging.service.fetch import fetch
from messaging.service.history import HistoryPage, history
from messaging.service.recall import recall
from messaging.service.send import send
from messaging.testing.cache import MemoryCache
from tests.support.memory import (
    ALICE,
    BOB,
    GROUP,
    MALLORY,
    MemoryService,
    to_bob,
    to_group,
    with_bob,
    with_group,
)
from tests.unit.pipeline.outages import Replaced, lose, regain, with_store

PRIVATE, OF_GROUP = f"{ALICE}_{BOB}", f"g{GROUP}"
both = pytest.mark.parametrize("name", [PRIVATE, OF_GROUP])


@pytest.fixture
def service() -> MemoryService:
    """Open a service with a group whose members have participants."""
    opened = MemoryService()
    for user_id in (ALICE, BOB):
        opened.store.participants[user_id, OF_GROUP] = Participant(
            user_id=user_id, conversation_id=OF_GROUP
        )
    return opened


async def say(service: MemoryService, name: str, count: int = 1, **changes: object) -> list[int]:
    """Send messages from alice, and return their ids, newest first."""
    ids = []
    for number in range(count):
        service.clock.now_ms += 1
        wanted = (to_group if name == OF_GROUP else to_bob)(f"turn {number}", **changes)
        ids.append((await send(service.backends, wanted, sender_id=ALICE)).message_id)
    return ids[::-1]


async def clear_now(service: MemoryService, name: str, user_id: int = BOB) -> Participant:
    """Clear the conversation, and let the clocks go on as they do meanwhile."""
    cleared = await clear(service.backends, name, user_id=user_id)
    service.clock.now_ms += 500
    return cleared


async def page_of(
    service: MemoryService, name: str, user_id: int = BOB, **changes: object
) -> HistoryPage:
    target_id = ALICE if user_id == BOB else BOB
    wanted = with_group() if name == OF_GROUP else with_bob(target_id=target_id)
    return await history(service.backends, replace(wanted, **changes), reader_id=user_id)


async def shown(service: MemoryService, name: str, user_id: int = BOB) -> list[int]:
    """Return the ids that the pages show, checked by cursor and by number."""
    ids: list[int] = []
    before = None
    while True:
        page = await page_of(service, name, user_id, size=7, before_id=before)
        ids += [message.id for message in page.messages]
        if (before := page.next_before_id) is None:
            break
    by_number = [
        message.id
        for number in range(1, len(ids) // 7 + 2)
        for message in (await page_of(service, name, user_id, size=7, page=number)).messages
    ]
    assert by_number == ids
    return ids


async def is_absent(service: MemoryService, message_id: int, user_id: int = BOB) -> None:
    """Check that no call of this user finds the message."""
    calls: list[Callable[..., Awaitable[Any]]] = [
        lambda: fetch(service.backends, message_id, reader_id=user_id),
        lambda: recall(service.backends, message_id, user_id=user_id),
        lambda: delete(service.backends, message_id, user_id=user_id),
    ]
    for call in calls:
        with pytest.raises(MessageNotFound):
            await call()


@both
async def test_pending_messages_that_were_cleared_never_show(
    service: MemoryService, name: str
) -> None:
    first = await say(service, name)
    await service.consume()
    pending = await say(service, name, 100)

    cleared = await clear_now(service, name)
    assert (cleared.read_seq, cleared.floor_seq) == (1, 1)
    assert await shown(service, name) == []
    await is_absent(service, pending[0])

    later = await say(service, name, 3)
    assert await shown(service, name) == later
    await service.consume()
    assert await shown(service, name) == later
    for message_id in (*pending[::33], *first):
        await is_absent(service, message_id)
    # The other one reads on as before.
    assert await shown(service, name, ALICE) == later + pending + first


@both
async def test_a_device_that_knows_nothing_finds_nothing_after_a_loss_and_a_replay(
    service: MemoryService, name: str
) -> None:
    old = await say(service, name, 30)
    await service.consume()
    await clear_now(service, name)
    later = await say(service, name, 2)
    await service.consume()

    service.cache.restart(MemoryCache().file())
    service.broker.committed.clear()
    service.broker.groups.clear()
    service.consumer = service.new_consumer()
    await service.hints.recover()
    await service.consume()

    assert await shown(service, name) == later
    await is_absent(service, old[0])
    service.cache.complete_from_s -= RECOVERS_S
    service.cache.run_out()
    await is_absent(service, old[0])
    assert await shown(service, name) == later


@both
async def test_nothing_shows_while_the_cache_is_away(service: MemoryService, name: str) -> None:
    old = await say(service, name, 30)
    await service.consume()
    await clear_now(service, name)
    later = await say(service, name, 9)
    await service.consume()
    lose(service)
    assert await shown(service, name) == later
    await is_absent(service, old[0])
    assert (await fetch(service.backends, later[-1], reader_id=BOB)).id == later[-1]


@both
async def test_a_cache_that_was_away_hears_of_a_clear_before_it_is_read(
    service: MemoryService, name: str
) -> None:
    await service.hints.recover()
    old = await say(service, name, 9)
    await service.consume()
    assert await shown(service, name) == old  # so the cache knows the floors
    lose(service)
    await clear_now(service, name)
    assert await shown(service, name) == []

    await regain(service)

    assert await shown(service, name) == []
    service.store.down = True  # the cache alone answers
    assert await shown(service, name) == []
    with pytest.raises(MessageNotFound):
        await fetch(service.backends, old[0], reader_id=BOB)
    assert service.store.hinted == {}
    assert service.cache.deletes[BOB] == set()


async def test_no_hint_is_left_where_the_cache_takes_the_floor(service: MemoryService) -> None:
    await say(service, OF_GROUP)
    await clear_now(service, OF_GROUP)
    assert service.store.hinted == {}


async def test_a_clear_is_acknowledged_once_no_process_reads_a_cache_that_lacks_it(
    service: MemoryService,
) -> None:
    waits, goes_on = asyncio.Event(), asyncio.Event()

    async def refuse(*args: object, **options: object) -> None:
        raise CacheUnavailable

    async def deliver(*args: object) -> None:
        waits.set()
        await goes_on.wait()

    await say(service, OF_GROUP)
    writes = dataclasses.replace(
        service.backends.writes,
        cache=Replaced(service.cache, add_deletes=refuse),
        hints=Replaced(service.hints, deliver=deliver),
    )
    backends = dataclasses.replace(service.backends, writes=writes)
    clearing = asyncio.create_task(clear(backends, OF_GROUP, user_id=BOB))
    await waits.wait()
    await asyncio.wait([clearing], timeout=0.8)
    assert not clearing.done()
    assert [hint.user_id for hint in service.store.hinted.values()] == [BOB]
    goes_on.set()
    await clearing


async def test_a_clear_that_the_store_has_no_hint_of_is_not_made(service: MemoryService) -> None:
    async def refuse(*args: object) -> None:
        raise StoreUnavailable

    old = await say(service, OF_GROUP)
    conversations = Replaced(service.conversations, change_hinted=refuse)
    backends = dataclasses.replace(service.backends, conversations=conversations)
    with pytest.raises(TemporarilyUnavailable):
        await clear(backends, OF_GROUP, user_id=BOB)
    assert await shown(service, OF_GROUP) == old


async def test_pages_know_of_a_clear_before_the_list(service: MemoryService) -> None:
    """A reader who sees the floor in the list sees it on a page."""
    told: list[str] = []

    def telling(name: str) -> Any:
        async def tell(*args: Any, **options: Any) -> None:
            told.append(name)
            await getattr(service.cache, name)(*args, **options)

        return tell

    await say(service, OF_GROUP)
    names = ("add_deletes", "raise_participants")
    cache = Replaced(service.cache, **{name: telling(name) for name in names})
    writes = dataclasses.replace(service.backends.writes, cache=cache)
    backends = dataclasses.replace(service.backends, cache=cache, writes=writes)
    await clear(backends, OF_GROUP, user_id=BOB)
    assert told == list(names)


def keep(service: MemoryService) -> None:
    pass


def evict_floors(service: MemoryService) -> None:
    cache = service.cache
    for held in (cache.floors, cache.deletes_floors, cache.deletes_tokens):
        held.pop(BOB, None)


def empty(service: MemoryService) -> None:
    service.cache.restart(MemoryCache().file())


@both
@pytest.mark.parametrize("lose_floors", [keep, evict_floors, empty])
async def test_a_reading_that_began_before_a_clear_does_not_undo_it(
    service: MemoryService, name: str, lose_floors: Callable[[MemoryService], None]
) -> None:
    """A reader may ask the store before a clear, and tell the cache after it."""
    await service.hints.recover()
    await say(service, name, 9)
    await service.consume()
    asked = asyncio.Event()
    cleared = asyncio.Event()
    deletes_of = service.store.deletes_of

    async def ask_slowly(user_id: int, *, limit: int) -> Deletes:
        known = await deletes_of(user_id, limit=limit)
        asked.set()
        await cleared.wait()
        return known

    slow = with_store(service, Replaced(service.store, deletes_of=ask_slowly))
    wanted = with_group() if name == OF_GROUP else with_bob(target_id=ALICE)
    reading = asyncio.create_task(history(slow, wanted, reader_id=BOB))
    await asked.wait()
    await clear_now(service, name)
    lose_floors(service)
    await service.hints.recover()
    cleared.set()
    await reading

    known = 0 if lose_floors is keep else None  # 0: as the reading says
    assert service.cache.deletes_floors.get(BOB) == known
    assert await shown(service, name) == []


@both
async def test_the_total_counts_what_is_above_the_floor(service: MemoryService, name: str) -> None:
    await say(service, name, 5)
    await service.consume()
    assert (await page_of(service, name)).total == 5
    await clear_now(service, name)
    page = await page_of(service, name)
    assert (page.messages, page.total, page.has_more) == ((), 0, False)
    later = await say(service, name, 3)
    for _ in range(2):
        await delete(service.backends, later[0], user_id=BOB)
        page = await page_of(service, name, size=1)
        assert ([m.id for m in page.messages], page.total) == (later[1:2], 3)
        service.cache.run_out()
        await service.consume()


async def test_a_page_of_nothing_costs_no_reading_below_the_floor(
    service: MemoryService, monkeypatch: pytest.MonkeyPatch
) -> None:
    await say(service, PRIVATE, 300)
    await service.consume()
    service.cache.run_out()
    await clear_now(service, PRIVATE)
    parts: list[object] = []
    read = history_pages.PageReader.read

    async def counted(reader: history_pages.PageReader, **bounds: Any) -> history_pages.PagePart:
        parts.append(bounds)
        return await read(reader, **bounds)

    monkeypatch.setattr(history_pages.PageReader, "read", counted)
    assert (await page_of(service, PRIVATE)).messages == ()
    assert len(parts) == 1


@pytest.mark.parametrize(("ahead_ms", "wait_s"), [(0, 0.5), (900, 1.15)])
async def test_the_answer_waits_until_every_clock_has_passed_the_floor(
    service: MemoryService, ahead_ms: int, wait_s: float
) -> None:
    service.clock.now_ms += ahead_ms
    (newest,) = await say(service, PRIVATE)
    await service.consume()
    service.clock.now_ms -= ahead_ms
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    cleared = await clear(service.backends, PRIVATE, user_id=BOB)
    assert wait_s <= loop.time() - began_s < wait_s + 0.4
    assert cleared.floor_id == max(newest, first_id_at(service.clock.now_ms + 251) - 1)


async def test_the_wait_is_bounded(service: MemoryService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation_settings, "LONGEST_WAIT_MS", 30)
    service.clock.now_ms += 60_000
    await say(service, PRIVATE)
    await service.consume()
    service.clock.now_ms -= 60_000
    async with asyncio.timeout(0.4):
        await clear(service.backends, PRIVATE, user_id=BOB)


async def test_a_conversation_of_others_is_as_absent(service: MemoryService) -> None:
    await say(service, PRIVATE)
    await service.consume()
    service.store.participants[MALLORY, OF_GROUP] = Participant(
        user_id=MALLORY, conversation_id=OF_GROUP, is_in=False, out_reason=OutReason.LEFT
    )
    for name in (PRIVATE, OF_GROUP, "g99", "3_4"):
        with pytest.raises(ConversationNotFound):
            await clear(service.backends, name, user_id=MALLORY)
    service.store.down = True
    with pytest.raises(TemporarilyUnavailable):
        await clear(service.backends, PRIVATE, user_id=BOB)


async def test_the_user_s_list_is_told(service: MemoryService) -> None:
    await say(service, OF_GROUP)
    await service.consume()
    entries = await service.conversations.listing(BOB, [OF_GROUP])
    token = (await service.cache.listing(BOB)).token
    assert token is not None
    await service.cache.fill_listing(BOB, token, entries)
    cleared = await clear_now(service, OF_GROUP)
    known = (await service.cache.listing(BOB)).entries
    assert known is not None
    assert known[OF_GROUP].participant == cleared


async def test_a_floor_that_nobody_knows_hides_everything(service: MemoryService) -> None:
    (message_id,) = await say(service, PRIVATE)
    await service.consume()
    await clear_now(service, PRIVATE)
    service.cache.deletes_floors.clear()
    service.store.down = True
    with pytest.raises(TemporarilyUnavailable):
        await fetch(service.backends, message_id, reader_id=BOB)
    with pytest.raises(TemporarilyUnavailable):
        await page_of(service, PRIVATE)


async def test_a_cached_message_is_recalled_without_the_database(service: MemoryService) -> None:
    (message_id,) = await say(service, PRIVATE)
    service.store.down = True
    assert (await recall(service.backends, message_id, user_id=ALICE)).content == ""

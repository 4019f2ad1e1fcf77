"""Check that pages are bounded in bytes, and that a deep page skips what is above by ids alone."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from messaging.domain.message import Message
from messaging.limits import MAX_PAGE_BYTES
from messaging.service.delete import delete
from messaging.service.history import LARGEST_PART, HistoryPage, history, size_bytes
from messaging.service.send import send
from messaging.testing.cache import MemoryCache
from messaging.testing.store import MemoryStore
from tests.support.memory import ALICE, BOB, MemoryService, to_bob, with_bob

LARGE = "\U0001f600" * 4_096  # 16 KiB
FIT = 31


@dataclass(eq=False, slots=True)
class CountingStore(MemoryStore):
    """Count the rows that are read as a whole."""

    rows_read: list[int] = field(default_factory=list)

    async def page(self, conversation_id: str, *, before: int | None, limit: int) -> list[Message]:
        rows = await MemoryStore.page(self, conversation_id, before=before, limit=limit)
        self.rows_read.append(len(rows))
        return rows


async def say(service: MemoryService, count: int, content: str = "hi") -> list[int]:
    """Send messages from alice to bob, and return their ids, newest first."""
    ids = []
    for _ in range(count):
        service.clock.now_ms += 1
        receipt = await send(service.backends, to_bob(content), sender_id=ALICE)
        ids.append(receipt.message_id)
    return ids[::-1]


async def read(service: MemoryService, **query: object) -> HistoryPage:
    return await history(service.backends, with_bob(**query), reader_id=ALICE)


def ids_of(page: HistoryPage) -> list[int]:
    return [message.id for message in page.messages]


@pytest.mark.parametrize("is_stored", [False, True])
async def test_a_page_of_large_messages_ends_early_and_goes_on_by_the_cursor(
    is_stored: bool,
) -> None:
    service = MemoryService()
    ids = await say(service, 80, LARGE)
    if is_stored:
        await service.consume()
        service.cache.run_out()
    page = await read(service, size=100)
    assert ids_of(page) == ids[:FIT]
    assert sum(map(size_bytes, page.messages)) <= MAX_PAGE_BYTES
    assert (page.total, page.partial, page.has_more) == (80, False, True)
    seen = ids_of(page)
    while page.next_before_id is not None:
        page = await read(service, size=100, before_id=page.next_before_id)
        seen += ids_of(page)
    assert seen == ids


async def test_the_limit_itself_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    service = MemoryService()
    ids = await say(service, 3)
    message_bytes = size_bytes((await read(service)).messages[0])
    for limit_bytes, shown in ((3 * message_bytes, 3), (3 * message_bytes - 1, 2), (1, 1)):
        monkeypatch.setattr("messaging.service.history.MAX_PAGE_BYTES", limit_bytes)
        page = await read(service)
        assert ids_of(page) == ids[:shown]
        assert page.has_more == (shown < 3)
        assert page.next_before_id == (ids[shown - 1] if shown < 3 else None)


async def test_a_page_number_counts_messages_also_where_pages_end_early() -> None:
    service = MemoryService()
    ids = await say(service, 120, LARGE)
    second = await read(service, size=50, page=2)
    assert ids_of(second) == ids[50 : 50 + FIT]
    assert second.next_before_id == ids[50 + FIT - 1]


@pytest.mark.parametrize("deleted", [0, 400])
async def test_a_deep_page_reads_the_texts_of_a_page(deleted: int) -> None:
    store = CountingStore()
    service = MemoryService(store=store)
    ids = await say(service, 1_500)
    await service.consume()
    for message_id in ids[700 : 700 + deleted]:
        await delete(service.backends, message_id, user_id=ALICE)
    service.cache.run_out()
    await read(service)  # this read lists the latest hundred
    store.rows_read.clear()
    page = await read(service, size=20, page=60)
    visible = [i for i in ids if i not in ids[700 : 700 + deleted]]
    assert ids_of(page) == visible[59 * 20 : 60 * 20]
    assert page.total == 1_500
    assert sum(store.rows_read) <= 2 * LARGEST_PART


async def test_what_is_deleted_is_not_read_to_find_what_is_not() -> None:
    store = CountingStore()
    service = MemoryService(store=store)
    ids = await say(service, 1_500)
    await service.consume()
    for message_id in ids[110:1_490]:
        await delete(service.backends, message_id, user_id=ALICE)
    service.cache.run_out()
    await read(service)
    store.rows_read.clear()
    page = await read(service, before_id=ids[109], size=20)
    assert ids_of(page) == ids[1_490:]
    assert not page.has_more
    assert sum(store.rows_read) <= 3 * LARGEST_PART


async def test_a_cached_conversation_is_skipped_without_the_store() -> None:
    service = MemoryService()
    ids = await say(service, 90)
    await read(service)
    service.store.down = True
    page = await read(service, size=20, page=3)
    assert ids_of(page) == ids[40:60]
    beyond = await read(service, size=20, page=6)
    assert (ids_of(beyond), beyond.has_more, beyond.partial) == ([], False, False)


@pytest.mark.parametrize("seed", range(8))
async def test_any_page_of_any_mix_of_cached_and_stored_is_where_it_belongs(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.service.history_pages.FILL_ROWS", 15)
    monkeypatch.setattr("messaging.service.history.LARGEST_PART", 6)
    monkeypatch.setattr("messaging.service.history.MOST_PASSED", 7)
    monkeypatch.setattr("messaging.service.hidden_messages.DELETES_LOADED", 5)
    monkeypatch.setattr("messaging.testing.cache_reading.MOST_IDS_READ", 9)
    monkeypatch.setattr("messaging.testing.cache_state.TAIL_CAP", 25)
    monkeypatch.setattr("messaging.testing.cache_reading.MAX_CACHED_TAIL_BYTES", 2_000)
    chance, service = random.Random(seed), MemoryService()
    said: list[int] = []
    deleted: set[int] = set()
    for _ in range(60):
        match chance.randrange(6):
            case 0 | 1:
                said = await say(service, chance.randrange(1, 9)) + said
            case 2:
                await service.consume()
            case 3:
                service.cache.run_out()
            case 4 if said:
                first = chance.randrange(len(said))
                for message_id in said[first : first + chance.randrange(15)]:
                    await delete(service.backends, message_id, user_id=ALICE)
                    deleted.add(message_id)
            case _:
                await service.consume()
                await service.consumer.reader.close()
                service.cache = MemoryCache()
                service = service.restarted_with()
        visible = [i for i in said if i not in deleted]
        size, number = chance.randrange(1, 9), chance.randrange(1, 12)
        page = await read(service, size=size, page=number)
        assert ids_of(page) == visible[(number - 1) * size : number * size]
        assert page.has_more == (len(visible) > number * size)
        assert not page.partial
        other = await history(
            service.backends, with_bob(target_id=ALICE, size=size, page=number), reader_id=BOB
        )
        assert ids_of(other) == said[(number - 1) * size : number * size]

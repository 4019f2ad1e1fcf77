"""Test history: no holes, no repeats, one order with any cache; deletes hide for one user."""

from __future__ import annotations

import random
from typing import Any

import pytest

from messaging.domain.errors import (
    GroupNotFound,
    MessageNotFound,
    NotAMember,
    TemporarilyUnavailable,
)
from messaging.domain.message import ChatType, PersistStatus
from messaging.ports.cache_service import RECOVERS_S
from messaging.ports.cached import CachedTail
from messaging.service.delete import delete
from messaging.service.fetch import fetch
from messaging.service.history import history
from messaging.service.recall import recall
from messaging.service.send import send
from messaging.testing.cache import MemoryCache
from tests.support.deletes import know_deletes
from tests.support.memory import (
    ALICE,
    BOB,
    GROUP,
    MALLORY,
    MemoryService,
    to_bob,
    to_group,
    with_bob,
)


@pytest.fixture
def service() -> MemoryService:
    return MemoryService()


async def say(service: MemoryService, count: int) -> list[int]:
    """Send messages from alice to bob, and return their ids, newest first."""
    ids = []
    for n in range(count):
        service.clock.now_ms += 1
        receipt = await send(service.backends, to_bob(f"turn {n}"), sender_id=ALICE)
        ids.append(receipt.message_id)
    return ids[::-1]


async def walk(service: MemoryService, *, reader_id: int = ALICE, size: int = 7) -> list[int]:
    """Return the ids of all pages, read by cursor."""
    target = BOB if reader_id == ALICE else ALICE
    ids: list[int] = []
    before = None
    while True:
        request = with_bob(target_id=target, size=size, before_id=before)
        page = await history(service.backends, request, reader_id=reader_id)
        ids += [m.id for m in page.messages]
        assert page.has_more == (page.next_before_id is not None)
        if not page.has_more:
            return ids
        before = page.next_before_id


def empty_cache(service: MemoryService) -> MemoryService:
    """Return the same service after Redis has lost everything."""
    service.cache = MemoryCache()
    return service.restarted_with()


async def test_one_reads_ones_own_pending_messages(service: MemoryService) -> None:
    ids = await say(service, 3)
    page = await history(service.backends, with_bob(), reader_id=ALICE)
    assert [m.id for m in page.messages] == ids
    assert {m.persist_status for m in page.messages} == {PersistStatus.PENDING}
    assert (page.total, page.has_more, page.partial) == (3, False, False)


async def test_both_sides_read_the_same(service: MemoryService) -> None:
    ids = await say(service, 20)
    assert await walk(service, reader_id=BOB) == await walk(service, reader_id=ALICE) == ids


@pytest.mark.parametrize("count", [6, 7, 8, 14, 15, 99, 100, 101, 230])
async def test_pages_have_no_holes_and_no_repeats(service: MemoryService, count: int) -> None:
    ids = await say(service, count)
    assert await walk(service) == ids
    await service.consume()
    assert await walk(service) == ids
    cold = empty_cache(service)
    assert await walk(cold) == ids
    assert await walk(cold) == ids
    newer = await say(cold, 3)
    assert await walk(cold) == newer + ids


async def test_total_is_exact_pending_or_stored_warm_or_cold(service: MemoryService) -> None:
    await say(service, 130)
    assert (await history(service.backends, with_bob(), reader_id=ALICE)).total == 130
    await service.consume()
    assert (await history(service.backends, with_bob(), reader_id=ALICE)).total == 130
    cold = empty_cache(service)
    await say(cold, 30)
    for _ in range(2):
        assert (await history(cold.backends, with_bob(), reader_id=ALICE)).total == 160


async def test_total_is_exact_by_cursor_where_nothing_is_loaded(service: MemoryService) -> None:
    ids = await say(service, 60)
    for _ in ("pending", "stored"):
        for cold in (True, False):
            if cold:
                service.cache.hide_copies()
            page = await history(service.backends, with_bob(before_id=ids[30]), reader_id=ALICE)
            assert (page.total, page.partial) == (60, False)
            assert [m.id for m in page.messages] == ids[31:51]
        await service.consume()


@pytest.mark.parametrize("before", [None, 10, 125])
async def test_total_is_exact_while_somebody_else_fills(
    service: MemoryService, before: int | None
) -> None:
    await say(service, 120)
    await service.consume()
    cold = empty_cache(service)
    ids = await say(cold, 30)
    ids += [row.id for row in await service.store.page("1_2", before=None, limit=200)]
    # Stored, and not yet marked in the cache.
    await service.store.apply([cold.cache.details[i] for i in ids[20:30]])
    assert await cold.cache.begin_fill("1_2")
    request = with_bob(before_id=before and ids[before])
    page = await history(cold.backends, request, reader_id=ALICE)
    assert (page.total, page.partial) == (150, False)


async def test_total_is_exact_with_a_pending_message_older_than_a_fill(
    service: MemoryService,
) -> None:
    """Only Redis has the oldest message, because the log did not confirm it."""
    (stuck,) = await say(service, 1)
    service.broker.records.clear()
    ids = [*await say(service, 130), stuck]
    await service.consume()
    service.cache.hide_copies()
    for before in (None, ids[3], ids[60], ids[-2]):
        page = await history(service.backends, with_bob(before_id=before), reader_id=ALICE)
        assert (page.total, page.partial) == (131, False)


async def test_a_total_that_nobody_can_count_is_told_as_partial(
    service: MemoryService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.service.history_pages.MOST_COUNTED", 4)
    ids = await say(service, 5)
    assert await service.cache.begin_fill("1_2")
    page = await history(service.backends, with_bob(), reader_id=ALICE)
    assert [m.id for m in page.messages] == ids
    assert page.partial


async def test_page_numbers_walk_the_same_messages(service: MemoryService) -> None:
    ids = await say(service, 45)
    await service.consume()
    cold = empty_cache(service)
    await say(cold, 0)
    pages = [
        await history(cold.backends, with_bob(size=10, page=n), reader_id=ALICE)
        for n in (3, 1, 2, 5, 4, 6)
    ]
    got = [[m.id for m in page.messages] for page in pages]
    assert got == [ids[20:30], ids[:10], ids[10:20], ids[40:], ids[30:40], []]
    assert [page.has_more for page in pages] == [True, True, True, False, True, False]


async def test_a_warm_first_page_does_not_ask_the_store(service: MemoryService) -> None:
    ids = await say(service, 30)
    await service.consume()
    cold = empty_cache(service)
    await history(cold.backends, with_bob(), reader_id=ALICE)
    cold.store.down = True
    page = await history(cold.backends, with_bob(), reader_id=ALICE)
    assert [m.id for m in page.messages] == ids[:20]
    assert page.partial is False


async def test_one_readers_deletes_hide_nothing_from_another(service: MemoryService) -> None:
    ids = await say(service, 30)
    await service.consume()
    cold = empty_cache(service)
    for message_id in ids[:25]:
        await delete(cold.backends, message_id, user_id=ALICE)
    assert await walk(cold, reader_id=ALICE) == ids[25:]
    assert await walk(cold, reader_id=BOB) == ids
    again = empty_cache(cold)
    assert await walk(again, reader_id=ALICE) == ids[25:]


async def test_a_pending_message_can_be_deleted_and_stays_deleted(service: MemoryService) -> None:
    ids = await say(service, 3)
    await delete(service.backends, ids[1], user_id=BOB)
    await delete(service.backends, ids[1], user_id=BOB)
    assert await walk(service, reader_id=BOB) == [ids[0], ids[2]]
    await service.consume()
    assert await walk(empty_cache(service), reader_id=BOB) == [ids[0], ids[2]]
    with pytest.raises(MessageNotFound):
        await fetch(service.backends, ids[1], reader_id=BOB)
    assert (await fetch(service.backends, ids[1], reader_id=ALICE)).id == ids[1]


async def test_a_stranger_can_neither_fetch_nor_delete(service: MemoryService) -> None:
    (message_id,) = await say(service, 1)
    for call in (
        fetch(service.backends, message_id, reader_id=MALLORY),
        delete(service.backends, message_id, user_id=MALLORY),
    ):
        with pytest.raises(MessageNotFound):
            await call


async def test_a_delete_is_not_told_as_done_while_a_part_does_not_know(
    service: MemoryService,
) -> None:
    (message_id,) = await say(service, 1)
    service.store.down = True
    with pytest.raises(TemporarilyUnavailable):
        await delete(service.backends, message_id, user_id=ALICE)


async def test_the_sender_may_recall_what_he_deleted_for_himself(service: MemoryService) -> None:
    (message_id,) = await say(service, 1)
    await delete(service.backends, message_id, user_id=ALICE)
    await recall(service.backends, message_id, user_id=ALICE)
    assert (await fetch(service.backends, message_id, reader_id=BOB)).content == ""


async def test_a_recall_that_only_cache_and_log_know_is_seen_with_a_row_still_normal(
    service: MemoryService,
) -> None:
    ids = await say(service, 30)
    await service.consume()
    cold = empty_cache(service)
    await recall(cold.backends, ids[5], user_id=ALICE)
    page = await history(cold.backends, with_bob(size=30), reader_id=ALICE)
    assert [m.content for m in page.messages if m.id == ids[5]] == [""]
    page = await history(cold.backends, with_bob(size=30, before_id=ids[2]), reader_id=ALICE)
    assert [m.content for m in page.messages if m.id == ids[5]] == [""]


async def test_a_history_with_somebody_never_written_to_is_empty(service: MemoryService) -> None:
    page = await history(service.backends, with_bob(target_id=99), reader_id=ALICE)
    assert (page.messages, page.total, page.has_more) == ((), 0, False)


async def test_a_groups_history_is_for_members(service: MemoryService) -> None:
    receipt = await send(service.backends, to_group(), sender_id=ALICE)
    request = with_bob(chat_type=ChatType.GROUP, target_id=GROUP)
    page = await history(service.backends, request, reader_id=BOB)
    assert [m.id for m in page.messages] == [receipt.message_id]
    with pytest.raises(NotAMember):
        await history(service.backends, request, reader_id=MALLORY)
    with pytest.raises(GroupNotFound):
        await history(
            service.backends, with_bob(chat_type=ChatType.GROUP, target_id=99), reader_id=ALICE
        )


async def test_without_the_store_the_cached_part_is_told_as_partial(service: MemoryService) -> None:
    ids = await say(service, 5)
    await know_deletes(service.cache, ALICE)
    service.store.down = True
    page = await history(service.backends, with_bob(), reader_id=ALICE)
    assert [m.id for m in page.messages] == ids
    assert page.partial


async def test_without_the_store_what_may_be_deleted_is_not_shown(service: MemoryService) -> None:
    await say(service, 5)
    service.store.down = True
    with pytest.raises(TemporarilyUnavailable):
        await history(service.backends, with_bob(), reader_id=ALICE)


async def test_without_store_and_cache_it_is_unavailable(service: MemoryService) -> None:
    await say(service, 5)
    service.store.down = service.cache.down = True
    with pytest.raises(TemporarilyUnavailable):
        await history(service.backends, with_bob(), reader_id=ALICE)


async def test_for_some_seconds_after_the_cache_was_away_a_page_is_partial(
    service: MemoryService,
) -> None:
    await say(service, 3)
    await service.cache.note_recovered((await service.cache.heartbeat()).id, returned=True)
    for _ in ("cold", "warm"):
        assert (await history(service.backends, with_bob(), reader_id=ALICE)).partial
    service.cache.complete_from_s -= RECOVERS_S
    assert not (await history(service.backends, with_bob(), reader_id=ALICE)).partial


@pytest.mark.parametrize("somebody_fills", [False, True])
async def test_so_is_one_that_the_store_has_a_part_in(
    service: MemoryService, somebody_fills: bool
) -> None:
    ids = await say(service, 130)
    await service.consume()
    await service.cache.note_recovered((await service.cache.heartbeat()).id, returned=True)
    service.cache.hide_copies()
    if somebody_fills:
        await service.cache.begin_fill("1_2")
    request = with_bob(before_id=ids[120], size=3)
    assert (await history(service.backends, request, reader_id=ALICE)).partial


async def test_without_the_cache_the_store_answers_and_says_partial(service: MemoryService) -> None:
    ids = await say(service, 9)
    await service.consume()
    service.cache.down = True
    page = await history(service.backends, with_bob(size=5), reader_id=ALICE)
    assert ([m.id for m in page.messages], page.has_more, page.partial) == (ids[:5], True, True)


@pytest.mark.parametrize("seed", range(5))
async def test_any_mix_of_cached_and_stored_reads_the_same(
    service: MemoryService, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.service.history_pages.FILL_ROWS", 20)
    monkeypatch.setattr("messaging.service.hidden_messages.DELETES_LOADED", 5)
    monkeypatch.setattr("messaging.testing.cache_reading.MOST_IDS_READ", 9)
    chance = random.Random(seed)
    expected: list[int] = []
    deleted: set[int] = set()
    for _ in range(60):
        action = chance.randrange(7)
        if action <= 2:
            expected = await say(service, chance.randrange(1, 9)) + expected
        elif action == 3:
            await service.consume()
        elif action == 4:
            await history(service.backends, with_bob(size=3), reader_id=ALICE)
        elif action == 5 and expected:
            for message_id in chance.sample(expected, min(len(expected), chance.randrange(12))):
                await delete(service.backends, message_id, user_id=ALICE)
                deleted.add(message_id)
        else:
            await service.consume()
            await service.consumer.reader.close()
            service = empty_cache(service)
        size = chance.randrange(1, 20)
        assert await walk(service, size=size) == [i for i in expected if i not in deleted]
        assert await walk(service, size=size, reader_id=BOB) == expected
        await recount(service, expected, chance)


async def recount(service: MemoryService, expected: list[int], chance: random.Random) -> None:
    """Read by cursor and by page, with or without a loaded list; each page has the full total."""
    for _ in range(4):
        if chance.random() < 0.5:
            service.cache.hide_copies()
        if chance.random() < 0.3:
            await service.cache.begin_fill("1_2")
        cursor = chance.choice([None, *expected]) if chance.random() < 0.7 else None
        number = None if cursor else chance.randrange(1, 5)
        request = with_bob(size=chance.randrange(1, 9), before_id=cursor, page=number)
        page = await history(service.backends, request, reader_id=ALICE)
        assert (page.total, page.partial) == (len(expected), False)


async def test_deletes_at_the_end_of_the_cached_list_hide_nothing_older(
    service: MemoryService,
) -> None:
    ids = await say(service, 130)
    await service.consume()
    cold = empty_cache(service)
    await history(cold.backends, with_bob(), reader_id=ALICE)  # this read lists the latest hundred
    deleted = set(ids[85:90])
    for message_id in deleted:
        await delete(cold.backends, message_id, user_id=ALICE)

    page = await history(cold.backends, with_bob(before_id=ids[78]), reader_id=ALICE)

    assert [m.id for m in page.messages] == [i for i in ids[79:] if i not in deleted][:20]
    assert page.has_more


@pytest.mark.parametrize("listed", [20, 21, 22])
async def test_a_page_goes_on_where_the_cached_list_ends(
    service: MemoryService, listed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.service.history_pages.FILL_ROWS", listed)
    ids = await say(service, 60)
    await service.consume()
    cold = empty_cache(service)
    await history(cold.backends, with_bob(), reader_id=ALICE)

    page = await history(cold.backends, with_bob(page=2), reader_id=ALICE)

    assert [m.id for m in page.messages] == ids[20:40]


async def test_pending_messages_are_walked_through_while_somebody_else_fills(
    service: MemoryService,
) -> None:
    ids = await say(service, 30)
    assert await service.cache.begin_fill("1_2")
    assert await walk(service) == ids
    page = await history(service.backends, with_bob(size=7, page=2), reader_id=ALICE)
    assert [m.id for m in page.messages] == ids[7:14]


@pytest.mark.parametrize("size", range(1, 12))
async def test_deletes_older_than_the_cached_ones_hide_as_well(
    service: MemoryService, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.service.hidden_messages.DELETES_LOADED", 3)
    ids = await say(service, 12)
    await service.consume()
    for message_id in ids[1:10:2]:
        await delete(service.backends, message_id, user_id=ALICE)
    cold = empty_cache(service)
    kept = [i for i in ids if i not in ids[1:10:2]]
    for _ in range(2):
        page = await history(cold.backends, with_bob(size=size), reader_id=ALICE)
        assert [m.id for m in page.messages] == kept[:size]
    assert await walk(cold, size=size) == kept


class DeletesComeBetween(MemoryCache):
    """Load a reader's deletes between the read of the list and further reads, as a rival does."""

    deleted: tuple[int, ...] = ()
    floor = 0

    async def cached_tail(self, *args: Any, **options: Any) -> CachedTail:
        seen = await super().cached_tail(*args, **options)
        await know_deletes(self, ALICE, self.deleted, floor=self.floor)
        return seen


@pytest.mark.parametrize("known", [None, 5])
async def test_deletes_that_are_cached_meanwhile_hide_what_was_listed_before(
    service: MemoryService, known: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.service.history_pages.FILL_ROWS", 10)
    ids = await say(service, 30)
    await service.consume()
    await service.store.delete_for_user(ALICE, [ids[8]], "1_2")
    cold = empty_cache(service)
    await history(cold.backends, with_bob(target_id=ALICE), reader_id=BOB)
    cache = DeletesComeBetween(tails=cold.cache.tails, details=cold.cache.details)
    cache.deleted = (ids[8],)
    if known is not None:
        await know_deletes(cache, ALICE, floor=ids[known])
    cold.cache = cache

    page = await history(cold.restarted_with().backends, with_bob(), reader_id=ALICE)

    assert [m.id for m in page.messages] == [*ids[:8], *ids[9:21]]

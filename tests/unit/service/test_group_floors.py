"""Test that a group begins above its reader's floor, in every view and however it is read."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.domain.errors import MessageNotFound
from messaging.domain.message import Message
from messaging.ports.cached import CachedTail
from messaging.service import history as walking
from messaging.service import history_pages
from messaging.service.delete import delete
from messaging.service.fetch import fetch
from messaging.service.history import HistoryPage, history
from messaging.service.recall import recall
from messaging.service.send import send
from tests.support.memory import ALICE, BOB, GROUP, MemoryService, to_group, with_group


async def say(service: MemoryService, count: int) -> list[int]:
    """Send messages from alice to the group, and return their ids, newest first."""
    ids = []
    for number in range(count):
        service.clock.now_ms += 1
        receipt = await send(service.backends, to_group(f"turn {number}"), sender_id=ALICE)
        ids.append(receipt.message_id)
    return ids[::-1]


async def page_of(service: MemoryService, **changes: object) -> HistoryPage:
    return await history(service.backends, with_group(**changes), reader_id=BOB)


async def by_cursor(service: MemoryService, size: int) -> list[Message]:
    """Return the messages of all pages, and check that the cursors end where the pages do."""
    messages: list[Message] = []
    before = None
    while True:
        page = await page_of(service, size=size, before_id=before)
        messages += page.messages
        assert (page.next_before_id is None) is not page.has_more
        if not page.has_more:
            return messages
        assert page.messages
        before = page.next_before_id


async def by_number(service: MemoryService, size: int) -> list[Message]:
    messages: list[Message] = []
    for number in range(1, 100):
        page = await page_of(service, size=size, page=number)
        messages += page.messages
        if not page.has_more:
            break
    beyond = await page_of(service, size=size, page=number + 1)
    assert (beyond.messages, beyond.has_more) == ((), False)
    return messages


@pytest.fixture
def service() -> MemoryService:
    return MemoryService()


@pytest.mark.parametrize("stored", [False, True], ids=["pending", "stored"])
async def test_a_late_reader_has_what_is_above_the_floor(
    service: MemoryService, stored: bool
) -> None:
    ids = await say(service, 9)
    if stored:
        await service.consume()
    service.directory.floors[GROUP, BOB] = (ids[4], 5)

    page = await page_of(service)
    assert [m.id for m in page.messages] == ids[:4]
    assert (page.total, page.has_more, page.partial) == (4, False, False)
    page = await page_of(service, size=4)
    assert (page.has_more, page.next_before_id) == (False, None)
    assert (await page_of(service, before_id=ids[3])).messages == ()
    # The others read on as before, from the same cache.
    whole = await history(service.backends, with_group(), reader_id=ALICE)
    assert ([m.id for m in whole.messages], whole.total) == (ids, 9)


async def test_what_is_hidden_is_absent_by_its_id_too(service: MemoryService) -> None:
    newest, oldest = await say(service, 2)
    await service.consume()
    service.directory.floors[GROUP, BOB] = (oldest, 1)
    assert (await fetch(service.backends, newest, reader_id=BOB)).id == newest
    for is_cached in (True, False):
        if not is_cached:
            service.cache.run_out()
        for ask in (
            fetch(service.backends, oldest, reader_id=BOB),
            recall(service.backends, oldest, user_id=BOB),
            delete(service.backends, oldest, user_id=BOB),
        ):
            with pytest.raises(MessageNotFound):
                await ask
    assert (await fetch(service.backends, oldest, reader_id=ALICE)).id == oldest


async def test_recalled_messages_count_and_deleted_ones_do_too(service: MemoryService) -> None:
    ids = await say(service, 6)
    await service.consume()
    service.directory.floors[GROUP, BOB] = (ids[3], 3)
    await recall(service.backends, ids[0], user_id=ALICE)
    await delete(service.backends, ids[1], user_id=BOB)
    page = await page_of(service)
    assert ([m.id for m in page.messages], page.total) == ([ids[0], ids[2]], 3)


async def test_a_page_that_ends_at_the_floor_is_read_at_once(service: MemoryService) -> None:
    ids = await say(service, 9)
    service.directory.floors[GROUP, BOB] = (ids[4], 5)
    read, reads = service.guarded_cache.cached_tail, 0

    async def counted(*args: Any, **options: Any) -> CachedTail:
        nonlocal reads
        reads += 1
        return await read(*args, **options)

    await page_of(service)  # loads the list
    service.guarded_cache.cached_tail = counted  # type: ignore[method-assign]
    for size in (3, 4, 5):
        reads = 0
        assert (await page_of(service, size=size)).has_more is (size < 4)
        assert reads == 1


async def test_the_floor_of_a_reader_with_a_hole_above_it(service: MemoryService) -> None:
    """A page that meets deleted messages passes them by their ids, and stops at the floor."""
    ids = await say(service, 300)
    await service.consume()
    service.directory.floors[GROUP, BOB] = (ids[250], 50)
    for message_id in ids[5:249]:
        await delete(service.backends, message_id, user_id=BOB)
    seen = [*ids[:5], ids[249]]
    assert [m.id for m in await by_cursor(service, 2)] == seen
    assert [m.id for m in await by_number(service, 2)] == seen


@dataclass(frozen=True)
class Case:
    """Describe a conversation by the places of its messages, and how its pages are read.

    `passed`, `filled`: how many ids are passed, and how many rows are loaded, at a time.
    """

    count: int
    stored: int
    floor: int
    deleted: frozenset[int]
    recalled: frozenset[int]
    is_cached: bool
    size: int
    passed: int
    filled: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    count = draw(st.integers(0, 30))
    stored = draw(st.just(count) | st.integers(0, count))
    places = st.frozensets(st.integers(0, max(count - 1, 0)), max_size=count)
    return Case(
        count=count,
        stored=stored,
        floor=draw(st.integers(0, count)),
        deleted=draw(places),
        recalled=draw(places),
        is_cached=stored < count or draw(st.booleans()),  # a list ages when all of it is stored
        size=draw(st.integers(1, 9)),
        passed=draw(st.integers(1, 5)),
        filled=draw(st.integers(1, 40)),
    )


async def check(case: Case) -> None:
    service = MemoryService()
    ids = (await say(service, case.stored))[::-1]
    await service.consume()
    ids += (await say(service, case.count - case.stored))[::-1]
    for place in case.deleted:
        if place < case.count:
            await delete(service.backends, ids[place], user_id=BOB)
    for place in case.recalled:
        if place < case.count:
            await recall(service.backends, ids[place], user_id=ALICE)
    if not case.is_cached:
        service.cache.run_out()
    everything = (await history(service.backends, with_group(size=100), reader_id=ALICE)).messages
    assert len(everything) == case.count

    floor_id = ids[case.floor - 1] if case.floor else 0
    service.directory.floors[GROUP, BOB] = (floor_id, min(case.floor, case.stored))
    hidden = {ids[place] for place in case.deleted if place < case.count}
    seen = [m for m in everything if m.id > floor_id and m.id not in hidden]

    assert await by_cursor(service, case.size) == seen
    assert await by_number(service, case.size) == seen
    for message in everything:
        if message in seen:
            assert await fetch(service.backends, message.id, reader_id=BOB) == message
        else:
            with pytest.raises(MessageNotFound):
                await fetch(service.backends, message.id, reader_id=BOB)


@settings(deadline=None, max_examples=150)
@given(cases())
def test_every_view_is_the_whole_history_without_what_is_hidden(case: Case) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walking, "LARGEST_PART", case.size + case.passed)
        patch.setattr(walking, "MOST_PASSED", case.passed)
        patch.setattr(history_pages, "FILL_ROWS", case.filled)
        asyncio.run(check(case))

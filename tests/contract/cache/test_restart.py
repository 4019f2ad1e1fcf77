"""Test that copies of the store from before a start of the server are hidden, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from messaging.domain.message import Recall
from messaging.ports.cache import MessageCache
from tests.contract.cache.conversation import (
    CONVERSATION,
    READER,
    ids,
    is_pending,
    listed,
    load,
    one,
    rows,
    stored,
    tail,
)
from tests.support.deletes import know_deletes
from tests.support.messages import FIRST_ID, make_message

Restart = Callable[[], Awaitable[None]]


class TestHides:
    async def test_a_stored_detail(self, cache: MessageCache, restart: Restart) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.mark_stored([stored(message, 1)])
        await restart()
        assert await one(cache, message) is None
        assert (await cache.reader_view([message.id], reader_id=READER)).messages == {}
        assert (await tail(cache)).missing == (message.id,)

    async def test_how_far_down_a_list_is_complete(
        self, cache: MessageCache, restart: Restart
    ) -> None:
        await load(cache, rows(1, 2))
        assert (await tail(cache)).total == 2
        await restart()
        seen = await tail(cache)
        assert (seen.floor, seen.total) == (None, None)
        assert await listed(cache) == [2, 1]

    async def test_that_a_conversation_is_empty(
        self, cache: MessageCache, restart: Restart
    ) -> None:
        await load(cache)
        assert (await tail(cache)).total == 0
        await restart()
        assert (await tail(cache)).total is None

    async def test_how_far_down_deletes_are_complete(
        self, cache: MessageCache, restart: Restart
    ) -> None:
        await know_deletes(cache, READER, [FIRST_ID + 1])
        await restart()
        look = await cache.reader_view([FIRST_ID + 1], reader_id=READER)
        assert (look.deleted, look.deletes_floor) == ({FIRST_ID + 1}, None)
        assert (await tail(cache)).deletes_floor is None

    async def test_content_under_a_recall_mark(self, cache: MessageCache, restart: Restart) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.mark_stored([stored(message, 1)])
        await cache.set_recall_mark(message.id, Recall(5))
        await restart()
        assert await cache.marked() == [message.id]
        assert await one(cache, message) is None

    async def test_very_many(self, cache: MessageCache, restart: Restart) -> None:
        await cache.accept([make_message(n) for n in range(1_500)], None)
        await cache.mark_stored(rows(*range(1_500)))
        await restart()
        assert await cache.get([FIRST_ID + n for n in range(1_500)]) == {}


class TestTells:
    async def test_every_process_how_long_ago_it_was_noticed(
        self, cache: MessageCache, restart: Restart
    ) -> None:
        await restart()
        await asyncio.sleep(0.3)
        assert 0.25 <= (await cache.heartbeat()).age_s < 60


class TestKeeps:
    async def test_what_is_pending(self, cache: MessageCache, restart: Restart) -> None:
        message = make_message(1, client_msg_id="k")
        await load(cache)
        await cache.accept([message], None)
        await restart()
        seen = await tail(cache)
        assert (seen.messages, seen.floor) == ((message,), None)
        assert await is_pending(cache, message)
        assert await cache.find_idempotency_record(message.from_user_id, "k") is not None

    async def test_a_recall_that_the_store_may_lack(
        self, cache: MessageCache, restart: Restart
    ) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.set_recall_mark(message.id, Recall(5))
        await cache.confirm_recall(message.recalled(5))
        await cache.mark_stored([stored(message, 1)])
        await restart()
        assert await cache.marked() == [message.id]
        assert (await cache.get([message.id]))[message.id].is_recalled

    async def test_what_is_written_after_it(self, cache: MessageCache, restart: Restart) -> None:
        await restart()
        await load(cache, rows(1, 2))
        await know_deletes(cache, READER, [FIRST_ID + 1])
        await cache.heartbeat()
        seen = await tail(cache)
        assert (ids(seen.messages), seen.total) == ([FIRST_ID + 2], 2)
        assert seen.deletes_floor == 0

    async def test_a_message_that_is_stored_after_it(
        self, cache: MessageCache, restart: Restart
    ) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await restart()
        await cache.mark_stored([stored(message, 1)])
        assert await one(cache, message) == stored(message, 1)


class TestReplaces:
    """A hidden copy keeps no newer state from being written."""

    async def test_a_hidden_detail_by_the_row(self, cache: MessageCache, restart: Restart) -> None:
        (row,) = rows(1)
        await cache.add_details([row])
        await restart()
        await cache.add_details([row])
        assert await one(cache, make_message(1)) == row

    async def test_a_hidden_detail_by_the_tombstone(
        self, cache: MessageCache, restart: Restart
    ) -> None:
        (row,) = rows(1)
        await cache.add_details([row])
        await restart()
        await cache.mark_stored([row.recalled(5)])
        assert await one(cache, row) == row.recalled(5)

    async def test_a_hidden_mark_by_a_fill(self, cache: MessageCache, restart: Restart) -> None:
        await load(cache, rows(1, 2))
        await restart()
        await load(cache, rows(1, 2, 3))
        seen = await tail(cache)
        assert (ids(seen.messages), seen.total) == ([FIRST_ID + n for n in (3, 2, 1)], 3)

    async def test_a_fill_that_was_begun_before(
        self, cache: MessageCache, restart: Restart
    ) -> None:
        token = await cache.begin_fill(CONVERSATION)
        assert token is not None
        await restart()
        new = await cache.begin_fill(CONVERSATION)
        assert new is not None
        await cache.fill(CONVERSATION, token, rows(1), floor=0, base=0)
        assert (await tail(cache)).total is None
        await cache.fill(CONVERSATION, new, rows(1), floor=0, base=0)
        assert (await tail(cache)).total == 1

    async def test_a_hidden_floor_of_deletes(self, cache: MessageCache, restart: Restart) -> None:
        await know_deletes(cache, READER)
        await restart()
        await know_deletes(cache, READER, [FIRST_ID], floor=FIRST_ID)
        assert (await tail(cache)).deletes_floor == FIRST_ID

    async def test_a_hidden_mark_by_the_next_message(
        self, cache: MessageCache, restart: Restart
    ) -> None:
        await load(cache)
        await restart()
        await cache.accept([make_message(1)], None)
        seen = await tail(cache)
        assert (seen.messages, seen.total) == ((make_message(1),), None)


class TestRecallMarks:
    """Recall marks are found without a walk over all keys, and are dropped when they end."""

    async def test_leave_when_the_tombstone_is_stored(self, cache: MessageCache) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.set_recall_mark(message.id, Recall(5))
        assert await cache.marked() == [message.id]
        await cache.mark_stored([stored(message.recalled(5), 1)])
        assert await cache.marked() == []

    async def test_leave_when_the_recall_is_given_up(self, cache: MessageCache) -> None:
        await cache.accept([make_message(1)], None)
        await cache.set_recall_mark(make_message(1).id, Recall(5))
        await cache.clear_recall_mark(make_message(1).id, Recall(5))
        assert await cache.marked() == []

    async def test_leave_when_the_message_is_deduplicated(self, cache: MessageCache) -> None:
        first, repeat = make_message(1, client_msg_id="k"), make_message(2)
        await cache.accept([first, repeat], None)
        await cache.set_recall_mark(repeat.id, Recall(5))
        await cache.mark_duplicates({repeat.id: stored(first, 1)})
        assert await cache.marked() == []

    async def test_leave_when_the_tombstone_was_stored_before(self, cache: MessageCache) -> None:
        (row,) = rows(1)
        await cache.mark_stored([row.recalled(5)])
        await cache.set_recall_mark(row.id, Recall(5))
        await cache.confirm_recall(row.recalled(5))
        assert await cache.marked() == []

    async def test_are_found_however_many(self, cache: MessageCache) -> None:
        messages = [make_message(n) for n in range(1_200)]
        for message in messages:
            await cache.set_recall_mark(message.id, Recall(5))
        assert await cache.marked() == ids(messages)

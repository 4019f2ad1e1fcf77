"""Test how a conversation's list is loaded from the store, and trimmed to its cap."""

from __future__ import annotations

from messaging.domain.message import Recall
from messaging.ports.cache import MessageCache
from messaging.ports.cached import CachedTail
from tests.contract.cache.conversation import (
    CONVERSATION,
    RunOut,
    listed,
    load,
    rows,
    stored,
    tail,
)
from tests.support.messages import FIRST_ID, make_message


class TestFill:
    async def test_loads_the_tail_with_its_details(self, cache: MessageCache) -> None:
        await load(cache, rows(1, 2, 3)[::-1])

        seen = await tail(cache)

        assert seen.messages == tuple(rows(1, 2, 3)[::-1])
        assert (seen.floor, seen.total, seen.missing) == (0, 3, ())

    async def test_is_one_readers_at_a_time(self, cache: MessageCache) -> None:
        token = await cache.begin_fill(CONVERSATION)
        assert token is not None

        assert await cache.begin_fill(CONVERSATION) is None
        await cache.fill(CONVERSATION, "0123456789abcdef", rows(1), floor=0, base=0)
        assert (await tail(cache)).floor is None

        await cache.fill(CONVERSATION, token, rows(1), floor=0, base=0)
        assert (await tail(cache)).floor == 0
        assert await cache.begin_fill(CONVERSATION) is None

    async def test_keeps_what_was_accepted_meanwhile(self, cache: MessageCache) -> None:
        await cache.accept([make_message(3)], None)
        token = await cache.begin_fill(CONVERSATION)
        await cache.accept([make_message(2), make_message(4)], None)

        await cache.fill(CONVERSATION, str(token), rows(1), floor=0, base=0)

        seen = await tail(cache)
        assert (await listed(cache), seen.floor, seen.total) == ([4, 3, 2, 1], 0, 4)

    async def test_does_nothing_when_a_row_came_past_the_cache_meanwhile(
        self, cache: MessageCache
    ) -> None:
        token = await cache.begin_fill(CONVERSATION)
        await cache.mark_stored(rows(9))  # the reader read the store before message 9 was stored

        await cache.fill(CONVERSATION, str(token), rows(1), floor=0, base=0)

        assert (await tail(cache)) == CachedTail()

    async def test_does_nothing_when_a_message_that_lost_its_list_was_stored_meanwhile(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        stuck, newer = make_message(1), make_message(2)
        await cache.accept([stuck, newer], None)
        await cache.mark_stored([stored(newer, 1)])
        run_out()
        token = await cache.begin_fill(CONVERSATION)
        await cache.mark_stored([stored(stuck, 2)])

        await cache.fill(CONVERSATION, str(token), [stored(newer, 1)], floor=0, base=0)

        assert (await tail(cache)).floor is None

    async def test_counts_each_message_once(self, cache: MessageCache) -> None:
        accepted = [make_message(n) for n in (1, 2, 3, 4)]
        await cache.accept(accepted, None)
        await cache.mark_stored([stored(m, n) for n, m in enumerate(accepted[:3], 1)])

        await load(cache, rows(1, 2, 3)[1:], floor=FIRST_ID + 1, base=1)

        seen = await tail(cache)
        assert (await listed(cache), seen.floor, seen.total) == ([4, 3, 2], FIRST_ID + 1, 4)

    async def test_drops_what_the_store_counts_below_the_floor(self, cache: MessageCache) -> None:
        accepted = [make_message(n) for n in (1, 2)]
        await cache.accept(accepted, None)
        await cache.mark_stored([stored(m, n) for n, m in enumerate(accepted, 1)])

        await load(cache, rows(5, 6), floor=FIRST_ID + 4, base=2)

        seen = await tail(cache)
        assert (await listed(cache), seen.floor, seen.total) == ([6, 5], FIRST_ID + 4, 4)

    async def test_gives_way_when_a_pending_message_may_be_counted_below_the_floor(
        self, cache: MessageCache
    ) -> None:
        await cache.accept([make_message(1)], None)

        await load(cache, rows(5, 6), floor=FIRST_ID + 4, base=1)

        assert (await tail(cache)).floor is None
        assert await listed(cache) == [1]
        assert await cache.begin_fill(CONVERSATION) is not None  # the next reader tries again

    async def test_gives_way_when_a_message_below_the_floor_was_stored_meanwhile(
        self, cache: MessageCache
    ) -> None:
        messages = [make_message(n) for n in (1, 2, 7)]
        await cache.accept(messages, None)
        token = await cache.begin_fill(CONVERSATION)
        await cache.mark_stored([stored(m, n) for n, m in enumerate(messages[::-1], 1)])

        await cache.fill(CONVERSATION, str(token), rows(5, 6), floor=FIRST_ID + 4, base=0)

        assert (await tail(cache)).floor is None

    async def test_is_not_hindered_by_a_newer_message_that_was_stored_meanwhile(
        self, cache: MessageCache
    ) -> None:
        messages = [make_message(n) for n in (7, 8)]
        await cache.accept(messages, None)
        token = await cache.begin_fill(CONVERSATION)
        await cache.mark_stored([stored(m, n) for n, m in enumerate(messages, 1)])

        await cache.fill(CONVERSATION, str(token), rows(5, 6), floor=FIRST_ID + 4, base=3)

        seen = await tail(cache)
        assert (await listed(cache), seen.floor, seen.total) == ([8, 7, 6, 5], FIRST_ID + 4, 7)

    async def test_never_lowers_a_cached_state(self, cache: MessageCache) -> None:
        recalled, pending = make_message(1), make_message(2)
        await cache.accept([recalled, pending], None)
        await cache.set_recall_mark(recalled.id, Recall(5))
        await cache.confirm_recall(recalled.recalled(5))

        await load(cache, rows(1, 2))

        assert (await tail(cache)).messages == (pending, recalled.recalled(5))

    async def test_never_shows_content_under_a_recall_mark(self, cache: MessageCache) -> None:
        await cache.set_recall_mark(FIRST_ID + 1, Recall(5))

        await load(cache, rows(1, 2))
        await cache.add_details(rows(1))

        seen = await tail(cache)
        assert (seen.messages, seen.missing) == ((rows(1, 2)[1],), (FIRST_ID + 1,))

    async def test_blanks_cached_content_that_the_store_knows_to_be_recalled(
        self, cache: MessageCache
    ) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.mark_stored([stored(message, 1)])

        await load(cache, [stored(message, 1).recalled(5)])

        assert (await tail(cache)).messages == (stored(message, 1).recalled(5),)

    async def test_takes_a_thousand_rows(self, cache: MessageCache) -> None:
        numbers = range(1, 1_001)

        await load(cache, rows(*numbers)[::-1], floor=FIRST_ID, base=5)

        seen = await tail(cache, limit=100)
        assert [m.id - FIRST_ID for m in seen.messages] == list(range(1_000, 900, -1))
        assert (seen.floor, seen.total) == (FIRST_ID, 1_005)


class TestTheCap:
    async def test_the_oldest_make_room_and_are_counted(self, cache: MessageCache) -> None:
        await load(cache)
        for start in (0, 400, 800):
            messages = [make_message(n) for n in range(start + 1, start + 401)]
            await cache.accept(messages, None)
            await cache.mark_stored([stored(m, m.id - FIRST_ID) for m in messages])
        for n in range(1_201, 1_204):
            await cache.accept([make_message(n)], None)

        seen = await tail(cache)

        assert await listed(cache) == list(range(1_203, 203, -1))
        assert (seen.floor, seen.total) == (FIRST_ID + 203, 1_203)

    async def test_a_pending_message_is_never_trimmed(self, cache: MessageCache) -> None:
        await load(cache)
        for start in (0, 400, 800):
            messages = [make_message(n) for n in range(start + 1, start + 401)]
            await cache.accept(messages, None)

        seen = await tail(cache)

        assert await listed(cache) == list(range(1_200, 0, -1))
        assert (seen.floor, seen.total) == (0, 1_200)

    async def test_a_list_that_is_not_loaded_is_trimmed_too(self, cache: MessageCache) -> None:
        for start in (0, 500):
            messages = [make_message(n) for n in range(start + 1, start + 501)]
            await cache.accept(messages, None)
            await cache.mark_stored([stored(m, m.id - FIRST_ID) for m in messages])

        await cache.accept([make_message(1_001)], None)

        assert await listed(cache) == list(range(1_001, 1, -1))
        assert (await tail(cache)).floor is None

    async def test_holds_for_a_fill(self, cache: MessageCache) -> None:
        await cache.accept([make_message(n) for n in range(2_001, 2_101)], None)

        await load(cache, rows(*range(1, 1_001)))

        seen = await tail(cache)
        assert (len(await listed(cache)), seen.floor, seen.total) == (1_000, FIRST_ID + 100, 1_100)

    async def test_a_fill_gives_way_when_the_list_was_trimmed_meanwhile(
        self, cache: MessageCache
    ) -> None:
        for start in (0, 500):
            messages = [make_message(n) for n in range(start + 1, start + 501)]
            await cache.accept(messages, None)
            await cache.mark_stored([stored(m, m.id - FIRST_ID) for m in messages])
        token = await cache.begin_fill(CONVERSATION)
        await cache.accept([make_message(1_001)], None)

        await cache.fill(CONVERSATION, str(token), rows(2), floor=FIRST_ID + 1, base=1)

        assert (await tail(cache)).floor is None

"""Test the list of pending messages, and that no pending message ages."""

from __future__ import annotations

import pytest
from msgspec import structs

from messaging.ports.cache import MessageCache
from messaging.ports.cached import CachedTail, PendingEntry
from tests.contract.cache.conversation import RunOut, ids, listed, load, one, rows, stored, tail
from tests.support.messages import FIRST_ID, make_message


class TestPending:
    async def test_lists_the_oldest_first_up_to_a_moment(self, cache: MessageCache) -> None:
        times = {3: 1_000, 1: 2_000, 2: 2_000, 4: 3_000}
        messages = [structs.replace(make_message(n), send_time=time) for n, time in times.items()]
        await cache.accept(messages, None)

        found = await cache.pending(before_ms=3_000, limit=10)

        assert [entry.message_id - FIRST_ID for entry in found] == [3, 1, 2]
        assert [entry.send_time for entry in found] == [1_000, 2_000, 2_000]
        assert await cache.pending_count() == 4

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
    async def test_is_walked_without_holes_or_repeats(
        self, cache: MessageCache, limit: int
    ) -> None:
        messages = [structs.replace(make_message(n), send_time=1_000 + n // 6) for n in range(20)]
        await cache.accept(messages, None)

        walked: list[PendingEntry] = []
        while part := await cache.pending(
            before_ms=5_000, limit=limit, after=walked[-1] if walked else None
        ):
            assert len(part) <= limit
            walked += part
            # Some of the messages leave the set while the set is walked.
            if part[-1].message_id % 3 == 0:
                (last,) = (m for m in messages if m.id == part[-1].message_id)
                await cache.mark_stored([stored(last, 1)])

        assert [entry.message_id for entry in walked] == ids(messages)

    async def test_shows_the_newest_first_to_people(self, cache: MessageCache) -> None:
        messages = [make_message(n << 22) for n in range(5)]
        await cache.accept(messages, None)

        found = await cache.newest_pending(offset=1, limit=2)

        assert found == [PendingEntry(m.id, m.send_time) for m in (messages[3], messages[2])]
        assert await cache.newest_pending(offset=5, limit=2) == []

    async def test_counts_attempts_until_the_message_is_stored(self, cache: MessageCache) -> None:
        first, second = make_message(1), make_message(2)
        await cache.accept([first, second], None)

        assert await cache.count_attempt([first, second]) == {first.id: 1, second.id: 1}
        assert await cache.count_attempt([first]) == {first.id: 2}
        await cache.mark_stored([stored(first, 1)])

        assert await cache.count_attempt([first, second]) == {first.id: 0, second.id: 2}
        assert await cache.attempts([first.id, second.id, 5]) == {first.id: 0, second.id: 2, 5: 0}
        assert await cache.attempts([]) == {}
        await cache.accept([structs.replace(first, id=FIRST_ID + 3)], None)
        assert await listed(cache) == [3, 2, 1]


class TestLife:
    async def test_a_pending_message_never_ages(self, cache: MessageCache, run_out: RunOut) -> None:
        message = make_message(1)
        await load(cache)
        await cache.accept([message], None)

        for _ in range(2):
            run_out()
            seen = await tail(cache)
            assert (seen.messages, seen.floor, seen.total) == ((message,), 0, 1)

    async def test_a_pending_tombstone_never_ages(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.confirm_recall(message.recalled(5))  # the recall mark was lost

        run_out()

        assert await one(cache, message) == message.recalled(5)

    async def test_what_is_stored_ages(self, cache: MessageCache, run_out: RunOut) -> None:
        message = make_message(1)
        await load(cache)
        await cache.accept([message], None)
        await cache.mark_stored([stored(message, 1)])

        run_out()

        assert await tail(cache) == CachedTail()
        assert await one(cache, message) is None

    async def test_a_filled_list_ages_and_one_with_a_pending_head_does_not(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        await load(cache, rows(1))
        run_out()
        assert await tail(cache) == CachedTail()

        await cache.accept([make_message(2)], None)
        await load(cache, rows(1))
        run_out()
        assert (await tail(cache)).floor == 0
        assert await listed(cache) == [2, 1]

    async def test_a_retried_message_comes_back_into_its_list(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        stuck, newer = make_message(1), make_message(2)
        await cache.accept([stuck, newer], None)
        await cache.mark_stored([stored(newer, 1)])
        run_out()  # the head is stored, so the list has aged
        assert await listed(cache) == []

        await cache.count_attempt([stuck])
        run_out()

        assert (await tail(cache)).messages == (stuck,)

    async def test_a_retried_message_keeps_its_list(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        stuck, newer = make_message(1), make_message(2)
        await load(cache)
        await cache.accept([stuck, newer], None)
        await cache.mark_stored([stored(newer, 1)])

        await cache.count_attempt([stuck])
        run_out()

        seen = await tail(cache)
        assert (await listed(cache), seen.floor, seen.total) == ([2, 1], 0, 2)

"""Test how the cache follows what became of its messages in the store."""

from __future__ import annotations

import pytest
from msgspec import structs

from messaging.domain.message import Message, Recall
from messaging.ports.cache import MessageCache
from messaging.ports.cached import IdempotencyRecord, PendingFull
from tests.contract.cache.conversation import (
    RunOut,
    ids,
    is_pending,
    listed,
    load,
    one,
    rows,
    stored,
    tail,
)
from tests.support.messages import FIRST_ID, make_message


class TestMarkStored:
    async def test_a_pending_message_becomes_persisted(self, cache: MessageCache) -> None:
        message, other = make_message(1), make_message(2)
        await cache.accept([message, other], None)

        await cache.mark_stored([stored(message, 41)])
        await cache.mark_stored([stored(message, 41)])

        assert await one(cache, message) == stored(message, 41)
        assert await one(cache, other) == other
        assert not await is_pending(cache, message)
        assert await is_pending(cache, other)
        assert await listed(cache) == [2, 1]

    async def test_a_recall_in_the_cache_outlives_a_normal_row(self, cache: MessageCache) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.set_recall_mark(message.id, Recall(5))
        await cache.confirm_recall(message.recalled(5))

        await cache.mark_stored([stored(message, 3)])

        assert await one(cache, message) == stored(message.recalled(5), 3)
        assert await cache.recall_marks([message.id]) == {message.id: Recall(5)}
        assert not await is_pending(cache, message)

    async def test_a_tombstone_blanks_the_content_and_ends_the_recall_mark(
        self, cache: MessageCache
    ) -> None:
        message = make_message(1, url="/x", at_user_ids=(3,))
        await cache.accept([message], None)
        await cache.set_recall_mark(message.id, Recall(5))

        await cache.mark_stored([stored(message.recalled(5), 3)])

        assert await one(cache, message) == stored(message.recalled(5), 3)
        assert await cache.recall_marks([message.id]) == {}
        assert not await is_pending(cache, message)

    async def test_a_tombstone_is_cached_even_if_nothing_was(self, cache: MessageCache) -> None:
        tombstone = stored(make_message(1).recalled(5), 3)

        await cache.mark_stored([tombstone])

        assert await one(cache, tombstone) == tombstone

    async def test_the_earlier_recall_time_stays_whatever_comes_later(
        self, cache: MessageCache
    ) -> None:
        message = stored(make_message(1), 3)
        for recall_time in (900, 1_000, 899, 950):
            await cache.mark_stored([message.recalled(recall_time)])

        assert await one(cache, message) == message.recalled(899)

    async def test_a_normal_row_is_not_cached_where_nothing_was(self, cache: MessageCache) -> None:
        await cache.mark_stored(rows(1))

        assert await cache.get([FIRST_ID + 1]) == {}
        assert await listed(cache) == []

    async def test_a_normal_row_never_takes_a_tombstone_back(self, cache: MessageCache) -> None:
        row = stored(make_message(1), 3)
        await cache.mark_stored([row.recalled(5)])

        await cache.mark_stored([row])

        assert await one(cache, row) == row.recalled(5)

    async def test_a_row_unknown_to_a_loaded_list_is_added_in_its_place(
        self, cache: MessageCache
    ) -> None:
        await load(cache, rows(1, 3, 5))

        await cache.mark_stored(rows(2, 4, 6))
        await cache.mark_stored(rows(2, 4, 6))

        seen = await tail(cache)
        assert await listed(cache) == [6, 5, 4, 3, 2, 1]
        assert set(seen.missing) == {FIRST_ID + n for n in (2, 4, 6)}
        assert (seen.floor, seen.total) == (0, 6)

    async def test_a_row_is_the_first_of_a_conversation_known_to_be_empty(
        self, cache: MessageCache
    ) -> None:
        await load(cache)

        await cache.mark_stored(rows(1))

        seen = await tail(cache)
        assert (await listed(cache), seen.floor, seen.total) == ([1], 0, 1)

    async def test_a_row_that_aged_out_is_not_counted_twice(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        first, second = make_message(1), make_message(2)
        await cache.accept([first, second], None)
        await load(cache)
        # The message may age now; the conversation's list may not.
        await cache.mark_stored([stored(first, 1)])

        run_out()
        await cache.mark_stored([stored(first, 1)])

        seen = await tail(cache)
        assert seen.missing == (first.id,)
        assert (await listed(cache), seen.floor, seen.total) == ([2, 1], 0, 2)

    @pytest.mark.parametrize("number", [4, 2])
    async def test_a_row_at_or_below_the_floor_leaves_the_count_to_the_store(
        self, cache: MessageCache, number: int
    ) -> None:
        await load(cache, rows(5, 6), floor=FIRST_ID + 4, base=3)

        await cache.mark_stored([stored(make_message(number), 9)])

        assert (await tail(cache)).floor is None

    async def test_an_accepted_row_keeps_the_list_loaded(self, cache: MessageCache) -> None:
        await load(cache, rows(5, 6), floor=FIRST_ID + 4, base=3)
        messages = [make_message(n) for n in (7, 8)]
        await cache.accept(messages, None)

        await cache.mark_stored([stored(m, n) for n, m in enumerate(messages, 6)])

        seen = await tail(cache)
        assert (seen.floor, seen.total) == (FIRST_ID + 4, 7)
        assert await listed(cache) == [8, 7, 6, 5]

    async def test_an_accepted_row_that_lost_its_list_is_listed_again(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        stuck, newer = make_message(1), make_message(2)
        await cache.accept([stuck, newer], None)
        await cache.mark_stored([stored(newer, 1)])
        run_out()
        await load(cache, [stored(newer, 1)])

        await cache.mark_stored([stored(stuck, 2)])

        seen = await tail(cache)
        assert (await listed(cache), seen.floor, seen.total) == ([2, 1], 0, 2)

    async def test_takes_a_batch_over_many_conversations(self, cache: MessageCache) -> None:
        messages = [make_message(n, to_id=2 + n % 50) for n in range(500)]
        await cache.accept(messages, None)
        await cache.mark_stored([stored(m, 1) for m in messages])

        assert await cache.pending_count() == 0
        assert await cache.get(ids(messages)) == {m.id: stored(m, 1) for m in messages}

    async def test_refuses_what_is_no_row(self, cache: MessageCache) -> None:
        with pytest.raises(ValueError, match="no seq"):
            await cache.mark_stored([make_message(1)])


class TestMarkDuplicates:
    async def test_forgets_the_duplicate_and_records_the_first(self, cache: MessageCache) -> None:
        first = stored(make_message(1, client_msg_id="k"), 1)
        repeat = make_message(3, client_msg_id="k")
        await load(cache, [first])
        await cache.accept([make_message(2), repeat], None)
        await cache.count_attempt([repeat])

        await cache.mark_duplicates({repeat.id: first})
        await cache.mark_duplicates({repeat.id: first})

        seen = await tail(cache)
        assert (await listed(cache), seen.floor) == ([2, 1], None)
        assert await one(cache, repeat) is None
        assert not await is_pending(cache, repeat)
        records = await cache.accept([make_message(9, client_msg_id="k")], None)
        assert records == [IdempotencyRecord(first.id, first.body_hash)]

    async def test_keeps_the_record_of_another_attempt_while_it_is_pending(
        self, cache: MessageCache
    ) -> None:
        """Nothing but the record leads from the row to that attempt."""
        pending, repeat, row = (make_message(n, content="x", client_msg_id="k") for n in (1, 2, 3))
        first = stored(row, 1)
        await cache.accept([pending], None)

        await cache.mark_duplicates({repeat.id: first})
        assert await cache.find_idempotency_record(1, "k") == IdempotencyRecord.of(pending)
        await cache.mark_duplicates({pending.id: first})
        assert await cache.find_idempotency_record(1, "k") == IdempotencyRecord.of(first)

    async def test_records_the_first_in_place_of_another_body(self, cache: MessageCache) -> None:
        first = stored(make_message(1, content="x", client_msg_id="k"), 1)
        await cache.accept([make_message(2, content="y", client_msg_id="k")], None)

        await cache.mark_duplicates({make_message(3).id: first})
        assert await cache.find_idempotency_record(1, "k") == IdempotencyRecord.of(first)

    async def test_hides_no_row_that_nobody_told(self, cache: MessageCache) -> None:
        """The repeat took seq 2's place in the count when the row with seq 3 was marked."""
        first = stored(make_message(3, client_msg_id="k"), 3)
        repeat = make_message(4, client_msg_id="k")
        await load(cache, [stored(make_message(1), 1)])
        await cache.accept([repeat], None)  # the row with seq 2 is unknown here
        await cache.mark_stored([first])
        await cache.mark_duplicates({repeat.id: first})
        assert (await tail(cache)).floor is None

    async def test_forgets_a_repeat_that_went_to_another_conversation(
        self, cache: MessageCache
    ) -> None:
        first = stored(make_message(1, client_msg_id="k"), 1)
        repeat = make_message(3, to_id=9, client_msg_id="k")
        await cache.accept([repeat], None)

        await cache.mark_duplicates({repeat.id: first})

        assert (await tail(cache, conversation_id="1_9")).messages == ()
        assert (await tail(cache, conversation_id="1_9")).missing == ()

    async def test_ends_the_recall_mark_of_the_repeat(self, cache: MessageCache) -> None:
        first = stored(make_message(1, client_msg_id="k"), 1)
        repeat = make_message(3, client_msg_id="k")
        await cache.accept([repeat], None)
        await cache.set_recall_mark(repeat.id, Recall(5))

        await cache.mark_duplicates({repeat.id: first})

        assert await cache.recall_marks([repeat.id]) == {}


class TestDeadLetter:
    async def test_drops_the_pending_mark_and_leaves_the_list_to_the_store(
        self, cache: MessageCache
    ) -> None:
        await load(cache, rows(1))
        bad, good = make_message(2), make_message(3)
        await cache.accept([bad, good], None)

        await cache.dead_letter([bad])

        assert not await is_pending(cache, bad)
        assert await is_pending(cache, good)
        assert await listed(cache) == [3, 1]
        assert (await tail(cache)).floor is None

    async def test_lets_the_detail_age(self, cache: MessageCache, run_out: RunOut) -> None:
        bad = make_message(2)
        await cache.accept([bad], None)

        await cache.dead_letter([bad])
        assert await one(cache, bad) == bad

        run_out()
        assert await one(cache, bad) is None

    @pytest.mark.parametrize("is_duplicate", [False, True])
    async def test_lets_the_list_age_that_was_kept_for_it(
        self, cache: MessageCache, run_out: RunOut, is_duplicate: bool
    ) -> None:
        await load(cache, rows(1))
        gone, other = (structs.replace(make_message(n), client_msg_id=f"k{n}") for n in (3, 2))
        await cache.accept([gone, other], None)

        async def end(message: Message) -> None:
            if is_duplicate:
                await cache.mark_duplicates(
                    {message.id: stored(make_message(1, client_msg_id="k"), 1)}
                )
            else:
                await cache.dead_letter([message])

        await end(gone)
        run_out()
        assert await listed(cache) == [2, 1]  # the list is kept for the other pending message
        await end(other)
        run_out()
        assert await listed(cache) == []

    async def test_does_not_let_it_age_that_is_pending_again(
        self, small_cache: MessageCache, run_out: RunOut
    ) -> None:
        """The same message was accepted a second time after its dead letter."""
        bad, others = make_message(1), [make_message(n) for n in range(2, 6)]
        for _ in range(3):
            await small_cache.accept([bad], None)
            await small_cache.dead_letter([bad])
        await small_cache.accept([bad], None)

        run_out()
        assert await is_pending(small_cache, bad)
        assert await one(small_cache, bad) == bad
        full = PendingFull.FULL
        assert await small_cache.accept(others, None) == [None, None, full, full]


class TestAddDetails:
    async def test_caches_rows_and_lists_nothing(self, cache: MessageCache) -> None:
        await cache.add_details(rows(1, 2))

        assert await cache.get([FIRST_ID + 1, FIRST_ID + 2]) == {r.id: r for r in rows(1, 2)}
        assert await listed(cache) == []

    async def test_never_overwrites_a_cached_state(self, cache: MessageCache) -> None:
        message = make_message(1)
        await cache.accept([message], None)

        await cache.add_details(rows(1))

        assert await one(cache, message) == message

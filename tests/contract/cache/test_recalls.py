"""Test recalls, and the marks that keep them until the store has the tombstones."""

from __future__ import annotations

from messaging.domain.message import Recall
from messaging.ports.cache import MessageCache
from tests.contract.cache.conversation import RunOut, is_pending, one, stored, tail
from tests.support.messages import FIRST_ID, make_message


class TestRecall:
    async def test_the_first_recall_time_counts(self, cache: MessageCache) -> None:
        message = make_message(1)
        await cache.accept([message], None)

        assert await cache.set_recall_mark(message.id, Recall(5)) == Recall(5)
        assert await cache.set_recall_mark(message.id, Recall(6)) == Recall(5)
        assert await cache.recall_marks([message.id, FIRST_ID]) == {message.id: Recall(5)}

    async def test_the_first_recall_names_who_recalled(self, cache: MessageCache) -> None:
        first, second = make_message(1), make_message(2)
        large = 2**63 - 1

        assert await cache.set_recall_mark(first.id, Recall(5, large)) == Recall(5, large)
        assert await cache.set_recall_mark(first.id, Recall(4)) == Recall(5, large)
        assert await cache.set_recall_mark(second.id, Recall(6)) == Recall(6)
        assert await cache.set_recall_mark(second.id, Recall(6, 7)) == Recall(6)
        marks = await cache.recall_marks([first.id, second.id])
        assert marks == {first.id: Recall(5, large), second.id: Recall(6)}

        await cache.clear_recall_mark(first.id, Recall(5))
        await cache.clear_recall_mark(second.id, Recall(6, 7))
        assert await cache.marked() == [first.id, second.id]
        await cache.clear_recall_mark(first.id, Recall(5, large))
        assert await cache.marked() == [second.id]

    async def test_a_recalled_message_says_who_recalled_it(self, cache: MessageCache) -> None:
        row = stored(make_message(1), 3)
        await cache.mark_stored([row.recalled(5, 7)])

        assert await cache.set_recall_mark(row.id, Recall(9)) == Recall(5, 7)
        assert await one(cache, row) == row.recalled(5, 7)

    async def test_a_recalled_message_keeps_its_time_and_gets_no_mark(
        self, cache: MessageCache
    ) -> None:
        row = stored(make_message(1), 3)
        await cache.mark_stored([row.recalled(5)])

        assert await cache.set_recall_mark(row.id, Recall(9)) == Recall(5)
        assert await cache.recall_marks([row.id]) == {}

    async def test_a_mark_is_taken_back_by_the_one_who_set_it(self, cache: MessageCache) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.set_recall_mark(message.id, Recall(5))

        await cache.clear_recall_mark(message.id, Recall(6))
        assert await cache.recall_marks([message.id]) == {message.id: Recall(5)}

        await cache.clear_recall_mark(message.id, Recall(5))
        assert await cache.recall_marks([message.id]) == {}
        assert await one(cache, message) == message

    async def test_a_mark_stays_once_a_recall_went_through(self, cache: MessageCache) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.set_recall_mark(message.id, Recall(5))
        await cache.confirm_recall(message.recalled(5))

        await cache.clear_recall_mark(message.id, Recall(5))

        assert await cache.recall_marks([message.id]) == {message.id: Recall(5)}

    async def test_blanks_a_pending_message_which_stays_pending(self, cache: MessageCache) -> None:
        message = make_message(1, url="/secret", at_user_ids=(3,))
        await cache.accept([message], None)
        await cache.set_recall_mark(message.id, Recall(5))

        await cache.confirm_recall(message.recalled(5))

        assert (await tail(cache)).messages == (message.recalled(5),)
        assert await is_pending(cache, message)

    async def test_blanks_a_persisted_message_which_keeps_its_seq(
        self, cache: MessageCache
    ) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.set_recall_mark(message.id, Recall(5))
        await cache.mark_stored([stored(message, 41)])

        # This tombstone was made before the message was stored.
        await cache.confirm_recall(message.recalled(5))

        assert await one(cache, message) == stored(message.recalled(5), 41)

    async def test_the_tombstone_stays_while_the_mark_does(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        message = make_message(1)
        tombstone = stored(message.recalled(5), 41)
        await cache.accept([message], None)
        await cache.mark_stored([stored(message, 41)])
        await cache.set_recall_mark(message.id, Recall(5))
        await cache.confirm_recall(message.recalled(5))
        await cache.confirm_recall(message.recalled(5))
        await cache.mark_stored([stored(message, 41)])

        run_out()
        assert await one(cache, message) == tombstone
        assert await cache.recall_marks([message.id]) == {message.id: Recall(5)}

        await cache.mark_stored([tombstone])
        assert await one(cache, message) == tombstone
        run_out()
        assert await one(cache, message) is None

    async def test_the_tombstone_stays_when_only_the_content_was_stored(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.set_recall_mark(message.id, Recall(5))
        await cache.confirm_recall(message.recalled(5))
        await cache.mark_stored([stored(message, 41)])

        run_out()

        assert await one(cache, message) == stored(message.recalled(5), 41)

    async def test_is_cached_where_nothing_was(self, cache: MessageCache) -> None:
        tombstone = stored(make_message(1).recalled(5), 41)
        await cache.set_recall_mark(tombstone.id, Recall(5))

        await cache.confirm_recall(tombstone)

        assert await one(cache, tombstone) == tombstone

    async def test_confirming_after_the_tombstone_was_stored_leaves_no_mark(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        message = make_message(1)
        await cache.accept([message], None)
        await cache.set_recall_mark(message.id, Recall(5))
        await cache.mark_stored([stored(message.recalled(5), 41)])

        await cache.confirm_recall(message.recalled(5))

        assert await one(cache, message) == stored(message.recalled(5), 41)
        assert await cache.recall_marks([message.id]) == {}
        run_out()
        assert await one(cache, message) is None

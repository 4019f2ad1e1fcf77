"""Test what a reader sees of a conversation."""

from __future__ import annotations

from messaging.domain.conversations import NO_FLOOR, Floor
from messaging.domain.events import encode_message
from messaging.domain.message import ChatType
from messaging.limits import MAX_CACHED_TAIL_BYTES
from messaging.ports.cache import MOST_IDS_READ, MessageCache
from messaging.ports.cached import CachedTail, ReaderView
from tests.contract.cache.conversation import (
    CONVERSATION,
    READER,
    RunOut,
    load,
    rows,
    stored,
    tail,
)
from tests.support.deletes import know_deletes
from tests.support.messages import FIRST_ID, make_message


class TestCachedTail:
    async def test_knows_nothing_of_a_conversation_never_loaded(self, cache: MessageCache) -> None:
        assert await tail(cache) == CachedTail()

    async def test_walks_down_the_list(self, cache: MessageCache) -> None:
        messages = [make_message(n) for n in range(1, 8)]
        await cache.accept(messages, None)

        top = await tail(cache, limit=3)
        middle = await tail(cache, before=messages[4].id, limit=3)
        end = await tail(cache, before=messages[1].id, limit=3)
        nothing = await tail(cache, before=messages[0].id, limit=3)

        assert [m.id - FIRST_ID for m in top.messages] == [7, 6, 5]
        assert [m.id - FIRST_ID for m in middle.messages] == [4, 3, 2]
        assert [m.id - FIRST_ID for m in end.messages] == [1]
        assert nothing.messages == ()
        assert [w.end for w in (top, middle, end, nothing)] == [
            FIRST_ID + 5,
            FIRST_ID + 2,
            None,
            None,
        ]

    async def test_begins_below_an_id_that_is_not_listed(self, cache: MessageCache) -> None:
        await cache.accept([make_message(n) for n in (2, 4, 6, 8)], None)

        for before, expected in ((9, [8, 6]), (7, [6, 4]), (3, [2]), (1, [])):
            seen = await tail(cache, before=FIRST_ID + before, limit=2)
            assert [m.id - FIRST_ID for m in seen.messages] == expected

    async def test_tells_which_details_are_not_cached(
        self, cache: MessageCache, run_out: RunOut
    ) -> None:
        first, second = make_message(1), make_message(2)
        await cache.accept([first, second], None)
        await cache.mark_stored([stored(first, 1)])
        run_out()

        seen = await tail(cache)

        assert (seen.messages, seen.missing) == ((second,), (first.id,))

    async def test_an_empty_conversation_is_known_to_be_empty(self, cache: MessageCache) -> None:
        await load(cache)

        seen = await tail(cache)

        assert (seen.floor, seen.total, seen.messages) == (0, 0, ())

    async def test_counts_the_whole_conversation(self, cache: MessageCache) -> None:
        await load(cache, rows(5, 6), floor=FIRST_ID + 4, base=1_234_567)
        await cache.accept([make_message(7)], None)

        seen = await tail(cache, limit=1)

        assert (seen.floor, seen.total, seen.end) == (FIRST_ID + 4, 1_234_570, FIRST_ID + 7)

    async def test_leaves_out_the_readers_deletes_and_nobody_elses(
        self, cache: MessageCache
    ) -> None:
        first, second, third = (make_message(n) for n in (1, 2, 3))
        await cache.accept([first, second, third], None)
        await cache.add_deletes(1, [first.id])
        await know_deletes(cache, 2, [third.id, FIRST_ID + 77])

        mine, other = await tail(cache, reader_id=1), await tail(cache, reader_id=2)

        assert (mine.messages, mine.deletes_floor) == ((third, second), None)
        assert (other.messages, other.deletes_floor) == ((second, first), 0)
        assert mine.end is other.end is None

    async def test_looks_past_deletes_until_it_has_enough(self, cache: MessageCache) -> None:
        await load(cache, rows(1, 2))
        await cache.accept([make_message(n) for n in range(3, 1_000)], None)
        deleted = {n for n in range(1, 1_000) if n > 600 or n % 3 == 0}
        await know_deletes(cache, READER, [FIRST_ID + n for n in deleted])

        seen = await tail(cache, limit=5)
        below = await tail(cache, before=seen.end, limit=500)

        assert [m.id - FIRST_ID for m in seen.messages] == [599, 598, 596, 595, 593]
        assert (seen.end, seen.total) == (FIRST_ID + 593, 999)
        kept = [n for n in range(592, 0, -1) if n not in deleted]
        assert [m.id - FIRST_ID for m in below.messages] == kept
        assert below.end is None

    async def test_gives_up_in_time_where_all_is_deleted(self, cache: MessageCache) -> None:
        count = MOST_IDS_READ + 5
        await cache.accept([make_message(n) for n in range(1, count + 1)], None)
        await know_deletes(cache, READER, [FIRST_ID + n for n in range(2, count + 1)])

        seen = await tail(cache, limit=10)
        below = await tail(cache, before=seen.end, limit=10)

        assert (seen.messages, seen.end) == ((), FIRST_ID + 6)
        assert ([m.id for m in below.messages], below.end) == ([FIRST_ID + 1], None)


class TestLargeCachedTails:
    LARGE = "\U0001f600" * 4_096

    async def accepted(self, cache: MessageCache, count: int) -> list[int]:
        messages = [make_message(n, content=self.LARGE) for n in range(count)]
        await cache.accept(messages, None)
        return [message.id for message in messages[::-1]]

    async def test_a_window_ends_where_its_texts_have_so_many_bytes(
        self, cache: MessageCache
    ) -> None:
        ids = await self.accepted(cache, 70)
        first = await tail(cache)
        shown = [m.id for m in first.messages]
        assert shown == ids[: len(shown)]
        taken = [len(encode_message(m)) for m in first.messages]
        assert sum(taken[:-1]) < MAX_CACHED_TAIL_BYTES <= sum(taken)
        assert first.end == shown[-1]
        assert first.missing == ()
        while first.end is not None:
            first = await tail(cache, before=first.end)
            shown += [m.id for m in first.messages]
        assert shown == ids

    async def test_one_that_is_not_reached_by_its_end_has_no_end(self, cache: MessageCache) -> None:
        ids = await self.accepted(cache, 31)
        seen = await tail(cache)
        assert ([m.id for m in seen.messages], seen.end) == (ids, None)

    async def test_ids_alone_are_listed_whatever_they_say(self, cache: MessageCache) -> None:
        ids = await self.accepted(cache, 70)
        await know_deletes(cache, READER, [ids[1]])
        seen = await cache.listed(CONVERSATION, reader_id=READER, before=None, limit=60)
        assert (seen.messages, list(seen.missing)) == ((), [ids[0], *ids[2:61]])
        assert (seen.end, seen.deletes_floor) == (ids[60], 0)
        rest = await cache.listed(CONVERSATION, reader_id=READER, before=ids[60], limit=60)
        assert (list(rest.missing), rest.end) == (ids[61:], None)


class TestNewestTails:
    """The tails of several conversations; `tail` above asks for one of them in this way as well."""

    async def test_are_those_that_single_calls_give(self, cache: MessageCache) -> None:
        private = [make_message(n) for n in range(1, 5)]
        other = [make_message(n, to_id=3) for n in (5, 6)]
        group = [make_message(n, chat_type=ChatType.GROUP, to_id=8) for n in range(7, 40)]
        await cache.accept([*private, *other, *group], None)
        await load(cache, rows(1, 2))
        limits = {"g8": 3, CONVERSATION: 2, "1_9": 5, other[0].conversation_id: 100}
        limits |= {f"g{n}": 1 for n in range(100, 160)}
        for known in (False, True):
            if known:
                floors = {CONVERSATION: Floor(private[0].id, 1), "g8": Floor(group[3].id, 4)}
                await know_deletes(cache, READER, [group[-2].id, private[3].id], floors=floors)
                await cache.distrust("g8", [READER])
            seen = await cache.newest_tails(limits, reader_id=READER)
            assert list(seen) == list(limits)
            for name, each in seen.items():
                assert each == await tail(cache, conversation_id=name, limit=limits[name])
        assert seen["g8"].guard > 0
        assert (seen["g8"].cleared, seen["1_9"].cleared) == (floors["g8"], NO_FLOOR)
        assert [m.id for m in seen["g8"].messages] == [group[-1].id, group[-3].id, group[-4].id]

    async def test_have_one_message_each_once_the_bytes_are_used_up(
        self, cache: MessageCache
    ) -> None:
        large = TestLargeCachedTails.LARGE
        many = [make_message(n, content=large) for n in range(1, 70)]
        few = [make_message(n, to_id=3, content=large) for n in range(70, 73)]
        await cache.accept([*many, *few], None)
        first, second = CONVERSATION, few[0].conversation_id
        seen = await cache.newest_tails({first: 100, second: 100}, reader_id=READER)
        assert sum(len(encode_message(m)) for m in seen[first].messages) >= MAX_CACHED_TAIL_BYTES
        assert (seen[second].messages, seen[second].end) == ((few[-1],), few[-1].id)

    async def test_of_no_conversation_are_none(self, cache: MessageCache) -> None:
        assert await cache.newest_tails({}, reader_id=READER) == {}


class TestReaderView:
    async def test_tells_states_and_deletes(self, cache: MessageCache) -> None:
        first, second, third = (make_message(n) for n in (1, 2, 3))
        await cache.accept([first, second], None)
        await know_deletes(cache, READER, [second.id, third.id], floor=FIRST_ID)

        look = await cache.reader_view([third.id, first.id, second.id], reader_id=READER)

        assert look.messages == {first.id: first, second.id: second}
        assert look.deleted == {second.id, third.id}
        assert look.deletes_floor == FIRST_ID

    async def test_knows_nothing_of_another_readers_deletes(self, cache: MessageCache) -> None:
        await know_deletes(cache, READER, [FIRST_ID + 1])

        assert await cache.reader_view([FIRST_ID + 1], reader_id=READER + 1) == ReaderView()

    async def test_of_deletes_that_may_not_be_all_has_no_floor(self, cache: MessageCache) -> None:
        await cache.add_deletes(READER, [FIRST_ID + 1])

        look = await cache.reader_view([FIRST_ID + 1, FIRST_ID + 2], reader_id=READER)

        assert (look.deleted, look.deletes_floor) == ({FIRST_ID + 1}, None)

    async def test_looks_at_many(self, cache: MessageCache) -> None:
        messages = [make_message(n) for n in range(1, 1_202)]
        await cache.accept(messages, None)
        await cache.add_deletes(READER, [messages[1_200].id])

        look = await cache.reader_view([m.id for m in messages], reader_id=READER)

        assert list(look.messages.values()) == messages
        assert look.deleted == {messages[1_200].id}


class TestWaiting:
    async def test_is_what_is_listed_and_pending(self, cache: MessageCache) -> None:
        await cache.accept([make_message(n) for n in range(1, 1_203)], None)
        await cache.mark_stored(rows(*range(2, 1_202)))

        assert await cache.waiting(CONVERSATION, limit=9) == [FIRST_ID + 1_202, FIRST_ID + 1]
        assert await cache.waiting(CONVERSATION, limit=1) == [FIRST_ID + 1_202]
        assert await cache.waiting("3_4", limit=9) == []

"""Test that a user's list of conversations is served as it was filled, and follows changes."""

from __future__ import annotations

import pytest
from msgspec import structs

from messaging.domain.conversations import Entry, Head, Listed, Peer, UnreadMemo
from messaging.domain.message import ChatType
from messaging.ports.cache import MessageCache
from messaging.ports.listings import LISTING_FRESH_MS, MOST_LISTED, CachedListing
from tests.contract.cache.conversation import RunOut, stored
from tests.contract.cache.events import Events
from tests.contract.cache.lists import (
    EVERY_KIND,
    FULL,
    GROUP,
    PRIVATE,
    USER,
    begin,
    by_name,
    entries_of,
    fill,
    group,
    head,
    private,
    seat,
)
from tests.support.messages import FIRST_ID, make_message


class TestAListing:
    async def test_is_not_there_before_it_is_filled(self, cache: MessageCache) -> None:
        seen = await cache.listing(USER)
        assert seen.entries is None
        assert seen.token is not None

    async def test_is_served_as_it_was_filled(self, cache: MessageCache) -> None:
        await fill(cache, EVERY_KIND)
        seen = await cache.listing(USER)
        assert dict(seen.entries or {}) == by_name(EVERY_KIND)
        assert seen.token is None
        assert 0 <= seen.age_ms < LISTING_FRESH_MS

    async def test_may_be_empty(self, cache: MessageCache) -> None:
        await fill(cache, [])
        assert (await cache.listing(USER)).entries == {}

    async def test_is_one_user_s(self, cache: MessageCache) -> None:
        await fill(cache, [private()])
        assert await entries_of(cache, 2) is None

    async def test_tells_the_newest_listed_message(self, cache: MessageCache) -> None:
        await fill(cache, [private(), group()])
        pending = make_message(9)
        await cache.accept([pending], None)
        seen = await entries_of(cache)
        assert seen is not None
        assert (seen[PRIVATE].listed, seen[PRIVATE].has_pending) == (
            Listed(pending.id, pending.id),
            True,
        )
        assert (seen[GROUP].listed, seen[GROUP].has_pending) == (Listed(), False)

    async def test_tells_nothing_of_a_stored_message_while_others_are_pending(
        self, cache: MessageCache
    ) -> None:
        """Two states differ in nothing but another conversation's message: the lists are equal."""
        mine, other = make_message(9), make_message(10, from_user_id=8, to_id=9)
        await cache.accept([mine], None)
        await cache.mark_stored([stored(mine, 9)])
        await fill(cache, [private(seq=9)])
        before = await cache.listing(USER)
        await cache.accept([other], None)
        after = await cache.listing(USER)
        assert (after.entries or {})[PRIVATE].listed == Listed()
        assert (after.entries, after.digest) == (before.entries, before.digest)

    async def test_is_left_out_where_its_digest_is_known(
        self, cache: MessageCache, events: Events
    ) -> None:
        await fill(cache, EVERY_KIND)
        seen = await cache.listing(USER)
        assert (seen.digest is None, seen.is_known) == (False, False)
        again = await cache.listing(USER, known=seen.digest)
        assert (again.entries, again.is_known, again.digest) == (None, True, seen.digest)
        for other in (0, (seen.digest or 0) ^ 1):
            whole = await cache.listing(USER, known=other)
            assert (whole.entries, whole.is_known) == (seen.entries, False)

        await events.age_listing(USER, LISTING_FRESH_MS / 1000 + 1)
        old = await cache.listing(USER, known=seen.digest)
        assert (old.entries, old.is_known) == (seen.entries, False)
        assert old.token is not None

    async def test_has_another_digest_after_each_change(self, cache: MessageCache) -> None:
        await fill(cache, EVERY_KIND)
        digests = [(await cache.listing(USER)).digest]
        own = seat(PRIVATE, rev=90)
        message = make_message(9)
        await cache.raise_participants([own])
        digests.append((await cache.listing(USER)).digest)
        peer = structs.replace(own, user_id=2, read_seq=2, delivered_seq=4)
        await cache.raise_participants([peer])
        digests.append((await cache.listing(USER)).digest)
        await cache.accept([message], None)
        digests.append((await cache.listing(USER)).digest)
        await cache.mark_stored([stored(message, 90)])
        digests.append((await cache.listing(USER)).digest)
        assert None not in digests
        assert len(set(digests)) == len(digests)
        assert (await cache.listing(USER, known=digests[0])).entries is not None

    async def test_without_entries_has_no_digest(self, cache: MessageCache) -> None:
        seen = await cache.listing(USER, known=7)
        assert (seen.entries, seen.digest, seen.is_known) == (None, None, False)

    async def test_of_all_that_may_be_listed(self, cache: MessageCache) -> None:
        entries = [
            Entry(participant=seat(f"g{n}", rev=n), head=head(n)) for n in range(1, MOST_LISTED + 1)
        ]
        await fill(cache, entries)
        assert await entries_of(cache) == by_name(entries)

    async def test_of_more_is_not_cached(self, cache: MessageCache) -> None:
        entries = [Entry(participant=seat(f"g{n}")) for n in range(1, MOST_LISTED + 2)]
        await fill(cache, entries)
        assert await entries_of(cache) is None

    async def test_ends_after_half_an_hour(self, cache: MessageCache, run_out: RunOut) -> None:
        await fill(cache, [private()])
        run_out()
        assert await entries_of(cache) is None

    async def test_that_is_old_is_served_and_may_be_filled_anew(
        self, cache: MessageCache, events: Events
    ) -> None:
        await fill(cache, [private(), group()])
        await events.age_listing(USER, LISTING_FRESH_MS / 1000 + 1)
        seen = await cache.listing(USER)
        assert dict(seen.entries or {}) == by_name([private(), group()])
        assert LISTING_FRESH_MS < seen.age_ms < LISTING_FRESH_MS + 10_000
        assert seen.token is not None

        await cache.fill_listing(USER, seen.token, [private(seq=4)])
        again = await cache.listing(USER)
        assert dict(again.entries or {}) == by_name([private(seq=4)])
        assert (again.token, again.age_ms < LISTING_FRESH_MS) == (None, True)

    async def test_is_filled_once_for_readers_who_come_together(self, cache: MessageCache) -> None:
        first, second = await begin(cache), await begin(cache)
        await cache.fill_listing(USER, second, [private(seq=4)])
        await cache.fill_listing(USER, first, [])
        assert await entries_of(cache) == by_name([private(seq=4)])

    async def test_is_not_filled_with_a_token_of_nobody(self, cache: MessageCache) -> None:
        await begin(cache)
        for token in ("", "0/0/1/0", "x"):
            await cache.fill_listing(USER, token, [private()])
        assert await entries_of(cache) is None

    async def test_of_a_cache_that_recovers_is_not_there_and_not_filled(
        self, cache: MessageCache
    ) -> None:
        await fill(cache, [private()])
        await cache.note_recovered((await cache.heartbeat()).id, returned=True)
        assert await cache.listing(USER) == CachedListing()


class TestAHead:
    async def test_rises_with_stored_messages(self, cache: MessageCache) -> None:
        await fill(cache, [private(seq=3), group(seq=5)])
        changed = structs.replace(stored(make_message(2), 2), rev=7)
        await cache.mark_stored([changed, stored(make_message(4), 4)])
        seen = await entries_of(cache)
        assert seen is not None
        assert seen[PRIVATE].head == Head(last_seq=4, last_rev=7, last_id=FIRST_ID + 4)
        assert seen[GROUP].head == head(5)

    async def test_never_sinks(self, cache: MessageCache) -> None:
        await fill(cache, [private(seq=12)])
        await cache.mark_stored([stored(make_message(9), 9)])
        await fill(cache, [Entry(participant=seat(PRIVATE, user_id=2), head=head(3))], user_id=2)
        seen = await entries_of(cache)
        assert seen is not None
        assert seen[PRIVATE].head == head(12)

    async def test_of_a_group_is_one_for_its_members(self, cache: MessageCache) -> None:
        await fill(cache, [group(seq=5)])
        await fill(cache, [Entry(participant=seat(GROUP, user_id=2), head=head(6, 2))], user_id=2)
        seen = await entries_of(cache)
        assert seen is not None
        assert seen[GROUP].head == head(6, 2)

    async def test_rises_in_a_batch_of_several_conversations(self, cache: MessageCache) -> None:
        await fill(cache, [private(seq=1), group(seq=1)])
        in_group = [make_message(n, to_id=7, chat_type=ChatType.GROUP) for n in (20, 21)]
        await cache.mark_stored(
            [
                stored(make_message(30), 2),
                *(structs.replace(m, seq=n, rev=n) for n, m in enumerate(in_group, 2)),
            ]
        )
        seen = await entries_of(cache)
        assert seen is not None
        assert seen[PRIVATE].head == Head(last_seq=2, last_id=FIRST_ID + 30)
        assert seen[GROUP].head == Head(last_seq=3, last_rev=3, last_id=FIRST_ID + 21)


class TestAFirstMessage:
    async def test_of_a_private_chat_brings_it_into_both_lists(self, cache: MessageCache) -> None:
        for user_id in (1, 2, 3):
            await fill(cache, [], user_id=user_id)
        await cache.mark_stored([stored(make_message(1), 1)])
        assert [await entries_of(cache, user_id) for user_id in (1, 2, 3)] == [None, None, {}]

    async def test_that_is_stored_during_a_fill_ends_the_fill(self, cache: MessageCache) -> None:
        token = await begin(cache)
        await cache.mark_stored([stored(make_message(1), 1)])
        await cache.fill_listing(USER, token, [])
        assert await entries_of(cache) is None

    async def test_of_a_group_and_later_ones_leave_the_lists(self, cache: MessageCache) -> None:
        await fill(cache, [private(seq=1), group(seq=1)])
        first = make_message(2, to_id=7, chat_type=ChatType.GROUP)
        await cache.mark_stored([stored(first, 1), stored(make_message(3), 2)])
        assert await entries_of(cache) is not None


class TestAParticipant:
    async def test_is_raised(self, cache: MessageCache) -> None:
        await fill(cache, [group()])
        await cache.raise_participants([structs.replace(FULL, rev=2)])
        seen = await entries_of(cache)
        assert seen is not None
        assert seen[GROUP].participant == structs.replace(FULL, rev=2)

    @pytest.mark.parametrize("rev", [8, 9, 10, 99, 100])
    async def test_of_a_larger_rev_stays(self, cache: MessageCache, rev: int) -> None:
        held, told = seat(GROUP, rev=10, read_seq=4), seat(GROUP, rev=rev, read_seq=3)
        await fill(cache, [Entry(participant=held, head=head(5))])
        await cache.raise_participants([told])
        seen = await entries_of(cache)
        assert seen is not None
        assert seen[GROUP].participant == (told if rev >= 10 else held)

    async def test_of_the_same_rev_keeps_what_was_delivered(self, cache: MessageCache) -> None:
        await fill(cache, [private(seq=12)])
        for delivered_seq in (9, 10, 8):
            await cache.raise_participants([seat(PRIVATE, delivered_seq=delivered_seq)])
        seen = await entries_of(cache)
        assert seen is not None
        assert seen[PRIVATE].participant == seat(PRIVATE, delivered_seq=10)

    async def test_that_a_list_lacks_is_added(self, cache: MessageCache) -> None:
        await fill(cache, [group()])
        await fill(cache, [Entry(participant=seat(PRIVATE, user_id=2), peer=Peer())], user_id=2)
        await cache.raise_participants([seat(PRIVATE)])
        seen = await entries_of(cache)
        assert seen is not None
        assert seen[PRIVATE].participant == seat(PRIVATE)

    async def test_tells_the_peer_its_positions(self, cache: MessageCache) -> None:
        await fill(cache, [private(peer=Peer(read_seq=9, delivered_seq=9))])
        for read_seq, delivered_seq, read_time in ((10, 11, 77), (8, 12, 66)):
            position = {"read_seq": read_seq, "delivered_seq": delivered_seq}
            peer = seat(PRIVATE, user_id=2, **position, read_time=read_time)
            await cache.raise_participants([peer])
        seen = await entries_of(cache)
        assert seen is not None
        assert seen[PRIVATE].peer == Peer(read_seq=10, delivered_seq=12, read_time=77)
        assert seen[PRIVATE].participant == seat(PRIVATE)

    async def test_is_known_to_the_peer_who_fills_later(self, cache: MessageCache) -> None:
        await fill(cache, [private(read_seq=2, read_time=77)])
        await fill(cache, [Entry(participant=seat(PRIVATE, user_id=2), peer=Peer())], user_id=2)
        seen = await entries_of(cache, 2)
        assert seen is not None
        assert seen[PRIVATE].peer == Peer(read_seq=2, read_time=77)

    async def test_is_dropped_with_the_user_s_others(self, cache: MessageCache) -> None:
        for user_id in (1, 2, 3):
            await fill(cache, [], user_id=user_id)
        await cache.forget_listings({1, 2, 4})
        assert [await entries_of(cache, user_id) for user_id in (1, 2, 3)] == [None, None, {}]

    async def test_is_raised_among_very_many(self, cache: MessageCache) -> None:
        entries = [Entry(participant=seat(f"g{n}"), head=head(1)) for n in range(1, 451)]
        await fill(cache, entries)
        raised = [seat(f"g{n}", rev=2, read_seq=1) for n in range(1, 451)]
        await cache.raise_participants(raised)
        seen = await entries_of(cache)
        assert seen is not None
        assert [entry.participant for entry in seen.values()] == raised


class TestNumbersOfUnread:
    async def test_are_kept_with_the_state_they_count_for(self, cache: MessageCache) -> None:
        await fill(cache, [private(seq=3), group(seq=5, rev=4)])
        memos = {GROUP: UnreadMemo(seq=5, rev=4, own_rev=1, count=2)}
        await cache.note_unread(USER, {GROUP: UnreadMemo(seq=4, rev=4, own_rev=1, count=1)})
        await cache.note_unread(USER, memos)
        seen = await cache.listing(USER)
        assert await cache.unread_memos(USER, [GROUP, PRIVATE]) == memos
        assert seen.entries is not None
        assert memos[GROUP].counts_for(seen.entries[GROUP])

    async def test_end_after_half_an_hour(self, cache: MessageCache, run_out: RunOut) -> None:
        await cache.note_unread(USER, {GROUP: UnreadMemo(seq=5, rev=4, own_rev=1, count=2)})
        run_out()
        await fill(cache, [group()])
        assert await cache.unread_memos(USER, [GROUP]) == {}

    async def test_may_be_missing(self, cache: MessageCache, events: Events) -> None:
        await fill(cache, [group()])
        await cache.note_unread(USER, {GROUP: UnreadMemo(seq=5, rev=0, own_rev=1, count=2)})
        await events.evict_memos(USER)
        seen = await cache.listing(USER)
        assert await cache.unread_memos(USER, [GROUP]) == {}
        assert dict(seen.entries or {}) == by_name([group()])


async def test_newest_ids_are_those_of_the_lists(cache: MessageCache) -> None:
    await cache.accept([make_message(1), make_message(2)], None)
    newest = {PRIVATE: Listed(FIRST_ID + 2, FIRST_ID + 2)}
    assert await cache.newest_ids([PRIVATE, GROUP]) == newest
    names = [PRIVATE, *(f"g{n}" for n in range(1_200)), PRIVATE]
    assert await cache.newest_ids(names) == newest
    assert await cache.newest_ids(names[:-1]) == newest
    assert await cache.newest_ids(names[1:]) == newest


async def test_a_message_may_be_pending_below_a_stored_one(cache: MessageCache) -> None:
    older, newer = make_message(1), make_message(2)
    await fill(cache, [private()])
    await cache.accept([older, newer], None)
    await cache.mark_stored([stored(newer, 2)])
    listed = Listed(newer.id, older.id)
    assert await cache.newest_ids([PRIVATE]) == {PRIVATE: listed}
    entries = (await cache.listing(USER)).entries
    assert entries is not None
    assert (entries[PRIVATE].listed, entries[PRIVATE].has_pending) == (listed, True)

    await cache.mark_stored([stored(older, 3)])
    assert await cache.newest_ids([PRIVATE]) == {}
    await cache.accept([make_message(3, to_id=3)], None)  # elsewhere something is pending
    assert await cache.newest_ids([PRIVATE]) == {PRIVATE: Listed(newer.id)}

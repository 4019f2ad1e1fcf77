"""Test, one order of events a test, that a cached list never lacks a change that was told.

A reader takes a token, reads the database and fills; the changes come in between, or are lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from messaging.domain.conversations import Entry, Head, Peer
from messaging.domain.ids import parties_of
from messaging.ports.cache import FILL_TTL_S, MessageCache
from messaging.ports.listings import LISTING_FRESH_MS, CachedListing
from tests.contract.cache.conversation import stored
from tests.contract.cache.events import Events
from tests.contract.cache.lists import (
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

Restart = Callable[[], Awaitable[None]]
OLD_S = LISTING_FRESH_MS / 1000 + 1


async def recover(cache: MessageCache, events: Events, *, returned: bool = True) -> None:
    """Let a process come back that was away, and the seconds pass after it."""
    await cache.note_recovered((await cache.heartbeat()).id, returned=returned)
    await events.pass_recovery()


class TestAFillThatHasReadTheDatabaseBefore:
    """Between the read and the fill comes a change, which the read lacks."""

    async def test_a_participant_changed_caches_no_participant(self, cache: MessageCache) -> None:
        token = await begin(cache)
        await cache.raise_participants([seat(PRIVATE, rev=2, read_seq=3)])
        await cache.fill_listing(USER, token, [private()])
        assert await entries_of(cache) is None

    async def test_a_list_was_dropped_caches_no_participant(self, cache: MessageCache) -> None:
        token = await begin(cache)
        await cache.forget_listings([USER])
        await cache.fill_listing(USER, token, [private()])
        assert await entries_of(cache) is None

    async def test_a_list_was_dropped_cannot_take_the_place_of_the_next_fill(
        self, cache: MessageCache
    ) -> None:
        early = await begin(cache)
        await cache.forget_listings([USER])
        late = await begin(cache)
        await cache.fill_listing(USER, early, [])
        await cache.fill_listing(USER, late, [private()])
        await cache.fill_listing(USER, early, [])
        assert await entries_of(cache) == by_name([private()])

    async def test_an_old_list_was_raised_keeps_the_raised_one(
        self, cache: MessageCache, events: Events
    ) -> None:
        await fill(cache, [private()])
        await events.age_listing(USER, OLD_S)
        token = await begin(cache)
        raised = seat(PRIVATE, rev=2, read_seq=3)
        await cache.raise_participants([raised])
        await cache.fill_listing(USER, token, [private()])
        seen = await entries_of(cache)
        assert seen is not None
        assert seen[PRIVATE].participant == raised

    async def test_a_message_was_stored_has_its_number(self, cache: MessageCache) -> None:
        token = await begin(cache)
        await cache.mark_stored([stored(make_message(4), 4)])
        await cache.fill_listing(USER, token, [private(seq=3)])
        seen = await entries_of(cache)
        assert seen is not None
        assert seen[PRIVATE].head == head(4)

    async def test_a_peer_has_read_has_the_peer_s_position(self, cache: MessageCache) -> None:
        token = await begin(cache)
        await cache.raise_participants([seat(PRIVATE, user_id=2, read_seq=3, delivered_seq=3)])
        await cache.fill_listing(USER, token, [private(peer=Peer(read_seq=1))])
        seen = await entries_of(cache)
        assert seen is not None
        assert seen[PRIVATE].peer == Peer(read_seq=3, delivered_seq=3)

    async def test_ten_seconds_ago_fills_nothing(self, cache: MessageCache, events: Events) -> None:
        """A head that rose meanwhile may be gone again."""
        await fill(cache, [private()])
        await events.age_listing(USER, OLD_S)
        await begin(cache)
        young = await events.age_token(USER, FILL_TTL_S - 5)
        assert await begin(cache) == young
        late = await events.age_token(USER, 6)
        await cache.fill_listing(USER, late, [group()])
        assert await entries_of(cache) == by_name([private()])
        assert await begin(cache) not in (young, late)
        await fill(cache, [group()])
        assert await entries_of(cache) == by_name([group()])

    async def test_a_process_came_back_fills_nothing(
        self, cache: MessageCache, events: Events
    ) -> None:
        token = await begin(cache)
        await recover(cache, events)
        await cache.fill_listing(USER, token, [private()])
        assert await entries_of(cache) is None
        await fill(cache, [private(seq=4)])
        assert await entries_of(cache) == by_name([private(seq=4)])

    async def test_the_cache_was_restarted_fills_nothing(
        self, cache: MessageCache, events: Events, restart: Restart
    ) -> None:
        token = await begin(cache)
        await restart()
        await recover(cache, events, returned=False)
        await cache.fill_listing(USER, token, [private()])
        assert await entries_of(cache) is None


class TestALostChange:
    async def test_of_a_process_that_was_away_leaves_nothing_to_serve(
        self, cache: MessageCache, events: Events
    ) -> None:
        await fill(cache, [private(), group()])
        await recover(cache, events)
        assert await entries_of(cache) is None

    async def test_makes_no_head_whole_that_another_user_has_filled(
        self, cache: MessageCache, events: Events
    ) -> None:
        await fill(cache, [group(seq=5)])
        await recover(cache, events)  # the message with the number 6 was told to nobody
        await fill(cache, [Entry(participant=seat(GROUP, user_id=2), head=head(6))], user_id=2)
        await fill(cache, [Entry(participant=seat(GROUP), head=Head(last_seq=5))])
        seen = await entries_of(cache)
        assert seen is not None
        assert seen[GROUP].head == head(6)

    async def test_is_not_served_with_a_participant_that_is_added_later(
        self, cache: MessageCache, events: Events
    ) -> None:
        await fill(cache, [group(seq=5)])
        await recover(cache, events)  # the message with the number 6 was told to nobody
        await fill(cache, [])
        await cache.raise_participants([seat(GROUP)])
        assert await entries_of(cache) is None

    async def test_of_a_process_that_died_leaves_nothing_to_serve(
        self, cache: MessageCache, events: Events
    ) -> None:
        await fill(cache, [private(), group()])
        await cache.heartbeat("dies")
        assert await entries_of(cache) is not None
        await asyncio.sleep(1.1)
        await cache.heartbeat("lives")
        assert await cache.listing(USER) == CachedListing()
        await events.pass_recovery()
        assert await entries_of(cache) is None

    async def test_of_a_restart_leaves_nothing_to_serve(
        self, cache: MessageCache, events: Events, restart: Restart
    ) -> None:
        """The file that Redis starts with may be older than its last writes."""
        await fill(cache, [private(), group()])
        await restart()
        assert await cache.listing(USER) == CachedListing()
        await recover(cache, events, returned=False)
        assert await entries_of(cache) is None

    async def test_of_one_restart_is_not_found_in_the_next(
        self, cache: MessageCache, events: Events, restart: Restart
    ) -> None:
        await restart()
        await recover(cache, events, returned=False)
        await fill(cache, [private()])
        await restart()
        await recover(cache, events, returned=False)
        assert await entries_of(cache) is None


class TestAChangeThatComesLate:
    async def test_does_not_undo_the_next_one(self, cache: MessageCache) -> None:
        first, second = seat(PRIVATE, rev=2, read_seq=2), seat(PRIVATE, rev=3, read_seq=3)
        await fill(cache, [private()])
        await cache.raise_participants([second])
        await cache.raise_participants([first])
        seen = await entries_of(cache)
        assert seen is not None
        assert seen[PRIVATE].participant == second

    async def test_does_not_undo_what_a_fill_has_read(self, cache: MessageCache) -> None:
        await fill(cache, [private(seq=12, read_seq=3)])
        await cache.raise_participants([seat(PRIVATE, rev=0, read_seq=2)])
        await cache.mark_stored([stored(make_message(9), 9)])
        seen = await entries_of(cache)
        assert seen is not None
        assert seen == by_name([private(seq=12, read_seq=3)])

    async def test_does_not_bring_a_list_of_before_a_loss_back(
        self, cache: MessageCache, events: Events
    ) -> None:
        await fill(cache, [private()])
        await recover(cache, events)
        await cache.raise_participants([seat(PRIVATE, rev=2)])
        await cache.mark_stored([stored(make_message(4), 4)])
        assert await entries_of(cache) is None

    @pytest.mark.parametrize("user_id", sorted(parties_of(PRIVATE)))
    async def test_of_a_first_message_brings_the_list_up_to_date(
        self, cache: MessageCache, user_id: int
    ) -> None:
        await fill(cache, [], user_id=user_id)
        await cache.mark_stored([stored(make_message(2), 2)])
        assert await entries_of(cache, user_id) == {}
        await cache.mark_stored([stored(make_message(1), 1)])
        assert await entries_of(cache, user_id) is None


async def test_a_head_begun_by_changes_alone_is_not_served(cache: MessageCache) -> None:
    """A conversation without a fill may have numbers that were never told."""
    await fill(cache, [])
    await cache.raise_participants([seat(PRIVATE)])
    await cache.mark_stored([stored(make_message(4), 4)])
    assert await entries_of(cache) is None
    await fill(cache, [private(seq=5)])
    seen = await entries_of(cache)
    assert seen is not None
    assert seen[PRIVATE].head == Head(last_seq=5, last_id=FIRST_ID + 5)

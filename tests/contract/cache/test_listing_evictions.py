"""Test that a list is read anew, and never served wrong, when Redis evicts any one of its keys.

Redis evicts the keys itself here, so the tests need a server of their own.
"""

from __future__ import annotations

import pytest

from messaging.domain.conversations import Entry, Peer
from messaging.ports.cache import MessageCache
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
from tests.support.messages import make_message

BOTH = by_name([private(), group()])


@pytest.fixture(params=["memory", "embedded"])
def url(request: pytest.FixtureRequest) -> str | None:
    if request.param == "memory":
        return None
    return str(request.getfixturevalue("redis_url"))


class TestEviction:
    async def test_of_the_participants_leads_to_the_database(
        self, cache: MessageCache, events: Events
    ) -> None:
        await fill(cache, [private(), group()])
        await events.evict_listing(USER)
        await cache.raise_participants([seat(PRIVATE, rev=2)])
        assert await entries_of(cache) is None

    @pytest.mark.parametrize("name", [PRIVATE, GROUP])
    async def test_of_a_head_leads_to_the_database(
        self, cache: MessageCache, events: Events, name: str
    ) -> None:
        await fill(cache, [private(), group()])
        await events.evict_head(name)
        assert await entries_of(cache) is None
        await fill(cache, [private(), group()])
        assert await entries_of(cache) == BOTH

    async def test_of_a_head_is_not_made_up_for_by_later_changes(
        self, cache: MessageCache, events: Events
    ) -> None:
        await fill(cache, [private(peer=Peer(read_seq=2))])
        await events.evict_head(PRIVATE)
        await cache.mark_stored([stored(make_message(4), 4)])
        await cache.raise_participants([seat(PRIVATE, rev=2)])
        assert await entries_of(cache) is None

    async def test_of_the_token_ends_the_fill(self, cache: MessageCache, events: Events) -> None:
        token = await begin(cache)
        await events.evict_listing(USER)
        await cache.fill_listing(USER, token, [private()])
        assert await entries_of(cache) is None

    async def test_of_a_head_that_rose_during_a_fill_leaves_no_whole_head(
        self, cache: MessageCache, events: Events
    ) -> None:
        token = await begin(cache)
        await cache.mark_stored([stored(make_message(4), 4)])
        await events.evict_head(PRIVATE)
        await cache.fill_listing(USER, token, [private(seq=3)])
        assert await entries_of(cache) is None
        await fill(cache, [private(seq=4)])
        assert await entries_of(cache) == by_name([private(seq=4)])

    async def test_of_a_head_that_was_made_anew_during_a_fill_leaves_no_whole_head(
        self, cache: MessageCache, events: Events
    ) -> None:
        token = await begin(cache)
        await cache.mark_stored([stored(make_message(4), 4)])
        await events.evict_head(PRIVATE)
        await cache.raise_participants([seat(PRIVATE, user_id=2)])
        await cache.fill_listing(USER, token, [private(seq=3)])
        assert await entries_of(cache) is None

    async def test_of_a_head_that_another_fill_made_whole_cannot_hide_a_number(
        self, cache: MessageCache, events: Events
    ) -> None:
        early = await begin(cache)
        await cache.mark_stored([stored(make_message(4), 4)])
        await events.evict_head(PRIVATE)
        await fill(
            cache,
            [Entry(participant=seat(PRIVATE, user_id=2), head=head(4), peer=Peer())],
            user_id=2,
        )
        await cache.fill_listing(USER, early, [private(seq=3)])
        seen = await entries_of(cache)
        assert seen is None or seen[PRIVATE].head == head(4)

    async def test_of_other_keys_costs_a_head_that_is_there_nothing(
        self, cache: MessageCache, events: Events
    ) -> None:
        await fill(cache, [private(), group()])
        await events.evict_listing(USER)
        token = await begin(cache)
        await events.evict_head("g8")
        await cache.raise_participants([seat("1_8", user_id=8)])
        await events.evict_head("1_8")
        await cache.fill_listing(USER, token, [private(), group()])
        assert await entries_of(cache) == BOTH
